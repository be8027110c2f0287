"""Master files: what a strategy makes of them, by a second reading of docs/patching.md, and what is refused."""

import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from chordkit.errors import PatchError, StrategyError
from chordkit.patching import MasterFile, PatchedLayer, PatchTable, attached, carries_table
from chordkit.strategy import Strategy, to_wire
from tests.golden.common import FINGERPRINT, FOLDER

GOLDEN = json.loads((FOLDER / "patch.json").read_text())
FILES = {case["case"]: bytes.fromhex(case["bytes"]) for case in GOLDEN["accepted"]}
LOW, HIGH = {2: -2, 4: -7}, {2: 1, 4: 7}


def by_the_book(data: bytes, widths: list[int]) -> bytes:
    """docs/patching.md word by word, a byte at a time and without numpy."""
    (size,) = struct.unpack_from("<I", data, len(data) - 8)
    begin = len(data) - size
    content, channels, layers = struct.unpack_from("<III", data, begin + 16)
    result = bytearray(data[:content])
    arrays = begin + 28 + 24 * layers
    channel = 0
    for layer in range(layers):
        codes, stride, rows, columns, scales = struct.unpack_from("<5I", data, begin + 28 + 24 * layer)
        for row in range(rows):
            width, at = widths[channel], scales + 4 * row
            for column in range(columns):
                place = codes + row * stride + column
                code = result[place] - 256 * (result[place] > 127)
                if width in (2, 4):
                    (ratio,) = struct.unpack_from("<h", data, arrays + 8 * channels + 2 * (channel + channels * (width == 4)))
                    code = min(max((code * ratio + 16384) >> 15, LOW[width]), HIGH[width])
                result[place] = 0 if width == 0 else code % 256
            if width in (2, 4):
                from_ = arrays + 4 * (channel + channels * (width == 4))
                result[at : at + 4] = data[from_ : from_ + 4]
            elif width == 0:
                result[at : at + 4] = data[begin + 28 + 24 * layer + 20 :][:4]
            channel += 1
    return bytes(result)


@pytest.mark.parametrize("case", FILES)
def test_every_strategy_gives_what_the_page_says(case: str) -> None:
    everybody = MasterFile(FILES[case])
    random = np.random.default_rng(4)
    for _ in range(200):
        widths = random.choice(np.array([0, 2, 4, 8], np.uint8), everybody.channels)
        assert everybody.patched(to_wire(Strategy(widths, FINGERPRINT))) == by_the_book(FILES[case], widths.tolist())


def test_eight_bits_everywhere_is_the_file_without_its_table() -> None:
    everybody = MasterFile(FILES["aligned"])
    assert everybody.patched(to_wire(Strategy(np.full(everybody.channels, 8, np.uint8), FINGERPRINT))) == everybody.content
    assert FILES["aligned"].startswith(everybody.content) and not carries_table(everybody.content)
    assert carries_table(FILES["aligned"]) and carries_table(FILES["a gap"])


def test_one_strategy_leaves_no_trace_in_the_next() -> None:
    everybody = MasterFile(FILES["aligned"])
    wires = [to_wire(Strategy(np.full(everybody.channels, width, np.uint8), FINGERPRINT)) for width in (0, 2, 4, 8)]
    first = [everybody.patched(wire) for wire in wires]
    assert [everybody.patched(wire) for wire in wires[::-1]] == first[::-1]


def test_every_changed_bit_is_refused() -> None:
    data = FILES["a gap"]
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(PatchError, match=r"^patch table: "):
            MasterFile(bytes(changed))


def test_a_damaged_strategy_is_refused_and_the_next_one_is_not() -> None:
    everybody = MasterFile(FILES["aligned"])
    wire = to_wire(Strategy(np.full(everybody.channels, 4, np.uint8), FINGERPRINT))
    with pytest.raises(StrategyError, match=r"^strategy: CRC: "):
        everybody.patched(wire[:-1] + bytes([wire[-1] ^ 1]))
    with pytest.raises(StrategyError, match=r"^strategy: fingerprint: "):
        everybody.patched(to_wire(Strategy(np.full(everybody.channels, 4, np.uint8), bytes(8))))
    assert everybody.patched(wire) == by_the_book(FILES["aligned"], [4] * everybody.channels)


def test_a_table_that_does_not_fit_its_content_cannot_be_attached() -> None:
    table = PatchTable(FINGERPRINT, (PatchedLayer(0, 4, 2, 4, 8, 1.0),), np.ones((2, 2), np.float32), np.ones((2, 2), np.int16))
    assert MasterFile(attached(bytes(16), table)).channels == 2
    with pytest.raises(PatchError, match=r"^patch table: places: "):
        attached(bytes(15), table)
    with pytest.raises(PatchError, match=r"^patch table: content: "):
        attached(bytes(16), table, bytes(17))


def test_patching_loads_neither_torch_nor_a_runtime() -> None:
    script = (
        "import sys, json; from pathlib import Path; from chordkit.patching import MasterFile\n"
        "golden = json.loads(Path(sys.argv[1]).read_text())['accepted'][0]\n"
        "made = golden['made'][-1]\n"
        "assert MasterFile(bytes.fromhex(golden['bytes'])).patched(bytes.fromhex(made['bytes'])).hex() == made['result']\n"
        "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules} - set(sys.stdlib_module_names))))"
    )
    said = subprocess.run([sys.executable, "-c", script, str(FOLDER / "patch.json")], capture_output=True, text=True, check=True).stdout
    loaded = set(json.loads(said))
    assert {"chordkit", "numpy"} <= loaded
    assert not {"torch", "onnx", "onnxruntime", "ai_edge_litert", "flatbuffers", "executorch", "pydantic", "scipy"} & loaded


def test_the_command_writes_the_users_file_and_names_what_is_wrong(command, tmp_path: Path) -> None:
    case = GOLDEN["accepted"][0]
    made = next(each for each in case["made"] if each["strategy"] == "some off")
    everybody, strategy, out = tmp_path / "everybody.tflite", tmp_path / "17.chrd", tmp_path / "17.tflite"
    everybody.write_bytes(bytes.fromhex(case["bytes"]))
    strategy.write_bytes(bytes.fromhex(made["bytes"]))
    outcome = command("patch", everybody, "--strategy", strategy, "--out", out, "--json")
    assert outcome.status == 0 and json.loads(outcome.out)["bytes"] == out.stat().st_size
    assert out.read_bytes().hex() == made["result"]
    out.unlink()
    strategy.write_bytes(bytes.fromhex(GOLDEN["refused"]["strategies"][0]["bytes"]))
    outcome = command("patch", everybody, "--strategy", strategy, "--out", out)
    assert outcome.status == 2 and "17.chrd: strategy: fingerprint: " in outcome.err and not out.exists()
    everybody.write_bytes(bytes.fromhex(made["result"]))
    outcome = command("patch", everybody, "--strategy", strategy, "--out", out)
    assert outcome.status == 2 and "everybody.tflite: patch table: table: " in outcome.err and not out.exists()
