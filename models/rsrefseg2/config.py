"""The configuration of RSRefSeg 2: frozen parts in the manner of models/config.py, some of which are the same."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, StrictBool, model_validator

from models.config import ClipConfig, ComputeConfig, LoraConfig, Part, SamConfig

Count = Annotated[int, Field(ge=1)]
Weight = Annotated[float, Field(ge=0)]


class Sam2Config(SamConfig):
    """SAM 2. The four mappings are keyword arguments of the transformers configurations (`backbone` is Hiera's).

    Unless `mask_decoder` says otherwise, the mask that comes out is always the one that is trained: transformers, as
    the official code, replaces one it calls unstable by another, when it predicts.
    """

    backbone: dict[str, Any]

    @property
    def image_side(self) -> int:
        return int(self.prompt_encoder["image_size"])

    @property
    def grid(self) -> int:
        """Side of the image embedding, in cells."""
        return self.image_side // int(self.prompt_encoder["patch_size"])

    @model_validator(mode="after")
    def _whole_windows(self) -> Self:
        first = int(self.backbone["window_size_per_stage"][0])  # its position embedding is laid out like tiles
        if self.mask_side % first:
            raise ValueError(
                f"sam.backbone.window_size_per_stage begins with {first}, which does not divide the first grid of "
                f"{self.mask_side} cells (a quarter of sam.prompt_encoder.image_size): Hiera would not run"
            )
        return self


class CascadeConfig(Part):
    """CascadedPrompter.

    `queries` and `prompts` are numbers of vectors, `inner` the width of all `heads` of an attention together, `mlp` the
    hidden width of an MLP, `depth` the number of blocks of each kind (models/rsrefseg2/blocks.py).

    `second_query: false` is the ablation: one set of queries does both jobs.

    `text` says which tokens are read, and averaged into the first queries. `words`: the expression's own, its end token
    included. `padded`: all, as the released code does; its texts are padded to the longest of their batch, so there
    that is nearly the same, and here, at one fixed length, most of them are padding.
    """

    queries: Count = 3
    second_query: StrictBool = True
    prompts: Count = 9
    inner: Count = 512
    heads: Count = 8
    mlp: Count = 512
    depth: Count = 2
    text: Literal["words", "padded"] = "words"

    @model_validator(mode="after")
    def _equal_heads(self) -> Self:
        if self.inner % self.heads:
            raise ValueError(
                f"prompter.inner is {self.inner}, which {self.heads} heads cannot share: make it a multiple"
            )
        return self


class SideLosses(Part):
    """Weights of the losses that are not of the mask; 0 is off, and what only it needs is not built.

    `orthogonality` keeps the two sets of queries apart (there is none with one set); `contrast` pulls the second to
    CLIP's map inside the mask. `rule` of the contrast: `released`, or `corrected`, in which a small object does not
    vanish and the same words on another image are no counterexample (models/rsrefseg2/losses.py).
    """

    orthogonality: Weight = 0.5
    contrast: Weight = 0.5
    rule: Literal["released", "corrected"] = "released"


class RSRefSeg2Config(Part):
    """RSRefSeg 2: CLIP, CascadedPrompter, SAM 2 or SAM, and the adapters (`lora: null` freezes the foundation models).

    The logits' scale and bias are trained in any case.
    """

    clip: ClipConfig
    sam: Sam2Config | SamConfig
    prompter: CascadeConfig
    lora: LoraConfig | None
    side_losses: SideLosses
    compute: ComputeConfig

    @model_validator(mode="after")
    def _learnt_zero(self) -> Self:
        if self.clip.family == "clip":
            raise ValueError("clip.family is 'clip': the dense prompt needs logits with a learnt zero, take a SigLIP")
        return self
