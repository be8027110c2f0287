"""One process and several train the same: what a step costs each of them, and how far apart they end.

    CHORDKIT_DATA=../shared/data python benchmarks/parallel.py --data ml-100k --yardsticks
    python benchmarks/parallel.py --data synthetic --processes 1,2 --epochs 1
    python benchmarks/parallel.py --data ml-100k --models sasrec --epochs 0 --seeds 0,1,2    (whole trainings: does quality differ?)

Every start is torchrun on this machine, with one thread a process. CPU seconds are those of the process that spent most; on a machine that
does other work they are the better figure, for a clock also counts what others took.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import chordkit.training.loss
import chordkit.training.trainer
from chordkit.backbones import Backbone, build, default_config, initialise
from chordkit.data import load_named
from chordkit.hypernetwork import default_hypernetwork_options, train_hypernetwork
from chordkit.training import default_options, train_backbone
from chordkit.training.parallel import Group, joined
from chordkit.training.run import Run

WITHOUT_EFFECT = ("key.bias", "filters.bias", "mean")
"""Parameters that no loss depends on (a bias under a softmax, or before standardising): rounding is all their gradient."""


_OTHER_CHUNK = 300_000


class Clock:
    """Seconds on the clock and of the CPU that calls of a method take."""

    def __init__(self, owner: type, method: str) -> None:
        self.calls, self.wall, self.cpu = 0, 0.0, 0.0
        called: Callable[..., Any] = getattr(owner, method)

        def timed(*arguments: Any) -> Any:
            wall, cpu = time.perf_counter(), time.process_time()
            result = called(*arguments)
            self.calls, self.wall, self.cpu = self.calls + 1, self.wall + time.perf_counter() - wall, self.cpu + time.process_time() - cpu
            return result

        setattr(owner, method, timed)


def _compute_in_float64(task: type) -> None:
    begin: Callable[..., None] = task.__init__  # type: ignore[misc]

    def exactly(self: Any, *given: Any) -> None:
        begin(self, *given)
        self.model.double()

    task.__init__ = exactly  # type: ignore[misc]


def work(arguments: argparse.Namespace, group: Group) -> None:
    """Train one model in a process of a group; leave weights and times in ``arguments.out``."""
    dataset = load_named(arguments.data)
    if arguments.variant == "float64":
        _compute_in_float64(chordkit.training.trainer._Task)
    elif arguments.variant == "chunks":
        chordkit.training.loss._CHUNK_LOGITS = _OTHER_CHUNK
    steps, validations = Clock(Run, "_take_step"), Clock(Run, "_validated")
    kept = {"epochs": arguments.epochs, "patience": arguments.epochs} if arguments.epochs else {}
    result: dict[str, Any]
    if arguments.models == "hypernetwork":
        source: Backbone = initialise(build(default_config("sasrec", dataset.items)), seed=arguments.seed)
        trained = train_hypernetwork(
            dataset, source, None, replace(default_hypernetwork_options(seed=arguments.seed), **kept), group=group, validation=1
        )
        weights = trained.hypernetwork.state_dict() | {f"backbone.{name}": each for name, each in trained.backbone.state_dict().items()}
        result = {"best_epoch": trained.best_epoch, "history": trained.history}
    else:
        options = default_options(arguments.models, seed=arguments.seed, **kept)
        backbone = train_backbone(dataset, default_config(arguments.models, dataset.items), options, group=group)
        weights = backbone.backbone.state_dict()
        values = {name: metrics.ndcg10.value for name, metrics in backbone.metrics.items()}
        result = {"best_epoch": backbone.best_epoch, "history": backbone.history, "ndcg10": values}
    result |= {name: [clock.calls, clock.wall, clock.cpu] for name, clock in (("steps", steps), ("validations", validations))}
    result["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    (arguments.out / f"{group.rank}.json").write_text(json.dumps(result))
    if group.leads:
        torch.save(weights, arguments.out / "weights.pt")


def start(arguments: argparse.Namespace, model: str, seed: int, processes: int, out: Path, variant: str = "") -> list[dict[str, Any]]:
    """Train with so many processes; what each of them tells."""
    out.mkdir()
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), __file__, "--data"]
    command += [arguments.data, "--models", model, "--epochs", str(arguments.epochs), "--seed", str(seed), "--out", str(out)]
    command += ["--variant", variant] if variant else []
    subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True, stdout=subprocess.DEVNULL)
    return [json.loads((out / f"{rank}.json").read_text()) for rank in range(processes)]


def cost(told: list[dict[str, Any]]) -> dict[str, float]:
    """Of a step and of a validation, in milliseconds; of the process that spent most."""
    each: dict[str, float] = {}
    for name, short in (("steps", "step"), ("validations", "validation")):
        timed = [entry[name] for entry in told if entry[name][0]]
        each[f"{short}_wall_ms"] = max(1e3 * wall / calls for calls, wall, _ in timed)
        each[f"{short}_cpu_ms"] = max(1e3 * cpu / calls for calls, _, cpu in timed)
    return each | {"peak_mb": max(entry["peak_mb"] for entry in told)}


def distance(first: Path, second: Path) -> dict[str, float]:
    """The largest difference of two files of weights: of what has an effect, and of what has none."""
    a, b = (torch.load(path / "weights.pt", weights_only=True) for path in (first, second))
    apart = {name: float((a[name] - b[name]).abs().max()) for name in a}
    idle = {name for name in apart if name.endswith(WITHOUT_EFFECT)}
    return {
        "weights": max(value for name, value in apart.items() if name not in idle),
        "largest_weight": max(float(each.abs().max()) for each in a.values()),
        "without_effect": max((apart[name] for name in idle), default=0.0),
    }


def apart(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> dict[str, float]:
    """The largest difference, over the epochs, of what two trainings tell of them."""
    epochs = list(zip(first[0]["history"], second[0]["history"], strict=False))
    return {name: max(abs(a[name] - b[name]) for a, b in epochs) for name in epochs[0][0] if name != "epoch"}


def compare(arguments: argparse.Namespace) -> None:
    """Print one JSON line a model, seed and number of processes."""
    counts = [int(count) for count in arguments.processes.split(",")]
    print(json.dumps({"machine": platform.processor() or platform.machine(), "cores": os.cpu_count(), "torch": torch.__version__}))
    for model in arguments.models.split(","):
        for seed in map(int, arguments.seeds.split(",")):
            with tempfile.TemporaryDirectory() as folder:
                base: list[dict[str, Any]] = []
                # What rounding does to one process: all of it in float64, or nothing but the loss added up in chunks of another size.
                variants = [name for name in ("float64", "chunks") if arguments.yardsticks and (name, model) != ("float64", "hypernetwork")]
                other = {name: start(arguments, model, seed, 1, Path(folder) / name, name) for name in variants}
                for count in counts:
                    told = start(arguments, model, seed, count, Path(folder) / str(count))
                    base = base or told
                    line: dict[str, Any] = {"model": model, "seed": seed, "processes": count, "steps": told[0]["steps"][0], **cost(told)}
                    line |= {"best_epoch": told[0]["best_epoch"], "last": told[0]["history"][-1], "ndcg10": told[0].get("ndcg10")}
                    here = Path(folder) / str(count)
                    others = {name: (Path(folder) / name, told) for name, told in other.items()}
                    if count != counts[0]:
                        others[str(counts[0])] = Path(folder) / str(counts[0]), base
                    line |= {f"from_{name}": distance(path, here) | apart(those, told) for name, (path, those) in others.items()}
                    print(json.dumps(line), flush=True)


def main() -> None:
    """Compare, or, started by torchrun, train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="synthetic")
    parser.add_argument("--models", default="sasrec,caser,hypernetwork")
    parser.add_argument("--processes", default="1,2")
    parser.add_argument("--epochs", type=int, default=1, help="0 = as many as the defaults take, with early stopping")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--yardsticks", action="store_true", help="one process in float64 and with other sums as well: how far from these?")
    parser.add_argument("--variant", default="", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.out is None:
        compare(arguments)
        return
    with joined() as group:
        work(arguments, group)


if __name__ == "__main__":
    main()
