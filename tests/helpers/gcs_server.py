"""Google Cloud Storage's JSON API as gcsfs asks it, held in memory: objects made whole, preconditions, uploads, pages.

The emulators that are on PyPI drop `ifGenerationMatch` of resumable uploads, one of them that of all uploads, so that
two who make the same object both succeed. What this one does not know (a parameter, a method) it answers 400, and so
never does by halves. It knows of no access rights, versions of objects, or CRC32C.

    python tests/helpers/bucket_servers.py gcs 4443
"""

import base64
import hashlib
import itertools
import json
import re
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote

from loopback import Handler, Loopback
from object_listing import page

STEP = 256 * 1024  # all parts of a resumable upload but the last are kept in multiples of this
_ANY = {"alt", "prettyPrint", "fields", "projection", "userProject", "quotaUser", "key"}
_IF = {"ifGenerationMatch", "ifGenerationNotMatch", "ifMetagenerationMatch", "ifMetagenerationNotMatch"}
_KNOWN = {  # parameters of a request by its kind
    "list": {"prefix", "delimiter", "pageToken", "maxResults", "startOffset", "endOffset", "versions"},
    "object": {"generation", *_IF},
    "insert": {"uploadType", "name", "upload_id", "contentEncoding", *_IF},
    "copy": {"rewriteToken", "maxBytesRewrittenPerCall", *_IF, *(f"ifSource{name[2:]}" for name in _IF)},
    "buckets": {
        "project",
        "enableObjectRetention",
        "predefinedAcl",
        "predefinedDefaultObjectAcl",
        "maxResults",
        "pageToken",
        "prefix",
    },
}


class Refused(Exception):
    """An answer that is not what was asked for: its status and message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


@dataclass(frozen=True)
class Stored:
    """An object as it was made once: its bytes, and what is said of it."""

    data: bytes
    about: dict[str, Any]

    @property
    def generation(self) -> int:
        """Of this making; greater than of any before."""
        return int(self.about["generation"])


@dataclass
class Upload:
    """A resumable upload that is not at its end."""

    bucket: str
    about: dict[str, Any]
    query: dict[str, str]
    got: bytearray = field(default_factory=bytearray)


class Store:
    """Buckets of objects; each method is atomic."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.buckets: dict[str, dict[str, Stored]] = {}
        self.uploads: dict[str, Upload] = {}
        self._made = itertools.count(time.time_ns() // 1000)

    def bucket(self, name: str) -> dict[str, Stored]:
        """The objects of a bucket by name."""
        if name not in self.buckets:
            raise Refused(404, "The specified bucket does not exist.")
        return self.buckets[name]

    def object(self, bucket: str, name: str, query: dict[str, str]) -> Stored:
        """An object that is there, and meets the preconditions."""
        with self.lock:
            stored = self.bucket(bucket).get(name)
            if stored is None or query.get("generation", stored.about["generation"]) != stored.about["generation"]:
                raise Refused(404, f"No such object: {bucket}/{name}")
            _met(stored, query)
            return stored

    def put(self, bucket: str, about: dict[str, Any], data: bytes, query: dict[str, str]) -> Stored:
        """Makes an object, if the preconditions are met at this moment."""
        name = about["name"]
        with self.lock:
            objects = self.bucket(bucket)
            _met(objects.get(name), query)
            stored = objects[name] = Stored(data, _about(bucket, name, about, data, next(self._made)))
            return stored

    def remove(self, bucket: str, name: str, query: dict[str, str]) -> None:
        """Removes an object that is there, and meets the preconditions."""
        with self.lock:
            self.object(bucket, name, query)
            del self.buckets[bucket][name]

    def list(self, bucket: str, query: dict[str, str]) -> dict[str, Any]:
        """One page of the API's objects.list."""
        if query.get("versions", "false") != "false":
            raise Refused(400, "invalid: this server keeps no versions of objects")
        with self.lock:
            return listing({name: stored.about for name, stored in self.bucket(bucket).items()}, query)


def listing(entries: dict[str, dict[str, Any]], query: dict[str, str]) -> dict[str, Any]:
    """The answer to objects.list where the bucket has these objects."""
    start, end = query.get("startOffset", ""), query.get("endOffset", "")
    names = [name for name in entries if name >= start and (not end or name < end)]
    after = base64.urlsafe_b64decode(query.get("pageToken", "")).decode()
    most = min(int(query.get("maxResults", 1000)), 1000)
    found = page(names, query.get("prefix", ""), query.get("delimiter", ""), after, most)
    parts: dict[str, Any] = {"items": [entries[name] for name in found.names], "prefixes": found.prefixes}
    if found.after is not None:
        parts["nextPageToken"] = base64.urlsafe_b64encode(found.after.encode()).decode()
    return {"kind": "storage#objects"} | {name: part for name, part in parts.items() if part}


def _about(bucket: str, name: str, given: dict[str, Any], data: bytes, generation: int) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    own = {
        "kind": "storage#object",
        "id": f"{bucket}/{name}/{generation}",
        "name": name,
        "bucket": bucket,
        "generation": str(generation),
        "metageneration": "1",
        "size": str(len(data)),
        "md5Hash": base64.b64encode(hashlib.md5(data).digest()).decode(),
        "etag": base64.b64encode(str(generation).encode()).decode(),
        "storageClass": "STANDARD",
        "timeCreated": now,
        "updated": now,
    }
    return {"contentType": "application/octet-stream"} | given | own


def _met(stored: Stored | None, query: dict[str, str], source: str = "") -> None:
    """Fails where an object (None: it is not there) does not meet the preconditions of a request."""
    here = {"Generation": 0, "Metageneration": 0}
    if stored is not None:
        here = {"Generation": stored.generation, "Metageneration": int(stored.about["metageneration"])}
    for what, number in here.items():
        wanted, unwanted = query.get(f"if{source}{what}Match"), query.get(f"if{source}{what}NotMatch")
        if (wanted is not None and int(wanted) != number) or (unwanted is not None and int(unwanted) == number):
            raise Refused(412, "At least one of the pre-conditions you specified did not hold.")


class GcsServer(Loopback):
    """The server; `store` is what it holds."""

    def __init__(self, port: int = 0, buckets: tuple[str, ...] = ()) -> None:
        self.store = Store()
        self.store.buckets.update({name: {} for name in buckets})
        super().__init__(_GcsHandler, port)


class _GcsHandler(Handler):
    """Reads a request, and says of it what the store does."""

    server: GcsServer  # pyright: ignore[reportIncompatibleVariableOverride]

    def answer(self) -> None:
        """One request."""
        self.data = self.body()
        try:
            for pattern, methods in _ROUTES:
                if (found := re.fullmatch(pattern, self.route)) and self.command in methods:
                    kind, do = methods[self.command]
                    if unknown := sorted(set(self.query) - _KNOWN[kind] - _ANY):
                        raise Refused(400, f"invalid: this server knows no parameters {unknown}")
                    return getattr(self, do)(*map(unquote, found.groups()))
            raise Refused(400, f"invalid: this server knows no {self.command} {self.path}")
        except Refused as refused:
            about = {"code": refused.status, "message": refused.message, "errors": [{"message": refused.message}]}
            self.json({"error": about}, refused.status)

    def json(self, value: Any, status: int = 200) -> None:
        """Answers so."""
        self.reply(status, json.dumps(value).encode(), {"Content-Type": "application/json; charset=UTF-8"})

    def buckets(self) -> None:
        """buckets.list."""
        names = sorted(self.server.store.buckets)
        self.json({"kind": "storage#buckets", "items": [_bucket(name) for name in names]})

    def make_bucket(self) -> None:
        """buckets.insert."""
        name = json.loads(self.data)["name"]
        with self.server.store.lock:
            if name in self.server.store.buckets:
                raise Refused(409, "Your previous request to create the named bucket succeeded and you already own it.")
            self.server.store.buckets[name] = {}
        self.json(_bucket(name))

    def bucket(self, name: str) -> None:
        """buckets.get."""
        self.server.store.bucket(name)
        self.json(_bucket(name))

    def remove_bucket(self, name: str) -> None:
        """buckets.delete."""
        with self.server.store.lock:
            if self.server.store.bucket(name):
                raise Refused(409, "The bucket you tried to delete is not empty.")
            del self.server.store.buckets[name]
        self.reply(204)

    def list(self, bucket: str) -> None:
        """objects.list."""
        self.json(self.server.store.list(bucket, self.query))

    def get(self, bucket: str, name: str) -> None:
        """objects.get: what is said of an object or, with alt=media, its bytes."""
        stored = self.server.store.object(bucket, name, self.query)
        if self.query.get("alt") != "media":
            return self.json(stored.about)
        data, size, status = stored.data, len(stored.data), 200
        headers = {
            "Content-Type": stored.about["contentType"],
            "ETag": stored.about["etag"],
            "X-Goog-Generation": stored.about["generation"],
            "X-Goog-Hash": f"md5={stored.about['md5Hash']}",
        }
        if asked := re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", "")):
            first, last = asked.groups()
            start = int(first) if first else max(size - int(last), 0)
            end = min(int(last) + 1, size) if first and last else size
            if start >= size:
                return self.reply(416, b"", {"Content-Range": f"bytes */{size}"})
            data, status = data[start:end], 206
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        self.reply(status, data, headers)

    def remove(self, bucket: str, name: str) -> None:
        """objects.delete."""
        self.server.store.remove(bucket, name, self.query)
        self.reply(204)

    def copy(self, bucket: str, name: str, to_bucket: str, to_name: str) -> None:
        """objects.rewrite, at once as between buckets of one place."""
        store = self.server.store
        with store.lock:
            source = store.object(bucket, name, {})
            _met(source, self.query, "Source")
            about = {"name": to_name, "contentType": source.about["contentType"]} | json.loads(self.data or b"{}")
            made = store.put(to_bucket, about, source.data, self.query)
        size = made.about["size"]
        done = {"totalBytesRewritten": size, "objectSize": size, "done": True, "resource": made.about}
        self.json({"kind": "storage#rewriteResponse"} | done)

    def insert(self, bucket: str) -> None:
        """objects.insert: whole (media, multipart), or a resumable upload's begin and further parts."""
        query, store = self.query, self.server.store
        if "upload_id" in query:
            return self.go_on(query["upload_id"])
        store.bucket(bucket)
        named = {"name": query["name"]} if "name" in query else {}
        match query.get("uploadType"):
            case "media":
                about = {"contentType": self.headers.get("Content-Type", "application/octet-stream")} | named
                self.json(store.put(bucket, about, self.data, query).about)
            case "multipart":
                about, data = _parts(self.data, self.headers.get_param("boundary") or "")
                self.json(store.put(bucket, about | named, data, query).about)
            case "resumable":
                about = {"contentType": self.headers.get("X-Upload-Content-Type", "application/octet-stream")}
                about |= json.loads(self.data or b"{}") | named
                key = hashlib.sha256(f"{time.time_ns()}{about}".encode()).hexdigest()
                store.uploads[key] = Upload(bucket, about, query)
                where = f"http://{self.headers['Host']}/upload/storage/v1/b/{quote(bucket, '')}/o"
                where += f"?uploadType=resumable&name={quote(about['name'], '')}&upload_id={key}"
                self.reply(200, b"", {"Location": where, "X-GUploader-UploadID": key})
            case other:
                raise Refused(400, f"invalid uploadType {other}")

    def go_on(self, key: str) -> None:
        """A part of a resumable upload; the last one makes the object."""
        store = self.server.store
        if key not in store.uploads:
            raise Refused(404, "No such upload.")
        if self.command == "DELETE":
            del store.uploads[key]
            return self.reply(499)
        upload, span = (
            store.uploads[key],
            self.headers.get("Content-Range", f"bytes 0-{len(self.data) - 1}/{len(self.data)}"),
        )
        first, last, size = re.fullmatch(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)", span).groups()  # pyright: ignore
        if first is not None:
            if int(first) > len(upload.got) or int(last) + 1 - int(first) != len(self.data):
                raise Refused(400, f"Invalid request: {span} after {len(upload.got)} bytes.")
            upload.got[int(first) :] = self.data
        if size != "*" and len(upload.got) == int(size):
            made = store.put(upload.bucket, upload.about, bytes(upload.got), upload.query)
            del store.uploads[key]
            return self.json(made.about)
        del upload.got[len(upload.got) // STEP * STEP :]
        self.reply(308, b"", {"Range": f"bytes=0-{len(upload.got) - 1}"} if upload.got else None)


def _bucket(name: str) -> dict[str, Any]:
    return {"kind": "storage#bucket", "id": name, "name": name, "location": "US", "storageClass": "STANDARD"}


def _parts(body: bytes, boundary: str | tuple[Any, ...]) -> tuple[dict[str, Any], bytes]:
    """What a multipart/related body says of an object, and the object; gcsfs ends lines by a line feed alone."""
    mark = b"--" + str(boundary).encode()
    start = body.index(mark) + len(mark)
    end = b"\r\n" if body[start : start + 2] == b"\r\n" else b"\n"
    about, media = body[start + len(end) :].split(end + mark + end, 1)
    media = media[: media.rindex(end + mark + b"--")]
    return json.loads(about.split(2 * end, 1)[1]), media.split(2 * end, 1)[1]


_O = r"/storage/v1/b/([^/]+)/o"
_ROUTES: list[tuple[str, dict[str, tuple[str, str]]]] = [
    (r"/storage/v1/b/?", {"GET": ("buckets", "buckets"), "POST": ("buckets", "make_bucket")}),
    (r"/storage/v1/b/([^/]+)", {"GET": ("buckets", "bucket"), "DELETE": ("buckets", "remove_bucket")}),
    (f"/upload{_O}", dict.fromkeys(("POST", "PUT", "DELETE"), ("insert", "insert"))),
    (_O, {"GET": ("list", "list")}),
    (f"{_O}/(.+)/(?:rewrite|copy)To/b/([^/]+)/o/(.+)", {"POST": ("copy", "copy")}),
    (f"(?:/download)?{_O}/(.+)", {"GET": ("object", "get"), "DELETE": ("object", "remove")}),
]
