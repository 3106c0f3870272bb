"""AttnPrompter: text as a filter over visual features, giving SAM its sparse and dense prompts.

N expressions, T tokens, C CLIP channels, H x W cells of CLIP's map, M = H' W' sparse prompts of SAM's width.

With v the visual features, v^ the same normalised over C, t^_d token d and g^ the sentence normalised, s CLIP's scale
and b its bias (or what stands for it: models/clip.py), each equation by its name in this file:

    similarity    L_d = (v^ . t^_d) s + b        G = (v^ . g^) s + b
    local_term    released: (v + a_l v) / 2        paper: a_l v        where a_l = (1/T) sum_d sigmoid(L_d)
    global_term   a_g v        where a_g = sigmoid(G)
    fuse          x = GELU(BN(Conv1x1([local, global, v]))) + PE, where PE is SAM's positional encoding of the cells
    shrink        x = GELU(BN(Conv3x3 stride 2 (x))), once, twice or three times
    project       sparse prompts = Conv1x1(x), its cells as M tokens
    dense prompt  G

`released` is github.com/KyanChen/RSRefSeg: g is CLIP's sentence embedding, d runs over all tokens of the expression.
`paper` is arXiv:2501.06809, section 2.2: g is the hidden state of the end-of-text token, d runs over the others, and
the local term has no residual mean. The paper's grid is 24 x 24 (`grid: 24`), which two halvings make M = 36; the
released code's is 27 x 27, hence M = 49.
Without the global term there is no G: the dense prompt is then the mean token logit (1/T) sum_d L_d.

`start`: `released` draws the convolutions as mmcv's ConvModule does (Kaiming normal, fan-out, zero bias). Prompts of
random weights mean nothing to SAM, and its decoder is trained in full: the first steps, while they reach for any mask,
undo what it had learnt. `silent` starts where SAM was: M prompts that say "not a point", and the dense prompt.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from models.clip import ClipFeatures
from models.config import PrompterConfig


@dataclass(frozen=True)
class Prompts:
    """sparse_NMC: point-like embeddings · heat_NHW: the coarse mask as logits, None when the dense prompt is off.

    local_NHW, global_NHW: the activations in [0, 1] that filtered the visual features, None for a term that is off.
    """

    sparse_NMC: Tensor
    heat_NHW: Tensor | None
    local_NHW: Tensor | None
    global_NHW: Tensor | None


def similarity(features: ClipFeatures, unit_NCHW: Tensor, text_NTC: Tensor) -> Tensor:
    """L_d and G: logits (v^ . t^) s + b of every text vector with every cell, given v^ -> (N, T, H, W)."""
    cosine = torch.einsum("nchw,ntc->nthw", unit_NCHW, normalize(text_NTC, dim=-1))
    if features.neutral_C is None:
        return cosine * features.scale + features.bias
    neutral_NHW = torch.einsum("nchw,c->nhw", unit_NCHW, normalize(features.neutral_C, dim=0))
    return (cosine - neutral_NHW.unsqueeze(1)) * features.scale


def local_term(visual_NCHW: Tensor, local_NHW: Tensor, formulation: str) -> Tensor:
    """v filtered by the mean activation of the tokens -> (N, C, H, W)."""
    filtered = local_NHW.unsqueeze(1) * visual_NCHW
    return filtered if formulation == "paper" else (visual_NCHW + filtered) / 2


def global_term(visual_NCHW: Tensor, global_NHW: Tensor) -> Tensor:
    """v filtered by the sentence's activation -> (N, C, H, W)."""
    return global_NHW.unsqueeze(1) * visual_NCHW


def token_mean(values_NTHW: Tensor, mask_NT: Tensor) -> Tensor:
    """Mean over the tokens in the mask: padding says nothing -> (N, H, W)."""
    weight_NT = mask_NT.to(values_NTHW.dtype)
    return torch.einsum("nthw,nt->nhw", values_NTHW, weight_NT / weight_NT.sum(1, keepdim=True))


def semantics(features: ClipFeatures, formulation: str) -> tuple[Tensor, Tensor]:
    """Which vector is the sentence's (N, C), and which tokens are local semantics (N, T)."""
    if formulation == "released":
        return features.sentence_NC, features.mask_NT
    end_N1 = features.mask_NT.sum(1, keepdim=True) - 1
    end_NC = features.text_NTC.gather(1, end_N1.unsqueeze(2).expand(-1, -1, features.text_NTC.shape[2])).squeeze(1)
    return end_NC, features.mask_NT.scatter(1, end_N1, False)


class AttnPrompter(nn.Module):
    """From CLIP's features to SAM's prompts.

    Args:
        config: whose equations, and which terms there are; the first convolution reads only those.
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
        if config.start == "released":
            for module in self.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(self.project.get_parameter("bias"))

    @torch.no_grad()
    def silence(self, no_point_C: Tensor) -> None:
        """Let every sparse prompt be SAM's own "not a point", whatever it is shown, until training says otherwise."""
        self.project.weight.zero_()
        self.project.get_parameter("bias").copy_(no_point_C)

    def forward(self, features: ClipFeatures, image_index: Tensor, position_1CHW: Tensor) -> Prompts:
        """One set of prompts for each expression.

        Args:
            features: of B images and N expressions.
            image_index: (N,) the image of each expression.
            position_1CHW: SAM's positional encoding of the H x W cells (CLIP's patches, or `config.grid` squared).
        """
        visual_BCHW = features.visual_BCHW
        if self.config.grid is not None:
            side = (self.config.grid, self.config.grid)
            visual_BCHW = interpolate(visual_BCHW, size=side, mode="bilinear", align_corners=False)
        visual_NCHW, unit_NCHW = visual_BCHW[image_index], normalize(visual_BCHW, dim=1)[image_index]
        sentence_NC, local_NT = semantics(features, self.config.formulation)
        terms, heat_NHW, local_NHW, global_NHW = [], None, None, None
        if self.config.local:
            token_NTHW = similarity(features, unit_NCHW, features.text_NTC)
            local_NHW = token_mean(token_NTHW.sigmoid(), local_NT)
            terms.append(local_term(visual_NCHW, local_NHW, self.config.formulation))
            heat_NHW = None if self.config.global_ else token_mean(token_NTHW, local_NT)
        if self.config.global_:
            heat_NHW = similarity(features, unit_NCHW, sentence_NC.unsqueeze(1)).squeeze(1)
            global_NHW = heat_NHW.sigmoid()
            terms.append(global_term(visual_NCHW, global_NHW))
        fused = self.fuse(torch.cat([*terms, visual_NCHW], dim=1)) + position_1CHW
        sparse_NMC = self.project(self.shrink(fused)).flatten(2).transpose(1, 2)
        return Prompts(sparse_NMC, heat_NHW if self.config.dense else None, local_NHW, global_NHW)


def _block(inputs: int, outputs: int, *, kernel: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.GELU(),
    )
