"""What a sample is like: read from its words and its row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.data.errors import SampleError
from benchmark.data.samples import make_sample
from benchmark.expressions.predicates import CORNERS, ORDINALS, SIDES
from benchmark.expressions.writer import TEMPLATES
from benchmark.metrics.strata import KINDS, STRATA, describe, expression_kind, load_strata, save_strata, strata


def test_the_kind_is_read_from_the_words(subtests: pytest.Subtests) -> None:
    for expression, kind in (
        ("The ship on the left", "position"),
        ("a tennis court at the top left of the image", "position"),
        ("the upper vehicle", "position"),
        ("the ground track field in the middle", "position"),
        ("the large vehicle in the upper right corner of the image", "position"),
        ("the building closest to the top of the image", "superlative"),
        ("the ship farthest to the left", "superlative"),
        ("the leftmost storage tank", "superlative"),
        ("the largest baseball field on the left", "superlative"),
        ("the ship next to the harbor", "relation"),
        ("the ship nearest to the harbor", "relation"),
        ("the airplane on the left of the terminal", "relation"),
        ("the airplane on the left of the image", "position"),
        ("the vehicle is on the right side of the bridge", "relation"),
        ("the vehicle located between the two largest trucks", "relation"),
        ("light-duty vehicle driving on the road", "category"),
        ("the building with a gray roof", "colour"),
        ("the red roof building", "colour"),
        ("road marking", "category"),
        ("vehicle in the parking area", "category"),
    ):
        with subtests.test(expression):
            assert expression_kind(expression) == kind


def test_every_wording_of_the_writer_is_of_its_kind() -> None:
    corners = [name for names in CORNERS for name in names]
    due = {
        "": "category", "largest": "superlative", "smallest": "superlative", "closest": "relation", "next": "relation",
        "above": "relation", "below": "relation", "left of": "relation", "right of": "relation", "center": "position",
        **dict.fromkeys([*SIDES, *corners, *(f"{corner} corner" for corner in corners)], "position"),
        **{f"{side}most": "superlative" for side in SIDES},
        **{f"{word} from the {side}": "position" for word in ORDINALS for side in SIDES},
    }  # fmt: skip
    for locator, templates in TEMPLATES.items():
        for template in templates:
            text = template.format(n="storage tank", a="harbor")
            assert expression_kind(text) == due.get(locator, "position"), (
                text
            )  # an order, "second from the left", is a place
    assert expression_kind("the red ship") == "colour"


def rows() -> pd.DataFrame:
    """Image a: two ships, one said twice, a dock, a ship that is not there. Image b: a ship, and something unnamed."""
    masks = []
    for place in range(3):
        mask = np.zeros((20, 50), bool)
        mask[place * 4 : place * 4 + 4, : 5 * (place + 1)] = True
        masks.append(mask)
    nothing = np.zeros((20, 50), bool)
    made = [
        ("a", "ship", "the ship on the left", masks[0]), ("a", "ship", "the red ship", masks[0]),
        ("a", "ship", "the largest ship", masks[1]), ("a", "dock", "dock", masks[2]),
        ("a", "ship", "the green ship", nothing), ("b", "ship", "the ship", masks[0]),
        ("b", None, "the thing", masks[1]),
    ]  # fmt: skip
    return pd.DataFrame(
        [
            make_sample(f"s{k}", image, f"{image}.png", "test", text, category, mask, no_target=True)
            for k, (image, category, text, mask) in enumerate(made)
        ]
    )


def test_distractors_are_other_masks_of_the_category_in_the_image() -> None:
    described = describe(rows())
    assert described["distractors"].tolist() == [1, 1, 1, 0, 2, 0, pd.NA]
    assert described["words"].tolist() == [5, 3, 3, 1, 3, 2, 2]
    assert described["size"].tolist() == [0.02, 0.02, 0.04, 0.06, 0.0, 0.02, 0.04]


def test_bins_begin_with_their_lower_bound() -> None:
    described = pd.DataFrame(
        {
            "sample_id": list("abcd"),
            "size": [0.0, 0.005, 0.0999, 1.0],
            "words": [3, 4, 10, 11],
            "kind": list(KINDS[:4]),
            "distractors": pd.array([0, 3, 4, pd.NA], dtype="Int64"),
        }
    )
    found = strata(described)
    assert found["size"].tolist() == ["below 0.5 %", "0.5 to 2 %", "2 to 10 %", "10 % or more"]
    assert found["words"].tolist() == list(STRATA["words"][1])
    assert found["distractors"].tolist()[:3] == ["none", "2 or 3", "4 or more"]
    assert pd.isna(found["distractors"][3])


def test_it_is_read_back_as_written_and_nothing_else_is(tmp_path: Path) -> None:
    path = tmp_path / "ds" / "strata.parquet"
    with pytest.raises(FileNotFoundError, match=r"experiments\.fetch --dataset ds"):
        load_strata(path)
    save_strata(path, rows())
    pd.testing.assert_frame_equal(load_strata(path), describe(rows()))
    before = path.read_bytes()
    save_strata(path, rows())
    assert path.read_bytes() == before
    path.write_bytes(b"PAR1")
    with pytest.raises(SampleError, match="cannot be read"):
        load_strata(path)
    pd.DataFrame({"sample_id": ["a"]}).to_parquet(path)
    with pytest.raises(SampleError, match=r"columns are \['sample_id'\]"):
        load_strata(path)
