"""How a command ends when its input is at fault: one message that names file, value and remedy, and exit status 1."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from benchmark.data.samples import SampleError
from benchmark.results.store import ResultError
from experiments.settings import ConfigError
from models.checkpoint import CheckpointError
from models.config import SettingError
from models.tokens import ExpressionError


class InputError(ValueError):
    """An argument that cannot be used; the message names it and the remedy."""


FAULTS = (
    *(ConfigError, SampleError, ResultError, CheckpointError, SettingError, ExpressionError, InputError),
    *(FileNotFoundError, FloatingPointError),
)


@contextmanager
def clear_errors() -> Iterator[None]:
    """Print the faults of input without a traceback; everything else is a bug and keeps its own."""
    try:
        yield
    except FAULTS as error:
        console = Console(stderr=True)
        console.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise SystemExit(1) from None
