"""Blocks of ground dealt out to splits; that none of the ground is in two is in test_geo.py."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.data.samples import SPLITS

pytest.importorskip("geopandas", reason="needs the extras [geo]")
from benchmark.datasets.geo_blocks import deal


@given(
    st.integers(3, 60), st.sampled_from([(0.7, 0.1, 0.2), (0.34, 0.33, 0.33), (0.02, 0.9, 0.08)]), st.integers(0, 99)
)
def test_every_split_gets_its_share_of_the_blocks_and_none_goes_without(
    count: int, shares: tuple[float, float, float], seed: int
) -> None:
    blocks = {(k // 5, -k): 1.0 for k in range(count)}
    dealt = deal(blocks, shares, seed)
    counts = Counter(dealt.values())
    assert dealt.keys() == blocks.keys()
    assert all(counts[split] >= 1 for split in SPLITS)
    assert all(abs(counts[split] - share * count) < 2 for split, share in zip(SPLITS, shares, strict=True))


def test_another_seed_deals_other_blocks() -> None:
    blocks = {(k, 0): 1.0 for k in range(30)}
    assert len({tuple(sorted(deal(blocks, (0.7, 0.1, 0.2), seed).items())) for seed in range(4)}) == 4
