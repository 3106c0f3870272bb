"""What a result says, field by field: the schema of result.json. Unknown fields are refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt

from benchmark.metrics.collapse import Collapse
from benchmark.metrics.iou import BOUNDARY, NO_TARGET, THRESHOLDS, precision_name
from benchmark.results.provenance import Meta

PROTOCOL_VERSION = "1.0"
TEST_SPLIT = "test"  # the split samples.parquet belongs to


@dataclass(frozen=True)
class Metric:
    """How a metric is called in print and which way is good."""

    title: str
    higher_is_better: bool


METRICS = {
    "miou": Metric("mIoU", higher_is_better=True),
    "oiou": Metric("oIoU", higher_is_better=True),
    **{precision_name(x): Metric(f"P@{x:g}", higher_is_better=True) for x in THRESHOLDS},
    BOUNDARY: Metric("BIoU", higher_is_better=True),
    NO_TARGET: Metric("N-acc", higher_is_better=True),
}

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]  # it names a folder
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), AfterValidator(lambda value: round(value, 6))]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False), AfterValidator(lambda value: round(value, 2))]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Run(_Record):
    """Which run this is; `control` marks a method that needs no training, `outside` (its name in print) one that was
    not run here: only its masks were scored."""

    dataset: Name
    model: Name
    variant: Name
    seed: NonNegativeInt
    control: bool
    outside: Annotated[str, Field(min_length=1)] | None = None
    config: dict[str, Any]
    fingerprint: str


class Counts(_Record):
    """Samples and distinct images of a split."""

    samples: NonNegativeInt
    images: NonNegativeInt


class Data(_Record):
    """The data it was made on; `manifest_sha256` is of the dataset's manifest.json."""

    manifest_sha256: str
    counts: dict[str, Counts]


class Training(_Record):
    """What training cost and how the weights were chosen; zeros and None for a control, None where it is not known.

    best_epoch, best_value: the epoch whose weights were kept, and its mIoU on `val`. selection_metric and
    selection_split are None where it was the last one, whatever its value.
    """

    epochs: NonNegativeInt
    steps: NonNegativeInt
    seconds: Amount | None
    selection_metric: str | None
    selection_split: str | None
    best_epoch: NonNegativeInt | None
    best_value: Share | None
    parameters_total: NonNegativeInt | None
    parameters_trained: NonNegativeInt | None
    peak_memory_mb: Amount | None


NOT_TRAINED = Training(
    epochs=0, steps=0, seconds=None, selection_metric=None, selection_split=None, best_epoch=None, best_value=None,
    parameters_total=None, parameters_trained=None, peak_memory_mb=None,
)  # fmt: skip


class Evaluation(_Record):
    """Metrics of one split, each in [0, 1].

    seconds: of prediction and measurement; predict_seconds: of these, the model's from decoded images to masks at their
    own size. Both None where only masks came.
    """

    samples: PositiveInt
    images: PositiveInt
    seconds: Amount | None
    predict_seconds: Amount | None = None
    metrics: dict[str, Share]


class Result(_Record):
    """Everything in result.json.

    collapse: of the test predictions (benchmark/metrics/collapse.py); None if they did not, and for a control. Results
    made before it was there lack it; reading fills it in.
    """

    protocol_version: str = PROTOCOL_VERSION
    run: Run
    data: Data
    train: Training
    eval: dict[str, Evaluation]
    collapse: Collapse | None = None
    meta: Meta
