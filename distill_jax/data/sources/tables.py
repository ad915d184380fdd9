"""Columns of tables in files, Parquet's or Arrow's, as Hugging Face's hub and its library `datasets` have them."""

import json
from pathlib import Path
from typing import Any

from distill_jax.extras import needed

SAVED = "dataset_dict.json"  # beside the splits of a folder that `save_to_disk` has made


def schema(path: Path) -> Any:
    """The columns' names and types, a pyarrow.Schema.

    Raises:
      InputError: the extra `text` is not installed.
      OSError, ValueError: the file cannot be read.
    """
    if path.suffix.lower() == ".parquet":
        return needed("pyarrow.parquet", "text", "data.dataset", path).read_schema(path)
    with _mapped(path) as reader:
        return reader.schema


def column(path: Path, name: str) -> Any:
    """One column, a pyarrow.ChunkedArray; of an Arrow file it stays on the disk.

    Raises:
      InputError: the extra `text` is not installed.
      OSError, ValueError: the file cannot be read.
    """
    if path.suffix.lower() == ".parquet":
        return needed("pyarrow.parquet", "text", "data.dataset", path).read_table(path, columns=[name]).column(0)
    with _mapped(path) as reader:
        return reader.read_all().column(name)


def _mapped(path: Path) -> Any:
    """A reader of the stream that `datasets` writes."""
    pyarrow = needed("pyarrow", "text", "data.dataset", path)
    return pyarrow.ipc.open_stream(pyarrow.memory_map(str(path)))


def saved_files(folder: Path) -> dict[str, list[Path]]:
    """The files of each split of a folder that `datasets` has saved, in order; {} of another folder.

    Raises:
      OSError, ValueError, KeyError, TypeError: what says which files they are cannot be read.
    """
    if not (folder / SAVED).is_file():
        return {}
    splits = json.loads((folder / SAVED).read_text())["splits"]
    states = {split: json.loads((folder / split / "state.json").read_text()) for split in splits}
    return {
        split.lower(): [folder / split / part["filename"] for part in state["_data_files"]]
        for split, state in states.items()
    }


def class_names(schema: Any, label: str) -> list[str]:
    """The names of the classes, as `datasets` writes them beside the columns; empty where there are none."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return [str(name) for name in features[label]["names"]]
    except (KeyError, TypeError, ValueError):
        return []
