"""Who may import whom, read from every module: the arrows between rooms, the fences around third parties.

What a linter can say (no argparse, no pickle, no blind except, no print) ruff says: pyproject.toml.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

ARROWS = {  # a room -> the other rooms it may import
    "models": set(),
    "benchmark": set(),
    "experiments": {"models", "benchmark"},
    "reports": {"benchmark"},
}
DOORS = {"experiments/commands/audit.py": {"reports"}}  # the one command that also renders its page
READ_BY_REPORTS = {  # what of the benchmark a report reads: results and what follows from them
    "benchmark.data.errors",
    "benchmark.data.files",
    "benchmark.data.params_file",
    "benchmark.metrics",
    "benchmark.output",
    "benchmark.results",
}
READS_DATASETS = "reports/audit/"  # the page of an audit shows a dataset itself
FENCES = {  # a third party -> the only places that import it
    "transformers": {
        *("models/clip.py", "models/sam.py", "models/sam_attention.py", "models/tokens.py"),
        "models/rsrefseg2/sam2.py",
        *("models/weights/foundation.py", "models/weights/transformers_folder.py"),
        "models/zeroshot/",
        *("models/lavt/backbone.py", "models/lavt/text.py", "models/weights/swin_bert_folder.py"),
        "experiments/pretraining/tokenizer.py",  # mini's own
    },
    "tokenizers": {"experiments/pretraining/tokenizer.py"},
    "segment_anything": {"models/weights/sam_official.py"},
    "peft": {"models/lora.py"},
    "accelerate": {
        *("experiments/training/", "experiments/cost/", "experiments/speed/"),
        *("experiments/ranks.py", "experiments/repeatable.py"),
    },
    "mlflow": {"experiments/tracking.py"},
    "submitit": {"experiments/cluster/"},
    "psutil": {"experiments/cluster/job.py", "experiments/stopping.py", "experiments/speed/machine.py"},
    "huggingface_hub": {"experiments/download/hub.py"},
    "httpx2": {"experiments/download/hub.py"},
    "gdown": {"experiments/download/datasets.py"},
    "requests": {"experiments/download/datasets.py"},
    "tifffile": {"benchmark/data/images/tiff_files.py"},
    "imagecodecs": {"benchmark/data/images/png_jpeg.py", "experiments/speed/loading.py"},
    "rasterio": {
        *("benchmark/data/images/scene_files.py", "benchmark/datasets/geo_patches.py"),
        *("experiments/scene/layers.py", "experiments/scene/polygons.py"),
    },
    "geopandas": {
        *("benchmark/datasets/geo_polygons.py", "benchmark/datasets/geo_blocks.py"),
        *("experiments/scene/polygons.py", "experiments/scene/ground.py"),
    },
    "pyogrio": {"benchmark/datasets/geo_", "experiments/scene/polygons.py"},
    "shapely": {"benchmark/datasets/geo_", "experiments/scene/polygons.py", "experiments/scene/ground.py"},
    "pyproj": {
        *("benchmark/datasets/geo_polygons.py", "benchmark/datasets/geo_blocks.py", "experiments/scene/ground.py"),
    },
    "gradio": {"experiments/webpage/page.py"},
    "uvicorn": {"experiments/commands/demo.py"},
    "ruamel": {"benchmark/data/params_file.py"},
    "matplotlib": {"reports/figures/"},
    "seaborn": {"reports/figures/"},
}
CONSOLES = "benchmark/output/terminal.py"  # what prints other people's text as text
PRINT_NAMES_ONLY = {  # print numbers, and what experiments/settings.py lets pass as a name
    *("experiments/commands/train.py", "experiments/commands/evaluate.py", "experiments/commands/cases.py"),
    *("experiments/pretraining/", "experiments/training/", "benchmark/datasets/triplets.py"),
}
OPTIONS = {  # what a command may import before it has read its options: --help is there at once
    *("__future__", "pathlib", "typing", "typer"),
    *("experiments.places", "experiments.starters", "experiments.tolerances"),
}
WORK_OF_REPORTS = {"reports/build.py": "reports.writing", "reports/speed.py": "reports.measured"}
TALK = {"logging", "rich", "typer", "tqdm", "yaml", "pandas", "PIL"}  # not for models, which compute


def real_sources() -> dict[str, str]:
    """Path from the root -> text, of every module of the four rooms."""
    files = [file for room in ARROWS for file in sorted((ROOT / room).rglob("*.py"))]
    return {file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in files}


def imports(text: str) -> Iterator[str]:
    """Every imported name in full, at any depth of the module; a relative import begins with a dot."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names)


def within(name: str, known: set[str]) -> bool:
    """Whether a dotted name is one of the known modules or lies in one."""
    return any(name == module or name.startswith(f"{module}.") for module in known)


def faults(sources: Mapping[str, str]) -> list[str]:
    """Imports against the arrows or through a fence."""
    found = []
    for path, text in sources.items():
        room = path.split("/")[0]
        for name in imports(text):
            package = name.split(".")[0]
            elsewhere = package in {*ARROWS, "tests"} - ARROWS[room] - {room} - DOORS.get(path, set())
            unread = room == "reports" and package == "benchmark" and not within(name, READ_BY_REPORTS)
            fenced = package in FENCES and not any(path.startswith(place) for place in FENCES[package])
            talks = room == "models" and package in TALK
            if name.startswith(".") or elsewhere or (unread and not path.startswith(READS_DATASETS)) or fenced or talks:
                found.append(f"{path} imports {name}")
    return found


def test_every_import_follows_the_arrows_and_stays_inside_the_fences() -> None:
    assert faults(real_sources()) == []


def consoles(text: str) -> set[str]:
    """What of rich a module prints with, that would read markup: rich.print, a Console or a Progress of its own."""
    imported = {name for name in imports(text) if name in ("rich.print", "rich.progress.track")}
    calls = (node.func for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
    return imported | {call.id for call in calls if isinstance(call, ast.Name)} & {"Console", "Progress"}


def test_only_one_module_makes_consoles_and_it_reads_no_markup() -> None:
    sources = real_sources()
    for path, text in sources.items():
        allowed = path == CONSOLES or any(path.startswith(place) for place in PRINT_NAMES_ONLY)
        assert allowed or not consoles(text), f"{path}: print with {CONSOLES}"
    for place in {CONSOLES, *PRINT_NAMES_ONLY}:
        assert any(consoles(text) for path, text in sources.items() if path.startswith(place)), place


def commands() -> dict[str, str]:
    """Path -> text of what a user starts by `python -m`."""
    return {path: text for path, text in real_sources().items() if "typer.run(main)" in text and path.count("/") == 1}


def test_a_command_imports_its_work_when_its_options_are_read_and_nothing_else_before() -> None:
    assert len(commands()) == 18
    for path, text in commands().items():
        top = "\n".join(
            ast.unparse(node) for node in ast.parse(text).body if isinstance(node, ast.Import | ast.ImportFrom)
        )
        assert [name for name in imports(top) if not within(name, OPTIONS)] == [], path
        inside = [name for name in imports(text) if name not in set(imports(top))]
        assert inside == [WORK_OF_REPORTS.get(path, path.removesuffix(".py").replace("/", ".commands."))], path


def test_params_yaml_is_read_in_one_place() -> None:
    for path, text in real_sources().items():
        assert "safe_load" not in text, f"{path}: read YAML with benchmark/data/params_file.py"


def test_every_fence_is_around_something() -> None:
    sources = real_sources()
    for package, places in FENCES.items():
        for place in places:
            inside = [text for path, text in sources.items() if path.startswith(place)]
            assert any(within(name, {package}) for text in inside for name in imports(text)), (package, place)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("models/x.py", "import benchmark.metrics.iou"),
        ("models/x.py", "def f():\n    from experiments import config"),
        ("models/x.py", "from . import clip"),
        ("models/x.py", "import logging"),
        ("benchmark/x.py", "from models.config import ModelConfig"),
        ("benchmark/x.py", "import reports"),
        ("reports/x.py", "from models import zoo"),
        ("reports/x.py", "from benchmark.evaluator import evaluate"),
        ("experiments/x.py", "from reports.load import load_report"),
        ("experiments/x.py", "from tests.tiny import tiny_model"),
        ("experiments/collect.py", "def f():\n    import mlflow"),
        ("models/sam.py", "import peft.tuners"),
        ("benchmark/results/pictures.py", "import matplotlib.pyplot as plt"),
    ],
)
def test_what_is_forbidden_is_found(path: str, text: str) -> None:
    assert len(faults({path: text})) == 1


def test_the_documented_tree_is_the_tree() -> None:
    """docs/architecture.md names every module and folder of the rooms, and nothing that is not there."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    block = text.split("<!-- tree:begin -->")[1].split("<!-- tree:end -->")[0]
    named = set(re.findall(r"\b\w+\.py\b", block))
    there = {Path(path).name for path in real_sources()} - {"__init__.py"}
    assert named == there
