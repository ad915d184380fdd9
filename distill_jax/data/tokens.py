"""Texts, or pairs of texts, as arrays of RoBERTa's tokens, made once and kept in the cache."""

import dataclasses
import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from distill_jax.data.cache import Arrays, cached
from distill_jax.data.dataset import Split, Vocabulary
from distill_jax.data.source import Raw, one_line
from distill_jax.errors import InputError
from distill_jax.setting import DataSetting

_CONTENT = "a folder with RoBERTa's vocab.json and merges.txt, or tokenizer.json"
_FILES = ("tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json")
_AT_ONCE = 1000
_FEWEST = 8  # tokens of a pair of one token each: <s> a </s></s> b </s>, and some to spare


@dataclasses.dataclass(frozen=True, eq=False)
class Texts:
    """The texts of one split.

    Attributes:
      first: N of them.
      second: of pairs; None where there are none.
      label: int32 [N].
      id: int64 [N].
    """

    first: list[str]
    second: list[str] | None
    label: np.ndarray
    id: np.ndarray


def tokenised(
    setting: DataSetting,
    name: str,
    location: Path,
    files: Iterable[Path],
    read: Callable[[str], Texts],
    num_classes: int | None = None,
) -> Raw:
    """A data set of texts as tokens, from the cache or else by tokenising them.

    A text is <s> a </s>, a pair <s> a </s></s> b </s>, padded on the right to --length. Names of special tokens within
    a text are text as any other. A cached entry belongs to the source's files, the tokenizer's content, the length and
    the truncation.

    Args:
      setting: names the tokenizer, the length and the truncation.
      name: of the source and its version.
      location, files: see `cache.cached`.
      read: gives the texts of 'train' and of 'test'.
      num_classes: number of labels [default: the highest label of training plus 1].

    Returns:
      Tokens [N, L], uint16 where the vocabulary allows it, else int32.

    Raises:
      InputError: --tokenizer, --length or the texts are wrong.
    """
    if setting.length < _FEWEST:
        raise InputError(f"--length {setting.length}: must be {_FEWEST} or more tokens")
    tokenizer, vocabulary, digest = _load(setting)

    def build() -> Arrays:
        arrays: Arrays = {}
        for split in ("train", "test"):
            texts = read(split)
            arrays[f"{split}.x"] = _encode(setting, tokenizer, vocabulary, texts, split)
            arrays |= {f"{split}.label": texts.label, f"{split}.id": texts.id}
        return arrays

    key = f"{name.replace('/', '-')}-{digest}-{setting.length}-{setting.truncation}"
    arrays = cached(setting.cache_dir, key, location, files, build)
    splits = []
    for split in ("train", "test"):
        label = arrays[f"{split}.label"]
        splits.append(Split(arrays[f"{split}.x"], label, label, arrays[f"{split}.id"]))
    return Raw(*splits, num_classes=num_classes or int(splits[0].label.max()) + 1, vocabulary=vocabulary)


def tokenizer_files(folder: Path) -> list[Path]:
    """The files of RoBERTa's tokenizer.

    Raises:
      InputError: it is not there.
    """
    present = [folder.expanduser() / name for name in _FILES if (folder.expanduser() / name).is_file()]
    names = {path.name for path in present}
    # transformers would make an empty one of a folder without these.
    if "tokenizer.json" not in names and not {"vocab.json", "merges.txt"} <= names:
        raise InputError(f"--tokenizer {folder}: must be {_CONTENT}")
    return present


def _load(setting: DataSetting) -> tuple[Any, Vocabulary, str]:
    """transformers' tokenizer, its vocabulary, and a digest of its files."""
    if setting.tokenizer is None:
        raise InputError(f"--tokenizer: must be given for --dataset {setting.dataset}: {_CONTENT}")
    folder = Path(setting.tokenizer).expanduser()
    present = tokenizer_files(folder)
    import transformers  # which takes seconds, and no data but texts need it

    try:
        content = b"".join(path.name.encode() + path.read_bytes() for path in present)
        tokenizer = transformers.RobertaTokenizer.from_pretrained(folder, local_files_only=True)
        size = max(tokenizer.get_vocab().values()) + 1
    except Exception as error:  # of many types, as the damage has it
        raise InputError(f"--tokenizer {folder}: cannot be read: {one_line(error)}; must be {_CONTENT}") from error
    tokenizer.padding_side = "right"
    tokenizer.truncation_side = "left" if setting.truncation == "start" else "right"
    return tokenizer, Vocabulary(size, tokenizer.pad_token_id), hashlib.sha256(content).hexdigest()[:12]


def _encode(setting: DataSetting, tokenizer: Any, vocabulary: Vocabulary, texts: Texts, split: str) -> np.ndarray:
    length, refuse = setting.length, setting.truncation == "refuse"
    dtype = np.uint16 if vocabulary.size <= 2**16 else np.int32
    tokens = np.full((len(texts.first), length), vocabulary.pad, dtype)
    longest = 0
    for start in range(0, len(tokens), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        encoded = tokenizer(
            texts.first[part],
            texts.second and texts.second[part],
            truncation=not refuse,
            max_length=None if refuse else length,
            return_attention_mask=False,
            split_special_tokens=True,
            verbose=False,
        )["input_ids"]
        for row, text in enumerate(encoded, start):
            longest = max(longest, len(text))
            tokens[row, : len(text)] = text[:length]
    if longest > length:
        raise InputError(
            f"--length {length}: must be {longest} or more for the longest {split} text, or --truncation end or start"
        )
    return tokens
