"""Named arrays of the user's own in a .npz file, of which nothing is ever unpickled."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from distill_jax.errors import InputError, one_line
from distill_jax.limits import check_fits


def read_arrays(
    path: Path, names: Sequence[str], field: str, remedy: str, optional: Sequence[str] = ()
) -> tuple[dict[str, np.ndarray], set[str]]:
    """The arrays of these names, and the names of others that are there.

    Args:
      field: of a setting that names the file, for the message.
      remedy: the end of it, what would be right.
      optional: names of arrays that may be absent.

    Raises:
      InputError: the file cannot be read, or an array is absent, there twice, or none.
    """
    if not path.exists():
        raise InputError(field, path, f"does not exist; {remedy}")
    try:
        # numpy would take what is no zip for a pickle and say so.
        if not zipfile.is_zipfile(path):
            path.open("rb").close()
            raise InputError(field, path, f"is not a .npz file, or is truncated; {remedy}")
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            absent = [name for name in names if name not in file.files]
            if absent:
                raise InputError(field, path, f"has no {', '.join(absent)}; {remedy}")
            wanted = [*names, *(name for name in optional if name in file.files)]
            members = [member.filename.removesuffix(".npy") for member in file.zip.infolist()]
            if twice := [name for name in wanted if members.count(name) > 1]:
                raise InputError(field, path, f"has {twice[0]} more than once; {remedy}, each once")
            sizes = {member.filename: member.file_size for member in file.zip.infolist()}  # unpacked
            check_fits(field, path, "its arrays", sum(sizes.get(f"{name}.npy", 0) for name in wanted))
            arrays = {name: file[name] for name in wanted}
            others = set(members) - set(wanted)
    except InputError:
        raise
    except Exception as error:  # of many types, as the damage has it: a header is read as Python's words
        raise InputError(field, path, f"cannot be read: {one_line(error)}; {remedy}") from error
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):  # a member that is not an .npy file comes as bytes
            raise InputError(field, path, f"{name} is not an array; {remedy}")
    return arrays, others
