"""ImageNet (ILSVRC 2012): folders of each class as torchvision's ImageFolder has them, resized once."""

import dataclasses

from distill_jax.data.sources import image_folder
from distill_jax.data.sources.source import Raw, data_folder
from distill_jax.errors import InputError
from distill_jax.setting import DataSetting

_CONTENT = "the folder with train/WNID/*.JPEG and val/WNID/*.JPEG, the validation images sorted into folders too"


def read(setting: DataSetting) -> Raw:
    """Pictures uint8 [N, S, S, 3], S `image_size`; the validation images are the test split, see `image_folder.read`.

    Decoded for 224 pixels a side they are 200 GB on the cache's disk, and are streamed from there. Training pictures
    are whole ones, resized and cut: it is not the crops of random sizes that are usual for ImageNet.

    Raises:
      InputError: `data.data_dir` is wrong, `data.image_size` is not given, or as `image_folder.read`.
    """
    folder = data_folder(setting, _CONTENT)
    if setting.image_size is None:
        raise InputError("data.image_size", None, "must be given for `data.dataset` imagenet; 224 is usual")
    for name in ("train", "val"):
        if not (folder / name).is_dir():
            raise InputError("data.data_dir", folder, f"has no {name}/; must be {_CONTENT}")
    return image_folder.read(dataclasses.replace(setting, dataset=str(folder)))
