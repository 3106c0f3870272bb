"""Text that is markup, a formula or a command to something that might print it: each must come out as it is.

Beside it the readers that judge what was written.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser

from hypothesis import strategies as st
from markdown_it import MarkdownIt

HOSTILE = (
    *("[red]", "the runway marked [/27L]", "[/]", "[link=https://x.org]x[/link]", ":ship:"),  # rich
    *("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", '"><b>', "&lt;b&gt;", "&#60;", "<!--"),  # HTML
    *("{{ 7 * 7 }}", "{% raise %}"),  # jinja
    *("=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "  =1", "＝1"),  # spreadsheets
    *("a $x$ b", r"$\frac$", r"\$1", r"\input{/etc/passwd}", r"100 % & {x} #1 ~ ^ \\", "a--b", "''", "[h]", "*"),  # TeX
    *("**bold**", "_under_ no_lora", "`code", "``", "[a](b)", "![a](b)", "[a]: b", "[a][b]", "[^1]", "a | b", r"\|"),
    *("# head", "1. one", "- one", "+ one", "> said", "---", "***", "~~gone~~", "    code", "<https://x.org>", "\\"),
    *("\x1b[31mred", "\x1b]0;title\x07", "a\rb", "a\nb", "a\tb", "\x00", "\u202eright to left", "\u2028", "\udcff"),
    *("'; DROP TABLE runs", '"quoted"', "über 木 ⛵", "", " "),
)
texts = st.one_of(
    st.sampled_from(HOSTILE),
    st.lists(st.sampled_from(HOSTILE), max_size=4).map("".join),
    st.text(max_size=30),
    st.text(alphabet="[]()<>{}\\`*_|~$&#;:!=+-.1a /\"'\n\x1b", max_size=20),
)

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
# of benchmark.output.escaping.latex
WRITTEN_TEX = re.compile(
    r"\\text(?:backslash|asciitilde|asciicircum|asciigrave|bar)\{\}|\\[&%$#_{}]|(?<=[-'])\{\}|^\{[\[*]\}"
    r"|\$(?:[-<>]|\\(?:geq|cdot|times|pm|dagger|ddagger))\$"
)


class Reader(HTMLParser):
    """What is in a page: its tags with their attributes, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, attrs))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        """All of it, in one."""
        return "".join(self.texts)
