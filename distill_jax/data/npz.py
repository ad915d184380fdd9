"""The user's own arrays, in a .npz file."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from distill_jax.data.dataset import Split
from distill_jax.data.source import Raw, check_label, one_line
from distill_jax.errors import InputError
from distill_jax.setting import DataSetting


def read(setting: DataSetting) -> Raw:
    """Reads x_train, y_train, x_test and y_test.

    x is uint8 or floating point [N, H, W], [N, H, W, C] or flat [N, D]; floating point becomes float32 and
    [N, H, W] becomes [N, H, W, 1]. y is of any integer dtype, [N] or [N, 1], from 0 up. The number of classes
    is the highest label of both splits plus 1. id is the index in the array.

    Raises:
      InputError: the file cannot be read, or an array is not as above; nothing in it is ever unpickled.
    """
    check_label(setting, ["label"])
    arrays = _load(setting.dataset)
    train, test = (_split(setting.dataset, arrays, split) for split in ("train", "test"))
    if train.x.shape[1:] != test.x.shape[1:] or train.x.dtype != test.x.dtype:
        raise InputError(
            f"--dataset {setting.dataset}: x_train holds {train.x.dtype} {train.x.shape[1:]} and x_test "
            f"{test.x.dtype} {test.x.shape[1:]}; must be the same"
        )
    num_classes = int(max(train.label.max(), test.label.max())) + 1
    if num_classes < 2:
        raise InputError(f"--dataset {setting.dataset}: y_train has one class only; must have 2 or more")
    strange = np.setdiff1d(test.label, train.label)
    if len(strange):
        raise InputError(
            f"--dataset {setting.dataset}: y_test has the label {strange[0]}, which y_train has not; must be "
            "among the training labels"
        )
    return Raw(train, test, num_classes)


def _load(dataset: str) -> dict[str, np.ndarray]:
    path = Path(dataset).expanduser()
    names = [f"{kind}_{split}" for split in ("train", "test") for kind in "xy"]
    remedy = "must be a file of numpy.savez with x_train, y_train, x_test and y_test"
    if not path.exists():
        raise InputError(f"--dataset {dataset}: does not exist; {remedy}")
    try:
        # numpy would take what is no zip for a pickle and say so.
        if not zipfile.is_zipfile(path):
            path.open("rb").close()
            raise InputError(f"--dataset {dataset}: is not a .npz file, or is truncated; {remedy}")
        with np.load(path, allow_pickle=False) as file:
            absent = [name for name in names if name not in file.files]
            if absent:
                raise InputError(f"--dataset {dataset}: has no {', '.join(absent)}; {remedy}")
            arrays = {name: file[name] for name in names}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, MemoryError) as error:
        raise InputError(f"--dataset {dataset}: cannot be read: {one_line(error)}; {remedy}") from error
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):  # a member that is not an .npy file comes as bytes
            raise InputError(f"--dataset {dataset}: {name} is not an array; {remedy}")
    return arrays


def _split(dataset: str, arrays: dict[str, np.ndarray], split: str) -> Split:
    x, y = arrays[f"x_{split}"], arrays[f"y_{split}"]

    def require(holds: bool, fault: str, right: str) -> None:
        if not holds:
            raise InputError(f"--dataset {dataset}: {fault}; must be {right}")

    shape = f"x_{split} has the shape {x.shape}"
    require(x.ndim in (2, 3, 4), shape, "images [N, H, W] or [N, H, W, C], or flat [N, D]")
    require(x.size > 0, shape, "1 or more examples")
    kind = f"x_{split} is {x.dtype}"
    require(x.dtype == np.uint8 or np.issubdtype(x.dtype, np.floating), kind, "uint8 or floating point")
    labels = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    require(labels.ndim == 1, f"y_{split} has the shape {y.shape}", "[N] or [N, 1]")
    lengths = f"x_{split} has {len(x)} examples and y_{split} has {len(labels)}"
    require(len(labels) == len(x), lengths, "as many of each")
    require(np.issubdtype(labels.dtype, np.integer), f"y_{split} is {y.dtype}", "of an integer dtype")
    low, high = int(labels.min()), int(labels.max())
    require(low >= 0, f"y_{split} has the label {low}", "0 or more")
    # Also keeps labels that are no class numbers from asking for an output layer of any size.
    most = len(arrays["y_train"])
    require(high < most, f"y_{split} has the label {high}", f"below {most}, the number of training examples")
    if x.dtype != np.uint8:
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes inf
            x = x.astype(np.float32)
        require(bool(np.isfinite(x).all()), f"x_{split} has NaN or infinite values", "finite in float32")
    if x.ndim == 3:
        x = x[..., None]
    label = labels.astype(np.int32)
    return Split(x, label, label, np.arange(len(label), dtype=np.int64))
