from __future__ import annotations

from experiments.cluster.points import find_missing
from experiments.settings import RunConfig

RUN = RunConfig(
    datasets=["synthetic"], models=["mini"], variants=["rsrefseg", "no_lora"], controls=["whole_image"], seeds=[0, 1]
)
REPORT = ("cases@synthetic-mini", "collect", "report")


def test_a_point_is_missing_if_a_stage_of_it_is_stale() -> None:
    stale = {
        "train@synthetic-mini-rsrefseg-1",
        "evaluate@synthetic-mini-no_lora-0",
        "control@synthetic-mini-whole_image",
    }
    missing = find_missing(RUN, stale)
    assert missing.points == (
        ("train@synthetic-mini-rsrefseg-1", "evaluate@synthetic-mini-rsrefseg-1"),
        ("train@synthetic-mini-no_lora-0", "evaluate@synthetic-mini-no_lora-0"),
        ("control@synthetic-mini-whole_image",),
    )
    assert (missing.inputs, missing.report) == ((), REPORT)


def test_what_every_point_needs_is_told_apart_and_the_report_may_be_all_that_is_missing() -> None:
    inputs = ("fetch@synthetic", "foundation@mini")
    assert find_missing(RUN, {*inputs, "fetch@dubai"}).inputs == inputs
    assert find_missing(RUN, {"collect"}).points == ()
    assert find_missing(RUN, {"collect"}).report == REPORT
    assert find_missing(RUN, set()).report == ()
