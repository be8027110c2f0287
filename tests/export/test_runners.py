"""Runners: one interface to every runtime, and a checked edge in front of it."""

import importlib
import sys

import numpy as np
import pytest

from chordkit.backbones import CaserConfig, build, initialise, make_master
from chordkit.errors import CapabilityError, InputError, MissingRuntimeError
from chordkit.export.artifact import ArtifactSpec
from chordkit.export.targets import EagerRunner, all_targets, find_target, load_runner, lower
from chordkit.strategy import UserVector

ITEMS, LENGTH, CANDIDATES = 30, 6, 4
HISTORY = np.array([0, 0, 3, 1, 30, 7], np.int32)
IDS = np.array([1, 30, 2, 9], np.int32)
# float32 sums in another order, as in the tests of each target.
TOLERANCE = 16 * 4 * np.sqrt(256) * 2.0**-24


NAMES = [target.name for target in all_targets()]


def has_float_weights(name):
    return "fp32" in find_target(name).capability.precisions


def precision(name):
    """Targets without fp32 have int8 weights and activations: 2 % rms (parity.py), the largest of a few errors three times that."""
    return TOLERANCE if name == "pytorch" or has_float_weights(name) else 0.06


@pytest.fixture(scope="module")
def backbone():
    config = CaserConfig(items=ITEMS, max_length=LENGTH, dim=16, heights=(2,), filters=3, vertical_filters=2)
    return initialise(build(config), seed=1).eval()


@pytest.fixture(scope="module")
def artifacts(backbone):
    master = make_master(backbone)
    int8 = (master, np.full(master.channel_table.channels, 8, np.uint8))

    def make(name):
        if find_target(name).capability.suffix is None:
            return master.to_bytes()
        if has_float_weights(name):
            return lower(ArtifactSpec(name, "fp32", CANDIDATES), backbone)
        return lower(ArtifactSpec(name, "int8", CANDIDATES), int8)

    return {name: make(name) for name in NAMES}


@pytest.fixture(scope="module")
def weights(backbone):
    return make_master(backbone).to_bytes()


@pytest.fixture(scope="module")
def runners(artifacts, backbone, weights):
    loaded = {name: load_runner(name, data, candidates=CANDIDATES, master=weights) for name, data in artifacts.items()}
    return {**loaded, "pytorch": EagerRunner(backbone, candidates=CANDIDATES)}


EVERYWHERE = pytest.mark.parametrize("name", [*NAMES, "pytorch"])


@EVERYWHERE
def test_every_runtime_gives_the_models_scores(runners, name):
    expected = runners["pytorch"].scores(HISTORY, IDS)
    actual = runners[name].scores(HISTORY, IDS)
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, expected, rtol=0, atol=precision(name) * np.abs(expected).max())


@EVERYWHERE
def test_an_answer_outlives_the_next_call(runners, name):
    first = runners[name].scores(HISTORY, IDS)
    kept = first.copy()
    assert not np.array_equal(runners[name].scores(HISTORY, IDS[::-1]), kept)
    np.testing.assert_array_equal(first, kept)


@EVERYWHERE
@pytest.mark.parametrize(
    ("history", "candidates", "reason"),
    [
        (HISTORY[:5], IDS, r"history: \[5\] ids .* takes \[6\]"),
        (HISTORY[None], IDS, "history"),
        (HISTORY.astype(np.float32), IDS, "history: ids of type float32"),
        (np.full(LENGTH, -1), IDS, "history: an id is negative"),
        (np.full(LENGTH, -1, np.int32), IDS, "history: the id -1"),
        (np.array([3, 1, 30, 7, 0, 0], np.int32), IDS, "history: its last slot is empty; .* as chordkit.pad_history makes it"),
        (np.array([0, 3, 1, 0, 30, 7], np.int32), IDS, r"history: an empty slot \(0\) stands behind an item; zeros stand only in front"),
        (np.zeros(LENGTH, np.int32), IDS, "history: it holds no item"),
        (HISTORY > 0, IDS, "history: ids of type bool"),
        (HISTORY + np.int64(2**32), IDS, "history: .* larger than int32"),
        (HISTORY, np.array([1, 2, 3, 2**40]), "candidates: .* larger than int32"),
        (HISTORY, np.array([1, 0, 2, 3], np.int32), r"candidates: the id 0 is not an item; ids lie in 1\.\."),
        (HISTORY, np.array([1, np.iinfo(np.int32).min, 2, 3], np.int32), "candidates: the id -2147483648"),
    ],
)
def test_wrong_ids_and_shapes_are_refused_before_the_runtime_sees_them(runners, name, history, candidates, reason):
    with pytest.raises(InputError, match=reason):
        runners[name].scores(history, candidates)


@EVERYWHERE
def test_ids_past_the_last_item_are_refused_where_the_artifact_tells_its_size(runners, name):
    runner = runners[name]
    if runner.items is None:
        pytest.skip("the artifact does not tell how many items it knows")
    assert runner.items == ITEMS
    for history, candidates in ((np.full(LENGTH, ITEMS + 1, np.int32), IDS), (HISTORY, np.full(CANDIDATES, ITEMS + 1, np.int32))):
        with pytest.raises(InputError, match=f"the id {ITEMS + 1} is not an item; ids lie in ..{ITEMS}|the id {ITEMS + 1}"):
            runner.scores(history, candidates)


def test_other_integer_types_and_strided_ids_are_taken(runners):
    expected = runners["onnx"].scores(HISTORY, IDS)
    np.testing.assert_array_equal(runners["onnx"].scores(HISTORY.astype(np.int64).tolist(), np.repeat(IDS, 2)[::2]), expected)


@pytest.mark.parametrize("name", NAMES)
def test_a_fixed_number_of_candidates_is_held(runners, name):
    with pytest.raises(InputError, match=r"candidates: \[3\] ids were given where the artifact takes \[4\]"):
        runners[name].scores(HISTORY, IDS[:3])


@pytest.mark.parametrize("name", [name for name in NAMES if find_target(name).capability.user_vector] + ["pytorch"])
def test_a_user_vector_counts_and_zeros_are_nobodys(backbone, runners, name):
    if name == "pytorch":
        runner = EagerRunner(backbone, candidates=CANDIDATES, user_vector=True)
    else:
        master = make_master(backbone)
        if find_target(name).capability.suffix is None:
            runner = load_runner(name, master.to_bytes(), candidates=CANDIDATES)
        else:
            source = backbone if has_float_weights(name) else (master, np.full(master.channel_table.channels, 8, np.uint8))
            spec = ArtifactSpec(name, "fp32" if has_float_weights(name) else "int8", CANDIDATES, user_vector=True)
            runner = load_runner(name, lower(spec, source), master=master.to_bytes())
    assert runner.dim == backbone.config.dim
    vector = np.linspace(-1, 1, runner.dim).astype(np.float32)
    nobody, plain = runner.scores(HISTORY, IDS), runners[name].scores(HISTORY, IDS)
    np.testing.assert_allclose(nobody, plain, rtol=0, atol=TOLERANCE * np.abs(plain).max())
    np.testing.assert_array_equal(runner.scores(HISTORY, IDS, np.zeros(runner.dim, np.float32)), nobody)
    somebody = runner.scores(HISTORY, IDS, vector)
    # Caser adds the vector to its hidden state, so that it adds its products with the items' embeddings to the scores.
    tilt = backbone.item_embedding.weight.detach().numpy()[IDS] @ vector
    np.testing.assert_allclose(somebody - nobody, tilt, rtol=0, atol=precision(name) * np.abs(somebody).max())
    np.testing.assert_array_equal(runner.scores(HISTORY, IDS, vector.astype(np.float64)), somebody)
    for wrong, reason in (
        (vector[:-1], r"user: float32 of shape \[15\] was given where the artifact takes float32 \[16\]"),
        (vector[None], r"of shape \[1, 16\]"),
        (np.ones(runner.dim, np.int8), "user: int8"),
        (np.full(runner.dim, np.nan, np.float32), "user: a number of the vector is not finite"),
        (UserVector(np.ones(runner.dim, np.int8), 1.0, bytes(8)), r"user: object of shape \[\]"),
    ):
        with pytest.raises(InputError, match=reason):
            runner.scores(HISTORY, IDS, wrong)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "native"] + ["pytorch"])
def test_a_vector_is_refused_by_an_artifact_that_takes_none(runners, name):
    assert runners[name].dim is None
    with pytest.raises(InputError, match="user: a vector was given to an artifact that takes none; leave it out, or export with"):
        runners[name].scores(HISTORY, IDS, np.zeros(16, np.float32))


def test_eager_pytorch_takes_any_number_of_candidates(runners):
    assert runners["pytorch"].scores(HISTORY, IDS[:2]).shape == (2,)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_and_its_bytes_load_alike(runners, artifacts, weights, name, tmp_path):
    path = tmp_path / "artifact"
    path.write_bytes(artifacts[name])
    loaded = load_runner(name, path, candidates=CANDIDATES, threads=1, master=weights)
    np.testing.assert_array_equal(loaded.scores(HISTORY, IDS), runners[name].scores(HISTORY, IDS))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("data", [b"", b"not a model " * 20])
def test_what_is_no_artifact_is_refused(weights, name, data):
    refusal = "master weights" if find_target(name).capability.suffix is None else f"{name}: the runtime refuses the file"
    with pytest.raises(InputError, match=refusal):
        load_runner(name, data, master=weights)


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("executorch", "executorch.extension.pybindings._C"),
        ("litert", "ai_edge_litert.interpreter"),
        ("onnx", "onnxruntime"),
        ("openvino", "openvino"),
    ],
)
def test_a_missing_runtime_is_named_with_the_extra_that_brings_it(monkeypatch, artifacts, name, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingRuntimeError, match=rf"chordkit\[{name}\]"):
        load_runner(name, artifacts[name])


def test_unknown_targets_missing_files_and_no_threads_are_input_errors(artifacts, tmp_path):
    with pytest.raises(CapabilityError, match="tpu: there is no such target; use executorch, "):
        load_runner("tpu", b"")
    with pytest.raises(InputError, match=r"no such onnx artifact file"):
        load_runner("onnx", tmp_path / "absent.onnx")
    with pytest.raises(InputError, match="threads: 0"):
        load_runner("onnx", artifacts["onnx"], threads=0)


def test_every_target_says_what_to_import_before_loading():
    for target in all_targets():
        for module in target.imports:
            assert importlib.import_module(module)
        assert bool(target.imports) is (target.capability.runtime is not None)


def test_a_module_of_ours_that_is_missing_is_no_missing_runtime(monkeypatch, artifacts):
    monkeypatch.setitem(sys.modules, "chordkit.export.targets.onnx.runner", None)
    with pytest.raises(ModuleNotFoundError, match=r"chordkit\.export\.targets\.onnx\.runner"):
        load_runner("onnx", artifacts["onnx"])
