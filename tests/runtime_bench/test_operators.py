"""``chordkit bench --profile``: where the time of a call goes, as the runtimes' own profilers tell it. No time is asserted."""

from pathlib import Path

import numpy as np
import pytest

from chordkit.export.targets import find_target
from chordkit.runtime_bench import operators


def test_a_profile_names_the_layers_of_the_model(project, command) -> None:
    if find_target("onnx").installed() is None:
        pytest.skip("onnx is not installed")
    quick = ("--rounds", 5, "--block-ms", 1, "--launches", 1, "--processes", 0, "--artifact", "onnx-u5", "--artifact", "native-u5")
    outcome = command("bench", project / "shop.chord", *quick, "--profile", "--json")
    onnx, native = outcome.json["operators"]
    assert onnx["artifact"] == "onnx-u5" and onnx["reason"] is None
    layers = {each["name"] for each in onnx["operators"] if each["kind"] == "Gemm"}
    assert {"blocks.0.query", "blocks.0.output", "blocks.1.ffn2"} <= layers
    assert all(each["us"] >= 0 for each in onnx["operators"])
    assert not native["operators"] and "--by-layer" in native["reason"]


def test_a_profile_is_of_this_host_alone(project, command) -> None:
    outcome = command("bench", project / "shop.chord", "--profile", "--device", "qemu-user:cortex-a76")
    assert outcome.status == 2 and "leave --device out" in outcome.err


def test_an_etdump_is_read_by_the_inspector(tmp_path: Path) -> None:
    pytest.importorskip("executorch")
    import torch
    from executorch.exir import to_edge

    class Layer(torch.nn.Module):
        def forward(self, history: torch.Tensor, candidates: torch.Tensor) -> torch.Tensor:
            return (candidates + history[:, :1]).to(torch.float32)

    inputs = {"history": np.ones((2, 4), np.int32), "candidates": np.ones((2, 3), np.int32)}
    example = tuple(torch.from_numpy(array[:1]) for array in inputs.values())
    data = to_edge(torch.export.export(Layer(), example, strict=False)).to_executorch().buffer
    found = operators._executorch(bytes(data), inputs, 3, tmp_path)
    assert "add.out" in {each.kind for each in found}


def test_the_warm_up_and_the_slowest_calls_do_not_count() -> None:
    calls = [1000.0] * 5 + [1.0] * 9 + [500.0]
    assert operators._typical(calls) == 1.0
