"""The page of experiments.demo, served, for its test and for its picture in the README.

python -m tests.demo                        # docs/demo.jpg, of the published run
"""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from PIL import Image
from playwright.sync_api import Page

from tests.browser import browse

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "demo.jpg"
SENTENCE = "the white ship"  # of the first example that has it


@contextmanager
def serve(project: Path, *arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The page's address, and the command that serves it; ended if it still runs."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "experiments.demo", *arguments]
    with subprocess.Popen(
        command, env=environment, cwd=project, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as server:
        assert server.stdout is not None
        said = []
        for line in server.stdout:
            said.append(line)
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                break
        else:
            raise AssertionError(f"the page did not start: {''.join(said)}")
        try:
            yield found.group(0), server
        finally:
            if server.poll() is None:
                server.send_signal(signal.SIGINT)
                server.wait(120)


def ask(page: Page, file: Path | None, sentences: str) -> None:
    """Give the page an image (None: the one that is there) and sentences, and press the button."""
    if file is not None:
        if page.get_by_label("Clear").count():
            page.get_by_label("Clear").first.click()
        page.locator("input[type=file]").first.set_input_files(file)
        page.locator(f"a[download='{file.name}']").wait_for()
    page.get_by_label("sentences, one a line").fill(sentences)
    page.get_by_role("button", name="Segment").click()


def main(
    run: Annotated[str, typer.Option(help="as for experiments.demo; empty: the published run")] = "",
    out: Annotated[Path, typer.Option(help="the picture")] = PICTURE,
) -> None:
    """Take the README's picture of the page."""
    with serve(ROOT, *(["--run", run] if run else [])) as (address, _), browse(1180, 1000) as (page, _):
        page.goto(address)
        page.get_by_role("row", name=SENTENCE).first.click()
        page.locator("a[download='overlay_1_mask.png']").wait_for(timeout=120_000)
        page.mouse.move(0, 0)
        shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    shot.save(out, quality=80, optimize=True)


if __name__ == "__main__":
    typer.run(main)
