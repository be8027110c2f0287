"""Every target over models of every size: each is right, or refused with a sentence; none ends the process, none raises anything else.

A few sizes always; all of them with ``CHORDKIT_ALL_SIZES=1`` (an hour on two cores: ExecuTorch takes seconds a model).
"""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from chordkit.errors import MissingRuntimeError
from chordkit.export.targets import Target, all_targets

pytestmark = pytest.mark.long

SASREC = {"architecture": "sasrec", "items": 40, "max_length": 6, "dim": 16, "blocks": 2, "heads": 2}
CASER = {"architecture": "caser", "items": 40, "max_length": 6, "dim": 16, "heights": [2, 3], "filters": 4, "vertical_filters": 2}
GRU4REC = {"architecture": "gru4rec", "items": 40, "max_length": 6, "dim": 16, "hidden": 16}


def case(config: dict[str, Any], candidates: int = 5, precision: str = "strategy", width: int = 0, table: int = 8) -> dict[str, Any]:
    return {"config": config, "candidates": candidates, "precision": precision, "width": width, "table": table}


# One number of one layer at 4 bits, tables of one column at 4 bits: what once ended the process, and an assertion of the runtime.
SMALLEST = GRU4REC | {"dim": 1, "hidden": 1, "max_length": 1, "items": 2}
FEW = [
    case(SMALLEST, 1, width=4, table=4),
    case(CASER | {"max_length": 1, "heights": [1], "filters": 1, "vertical_filters": 1}, 2, width=4),
]
SIZES = [
    *[SASREC | {"max_length": length} for length in (1, 2, 3, 50, 200)],
    *[SASREC | {"dim": dim, "heads": 1} for dim in (1, 2, 3, 7, 17, 64, 256)],
    *[SASREC | {"heads": heads, "dim": dim} for heads, dim in ((1, 16), (16, 16), (2, 2), (3, 3), (3, 33))],
    *[SASREC | {"ffn_dim": width} for width in (1, 2, 3, 255)],
    *[SASREC | {"items": items} for items in (1, 2, 3, 5001)],
    SASREC | {"dim": 1, "heads": 1, "ffn_dim": 1, "blocks": 1, "max_length": 1},
    *[CASER | {"max_length": length, "heights": [1, length]} for length in (1, 2, 3, 50)],
    *[CASER | {"dim": dim} for dim in (1, 2, 3, 17, 64)],
    *[CASER | {"filters": number, "vertical_filters": number} for number in (1, 3)],
    *[CASER | {"items": items} for items in (1, 2, 5001)],
    CASER | {"dim": 1, "filters": 1, "vertical_filters": 1, "heights": [1], "max_length": 1},
    *[GRU4REC | {"max_length": length} for length in (1, 2, 3, 50)],
    *[GRU4REC | {"dim": dim, "hidden": hidden} for dim, hidden in ((1, 1), (2, 2), (3, 5), (64, 64))],
    SMALLEST,
]
ALL = [
    *[case(config, min(5, config["items"]), *how) for config in SIZES for how in (("fp32",), ("int8",), ("strategy",), ("strategy", 4, 4))],
    *[case(config, count) for config in (SASREC, CASER, GRU4REC) for count in (1, 2, 3, 40)],
    *[case(config | {"items": 2001}, 1001) for config in (SASREC, CASER, GRU4REC)],
]
COMPLETE = bool(os.environ.get("CHORDKIT_ALL_SIZES"))


def walk(target: str, cases: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """What became of each case, and what was said; after a death the walk goes on behind it."""
    results: list[tuple[str, str]] = []
    while len(results) < len(cases):
        lines = "".join(json.dumps(each) + "\n" for each in cases[len(results) :])
        command = [sys.executable, str(Path(__file__).with_name("size_walk.py")), target]
        ran = subprocess.run(command, input=lines, capture_output=True, text=True)
        last = {number: (what, said) for number, what, said in map(json.loads, ran.stdout.splitlines())}
        assert last, ran.stderr[-2000:]
        results += [last[number] for number in sorted(last)]
    return results


@pytest.mark.parametrize("target", all_targets(), ids=str)
def test_a_model_of_any_size_is_right_or_refused_before_the_runtime_sees_it(target: Target) -> None:
    try:
        target.prepare()
    except MissingRuntimeError as error:
        pytest.skip(str(error))
    cases = [each for each in (ALL if COMPLETE else FEW) if target.knows(each["config"]["architecture"])]
    cases = [each for each in cases if each["precision"] in target.capability.precisions]
    results = walk(target.name, cases)
    told = Counter(what for what, _ in results)
    print(f"{target}: {len(cases)} models, {dict(told)}")
    wrong = [
        f"{what}: {said}: {json.dumps(each)}"
        for each, (what, said) in zip(cases, results, strict=True)
        if what not in ("passed", "refused")
    ]
    assert not wrong, "\n".join(wrong)
    for each, (what, said) in zip(cases, results, strict=True):
        if what == "refused":  # by the engine alone, whose kernels begin at 16 numbers
            assert target.capability.backbones is not None and "outside the" in said and "that this engine runs" in said, (each, said)
    assert told["passed"], "nothing was tried"
