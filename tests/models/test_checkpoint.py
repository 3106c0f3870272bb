from __future__ import annotations

import pickle
import struct
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from models.checkpoint import CheckpointError, fill, load_tensors, read_metadata, save_tensors

REMEDY = "Make it again: some command"


def some_tensors() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return {
        "weight": torch.randn(4, 3),
        "half": torch.randn(5).half(),
        "count": torch.tensor(7),
        "odd": torch.tensor([0.1, -0.0, 1e-45, float("inf"), float("nan")]),
        "view": torch.arange(12.0).view(3, 4).T,
    }


def bits(tensor: Tensor) -> bytes:
    return tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes()


def layer() -> nn.Linear:
    torch.manual_seed(1)
    return nn.Linear(3, 2)


def test_a_round_trip_is_exact_to_the_bit(tmp_path: Path) -> None:
    tensors = some_tensors()
    save_tensors(tmp_path / "new" / "folder" / "w.safetensors", tensors, {"fingerprint": "abc"})
    loaded = load_tensors(tmp_path / "new" / "folder" / "w.safetensors", REMEDY)
    assert loaded.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert loaded[name].dtype == tensor.dtype
        assert loaded[name].shape == tensor.shape
        assert bits(loaded[name]) == bits(tensor), name
    assert read_metadata(tmp_path / "new" / "folder" / "w.safetensors") == {"fingerprint": "abc"}


def test_the_same_content_is_the_same_bytes(tmp_path: Path) -> None:
    metadata = {name: name * 3 for name in "fdacbe"}
    seen = set()
    for number in range(20):
        save_tensors(tmp_path / f"{number}", {"b": torch.ones(3), "a": torch.zeros(2, 2)}, metadata)
        seen.add((tmp_path / f"{number}").read_bytes())
    assert len(seen) == 1
    assert read_metadata(tmp_path / "0") == metadata


def test_metadata_may_be_absent(tmp_path: Path) -> None:
    save_tensors(tmp_path / "w.safetensors", some_tensors())
    assert read_metadata(tmp_path / "w.safetensors") == {}


def test_writing_leaves_nothing_but_the_file(tmp_path: Path) -> None:
    for _ in range(2):
        save_tensors(tmp_path / "w.safetensors", some_tensors())
    assert [file.name for file in tmp_path.iterdir()] == ["w.safetensors"]


def test_a_missing_file_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.safetensors: not found\. Make it again: some command"):
        load_tensors(tmp_path / "absent.safetensors", REMEDY)


def test_a_truncated_file_is_named_with_the_remedy(tmp_path: Path, subtests: pytest.Subtests) -> None:
    file = tmp_path / "w.safetensors"
    save_tensors(file, {"weight": torch.randn(64, 64)})
    whole = file.read_bytes()
    message = r"w\.safetensors: not a whole safetensors file .*Make it again"
    for kept in (0, 5, 40, 200):
        file.write_bytes(whole[:kept])
        with subtests.test(kept=kept), pytest.raises(CheckpointError, match=message):
            load_tensors(file, REMEDY)


class Payload:
    """Pickles to a call that writes a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.marker), "w")


def test_a_pickle_is_refused_and_not_executed(tmp_path: Path, subtests: pytest.Subtests) -> None:
    file, marker = tmp_path / "w.safetensors", tmp_path / "executed"
    pickled = pickle.dumps({"weight": Payload(marker)})
    for start, begin in (("plain", b""), ("with a header's length", struct.pack("<Q", 8))):
        for end, padding in (("bare", b""), ("padded", b"\x00" * 4096)):
            file.write_bytes(begin + pickled + padding)
            with subtests.test(f"{start}, {end}"):
                with pytest.raises(CheckpointError, match=r"w\.safetensors: .*Make it again"):
                    load_tensors(file, REMEDY)
                assert not marker.exists()


def test_a_torch_archive_is_refused_and_not_executed(tmp_path: Path) -> None:
    file, marker = tmp_path / "w.safetensors", tmp_path / "executed"
    torch.save({"weight": Payload(marker)}, file)
    with pytest.raises(CheckpointError, match=r"w\.safetensors"):
        load_tensors(file, REMEDY)
    assert not marker.exists()


def test_filling_copies_exactly_the_named_entries() -> None:
    module, tensors = layer(), {"weight": torch.full((2, 3), 0.5)}
    bias = module.bias.detach().clone()
    fill(module, {"weight"}, tensors, Path("w.safetensors"), REMEDY)
    assert torch.equal(module.weight, tensors["weight"])
    assert torch.equal(module.bias, bias)


def test_half_precision_weights_fill_a_module_that_stays_in_float32() -> None:
    module, tensors = layer(), {"weight": torch.randn(2, 3).half(), "bias": torch.randn(2).half()}
    fill(module, {"weight", "bias"}, tensors, Path("w.safetensors"), REMEDY)
    assert module.weight.dtype == torch.float32
    assert torch.equal(module.weight, tensors["weight"].float())


def test_keys_and_shapes_must_be_exactly_those_of_the_model(subtests: pytest.Subtests) -> None:
    weight, bias, one = torch.zeros(2, 3), torch.zeros(2), torch.zeros(1)
    cases: dict[str, tuple[dict[str, Tensor], str]] = {
        "missing": ({"weight": weight}, r"1 missing \(bias\)"),
        "unexpected": ({"weight": weight, "bias": bias, "scale": one}, r"1 unexpected \(scale\)"),
        "shape": ({"weight": weight.T, "bias": bias}, r"1 of another shape \(weight \(3, 2\) for \(2, 3\)\)"),
        "renamed": ({"wieght": weight, "bias": bias}, r"1 missing \(weight\); 1 unexpected \(wieght\)"),
        "many": ({f"x{n}": one for n in range(5)}, r"2 missing .*5 unexpected \(x0, x1, x2, \.\.\.\)"),
    }
    for name, (tensors, message) in cases.items():
        module = layer()
        before = {key: value.clone() for key, value in module.state_dict().items()}
        said = rf"w\.safetensors: does not fit this model: .*{message}.*Make it again"
        with subtests.test(name):
            with pytest.raises(CheckpointError, match=said):
                fill(module, {"weight", "bias"}, tensors, Path("w.safetensors"), REMEDY)
            assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())
