"""Every table goes through a real TeX where there is one; what needs none is tested in test_tables.py."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from reports.load import load_report
from reports.tables.main import provenance_table
from reports.tables.published import published_table
from reports.tables.rendering import latex
from reports.writing import make_tables

PDFLATEX = shutil.which("pdflatex")
DOCUMENT = r"""\documentclass[twocolumn]{article}
\usepackage[a4paper,margin=2cm]{geometry}
\usepackage{booktabs,graphicx}
\begin{document}
%s
\end{document}
"""


@pytest.mark.skipif(PDFLATEX is None, reason="needs a TeX: apt-get install texlive-latex-recommended")
def test_every_table_compiles_and_fits_the_page(fake_place: Callable[..., Path], tmp_path: Path) -> None:
    root = fake_place(tmp_path / "place", images=4, seeds=(0, 1, 2))
    report = load_report(root / "results", root / "params.yaml", root / "reports/generated/runs.csv")
    (group,) = report.groups
    tables = [*make_tables(report)[group.dataset, group.model], provenance_table(report)]
    published = published_table(replace(group, dataset="rrsisd"))
    assert published is not None
    tables.append(published)
    assert len(tables) == 13
    (tmp_path / "all.tex").write_text(DOCUMENT % "\\clearpage\n".join(latex(table) for table in tables))
    command = [str(PDFLATEX), "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    log = (tmp_path / "all.log").read_text(errors="replace")
    assert done.returncode == 0, "\n".join(line for line in log.splitlines() if line.startswith("!"))
    assert "undefined" not in log.casefold()
    too_wide = [float(points) for points in re.findall(r"Overfull \\hbox \(([\d.]+)pt too wide\)", log)]
    assert not [points for points in too_wide if points > 10]
