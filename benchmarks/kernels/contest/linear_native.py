"""A layer in the native engine, in each form."""

from functools import partial

import numpy as np

from chordkit.kernels import Form, NativeLinear
from chordkit.kernels.engine import native
from contest.contender import Array, Bound, Contender
from contest.linear import LinearCase, attempts


def native_linears(case: LinearCase) -> list[Contender]:
    """``chord_linear_run`` with fixed buffers for each form, and the Python call for the form that is taken by default."""
    forms = [(f"{form.name} (C call)", "int8", partial(_c_call, case, form)) for form in Form]
    return attempts(case, "chordkit", [*forms, ("AUTO (NativeLinear call)", "int8", partial(_python_call, case))], {})


def _layer(case: LinearCase, form: Form) -> NativeLinear:
    return NativeLinear(case.codes, case.scales, case.widths, case.bias, max_rows=case.rows, form=form)


def _c_call(case: LinearCase, form: Form) -> Bound:
    ffi, lib = native()
    layer = _layer(case, form)
    x, y = np.zeros((case.rows, case.in_features), np.float32), np.zeros((case.rows, case.out_features), np.float32)
    pointers = ffi.from_buffer("float[]", x), ffi.from_buffer("float[]", y)
    run = partial(lib.chord_linear_run, layer._layer, case.rows, *pointers, layer._scratch, layer.scratch_bytes)
    return Bound(partial(_write, x, layer), run, y.copy, "chord_linear_run through cffi, buffers bound once")


def _python_call(case: LinearCase) -> Bound:
    layer = _layer(case, Form.AUTO)
    x = np.zeros((case.rows, case.in_features), np.float32)
    run = partial(layer, x)
    return Bound(partial(_write, x, layer), run, run, "NativeLinear(x): checks, and a new array in every call")


def _write(x: Array, _layer: NativeLinear, array: Array) -> None:
    x[:] = array  # the layer is an argument so that it lives as long as the binding
