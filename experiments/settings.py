"""What params.yaml may say: its sections and a run's resolved configuration, as classes that refuse everything else."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

from pydantic import (
    BaseModel,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from benchmark.augmentation.augment import AUGMENTATIONS
from experiments.foundation_settings import FoundationConfig
from models.config import ModelConfig, Part

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
    """Fine-tuning.

    step_of, batch_size: a step takes so many pairs of image and expression, or so many images, each with at most
        `expressions_per_image` of its expressions (drawn anew each epoch; null takes all). An epoch is all of them.
    warmup_start, cosine: which curve the learning rate follows (experiments/training/schedule.py).
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


class Params(Part):
    """The whole of params.yaml."""

    run: RunConfig
    datasets: dict[str, dict[str, Any]]
    models: dict[str, dict[str, Any]]
    variants: dict[str, dict[str, Any]]
    train: TrainConfig
    evaluate: EvaluateConfig
    loader: LoaderConfig
    foundation: dict[str, FoundationConfig]


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
        lines = []
        for fault in error.errors():
            place = ".".join(str(step) for step in fault["loc"])
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
