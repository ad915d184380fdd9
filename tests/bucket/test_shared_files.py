import zlib

import pytest

from distill_jax.bucket.objects import Objects
from distill_jax.bucket.shared_files import SharedFiles
from distill_jax.machine.program_cache import ProgramCache


@pytest.fixture
def objects(tmp_path):
    return Objects("data.cache_dir", f"memory://programs{tmp_path}")


def test_a_program_compiled_on_one_machine_is_there_on_another(tmp_path, objects):
    first = ProgramCache(tmp_path / "first", SharedFiles(tmp_path / "first", objects))
    (first.own / "jit_step").write_bytes(zlib.compress(b"a program"))
    (first.own / "jit_cut").write_bytes(zlib.compress(b"another program")[:-4])  # which is still being written
    first.publish()
    first.close()
    (tmp_path / "second").mkdir()
    shared = SharedFiles(tmp_path / "second", objects)
    assert shared.bring() == 1
    second = ProgramCache(tmp_path / "second", shared)
    assert [path.name for path in second.own.iterdir() if not path.name.startswith(".")] == ["jit_step"]
    assert zlib.decompress((second.own / "jit_step").read_bytes()) == b"a program"
    second.publish()  # nothing is new
    second.close()


def test_a_damaged_one_is_compiled_again(tmp_path, objects):
    objects.write("jit_step.01234567", b"not what the name says")
    (tmp_path / "here").mkdir()
    shared = SharedFiles(tmp_path / "here", objects)
    shared.bring()
    cache = ProgramCache(tmp_path / "here", shared)
    assert not [path for path in cache.own.iterdir() if not path.name.startswith(".")]
    cache.close()


def test_a_bucket_that_is_silent_fails_no_work(tmp_path, objects, monkeypatch, caplog):
    def fail(*arguments, **keywords):
        raise ConnectionError("no route")

    monkeypatch.setattr("distill_jax.bucket.shared_files._PATIENCE", 0.2)
    (tmp_path / "a").write_text("1")
    shared = SharedFiles(tmp_path, objects)
    monkeypatch.setattr(type(objects._fs), "pipe_file", fail)
    monkeypatch.setattr(type(objects._fs), "find", fail)
    assert shared.bring() == 0
    shared.send(tmp_path / "a")
    shared.close()
    assert caplog.text.count("does not answer") == 2
