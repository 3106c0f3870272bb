"""The three blocks of CascadedPrompter, one class each.

N expressions, T text tokens, Q queries, P prompts, V cells of CLIP's map, C CLIP's width, D SAM's. Two sets of queries
begin as the same words: the first goes with where to look, the second with what to make of it.

    A (QueryBlock)    each set reads itself and the text; then the first reads the second, the second reads the first
    B (ImageBlock)    a set reads itself; the image reads the set
    C (PromptBlock)   B with the second set; then the prompts read themselves, the second set and the image
"""

from __future__ import annotations

from torch import Tensor, nn

from models.rsrefseg2.attention import Attend, Feed
from models.rsrefseg2.config import CascadeConfig


class QueryBlock(nn.Module):
    """A. Without a second set there is nothing to exchange."""

    def __init__(self, config: CascadeConfig, width: int) -> None:
        super().__init__()
        heads = {"inner": config.inner, "heads": config.heads}
        sets = range(2 if config.second_query else 1)
        self.itself = nn.ModuleList([Attend(width, **heads) for _ in sets])
        self.text = nn.ModuleList([Attend(width, **heads) for _ in sets])
        self.text_feed = nn.ModuleList([Feed(width, config.mlp) for _ in sets])
        exchanging = sets if config.second_query else ()
        self.other = nn.ModuleList([Attend(width, **heads) for _ in exchanging])
        self.other_feed = nn.ModuleList([Feed(width, config.mlp) for _ in exchanging])

    def forward(
        self, queries: list[Tensor], positions: list[Tensor], text_NTC: Tensor, mask_NT: Tensor | None
    ) -> list[Tensor]:
        """One or two sets (N, Q, C) with their positions (Q, C) -> the same sets, having read.

        mask_NT: true where a token may be read; None: everywhere.
        """
        sets = list(queries)
        for number, attend in enumerate(self.itself):
            sets[number] = attend(sets[number], positions[number], sets[number], positions[number])
        for number, (attend, feed) in enumerate(zip(self.text, self.text_feed, strict=True)):
            sets[number] = feed(attend(sets[number], positions[number], text_NTC, mask_NK=mask_NT))
        for number, (attend, feed) in enumerate(zip(self.other, self.other_feed, strict=True)):
            other = 1 - number
            sets[number] = feed(attend(sets[number], positions[number], sets[other], positions[other]))
        return sets


class ImageBlock(nn.Module):
    """B."""

    def __init__(self, config: CascadeConfig, width: int) -> None:
        super().__init__()
        heads = {"inner": config.inner, "heads": config.heads}
        self.itself = Attend(width, **heads)
        self.image = Attend(width, **heads)
        self.image_feed = Feed(width, config.mlp)

    def forward(
        self, queries_NQC: Tensor, position_QC: Tensor, image_NVC: Tensor, position_VC: Tensor
    ) -> tuple[Tensor, Tensor]:
        """-> the queries (N, Q, C) and the image (N, V, C), having read."""
        queries_NQC = self.itself(queries_NQC, position_QC, queries_NQC, position_QC)
        image_NVC = self.image_feed(self.image(image_NVC, position_VC, queries_NQC, position_QC))
        return queries_NQC, image_NVC


class PromptBlock(nn.Module):
    """C."""

    def __init__(self, config: CascadeConfig, width: int, prompt_width: int) -> None:
        super().__init__()
        heads = {"inner": config.inner, "heads": config.heads}
        self.guide = ImageBlock(config, width)
        self.itself = Attend(prompt_width, **heads)
        self.queries = Attend(prompt_width, read_width=width, **heads)
        self.queries_feed = Feed(prompt_width, config.mlp)
        self.image = Attend(prompt_width, read_width=width, **heads)
        self.image_feed = Feed(prompt_width, config.mlp)

    def forward(
        self,
        prompts_NPD: Tensor,
        prompt_position_PD: Tensor,
        queries_NQC: Tensor,
        query_position_QC: Tensor,
        image_NVC: Tensor,
        image_position_VC: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """-> prompts (N, P, D), queries (N, Q, C) and image (N, V, C), having read."""
        queries_NQC, image_NVC = self.guide(queries_NQC, query_position_QC, image_NVC, image_position_VC)
        prompts_NPD = self.itself(prompts_NPD, prompt_position_PD, prompts_NPD, prompt_position_PD)
        read = self.queries(prompts_NPD, prompt_position_PD, queries_NQC, query_position_QC)
        prompts_NPD = self.queries_feed(read)
        read = self.image(prompts_NPD, prompt_position_PD, image_NVC, image_position_VC)
        return self.image_feed(read), queries_NQC, image_NVC
