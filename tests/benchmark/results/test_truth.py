"""The committed masks and the committed numbers say the same."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from benchmark.data.errors import SampleError
from benchmark.metrics.measure import measure
from benchmark.results.store import find_results
from benchmark.results.truth import TRUTH_COLUMNS, load_truth

RESULTS = Path(__file__).parents[3] / "results"


def test_the_per_sample_tables_follow_from_the_committed_masks() -> None:
    stored = [one for one in find_results(RESULTS) if len(one.predictions) == len(one.lines)]
    if not stored:
        pytest.skip("no committed result holds every mask")
    for one in stored:
        truth = load_truth(RESULTS / one.result.run.dataset / "truth.parquet")
        lines = measure(truth, one.predictions)
        pd.testing.assert_frame_equal(lines, one.lines[lines.columns.tolist()], check_dtype=False)


def test_a_truth_that_is_missing_or_damaged_is_said_with_a_remedy(tmp_path: Path) -> None:
    path = tmp_path / "synthetic" / "truth.parquet"
    with pytest.raises(FileNotFoundError, match=r"truth\.parquet does not exist; .*fetch --dataset synthetic"):
        load_truth(path)
    path.parent.mkdir()
    path.write_bytes((RESULTS / "synthetic" / "truth.parquet").read_bytes()[:1000])
    with pytest.raises(SampleError, match="cannot be read"):
        load_truth(path)
    pd.DataFrame({"sample_id": ["a"]}).to_parquet(path)
    with pytest.raises(SampleError, match=TRUTH_COLUMNS[-1]):
        load_truth(path)
