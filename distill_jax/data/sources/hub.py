"""What Parquet files of Hugging Face's hub say of themselves beside their columns."""

import json
from typing import Any


def class_names(schema: Any, label: str) -> list[str]:
    """The names of the classes, as `datasets` writes them beside the columns; empty where there are none."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return [str(name) for name in features[label]["names"]]
    except (KeyError, TypeError, ValueError):
        return []
