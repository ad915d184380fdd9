"""Texts, or pairs of texts, as arrays of tokens, made once by the tokenizer as its files say, and kept in the cache."""

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from distill_jax import limits
from distill_jax.data.cache import Arrays, cached
from distill_jax.data.dataset import Split, Vocabulary
from distill_jax.data.sources.source import Raw
from distill_jax.errors import InputError, one_line
from distill_jax.extras import needed
from distill_jax.paths import local
from distill_jax.setting import DataSetting

_CONTENT = "a folder with RoBERTa's vocab.json and merges.txt, or with a tokenizer.json"
_PADDING = ("<pad>", "[PAD]")  # where the files do not say
_BATCH = 1000
_MIN_LENGTH = 8  # tokens of a pair of one token each: <s> a </s></s> b </s>, and some to spare


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

    With RoBERTa's tokenizer a text is <s> a </s>, a pair <s> a </s></s> b </s>; padded on the right to the
    length. Names of special tokens within a text are text as any other. A cached entry belongs to the source's files,
    all that the tokenizer does, the length and the truncation.

    Args:
      setting: names the tokenizer, the length and the truncation.
      name: of the source and its version.
      location, files: see `cache.cached`.
      read: gives the texts of 'train' and of 'test'.
      num_classes: number of labels [default: the highest label of training plus 1].

    Returns:
      Tokens [N, L], uint16 where the vocabulary allows it, else int32.

    Raises:
      InputError: `data.tokenizer`, `data.length` or the texts are wrong.
    """
    if not _MIN_LENGTH <= setting.length <= limits.TOKENS:
        raise InputError("data.length", setting.length, f"must be {_MIN_LENGTH} to {limits.TOKENS} tokens")
    tokenizer, vocabulary, digest = _load(setting)

    def build() -> Arrays:
        arrays: Arrays = {}
        for split in ("train", "test"):
            texts = read(split)
            arrays[f"{split}.x"], cut = _encode(setting, tokenizer, vocabulary, texts, split)
            arrays |= {f"{split}.label": texts.label, f"{split}.id": texts.id, f"{split}.cut": np.array([cut])}
        return arrays

    key = f"{name.replace('/', '-')}-{digest}-{setting.length}-{setting.truncation}"
    arrays = cached(setting.cache_dir, key, location, files, lambda _: build())
    splits, notes = [], []
    for split in ("train", "test"):
        label, cut = arrays[f"{split}.label"], int(arrays[f"{split}.cut"][0])
        splits.append(Split(arrays[f"{split}.x"], label, label, arrays[f"{split}.id"]))
        if cut:
            notes.append(
                f"{cut:,} of {len(label):,} {split} texts have more than {setting.length} tokens and lose "
                f"their {setting.truncation}"
            )
    train, test = splits
    return Raw(train, test, num_classes or int(train.label.max()) + 1, vocabulary, notes=tuple(notes))


def load_tokenizer(folder: Path | None, dataset: str) -> tuple[Any, Vocabulary]:
    """transformers' tokenizer of a folder, as its tokenizer.json has it where there is one, and its vocabulary.

    Args:
      folder: of `data.tokenizer`.
      dataset: for which it is, for the message.

    Raises:
      InputError: it is not given, cannot be read, has no token for padding alone, or puts none in front of a text,
        which is what a classifier reads.
    """
    if folder is None:
        raise InputError("data.tokenizer", None, f"must be given for `data.dataset` {dataset}: {_CONTENT}")
    folder = local("data.tokenizer", folder)
    has_tokenizer_json = (folder / "tokenizer.json").is_file()
    # transformers would make an empty one of a folder without these.
    if not has_tokenizer_json and not all((folder / name).is_file() for name in ("vocab.json", "merges.txt")):
        raise InputError("data.tokenizer", folder, f"must be {_CONTENT}")
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")  # that there is no PyTorch, which nothing needs
    transformers = needed("transformers", "text", "data.tokenizer", folder)  # seconds, and no data but texts need it
    # RobertaTokenizer would take a tokenizer.json's tokens, and not what that says of letters, spaces and pairs.
    kind = transformers.PreTrainedTokenizerFast if has_tokenizer_json else transformers.RobertaTokenizer
    try:
        tokenizer = kind.from_pretrained(folder, local_files_only=True)
        names = tokenizer.get_vocab()
        with_special, without_special = (
            tokenizer("a", add_special_tokens=added)["input_ids"] for added in (True, False)
        )
        pair = tokenizer("a", "a")["input_ids"]
    except Exception as error:  # of many types, as the damage has it
        raise InputError("data.tokenizer", folder, f"cannot be read: {one_line(error)}; must be {_CONTENT}") from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = next((name for name in _PADDING if name in names), None)
    if tokenizer.pad_token_id is None:
        raise InputError(
            "data.tokenizer", folder, "has no token for padding; must say pad_token in tokenizer_config.json"
        )
    if max(names.values()) >= limits.WORDS:
        raise InputError(
            "data.tokenizer", folder, f"has the token number {max(names.values())}; must be below {limits.WORDS}"
        )
    for input_name, tokens in (("text", with_special), ("pair", pair)):
        if tokens[:1] == without_special[:1]:
            raise InputError(
                "data.tokenizer",
                folder,
                f"begins a {input_name} with no token of its own; must do so, as <s> or [CLS], which the classifier "
                "reads",
            )
        if tokenizer.pad_token_id in tokens:
            raise InputError(
                "data.tokenizer",
                folder,
                f"pads with {tokenizer.pad_token}, which it also puts into a {input_name}; must have a token for "
                "padding alone, which the network leaves out",
            )
    return tokenizer, Vocabulary(max(names.values()) + 1, tokenizer.pad_token_id)


def save_tokenizer(setting: DataSetting, folder: Path) -> None:
    """Writes the tokenizer as transformers does, into a folder that is made where there is none.

    Raises:
      InputError: as `load_tokenizer`.
    """
    tokenizer, _ = load_tokenizer(setting.tokenizer, setting.dataset)
    tokenizer.model_max_length = setting.length
    tokenizer.truncation_side = _side(setting)
    tokenizer.save_pretrained(folder)


def _side(setting: DataSetting) -> str:
    return "left" if setting.truncation == "start" else "right"


def _load(setting: DataSetting) -> tuple[Any, Vocabulary, str]:
    """The tokenizer, its vocabulary, and a digest of all that it does, from whichever files."""
    tokenizer, vocabulary = load_tokenizer(setting.tokenizer, setting.dataset)
    content = f"{tokenizer.backend_tokenizer.to_str()} {vocabulary.pad}"
    tokenizer.padding_side = "right"
    tokenizer.truncation_side = _side(setting)
    return tokenizer, vocabulary, hashlib.sha256(content.encode()).hexdigest()[:12]


def _encode(
    setting: DataSetting, tokenizer: Any, vocabulary: Vocabulary, texts: Texts, split: str
) -> tuple[np.ndarray, int]:
    """Tokens of a split [N, L], and how many texts were cut."""
    length, refuse = setting.length, setting.truncation == "refuse"
    dtype = np.uint16 if vocabulary.size <= 2**16 else np.int32
    tokens = np.full((len(texts.first), length), vocabulary.pad, dtype)
    longest, cut = 0, 0
    for start in range(0, len(tokens), _BATCH):
        batch = slice(start, start + _BATCH)
        try:
            encoded = tokenizer(
                texts.first[batch],
                texts.second and texts.second[batch],
                truncation=not refuse,
                max_length=None if refuse else length,
                return_overflowing_tokens=not refuse,
                return_attention_mask=False,
                split_special_tokens=True,
                verbose=False,
            )
        except Exception as error:  # of the library's own types
            raise InputError(
                "data.tokenizer",
                setting.tokenizer,
                f"makes no tokens of a {split} text: {one_line(error)}; must be {_CONTENT}",
            ) from error
        # What is cut from a text follows as further parts of it; the first part is what is left.
        text_numbers = encoded.get("overflow_to_sample_mapping", range(len(encoded["input_ids"])))
        parts: dict[int, list[list[int]]] = {}
        for number, part in zip(text_numbers, encoded["input_ids"], strict=True):
            parts.setdefault(start + number, []).append(part)
        for row, (text, *rest) in parts.items():
            longest, cut = max(longest, len(text)), cut + bool(rest)
            tokens[row, : len(text)] = text[:length]
    if longest > length:
        raise InputError(
            "data.length",
            length,
            f"must be {longest} or more for the longest {split} text, or `data.truncation` end or start",
        )
    if len(tokens) > 1 and not cut and np.all(tokens == tokens[0]):
        raise InputError(
            "data.tokenizer",
            setting.tokenizer,
            f"makes the same tokens of all {split} texts; must be one that knows them",
        )
    return tokens, cut
