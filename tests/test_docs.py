"""What the documentation cites is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
CITED = re.compile(r"`(?:[\w/]+/)?(test_\w+\.py)::(test_\w+)`")


def test_every_test_that_is_cited_exists() -> None:
    defined: dict[str, set[str]] = {}  # several folders may have a file of one name
    for path in (ROOT / "tests").rglob("test_*.py"):
        names = re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        defined.setdefault(path.name, set()).update(names)
    for page in (ROOT / "docs").glob("*.md"):
        for file, name in CITED.findall(page.read_text(encoding="utf-8")):
            assert name in defined.get(file, set()), f"{page.name} cites {file}::{name}"
