"""ExecuTorch's runtime from Python, without its compiler.

``executorch.runtime`` imports all of ``executorch.exir`` for the class of one warning, four of the five seconds that it takes to import.
What both call is this one extension module.
"""

import importlib
from types import ModuleType
from typing import Any


def bindings() -> ModuleType:
    """ExecuTorch's extension module.

    Raises:
        ImportError: ExecuTorch, or PyTorch, whose libraries it links to, is not installed.
    """
    import torch  # noqa: F401  (loads the libraries)

    return importlib.import_module("executorch.extension.pybindings._C")


class Program:
    """A program that ExecuTorch has loaded and checked, and those of its methods that have been asked for.

    Raises:
        ImportError: ExecuTorch is not installed.
        RuntimeError: the data is no program.
    """

    def __init__(self, data: bytes) -> None:
        executorch = bindings()
        self._data = data  # mapped, not copied
        self._program = executorch._load_program_from_buffer(data, program_verification=executorch.Verification.InternalConsistency)
        self._methods: dict[str, Any] = {}

    @property
    def method_names(self) -> set[str]:
        """Of all methods."""
        return {self._program.get_method_name(index) for index in range(self._program.num_methods())}

    def load_method(self, name: str) -> Any:
        """A method, loaded once: called with a tuple of tensors it gives a list of them; ``method_meta()`` has their shapes."""
        if name not in self._methods:
            self._methods[name] = self._program.load_method(name)
        return self._methods[name]
