"""What is raised for weights and expressions at fault. No torch is needed to catch it."""

from __future__ import annotations

# How missing or damaged foundation weights are mended.
REMEDY = "Make it: python -m experiments.foundation --model NAME (mini sizes are committed: git checkout weights)"


class CheckpointError(ValueError):
    """A weights file that is not the one that was asked for; the message names file, value and remedy."""


class ExpressionError(ValueError):
    """An expression that says nothing."""
