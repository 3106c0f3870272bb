"""One measuring module in a process of its own, for experiments.bench; or by itself, to look at what it finds:

    python -m experiments.speed.child experiments.speed.training found.json

The module has `measure()`, which gives Pairs or Growths, and may have `growth()`, which gives Growths.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer

from experiments.speed.machine import size, watched
from experiments.speed.pairs import Growth, Pair


def run(module: ModuleType) -> dict[str, list[dict[str, Any]]]:
    """pairs, growths: what a module measures, as plain rows.

    Raises:
        TypeError: it gave something else, or nothing.
    """
    found: list[Any] = [*module.measure(), *(module.growth() if hasattr(module, "growth") else ())]
    for one in found:
        if not isinstance(one, Pair | Growth):
            raise TypeError(f"{module.__name__} gave {one!r}; measure() gives Pairs or Growths, growth() Growths")
    if not found:
        raise TypeError(f"{module.__name__} measured nothing; take it out of MODULES in experiments/commands/bench.py")
    pairs, growths = ([asdict(one) for one in found if isinstance(one, kind)] for kind in (Pair, Growth))
    return {"pairs": pairs, "growths": growths}


def where() -> Mapping[str, str]:
    """machine, versions, commit, date. Asked after measuring, so that its imports are in no peak of memory."""
    import torch

    from benchmark.results.provenance import provenance
    from experiments.repeatable import device_name

    kind = "cuda" if torch.cuda.is_available() else "cpu"
    meta = provenance(device_name(kind, 1))
    wanted = ("python", "torch", "transformers", "numpy")
    return {
        "machine": f"{meta.device}, {size()}{'' if kind == 'cuda' else ', no GPU'}",
        "versions": ", ".join(f"{name} {meta.versions[name]}" for name in wanted),
        "commit": (meta.git_commit or "unknown")[:10] + " with changes" * bool(meta.git_dirty),
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
    }


def main(
    module: Annotated[str, typer.Argument(help="its dotted name")],
    out: Annotated[Path, typer.Argument(help="the JSON file to write")],
) -> None:
    """Measure, and write what was found, where, and what others did meanwhile."""
    loaded = import_module(module)
    with watched() as others:
        found = run(loaded)
    document = {**found, "others": asdict(others), "where": dict(where())}
    out.write_text(json.dumps(document, indent=2), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
