"""LiteRT (TensorFlow Lite): a ``.tflite`` file, written without a converter (``docs/targets/litert.md``)."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from chordkit.export.artifact import Activations, ArtifactSpec, Layout
from chordkit.export.parity import ScoresFn, VectorSet
from chordkit.export.targets.constants import missing_constants
from chordkit.export.targets.filetype import problem_with_flatbuffer
from chordkit.export.targets.ledger import Ledger
from chordkit.export.targets.lowered import named_inputs, row_by_row
from chordkit.export.targets.runner import Runner
from chordkit.export.targets.target import ALL_PRECISIONS, Capability, Source, Target
from chordkit.quantization import MasterWeights

if TYPE_CHECKING:
    from torch.export import ExportedProgram

REQUIRED_VERSION = "2.3.0"
"""The runtime that the files are tested with; int2 weights and per-row tables are silently wrong in much older ones."""


class LitertTarget(Target):
    """Real 2-bit and 4-bit weights, float32 or int8 activations, on XNNPACK."""

    name = "litert"
    capability = Capability(
        runtime=("ai-edge-litert", REQUIRED_VERSION),
        extra="litert",
        suffix=".tflite",
        precisions=ALL_PRECISIONS,
        stored_bits={0: 2, 2: 2, 4: 4, 8: 8},
        activations=("fp32", "int8"),
        user_vector=True,
        top=True,
        batch=True,
        layouts=("size", "speed"),
        leaves_out=True,
        computing={
            "fp32": "weights are widened to float32 once, when the file is loaded; XNNPACK multiplies",
            "int8": "XNNPACK multiplies int8 and int4 weights with rows of 8-bit activations; int2 ones are LiteRT's own kernel's",
        },
        note="channels that are off are left out where one other layer reads them, and are stored as narrow as the others elsewhere",
    )
    imports = ("ai_edge_litert.interpreter",)
    lowered_form = "the operators and constants of the file, run in numpy"

    def lower(self, spec: ArtifactSpec, source: Source) -> bytes:
        from chordkit.export.targets.litert.lower import lower

        program = self._program(spec, source, spec.given, spec.batch)
        return lower(program, spec.activations or "fp32", spec.layout or "size", self.profile(spec.runtime), top=spec.top)

    def lowered(self, spec: ArtifactSpec, source: Source) -> ScoresFn:
        from chordkit.export.targets.litert.interpret import interpret
        from chordkit.export.targets.litert.lower import graph

        program = self._program(spec, source, spec.candidates)
        made = graph(program, spec.activations or "fp32", spec.layout or "size", self.profile(spec.runtime))
        return row_by_row(lambda history, user, ids: interpret(made, named_inputs(history, user, ids)))

    def _program(self, spec: ArtifactSpec, source: Source, candidates: int | None, batch: int = 1) -> "ExportedProgram":
        from chordkit.export.program import export_program, without_off_channels

        program = export_program(source, candidates, user_vector=spec.user_vector, batch=batch)
        return program if spec.layout == "speed" else without_off_channels(program)  # the layout speed is one file for everybody

    def load(
        self, data: bytes | memoryview, *, strategy: bytes | None, candidates: int, threads: int, master: bytes | memoryview | None
    ) -> Runner:
        from chordkit.export.targets.litert.runner import LitertRunner

        return LitertRunner(bytes(data), threads)

    def problem_with_constants(self, data: bytes, master: MasterWeights, widths: np.ndarray) -> str | None:
        from chordkit.export.program import kept_channels

        # The scores' factor may lie in the query's scales, and a reader has its inputs in the order of its writer's channels.
        heads = int(master.config.get("heads", 1))  # type: ignore[arg-type]
        factors = (1.0, (master.dim // heads) ** -0.5)
        return missing_constants(data, master, widths, factors=factors, reordered=True, kept=kept_channels(master, widths))

    def problem_with_file(self, data: memoryview) -> str | None:
        return problem_with_flatbuffer(data, "TFL3")

    def before_patch_table(self, size: int) -> bytes | None:
        return b""  # a flatbuffer is followed from its beginning

    def emulate(
        self,
        activations: Activations,
        master: MasterWeights,
        widths: np.ndarray | None,
        vectors: VectorSet,
        layout: Layout = "size",
    ) -> NDArray[np.floating] | None:
        """The reference with activations quantised where the file quantises them."""
        if activations == "fp32":
            return None
        from chordkit.export.program import kept_channels
        from chordkit.export.targets.litert.emulation import emulated

        widths = np.full(master.channel_table.channels, 8, np.uint8) if widths is None else widths
        return emulated(master, widths, vectors, kept_channels(master, widths) if layout == "size" else {})

    def account(self, data: memoryview, ledger: Ledger) -> None:
        from chordkit.export.targets.litert.account import account

        account(data, ledger)


TARGET = LitertTarget()
