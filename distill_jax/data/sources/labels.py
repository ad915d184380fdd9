"""Class numbers for the labels of a user's own data, whatever numbers or words these are."""

import re
from collections.abc import Sequence

import numpy as np

from distill_jax.errors import InputError

Label = int | str
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")  # one way to write each, so that 01 and 1 are not one class
_FEW = 10  # classes that may have a single training example each, in data that are for trying out


def numbered(
    train: Sequence[Label], test: Sequence[Label], called: tuple[str, str], dataset: str
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...] | None]:
    """Numbers from 0 for the labels of both splits, in the order of the labels that training has.

    Integers, also as words without signs or zeros that could be left out, are in order of their values; else all are
    words, without the spaces around them, in order of their characters.

    >>> numbered(["no", "yes", "no"], ["yes"], ("train", "test"), "mine")
    (array([0, 1, 0], dtype=int32), array([1], dtype=int32), ('no', 'yes'))

    Args:
      train, test: the labels of the two splits, integers or words; at least one each.
      called: what to call them in a message, such as y_train and y_test.
      dataset: that they are of, for a message.

    Returns:
      int32 numbers of both splits, and the classes' names by number; None where labels are those numbers themselves.

    Raises:
      InputError: there is one class only, a test label that training has not, nearly as many labels as examples, or
        a word that is empty or no text.
    """
    for name, split in zip(called, (train, test), strict=True):
        for word in {label for label in split if isinstance(label, str)}:
            if not word.strip() or not is_text(word):
                raise InputError(
                    "data.dataset", dataset, f"{name} has the label {word!r}; must be an integer or a word"
                )
    train, test = _as_one_type(train, test)
    classes = sorted(set(train))
    if len(classes) < 2:
        raise InputError("data.dataset", dataset, f"{called[0]} has one class only, {classes[0]}; must have 2 or more")
    if len(classes) > max(len(train) // 2, _FEW):
        raise InputError(
            "data.dataset",
            dataset,
            f"{called[0]} has {len(classes)} different labels in {len(train)} examples; must be classes, with "
            "several examples each",
        )
    unknown = sorted(set(test) - set(classes))
    if unknown:
        raise InputError(
            "data.dataset",
            dataset,
            f"{called[1]} has the label {unknown[0]}, which {called[0]} has not; must be among the training labels",
        )
    number = {label: i for i, label in enumerate(classes)}
    train_numbers, test_numbers = (np.fromiter(map(number.__getitem__, labels), np.int32) for labels in (train, test))
    return train_numbers, test_numbers, None if classes == list(range(len(classes))) else tuple(map(str, classes))


def _as_one_type(*splits: Sequence[Label]) -> list[list[Label]]:
    """Both splits' labels as integers where all are, else as words."""
    all_integers = all(
        isinstance(label, int) or _INTEGER.fullmatch(label.strip()) for split in splits for label in split
    )
    return [[int(label) if all_integers else str(label).strip() for label in split] for split in splits]


def is_text(words: str) -> bool:
    """Whether words can be written: half of a pair of surrogates, as JSON may have it, cannot.

    >>> is_text("cat"), is_text(chr(0xD800))
    (True, False)
    """
    try:
        words.encode()
    except UnicodeEncodeError:
        return False
    return True


def shown(names: Sequence[str], most: int = 6) -> str:
    """The first names with their numbers, for a person: '0 = cat, 1 = dog'.

    >>> shown(["cat", "dog", "eel", "fox"], most=2)
    '0 = cat, 1 = dog, ... 3 = fox'
    """
    text = ", ".join(f"{i} = {name}" for i, name in enumerate(names[:most]))
    return text + (f", ... {len(names) - 1} = {names[-1]}" if len(names) > most else "")
