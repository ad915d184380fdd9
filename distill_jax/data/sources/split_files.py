"""The files of a split, whole or in parts, as Hugging Face's hub names them: train-00000-of-00002.parquet."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path

_NAME = re.compile(
    r"(?P<split>[a-z]+(_[a-z]+)?)(-(?P<part>\d{5})-of-(?P<of>\d{5})(-[0-9a-f]+)?)?(?P<suffix>\.[a-z]+)", re.IGNORECASE
)


def by_split(folder: Path, splits: Collection[str], suffixes: Collection[str]) -> dict[str, list[Path]]:
    """The files of a folder that are named as those of a split, by its name in lower case, each in order.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("train-00001-of-00002.csv", "train-00000-of-00002.csv", "Test.CSV", "notes.csv"):
    ...     (folder / name).touch()
    >>> {split: [path.name for path in paths] for split, paths in by_split(folder, ["train", "test"], [".csv"]).items()}
    {'test': ['Test.CSV'], 'train': ['train-00000-of-00002.csv', 'train-00001-of-00002.csv']}

    Args:
      folder: that they lie in; where there is none they are none.
      splits, suffixes: in lower case.
    """
    files: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        match = _NAME.fullmatch(path.name)
        if match and match["split"].lower() in splits and match["suffix"].lower() in suffixes and path.is_file():
            files.setdefault(match["split"].lower(), []).append(path)
    return files


def is_whole(files: Sequence[Path]) -> bool:
    """Whether the files of a split are one, or all of its parts and of one kind; in the order of `by_split`.

    >>> is_whole([Path("test.csv")]), is_whole([Path("test-00001-of-00002.csv")]), is_whole([])
    (True, False, False)
    """
    matches = [match for path in files if (match := _NAME.fullmatch(path.name))]
    totals = {match["of"] for match in matches}
    if len(matches) == 1 and totals <= {None, "00001"}:
        return True
    kinds = {match["suffix"].lower() for match in matches}
    parts = [int(match["part"] or -1) for match in matches]
    return len(kinds) == len(totals) == 1 and None not in totals and parts == list(range(int(totals.pop())))
