"""What training on the phone is worth, with and without other people's samples: the table of docs/coda.md, whatever it says.

    python benchmarks/coda.py --data ml-100k --folder build/coda

A SASRec learns from 70 % of the users; the phone has its int8 weights. The others, whom it never saw, and as many of those it saw, each
train an adapter on their own history and 200 samples of the 70 %, chosen in one way or another, and are tested on their last five items.
How an adapter learns is chosen, for every way, on one half of the users; the table is of the other half. Seen items do not compete.

A cell is the change against the cloud's model with its paired bootstrap interval over users. "Adopted (and worse)": for how many the gate
opened, and for how many of all it opened although the test items became less likely.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from chordkit.backbones import Backbone, default_config, from_master, make_master
from chordkit.coda.adapter import Adapter, encode_adapter
from chordkit.coda.classifier import describe, inner, probabilities
from chordkit.coda.gate import Verdict, judge, weigh
from chordkit.coda.learning import Candidates, Exam, Head, Lessons, Steps
from chordkit.coda.personal import PersonalOptions, fit_adapter
from chordkit.data import Dataset, left_pad, load_named, split
from chordkit.files import write_bytes
from chordkit.hypernetwork.likelihood import best_temperature
from chordkit.hypernetwork.profile import directions, pooled_profile
from chordkit.training import bootstrap, default_options, train_backbone

HELD_OUT, LOCAL, SAMPLES, MATCHED, A_SOURCE = 5, 100, 200, 400, 25
POOLS = (5, 25, 200)
PRIVATE_SHARE = 0.3
_DRAW = 20261126
GRID = [
    PersonalOptions(Steps(count=10, rate=rate, parts=parts), weight=weight)
    for parts in (("affine",), ("lowrank",), ("bias",), ("affine", "lowrank", "bias"))
    for rate in (0.001, 0.003, 0.01, 0.03, 0.1)
    for weight in (0.3, 1.0)
]
KNN_GRID = [(share, temperature) for share in (0.05, 0.1, 0.3) for temperature in (0.05, 0.2)]
CONDITIONS = {
    "local": "its own samples alone",
    "random": "and 200 random samples",
    "coarse": "and 200 random ones of 400 matched",
    "classifier": "and the inner 200 of 400 matched",
    "worst": "and the outer 200 of 400 matched",
    "nearest": "and the nearest 200",
    "users": "and those of the 8 nearest users that help",
    "knn": "kNN over the nearest 200, no training",
}


PAIRS = [("coarse", "local"), ("coarse", "random"), ("classifier", "coarse"), ("classifier", "worst"), ("classifier", "random")]


@dataclass(frozen=True, eq=False)
class Phone:
    """One user: own lessons in the order of time, the test items, and what the cloud would send."""

    user: int
    local: Lessons
    test: Lessons
    samples: dict[str, Lessons]  # "random", "matched", "nearest"
    half: np.ndarray  # numbers of a random half of the matched ones
    sources: list[Lessons]  # of the nearest users, 200 in all


@dataclass(frozen=True)
class Outcome:
    """What one user got under one condition: NDCG@10 and mean log likelihood on the test items, without and with the gate."""

    ndcg: float
    likelihood: float
    gated_ndcg: float
    gated_likelihood: float
    adopted: bool
    milliseconds: float
    size: int


# --- the cloud --------------------------------------------------------------------------------------------------------


def lessons_at(backbone: Backbone, sequences: Sequence[np.ndarray], places: Sequence[Sequence[int]]) -> Lessons:
    """The lessons whose targets stand at ``places`` of each sequence; a history is all that is before."""
    pasts = [sequence[:place] for sequence, at in zip(sequences, places, strict=True) for place in at]
    targets = [sequence[place] for sequence, at in zip(sequences, places, strict=True) for place in at]
    histories = torch.from_numpy(left_pad([past[-backbone.config.max_length :] for past in pasts], backbone.config.max_length)).long()
    with torch.no_grad():
        states = torch.cat([backbone.encode(part) for part in histories.split(512)]).numpy()
    return Lessons(states, np.array(targets, np.int32), left_pad([past[-POOLS[-1] :] for past in pasts], POOLS[-1]))


def spread(count: int, most: int) -> list[int]:
    """Up to ``most`` places, evenly spaced, of the items of a sequence that have one before them."""
    return sorted(set(np.linspace(1, count - 1, min(most, count - 1)).round().astype(int).tolist())) if count > 1 else []


class Cloud:
    """A backbone trained on some of the users, as a phone gets it, and a pool of their samples."""

    def __init__(self, dataset: Dataset, seed: int, folder: Path, epochs: int) -> None:
        order = np.random.default_rng(_DRAW).permutation(dataset.users)
        self.private = order[: int(PRIVATE_SHARE * dataset.users)]
        self.known = np.sort(order[len(self.private) :])
        self.sequences = dataset.sequences
        self.tested = np.bincount(split(dataset, 1, HELD_OUT, HELD_OUT).test.users, minlength=dataset.users)
        known = Dataset.from_sequences(dataset.name, [self.sequences[user] for user in self.known], dataset.item_ids)
        trained = train_backbone(
            known, default_config("sasrec", dataset.items), default_options("sasrec", seed=seed, epochs=epochs),
            folder / f"seed{seed}", held_out=HELD_OUT, validation=HELD_OUT,
        )  # fmt: skip
        self.metrics = trained.metrics
        master = make_master(trained.backbone)
        self.backbone = from_master(master).eval()
        parts = split(known, self.backbone.config.max_length, HELD_OUT, HELD_OUT)
        with torch.no_grad():
            states = torch.cat([self.backbone.encode(rows) for rows in torch.from_numpy(parts.valid.histories).long().split(512)])
        self.temperature = best_temperature(self.backbone, states, parts.valid, masked=True)
        table = self.backbone.item_embedding.weight.detach().numpy()
        bias = self.backbone.item_bias
        self.head = Head(
            (table / self.temperature).astype(np.float32),
            None if bias is None else (bias.detach().numpy() / self.temperature).astype(np.float32),
            master.fingerprint,
        )
        places = [spread(len(sequence), A_SOURCE) for sequence in parts.train]
        self.pool = lessons_at(self.backbone, parts.train, places)
        self.source = np.repeat(self.known, [len(each) for each in places])
        self.profiles = self.profile(self.pool.seen)

    def profile(self, histories: np.ndarray) -> np.ndarray:
        """Directions of pooled profiles, of length 1: what is matched by."""
        table = self.backbone.item_embedding.weight.detach()
        profiles = directions(pooled_profile(table, torch.from_numpy(histories).long(), POOLS)).numpy()
        return profiles / np.linalg.norm(profiles, axis=1, keepdims=True)

    def phone(self, user: int) -> Phone:
        """A user, with what the cloud would send for the profile before the test items."""
        sequence = self.sequences[user]
        first = len(sequence) - int(self.tested[user])
        own = lessons_at(self.backbone, [sequence], [range(max(1, first - LOCAL), len(sequence))])
        count = first - max(1, first - LOCAL)
        generator = np.random.default_rng([_DRAW, user])
        others = np.flatnonzero(self.source != user)
        near = others[np.argsort(-(self.profiles[others] @ self.profile(own.seen[count : count + 1])[0]), kind="stable")]
        chosen = {"random": generator.choice(others, min(SAMPLES, len(others)), replace=False), "nearest": near[:SAMPLES]}
        chosen["matched"] = near[:MATCHED]
        users = list(dict.fromkeys(self.source[near].tolist()))[: SAMPLES // A_SOURCE]
        sources = [self.pool.take(np.flatnonzero(self.source == other)) for other in users]
        samples = {name: self.pool.take(np.sort(rows)) for name, rows in chosen.items()}
        half = np.sort(generator.choice(len(samples["matched"]), -(-len(samples["matched"]) // 2), replace=False))
        return Phone(user, own.take(np.arange(count)), own.take(np.arange(count, len(own))), samples, half, sources)


# --- the phone --------------------------------------------------------------------------------------------------------


def helpful_users(head: Head, phone: Phone, local: Lessons, setting: PersonalOptions) -> Lessons:
    """Samples of the users that, one after the other, make the newest third of the local lessons more likely (after MPDA)."""
    kept, count = phone.samples["matched"].take(np.zeros(0, np.int64)), 2 * len(local) // 3
    learned, held = local.take(np.arange(count)), local.take(np.arange(count, len(local)))
    exam = Exam(head, held, Candidates.choose(local.targets, head.items, setting.others))
    best = exam.likelihoods(fit_adapter(head, learned, kept, setting)).mean()
    for source in phone.sources:
        more = kept.join(source)
        after = exam.likelihoods(fit_adapter(head, learned, more, setting)).mean()
        if after > best:
            best, kept = after, more
    return kept


def chosen_samples(condition: str, head: Head, phone: Phone, local: Lessons, setting: Any) -> Lessons:
    """The outside samples of a condition; whatever chooses among them sees no local lessons but ``local``."""
    matched = phone.samples["matched"]
    if condition == "users":
        return helpful_users(head, phone, local, setting)
    if condition == "local":
        return matched.take(np.zeros(0, np.int64))
    if condition == "coarse":
        return matched.take(phone.half)
    if condition in ("classifier", "worst"):
        inside = probabilities(describe(head, local), describe(head, matched))
        return matched.take(inner(inside if condition == "classifier" else -inside, 0.5))
    return phone.samples[condition]


def log_probabilities(head: Head, lessons: Lessons, adapter: Adapter | None = None) -> np.ndarray:
    """Of the whole catalogue after each lesson, [n, items + 1]; -inf for what was seen."""
    states = lessons.states if adapter is None else adapter.states(lessons.states)
    scores = (states @ head.table.T).astype(np.float64)
    if head.bias is not None:
        scores += head.bias
    if adapter is not None:
        scores += adapter.biases(np.arange(head.items + 1))
    barred = np.zeros(scores.shape, bool)
    np.put_along_axis(barred, lessons.seen.astype(np.int64), True, axis=1)
    barred[np.arange(len(barred)), lessons.targets] = False
    barred[:, 0] = True
    scores[barred] = -np.inf
    scores -= scores.max(axis=1, keepdims=True)
    return np.asarray(scores - np.log(np.exp(scores).sum(axis=1, keepdims=True)))


def neighbours(head: Head, lessons: Lessons, samples: Lessons, share: float, temperature: float) -> np.ndarray:
    """:func:`log_probabilities` mixed with what came after the samples whose states are nearest (kNN-LM, ICLR 2020)."""
    plain = log_probabilities(head, lessons)
    unit = [each.states / np.linalg.norm(each.states, axis=1, keepdims=True) for each in (lessons, samples)]
    weights = np.exp((unit[0] @ unit[1].T - 1.0).astype(np.float64) / temperature)
    votes = np.zeros_like(plain)
    np.add.at(votes.T, samples.targets, weights.T)
    votes[plain == -np.inf] = 0.0
    total = votes.sum(axis=1, keepdims=True)
    mixed = (1 - share) * np.exp(plain) + share * votes / np.maximum(total, 1e-300)
    with np.errstate(divide="ignore"):
        return np.where(total > 0, np.log(mixed), plain)


def marks(found: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    """NDCG@10 and mean log likelihood; a tie counts against the target."""
    own = found[np.arange(len(found)), targets][:, None]
    ranks = (~(found < own)).sum(axis=1)
    return float(np.mean((ranks <= 10) / np.log2(ranks + 1.0))), float(own.mean())


def try_condition(condition: str, head: Head, phone: Phone, setting: Any, *, gate: bool = True) -> Outcome:
    """One user under one condition; ``setting`` is of the grid."""
    plain = marks(log_probabilities(head, phone.test), phone.test.targets)
    begun, size = time.perf_counter(), 0
    verdict = Verdict(0, 0.0, 0.0, -math.inf)
    if condition == "knn":
        samples, rows = phone.samples["nearest"], np.arange(len(phone.local))
        found = neighbours(head, phone.test, samples, *setting)
        if gate and len(rows):
            before, after = log_probabilities(head, phone.local), neighbours(head, phone.local, samples, *setting)
            verdict = weigh(before[rows, phone.local.targets], after[rows, phone.local.targets])
    else:

        def learn(local: Lessons) -> Adapter:
            return fit_adapter(head, local, chosen_samples(condition, head, phone, local, setting), setting)

        if gate:
            verdict = judge(head, phone.local, learn, folds=setting.folds, others=setting.others)
        adapter = learn(phone.local)
        size = len(encode_adapter(adapter))
        found = log_probabilities(head, phone.test, adapter)
    spent = 1e3 * (time.perf_counter() - begun)
    trained = marks(found, phone.test.targets)
    return Outcome(*trained, *(trained if verdict.adopt else plain), verdict.adopt, spent, size)


# --- the table --------------------------------------------------------------------------------------------------------


def choose(cloud: Cloud, phones: Sequence[Phone]) -> dict[str, Any]:
    """For every condition the setting under which the users of the choice half have the best likelihood, without a gate."""
    best: dict[str, Any] = {}
    for condition in (name for name in CONDITIONS if name != "users"):
        grid: Sequence[Any] = KNN_GRID if condition == "knn" else GRID
        if condition == "local":
            grid = [setting for setting in GRID if setting.weight == GRID[0].weight]
        tried = [[try_condition(condition, cloud.head, each, setting, gate=False).likelihood for each in phones] for setting in grid]
        best[condition] = grid[int(np.argmax(np.mean(tried, axis=1)))]
        told(f"{condition}: {describe_setting(best[condition])}")
    return best | {"users": best["coarse"]}  # what it chooses costs too much to try all


def told(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def halves(users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Choice and confirmation; the order of the users is a draw already."""
    return users[::2], users[1::2]


def run_seed(dataset: Dataset, seed: int, arguments: argparse.Namespace, setting: dict[str, Any] | None) -> tuple[dict[str, Any], Any]:
    """Outcomes of every user of the confirmation half, by group; and the settings, chosen where none are given."""
    cloud = Cloud(dataset, seed, arguments.folder / dataset.name, arguments.epochs)
    told(f"seed {seed}: a backbone with test NDCG@10 {cloud.metrics['test'].ndcg10.value:.4f}, temperature {cloud.temperature:.3f}")
    shuffled = np.random.default_rng(_DRAW + 1).permutation(cloud.known)
    groups = {name: halves(users) for name, users in (("private", cloud.private), ("known", shuffled[: len(cloud.private)]))}
    if setting is None:
        deciding = [user for choice, _ in groups.values() for user in choice[: arguments.deciding // 2]]
        setting = choose(cloud, [cloud.phone(int(user)) for user in deciding])
    found: dict[str, Any] = {}
    for name, (_, users) in groups.items():
        phones = [cloud.phone(int(user)) for user in users[: arguments.users]]
        found[name] = {"cloud": [marks(log_probabilities(cloud.head, each.test), each.test.targets) for each in phones]}
        for condition in CONDITIONS:
            found[name][condition] = [asdict(try_condition(condition, cloud.head, each, setting[condition])) for each in phones]
            told(f"seed {seed}, {name}, {condition}: done")
    return found, setting


def table(group: str, seeds: Sequence[dict[str, Any]]) -> str:
    """Markdown: what each condition changes against the cloud's model, over the users and the means of the seeds."""
    cloud = np.mean([each[group]["cloud"] for each in seeds], axis=0)
    means = [f"{each.value:.4f} [{each.low:.4f}, {each.high:.4f}]" for each in bootstrap(cloud)]
    lines = [
        f"{len(cloud)} {group} users, {len(seeds)} seeds; the cloud's model: NDCG@10 {means[0]}, log likelihood {means[1]}",
        "",
        "| learned from | NDCG@10 | log likelihood | adopted (and worse) | NDCG@10, gated | log likelihood, gated | ms |",
        "|---|---|---|---|---|---|---|",
    ]
    for condition, label in CONDITIONS.items():
        rows = [each[group][condition] for each in seeds]

        def column(name: str, rows: Sequence[Any] = rows) -> np.ndarray:
            return np.mean([[float(row[name]) for row in seed] for seed in rows], axis=0)

        names = ("ndcg", "likelihood", "gated_ndcg", "gated_likelihood")
        changes = np.stack([column(name) - cloud[:, at % 2] for at, name in enumerate(names)], axis=1)
        cells = [f"{each.value:+.4f} [{each.low:+.4f}, {each.high:+.4f}]" for each in bootstrap(changes)]
        adopted = np.array([[row["adopted"] for row in seed] for seed in rows])
        before = np.array([each[group]["cloud"] for each in seeds])[..., 1]
        worse = adopted & (np.array([[row["likelihood"] for row in seed] for seed in rows]) < before)
        cells.insert(2, f"{adopted.mean():.0%} ({worse.mean():.0%})")
        lines.append(f"| {label} | {' | '.join(cells)} | {np.median(column('milliseconds')):.0f} |")
    return "\n".join(lines)


def comparisons(group: str, seeds: Sequence[dict[str, Any]]) -> str:
    """Markdown: what one way of choosing samples has over another, paired, in the four columns of :func:`table`."""
    lines = []
    names = ("ndcg", "likelihood", "gated_ndcg", "gated_likelihood")
    for pair in PAIRS:
        both = [[np.mean([[row[name] for row in each[group][way]] for each in seeds], axis=0) for name in names] for way in pair]
        cells = [f"{each.value:+.4f} [{each.low:+.4f}, {each.high:+.4f}]" for each in bootstrap((np.array(both[0]) - both[1]).T)]
        lines.append(f"| {pair[0]} - {pair[1]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def describe_setting(setting: Any) -> str:
    if isinstance(setting, PersonalOptions):
        return f"{'+'.join(setting.steps.parts)}, rate {setting.steps.rate:g}, weight {setting.weight:g}"
    return f"share {setting[0]:g}, temperature {setting[1]:g}"


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="ml-100k")
    parser.add_argument("--folder", type=Path, default=Path("build/coda"), help="checkpoints of the backbones, and all figures as JSON")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=60, help="of a backbone, at most")
    parser.add_argument("--deciding", type=int, default=140, help="users of the choice half that choose, of both groups together")
    parser.add_argument("--users", type=int, default=200, help="of each group's confirmation half, at most")
    parser.add_argument("--steps", type=int, default=10, help="of an adapter")
    arguments = parser.parse_args()
    GRID[:] = [replace(setting, steps=replace(setting.steps, count=arguments.steps)) for setting in GRID]
    torch.set_num_threads(1)
    dataset = load_named(arguments.data)
    seeds, setting = [], None
    for seed in range(arguments.seeds):
        found, setting = run_seed(dataset, seed, arguments, setting)
        seeds.append(found)
        write_bytes(arguments.folder / f"{dataset.name}.json", json.dumps(seeds).encode())
    assert setting is not None
    print("\n".join(f"- {CONDITIONS[name]}: {describe_setting(each)}" for name, each in setting.items()))
    for group in seeds[0]:
        print(f"\n{table(group, seeds)}\n\n{comparisons(group, seeds)}")


if __name__ == "__main__":
    main()
