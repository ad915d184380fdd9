"""A likeness is at every moment as a kill could have left the folder: tried by stopping its writing at any request."""

import random
import re
import shutil

import pytest

from distill_jax.bucket.mirror import Mirror
from distill_jax.bucket.objects import Objects


class Stopped(BaseException):
    """The process is no more."""


@pytest.fixture
def objects(tmp_path):
    return Objects("run.workdir", f"memory://mirrors{tmp_path}")


def covered(name):
    """Of a mark `a/mark` that it speaks of all in a/data."""
    return re.sub(r"mark$", "data", name) if name.endswith("/mark") else None


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


def write(folder, **files):
    """Replaces files, as `files.write_text` does; a double stroke stands for one."""
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_name(".new").write_text(text)
        path.with_name(".new").rename(path)


def test_it_comes_back_elsewhere_and_follows_every_change(tmp_path, objects):
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    mirror = Mirror(here, objects, covered)
    write(here, a__data__1="one", a__data__2="two", a__mark="1 2", summary="{}")
    (here / "b.partial").write_text("not whole")
    (here / ".lock").touch()
    assert mirror.push() == 4
    assert mirror.push() == 0
    Mirror(elsewhere, objects, covered).pull()
    assert contents(elsewhere) == {"a/data/1": "one", "a/data/2": "two", "a/mark": "1 2", "summary": "{}"}
    write(here, a__data__1="another", a__mark="1", summary="{2}")
    (here / "a/data/2").unlink()
    while mirror.push():
        pass
    Mirror(elsewhere, objects, covered).pull()
    assert contents(elsewhere) == {"a/data/1": "another", "a/mark": "1", "summary": "{2}"}


def test_only_what_is_another_is_brought_again(tmp_path, objects):
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    write(here, a="1", b="2")
    Mirror(here, objects).push()
    assert Mirror(elsewhere, objects).pull() == 2
    assert Mirror(elsewhere, objects).pull() == 0
    write(elsewhere, b="3")  # which is no more as it was brought
    assert Mirror(elsewhere, objects).pull() == 1
    assert contents(elsewhere) == {"a": "1", "b": "2"}


def test_what_was_made_here_since_stays_if_nobody_else_was_there(tmp_path, objects):
    here = tmp_path / "here"
    mirror = Mirror(here, objects, covered)
    mirror.claim = 3
    write(here, a__data__1="one", a__mark="1")
    mirror.push()
    write(here, b="made before the power was cut")
    again = Mirror(here, objects, covered)
    again.pull(3)
    assert "b" in contents(here)
    Mirror(here, objects, covered).pull(4)  # another command has worked there
    assert contents(here) == {"a/data/1": "one", "a/mark": "1"}


def test_what_was_removed_in_the_bucket_is_removed_here(tmp_path, objects):
    here = tmp_path / "here"
    mirror = Mirror(here, objects, covered)
    mirror.claim = 3
    write(here, a__data__1="one", a__mark="1", b="2")
    mirror.push()
    objects.remove(["a/data/1", "a/mark"])
    Mirror(here, objects, covered).pull(3)
    assert contents(here) == {"b": "2"}
    assert not (here / "a").exists()


def test_a_file_that_lists_do_not_have_yet_is_brought(tmp_path, objects, monkeypatch):
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    write(here, a="1")
    mirror = Mirror(here, objects)
    mirror.push()
    late = objects.list()
    write(here, b="2")
    mirror.push()
    monkeypatch.setattr(Objects, "list", lambda self: late)
    Mirror(elsewhere, objects).pull()
    assert contents(elsewhere) == {"a": "1", "b": "2"}


def test_files_that_are_gone_are_left_out_beside_those_that_are_brought(tmp_path, objects):
    write(tmp_path / "here", **{f"a__{n}__b__{n}": "1" for n in range(40)})
    mirror = Mirror(tmp_path / "here", objects)
    mirror.push()
    objects.remove(f"a/{n}/b/{n}" for n in range(0, 40, 2))  # though the names of all are kept
    for number in range(5):
        elsewhere = tmp_path / f"elsewhere-{number}"
        Mirror(elsewhere, objects).pull()
        assert len(contents(elsewhere)) == 20
        assert len(list((elsewhere / "a").iterdir())) == 20


def _consistent(folder):
    """Whether a mark speaks of files with the content that it says, as by the sums of an index, or all are gone."""
    for mark in folder.glob("*/mark"):
        if not any(mark.parent.glob("data/*")):
            continue
        said = dict(pair.split("=") for pair in mark.read_text().split())
        there = {name: (mark.parent / "data" / name) for name in said}
        if any(not path.exists() or path.read_text() != said[name] for name, path in there.items()):
            return False
    return True


def _change(folder, rng):
    """One change of a group as a study makes them: its mark first has less, then files are written, then it has all."""
    group = folder / rng.choice("ab")
    mark, said = group / "mark", {}
    if rng.random() < 0.2 and (group / "data").exists():  # as an old checkpoint, whose seal stays for a while
        shutil.rmtree(group / "data")
        yield
        mark.unlink(missing_ok=True)
        return
    if mark.exists():
        said = dict(pair.split("=") for pair in mark.read_text().split())
    changed = rng.sample("1234", rng.randint(1, 3))
    left = {name: value for name, value in said.items() if name not in changed}

    def say(said):
        write(folder, **{f"{group.name}__mark": " ".join(f"{n}={v}" for n, v in sorted(said.items()))})

    if left != said:
        say(left)
        yield
    for name in changed:
        if rng.random() < 0.3 and (group / "data" / name).exists():
            (group / "data" / name).unlink()
        else:
            left[name] = str(rng.randint(0, 10**6))
            write(folder, **{f"{group.name}__data__{name}": left[name]})
        yield
    say(left)
    yield


@pytest.mark.parametrize("seed", range(4))
def test_stopped_at_any_request_it_is_as_a_kill_could_have_left_the_folder(tmp_path, objects, monkeypatch, seed):
    rng, left = random.Random(seed), [0]

    def counted(method):
        def stop(self, *arguments, **keywords):
            left[0] -= 1
            if left[0] == 0:
                raise Stopped
            return method(self, *arguments, **keywords)

        return stop

    for name in ("pipe_file", "rm_file"):
        kind = type(objects._fs)
        monkeypatch.setattr(kind, name, counted(getattr(kind, name)))
    here, steps = tmp_path / "here", 0
    mirror = Mirror(here, objects, covered)
    mirror.claim = 1
    for _ in range(25):
        for _ in _change(here, rng):
            assert _consistent(here)
            if rng.random() < 0.5:
                continue
            left[0] = rng.randint(1, 12)
            try:
                mirror.push()
            except Stopped:
                steps += 1
                elsewhere = tmp_path / f"elsewhere-{steps}"
                Mirror(elsewhere, objects, covered).pull()
                assert _consistent(elsewhere)
                if rng.random() < 0.5:  # another process of this machine goes on
                    mirror = Mirror(here, objects, covered)
                    mirror.pull(1)
    assert steps > 2
    left[0] = 0
    while mirror.push():
        pass
    Mirror(tmp_path / "all", objects, covered).pull()
    idle = {f"{group}/mark" for group in "ab" if not any((here / group).glob("data/*"))}  # which speaks of none
    assert contents(tmp_path / "all") == {name: text for name, text in contents(here).items() if name not in idle}
