"""The configuration of a model: frozen, every unknown key refused, `None` means off and never "a default"."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictBool, model_validator

Rgb = tuple[float, float, float]


class Part(BaseModel):
    """Base of every configuration part."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class ClipConfig(Part):
    """The vision-language model. `vision` and `text` are keyword arguments of the transformers configuration.

    `projection` (width of the shared space) and `neutral` (the caption that stands for "something else", the zero of
    the logits: models/clip.py) belong to family "clip"; SigLIP has neither.

    `through_side`: images are first resized to this side (models/pixels.py), as the released code takes CLIP's from
    SAM's 1024; null resizes them directly.
    """

    family: Literal["siglip", "siglip2", "clip"]
    vision: dict[str, Any]
    text: dict[str, Any]
    projection: Annotated[int, Field(ge=1)] | None = None
    neutral: Annotated[str, Field(pattern=r"\S")] | None = None
    pixel_mean: Rgb = (0.5, 0.5, 0.5)  # SigLIP's own, of pixels in [0, 1]
    pixel_std: Rgb = (0.5, 0.5, 0.5)
    through_side: Annotated[int, Field(ge=1)] | None = None

    @property
    def image_side(self) -> int:
        return int(self.vision["image_size"])

    @property
    def width(self) -> int:
        """Channels of the visual map and of every text token: patches and words share one space."""
        return int(self.vision["hidden_size"]) if self.projection is None else self.projection

    @property
    def grid(self) -> int:
        """Side of the visual map, in patches."""
        return self.image_side // int(self.vision["patch_size"])

    @property
    def text_length(self) -> int:
        return int(self.text["max_position_embeddings"])

    @model_validator(mode="after")
    def _one_space(self) -> Self:
        for name, value in (("projection", self.projection), ("neutral", self.neutral)):
            if (value is None) == (self.family == "clip"):
                need = "needs" if self.family == "clip" else "does not have"
                raise ValueError(f"clip.{name} is {value!r}: family {self.family!r} {need} one")
        if self.family != "clip" and self.vision["hidden_size"] != self.text["hidden_size"]:
            raise ValueError(
                f"clip.vision.hidden_size is {self.vision['hidden_size']} and clip.text.hidden_size is "
                f"{self.text['hidden_size']}: AttnPrompter compares patches with words, make them equal"
            )
        return self


class SamConfig(Part):
    """The segmentation model. The three mappings are keyword arguments of the transformers configurations."""

    vision: dict[str, Any]
    prompt_encoder: dict[str, Any]
    mask_decoder: dict[str, Any]
    pixel_mean: Rgb = (0.485, 0.456, 0.406)  # SAM's own (ImageNet), of pixels in [0, 1]
    pixel_std: Rgb = (0.229, 0.224, 0.225)

    @property
    def image_side(self) -> int:
        return int(self.vision["image_size"])

    @property
    def grid(self) -> int:
        """Side of the image embedding, in cells."""
        return self.image_side // int(self.vision["patch_size"])

    @property
    def mask_side(self) -> int:
        """Side of mask prompts and of the logits that come out, in cells."""
        return 4 * self.grid

    @property
    def width(self) -> int:
        return int(self.prompt_encoder["hidden_size"])


class PrompterConfig(Part):
    """AttnPrompter. Each of its terms can be switched off; one that is off is not built.

    A switch is true or false: a word that looks like one ("False") is refused, not guessed at. `formulation` says whose
    equations (models/prompter.py). `grid` is the side to which CLIP's map is resized first; null keeps it as it is.
    `start` is what the convolutions begin with (models/prompter.py): the released code's Kaiming weights, torch's own,
    or weights with which every sparse prompt says "not a point" to SAM.
    """

    formulation: Literal["released", "paper"] = "released"
    local: StrictBool = True
    global_: Annotated[StrictBool, Field(alias="global")] = True
    dense: StrictBool = True
    downsample: Literal[2, 4, 8] = 4
    grid: Annotated[int, Field(ge=1)] | None = None
    start: Literal["released", "torch", "silent"] = "released"

    @model_validator(mode="after")
    def _some_text(self) -> Self:
        if not (self.local or self.global_):
            raise ValueError("prompter.local and prompter.global are both false: no text would reach the mask")
        return self


class LoraConfig(Part):
    """Low-rank adapters of the image encoders and the text encoder (released settings: rank 16, alpha 16).

    `text` says which layers of the text encoder have them.
    """

    rank: Annotated[int, Field(ge=1)] = 16
    alpha: Annotated[float, Field(gt=0)] = 16
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    text: Literal["all", "upper_half", "frozen"] = "all"


Encoder = Literal["clip_vision", "clip_text", "sam"]


class ComputeConfig(Part):
    """How the encoders are run. `precision` is theirs (autocast); AttnPrompter and SAM's decoder stay in float32.

    `attention` is how, never what is computed: fused, fused with SAM's relative positions inside the heads (for a GPU:
    models/sam_attention.py), or plain. `compile` is of every layer.
    `gradient_checkpointing` names the encoders whose layers are computed again in the backward pass instead of kept.
    """

    attention: Literal["sdpa", "widened", "eager"] = "sdpa"
    precision: Literal["float32", "bfloat16"] = "float32"
    gradient_checkpointing: tuple[Encoder, ...] = ()
    compile: StrictBool = False


class SettingError(ValueError):
    """A setting that a foundation model does not have."""


def check_keys(where: str, settings: Mapping[str, Any], config: type) -> None:
    """Refuse a setting that the transformers configuration class does not have: it would be kept and mean nothing.

    Raises:
        SettingError: naming the key and the nearest known one.
    """
    known = inspect.signature(config).parameters
    for key in settings:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            raise SettingError(f"{where}.{key}: unknown key; did you mean {close[0] if close else sorted(known)}?")


class ModelConfig(Part):
    """RSRefSeg: CLIP, AttnPrompter, SAM, and the adapters (`lora: null` freezes both foundation models)."""

    clip: ClipConfig
    sam: SamConfig
    prompter: PrompterConfig
    lora: LoraConfig | None
    compute: ComputeConfig

    @property
    def prompter_grid(self) -> int:
        """Side of the map that AttnPrompter works on, in cells."""
        return self.prompter.grid or self.clip.grid
