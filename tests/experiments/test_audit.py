"""The command that looks a dataset over, as a person calls it."""

from __future__ import annotations

import base64
import errno
import io
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.output.terminal import terminal
from experiments import audit as command
from experiments.commands import audit as work
from reports.audit.pictures import heat_map, thumbnail
from tests.conftest import make_fake_dataset
from tests.many import make_many

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with params.yaml and, under the name of a dataset that it knows, a fake one."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    make_fake_dataset(tmp_path / "data" / "synthetic")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_writes_a_page_and_its_numbers(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command.main("synthetic")
    folder = project / "reports" / "generated" / "audit" / "synthetic"
    assert {path.name for path in folder.iterdir()} == {"index.html", "audit.json"}  # nothing half-written is left
    numbers = json.loads((folder / "audit.json").read_text(encoding="utf-8"))
    assert (numbers["samples"], numbers["images"]) == (72, 24)
    printed = capsys.readouterr().out
    assert "72 samples" in " ".join(printed.split())
    assert "positions that contradict" in printed
    assert "-> reports/generated/audit/synthetic/index.html" in printed


def test_the_page_needs_nothing_else_and_shows_what_was_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    make_many(tmp_path / "data" / "synthetic", samples=240, per_image=2)
    monkeypatch.chdir(tmp_path)
    command.main("synthetic", out=tmp_path / "elsewhere")  # findings are no errors
    page = (tmp_path / "elsewhere" / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<script|https?://|\ssrc=\"(?!data:)|\shref=\"(?!data:|#)", page)
    assert len(page) < 5_000_000
    assert str(tmp_path) not in page
    for words in ("copied images: 5 images", "in val, the same bytes as in train", "<q>The  fake Hangar</q>",
                  "25 holes", "images/000070.png", "it is truncated", "7 samples"):  # fmt: skip
        assert words in page
    assert page.count("<svg") == 4
    pictures = [base64.b64decode(data) for data in re.findall(r"data:image/jpeg;base64,([^\"]+)", page)]
    assert len(pictures) > 40
    for data in pictures:
        with Image.open(io.BytesIO(data)) as picture:
            assert max(picture.size) == 220
            picture.load()
    assert "2 of them" not in page  # all of a few are shown, and nothing says that they are a choice


def test_words_of_a_dataset_are_text_on_the_page_and_never_markup(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, boxes, _ = work.opened("synthetic")
    data.samples.loc[0, "category"] = "<b>&"
    data.samples.loc[:, "expression"] = "<script>alert(1)</script> [red]"
    said = data.manifest.model_copy(update={"licence": "<i>own</i>", "source": "<script>alert(2)</script>"})
    data = replace(data, manifest=said)
    found = work.audit(data, boxes=boxes)
    page = work.write_audit(project / "out", found, data).read_text(encoding="utf-8")
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "<td>&lt;b&gt;&amp;</td>" in page
    assert "&lt;i&gt;own&lt;/i&gt;" in page
    work.print_summary(terminal(), replace(found, dataset="[/27L] [red] :ship:"))
    assert "[/27L] [red] :ship:: 72 samples" in " ".join(capsys.readouterr().out.split())


def test_a_place_that_cannot_be_written_is_named_without_a_traceback(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*arguments: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "out/index.html")

    monkeypatch.setattr(work, "write_audit", refuse)
    with pytest.raises(SystemExit, match="1"):
        command.main("synthetic")
    assert "error: out/index.html: Permission denied; make it readable" in capsys.readouterr().err
    (project / "file").touch()
    monkeypatch.undo()
    monkeypatch.chdir(project)
    with pytest.raises(SystemExit, match="1"):
        command.main("synthetic", out=project / "file" / "page")
    assert "give another path" in capsys.readouterr().err


def test_the_same_dataset_gives_the_same_bytes(project: Path) -> None:
    written = []
    for workers in (1, 2):
        command.main("synthetic", out=project / str(workers), workers=workers)
        written.append([(project / str(workers) / name).read_bytes() for name in ("index.html", "audit.json")])
    assert written[0] == written[1]


def test_an_unknown_dataset_is_named_with_the_nearest_known_one(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="1"):
        command.main("syntetic")
    assert "error: unknown dataset 'syntetic'; did you mean 'synthetic'?" in capsys.readouterr().err


def test_a_dataset_that_was_not_fetched_says_how_to(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="1"):
        command.main("dubai")
    error = capsys.readouterr().err
    assert "does not exist" in error
    assert "experiments.fetch --dataset dubai" in error
    assert not (project / "reports").exists()


def test_a_small_object_gets_a_ring_and_a_mask_of_another_size_is_drawn_too() -> None:
    picture = command_picture(size=(400, 300), mask=(200, 150))
    orange = [(x, y) for x in range(220) for y in range(165) if near(picture.getpixel((x, y)))]
    assert max(x for x, _ in orange) - min(x for x, _ in orange) > 40


def command_picture(size: tuple[int, int], mask: tuple[int, int]) -> Image.Image:
    """The thumbnail of a grey picture of (width, height) with a mask of 2 x 2 pixels."""
    pixels = np.full((size[1], size[0], 3), 128, np.uint8)
    where = np.zeros((mask[1], mask[0]), bool)
    where[70:72, 90:92] = True
    data = thumbnail(pixels, where).partition(",")[2]
    return Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")


def near(colour: object) -> bool:
    """Whether a pixel is about orange, after JPEG."""
    assert isinstance(colour, tuple)
    return colour[0] - colour[2] > 50


def test_the_heat_map_is_darkest_where_most_masks_lie() -> None:
    data = heat_map([[0.0, 0.1], [0.2, 0.4]]).partition(",")[2]
    picture = Image.open(io.BytesIO(base64.b64decode(data))).convert("L")
    assert picture.getpixel((0, 0)) == 255
    assert picture.getpixel((15, 15)) < picture.getpixel((5, 15)) < picture.getpixel((15, 5))
