"""All that `chordkit evaluate` finds out: one experiment for each budget, what it found, and where it was measured."""

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from chordkit.backbones import Backbone
from chordkit.data import Dataset
from chordkit.errors import InputError
from chordkit.evaluation.experiment import ExperimentOptions, experiment_identity, fp32_options, run_experiment, train_models
from chordkit.evaluation.finetune import TunedLine, finetune, load_tuned, save_tuned, summarise_tuned
from chordkit.evaluation.latency import EngineLatency, measure_latency
from chordkit.evaluation.summary import Summary, plain, summarise_seeds
from chordkit.hypernetwork import HypernetworkOptions
from chordkit.progress import Progress
from chordkit.runtime_bench import machine
from chordkit.runtime_bench.results import Machine

_FORMAT = "chordkit-evaluation"
_VERSION = 1


@dataclass(frozen=True)
class Case:
    """One budget.

    Attributes:
        options: how the own strategy was trained.
        summary: what the experiment found.
        latency: of a rerank on the engine, or why nothing was timed.
        minutes: that training and measuring its seeds took; what several budgets share counts in the first.
    """

    options: HypernetworkOptions
    summary: Summary
    latency: EngineLatency | str
    minutes: float


@dataclass(frozen=True)
class Evaluation:
    """The result of one call.

    Attributes:
        dataset: its name.
        fingerprint: of the data set.
        users: in it.
        items: in it.
        interactions: in it.
        architecture: of the backbone.
        window: items that the phone looks at.
        seeds: of the experiments.
        held_out: test items a user, at most.
        validation: validation items a user, at most.
        split_at: the moments from which on items validated and tested, as they were asked for; None = the last items of every user.
        machine: where it was measured, with the versions of all packages and the commit.
        cases: one a budget.
        finetuned: on-device fine-tuning of the fp32 rival, which no budget touches; empty where that was not trained or not asked for.
    """

    dataset: str
    fingerprint: str
    users: int
    items: int
    interactions: int
    architecture: str
    window: int
    seeds: tuple[int, ...]
    held_out: int
    validation: int
    machine: Machine
    cases: tuple[Case, ...]
    finetuned: tuple[TunedLine, ...] = ()
    split_at: str | None = None

    @property
    def minutes(self) -> float:
        """That training and measuring took, on ``machine``."""
        return sum(case.minutes for case in self.cases)

    def to_json(self) -> dict[str, Any]:
        """The document ``evaluation.json``; what could not be measured is null."""
        return {"format": _FORMAT, "version": _VERSION, "minutes": self.minutes, **plain(self)}


def run_evaluation(
    dataset: Dataset,
    options: ExperimentOptions,
    budgets: Sequence[tuple[float, tuple[int, ...]]],
    folder: str | os.PathLike[str],
    progress: Progress | None = None,
    *,
    backbone: Backbone | None = None,
    finetuned_users: int = 300,
    jobs: int = 1,
) -> Evaluation:
    """Run one experiment for each budget, or take what an earlier call left in ``folder``, and time the engine.

    Args:
        dataset: the data.
        options: what to compare; its budget and widths are replaced by each of ``budgets``.
        budgets: average bits and the widths they are spent on.
        folder: for results and checkpoints.
        progress: called with (phase, done, total).
        backbone: what all begin with, trained without the held-out items; None = one is trained for every seed.
        finetuned_users: for so many users the fp32 rival is fine-tuned as a phone would; 0 = for none.
        jobs: processes, each with a seed of its own; they find the same as one after the other. A script that asks for several must not
            do so at import (``if __name__ == "__main__"``).

    Raises:
        InputError: see :func:`chordkit.evaluation.run_experiment`; or an impossible budget; or a process that ended early.
    """
    plans = [replace(options, personal=replace(options.personal, average_bits=bits, widths=widths)) for bits, widths in budgets]
    if jobs > 1 and len(options.seeds) > 1:
        _side_by_side(dataset, plans, Path(folder), progress, backbone, finetuned_users, jobs)
    cases, window = [], 0
    for plan in plans:
        results = run_experiment(dataset, plan, folder, progress, backbone=backbone)
        # From their checkpoints: nothing is trained again.
        models = train_models(dataset, plan, plan.seeds[0], folder, progress, backbone)
        window = models.personal.backbone.config.max_length
        latency = measure_latency(dataset, models, plan)
        summary = summarise_seeds(results, seen_masked=plan.personal.seen_masked)
        cases.append(Case(plan.personal, summary, latency, sum(result.seconds for result in results) / 60))
    return Evaluation(
        dataset=dataset.name,
        fingerprint=dataset.fingerprint,
        users=dataset.users,
        items=dataset.items,
        interactions=dataset.interactions,
        architecture=options.architecture if backbone is None else backbone.config.architecture,
        window=window,
        seeds=options.seeds,
        held_out=options.held_out,
        validation=options.validation,
        machine=machine.describe(),
        cases=tuple(cases),
        split_at=options.split_at,
        finetuned=_finetuned(dataset, plans[0], Path(folder), progress, backbone, finetuned_users) if finetuned_users else (),
    )


def _side_by_side(
    dataset: Dataset,
    plans: Sequence[ExperimentOptions],
    folder: Path,
    progress: Progress | None,
    backbone: Backbone | None,
    users: int,
    jobs: int,
) -> None:
    """Leave in ``folder`` what every seed gives, each made by a process of its own."""
    seeds = plans[0].seeds
    # Not forked: a fork of a process whose torch has threads may hang.
    with ProcessPoolExecutor(min(jobs, len(seeds)), get_context("spawn")) as pool:
        waiting = [pool.submit(_one_seed, dataset, plans, seed, folder, backbone, users) for seed in seeds]
        try:
            for done, each in enumerate(as_completed(waiting)):
                each.result()
                if progress:
                    progress("seeds, side by side", done + 1, len(seeds))
        except BrokenProcessPool:
            message = (
                "evaluation: the process of a seed ended early, perhaps for want of memory: give fewer jobs, and the same command goes on"
            )
            raise InputError(message) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _one_seed(dataset: Dataset, plans: Sequence[ExperimentOptions], seed: int, folder: Path, backbone: Backbone | None, users: int) -> None:
    own = [replace(plan, seeds=(seed,)) for plan in plans]
    for plan in own:
        run_experiment(dataset, plan, folder, backbone=backbone)
    if users:
        _finetuned(dataset, own[0], folder, None, backbone, users)


def _finetuned(
    dataset: Dataset, options: ExperimentOptions, folder: Path, progress: Progress | None, backbone: Backbone | None, users: int
) -> tuple[TunedLine, ...]:
    found = []
    plain = replace(options, personal=fp32_options(options.personal), vectors=False, ages=())
    for seed in options.seeds:
        path = folder / "finetuned" / f"seed{seed}.safetensors"
        identity = experiment_identity(dataset, plain, seed, backbone) | {"users": users}
        if not path.exists():
            models = train_models(dataset, options, seed, folder, progress, backbone)
            save_tuned(path, finetune(dataset, models, options, seed, users, progress), identity)
        found.append(load_tuned(path, identity))
    return summarise_tuned(found, dataset.users)
