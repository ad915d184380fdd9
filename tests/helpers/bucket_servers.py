"""Object stores on loopback for tests and by hand: S3 by moto, Google Cloud Storage by `gcs_server`.

By hand, one of these serves until Ctrl-C, with a bucket named bucket, and prints what to set elsewhere:

    python tests/helpers/bucket_servers.py gcs 4443
    python tests/helpers/bucket_servers.py s3 5555
"""

import argparse
import contextlib
import importlib.util
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

import pytest
from fault_proxy import FaultProxy, Faults, ask
from gcs_server import GcsServer

BUCKET = "bucket"
_STORES = {"gs": "gcs", "s3": "s3"}  # as they are called by hand
PACKAGES = {"gs": ("gcsfs",), "s3": ("s3fs", "moto", "flask", "flask_cors")}  # what a scheme's tests need


@dataclass(frozen=True)
class Server:
    """An object store that is served, or a proxy before it.

    Attributes:
      scheme: of its addresses, gs or s3.
      url: where it is.
      bucket: the name of a bucket that is there.
    """

    scheme: str
    url: str
    bucket: str = BUCKET

    @property
    def env(self) -> dict[str, str]:
        """What a process must have set to use it and no other: gcsfs and s3fs read it, nothing of ours does."""
        if self.scheme == "gs":
            return {
                "STORAGE_EMULATOR_HOST": self.url,
                "FSSPEC_GS_TOKEN": "anon",  # asks no one who it is
                "GOOGLE_CLOUD_PROJECT": "project",
                "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # asks by gRPC, which is not served, before it reads
            }
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }


@contextlib.contextmanager
def used(server: Server) -> Iterator[Server]:
    """Within it, this process and those it starts use a server (fsspec reads the environment when it is imported)."""
    import fsspec
    import fsspec.config

    saved, saved_conf = dict(os.environ), dict(fsspec.config.conf)
    os.environ.update(server.env)
    if server.scheme == "gs":
        fsspec.config.conf["gs"] = {"token": "anon"}
        from gcsfs.core import GCSFileSystem  # pyright: ignore[reportMissingImports]

        # The other class, which gcsfs has taken if it was imported before, waits a minute for gRPC at each request.
        fsspec.register_implementation("gs", GCSFileSystem, clobber=True)
    forget(server.scheme)
    try:
        yield server
    finally:
        forget(server.scheme)
        os.environ.clear()
        os.environ.update(saved)
        fsspec.config.conf.clear()
        fsspec.config.conf.update(saved_conf)


def forget(scheme: str) -> None:
    """Lets go of what gcsfs or s3fs keeps: sessions by the environment of when they were begun."""
    import fsspec

    fsspec.get_filesystem_class(scheme).clear_instance_cache()


@contextlib.contextmanager
def through_faults(server: Server, faults: Faults | None = None) -> Iterator[tuple[Server, FaultProxy]]:
    """A server as it is behind a proxy that fails as it is told, and the proxy."""
    proxy = FaultProxy(server.url, server.scheme, faults or Faults())
    try:
        yield Server(server.scheme, proxy.url, server.bucket), proxy
    finally:
        proxy.close()


def emptied(server: Server) -> None:
    """Removes all the objects of a server's bucket."""
    proxy = FaultProxy(server.url, server.scheme)
    try:
        for name in proxy.entries(server.bucket):
            quoted = quote(name, safe="")
            path = (
                f"/storage/v1/b/{server.bucket}/o/{quoted}" if server.scheme == "gs" else f"/{server.bucket}/{quoted}"
            )
            assert proxy.ask("DELETE", path).status in (200, 204)
    finally:
        proxy.close()


@contextlib.contextmanager
def served(scheme: str, port: int = 0) -> Iterator[Server]:
    """Serves an empty bucket from this process."""
    if scheme == "gs":
        gcs = GcsServer(port, (BUCKET,))
        try:
            yield Server("gs", gcs.url)
        finally:
            gcs.close()
        return
    from moto.server import ThreadedMotoServer  # pyright: ignore[reportMissingImports]

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # not a line for each request
    moto = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    moto.start()
    try:
        server = Server("s3", "http://{}:{}".format(*moto.get_host_and_port()))
        assert ask(server.url, "PUT", f"/{BUCKET}").status == 200
        yield server
    finally:
        moto.stop()


@contextlib.contextmanager
def served_beside(scheme: str) -> Iterator[Server]:
    """Serves an empty bucket from a process of its own, as by hand; it ends with this one, however that ends."""
    command = [sys.executable, __file__, _STORES[scheme], "0", "--until-eof"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line, "the server has not begun; its errors are above"
            yield Server(scheme, line.split()[-1])
        finally:
            process.stdin.close()
            process.wait(30)


def _needs(scheme: str) -> None:
    """Skips the tests of a scheme where its packages are not installed."""
    if missing := [name for name in PACKAGES[scheme] if importlib.util.find_spec(name) is None]:
        pytest.skip(f"{' and '.join(missing)} not installed: a server of {scheme}:// for tests")


@pytest.fixture(scope="session")
def s3_server() -> Iterator[Server]:
    """S3 by moto, in a process of its own."""
    _needs("s3")
    with served_beside("s3") as server:
        yield server


@pytest.fixture(scope="session")
def gcs_server() -> Iterator[Server]:
    """Google Cloud Storage by a server of ours, in this process."""
    _needs("gs")
    with served("gs") as server:
        yield server


@pytest.fixture(params=["gs", "s3"])
def bucket_server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Either server, with an empty bucket, used by this process, with short pauses, and those it starts."""
    server = request.getfixturevalue({"gs": "gcs_server", "s3": "s3_server"}[request.param])
    emptied(server)
    with used(server):
        if request.param == "gs":  # it waits 1 to 2 seconds before it asks again, and no setting says otherwise
            monkeypatch.setattr("gcsfs.retry.min", lambda *_: 0.02, raising=False)
        yield server


def main() -> None:
    """Serves by hand."""
    parser = argparse.ArgumentParser(description="An object store on loopback, with an empty bucket named bucket.")
    parser.add_argument("store", choices=list(_STORES.values()))
    parser.add_argument("port", type=int, help="0 takes a free one")
    parser.add_argument("--until-eof", action="store_true", help="until standard input ends, rather than Ctrl-C")
    given = parser.parse_args()
    ends = {signal.SIGINT, signal.SIGTERM}
    if not given.until_eof:
        signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # of the server's threads too
    scheme = next(scheme for scheme, store in _STORES.items() if store == given.store)
    with served(scheme, given.port) as server:
        print(f"# {server.scheme}://{server.bucket} is served at {server.url}")
        print("\n".join(f"export {name}={value}" for name, value in server.env.items()), flush=True)
        if given.until_eof:
            sys.stdin.read()
        else:
            signal.sigwait(ends)


if __name__ == "__main__":
    main()
