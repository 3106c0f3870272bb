from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.data.params_file import ParamsFileError, read_params


def written(folder: Path, text: str) -> Path:
    (folder / "params.yaml").write_text(text, encoding="utf-8")
    return folder / "params.yaml"


def test_it_is_read_as_dvc_reads_it(tmp_path: Path) -> None:
    """YAML 1.2: dvc.lock and the commands then speak of the same values."""
    from dvc.utils.serialize import load_yaml

    file = written(tmp_path, "a: 1e-4\nb: no\nc: &c {x: [0o10, ~]}\nd: *c\ne: {<<: *c, y: 1}\n")
    found = read_params(file)
    assert found == load_yaml(file)
    assert found == {"a": 1e-4, "b": "no", "c": {"x": [8, None]}, "d": {"x": [8, None]}, "e": {"x": [8, None], "y": 1}}
    assert read_params(written(tmp_path, "")) is None


def test_every_key_that_is_there_twice_is_named_with_both_lines(tmp_path: Path) -> None:
    file = written(tmp_path, "run:\n  seeds: [0]\n  seeds: [1]\nmodels: {mini: {lora: {rank: 1, rank: 2}}}\nrun: {}\n")
    with pytest.raises(ParamsFileError) as raised:
        read_params(file)
    message = str(raised.value)
    assert message.startswith(f"{file}: ")
    for said in (
        "line 3: run.seeds is there already, in line 2; keep one of them",
        "line 4: models.mini.lora.rank is there already, in line 4",
        "line 5: run is there already, in line 1",
    ):
        assert said in message


def test_what_is_no_yaml_is_named_with_its_line(subtests: pytest.Subtests, tmp_path: Path) -> None:
    for text, said in (
        ("a: [1, 2", "line 1"),
        ("a: 1\nb: c: d", "line 2, column"),
        ("a: *b", "not valid YAML"),
        ("a: !x 1", "not valid YAML"),
    ):
        with subtests.test(msg=text), pytest.raises(ParamsFileError, match=rf"params\.yaml: .*{said}"):
            read_params(written(tmp_path, text))
    (tmp_path / "params.yaml").write_bytes(b"a: \xff\xfe")
    with pytest.raises(ParamsFileError, match="not a text in UTF-8"):
        read_params(tmp_path / "params.yaml")
    with pytest.raises(FileNotFoundError, match="run from the project's folder"):
        read_params(tmp_path / "other.yaml")
