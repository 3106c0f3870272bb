"""Counts against formulas written out by hand and published numbers; memory against torch's own record of real runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from experiments.cost.estimate import (
    COMPONENTS,
    Count,
    Flops,
    count_flops,
    count_parameters,
    memory_of_forward,
    memory_of_step,
    shapes_of,
)
from experiments.cost.memory import LiveBytes, Memory
from experiments.cost.random_weights import build, forward, make_batch
from experiments.settings import LossConfig, TrainConfig
from experiments.training.step import TrainStep
from models.config import ModelConfig
from models.rsrefseg import RSRefSeg
from models.zoo import MODELS
from tests.tiny import FAMILIES, VARIANTS, tiny_config, write_foundation

SETTINGS = TrainConfig(
    epochs=1,
    warmup_epochs=0,
    batch_images=1,
    expressions_per_image=None,
    lr=1e-3,
    final_lr_ratio=0.1,
    weight_decay=0.05,
    clip_norm=1.0,
    loss=LossConfig(bce=5, dice=1),
)
SIGLIP_POOLING_HEAD = (  # of so400m: a query, attention, a norm and an MLP; not built, because nothing reads it
    1152 + 4 * (1152**2 + 1152) + 2 * 1152 + (1152 * 4304 + 4304) + (4304 * 1152 + 1152)
)


def zoo_config(name: str, **parts: Any) -> ModelConfig:
    return ModelConfig.model_validate({**MODELS[name], **parts})


def counted(config: ModelConfig) -> dict[str, Count]:
    with shapes_of(config) as model:
        return count_parameters(model)


def worked(config: ModelConfig) -> dict[str, Flops]:
    with shapes_of(config) as model:
        return count_flops(model)


def total(config: ModelConfig) -> int:
    return sum(count.total for count in counted(config).values())


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


@pytest.mark.parametrize(
    ("name", "width", "layers", "published"),
    [  # the official models' parameters; their positional frequencies (2 x 128) are no parameters there
        ("rsrefseg-b", 768, 12, 93_735_472),
        ("rsrefseg-l", 1024, 24, 312_342_832),
        ("rsrefseg-h", 1280, 32, 641_090_608),
    ],
)
def test_sam_has_the_published_number_of_parameters(name: str, width: int, layers: int, published: int) -> None:
    counts = counted(zoo_config(name, lora=None))
    ours = sum(count.total for component, count in counts.items() if component.startswith("SAM"))
    assert ours - 2 * 128 == sam_parameters(width, layers) == published


def test_siglip_has_the_published_number_of_parameters_but_for_its_pooling_head() -> None:
    layer = 4 * linear(1152, 1152) + linear(1152, 4304) + linear(4304, 1152) + 4 * 1152
    vision = 27 * layer + linear(3 * 14 * 14, 1152) + 27 * 27 * 1152 + 2 * 1152
    text = 27 * layer + 32_000 * 1152 + 64 * 1152 + 2 * 1152 + linear(1152, 1152)
    counts = counted(zoo_config("rsrefseg-b", lora=None))
    assert counts["CLIP vision"].total == vision
    assert counts["CLIP text"].total == text
    assert vision + text + 2 + SIGLIP_POOLING_HEAD == 877_960_498  # google/siglip-so400m-patch14-384


def test_the_adapters_have_rank_times_inputs_and_outputs() -> None:
    counts, rank = counted(zoo_config("rsrefseg-b")), 16
    tower = 27 * 4 * rank * (1152 + 1152)
    layer = rank * ((768 + 3 * 768) + (768 + 768) + (768 + 3072) + (3072 + 768))
    assert {name: count.adapters for name, count in counts.items() if count.adapters} == {
        "CLIP vision": tower,
        "CLIP text": tower + rank * (1152 + 1152),
        "SAM image encoder": 12 * layer + rank * (768 + 256) + rank * (256 * 9 + 256),
    }


def test_only_adapters_and_the_pooling_head_together_give_the_published_984_million() -> None:
    adapted, frozen = total(zoo_config("rsrefseg-b")), total(zoo_config("rsrefseg-b", lora=None))
    sizes = {"adapters and head": adapted + SIGLIP_POOLING_HEAD, "head": frozen + SIGLIP_POOLING_HEAD}
    sizes |= {"adapters": adapted, "neither": frozen}
    assert [name for name, size in sizes.items() if round(size / 1e6) == 984] == ["adapters and head"]  # DiCoR, IV


@pytest.mark.parametrize(("name", "published"), [("rsrefseg-b", 0.98), ("rsrefseg-l", 1.2)])
def test_rsrefseg_has_the_published_size(name: str, published: float) -> None:
    billions = (total(zoo_config(name)) + SIGLIP_POOLING_HEAD) / 1e9
    assert billions == pytest.approx(published, rel=0.01)


@pytest.mark.parametrize("variant", VARIANTS)
def test_components_hold_every_parameter_once(variant: str) -> None:
    config = tiny_config(VARIANTS[variant])
    model, counts = build(config), counted(config)
    assert sum(count.total for count in counts.values()) == sum(part.numel() for part in model.parameters())
    trained = sum(part.numel() for part in model.parameters() if part.requires_grad)
    assert sum(count.trained for count in counts.values()) == trained


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


def test_flops_of_the_image_encoders_are_those_of_the_formulas() -> None:
    flops = worked(zoo_config("rsrefseg-b", lora=None))
    assert flops["SAM image encoder"] == Flops(sam_encoder_flops(768, 12, 12), 0, 0)
    assert flops["SAM image encoder"].image == pytest.approx(0.97e12, rel=0.005)  # measured elsewhere, and known
    patches, width, mlp = 27**2, 1152, 4304

    def tower(tokens: int) -> int:
        linears = 4 * product(tokens, width, width) + 2 * product(tokens, width, mlp)
        return 27 * (linears + 2 * product(tokens, width, tokens))

    assert flops["CLIP vision"] == Flops(tower(patches) + product(patches, 3 * 14 * 14, width), 0, 0)
    assert flops["CLIP text"] == Flops(0, tower(64) + product(1, width, width), 0)


@pytest.mark.parametrize("family", FAMILIES)
def test_eager_and_sdpa_attention_are_the_same_flops(family: str) -> None:
    sdpa, eager = (worked(tiny_config({"compute": {"attention": kind}}, family)) for kind in ("sdpa", "eager"))
    assert sdpa == eager


@pytest.mark.parametrize("family", FAMILIES)
def test_a_larger_call_costs_what_its_images_and_expressions_cost(family: str) -> None:
    config = tiny_config({}, family)
    parts = sum(worked(config).values(), start=Flops(0, 0, 0))
    with torch.utils.flop_counter.FlopCounterMode(display=False) as counter:
        forward(build(config).eval(), make_batch(64, 3, 5))
    assert counter.get_total_flops() == 3 * parts.image + 5 * parts.expression + parts.call


def test_the_neutral_caption_of_clip_is_paid_once_a_call() -> None:
    flops = worked(tiny_config({}, "clip"))["CLIP text"]
    assert flops.call == flops.expression > 0
    assert worked(tiny_config())["CLIP text"].call == 0


def test_flops_of_no_component_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(COMPONENTS, "AttnPrompter")
    with shapes_of(tiny_config()) as model, pytest.raises(RuntimeError, match="FLOPs are of no component"):
        count_flops(model)


# -------------------------------------------------------------------------------------------------------------- memory

COMPUTES: dict[str, dict[str, Any]] = {
    "sdpa": {},
    "eager": {"attention": "eager"},
    "checkpointing": {"gradient_checkpointing": ("clip_vision", "clip_text", "sam")},
    "bfloat16": {"precision": "bfloat16"},
}


def learner(compute: str = "sdpa", lora: bool = True) -> ModelConfig:
    """Small, but with what is large in the large ones: depth, relative positions, images."""
    config = tiny_config({"compute": COMPUTES[compute], **({} if lora else {"lora": None})})
    vision = {**config.sam.vision, "image_size": 128, "use_rel_pos": True, "num_hidden_layers": 5}
    prompts = {**config.sam.prompt_encoder, "image_size": 128}
    return config.model_copy(
        update={"sam": config.sam.model_copy(update={"vision": vision, "prompt_encoder": prompts})}
    )


@cache
def estimates(compute: str = "sdpa", lora: bool = True, images: int = 2, expressions: int = 4) -> dict[str, Memory]:
    with shapes_of(learner(compute, lora)) as model:
        return {
            "forward": memory_of_forward(model, images, expressions),
            "step": memory_of_step(model, SETTINGS, images, expressions),
        }


def allocated(config: ModelConfig, work: str, images: int = 2, expressions: int = 4) -> int:
    """Peak bytes of a real run by torch's profiler, which hears every allocation from the allocator itself."""
    model = build(config).train(work == "step")
    step = TrainStep(model, SETTINGS, 1, Accelerator(cpu=True))
    batch = make_batch(config.sam.image_side, images, expressions)

    def run() -> None:
        if work == "step":
            step.update(step.loss(batch))
        else:
            forward(model, batch)

    run()
    held = [*model.parameters(), *model.buffers(), *batch.images]
    held += [part.grad for part in model.parameters() if part.grad is not None]
    held += [value for state in step.optimizer.state.values() for value in state.values()]
    now = sum(tensor.untyped_storage().nbytes() for tensor in held)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        run()
    peak = now
    for _, size in sorted(allocations(profile.profiler.kineto_results.experimental_event_tree())):
        now += size
        peak = max(peak, now)
    return peak


def allocations(events: list[Any]) -> Iterator[tuple[int, int]]:
    """When, and how many bytes (less than 0: given back)."""
    for event in events:
        if event.tag.name == "Allocation":
            yield event.start_time_ns, event.extra_fields.alloc_size
        yield from allocations(event.children)


@pytest.mark.parametrize("compute", COMPUTES)
@pytest.mark.parametrize("work", ["forward", "step"])
def test_estimated_memory_is_what_a_real_run_allocates(work: str, compute: str) -> None:
    assert estimates(compute)[work].total == pytest.approx(allocated(learner(compute), work), rel=0.02)


def test_checkpointing_lowers_and_eager_attention_raises_the_memory_of_a_step() -> None:
    step = {name: estimates(name)["step"].total for name in COMPUTES}
    assert step["checkpointing"] < 0.7 * step["sdpa"]
    assert step["sdpa"] < step["eager"]


def test_what_is_frozen_keeps_no_activations() -> None:
    frozen, adapted = estimates(lora=False), estimates()
    assert frozen["step"].activations < 0.5 * adapted["step"].activations


def test_activations_grow_with_the_batch_and_nothing_else_does() -> None:
    small, large = estimates(images=1, expressions=2)["step"], estimates()["step"]
    assert large.activations == pytest.approx(2 * small.activations, rel=0.1)
    assert (large.weights, large.optimizer) == (small.weights, small.optimizer)


def test_weights_gradients_and_optimiser_are_of_the_declared_sizes() -> None:
    memory, counts = estimates(), counted(learner())
    parameters, trained = (sum(getattr(count, what) for count in counts.values()) for what in ("total", "trained"))
    assert 4 * parameters < memory["step"].weights < 4 * parameters + 20_000  # and buffers
    assert memory["step"].weights == memory["forward"].weights
    assert 0 < memory["step"].gradients <= 4 * trained
    assert 8 * trained < memory["step"].optimizer < 8 * trained + 4 * len(list(build(learner()).parameters()))
    assert memory["forward"].gradients == memory["forward"].optimizer == 0


def test_the_optimiser_has_its_state_also_where_its_own_step_is_the_peak() -> None:
    config = tiny_config({"lora": {"rank": 512}, "compute": COMPUTES["checkpointing"]})
    trained = sum(count.trained for count in counted(config).values())
    with shapes_of(config) as model:
        memory = memory_of_step(model, SETTINGS, 1, 1)
    assert memory.activations < memory.gradients
    assert memory.optimizer > 8 * trained


def test_estimating_twice_gives_the_same() -> None:
    with shapes_of(learner()) as model:
        first, again = (memory_of_step(model, SETTINGS, 1, 1) for _ in range(2))
        assert first == again


def test_live_bytes_count_what_lives_and_remember_the_most() -> None:
    with LiveBytes() as live:
        kept = torch.zeros(1000)
        view = kept[10:].view(-1, 10)
        assert live.now().total == 4000
        del kept
        assert live.now().total == 4000  # the view holds it
        live.file("weights", [view])
        assert live.now() == Memory(weights=4000, gradients=0, optimizer=0, activations=0)
        torch.ones(500)
        assert live.now().total == 4000
        del view
    assert live.now().total == 0
    assert live.peak == Memory(weights=4000, gradients=0, optimizer=0, activations=2000)


def test_a_memory_is_the_sum_of_its_parts() -> None:
    memory = Memory(1, 20, 300, 4000)
    assert memory.total == 4321
    assert replace(memory, weights=2).total == 4322


# ------------------------------------------------------------------------------------------------------- the stand-in


def shapes(model: nn.Module) -> dict[str, tuple[Any, ...]]:
    return {
        name: (value.shape, value.dtype, value.device, value.requires_grad) for name, value in model.named_parameters()
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_the_stand_in_is_the_model_but_for_its_values(family: str, tmp_path: Path) -> None:
    config = tiny_config({}, family)
    ours, real = build(config), RSRefSeg.from_foundation(config, write_foundation(tmp_path, family=family))
    assert shapes(ours) == shapes(real)
    buffers = dict(ours.named_buffers())
    assert buffers.keys() == dict(real.named_buffers()).keys()
    for name, value in real.named_buffers():
        assert torch.equal(buffers[name], value), name
    assert ours.sam.model.prompt_encoder.shared_embedding is ours.sam.model.shared_image_embedding


def test_the_stand_in_attends_as_configured(tmp_path: Path) -> None:
    config = tiny_config({"compute": COMPUTES["eager"]})
    ours, real = build(config), RSRefSeg.from_foundation(config, write_foundation(tmp_path))
    for name, encoder in real.encoders().items():
        assert ours.encoders()[name].config._attn_implementation == encoder.config._attn_implementation == "eager"


def test_a_batch_shares_its_expressions_out_among_its_images() -> None:
    batch = make_batch(16, 2, 5)
    assert [tuple(image.shape) for image in batch.images] == [(3, 16, 16)] * 2
    assert batch.image_index == [0, 1, 0, 1, 0]
    assert len(batch.texts) == len(batch.masks) == len(batch.sample_ids) == 5


def test_the_stand_in_computes_finite_masks_and_gradients_for_every_trained_parameter() -> None:
    model = build(learner()).train()
    batch = make_batch(128, 2, 4)
    step = TrainStep(model, SETTINGS, 1, Accelerator(cpu=True))
    step.update(step.loss(batch))
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
    logits = model.eval()(batch.images, batch.texts, batch.image_index)
    assert logits.isfinite().all()
    assert logits.shape == (4, 64, 64)


def test_nothing_initialises_weights_that_are_drawn_anyway(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    normal: Callable[..., torch.Tensor] = torch.Tensor.normal_

    def noted(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        seen.append(tensor.device.type)
        return normal(tensor, *args, **kwargs)

    monkeypatch.setattr(torch.Tensor, "normal_", noted)
    build(tiny_config())
    assert set(seen) == {"meta"}
