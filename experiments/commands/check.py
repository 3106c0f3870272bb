"""All that is wrong with the study before it runs, each fault with its remedy."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial

from benchmark.output.terminal import say, terminal
from experiments.config import (
    PARAMS,
    check_controls,
    dataset_config,
    datasets_alone,
    load_params,
    model_config,
    resolve,
)
from experiments.preflight.inputs import find_inputs
from experiments.preflight.machine import folder_faults, git_faults, room_faults
from experiments.preflight.server import server_fault
from experiments.settings import ConfigError, Params, nearest


def params_faults(params: Params) -> Iterator[str]:
    """What is wrong with the runs that `run` names, each fault once."""
    run = params.run
    for dataset in run.datasets:
        yield from _fault(partial(dataset_config, params, dataset))
    for model in run.models:
        if model not in params.foundation:
            yield f"{PARAMS}: unknown foundation {model!r}{nearest(model, params.foundation)}"
        yield from _fault(partial(check_controls, model, run.controls))
        yield from _fault(partial(model_config, params, model))
    said: set[str] = set()
    for dataset, model, variant in itertools.product(run.datasets, run.models, run.variants):
        for fault in _fault(partial(resolve, params, dataset, model, variant, run.seeds[0])):
            # the same in every run that has it
            what = fault.partition(f"{dataset} x {model} x {variant}: ")[2] or fault
            if what not in said:
                said.add(what)
                yield fault
    yield from _same_names(params)


def _fault(read: Callable[[], object]) -> Iterator[str]:
    """What `read` says of params.yaml, if anything."""
    try:
        read()
    except ConfigError as error:
        yield str(error)


def _same_names(params: Params) -> Iterator[str]:
    """Runs whose stages DVC would call by one name: "-" joins the parts, and may be in them."""
    run, first = params.run, dict[str, tuple[str, ...]]()
    for point in itertools.product(run.datasets, run.models, [*run.variants, *run.controls]):
        other = first.setdefault("-".join(point), point)
        if other != point:
            both = " and ".join(" x ".join(one) for one in (other, point))
            yield f"{PARAMS}: run: the stages of {both} would have one name, {'-'.join(point)}; rename one part"


def find_faults() -> tuple[list[str], list[str], str]:
    """All faults, what else a person should know, and a line on what will run."""
    faults, notes, runs = list(git_faults()), [], ""
    try:
        params = load_params()
    except ConfigError as error:
        faults.append(str(error))
        if (rest := datasets_alone()) is not None:
            for dataset in rest.run.datasets:
                faults += _fault(partial(dataset_config, rest, dataset))
            faults += find_inputs(rest).faults
    else:
        run = params.run
        faults += params_faults(params)
        needed = find_inputs(params)
        faults += [*needed.faults, *room_faults(params, needed.datasets, needed.models)]
        notes += needed.notes
        count = len(run.datasets) * len(run.models) * len(run.variants) * len(run.seeds)
        runs = f"{PARAMS}: {count} runs and {len(run.controls)} controls for each dataset and model"
    faults += folder_faults()
    if (fault := server_fault()) is not None:
        faults.append(fault)
    return faults, notes, runs


def main() -> None:
    """Look at everything; name all that is wrong."""
    faults, notes, runs = find_faults()
    console, errors = terminal(soft_wrap=True), terminal(stderr=True, soft_wrap=True)
    for note in notes:
        say(console, f"note: {note}")
    for fault in faults:
        say(errors, f"error: {fault}", style="red")
    if faults:
        say(errors, f"nothing is run before {'this is' if len(faults) == 1 else 'these are'} mended", style="red")
        raise SystemExit(1)
    say(console, runs)
