"""OpenVINO: an ``.ovzip``, its intermediate representation in one file (``docs/targets/openvino.md``)."""

from typing import TYPE_CHECKING

import numpy as np

from chordkit.export.artifact import ArtifactSpec
from chordkit.export.parity import Ids, Scores, ScoresFn
from chordkit.export.targets.constants import missing_constants
from chordkit.export.targets.ledger import Ledger
from chordkit.export.targets.lowered import named_inputs, row_by_row
from chordkit.export.targets.runner import Runner, Vector
from chordkit.export.targets.target import ALL_PRECISIONS, Capability, Source, Target
from chordkit.quantization import MasterWeights

if TYPE_CHECKING:
    from torch.export import ExportedProgram


class OpenvinoTarget(Target):
    """Real 2-bit and 4-bit weights in the file, float32 in memory."""

    name = "openvino"
    capability = Capability(
        runtime=("openvino", "2026.4.1"),
        extra="openvino",
        suffix=".ovzip",
        precisions=ALL_PRECISIONS,
        stored_bits={0: 0, 2: 2, 4: 4, 8: 8},
        activations=("fp32",),
        user_vector=True,
        top=True,
        batch=True,
        leaves_out=True,
        refusals={"int8": "whether OpenVINO quantises the inputs of a layer depends on its size and on the processor"},
        computing={"fp32": "weights are widened to float32 once, when the file is loaded"},
        note="weights are widened to float32 when the file is loaded",
    )
    imports = ("chordkit.export.targets.openvino.quiet",)
    lowered_form = "the OpenVINO model in memory, computed by OpenVINO's reference operators"

    def lower(self, spec: ArtifactSpec, source: Source) -> bytes:
        from chordkit.export.targets.openvino.lower import lower

        return lower(*self._arguments(spec, source), spec.top)

    def lowered(self, spec: ArtifactSpec, source: Source) -> ScoresFn:
        from chordkit.export.targets.openvino.lower import model
        from chordkit.export.targets.openvino.quiet import runtime

        made, openvino = model(*self._arguments(spec, source)), runtime()

        def scores(history: Ids, user: Vector | None, candidates: Ids) -> Scores:
            given = named_inputs(history, user, candidates)
            result = openvino.Tensor(openvino.Type.f32, openvino.Shape(list(candidates.shape)))
            made.evaluate([result], [openvino.Tensor(given[each.get_any_name()]) for each in made.inputs])
            return result.data.copy()

        return row_by_row(scores)

    def _arguments(self, spec: ArtifactSpec, source: Source) -> tuple["ExportedProgram", int, dict[str, str]]:
        from chordkit.export.program import export_program, item_count, without_off_channels

        metadata = {"precision": str(spec.precision)}
        if isinstance(source, tuple):
            metadata["fingerprint"] = source[0].fingerprint.hex()
        program = without_off_channels(export_program(source, spec.given, user_vector=spec.user_vector, batch=spec.batch))
        return program, item_count(source), metadata

    def load(
        self, data: bytes | memoryview, *, strategy: bytes | None, candidates: int, threads: int, master: bytes | memoryview | None
    ) -> Runner:
        from chordkit.export.targets.openvino.runner import OpenvinoRunner

        return OpenvinoRunner(bytes(data), threads)

    def problem_with_constants(self, data: bytes, master: MasterWeights, widths: np.ndarray) -> str | None:
        """Also whose weights the file says that they are."""
        from chordkit.export.program import kept_channels
        from chordkit.export.targets.openvino.archive import unpack

        graph, weights = unpack(data)
        if master.fingerprint.hex().encode() not in graph:
            return f"it does not say that its weights are those of the master {master.fingerprint.hex()}"
        return missing_constants(weights, master, widths, kept=kept_channels(master, widths))

    def account(self, data: memoryview, ledger: Ledger) -> None:
        from chordkit.export.targets.openvino.account import account

        account(data, ledger)

    def problem_with_file(self, data: memoryview) -> str | None:
        from chordkit.export.targets.openvino.archive import problem_with

        return problem_with(bytes(data))


TARGET = OpenvinoTarget()
