"""Tasks of GLUE, IMDB and AG News as TensorFlow Datasets prepares them, as tokens; read without TensorFlow."""

import dataclasses
from typing import Any

import numpy as np

from distill_jax.data.sources.source import Raw, check_label, data_folder
from distill_jax.data.sources.tfds_images import damaged, how_to_prepare, newest_version, open_source, titles
from distill_jax.data.sources.tokens import Texts, tokenised
from distill_jax.errors import one_line
from distill_jax.setting import DataSetting

_BATCH = 1000


@dataclasses.dataclass(frozen=True)
class _Source:
    """A data set: TFDS's name with the configuration, the features that are text, and the split to test on."""

    name: str
    texts: tuple[str, ...]
    test: str = "test"


# GLUE's test splits have no labels: as usual the validation split is tested on, of MNLI the matched one.
_SOURCES = {
    "glue/mnli": _Source("glue/mnli", ("premise", "hypothesis"), "validation_matched"),
    "glue/qqp": _Source("glue/qqp", ("question1", "question2"), "validation"),
    "glue/sst2": _Source("glue/sst2", ("sentence",), "validation"),
    "glue/cola": _Source("glue/cola", ("sentence",), "validation"),
    "glue/mrpc": _Source("glue/mrpc", ("sentence1", "sentence2"), "validation"),
    "glue/qnli": _Source("glue/qnli", ("question", "sentence"), "validation"),
    "glue/rte": _Source("glue/rte", ("sentence1", "sentence2"), "validation"),
    "imdb_reviews": _Source("imdb_reviews/plain_text", ("text",)),
    "ag_news_subset": _Source("ag_news_subset", ("title", "description")),
}
NAMES = tuple(_SOURCES)


def read(setting: DataSetting) -> Raw:
    """Tokens of the texts, in TFDS's order; of AG News the pair of title and description.

    id is GLUE's `idx`, or the index in the prepared split.

    Raises:
      InputError: `data.data_dir`, `data.tokenizer` or another field of texts is wrong, or the data set is not prepared
        there, or not wholly.
    """
    spec = _SOURCES[setting.dataset]
    folder = data_folder(setting, "a TFDS data_dir: " + how_to_prepare(spec.name, setting.data_dir or "..."))
    version = newest_version(spec.name, folder)
    splits = {"train": "train", "test": spec.test}
    source = open_source(spec.name, folder, version, tuple(splits.values()))
    check_label(setting, ["label"])
    prepared = folder / spec.name / version

    def texts(split: str) -> Texts:
        try:
            return _read(spec, source[splits[split]])
        except Exception as error:  # of many types, as the damage has it
            problem = f"the {splits[split]} split cannot be read ({one_line(error)})"
            raise damaged(spec.name, folder, version, problem) from error

    label = source["train"].dataset_info.features["label"]
    files = [path for path in prepared.iterdir() if path.is_file()]
    raw = tokenised(setting, f"{spec.name}-{version}", prepared, files, texts, label.num_classes)
    return dataclasses.replace(raw, titles=titles(label))


def _read(spec: _Source, source: Any) -> Texts:
    columns: list[list[str]] = [[] for _ in spec.texts]
    label = np.empty(len(source), np.int32)
    identifier = np.arange(len(source), dtype=np.int64)
    for start in range(0, len(source), _BATCH):
        rows = range(start, min(start + _BATCH, len(source)))
        for row, example in zip(rows, source.__getitems__(list(rows)), strict=True):
            for column, feature in zip(columns, spec.texts, strict=True):
                column.append(example[feature].decode())
            label[row] = example["label"]
            identifier[row] = example.get("idx", row)
    return Texts(columns[0], columns[1] if len(columns) > 1 else None, label, identifier)
