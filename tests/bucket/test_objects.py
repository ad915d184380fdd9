"""What is asked of a bucket, of Google's and Amazon's as they are on loopback, and what is said where they fail."""

import threading

import fsspec
import pytest
from bucket_servers import through_faults, used
from fault_proxy import Faults

from distill_jax.bucket import objects as module
from distill_jax.bucket.objects import Objects, Unreached
from distill_jax.errors import InputError

FIELD = "run.workdir"


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE", 3.0)
    monkeypatch.setattr(module, "_SECONDS", 1.0)
    monkeypatch.setattr(module, "_LONGEST_PAUSE", 0.2)


def below(server, name="study"):
    return Objects(FIELD, f"{server.scheme}://{server.bucket}/{name}")


def test_objects_are_named_bytes(bucket_server, tmp_path):
    objects = below(bucket_server)
    assert objects.list() == {}
    assert objects.read("a") is None
    assert objects.size("a") is None
    objects.write("a/b c#%ö", b"1")
    objects.write("a", b"22")
    first = objects.list()
    assert {name: about.size for name, about in first.items()} == {"a": 2, "a/b c#%ö": 1}
    objects.write("a", b"33")
    assert objects.list()["a"].version != first["a"].version
    assert (objects.read("a"), objects.size("a/b c#%ö"), objects.size("a/b")) == (b"33", 1, None)
    assert objects.download("a", tmp_path / "x" / "a")
    assert (tmp_path / "x" / "a").read_bytes() == b"33"
    assert not objects.download("none", tmp_path / "none")
    assert not (tmp_path / "none").exists()
    objects.remove(["a", "none"])
    assert list(objects.list()) == ["a/b c#%ö"]
    assert list((objects / "a").list()) == ["b c#%ö"]


def test_large_files_go_in_parts(bucket_server, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_SMALL", 2**20)
    data = bytes(range(256)) * (24 * 2**12)  # 24 MiB
    (tmp_path / "large").write_bytes(data)
    objects = below(bucket_server)
    objects.upload("large", tmp_path / "large")
    assert objects.download("large", tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == data
    with pytest.raises(FileNotFoundError):
        objects.upload("gone", tmp_path / "gone")


def test_of_many_who_make_one_if_there_is_none_one_has_made_it(bucket_server):
    made = []

    def make(number):
        if below(bucket_server).write_new("claim", f"mine {number}".encode()):
            made.append(number)

    threads = [threading.Thread(target=make, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert below(bucket_server).read("claim") == f"mine {made[0]}".encode()


def test_one_whose_making_was_not_confirmed_is_known_as_ones_own(bucket_server):
    with through_faults(bucket_server) as (behind, proxy), used(behind):
        proxy.faults = Faults(kinds=("put",), lost_answers=1)
        assert below(behind).write_new("claim", b"mine")
        assert not below(behind).write_new("claim", b"another's")


@pytest.mark.parametrize("faults", [{"busy": 6}, {"lost_requests": 3}, {"lost_answers": 3}, {"busy_share": 0.3}])
def test_a_bucket_that_fails_is_asked_again(bucket_server, faults):
    with through_faults(bucket_server) as (behind, proxy), used(behind):
        objects = below(behind)
        objects.patience = 30
        proxy.faults = Faults(**faults)
        for number in range(3):
            objects.write(f"{number}", b"1")
        assert [objects.read(f"{number}") for number in range(3)] == [b"1"] * 3
        assert len(objects.list()) == 3


@pytest.mark.parametrize("how", ["gone", "busy", "silent"])
def test_one_that_does_not_answer_is_said_in_a_line(bucket_server, how):
    with through_faults(bucket_server) as (behind, proxy), used(behind):
        objects = below(behind)
        if how == "gone":
            proxy.cut()
        else:
            proxy.faults = Faults(silent=True) if how == "silent" else Faults(busy_share=1.0)
        with pytest.raises(Unreached, match=rf"^{objects.address} does not answer \(.+\)$") as caught:
            objects.write("a", b"1")
        assert "\n" not in str(caught.value)
        proxy.faults = Faults()


@pytest.mark.parametrize(
    ("bucket", "status", "words"),
    [
        ("none", None, "has no such bucket; must be one that is there"),
        ("bucket", 403, "must be a place that these credentials may read and write"),
        ("bucket", 401, "must be asked with credentials, as the cloud's own tools find them"),
    ],
)
def test_what_asking_again_does_not_help_is_said_in_a_line(bucket_server, bucket, status, words):
    if bucket_server.scheme == "s3" and status == 401:
        pytest.skip("Amazon's does not answer so")
    with through_faults(bucket_server) as (behind, proxy), used(behind):
        if status is not None:
            proxy.faults = Faults(kinds=("put",), busy_share=1.0, status=status)
        with pytest.raises(InputError) as caught:
            Objects(FIELD, f"{behind.scheme}://{bucket}/study").write("a", b"1")
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"run.workdir {behind.scheme}://{bucket}/study: ")


def test_without_its_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "s3fs", None)
    with pytest.raises(InputError, match=r"run.workdir s3://b/a: needs s3fs.*distill-jax\[s3\]"):
        Objects(FIELD, "s3://b/a")
    assert fsspec.filesystem("memory") is Objects(FIELD, "memory://b/a")._fs
