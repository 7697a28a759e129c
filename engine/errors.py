"""The one error a user may see: a line that says what is wrong, where, and what to do."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every command."""

    DONE = 0
    ERROR = 1
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4


class PoiseError(Exception):
    """A failure that the user can act on; printed as one line, without a traceback.

    Args:
        message: what is wrong, where, and what to do, in one line.
        code: the exit code a command ends with.
    """

    def __init__(self, message: str, code: Exit = Exit.ERROR) -> None:
        super().__init__(message)
        self.code = code
