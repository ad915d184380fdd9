"""A proxy on loopback before an object store, which fails as networks and stores do, in the way that a test says.

A test gives `FaultProxy.faults` what is to fail; `FaultProxy.asked` is what has been asked for. What it knows of stores
is how S3 and Google Cloud Storage (`scheme`) spell a request.
"""

import http.client
import itertools
import json
import random
import re
import threading
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from gcs_server import listing
from loopback import Handler, Loopback
from object_listing import page

# What a request is for: to make an object (with one request, or its last of many), a part of one, the begin of one in
# parts, or its end without one; to read an object or what is said of it; a list of names, a removal; all of a bucket.
KINDS = ("put", "part", "begin", "abort", "get", "stat", "list", "delete", "copy", "bucket")
_CHANGES = {"put", "delete", "copy"}
_OF_A_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "expect", "content-length"}
_SOMEBODY = "AWS4-HMAC-SHA256 Credential=testing/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
_S3 = "http://s3.amazonaws.com/doc/2006-03-01/"


@dataclass
class Faults:
    """What fails, until a test sets other faults; each request fails in one way at most, the first that is left.

    Attributes:
      kinds: of requests (`KINDS`) that fail; all unless said.
      busy: so many requests are answered `status`, and nothing is done.
      busy_share: that share of the others are, too.
      status: 503 (busy), 429 (too many), 500, 403 (forbidden), or 401 (to whom nobody is known, of gs alone).
      lost_requests: so many connections are reset in the middle of what is sent, and nothing is done.
      lost_answers: so many are reset in the middle of the answer, and what was asked for is done.
      seconds: each request, of any kind, is answered so much later.
      silent: no request, of any kind, is answered or done, nor is any connection closed, until other faults are set.
      stale: lists are as of so many seconds ago, but no older than these faults; objects are as they are now. Only what
        is changed through this proxy counts.
      after_put: called with n when the n-th object is made, before whoever has made it is told.
      seed: of the share.
    """

    kinds: Collection[str] = KINDS
    busy: int = 0
    busy_share: float = 0.0
    status: int = 503
    lost_requests: int = 0
    lost_answers: int = 0
    seconds: float = 0.0
    silent: bool = False
    stale: float = 0.0
    after_put: Callable[[int], None] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if unknown := set(self.kinds) - set(KINDS):
            raise ValueError(f"no kinds of requests: {sorted(unknown)}")
        self._draw, self._deciding = random.Random(self.seed), threading.Lock()
        self._made = itertools.count(1)
        self._past: list[tuple[float, str, dict[str, Any]]] = []  # lists of a bucket, each of before a change

    def fate(self, kind: str) -> str | None:
        """How a request fails: busy, lost_requests, lost_answers, or not at all."""
        if kind not in self.kinds:
            return None
        with self._deciding:
            for name in ("busy", "lost_requests", "lost_answers"):
                if getattr(self, name) > 0:
                    setattr(self, name, getattr(self, name) - 1)
                    return name
            return "busy" if self.busy_share and self._draw.random() < self.busy_share else None


class Asked(NamedTuple):
    """A request: its kind, its path without a query, and the status of its answer (0: it got none)."""

    kind: str
    path: str
    status: int


class Answer(NamedTuple):
    """Of the store."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


def ask(url: str, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> Answer:
    """What a server answers; to somebody, where no headers are given (moto lets no anonymous one remove)."""
    headers = {"Authorization": _SOMEBODY} if headers is None else headers
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    try:
        sent = headers | ({"Content-Length": str(len(body))} if body or method in ("POST", "PUT") else {})
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        return Answer(answer.status, answer.getheaders(), answer.read())
    finally:
        connection.close()


@dataclass
class FaultProxy:
    """A proxy on a port of its own, from when it is made until `close`.

    Attributes:
      store: the address of what is behind it, as http://127.0.0.1:4443.
      scheme: s3 or gs.
      faults: what fails from now on.
      asked: all requests so far, in the order in which they were answered.
    """

    store: str
    scheme: str
    faults: Faults = field(default_factory=Faults)
    asked: list[Asked] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.closing = threading.Event()
        self._server: Loopback | None = _Proxy(self, 0)
        self.url = self._server.url

    def counts(self) -> Counter[str]:
        """How often a request of each kind has been made."""
        return Counter(asked.kind for asked in self.asked)

    def cut(self) -> None:
        """The network is gone: open connections end, new ones are refused."""
        if self._server is not None:
            self.closing.set()
            self._server.close()
            self._server = None

    def restore(self) -> None:
        """The network is back, at the same port."""
        if self._server is None:
            self.closing.clear()
            self._server = _Proxy(self, urlsplit(self.url).port or 0)

    def close(self) -> None:
        """Ends it for good."""
        self.cut()

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> Answer:
        """What the store itself says."""
        return ask(self.store, method, path, headers, body)

    def entries(self, bucket: str) -> dict[str, dict[str, Any]]:
        """What a list says of all the objects of a bucket, by name."""
        found: dict[str, dict[str, Any]] = {}
        token, more = {}, True
        while more:
            if self.scheme == "gs":
                got = json.loads(self.ask("GET", f"/storage/v1/b/{bucket}/o?{urlencode(token)}").body)
                found |= {about["name"]: about for about in got.get("items", ())}
                token, more = {"pageToken": got.get("nextPageToken")}, "nextPageToken" in got
            else:
                got = ET.fromstring(self.ask("GET", f"/{bucket}?{urlencode({'list-type': 2} | token)}").body)
                for entry in got.iter(f"{{{_S3}}}Contents"):
                    about = {part.tag.removeprefix(f"{{{_S3}}}"): part.text or "" for part in entry}
                    found[about["Key"]] = about
                next_token = got.findtext(f"{{{_S3}}}NextContinuationToken")
                token, more = {"continuation-token": next_token}, next_token is not None
        return found


class _Proxy(Loopback):
    """The server of a proxy."""

    def __init__(self, proxy: FaultProxy, port: int) -> None:
        self.proxy = proxy
        super().__init__(_ProxyHandler, port)


class _ProxyHandler(Handler):
    """Passes requests on, or fails."""

    server: _Proxy  # pyright: ignore[reportIncompatibleVariableOverride]

    def answer(self) -> None:
        """One request."""
        proxy = self.server.proxy
        faults = proxy.faults
        self.kind, bucket = (gcs_kind if proxy.scheme == "gs" else s3_kind)(self)
        self._answer(proxy, faults, self.kind, bucket)

    def _note(self, status: int) -> None:
        """Counts a request, before whoever has made it knows of its answer."""
        self.server.proxy.asked.append(Asked(self.kind, self.route, status))

    def _answer(self, proxy: FaultProxy, faults: Faults, kind: str, bucket: str) -> None:
        while proxy.faults is faults and faults.silent:
            if proxy.closing.wait(0.02):
                return self.lost()
        if faults.silent:
            return self.lost()  # what was sent while the network was away is gone
        if proxy.closing.wait(faults.seconds):
            return self.lost()
        fate = faults.fate(kind)
        if fate == "lost_requests":
            self.body(int(self.headers.get("Content-Length", 0)) // 2)
            return self.lost()
        body = self.body()
        if fate == "busy":
            self._note(faults.status)
            return self.reply(faults.status, *_refusal(proxy.scheme, faults.status))
        if kind == "list" and faults.stale:
            return self._old_list(proxy, faults, bucket)
        if kind in _CHANGES and faults.stale:
            faults._past.append((time.monotonic(), bucket, proxy.entries(bucket)))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _OF_A_CONNECTION}
        answer = proxy.ask(self.command, self.path, headers, body)
        if kind == "put" and answer.status < 300 and faults.after_put is not None:
            faults.after_put(next(faults._made))
        self._pass_on(answer, lost=fate == "lost_answers")

    def _pass_on(self, answer: Answer, lost: bool) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.headers:
            if name.lower() not in _OF_A_CONNECTION:
                self.send_header(name, value)
        size = dict(answer.headers).get("Content-Length", "0") if self.command == "HEAD" else str(len(answer.body))
        if answer.status != 204:
            self.send_header("Content-Length", size)
        if lost and not answer.body:
            return self.lost()  # in the middle of the headers, which have not been sent
        if not lost:
            self._note(answer.status)
        self.end_headers()
        self.wfile.write(answer.body[: len(answer.body) // 2] if lost else answer.body)
        if lost:
            self.lost()

    def lost(self) -> None:
        """Ends the connection by a reset."""
        self._note(0)
        self.reset()

    def _old_list(self, proxy: FaultProxy, faults: Faults, bucket: str) -> None:
        """A list as of `stale` seconds ago: as it was before the first change since."""
        since = time.monotonic() - faults.stale
        past = [entries for when, whose, entries in list(faults._past) if whose == bucket and when > since]
        entries = past[0] if past else proxy.entries(bucket)
        self._note(200)
        if proxy.scheme == "gs":
            self.reply(200, json.dumps(listing(entries, self.query)).encode(), {"Content-Type": "application/json"})
        else:
            self.reply(200, s3_listing(entries, self.query), {"Content-Type": "application/xml"})


def gcs_kind(request: Handler) -> tuple[str, str]:
    """The kind of a request to Google Cloud Storage, and its bucket."""
    found = re.fullmatch(r"(/upload|/download)?/storage/v1/b/?([^/]*)(/o)?(?:/(.+))?", request.route)
    if found is None or found[3] is None:
        return "bucket", found[2] if found else ""
    where, bucket, _, name = found.groups()
    query, span = request.query, re.fullmatch(r"bytes \d+-(\d+)/(\d+)", request.headers.get("Content-Range", ""))
    if where == "/upload":
        if "upload_id" in query:
            last = span is None or int(span[1]) + 1 == int(span[2])
            return ("abort" if request.command == "DELETE" else "put" if last else "part"), bucket
        return ("begin" if query.get("uploadType") == "resumable" else "put"), bucket
    if name is None:
        return "list", bucket
    if request.command == "GET":
        return ("get" if query.get("alt") == "media" else "stat"), bucket
    return {"DELETE": "delete", "POST": "copy"}[request.command], bucket


def s3_kind(request: Handler) -> tuple[str, str]:
    """The kind of a request to S3, its bucket in the path, and that bucket."""
    bucket, _, key = request.route.lstrip("/").partition("/")
    query, command = request.query, request.command
    if not key:
        listed = command == "GET" and (not query or "list-type" in query or "prefix" in query)
        return ("list" if listed else "delete" if "delete" in query else "bucket"), bucket
    if "uploads" in query:
        return "begin", bucket
    if "uploadId" in query:
        return {"POST": "put", "DELETE": "abort"}.get(command, "part"), bucket
    if "x-amz-copy-source" in request.headers:
        return "copy", bucket
    return {"PUT": "put", "GET": "get", "HEAD": "stat", "DELETE": "delete"}[command], bucket


def s3_listing(entries: dict[str, dict[str, Any]], query: dict[str, str]) -> bytes:
    """The answer to ListObjectsV2 where the bucket has these objects."""

    def spelt(name: str) -> str:
        return quote(name, safe="/") if query.get("encoding-type") == "url" else name

    after = max(query.get("start-after", ""), query.get("continuation-token", ""))
    most = min(int(query.get("max-keys", 1000)), 1000)
    found = page(entries, query.get("prefix", ""), query.get("delimiter", ""), after, most)
    root = ET.Element("ListBucketResult", xmlns=_S3)
    ET.SubElement(root, "IsTruncated").text = str(found.after is not None).lower()
    for name in ("prefix", "delimiter"):
        ET.SubElement(root, name.title()).text = spelt(query.get(name, ""))
    ET.SubElement(root, "KeyCount").text = str(len(found.names) + len(found.prefixes))
    ET.SubElement(root, "MaxKeys").text = str(most)
    if "encoding-type" in query:
        ET.SubElement(root, "EncodingType").text = query["encoding-type"]
    if found.after is not None:
        ET.SubElement(root, "NextContinuationToken").text = found.after
    for name in found.names:
        entry = ET.SubElement(root, "Contents")
        for part in ("Key", "LastModified", "ETag", "Size", "StorageClass"):
            ET.SubElement(entry, part).text = spelt(name) if part == "Key" else entries[name].get(part, "")
    for prefix in found.prefixes:
        ET.SubElement(ET.SubElement(root, "CommonPrefixes"), "Prefix").text = spelt(prefix)
    return ET.tostring(root, encoding="utf-8", xml_declaration=True)


def _refusal(scheme: str, status: int) -> tuple[bytes, dict[str, str]]:
    """The body and headers of an answer that refuses, as a store spells it."""
    if scheme == "gs":
        words = {503: "Backend Error", 429: "Rate limit exceeded.", 403: "Caller does not have access."}
        words[401] = "Anonymous caller does not have storage.objects.get access to the Google Cloud Storage object."
        about = {"code": status, "message": words.get(status, "Internal Error")}
        return json.dumps({"error": about}).encode(), {"Content-Type": "application/json"}
    words = {503: "ServiceUnavailable", 429: "SlowDown", 403: "AccessDenied"}
    code = words.get(status, "InternalError")
    return f"<Error><Code>{code}</Code><Message>Refused: {code}.</Message></Error>".encode(), {
        "Content-Type": "application/xml"
    }
