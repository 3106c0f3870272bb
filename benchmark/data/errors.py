"""What is raised for data at fault, how several faults are named at once, and how a command ends with one."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console

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
    """In a command: print one of these faults without a traceback and exit with status 1. All else is a bug."""
    try:
        yield
    except faults as error:
        console = Console(stderr=True)
        console.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise SystemExit(1) from None
