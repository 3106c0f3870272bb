"""What of a dataset's samples deserves a look, and all findings together."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pycocotools import mask as coco

from benchmark.audit.file_rules import chosen_bands, copied, leaked, other_size, row_size, unreadable
from benchmark.audit.findings import WORST, Facts, Finding, Occurrence, Row, finding, of_row
from benchmark.audit.label_rules import grouping, seen_once, turned
from benchmark.audit.placement_rules import beside
from benchmark.audit.positions import EDGE, FAR, contradiction
from benchmark.audit.resized import resized
from benchmark.data.samples import Dataset

MOST_PIECES = 16
MOST_HOLES = 16
FULL = 0.99  # of the image
SAME_MASK_IOU = 0.5  # below, two masks of one expression are of different things
PUBLISHED_IOU = 0.5  # below, a published box is not the mask's


def find_all(
    measured: Facts,
    boxes: Mapping[str, tuple[float, float, float, float]] | None,
    image_size: tuple[int, int] | None,
    dataset: Dataset,
) -> tuple[Finding, ...]:
    """Every finding, those without a case as well."""
    return (
        unreadable(measured),
        other_size(measured, image_size),
        row_size(measured, dataset.manifest.fitted),
        resized(measured, dataset),
        chosen_bands(measured, dataset.manifest.bands),
        copied(measured),
        leaked(measured),
        turned(measured),
        beside(measured),
        seen_once(measured),
        grouping(measured),
        *_repeated(measured),
        _positions(measured),
        _ragged(measured),
        _empty(measured, dataset.manifest.no_target),
        _full(measured),
        _table_boxes(measured),
        _published_boxes(measured, boxes),
    )


def _repeated(measured: Facts) -> tuple[Finding, Finding]:
    """The same words for the same picture, and those of them whose masks are not the same thing."""
    samples = measured.samples
    picture = samples["image"].map(lambda name: measured.images[name].sha256 or name)
    words = samples["expression"].map(lambda text: " ".join(text.casefold().split()))
    repeated, contradicting = [], []
    columns = ["sample_id", "image", "height", "width", "mask"]
    twice = samples[pd.DataFrame({"picture": picture, "words": words}).duplicated(keep=False)]
    for _, rows in twice[columns].groupby([picture[twice.index], words[twice.index]], sort=False):
        first, *others = rows.to_dict("records")
        iou, other = min(((_mask_iou(first, row), row) for row in others), key=lambda pair: pair[0])
        of = {key: tuple(str(row[key]) for row in (first, other)) for key in ("sample_id", "image")}
        repeated.append((0.0, Occurrence(of["sample_id"], of["image"], f"{len(rows)} times")))
        if iou < SAME_MASK_IOU:
            detail = f"{len(rows)} times, IoU of these two masks {iou:.2f}"
            contradicting.append((1 - iou, Occurrence(of["sample_id"], of["image"], detail)))
    rule = "Two samples or more have the same image (by its bytes) and the same expression, but for case and blanks."
    narrower = f"Of these, a mask has an IoU below {SAME_MASK_IOU} with the first sample's."
    return (
        finding("repeated expressions", rule, "groups", len(samples), repeated),
        finding("repeated, masks contradict", narrower, "groups", len(repeated), contradicting, WORST),
    )


def _mask_iou(one: Row, other: Row) -> float:
    """1 for equal masks, empty ones too; 0 for masks of different sizes."""
    sizes = [[row["height"], row["width"]] for row in (one, other)]
    if sizes[0] != sizes[1]:
        return 0.0
    if one["mask"] == other["mask"]:
        return 1.0
    codes = [{"size": size, "counts": row["mask"].encode()} for size, row in zip(sizes, (one, other), strict=True)]
    return float(coco.iou(codes[:1], codes[1:], [0])[0, 0])


def _positions(measured: Facts) -> Finding:
    columns = ["sample_id", "image", "position", "centre_x", "centre_y", "height", "width"]
    stated = measured.samples.loc[measured.samples["position"].notna() & (measured.samples["mask_pixels"] > 0), columns]
    cases = []
    for row in stated.to_dict("records"):
        beyond = contradiction(row["position"], row["centre_x"], row["centre_y"])
        if beyond > 0:
            at = f"{row['centre_x'] * row['width']:.0f}, {row['centre_y'] * row['height']:.0f}"
            detail = (
                f"“{row['position'].words}”, centroid x, y {at} of {row['width']} x {row['height']} (width x height)"
            )
            cases.append((beyond, of_row(row, detail)))
    rule = (
        "The expression states an absolute place and the mask's centroid lies elsewhere: more than "
        f"{FAR:.0%} of the image away from the stated side, or within {EDGE:.0%} of an edge for the centre."
    )
    return finding("positions that contradict", rule, "samples", len(stated), cases, WORST)


def _ragged(measured: Facts) -> Finding:
    columns = ["sample_id", "image", "pieces", "crumbs", "holes"]
    samples = measured.samples
    ragged = samples.loc[(samples["pieces"] > MOST_PIECES) | (samples["holes"] > MOST_HOLES), columns]
    cases = []
    for row in ragged.to_dict("records"):
        detail = f"{row['pieces']} pieces ({row['crumbs']} if corners do not join), {row['holes']} holes"
        cases.append((float(row["crumbs"] + row["holes"]), of_row(row, detail)))
    rule = f"The mask has more than {MOST_PIECES} pieces (8 neighbours) or more than {MOST_HOLES} holes."
    return finding("ragged masks", rule, "samples", len(samples), cases, WORST)


def _empty(measured: Facts, no_target: bool) -> Finding:
    rows = measured.samples.loc[measured.samples["mask_pixels"] == 0, ["sample_id", "image"]].to_dict("records")
    rule = "The mask has no pixel." + (" This dataset has no-target expressions." if no_target else "")
    checked = 0 if no_target else len(measured.samples)
    return finding(
        "empty masks", rule, "samples", checked, [] if no_target else [(0.0, of_row(r, "empty")) for r in rows]
    )


def _full(measured: Facts) -> Finding:
    rows = measured.samples.loc[measured.samples["area_share"] >= FULL, ["sample_id", "image", "area_share"]]
    cases = [(r["area_share"], of_row(r, f"{r['area_share']:.1%} of the image")) for r in rows.to_dict("records")]
    rule = f"The mask covers {FULL:.0%} of the image or more."
    return finding("full masks", rule, "samples", len(measured.samples), cases, WORST)


def _mask_boxes(samples: pd.DataFrame) -> NDArray[np.int64]:
    return samples[["mask_x1", "mask_y1", "mask_x2", "mask_y2"]].to_numpy(np.int64)


def _table_boxes(measured: Facts) -> Finding:
    samples = measured.samples
    said, own = np.stack(samples["bbox_xyxy"].map(list).tolist()), _mask_boxes(samples)
    wrong = np.flatnonzero((said != own).any(axis=1)).tolist()
    cases = [
        (0.0, of_row(_row(samples, k), f"the table says {said[k].tolist()}, the mask {own[k].tolist()}")) for k in wrong
    ]
    rule = "The table's bbox_xyxy is not the box of the row's mask."
    return finding("boxes of the table", rule, "samples", len(samples), cases)


def _published_boxes(measured: Facts, boxes: Mapping[str, tuple[float, float, float, float]] | None) -> Finding:
    samples, cases, checked = measured.samples, [], 0
    own = _mask_boxes(samples)
    for k, sample_id in enumerate(samples["sample_id"] if boxes else ()):
        published = (boxes or {}).get(sample_id)
        checked += published is not None
        iou = 1.0 if published is None else _box_iou(published, own[k].tolist())
        if iou < PUBLISHED_IOU:
            detail = f"published {list(published or ())}, the mask's {own[k].tolist()}, IoU {iou:.2f}"
            cases.append((1 - iou, of_row(_row(samples, k), detail)))
    rule = f"The box the source published has an IoU below {PUBLISHED_IOU} with the mask's own box."
    return finding("boxes as published", rule, "samples", checked, cases, WORST)


def _row(samples: pd.DataFrame, k: int) -> Row:
    return {key: samples[key].iat[k] for key in ("sample_id", "image")}


def _box_iou(one: tuple[float, float, float, float], other: list[int]) -> float:
    """Of two x1, y1, x2, y2, right and bottom exclusive; 0 where one has no area."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0) * max(height, 0)
    areas = [max(box[2] - box[0], 0) * max(box[3] - box[1], 0) for box in (one, other)]
    union = sum(areas) - shared
    return shared / union if union > 0 else 0.0
