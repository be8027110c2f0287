"""Scores of an artifact on another machine, without timing anything: what ``validate --stages --arm64`` judges."""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from uuid import uuid4

import numpy as np

from chordkit.errors import CapabilityError, CheckFailed, DeviceError
from chordkit.export.artifact import Artifact
from chordkit.export.parity import Scores, VectorSet
from chordkit.export.targets import find_target
from chordkit.quantization import MasterWeights
from chordkit.runtime_bench.android.lock import clear_leftovers, lock
from chordkit.runtime_bench.bundles import takes_wire
from chordkit.runtime_bench.devices.device import Device
from chordkit.runtime_bench.launching import ProgramWay, Purpose, RefusedError, Room
from chordkit.runtime_bench.runners.launch import Launch
from chordkit.runtime_bench.runners.programs import Program, program_for
from chordkit.strategy import encode_user_vector, quantize_user_vector

ARM64 = "qemu-user:cortex-a76"
"""Emulated arm64 with the runtimes' own aarch64 packages."""


@dataclass(frozen=True)
class ScoresOn:
    """Runs artifacts on ``device``; an ``Elsewhere`` of :mod:`chordkit.export.stages`.

    Attributes:
        device: where.
        master: the weights that the artifacts are made of.
    """

    device: Device
    master: MasterWeights
    _programs: dict[str, Program] = field(default_factory=dict)

    def __call__(self, artifact: Artifact, data: bytes, strategy: bytes | None, vectors: VectorSet) -> Scores:
        """Scores ``[n, candidates]`` of ``vectors``.

        Raises:
            CapabilityError: the device has nothing that runs this target; the sentence says what is missing.
            CheckFailed: its runtime refuses the file.
            DeviceError: the device went away, or its program failed.
        """
        program = self._program(artifact.target)
        scores = np.empty(vectors.candidates.shape, np.float32)
        with lock(self.device), tempfile.TemporaryDirectory(prefix="chordkit-elsewhere-") as here:
            clear_leftovers(self.device)
            room = Room(self.device, Path(here), f"{self.device.folder}/{uuid4().hex[:12]}")
            with room.kept():
                for rows, user in _by_user(vectors):
                    scores[rows] = self._launch(room, program, artifact, (data, strategy, user), vectors.rows(rows))
        return scores

    def _program(self, target: str) -> Program:
        if target not in self._programs:
            found = program_for(target, self.device)
            if isinstance(found, str):
                raise CapabilityError(f"{self.device.name} cannot run {target}: {found}")
            self._programs[target] = found
        return self._programs[target]

    def _launch(
        self, room: Room, program: Program, artifact: Artifact, files: tuple[bytes, bytes | None, np.ndarray | None], vectors: VectorSet
    ) -> Scores:
        data, strategy, user = files
        target = find_target(artifact.target)
        native = target.capability.suffix is None
        contents = {f"artifact{target.capability.suffix or '.chrm'}": data, "strategy.chrd": strategy if native else None}
        contents["user.bin"] = None if user is None else self._user(user, wire=takes_wire(target))
        contents["master.chrm"] = self.master.to_bytes() if target.capability.master else None
        there = {PurePosixPath(name).stem: _put(room, name, content) for name, content in contents.items() if content is not None}
        launch = Launch(
            target=program.target,
            artifact=there["artifact"],
            strategy=there.get("strategy"),
            user=there.get("user"),
            master=there.get("master"),
            histories=room.put_array(vectors.histories, "histories.i32"),
            candidates=room.put_array(vectors.candidates, "candidates.i32"),
            users=len(vectors.histories),
            scores=f"{room.there}/scores.f32",
            records=f"{room.there}/records.jsonl",
            pid=f"{room.there}/runner.pid",
        )
        command = (*program.prefix, room.put(program.file, program.file.name))
        try:
            answer = ProgramWay(artifact.name, room, command, launch).launch(Purpose.MEMORY)
        except RefusedError as refusal:
            raise CheckFailed(str(refusal)) from None
        if answer.scores.size != vectors.candidates.size:
            asked = vectors.candidates.size
            raise DeviceError(f"{artifact.name}: {self.device.name} gave {answer.scores.size} scores where {asked} were asked for")
        return answer.scores.reshape(vectors.candidates.shape)

    def _user(self, values: np.ndarray, *, wire: bool) -> bytes:
        return encode_user_vector(quantize_user_vector(values, self.master.fingerprint)) if wire else values.astype("<f4").tobytes()


def _by_user(vectors: VectorSet) -> list[tuple[np.ndarray, np.ndarray | None]]:
    """Rows that share a user vector, which a launch has one of."""
    if vectors.users is None:
        return [(np.arange(len(vectors.histories)), None)]
    users, which = np.unique(vectors.users, axis=0, return_inverse=True)
    return [(np.flatnonzero(which.reshape(-1) == number), user) for number, user in enumerate(users)]


def _put(room: Room, name: str, content: bytes) -> str:
    file = room.here / name
    file.write_bytes(content)
    return room.put(file, name)
