"""Results read, compared with the collected runs, and grouped: one group per (dataset, model), its methods in one order
everywhere; and the systems beside each other, whatever `run` names."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.data.params_file import ParamsFileError, read_params
from benchmark.results.schema import TEST_SPLIT
from benchmark.results.store import ResultError, StoredResult, find_results, run_key
from reports.groups import Group, Method, ordered
from reports.measured import PAIRS, SpeedError, read
from reports.report import Comparison, Report, Selection
from reports.systems import REFERENCE, RSREFSEG, Speed, System, load_systems

MEASURED = Path("reports/generated/speed.csv")
OF_SYSTEMS = ["systems, a training step", "systems, an image predicted"]  # paths of experiments/speed/systems.py


def load_report(results: Path, params: Path, runs: Path | None = None, measured: Path = MEASURED) -> Report:
    """Read results and group them; with `runs`, what was collected from MLflow must be the same.

    measured: of experiments.bench, for how fast systems are; without it that is not said.

    Raises:
        FileNotFoundError: no result, no such `runs`, no params.yaml.
        ResultError: files that cannot be read, or do not agree.
    """
    stored = find_results(results)
    if not stored:
        raise FileNotFoundError(f"no result.json under {results}; run `dvc repro` first")
    selection = load_selection(params)
    if runs is not None:
        check_runs(stored, runs)
    for dataset, members in groupby(stored, key=lambda one: one.result.run.dataset):
        _check_same_data(dataset, list(members))
    own = [one for one in stored if one.result.run.outside is None]
    outside = [one for one in stored if one.result.run.outside is not None]
    ours = {one.result.run.dataset for one in own}
    keys = {
        run_key(one.result.run)[:2]
        for one in stored
        if one.result.run.outside is None or one.result.run.dataset not in ours
    }
    systems = load_systems()
    mains = {system.model: system.main for system in systems}
    groups = tuple(
        _group(
            dataset,
            model,
            mains.get(model, RSREFSEG),
            [one for one in own if run_key(one.result.run)[:2] == (dataset, model)],
            [one for one in outside if one.result.run.dataset == dataset],
            selection,
            results,
        )
        for dataset, model in sorted(keys, key=selection.place)
    )
    places = {
        (group.dataset, group.model, method.name, method.control): place
        for place, (group, method) in enumerate((group, method) for group in groups for method in group.methods)
    }
    in_order = [*sorted(own, key=lambda one: (places[_method(one)], one.result.run.seed)), *outside]
    compared = tuple(_comparisons(own, systems, selection, results, load_speeds(measured)))
    return Report(selection, tuple(in_order), groups, compared, collected=runs is not None)


def load_speeds(file: Path) -> dict[str, Speed]:
    """Model -> how fast it is, of what `experiments.bench` measured of systems (experiments/speed/systems.py).

    Raises:
        ResultError: another table.
    """
    if not file.is_file():
        return {}
    try:
        table = read(file, PAIRS)
    except SpeedError as error:
        raise ResultError(str(error)) from None
    table = table[table["path"].isin(OF_SYSTEMS)]
    seconds = table.pivot(index="case", columns="path", values="ours").reindex(columns=OF_SYSTEMS)
    if len(seconds):
        seconds.loc["mini"] = table.groupby("path")["reference"].median()
    return {str(model): Speed(float(step), 1 / float(image)) for model, step, image in seconds.itertuples()}


def load_selection(params: Path) -> Selection:
    """`run` of params.yaml, and the names it knows, in its order.

    Raises:
        FileNotFoundError: if there is no such file.
        ResultError: if a key is missing.
    """
    if not params.is_file():
        raise FileNotFoundError(
            f"{params} does not exist; run from the project's folder or name the file with --params"
        )
    try:
        content: dict[str, Any] = read_params(params)
        chosen = {key: tuple(content["run"][key]) for key in ("datasets", "models", "variants", "controls", "seeds")}
        known = {f"known_{key}": tuple(content[key]) for key in ("datasets", "models", "variants")}
        models = {name: (own or {}).get("system", RSREFSEG) for name, own in content["models"].items()}
        variants = {name: _names((own or {}).get("system", RSREFSEG)) for name, own in content["variants"].items()}
        return Selection(**chosen, **known, model_systems=models, variant_systems=variants)
    except ParamsFileError as error:
        raise ResultError(str(error)) from None
    except (KeyError, TypeError, AttributeError) as error:
        raise ResultError(
            f"{params}: key {error} is missing or not a list; the report needs run.*, datasets, models and variants"
        ) from error


def check_runs(stored: Sequence[StoredResult], runs: Path) -> None:
    """The runs collected from MLflow are the results on disk.

    Raises:
        FileNotFoundError: if `runs` does not exist.
        ResultError: naming the run and what differs.
    """
    if not runs.is_file():
        raise FileNotFoundError(f"{runs} does not exist; run `python -m experiments.collect` first")
    try:
        table = pd.read_csv(runs, dtype={"dataset": str, "model": str, "variant": str, "fingerprint": str})
        rows = {
            (row["dataset"], row["model"], row["variant"], int(row["seed"])): row for row in table.to_dict("records")
        }
    except (KeyError, ValueError) as error:  # another table, or none
        raise ResultError(
            f"{runs} is not the table of collected runs ({error}); run `python -m experiments.collect` again"
        ) from error
    wanted = {run_key(one.result.run): one for one in stored}
    if different := sorted(set(rows) ^ set(wanted)):
        where = f"{runs} but not in the results" if different[0] in rows else f"the results but not in {runs}"
        raise ResultError(f"run {different[0]} is in {where}; run `python -m experiments.collect` again")
    for key, one in wanted.items():
        wanted_values = dict(one.metrics)
        if one.result.collapse is not None:
            wanted_values["collapse_share"] = one.result.collapse.share
        collected = {name: rows[key].get(f"{TEST_SPLIT}/{name}", math.nan) for name in wanted_values}
        differing = [
            name for name, value in collected.items() if not math.isclose(value, wanted_values[name], abs_tol=1e-9)
        ]
        if rows[key].get("collapsed") != one.collapsed:
            differing.append("collapsed")
        if rows[key]["fingerprint"] != one.result.run.fingerprint:
            differing.append("fingerprint")
        if differing:
            where = f"{runs} and {one.folder} differ in {', '.join(differing)}"
            raise ResultError(f"run {key}: {where}; run `python -m experiments.collect`")


def _names(value: str | list[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _group(
    dataset: str,
    model: str,
    main: str,
    members: list[StoredResult],
    outside: list[StoredResult],
    selection: Selection,
    root: Path,
) -> Group:
    found: dict[tuple[str, bool], list[StoredResult]] = {}
    for one in members:
        found.setdefault((one.result.run.variant, one.result.run.control), []).append(one)
    seeds = sorted({one.result.run.seed for one in members if not one.result.run.control})
    methods = []
    for control, named, first in (
        (False, selection.variants_of(model), selection.known_variants),
        (True, selection.controls_of(model), selection.controls),
    ):
        for name in ordered([*named, *(name for name, kind in found if kind == control)], first):
            results = found.get((name, control), [])
            missing = set() if control else set(seeds) - {one.result.run.seed for one in results}
            methods.append(Method(name, control, () if missing else tuple(results), tuple(sorted(missing))))
    methods += [
        Method(f"outside:{one.result.run.variant}", False, (one,), outside=one.result.run.outside) for one in outside
    ]  # a name that no variant can have
    return Group(
        dataset,
        model,
        main,
        tuple(seeds),
        tuple(methods),
        root / dataset / "examples.parquet",
        root / dataset / "strata.parquet",
        root / dataset / "cases" / f"{model}.parquet",
        selection.variants_of(model),
    )


def _comparisons(
    own: Sequence[StoredResult],
    systems: Sequence[System],
    selection: Selection,
    root: Path,
    speeds: Mapping[str, Speed],
) -> Iterator[Comparison]:
    """Of each size of which two systems have results on one dataset."""
    mains = {(system.model, system.main): system for system in systems}
    found: dict[str, dict[System, list[StoredResult]]] = {}
    for one in own:
        system = mains.get((one.result.run.model, one.result.run.variant))
        if system is not None and not one.result.run.control:
            found.setdefault(one.result.run.dataset, {}).setdefault(system, []).append(one)
    datasets = ordered(list(found), selection.known_datasets)  # not as `run` has them: the same whatever it names
    for size in dict.fromkeys(system.size for system in systems):
        known = [system for system in systems if system.size == size]
        there = {name: [system for system in known if system in found[name]] for name in datasets}
        shared = [name for name in datasets if len(there[name]) > 1]
        shown = [system for system in known if any(system in there[name] for name in shared)]
        if shared:
            yield Comparison(
                size,
                tuple(known),
                tuple(shown),
                tuple(_beside(name, shown, found[name], root) for name in shared),
                tuple(name for name in datasets if len(there[name]) == 1),
                {system.model: speeds[system.model] for system in known if system.model in speeds},
            )


def _beside(
    dataset: str, systems: Sequence[System], found: Mapping[System, Sequence[StoredResult]], root: Path
) -> Group:
    """Systems as the methods of a group; one that lacks a seed which another has is without results."""
    seeds = {system: {one.result.run.seed for one in found.get(system, ())} for system in systems}
    all_seeds = set().union(*seeds.values())
    methods = []
    for system in systems:
        missing = tuple(sorted(all_seeds - seeds[system]))
        methods.append(Method(system.title, False, () if missing else tuple(found[system]), missing))
    main = next((system.title for system in systems if system.system == REFERENCE), "")
    return Group(
        dataset,
        "systems",
        main,
        tuple(sorted(all_seeds)),
        tuple(methods),
        root / dataset / "examples.parquet",
        root / dataset / "strata.parquet",
        root / dataset / "cases" / "systems.parquet",  # there are none
    )


def _method(stored: StoredResult) -> tuple[str, str, str, bool]:
    run = stored.result.run
    return run.dataset, run.model, run.variant, run.control


def _check_same_data(dataset: str, members: list[StoredResult]) -> None:
    first = members[0]
    for one in members[1:]:
        if one.result.data.manifest_sha256 != first.result.data.manifest_sha256:
            hashes = " and ".join(stored.result.data.manifest_sha256[:12] for stored in (one, first))
            raise ResultError(
                f"{one.folder} and {first.folder} were made on different versions of dataset {dataset!r} (manifest "
                f"{hashes}): they must not stand in one table. Run the older one again or delete its folder"
            )
