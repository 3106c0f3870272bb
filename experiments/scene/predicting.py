"""A scene predicted window by window. Memory is that of one row of windows, however high the scene is."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor, nn

from benchmark.data.images.scene_files import Scene
from experiments.scene.state import State, Values
from experiments.scene.windows import Window
from models.tokens import TruncationWarning


class Predicts(Protocol):
    """What predicts a window: models.rsrefseg.RSRefSeg, or anything with its `predict_logits`."""

    def predict_logits(
        self, images: Sequence[Tensor], texts: Sequence[str], image_index: Sequence[int]
    ) -> list[NDArray[np.float32]]: ...


def digest(network: nn.Module) -> str:
    """Hexadecimal SHA-256 of a network's weights."""
    code = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        code.update(name.encode())
        code.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return code.hexdigest()


def predict_window(scene: Scene, model: Predicts, expressions: Sequence[str], window: Window) -> Values | None:
    """Probabilities of a window, NaN where there is no data; None where there is none anywhere."""
    picture = scene.read(window.top, window.left, window.height, window.width)
    if picture.known is not None and not picture.known.any():
        return None
    image = torch.from_numpy(picture.pixels).permute(2, 0, 1).contiguous()
    logits = model.predict_logits([image], expressions, [0] * len(expressions))
    values: Values = expit(np.stack(logits).astype(np.float32, copy=False))
    return values if picture.known is None else np.where(picture.known, values, np.float32("nan"))


def predict_scene(
    scene: Scene, model: Predicts, expressions: Sequence[str], state: State, advance: Callable[[], None]
) -> list[str]:
    """Predict what `state` lacks, and keep it there.

    Args:
        advance: called after every window, those of before in the row at hand included.

    Returns:
        What the model remarked on the expressions.
    """
    plan = state.plan
    notes: set[str] = set()
    down, across = plan.down.weights(), plan.across.weights()
    while state.row < plan.rows:
        total, stored = state.total(), state.stored()
        for window in plan.windows(state.row):
            if window.column < len(stored):
                values = stored[window.column]
            else:
                with warnings.catch_warnings(record=True) as noted:
                    warnings.simplefilter("always", TruncationWarning)
                    values = predict_window(scene, model, expressions, window)
                notes |= {str(note.message) for note in noted}
                state.add(values)
            part = total[:, :, window.left : window.left + window.width]
            weights = down[window.row][:, None] * across[window.column]
            part += np.float32("nan") if values is None else values * weights
            advance()
        state.finish_row(total)
    return sorted(notes)
