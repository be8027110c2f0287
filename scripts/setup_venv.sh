#!/bin/sh
# Makes the virtual environment $1 with pinned packages and chordkit itself, editable, kernels compiled.
set -eu

VENV="$1"
PYTHON="${PYTHON:-python3}"
[ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV"
pip() { "$VENV/bin/python" -m pip --disable-pip-version-check --quiet "$@"; }

# torch comes first and by its exact version: asked for through another package, pip would take a newer one and its CUDA
# libraries. A machine without a GPU saves gigabytes by pointing PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL at a CPU build.
echo "setting up $VENV (the first time takes some minutes: torch and four runtimes)"
pip install -c constraints.txt "setuptools>=77" wheel cffi
pip install -c constraints.txt torch==2.13.0
pip install -c constraints.txt --no-build-isolation -e '.[dev]'
"$VENV/bin/python" -c 'import sys, chordkit.kernels as k; sys.exit(not k.available())' ||
    echo "warning: the native engine was not compiled (is there a C compiler?); everything else works" >&2
# Into the user's cache, where `make demo` and `make test` find it; 15 s of compiling the first time.
"$VENV/bin/python" -m chordkit.kernels.executorch >/dev/null ||
    echo "warning: the ExecuTorch operators were not compiled (is there a C++ compiler?); everything else works" >&2
touch "$VENV/.ready"
