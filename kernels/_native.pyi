"""The compiled cffi module; its declarations are those of the C headers (kernels/build.py)."""

from typing import Any

ffi: Any
lib: Any
