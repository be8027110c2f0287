"""One sentence for an operator that a target cannot have, told to whoever wrote the model: what it is, where it stands, what to do."""

import re
from pathlib import Path

import torch
from torch.fx import Node

from chordkit.errors import CapabilityError

_FRAME = re.compile(r'File "([^"]+)", line (\d+)')
_TORCH = str(Path(torch.__file__).parent)


def refusal(node: Node, why: str = "has no lowering", target: str | None = None) -> CapabilityError:
    """The error for an operator, or a use of one, that has no form.

    Args:
        node: of an exported program.
        why: what is the matter, and the mend where there is one.
        target: that has no form for it; None = none has.
    """
    who = f"{target}: " if target else ""
    mend = "" if ";" in why else "; write it with other operators (docs/your-model.md lists them)"
    return CapabilityError(f"{who}the operator {node.target} {_place(node)} {why}{mend}")


def _place(node: Node) -> str:
    """Innermost module around ``node``, by its path in the backbone and its class, and the line of code that is not torch's."""
    path, kind = next(reversed((node.meta.get("nn_module_stack") or {"": ("", "")}).values()))
    where = path.removeprefix("backbone").removeprefix(".") or node.name
    frames = [frame for frame in _FRAME.findall(node.meta.get("stack_trace") or "") if not frame[0].startswith(_TORCH)]
    line = f", {Path(frames[-1][0]).name} line {frames[-1][1]}" if frames else ""
    return f"in {where} ({str(kind).rpartition('.')[2] or 'scorer'}{line})"
