from __future__ import annotations

import errno
import io

import pytest
from hypothesis import given
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmark.data.errors import SampleError, ends_with
from benchmark.output.escaping import visible
from benchmark.output.secrets import mask
from benchmark.output.terminal import plain, progress_bar, say, terminal
from tests.hostile import texts


def printed(console: Console, width: int = 4000) -> io.StringIO:
    """Where a console writes from now on, without breaking lines."""
    console.file, console.width = io.StringIO(), width
    return console.file


@given(texts)
def test_a_line_and_a_cell_show_the_very_text(text: str) -> None:
    shown = visible(mask(text), keep="\n")
    console = terminal(soft_wrap=True)
    stream = printed(console)
    say(console, f"<{text}>")
    assert stream.getvalue() == f"<{shown}>\n"
    table = Table("expression", box=None)
    table.add_row(plain(f"<{text}>"))
    stream = printed(console)
    console.print(table)
    lines = [line.strip() for line in stream.getvalue().splitlines()]
    assert lines[1:] == [line.strip() for line in f"<{shown}>".split("\n")]
    stream = printed(console)
    console.print(f"<{visible(text)}>")  # a text that is not said, but printed
    assert stream.getvalue() == f"<{visible(text)}>\n"


@given(texts)
def test_a_progress_bar_shows_the_very_text(text: str) -> None:
    console = terminal()
    bar: Progress = progress_bar(console)
    bar.add_task(visible(text))
    stream = printed(console)
    console.print(bar.get_renderable())
    assert visible(text).strip() in stream.getvalue()


def test_an_error_ends_a_command_with_its_text_and_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="1"), ends_with(SampleError):
        raise SampleError("[/27L] :ship: \x1b[31m http://u:p@h\nnext line")
    assert capsys.readouterr().err == "error: [/27L] :ship: \\x1b[31m http://***@h\nnext line\n"


def test_what_cannot_be_written_ends_a_command_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    for number, remedy in (
        (errno.EACCES, "writable for you, or work in a copy"),
        (errno.EROFS, "mounted read-only"),
        (errno.ENOTDIR, "give another path"),
        (errno.ENOSPC, "make room"),
    ):
        with pytest.raises(SystemExit, match="1"), ends_with(SampleError):
            raise OSError(number, "it was said why", "results/x")
        message = capsys.readouterr().err
        assert message.startswith("error: results/x: it was said why; ")
        assert remedy in message


def test_another_fault_of_the_system_is_a_bug() -> None:
    with pytest.raises(OSError, match="odd"), ends_with(SampleError):
        raise OSError(errno.EINVAL, "odd")
