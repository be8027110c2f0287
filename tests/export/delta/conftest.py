"""The C applier in this process, and bundles that differ as those of an owner do."""

import ctypes
import io
import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chordkit.export.bundle import container
from chordkit.kernels import build as libchord
from chordkit.quantization import MasterWeights, QuantizedTable, quantize_table

DELTA = libchord.LIBCHORD / "delta"
STATUSES = ("OK", "BAD_ARGUMENT", "DAMAGED", "TOO_NEW", "TOO_LARGE", "OTHER_BASE", "BAD_RESULT", "NOT_WRITTEN")


class _Diagnosis(ctypes.Structure):
    _fields_ = (("struct_size", ctypes.c_uint32), ("text", ctypes.c_char * 188))


@dataclass(frozen=True)
class Applied:
    """What C answered: the status' name, the sentence, and what was written until then."""

    status: str
    sentence: str
    result: bytes

    @property
    def check(self) -> str:
        """The check that refused, or "" ."""
        return "" if self.status == "OK" else self.sentence.split(": ")[1]


class Native:
    """``chord_delta.h`` for tests."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._apply = library.apply

    def apply(self, base: bytes, data: bytes, largest: int = 1 << 32, room: int = 1 << 20) -> Applied:
        # Buffers of just their size, so that a sanitizer, or luck, sees what is read behind them.
        old, given = (ctypes.create_string_buffer(each, len(each)) if each else None for each in (base, data))
        out, written, diagnosis = ctypes.create_string_buffer(room), ctypes.c_size_t(), _Diagnosis(ctypes.sizeof(_Diagnosis))
        size, u64 = ctypes.c_size_t, ctypes.c_uint64
        status = self._apply(
            old,
            size(len(base)),
            given or b"",
            size(len(data)),
            u64(largest),
            out,
            size(room),
            ctypes.byref(written),
            ctypes.byref(diagnosis),
        )
        assert status >= 0
        return Applied(STATUSES[status], diagnosis.text.decode(), out.raw[: written.value])


def sources() -> list[Path]:
    """What ``delta/sources.txt`` lists, and the adapter for zlib."""
    patterns = [line for line in (DELTA / "sources.txt").read_text().splitlines() if line and not line.startswith("#")]
    return [*(path for pattern in patterns for path in sorted(libchord.LIBCHORD.glob(pattern))), DELTA / "adapters" / "inflate_zlib.c"]


@pytest.fixture(scope="session")
def applier_sources() -> list[Path]:
    return sources()


@pytest.fixture(scope="session")
def compile_applier(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Builds the applier and what is given besides; skips where there is no C compiler or no zlib."""
    compiler = next((path for name in ("gcc", "clang-19", "clang", "cc") if (path := shutil.which(name))), None)
    folder = tmp_path_factory.mktemp("applier")

    def build(name: str, *arguments: object, without: Sequence[Path] = ()) -> Path:
        if compiler is None:
            pytest.skip("there is no C compiler")
        found = subprocess.run([compiler, "-E", "-x", "c", "-"], input="#include <zlib.h>", capture_output=True, text=True)
        if found.returncode:
            pytest.skip("zlib.h is not installed (zlib1g-dev)")
        strict = ("-Wconversion", "-Wshadow", "-Werror", "-O1", "-fPIC")
        files = [str(path) for path in sources() if path not in without]
        command = [compiler, *libchord.flags(), *strict, *files, *map(str, arguments), "-o", str(folder / name)]
        built = subprocess.run(command, capture_output=True, text=True)
        assert built.returncode == 0, built.stderr
        return folder / name

    return build


@pytest.fixture(scope="session")
def native(compile_applier: Callable[..., Path]) -> Native:
    return Native(ctypes.CDLL(str(compile_applier("libchord_delta.so", "-shared", Path(__file__).parent / "native" / "apply.c", "-lz"))))


@pytest.fixture(scope="session")
def golden() -> dict[str, Any]:
    return json.loads((Path(__file__).parents[2] / "golden" / "difference.json").read_text())


class Shop:
    """Containers with a model of 400 items in 32 dimensions, as an owner makes them one after the other."""

    ITEMS, DIM = 400, 32

    def __init__(self) -> None:
        self.ids = ["", *(f"item-{number:05}" for number in range(1, self.ITEMS + 1))]
        floats = np.random.default_rng(0).standard_normal((self.ITEMS + 1, self.DIM)).astype(np.float32)
        floats[0] = 0
        self.table = quantize_table(floats)
        self.program = np.random.default_rng(1).bytes(6000)

    def bundle(self, codes: np.ndarray, scales: np.ndarray, ids: Sequence[str], program: bytes, note: str = "") -> bytes:
        config = {"architecture": "sasrec", "items": len(codes) - 1, "norm_eps": 1e-12}
        table = QuantizedTable(codes, scales)
        master = MasterWeights(config, {}, {"item_embedding": table}, {"final_norm.weight": np.ones(self.DIM, np.float32)})  # type: ignore[arg-type]
        members = {
            "manifest.json": json.dumps({"note": note, "items": len(ids)}).encode(),
            "master.chrm": master.to_bytes(),
            "artifacts/litert-int8.tflite": program,
            "items.json": json.dumps(list(ids)).encode(),
        }
        stream = io.BytesIO()
        container.write(stream, list(members.items()))
        return stream.getvalue()

    def first(self) -> bytes:
        return self.bundle(self.table.codes, self.table.scales, self.ids, self.program)

    def next_morning(self) -> bytes:
        """Three codes of ten moved a step, and every scale a little."""
        generator = np.random.default_rng(2)
        steps = generator.choice([-1, 0, 1], self.table.codes.shape, p=[0.15, 0.7, 0.15])
        codes = np.clip(self.table.codes + steps, -127, 127).astype(np.int8)
        codes[0] = 0
        scales = (self.table.scales * generator.uniform(0.99, 1.01, self.table.scales.shape)).astype(np.float32)
        return self.bundle(codes, scales, self.ids, self.program, "a night later")

    def with_artifact_of_it(self, bundle: bytes) -> bytes:
        """The same with a program that holds the codes of the master, as an artifact does."""
        (master,) = (each for each in container.read(memoryview(bundle), "shop") if each.entry.name == "master.chrm")
        table = MasterWeights.from_bytes(bundle[master.offset : master.offset + master.entry.size]).embeddings["item_embedding"]
        return self.bundle(table.codes, table.scales, self.ids, self.program + table.codes[1:].tobytes() + self.program[:100])

    def grown(self) -> bytes:
        """20 items more, and a program in which something was put before the rest."""
        more = np.random.default_rng(3).integers(-127, 128, (20, self.DIM)).astype(np.int8)
        codes, scales = np.concatenate([self.table.codes, more]), np.concatenate([self.table.scales, np.ones(20, np.float32)])
        return self.bundle(codes, scales, [*self.ids, *(f"new-{number}" for number in range(20))], b"something" * 9 + self.program)

    def renumbered(self) -> bytes:
        """The same items under other numbers: those of the second half first."""
        half = self.ITEMS // 2
        order = np.concatenate([[0], np.arange(half + 1, self.ITEMS + 1), np.arange(1, half + 1)])
        return self.bundle(self.table.codes[order], self.table.scales[order], [self.ids[row] for row in order], self.program)


@pytest.fixture(scope="session")
def shop() -> Shop:
    return Shop()
