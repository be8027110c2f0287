"""Real processes, started by torchrun on this machine, train what one does; the arithmetic of their parts is in test_parallel.py."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch
from torch import Tensor

from chordkit.backbones import build, default_config, initialise
from chordkit.cli.main import run as run_command
from chordkit.data import Dataset, synthesize
from chordkit.files import alone
from chordkit.hypernetwork import HypernetworkOptions, train_hypernetwork
from chordkit.training import default_options, load_backbone, train_backbone
from chordkit.training.parallel import ALONE, Group
from chordkit.training.trainer import CHECKPOINT_NAME

pytestmark = pytest.mark.long

EPOCHS, BATCH, LENGTH = 8, 150, 12
COMMAND = ["train", "backbone", "--dim", "16", "--max-length", str(LENGTH), "--epochs", str(EPOCHS), "--batch", str(BATCH), "--json"]

# One start for all that two processes do: importing torch is most of the time.
SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_processes import answers_of
from chordkit.training.parallel import joined
with joined() as group:
    answers_of(Path(sys.argv[2]), Path(sys.argv[3]), group)
"""


def torchrun(*arguments: str, processes: int = 2) -> list[str]:
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), *arguments]


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "TORCHELASTIC_ERROR_FILE": ""}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shop") / "shop.safetensors"
    synthesize(3, users=61, items=60, mean_length=14.0, max_length=30).save(path)
    return path


def trainings(dataset: Dataset, group: Group, folder: Path | None = None) -> dict[str, tuple[dict[str, Tensor], dict[str, Any]]]:
    """Weights by name, and what was told of the epochs, of one backbone of each kind and hypernetworks, trained by ``group``."""
    found: dict[str, tuple[dict[str, Tensor], dict[str, Any]]] = {}
    for name, epochs in (("sasrec", EPOCHS), ("caser", 2)):
        config = default_config(name, dataset.items, dim=16, max_length=LENGTH)
        trained = train_backbone(dataset, config, default_options(name, epochs=epochs, batch=BATCH), folder and folder / name, group=group)
        told = {"best_epoch": trained.best_epoch, "history": trained.history, "test": trained.metrics["test"].ndcg10.value}
        found[name] = trained.backbone.state_dict(), told
    for name, changes in (("fixed", {}), ("many", {"budgets": (2.5, 6.0), "user_vector": True, "seen_masked": True})):
        source = initialise(build(default_config("sasrec", dataset.items, dim=16, max_length=LENGTH)), seed=1)
        options = HypernetworkOptions(epochs=2, batch=31, hidden=8, pools=(3, 6, 12), **changes)  # type: ignore[arg-type]
        made = train_hypernetwork(dataset, source, None, options, group=group)
        weights = made.hypernetwork.state_dict() | {f"backbone.{key}": each for key, each in made.backbone.state_dict().items()}
        found[name] = weights, {"best_epoch": made.best_epoch, "history": made.history}
    return found


def answers_of(shop: Path, folder: Path, group: Group) -> None:
    """What one of two processes finds, into a file of its own."""
    from chordkit.errors import ProcessError
    from chordkit.training.parallel import speaks

    def refused() -> str:
        try:
            options = default_options("sasrec", epochs=1, lr=0.01 * (1 + group.rank))
            train_backbone(dataset, default_config("sasrec", dataset.items, dim=16, max_length=LENGTH), options, group=group)
        except ProcessError as error:
            return str(error)
        return ""

    dataset = Dataset.load(shop)
    own = folder / str(group.rank)
    parameters = [torch.nn.Parameter(torch.ones(2)) for _ in range(3)]
    parameters[1].grad = torch.full((2,), 1.0)
    if group.rank == 0:
        parameters[0].grad = torch.full((2,), 2.0)
    total = group.add_up(parameters, torch.tensor(0.5 + group.rank))
    about = {
        "total": total,
        "gradients": [None if each.grad is None else each.grad.tolist() for each in parameters],
        "told": group.told(lambda: b"from %d" % group.rank).decode(),
        "nothing": group.told(lambda: b"").decode(),
        "order": group.one_after_the_others(lambda: sorted(path.name for path in folder.iterdir()) if own.mkdir() is None else []),
    }
    for name, (weights, told) in trainings(dataset, group, own).items():
        torch.save(weights, own / f"{name}.pt")
        about[name] = told
    about["refused"] = refused()
    about["speaks"] = [speaks(), speaks()]
    (own / "about.json").write_text(json.dumps(about))


@pytest.fixture(scope="module")
def two(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """What two processes found: the folder of their weights, and what each says. One start serves all workers of pytest-xdist."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "two-processes"
    answers = folder / "answers"
    with alone(folder):
        if not answers.exists():
            answers.mkdir()
            (folder / "script.py").write_text(SCRIPT)
            command = torchrun(str(folder / "script.py"), str(Path(__file__).parent), str(shop), str(answers))
            done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=300)
            assert done.returncode == 0, done.stderr
    return answers, [json.loads((answers / str(rank) / "about.json").read_text()) for rank in range(2)]


def test_gradients_add_up_and_one_process_tells_the_others(two: tuple[Path, list[dict[str, Any]]]) -> None:
    for rank, about in enumerate(two[1]):
        assert about["total"] == 2.0
        # The first was reached by rows of one process, the second by those of both, the third by none.
        assert about["gradients"] == [[2.0, 2.0], [2.0, 2.0], None]
        assert about["told"] == "from 0" and about["nothing"] == ""
        assert about["order"] == ["0", "1"][: rank + 1]
    # The leader is told that another one is gone when that one has ended.
    assert two[1][1]["refused"] == "options lr = 0.02 here and 0.01 in process 0: give all processes the same command and the same data"
    assert sorted(about["speaks"] for about in two[1]) == [[False, False], [True, True]]


WITHOUT_EFFECT = ("key.bias", "filters.bias", "mean")
"""Parameters that the loss does not depend on: a key's bias moves all scores of a softmax, a filter's is taken out by standardising. Their
gradient is rounding alone, and AdamW makes steps of it."""
_ASTRAY = 1e-3


def beyond_rounding(name: str, one: dict[str, Tensor], two: dict[str, Tensor], shop: Path) -> float:
    """The share of weights that are farther apart than rounding takes them.

    An entry of a gradient is a sum of n terms, of which n u is rounding (u = 2^-24) in either way of adding up. AdamW divides it by its own
    size, so its steps differ by as much of lr, from each of its two moments. Few entries are sums that come out smaller than that: their
    steps go either way, and their share is at most about n u a step.
    """
    steps, lr, terms = steps_of(name, shop)
    bound, beyond, entries = 4 * steps * lr * terms * 2.0**-24, 0, 0
    assert steps * terms * 2.0**-24 < 2 * _ASTRAY
    for key, each in one.items():
        apart = (each - two[key]).abs()
        assert float(apart.max()) <= 2 * steps * lr, key
        if not key.endswith(WITHOUT_EFFECT):
            beyond += int((apart > bound + 2.0**-23 * each.abs()).sum())
            entries += each.numel()
    return beyond / entries


@pytest.mark.parametrize("name", ["sasrec", "caser", "fixed", "many"])
def test_two_processes_train_what_one_does(name: str, shop: Path, two: tuple[Path, list[dict[str, Any]]], one: dict[str, Any]) -> None:
    weights, told = one[name]
    answers, abouts = two
    both = [torch.load(answers / str(rank) / f"{name}.pt", weights_only=True) for rank in range(2)]
    assert all(torch.equal(both[0][key], both[1][key]) for key in weights)
    assert abouts[0][name] == abouts[1][name]
    assert abouts[0][name]["best_epoch"] == told["best_epoch"]
    assert beyond_rounding(name, weights, both[0], shop) <= _ASTRAY
    for ours, theirs in zip(told["history"], abouts[0][name]["history"], strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=steps_of(name, shop)[2] * 2.0**-24)


def steps_of(name: str, shop: Path) -> tuple[int, float, int]:
    """Steps that were taken at most, the highest learning rate, and the terms of a gradient's sum."""
    interactions = Dataset.load(shop).interactions
    if name in ("sasrec", "caser"):
        options = default_options(name)
        return (EPOCHS if name == "sasrec" else 2) * -(-4 * interactions // BATCH), options.lr, BATCH
    return 2 * -(-interactions // 31), 5e-3, 31 * 10


@pytest.fixture(scope="module")
def one(shop: Path) -> dict[str, Any]:
    return trainings(Dataset.load(shop), ALONE)


def child_of(parent: int, rank: int) -> int | None:
    """The process of a rank that torchrun started; None while it has not."""
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            if f"\nPPid:\t{parent}\n" in status.read_text() and f"\0RANK={rank}\0" in (status.parent / "environ").read_text():
                return int(status.parent.name)
    return None


Found = TypeVar("Found")


def wait_for(look: Callable[[], Found | None], process: "subprocess.Popen[str]") -> Found:
    until = time.monotonic() + 120
    while not (found := look()):
        assert process.poll() is None and time.monotonic() < until, "the run ended, or never came so far"
        time.sleep(0.005)
    return found


def test_a_process_that_is_killed_ends_all_and_any_number_of_them_goes_on(
    shop: Path, two: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    broken, alone = tmp_path / "broken.safetensors", tmp_path / "alone.safetensors"
    checkpoint, copied = tmp_path / "broken.safetensors.checkpoints" / CHECKPOINT_NAME, tmp_path / "copied"
    command = torchrun("--max-restarts", "1", "-m", "chordkit", *COMMAND, "--data", str(shop), "--out", str(broken))
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    killed, survivor = (wait_for(lambda rank=rank: child_of(process.pid, rank), process) for rank in (1, 0))  # type: ignore[misc]
    wait_for(checkpoint.exists, process)
    copied.mkdir()
    (copied / CHECKPOINT_NAME).write_bytes(checkpoint.read_bytes())
    os.kill(killed, signal.SIGKILL)
    # The other one ends as well, and torchrun starts two new ones.
    wait_for(lambda: child_of(process.pid, 0) not in (survivor, None), process)
    output, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    said = [line for line in errors.splitlines() if line.startswith("chordkit: ")]
    assert len(said) == 1 and ("another process of this training was lost" in said[0] or "interrupted" in said[0]), errors
    # As many processes as at first: the bits of a run that nobody interrupted.
    answer = json.loads(output)
    wanted = torch.load(two[0] / "0" / "sasrec.pt", weights_only=True)
    weights = load_backbone(broken)[0].state_dict()
    assert all(torch.equal(weights[key], wanted[key]) for key in wanted)
    assert answer["best_epoch"] == two[1][0]["sasrec"]["best_epoch"] and answer["epochs"] == EPOCHS
    # Another number of processes takes over what two began.
    assert run_command([*COMMAND, "--data", str(shop), "--out", str(alone), "--checkpoints", str(copied)]) == 0
    assert beyond_rounding("sasrec", load_backbone(alone)[0].state_dict(), wanted, shop) <= _ASTRAY
