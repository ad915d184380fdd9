"""Names of studies and runs: hashes of the fields of a setting that change what its models are."""

import dataclasses
import functools
import hashlib
import json
from pathlib import Path
from typing import Any

from distill_jax.setting import Setting


def identity(setting: Setting) -> dict[str, Any]:
    """What names a study: every field that changes what one of its models is, as JSON values.

    Where data lie, how the work is carried out and which further students there are, are not part of it; what the
    data are is added by their fingerprint.
    """
    fields = dataclasses.asdict(setting)
    del fields["run"], fields["sweep"]
    for role in ("teacher", "student"):
        network = fields[role]
        if network["name"] != "roberta":
            del network["roberta"]
        elif network["roberta"]["pretrained"]:
            network["roberta"]["pretrained"] = _content(network["roberta"]["pretrained"])
    data = fields["data"]
    del data["data_dir"], data["cache_dir"]
    data["dataset"] = Path(data["dataset"]).name
    del data["tokenizer"]  # of which the data's fingerprint tells
    if setting.data.tokenizer is None:
        del data["length"], data["truncation"], fields["train"]["length_buckets"]
    if setting.data.test_examples is None:
        del data["test_examples"]  # so that studies older than this field keep their names
    if setting.train.norm_examples is None:
        del fields["train"]["norm_examples"]  # likewise
    if setting.objective.teacher_precision == "float32":
        del fields["objective"]["teacher_precision"]  # likewise
    return json.loads(json.dumps(fields))


@functools.cache
def _content(folder: Path) -> str:
    """A digest of a pretrained network, which names it wherever it lies."""
    found = hashlib.sha256()
    for path in (folder.expanduser() / name for name in ("config.json", "model.safetensors")):
        if path.exists():
            with path.open("rb") as file:
                found.update(hashlib.file_digest(file, "sha256").digest())
    return found.hexdigest()[:12]


def digest(value: Any) -> str:
    """A short name for a JSON value: 12 hexadecimal digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def run_digest(setting: Setting, model: str, seed: int, data_fingerprint: str) -> str:
    """The name of one model's run; a teacher's does not depend on its students."""
    fields = identity(setting) | {"model": model, "seed": seed, "fingerprint": data_fingerprint}
    if model == "teacher":
        del fields["student"], fields["objective"]
    return digest(fields)


def differences(mine: dict[str, Any], other: dict[str, Any], prefix: str = "") -> list[str]:
    """Fields in which two identities differ, each as 'group.field: other value, not this one'."""
    found = []
    for name in sorted(mine.keys() | other.keys()):
        a, b = mine.get(name), other.get(name)
        if isinstance(a, dict) and isinstance(b, dict):
            found += differences(a, b, f"{prefix}{name}.")
        elif a != b:
            found.append(f"{prefix}{name} is {b!r} there and {a!r} here")
    return found
