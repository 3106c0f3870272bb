"""What makes a training or a measurement repeat to the bit: the seed, the number of CPU threads, one order of adding.

A sum that is split among threads depends on how many they are, not on how many cores they find: with `train.threads: 2`
one core gives what two give, later. What it also depended on was who came first: where an image has several
expressions, the gradient of its features is the sum over them (the backward pass of indexing), and two threads add to
it as they arrive unless torch is told to keep to one order.
"""

from __future__ import annotations

import platform
from pathlib import Path

import torch
import torch.utils.deterministic
from accelerate.utils import set_seed


def make_repeatable(seed: int, threads: int) -> None:
    """Seed everything that is drawn, and compute with so many CPU threads in one order, in this process from now on.

    On a CPU an operation that has no such order raises RuntimeError. On a GPU nothing is asked of torch: there two runs
    are like two seeds.
    """
    set_seed(seed)
    torch.set_num_threads(threads)
    if not torch.cuda.is_available():
        torch.use_deterministic_algorithms(True)
        # It finds reads of memory that nothing wrote to, at the cost of writing all of it.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def device_name(kind: str, processes: int) -> str:
    """What computes, for result.json: on equal ones, with equal versions, a training repeats to the bit (CPU).

    For example "cpu (2 threads), AMD EPYC 25/17, AVX512" or "cuda (1 threads), NVIDIA H100, 8 processes".
    """
    chip = torch.cuda.get_device_name() if kind == "cuda" else f"{_cpu()}, {torch.backends.cpu.get_cpu_capability()}"
    together = f", {processes} processes" if processes > 1 else ""
    return f"{kind} ({torch.get_num_threads()} threads), {chip}{together}"


def _cpu() -> str:
    """The processor's name, with the numbers of its family and model where Linux gives them."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0].splitlines()
    except FileNotFoundError:  # no Linux
        lines = []
    facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if "model name" not in facts:
        return platform.processor() or platform.machine()
    numbers = [facts[name] for name in ("cpu family", "model") if name in facts]
    return " ".join([*facts["model name"].split(), "/".join(numbers)]).strip()
