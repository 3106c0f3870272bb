"""The dense prompt: the cosine between a map of vectors, made larger, and one vector, without making the map larger.

N expressions, C channels, H x W cells made into S x S (bilinear, corners kept).

The released code makes v larger first, to (N, C, S, S): 302 MB an expression. The cosine needs two numbers a cell, and
both follow from small maps. Interpolation is linear, so with U its matrix, up(v) . g = U_y (v . g) U_x^T. Between two
neighbours, with weights 1 - f and f, |up(v)|^2 = (1 - f)^2 v0.v0 + f^2 v1.v1 + 2 f (1 - f) v0.v1, and in the plane the
same once more: with A = U^2 and B = 2 U[:, :-1] U[:, 1:] (elementwise),

    |up(v)|^2 = A_y G00 A_x^T + A_y G01 B_x^T + B_y G10 A_x^T + B_y G11 B_x^T

where G00 = v.v of a cell with itself, G01 with its right neighbour, G10 with the one below, and G11 is the mean of a
square's two diagonals (their weights are equal).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate, normalize

SMALLEST = 1e-12  # of a squared norm: the rounding of opposite neighbours that cancel is no direction


def upsampled_cosine(map_NCHW: Tensor, vector_NC: Tensor, side: int) -> Tensor:
    """cos(up(v), g) -> (N, side, side), where up is bilinear with align_corners=True."""
    down, right = map_NCHW[:, :, 1:], map_NCHW[:, :, :, 1:]
    upper, left = map_NCHW[:, :, :-1], map_NCHW[:, :, :, :-1]
    diagonals = _dot(upper[..., :-1], down[..., 1:]) + _dot(upper[..., 1:], down[..., :-1])
    rows_SH, columns_SW = (interpolation(cells, side, map_NCHW) for cells in map_NCHW.shape[2:])
    (rows, row_pairs), (columns, column_pairs) = _squares(rows_SH), _squares(columns_SW)
    squared_NSS = (
        rows @ _dot(map_NCHW, map_NCHW) @ columns.T
        + rows @ _dot(left, right) @ column_pairs.T
        + row_pairs @ _dot(upper, down) @ columns.T
        + row_pairs @ (diagonals / 2) @ column_pairs.T
    )
    along_NHW = torch.einsum("nchw,nc->nhw", map_NCHW, normalize(vector_NC, dim=1))
    return (rows_SH @ along_NHW @ columns_SW.T) * squared_NSS.clamp_min(SMALLEST).rsqrt()


def interpolation(cells: int, side: int, like: Tensor) -> Tensor:
    """The matrix (side, cells) of linear interpolation that keeps the ends."""
    identity = torch.eye(cells, device=like.device, dtype=like.dtype)
    return interpolate(identity.unsqueeze(0), size=side, mode="linear", align_corners=True)[0].T


def _squares(weights_SH: Tensor) -> tuple[Tensor, Tensor]:
    """What products of a cell with itself (S, H), and with the next one (S, H - 1), weigh in a square."""
    return weights_SH**2, 2 * weights_SH[:, :-1] * weights_SH[:, 1:]


def _dot(one_NCHW: Tensor, other_NCHW: Tensor) -> Tensor:
    return torch.einsum("nchw,nchw->nhw", one_NCHW, other_NCHW)
