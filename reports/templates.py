"""HTML templates: jinja2 over the files of a folder, everything escaped, a name that is not given an error."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmark.output.escaping import html_text


def templates(folder: Path) -> Environment:
    """The templates of a folder, by file name."""
    loader = FileSystemLoader(folder)
    return Environment(
        loader=loader,
        autoescape=True,
        finalize=html_text,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
