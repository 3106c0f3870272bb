"""How a command starts: alone or as one of several processes, and with its imports.

Which of them it is, is known from the environment alone, before torch is imported; experiments/ranks.py joins them.
"""

from __future__ import annotations

import gc
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager

STARTERS = {"TORCHRUN": "torch.distributed.run", "ACCELERATE": "accelerate.commands.launch"}


def spread() -> None:
    """Start this module's command anew as the processes that the environment asks for, in place of this one.

    TORCHRUN holds options of torchrun, "--standalone --nproc-per-node 8", or ACCELERATE those of `accelerate launch`,
    "--config_file experiments/training/accelerate/fsdp2.yaml": that is how stages of DVC, whose commands are the same
    on every machine, come to use all GPUs of this one. Without them, and in such a process, nothing happens.
    """
    asked = {module: shlex.split(os.environ.pop(name, "")) for name, module in STARTERS.items()}
    starters = [(module, options) for module, options in asked.items() if options]
    if not starters or "RANK" in os.environ:
        return
    if len(starters) > 1:
        sys.exit(f"error: {' and '.join(STARTERS)} are both set: unset one")
    (starter, options), main = starters[0], sys.modules["__main__"].__spec__
    assert main is not None
    command = ["-m", starter, *options, "-m", main.name, *sys.argv[1:]]  # noqa: TID251  # when it is called
    os.execv(sys.executable, [sys.executable, *command])


def rank_of_environment() -> int:
    """The rank that torchrun gave this process, known before it has joined the others; 0 if it was started alone."""
    return int(os.environ.get("RANK", "0"))


@contextmanager
def importing() -> Iterator[None]:
    """For a command's imports: nothing of them is garbage, and looking for some among all that torch makes would take a
    fifth of their time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
