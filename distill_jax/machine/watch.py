"""Several processes' watch over each other: when one is lost, the others end at once and say which.

JAX alone notices after minutes, or as a stack trace out of the exchange under way, and names nobody. Here each process
keeps a connection to the first open. Whatever ends a process, its system closes that; of a machine that is gone the
connection's own probes tell within half a minute.
"""

import contextlib
import logging
import os
import secrets
import selectors
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

from distill_jax.errors import Interrupted, RunError
from distill_jax.machine import last_words

_LOG = logging.getLogger(__name__)
_MEET_SECONDS = 60  # to connect to the first process
_NOTICE_SECONDS = 3  # for an error out of an exchange, in which the loss of another is noticed earlier than here
_FAILED_SECONDS = 5  # for a process that has failed to say why, and for the others to say that they have too
_LINGER_SECONDS = 10  # for the others to leave before the first does
_TOKEN = 16  # bytes that nobody else can know
_ADDRESS = 64  # bytes of an address, filled with zeros
_NOWHERE = [0] * (1 + _TOKEN + _ADDRESS)  # for a port, a token and an address
_ENDED, _FAILED, _GONE = b"e", b"f", b"g"
_LEAVES = b"l"  # with an error of one line, that may be the others' too
_NEWS = struct.Struct("!cI")  # the first process's message to the others: the news, and the number of whose it is

Share = Callable[[Sequence[int]], Any]  # a sequence too


@contextlib.contextmanager
def watched(host: str | None, number: int, processes: int, share: Share) -> Iterator[None]:
    """Ends this process, with one line and status 1, when another is lost or fails while this is entered, or later.

    Where the first cannot be reached a line says so, and the loss of a process is left to JAX.

    Args:
      host: address of the first process's machine; None is that from which it would reach others.
      number: of this process; 0 is the first.
      processes: how many there are.
      share: gives the first process's numbers, 0 to 65,535, to all.
    """
    server, contact = _listen(host) if number == 0 else (None, _NOWHERE)
    port, *rest = (int(value) for value in share(contact))
    token, address = bytes(rest[:_TOKEN]), bytes(rest[_TOKEN:]).rstrip(b"\0").decode()
    if number == 0:
        connections = {} if server is None else _meet(server, token, processes)
    else:
        connections = {} if not port else _connect(address, port, token, number)
    if len(connections) < (processes - 1 if number == 0 else 1):
        _LOG.warning("the processes cannot watch each other; the loss of one is noticed within minutes, by JAX")
    if number:
        last_words.in_one_line(last_words.GONE.format(0))
    watch = _Watch(number, connections)
    try:
        yield
    except Interrupted:  # as all of them are
        watch.tell(_ENDED)
        raise
    except KeyboardInterrupt:  # as perhaps all of them are; this one is gone in a moment
        raise
    except BaseException as error:
        status = getattr(error, "exit_status", None)
        if status is None:
            time.sleep(_NOTICE_SECONDS)
        watch.tell(_FAILED if status is None else _LEAVES)
        watch.leave_later(status or RunError.exit_status)
        raise
    watch.tell(_ENDED)


class _Watch:
    """The connections of a process, by the number of who is at their other end, and the thread that listens to them."""

    def __init__(self, number: int, connections: dict[int, socket.socket]):
        self._number, self._connections = number, connections
        self._closing, self._over = threading.Lock(), list[socket.socket]()
        self._told: bytes | None = None
        threading.Thread(target=self._listen, daemon=True).start()

    def tell(self, news: bytes) -> None:
        """Tells the first, or as the first all others, how this process ends."""
        self._told = news
        self._send(news if self._number else _NEWS.pack(news, 0))
        if news == _ENDED:
            with self._closing:
                for connection in self._over:
                    connection.close()

    def leave_later(self, status: int) -> None:
        """Ends this process in a while, if it would still wait for the others then."""

        def leave() -> None:
            self.tell(_FAILED)
            os._exit(status)

        timer = threading.Timer(_FAILED_SECONDS, leave)
        timer.daemon = True
        timer.start()

    def _send(self, message: bytes) -> None:
        for connection in self._connections.values():
            with contextlib.suppress(OSError):
                connection.sendall(message)

    def _listen(self) -> None:
        # Of those who leave with an error, when they are to be followed: a thread cannot start another at the end.
        leaving: dict[int, float] = {}
        with selectors.DefaultSelector() as ready:
            for other, connection in self._connections.items():
                ready.register(connection, selectors.EVENT_READ, other)
            while ready.get_map() or (leaving and self._told is None):
                first = min(leaving.values(), default=None) if self._told is None else None
                for key, _ in ready.select(None if first is None else max(first - time.monotonic(), 0.01)):
                    connected = cast(socket.socket, key.fileobj)
                    news, process = self._news(connected, key.data)
                    if news == _LEAVES:
                        leaving[process] = time.monotonic() + _FAILED_SECONDS
                    elif news == _ENDED or (news == _GONE and process in leaving):
                        ready.unregister(connected)
                        self._close(connected)
                    elif self._told == _FAILED:  # for which the other has left
                        return
                    else:
                        self._leave(news, process)
                for process, end in leaving.items():
                    if self._told is None and time.monotonic() > end:
                        self._leave(_FAILED, process)

    def _close(self, connection: socket.socket) -> None:
        """Closes what the other end needs no more, once this process needs it no more either."""
        with self._closing:
            self._over.append(connection)
            if self._told == _ENDED:
                connection.close()

    def _news(self, connection: socket.socket, other: int) -> tuple[bytes, int]:
        """The news of a process (`_ENDED`, `_FAILED`, `_LEAVES` or `_GONE`), and its number."""
        size = 1 if self._number == 0 else _NEWS.size
        try:
            message = connection.recv(size, socket.MSG_WAITALL)
        except OSError:
            message = b""
        if len(message) < size:
            return _GONE, other
        return (message, other) if self._number == 0 else _NEWS.unpack(message)

    def _leave(self, news: bytes, process: int) -> None:
        line = last_words.GONE.format(process)
        if news == _FAILED:
            line = (
                f"process {process} has failed; its message says why, and the same command goes on once that is mended"
            )
        sys.stderr.write(f"error: {line}\n")  # at once, so that no words of XLA's come between
        sys.stdout.flush()
        sys.stderr.flush()
        if self._number == 0:
            # Without the first JAX aborts the others, who would have more to say than this line.
            self._send(_NEWS.pack(news, process))
            _wait_for_all(list(self._connections.values()))
        os._exit(RunError.exit_status)


def _wait_for_all(connections: list[socket.socket]) -> None:
    """Returns when the other ends of all connections are closed, or have had the time for it."""
    end = time.monotonic() + _LINGER_SECONDS
    for connection in connections:
        with contextlib.suppress(OSError):
            while (remaining := end - time.monotonic()) > 0:
                connection.settimeout(remaining)
                if not connection.recv(1):
                    break


def _listen(host: str | None) -> tuple[socket.socket | None, list[int]]:
    """The first process's server; and its port, a token and its address, as numbers."""
    token = secrets.token_bytes(_TOKEN)
    try:
        family, *_, address = socket.getaddrinfo(host or _own_address(), 0, type=socket.SOCK_STREAM)[0]
        server = socket.create_server(address[:2], family=family)
    except OSError:
        return None, _NOWHERE
    padded = str(address[0]).encode().ljust(_ADDRESS, b"\0")
    return server, [server.getsockname()[1], *token, *padded]


def _own_address() -> str:
    """This machine's address as others see it, which its own name often is not: that may stand for a loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; an address that is nobody's, beyond this network
            return probe.getsockname()[0]
        except OSError:  # no way out of this machine
            return socket.gethostname()


def _meet(server: socket.socket, token: bytes, processes: int) -> dict[int, socket.socket]:
    """The connections of all other processes that come in time, by their numbers."""
    connections: dict[int, socket.socket] = {}
    end = time.monotonic() + _MEET_SECONDS
    with server, contextlib.suppress(TimeoutError):
        while len(connections) < processes - 1:
            server.settimeout(max(end - time.monotonic(), 0.001))
            connection, _ = server.accept()
            connection.settimeout(5)
            try:
                message = connection.recv(_TOKEN + 4, socket.MSG_WAITALL)
            except OSError:
                message = b""
            if not secrets.compare_digest(message[:_TOKEN], token):
                connection.close()
                continue
            connections[int.from_bytes(message[_TOKEN:])] = _kept_alive(connection)
    return connections


def _connect(address: str, port: int, token: bytes, number: int) -> dict[int, socket.socket]:
    """The connection to the first process, if it can be reached."""
    try:
        connection = socket.create_connection((address, port), timeout=_MEET_SECONDS)
        connection.sendall(token + number.to_bytes(4))
    except OSError:
        return {}
    return {0: _kept_alive(connection)}


def _kept_alive(connection: socket.socket) -> socket.socket:
    """A connection that is closed when the other machine has not answered for half a minute."""
    connection.settimeout(None)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, name):  # not of every system
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return connection
