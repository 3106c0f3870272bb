"""Who may import whom, read from the source of every module: the rooms' arrows, the fences around third parties, and a
few things that no room does at all."""

from __future__ import annotations

import ast
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
READ_BY_REPORTS = {  # what of the benchmark a report reads: results and what follows from them
    "benchmark.results.cases",
    "benchmark.metrics.iou",
    "benchmark.results.pictures",
    "benchmark.metrics.protocols",
    "benchmark.results.store",
    "benchmark.data.samples.SampleError",  # to say which file of examples is at fault
    "benchmark.metrics.statistics",
    "benchmark.metrics.strata",
    "benchmark.metrics.calibration",
}
FENCES = {  # a third party -> the only modules that import it
    "transformers": {
        *("models/clip.py", "models/weights/foundation.py", "models/sam.py", "models/tokens.py"),
        "models/weights/transformers_folder.py",
        "experiments/foundation.py",  # mini's own tokenizer
    },
    "tokenizers": {"experiments/foundation.py"},
    "segment_anything": {"models/weights/sam_official.py"},
    "peft": {"models/lora.py"},
    "accelerate": {"experiments/train.py", "experiments/evaluate.py"},
    "mlflow": {"experiments/tracking.py"},
    "huggingface_hub": {"experiments/download/hub.py"},
    "httpx2": {"experiments/download/hub.py"},
    "gdown": {"experiments/download/datasets.py"},
    "requests": {"experiments/download/datasets.py"},
    "tifffile": {"benchmark/data/images.py", "benchmark/speed/test_loader.py"},
    "imagecodecs": {"benchmark/data/images.py"},
    "matplotlib": {"reports/figures/plots.py", "reports/figures/sheets.py", "reports/figures/style.py"},
    "seaborn": {"reports/figures/plots.py", "reports/figures/style.py"},
}
PARSERS = {"argparse", "optparse", "getopt", "click", "fire"}  # commands are typer's
EXECUTE_WHAT_THEY_READ = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
PICKLES = "benchmark/datasets/plain_pickle.py"  # reads one of plain data, after looking at every instruction
Sources = Mapping[str, str]


def real_sources() -> dict[str, str]:
    """Path from the root -> text, of every module of the four rooms."""
    files = [file for room in ARROWS for file in sorted((ROOT / room).rglob("*.py"))]
    return {file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in files}


def imports(tree: ast.AST) -> Iterator[str]:
    """Every imported name in full, at any depth of the module; a relative import begins with a dot."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names)


def within(name: str, known: set[str]) -> bool:
    """Whether a dotted name is one of the known modules or lies in one."""
    return any(name == module or name.startswith(f"{module}.") for module in known)


def room_faults(path: str, tree: ast.AST) -> Iterator[str]:
    """Imports against the arrows."""
    room = path.split("/")[0]
    for name in imports(tree):
        other = name.split(".")[0]
        if name.startswith("."):
            yield f"{path} imports {name}: write the whole name"
            continue
        elsewhere = other in {*ARROWS, "tests"} - ARROWS[room] - {room}
        unread = room == "reports" and other == "benchmark" and not within(name, READ_BY_REPORTS)
        if elsewhere or unread:
            yield f"{path} imports {name}"


def fence_faults(path: str, tree: ast.AST) -> Iterator[str]:
    """Third parties outside their fences."""
    for name in imports(tree):
        package = name.split(".")[0]
        if package in FENCES and path not in FENCES[package]:
            yield f"{path} imports {name}"


def argument_faults(path: str, tree: ast.Module) -> Iterator[str]:
    """Command-line arguments read when a module is imported; `if __name__ == "__main__":` is where commands start."""
    yield from (f"{path} imports {name}" for name in imports(tree) if within(name, PARSERS | {"sys.argv"}))
    apps = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.value).startswith(("typer.Typer(", "Typer("))
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in executed(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "sys.argv":
            yield f"{path}:{node.lineno} reads sys.argv"
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in apps | {"typer.run", "run"} or called.split(".")[-1] in ("parse_args", "parse_known_args"):
                yield f"{path}:{node.lineno} calls {called}"


def executed(tree: ast.AST) -> Iterator[ast.AST]:
    """What runs when a module is imported: not the bodies of functions, not the main block."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'":
            continue
        yield node
        yield from executed(node)


def blind_faults(path: str, tree: ast.AST) -> Iterator[str]:
    """Handlers that catch everything."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            caught = ["everything"] if node.type is None else names(node.type)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "suppress":
            caught = [name for argument in node.args for name in names(argument)]
        else:
            continue
        if {"everything", "Exception", "BaseException"} & set(caught):
            yield f"{path}:{node.lineno} catches everything"


def names(node: ast.AST) -> list[str]:
    """The last part of every name in an expression."""
    found = [inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)]
    return found + [inner.attr for inner in ast.walk(node) if isinstance(inner, ast.Attribute)]


def pickle_faults(path: str, tree: ast.AST) -> Iterator[str]:
    """Files whose reading may execute what is in them, and their makers; what torch.load refuses may be caught."""
    for name in imports(tree):
        allowed = name == "pickle.UnpicklingError" or (name == "pickle" and path == PICKLES)
        executes = within(name, EXECUTE_WHAT_THEY_READ) and not allowed
        if executes or name in ("torch.load", "torch.save") or within(name, {"torch.serialization"}):
            yield f"{path} imports {name}"
    harmless = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call) and loads_only_weights(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and id(node) not in harmless:
            whole = ast.unparse(node)
            known = whole in ("torch.load", "torch.save", "torch.serialization")
            if known or node.attr in ("read_pickle", "to_pickle") or whole in ("pickle.load", "pickle.loads"):
                yield f"{path}:{node.lineno} uses {whole}"
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle" and ast.unparse(node.value) != "False":
            yield f"{path}:{node.value.lineno} allows pickle"


def loads_only_weights(call: ast.Call) -> bool:
    """A call of torch.load that says so itself: `weights_only=True`, literally."""
    said = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    return ast.unparse(call.func) == "torch.load" and said.get("weights_only") == "True"


RULES = {
    "rooms": room_faults,
    "fences": fence_faults,
    "arguments": argument_faults,
    "blind except": blind_faults,
    "pickle": pickle_faults,
}


def faults(rule: str, sources: Sources) -> list[str]:
    return [fault for path, text in sources.items() for fault in RULES[rule](path, ast.parse(text, path))]


# -------------------------------------------------------------------------------------------------------- this project


def test_every_room_is_read() -> None:
    rooms = {path.split("/")[0] for path in real_sources()}
    assert rooms == set(ARROWS)


def test_imports_follow_the_arrows_between_the_rooms() -> None:
    assert faults("rooms", real_sources()) == []


def test_third_parties_stay_inside_their_fences() -> None:
    assert faults("fences", real_sources()) == []


def test_no_module_reads_the_command_line_when_it_is_imported() -> None:
    assert faults("arguments", real_sources()) == []


def test_nothing_catches_everything() -> None:
    assert faults("blind except", real_sources()) == []


def test_nothing_reads_a_pickle_that_could_execute_or_writes_one() -> None:
    assert faults("pickle", real_sources()) == []


def test_models_open_no_files_but_weights_and_print_nothing() -> None:
    talk = {"logging", "rich", "typer", "tqdm", "warnings", "yaml", "pandas", "PIL", "mlflow"}
    warns = {"models/tokens.py"}  # of expressions that were cut
    for path, text in real_sources().items():
        if path.startswith("models/"):
            tree = ast.parse(text, path)
            allowed = {"warnings"} if path in warns else set()
            assert not [name for name in imports(tree) if within(name, talk - allowed)], path
            calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
            assert not calls & {"print", "open", "input"}, path


def test_every_fenced_module_exists() -> None:
    assert {path for allowed in FENCES.values() for path in allowed} <= set(real_sources())


# --------------------------------------------------------------------------- the rules themselves, on what they forbid


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        ("rooms", "models/x.py", "import benchmark.metrics.iou"),
        ("rooms", "models/x.py", "def f():\n    from experiments import config"),
        ("rooms", "benchmark/x.py", "from models.config import ModelConfig"),
        ("rooms", "benchmark/x.py", "import reports"),
        ("rooms", "benchmark/x.py", "from experiments.config import resolve")(
            "rooms", "reports/x.py", "from models import zoo"
        ),
        ("rooms", "reports/x.py", "from benchmark.evaluator import evaluate"),
        ("rooms", "reports/x.py", "from benchmark import loader"),
        ("rooms", "reports/x.py", "import benchmark"),
        ("rooms", "experiments/x.py", "from reports.load import load"),
        ("rooms", "experiments/x.py", "from tests.tiny import tiny_model"),
        ("rooms", "models/x.py", "from . import clip"),
        ("rooms", "models/x.py", "from ..benchmark import metrics"),
        ("fences", "models/rsrefseg.py", "from transformers import SamModel"),
        ("fences", "experiments/predict.py", "import segment_anything as sam"),
        ("fences", "models/sam.py", "import peft.tuners"),
        ("fences", "experiments/collect.py", "def f():\n    import mlflow"),
        ("fences", "experiments/runs.py", "from accelerate import Accelerator"),
        ("fences", "benchmark/results/pictures.py", "import matplotlib.pyplot as plt"),
        ("arguments", "models/x.py", "import argparse"),
        ("arguments", "models/x.py", "import sys\nside = int(sys.argv[1])"),
        ("arguments", "models/x.py", "from sys import argv"),
        ("arguments", "experiments/x.py", "import typer\ntyper.run(main)"),
        ("arguments", "experiments/x.py", "import typer\napp = typer.Typer()\nif True:\n    app()"),
        ("arguments", "experiments/x.py", "class A:\n    options = parser.parse_args()"),
        ("blind except", "benchmark/x.py", "try:\n    f()\nexcept:\n    pass"),
        ("blind except", "benchmark/x.py", "try:\n    f()\nexcept Exception as error:\n    raise"),
        ("blind except", "benchmark/x.py", "try:\n    f()\nexcept (KeyError, BaseException):\n    pass"),
        ("blind except", "benchmark/x.py", "try:\n    f()\nexcept builtins.Exception:\n    pass"),
        ("blind except", "benchmark/x.py", "with contextlib.suppress(Exception):\n    f()"),
        ("pickle", "benchmark/x.py", "import pickle"),
        ("pickle", "benchmark/x.py", "from pickle import load"),
        ("pickle", PICKLES, "import pickle\npickle.load(file)"),
        ("pickle", PICKLES, "from pickle import loads"),
        ("pickle", "benchmark/x.py", "from pickle import UnpicklingError, Unpickler"),
        ("pickle", "models/x.py", "import torch\ntorch.load('x')"),
        ("pickle", "models/x.py", "torch.load('x', weights_only=False)"),
        ("pickle", "models/x.py", "torch.load('x', weights_only=safe)"),
        ("pickle", "models/x.py", "torch.load('x', None, True)"),
        ("pickle", "models/x.py", "torch.load('x', **{'weights_only': True})"),
        ("pickle", "models/x.py", "f(torch.load, weights_only=True)"),
        ("pickle", "models/x.py", "torch.load('x', weights_only=True)\ntorch.load('y')"),
        ("pickle", "models/x.py", "torch.serialization.add_safe_globals([Model])"),
        ("pickle", "models/x.py", "from torch.serialization import safe_globals"),
        ("pickle", "models/x.py", "from torch import load"),
        ("pickle", "models/x.py", "torch.save(model, 'x')"),
        ("pickle", "benchmark/x.py", "pd.read_pickle('x')"),
        ("pickle", "benchmark/x.py", "np.load('x', allow_pickle=True)"),
    ],
)
def test_a_rule_finds_what_it_forbids(rule: str, path: str, text: str) -> None:
    assert len(faults(rule, {path: text})) >= 1


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        ("rooms", "experiments/x.py", "from models import zoo\nimport benchmark.metrics.iou"),
        ("rooms", "reports/x.py", "from benchmark import results\nfrom benchmark.metrics.iou import miou"),
        ("rooms", "models/x.py", "from models.config import Part"),
        ("fences", "models/lora.py", "import peft"),
        ("arguments", "experiments/x.py", "import typer\nif __name__ == '__main__':\n    typer.run(main)"),
        ("arguments", "experiments/x.py", "import typer\napp = typer.Typer()\ndef f():\n    app()"),
        ("blind except", "benchmark/x.py", "try:\n    f()\nexcept (KeyError, ValueError):\n    pass"),
        ("pickle", "models/x.py", "from safetensors.torch import load_file\nnp.load('x', allow_pickle=False)"),
        ("pickle", "models/x.py", "import torch\ntorch.load('x', map_location='cpu', weights_only=True)"),
        ("pickle", "models/x.py", "from pickle import UnpicklingError"),
        ("pickle", PICKLES, "import pickle\nclass Closed(pickle.Unpickler): ..."),
    ],
)
def test_a_rule_lets_pass_what_it_does_not_forbid(rule: str, path: str, text: str) -> None:
    assert faults(rule, {path: text}) == []
