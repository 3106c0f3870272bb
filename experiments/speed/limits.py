"""What this machine can do at most, measured in the same run as what is compared with it: Pair.share is of these."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from experiments.speed.inputs import device
from experiments.speed.pairs import seconds

SIDE, GPU_SIDE = 1024, 8192  # of the matrices
FILE = 256 * 2**20  # bytes
NAMES = {torch.float32: "float32", torch.bfloat16: "bfloat16"}


def matmul_rate(dtype: torch.dtype = torch.float32, repeats: int = 7) -> float:
    """FLOP/s of a product of two square matrices (a multiply-add is 2), the best of several, with torch's threads."""
    side = GPU_SIDE if torch.cuda.is_available() else SIDE
    one, other = (torch.rand(side, side, device=device()).to(dtype) for _ in range(2))

    def product() -> None:
        one @ other

    seconds(product)
    return 2 * side**3 / min(seconds(product) for _ in range(repeats))


def flops(run: Callable[[], object]) -> int:
    """FLOPs of a run, counted as experiments/cost/estimate.py does."""
    with FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops())


def share_of_matmul(work: float, took: float, dtype: torch.dtype = torch.float32) -> tuple[float, str]:
    """The share of `matmul_rate` that `work` FLOPs in `took` seconds are, at most 1, and its name: share and limit of a
    Pair."""
    rate = matmul_rate(dtype)
    return min(1.0, work / took / rate), f"{NAMES[dtype]} matrix products, {rate / 1e9:,.0f} GFLOP/s"


def disk_rate(folder: Path) -> float:
    """Bytes/s of a new file read from its disk, as far as the system can be told to forget it (Linux)."""
    file = folder / "disk_rate"
    try:
        with file.open("wb") as opened:
            opened.write(os.urandom(FILE))
            opened.flush()
            os.fsync(opened.fileno())
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return FILE / seconds(file.read_bytes)
    finally:
        file.unlink(missing_ok=True)
