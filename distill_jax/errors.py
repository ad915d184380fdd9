"""The ways in which a command of this project ends early, each reported as one line without a traceback."""

from distill_jax.credentials import masked


class InputError(Exception):
    """A wrong input, so that nothing can be done: exit status 2, nothing written.

    The message is one line. A field of a setting is named as Python has it, also in `backticks` within the fault; a
    command spells it as its option (`command.spelling`).

    >>> print(InputError("train.epochs", 0, "must be positive"))
    train.epochs 0: must be positive

    Attributes:
      field: what is wrong: a field of a setting, an argument, or a file.
      value: which it had; None where that would say nothing.
      fault: what is wrong with it, and what would be right.
    """

    exit_status = 2

    def __init__(self, field: object, value: object, fault: str):
        self.field, self.value, self.fault = str(field), value, fault
        super().__init__(field, value, fault)

    def __str__(self) -> str:
        return f"{self.field}{'' if self.value is None else f' {self.value}'}: {self.fault}"


def require(holds: bool, field: object, value: object, right: str) -> None:
    """Checks a value.

    >>> require(0 <= 1.5 < 1, "data.label_noise", 1.5, "a share in [0, 1)")
    Traceback (most recent call last):
    distill_jax.errors.InputError: data.label_noise 1.5: must be a share in [0, 1)

    Raises:
      InputError: it does not hold.
    """
    if not holds:
        raise InputError(field, value, f"must be {right}")


class RunError(Exception):
    """A run that was well asked for has failed (NaN loss, full disk): exit status 1, earlier work kept."""

    exit_status = 1


class Interrupted(Exception):
    """Training stopped as it was asked to, its state saved; the same command goes on from there."""

    def __init__(self, signal_number: int, message: str):
        super().__init__(message)
        self.exit_status = 128 + signal_number


def printable(text: str) -> str:
    r"""A text as one line of a terminal: line breaks and other characters that are not shown are written out.

    >>> printable("a\nb")
    'a\\nb'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def one_line(error: BaseException) -> str:
    r"""An exception's message without line breaks and `credentials`, or its type where it has none.

    >>> one_line(ValueError("first\n  second")), one_line(KeyError())
    ('first second', 'KeyError')
    """
    return masked(" ".join(str(error).split())) or type(error).__name__
