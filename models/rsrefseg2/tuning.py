"""What trains of RSRefSeg 2. Adapters, where the released code puts them:
    SAM 2 (Hiera): attention `qkv` and `proj` of every block, the 1 x 1 convolutions of the neck
    SAM: attention `qkv` and `proj` of every layer, both convolutions of the neck; its MLPs have none, unlike RSRefSeg's
    CLIP: as RSRefSeg's (models/lora.py), the text head among them, for the sentence embedding is always read
In full: the prompter, what the mask depends on of the decoder and the prompt encoder, SAM 2's word for "no memory",
CLIP's logit scale and bias, and the scale of the contrast.

The released code also trains what never gets a gradient: adapters of CLIP's image pooling, the decoder's estimates and
other masks, point prompts, three scalars of the loss.
"""

from __future__ import annotations

from models.config import LoraConfig
from models.lora import MASK_DECODER, any_of, clip_targets
from models.rsrefseg2.config import RSRefSeg2Config, Sam2Config

SAM_TARGETS = r"sam\.model\.vision_encoder\.(layers\.\d+\.attn\.(qkv|proj)|neck\.conv[12])"
SAM2_TARGETS = r"sam\.model\.vision_encoder\.(backbone\.blocks\.\d+\.attn\.(qkv|proj)|neck\.convs\.\d+)"
_WHOLE = (
    *("prompter.", "contrast_scale", "clip.model.logit_scale", "clip.model.logit_bias"),
    *("sam.model.prompt_encoder.mask_embed.", "sam.model.no_memory_embedding"),
)


def adapter_targets(config: RSRefSeg2Config, lora: LoraConfig) -> str:
    """One regular expression for the whole name of every adapted module."""
    sam = SAM2_TARGETS if isinstance(config.sam, Sam2Config) else SAM_TARGETS
    return any_of([sam, *clip_targets(config.clip, lora, head=True)])


def trains(name: str) -> bool:
    """Whether the parameter of this name (in RSRefSeg2) is trained."""
    return ".lora_" in name or name.startswith(_WHOLE) or bool(MASK_DECODER.fullmatch(name))
