"""What a module would be, before memory is taken for it: how a file's sizes are held against its tensors."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks
from torch.overrides import TorchFunctionMode

# A module of ours holds little besides its state: a mask [length, length], and what it keeps of the master weights.
_UNSAVED_BYTES = 64 << 20


# What only fills a tensor or a mask: on the meta device there is nothing to fill, and torch loads its compiler (seconds) to find that out.
_FILLING = (Tensor.normal_, Tensor.uniform_, Tensor.triu, Tensor.tril, nn.init.normal_, nn.init.uniform_, nn.init.kaiming_uniform_)


class _Unfilled(TorchFunctionMode):
    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        if function in _FILLING:
            return args[0] if args else given["tensor"]
        return function(*args, **given)


def require_outline(make: Callable[[], nn.Module], tensors: Mapping[str, Tensor]) -> None:
    """Refuse sizes that are not those of ``tensors``, whatever they are: nothing of ``make``'s takes memory here, and it ends at the first
    tensor too many, so that a small file cannot ask for more than it holds.

    Args:
        make: builds the module; it is called once, on torch's ``meta`` device.
        tensors: the state that the module is to take.

    Raises:
        RuntimeError: ``make`` builds another module than one with this state, or one that cannot be; in words.
    """
    left = len(tensors)
    unsaved, most = 0, _UNSAVED_BYTES + sum(each.nbytes for each in tensors.values())

    def parameter(module: nn.Module, name: str, value: nn.Parameter | None) -> None:
        nonlocal left
        if value is not None:
            left -= 1
            _require(left >= 0, "it says that there are more tensors than the file has")

    def buffer(module: nn.Module, name: str, value: Tensor | None) -> None:
        nonlocal unsaved
        if value is not None:
            unsaved += value.nbytes
            _require(unsaved <= most, "it says that it needs far more memory than its tensors")

    with (
        hooks.register_module_parameter_registration_hook(parameter),
        hooks.register_module_buffer_registration_hook(buffer),
        torch.device("meta"),
        _Unfilled(),
    ):
        try:
            wanted = {name: tuple(value.shape) for name, value in make().state_dict().items()}
        except (OverflowError, TypeError) as error:
            raise RuntimeError(f"it says that it has a size that none can have: {error}") from None
    found = {name: tuple(value.shape) for name, value in tensors.items()}
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            raise RuntimeError(f"{name}: the file has {_shape(found.get(name))}, its configuration says {_shape(wanted.get(name))}")


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise RuntimeError(what)


def _shape(shape: tuple[int, ...] | None) -> str:
    return "no such tensor" if shape is None else f"shape {list(shape)}"
