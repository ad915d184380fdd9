"""Image data sets of Hugging Face's hub by name, through its library `datasets`."""

from pathlib import Path

from distill_jax.data.sources import image_tables
from distill_jax.data.sources.source import Raw
from distill_jax.errors import InputError, one_line
from distill_jax.extras import needed
from distill_jax.setting import DataSetting

PREFIX = "hf:"


def read(setting: DataSetting) -> Raw:
    """The data set of `data.dataset` hf:NAME, or hf:NAME:CONFIGURATION, as `image_tables.of_files` reads it.

    It is downloaded, or taken from the library's own cache; NAME may also be a folder, as there.

    Raises:
      InputError: the extra `hub` is not installed, there is no such data set, or as `image_tables.of_files`.
    """
    datasets = needed("datasets", "hub", "data.dataset", setting.dataset)
    name, _, configuration = setting.dataset.removeprefix(PREFIX).partition(":")
    datasets.disable_progress_bars()
    try:
        by_split = datasets.load_dataset(name, configuration or None)
        files = {split: [Path(part["filename"]) for part in of.cache_files] for split, of in by_split.items()}
    except Exception as error:  # of many types, by what the hub, the network or a file is like
        raise InputError(
            "data.dataset",
            setting.dataset,
            f"cannot be loaded: {one_line(error)}; must be {PREFIX}NAME of a data set of pictures on the hub",
        ) from error
    return image_tables.of_files(setting, files, next(iter(files.values()))[0].parent)
