"""ExecuTorch, bound: the same input tensors in every call, the output not cloned.

``set_inputs`` once and ``execute`` alone afterwards is no option: planned memory of the inputs is used again inside the program, and
the second call reads ids that are no ids any more (tried with 1.5.1).
"""

from collections.abc import Sequence

import numpy as np
import torch

from contest.contender import Array, Bound

HOW = "forward(inputs, clone_outputs=False) with the same torch tensors, thread pool of 1, XNNPACK delegate"


def bind_executorch(data: bytes, inputs: Sequence[tuple[tuple[int, ...], type]]) -> Bound:
    """A ``.pte`` file; ``inputs`` are shapes and types of its inputs."""
    from chordkit.export.targets.executorch.lower import quiet

    with quiet():
        import executorch.kernels.quantized  # noqa: F401  (registers embedding_byte)
        from executorch.extension.pybindings import portable_lib

        if portable_lib._threadpool_get_thread_count() != 1:
            portable_lib._unsafe_reset_threadpool(1)
        module = portable_lib._load_for_executorch_from_buffer(data)
    arrays = [np.zeros(shape, dtype) for shape, dtype in inputs]
    tensors = tuple(torch.from_numpy(array) for array in arrays)
    result: list[list[torch.Tensor]] = [[]]
    keep = data  # the module reads the buffer in place

    def write(*given: Array) -> None:
        for array, value in zip(arrays, given, strict=True):
            np.copyto(array, value.reshape(array.shape))

    def run() -> None:
        result[0] = module.forward(tensors, clone_outputs=False)

    def read() -> Array:
        assert keep
        return result[0][0].numpy().copy()

    return Bound(write, run, read, HOW)
