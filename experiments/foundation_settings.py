"""The `foundation` section of params.yaml: how a model's foundation models are pretrained here, or whose they are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from models.config import Part
from models.systems import SYSTEMS
from models.zoo import SYSTEM_OF

PARTS = tuple(dict.fromkeys(part for entry in SYSTEMS.values() for part in entry.parts))


class Recipe(Part):
    """How long and how fast one foundation model is pretrained, on how many drawn scenes, at first on plain ones.

    cycles: so many trainings, each from the weights of the one before, with a schedule and scenes of its own.
    """

    steps: Annotated[int, Field(ge=1)]
    cycles: Annotated[int, Field(ge=1)] = 1
    batch_scenes: Annotated[int, Field(ge=1)]
    scenes: Annotated[int, Field(ge=1)]
    plain_steps: Annotated[int, Field(ge=0)] = 0
    lr: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    seed: Annotated[int, Field(strict=True)]


def _absent(value: object) -> bool:
    return value is None


class _Parts(Part):
    """Something for each foundation model of one system, and nothing of another system's: `part_faults`."""

    @property
    def of_parts(self) -> dict[str, Any]:
        """By the part's name, in the order of PARTS."""
        return {part: said for part in PARTS if (said := getattr(self, part, None)) is not None}


class PretrainConfig(_Parts):
    """Recipes of the foundation models that are pretrained here."""

    clip: Recipe | None = Field(default=None, exclude_if=_absent)
    sam: Recipe | None = Field(default=None, exclude_if=_absent)
    swin: Recipe | None = Field(default=None, exclude_if=_absent)
    bert: Recipe | None = Field(default=None, exclude_if=_absent)
    held_out_scenes: Annotated[int, Field(ge=1)]


class WeightsSource(Part):
    """Where one published foundation model comes from: a repository of the hub at one commit, or a local folder of
    transformers' layout. `sha256` is that of the weights file, and checked where it is given.

    Without a `revision` it is the tip of the default branch at the time: foundation.json says which commit that was.
    """

    KINDS: ClassVar[tuple[str, ...]] = ("hub", "folder")

    hub: str | None = None
    revision: str | None = None
    weights: Literal[
        "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"
    ] = "model.safetensors"
    folder: Path | None = None
    sha256: str | None = None

    @field_validator("hub", "revision", "sha256")
    @classmethod
    def _well_formed(cls, value: str | None, info: ValidationInfo) -> str | None:
        pattern, meaning = _FORMS[str(info.field_name)]
        if value is not None and not re.fullmatch(pattern, value):
            raise ValueError(f"not {meaning}")
        return value

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        given = [kind for kind in self.KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(
                f"give one of {', '.join(self.KINDS)}{'' if not given else ', not ' + ' and '.join(given)}"
            )
        stray = {"revision", "weights"} & self.model_fields_set
        if given != ["hub"] and stray:
            raise ValueError(f"{' and '.join(sorted(stray))} can only be said of hub, not of {given[0]}")
        return self


class SamWeightsSource(WeightsSource):
    """SAM may also come from an official checkpoint, sam_vit_b_01ec64.pth or its like."""

    KINDS: ClassVar[tuple[str, ...]] = ("hub", "folder", "official")

    official: Path | None = None


_FORMS = {
    "hub": (r"[\w.-]+/[\w.-]+", "a repository; write owner/name"),
    "revision": (r"[0-9a-f]{40}", "a commit; write its 40 hexadecimal digits, for a branch's content may change"),
    "sha256": (r"[0-9a-f]{64}", "a SHA-256; write its 64 hexadecimal digits, in lower case"),
}


class SourceConfig(_Parts):
    """Where the foundation models come from that are not pretrained here."""

    clip: WeightsSource | None = None
    sam: SamWeightsSource | None = None
    swin: WeightsSource | None = None
    bert: WeightsSource | None = None
    clipseg: WeightsSource | None = None
    sam3: WeightsSource | None = None


class FoundationConfig(Part):
    """Where a model's foundation models come from: `pretrain` them here, take them from a `source`, or take those of
    another model that are `like` its own."""

    pretrain: PretrainConfig | None = None
    source: SourceConfig | None = None
    like: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_level_down(cls, data: object) -> object:
        if isinstance(data, Mapping) and (stray := [part for part in PARTS if part in data]):
            raise ValueError(
                f"{' and '.join(stray)} belong{'s' if len(stray) == 1 else ''} one level down, under pretrain "
                "(recipes) or source (published weights)"
            )
        return data

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if sum(origin is not None for origin in (self.pretrain, self.source, self.like)) != 1:
            raise ValueError("give one of pretrain (recipes), source (published weights) and like (another model)")
        return self


def part_faults(foundation: Mapping[Any, Any]) -> Iterator[str]:
    """Of the section as it is written, where it may have other faults too: parts that the model's system lacks or has
    and nothing is said of, and models that cannot be like another."""
    for model, plan in foundation.items():
        if model not in SYSTEM_OF or not isinstance(plan, Mapping):
            continue
        system, place = SYSTEM_OF[model], f"foundation.{model}"
        parts = SYSTEMS[system].parts
        for origin in ("pretrain", "source"):
            if not isinstance(said := plan.get(origin), Mapping):
                continue
            if origin == "pretrain" and not set(parts) <= set(PretrainConfig.model_fields):
                yield f"{place}.pretrain: {system} is taken as it was published; give its source"
                continue
            yield from (f"{place}.{origin}.{part}: missing; add it" for part in parts if said.get(part) is None)
            strange = [part for part in PARTS if part in said and part not in parts]
            yield from (f"{place}.{origin}.{part}: {system} has none, but {' and '.join(parts)}" for part in strange)
        if "like" in plan:
            yield from _like_faults(foundation, model, plan["like"], parts)


def _like_faults(foundation: Mapping[Any, Any], model: str, other: Any, parts: Sequence[str]) -> Iterator[str]:
    place = f"foundation.{model}.like = {other!r}"
    theirs = foundation.get(other) if isinstance(other, str) and other != model else None
    if not isinstance(theirs, Mapping):
        yield f"{place}: not another model of this section; name one"
    elif "like" in theirs:
        yield f"{place}: which is itself like {theirs['like']!r}; write {theirs['like']}"
    elif other in SYSTEM_OF and (lacking := [part for part in parts if part not in SYSTEMS[SYSTEM_OF[other]].parts]):
        yield f"{place}: it has no {' and no '.join(lacking)}, which {model} needs"
