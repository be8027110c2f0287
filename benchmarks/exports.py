"""Every way to export, for strategies of many users: does what comes out compute and rank as the PyTorch reference does?

For each data set and backbone: a short training, strategies of ``--users`` users at 2.5, 3, 4 and 6 average bits, a file for each way of
exporting (targets, profiles of old runtimes, layouts, activations), each run on its real runtime over 1,000 held-out histories with 100
candidates and judged by the gate of bundles. Every user has one budget, in turn; ``--all-budgets`` gives each all four. What is slow to
make takes the first ``--slow-users`` users alone. A line of JSON an artifact goes to ``FOLDER/artifacts.jsonl``; the same command goes on
after a kill.

    python benchmarks/exports.py --folder build/exports --data ml-100k beauty
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import chordkit as ck
from chordkit.data import Dataset, load_named
from chordkit.errors import CapabilityError, MissingRuntimeError
from chordkit.export.assembly import vectors_from
from chordkit.export.collection import Sources, export_artifacts
from chordkit.export.judge import judge
from chordkit.export.parity import references
from chordkit.export.targets import find_target, load_runner
from chordkit.hypernetwork import StrategyMaker, load_hypernetwork, save_hypernetwork
from chordkit.quantization import MasterWeights
from chordkit.strategy import Strategy, to_wire

BUDGETS = (2.5, 3.0, 4.0, 6.0)
BACKBONES = ("sasrec", "caser", "gru4rec")
HISTORIES, CANDIDATES = 1000, 100


@dataclass(frozen=True)
class Way:
    """One way of exporting."""

    name: str
    target: str
    runtime: str | None = None
    layout: str | None = None
    activations: str | None = None
    slow: bool = False


WAYS = (
    Way("litert", "litert"),
    Way("litert, int8 activations", "litert", activations="int8"),
    Way("litert, layout speed", "litert", layout="speed"),
    Way("litert for tflite-2.14", "litert", runtime="tflite-2.14"),
    Way("litert for litert-1.x", "litert", runtime="litert-1.x"),
    Way("litert for litert-2.x, int8 activations", "litert", runtime="litert-2.x", activations="int8"),
    Way("onnx", "onnx"),
    Way("onnx for onnxruntime-1.18", "onnx", runtime="onnxruntime-1.18"),
    Way("openvino", "openvino"),
    Way("native", "native"),
    Way("executorch", "executorch", slow=True),
    Way("executorch, layout speed", "executorch", layout="speed", slow=True),
    Way("executorch-chord", "executorch-chord", slow=True),
    Way("executorch-chord-linear", "executorch-chord-linear", slow=True),
)


@dataclass(frozen=True)
class Model:
    """A trained backbone's master, and strategies by user and budget."""

    master: MasterWeights
    strategies: dict[tuple[int, float], Strategy]


def model(folder: Path, name: str, architecture: str, data: Dataset, users: int) -> Model:
    """Train shortly, or take what an earlier run trained; then draw users and make their strategies."""
    folder.mkdir(parents=True, exist_ok=True)
    network_file, master_file = folder / "hypernetwork.safetensors", folder / "master.chrm"
    if not master_file.exists():
        config = ck.default_config(architecture, data.items)
        trained = ck.train_backbone(data, config, ck.default_options(architecture, epochs=3))
        made = ck.train_hypernetwork(data, trained.backbone, options=ck.HypernetworkOptions(epochs=2))
        save_hypernetwork(network_file, made.hypernetwork)
        made.master.save(master_file)
    master = MasterWeights.load(master_file)
    network, _ = load_hypernetwork(network_file, master)
    maker = StrategyMaker(network)
    part = ck.split(data).test
    rows = np.random.default_rng(0).choice(len(part), users, replace=False)
    profiles = maker.profiles(part.recent(maker.pools[-1])[rows])
    widths = {budget: maker.widths(profiles, maker.budget(budget)) for budget in BUDGETS}
    strategies = {(user, budget): Strategy(widths[budget][user], master.fingerprint) for user in range(users) for budget in BUDGETS}
    return Model(master, strategies)


def judged(way: Way, made: Model, key: tuple[int, float], vectors: object) -> dict[str, object]:
    """One artifact: its bytes, and what the gate says of it; or why there is none."""
    strategy = made.strategies[key]
    sources = Sources(made.master, None, {"user": strategy})
    begun = time.perf_counter()
    try:
        (artifact,) = export_artifacts(
            [way.target], sources, ["strategy"], CANDIDATES, activations=way.activations, runtime=way.runtime, layout=way.layout
        )
        data = made.master.to_bytes() if artifact.data is None else artifact.data
        exported = time.perf_counter()
        runner = load_runner(way.target, data, strategy=to_wire(strategy), candidates=CANDIDATES, master=made.master.to_bytes())
    except (CapabilityError, MissingRuntimeError) as error:
        return {"refused": str(error)}
    report = judge(artifact, runner, made.master, strategy.widths, vectors)
    return {
        "bytes": len(data),
        "export_s": round(exported - begun, 3),
        "passed": report.passed,
        "worst": report.max_abs_error,
        "relative_rms": report.relative_rms_error,
        "tau": report.kendall_tau,
        "top10": report.top10_overlap,
        "ndcg": report.ndcg_difference,
    }


def work(folder: Path, names: list[str], users: int, slow_users: int, all_budgets: bool) -> None:
    """All that is not there yet."""
    record = folder / "artifacts.jsonl"
    lines = [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []
    done = {(line["data"], line["backbone"], line["way"], line["user"], line["budget"]) for line in lines}
    for name in names:
        data = load_named(name)
        for architecture in BACKBONES:
            made = model(folder / name / architecture, name, architecture, data, users)
            drawn = vectors_from(data, int(made.master.config["max_length"]), histories=HISTORIES, candidates=CANDIDATES, seed=0)
            for user in range(users):
                for budget in BUDGETS if all_budgets else [BUDGETS[user % len(BUDGETS)]]:
                    wanted = [
                        way
                        for way in WAYS
                        if (user < slow_users or not way.slow)
                        and find_target(way.target).knows(architecture)
                        and (name, architecture, way.name, user, budget) not in done
                    ]
                    if not wanted:
                        continue
                    known = references(made.master, None, {"user": made.strategies[user, budget]})
                    vectors = drawn.with_scores({"user": known["user"]})
                    for way in wanted:
                        found = judged(way, made, (user, budget), vectors)
                        line = {"data": name, "backbone": architecture, "way": way.name, "user": user, "budget": budget, **found}
                        with record.open("a") as stream:
                            stream.write(json.dumps(line) + "\n")
                        print(json.dumps(line), flush=True)


def table(folder: Path) -> Iterator[str]:
    """What was found, as Markdown: a row for each way and backbone over all data sets, users and budgets."""
    lines = [json.loads(line) for line in (folder / "artifacts.jsonl").read_text().splitlines()]
    yield "| way | backbone | data sets | files | passed | worst relative RMS | top-10 overlap: least | mean | least tau | bytes, median |"
    yield "|---|---|---|---:|---:|---:|---:|---:|---:|---:|"
    for way in WAYS:
        for architecture in BACKBONES:
            all_of_it = [line for line in lines if (line["way"], line["backbone"]) == (way.name, architecture)]
            mine = [line for line in all_of_it if "refused" not in line]
            refused = sorted({line["refused"] for line in all_of_it if "refused" in line})
            if refused:
                yield f"| {way.name} | {architecture} | refused: {refused[0]} | {len(all_of_it) - len(mine)} | | | | | | |"
            if not mine:
                continue
            sets = ", ".join(dict.fromkeys(line["data"] for line in mine))
            top = [line["top10"] for line in mine]
            yield (
                f"| {way.name} | {architecture} | {sets} | {len(mine)} | {sum(line['passed'] for line in mine)} | "
                f"{max(line['relative_rms'] for line in mine):.1e} | {min(top):.4f} | {np.mean(top):.4f} | "
                f"{min(line['tau'] for line in mine):.5f} | {int(np.median([line['bytes'] for line in mine])):,} |"
            )


def main() -> None:
    """Work, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--data", nargs="+", default=["ml-100k", "beauty"])
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--slow-users", type=int, default=8)
    parser.add_argument("--all-budgets", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    work(arguments.folder, arguments.data, arguments.users, arguments.slow_users, arguments.all_budgets)
    print("\n".join(table(arguments.folder)))


if __name__ == "__main__":
    main()
