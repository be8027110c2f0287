"""What the tests of the demo app read besides: two people with a strategy each, and one strategy for everybody.

users.json          for sasrec.chord, as ``chordkit demo`` writes it; the first has a taste that can be learned, and samples of others
SUBJECT.order       the candidates of each, an id a line, best first, as the Python engine has them
SUBJECT.shared      likewise with everybody's strategy
"""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chordkit.demo.users import EVERYBODY, DemoUser, DemoUsers, to_bytes
from chordkit.files import write_bytes
from chordkit.kernels import Engine
from chordkit.quantization import MasterWeights
from chordkit.strategy import Strategy, seal, to_wire

SHARED = "narrow"
_HISTORY, _CANDIDATES = 15, 20


def people(
    folder: Path,
    master: MasterWeights,
    strategies: Mapping[str, Strategy],
    names: Sequence[str],
    key: Ed25519PrivateKey,
    taste: Sequence[int],
    samples: bytes,
) -> None:
    """Write all of it into ``folder``; ``names`` are the owner's ids, that of padding first."""
    generator = np.random.default_rng(16)

    def sealed(strategy: str, subject: str) -> str:
        return base64.b64encode(seal(to_wire(strategies[strategy]), serial=1, signing_key=key, subject=subject.encode())).decode()

    users = []
    for subject, own in (("mixed", taste), ("off", None)):
        candidates = generator.choice(np.arange(1, master.items + 1), _CANDIDATES, replace=False).astype(np.int32)
        drawn = generator.integers(1, master.items + 1, _HISTORY).astype(np.int32)
        history = drawn if own is None else np.array(own, np.int32)
        ids = [names[item] for item in candidates]
        users.append(
            DemoUser(
                name=f"user {subject}",
                subject=subject,
                history=[names[item] for item in history],
                candidates=ids,
                taken=ids[-1],
                envelope=sealed(subject, subject),
                samples=None if own is None else base64.b64encode(samples).decode(),
            )
        )
        for strategy, ending in ((subject, "order"), (SHARED, "shared")):
            engine = Engine(master.to_bytes())
            engine.adopt(to_wire(strategies[strategy]))
            best = candidates[np.argsort(-engine.scores(history, candidates), kind="stable")]
            write_bytes(folder / f"{subject}.{ending}", "".join(f"{names[item]}\n" for item in best).encode())
    document = DemoUsers(
        format="chordkit.demo_users",
        version=2,
        data="shop",
        fingerprint=master.fingerprint.hex(),
        shared=sealed(SHARED, EVERYBODY),
        users=users,
    )
    write_bytes(folder / "users.json", to_bytes(document))
