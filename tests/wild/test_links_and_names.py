"""Links that somebody has planted where files are written, and names that would be more than one line."""

import os

import matplotlib.figure
import numpy as np
import pytest
from command import write_npz
from small_study import dataset

from distill_jax.command import command_line
from distill_jax.dumps import Dump, dump_path, read_dump, write_dumps
from distill_jax.errors import InputError, printable
from distill_jax.files import partial, write_bytes, write_result, write_text
from distill_jax.paths import local
from distill_jax.training.population import Member
from distill_jax.training.progress import Scalars, say
from experiments import comparison


@pytest.fixture
def precious(tmp_path):
    """A file, and a folder, elsewhere."""
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("mine")
    yield tmp_path / "precious" / "file"
    assert (tmp_path / "precious" / "file").read_text() == "mine"
    assert os.listdir(tmp_path / "precious") == ["file"]


WRITERS = {
    "text": lambda path: write_text(path, "new"),
    "bytes": lambda path: write_bytes(path, b"new"),
    "result": lambda path: write_result(path, b"new"),
    "json": lambda path: command_line.write_json(path, "new"),
    "scalars": lambda path: Scalars(path, [Member("kd", 0)], 0).close(),
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("where", ["at its place", "beside it", "to a folder", "to nothing"])
def test_a_link_is_replaced_and_what_it_names_left_alone(tmp_path, precious, writer, where):
    path = tmp_path / "report.html"
    to = {"to a folder": precious.parent, "to nothing": tmp_path / "nothing"}.get(where, precious)
    places = [path] if where == "at its place" else [path.with_name("report.html.partial")]
    for place in places:
        place.symlink_to(to)
    WRITERS[writer](path)
    assert path.is_file()
    assert not path.is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["precious", "report.html"]


def test_a_folder_where_a_file_is_written_is_gone(tmp_path):
    (tmp_path / "a.partial").mkdir()
    (tmp_path / "a.partial" / "b").write_text("")
    assert partial(tmp_path / "a") == tmp_path / "a.partial"
    assert not (tmp_path / "a.partial").exists()


@pytest.mark.parametrize("where", ["kd/test", "kd/seed-0/step-1/test", "kd/zarr.json", "zarr.json.partial"])
@pytest.mark.parametrize("to", ["precious", "nothing"])
def test_a_link_in_place_of_a_dump(tmp_path, precious, where, to):
    path = dump_path(tmp_path, "kd", 0, 1, "test")
    link = tmp_path / "dumps" / where
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(precious.parent if to == "precious" else tmp_path / to)
    write_dumps([(path, 2 * np.eye(3, dtype=np.float32), {})], *[np.arange(3, dtype=np.int32)] * 3)
    assert isinstance(read_dump(path), Dump)
    assert not link.is_symlink()


def test_a_link_in_place_of_a_figure(tmp_path, precious):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "a.png").symlink_to(precious)
    comparison.save({"a": matplotlib.figure.Figure()}, tmp_path / "figures")
    assert not (tmp_path / "figures" / "a.png").is_symlink()


@pytest.mark.parametrize("name", ["a\nb", "a\rb", "a\x1b[2Jb", "a\0b", "a\x7f"])
def test_a_path_of_several_lines_is_refused_in_one(name):
    with pytest.raises(InputError, match="must be a name in UTF-8 without line breaks") as caught:
        local("--workdir", name)
    assert len(str(caught.value).splitlines()) == 1


def test_a_line_is_one_line_whatever_is_in_it(capsys):
    assert printable("a\r\n\x1b[2J\u2028ü\ud800") == "a\\r\\n\\x1b[2J\\u2028ü\\ud800"
    say(command_line.console(), "the class 'a\nb' [red]:smile:")
    assert capsys.readouterr().out == "the class 'a\\nb' [red]:smile:\n"


def test_an_error_is_one_line_whatever_is_in_it(capsys, monkeypatch):
    def main(arguments):
        raise InputError("data.label", "a\nb", "must be x")

    monkeypatch.setattr(command_line.streams, "prepare", lambda: None)
    with pytest.raises(SystemExit):
        command_line.run(main)
    assert capsys.readouterr().err == "error: --label a\\nb: must be x\n"


def test_arrays_that_do_not_fit_in_memory_are_refused_before_they_are_read(tmp_path, fails, monkeypatch):
    path = write_npz(tmp_path / "own.npz")
    size = sum(a.nbytes for s in (dataset().train, dataset().test) for a in (s.x, s.label))
    monkeypatch.setattr("distill_jax.limits.host_memory", lambda: size / 2)
    fails(f"data.dataset {path}: its arrays need", dataset=str(path))
