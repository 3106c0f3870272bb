from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.data.errors import SampleError
from benchmark.results.cases import COLUMNS, choose_cases, decode_map, encode_map, load_cases


def lines(ious: list[float], images: str | None = None, empty: tuple[int, ...] = ()) -> pd.DataFrame:
    """A per-sample table: sample s0, s1, ... on image `images[i]` (by default one each)."""
    union = np.full(len(ious), 100)
    area = np.where(np.isin(np.arange(len(ious)), empty), 0, 50)
    return pd.DataFrame(
        {
            "sample_id": [f"s{place}" for place in range(len(ious))],
            "image_id": list(images or "abcdefghijkl"[: len(ious)]),
            "category": None, "mask_area": area, "predicted_area": 50,
            "intersection": np.round(100 * np.array(ious)).astype(int), "union": union,
        }
    )  # fmt: skip


def test_each_rule_by_hand() -> None:
    reference = lines([0.9, 0.1, 0.5, 0.6, 0.4, 0.5, 0.4])
    others = [lines([0.1, 0.8, 0.5, 0.5, 0.4, 0.5, 0.5]), lines([0.3, 0.8, 0.5, 0.5, 0.4, 0.5, 0.5])]
    cases = choose_cases(reference, others, per_rule=1)
    assert cases[:3] == [("gain", "s0"), ("loss", "s1"), ("median", "s2")]  # +0.7, -0.7 (not s6's -0.1), median 0.5
    assert cases[3][0] == "random"
    assert cases[3][1] in {"s3", "s4", "s5", "s6"}
    assert len({name for _, name in choose_cases(reference, others)}) == 7  # no sample twice: random finds one less


def test_no_gain_is_shown_where_there_is_none_and_no_loss() -> None:
    same = lines([0.2, 0.4, 0.6])
    assert [rule for rule, _ in choose_cases(same, [same])] == ["median", "median", "random"]
    assert [rule for rule, _ in choose_cases(same, [], per_rule=1)] == ["median", "random"]


def test_an_image_is_shown_once_while_there_is_another() -> None:
    reference = lines([0.9, 0.8, 0.3, 0.3], images="aabb")
    worse = lines([0.0, 0.0, 0.2, 0.25], images="aabb")
    assert choose_cases(reference, [worse])[:2] == [("gain", "s0"), ("gain", "s2")]
    one_image = lines([0.9, 0.8], images="aa")
    assert choose_cases(one_image, [lines([0.0, 0.0], images="aa")])[:2] == [("gain", "s0"), ("gain", "s1")]


def test_samples_of_what_is_not_there_are_no_cases_and_the_seed_decides() -> None:
    table = lines([1.0] + [0.1 * place for place in range(9)], empty=(0,))
    drawn = {tuple(choose_cases(table, [], seed=seed)) for seed in range(20)}
    assert len(drawn) > 3
    assert all(name != "s0" for cases in drawn for _, name in cases)
    assert choose_cases(table, [], seed=3) == choose_cases(table, [], seed=3)
    with pytest.raises(ValueError, match="no sample has a target"):
        choose_cases(lines([1.0], empty=(0,)), [])
    with pytest.raises(ValueError, match="not on the same samples"):
        choose_cases(lines([1.0, 0.5]), [lines([1.0])])


def test_a_map_keeps_its_values_to_a_255th() -> None:
    values = np.random.default_rng(0).uniform(size=(5, 7)).astype(np.float32)
    assert np.abs(decode_map(encode_map(values)) - values).max() <= 0.5 / 255 + 1e-6


def test_what_is_no_table_of_cases_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "synthetic" / "cases" / "mini.parquet"
    with pytest.raises(FileNotFoundError, match=r"mini\.parquet does not exist; .*cases@synthetic-mini"):
        load_cases(path)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"nothing")
    with pytest.raises(SampleError, match="cannot be read"):
        load_cases(path)
    pd.DataFrame({"rule": ["gain"]}).to_parquet(path)
    with pytest.raises(SampleError, match=f"not .*{COLUMNS[-1]}"):
        load_cases(path)
