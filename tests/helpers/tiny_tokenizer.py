"""RoBERTa's tokenizer with the fewest tokens there can be: one for every byte, no merges."""

import json
from pathlib import Path

from tokenizers.pre_tokenizers import ByteLevel

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
BYTES = sorted(ByteLevel.alphabet())
SIZE = len(SPECIAL) + len(BYTES) + 1


def write_tokenizer(folder: Path) -> Path:
    """Writes vocab.json and merges.txt."""
    folder.mkdir(parents=True)
    tokens = [*SPECIAL, *BYTES, "<mask>"]
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return folder


def ids(text: str) -> list[int]:
    """The tokens of a text of ASCII letters and spaces."""
    return [len(SPECIAL) + BYTES.index(letter) for letter in text.replace(" ", "Ġ")]
