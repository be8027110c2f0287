"""A program that measures an artifact of LiteRT or ONNX Runtime on the machine that it is copied to.

It is copied there as one file, an archive that Python runs (``python_program`` of :mod:`chordkit.runtime_bench.runners.python`), and needs
Python 3.9, numpy and the runtime's package, and nothing of chordkit. Options and
records are those of ``chord_runner`` (``kernels/libchord/tools/runner/runner.h``, ``runtime_bench/records.py``). What is timed, through the
Python package:

- litert: ``Interpreter.invoke()``; the inputs are set before.
- onnx: ``InferenceSession.run_with_iobinding()``; inputs and output are bound before.

Memory is what loading and calling add to a process that has imported the runtime. ExecuTorch has a program of its own,
:mod:`chordkit.runtime_bench.runners.executorch`.
"""
