"""Fake results for the tests of what reads results: drawn from a seed, and named so that nobody takes them as real."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image

from benchmark.data.files import write_table
from benchmark.data.samples import decode_mask, encode_mask, load_dataset, make_sample, read_image, save_dataset
from benchmark.metrics.calibration import sweep_row
from benchmark.metrics.iou import summary
from benchmark.metrics.measure import Details, measure
from benchmark.metrics.strata import save_strata
from benchmark.results.cases import COLUMNS as CASE_COLUMNS
from benchmark.results.cases import choose_cases, encode_map
from benchmark.results.provenance import Meta
from benchmark.results.schema import PROTOCOL_VERSION, Counts, Data, Evaluation, Result, Run, Training
from benchmark.results.store import CURVE_COLUMNS, collapse_of, find_results, load_result, result_folder, save_result
from benchmark.results.truth import save_examples, save_truth

torch.set_num_threads(1)  # models as small as the tests' make two threads wait for each other more than they work


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The pipeline first: it takes minutes, and the other worker does everything else in the meantime."""
    items.sort(key=lambda item: item.path.name != "test_pipeline.py")


FAKE_VARIANTS = {"rsrefseg": 0.9, "no_lora": 0.7, "global_only": 0.75, "local_only": 0.6, "no_dense_prompt": 0.8}
FAKE_CONTROLS = {"whole_image": 0.0, "clip_heat_map": 0.25, "heat_map_point": 0.4}
SIDE = 64


def make_fake_dataset(
    folder: Path, images: int = 8, samples_per_image: int = 3, seed: int = 0, absent: int = 0
) -> None:
    """A dataset of discs on noise: every split has `images` images with `samples_per_image` samples each, and `absent`
    more of what is not there."""
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    rows = []
    ys, xs = np.mgrid[:SIDE, :SIDE]
    for split in ("train", "val", "test"):
        for number in range(images):
            picture = rng.integers(60, 120, size=(SIDE, SIDE, 3)).astype(np.uint8)
            name = f"images/{split}_{number}.png"
            for place in range(samples_per_image):
                (x, y), radius = rng.uniform(15, SIDE - 15, size=2), rng.uniform(5, 14)
                mask = (xs - x) ** 2 + (ys - y) ** 2 <= radius**2
                picture[mask] = rng.integers(120, 255, size=3)
                text = f"the fake disc {place} of radius {radius:.0f}"
                sample_id = f"{split}_{number}_{place}"
                rows.append(make_sample(sample_id, f"{split}_{number}", name, split, text, "disc", mask))
            for place in range(absent):
                sample_id, nothing = f"{split}_{number}_absent_{place}", np.zeros((SIDE, SIDE), bool)
                text = f"the fake square {place}"
                rows.append(make_sample(sample_id, f"{split}_{number}", name, split, text, "square", nothing, True))
            Image.fromarray(picture).save(folder / name)
    about = {"name": "fake", "source": "drawn for tests", "licence": "CC0", "citation": "none"}
    save_dataset(folder, pd.DataFrame(rows), **about, no_target=absent > 0)


def make_fake_results(
    root: Path,
    *,
    datasets: Sequence[str] = ("fake_scenes",),
    models: Sequence[str] = ("tiny",),
    variants: Mapping[str, float] = FAKE_VARIANTS,
    controls: Mapping[str, float] = FAKE_CONTROLS,
    seeds: Sequence[int] = (0,),
    images: int = 8,
    steps: int = 60,
    absent: int = 0,
) -> Path:
    """Results of every combination under `root`/results, where `quality` in [0, 1] decides how good a method looks.

    Returns:
        The results folder, with examples.parquet of each dataset.
    """
    results = root / "results"
    for dataset_name in datasets:
        folder = root / "data" / dataset_name
        make_fake_dataset(folder, images, absent=absent)
        save_examples(results / dataset_name / "examples.parquet", load_dataset(folder), 4)
        save_truth(results / dataset_name / "truth.parquet", load_dataset(folder))
        save_strata(results / dataset_name / "strata.parquet", load_dataset(folder).split("test"))
        for model in models:
            for seed in seeds:
                for name, quality in {**variants, **controls}.items():
                    control = name in controls
                    if not control or seed == seeds[0]:
                        make_fake_result(results, folder, dataset_name, model, name, seed, quality, control, steps)
            if variants:
                make_fake_cases(results, folder, dataset_name, model, list(variants), seeds[0])
    return results


def make_fake_result(
    results: Path,
    data: Path,
    dataset_name: str,
    model: str,
    name: str,
    seed: int,
    quality: float,
    control: bool,
    steps: int,
) -> None:
    """One fake result: each prediction is the truth, shifted."""
    dataset = load_dataset(data)
    rng = np.random.default_rng([seed, *name.encode()])
    masks, swept = [], []
    for sample in dataset.split("test").to_dict("records"):
        truth = decode_mask(sample["mask"], sample["height"], sample["width"])
        predicted = _spoilt(truth, quality, rng)
        masks.append({"sample_id": sample["sample_id"], "prediction": encode_mask(predicted)})
        logits = np.where(predicted, 1, -1) * np.random.default_rng(0).uniform(0.1, 4, truth.shape)
        swept.append(sweep_row(sample["sample_id"], truth, logits.astype(np.float32)))
    predictions, sweep = pd.DataFrame(masks), pd.DataFrame(swept) if quality else None
    lines = measure(dataset.split("test"), predictions, Details((480,)))
    curve = None if control else _fake_curve(steps, quality, rng)
    best = None if curve is None else round(float(curve["val_miou"].max()), 6)
    counts = {split: Counts(**count) for split, count in dataset.manifest.counts.items()}
    config = {
        "dataset": dataset_name,
        "variant": name,
        "lora": None,
        "train": {"lr": 1e-3, "epochs": 3, "sizes": [1, 2]},
    }
    test = Evaluation(
        samples=len(lines), images=lines["image_id"].nunique(), seconds=1.5, predict_seconds=0.5, metrics=summary(lines)
    )
    run = Run(
        dataset=dataset_name, model=model, variant=name, seed=seed, control=control, config=config,
        fingerprint=f"fake{seed:04d}{len(name):08d}",
    )  # fmt: skip
    result = Result(
        protocol_version=PROTOCOL_VERSION,
        run=run,
        data=Data(manifest_sha256="f" * 64, counts=counts),
        train=Training(
            epochs=0 if control else 3, steps=0 if control else steps, seconds=0 if control else 71.5,
            selection_metric=None if control else "miou", selection_split=None if control else "val",
            best_epoch=None if control else 3, best_value=best, parameters_total=2_345_678,
            parameters_trained=0 if control else 345_678, peak_memory_mb=0 if control else 512,
        ),
        eval={"test": test},
        collapse=collapse_of(run, lines, predictions),
        meta=Meta(git_commit="fa4e" * 10, git_dirty=False, device="fake device", versions={"python": "3.11"}),
    )  # fmt: skip
    save_result(result_folder(results, result.run), result, lines, curve, predictions, sweep)


def make_fake_cases(results: Path, data: Path, dataset_name: str, model: str, variants: list[str], seed: int) -> None:
    """Cases as `experiments.cases` keeps them, the predictions being the truth and the maps a slope."""
    stored = [load_result(results / dataset_name / model / name / str(seed)) for name in variants]
    dataset = load_dataset(data)
    samples = {sample["sample_id"]: sample for sample in dataset.split("test").to_dict("records")}
    slope = encode_map(np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4))
    rows = []
    for rule, name in choose_cases(stored[0].lines, [one.lines for one in stored[1:]]):
        sample, stream = samples[name], io.BytesIO()
        Image.fromarray(read_image(dataset.images / sample["image"])).save(stream, format="JPEG")
        known = {column: sample[column] for column in ("sample_id", "expression", "height", "width", "mask")}
        for one in stored:
            own = {"variant": one.result.run.variant, "fingerprint": one.result.run.fingerprint}
            maps = {"local": slope, "global": slope, "dense": None}
            rows.append(
                {"rule": rule, **known, "image": stream.getvalue(), "prediction": sample["mask"], **own, **maps}
            )
    write_table(results / dataset_name / "cases" / f"{model}.parquet", pd.DataFrame(rows, columns=list(CASE_COLUMNS)))


def write_fake_runs(results: Path, path: Path) -> None:
    """runs.csv as `experiments.collect` would write it, without MLflow."""
    rows = []
    for stored in find_results(results):
        run = stored.result.run
        key = {"dataset": run.dataset, "model": run.model, "variant": run.variant, "seed": run.seed}
        metrics = {f"test/{name}": value for name, value in stored.metrics.items()}
        share = {"test/collapse_share": stored.result.collapse.share} if stored.result.collapse else {}
        rows.append({**key, "fingerprint": run.fingerprint, "collapsed": stored.collapsed, **metrics, **share})
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(path, index=False)


def write_fake_params(path: Path) -> None:
    """The part of params.yaml that reports read."""
    run = {
        "datasets": ["fake_scenes"],
        "models": ["tiny"],
        "variants": list(FAKE_VARIANTS),
        "controls": list(FAKE_CONTROLS),
        "seeds": [0],
    }
    known = {"datasets": {}, "models": {}, "variants": {name: {} for name in FAKE_VARIANTS}}
    path.write_text(yaml.safe_dump({"run": run, **known}, sort_keys=False))


def make_fake_place(root: Path, **settings: Any) -> Path:
    """`root` with results/, reports/generated/runs.csv and params.yaml; `settings` go to make_fake_results."""
    write_fake_runs(make_fake_results(root, **settings), root / "reports" / "generated" / "runs.csv")
    write_fake_params(root / "params.yaml")
    return root


@pytest.fixture(scope="session")
def fake_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fake place with one dataset, model and seed; read only."""
    return make_fake_place(tmp_path_factory.mktemp("fake"))


@pytest.fixture(scope="session")
def fake_place() -> Callable[..., Path]:
    """make_fake_place, for tests that need another one."""
    return make_fake_place


@pytest.fixture(scope="session")
def fake_result() -> Callable[..., None]:
    """make_fake_result, for tests that want one run to be another."""
    return make_fake_result


@pytest.fixture(scope="session")
def fake_runs() -> Callable[[Path, Path], None]:
    """write_fake_runs, for tests that change results."""
    return write_fake_runs


def _spoilt(truth: npt.NDArray[np.bool_], quality: float, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """The truth shifted, more for a worse method; everything for quality 0, nothing for one below."""
    if quality < 0:
        return np.zeros_like(truth)
    if quality == 0:
        return np.ones_like(truth)
    shift = rng.normal(0, 12 * (1 - quality), size=2).round().astype(int)
    return np.roll(truth, tuple(int(part) for part in shift), axis=(0, 1))


def _fake_curve(steps: int, quality: float, rng: np.random.Generator) -> pd.DataFrame:
    """Three epochs of a falling loss and a rising validation mIoU."""
    step = np.arange(1, steps + 1)
    epoch = np.ceil(3 * step / steps).astype(int)
    ends = np.append(epoch[1:] != epoch[:-1], True)
    loss = 2 * np.exp(-2 * step / steps) + 1 - quality + rng.normal(0, 0.1, size=steps)
    miou = np.where(ends, max(0, quality) * epoch / 4, np.nan)
    columns = (epoch, step, loss, np.full(steps, 1e-3), miou, np.where(ends, "no", None))
    return pd.DataFrame(dict(zip(CURVE_COLUMNS, columns, strict=True)))
