"""What is in a dataset, and what in it deserves a look: numbers that are the same however many workers counted them.

    audit(load_dataset(Path("data/synthetic"))).plain()

Files and masks are measured in threads: the decoders let others run while they work, and threads share one memory.
A finding is no verdict: it says by which rule it was found, and a person looks at its examples.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from benchmark.audit.findings import Facts, Finding
from benchmark.audit.image_facts import ImageFacts, chunks, measure_images
from benchmark.audit.mask_facts import HEAT, measure_masks
from benchmark.audit.placement import Placement, chosen, measure_placement
from benchmark.audit.positions import stated_position
from benchmark.audit.sample_rules import find_all
from benchmark.data.samples import SPLITS, Dataset

Box = tuple[float, float, float, float]  # x1, y1, x2, y2 in pixels
AREA_BINS = (0.0, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)  # shares of the image
WORD_BINS = (1, 3, 5, 7, 9, 11, 13, 15, 18, 21, 26, 31, 41)  # words
PER_IMAGE_BINS = (1, 2, 3, 4, 5, 6, 8, 11, 16, 21, 51)  # expressions
FREQUENT = 40  # words that are listed
FUNCTION_WORDS = frozenset(
    "a an the of in on at to by is are was be it its this that these those and or with from for as which there".split()
)
MASKS_AT_ONCE = 256


@dataclass(frozen=True)
class Bar:
    """One bar of a histogram."""

    label: str
    count: int


@dataclass(frozen=True)
class SplitFacts:
    """Of one split; per_image: expressions. median_area: share of the image, of masks that are not empty."""

    samples: int
    images: int
    categories: int
    mean_per_image: float
    most_per_image: int
    median_area: float
    mean_words: float
    empty_masks: int


@dataclass(frozen=True)
class Audit:
    """Everything found.

    splits: by name, those with samples. categories: category -> split -> {"samples": n, "images": n}; "" is none.
    mask_area, words, per_image: histograms over all splits. heat: HEAT rows of HEAT cells, what share of the masks
    covers the cell of the unit square, in [0, 1]. positioned: expressions that state an absolute position.
    """

    dataset: str
    samples: int
    images: int
    splits: dict[str, SplitFacts]
    categories: dict[str, dict[str, dict[str, int]]]
    mask_area: tuple[Bar, ...]
    words: tuple[Bar, ...]
    per_image: tuple[Bar, ...]
    frequent_words: tuple[Bar, ...]
    heat: tuple[tuple[float, ...], ...]
    positioned: int
    findings: tuple[Finding, ...]

    def plain(self) -> dict[str, Any]:
        """As JSON types."""
        return dataclasses.asdict(self)

    def finding(self, name: str) -> Finding:
        """By name; KeyError if there is none."""
        return {finding.name: finding for finding in self.findings}[name]


def audit(
    dataset: Dataset,
    *,
    boxes: Mapping[str, Box] | None = None,
    image_size: tuple[int, int] | None = None,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> Audit:
    """Look at every image and every mask of a dataset.

    Args:
        dataset: what to look at.
        boxes: sample_id -> x1, y1, x2, y2 in pixels as the source published them; those of no sample are ignored.
        image_size: height and width that every image is to have.
        workers: threads; 1 works without any.
        progress: called with how many images and masks are done, and how many there are.

    Raises:
        ValueError: workers is below 1.
        SampleError: a mask is no code of its row's size.
    """
    if workers < 1:
        raise ValueError(f"workers is {workers}; give 1 or more")
    measured = _measure(dataset, workers, progress)
    samples = measured.samples
    per_image = samples.groupby("image_id", sort=False).size()
    covered = max(int((samples["mask_pixels"] > 0).sum()), 1)
    words = Counter(word for text in samples["expression"] for word in set(_words(text)) - FUNCTION_WORDS)
    frequent = sorted(words.items(), key=lambda item: (-item[1], item[0]))[:FREQUENT]
    return Audit(
        dataset=dataset.manifest.name,
        samples=len(samples),
        images=int(samples["image"].nunique()),
        splits={split: _split(rows) for split in SPLITS if len(rows := samples[samples["split"] == split])},
        categories=_categories(samples),
        mask_area=_area_bars(samples.loc[samples["mask_pixels"] > 0, "area_share"]),
        words=_bars(samples["words"], WORD_BINS),
        per_image=_bars(per_image, PER_IMAGE_BINS),
        frequent_words=tuple(Bar(word, count) for word, count in frequent),
        heat=tuple(tuple(round(float(cell), 6) for cell in row) for row in measured.heat / covered),
        positioned=int(samples["position"].notna().sum()),
        findings=find_all(measured, boxes, image_size, dataset),
    )


def _measure(dataset: Dataset, workers: int, progress: Callable[[int, int], None] | None) -> Facts:
    """Every file and every mask, once."""
    samples = dataset.samples.reset_index(drop=True)
    names = samples["image"].drop_duplicates().tolist()
    paths = {dataset.images / name: name for name in names}
    of_images = chunks(list(paths))
    of_masks = [
        rows[at : at + MASKS_AT_ONCE]
        for _, rows in samples.groupby(["height", "width"], sort=True)[["mask", "sample_id", "height", "width"]]
        for at in range(0, len(rows), MASKS_AT_ONCE)
    ]
    jobs: list[tuple[Callable[[], Any], int]] = [
        (
            partial(
                measure_masks, rows["mask"].tolist(), rows["sample_id"].tolist(),
                int(rows["height"].iloc[0]), int(rows["width"].iloc[0]),
            ),
            len(rows),
        )
        for rows in of_masks
    ]  # fmt: skip
    jobs += [(partial(measure_images, group), len(group)) for group in of_images]
    placed = chosen(names)
    jobs += [(partial(_placement, dataset, rows), 0) for rows in _of_images(samples, placed)]
    masks, heat = [], np.zeros((HEAT, HEAT))
    images: dict[str, ImageFacts] = {}
    placement: dict[str, Placement] = {}
    for number, result in enumerate(_done(jobs, workers, progress)):
        if number < len(of_masks):
            heat += result.heat
            columns = {
                "mask_pixels": result.area,
                "pieces": result.pieces,
                "crumbs": result.crumbs,
                "holes": result.holes,
            }
            columns |= {"centre_x": result.centroid[:, 0], "centre_y": result.centroid[:, 1]}
            columns |= {f"mask_{side}": result.boxes[:, k] for k, side in enumerate(("x1", "y1", "x2", "y2"))}
            masks.append(pd.DataFrame(columns, index=of_masks[number].index))
        elif number >= len(of_masks) + len(of_images):
            if result is not None:
                placement[placed[number - len(of_masks) - len(of_images)]] = result
        else:
            images |= {
                paths[path]: facts for path, facts in zip(of_images[number - len(of_masks)], result, strict=True)
            }
    samples = samples.join(pd.concat(masks))
    samples["area_share"] = samples["mask_pixels"] / (samples["height"] * samples["width"])
    samples["words"] = samples["expression"].map(lambda text: len(text.split()))
    samples["position"] = samples["expression"].map(stated_position)
    turned = dataset.manifest.turned  # images that were turned before they were written
    images |= {name: dataclasses.replace(images[name], orientation=turned[name]) for name in names if name in turned}
    return Facts(samples, {name: images[name] for name in names}, heat, placement)


def _of_images(samples: pd.DataFrame, names: Sequence[str]) -> list[pd.DataFrame]:
    """The rows of each of some images."""
    rows = dict(list(samples[samples["image"].isin(names)].groupby("image", sort=False)))
    return [rows[name] for name in names]


def _placement(dataset: Dataset, rows: pd.DataFrame) -> Placement | None:
    """How the masks of one image lie."""
    first = rows.iloc[0]
    same = rows[(rows["height"] == first["height"]) & (rows["width"] == first["width"])]
    path = dataset.images / first["image"]
    return measure_placement(path, same["mask"].tolist(), int(first["height"]), int(first["width"]))


def _done(
    jobs: Sequence[tuple[Callable[[], Any], int]], workers: int, progress: Callable[[int, int], None] | None
) -> Iterator[Any]:
    """The jobs' results in order; without threads where one worker is asked for."""
    whole, done = sum(size for _, size in jobs), 0
    with ThreadPoolExecutor(workers) as pool:
        calls = [job for job, _ in jobs]
        results = (call() for call in calls) if workers == 1 else pool.map(lambda call: call(), calls)
        for result, (_, size) in zip(results, jobs, strict=True):
            done += size
            if progress is not None:
                progress(done, whole)
            yield result


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", text.casefold())


def _split(rows: pd.DataFrame) -> SplitFacts:
    per_image, some = rows.groupby("image_id").size(), rows.loc[rows["mask_pixels"] > 0, "area_share"]
    return SplitFacts(
        samples=len(rows),
        images=int(rows["image_id"].nunique()),
        categories=int(rows["category"].nunique()),
        mean_per_image=round(float(per_image.mean()), 3),
        most_per_image=int(per_image.max()),
        median_area=round(float(some.median()), 6) if len(some) else 0.0,
        mean_words=round(float(rows["words"].mean()), 3),
        empty_masks=len(rows) - len(some),
    )


def _categories(samples: pd.DataFrame) -> dict[str, dict[str, dict[str, int]]]:
    """The most frequent first."""
    named = samples.assign(category=samples["category"].fillna(""))
    counts = named.groupby(["category", "split"])["image_id"].agg(["size", "nunique"])
    order = sorted(Counter(named["category"]).items(), key=lambda item: (-item[1], item[0]))
    found: dict[str, dict[str, dict[str, int]]] = {category: {} for category, _ in order}
    for (category, split), size, images in counts.itertuples():
        found[category][split] = {"samples": int(size), "images": int(images)}
    return found


def _bars(values: pd.Series, starts: Sequence[int]) -> tuple[Bar, ...]:
    """Of whole numbers; a bar goes up to where the next one starts."""
    counts, _ = np.histogram(values, bins=[*starts, np.inf])
    labels = [str(low) if high == low + 1 else f"{low}–{high - 1}" for low, high in itertools.pairwise(starts)]
    return tuple(Bar(label, int(n)) for label, n in zip([*labels, f"{starts[-1]} or more"], counts, strict=True))


def _area_bars(shares: pd.Series) -> tuple[Bar, ...]:
    counts, _ = np.histogram(shares, bins=AREA_BINS)
    labels = [f"{low * 100:g}–{high * 100:g} %" for low, high in itertools.pairwise(AREA_BINS)]
    return tuple(Bar(label, int(n)) for label, n in zip(labels, counts, strict=True))
