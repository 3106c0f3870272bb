"""Debian's chromium, headless, for tests of pages; they are skipped where it is not installed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

CHROMIUM = shutil.which("chromium")
ARTIFACTS = Path(__file__).parents[1] / "test-artifacts"  # screenshots, to look at after a run

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: apt-get install chromium")


@contextmanager
def browse(width: int = 1400, height: int = 900) -> Iterator[tuple[Page, list[str]]]:
    """A page, and what went wrong on it so far: errors of the console, of scripts, and of requests."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": height})
        faults: list[str] = []
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("requestfailed", lambda request: faults.append(request.url[:200]))
        yield page, faults
        browser.close()


def screenshot(page: Page, name: str, *, full_page: bool = True) -> Path:
    """Keep what the page shows as ARTIFACTS/<name>."""
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / name, full_page=full_page)
    return ARTIFACTS / name
