"""The gate of a trainer sees what is wrong with one: in its maths, in its optimiser, and in what a back-end makes of it."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("executorch")

from chordkit.coda.adapter import Adapter
from chordkit.coda.learning import Steps
from chordkit.errors import CheckFailed
from chordkit.export.targets.executorch import quiet
from chordkit.export.trainer import Batch, TrainerProgram, TrainerShape, judge_trainer
from chordkit.export.trainer.graph import AdapterLoss, EagerTrainer
from chordkit.export.trainer.program import edge_program, lower

pytestmark = pytest.mark.long

SHAPE = TrainerShape(dim=8, lessons=12, candidates=20)


class Faulty(AdapterLoss):
    """A loss with a fault, as somebody might write it."""

    def __init__(self, fault: str = "", shape: TrainerShape = SHAPE) -> None:
        super().__init__(shape)
        self.fault = fault
        if fault == "another projection":
            self.down = self.down.flip(0)
        if fault in ("swallowed", "stale"):
            self.up = nn.Parameter(torch.zeros(8, shape.dim))

    def forward(self, states: Tensor, targets: Tensor, weights: Tensor, frozen: Tensor, rows: Tensor, biased: Tensor) -> Tensor:
        fault = self.fault
        gain, shift, up, bias = (
            parameter.detach() + 0 * parameter if fault == f"frozen {name}" else parameter
            for name, parameter in (("gain", self.gain), ("shift", self.shift), ("up", self.up), ("bias", self.bias))
        )
        low = states @ self.down.T
        adapted = states + (states * gain + shift + (low @ up if fault in ("swallowed", "stale") else low @ up.T))
        if fault == "half precision":
            adapted = adapted.half().float()
        if fault == "seen items compete":
            frozen = torch.where(frozen == -torch.inf, frozen.amax(dim=0), frozen)
        if fault == "no offsets":
            frozen = torch.where(frozen == -torch.inf, frozen, 0.0)
        logits = adapted @ rows.T + frozen + bias * (1 if fault == "a bias for all" else biased)
        if fault == "another temperature":
            logits = logits * 1.001
        chosen = torch.log_softmax(logits, dim=-1).gather(1, targets[:, None])[:, 0]
        if fault == "a bound on the softmax":
            chosen = chosen.clamp(min=-4)
        share = torch.full_like(weights, 1 / len(weights)) if fault == "padding counts" else weights / weights.sum()
        if fault == "equal weights":
            share = (weights > 0).float() / (weights > 0).sum()
        loss = (share * chosen).sum()
        if fault == "stale":  # used once more, so that it stays a parameter
            loss = loss + 0 * self.up.sum()
        return loss if fault == "wrong sign" else -loss


OF_THE_MATHS = [
    "wrong sign", "frozen gain", "frozen shift", "frozen up", "frozen bias", "another projection", "half precision", "seen items compete",
    "no offsets", "a bias for all", "another temperature", "a bound on the softmax", "padding counts", "equal weights",
]  # fmt: skip


def test_without_a_fault_it_passes() -> None:
    assert judge_trainer(EagerTrainer(Faulty())).passed


@pytest.mark.parametrize("fault", OF_THE_MATHS)
def test_a_fault_of_the_maths_is_refused(fault: str) -> None:
    with pytest.raises(CheckFailed, match=r"does not train as torch does: .* after step \d+ (the loss|gain|shift|up|bias)") as refused:
        judge_trainer(EagerTrainer(Faulty(fault))).require("it")
    if fault.startswith("frozen"):
        assert f"after step 1 {fault.split()[1]} is" in str(refused.value)


class Optimised:
    """The right loss under an optimiser with a fault."""

    shape = SHAPE

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def course(self, batch: Batch, adapter: Adapter, steps: Steps) -> Iterator[tuple[float, Adapter]]:
        fault, loss = self.fault, AdapterLoss(SHAPE)
        parameters, begun = dict(loss.named_parameters()), batch.parameters(adapter)
        with torch.no_grad():
            for name, value in parameters.items():
                value.copy_(torch.from_numpy(begun[name]))
        options: dict = {"lr": steps.rate, "momentum": 0.9, "weight_decay": steps.decay}
        options |= {"no momentum": {"momentum": 0.0}, "dampening": {"dampening": 0.1}, "Nesterov": {"nesterov": True},
                    "no decay": {"weight_decay": 0.0}, "a rate 0.1 % off": {"lr": 1.001 * steps.rate}}.get(fault, {})  # fmt: skip
        optimiser = torch.optim.SGD(parameters.values(), **options)
        inputs, first, last = [torch.from_numpy(each) for each in batch.inputs], None, None
        for _ in range(steps.count):
            optimiser.zero_grad()
            value = loss(*inputs)
            value.backward()
            gradients = {name: each.grad.clone() for name, each in parameters.items()}
            first, last, before = first or gradients, gradients, last or gradients
            if fault == "gain for shift":
                gradients["gain"], gradients["shift"] = gradients["shift"], gradients["gain"]
            used = {"the first gradients": first, "the gradients before": before}.get(fault, gradients)
            for name, each in parameters.items():
                each.grad.copy_(used[name])
            optimiser.step()
            if fault == "not a number":
                parameters["up"].data[0, 0] = torch.nan
            yield (
                value.item() + (fault == "a loss of its own"),
                adapter.with_values(batch.values({name: each.detach().numpy() for name, each in parameters.items()})),
            )


@pytest.mark.parametrize(
    "fault",
    ["no momentum", "dampening", "Nesterov", "no decay", "a rate 0.1 % off", "the first gradients", "the gradients before",
     "gain for shift", "not a number", "a loss of its own"],
)  # fmt: skip
def test_a_fault_of_the_optimiser_is_refused(fault: str) -> None:
    assert judge_trainer(Optimised("")).passed
    report = judge_trainer(Optimised(fault))
    assert not report.passed
    # Decay is of the second training alone.
    assert bool(report.cases[0].problem) is (fault != "no decay") and report.cases[1].problem


# --- what a back-end makes of it --------------------------------------------------------------------------------------


class Transposed(TrainerProgram):
    """Reads the low-rank part of the losses that have it the other way round; only zeros may be where it begins."""

    def _values(self, batch, parameters):
        return super()._values(batch, {**parameters, "up": parameters["up"].T})


def by_xnnpack(loss: AdapterLoss, *rules: str) -> bytes:
    """A loss and its gradient lowered to XNNPACK: all that it takes, or by these of its rules."""
    with quiet():
        from executorch.backends.xnnpack.partition.config import gemm_configs
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner

        from chordkit.export.targets.executorch.passes import fewer_rounds

        with fewer_rounds():
            partitioner = XnnpackPartitioner([getattr(gemm_configs, rule) for rule in rules] or None)
            data = bytes(edge_program(loss).to_backend(partitioner).to_executorch().buffer)
    assert b"XnnpackBackend" in data
    return data


def test_a_parameter_that_xnnpack_took_for_a_constant_is_missed() -> None:
    data = by_xnnpack(Faulty("swallowed"), "MMConfig")
    # The names of those behind it have moved up: an optimiser would train another one with the gradient of this one.
    with pytest.raises(CheckFailed, match=r"its parameters are gain \[8\], shift \[8\], up \[20\] and not .*: it cannot learn"):
        judge_trainer(Transposed(data))


def test_a_product_that_xnnpack_computes_with_the_first_parameters_is_refused() -> None:
    assert judge_trainer(Transposed(lower(Faulty("stale")))).cases[0].problem is None
    report = judge_trainer(Transposed(by_xnnpack(Faulty("stale"), "MMConfig")))
    # Names and shapes are right, so are the first loss and the first step.
    assert report.cases[0].problem is not None and report.cases[0].problem.startswith("after step 1 the loss is")
    assert report.cases[0].from_torch > 0.1
    with pytest.raises(CheckFailed, match="does not train as torch does: full: after step 1 the loss"):
        report.require("it")


def test_the_spelling_of_the_loss_gives_xnnpack_no_parameter_to_take() -> None:
    assert judge_trainer(TrainerProgram(by_xnnpack(AdapterLoss(SHAPE)))).passed


def test_a_fault_is_seen_on_the_runtime_too() -> None:
    assert not judge_trainer(TrainerProgram(lower(Faulty("wrong sign")))).passed
