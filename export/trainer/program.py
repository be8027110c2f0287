"""A trainer's file: made, loaded on its runtime, and refused where it does not train as it should."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from chordkit.coda.adapter import RANK, Adapter
from chordkit.coda.learning import Steps
from chordkit.errors import CapabilityError, CheckFailed
from chordkit.export.targets import find_target, first_line
from chordkit.export.targets.executorch import quiet
from chordkit.export.trainer.gate import TrainerReport, judge_trainer
from chordkit.export.trainer.shape import Batch, TrainerShape

if TYPE_CHECKING:
    from chordkit.export.trainer.graph import AdapterLoss

FORMAT = 1
_METHOD = "forward"
_SAID = (RuntimeError, TypeError, ValueError, IndexError, AttributeError)
"""What the runtime and its Python part say to a damaged file."""
_FACTS = ("trainer", "rank", "dim", "lessons", "candidates")


def make_trainer(shape: TrainerShape) -> tuple[bytes, TrainerReport]:
    """A trainer's file that has passed its gate, and what the gate saw. The same shape gives the same bytes.

    Raises:
        CheckFailed: what was made does not train as it should.
        MissingRuntimeError: ExecuTorch is not installed.
    """
    find_target("executorch").prepare()
    from chordkit.export.trainer.graph import AdapterLoss

    data = lower(AdapterLoss(shape))
    return data, check_trainer(data).require("the trainer that was made")


def check_trainer(data: bytes) -> TrainerReport:
    """Train with a file on its runtime, and hold its steps against those of torch and of the closed form.

    Raises:
        CapabilityError: it is no trainer of this version, or the runtime refuses it.
        MissingRuntimeError: ExecuTorch is not installed.
    """
    return judge_trainer(TrainerProgram(data))


def lower(loss: "AdapterLoss") -> bytes:
    """The ``.pte`` of a loss and its gradient, for the portable kernels; not judged."""
    with quiet():
        return bytes(edge_program(loss).to_executorch().buffer)


def edge_program(loss: "AdapterLoss") -> Any:
    """The joint graph of a loss and its gradient, as ExecuTorch's back-ends would take it."""
    import torch
    from torch.export.experimental import _export_forward_backward

    shape = loss.shape
    inputs = tuple(torch.zeros(size, dtype=torch.int64 if name == "targets" else torch.float32) for name, size in shape.inputs.items())
    facts = {"trainer": FORMAT, "rank": RANK, "dim": shape.dim, "lessons": shape.lessons, "candidates": shape.candidates}
    with quiet():
        from executorch.exir import to_edge

        return to_edge(_export_forward_backward(torch.export.export(loss, inputs, strict=False)), constant_methods=facts)


class TrainerProgram:
    """A trainer on ExecuTorch's training extension. Every training loads the file anew: nothing of one user is left to the next.

    Attributes:
        shape: its sizes.

    Raises:
        CapabilityError: it is no trainer of this version, or the runtime refuses it.
        MissingRuntimeError: ExecuTorch is not installed.
    """

    def __init__(self, data: bytes) -> None:
        target = find_target("executorch")
        target.prepare()
        if problem := target.problem_with_file(memoryview(data)):
            raise CapabilityError(f"trainer: {problem}; make it again")
        self._data = data
        self.shape = self._read_shape(self._load())

    def train(self, batch: Batch, adapter: Adapter, steps: Steps) -> Adapter:
        """``adapter`` after ``steps`` on a batch, as :func:`chordkit.coda.learning.train` would leave it.

        Raises:
            CapabilityError: the steps are not SGD's; ExecuTorch has no other.
            CheckFailed: the file has not the parameters of a trainer.
        """
        for _, trained in self.course(batch, adapter, steps):
            adapter = trained
        return adapter

    def course(self, batch: Batch, adapter: Adapter, steps: Steps) -> Iterator[tuple[float, Adapter]]:
        """The loss before each step, and the adapter after it; see :meth:`train`."""
        import torch

        from chordkit.export.trainer.graph import MOMENTUM, PART_OF

        if steps.method == "adam":
            raise CapabilityError("trainer: ExecuTorch trains with momentum alone; use method sgd, or libchord's learner for Adam")
        inputs = [torch.from_numpy(each) for each in batch.inputs]
        with quiet():
            from executorch.extension.training import get_sgd_optimizer

            module = self._load()
            # The runtime tells its parameters after a first run; they are its own memory, and what is written there it computes with.
            self._run(module, inputs)
            parameters = self._parameters(module)
            for name, value in batch.parameters(adapter).items():
                parameters[name].copy_(torch.from_numpy(value))
            learning = {name: value for name, value in parameters.items() if PART_OF[name] in steps.parts}
            optimiser = get_sgd_optimizer(learning, steps.rate, MOMENTUM, 0, steps.decay, False)
        for _ in range(steps.count):
            loss = self._run(module, inputs)
            optimiser.step(module.named_gradients())
            yield loss, adapter.with_values(self._values(batch, parameters))

    def _load(self) -> Any:
        with quiet():
            from executorch.extension.training import _load_for_executorch_for_training_from_buffer as load

            try:
                return load(self._data)
            except RuntimeError as error:
                raise CapabilityError(f"trainer: the runtime refuses the file ({first_line(error)}); make it again") from None

    def _read_shape(self, module: Any) -> TrainerShape:
        try:
            if not {*_FACTS, _METHOD} <= set(module.model.method_names()):
                raise CapabilityError("trainer: the file is a program for something else; make one with 'chordkit trainer make'")
            version, rank, *sizes = (int(module.model.run_method(name, ())[0]) for name in _FACTS)
            meta = module.model.method_meta(_METHOD)
            inputs = [tuple(meta.input_tensor_meta(place).sizes()) for place in range(meta.num_inputs())]
        except _SAID as error:
            raise CapabilityError(f"trainer: the file does not tell what it takes ({first_line(error)}); make it again") from None
        if (version, rank) != (FORMAT, RANK):
            raise CapabilityError(
                f"trainer: version {version} of rank {rank} is not {FORMAT} of rank {RANK}; make it again, or update chordkit"
            )
        shape = TrainerShape(*sizes)
        if inputs != list(shape.inputs.values()):
            raise CapabilityError(f"trainer: its inputs are {inputs}, which is not what it says of its sizes; make it again")
        return shape

    def _run(self, module: Any, inputs: list[Any]) -> float:
        try:
            return float(module.forward_backward(_METHOD, inputs)[0])
        except _SAID as error:
            raise CheckFailed(f"trainer: the runtime cannot run the file ({first_line(error)}); make it again") from None

    def _parameters(self, module: Any) -> Mapping[str, Any]:
        """The file's parameters, if they are those of a trainer: what a back-end took for a constant is not among them."""
        wanted = self.shape.parameters
        for kind, found in (("parameters", module.named_parameters()), ("gradients", module.named_gradients())):
            shapes = {name: tuple(value.shape) for name, value in found.items()}
            if shapes != wanted:
                raise CheckFailed(f"trainer: its {kind} are {_told(shapes)} and not {_told(wanted)}: it cannot learn; make it again")
        return module.named_parameters()

    def _values(self, batch: Batch, parameters: Mapping[str, Any]) -> Any:
        return batch.values({name: value.numpy() for name, value in parameters.items()})


def _told(shapes: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items()) or "none"
