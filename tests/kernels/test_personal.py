"""Personal files in C: the master that Python makes of one, byte for byte, or a refusal that leaves none."""

import json
from pathlib import Path

import numpy as np
import pytest

from chordkit.kernels import available
from chordkit.kernels.engine import native
from chordkit.quantization import read_personal, write_personal
from chordkit.strategy import Strategy, to_wire, wire_bytes
from tests.kernels.conftest import SMALL, random_master

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "personal.json").read_text())
pytestmark = pytest.mark.skipif(not available(), reason="the native engine was not compiled")


def expanded(data: bytes, spare: int = 0, shift: int = 0) -> tuple[int, str, bytes]:
    """Status, sentence and memory after the attempt: ``spare`` bytes more than needed, ``shift`` bytes from where they should start."""
    ffi, lib = native()
    found = ffi.new("chord_personal *", {"struct_size": ffi.sizeof("chord_personal")})
    diagnosis = ffi.new("chord_diagnosis *", {"struct_size": ffi.sizeof("chord_diagnosis")})
    lib.chord_personal_query(ffi.from_buffer(data), len(data), found, ffi.NULL)
    size = (found.master_bytes or 4096) + spare
    memory = np.full(size + shift, 0xA5, np.uint8)
    status = lib.chord_personal_expand(ffi.from_buffer(data), len(data), ffi.from_buffer(memory[shift:]), size, diagnosis)
    return status, ffi.string(diagnosis.text).decode(), memory[shift:].tobytes()


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("architecture", SMALL)
def test_a_file_expands_into_the_master_that_python_makes_of_it(architecture: str, bits: int) -> None:
    master = random_master(SMALL[architecture], bits)
    widths = np.random.default_rng(0).choice([0, 2, 4, 8], master.channel_table.channels).astype(np.uint8)
    data = write_personal(master, widths)
    status, _, memory = expanded(data)
    read = read_personal(data)
    assert status == 0 and memory == read.master.to_bytes()
    ffi, lib = native()
    wire, fingerprint = ffi.new("char[]", wire_bytes(widths.size)), ffi.from_buffer(read.master.fingerprint)
    assert lib.chord_personal_strategy(ffi.from_buffer(data), len(data), fingerprint, wire, len(wire), ffi.NULL) == lib.CHORD_OK
    assert bytes(ffi.buffer(wire)) == to_wire(Strategy(read.master_widths, read.master.fingerprint))
    too_few = lib.chord_personal_strategy(ffi.from_buffer(data), len(data), fingerprint, wire, len(wire) - 1, ffi.NULL)
    assert too_few == lib.CHORD_NO_MEMORY


def test_the_golden_file_is_what_it_was() -> None:
    ffi, lib = native()
    data = bytes.fromhex(GOLDEN["bytes"])
    found = ffi.new("chord_personal *", {"struct_size": ffi.sizeof("chord_personal")})
    assert lib.chord_personal_query(ffi.from_buffer(data), len(data), found, ffi.NULL) == lib.CHORD_OK
    assert (bytes(ffi.buffer(found.fingerprint)).hex(), found.channels) == (GOLDEN["fingerprint"], len(GOLDEN["widths"]))
    assert found.strategy_bytes == wire_bytes(found.channels)
    assert expanded(data) == (lib.CHORD_OK, "", bytes.fromhex(GOLDEN["expanded"]))
    assert expanded(data, spare=64)[2] == bytes.fromhex(GOLDEN["expanded"]) + b"\xa5" * 64


@pytest.mark.parametrize("case", GOLDEN["refused"], ids=lambda case: case["case"])
def test_a_damaged_file_is_refused_and_leaves_no_master(case: dict[str, str]) -> None:
    status, sentence, memory = expanded(bytes.fromhex(case["bytes"]))
    assert status == native()[1].CHORD_BAD_MASTER and sentence.startswith(("personal file: ", "master weights: "))
    assert not memory.startswith(b"CHRM")


def test_memory_that_is_too_small_or_begins_between_numbers_is_not_written() -> None:
    _, lib = native()
    data = bytes.fromhex(GOLDEN["bytes"])
    for status, wrong in ((lib.CHORD_NO_MEMORY, {"spare": -1}), (lib.CHORD_BAD_ARGUMENT, {"shift": 2})):
        found, sentence, memory = expanded(data, **wrong)
        assert found == status and sentence.startswith("personal file: ") and set(memory) == {0xA5}
