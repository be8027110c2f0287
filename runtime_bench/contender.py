"""What is measured: a name, a recipe that makes its runner in this process or in a fresh one, and the files that a device needs."""

import hashlib
import importlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chordkit.errors import DeviceError
from chordkit.export.parity import Runner, Scores
from chordkit.runtime_bench.app import AppPart

Argument = str | int | float | bool | None


@dataclass(frozen=True)
class RunnerSpec:
    """How to make a runner, in a form that can be handed to another process.

    Attributes:
        factory: ``package.module:callable``; called with ``arguments`` as keywords, gives a runner.
        arguments: plain values (paths, names, numbers).
        imports: the runtime's packages, imported before loading is timed.
    """

    factory: str
    arguments: Mapping[str, Argument] = field(default_factory=dict)
    imports: tuple[str, ...] = ()

    def create(self) -> Runner:
        """Make the runner here.

        Raises:
            DeviceError: the factory does not exist. What the factory itself raises is passed on.
        """
        module_name, _, name = self.factory.partition(":")
        try:
            factory = getattr(importlib.import_module(module_name), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise DeviceError(f"runner factory {self.factory!r} cannot be imported ({error}); give it as package.module:callable") from None
        return factory(**self.arguments)

    def to_json(self) -> str:
        """The recipe as one line of JSON."""
        return json.dumps({"factory": self.factory, "arguments": dict(self.arguments), "imports": list(self.imports)})

    @staticmethod
    def from_json(text: str) -> "RunnerSpec":
        """The recipe that :meth:`to_json` wrote."""
        value: dict[str, Any] = json.loads(text)
        return RunnerSpec(value["factory"], value["arguments"], tuple(value["imports"]))


@dataclass(frozen=True)
class Contender:
    """One entry of a benchmark.

    Attributes:
        name, target, precision: by what it goes.
        spec: how a process of this machine makes its runner.
        file: what is shipped for it; None for eager PyTorch, which has no artifact and runs on this machine only.
        strategy: the file of its strategy, where that is not part of ``file``.
        user: the file of its user vector, as the target's program takes it.
        master: the file of the master weights, where the target's programs are called with them.
        app: what an installed app is told of it, where it is measured there; the other files are those of the same artifact.
        top: how many of its candidates it gives; None = all scores.
        batch: histories in a call.
        check: given scores float32 ``[histories, candidates]``, or ids and scores ``[histories, 2, top]``, raises CheckFailed when they are
            not those of its reference.
    """

    name: str
    target: str
    precision: str
    spec: RunnerSpec
    file: Path | None = None
    strategy: Path | None = None
    user: Path | None = None
    master: Path | None = None
    app: AppPart | None = None
    top: int | None = None
    batch: int = 1
    check: Callable[[Scores], None] | None = None

    @property
    def file_bytes(self) -> int | None:
        """Size of the artifact.

        Raises:
            DeviceError: the file is not there.
        """
        return None if self.file is None else len(_content(self.file))

    @property
    def sha256(self) -> str | None:
        """Of the artifact, hexadecimal.

        Raises:
            DeviceError: the file is not there.
        """
        return None if self.file is None else hashlib.sha256(_content(self.file)).hexdigest()

    @property
    def strategy_sha256(self) -> str | None:
        """Of the strategy's file, hexadecimal.

        Raises:
            DeviceError: the file is not there.
        """
        return None if self.strategy is None else hashlib.sha256(_content(self.strategy)).hexdigest()


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        raise DeviceError(f"{file}: no such artifact to measure; export it first") from None
