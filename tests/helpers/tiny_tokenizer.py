"""Tokenizers with few tokens: RoBERTa's with one for every byte and no merges, BERT's with a few words."""

import json
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
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


FRAME = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


def write_wordpiece(folder: Path, words: Sequence[str], types: bool = True) -> Path:
    """Writes a BERT's tokenizer.json, of lower-cased words numbered after `FRAME`.

    Args:
      types: whether it gives the second text of a pair a type of its own, as BERT's does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokens = {word: i for i, word in enumerate([*FRAME, *words])}
    made = Tokenizer(models.WordPiece(tokens, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    second = int(types)
    made.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair=f"[CLS]:0 $A:0 [SEP]:0 $B:{second} [SEP]:{second}",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    made.save(str(folder / "tokenizer.json"))
    return folder
