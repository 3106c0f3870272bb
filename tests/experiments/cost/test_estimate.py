"""Counts against formulas written out by hand and published numbers."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from torch import nn

from experiments.cost.estimate import Count, Flops, count_flops, count_parameters, shapes_of
from experiments.cost.random_weights import build, forward, make_batch
from models.config import ModelConfig
from models.rsrefseg import RSRefSeg
from models.systems import SYSTEMS
from models.zoo import MODELS, SYSTEM_OF
from tests.tiny import VARIANTS, tiny_config

SIGLIP_POOLING_HEAD = (  # of so400m: a query, attention, a norm and an MLP; not built, because nothing reads it
    1152 + 4 * (1152**2 + 1152) + 2 * 1152 + (1152 * 4304 + 4304) + (4304 * 1152 + 1152)
)


@cache
def counted(name: str) -> dict[str, Count]:
    """Parameters of a named size; read only."""
    with shapes_of(ModelConfig.model_validate(MODELS[name])) as model:
        return count_parameters(model)


def sized(name: str) -> Any:
    """The configuration of a named size of any system."""
    return SYSTEMS[SYSTEM_OF[name]].config.model_validate(MODELS[name])


@cache
def worked(family: str) -> dict[str, Flops]:
    """FLOPs of the tiny model, from shapes alone; read only."""
    with shapes_of(tiny_config({}, family)) as model:
        return count_flops(model)


# ---------------------------------------------------------------------------------------------------------- parameters


def linear(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def sam_parameters(width: int, layers: int) -> int:
    """SAM of width 768 / 1024 / 1280 at 1024 px, part by part (build_sam.py)."""
    heads = {768: 12, 1024: 16, 1280: 16}[width]
    block = linear(width, 3 * width) + linear(width, width) + 2 * linear(width, 4 * width) - 3 * width + 4 * width
    positions = 2 * (width // heads) * ((layers - 4) * (2 * 14 - 1) + 4 * (2 * 64 - 1))  # 4 layers attend globally
    patches = 3 * 16 * 16 * width + width + 64 * 64 * width
    neck = width * 256 + 256 * 256 * 9 + 4 * 256
    within, across = 4 * linear(256, 256), 3 * linear(256, 128) + linear(128, 256)
    two_way = within + 2 * across + linear(256, 2048) + linear(2048, 256) + 4 * 512
    upscaling = linear(256 * 4, 64) + 2 * 64 + linear(64 * 4, 32)
    heads_of_masks = 4 * (2 * linear(256, 256) + linear(256, 32)) + 2 * linear(256, 256) + linear(256, 4)
    decoder = 2 * two_way + across + 512 + 5 * 256 + upscaling + heads_of_masks
    prompts = 6 * 256 + linear(4, 4) + 8 + linear(4 * 4, 16) + 32 + linear(16, 256)
    return layers * block + positions + patches + neck + decoder + prompts


def test_sam_has_the_published_number_of_parameters(subtests: pytest.Subtests) -> None:
    for name, width, layers, published in (
        # the official models' parameters; their positional frequencies (2 x 128) are no parameters there
        ("rsrefseg-b", 768, 12, 93_735_472),
        ("rsrefseg-l", 1024, 24, 312_342_832),
        ("rsrefseg-h", 1280, 32, 641_090_608),
    ):
        with subtests.test(msg=name):
            config = ModelConfig.model_validate(
                {**tiny_config().model_dump(by_alias=True), "sam": MODELS[name]["sam"], "lora": None}
            )
            with shapes_of(config) as model:
                counts = count_parameters(model)
            ours = sum(count.total for component, count in counts.items() if component.startswith("SAM"))
            assert ours - 2 * 128 == sam_parameters(width, layers) == published


def test_siglip_has_the_published_number_of_parameters_but_for_its_pooling_head(paper_costs: dict[str, Any]) -> None:
    layer = 4 * linear(1152, 1152) + linear(1152, 4304) + linear(4304, 1152) + 4 * 1152
    vision = 27 * layer + linear(3 * 14 * 14, 1152) + 27 * 27 * 1152 + 2 * 1152
    text = 27 * layer + 32_000 * 1152 + 64 * 1152 + 2 * 1152 + linear(1152, 1152)
    counts = paper_costs["parameters"]
    assert counts["CLIP vision"]["total"] == vision
    assert counts["CLIP text"]["total"] == text
    assert vision + text + 2 + SIGLIP_POOLING_HEAD == 877_960_498  # google/siglip-so400m-patch14-384


def test_the_adapters_have_rank_times_inputs_and_outputs(paper_costs: dict[str, Any]) -> None:
    counts, rank = counted("rsrefseg-b"), 16
    tower = 27 * 4 * rank * (1152 + 1152)
    layer = rank * ((768 + 3 * 768) + (768 + 768) + (768 + 3072) + (3072 + 768))
    assert {name: count.adapters for name, count in counts.items() if count.adapters} == {
        "CLIP vision": tower,
        "CLIP text": tower + rank * (1152 + 1152),
        "SAM image encoder": 12 * layer + rank * (768 + 256) + rank * (256 * 9 + 256),
    }
    assert {name: count.total - count.adapters for name, count in counts.items()} == {
        name: count["total"] for name, count in paper_costs["parameters"].items()
    }


def total(counts: dict[str, Count]) -> int:
    return sum(count.total for count in counts.values())


def test_only_adapters_and_the_pooling_head_together_give_the_published_984_million(
    paper_costs: dict[str, Any],
) -> None:
    adapted = total(counted("rsrefseg-b"))
    frozen = sum(count["total"] for count in paper_costs["parameters"].values())
    sizes = {"adapters and head": adapted + SIGLIP_POOLING_HEAD, "head": frozen + SIGLIP_POOLING_HEAD}
    sizes |= {"adapters": adapted, "neither": frozen}
    assert [name for name, size in sizes.items() if round(size / 1e6) == 984] == ["adapters and head"]  # DiCoR, IV


def test_rsrefseg_has_the_published_size(subtests: pytest.Subtests) -> None:
    for name, published in (("rsrefseg-b", 0.98), ("rsrefseg-l", 1.2)):
        with subtests.test(msg=name):
            assert (total(counted(name)) + SIGLIP_POOLING_HEAD) / 1e9 == pytest.approx(published, rel=0.01)


def test_components_hold_every_parameter_once(subtests: pytest.Subtests) -> None:
    """Of every variant that has other modules, or trains others, and of every family."""
    kinds = [(name, "siglip") for name in ("rsrefseg", "no_lora", "global_only", "local_only", "no_dense_prompt")]
    kinds += [("formulation_paper", "siglip"), ("text_frozen", "siglip"), ("rsrefseg", "siglip2"), ("rsrefseg", "clip")]
    for variant, family in kinds:
        with subtests.test(msg=f"{variant} of {family}"):
            model = build(tiny_config(VARIANTS[variant], family))
            counts = count_parameters(model).values()
            assert sum(count.total for count in counts) == sum(part.numel() for part in model.parameters())
            trained = sum(part.numel() for part in model.parameters() if part.requires_grad)
            assert sum(count.trained for count in counts) == trained > 0


def test_a_parameter_of_no_component_is_refused() -> None:
    with shapes_of(tiny_config()) as model:
        model.extra = nn.Linear(2, 2)
        with pytest.raises(RuntimeError, match=r"extra\.weight is of no component"):
            count_parameters(model)


# --------------------------------------------------------------------------------------------------------------- FLOPs


def product(rows: int, inputs: int, outputs: int) -> int:
    return 2 * rows * inputs * outputs


def sam_encoder_flops(width: int, layers: int, heads: int) -> int:
    """One 1024 px image: 64 x 64 cells; windows of 14 pad them to 70 x 70."""
    head, cells, padded, window = width // heads, 64**2, 70**2, 14**2
    flops = product(cells, 3 * 16 * 16, width) + product(cells, width, 256) + product(cells, 9 * 256, 256)
    for tokens, neighbours, side, count in ((padded, window, 14, layers - 4), (cells, cells, 64, 4)):
        projections = product(tokens, width, 3 * width) + product(tokens, width, width)
        attention = heads * 2 * product(tokens, head, neighbours)
        positions = heads * 2 * product(tokens, head, side)  # along rows and along columns
        flops += count * (projections + attention + positions + 2 * product(cells, width, 4 * width))
    return flops


def test_flops_of_the_image_encoders_are_those_of_the_formulas(paper_costs: dict[str, Any]) -> None:
    flops = {name: Flops(**found) for name, found in paper_costs["flops"].items()}
    assert flops["SAM image encoder"] == Flops(sam_encoder_flops(768, 12, 12), 0, 0)
    assert flops["SAM image encoder"].image == pytest.approx(0.97e12, rel=0.005)  # measured elsewhere, and known
    patches, width, mlp = 27**2, 1152, 4304

    def tower(tokens: int) -> int:
        linears = 4 * product(tokens, width, width) + 2 * product(tokens, width, mlp)
        return 27 * (linears + 2 * product(tokens, width, tokens))

    assert flops["CLIP vision"] == Flops(tower(patches) + product(patches, 3 * 14 * 14, width), 0, 0)
    assert flops["CLIP text"] == Flops(0, tower(64) + product(1, width, width), 0)


def test_eager_attention_of_a_real_model_is_the_same_flops_as_sdpa_of_shapes(subtests: pytest.Subtests) -> None:
    for family in ("siglip", "clip"):  # to a model, siglip2 is siglip with other words
        with subtests.test(msg=family):
            assert count_flops(build(tiny_config({"compute": {"attention": "eager"}}, family))) == worked(family)


def test_a_larger_call_costs_what_its_images_and_expressions_cost(subtests: pytest.Subtests) -> None:
    for family in ("siglip", "clip"):  # to a model, siglip2 is siglip with other words
        with subtests.test(msg=family):
            parts = sum(worked(family).values(), start=Flops(0, 0, 0))
            with torch.utils.flop_counter.FlopCounterMode(display=False) as counter:
                forward(build(tiny_config({}, family)).eval(), make_batch(64, 3, 5))
            assert counter.get_total_flops() == 3 * parts.image + 5 * parts.expression + parts.call


def test_the_neutral_caption_of_clip_is_paid_once_a_call() -> None:
    flops = worked("clip")["CLIP text"]
    assert flops.call == flops.expression > 0
    assert worked("siglip")["CLIP text"].call == 0


@pytest.mark.parametrize(
    ("name", "parameters", "trained"), [("rmsin-mini", 1_862_297, 1_760_409), ("rsrefseg2-mini", 3_326_041, 1_157_039)]
)
def test_components_of_other_systems_hold_all_that_they_cost(name: str, parameters: int, trained: int) -> None:
    with shapes_of(sized(name)) as model:
        counts, flops = count_parameters(model), sum(count_flops(model).values(), start=Flops(0, 0, 0))
    assert (total(counts), sum(count.trained for count in counts.values())) == (parameters, trained)
    real = build(sized(name)).eval()
    with torch.utils.flop_counter.FlopCounterMode(display=False) as counter:
        forward(real, make_batch(real.input_side, 2, 3))
    assert counter.get_total_flops() == 2 * flops.image + 3 * flops.expression + flops.call


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "parameters", "image", "expression"),  # 1e9 multiply-adds
    [
        ("lavt", 225_642_362, 6.8, 198.5 - 6.8),
        ("rmsin", 235_842_821, 6.8, 203.1 - 6.8),
        ("rsrefseg2", 1_431_676_388, 1472 - 54, 54),
    ],
)
def test_other_systems_cost_what_docs_systems_says(name: str, parameters: int, image: float, expression: float) -> None:
    with shapes_of(sized(name)) as model:
        counts, flops = count_parameters(model), sum(count_flops(model).values(), start=Flops(0, 0, 0))
    assert total(counts) == parameters
    assert (flops.image / 2e9, flops.expression / 2e9) == pytest.approx((image, expression), abs=1)


def test_flops_of_no_component_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(RSRefSeg.components, "AttnPrompter")
    with shapes_of(tiny_config()) as model, pytest.raises(RuntimeError, match="FLOPs are of no component"):
        count_flops(model)
