"""Which columns of a table hold the texts and the label, by the names that are in use for them."""

import dataclasses
from collections.abc import Collection

# In this order, so that what has several is read by the first; those of GLUE's tasks, in their files and on the hub.
_TEXTS = (
    ("text", "text_pair"),
    ("text",),
    ("sentence1", "sentence2"),
    ("question", "sentence"),
    ("question1", "question2"),
    ("premise", "hypothesis"),
    ("#1 String", "#2 String"),
    ("sentence",),
)
_LABELS = ("label", "gold_label", "is_duplicate", "Quality")


@dataclasses.dataclass(frozen=True)
class Columns:
    """Columns by their names.

    >>> Columns.of(["index", "question", "sentence", "label"])
    Columns(texts=('question', 'sentence'), label='label')
    >>> Columns.of(["index", "sentence"]).label is None
    True

    Attributes:
      texts: one, or two of pairs; none where there is no known name.
      label: None where there is no known name.
    """

    texts: tuple[str, ...]
    label: str | None

    @classmethod
    def of(cls, names: Collection[str]) -> "Columns":
        """The columns of a table that has these."""
        texts = next((texts for texts in _TEXTS if all(name in names for name in texts)), ())
        return cls(texts, next((label for label in _LABELS if label in names), None))

    @property
    def names(self) -> frozenset[str]:
        """All of them."""
        return frozenset(self.texts if self.label is None else (*self.texts, self.label))

    @property
    def fit(self) -> int:
        """2 where all is there, 1 where the label is not, else 0."""
        return bool(self.texts) + bool(self.texts and self.label)
