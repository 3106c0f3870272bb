"""How a command ends when its input is at fault: one message that names file, value and remedy, and exit status 1."""

from __future__ import annotations

from contextlib import AbstractContextManager

from benchmark.data.errors import SampleError, ends_with
from benchmark.results.store import ResultError
from experiments.settings import ConfigError
from models.config import SettingError
from models.errors import CheckpointError, ExpressionError


class InputError(ValueError):
    """An argument that cannot be used; the message names it and the remedy."""


FAULTS = (
    *(ConfigError, SampleError, ResultError, CheckpointError, SettingError, ExpressionError, InputError),
    *(FileNotFoundError, FloatingPointError),
)


def clear_errors(*more: type[Exception]) -> AbstractContextManager[None]:
    """Inside, faulty input ends the command without a traceback; `more` are errors of one command alone."""
    return ends_with(*FAULTS, *more)
