from __future__ import annotations

import torch
from torch.nn.functional import conv2d, interpolate, relu

from models.lavt.decoder import Decoder
from tests.language_aware import close, drawn, noise


def test_each_finer_map_is_taken_in_at_its_own_size() -> None:
    decoder = drawn(Decoder([3, 4, 5], 6))
    maps = [noise(2, 3, 13, 11), noise(2, 4, 7, 6), noise(2, 5, 4, 4)]
    state, decoded = decoder.state_dict(), maps[2]
    for level, fine in enumerate((maps[1], maps[0])):
        upsampled = interpolate(decoded, fine.shape[2:], mode="bilinear", align_corners=True)
        decoded = torch.cat([upsampled, fine], 1)
        for part in ("first", "second"):
            name = f"levels.{level}.{part}"
            decoded = conv2d(decoded, state[f"{name}.0.weight"], padding=1)
            mean, var = (state[f"{name}.1.running_{key}"][:, None, None] for key in ("mean", "var"))
            scale, shift = (state[f"{name}.1.{key}"][:, None, None] for key in ("weight", "bias"))
            decoded = relu((decoded - mean) / (var + 1e-5).sqrt() * scale + shift)
    close(decoder(maps), conv2d(decoded, state["classify.weight"], state["classify.bias"]))
