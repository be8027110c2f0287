"""One layer of mixed widths in the native engine: what ``chord::linear`` computes, and how large layers are measured."""

from enum import IntEnum

import numpy as np

from chordkit.errors import InputError
from chordkit.kernels.engine import native


class Form(IntEnum):
    """How the weights are kept: by size, as int8 panels, or packed at their widths."""

    AUTO = 0
    EXPANDED = 1
    DIRECT = 2


class NativeLinear:
    """``y = x W^T + bias`` with channels of 2, 4 and 8 bits; rows of ``x`` are quantised to 8 bits on the way.

    Args:
        codes: int8 ``[out, in]`` at the chosen widths (``quantization.select_codes``).
        scales: float32 ``[out]``.
        widths: uint8 ``[out]`` in {0, 2, 4, 8}.
        bias: float32 ``[out]`` or None.
        max_rows: most rows of ``x`` in one call.
        form: how the weights are kept.
        relu: whether the result is clamped at 0.
        variant: name of a kernel variant; None takes the fastest one that this CPU supports.

    Raises:
        InputError: shapes that do not fit, a code outside the grid of its width, or a variant that is not there.
        MissingRuntimeError: the package was installed without a C compiler.
    """

    def __init__(
        self,
        codes: np.ndarray,
        scales: np.ndarray,
        widths: np.ndarray,
        bias: np.ndarray | None = None,
        *,
        max_rows: int = 1,
        form: Form = Form.AUTO,
        relu: bool = False,
        variant: str | None = None,
    ) -> None:
        ffi, lib = native()
        self._ffi, self._lib = ffi, lib
        codes, widths = np.ascontiguousarray(codes, np.int8), np.ascontiguousarray(widths, np.uint8)
        scales = np.ascontiguousarray(scales, np.float32)
        biases = None if bias is None else np.ascontiguousarray(bias, np.float32)
        self.out_channels, self.in_features = codes.shape
        self.max_rows = max_rows
        if any(array is not None and array.shape != (self.out_channels,) for array in (scales, widths, biases)):
            raise InputError(f"linear: scales, widths and bias must each have {self.out_channels} elements")
        name = ffi.NULL if variant is None else ffi.new("char[]", variant.encode())
        options = ffi.new(
            "chord_linear_options *",
            {
                "struct_size": ffi.sizeof("chord_linear_options"), "form": int(form), "out_channels": self.out_channels,
                "in_features": self.in_features, "max_rows": max_rows, "relu": relu, "variant": name,
            },
        )  # fmt: skip
        diagnosis = ffi.new("chord_diagnosis *", {"struct_size": ffi.sizeof("chord_diagnosis")})
        layer_bytes, scratch_bytes = ffi.new("uint64_t *"), ffi.new("uint64_t *")
        width_data = ffi.from_buffer("uint8_t[]", widths)
        self._check(lib.chord_linear_sizes(options, width_data, layer_bytes, scratch_bytes, diagnosis), diagnosis)
        self.layer_bytes, self.scratch_bytes = int(layer_bytes[0]), int(scratch_bytes[0])
        # numpy asks for huge pages where an array has some MB: a tenth to a third of the time of a layer of 16 MB.
        self._memory = ffi.from_buffer(np.zeros(self.layer_bytes, np.uint8))
        self._scratch = ffi.from_buffer(np.zeros(self.scratch_bytes, np.uint8))
        layer = ffi.new("chord_linear **")
        status = lib.chord_linear_open(
            options, ffi.from_buffer("int8_t[]", codes), ffi.from_buffer("float[]", scales), width_data,
            ffi.NULL if biases is None else ffi.from_buffer("float[]", biases), self._memory, self.layer_bytes, layer, diagnosis,
        )  # fmt: skip
        self._check(status, diagnosis)
        self._layer = layer[0]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """float32 ``[rows, in]`` to float32 ``[rows, out]``. One call at a time: the scratch memory is the layer's own.

        Raises:
            InputError: a wrong shape; or ``x`` or a result is not finite.
        """
        x = np.ascontiguousarray(x, np.float32)
        if x.ndim != 2 or x.shape[1] != self.in_features or len(x) > self.max_rows:
            raise InputError(f"linear: x {list(x.shape)} is not [at most {self.max_rows}, {self.in_features}]")
        y = np.empty((len(x), self.out_channels), np.float32)
        buffer = self._ffi.from_buffer
        status = self._lib.chord_linear_run(
            self._layer, len(x), buffer("float[]", x), buffer("float[]", y), self._scratch, self.scratch_bytes
        )
        if status == self._lib.CHORD_NOT_FINITE:
            row = int(np.flatnonzero(~np.isfinite(y).all(axis=1))[0])
            raise InputError(f"linear: row {row} is not finite: its x, or the layer's scales and biases, are too large to compute with")
        self._check(status)
        return y

    def _check(self, status: int, diagnosis: object = None) -> None:
        if status != self._lib.CHORD_OK:
            text = "" if diagnosis is None else self._ffi.string(diagnosis.text).decode(errors="replace")  # type: ignore[attr-defined]
            raise InputError(text or self._ffi.string(self._lib.chord_status_text(status)).decode())
