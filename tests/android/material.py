"""What the tests in Java read: models and bundles, whole and spoilt, and what the Python engine answers. Made anew for each session.

The folder is given to them as the system property ``chord.test.folder``. Numbers are little-endian without a head: ``.i32`` int32,
``.f32`` float32. Whoever needs more writes a function that takes the folder, and puts it into :data:`PARTS`.

    sasrec/ caser/                 a model each
        master.chrm pools.i32
        overflowing.chrm           (sasrec) the same with weights too large for a finite result
        strategies/NAME.chrd       and NAME.widths, a byte a channel
        personal/NAME.chrp         the same as personal files
        users/NAME.chru
        CASE/                      a history and candidates
            history.i32 candidates.i32 profile.f32
            STRATEGY-USER/         scores.f32 hidden.f32 top-items.i32 top-scores.f32 new-items.i32 new-scores.f32
    refused/masters/NAME.chrm refused/strategies/NAME.chrd refused/users/NAME.chru
                                   refused by sasrec's engine, and NAME.txt with the sentence
    sasrec.chord caser.chord       bundles, signed with key.raw: counter 5, test vectors; caser's has no words for its items
    words/accepted/NAME.json       lists of names of three items, and NAME.txt with a name a line, that of padding first
    words/refused/NAME.json        what is no such list
    users.chord                    the same of sasrec, with user vectors
    toy.chord                      a small bundle with an artifact "litert-fp32" that no runtime runs, and no counter
    refused/NAME.chord             truncated, changed, unsigned, by other.raw, of a counter of 4
    deltas/difference.json         the golden differences
    deltas/bundles.chordd          from sasrec.chord to users.chord
    patches/patch.json strategy.json
                                   the golden master files and strategies
    patches/fuzzed.json            what the patcher's fuzzer made, and what Python answers
    patches/NAME.master            sasrec as a master file of a target; beside it .mixed and .off, what the exporter makes of these
                                   strategies, and these with .chrd
    envelopes/NAME.chre            for sasrec and the subject "phone 7", of serial 3
    store/                         see :mod:`tests.android.store_material`
    learning/                      see :mod:`tests.android.learning_material`
    release.json                   tests/golden/release.json
    demo/                          see :mod:`tests.android.demo_material`
    key.raw other.raw              public keys, 32 bytes
"""

import dataclasses
import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chordkit.errors import ChordkitError, InputError
from chordkit.export import bundle
from chordkit.export.artifact import ArtifactSpec, Precision
from chordkit.export.assembly import check_artifact
from chordkit.export.bundle import ArtifactContents, BundleContents, DatasetSection, Provenance
from chordkit.export.collection import Sources
from chordkit.export.parity import draw, references
from chordkit.export.targets import lower
from chordkit.kernels import Engine
from chordkit.quantization import MasterWeights, write_personal
from chordkit.signing import raw_key
from chordkit.strategy import Strategy, UserVector, encode_user_vector, quantize_user_vector, to_wire, uniform
from chordkit.strategy.envelope import seal
from tests.android import demo_material, learning_material, store_material
from tests.export import test_bundle_words
from tests.export.conftest import Toy
from tests.fuzz import patches as fuzzed
from tests.golden import common as golden
from tests.kernels.conftest import ITEMS, SMALL, random_master
from tests.kernels.test_not_finite import hostile

KEY, OTHER = (Ed25519PrivateKey.from_private_bytes(bytes([byte]) * 32) for byte in (3, 4))
SUBJECT = b"phone 7"
COUNTER, SERIAL = 5, 3
POOLS = (2, 5, 9)
TOP = 7
CANDIDATES = 20
_NAMES = ["", "Sock", *[""] * (ITEMS - 2), 'The "long" \\ one \U0001f9e6']
_CATEGORIES = ["", "wool, warm", "wool", *[""] * (ITEMS - 2)]
NOBODY = "nobody"
PLAIN = "plain"


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def write_ids(path: Path, values: np.ndarray) -> None:
    write(path, np.ascontiguousarray(values, "<i4").tobytes())


def write_floats(path: Path, values: np.ndarray) -> None:
    write(path, np.ascontiguousarray(values, "<f4").tobytes())


@functools.cache
def master_of(model: str) -> MasterWeights:
    return random_master(SMALL[model])


@functools.cache
def strategies_of(model: str) -> dict[str, Strategy]:
    """Two of mixed widths, one of them with channels that are off, and one that is narrow everywhere."""
    master = master_of(model)
    draw_widths = np.random.default_rng(11).choice
    found = {
        name: Strategy(draw_widths(np.array(choices, np.uint8), master.channel_table.channels), master.fingerprint)
        for name, choices in (("mixed", (2, 4, 8)), ("off", (0, 2, 8)))
    }
    return found | {"narrow": uniform(master.channel_table, 2, master.fingerprint)}


@functools.cache
def users_of(model: str) -> dict[str, UserVector]:
    master = master_of(model)
    generator = np.random.default_rng(12)
    return {
        name: quantize_user_vector(generator.standard_normal(master.dim).astype(np.float32), master.fingerprint)
        for name in ("mixed", "stranger")
    }


def histories_of(model: str) -> dict[str, np.ndarray]:
    length = SMALL[model].max_length
    ids = np.random.default_rng(13).integers(1, ITEMS + 1, 3 * length).astype(np.int32)
    return {
        "full": ids[:length],
        "longer": ids,
        "padded": np.r_[np.zeros(length - 3, np.int32), ids[:3]],
        "short": ids[:4],
        "one": ids[:1],
    }


def models(folder: Path) -> None:
    for name in SMALL:
        _model(folder / name, name)


def _model(folder: Path, name: str) -> None:
    master = master_of(name)
    write(folder / "master.chrm", master.to_bytes())
    write_ids(folder / "pools.i32", np.array(POOLS))
    engine = Engine(master.to_bytes())
    for strategy, value in strategies_of(name).items():
        write(folder / "strategies" / f"{strategy}.chrd", to_wire(value))
        write(folder / "strategies" / f"{strategy}.widths", engine.check(to_wire(value)).tobytes())
        write(folder / "personal" / f"{strategy}.chrp", write_personal(master, value.widths))
    for user, vector in users_of(name).items():
        write(folder / "users" / f"{user}.chru", encode_user_vector(vector))
    for case, history in histories_of(name).items():
        candidates = np.random.default_rng(14).permutation(np.arange(1, ITEMS + 1, dtype=np.int32))[:37]
        write_ids(folder / case / "history.i32", history)
        write_ids(folder / case / "candidates.i32", candidates)
        write_floats(folder / case / "profile.f32", engine.profile(history, POOLS))
        for strategy in (PLAIN, *strategies_of(name)):
            tuned = Engine(master.to_bytes())
            if strategy != PLAIN:
                tuned.adopt(to_wire(strategies_of(name)[strategy]))
            for user in (NOBODY, *users_of(name)):
                _answers(folder / case / f"{strategy}-{user}", tuned, users_of(name).get(user), history, candidates)


def _answers(folder: Path, engine: Engine, user: UserVector | None, history: np.ndarray, candidates: np.ndarray) -> None:
    write_floats(folder / "scores.f32", engine.scores(history, candidates, user=user))
    write_floats(folder / "hidden.f32", engine.hidden(history, user=user))
    for name, exclude in (("top", False), ("new", True)):
        items, scores = engine.top_k(history, TOP, exclude_history=exclude, user=user)
        write_ids(folder / f"{name}-items.i32", items)
        write_floats(folder / f"{name}-scores.f32", scores)


def refusals(folder: Path) -> None:
    """What sasrec's engine refuses, with the sentence it says."""
    master, strategy, user = master_of("sasrec"), strategies_of("sasrec")["mixed"], users_of("sasrec")["mixed"]
    engine = Engine(master.to_bytes())
    data, wire, vector = master.to_bytes(), to_wire(strategy), encode_user_vector(user)
    unknown = dataclasses.replace(master, config=master.config | {"architecture": "gru4rec"})
    masters = {**_spoilt(data), "unknown": unknown.to_bytes()}
    strategies = {**_spoilt(wire), "foreign": to_wire(strategies_of("caser")["mixed"])}
    vectors = {**_spoilt(vector), "foreign": encode_user_vector(users_of("caser")["mixed"])}
    _refused(folder / "refused" / "masters", ".chrm", masters, Engine)
    _refused(folder / "refused" / "strategies", ".chrd", strategies, engine.adopt)
    write(folder / "sasrec" / "overflowing.chrm", _overflowing(master).to_bytes())
    _refused(folder / "refused" / "users", ".chru", vectors, lambda data: engine.hidden(np.ones(1, np.int32), user=data))


def _overflowing(master: MasterWeights) -> MasterWeights:
    """A model that opens, whose weights are so large that no result is finite."""
    for seed in range(100):
        large = hostile(master, np.random.default_rng(seed))
        try:
            Engine(large.to_bytes()).hidden(histories_of("sasrec")["full"])
        except InputError:
            return large
    raise AssertionError("no model overflows")


def _spoilt(data: bytes) -> dict[str, bytes]:
    changed = bytearray(data)
    changed[len(changed) // 2] ^= 1
    return {"truncated": data[:-1], "empty": b"", "changed": bytes(changed), "longer": data + b"\0", "text": b"<html>" + data[6:]}


def _refused(folder: Path, ending: str, cases: dict[str, bytes], run: Callable[[bytes], object]) -> None:
    for name, data in cases.items():
        write(folder / f"{name}{ending}", data)
        try:
            run(data)
        except ChordkitError as error:
            write(folder / f"{name}.txt", str(error).encode())
        else:
            raise AssertionError(f"{folder.name}/{name} is not refused")


def contents(model: str, personal: bool = False, counter: int = COUNTER) -> BundleContents:
    """A bundle of a model of :data:`SMALL` with two native artifacts and their test vectors."""
    master = master_of(model)
    strategies = {name: strategies_of(model)[name] for name in ("mixed", "off")}
    sources = Sources(master, None, strategies, users_of(model) if personal else {})
    generator, length = np.random.default_rng(15), SMALL[model].max_length
    vectors = draw(
        generator.integers(1, ITEMS + 1, (12, length)).astype(np.int32), generator.integers(1, ITEMS + 1, 12), ITEMS,
        count=12, candidates=CANDIDATES,
    )  # fmt: skip
    if personal:
        vectors = vectors.with_users([vector.values for vector in sources.user_vectors.values()])
    vectors = vectors.with_scores(references(master, None, strategies))
    native = [
        ArtifactContents(
            name=f"native-{strategy or 'int8'}", target="native", precision=Precision.STRATEGY if strategy else Precision.INT8,
            activations="int8", candidates=CANDIDATES, strategy=strategy, user_vector=personal, data=None,
        )
        for strategy in (None, *strategies)
    ]  # fmt: skip
    return BundleContents(
        name=model,
        master=master,
        dataset=DatasetSection(name="shop", fingerprint="0" * 64, users=3, items=ITEMS, interactions=20),
        item_ids=["", *(f"SKU-{item}" for item in range(1, ITEMS)), "ïtem \U0001f9e6"],
        item_names=_NAMES if model == "sasrec" else (),
        item_categories=_CATEGORIES if model == "sasrec" else (),
        artifacts=[artifact.model_copy(update={"parity": check_artifact(artifact, sources, vectors)}) for artifact in native],
        strategies=strategies,
        user_vectors=sources.user_vectors,
        temperature=1.25 if model == "caser" else None,
        vectors=vectors,
        provenance=Provenance(seed=7, commit="abc", versions={}, options={}, metrics={}),
        counter=counter,
    )


def bundles(folder: Path) -> None:
    write(folder / "key.raw", raw_key(KEY.public_key()))
    write(folder / "other.raw", raw_key(OTHER.public_key()))
    (folder / "refused").mkdir(exist_ok=True)
    for name in SMALL:
        bundle.write(folder / f"{name}.chord", contents(name), KEY)
    bundle.write(folder / "users.chord", contents("sasrec", personal=True), KEY)
    bundle.write(folder / "toy.chord", Toy().contents(), KEY)
    bundle.write(folder / "refused" / "unsigned.chord", contents("sasrec"))
    bundle.write(folder / "refused" / "other.chord", contents("sasrec"), OTHER)
    bundle.write(folder / "refused" / "older.chord", contents("sasrec", counter=COUNTER - 1), KEY)
    for name, data in _spoilt((folder / "sasrec.chord").read_bytes()).items():
        write(folder / "refused" / f"{name}.chord", data)


def envelopes(folder: Path) -> None:
    strategy, user = (to_wire(strategies_of("sasrec")["mixed"]), encode_user_vector(users_of("sasrec")["mixed"]))
    foreign = to_wire(strategies_of("caser")["mixed"])
    whole = seal(strategy, serial=SERIAL, signing_key=KEY, subject=SUBJECT)
    sealed = {
        "strategy": whole,
        "user": seal(user, serial=SERIAL, signing_key=KEY, subject=SUBJECT),
        "narrow": seal(to_wire(strategies_of("sasrec")["narrow"]), serial=SERIAL + 1, signing_key=KEY, subject=SUBJECT),
        "older": seal(strategy, serial=SERIAL - 1, signing_key=KEY, subject=SUBJECT),
        "foreign": seal(foreign, serial=SERIAL, signing_key=KEY, subject=SUBJECT),
        "stranger": seal(strategy, serial=SERIAL, signing_key=KEY, subject=b"phone 8"),
        "other": seal(strategy, serial=SERIAL, signing_key=OTHER, subject=SUBJECT),
        "expired": seal(strategy, serial=SERIAL, signing_key=KEY, subject=SUBJECT, expires=1_700_000_000),
    }
    for name, data in {**sealed, **_spoilt(whole)}.items():
        write(folder / "envelopes" / f"{name}.chre", data)


def store(folder: Path) -> None:
    store_material.releases(folder / "store", contents, KEY)
    store_material.envelopes(folder / "store", store_material.payloads(strategies_of, users_of), KEY, SUBJECT)


def demo(folder: Path) -> None:
    master, taste = master_of("sasrec"), learning_material.TASTE * learning_material.TURNS
    names, samples = contents("sasrec").item_ids, learning_material.sent(master)
    demo_material.people(folder / "demo", master, strategies_of("sasrec"), names, KEY, taste, samples)


def learning(folder: Path) -> None:
    learning_material.clicks(folder / "learning", master_of("sasrec"), contents("sasrec").item_ids)
    learning_material.samples(folder / "learning", master_of("sasrec"), _spoilt)
    learning_material.pools(folder / "learning", master_of("sasrec"), contents("sasrec").item_ids, master_of("caser"))
    learning_material.health(folder / "learning", master_of("sasrec"))
    strategies = {PLAIN: b"", "mixed": to_wire(strategies_of("sasrec")["mixed"])}
    learning_material.adapters(
        folder / "learning", master_of("sasrec"), contents("sasrec").item_ids, strategies, folder / "sasrec" / "full"
    )


def words(folder: Path) -> None:
    for name, texts in test_bundle_words.ACCEPTED.items():
        write(folder / "words" / "accepted" / f"{name}.json", test_bundle_words.spelled(texts))
        write(folder / "words" / "accepted" / f"{name}.txt", "".join(f"{text}\n" for text in texts).encode())
    for name, data in test_bundle_words.REFUSED.items():
        write(folder / "words" / "refused" / f"{name}.json", data)


def deltas(folder: Path) -> None:
    write(folder / "deltas" / "difference.json", (golden.FOLDER / "difference.json").read_bytes())
    bundle.difference_files(folder / "sasrec.chord", folder / "users.chord", folder / "deltas" / "bundles.chordd")


def patches(folder: Path) -> None:
    for name in ("patch", "strategy"):
        write(folder / "patches" / f"{name}.json", (golden.FOLDER / f"{name}.json").read_bytes())
    write(folder / "patches" / "fuzzed.json", json.dumps(fuzzed.examples(400)).encode())
    master = master_of("sasrec")
    for target in ("litert", "onnx"):
        spec = ArtifactSpec(target, Precision.INT8, CANDIDATES, layout="speed", activations="fp32")
        everywhere = np.full(master.channel_table.channels, 8, np.uint8)
        write(folder / "patches" / f"{target}.master", lower(spec, (master, everywhere)))
        for strategy in ("mixed", "off"):
            widths = strategies_of("sasrec")[strategy].widths
            data = lower(dataclasses.replace(spec, precision=Precision.STRATEGY), (master, widths))
            write(folder / "patches" / f"{target}.{strategy}", data)
            write(folder / "patches" / f"{target}.{strategy}.chrd", to_wire(strategies_of("sasrec")[strategy]))


def release(folder: Path) -> None:
    write(folder / "release.json", (golden.FOLDER / "release.json").read_bytes())


PARTS: tuple[Callable[[Path], None], ...] = (models, refusals, bundles, envelopes, store, demo, learning, words, deltas, patches, release)


def make(folder: Path) -> Path:
    """Everything, in the empty ``folder``."""
    for part in PARTS:
        part(folder)
    return folder


if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(parents=True)
    make(Path(sys.argv[1]))
