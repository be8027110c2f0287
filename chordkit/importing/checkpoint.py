"""A checkpoint of another framework: a state dict, of which every tensor is asked for by name or refused."""

import io
import os
import re
import warnings
import zipfile
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from chordkit.errors import CheckpointError
from chordkit.files import read_bytes
from chordkit.tensors import read_tensors

SNIPPET = (
    "python -c \"import torch, safetensors.torch as s; c = torch.load('{name}', map_location='cpu', weights_only=False); "
    "s.save_file({{k: v.contiguous() for k, v in c.get('state_dict', c).items()}}, 'checkpoint.safetensors')\""
)
"""Saves a state dict as safetensors, where the framework is installed and its file is trusted."""

_WRAPPERS = ("module.", "_orig_mod.")


class Checkpoint:
    """The tensors of a checkpoint, float32, each to be taken once.

    Attributes:
        name: the file, for sentences.
    """

    def __init__(self, name: str, tensors: Mapping[str, Tensor]) -> None:
        for wrapper in _WRAPPERS:  # of DataParallel and torch.compile
            if tensors and all(key.startswith(wrapper) for key in tensors):
                tensors = {key.removeprefix(wrapper): tensor for key, tensor in tensors.items()}
        for key, tensor in tensors.items():
            if not tensor.is_floating_point():
                raise CheckpointError(f"{name}: {key!r} is {tensor.dtype}, and weights are floating-point numbers: give a state dict")
        self.name, self._left = name, {key: tensor.float() for key, tensor in tensors.items()}

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> "Checkpoint":
        """Read a state dict from safetensors, or from torch's own format if it holds tensors alone.

        Raises:
            InputError: no such file.
            CheckpointError: it is neither, or holds Python objects.
        """
        if str(path).endswith(".safetensors"):
            try:
                return cls(str(path), read_tensors(read_bytes(path, "checkpoint"))[0])
            except ValueError as error:
                raise CheckpointError(f"{path}: not a checkpoint: {error}; save the state dict again") from None
        return cls(str(path), _torch_file(path))

    def count(self, prefix: str) -> int:
        """How many modules ``prefix``0, ``prefix``1, ... there are."""
        numbers = [int(found[1]) for key in self._left if (found := re.match(re.escape(prefix) + r"(\d{1,4})\.", key))]
        return max(numbers, default=-1) + 1

    def has(self, name: str) -> bool:
        """Whether there is a tensor of this name that nobody has taken."""
        return name in self._left

    def take(self, name: str, dimensions: int) -> Tensor:
        """The tensor ``name``, of so many dimensions.

        Raises:
            CheckpointError: there is none, or of others.
        """
        if name not in self._left:
            raise CheckpointError(f"{self.name}: the tensor {name!r} is missing: it is no checkpoint of that model; check --from")
        tensor = self._left.pop(name)
        if tensor.dim() != dimensions:
            raise CheckpointError(f"{self.name}: {name!r} has the shape {list(tensor.shape)}, not {dimensions} dimensions; check --from")
        return tensor

    def take_modules(self, table: Mapping[str, str], dimensions: int) -> dict[str, Tensor]:
        """Weights, of so many dimensions, and biases of the modules that ``table`` names, under the names that it gives them."""
        found = {}
        for theirs, ours in table.items():
            found[f"{ours}.weight"] = self.take(f"{theirs}.weight", dimensions)
            found[f"{ours}.bias"] = self.take(f"{theirs}.bias", 1)
        return found

    def require_all_taken(self, framework: str) -> None:
        """Refuse what nothing was made of.

        Raises:
            CheckpointError: names it.
        """
        if self._left:
            names = ", ".join(map(repr, sorted(self._left)[:5])) + (", ..." if len(self._left) > 5 else "")
            raise CheckpointError(
                f"{self.name}: {framework} has no {names}, so the model computes something else: "
                "bring it as a module of your own (ck.adapt, docs/your-model.md)"
            )


def _torch_file(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    data = read_bytes(path, "checkpoint")
    snippet = SNIPPET.format(name=os.fspath(path))
    try:
        _require_uncompressed(data)
        with warnings.catch_warnings(action="ignore"):  # of pickle protocols, which nobody can do anything about
            content: Any = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:
        if isinstance(error, MemoryError):
            raise
        # Whatever a file of somebody's makes torch say: for people it is one of two things.
        raise CheckpointError(
            f"{path}: not read, since it holds Python objects beside tensors (RecBole's files do), or is damaged; "
            f"where the framework is installed, save its tensors alone: {snippet}"
        ) from None
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not content or not all(map(_is_plain, *zip(*content.items(), strict=True))):
        raise CheckpointError(f"{path}: it holds no state dict (names and dense tensors); save one: {snippet}")
    return content


def _require_uncompressed(data: bytes) -> None:
    """Refuse an archive that unpacks to more than it has; torch writes none.

    Raises:
        ValueError: it does.
    """
    if data[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > len(data):
                raise ValueError("it unpacks to more than it has")


def _is_plain(name: object, value: object) -> bool:
    """Whether this is a named tensor that takes no more memory than the file has of it."""
    if not (isinstance(name, str) and isinstance(value, Tensor) and value.layout == torch.strided and value.device.type == "cpu"):
        return False
    return value.nbytes <= value.untyped_storage().nbytes()
