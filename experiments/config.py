"""params.yaml + dataset + model + variant + seed -> one resolved ExperimentConfig.

resolved = defaults <- models.<model> <- datasets.<dataset>.overlay <- variants.<variant>, each a difference.
A `null` replaces what it meets: it means off, never "the default".
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from benchmark.data.samples import Dataset, load_dataset
from benchmark.datasets import DATASETS, KINDS, DatasetEntry
from benchmark.datasets.spec import DatasetConfig
from experiments.settings import ConfigError, ExperimentConfig, Params, nearest, parse
from models.config import ModelConfig
from models.zoo import CONTROLS, MODELS

PARAMS = Path("params.yaml")
DATA = Path("data")
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"  # of a dataset: it names a folder
MODEL_PARTS = ("clip", "sam", "prompter", "lora", "compute")
OVERLAY = (*MODEL_PARTS, "train")


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
        ConfigError: unreadable, or an unknown key, dataset, model, variant or control.
    """
    if not file.is_file():
        raise ConfigError(f"{file}: not found; run from the project's folder")
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ConfigError(f"{file}: not valid YAML: {error}") from None
    params = parse(Params, data, str(file))
    for where, names, known in (
        ("models", params.models, MODELS),
        ("foundation", params.foundation, MODELS),
        ("run.datasets", params.run.datasets, params.datasets),
        ("run.models", params.run.models, params.models),
        ("run.variants", params.run.variants, params.variants),
        ("run.controls", params.run.controls, CONTROLS),
    ):
        for name in names:
            if name not in known:
                raise ConfigError(f"{file}: {where}: unknown name {name!r}{nearest(name, known)}")
    for name in params.datasets:
        source_of(params, name, file)
    for name in params.variants:
        if name in CONTROLS:
            raise ConfigError(f"{file}: variants.{name}: a control has this name; give the variant another")
    overlays = {
        **{f"models.{name}": overlay for name, overlay in params.models.items()},
        **{f"datasets.{name}.overlay": own.get("overlay", {}) for name, own in params.datasets.items()},
        **{f"variants.{name}": overlay for name, overlay in params.variants.items()},
    }
    for where, overlay in overlays.items():
        if not isinstance(overlay, Mapping):
            raise ConfigError(f"{file}: {where} = {overlay!r}: not a mapping; leave it out, or write {{}}")
        for key in overlay:
            if key not in OVERLAY:
                raise ConfigError(f"{file}: {where}.{key}: unknown key{nearest(key, OVERLAY)}")
    return params


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
    pick("dataset", dataset, params.datasets)
    if "kind" not in params.datasets[dataset]:
        if dataset not in DATASETS:
            kinds = " or ".join(KINDS)
            raise ConfigError(
                f"{file}: datasets: unknown name {dataset!r}{nearest(dataset, DATASETS)}. If it is your own, say what "
                f"kind of files it has: datasets.{dataset}.kind: {kinds}"
            )
        return DATASETS[dataset]
    kind = params.datasets[dataset]["kind"]
    if dataset in DATASETS:
        raise ConfigError(f"{file}: datasets.{dataset}.kind: {dataset} has its own files; leave kind out, or rename it")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ConfigError(f"{file}: datasets.{dataset}.kind = {kind!r}: unknown{nearest(str(kind), KINDS)}")
    if not re.fullmatch(NAME, dataset):
        raise ConfigError(f"{file}: datasets: {dataset!r} cannot name a folder; use letters, digits, '.', '_' and '-'")
    return KINDS[kind]


def dataset_config(params: Params, dataset: str) -> DatasetConfig:
    """The dataset's own configuration: what `datasets.<dataset>` says besides its `overlay` and `kind`."""
    source = source_of(params, dataset)
    own = {key: value for key, value in params.datasets[dataset].items() if key not in ("overlay", "kind")}
    return parse(source.config, own, f"{PARAMS}: datasets.{dataset}")


def open_dataset(params: Params, dataset: str) -> Dataset:
    """A dataset that was fetched, with its images wherever they are.

    Raises:
        ConfigError: params.yaml does not name it.
        FileNotFoundError, SampleError: what load_dataset() raises.
    """
    return load_dataset(DATA / dataset, dataset_config(params, dataset).images_root)


def model_config(params: Params, model: str) -> ModelConfig:
    """A model of params.yaml before any dataset or variant changes it: what its foundation weights must fit.

    Raises:
        ConfigError: an unknown name or key, with the nearest known one.
    """
    pick("model", model, params.models)
    config = merged(MODELS[model], params.models[model])
    return parse(ModelConfig, {part: config[part] for part in MODEL_PARTS}, f"{PARAMS}: models.{model}")


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
        params.variants[pick("variant", variant, params.variants)] if variant is not None else {},
    )
    for overlay in overlays:
        config = merged(config, overlay)
    return parse(
        ExperimentConfig,
        {
            "dataset": dataset,
            "model_name": model,
            "variant": variant or "",
            "seed": seed,
            "model": {part: config[part] for part in MODEL_PARTS},
            "train": config["train"],
        },
        f"{PARAMS}: {dataset} x {model} x {variant}",
    )
