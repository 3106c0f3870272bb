"""Images whose size is not quite their masks': resized by one rule wherever they are read, named, or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmark.data.fitting import Fit, cut_or_padded, fitted, is_near
from benchmark.data.loader import batches
from benchmark.data.samples import Dataset, SampleError, load_dataset, make_sample, save_dataset

ABOUT = {"name": "odd", "source": "drawn", "licence": "CC0", "citation": "none"}


def save_odd(folder: Path, sizes: dict[str, tuple[int, int]], fit: bool = True) -> Dataset:
    """A dataset of masks of 40 x 40 pixels whose images have these heights and widths, one a split."""
    rows = []
    for k, (name, (height, width)) in enumerate(sizes.items()):
        pixels = np.random.default_rng(k).integers(0, 256, (height, width, 3), np.uint8)
        folder.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{name}.png")
        mask = np.zeros((40, 40), bool)
        mask[10:20, 5 : 10 + k] = True
        for place in range(2):  # two samples of one image
            split = ("train", "val", "test")[k % 3]
            rows.append(make_sample(f"{name}-{place}", name, f"{name}.png", split, "the box", None, mask))
    save_dataset(folder, pd.DataFrame(rows), **ABOUT, fit=fit)
    return load_dataset(folder)


@pytest.mark.parametrize(
    ("found", "near"),
    [((801, 800), True), ((787, 800), True), ((800, 802), True), ((760, 840), True), ((759, 800), False),
     ((800, 841), False), ((512, 512), False), ((800, 1600), False)],
)  # fmt: skip
def test_five_per_cent_of_height_and_of_width_is_near(found: tuple[int, int], near: bool) -> None:
    assert is_near(found, (800, 800)) == near


def test_an_image_is_stretched_as_pillow_s_bilinear_resize_does_it() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (39, 41, 3), np.uint8)
    plain = np.asarray(Image.fromarray(pixels).resize((40, 40), Image.Resampling.BILINEAR))
    assert np.array_equal(fitted(pixels, (40, 40)), plain)
    assert fitted(pixels, (39, 41)) is pixels
    cut = cut_or_padded(pixels, (40, 40))
    assert np.array_equal(cut[:39], pixels[:, :40])
    assert not cut[39].any()


def test_the_manifest_names_what_is_resized_and_every_reader_gets_the_mask_s_size(tmp_path: Path) -> None:
    dataset = save_odd(tmp_path / "odd", {"a": (40, 40), "b": (41, 40), "c": (39, 40)})
    assert dataset.manifest.fitted == {
        "b.png": Fit(found=(41, 40), wanted=(40, 40)),
        "c.png": Fit(found=(39, 40), wanted=(40, 40)),
    }
    assert '"b.png": {\n      "found": [\n        41' in (dataset.folder / "manifest.json").read_text()
    for name in ("a.png", "b.png", "c.png"):
        assert dataset.pixels(name).shape == (40, 40, 3)
    for split in ("train", "val", "test"):
        (batch,) = batches(dataset, split, 4)
        assert batch.images[0].shape[1:] == batch.masks[0].shape == (40, 40)


def test_a_dataset_of_fitting_images_says_nothing_of_it(tmp_path: Path) -> None:
    save_odd(tmp_path / "odd", {"a": (40, 40), "b": (40, 40), "c": (40, 40)})
    assert "fitted" not in (tmp_path / "odd" / "manifest.json").read_text()


def test_images_too_far_from_their_masks_are_refused_together(tmp_path: Path) -> None:
    with pytest.raises(SampleError) as caught:
        save_odd(tmp_path / "odd", {"a": (40, 40), "b": (60, 40), "c": (40, 37)})
    said = str(caught.value)
    assert said.startswith(f"2 images of {tmp_path / 'odd'} cannot be read or have another size")
    assert "b.png is 60x40 (height x width), the row says 40x40; more than 5% apart: exclude the sample" in said
    assert "c.png is 40x37" in said
    with pytest.raises(SampleError, match=r"b.png is 41x40 .* a sample has its image's own size"):
        save_odd(tmp_path / "own", {"a": (40, 40), "b": (41, 40), "c": (40, 40)}, fit=False)


def test_masks_of_two_sizes_on_one_image_are_refused(tmp_path: Path) -> None:
    for first, second in ((40, 41), (41, 40)):
        Image.new("RGB", (40, 41)).save(tmp_path / "a.png")
        rows = [
            make_sample(f"a-{side}", "a", "a.png", "train", "all", None, np.ones((side, 40), bool))
            for side in (first, second)
        ]
        with pytest.raises(SampleError, match=rf"a.png is to be {second}x40 .* and {first}x40 by an earlier row"):
            save_dataset(tmp_path / "data", pd.DataFrame(rows), **ABOUT, images=tmp_path, fit=True)
