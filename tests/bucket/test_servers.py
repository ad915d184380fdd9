"""The object stores and the proxy that tests of buckets rely on do what stores do, and fail as they are told."""

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from bucket_servers import Server, ask, served, through_faults, used
from fault_proxy import Faults
from object_listing import page

fsspec = pytest.importorskip("fsspec")
# aiohttp's, of the bytes of more than 1 MiB that gcsfs gives it.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")


def of(server: Server):
    """A file system that asks a server anew, without memory of lists."""
    return fsspec.filesystem(server.scheme, use_listings_cache=False, skip_instance_cache=True)


def test_an_object_is_what_was_put(bucket_server, tmp_path: Path):
    """Small, empty, in parts; by names with signs of URLs; ranges."""
    files = of(bucket_server)
    names = ["a b", "a#b", "a%20b", "ü/日本", "a+b&c=d", "a?b", "a'\"<>"]
    for name in names:
        files.pipe_file(f"bucket/n/{name}", name.encode() + b"\r")
    found = files.find("bucket/n", detail=True)
    assert sorted(found) == sorted(f"bucket/n/{name}" for name in names)
    assert all(about["size"] == len(name.removeprefix("bucket/n/").encode()) + 1 for name, about in found.items())
    assert [files.cat_file(f"bucket/n/{name}") for name in names] == [name.encode() + b"\r" for name in names]
    large = os.urandom(11 * 2**20)
    (tmp_path / "large").write_bytes(large)
    files.put_file(str(tmp_path / "large"), "bucket/large", chunksize=5 * 2**20 + 2**18)  # three parts
    files.get_file("bucket/large", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == large
    assert files.cat_file("bucket/large", start=5, end=2**20) == large[5 : 2**20]
    files.pipe_file("bucket/empty", b"")
    assert files.cat_file("bucket/empty") == b""
    files.rm_file("bucket/empty")
    with pytest.raises(FileNotFoundError):
        files.cat_file("bucket/empty")
    with pytest.raises(FileNotFoundError):
        files.pipe_file("no-such-bucket/a", b"")


def test_one_of_many_makes_an_object(bucket_server, tmp_path: Path):
    """Of ten who create an object at once, one has done it, and what is there is that one's; in parts too."""
    (tmp_path / "large").write_bytes(bytes(11 * 2**20))

    def create(who: int) -> bool:
        files = of(bucket_server)
        try:
            files.pipe_file("bucket/one", str(who).encode(), mode="create")
        except FileExistsError:
            return False
        return True

    with ThreadPoolExecutor(10) as pool:
        done = list(pool.map(create, range(10)))
    assert Counter(done) == {True: 1, False: 9}
    files = of(bucket_server)
    assert files.cat_file("bucket/one") == str(done.index(True)).encode()
    with pytest.raises(FileExistsError):
        files.put_file(str(tmp_path / "large"), "bucket/one", chunksize=5 * 2**20, mode="create")
    files.put_file(str(tmp_path / "large"), "bucket/two", chunksize=5 * 2**20, mode="create")
    assert files.info("bucket/one")["size"] == 1
    assert files.info("bucket/two")["size"] == 11 * 2**20


@pytest.mark.parametrize("bucket_server", ["gs"], indirect=True)  # S3's pages are moto's
def test_a_list_comes_in_pages(bucket_server):
    """More than one page of names, all of them, and by a delimiter the first parts of them alone."""
    names = [f"{number % 2}/{number:04d}" for number in range(1100)]
    for name in names:
        path = f"/upload/storage/v1/b/bucket/o?uploadType=media&name={name}"
        assert ask(bucket_server.url, "POST", path).status == 200
    files = of(bucket_server)
    assert sorted(files.find("bucket")) == sorted(f"bucket/{name}" for name in names)
    assert sorted(files.ls("bucket", detail=False)) == ["bucket/0", "bucket/1"]


def test_pages_hold_each_name_once():
    """Whatever a page holds, the pages together hold each name or its common prefix once, in order."""
    names = ["a", "a/", "a/b", "a/c/d", "a0", "b/c", "b/d", "ü/x", "ü/y"]
    for prefix, delimiter, wanted in (
        ("", "", sorted(names)),
        ("", "/", ["a", "a/", "a0", "b/", "ü/"]),
        ("a/", "/", ["a/", "a/b", "a/c/"]),
        ("b", "/", ["b/"]),
    ):
        for most in range(1, 11):
            got, after = [], ""
            while after is not None:
                found = page(names, prefix, delimiter, after, most)
                assert len(found.names) + len(found.prefixes) <= most
                got += sorted(found.names + found.prefixes)
                after = found.after
            assert got == wanted, (prefix, delimiter, most)


def test_what_a_proxy_refuses_is_not_done(bucket_server):
    """Two are refused, the third is done; only of the kinds that are named; each is counted."""
    with through_faults(bucket_server, Faults(kinds=["put"], busy=2, status=403)) as (server, proxy), used(server):
        files = of(server)
        for _ in range(2):
            with pytest.raises(OSError):  # noqa: PT011  both packages' own words
                files.pipe_file("bucket/a", b"1")
            assert files.find("bucket") == []
        files.pipe_file("bucket/a", b"1")
        assert files.find("bucket") == ["bucket/a"]
        assert [asked.status for asked in proxy.asked if asked.kind == "put"] == [403, 403, 200]
        assert proxy.counts()["list"] >= 3


def test_packages_try_again_what_a_network_loses(bucket_server):
    """A lost request, and lost answers to a put, a list and a get, are all made good by gcsfs and s3fs."""
    with through_faults(bucket_server) as (server, proxy), used(server):
        files = of(server)
        for faults in (Faults(["put"], lost_requests=1), Faults(["put", "list", "get"], lost_answers=1)):
            proxy.faults = faults
            files.pipe_file("bucket/a", bytes(2**20))
            proxy.faults = Faults(["list", "get"], lost_answers=1)
            assert files.find("bucket") == ["bucket/a"]
            assert files.cat_file("bucket/a") == bytes(2**20)
        assert [asked.status for asked in proxy.asked if asked.kind == "put"] == [0, 200, 0, 200]


def test_a_lost_answer_to_create_looks_as_if_another_had_done_it(bucket_server):
    """What was made is there, and whoever made it is told that it was: a caller must look whose it is."""
    with through_faults(bucket_server, Faults(["put"], lost_answers=1)) as (server, proxy), used(server):
        with pytest.raises(FileExistsError):
            of(server).pipe_file("bucket/a", b"mine", mode="create")
        assert of(server).cat_file("bucket/a") == b"mine"
        assert [asked.status for asked in proxy.asked if asked.kind == "put"] == [0, 412]


def test_a_stale_list_is_of_before(bucket_server):
    """Lists lag behind what is made, changed and removed; objects do not; after a while lists are true."""
    with through_faults(bucket_server) as (server, proxy), used(server):
        files = of(server)
        for name in ("b", "c/d"):
            files.pipe_file(f"bucket/{name}", b"1")
        before = {name: about["size"] for name, about in files.find("bucket", detail=True).items()}
        proxy.faults = Faults(stale=60)
        files.pipe_file("bucket/a#", b"1")
        files.pipe_file("bucket/b", b"22")
        files.rm_file("bucket/c/d")
        assert {name: about["size"] for name, about in files.find("bucket", detail=True).items()} == before
        assert files.cat_file("bucket/b") == b"22"
        assert files.cat_file("bucket/a#") == b"1"
        proxy.faults.stale = 0.001
        assert sorted(files.find("bucket")) == ["bucket/a#", "bucket/b"]


def test_the_network_goes_and_comes_back(bucket_server):
    """New connections are refused; a silent one is let wait for as long as it will; then all is as before."""
    with through_faults(bucket_server) as (server, proxy), used(server):
        of(server).pipe_file("bucket/a", b"1")
        proxy.cut()
        with pytest.raises(ConnectionRefusedError):
            ask(server.url, "GET", "/")
        proxy.restore()
        assert of(server).cat_file("bucket/a") == b"1"
        proxy.faults = Faults(silent=True)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(of(server).cat_file, "bucket/a")
            time.sleep(0.1)
            assert not waiting.done()
            proxy.faults = Faults()
            assert waiting.result(30) == b"1"  # asked again


WRITER = """
import sys, fsspec
files = fsspec.filesystem(sys.argv[1])
for number in range(9):
    files.pipe_file(f"bucket/{number}", b"")
"""


def test_a_writer_is_killed_between_two_objects(bucket_server):
    """A process that uses the server by its environment alone, killed when its third object is there."""
    with through_faults(bucket_server) as (server, proxy):
        begun, writer = threading.Event(), None

        def kill(count: int) -> None:
            assert begun.wait(30)
            assert writer is not None
            if count == 3:
                writer.kill()
                writer.wait()

        proxy.faults = Faults(after_put=kill)
        writer = subprocess.Popen([sys.executable, "-c", WRITER, server.scheme], env={**os.environ, **server.env})
        begun.set()
        assert writer.wait(60) < 0
    assert of(bucket_server).find("bucket") == ["bucket/0", "bucket/1", "bucket/2"]


def test_a_server_leaves_no_thread():
    """A server's open connections, and a proxy's, end with it."""
    pytest.importorskip("gcsfs")
    before = set(threading.enumerate())
    with served("gs") as server:
        with used(server):
            of(server).pipe_file("bucket/a", b"")
            with through_faults(server) as (behind, _):
                assert ask(behind.url, "GET", "/storage/v1/b").status == 200
        assert any(isinstance(thread, threading.Thread) for thread in set(threading.enumerate()) - before)
    assert {thread for thread in threading.enumerate() if thread not in before and thread.name != "fsspecIO"} == set()
