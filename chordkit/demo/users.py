"""``demo_users.json``: the people whom the demo app on a phone shows, beside the bundle that it reranks with."""

import base64
from collections.abc import Mapping
from typing import Literal

import numpy as np
from pydantic import ConfigDict

from chordkit.coda.building import EVERYBODY as EVERYBODY_AGREED
from chordkit.coda.building import build_pool
from chordkit.coda.gate import first_examined
from chordkit.coda.matching import Matcher
from chordkit.coda.pool import Pool
from chordkit.coda.profiles import history_profile
from chordkit.data import Dataset, SplitPart
from chordkit.documents import Document
from chordkit.errors import DataError, SampleError
from chordkit.hypernetwork import TrainedHypernetwork, make_mean_strategy, to_strategy
from chordkit.quantization import MasterWeights
from chordkit.signing import SigningKey
from chordkit.strategy import Strategy, seal, to_wire

LARGEST = 200_000
EVERYBODY = "everybody"
_LONGEST_TEXT = 80
_LESSONS = 100
"""Choices that a phone learns from, each of which has one before it."""
_LEAST_SHOWN = _LESSONS + 1
_SAMPLES = 200


class _Part(Document):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DemoUser(_Part):
    """One person.

    Attributes:
        name: as a person reads it.
        subject: of the envelope, and name of the strategy where the bundle has it.
        history: the owner's ids of the latest items before ``taken``, oldest first: as many as the backbone looks at, and at least 101.
        candidates: the owner's ids to be reranked, ``taken`` among them, none that the user had before where the catalogue is large enough.
        taken: what the user really took next.
        envelope: the user's strategy in a signed envelope (CHRE), base64.
        samples: of the other users' histories those that are like this one's (CHRS), base64, for the phone to learn from; None = there are
            none that enough users share.
    """

    name: str
    subject: str
    history: list[str]
    candidates: list[str]
    taken: str
    envelope: str
    samples: str | None = None


class DemoUsers(_Part):
    """The file.

    Attributes:
        format: of the file.
        version: of the format.
        data: name of the data set.
        fingerprint: of the backbone that the strategies are for, hexadecimal.
        shared: one strategy for everybody on that backbone, in an envelope whose subject is "everybody", base64.
        users: at least one.
    """

    format: Literal["chordkit.demo_users"]
    version: Literal[2]
    data: str
    fingerprint: str
    shared: str
    users: list[DemoUser]


def describe_users(
    dataset: Dataset,
    part: SplitPart,
    personal: TrainedHypernetwork,
    strategies: Mapping[int, tuple[str, Strategy]],
    master: MasterWeights,
    *,
    candidates: int,
    key: SigningKey,
    seed: int,
) -> DemoUsers:
    """Everything that the app shows of a few users.

    Args:
        dataset: their interactions.
        part: what was held out; of each user the last row counts.
        personal: what made the strategies.
        strategies: by index of the user, their name in files and what was made for them.
        master: the backbone as it is shipped, which samples are for.
        candidates: to be reranked, the held-out item among them.
        key: signs the envelopes.
        seed: of the choice of candidates.

    Raises:
        DataError: the catalogue has fewer items than ``candidates``.
    """
    if dataset.items < candidates:
        raise DataError(f"data set '{dataset.name}': {dataset.items} items are fewer than {candidates} candidates; use a larger one")
    shown = max(personal.backbone.config.max_length, _LEAST_SHOWN)
    random, users, pool = np.random.default_rng(seed), [], _pool(dataset, master)
    for user, (name, strategy) in strategies.items():
        row = int(np.searchsorted(part.users, user, side="right")) - 1
        past, taken = part.full_history(row), int(part.targets[row])
        chosen = _candidates(random, past, taken, dataset.items, candidates)
        users.append(
            DemoUser(
                name=shortened(f"user {dataset.user_ids[user]}"),
                subject=name,
                history=[dataset.item_ids[item] for item in past[-shown:]],
                candidates=[dataset.item_ids[item] for item in chosen],
                taken=dataset.item_ids[taken],
                envelope=_sealed(strategy, name, key),
                samples=_samples(pool, master, past, dataset.user_ids[user]),
            )
        )
    shared = _for_everybody(personal, part)
    return DemoUsers(
        format="chordkit.demo_users",
        version=2,
        data=shortened(dataset.name),
        fingerprint=shared.fingerprint.hex(),
        shared=_sealed(shared, EVERYBODY, key),
        users=users,
    )


def to_bytes(users: DemoUsers) -> bytes:
    """The file's bytes, at most :data:`LARGEST`; the same users give the same bytes.

    Raises:
        DataError: the ids are so long that it would be larger.
    """
    data = users.model_dump_json(indent=1).encode() + b"\n"
    if len(data) > LARGEST:
        raise DataError(f"data set '{users.data}': its ids make {len(data)} bytes for the demo app, more than {LARGEST}; use shorter ids")
    return data


def _pool(dataset: Dataset, master: MasterWeights) -> Pool | None:
    """What the users of the demo's data learn of each other, all as if they had agreed; the last item of each is nobody's to know."""
    try:
        return build_pool([sequence[:-1] for sequence in dataset.sequences], dataset.user_ids, master, consent=EVERYBODY_AGREED)
    except SampleError:  # hardly any users, or they have nothing in common
        return None


def _samples(pool: Pool | None, master: MasterWeights, past: np.ndarray, user: str) -> str | None:
    if pool is None:
        return None
    # With what is older than the choices that the phone's gate examines: samples chosen by these would have seen the questions.
    lessons = min(_LESSONS, len(past) - 1)
    older = past[: len(past) - lessons + first_examined(lessons)]
    try:
        answer = Matcher(pool).answer(history_profile(master, older, pool.pools), _SAMPLES, exclude=user)
    except SampleError:  # only the user's own
        return None
    return base64.b64encode(answer.data).decode()


def _for_everybody(personal: TrainedHypernetwork, part: SplitPart) -> Strategy:
    """One strategy for all on the personal backbone, from the mean importance: the report's rival "mean"."""
    histories = part.recent(personal.options.pools[-1])[part.first_rows]
    return to_strategy(personal.hypernetwork, make_mean_strategy(personal.hypernetwork, histories))


def _candidates(random: np.random.Generator, past: np.ndarray, taken: int, items: int, count: int) -> np.ndarray:
    others = np.delete(np.arange(items + 1), [0, taken])
    new = np.setdiff1d(others, past)
    chosen = random.choice(new if len(new) >= count - 1 else others, count - 1, replace=False)
    return np.insert(chosen, random.integers(count), taken)


def _sealed(strategy: Strategy, subject: str, key: SigningKey) -> str:
    return base64.b64encode(seal(to_wire(strategy), serial=1, signing_key=key, subject=subject.encode())).decode()


def shortened(text: str) -> str:
    """The text, or as much of it as a line on a phone has room for."""
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"
