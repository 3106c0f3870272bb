"""Costs counted or measured, and printed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from benchmark.output.terminal import terminal
from experiments.config import load_params, pick, pick_variant, resolve
from experiments.cost.estimate import (
    Count,
    Flops,
    count_flops,
    count_parameters,
    memory_of_forward,
    memory_of_step,
    shapes_of,
)
from experiments.cost.memory import Memory
from experiments.cost.timing import Timing, Work, measure
from experiments.errors import clear_errors
from experiments.settings import ConfigError, ExperimentConfig, Params
from models.config import ComputeConfig
from models.systems import compute_of

ENCODERS = ("clip_vision", "clip_text", "sam")


@dataclasses.dataclass(frozen=True)
class Inspection:
    """Everything that is printed; FLOPs are as experiments/cost/estimate.py counts them, memory in bytes."""

    model: str
    variant: str
    compute: ComputeConfig | None
    batch_images: int
    expressions_per_image: int
    parameters: dict[str, Count]
    flops: dict[str, Flops]
    memory: dict[str, Memory]
    measured: Timing | None

    def plain(self) -> dict[str, Any]:
        """As JSON types."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        compute = None if self.compute is None else self.compute.model_dump(mode="json")
        parts = {name: _plain(fields[name]) for name in ("parameters", "flops", "memory", "measured")}
        return {**fields, "compute": compute, **parts}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return None if value is None else dataclasses.asdict(value)


def chosen(params: Params, dataset: str | None, model: str, variant: str | None) -> ExperimentConfig:
    """The configuration of one run; without a dataset, what no dataset has changed, without a variant, the first of the
    model's system.

    Raises:
        ConfigError: an unknown name or key, with the nearest known one.
    """
    if dataset is None:
        dataset, params = "", params.model_copy(update={"datasets": {"": {}}})
    variant = pick_variant(params, pick("model", model, params.models), variant)
    return resolve(params, dataset, model, variant, seed=0)


def with_compute(config: Any, **changes: Any) -> Any:
    """Another way of running the same model; a change that is None is none.

    Raises:
        ConfigError: the system runs in one way alone.
    """
    told = {name: value for name, value in changes.items() if value is not None}
    if not told:
        return config
    if (compute := compute_of(config)) is None:
        raise ConfigError(
            f"--{next(iter(told)).replace('_', '-')}: {type(config).__name__} has no compute settings, it runs in one "
            "way alone; leave it out"
        )
    changed = ComputeConfig.model_validate({**compute.model_dump(), **told})
    return config.model_copy(update={"compute": changed})


def print_costs(console: Console, costs: Inspection) -> None:
    """Three tables, with what their numbers mean."""
    counts, flops, compute = costs.parameters, costs.flops, costs.compute
    all_counts, all_flops = sum(counts.values(), start=Count(0, 0, 0)), sum(flops.values(), start=Flops(0, 0, 0))
    console.print(
        _table(
            f"parameters of {costs.model}, variant {costs.variant}",
            ("all", "trained", "of adapters"),
            {
                name: [f"{number:,}" for number in (count.total, count.trained, count.adapters)]
                for name, count in {**counts, "all": all_counts}.items()
            },
        ),
        _table(
            "GFLOP of a forward",
            ("each image", "each expression", "each call"),
            {
                name: [f"{number / 1e9:,.2f}" for number in (work.image, work.expression, work.call)]
                for name, work in {**flops, "all": all_flops}.items()
            },
        ),
    )
    how = "float32"
    if compute is not None:
        again = ", ".join(compute.gradient_checkpointing) or "none"
        how = f"{compute.precision}, {compute.attention},\nlayers computed again in the backward pass: {again}"
    once = (all_flops.image + all_flops.expression + all_flops.call) / 1e9
    console.print(
        f"One image with one expression: {once:,.1f} GFLOP, a multiply-add counted as 2, as the tables of this task do "
        f"(DiCoR: 1611 for RSRefSeg); where it is counted as 1: {once / 2:,.1f}.\n"
        "Matrix products, convolutions and attention; adapters are not merged.\n"
    )
    console.print(
        _table(
            f"GB of memory for {costs.batch_images} x {costs.expressions_per_image} (images x expressions of each), "
            f"{how}",
            ("weights", "gradients", "optimiser", "activations", "all"),
            {
                name: [
                    f"{part / 1e9:.3f}"
                    for part in (used.weights, used.gradients, used.optimizer, used.activations, used.total)
                ]
                for name, used in costs.memory.items()
            },
        )
    )
    console.print(
        "Estimated, when it is most. On top come the process with its libraries (about 1 GB), kernels' scratch memory "
        "and what the allocator holds on to."
    )
    if costs.measured is not None:
        done = costs.measured
        console.print(
            f"Measured {done.work}: {done.median_seconds:.2f} s (median of {len(done.seconds)}), peak memory "
            f"{done.peak_memory_mb * 2**20 / 1e9:.2f} GB, on {done.device} with {done.threads} threads."
        )


def _table(title: str, columns: Sequence[str], rows: Mapping[str, Sequence[str]]) -> Table:
    table = Table(box=SIMPLE, title=title, title_justify="left")
    table.add_column("", no_wrap=True, min_width=19)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for name, cells in rows.items():
        if name == "all":
            table.add_section()
        table.add_row(name, *cells)
    return table


def main(
    model: str,
    variant: str | None,
    dataset: str | None,
    batch_images: int,
    expressions: int,
    attention: Literal["sdpa", "widened", "eager"] | None,
    precision: Literal["float32", "bfloat16"] | None,
    gradient_checkpointing: bool | None,
    measured: Work | None,
    repeats: int,
    json_file: Path | None,
) -> None:
    """Say what a model costs."""
    with clear_errors():
        config = chosen(load_params(), dataset, model, variant)
        network = with_compute(
            config.model,
            attention=attention,
            precision=precision,
            gradient_checkpointing={None: None, True: ENCODERS, False: ()}[gradient_checkpointing],
        )
        batch = (batch_images, batch_images * expressions)
        # First, while the peak of this process is still its own.
        done = None if measured is None else measure(network, config.train, measured, *batch, repeats)
        with shapes_of(network) as shapes:
            costs = Inspection(
                model=model,
                variant=config.variant,
                compute=compute_of(network),
                batch_images=batch_images,
                expressions_per_image=expressions,
                parameters=count_parameters(shapes),
                flops=count_flops(shapes),
                memory={
                    "forward": memory_of_forward(shapes, *batch),
                    "training step": memory_of_step(shapes, config.train, *batch),
                },
                measured=done,
            )
        print_costs(terminal(), costs)
        if json_file is not None:
            json_file.parent.mkdir(parents=True, exist_ok=True)
            json_file.write_text(json.dumps(costs.plain(), indent=2) + "\n", encoding="utf-8")
