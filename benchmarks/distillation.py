"""What a teacher is worth: a small student with and without one against a large model; and, at 3.0 bits, static and personal students.

    python benchmarks/distillation.py --data ml-100k                              # d = 32 with a teacher against d = 64 without
    python benchmarks/distillation.py --data beauty --k-core 8 --max-length 20 --batch 1024
    python benchmarks/distillation.py --data ml-100k --strategies --seeds 0       # 3.0 bits of {2,4,8}, with and without the teacher

Of each user the last 5 items test and the 5 before them validate. Which teacher, which weight and which temperature is chosen by seed 0's
validation NDCG@10; every table is of test items. Differences are paired over users, each user's mean over the seeds, with 95 % bootstrap
intervals. Runs are kept under --out: an interrupted command goes on where it stopped.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from chordkit.backbones import Backbone, attach_widths, default_config, from_master, make_master
from chordkit.data import Dataset, Split, load_named, split
from chordkit.evaluation.experiment import per_user
from chordkit.evaluation.measure import fit_temperatures, measure, measure_scores
from chordkit.evaluation.retrieval import candidate_sets
from chordkit.hypernetwork import TrainedHypernetwork, default_hypernetwork_options, make_strategies, personal_states, train_hypernetwork
from chordkit.training import Distillation, TrainedBackbone, bootstrap, default_options, train_backbone

PLACES = {"held_out": 5, "validation": 5}
MEASURES = {
    "ndcg10": "NDCG@10",
    "masked_ndcg10": "masked NDCG@10",
    "n100_ndcg10": "rerank-100 NDCG@10",
    "masked_likelihood": "masked log likelihood",
}
# (who teaches, weight, temperature): the large model of the student's own seed, or the mean of all of them.
SETTINGS = [("one", 0.5, 1.0), ("mean", 0.5, 1.0), ("mean", 0.9, 1.0)]

Values = dict[str, NDArray[np.float64]]


class Bench:
    """A data set, and the runs on it."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.dataset: Dataset = load_named(arguments.data, **({"k_core": arguments.k_core} if arguments.k_core else {}))
        self.folder: Path = arguments.out / self.dataset.name
        self.architecture: str = arguments.architecture

    def plain(self, dim: int, seed: int) -> TrainedBackbone:
        """A backbone that learns from clicks alone."""
        return self._train(dim, seed, "plain", None)

    def taught(self, dim: int, seed: int, setting: tuple[str, float, float]) -> TrainedBackbone:
        """A backbone that learns from a teacher too."""
        who, weight, temperature = setting
        numbers = [seed] if who == "one" else self.arguments.seeds
        lessons = self.folder / f"lessons-{who}{seed if who == 'one' else ''}.safetensors"
        teachers = [self.plain(self.arguments.large, each).backbone for each in numbers]
        return self._train(dim, seed, f"{who}-{weight:g}-{temperature:g}", Distillation(teachers, weight, temperature, lessons))

    def _train(self, dim: int, seed: int, name: str, distillation: Distillation | None) -> TrainedBackbone:
        config = default_config(self.architecture, self.dataset.items, dim=dim, max_length=self.arguments.max_length)
        options = default_options(self.architecture, seed=seed, **({"batch": self.arguments.batch} if self.arguments.batch else {}))
        folder, cpu = self.folder / f"{name}-{self.architecture}-{dim}-{seed}", time.process_time()
        trained = train_backbone(self.dataset, config, options, folder, distillation=distillation, **PLACES)
        if (spent := time.process_time() - cpu) > 10:
            valid = trained.metrics["valid"].ndcg10.value
            epochs = f"epoch {trained.best_epoch} of {len(trained.history)}"
            print(f"trained {folder.name}: validation NDCG@10 {valid:.4f}, {epochs}, {spent:.0f} CPU s", flush=True)
        return trained

    def parts(self, length: int) -> Split:
        """The split for models that look at ``length`` items."""
        return split(self.dataset, length, *PLACES.values())

    def values(self, backbone: Backbone, states: Sequence[torch.Tensor], parts: Split) -> Values:
        """The measures of every user on test items, from the hidden states of the validation and the test histories."""
        candidates = candidate_sets(parts.test, parts.train, self.dataset.items)
        found = per_user(
            measure(backbone, states[1], parts.test, candidates, fit_temperatures(backbone, states[0], parts.valid)), parts.test
        )
        return {name: found[name].astype(np.float64) for name in MEASURES}

    def of(self, backbone: Backbone) -> Values:
        """The measures of a backbone by itself."""
        parts = self.parts(backbone.config.max_length)
        with torch.no_grad():
            states = [backbone.encode(torch.from_numpy(each.histories).long()) for each in (parts.valid, parts.test)]
        return self.values(backbone, states, parts)

    @torch.no_grad()
    def together(self, backbones: Sequence[Backbone]) -> Values:
        """The measures of the mean of several backbones' distributions, at temperature 1."""
        parts = self.parts(backbones[0].config.max_length)
        histories = torch.from_numpy(parts.test.histories).long()
        shares = torch.stack([torch.softmax(each.score_all(each.encode(histories))[:, 1:], dim=1) for each in backbones]).mean(dim=0)
        scores = torch.nn.functional.pad(shares.log(), (1, 0), value=-torch.inf)
        candidates = candidate_sets(parts.test, parts.train, self.dataset.items)
        found = per_user(measure_scores([(slice(0, len(scores)), scores)], parts.test, candidates), parts.test)
        return {name: found[name].astype(np.float64) for name in MEASURES}


def students(bench: Bench) -> None:
    """The small model with and without a teacher, and the large one."""
    large, small, seeds = bench.arguments.large, bench.arguments.small, bench.arguments.seeds
    scores = {setting: bench.taught(small, seeds[0], setting).metrics["valid"].ndcg10.value for setting in bench.arguments.settings}
    print(f"\n| teacher | weight | temperature | validation NDCG@10, d = {small}, seed {seeds[0]} |\n|---|---|---|---|")
    print(f"| none | | | {bench.plain(small, seeds[0]).metrics['valid'].ndcg10.value:.4f} |")
    for setting, score in scores.items():
        print(f"| {' | '.join(map(str, setting))} | {score:.4f} |")
    chosen = max(scores, key=lambda each: scores[each])
    print(f"\nchosen: {chosen[0]}, weight {chosen[1]:g}, temperature {chosen[2]:g}\n", flush=True)
    names = (f"d = {large}", f"d = {small}", f"d = {small}, taught")
    rows: dict[str, list[Values]] = {}
    sizes: dict[str, int] = {}
    for seed in seeds:
        models = (bench.plain(large, seed), bench.plain(small, seed), bench.taught(small, seed, chosen))
        for name, model in zip(names, models, strict=True):
            master = make_master(model.backbone)
            sizes[name] = len(master.to_bytes())
            rows.setdefault(name, []).append(bench.of(model.backbone))
            rows.setdefault(f"{name}, int8", []).append(bench.of(from_master(master)))
    if len(seeds) > 1:
        rows[f"mean of the {len(seeds)} of d = {large}"] = [bench.together([bench.plain(large, seed).backbone for seed in seeds])] * len(
            seeds
        )
    table(rows)
    print("\n| on the phone (int8) | bytes | bytes for 0.01 of NDCG@10 | of masked NDCG@10 |\n|---|---|---|---|")
    for name, size in sizes.items():
        each = [size / (100 * np.mean([seed[of].mean() for seed in rows[f"{name}, int8"]])) for of in ("ndcg10", "masked_ndcg10")]
        print(f"| {name} | {size:,} | {each[0]:,.0f} | {each[1]:,.0f} |")
    print()
    pairs = [(names[2], names[1]), (names[2], names[0]), (names[1], names[0]), (f"{names[2]}, int8", f"{names[0]}, int8")]
    differences(rows, pairs)


def strategies(bench: Bench) -> None:
    """Static and personal students at 3.0 bits, with and without the teacher, all from the same start."""
    large, seeds = bench.arguments.large, bench.arguments.seeds
    rows: dict[str, list[Values]] = {}
    for seed in seeds:
        start = bench.plain(large, seed).backbone
        for taught in (False, True):
            teachers = [bench.plain(large, each).backbone for each in range(bench.arguments.teacher_seeds)] if taught else []
            for personal in (False, True):
                name = f"{'personal' if personal else 'static'}{', taught' if taught else ''}"
                options = default_hypernetwork_options("joint", personal=personal, seen_masked=True, seed=seed)
                trained = train_hypernetwork(
                    bench.dataset, start, None, options, bench.folder / f"{name.replace(', ', '-')}-{seed}",
                    teachers=teachers, lessons=bench.folder / "lessons-seen.safetensors", **PLACES,
                )  # fmt: skip
                rows.setdefault(name, []).append(strategy_values(bench, trained))
                print(f"trained {name}, seed {seed}: epoch {trained.best_epoch} of {len(trained.history)}", flush=True)
    table(rows)
    differences(
        rows,
        [("static, taught", "static"), ("personal, taught", "personal"), ("personal", "static"), ("personal, taught", "static, taught")],
    )


def strategy_values(bench: Bench, trained: TrainedHypernetwork) -> Values:
    """The measures of models under their own strategies, on the weights that phones have."""
    hypernetwork, master, furthest = trained.hypernetwork, trained.master, trained.options.pools[-1]
    backbone, parts = attach_widths(from_master(master), master), bench.parts(trained.backbone.config.max_length)
    states = [
        personal_states(backbone, master.channel_table, part.histories, make_strategies(hypernetwork, part.recent(furthest)), None)
        for part in (parts.valid, parts.test)
    ]
    return bench.values(backbone, states, parts)


def table(rows: dict[str, list[Values]]) -> None:
    """The mean over users and seeds of every measure."""
    print("\n| model | " + " | ".join(MEASURES.values()) + " |\n|---" + "|---" * len(MEASURES) + "|")
    for name, seeds in rows.items():
        print(f"| {name} | " + " | ".join(f"{np.mean([seed[measured].mean() for seed in seeds]):.4f}" for measured in MEASURES) + " |")


def differences(rows: dict[str, list[Values]], wanted: Sequence[tuple[str, str]]) -> None:
    """Paired differences over users; bold where the interval excludes 0."""
    print("\n| difference | " + " | ".join(MEASURES.values()) + " |\n|---" + "|---" * len(MEASURES) + "|")
    for first, second in wanted:
        each = [np.mean([a[name] - b[name] for a, b in zip(rows[first], rows[second], strict=True)], axis=0) for name in MEASURES]
        cells = []
        for found in bootstrap(np.stack(each, axis=1)):
            text = f"{found.value:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"
            cells.append(f"**{text}**" if found.low > 0 or found.high < 0 else text)
        print(f"| {first} - {second} | " + " | ".join(cells) + " |", flush=True)


def setting(text: str) -> tuple[str, float, float]:
    """A setting from a text such as mean:0.9:2."""
    who, weight, temperature = text.split(":")
    if who not in ("one", "mean"):
        raise ValueError(text)
    return who, float(weight), float(temperature)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="ml-100k")
    parser.add_argument("--k-core", type=int, default=0)
    parser.add_argument("--architecture", default="sasrec")
    parser.add_argument("--batch", type=int, help="training targets a step; the default is the architecture's")
    parser.add_argument("--max-length", type=int, default=50, help="items of a history that count")
    parser.add_argument("--large", type=int, default=64)
    parser.add_argument("--small", type=int, default=32)
    parser.add_argument("--seeds", type=lambda text: [int(each) for each in text.split(",")], default=[0, 1, 2])
    parser.add_argument("--settings", type=setting, nargs="+", default=SETTINGS, metavar="WHO:WEIGHT:TEMPERATURE")
    parser.add_argument("--strategies", action="store_true", help="students at 3.0 bits instead")
    parser.add_argument("--teacher-seeds", type=int, default=3, help="of --strategies: the mean of so many large models teaches")
    parser.add_argument("--out", type=Path, default=Path("build/distillation"))
    arguments = parser.parse_args()
    bench = Bench(arguments)
    data = bench.dataset
    print(f"{data.name}: {data.users:,} users, {data.items:,} items, {data.interactions:,} interactions; torch {torch.__version__}")
    (strategies if arguments.strategies else students)(bench)


if __name__ == "__main__":
    main()
