"""Build the report from the result files.

    python -m reports.build                                           # from results/ alone
    python -m reports.build --runs reports/generated/runs.csv         # and hold them against what MLflow gave back
    python -m reports.build --readme README.md --document docs/results.md        # and write their results

Writes tables/, figures/ and index.html under reports/generated/, the same bytes from the same results. `--readme` and
`--document` replace what stands between `<!-- results:begin -->` and `<!-- results:end -->`, in place: as outputs of
the pipeline these files would be deleted before each run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def main(
    results: Annotated[Path, typer.Option(help="Folder of result files.")] = Path("results"),
    generated: Annotated[Path, typer.Option(help="Folder to write.")] = Path("reports/generated"),
    params: Annotated[Path, typer.Option(help="The parameter file.")] = Path("params.yaml"),
    readme: Annotated[Path | None, typer.Option(help="File whose results block becomes the headline.")] = None,
    document: Annotated[Path | None, typer.Option(help="File whose results block becomes all main tables.")] = None,
    runs: Annotated[
        Path | None, typer.Option(help="Table that experiments.collect read out of MLflow; it must equal the files.")
    ] = None,
) -> None:
    """Build tables, figures and the page; print the main tables."""
    from reports import writing

    writing.main(results, generated, params, readme, document, runs)


if __name__ == "__main__":
    typer.run(main)
