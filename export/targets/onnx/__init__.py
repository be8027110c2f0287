"""ONNX: an ``.onnx`` file for ONNX Runtime (``docs/targets/onnx.md``)."""

from typing import TYPE_CHECKING, Any

import numpy as np

from chordkit.export.artifact import ArtifactSpec, Layout
from chordkit.export.parity import ScoresFn
from chordkit.export.targets.constants import missing_constants
from chordkit.export.targets.filetype import problem_with_onnx, varint
from chordkit.export.targets.ledger import Ledger
from chordkit.export.targets.lowered import named_inputs, row_by_row
from chordkit.export.targets.onnx.runner import session_options
from chordkit.export.targets.runner import Ids, Runner, Scores, Vector
from chordkit.export.targets.target import ALL_PRECISIONS, Capability, Source, Target
from chordkit.quantization import MasterWeights

if TYPE_CHECKING:
    from torch.export import ExportedProgram

__all__ = ["TARGET", "OnnxTarget", "session_options"]

_PATCH_FIELD = 33000


class OnnxTarget(Target):
    """Real 2-bit and 4-bit weights in the file, float32 in memory."""

    name = "onnx"
    capability = Capability(
        runtime=("onnxruntime", "1.31.1"),
        extra="onnx",
        suffix=".onnx",
        precisions=ALL_PRECISIONS,
        stored_bits={0: 0, 2: 2, 4: 4, 8: 8},
        activations=("fp32",),
        user_vector=True,
        top=True,
        batch=True,
        layouts=("size", "speed"),
        leaves_out=True,
        refusals={"int8": "ONNX Runtime has no kernel for int2 and int4 weights with int8 activations; weights are widened once, at load"},
        computing={"fp32": "weights are widened to float32 once, when the file is loaded"},
        note="weights are widened to float32 when the file is loaded; int2 needs opset 25",
    )
    imports = ("onnxruntime",)
    lowered_form = "the ONNX model, run by the reference evaluator of the package onnx"

    def lower(self, spec: ArtifactSpec, source: Source) -> bytes:
        from chordkit.export.targets.onnx.lower import lower

        return lower(*self._arguments(spec, source), spec.top)

    def lowered(self, spec: ArtifactSpec, source: Source) -> ScoresFn:
        from onnx.reference import ReferenceEvaluator

        from chordkit.export.targets.onnx.lower import model

        evaluator = ReferenceEvaluator(model(*self._arguments(spec, source)))

        def scores(history: Ids, user: Vector | None, candidates: Ids) -> Scores:
            outputs: Any = evaluator.run(None, named_inputs(history, user, candidates))
            return outputs[0]

        return row_by_row(scores)

    def _arguments(self, spec: ArtifactSpec, source: Source) -> tuple["ExportedProgram", int, dict[str, str], Layout]:
        """The program, the number of items, the metadata and the layout of a file."""
        from chordkit.export.program import export_program, item_count, without_off_channels

        layout = spec.layout or "size"
        # A strategy's file of the layout speed is the int8 file with other codes and scales, and nothing else differs.
        metadata = {} if layout == "speed" else {"chordkit.precision": str(spec.precision)}
        if isinstance(source, tuple):
            metadata["chordkit.fingerprint"] = source[0].fingerprint.hex()
        program = export_program(source, spec.given, user_vector=spec.user_vector, batch=spec.batch)
        if layout == "size":  # the other is one file for everybody
            program = without_off_channels(program)
        return program, item_count(source), metadata, layout

    def load(
        self, data: bytes | memoryview, *, strategy: bytes | None, candidates: int, threads: int, master: bytes | memoryview | None
    ) -> Runner:
        from chordkit.export.targets.onnx.runner import OnnxRunner

        return OnnxRunner(bytes(data), threads)

    def problem_with_constants(self, data: bytes, master: MasterWeights, widths: np.ndarray) -> str | None:
        """Also whose weights the file says that they are."""
        from chordkit.export.program import kept_channels

        if master.fingerprint.hex().encode() not in data:
            return f"it does not say that its weights are those of the master {master.fingerprint.hex()}"
        return missing_constants(data, master, widths, kept=kept_channels(master, widths))

    def problem_with_file(self, data: memoryview) -> str | None:
        return problem_with_onnx(data)

    def before_patch_table(self, size: int) -> bytes | None:
        # A field that no version of ModelProto has, of bytes: its tag, 33000 << 3 | 2, and their number.
        return varint(_PATCH_FIELD << 3 | 2) + varint(size)

    def account(self, data: memoryview, ledger: Ledger) -> None:
        from chordkit.export.targets.onnx.account import account

        account(data, ledger)


TARGET = OnnxTarget()
