"""Names of studies: the fields of a setting that change what its models are."""

import dataclasses
import functools
import hashlib
import json
from pathlib import Path
from typing import Any

from distill_jax.setting import LATER, TEXT_NETWORKS, Setting


def identity(setting: Setting) -> dict[str, Any]:
    """The identity of a study: every field that changes one of its models, as JSON values.

    Where data lie, how the work is carried out and which further students there are, are not part of it; what the
    data are is added by their fingerprint.

    >>> identity(Setting())["train"]["epochs"], "run" in identity(Setting())
    (100, False)
    """
    fields = _identity_fields(setting)
    for role in ("teacher", "student"):
        network = fields[role]
        if network["name"] not in TEXT_NETWORKS:
            del network["roberta"]
        elif network["roberta"]["pretrained"]:
            network["roberta"]["pretrained"] = _content(network["roberta"]["pretrained"])
    fields["data"]["dataset"] = Path(setting.data.dataset).name
    if setting.data.tokenizer is None:
        del fields["data"]["length"], fields["data"]["truncation"], fields["train"]["length_buckets"]
    return json.loads(json.dumps(fields))


def _identity_fields(group: Any) -> dict[str, Any]:
    """The fields of a group that are part of a study's identity, as `setting.NEVER` and `setting.LATER` say."""
    values = {}
    for field in dataclasses.fields(group):
        value = getattr(group, field.name)
        default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        kind = field.metadata.get("identity")
        if kind is None or (kind == LATER["identity"] and value != default):
            values[field.name] = _identity_fields(value) if dataclasses.is_dataclass(value) else value
    return values


@functools.cache
def _content(folder: Path) -> str:
    """A digest of a pretrained network, which names it wherever it lies."""
    hasher = hashlib.sha256()
    names = ["config.json", "model.safetensors"]
    if not (folder.expanduser() / names[1]).exists():  # then its shards are read
        names[1:] = sorted(path.name for path in folder.expanduser().glob("*.safetensors*"))
    for path in (folder.expanduser() / name for name in names):
        if path.exists():
            with path.open("rb") as file:
                hasher.update(hashlib.file_digest(file, "sha256").digest())
    return hasher.hexdigest()[:12]


def digest(value: Any) -> str:
    """A short name for a JSON value: 12 hexadecimal digits.

    >>> digest({}), digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    ('44136fa355b3', True)
    """
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def differences(mine: dict[str, Any], other: dict[str, Any], prefix: str = "") -> list[str]:
    """Fields in which two identities differ, each with the other's value and the own.

    >>> differences({"train": {"epochs": 3, "batch_size": 64}}, {"train": {"epochs": 5, "batch_size": 64}})
    ['train.epochs is 5 there and 3 here']
    """
    lines = []
    for name in sorted(mine.keys() | other.keys()):
        a, b = mine.get(name), other.get(name)
        if isinstance(a, dict) and isinstance(b, dict):
            lines += differences(a, b, f"{prefix}{name}.")
        elif a != b:
            lines.append(f"{prefix}{name} is {b!r} there and {a!r} here")
    return lines
