"""Texts of a few words, and a tokenizer of single bytes, for a small study of a RoBERTa on any machine."""

import csv
import json
from pathlib import Path

import numpy as np

_WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight")  # of which a class has half the more often
_CLASSES = ("low", "high")
_TEXTS = {"train": 512, "test": 128}
_MOST_WORDS = 8


def write(folder: Path) -> tuple[Path, Path]:
    """Writes both into a folder.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     data, tokenizer = write(Path(folder))
    ...     sorted(path.name for path in (*data.iterdir(), *tokenizer.iterdir()))
    ['merges.txt', 'test.csv', 'train.csv', 'vocab.json']

    Returns:
      The folders for --dataset and --tokenizer.
    """
    from tokenizers.pre_tokenizers import ByteLevel

    data, tokenizer = folder / "texts", folder / "tokenizer"
    data.mkdir(parents=True)
    tokenizer.mkdir()
    rng, half = np.random.default_rng(0), len(_WORDS) // 2
    for split, count in _TEXTS.items():
        rows = []
        for number in range(count):
            own = number % 2
            of_own_half = rng.random(rng.integers(1, _MOST_WORDS + 1)) < 0.7
            words = [_WORDS[half * (own if is_own else 1 - own) + rng.integers(half)] for is_own in of_own_half]
            rows.append((" ".join(words), _CLASSES[own]))
        with (data / f"{split}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *rows])
    tokens = ["<s>", "<pad>", "</s>", "<unk>", *sorted(ByteLevel.alphabet()), "<mask>"]
    (tokenizer / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    (tokenizer / "merges.txt").write_text("#version: 0.2\n")
    return data, tokenizer
