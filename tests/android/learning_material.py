"""What the tests of learning on the phone read besides: clicks, and samples of others, for sasrec.

learning/CLICKS.txt            ids of the catalogue, a line each, oldest first
    few                        a taste that the model knows nothing of: five items over and over
    likely                     what the model holds most likely each time, so that nothing can be learned
learning/samples.chrs          12 samples of others in 3 segments, and samples.txt with an item of all segments a line, * before a sample
learning/machine.txt           where these were made: x86_64, aarch64
learning/STRATEGY/             what Python's binding of the same C makes of few and the samples: adapter.chra, counts.i32 (own, outside and
                               kept), gate.f32 (before, after, lower bound of the gain), scores.f32 of sasrec's full case
learning/pool.safetensors      a public pool, and nearest.txt with what Python finds in it for few: a piece a line, * before a sample
learning/pools/NAME.safetensors
                               what is no public pool for sasrec, and NAME.txt with words of why
learning/counted.chrh nothing.chrh
                               reports of health: of counts that fall to a third each, but for the hits, and of none
learning/refused/NAME.chrs     what is no samples for sasrec, and NAME.txt with the sentence
"""

import copy
import hashlib
import platform
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np

from chordkit.coda.building import EVERYBODY, PoolOptions, build_pool
from chordkit.coda.gate import first_examined
from chordkit.coda.health import Counts, encode_health
from chordkit.coda.matching import Matcher, pieces
from chordkit.coda.pool import Pool
from chordkit.coda.profiles import directions, history_profile
from chordkit.coda.samples import Segments, decode_samples, encode_samples
from chordkit.errors import SampleError
from chordkit.kernels import Engine
from chordkit.kernels.learner import Learner
from chordkit.quantization import MasterWeights

TASTE, TURNS = (3, 17, 40, 77, 101), 8
_LIKELY, _SAMPLES, _NEAREST, _HEADER, _CRC = 40, 12, 30, 24, 4


def clicks(folder: Path, master: MasterWeights, names: Sequence[str]) -> None:
    folder.mkdir(parents=True)
    for name, items in (("few", TASTE * TURNS), ("likely", _likely(Engine(master.to_bytes())))):
        (folder / f"{name}.txt").write_text("".join(f"{names[item]}\n" for item in items))


def _likely(engine: Engine) -> list[int]:
    history = [1]
    while len(history) < _LIKELY:
        items, _ = engine.top_k(np.array(history, np.int32), 1, exclude_history=True)
        history.append(int(items[0]))
    return history


def adapters(folder: Path, master: MasterWeights, names: Sequence[str], strategies: Mapping[str, bytes], full: Path) -> None:
    """``full``: the case whose candidates are scored; a strategy of no bytes is none."""
    (folder / "machine.txt").write_text(platform.machine())
    history = [names.index(line) for line in (folder / "few.txt").read_text().splitlines()]
    asked, candidates = (np.fromfile(full / name, "<i4") for name in ("history.i32", "candidates.i32"))
    for strategy, wire in strategies.items():
        engine = Engine(master.to_bytes())
        if wire:
            engine.adopt(wire)
        learner = Learner(engine, hashlib.sha256(wire).digest()[:8] if wire else bytes(8))
        local, outside = learner.own_lessons(np.array(history, np.int32)), learner.sample_lessons((folder / "samples.chrs").read_bytes())
        adapter, report = learner.personalise(local, outside)
        assert adapter is not None
        made = folder / strategy
        made.mkdir()
        (made / "adapter.chra").write_bytes(adapter)
        np.array([report.local, report.outside, report.kept]).astype("<i4").tofile(made / "counts.i32")
        np.array([report.verdict.before, report.verdict.after, report.verdict.low]).astype("<f4").tofile(made / "gate.f32")
        learner.scores(adapter, engine.hidden(asked), candidates).astype("<f4").tofile(made / "scores.f32")


def pools(folder: Path, master: MasterWeights, names: Sequence[str], other: MasterWeights) -> None:
    draw = np.random.default_rng(22)
    people = [draw.integers(1, master.items + 1, count).astype(np.int32) for count in draw.integers(5, 70, 40)]
    ids = [f"person {number}" for number in range(len(people))]
    pool = build_pool(people, ids, master, consent=EVERYBODY, options=PoolOptions(k=0, context=6))
    pool.save(folder / "pool.safetensors")
    clicked = [names.index(line) for line in (folder / "few.txt").read_text().splitlines()]
    older = np.array(clicked[: 1 + first_examined(len(clicked) - 1)], np.int32)
    direction = directions(history_profile(master, older, pool.pools)[None], len(pool.pools))[0]
    found = pieces(pool, Matcher(pool).nearest(direction, _NEAREST), pool.context)
    rows = (
        " ".join(f"{'*' if mark else ''}{item}" for item, mark in zip(history, marks, strict=True))
        for history, marks in zip(found.histories, found.targets, strict=True)
    )
    (folder / "nearest.txt").write_text("".join(f"{row}\n" for row in rows))
    whole = (folder / "pool.safetensors").read_bytes()
    (folder / "pools").mkdir()
    private = build_pool(people, ids, master, consent=EVERYBODY, options=PoolOptions(k=2))
    foreign = build_pool(people, ids, other, consent=EVERYBODY, options=PoolOptions(k=0))
    outside, beside = pool.flat.copy(), pool.sample_places.copy()
    outside[3], beside[0] = 200, 90
    changed = bytearray(whole)
    changed[-5] ^= 1
    for name, spoilt, words in (
        ("private", private, "it is not a public one"),
        ("foreign", foreign, "fingerprint: it is for backbone"),
        ("changed", bytes(changed), "its checksum does not match"),
        ("truncated", whole[:-1], "does not lie where its shape says"),
        ("empty", b"", "it ends before its header does"),
        ("no pool", whole.replace(b"chordkit.pool", b"chordkit.loop"), "format and version are not chordkit.pool and 1"),
        ("items outside", _unchecked(pool, flat=outside), "its items do not lie in 1.."),
        ("places outside", _unchecked(pool, sample_places=beside), "a sample does not stand behind an item of a segment"),
    ):
        path = folder / "pools" / f"{name}.safetensors"
        spoilt.save(path) if isinstance(spoilt, Pool) else path.write_bytes(spoilt)
        path.with_suffix(".txt").write_text(words)


def health(folder: Path, master: MasterWeights) -> None:
    counts = [0]
    while len(counts) < len(fields(Counts)):
        counts.insert(0, 3 * counts[0] + 1)
    clicked = Counts(*counts).at_least(hits=counts[0])  # as many as there were clicks
    (folder / "counted.chrh").write_bytes(encode_health(clicked, master.fingerprint))
    (folder / "nothing.chrh").write_bytes(encode_health(Counts(), master.fingerprint))


def _unchecked(pool: Pool, **changes: np.ndarray) -> Pool:
    """A pool that is none, as whoever forges one would save it."""
    made = copy.copy(pool)
    for name, value in changes.items():
        object.__setattr__(made, name, value)
    return made


def segments(items: int) -> Segments:
    draw = np.random.default_rng(21)
    histories = [draw.integers(1, items + 1, length).astype(np.int32) for length in (6, 9, 7)]
    marks = [np.isin(np.arange(len(history)), np.r_[1 : 1 + _SAMPLES // 3]) for history in histories]
    return Segments(histories, marks)


def sent(master: MasterWeights) -> bytes:
    return encode_samples(segments(master.items), master.fingerprint)


def samples(folder: Path, master: MasterWeights, spoilt: Callable[[bytes], dict[str, bytes]]) -> None:
    drawn = segments(master.items)
    whole = sent(master)
    (folder / "samples.chrs").write_bytes(whole)
    rows = zip(np.concatenate(drawn.histories), np.concatenate(drawn.targets), strict=True)
    (folder / "samples.txt").write_text("".join(f"{'*' if mark else ''}{item}\n" for item, mark in rows))
    (folder / "refused").mkdir()
    foreign = encode_samples(drawn, bytes(8))
    for name, data in {**spoilt(whole), **_repacked(whole), "foreign": foreign}.items():
        try:
            decode_samples(data, fingerprint=master.fingerprint, items=master.items)
        except SampleError as error:
            (folder / "refused" / f"{name}.chrs").write_bytes(data)
            (folder / "refused" / f"{name}.txt").write_text(str(error))
        else:
            raise AssertionError(f"samples {name} are not refused")


def _repacked(whole: bytes) -> dict[str, bytes]:
    """Samples whose header and CRC are right, and whose payload is not."""
    payload = zlib.decompress(whole[_HEADER:-_CRC], -15)
    return {
        "broken": _sealed(whole, b"\xff" * 40),
        "short": _sealed(whole, _deflated(payload)[:-4]),
        "bomb": _sealed(whole, _deflated(bytes(60_000))),
        "more behind": _sealed(whole, _deflated(payload) + b"\0"),
        "less": _sealed(whole, _deflated(payload[:-1])),
        "beyond": _sealed(whole, _deflated(payload[:-1] + b"\1")),
    }


def _sealed(whole: bytes, stream: bytes) -> bytes:
    body = whole[:_HEADER] + stream
    return body + struct.pack("<I", zlib.crc32(body))


def _deflated(payload: bytes) -> bytes:
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    return stream.compress(payload) + stream.flush()
