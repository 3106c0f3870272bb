from __future__ import annotations

import importlib
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
import typer
from PIL import Image
from typer.testing import CliRunner

from benchmark.data.images import read_image
from benchmark.results.pictures import overlay
from experiments import predict
from experiments.commands.predict import GEO
from experiments.published import find_run
from experiments.runs import load_model
from models.checkpoint import save_tensors
from models.rsrefseg import RSRefSeg
from models.weights.foundation import load_clip
from tests.scenes import ground, write_scene
from tests.trained import CONFIG, RESULT, ROOT, RUN, make_trained_project, picture


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, fake_place: Callable[..., Path]) -> Path:
    """A project with one trained run and its result; read only."""
    return make_trained_project(tmp_path_factory.mktemp("project"), fake_place)


@pytest.fixture
def project(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy that may be spoilt, with an image in it; the test runs there."""
    copy = Path(shutil.copytree(trained, tmp_path / "project"))
    monkeypatch.chdir(copy)
    picture().save("scene.png")
    return copy


def run(
    *expressions: str, image: str = "scene.png", folder: Path = RESULT, out: str = "out.png", **settings: Any
) -> None:
    predict.main(Path(image), list(expressions), folder, Path(out), **settings)


def refused(capsys: pytest.CaptureFixture[str], *expressions: str, **settings: object) -> str:
    """The message of a prediction that fails with status 1 and writes nothing."""
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*")}
    with pytest.raises(SystemExit, match="1"):
        run(*(expressions or ("the red ship",)), **settings)  # type: ignore[arg-type]
    assert {path: path.stat().st_mtime_ns for path in Path().rglob("*")} == before
    return " ".join(capsys.readouterr().err.split())


def expected(image: Image.Image, *expressions: str) -> list[np.ndarray]:
    """The masks of the model itself."""
    model, _ = load_model(CONFIG, Path("weights/tiny"))
    tensor = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)
    return [model.predict([tensor], [expression], [0])[0] for expression in expressions]


# --------------------------------------------------------------------------------------------------- what comes out


def test_mask_and_overlay_have_the_image_s_own_size(subtests: pytest.Subtests, project: Path) -> None:
    for size in ((90, 51), (1, 1), (7, 300), (1500, 1200)):
        with subtests.test(msg=f"{size}"):
            picture(*size).save("scene.png")
            run("the red ship")
            (mask,) = expected(picture(*size), "the red ship")
            assert size == (1, 1) or 0 < mask.mean() < 1
            written = Image.open("out_mask.png")
            assert (written.mode, written.size) == ("L", size)
            np.testing.assert_array_equal(np.array(written), mask * np.uint8(255))
            painted = overlay(np.array(picture(*size)), mask, mask)
            np.testing.assert_array_equal(np.array(Image.open("out.png")), painted)
            assert not list(Path().glob(".*"))


def test_several_expressions_are_numbered_in_their_order(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = ("the red ship", "road", "harbor")
    run(*texts, out="found/masks.png")
    for number, mask in enumerate(expected(picture(), *texts), start=1):
        np.testing.assert_array_equal(np.array(Image.open(f"found/masks_{number}_mask.png")) > 0, mask)
        assert Path(f"found/masks_{number}.png").is_file()
    assert len(list(Path("found").iterdir())) == 6
    said = capsys.readouterr().out
    assert [text for text in texts if text in said] == list(texts)
    assert f"{expected(picture(), 'road')[0].mean():.2%}" in said


def test_the_folder_of_the_training_names_the_same_run(project: Path) -> None:
    run("the red ship", out="one.png")
    run("the red ship", folder=project / RUN, out="other.png")
    assert Path("one_mask.png").read_bytes() == Path("other_mask.png").read_bytes()


def test_the_configuration_is_the_run_s_own_and_not_what_params_yaml_says(project: Path) -> None:
    Path("params.yaml").unlink()
    run("the red ship")


def test_common_formats_are_read_as_rgb(subtests: pytest.Subtests, project: Path) -> None:
    kinds = (("a.jpg", "RGB"), ("a.tif", "RGB"), ("a.webp", "RGB"), ("a.png", "L"), ("a.png", "P"), ("a.png", "RGBA"))
    for name, mode in kinds:
        with subtests.test(msg=f"{name}, {mode}"):
            picture(mode=mode).save(name)
            run("the red ship", image=name)
            (mask,) = expected(Image.open(name), "the red ship")
            np.testing.assert_array_equal(np.array(Image.open("out_mask.png")) > 0, mask)


def test_expressions_and_paths_are_printed_as_they_are(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    texts = ("the runway marked [/27L]", "[red] ship", "road :ship: \x1b[31m")
    run(*texts, out="[bold]/out.png")
    printed = capsys.readouterr().out
    for said in (*texts[:2], "road :ship: \\x1b[31m", "[bold]/out_1.png", "[bold]/out_3_mask.png"):
        assert said in printed
    assert len(list(Path("[bold]").iterdir())) == 6


def test_an_expression_that_is_cut_is_noted(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("the red ship " * 9)
    assert "note: 1 expressions hold more than 10 tokens and were cut" in " ".join(capsys.readouterr().out.split())


def test_the_command_runs_as_it_is_written_down(project: Path) -> None:
    command = typer.Typer()
    command.command()(predict.main)
    words = ["scene.png", "the red ship", "road", "--run", str(RESULT), "--out", "o.png"]
    done = CliRunner().invoke(command, words)
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in Path().glob("o_*")) == ["o_1.png", "o_1_mask.png", "o_2.png", "o_2_mask.png"]


# ------------------------------------------------------------------------------------------------------------- scenes


def test_a_tiff_on_the_map_is_a_scene_unless_a_picture_is_asked_for(
    project: Path, subtests: pytest.Subtests, capsys: pytest.CaptureFixture[str]
) -> None:
    write_scene(Path("placed.tif"), ground(51, 90))
    write_scene(Path("bare.tif"), ground(51, 90), crs=None, transform=None)
    shutil.copy("bare.tif", "world.tif")
    Path("world.tfw").write_text("1\n0\n0\n-1\n5\n5\n")
    for image, out, settings, layers in (
        ("placed.tif", None, {}, "placed_layers/mask.tif"),
        ("world.tif", None, {}, "world_layers/polygons.gpkg"),
        ("bare.tif", "found", {"window": 40}, "found/overlay.png"),
        ("bare.tif", None, {}, "overlay_mask.png"),
        ("placed.tif", "one.png", {}, "one_mask.png"),
    ):
        with subtests.test(f"{image} {out} {settings}"):
            predict.main(Path(image), ["the red ship"], RESULT, None if out is None else Path(out), **settings)
            assert Path(layers).is_file()
            assert ("is read as a scene" in capsys.readouterr().out) == (not layers.endswith("_mask.png"))
    assert "of a scene layers are written" in refused(capsys, image="bare.tif", out="a.png", window=40)
    assert "--bands 4;3: give their numbers" in refused(capsys, image="placed.tif", out="x", bands="4;3")
    assert "scene.png is no TIFF" in refused(capsys, out="x", window=40)


def test_without_the_extras_images_are_predicted_and_scenes_say_what_to_install(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_scene(Path("placed.tif"), ground(51, 90))
    for name in [name for name in sys.modules if name.startswith("experiments.scene")]:
        monkeypatch.delitem(sys.modules, name)
    for name in GEO:
        monkeypatch.setitem(sys.modules, name, None)
    importlib.reload(predict)
    run("the red ship")
    said = refused(capsys, image="placed.tif", out="layers")
    assert "rasterio, geopandas, pyogrio, shapely is not installed: pip install 'rsrefseg-bench[geo]'" in said


def test_the_published_run_predicts_a_scene_in_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way, as docs/gis.md has it: one window of the scene's size says what the model says of the picture."""
    monkeypatch.chdir(ROOT)
    values = np.moveaxis(read_image(Path("docs/examples/dubai_shore.jpg")), -1, 0)
    scene = write_scene(tmp_path / "shore.tif", values)
    command = typer.Typer()
    command.command()(predict.main)
    words = [str(scene), "the ship at the bottom", "--window", "320", "--bands", "1,2,3"]
    done = CliRunner().invoke(command, [*words, "--out", str(tmp_path / "whole")])
    assert done.exit_code == 0, done.output
    model, _ = find_run()
    (mask,) = model.predict([torch.from_numpy(values.copy())], ["the ship at the bottom"], [0])
    found = np.array(Image.open(tmp_path / "whole" / "mask.tif"))
    assert 0 < mask.sum() < mask.size / 2
    assert (found != mask).mean() < 1e-4
    predict.main(scene, ["the white ship"], out=tmp_path / "parts.gpkg", window=200)
    assert np.array(Image.open(tmp_path / "parts_mask.tif")).shape == mask.shape


# ----------------------------------------------------------------------------------------------------- what is refused


def test_an_expression_that_is_empty_or_without_words_is_refused(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for text in ("", "  \t"):
        assert "an expression is empty: say what to segment" in refused(capsys, "road", text)
    assert "expression '?!' holds nothing that CLIP reads" in refused(capsys, "road", "?!")


def test_what_is_no_image_is_refused_by_name(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("notes.png").write_text("not an image")
    whole = Path("scene.png").read_bytes()
    Path("half.png").write_bytes(whole[: len(whole) // 2])
    Path("folder.png").mkdir()
    assert "image notes.png is no PNG, JPEG" in refused(capsys, image="notes.png")
    Path("notes.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n")
    assert "image notes.png is no PNG" in refused(capsys, image="notes.png")  # runs no Ghostscript
    assert "image half.png cannot be read to its end" in refused(capsys, image="half.png")
    assert "image folder.png is a folder; give a file" in refused(capsys, image="folder.png")
    assert "image nowhere.png does not exist" in refused(capsys, image="nowhere.png")


def test_an_image_is_what_it_is_in_a_dataset(project: Path, subtests: pytest.Subtests) -> None:
    deep = np.random.default_rng(0).integers(1, 4000, (51, 90, 4)).astype(np.uint16)
    tifffile.imwrite("deep.tif", deep, photometric="rgb", extrasamples=["unspecified"])
    tifffile.imwrite("share.tif", (deep[..., :3] / 4000).astype(np.float32), photometric="rgb")
    picture().save("two.tif", save_all=True, append_images=[picture(20, 20)])
    exif = Image.Exif()
    exif[274] = 6
    picture().save("turned.jpg", exif=exif)
    for name in ("deep.tif", "share.tif", "two.tif", "turned.jpg"):
        with subtests.test(name):
            run("the red ship", image=name)
            (mask,) = expected(Image.fromarray(read_image(Path(name))), "the red ship")
            np.testing.assert_array_equal(np.array(Image.open("out_mask.png")) > 0, mask)
    assert Image.open("out_mask.png").size == (51, 90)


def test_where_there_is_no_data_nothing_is_predicted(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clear = picture(mode="RGBA")
    clear.paste((1, 2, 3, 0), (0, 0, 30, 51))
    clear.save("clear.png")
    monkeypatch.setattr(
        RSRefSeg, "predict", lambda self, images, texts, index: [np.ones(images[0].shape[1:], bool) for _ in texts]
    )
    run("the red ship", image="clear.png")
    mask = np.array(Image.open("out_mask.png")) > 0
    assert not mask[:, :30].any()
    assert mask[:, 30:].all()
    assert "note: 33.3% of clear.png has no data; nothing is predicted there" in " ".join(
        capsys.readouterr().out.split()
    )


def test_what_would_need_a_guess_to_be_rgb_is_refused(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture(mode="CMYK").save("print.jpg")
    picture().save("scene.jp2")
    assert "print.jpg has colours of kind CMYK" in refused(capsys, image="print.jpg")
    assert "convert it: gdal_translate scene.jp2 scene.tif" in refused(capsys, image="scene.jp2")


def test_an_image_too_large_to_be_one_is_refused(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.data.images.raster.MAX_PIXELS", 3000)
    assert "image scene.png says it is 90 x 51 pixels, more than the 3,000" in refused(capsys)


def test_an_output_where_nothing_can_or_should_be_written_is_refused(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for out in ("out.jpg", "out", "scene.png"):
        assert f"--out {out}: " in refused(capsys, out=out)
    Path("folder.png").mkdir()
    Path("two_mask.png").mkdir()
    assert "folder.png is a folder" in refused(capsys, out="folder.png")
    assert "two_mask.png is a folder" in refused(capsys, out="two.png")
    assert "nothing can be written into" in refused(capsys, out="scene.png/out.png")


def test_a_folder_that_is_no_run_is_refused(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "not a run; give results/" in refused(capsys, folder=Path("results"))
    assert "not a run; give results/" in refused(capsys, folder=RESULT.parent)
    assert "no such folder" in refused(capsys, folder=RESULT.with_name("7"))
    control = RESULT.parents[1] / "whole_image" / "0"
    assert control.is_dir()
    assert "whole_image is a control, which was not trained" in refused(capsys, folder=control)


def test_a_result_without_its_checkpoint_says_how_to_train_it(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree("runs")
    message = refused(capsys)
    assert "error: runs/fake_scenes/tiny/rsrefseg/0/model.safetensors: the run's checkpoint is not here" in message
    assert "dvc repro train@fake_scenes-tiny-rsrefseg-0" in message


def test_a_checkpoint_that_the_result_was_not_measured_with_is_refused(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = RESULT / "result.json"
    result = json.loads(file.read_text())
    result["run"]["fingerprint"] = "0" * 16
    file.write_text(json.dumps(result))
    assert "not the training that" in refused(capsys)


def test_other_foundation_weights_are_refused(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = load_clip(CONFIG.model.clip, Path("weights/tiny"))
    changed = {name: value + 1e-3 for name, value in clip.model.state_dict().items()}
    save_tensors(Path("weights/tiny/clip.safetensors"), changed)
    assert "trained on other foundation weights" in refused(capsys)


def test_a_fault_while_writing_leaves_nothing_half_written(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[Path] = []

    def save(image: Image.Image, file: Path, **settings: str) -> None:
        if saved:
            raise OSError("no space left")
        saved.append(file)
        file.write_bytes(b"half")

    monkeypatch.setattr(Image.Image, "save", save)
    with pytest.raises(OSError, match="no space left"):
        run("the red ship", "road")
    assert not list(Path().glob("out*.png"))
