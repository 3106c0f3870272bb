"""params.yaml + dataset + model + variant + seed -> one resolved ExperimentConfig.

resolved = defaults <- models.<model> <- datasets.<dataset>.overlay <- variants.<variant>, each a difference.
A `null` replaces what it meets: it means off, never "the default".
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar, get_args

import yaml
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from benchmark.data.samples import Dataset, load_dataset
from benchmark.datasets import DATASETS, KINDS, Source
from benchmark.datasets.spec import DatasetConfig
from experiments.foundation_settings import MARKS, Foundation
from experiments.foundation_settings import Recipe as Recipe
from models.config import ModelConfig, Part
from models.zoo import MODELS

PARAMS = Path("params.yaml")
DATA = Path("data")
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"  # of a dataset: it names a folder
MODEL_PARTS = ("clip", "sam", "prompter", "lora", "compute")
OVERLAY = (*MODEL_PARTS, "train")
CONTROLS = ("whole_image", "clip_heat_map", "heat_map_point")  # models/baselines.py
T = TypeVar("T", bound=BaseModel)


class ConfigError(ValueError):
    """A parameter file that cannot be used; the message names file, key, value and remedy."""


class RunConfig(Part):
    """Which points of dataset x model x variant x seed the pipeline makes."""

    datasets: Annotated[list[str], Field(min_length=1)]
    models: Annotated[list[str], Field(min_length=1)]
    variants: Annotated[list[str], Field(min_length=1)]
    controls: list[str]
    seeds: Annotated[list[Annotated[int, Field(ge=0, lt=2**32)]], Field(min_length=1)]

    @field_validator("datasets", "models", "variants", "controls", "seeds")
    @classmethod
    def _distinct(cls, values: list[Any]) -> list[Any]:
        if len(set(values)) != len(values):
            raise ValueError(f"{values} names something twice; name each once")
        return values


class LossConfig(Part):
    """The weight of each named loss (experiments/training/losses.py); 0 switches one off."""

    bce: Annotated[float, Field(ge=0)]
    dice: Annotated[float, Field(ge=0)]

    @model_validator(mode="after")
    def _some_loss(self) -> Self:
        if self.bce == 0 and self.dice == 0:
            raise ValueError("bce and dice are both 0: there is nothing to learn from; give one a weight")
        return self


class TrainConfig(Part):
    """Fine-tuning. Epochs of images: every step takes `batch_images` images, each with at most
    `expressions_per_image` of its expressions (drawn anew each epoch; null takes all)."""

    epochs: Annotated[int, Field(ge=1)]
    warmup_epochs: Annotated[float, Field(ge=0)]
    batch_images: Annotated[int, Field(ge=1)]
    expressions_per_image: Annotated[int, Field(ge=1)] | None
    lr: Annotated[float, Field(gt=0)]
    final_lr_ratio: Annotated[float, Field(ge=0, le=1)]
    weight_decay: Annotated[float, Field(ge=0)]
    clip_norm: Annotated[float, Field(gt=0)] | None
    loss: LossConfig


class EvaluateConfig(Part):
    """batch_images: how many go through the model at once when it is measured, a matter of memory, never of the result.

    sides: the masks are compared once more when resized to side x side pixels, for each of these.
    """

    batch_images: Annotated[int, Field(ge=1)]
    sides: tuple[Annotated[int, Field(ge=1)], ...] = ()


class LoaderConfig(Part):
    """Threads that decode images ahead of the model: a matter of speed, never of the result."""

    workers: Annotated[int, Field(ge=0)]


class Params(Part):
    """The whole of params.yaml."""

    run: RunConfig
    datasets: dict[str, dict[str, Any]]
    models: dict[str, dict[str, Any]]
    variants: dict[str, dict[str, Any]]
    train: TrainConfig
    evaluate: EvaluateConfig
    loader: LoaderConfig
    foundation: dict[str, Foundation]


class ExperimentConfig(Part):
    """Everything that one run depends on besides its data and foundation weights."""

    dataset: str
    model_name: str
    variant: str
    seed: int
    model: ModelConfig
    train: TrainConfig

    def plain(self) -> dict[str, Any]:
        """As JSON types, with the names of params.yaml."""
        return self.model_dump(mode="json", by_alias=True)


def fingerprint(plain: Any, *hashes: str) -> str:
    """16 hexadecimal digits of a configuration and of what else a run depends on (data, foundation weights)."""
    return hashlib.sha256(json.dumps([plain, *hashes], sort_keys=True).encode()).hexdigest()[:16]


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of an error message: the nearest known name, or all of them."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(sorted(known))}"


def pick(kind: str, name: str, known: Mapping[str, Any] | Iterable[str]) -> str:
    """`name` if it is known.

    Raises:
        ConfigError: it is not; the nearest known name is given.
    """
    if name not in known:
        raise ConfigError(f"unknown {kind} {name!r}{nearest(name, known)}")
    return name


def parse(cls: type[T], data: Any, where: str) -> T:
    """Validate `data` as `cls`.

    Raises:
        ConfigError: every fault in one message, each with its place, value and remedy.
    """
    try:
        return cls.model_validate(data)
    except ValidationError as error:
        lines = []
        for fault in error.errors():
            place = ".".join(str(step) for step in fault["loc"] if step not in MARKS)
            if fault["type"] == "extra_forbidden":
                lines.append(f"{place}: unknown key{nearest(str(fault['loc'][-1]), _field_names(cls))}")
            elif fault["type"] == "missing":
                lines.append(f"{place}: missing; add it")
            elif fault["type"] == "value_error" and isinstance(fault["input"], Mapping):  # of its parts together
                lines.append(f"{place}: {fault['ctx']['error']}" if place else str(fault["ctx"]["error"]))
            elif fault["type"] == "value_error":
                lines.append(f"{place} = {fault['input']!r}: {fault['ctx']['error']}")
            else:
                lines.append(f"{place} = {fault['input']!r}: {fault['msg']}")
        raise ConfigError(f"{where}: " + "\n  ".join(lines)) from None


def _field_names(cls: type[BaseModel]) -> set[str]:
    """Names of the fields of a configuration class and of the classes inside it."""
    names: set[str] = set()
    for name, field in cls.model_fields.items():
        names.add(field.alias or name)
        for inner in _classes(field.annotation):
            names |= _field_names(inner)
    return names


def _classes(annotation: Any) -> Iterator[type[BaseModel]]:
    """Every configuration class inside an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _classes(inner)


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


def source_of(params: Params, dataset: str, file: Path = PARAMS) -> Source:
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
