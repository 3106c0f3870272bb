"""What a measurement ran on, and whether the machine had other work to do."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

LOAD, CORES, STOLEN = 0.5, 0.2, 0.02  # from which on a machine counts as busy: load before, cores, share of the time


@dataclass
class Others:
    """cores: that other processes kept busy, on average · stolen: the share of the time that the hypervisor took."""

    cores: float = 0.0
    stolen: float = 0.0


@contextmanager
def watched() -> Iterator[Others]:
    """What others do while the block runs; filled in at its end. Of processes started here only those waited for count
    as one's own."""
    found = Others()
    started, before, own = time.perf_counter(), psutil.cpu_times(), os.times()
    yield found
    wall, after = time.perf_counter() - started, psutil.cpu_times()
    now = os.times()
    spent = {name: getattr(after, name) - getattr(before, name) for name in before._fields if "guest" not in name}
    idle = sum(spent.get(name, 0.0) for name in ("idle", "iowait", "steal"))
    ours = sum(now[:4]) - sum(own[:4])
    found.cores = max(0.0, sum(spent.values()) - idle - ours) / wall
    found.stolen = spent.get("steal", 0.0) / max(sum(spent.values()), 1e-9)


def busy(load: float, others: Others) -> str:
    """What a reader must know of the machine; "" where it was quiet. load: its average before."""
    parts = [
        f"load {load:.1f} before" * (load > LOAD),
        f"others on {others.cores:.1f} cores" * (others.cores > CORES),
        f"{others.stolen:.0%} stolen" * (others.stolen > STOLEN),
    ]
    return ", ".join(part for part in parts if part)


def size() -> str:
    """Cores and memory, for example "2 cores, 23 GiB"."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB"
