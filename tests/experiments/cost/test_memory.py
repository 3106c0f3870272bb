"""Estimated memory against torch's own record of real runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from accelerate import Accelerator

from experiments.cost.estimate import count_parameters, memory_of_forward, memory_of_step, shapes_of
from experiments.cost.memory import LiveBytes, Memory
from experiments.cost.random_weights import build, forward, make_batch
from experiments.settings import LossConfig, TrainConfig
from experiments.training.step import TrainStep
from models.config import ModelConfig
from tests.tiny import tiny_config

SETTINGS = TrainConfig(
    epochs=1,
    step_of="pairs",
    batch_size=1,
    expressions_per_image=None,
    lr=1e-3,
    warmup_epochs=0,
    warmup_start=0.01,
    cosine="per_epoch",
    final_lr_ratio=0.1,
    weight_decay=0.05,
    clip_norm=1.0,
    loss=LossConfig(bce=5, dice=1),
    label_side=None,
    select="last",
    threads=1,
    augment=(),
)
COMPUTES: dict[str, dict[str, Any]] = {
    "sdpa": {},
    "eager": {"attention": "eager"},
    "checkpointing": {"gradient_checkpointing": ("clip_vision", "clip_text", "sam")},
    "bfloat16": {"precision": "bfloat16"},
}
CASES = [  # every compute where it changes what lives; a forward keeps nothing that checkpointing could throw away
    *(("step", compute) for compute in COMPUTES),
    *(("forward", compute) for compute in ("sdpa", "eager", "bfloat16")),
]


def learner(compute: str = "sdpa", lora: bool = True) -> ModelConfig:
    """Small, but with what is large in the large ones: depth, relative positions, images."""
    config = tiny_config({"compute": COMPUTES[compute], **({} if lora else {"lora": None})})
    vision = {**config.sam.vision, "image_size": 128, "use_rel_pos": True, "num_hidden_layers": 3}
    prompts = {**config.sam.prompt_encoder, "image_size": 128}
    return config.model_copy(
        update={"sam": config.sam.model_copy(update={"vision": vision, "prompt_encoder": prompts})}
    )


def shallow(**parts: Any) -> ModelConfig:
    """One layer of everything: where depth does not matter."""
    plain = tiny_config(parts).model_dump(by_alias=True)
    for part in (plain["clip"]["vision"], plain["clip"]["text"], plain["sam"]["vision"]):
        part["num_hidden_layers"] = 1
    plain["sam"]["vision"]["global_attn_indexes"] = [0]
    return ModelConfig.model_validate(plain)


@cache
def estimates(compute: str, /) -> dict[str, Memory]:
    """Of two images and four expressions; read only."""
    with shapes_of(learner(compute)) as model:
        return {"forward": memory_of_forward(model, 2, 4), "step": memory_of_step(model, SETTINGS, 2, 4)}


def step_of(compute: str) -> Memory:
    return estimates(compute)["step"]


def allocated(config: ModelConfig, work: str) -> int:
    """Peak bytes of a real run by torch's profiler, which hears every allocation from the allocator itself."""
    model = build(config).train(work == "step")
    step = TrainStep(model, SETTINGS, 1, Accelerator(cpu=True))
    batch = make_batch(config.sam.image_side, 2, 4)

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
    """When, and how many bytes (less than 0: given back); but for what oneDNN's convolutions take and give back within
    themselves, which is megabytes on one processor and nothing on another: a kernel's own scratch memory."""
    for event in events:
        if event.tag.name == "Allocation":
            yield event.start_time_ns, event.extra_fields.alloc_size
        elif event.name.startswith("aten::mkldnn_convolution"):
            own = [child for child in event.children if child.tag.name == "Allocation"]
            freed = {child.extra_fields.ptr for child in own if child.extra_fields.alloc_size < 0}
            yield from allocations([child for child in event.children if child not in own])
            yield from allocations([child for child in own if child.extra_fields.ptr not in freed])
        else:
            yield from allocations(event.children)


def test_estimated_memory_is_what_a_real_run_allocates(subtests: pytest.Subtests) -> None:
    for work, compute in CASES:
        with subtests.test(msg=f"{work}, {compute}"):
            assert estimates(compute)[work].total == pytest.approx(allocated(learner(compute), work), rel=0.02)


def test_checkpointing_lowers_and_eager_attention_raises_the_memory_of_a_step() -> None:
    assert step_of("checkpointing").total < 0.7 * step_of("sdpa").total
    assert step_of("sdpa").total < step_of("eager").total


def test_what_is_frozen_keeps_no_activations() -> None:
    with shapes_of(learner(lora=False)) as model:
        assert memory_of_step(model, SETTINGS, 2, 4).activations < 0.5 * step_of("sdpa").activations


def test_activations_grow_with_the_batch_and_estimating_twice_gives_the_same() -> None:
    with shapes_of(shallow()) as model:
        small, large, again = (memory_of_step(model, SETTINGS, images, 2 * images) for images in (1, 2, 1))
    assert small == again
    assert large.activations == pytest.approx(2 * small.activations, rel=0.1)
    assert (large.weights, large.optimizer) == (small.weights, small.optimizer)


def test_weights_gradients_and_optimiser_are_of_the_declared_sizes() -> None:
    step, forward = step_of("sdpa"), estimates("sdpa")["forward"]
    with shapes_of(learner()) as model:
        counts, tensors = count_parameters(model), len(list(model.parameters()))
    parameters, trained = (sum(getattr(count, what) for count in counts.values()) for what in ("total", "trained"))
    assert 4 * parameters < step.weights < 4 * parameters + 20_000  # and buffers
    assert step.weights == forward.weights
    assert 0 < step.gradients <= 4 * trained
    assert 8 * trained < step.optimizer < 8 * trained + 4 * tensors
    assert forward.gradients == forward.optimizer == 0


def test_the_optimiser_has_its_state_also_where_its_own_step_is_the_peak() -> None:
    with shapes_of(shallow(lora={"rank": 512}, compute=COMPUTES["checkpointing"])) as model:
        trained = sum(count.trained for count in count_parameters(model).values())
        memory = memory_of_step(model, SETTINGS, 1, 1)
    assert memory.activations < memory.gradients
    assert memory.optimizer > 8 * trained


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
