"""Golden vectors: adapters, and what training them comes to."""

import dataclasses
import hashlib
from functools import partial
from typing import Any

import numpy as np

from chordkit.coda.adapter import Adapter, decode_adapter, encode_adapter
from chordkit.coda.classifier import describe, probabilities
from chordkit.coda.learning import Candidates, Exam, Head, Lessons, Steps, start, train
from chordkit.coda.personal import PersonalOptions, learn, personalise
from chordkit.inputs import left_pad
from tests.golden.common import FINGERPRINT, replaced, sealed


def coda_training() -> dict[str, Any]:
    """One user's training, from its lessons to the parameters after 1, 5 and 20 steps, by every method.

    What goes in is in 64ths, exact in float32; what comes out is float64's, to seven places.
    """
    dim, items, count = 8, 60, 20

    def scattered(kind: int, *shape: int) -> np.ndarray:
        """Whole numbers from -64 to 64."""
        stream = b"".join(hashlib.sha256(bytes([kind, block])).digest() for block in range(np.prod(shape) // 32 + 1))
        return (np.frombuffer(stream, np.uint8)[: np.prod(shape)].astype(np.int64) % 129 - 64).reshape(shape)

    table, bias = scattered(1, items + 1, dim) / 64, scattered(2, items + 1) / 64
    head = Head(table, bias)
    targets = (np.abs(scattered(3, count)) % 14 + 1).astype(np.int32)
    seen = (np.abs(scattered(4, count, 5)) % (items + 1)).astype(np.int32)
    seen[:2, 0] = targets[:2]  # what comes again competes
    lessons = Lessons(scattered(5, count, dim) / 32, targets, seen)
    weights = np.where(np.arange(count) < 8, 1.0, 0.296875)
    candidates = Candidates.choose(targets, items, 9)
    candidates = Candidates(candidates.items, candidates.offsets.round(7))
    zero, exam = start(head, lessons), Exam(head, lessons, candidates)
    begun = zero.with_values(scattered(6, len(zero.values)) / 1024)
    runs = []
    for method, rate, decay, adapter in (("sgd", 0.0625, 0.0, zero), ("sgd", 0.03125, 0.125, begun), ("adam", 0.03125, 0.125, begun)):
        after = {
            str(steps): train(exam, weights, adapter, Steps(steps, rate, method, decay=decay)).values.round(7).tolist()
            for steps in (1, 5, 20)
        }
        runs.append({"method": method, "rate": rate, "decay": decay, "start": adapter.values.tolist(), "after": after})
    return {
        "dim": dim,
        "table": table.tolist(),
        "bias": bias.tolist(),
        "states": lessons.states.tolist(),
        "targets": targets.tolist(),
        "seen": seen.tolist(),
        "weights": weights.tolist(),
        "candidates": {"items": candidates.items.tolist(), "offsets": candidates.offsets.tolist()},
        "biased": zero.items.tolist(),
        "runs": runs,
    }


def coda_adapters() -> dict[str, Any]:
    """Accepted adapters with what is in them, and refused ones with the check that refuses them."""
    dim, items, strategy = 16, 300, b"strategy"
    accepted = []
    for biased in ([], [1], [2, 7, 300], list(range(1, 257))):
        values = np.arange(-3, 10 * dim + len(biased) - 3, dtype=np.float32) / 8
        adapter = Adapter(values, dim, np.array(biased, np.int32), FINGERPRINT, strategy)
        accepted.append({"items": biased, "values": values.tolist(), "bytes": encode_adapter(adapter).hex()})
    hidden = (np.arange(dim) - 7.0) / 4
    moved = decode_adapter(bytes.fromhex(accepted[2]["bytes"]), fingerprint=FINGERPRINT, strategy=strategy, dim=dim, items=items)
    states = dataclasses.replace(moved, values=moved.values.astype(np.float64)).states(hidden[None])[0]
    good = bytes.fromhex(accepted[2]["bytes"])

    changed = partial(replaced, good)
    first = 32 + 4 * 3
    refused = {
        "header": ("length", good[:35]),
        "magic": ("magic", changed(0, b"CHRS")),
        "version": ("version", changed(4, b"\2")),
        "rank": ("rank", changed(5, b"\7")),
        "byte 7": ("reserved", changed(7, b"\1")),
        "fingerprint": ("fingerprint", changed(15, b"\0")),
        "strategy": ("strategy", changed(16, b"S")),
        "dim": ("dim", changed(24, b"\x20")),
        "more biases than can be": ("items", changed(28, (257).to_bytes(4, "little"))),
        "another number of biases": ("length", changed(28, b"\4")),
        "cut": ("length", sealed(good[:-5])),
        "something behind": ("length", sealed(good[:-4] + bytes(4))),
        "CRC": ("CRC", good[:-1] + bytes([good[-1] ^ 1])),
        "item 0": ("items", changed(32, bytes(4))),
        "an item twice": ("items", changed(36, b"\2")),
        "an item above the catalogue": ("items", changed(40, (301).to_bytes(4, "little"))),
        "items that ascend only where 32 bits end": ("items", changed(36, b"\xff\xff\xff\x7f\x00\x00\x00\x80")),
        "a negative item": ("items", changed(40, b"\xff\xff\xff\xff")),
        "no number": ("values", changed(first, np.float32(np.nan).tobytes())),
        "infinity": ("values", changed(len(good) - 8, np.float32(np.inf).tobytes())),
        "above 10,000": ("values", changed(first + 4, np.float32(-10_000.001).tobytes())),
    }
    return {
        "fingerprint": FINGERPRINT.hex(), "strategy": strategy.hex(), "dim": dim, "catalogue": items,
        "accepted": accepted,
        "moved": {"accepted": 2, "hidden": hidden.tolist(), "state": states.round(9).tolist()},
        "refused": [{"case": case, "check": check, "bytes": data.hex()} for case, (check, data) in refused.items()],
    }  # fmt: skip


def coda_personal() -> dict[str, Any]:
    """A user's lessons and those from outside, and what they come to in float64: classifier, gate, and adapters by both methods.

    States are given instead of the encoder's, so that learning is compared alone; all of it is of numbers that float32 has exactly.
    """
    generator = np.random.Generator(np.random.PCG64(12))
    items, dim, own, outside = 30, 16, 36, 24
    codes = np.clip(np.round(generator.normal(size=(items + 1, dim)) * 8), -31, 31).astype(int)
    codes[0], scale = 0, 1 / 16
    history = generator.integers(1, items + 1, own + 4).astype(np.int32)
    pieces = generator.integers(1, items + 1, (4, 10)).astype(np.int32)
    places = [[0, 4 + number] for number in range(own)], [[10 * piece, 10 * piece + 4 + at] for piece in range(4) for at in range(6)]
    # The user comes back to one item: there is something to learn.
    history[4 + np.flatnonzero(generator.random(own) < 0.5)] = 2
    states = [np.round(generator.normal(size=(count, dim)) * 8) / 8 for count in (own, outside)]
    flats = [history, pieces.ravel()]
    lessons = []
    for flat, where, state in zip(flats, places, states, strict=True):
        seen = left_pad([flat[begin:place] for begin, place in where], max(place - begin for begin, place in where))
        lessons.append(Lessons(state, flat[[place for _, place in where]], seen))
    head = Head(codes * scale)
    inside = probabilities(describe(head, lessons[0]), describe(head, lessons[1]))
    runs = {}
    for method, rate in (("adam", 0.01), ("sgd", 0.02)):
        options = PersonalOptions(Steps(10, rate, method), others=10)
        adapter, kept = learn(head, *lessons, options)
        _, report = personalise(head, *lessons, options)
        runs[method] = {
            "rate": rate, "kept": kept, "items": adapter.items.tolist(), "values": adapter.values.round(7).tolist(),
            "judged": report.verdict.lessons, "before": round(report.verdict.before, 7), "after": round(report.verdict.after, 7),
            "low": round(report.verdict.low, 7), "adopt": report.verdict.adopt,
        }  # fmt: skip
    return {
        "table": {"codes": codes.tolist(), "scale": scale},
        "local": {"items": flats[0].tolist(), "lessons": places[0], "states": states[0].tolist()},
        "outside": {"items": flats[1].tolist(), "lessons": places[1], "states": states[1].tolist()},
        "others": 10,
        "inside": inside.round(7).tolist(),
        "runs": runs,
    }
