"""A run on the smallest task there is: what every kind of training gets from it."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from chordkit.errors import CheckpointError, InputError
from chordkit.training.checkpoint import read_tensors, write_tensors
from chordkit.training.run import Run, Schedule, decay_groups

ROWS, PER_STEP = 12, 4


class Stop(Exception):
    """Stands for a kill: nothing of the run survives but its checkpoint."""


class Fit:
    """A linear fit with noise, behind a BatchNorm: a model whose state is more than its parameters."""

    name = "fit"

    def __init__(self, ranks: list[int] | None = None) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
        self.data = torch.randn(ROWS, 3)
        self.ranks = ranks or []
        self.validated: list[Tensor] = []

    def shuffle(self, epoch: int) -> tuple[Tensor, Tensor]:
        return torch.randperm(ROWS), torch.full((ROWS // PER_STEP,), PER_STEP)

    def loss(self, rows: Tensor) -> Tensor:
        noisy = self.data[rows] + 0.1 * torch.randn(len(rows), 3)
        loss: Tensor = (self.model(noisy) - self.data[rows].sum(dim=1, keepdim=True)).square().mean()
        return loss

    def validate(self) -> dict[str, float]:
        self.validated.append(self.model[0].weight.detach().clone())
        return {"goodness": -self.ranks[len(self.validated) - 1] if self.ranks else -5.0, "other": 0.5}


def run_of(task: Fit, path: Path | None = None, **schedule: float) -> Run:
    chosen = Schedule(**({"epochs": 4, "patience": 4} | schedule))  # type: ignore[arg-type]
    optimizer = torch.optim.AdamW(decay_groups(task.model.parameters(), 0.05, 0.1))
    return Run(task, task.model.state_dict(keep_vars=True), optimizer, chosen, {"options": {"shape": (3, 1)}}, path)


def stop_at(step: int):
    def progress(name: str, done: int, total: int) -> None:
        assert (name, total) == ("fit", 12)
        if done == step:
            raise Stop

    return progress


def same(first: Fit, second: Fit) -> bool:
    left, right = first.model.state_dict(), second.model.state_dict()
    return all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("averaging", [0.0, 0.9])
def test_parameters_buffers_and_counters_survive_a_kill(tmp_path: Path, averaging: float) -> None:
    whole, broken = Fit(), Fit()
    run_of(whole, averaging=averaging, checkpoint_steps=2).train()
    for stop in (1, 3, 8):
        with pytest.raises(Stop):
            run_of(broken := Fit(), tmp_path / "run", averaging=averaging, checkpoint_steps=2).train(stop_at(stop))
    assert not same(whole, broken)
    run_of(broken := Fit(), tmp_path / "run", averaging=averaging, checkpoint_steps=2).train()
    assert same(whole, broken)


def test_the_average_is_validated_and_the_raw_weights_go_on() -> None:
    losses, tasks = [], []
    for averaging in (0.0, 0.9):
        run = run_of(task := Fit(), averaging=averaging)
        run.train()
        tasks.append(task)
        losses.append([record["loss"] for record in run.history])
    plain, averaged = tasks
    # Validation puts the average in the weights' place and the weights back: no step notices.
    assert losses[0] == losses[1]
    assert not any(torch.equal(raw, mean) for raw, mean in zip(plain.validated, averaged.validated, strict=True))
    # The best epoch is the first, for all ranks are equal: what is left is what was validated then.
    assert torch.equal(averaged.model[0].weight, averaged.validated[0])
    assert torch.equal(plain.model[0].weight, plain.validated[0])


def test_the_average_of_the_first_step_is_mostly_the_new_weights() -> None:
    task, old = Fit(), Fit().model[0].weight.detach()
    run = run_of(task, averaging=0.99, epochs=1, patience=1)
    with pytest.raises(Stop):
        run.train(stop_at_any)
    new = task.model[0].weight.detach()
    # decay = (1 + 0) / (10 + 0).
    torch.testing.assert_close(run._average["0.weight"], old + 0.9 * (new - old))


def stop_at_any(name: str, done: int, total: int) -> None:
    raise Stop


def test_patience_ends_a_run_and_the_best_epoch_stays() -> None:
    task = Fit(ranks=[9, 2, 3, 4, 1, 1])
    run = run_of(task, epochs=6, patience=2)
    run.train()
    assert len(run.history) == 4 and run.best_epoch == 1
    assert run.history[1]["valid_goodness"] == -2 and run.history[1]["valid_other"] == 0.5
    assert torch.equal(task.model[0].weight, task.validated[1])


def test_the_learning_rate_rises_over_the_warmup_and_gradients_are_clipped() -> None:
    task = Fit()
    run = run_of(task, warmup=3, epochs=2, patience=2, clip=1e-3)
    seen = []

    def progress(name: str, done: int, total: int) -> None:
        norms = [parameter.grad.norm() for parameter in task.model.parameters() if parameter.grad is not None]
        seen.append((run._optimizer.param_groups[0]["lr"], float(torch.stack(norms).norm()) if norms else 0.0))

    run.train(progress)
    assert [lr for lr, _ in seen[:5]] == pytest.approx([0.05 * step / 4 for step in (1, 2, 3, 4, 4)])
    assert all(norm == pytest.approx(1e-3, rel=1e-3) for _, norm in seen[:-1])


def test_a_loss_that_is_no_longer_finite_ends_the_run_with_the_mend() -> None:
    task = Fit()
    task.data[0, 0] = float("inf")
    with pytest.raises(InputError, match=r"fit options: the loss is no longer finite in epoch 0: lower lr = 0.05"):
        run_of(task).train()


def test_a_checkpoint_that_lacks_something_or_is_of_another_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run"
    run_of(Fit(), path).train()
    tensors, metadata = read_tensors(path, "fit checkpoint")
    assert metadata["options"] == {"shape": [3, 1]}
    for broken in (
        ({name: tensor for name, tensor in tensors.items() if name != "rng"}, metadata),
        ({name: tensor for name, tensor in tensors.items() if name != "model/1.running_mean"}, metadata),
        (tensors, metadata | {"counters": {"epoch": 1}}),
        (tensors, metadata | {"counters": None}),
        (tensors, metadata | {"counters": metadata["counters"] | {"epoch": "1"}}),
        (tensors, metadata | {"counters": metadata["counters"] | {"step": 1.5}}),
        (tensors, metadata | {"history": None}),
        (tensors | {"adam/one": torch.zeros(1)}, metadata),
    ):
        write_tensors(path, *broken)
        with pytest.raises(CheckpointError, match=r"run: this checkpoint does not hold all of this run.*delete it"):
            run_of(Fit(), path).train()
    write_tensors(path, tensors, metadata | {"options": None})
    with pytest.raises(CheckpointError, match=r"options shape = None"):
        run_of(Fit(), path).train()
    write_tensors(path, tensors, metadata | {"version": 0})
    with pytest.raises(CheckpointError, match=r"format version = 0.*delete this one"):
        run_of(Fit(), path).train()
    write_tensors(path, tensors, metadata | {"options": {"shape": [1, 3]}})
    with pytest.raises(CheckpointError, match=r"options shape = \[1, 3\].*another checkpoint folder"):
        run_of(Fit(), path).train()


def test_decay_leaves_vectors_alone() -> None:
    groups = decay_groups(Fit().model.parameters(), 0.1, 0.5)
    assert [(group["weight_decay"], {each.dim() for each in group["params"]}) for group in groups] == [(0.5, {2}), (0.0, {1})]
    assert decay_groups([nn.Parameter(torch.zeros(3))], 0.1, 0.5)[0]["weight_decay"] == 0.0


class Rising(Fit):
    """Better with every epoch."""

    def validate(self) -> dict[str, float]:
        return {"goodness": float(self.model[1].num_batches_tracked)}


def test_a_run_goes_on_with_more_epochs_and_ends_with_fewer_as_if_they_had_been_asked_for_at_once(tmp_path: Path) -> None:
    def lasting(task: Fit, epochs: int, path: Path | None = None, floor: float = 1.0) -> Run:
        schedule = Schedule(epochs=epochs, patience=9, floor=floor)
        optimizer = torch.optim.AdamW(decay_groups(task.model.parameters(), 0.05, 0.1))
        identity = {"options": {"epochs": epochs, "patience": 9, "shape": (3, 1)}}
        return Run(task, task.model.state_dict(keep_vars=True), optimizer, schedule, identity, path)

    at_once, begun, resumed = Rising(), Rising(), Rising()
    torch.manual_seed(1)
    lasting(at_once, 5).train()
    path = tmp_path / "run.safetensors"
    torch.manual_seed(1)
    lasting(begun, 2, path).train()
    longer = lasting(resumed, 5, path)
    longer.train()
    assert same(at_once, resumed) and not same(begun, resumed) and (longer.epoch, longer.best_epoch) == (5, 4)
    shorter = lasting(Fit(), 3, path)
    shorter.train()
    assert shorter.epoch == 5  # what is done is done
    falling = tmp_path / "falling.safetensors"
    lasting(Fit(), 2, falling, floor=0.1).train()
    with pytest.raises(CheckpointError, match="made with options epochs = 2, this run asks for 5"):
        lasting(Fit(), 5, falling, floor=0.1).train()


def test_the_best_so_far_of_an_interrupted_run_is_kept_without_going_on(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    with pytest.raises(CheckpointError, match="no epoch of this run is finished yet"):
        run_of(Fit(), path).train(best_so_far=True)
    task = Fit(ranks=[3, 1, 2, 9])
    with pytest.raises(Stop):
        run_of(task, path).train(stop_at(8))
    kept = Fit(ranks=[3, 1, 2, 9])
    run = run_of(kept, path)
    run.train(best_so_far=True)
    assert run.best_epoch == 1 and run.epoch == 2
    assert torch.equal(kept.model[0].weight.detach(), task.validated[1])
