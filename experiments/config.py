"""params.yaml + dataset + model + variant + seed -> one resolved ExperimentConfig.

resolved = defaults <- models.<model> <- datasets.<dataset>.overlay <- variants.<variant>, each a difference.
A `null` replaces what it meets: it means off, never "the default".

A model is a size of a system, and a variant is of the systems that it names as `system` (RSRefSeg if it names none).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.data.params_file import ParamsFileError, read_params
from benchmark.data.samples import Dataset, load_dataset
from benchmark.datasets import DATASETS, KINDS, DatasetEntry
from benchmark.datasets.spec import DatasetConfig
from benchmark.output.secrets import mask
from experiments.foundation_settings import part_faults
from experiments.places import DATA
from experiments.preflight.paths import check_path
from experiments.settings import (
    PLAIN_NAME,
    ConfigError,
    ExperimentConfig,
    Params,
    RunConfig,
    faults_of,
    nearest,
    parse,
    run_class,
)
from models.systems import SYSTEMS
from models.zoo import CONTROLS, MODELS, SYSTEM_OF

PARAMS = Path("params.yaml")
RSREFSEG = "rsrefseg"  # the system of a variant that names none


def fingerprint(plain: Any, *hashes: str) -> str:
    """16 hexadecimal digits of a configuration and of what else a run depends on (data, foundation weights)."""
    return hashlib.sha256(json.dumps([plain, *hashes], sort_keys=True).encode()).hexdigest()[:16]


def pick(kind: str, name: str, known: Mapping[str, Any] | Iterable[str]) -> str:
    """`name` if it is known.

    Raises:
        ConfigError: it is not; the nearest known name is given.
    """
    if name not in known:
        raise ConfigError(f"unknown {kind} {name!r}{nearest(name, known)}")
    return name


def load_params(file: Path = PARAMS) -> Params:
    """Read and check params.yaml: every name in it must mean something.

    Raises:
        ConfigError: unreadable, or any of: an unknown key, dataset, model, variant or control, a value that cannot be,
            a credential, which git and dvc.lock would keep. All of them are named.
    """
    try:
        data = read_params(file)
    except (FileNotFoundError, ParamsFileError) as error:
        raise ConfigError(str(error)) from None
    faults = [*faults_of(Params, data), *(_name_faults(data) if isinstance(data, Mapping) else ()), *_credentials(data)]
    if faults:
        raise ConfigError(mask(f"{file}: " + "\n  ".join(faults)))
    return Params.model_validate(data)


def datasets_alone(file: Path = PARAMS) -> Params | None:
    """Of a params.yaml that load_params() refuses, those datasets that `run` names and that have something to build
    them, and no models; None where not even these can be read."""
    try:
        data = read_params(file)
        run, own = data["run"]["datasets"], data["datasets"]
        known = {
            name: own[name]
            for name in run
            if PLAIN_NAME.fullmatch(name) and isinstance(own.get(name), Mapping) and not _source_fault(name, own[name])
        }
    except (FileNotFoundError, ParamsFileError, KeyError, TypeError, AttributeError):
        return None
    named: dict[str, Any] = {"datasets": list(known), "models": []}
    alone: dict[str, Any] = {"run": RunConfig.model_construct(**named), "datasets": known}
    return Params.model_construct(**alone)


def _name_faults(data: Mapping[str, Any]) -> Iterator[str]:
    """Names that mean nothing, of a file that may have other faults, too."""
    parts = {name: part for name, part in data.items() if isinstance(part, Mapping)}
    datasets, models, variants, run = (parts.get(name, {}) for name in ("datasets", "models", "variants", "run"))
    for where, names, known in (
        ("models", models, MODELS),
        ("foundation", parts.get("foundation", {}), MODELS),
        ("run.datasets", run.get("datasets"), datasets),
        ("run.models", run.get("models"), models),
        ("run.variants", run.get("variants"), variants),
        ("run.controls", run.get("controls"), CONTROLS),
    ):
        for name in names if isinstance(names, list | Mapping) else ():
            if isinstance(name, str) and name not in known:
                yield f"{where}: unknown name {name!r}{nearest(name, [one for one in known if isinstance(one, str)])}"
    yield from part_faults(parts.get("foundation", {}))
    for name, own in datasets.items():
        if isinstance(name, str) and isinstance(own, Mapping) and (fault := _source_fault(name, own)):
            yield fault
    for name in variants:
        if name in CONTROLS:
            yield f"variants.{name}: a control has this name; give the variant another"
    overlays = [
        *((f"models.{name}", overlay, [SYSTEM_OF.get(name, RSREFSEG)]) for name, overlay in models.items()),
        *(
            (f"datasets.{name}.overlay", own.get("overlay", {}), list(SYSTEMS))
            for name, own in datasets.items()
            if isinstance(own, Mapping)
        ),
        *((f"variants.{name}", overlay, systems_of(overlay)) for name, overlay in variants.items()),
    ]
    for where, overlay, systems in overlays:
        if isinstance(overlay, Mapping):
            yield from _overlay_faults(where, overlay, systems)
        elif where.startswith("datasets."):  # the others are said to be no mapping already
            yield f"{where} = {overlay!r}: not a mapping; leave it out, or write {{}}"


def _overlay_faults(where: str, overlay: Mapping[Any, Any], systems: Sequence[Any]) -> Iterator[str]:
    """Systems and settings that are not there, of what changes a run of some systems."""
    here = [system for system in systems if isinstance(system, str) and system in SYSTEMS]
    for system in systems:
        if system not in here:
            yield f"{where}.system: unknown name {system!r}{nearest(str(system), SYSTEMS)}"
        elif where.startswith("variants.") and not SYSTEMS[system].trains:
            yield f"{where}.system: {system!r} is never trained and has no variants; take it out"
    if where.startswith("variants.") and len(set(map(str, systems))) != max(1, len(systems)):
        yield f"{where}.system = {systems!r}: name one system at least, and each once"
    if where.startswith("models.") and overlay.get("system", *systems) != systems[0]:
        yield f"{where}.system = {overlay['system']!r}: this size is of {systems[0]!r}; write that or take another"
    for part in overlay:
        keys = {key for system in here for key in (*parts_of(system), "train")}
        if here and part not in keys and not (part == "system" and not where.startswith("datasets.")):
            yield f"{where}.{part}: unknown key{nearest(str(part), keys)}"


def systems_of(variant: Any) -> list[Any]:
    """The systems whose variant this is, an overlay of params.yaml, as they are named there."""
    named = variant.get("system", RSREFSEG) if isinstance(variant, Mapping) else RSREFSEG
    return list(named) if isinstance(named, list) else [named]


def parts_of(system: str) -> list[str]:
    """What a system's configuration is made of, with the names of params.yaml."""
    return [field.alias or name for name, field in SYSTEMS[system].config.model_fields.items()]


def _credentials(value: Any, place: str = "") -> Iterator[str]:
    """Where a text of params.yaml holds a password or a token."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _credentials(part, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from _credentials(part, f"{place}.{number}")
    elif isinstance(value, str) and mask(value) != value:
        yield (
            f"{place} = {mask(value)!r}: holds a password or a token, which git and dvc.lock would keep; take it "
            "out (and change it, if it was committed already)"
        )


def merged(base: Any, difference: Any) -> Any:
    """`base` with a difference laid over it: mappings key by key, everything else (null too) replaces."""
    if not isinstance(base, Mapping) or not isinstance(difference, Mapping):
        return difference
    return {**base, **{key: merged(base[key], value) if key in base else value for key, value in difference.items()}}


def source_of(params: Params, dataset: str, file: Path = PARAMS) -> DatasetEntry:
    """What builds a dataset of params.yaml: the one of its name, or anyone's own files of the `kind` it names.

    Raises:
        ConfigError: an unknown name or kind, with the nearest known one.
    """
    own = params.datasets[pick("dataset", dataset, params.datasets)]
    if fault := _source_fault(dataset, own):
        raise ConfigError(f"{file}: {fault}")
    return KINDS[own["kind"]] if "kind" in own else DATASETS[dataset]


def _source_fault(dataset: str, own: Mapping[str, Any]) -> str | None:
    """Why nothing can build a dataset; None if something can."""
    if "kind" not in own:
        if dataset in DATASETS:
            return None
        return (
            f"datasets: unknown name {dataset!r}{nearest(dataset, DATASETS)}. If it is your own, say what kind of "
            f"files it has: datasets.{dataset}.kind: {' or '.join(KINDS)}"
        )
    kind = own["kind"]
    if dataset in DATASETS:
        return f"datasets.{dataset}.kind: {dataset} has its own files; leave kind out, or rename it"
    if not isinstance(kind, str) or kind not in KINDS:
        return f"datasets.{dataset}.kind = {kind!r}: unknown{nearest(str(kind), KINDS)}"
    return None


def dataset_config(params: Params, dataset: str) -> DatasetConfig:
    """The dataset's own configuration: what `datasets.<dataset>` says besides its `overlay` and `kind`.

    Raises:
        ConfigError: a key or a value that cannot be; a root that is no path as the system takes it.
    """
    source = source_of(params, dataset)
    own = {key: value for key, value in params.datasets[dataset].items() if key not in ("overlay", "kind")}
    config = parse(source.config, own, f"{PARAMS}: datasets.{dataset}")
    if isinstance(root := getattr(config, "root", None), str | Path):
        check_path(f"{PARAMS}: datasets.{dataset}.root", str(root))
    return config


def open_dataset(params: Params, dataset: str) -> Dataset:
    """A dataset that was fetched, with its images wherever they are.

    Raises:
        ConfigError: params.yaml does not name it.
        FileNotFoundError, SampleError: what load_dataset() raises.
    """
    return load_dataset(DATA / dataset, dataset_config(params, dataset).images_root)


def model_config(params: Params, model: str) -> Any:
    """A model of params.yaml before any dataset or variant changes it, of its system's class: what its foundation
    weights must fit.

    Raises:
        ConfigError: an unknown name or key, with the nearest known one.
    """
    pick("model", model, params.models)
    config = merged(MODELS[model], params.models[model])
    config.pop("system", None)
    config.pop("train", None)
    return parse(SYSTEMS[SYSTEM_OF[model]].config, config, f"{PARAMS}: models.{model}")


def variants_of(params: Params, model: str) -> list[str]:
    """The variants of the system that a model is a size of."""
    return [name for name, overlay in params.variants.items() if SYSTEM_OF[model] in systems_of(overlay)]


def pick_variant(params: Params, model: str, variant: str | None) -> str:
    """`variant` if it is one of the model's system; of None the system's first.

    Raises:
        ConfigError: it is not; with those that are.
    """
    own = variants_of(params, model)
    if not own:
        raise ConfigError(
            f"{PARAMS}: {model} is never trained and has no variants: set run.variants to [], and run.controls to some "
            f"of {', '.join(SYSTEMS[SYSTEM_OF[model]].controls)}"
        )
    if variant is None:
        return own[0]
    if pick("variant", variant, params.variants) not in own:
        raise ConfigError(
            f"{PARAMS}: {model} is a size of {SYSTEM_OF[model]!r}, which has no variant {variant!r}; it has "
            f"{', '.join(own)}"
        )
    return variant


def check_controls(model: str, controls: Sequence[str]) -> None:
    """Hold that a model's foundation allows these training-free baselines.

    Raises:
        ConfigError: one it does not; with those that it does.
    """
    own = SYSTEMS[SYSTEM_OF[model]].controls
    if absent := [control for control in controls if control not in own]:
        raise ConfigError(
            f"{PARAMS}: run.controls: {model} has no training-free baseline {', '.join(absent)}; it has "
            f"{', '.join(own) or 'none: set run.controls to []'}"
        )


def resolve(params: Params, dataset: str, model: str, variant: str | None, seed: int) -> ExperimentConfig:
    """One run's whole configuration; without a variant, what a control is measured with.

    Raises:
        ConfigError: an unknown name or key, with the nearest known one.
    """
    pick("dataset", dataset, params.datasets)
    pick("model", model, params.models)
    config: dict[str, Any] = {**MODELS[model], "train": params.train.model_dump()}
    overlays = (
        params.models[model],
        params.datasets[dataset].get("overlay", {}),
        params.variants[pick_variant(params, model, variant)] if variant is not None else {},
    )
    for overlay in overlays:
        config = merged(config, overlay)
    config.pop("system", None)
    train = config.pop("train")
    return parse(
        run_class(SYSTEM_OF[model]),
        {
            "dataset": dataset,
            "model_name": model,
            "variant": variant or "",
            "seed": seed,
            "model": config,
            "train": train,
        },
        f"{PARAMS}: {dataset} x {model} x {variant}",
    )


def differences(there: Any, now: Any, place: str = "") -> Iterator[str]:
    """Every setting in which two plain configurations differ, with both values."""
    if isinstance(there, dict) and isinstance(now, dict):
        for key in sorted(there.keys() | now.keys()):
            yield from differences(there.get(key), now.get(key), f"{place}.{key}" if place else key)
    elif there != now:
        yield f"{place} was {there!r} and is {now!r}"
