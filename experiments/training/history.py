"""What a training has seen so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass
class History:
    """Where a training is, the lines of curve.csv, and the epoch to keep with its weights.

    epoch, done: so many batches of this epoch are learnt from. recent: losses since the curve's last line. seconds:
    that all parts of the training took, but for the one that runs.
    """

    epoch: int = 1
    done: int = 0
    step: int = 0
    recent: list[float] = field(default_factory=list)
    curve: list[dict[str, Any]] = field(default_factory=list)
    warned: bool = False
    seconds: float = 0.0
    best_value: float = -1.0
    best_epoch: int = 0
    best_state: dict[str, Tensor] = field(default_factory=dict)

    def note(
        self,
        epoch: int,
        loss: float | None,
        lr: float | None,
        val_miou: float | None = None,
        collapsed: str | None = None,
    ) -> None:
        """Add a line to the curve."""
        line = {"epoch": epoch, "step": self.step, "loss": loss, "lr": lr}
        self.curve.append({**line, "val_miou": val_miou, "collapsed": collapsed})

    def next_epoch(self) -> None:
        """Begin the epoch after this one."""
        self.epoch, self.done, self.recent = self.epoch + 1, 0, []
