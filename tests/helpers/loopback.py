"""An HTTP server on loopback, each connection a thread of this process, that closes without a thread left over."""

import contextlib
import socket
import struct
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit


class Loopback(ThreadingHTTPServer):
    """Serves from when it is made until `close`; port 0 takes a free one."""

    daemon_threads = False  # server_close waits for them
    request_queue_size = 128

    def __init__(self, handler: type["Handler"], port: int = 0) -> None:
        self.faults: list[BaseException] = []  # of the handlers: what a test never expects
        self._open: set[socket.socket] = set()
        self._opening = threading.Lock()
        super().__init__(("127.0.0.1", port), handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), name="loopback")
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def process_request(self, request: Any, client_address: Any) -> None:
        """As ThreadingHTTPServer's, and remembers the connection."""
        with self._opening:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """As ThreadingHTTPServer's; a connection that `reset` has marked gets no farewell."""
        with self._opening:
            self._open.discard(request)
        if request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == _AT_ONCE:
            request.close()
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone is none of a server's faults; everything else is kept for `close`."""
        fault = sys.exception()
        if fault is not None and not isinstance(fault, ConnectionError):
            self.faults.append(fault)

    def close(self) -> None:
        """Ends it, open connections too; raises what a handler has failed with."""
        self.shutdown()
        self._thread.join()
        with self._opening:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self.server_close()
        if self.faults:
            raise self.faults[0]


_AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: closed by a reset


class Handler(BaseHTTPRequestHandler):
    """One connection; the methods that a server has are named by `answer`."""

    protocol_version = "HTTP/1.1"  # connections are kept
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed."""

    @property
    def route(self) -> str:
        """The path as it was sent, without its query: names in it are still quoted."""
        return urlsplit(self.path).path

    @property
    def query(self) -> dict[str, str]:
        """The query's fields."""
        return dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))

    def body(self, most: int | None = None) -> bytes:
        """The request's body, or its first `most` bytes."""
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            return self._chunks(most)
        length = int(self.headers.get("Content-Length", 0))
        wanted = length if most is None else min(most, length)
        if len(got := self.rfile.read(wanted)) < wanted:
            raise ConnectionAbortedError("whoever asked is gone")  # nothing is done then, as by the clouds
        return got

    def _chunks(self, most: int | None) -> bytes:
        got = bytearray()
        while size := int(self.rfile.readline().split(b";")[0] or b"-1", 16):
            got += self.rfile.read(max(size, 0))
            if not self.rfile.readline():
                raise ConnectionAbortedError("whoever asked is gone")
            if most is not None and len(got) >= most:
                return bytes(got[:most])
        while self.rfile.readline().strip():  # trailers
            pass
        return bytes(got)

    def reply(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        """Answers; without a body to HEAD."""
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def reset(self) -> None:
        """Ends this connection by a reset, as a network does that loses it."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        self.close_connection = True

    def answer(self) -> None:
        """One request."""
        raise NotImplementedError

    def do_GET(self) -> None:
        """Any method's requests go to `answer`."""
        self.answer()

    do_HEAD = do_PUT = do_POST = do_DELETE = do_PATCH = do_GET

    @property
    def host(self) -> Loopback:
        """The server."""
        return cast(Loopback, self.server)
