"""What is raised for data at fault, how several faults are named at once, and how a command ends with one."""

from __future__ import annotations

import errno
import reprlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from benchmark.output.terminal import say, terminal

NAMED = 10  # faults that one message spells out; the others are counted

_BRIEF = reprlib.Repr()
_BRIEF.maxlevel, _BRIEF.maxlist, _BRIEF.maxdict, _BRIEF.maxstring, _BRIEF.maxother = 2, 4, 4, 40, 40


class SampleError(ValueError):
    """A dataset that breaks the contract: the message names file, row, value and what to do."""


def brief(value: object) -> str:
    """A value from an untrusted file as 60 characters at most.

    Never by its own str(): a few hundred bytes can hold lists within lists whose text would fill any memory.
    """
    return (value if isinstance(value, str) else _BRIEF.repr(value))[:60]


def raise_all(faults: Sequence[SampleError | FileNotFoundError], what: str, remedy: str) -> None:
    """Raise what was found, if anything: a single fault as it is, several as one error that names the first NAMED.

    what: is the matter with how many, "files cannot be read". FileNotFoundError if all of them are that.
    """
    if len(faults) == 1:
        raise faults[0]
    if faults:
        kind = FileNotFoundError if all(isinstance(one, FileNotFoundError) for one in faults) else SampleError
        lines = [f"  {error}" for error in faults[:NAMED]]
        more = f"\n  and {len(faults) - NAMED:,} more" if len(faults) > NAMED else ""
        raise kind(f"{len(faults):,} {what}; {remedy}:\n" + "\n".join(lines) + more)


@contextmanager
def ends_with(*faults: type[Exception]) -> Iterator[None]:
    """In a command: print one of these faults without a traceback and exit with status 1, secrets masked; so ends, too,
    what cannot be written or read for want of rights or room. All else is a bug."""
    caught: tuple[type[Exception], ...] = (*faults, OSError)
    try:
        yield
    except caught as error:
        message = str(error) if isinstance(error, faults) else refusal(error)
        if message is None:
            raise
        say(terminal(stderr=True, soft_wrap=True), f"error: {message}", style="red")
        raise SystemExit(1) from None


REMEDIES = {  # of what the system refuses
    errno.EACCES: "make it readable and its folder writable for you, or work in a copy",
    errno.EPERM: "make it readable and its folder writable for you, or work in a copy",
    errno.EROFS: "this disk is mounted read-only: work in a copy elsewhere",
    errno.ENOTDIR: "a part of this path is a file: give another path",
    errno.EISDIR: "this is a folder: give the path of a file",
    errno.EEXIST: "this is there already, and no folder: give another path",
    errno.ENOSPC: "the disk is full: make room",
    errno.EDQUOT: "your share of the disk is used up: make room",
}


def refusal(error: Exception) -> str | None:
    """What is said of a file or folder that the system refuses to write or read; None of every other error."""
    if not isinstance(error, OSError) or error.errno not in REMEDIES:
        return None
    place = f"{error.filename}: " if error.filename is not None else ""
    return f"{place}{error.strerror}; {REMEDIES[error.errno]}"
