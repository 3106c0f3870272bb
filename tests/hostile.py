"""Text that is markup, a formula or a command to something that might print it: each must come out as it is."""

from __future__ import annotations

from hypothesis import strategies as st

HOSTILE = (
    *("[red]", "the runway marked [/27L]", "[/]", "[link=https://x.org]x[/link]", ":ship:"),  # rich
    *(
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        '"><b>',
        "&lt;b&gt;",
        "&#60;",
        "<!--",
        "<?x?>",
    ),  # HTML
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
