"""AttnPrompter: text as a filter over visual features, giving SAM its sparse and dense prompts.

N expressions, T tokens, C CLIP channels, H x W CLIP patches, M = H' W' sparse prompts of SAM's width.

As released (github.com/KyanChen/RSRefSeg; the paper's section 2.2 describes the same three terms). With v the visual
features, v^ the same normalised over C, t^_d token d and g^ the sentence normalised, s and b CLIP's scale and bias:

    L_d = (v^ . t^_d) s + b        a_d = sigmoid(L_d)        local  = (v + (1/T) sum_d a_d v) / 2
    G   = (v^ . g^) s + b          a_g = sigmoid(G)          global = a_g v
    x   = GELU(BN(Conv1x1([local, global, v]))) + PE,  then stride-2 blocks, then Conv1x1     -> sparse prompts
    dense prompt = G
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from models.clip import ClipFeatures
from models.config import PrompterConfig


@dataclass(frozen=True)
class Prompts:
    """sparse_NMC: point-like embeddings · heat_NHW: the coarse mask as logits, None when the dense prompt is off."""

    sparse_NMC: Tensor
    heat_NHW: Tensor | None


def similarity(features: ClipFeatures, visual_NCHW: Tensor, text_NTC: Tensor) -> Tensor:
    """Logits (v^ . t^) s + b of every text vector with every patch -> (N, T, H, W)."""
    cosine = torch.einsum("nchw,ntc->nthw", normalize(visual_NCHW, dim=1), normalize(text_NTC, dim=-1))
    return cosine * features.scale + features.bias


class AttnPrompter(nn.Module):
    """From CLIP's features to SAM's prompts.

    Args:
        config: which terms there are; the first convolution reads only those.
        clip_width: C.
        sam_width: channels of SAM's prompts.
    """

    def __init__(self, config: PrompterConfig, *, clip_width: int, sam_width: int) -> None:
        super().__init__()
        self.config = config
        terms = 1 + config.local + config.global_
        self.fuse = _block(terms * clip_width, sam_width, kernel=1, stride=1)
        halvings = config.downsample.bit_length() - 1
        self.shrink = nn.Sequential(*[_block(sam_width, sam_width, kernel=3, stride=2) for _ in range(halvings)])
        self.project = nn.Conv2d(sam_width, sam_width, kernel_size=1)

    def forward(self, features: ClipFeatures, image_index: Tensor, position_1CHW: Tensor) -> Prompts:
        """One set of prompts for each expression.

        Args:
            features: of B images and N expressions.
            image_index: (N,) the image of each expression.
            position_1CHW: SAM's positional encoding of the H x W grid.
        """
        visual_NCHW = features.visual_BCHW[image_index]
        terms, heat_NHW = [], None
        if self.config.local:
            token_NTHW = similarity(features, visual_NCHW, features.text_NTC)
            mask_NT = features.mask_NT.to(visual_NCHW.dtype)
            terms.append((visual_NCHW + _token_mean(token_NTHW.sigmoid(), mask_NT).unsqueeze(1) * visual_NCHW) / 2)
            heat_NHW = None if self.config.global_ else _token_mean(token_NTHW, mask_NT)
        if self.config.global_:
            heat_NHW = similarity(features, visual_NCHW, features.sentence_NC.unsqueeze(1)).squeeze(1)
            terms.append(heat_NHW.sigmoid().unsqueeze(1) * visual_NCHW)
        fused = self.fuse(torch.cat([*terms, visual_NCHW], dim=1)) + position_1CHW
        sparse_NCHW = self.project(self.shrink(fused))
        return Prompts(sparse_NCHW.flatten(2).transpose(1, 2), heat_NHW if self.config.dense else None)


def _token_mean(values_NTHW: Tensor, mask_NT: Tensor) -> Tensor:
    """Mean over an expression's own tokens: padding says nothing -> (N, H, W)."""
    return torch.einsum("nthw,nt->nhw", values_NTHW, mask_NT / mask_NT.sum(1, keepdim=True))


def _block(inputs: int, outputs: int, *, kernel: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.GELU(),
    )
