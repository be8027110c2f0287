"""OpenVINO files on the real OpenVINO: honest bytes, damage refused, no crash, no telemetry."""

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from chordkit.backbones import Reranker, SASRecConfig, build, initialise
from chordkit.backbones.master import from_master, make_master
from chordkit.errors import CapabilityError
from chordkit.export.artifact import ArtifactSpec
from chordkit.export.program.canonical import canonical
from chordkit.export.targets import find_target, load_runner, lower
from chordkit.export.targets.openvino.archive import pack, problem_with, unpack
from chordkit.export.targets.openvino.lower import lower as lower_program

pytest.importorskip("chordkit.export.targets.openvino.quiet", reason="openvino is not installed; pip install 'chordkit[openvino]'")

CONFIG = SASRecConfig(items=50, max_length=10, dim=16, heads=2, blocks=2)


@pytest.fixture(scope="module")
def backbone():
    return initialise(build(CONFIG), "random", seed=0).eval()


@pytest.fixture(scope="module")
def artifact(backbone):
    master = make_master(backbone)
    widths = np.random.default_rng(0).choice(np.array([0, 2, 4, 8], np.uint8), master.channel_table.channels)
    return lower(ArtifactSpec("openvino", "strategy", 12), (master, widths))


@pytest.mark.parametrize(("width", "kind"), [(8, "i8"), (4, "i4"), (2, "u2")])
def test_a_layer_is_stored_at_its_own_width(backbone, width, kind):
    master = make_master(backbone)
    graph, weights = unpack(
        lower(ArtifactSpec("openvino", "strategy", 12), (master, np.full(master.channel_table.channels, width, np.uint8)))
    )
    first = next(iter(master.layers.values())).rows.codes
    out, columns = first.shape
    assert f'<data element_type="{kind}" shape="{out}, {columns}"'.encode() in graph
    eight = unpack(lower(ArtifactSpec("openvino", "int8", 12), (master, np.full(master.channel_table.channels, 8, np.uint8))))[1]
    codes = sum(layer.rows.codes.size for layer in master.layers.values())
    # One constant more, the offset of 2-bit codes; each constant begins at a multiple of its size.
    assert abs(len(eight) - len(weights) - codes * (8 - width) / 8) <= 64


@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("width", [2, 4, 8])
def test_layers_of_one_width_are_multiplied_as_they_are(width, heads):
    config = SASRecConfig(items=200, max_length=20, dim=64, heads=heads, blocks=1)
    master = make_master(initialise(build(config), "random", seed=0).eval())
    widths = np.full(master.channel_table.channels, width, np.uint8)
    history, candidates = np.arange(1, 21, dtype=np.int32), np.arange(1, 101, dtype=np.int32)
    scores = load_runner("openvino", lower(ArtifactSpec("openvino", "strategy", 100), (master, widths))).scores(history, candidates)
    with torch.no_grad():
        expected = Reranker(from_master(master, widths))(torch.from_numpy(history)[None], torch.from_numpy(candidates)[None])[0].numpy()
    # Sums of 64 float32 products in another order, some ten of them one after the other; inputs rounded to 8 bits would be 0.5 % off.
    assert np.abs(scores - expected).max() <= 64 * 10 * 2**-24 * np.abs(expected).max()


def test_its_two_files_are_openvinos_own_for_any_program(artifact, tmp_path):
    import openvino

    with zipfile.ZipFile(io.BytesIO(artifact)) as archive:
        archive.extractall(tmp_path)
    model = openvino.Core().read_model(tmp_path / "model.xml")
    assert [each.get_any_name() for each in model.inputs] == ["history", "candidates"]
    assert model.get_rt_info(["chordkit", "items"]).astype(str) == "50"
    names = [node.get_friendly_name() for node in model.get_ops()]
    assert len(set(names)) == len(names) and {"blocks/0/query/int2", "blocks/1/ffn1/matmul"} <= set(names)


def test_what_is_before_behind_or_cut_off_is_seen_without_the_runtime(artifact):
    target = find_target("openvino")
    assert target.problem_with_file(memoryview(artifact)) is None
    graph, weights = unpack(artifact)
    swapped = io.BytesIO()
    with zipfile.ZipFile(swapped, "w") as archive:
        archive.writestr("model.bin", weights)
        archive.writestr("model.xml", graph)
    deflated = io.BytesIO()
    with zipfile.ZipFile(deflated, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.xml", graph)
        archive.writestr("model.bin", bytes(1 << 20))
    wrong = [
        b"",
        b"PK" * 50,
        artifact[:-1],
        artifact + b"\0",
        b"\0" + artifact,
        artifact + artifact,
        swapped.getvalue(),
        deflated.getvalue(),
    ]
    for data in wrong:
        assert target.problem_with_file(memoryview(data)) is not None
        with pytest.raises(CapabilityError, match="openvino: the runtime refuses the file"):
            unpack(data)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damage_anywhere_is_refused_or_leaves_the_contents_as_they_were(data):
    artifact = pack(b"<net/>" * 50, bytes(range(200)))
    damaged = bytearray(artifact)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(artifact) - 1))
        damaged[place] = data.draw(st.integers(0, 255))
    problem = problem_with(bytes(damaged))
    try:
        contents = unpack(bytes(damaged))
    except CapabilityError:
        return
    assert problem is None and contents == unpack(artifact)


def test_a_graph_that_openvino_cannot_read_is_refused_with_what_it_says(artifact):
    graph, weights = unpack(artifact)
    for wrong in (pack(graph[:200], weights), pack(graph, weights[:100]), pack(graph.replace(b"MatMul", b"MatNul"), weights)):
        with pytest.raises(CapabilityError, match=r"openvino: the runtime refuses the file \((?!Exception).+\); export it again"):
            load_runner("openvino", wrong)


class TwoLayersInARow(nn.Module):
    """On matrices, behind a residual sum and a norm: where OpenVINO's snippets end the process with one thread."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.norm = nn.Embedding(8, 64), nn.LayerNorm(64)
        self.first, self.second, self.third = (nn.Linear(64, 64) for _ in range(3))

    def forward(self, history: torch.Tensor, candidates: torch.Tensor) -> torch.Tensor:
        x = self.table(history)[:, 0]
        x = x + self.first(x)
        x = x + self.third(torch.relu(self.second(self.norm(x))))
        return (self.table(candidates) * x).sum(-1)


def test_a_graph_on_which_openvino_ends_the_process_runs(tmp_path):
    # For the test to be seen red: `del OPTIONS["SNIPPETS_MODE"]`.
    model, inputs = TwoLayersInARow().eval(), (torch.ones((1, 3), dtype=torch.int32), torch.ones((1, 5), dtype=torch.int32))
    path = tmp_path / "model.ovzip"
    path.write_bytes(lower_program(canonical(torch.export.export(model, inputs)), 7))
    code = (
        "import sys, pathlib; from chordkit.export.targets.openvino.runner import OPTIONS, OpenvinoRunner\n"
        "print(*OpenvinoRunner(pathlib.Path(sys.argv[1]).read_bytes(), 1).scores([1, 1, 1], [1] * 5).tolist())"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert ran.returncode == 0, (ran.returncode, ran.stderr)
    np.testing.assert_allclose(np.array(ran.stdout.split(), np.float32), model(*inputs).detach().numpy()[0], rtol=1e-5)


def test_importing_the_runtime_tells_nobody_and_writes_nothing(tmp_path):
    code = (
        "import socket, sys\n"
        "def no(*arguments): print('asked', arguments[1:])\n"
        "socket.socket.connect = no; socket.getaddrinfo = no\n"
        "from chordkit.export.targets.openvino.quiet import runtime\n"
        "assert runtime().__version__ and sys.modules['openvino_telemetry'] is None\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env={**os.environ, "HOME": str(tmp_path)}
    )
    assert told.stdout == "" and list(Path(tmp_path).iterdir()) == []
