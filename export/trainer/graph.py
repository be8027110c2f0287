"""An adapter's loss as torch has it (``chordkit.coda.learning`` has its gradient in closed form), and its training there."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from chordkit.coda.adapter import Adapter, projection
from chordkit.coda.learning import Steps
from chordkit.export.trainer.shape import PARAMETERS, Batch, TrainerShape

MOMENTUM = 0.9
PART_OF = {"gain": "affine", "shift": "affine", "up": "lowrank", "bias": "bias"}


class AdapterLoss(nn.Module):
    """Weighted mean of the negative log probabilities of the targets, under an adapter that begins at zero."""

    gain: Tensor
    shift: Tensor
    up: Tensor
    bias: Tensor
    down: Tensor

    def __init__(self, shape: TrainerShape) -> None:
        super().__init__()
        self.shape = shape
        for name, size in shape.parameters.items():
            self.register_parameter(name, nn.Parameter(torch.zeros(size)))
        self.register_buffer("down", torch.from_numpy(projection(shape.dim)).float())

    def forward(self, states: Tensor, targets: Tensor, weights: Tensor, frozen: Tensor, rows: Tensor, biased: Tensor) -> Tensor:
        """The loss of a :class:`Batch`, a scalar."""
        # `up` goes into its product transposed: a parameter that is itself the weight of one, XNNPACK would take for a constant.
        adapted = states + (states * self.gain + self.shift + (states @ self.down.T) @ self.up.T)
        logits = adapted @ rows.T + frozen + self.bias * biased
        own = torch.log_softmax(logits, dim=-1).gather(1, targets[:, None])[:, 0]
        return -(weights / weights.sum() * own).sum()


class EagerTrainer:
    """A loss and ``torch.optim.SGD``: what a trainer's file is held against."""

    def __init__(self, loss: AdapterLoss) -> None:
        self.shape, self._loss = loss.shape, loss

    def course(self, batch: Batch, adapter: Adapter, steps: Steps) -> Iterator[tuple[float, Adapter]]:
        """The loss before each step, and the adapter after it."""
        parameters = dict(self._loss.named_parameters())
        with torch.no_grad():
            for name, value in batch.parameters(adapter).items():
                parameters[name].copy_(torch.from_numpy(value))
        learning = [parameters[name] for name in PARAMETERS if PART_OF[name] in steps.parts]
        optimiser = torch.optim.SGD(learning, steps.rate, MOMENTUM, weight_decay=steps.decay)
        inputs = [torch.from_numpy(each) for each in batch.inputs]
        for _ in range(steps.count):
            self._loss.zero_grad()
            loss = self._loss(*inputs)
            loss.backward()
            optimiser.step()
            yield loss.item(), adapter.with_values(batch.values({name: value.detach().numpy() for name, value in parameters.items()}))
