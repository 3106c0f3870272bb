"""Scenes a second, on one core:  pytest benchmark/speed/test_drawing.py

The operations per second that are printed are scenes per second. Wanted: 150 everyday scenes of 128 px, 40 aerial
scenes of 256 px with their expressions.
"""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmark.datasets import synthetic
from benchmark.expressions.writer import write_expressions
from benchmark.scenes.everyday import scene as everyday


@pytest.mark.parametrize("side", [128, 256])
def test_everyday_scenes(benchmark: BenchmarkFixture, side: int) -> None:
    index = count()

    def draw() -> None:
        everyday.draw_scene(np.random.default_rng([0, next(index)]), side)

    benchmark.pedantic(draw, rounds=100, warmup_rounds=3)


@pytest.mark.parametrize("side", [128, 256])
def test_aerial_scenes_with_expressions(benchmark: BenchmarkFixture, side: int) -> None:
    index = count()

    def draw_and_describe() -> None:
        rng = np.random.default_rng([0, next(index)])
        write_expressions(synthetic.draw_scene(rng, side).regions, rng)

    benchmark.pedantic(draw_and_describe, rounds=100, warmup_rounds=3)
