"""``chordkit export --explain`` says what files would be, and makes none."""

import json

import numpy as np
import pytest
import torch

from chordkit.backbones import build, make_master
from chordkit.backbones.architectures.sasrec import SASRecConfig
from chordkit.cli.main import run
from chordkit.export.targets import find_target
from chordkit.export.targets.runtimes import load_runtimes
from chordkit.strategy import Strategy, to_wire


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("explain")
    torch.manual_seed(0)
    master = make_master(build(SASRecConfig(items=200, max_length=10, dim=16, blocks=1, heads=1, ffn_dim=32)).eval())
    widths = np.random.default_rng(0).choice([0, 2, 4, 8], master.channel_table.channels).astype(np.uint8)
    widths[master.channel_table.layer_slice("blocks.0.ffn1")][:10] = 0
    master.save(place / "master.chrm")
    (place / "42.chrd").write_bytes(to_wire(Strategy(widths, master.fingerprint)))
    return place, master, widths


def asked(capsys, folder, *more):
    place = folder[0]
    arguments = ["export", "--master", str(place / "master.chrm"), "--strategy", str(place / "42.chrd"), "-p", "strategy", *more]
    status = run(arguments)
    return status, capsys.readouterr()


def test_every_channel_is_told_and_nothing_is_written(capsys, folder):
    before = sorted(folder[0].iterdir())
    status, said = asked(capsys, folder, "--explain", "--json", "--target", "litert,onnx,openvino,native")
    assert status == 0 and sorted(folder[0].iterdir()) == before
    explained = json.loads(said.out)["artifacts"]
    assert [each["artifact"] for each in explained] == ["litert-42", "onnx-42", "openvino-42", "native-42"]
    _, master, widths = folder
    for each in explained:
        stored = find_target(each["target"]).capability.stored_bits
        assert sum(each["kinds"].values()) == each["bytes"]
        for name in master.layers:
            own = widths[master.channel_table.layer_slice(name)]
            groups = {group["width"]: group for group in each["groups"] if group["layer"] == name}
            assert {width: group["channels"] for width, group in groups.items()} == dict(
                zip(*np.unique(own, return_counts=True), strict=True)
            )
            assert all(group["stored"] == stored[width] for width, group in groups.items())
            assert all((group["container"] == "native") == (group["stored"] == width) for width, group in groups.items())
    left = {each["target"]: [group for group in each["groups"] if group["left_out"]] for each in explained}
    assert left["native"] == []
    assert {(group["layer"], group["width"]) for group in left["onnx"]} == {("blocks.0.ffn1", 0)}
    assert explained[0]["package"] == "ai-edge-litert" and explained[3]["package"] is None
    assert {name for other in explained[0]["elsewhere"] for name in other["runtimes"]} >= {"tflite-2.14", "litert-1.x"}


def test_for_an_older_runtime_all_channels_stand_in_bytes(capsys, folder):
    status, said = asked(capsys, folder, "--explain", "--json", "--runtime", "tflite-2.14")
    (explained,) = json.loads(said.out)["artifacts"]
    assert status == 0 and explained["package"] == "tflite-runtime" and explained["layout"] == "speed"
    assert {group["stored"] for group in explained["groups"]} == {8}
    assert set(explained["kinds"]) & {"weights, 2 bits", "weights, 4 bits"} == set()


def test_from_which_version_on_a_width_runs_is_what_the_table_found(capsys, folder):
    status, said = asked(capsys, folder, "--explain", "--json", "--target", "onnx")
    (explained,) = json.loads(said.out)["artifacts"]
    oldest = {group["width"]: group["oldest"] for group in explained["groups"]}
    for width, found in oldest.items():
        rows = load_runtimes().of("onnx", precision="strategy" if width != 8 else "int8", layout="size", runtime=None, user_vector=False)
        right = [row for row in rows if set(row.widths) == {width, 8} and row.verdict == "right"]
        assert {row.oldest for row in right if row.embedding_bits == 8} == {found}
    assert oldest[8] == "1.17.0" < oldest[4] == "1.19.0" < oldest[2] == explained["oldest"]
    refused = [other for other in explained["elsewhere"] if other["verdict"] == "refused"]
    assert status == 0 and refused and all(other["reason"] for other in refused)
    assert refused[-1]["runtimes"] == ["onnxruntime-1.18"]


def test_people_read_a_table_a_layer(capsys, folder):
    status, said = asked(capsys, folder, "--explain", "--target", "onnx")
    assert status == 0 and "blocks.0.query" in said.out and "int4" in said.out and "onnxruntime" in said.out


def test_without_a_folder_and_without_explain_the_mend_is_told(capsys, folder):
    status, said = asked(capsys, folder, "--target", "onnx")
    assert status == 2 and "--explain" in said.err
