"""The demo's page in a real browser: one server and one browser for all of it."""

from __future__ import annotations

import io
import re
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import Page

from experiments.published import find_run
from tests.browser import browse, needs_chromium, screenshot
from tests.demo import ask, serve
from tests.trained import RESULT, make_trained_project, picture

pytestmark = [
    needs_chromium,
    pytest.mark.skipif(find_spec("gradio") is None, reason="needs gradio: `make demo` and `make test` set it up"),
]
MARKUP = (
    '<img src=x onerror="window.hit=1"><script>window.hit=1</script> ${window.hit=1} {{#each}} {{{value}}} the red ship'
)
NO_WORDS = "?!<>&{{}}${}"
SECONDS = 60  # 4,000 px take 10 on two cores that do nothing else
TEMPORARY = "rsrefseg-demo-*"

Browsed = tuple[Page, str, list[str]]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, fake_place: Callable[..., Path]) -> Path:
    return make_trained_project(tmp_path_factory.mktemp("project"), fake_place)


@pytest.fixture(scope="module")
def served(project: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    with serve(project, "--run", str(RESULT)) as found:
        yield found


@pytest.fixture(scope="module")
def browsed(served: tuple[str, subprocess.Popen[str]]) -> Iterator[Browsed]:
    """The page, its address, and everything that it asked for."""
    asked: list[str] = []
    with browse(1280, 1000) as (page, _):
        page.set_default_timeout(SECONDS * 1000)
        page.on("request", lambda request: asked.append(request.url))
        page.goto(served[0])
        yield page, served[0], asked


def download(page: Page, name: str) -> Image.Image:
    """A file that the page offers."""
    with page.expect_download() as found:
        page.locator(f"a[download='{name}']").click()
    return Image.open(io.BytesIO(Path(found.value.path()).read_bytes()))


def answers(page: Page, count: int) -> list[str]:
    """The headings of the answers, when there are that many and the files are there."""
    page.locator("section.answer").nth(count - 1).wait_for()
    page.locator("a[download$='_mask.png']").first.wait_for()
    return page.locator("section.answer h3").all_inner_texts()


def expected(project: Path, image: Image.Image, sentence: str) -> np.ndarray:
    network, _ = find_run(project / RESULT)
    return network.predict([torch.from_numpy(np.array(image)).permute(2, 0, 1)], [sentence], [0])[0]


def test_an_upload_and_two_sentences_give_what_predict_gives(browsed: Browsed, project: Path, tmp_path: Path) -> None:
    page, _, _ = browsed
    picture().save(tmp_path / "scene.png")
    ask(page, tmp_path / "scene.png", "the red ship\n\n  road  ")
    assert answers(page, 2) == ["the red ship", "road"]
    for number, sentence in enumerate(("the red ship", "road"), start=1):
        found = download(page, f"overlay_{number}_mask.png")
        different = (np.array(found) > 0) != expected(project, picture(), sentence)
        assert different.mean() < 0.001  # another process, another number of threads: a logit of 0 may tip over
    titles = page.locator("section.answer").first.locator("figcaption").all_inner_texts()
    assert titles == ["mask", "probability", "local activation", "global activation", "dense prompt"]
    said = page.locator("section.answer").first.inner_text()
    assert "mean probability inside the mask" in said
    assert "on the test split of fake_scenes" in said
    screenshot(page, "demo.png")


def test_a_file_that_is_no_image_is_named_and_the_next_one_works(browsed: Browsed, tmp_path: Path) -> None:
    page, _, _ = browsed
    stream = io.BytesIO()
    picture().save(stream, format="PNG")
    (tmp_path / "half.png").write_bytes(stream.getvalue()[: len(stream.getvalue()) // 2])
    (tmp_path / "notes.png").write_text("not an image")
    for name, fault in (("half.png", "cannot be read to its end.*it is truncated"), ("notes.png", "is no PNG, JPEG")):
        ask(page, tmp_path / name, "the red ship")
        said = re.compile(f"image {name} {fault}")
        page.get_by_role("alert").get_by_text(said).first.wait_for()  # the preview says it, and the answer
        assert page.locator("section.answer").count() == 0
    picture().save(tmp_path / "whole.png")
    ask(page, tmp_path / "whole.png", "road")
    assert answers(page, 1) == ["road"]
    page.locator("#preview img").wait_for()
    ask(page, None, " \n ")
    page.get_by_role("alert").get_by_text("type a sentence").wait_for()


def test_a_picture_of_4000_pixels_is_answered_at_its_own_size(browsed: Browsed, tmp_path: Path) -> None:
    page, _, _ = browsed
    picture(4000, 3000).save(tmp_path / "large.jpg")
    started = time.monotonic()
    ask(page, tmp_path / "large.jpg", "the red ship")
    answers(page, 1)
    assert time.monotonic() - started < SECONDS
    assert download(page, "overlay_mask.png").size == (4000, 3000)
    shown = page.locator("section.answer img").first
    assert shown.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [640, 480]


def test_what_was_asked_while_an_answer_is_made_is_answered(browsed: Browsed, tmp_path: Path) -> None:
    page, _, _ = browsed
    picture(2000, 1500).save(tmp_path / "slow.jpg")
    ask(page, tmp_path / "slow.jpg", "the red ship")
    ask(page, None, "road")
    page.locator("section.answer h3").get_by_text("road").wait_for()


def test_hostile_markup_is_text(browsed: Browsed, tmp_path: Path) -> None:
    page, _, _ = browsed
    picture().save(tmp_path / "small.png")
    ask(page, tmp_path / "small.png", f"{MARKUP}\n{NO_WORDS}")
    page.get_by_role("alert").get_by_text(f"expression '{NO_WORDS}' holds nothing").wait_for()
    ask(page, None, MARKUP)
    assert answers(page, 1) == [MARKUP]
    assert page.locator("section.answer script, section.answer h3 img").count() == 0
    assert page.evaluate("window.hit") is None


def test_the_page_asks_for_nothing_from_elsewhere_and_answers_this_machine_alone(browsed: Browsed) -> None:
    _, address, asked = browsed
    assert len(asked) > 10
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
    elsewhere = urllib.request.Request(address, headers={"Host": "example.org"})
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(elsewhere, timeout=SECONDS)


def test_ctrl_c_closes_it_and_leaves_nothing(served: tuple[str, subprocess.Popen[str]]) -> None:
    """The last one: nothing is served afterwards."""
    _, server = served
    assert list(Path(tempfile.gettempdir()).glob(TEMPORARY))
    server.send_signal(signal.SIGINT)
    said, _ = server.communicate(timeout=120)
    assert (server.returncode, said.strip()) == (0, "closed")
    assert not list(Path(tempfile.gettempdir()).glob(TEMPORARY))
