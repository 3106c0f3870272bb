"""`make repro` begins with this check: DVC deletes a stage's outputs before the stage could complain."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import experiments
from experiments.commands import check

ROOT = Path(__file__).parents[2]
REAL = (ROOT / "params.yaml").read_text(encoding="utf-8")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone in small: params.yaml, mini's weights, DVC's settings, and a repository with a commit."""
    folder = tmp_path / "project"
    (folder / ".dvc").mkdir(parents=True)
    shutil.copy(ROOT / ".dvc" / "config", folder / ".dvc")
    shutil.copy(ROOT / "params.yaml", folder)
    (folder / "weights" / "mini").mkdir(parents=True)
    for name in ("clip.safetensors", "sam.safetensors", "tokenizer.json"):
        (folder / "weights" / "mini" / name).write_text("weights")
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    for words in (("init", "--quiet"), ("add", "--all"), ("commit", "--quiet", "--message", "start")):
        subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *words], check=True)
    return folder


def refused(capsys: pytest.CaptureFixture[str], *changes: tuple[str, str]) -> str:
    """What is said of params.yaml with these changes, its line breaks undone; the exit status is 1."""
    text = REAL
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    Path("params.yaml").write_text(text, encoding="utf-8")
    capsys.readouterr()
    with pytest.raises(SystemExit, match="1"):
        check.main()
    return " ".join(capsys.readouterr().err.split())


def test_the_committed_params_pass(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check.main()
    said = capsys.readouterr()
    assert "5 runs and 3 controls" in said.out
    assert said.err == ""


def test_a_fault_is_named_before_anything_runs(
    subtests: pytest.Subtests, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for old, new, message in (
        ("local_only, no_dense", "local_onyl, no_dense", "did you mean 'local_only'"),
        ("seeds: [0]", "seeds: []", "run.seeds = []"),
        ("seeds: [0]", "seeds: [-1]", "run.seeds.0 = -1"),
        ("seeds: [0]", "seeds: [0.0]", "run.seeds.0 = 0.0: Input should be a valid integer"),
        ("seeds: [0]", "seeds: [true]", "run.seeds.0 = True: Input should be a valid integer"),
        ("seeds: [0]", "seeds: ['0']", "run.seeds.0 = '0': Input should be a valid integer"),
        ("plain_steps: 900, lr: 1.0e-3, weight_decay: 0.05, seed: 0", "lr: 1.0e-3, weight_decay: 0.05, seed: 0.0",
         "pretrain.sam.seed = 0.0"),
        ("per_image: 5", "per_imag: 5", "did you mean 'per_image'"),
        ("foundation:\n  mini:", "foundation:\n  rsrefseg-b-x:", "did you mean 'rsrefseg-b'"),
        ("models: [mini]", "models: [rsrefseg-b-clop]", "did you mean 'rsrefseg-b-clip'"),
        ("rsrefseg: {}", "rsrefseg: {}\n  whole_image: {}", "a control has this name"),
        ("models: [mini]", "models: [mini, lavt-mini]", "lavt-mini has no training-free baseline"),
        ("models: [mini]", "models: [lavt-mini]", "'lavt', which has no variant 'no_lora'; it has full, no_gate"),
        ("system: lavt\n", "system: rmsin\n", "models.lavt-mini.system = 'rmsin': this size is of 'lavt'"),
        ("{system: lavt, gate", "{system: levt, gate", "no_gate.system: unknown name 'levt'; did you mean 'lavt'"),
        ("{system: lavt, gate", "{system: rmsin, gate", "variants.no_gate.gate: unknown key"),
        ("seeds: [0]", "seeds: [0]\n  seeds: [1]", "run.seeds is there already, in line"),
        ("rsrefseg: {}", "rsrefseg: {}\n  no_lora: {}", "variants.no_lora is there already"),
        ("root: ../shared/data/dubai_aerial", "root: ~/dubai", "write the whole path, here /"),
        ("refsegrs: {root: raw/refsegrs,", "refsegrs: {root: 'https://me:geheim@host/x',",
         "datasets.refsegrs.root = 'https://***@host/x': holds a password or a token"),
    ):  # fmt: skip
        with subtests.test(msg=new):
            dubai = [("datasets: [synthetic]", "datasets: [synthetic, dubai]")] if "dubai" in new else []
            said = refused(capsys, (old, new), *dubai)
            assert message in said
            assert "params.yaml" in said
            assert "geheim" not in said


def test_one_rule_for_the_names_of_datasets_models_and_variants(
    subtests: pytest.Subtests, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What folders, shells, DVC's stages and the paths of its parameters take."""
    for name in ("my variant", "v1.5", "a/b", "$(date)", "-x", "ä", "a;b", "x" * 61, "[/27L]", "a@b"):
        with subtests.test(msg=name):
            said = refused(
                capsys,
                ("rsrefseg: {}", f"rsrefseg: {{}}\n  '{name}': {{}}"),
                ("local_only, no_dense", f"'{name}', no_dense"),
                ("  # your own, under any name", f"  '{name}': {{kind: coco}}\n  # your own, under any name"),
            )
            assert f"run.variants.3 = '{name}': cannot name a folder and a stage" in said
            assert f"variants: '{name}': cannot name a folder and a stage" in said
            assert f"datasets: '{name}': cannot name a folder and a stage" in said
    assert "for example 'my_variant'" in refused(capsys, ("rsrefseg: {}", "rsrefseg: {}\n  my variant: {}"))
    assert "models: 'my model': cannot name a folder" in refused(capsys, ("  mini:\n", "  my model: {}\n  mini:\n"))


def test_stages_that_would_have_one_name_are_named(project: Path) -> None:
    params = check.load_params()
    run = params.run.model_copy(update={"datasets": ["a", "a-b"], "models": ["b-c", "c"]})
    (fault, *_) = check._same_names(params.model_copy(update={"run": run}))
    assert "the stages of a x b-c x rsrefseg and a-b x c x rsrefseg would have one name, a-b-c-rsrefseg" in fault
    assert list(check._same_names(params)) == []


def test_all_faults_come_at_once_each_with_its_remedy(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(".git")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "htp://me:geheim@host")
    said = refused(
        capsys,
        ("datasets: [synthetic]", "datasets: [synthetic, dubai]"),
        ("root: ../shared/data/dubai_aerial", "root: raw/dubai"),
        ("per_image: 5", "per_imag: 5"),
    )
    for fault in (
        "not in a git repository",
        "per_imag: unknown key; did you mean 'per_image'?",
        "raw/dubai is not there",
        "MLFLOW_TRACKING_URI = htp://***@host: htp:// is unknown",
        "nothing is run before these are mended",
    ):
        assert fault in said
    assert said.count("error: ") == 4
    said = refused(capsys, ("local_only, no_dense_prompt", "local_onyl, 'no dense'"), ("seeds: [0]", "seeds: [0.5]"))
    for fault in ("did you mean 'local_only'", "'no dense': cannot name", "run.seeds.0 = 0.5", "htp:// is unknown"):
        assert fault in said


def test_faults_of_a_dataset_are_named_beside_those_of_the_rest(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(
        capsys,
        ("datasets: [synthetic]", "datasets: [synthetic, dubai]"),
        ("root: ../shared/data/dubai_aerial", "root: raw/dubai"),
        ("seeds: [0]", "seeds: [0.5]"),
        ("per_image: 5", "per_imag: 5"),
    )
    for fault in ("run.seeds.0 = 0.5", "raw/dubai is not there", "per_imag: unknown key"):
        assert said.count(fault) == 1
    both = refused(capsys, ("datasets: [synthetic]", "datasets: [synthetic, fields]"), ("seeds: [0]", "seeds: [0.5]"))
    assert both.count("unknown name 'fields'") == 1
    refused(capsys, ("datasets: [synthetic]", "datasets: 3"), ("seeds: [0]", "seeds: [0.5]"))


def test_a_model_without_foundation_weights_is_named_before_anything_runs(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = REAL.index("  mini:", REAL.index("foundation:"))
    end = REAL.index("  rsrefseg-b:", start)
    assert "unknown foundation 'mini'" in refused(capsys, (REAL[start:end], ""))
    Path("weights/mini/clip.safetensors").unlink()
    assert "git checkout weights/mini" in refused(capsys, ("seeds: [0]", "seeds: [0]"))


def test_a_variant_that_cannot_be_is_named_once_and_not_for_every_run(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(
        capsys,
        ("no_lora: {lora: null}", "no_lora: {lora: {rank: 0}}"),
        ("seeds: [0]", "seeds: [0, 1, 2]"),
        ("models: [mini]", "models: [mini, rsrefseg-b]"),
    )
    assert said.count("lora.rank = 0") == 1


def test_it_takes_no_torch_and_less_than_three_seconds(project: Path) -> None:
    code = (
        "import sys, time, experiments.commands.check as check; check.main(); "
        "print([name for name in ('torch', 'transformers', 'mlflow') if name in sys.modules], time.process_time() < 3)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, env={"PYTHONPATH": str(ROOT), "PATH": str(Path("/usr/bin"))}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[] True"


def test_another_python_says_which_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 13))
    with pytest.raises(SystemExit, match=r"this is Python 3\.10 \(.*\), and 3\.11 or newer is needed; `make setup`"):
        exec(compile(Path(str(experiments.__file__)).read_text(encoding="utf-8"), "experiments", "exec"), {})


def test_make_repro_checks_first() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"^repro: .*\n\t@test .*\n\tpython -m experiments\.check\n\tdvc ", text, re.MULTILINE)
