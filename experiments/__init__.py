"""The commands, `python -m experiments.NAME`, and in folders what several of them share."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 (a Python may be older than what was asked for)
    raise SystemExit(
        f"error: this is Python {sys.version_info[0]}.{sys.version_info[1]} ({sys.executable}), and 3.11 or newer is "
        "needed; `make setup` finds one, or says which to install"
    )
