"""The two ways a command of this project ends badly, each reported as one line without a traceback."""


class InputError(Exception):
    """The user asked for something that cannot be done: exit status 2, nothing written.

    The message is one line that names the option, the value it had, and what would be right.
    """

    exit_status = 2


class RunError(Exception):
    """A run that was well asked for has failed (NaN loss, full disk): exit status 1, earlier work kept."""

    exit_status = 1


def printable(text: str) -> str:
    r"""A text as one line of a terminal: line breaks and other characters that are not shown are written out.

    >>> printable("a\nb")
    'a\\nb'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def one_line(error: BaseException) -> str:
    r"""An exception's message without line breaks, or its type where it has none.

    >>> one_line(ValueError("first\n  second")), one_line(KeyError())
    ('first second', 'KeyError')
    """
    return " ".join(str(error).split()) or type(error).__name__
