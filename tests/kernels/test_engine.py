"""The native engine against its numpy reference, bit for bit."""

import dataclasses
import shutil
import signal
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from chordkit.backbones import BackboneConfig, CaserConfig, SASRecConfig, from_master
from chordkit.errors import InputError, MasterError
from chordkit.hypernetwork.profile import profile
from chordkit.kernels import Engine, available, backbones, variants
from chordkit.kernels.reference import ReferenceEngine
from chordkit.quantization import ENGINE_ARCHITECTURES, MasterWeights, engine_refusal
from chordkit.strategy import Strategy, encode
from tests.kernels.conftest import random_master

pytestmark = pytest.mark.skipif(not available(), reason="the native engine was not compiled")

VARIANTS = [variant.name for variant in variants() if variant.supported] if available() else []
ITEMS = 120
SASREC = SASRecConfig(items=ITEMS, dim=32, max_length=12, heads=2, norm_first=True)
CASER = CaserConfig(items=ITEMS, dim=32, max_length=10, heights=(2, 3), filters=5, vertical_filters=3, item_bias=True)


master_of = lru_cache(maxsize=32)(random_master)


def strategy_of(master: MasterWeights, widths: np.ndarray, allow_off: bool = False) -> bytes:
    return encode(Strategy(widths.astype(np.uint8), master.fingerprint), allow_off=allow_off)


def random_widths(master: MasterWeights, seed: int = 0, choices: tuple[int, ...] = (2, 4, 8)) -> np.ndarray:
    return np.random.default_rng(seed).choice(choices, master.channel_table.channels).astype(np.uint8)


def ids(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, count]).integers(1, ITEMS + 1, count).astype(np.int32)


@pytest.mark.parametrize("embedding_bits", [8, 4])
def test_every_variant_returns_the_reference_bit_for_bit(configuration: BackboneConfig, embedding_bits: int) -> None:
    master = master_of(configuration, embedding_bits)
    widths = random_widths(master)
    reference = ReferenceEngine(master, widths)
    lengths = {configuration.max_length, configuration.max_length // 2, 1}
    expected = {length: reference.scores(ids(length), ids(37, 1)) for length in lengths}
    assert VARIANTS[-1] == "scalar"
    for variant in VARIANTS:
        engine = Engine(master.to_bytes(), variant)
        engine.adopt(strategy_of(master, widths))
        for length in lengths:
            np.testing.assert_array_equal(engine.scores(ids(length), ids(37, 1)), expected[length], err_msg=f"{variant}, {length} items")


def test_every_backbone_that_the_engine_lists_is_among_those_that_are_tested(small_masters: dict[str, MasterWeights]) -> None:
    assert set(small_masters) == set(backbones())


def test_what_the_engine_runs_is_known_without_it() -> None:
    assert backbones() == ENGINE_ARCHITECTURES


def test_what_the_engine_runs_is_not_remarked_upon(configuration: BackboneConfig) -> None:
    assert engine_refusal(master_of(configuration)) is None


def test_a_model_says_which_backbone_it_is(small: BackboneConfig) -> None:
    assert Engine(master_of(small).to_bytes()).architecture == small.architecture


@pytest.mark.parametrize("run", [lambda master: Engine(master.to_bytes()), ReferenceEngine], ids=["engine", "reference"])
@pytest.mark.parametrize("architecture", ["gru4rec", "caser2", "x" * 300])
def test_an_architecture_that_the_engine_does_not_run_is_refused_with_those_that_it_runs(run: Any, architecture: str) -> None:
    master = master_of(CASER)
    with pytest.raises(MasterError, match=f"'{architecture[:32]}.*none that this engine runs .*{', '.join(backbones())}"):
        run(dataclasses.replace(master, config=master.config | {"architecture": architecture}))


def test_quantised_activations_stay_near_the_fp32_reference_model(configuration: BackboneConfig) -> None:
    master = master_of(configuration)
    history, candidates = ids(configuration.max_length), ids(64, 1)
    with torch.no_grad():
        model = from_master(master)
        exact = model.score(model.encode(torch.from_numpy(history)[None].long()), torch.from_numpy(candidates)[None].long())[0].numpy()
    error = Engine(master.to_bytes()).scores(history, candidates) - exact
    # An int8 activation is off by at most 1/254 of its row's largest element, 1/440 rms for a uniform remainder. A row's rms is about a
    # third of its largest element, so each quantised layer adds about 0.7 % of its own change. Those of all layers add up in squares.
    layers = len(master.layers)
    assert np.sqrt((error**2).mean()) <= 0.007 * np.sqrt(layers) * np.sqrt((exact**2).mean())


@pytest.mark.parametrize("widths", [2, 4, 8, 0])
def test_one_width_for_all_channels(small: BackboneConfig, widths: int) -> None:
    master = master_of(small)
    chosen = np.full(master.channel_table.channels, widths, np.uint8)
    engine = Engine(master.to_bytes())
    engine.adopt(strategy_of(master, chosen, allow_off=widths == 0))
    np.testing.assert_array_equal(engine.hidden(ids(9)), ReferenceEngine(master, chosen).hidden(ids(9)))


def test_without_a_strategy_all_channels_have_eight_bits() -> None:
    master = master_of(SASREC)
    np.testing.assert_array_equal(Engine(master.to_bytes()).hidden(ids(5)), ReferenceEngine(master).hidden(ids(5)))


def test_adopting_back_and_forth_leaves_no_trace() -> None:
    master = master_of(SASREC)
    engine = Engine(master.to_bytes())
    strategies = [strategy_of(master, random_widths(master, seed)) for seed in range(3)]
    seen: dict[int, np.ndarray] = {}
    for turn in (0, 1, 2, 1, 0, 2, 0):
        engine.adopt(strategies[turn])
        scores = engine.scores(ids(12), ids(20, 1))
        np.testing.assert_array_equal(scores, seen.setdefault(turn, scores))
    assert not np.array_equal(seen[0], seen[1])


def test_padding_and_long_histories() -> None:
    engine = Engine(master_of(SASREC).to_bytes())
    short = ids(4)
    np.testing.assert_array_equal(engine.hidden(np.r_[np.zeros(8, np.int32), short]), engine.hidden(short))
    long = np.r_[ids(30), ids(12, 3)]
    np.testing.assert_array_equal(engine.hidden(long), engine.hidden(long[-12:]))


def test_a_batch_equals_its_histories_one_by_one(small: BackboneConfig) -> None:
    engine = Engine(master_of(small).to_bytes())
    histories = np.stack([ids(10, seed) for seed in range(5)])
    candidates = np.stack([ids(7, 10 + seed) for seed in range(5)])
    one_by_one = [engine.scores(*pair) for pair in zip(histories, candidates, strict=True)]
    np.testing.assert_array_equal(engine.scores(histories, candidates), one_by_one)
    np.testing.assert_array_equal(engine.scores(histories, candidates, threads=3), one_by_one)
    np.testing.assert_array_equal(engine.hidden(histories), [engine.hidden(history) for history in histories])


@pytest.mark.parametrize("k", [1, 2, 10, ITEMS, ITEMS + 5])
def test_top_k_is_the_head_of_the_sorted_catalogue(small: BackboneConfig, k: int) -> None:
    engine = Engine(master_of(small).to_bytes())
    history = ids(8)
    catalogue = np.arange(1, ITEMS + 1, dtype=np.int32)
    scores = engine.scores(history, catalogue)
    order = np.lexsort((catalogue, -scores))
    items, values = engine.top_k(history, k)
    np.testing.assert_array_equal(items, catalogue[order][:k])
    np.testing.assert_array_equal(values, scores[order][:k])
    left = order[~np.isin(catalogue[order], history)]
    np.testing.assert_array_equal(engine.top_k(history, k, exclude_history=True)[0], catalogue[left][:k])


def test_check_decodes_what_was_encoded() -> None:
    master = master_of(CASER)
    widths = random_widths(master, choices=(0, 2, 4, 8))
    np.testing.assert_array_equal(Engine(master.to_bytes()).check(strategy_of(master, widths, allow_off=True)), widths)


@pytest.mark.parametrize("embedding_bits", [4, 8])
@pytest.mark.parametrize("configuration", [SASREC, CASER], ids=["sasrec", "caser"])
def test_a_grown_master_takes_the_strategies_of_before_and_scores_the_old_items_as_before(
    configuration: BackboneConfig, embedding_bits: int
) -> None:
    master = random_master(configuration, embedding_bits)
    rows = np.random.default_rng(3).standard_normal((7, master.dim)).astype(np.float32)
    grown = master.grown(rows, np.ones(7, np.float32) if "item_bias" in master.tensors else None)
    strategy, history, candidates = strategy_of(master, random_widths(master)), ids(9), ids(40, 1)
    before, after = Engine(master.to_bytes()), Engine(grown.to_bytes())
    for engine in (before, after):
        engine.adopt(strategy)
    assert after.fingerprint == before.fingerprint and after.items == ITEMS + 7
    np.testing.assert_array_equal(after.scores(history, candidates), before.scores(history, candidates))
    new = np.arange(ITEMS + 1, ITEMS + 8, dtype=np.int32)
    history[-2:] = new[:2]
    np.testing.assert_array_equal(after.scores(history, new), ReferenceEngine(grown, random_widths(master)).scores(history, new))
    with pytest.raises(InputError):
        before.scores(history, candidates)


def test_a_prepared_rerank_scores_what_lies_in_its_arrays_with_the_strategy_in_use() -> None:
    master = master_of(SASREC)
    engine = Engine(master.to_bytes())
    prepared = engine.prepare(7, 11)
    for turn in range(3):
        engine.adopt(strategy_of(master, random_widths(master, turn)))
        prepared.history[:], prepared.candidates[:] = ids(7, turn), ids(11, turn)
        np.testing.assert_array_equal(prepared.run(), engine.scores(ids(7, turn), ids(11, turn)))
    prepared.candidates[3] = ITEMS + 1
    with pytest.raises(InputError, match="candidate"):
        prepared.run()
    prepared.candidates[3] = 1
    assert np.isfinite(prepared.run()).all()
    with pytest.raises(InputError, match="1 or more"):
        engine.prepare(0, 3)


@pytest.mark.skipif(not hasattr(signal, "SIGBUS"), reason="a file cannot be shortened under its map here")
def test_a_copy_outlives_a_file_that_is_shortened_under_its_map(tmp_path: Path) -> None:
    (tmp_path / "master").write_bytes(master_of(SASREC).to_bytes())
    program = (
        "import mmap, os, sys\n"
        "from chordkit.kernels import Engine\n"
        "with open(sys.argv[1], 'r+b') as stream:\n"
        "    engine = Engine(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ), copy=sys.argv[2] == 'copy')\n"
        "    stream.truncate(0)\n"
        "print(engine.scores([3, 1, 4], [1, 5, 9]).tobytes().hex())\n"
    )
    ends = []
    for mode in ("copy", "map"):
        path = shutil.copy(tmp_path / "master", tmp_path / mode)
        ends.append(subprocess.run([sys.executable, "-c", program, str(path), mode], capture_output=True, text=True, check=False))
    assert ends[0].returncode == 0, ends[0].stderr
    expected = Engine(master_of(SASREC).to_bytes()).scores(np.array([3, 1, 4]), np.array([1, 5, 9]))
    assert bytes.fromhex(ends[0].stdout) == expected.tobytes()
    assert ends[1].returncode == -signal.SIGBUS  # what the copy is for


def test_further_candidates_have_the_scores_that_they_have_with_the_history(small: BackboneConfig) -> None:
    master = master_of(small)
    engine = Engine(master.to_bytes())
    engine.adopt(strategy_of(master, random_widths(master)))
    history, candidates = ids(8), ids(40, 7)
    np.testing.assert_array_equal(engine.score_hidden(engine.hidden(history), candidates), engine.scores(history, candidates))
    user = np.full(small.dim, 3.0, np.float32)
    assert engine.score_hidden(user, candidates).tolist() != engine.scores(history, candidates).tolist()
    with pytest.raises(InputError, match="candidates"):
        engine.score_hidden(user, np.array([1, 0], np.int32))
    with pytest.raises(InputError, match="do not fit"):
        engine.score_hidden(user[1:], candidates)
    user[3] = np.nan
    with pytest.raises(InputError, match="not finite"):
        engine.score_hidden(user, candidates)


@pytest.mark.parametrize("embedding_bits", [8, 4])
@pytest.mark.parametrize("length", [0, 1, 4, 5, 6, 30])
def test_a_phone_computes_the_profile_that_the_hypernetwork_was_trained_on(embedding_bits: int, length: int) -> None:
    master = random_master(SASREC, embedding_bits=embedding_bits)
    backbone, pools, history = from_master(master), (2, 5, 20), ids(length, 3)
    wanted = profile(backbone, torch.from_numpy(np.r_[0, history])[None], pools)[0].numpy()
    # A sum of at most 20 products in any order, each of a magnitude below the table's largest: half an ulp a step.
    slack = 21 * 2.0**-24 * float(backbone.item_embedding.weight.detach().abs().max())
    for history_with_slots in (history, np.r_[np.zeros(4, np.int32), history]):
        found = Engine(master.to_bytes()).profile(history_with_slots, pools)
        np.testing.assert_allclose(found[:-1], wanted[:-1], rtol=0, atol=slack)
        np.testing.assert_allclose(found[-1], wanted[-1], rtol=2**-22)
