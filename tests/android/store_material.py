"""What the tests of bundles, self-check and store read besides: releases of one shop, and such that are rightly signed and wrong.

store/5.chord ... 7.chord      sasrec with counters 5 to 7
store/8.chord                  another backbone, caser
store/uncounted.chord          counter 0
store/swapped.chord            counter 9: two strategies have each other's scores
store/retrained.chord          counter 9: test vectors' scores are those of another sasrec
store/near.chord               counter 9: as swapped, of strategies so much alike that every tolerance holds
store/STRATEGY-SERIAL.chre     for sasrec and the subject "phone 7"; with a time, -until-2100 and -until-2001
store/user-SERIAL.chre         a user vector likewise; store/caser-SERIAL.chre a strategy of caser's
store/5-6.chordd store/5-7.chordd
                               differences from one bundle to another
store/vectors.safetensors store/items.json
                               members of 5.chord
store/static.f32               the native engine's scores of its test vectors, int8 everywhere
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from chordkit.export import bundle
from chordkit.export.bundle import BundleContents
from chordkit.export.bundle.delta import difference_files
from chordkit.export.bundle.manifest import ITEMS, VECTORS
from chordkit.export.parity import references
from chordkit.export.parity.vectors import VectorSet
from chordkit.kernels import Engine
from chordkit.strategy import Strategy, encode_user_vector, to_wire
from chordkit.strategy.envelope import seal
from tests.kernels.conftest import SMALL, random_master

YEAR_2001, YEAR_2100 = 978_307_200, 4_102_444_800


def releases(folder: Path, contents: Callable[..., BundleContents], key: object) -> None:
    folder.mkdir()
    for counter in (5, 6, 7):
        bundle.write(folder / f"{counter}.chord", contents("sasrec", counter=counter), key)  # type: ignore[arg-type]
    for counter in (6, 7):
        difference_files(folder / "5.chord", folder / f"{counter}.chord", folder / f"5-{counter}.chordd")
    bundle.write(folder / "8.chord", contents("caser", counter=8), key)  # type: ignore[arg-type]
    bundle.write(folder / "uncounted.chord", contents("sasrec", counter=0), key)  # type: ignore[arg-type]
    whole = contents("sasrec", counter=9)
    for name, wrong in (("swapped", _swapped(whole)), ("retrained", _retrained(whole)), ("near", _swapped(_near(whole)))):
        bundle.write(folder / f"{name}.chord", wrong, key)  # type: ignore[arg-type]
    with bundle.open(folder / "5.chord") as opened:
        (folder / VECTORS).write_bytes(opened.member(VECTORS))
        (folder / ITEMS).write_bytes(opened.member(ITEMS))
        engine, vectors = Engine(bytes(opened.member("master.chrm"))), opened.vectors()
        scores = [engine.scores(history, ids) for history, ids in zip(vectors.histories, vectors.candidates, strict=True)]
    np.stack(scores).astype("<f4").tofile(folder / "static.f32")


def envelopes(folder: Path, sealed: dict[str, bytes], key: object, subject: bytes) -> None:
    """``sealed``: payloads by the name that their files begin with."""
    for name, payload in sealed.items():
        for serial in (3, 4, 5):
            times = {"": 0, "-until-2001": YEAR_2001, "-until-2100": YEAR_2100} if name == "mixed" else {"": 0}
            for ending, expires in times.items():
                data = seal(payload, serial=serial, signing_key=key, subject=subject, expires=expires)  # type: ignore[arg-type]
                (folder / f"{name}-{serial}{ending}.chre").write_bytes(data)


def payloads(strategies: Callable[[str], dict[str, Strategy]], users: Callable[[str], dict]) -> dict[str, bytes]:
    return {
        "mixed": to_wire(strategies("sasrec")["mixed"]),
        "off": to_wire(strategies("sasrec")["off"]),
        "user": encode_user_vector(users("sasrec")["mixed"]),
        "caser": to_wire(strategies("caser")["mixed"]),
    }


def _with_scores(contents: BundleContents, vectors: VectorSet) -> BundleContents:
    return dataclasses.replace(contents, vectors=vectors)


def _swapped(contents: BundleContents) -> BundleContents:
    """Each strategy has the scores of the other."""
    one, two = contents.strategies
    scores = contents.vectors.scores
    return _with_scores(contents, dataclasses.replace(contents.vectors, scores={**scores, one: scores[two], two: scores[one]}))


def _retrained(contents: BundleContents) -> BundleContents:
    """The references of a master with other weights."""
    other = random_master(SMALL["sasrec"], seed=99)
    foreign = {name: Strategy(strategy.widths, other.fingerprint) for name, strategy in contents.strategies.items()}
    known = references(other, None, foreign)
    return _with_scores(contents, contents.vectors.with_scores({name: known[name] for name in contents.vectors.scores}))


def _near(contents: BundleContents) -> BundleContents:
    """The second strategy has some channels of 4 bits where the first has 8: within the tolerance, and more than 8-bit activations do."""
    one, two = contents.strategies
    widths = contents.strategies[one].widths.copy()
    widths[np.flatnonzero(widths == 8)[:32]] = 4
    strategies = {one: contents.strategies[one], two: Strategy(widths, contents.master.fingerprint)}
    known = references(contents.master, None, strategies)
    vectors = contents.vectors.with_scores({name: known[name] for name in contents.vectors.scores})
    measured = {artifact.strategy: artifact.parity for artifact in contents.artifacts}
    artifacts = [artifact.model_copy(update={"parity": measured[artifact.strategy and one]}) for artifact in contents.artifacts]
    return dataclasses.replace(contents, strategies=strategies, vectors=vectors, artifacts=artifacts)
