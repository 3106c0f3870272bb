"""Check params.yaml as a whole before anything runs: DVC deletes a stage's outputs before the stage can complain.

python -m experiments.check
"""

from __future__ import annotations

import itertools

import typer
from rich import print

from experiments.config import PARAMS, dataset_config, load_params, pick, resolve
from experiments.errors import clear_errors
from experiments.settings import ConfigError


def main() -> None:
    """Resolve every run that `run` names."""
    with clear_errors():
        params = load_params()
        run = params.run
        for dataset in run.datasets:
            dataset_config(params, dataset)
        points = list(itertools.product(run.datasets, run.models, run.variants, run.seeds))
        for model in run.models:
            pick("foundation", model, params.foundation)
            for part in ("clip", "sam"):
                if params.models[model].get(part) is None:
                    raise ConfigError(
                        f"{PARAMS}: models.{model} has no {part}; write `{part}: {{}}` where nothing changes: DVC "
                        "tracks this key separately"
                    )
        for point in points:
            resolve(params, *point)
        print(f"params.yaml: {len(points)} runs and {len(run.controls)} controls for each dataset and model")


if __name__ == "__main__":
    typer.run(main)
