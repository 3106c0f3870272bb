"""The only consoles and progress bars of the project: what is printed is text, never markup.

rich reads "[red]" as a colour and ":ship:" as a picture in whatever it prints, a table's cells and a bar's title too;
here it does not. Colours are given as styles.
"""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from benchmark.output.escaping import visible
from benchmark.output.secrets import mask


def terminal(*, stderr: bool = False, soft_wrap: bool = False) -> Console:
    """A console that prints what it gets. soft_wrap: paths and checksums are not broken into lines."""
    return Console(stderr=stderr, soft_wrap=soft_wrap, markup=False, emoji=False, highlight=False)


def plain(text: object, style: str = "") -> Text:
    """A cell, a title or a line as it may be printed: secrets masked, signs that are not seen written out."""
    return Text(visible(mask(str(text)), keep="\n"), style=style)


def say(console: Console, text: object, style: str = "") -> None:
    """Print a line whose parts are other people's."""
    console.print(plain(text, style))


def progress_bar(console: Console, *columns: ProgressColumn, transient: bool = False) -> Progress:
    """A progress bar with its task's description, and `columns` in place of the usual ones."""
    shown = columns or (BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    return Progress(TextColumn("{task.description}", markup=False), *shown, console=console, transient=transient)
