"""CascadedPrompter: two sets of queries, made of the text, turn CLIP's map into SAM's prompts, coarse to fine.

N expressions, T tokens, Q queries, P prompts, V = H W cells of CLIP's map, C CLIP's width, D SAM's, S x S SAM's mask.

    queries       q1 = q2 = the text's token states, averaged in Q parts
    A             q1 and q2 read themselves, the text, each other
    B             q1 reads itself; the image reads q1: where to look
    C             q2 reads itself; the image reads q2; P learnt prompts read themselves, q2 and the image
    sparse        MLP(prompts)
    dense         s cos(up(conv(image)), sentence) + b, with CLIP's scale s and bias b (models/rsrefseg2/dense.py)

A, B, C: models/rsrefseg2/blocks.py. Source: github.com/KyanChen/RSRefSeg2. `text: words` departs from it: there every
text is as long as the longest of its batch, and what an expression gives depends on its neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.clip import ClipFeatures
from models.rsrefseg2.attention import mlp
from models.rsrefseg2.blocks import ImageBlock, PromptBlock, QueryBlock
from models.rsrefseg2.config import CascadeConfig
from models.rsrefseg2.dense import upsampled_cosine


@dataclass(frozen=True)
class Cascade:
    """sparse_NPD: point-like embeddings · heat_NSS: the coarse mask as logits on SAM's mask grid.

    queries: the one or two sets (N, Q, C) that A made of the text.
    """

    sparse_NPD: Tensor
    heat_NSS: Tensor
    queries: list[Tensor]


def averaged_parts(text_NTC: Tensor, mask_NT: Tensor, parts: int) -> Tensor:
    """Adaptive average pooling over each text's own tokens, which come first -> (N, parts, C).

    Of L tokens, part i averages those from floor(i L / parts) to before ceil((i + 1) L / parts), as torch's
    adaptive_avg_pool1d does; of fewer tokens than parts, some are in more than one.
    """
    number_Q, place_T = (torch.arange(count, device=mask_NT.device) for count in (parts, mask_NT.shape[1]))
    length_N1 = mask_NT.sum(1, keepdim=True)
    first_NQ = number_Q * length_N1 // parts
    after_NQ = -((number_Q + 1) * -length_N1 // parts)
    inside_NQT = (place_T >= first_NQ.unsqueeze(2)) & (place_T < after_NQ.unsqueeze(2))
    return (inside_NQT.to(text_NTC.dtype) @ text_NTC) / (after_NQ - first_NQ).unsqueeze(2)


class CascadedPrompter(nn.Module):
    """From CLIP's features to SAM's prompts.

    Args:
        config: sizes, and whether there is a second set of queries.
        clip_width, clip_grid: C and H = W.
        sam_width, mask_side: D and S.
    """

    def __init__(
        self, config: CascadeConfig, *, clip_width: int, clip_grid: int, sam_width: int, mask_side: int
    ) -> None:
        super().__init__()
        self.config, self.mask_side = config, mask_side
        depth, sets = range(config.depth), range(2 if config.second_query else 1)
        self.query_positions = nn.ParameterList([torch.randn(config.queries, clip_width) for _ in sets])
        self.image_position = nn.Parameter(torch.randn(clip_grid**2, clip_width))
        self.prompts = nn.Parameter(torch.randn(config.prompts, sam_width))
        self.prompt_position = nn.Parameter(torch.randn(config.prompts, sam_width))
        self.query_blocks = nn.ModuleList([QueryBlock(config, clip_width) for _ in depth])
        self.image_blocks = nn.ModuleList([ImageBlock(config, clip_width) for _ in depth])
        self.prompt_blocks = nn.ModuleList([PromptBlock(config, clip_width, sam_width) for _ in depth])
        self.sparse = mlp(sam_width, config.mlp)
        self.dense = nn.Sequential(
            nn.Conv2d(clip_width, clip_width // 2, kernel_size=3, padding=1),
            nn.BatchNorm2d(clip_width // 2),
            nn.GELU(),
            nn.Conv2d(clip_width // 2, clip_width, kernel_size=3, padding=1),
        )

    def forward(self, features: ClipFeatures, image_index: Tensor) -> Cascade:
        """One set of prompts for each expression.

        Args:
            features: of B images and N expressions.
            image_index: (N,) the image of each expression.
        """
        read_NT = features.mask_NT if self.config.text == "words" else torch.ones_like(features.mask_NT)
        positions = list(self.query_positions)
        sets = [averaged_parts(features.text_NTC, read_NT, self.config.queries)] * len(positions)
        for block in self.query_blocks:
            sets = block(sets, positions, features.text_NTC, read_NT)
        image_NVC = features.visual_BCHW.flatten(2).transpose(1, 2)[image_index]
        queries_NQC = sets[0]
        for block in self.image_blocks:
            queries_NQC, image_NVC = block(queries_NQC, positions[0], image_NVC, self.image_position)
        prompts_NPD, queries_NQC = self.prompts.repeat(len(image_index), 1, 1), sets[-1]
        for block in self.prompt_blocks:
            prompts_NPD, queries_NQC, image_NVC = block(
                prompts_NPD, self.prompt_position, queries_NQC, positions[-1], image_NVC, self.image_position
            )
        map_NCHW = self.dense(image_NVC.transpose(1, 2).unflatten(2, features.visual_BCHW.shape[2:]))
        cosine_NSS = upsampled_cosine(map_NCHW, features.sentence_NC, self.mask_side)
        return Cascade(self.sparse(prompts_NPD), cosine_NSS * features.scale + features.bias, sets)
