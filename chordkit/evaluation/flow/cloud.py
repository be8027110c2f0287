"""The cloud's side of the flow: one release, and what answers the phones that have it."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chordkit.backbones import default_config, from_master
from chordkit.coda.building import EVERYBODY, PoolOptions, build_pool
from chordkit.coda.matching import Matcher
from chordkit.coda.phone import Answer, Hint, Release, Request
from chordkit.data import Dataset, SplitPart, left_pad, split
from chordkit.errors import SampleError
from chordkit.hypernetwork import (
    Hypernetwork,
    HypernetworkOptions,
    TrainedHypernetwork,
    make_mean_strategy,
    make_static_strategy,
    make_strategies,
    to_strategy,
    train_hypernetwork,
)
from chordkit.hypernetwork.likelihood import best_temperature
from chordkit.kernels import Engine
from chordkit.progress import Progress, renamed
from chordkit.quantization import MasterWeights
from chordkit.strategy import allocate, seal, to_wire
from chordkit.training import TrainingOptions, train_backbone

HELD_OUT = 5
"""Items of each user that validate, those first after the first moment; what comes after the second is simulated, all of it."""


@dataclass(eq=False)
class Cloud:
    """One release and its answers.

    Attributes:
        release: what its phones have.
        master: of the release.
        hypernetwork: makes strategies; None = the release has one strategy for all.
        matcher: the pool of the day; None = there is none.
        key: signs envelopes.
    """

    release: Release
    master: MasterWeights
    hypernetwork: Hypernetwork | None
    key: Ed25519PrivateKey
    matcher: Matcher | None = None
    _serials: dict[bytes, int] = field(default_factory=dict)

    def engine(self) -> Engine:
        """What a phone with this release computes with."""
        return Engine(self.master.to_bytes())

    def rebuild(self, histories: Sequence[np.ndarray], users: Sequence[str], options: PoolOptions) -> None:
        """Make the pool of samples anew, of users who have all agreed; there is none as long as they share too little."""
        try:
            self.matcher = Matcher(build_pool(histories, users, self.master, consent=EVERYBODY, options=options))
        except SampleError:
            self.matcher = None

    def answer(self, request: Request, user: str, subject: bytes) -> Answer:
        """What a phone gets. The user's id serves to leave this user's own samples out."""
        envelope = samples = None
        if request.strategy is not None and self.hypernetwork is not None:
            serial = self._serials[subject] = self._serials.get(subject, 0) + 1
            envelope = seal(self._strategy(request.strategy), serial=serial, signing_key=self.key, subject=subject)
        if request.samples is not None and self.matcher is not None:
            with contextlib.suppress(SampleError):  # there are samples of nobody else
                samples = self.matcher.answer(request.samples, request.count, exclude=user).data
        return Answer(Hint(self.release.fingerprint, self.release.counter), envelope, samples)

    @torch.no_grad()
    def _strategy(self, profile: np.ndarray) -> bytes:
        assert self.hypernetwork is not None
        budget = self.hypernetwork.options.budget
        importance = self.hypernetwork.importance(torch.from_numpy(profile[None]), budget.average_bits).numpy()
        widths = allocate(importance, self.hypernetwork.table, budget, allow_off=budget.may_switch_off)[0]
        return to_wire(to_strategy(self.hypernetwork, widths))


def train_clouds(
    dataset: Dataset,
    architecture: str,
    start: TrainingOptions,
    options: HypernetworkOptions,
    split_at: str,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> tuple[Cloud, Cloud]:
    """A release with strategies of one's own, and its rival with one static strategy for all, learned with equal care: both begin with the
    same backbone, and none of them has seen anything from the second moment of ``split_at`` on."""
    places: dict[str, Any] = {"held_out": HELD_OUT, "validation": HELD_OUT, "split_at": split_at}
    config = default_config(architecture, dataset.items)
    backbone = train_backbone(dataset, config, start, folder and folder / "start", renamed(progress, "backbone"), **places).backbone

    def trained(name: str, own: HypernetworkOptions) -> TrainedHypernetwork:
        return train_hypernetwork(dataset, backbone, None, own, folder and folder / name, renamed(progress, name), **places)

    key = Ed25519PrivateKey.generate()
    personal, static = trained("personal", options), trained("static", replace(options, personal=False))
    return _personal(dataset, personal, split_at, key), _static(dataset, static, split_at, key)


def _personal(dataset: Dataset, trained: TrainedHypernetwork, split_at: str, key: Ed25519PrivateKey) -> Cloud:
    """Phones that have no strategy of their own yet run under the mean one."""
    hypernetwork = trained.hypernetwork
    parts = split(dataset, trained.backbone.config.max_length, HELD_OUT, HELD_OUT, split_at)
    histories = left_pad([each for each in parts.train if len(each)], trained.options.pools[-1])
    shared = make_mean_strategy(hypernetwork, histories)
    own = make_strategies(hypernetwork, parts.valid.recent(trained.options.pools[-1]))
    return _release(trained, hypernetwork, shared, own, parts.valid, key)


def _static(dataset: Dataset, trained: TrainedHypernetwork, split_at: str, key: Ed25519PrivateKey) -> Cloud:
    parts = split(dataset, trained.backbone.config.max_length, HELD_OUT, HELD_OUT, split_at)
    shared = make_static_strategy(trained.hypernetwork)
    return _release(trained, None, shared, np.tile(shared, (len(parts.valid), 1)), parts.valid, key)


def _release(
    trained: TrainedHypernetwork,
    hypernetwork: Hypernetwork | None,
    shared: np.ndarray,
    own: np.ndarray,
    valid: SplitPart,
    key: Ed25519PrivateKey,
) -> Cloud:
    engine = Engine(trained.master.to_bytes())
    states = np.empty((len(valid), engine.dim), np.float32)
    for row, widths in enumerate(own):
        engine.adopt(to_wire(to_strategy(trained.hypernetwork, widths)))
        states[row] = engine.hidden(valid.histories[row])
    temperature = best_temperature(from_master(trained.master).eval(), torch.from_numpy(states), valid, masked=True)
    wire = to_wire(to_strategy(trained.hypernetwork, shared))
    release = Release.of(trained.master, wire, key.public_key(), temperature, trained.options.pools)
    return Cloud(release, trained.master, hypernetwork, key)
