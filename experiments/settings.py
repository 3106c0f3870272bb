"""What params.yaml may say: its sections and a run's resolved configuration, as classes that refuse everything else."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, Field, ValidationError, create_model, field_validator, model_validator

from benchmark.augmentation.augment import AUGMENTATIONS
from experiments.foundation_settings import FoundationConfig
from models.config import Part
from models.systems import SYSTEMS

T = TypeVar("T", bound=BaseModel)


class ConfigError(ValueError):
    """A parameter file that cannot be used; the message names file, key, value and remedy."""


LONGEST_NAME = 60  # a stage's name has three of them, and a file system takes 255 bytes
PLAIN_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_-]{{0,{LONGEST_NAME - 1}}}")


def plain_name(name: str) -> str:
    """The name of a dataset, a model or a variant, if folders, shells, DVC's stages and its parameters' paths take it:
    DVC reads a point as the way into a mapping.

    Raises:
        ValueError: they do not; with one that they would take.
    """
    if not PLAIN_NAME.fullmatch(name):
        better = re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_-")[:LONGEST_NAME]
        instead = f", for example {better!r}" if PLAIN_NAME.fullmatch(better) else ""
        raise ValueError(
            f"cannot name a folder and a stage; give up to {LONGEST_NAME} letters without accents, digits, '_' and "
            f"'-', a letter or a digit first{instead}"
        )
    return name


Name = Annotated[str, AfterValidator(plain_name)]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**32)]  # strict: 0.0 and true would be others to DVC


class RunConfig(Part):
    """Which points of dataset x model x variant x seed the pipeline makes; without variants its training-free baselines
    alone, which is all that a zero-shot network has."""

    datasets: Annotated[list[Name], Field(min_length=1)]
    models: Annotated[list[Name], Field(min_length=1)]
    variants: list[Name]
    controls: list[str]
    seeds: Annotated[list[Seed], Field(min_length=1)]

    @field_validator("datasets", "models", "variants", "controls", "seeds")
    @classmethod
    def _distinct(cls, values: list[Any]) -> list[Any]:
        if len(set(values)) != len(values):
            raise ValueError(f"{values} names something twice; name each once")
        return values

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not (self.variants or self.controls):
            raise ValueError("variants and controls are both []: there is nothing to run; name some of either")
        return self


Weight = Annotated[float, Field(ge=0)]
OwnWeight = Annotated[float, Field(ge=0, exclude_if=lambda weight: weight == 0)]  # of a loss of one system


class LossConfig(Part):
    """The weight of each named loss (experiments/training/losses.py); 0 switches one off."""

    bce: Weight
    dice: Weight
    # 0 is left out of these: of a run that is older than they are, the fingerprint stays what it was
    class_bce: OwnWeight = 0.0
    class_dice: OwnWeight = 0.0
    squared_dice: OwnWeight = 0.0

    @model_validator(mode="after")
    def _some_loss(self) -> Self:
        if not any(self.model_dump().values()):
            names = ", ".join(type(self).model_fields)
            raise ValueError(f"{names} are all 0: there is nothing to learn from; give one a weight")
        return self


class TrainConfig(Part):
    """Fine-tuning.

    step_of, batch_size: a step takes so many pairs of image and expression, or so many images, each with at most
        `expressions_per_image` of its expressions (drawn anew each epoch; null takes all). An epoch is all of them.
    gradient_accumulation: a step takes them in so many parts, one after another, whose gradients add up: memory for one
        part, the loss of all. Norms see one part at a time, so it changes the result and belongs to what a run is.
    warmup_start, cosine, cosine_period, polynomial: which curve the learning rate follows, a cosine unless a power is
        named as `polynomial` (experiments/training/schedule.py).
    label_side: the loss is taken at label_side x label_side pixels; null: at each label's own size.
    select: keep the epoch of the highest validation mIoU, or the last one whatever validation says.
    threads: of the CPU. Sums are split among them, so their number belongs to what a run is.
    augment: which of AUGMENTATIONS change training images; their order says nothing.
    """

    epochs: Annotated[int, Field(ge=1)]
    step_of: Literal["pairs", "images"]
    batch_size: Annotated[int, Field(ge=1)]
    expressions_per_image: Annotated[int, Field(ge=1)] | None
    lr: Annotated[float, Field(gt=0)]
    warmup_epochs: Annotated[float, Field(ge=0)]
    warmup_start: Annotated[float, Field(ge=0, le=1)] | Literal["one_step"]
    cosine: Literal["per_epoch", "per_step"]
    final_lr_ratio: Annotated[float, Field(ge=0, le=1)]
    weight_decay: Annotated[float, Field(ge=0)]
    clip_norm: Annotated[float, Field(gt=0)] | None
    loss: LossConfig
    augment: tuple[str, ...]
    label_side: Annotated[int, Field(ge=1)] | None
    select: Literal["best", "last"]
    threads: Annotated[int, Field(ge=1)]
    # What says nothing is left out: of a run that is older than the setting, the fingerprint stays what it was
    cosine_period: Annotated[float, Field(gt=0, exclude_if=lambda period: period == 1)] = 1.0
    polynomial: Annotated[float | None, Field(gt=0, allow_inf_nan=False, exclude_if=lambda power: power is None)] = None
    gradient_accumulation: Annotated[int, Field(strict=True, ge=1, exclude_if=lambda parts: parts == 1)] = 1

    @field_validator("augment")
    @classmethod
    def _known_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in AUGMENTATIONS:
                raise ValueError(f"unknown augmentation {name!r}{nearest(name, AUGMENTATIONS)}")
            if names.count(name) > 1:
                raise ValueError(f"{name!r} is there twice; name each once")
        return tuple(name for name in AUGMENTATIONS if name in names)

    @model_validator(mode="after")
    def _one_curve(self) -> Self:
        if self.polynomial is not None and self.cosine_period != 1:
            raise ValueError(
                f"cosine_period is {self.cosine_period:g}, but polynomial takes the cosine's place: drop one"
            )
        return self

    @model_validator(mode="after")
    def _pairs_have_one_expression(self) -> Self:
        if self.step_of == "pairs" and self.expressions_per_image is not None:
            raise ValueError(
                f"expressions_per_image is {self.expressions_per_image}, but a step of pairs takes every expression: "
                "set it to null, or step_of to images"
            )
        return self


class EvaluateConfig(Part):
    """batch_images: how many go through the model at once when it is measured, a matter of memory, never of the result.

    sides: the masks are compared once more when resized to side x side pixels, for each of these.
    """

    batch_images: Annotated[int, Field(ge=1)]
    sides: tuple[Annotated[int, Field(ge=1)], ...] = ()


class LoaderConfig(Part):
    """Threads that decode images ahead of the model: a matter of speed, never of the result."""

    workers: Annotated[int, Field(ge=0)]


class FeaturesConfig(Part):
    """Gigabytes of disk that features of frozen encoders may take, for all runs together; 0 keeps none. A matter of
    speed, never of the result."""

    gigabytes: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class CheckpointConfig(Part):
    """Minutes between two states of a training: what a kill costs at most, never the result."""

    minutes: Annotated[float, Field(ge=0)]


class ClusterConfig(Part):
    """What a job of experiments.launch may use of a cluster: never a matter of the result.

    partition: of SLURM; null takes the cluster's default.
    hours: of one job. A training that needs more goes on in the next.
    cpus, memory_gb, gpus: cores, GiB and GPUs of one job; with 0 GPUs it trains on the CPU.
    at_once: how many jobs run at a time, at most.
    """

    partition: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.,-]+$")] | None = None
    hours: Annotated[float, Field(ge=0.1, allow_inf_nan=False)] = 24
    cpus: Annotated[int, Field(strict=True, ge=1)] = 4
    memory_gb: Annotated[float, Field(ge=0.5, allow_inf_nan=False)] = 32
    gpus: Annotated[int, Field(strict=True, ge=0)] = 1
    at_once: Annotated[int, Field(strict=True, ge=1)] = 32


class Params(Part):
    """The whole of params.yaml."""

    run: RunConfig
    datasets: dict[Name, dict[str, Any]]
    models: dict[Name, dict[str, Any]]
    variants: dict[Name, dict[str, Any]]
    train: TrainConfig
    evaluate: EvaluateConfig
    loader: LoaderConfig
    features: FeaturesConfig = FeaturesConfig(gigabytes=80)  # older files lack it
    checkpoint: CheckpointConfig = CheckpointConfig(minutes=5)  # the same
    cluster: ClusterConfig = ClusterConfig()  # the same
    foundation: dict[Name, FoundationConfig]


class ExperimentConfig(Part):
    """Everything that one run depends on besides its data and foundation weights."""

    dataset: str
    model_name: str
    variant: str
    seed: int
    model: Any  # the configuration of the system that `model_name` is a size of: run_class()
    train: TrainConfig

    @model_validator(mode="after")
    def _parts_are_of_one_size(self) -> Self:
        if self.train.batch_size % self.train.gradient_accumulation:
            raise ValueError(
                f"train.batch_size is {self.train.batch_size}, which train.gradient_accumulation "
                f"{self.train.gradient_accumulation} cannot split evenly; "
                f"give {divisors(self.train.batch_size)}, or make batch_size a multiple of it"
            )
        return self

    def plain(self) -> dict[str, Any]:
        """As JSON types, with the names of params.yaml."""
        return self.model_dump(mode="json", by_alias=True)


@cache
def run_class(system: str) -> type[ExperimentConfig]:
    """ExperimentConfig of a system's runs: `model` is of the system's own class."""
    return create_model(ExperimentConfig.__name__, __base__=ExperimentConfig, model=(SYSTEMS[system].config, ...))


def check_batch(train: TrainConfig, processes: int) -> None:
    """Hold that processes can share every batch evenly.

    Raises:
        ConfigError: they cannot; with how many could.
    """
    size, parts = train.batch_size, train.gradient_accumulation
    if size % (processes * parts):
        accumulated = f" in {parts} parts (train.gradient_accumulation)" if parts > 1 else ""
        raise ConfigError(
            f"train.batch_size is {size}, which {processes} processes cannot share evenly{accumulated}; start "
            f"{divisors(size // parts)} of them, or make it a multiple of {processes * parts}"
        )


def divisors(number: int) -> str:
    """What divides a number, for an error message: "1 or 2 or 4"."""
    return " or ".join(str(part) for part in range(1, number + 1) if number % part == 0)


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of an error message: the nearest known name, or all of them."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(sorted(known))}"


def parse(cls: type[T], data: Any, where: str) -> T:
    """Validate `data` as `cls`.

    Raises:
        ConfigError: every fault in one message, each with its place, value and remedy.
    """
    try:
        return cls.model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"{where}: " + "\n  ".join(_lines(cls, error))) from None


def faults_of(cls: type[BaseModel], data: Any) -> list[str]:
    """What is wrong with `data` as `cls`, a line each; nothing if it will do."""
    try:
        cls.model_validate(data)
    except ValidationError as error:
        return list(_lines(cls, error))
    return []


def _lines(cls: type[BaseModel], error: ValidationError) -> Iterator[str]:
    for fault in error.errors():
        *inner, last = fault["loc"] or ("",)
        place = ".".join(str(step) for step in fault["loc"])
        if last == "[key]":  # of a mapping; the step before it is the key itself
            said = fault["ctx"]["error"] if fault["type"] == "value_error" else "not a text; write it in quotes"
            yield f"{'.'.join(str(step) for step in inner[:-1])}: {fault['input']!r}: {said}"
        elif fault["type"] == "extra_forbidden":
            yield f"{place}: unknown key{nearest(str(last), _field_names(cls))}"
        elif fault["type"] == "missing":
            yield f"{place}: missing; add it"
        elif fault["type"] == "value_error" and isinstance(fault["input"], Mapping):  # of its parts together
            yield f"{place}: {fault['ctx']['error']}" if place else str(fault["ctx"]["error"])
        elif fault["type"] == "value_error":
            yield f"{place} = {fault['input']!r}: {fault['ctx']['error']}"
        else:
            yield f"{place} = {fault['input']!r}: {fault['msg']}"


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
