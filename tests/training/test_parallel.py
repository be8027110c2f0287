"""Several processes train what one does: the arithmetic of their parts, in this process; real ones are in test_processes.py."""

import dataclasses
import socket
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import torch
from torch import Tensor

from chordkit.backbones import BackboneConfig, SASRecConfig, build, default_config, initialise
from chordkit.backbones.layers import dropout
from chordkit.backbones.part import Part
from chordkit.data import Dataset, split
from chordkit.errors import ProcessError
from chordkit.hypernetwork import Hypernetwork, HypernetworkOptions
from chordkit.hypernetwork.joint import JointModel, training_backbone
from chordkit.hypernetwork.trainer import _Task as HypernetworkTask
from chordkit.processes import Place
from chordkit.training import Distillation, TrainingOptions
from chordkit.training.parallel import Group, joined
from chordkit.training.run import Run, Schedule, Task
from chordkit.training.teacher import Teaching
from chordkit.training.trainer import _Task as BackboneTask

CPU = torch.device("cpu")
LENGTH = 10
_SOON = timedelta(seconds=1)
# Histories of 6 to 24 items: windows with few targets and with many stand in one step.
OPTIONS = TrainingOptions(batch=150, stride=4)


@pytest.fixture(autouse=True)
def _own_generator() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        yield


def backbone_task(dataset: Dataset, architecture: str, group: Group, teaching: Teaching | None = None) -> BackboneTask:
    config: BackboneConfig = default_config(architecture, dataset.items, dim=16, max_length=LENGTH)
    options = dataclasses.replace(OPTIONS, smoothing=0.1)
    task = BackboneTask(dataset, config, None, options, split(dataset, LENGTH), teaching, CPU, group)
    task.model.double()
    return task


def hypernetwork_task(dataset: Dataset, architecture: str, group: Group, **changes: object) -> HypernetworkTask:
    source = initialise(build(default_config(architecture, dataset.items, dim=16, max_length=LENGTH)), seed=0)
    chosen: dict[str, object] = {"batch": 16, "hidden": 8, "pools": (3, 6, 12), "stride": 4, "without": (), "window": 0}
    options = HypernetworkOptions(**(chosen | changes))  # type: ignore[arg-type]
    learning, master = training_backbone(source, None, options)
    model = JointModel(Hypernetwork(master, options).initialise(torch.Generator().manual_seed(0)), learning, master)
    parts = split(dataset, LENGTH)
    task = HypernetworkTask(model, parts.train, parts.valid, options, CPU, None, group)
    task.model.double()
    return task


def many(dataset: Dataset, architecture: str, group: Group) -> HypernetworkTask:
    return hypernetwork_task(dataset, architecture, group, budgets=(2.5, 6.0), user_vector=True, seen_masked=True, profile_age=3)


Maker = Callable[[Dataset, str, Group], BackboneTask | HypernetworkTask]
TASKS: list[tuple[Maker, str]] = [
    *((backbone_task, architecture) for architecture in ("sasrec", "caser", "gru4rec", "pmixer")),
    *((maker, architecture) for maker in (hypernetwork_task, many) for architecture in ("sasrec", "caser")),
]
ALL = pytest.mark.parametrize(("maker", "architecture"), TASKS, ids=[f"{maker.__name__}-{name}" for maker, name in TASKS])


def gradients(task: Task, parameters: dict[str, Tensor], rows: Tensor) -> tuple[float, dict[str, Tensor], Tensor]:
    """Loss and gradients of one step, and the generator's next number."""
    torch.manual_seed(5)
    loss = task.loss(rows)
    loss.backward()
    found = {name: torch.zeros_like(each) if each.grad is None else each.grad.clone() for name, each in parameters.items()}
    for each in parameters.values():
        each.grad = None
    return float(loss.detach()), found, torch.rand(1)


def parts_add_up(make: Callable[[Group], BackboneTask | HypernetworkTask], size: int, rows: int) -> None:
    whole = make(Group())
    torch.manual_seed(1)
    order, sizes = whole.shuffle(0)
    step = order[: int(sizes[0])][:rows]
    loss, wanted, drawn = gradients(whole, dict(whole.model.named_parameters()), step)
    total, sums = 0.0, {name: torch.zeros_like(each) for name, each in wanted.items()}
    for rank in range(size):
        task = make(Group(rank, size))
        part, found, also_drawn = gradients(task, dict(task.model.named_parameters()), step)
        total += part
        for name, each in found.items():
            sums[name] += each
        # All processes stay in step, also one without rows: the next number is the same everywhere.
        assert torch.equal(drawn, also_drawn)
    # An entry is a sum of at most targets * items terms, none larger than the largest entry by orders: n u, with u = 2^-53.
    bound = len(step) * LENGTH * 24 * 2.0**-53 * max(float(each.abs().max()) for each in wanted.values())
    assert max(float(each.abs().max()) for each in wanted.values()) > 1e-3
    for name, each in wanted.items():
        assert float((sums[name] - each).abs().max()) <= bound, name
    assert total == pytest.approx(loss, rel=len(step) * LENGTH * 2.0**-53 * 24)


@ALL
def test_the_gradients_of_the_parts_add_up_to_those_of_the_whole_batch(dataset: Dataset, maker: Maker, architecture: str) -> None:
    parts_add_up(lambda group: maker(dataset, architecture, group), size=2, rows=13)


@ALL
def test_more_processes_than_rows(dataset: Dataset, maker: Maker, architecture: str) -> None:
    parts_add_up(lambda group: maker(dataset, architecture, group), size=5, rows=4)


def test_what_a_teacher_says_is_shared_as_the_rows_are(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chordkit.training.teacher.TAUGHT_ITEMS", 10)
    monkeypatch.setattr("chordkit.training.lessons.TAUGHT_ITEMS", 10)
    teacher = initialise(build(SASRecConfig(items=dataset.items, max_length=LENGTH, dim=16)), seed=3)
    teaching = Distillation([teacher]).prepare(split(dataset, LENGTH).train, {}, None)
    parts_add_up(lambda group: backbone_task(dataset, "sasrec", group, teaching), size=3, rows=11)


@pytest.mark.parametrize(("rows", "size"), [(7, 1), (7, 2), (7, 3), (8, 4), (2, 5), (1, 3)])
def test_every_row_counts_in_one_process(rows: int, size: int) -> None:
    parts = [Group(rank, size).part(rows) for rank in range(size)]
    counted = [row for part in parts if not part.idle for row in range(part.first, part.stop)]
    assert counted == list(range(rows))
    assert all(part.stop - part.first >= 1 for part in parts)
    assert max(part.stop - part.first for part in parts) - min(part.stop - part.first for part in parts) <= 1
    assert all(part.share(3, 4) == (0.0 if part.idle else 0.75) for part in parts)


@pytest.mark.parametrize("each", [1, 3])
def test_a_part_is_dropped_as_it_is_in_the_whole(each: int) -> None:
    x = torch.ones(7 * each, 5)
    torch.manual_seed(0)
    whole, next_number = dropout(x, 0.5), torch.rand(1)
    assert 0 < (whole == 0).sum() < whole.numel()
    for rank in range(3):
        part = Group(rank, 3).part(7)
        rows = slice(part.first * each, part.stop * each)
        torch.manual_seed(0)
        with part.drawing():
            dropped = dropout(x[rows], 0.5)
        assert torch.equal(dropped, whole[rows]) and torch.equal(torch.rand(1), next_number)
    torch.manual_seed(0)
    assert torch.equal(dropout(x, 0.5), whole)


def test_a_parameter_that_no_row_reaches_and_a_process_alone() -> None:
    parameter = torch.nn.Parameter(torch.ones(2))
    group = Group()
    assert group.leads and group.part(4) == Part(0, 4, 4)
    assert group.add_up([parameter], torch.tensor(2.5)) == 2.5 and parameter.grad is None
    assert [group.told_if_any(lambda data=data: data) for data in (b"x", b"", None)] == [b"x", b"", None]  # type: ignore[misc]
    assert group.told(lambda: b"x") == b"x" and group.one_after_the_others(lambda: 3) == 3


ADDRESS = {"MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"WORLD_SIZE": "2"}, "WORLD_SIZE = 2 says that several processes train together, but RANK is not set"),
        ({"WORLD_SIZE": "2", "RANK": "0"}, "MASTER_ADDR is not set"),
        ({"WORLD_SIZE": "2", "RANK": "2"} | ADDRESS, "RANK = '2' is not possible here, it is a whole number of 0 to 1"),
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE = 'two' is not possible here"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE = '0' is not possible here"),
        ({"WORLD_SIZE": "2", "RANK": "1"} | ADDRESS | {"MASTER_PORT": "port"}, "MASTER_PORT = 'port'"),
        ({"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "-1"} | ADDRESS, "LOCAL_RANK = '-1'"),
    ],
)
def test_an_environment_that_contradicts_itself_is_told(environment: dict[str, str], message: str) -> None:
    with pytest.raises(ProcessError, match=message):
        Place.here(environment)


def test_without_a_launcher_a_process_is_alone() -> None:
    assert Place.here({}) == Place.here({"WORLD_SIZE": "1", "RANK": "0"}) == Place.here({"RANK": "7"}) == Place()
    place = Place.here({"WORLD_SIZE": "3", "RANK": "2", "LOCAL_RANK": "1"} | ADDRESS)
    assert (place.rank, place.size, place.local_rank, place.follows) == (2, 3, 1, True)
    with joined() as group:
        assert group.size == 1


def test_processes_that_do_not_come_are_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    monkeypatch.delenv("TORCHELASTIC_USE_AGENT_STORE", raising=False)
    for name, value in ({"WORLD_SIZE": "2", "RANK": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": port}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ProcessError, match=f"process 1 of 2 did not reach the others at localhost:{port} "), joined(join_within=_SOON):
        raise AssertionError


class _Counting:
    """A task behind a BatchNorm, which counts the rows that it sees."""

    name = "counting"

    def __init__(self) -> None:
        self.model = torch.nn.BatchNorm1d(2)

    def shuffle(self, epoch: int) -> tuple[Tensor, Tensor]:
        raise AssertionError

    def loss(self, rows: Tensor) -> Tensor:
        raise AssertionError

    def validate(self) -> dict[str, float]:
        raise AssertionError


def test_a_model_whose_state_depends_on_the_rows_it_sees_is_refused_to_several_processes() -> None:
    task = _Counting()
    weights = task.model.state_dict(keep_vars=True)
    run = Run(task, weights, torch.optim.AdamW(task.model.parameters()), Schedule(1, 1), {}, None, Group(0, 2))
    with pytest.raises(ProcessError, match=r"counting: the model changes running_mean by the rows that it sees.*train it in one process"):
        run.train()
