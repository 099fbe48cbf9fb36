"""Errors that end a run. Each says where, what, and what to do about it.

A record that can't be used is not an error: readers yield it as
:class:`bye_lint.records.Skipped` and the run goes on.
"""

from __future__ import annotations

#: Status of an interrupted command: 128 + SIGINT, as shells report it.
EXIT_INTERRUPTED = 130


class ByeLintError(Exception):
    """A problem that the user can mend; shown as one message, without a traceback.

    Parameters
    ----------
    message : str
        What is wrong, beginning with where (``file:line:column:`` if there is a file).
    remedy : str, optional
        What to do about it, in one sentence.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n  {self.remedy}" if self.remedy else self.message


class UsageError(ByeLintError):
    """The command line asks for something that does not exist or contradicts itself."""


class PolicyError(ByeLintError):
    """The policy file is missing, malformed or asks for something unknown."""


class DatasetError(ByeLintError):
    """A dataset path cannot be read at all, or its format cannot be told."""


class ModelError(ByeLintError):
    """The model folder, adapter, processor or device cannot be used."""


class UnsupportedModelError(ModelError):
    """The architecture is not one whose attention bye-lint knows how to read."""


class CacheError(ByeLintError):
    """The cache of attention and fine-tuned models cannot be written."""


class MissingExtraError(ByeLintError):
    """A package of an optional extra is needed and not installed."""


class ResultError(ByeLintError):
    """A saved result cannot be read, or does not belong to the data on disk."""


class ReportError(ByeLintError):
    """A report cannot be written where it was asked for."""


class VcsError(ByeLintError):
    """Git cannot answer what changed."""


class BaselineError(ByeLintError):
    """The baseline cannot be read or written, or has mistakes."""


def one_line(error: BaseException) -> str:
    """Return what an error of another package says, on one line of bearable length."""
    said = " ".join(str(error).split())
    return said if 0 < len(said) <= 200 else f"{said[:200]}..." if said else type(error).__name__
