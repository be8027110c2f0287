# The two commands: `make demo` does the main job, `make test` passes the tests. Each sets up all it needs.
#
#   make demo DATA=<folder of ml-100k>   the same on MovieLens-100K
#   make test PYTEST="-k bundle -x"      some of the tests
#   make test COVERAGE=1                 half as slow again; prints what share of each folder ran
#   make apk                             the Android demo app, signed, with the demo's bundle in it (BUNDLE=FILE KEY=FILE.pub.pem: with yours)
#   make aar                             the Android library, in a folder for Gradle
#   PYTHON=python3.12 make test          another interpreter (3.11 or newer)

PYTHON ?= python3
VENV   ?= .venv
DATA   ?= synthetic
SEED   ?= 0
OUT    ?= build/demo
BIN    := $(VENV)/bin

.PHONY: help setup system system-test emulator demo test test-wheel results-small lint docs wheel readme schemas bench-kernels native-android native-arm64 executorch-ops apk aar android-tools system-apk clean
.DEFAULT_GOAL := help

help:
	@sed -n '1,/^$$/s/^# \{0,1\}//p' Makefile
	@echo "targets: demo test test-wheel results-small lint docs wheel readme schemas emulator bench-kernels native-android native-arm64 executorch-ops apk aar system setup clean"

# Packages of the system: a C compiler for the kernels; Chromium to test the report as a reader sees it.
system:
	@PYTHON="$(PYTHON)" sh scripts/system_packages.sh

# What the tests need besides: clang with its sanitizers, qemu and an arm64 compiler. Where they are missing, those tests are skipped.
system-test:
	@PYTHON="$(PYTHON)" sh scripts/system_packages.sh tests

$(VENV)/.ready: setup.cfg setup.py pyproject.toml constraints.txt scripts/setup_venv.sh $(shell find kernels/libchord -type f) $(wildcard kernels/*.py)
	@PYTHON="$(PYTHON)" sh scripts/setup_venv.sh "$(VENV)"

setup: system $(VENV)/.ready

# The emulated arm64 machine that `chordkit bench --device emulator` and the tests boot, in the user's cache. Without it those tests are skipped.
emulator: setup
	@$(BIN)/chordkit devices prepare emulator || echo "there is no emulated machine here: the tests that boot one are skipped" >&2
	@$(BIN)/python -m chordkit.runtime_bench.emulated.java || echo "there is no arm64 Java here: the tests that run it are skipped" >&2

demo: setup
	$(BIN)/chordkit demo --data "$(DATA)" --seed $(SEED) --out "$(OUT)"

test: system-test setup emulator android-tools
	$(BIN)/python -m pytest -n 2 $(if $(COVERAGE),--cov --cov-report=) $(PYTEST)
	$(if $(COVERAGE),$(BIN)/python scripts/coverage_table.py)

# The same tests against the wheel, without a source in reach.
test-wheel: system-test setup emulator
	$(BIN)/python scripts/check_wheel.py -n 2 $(PYTEST)

# The MovieLens-100K part of docs/evaluation.md from scratch, under an hour on 2 cores: CHORDKIT_DATA=<folder that holds ml-100k>. It
# leaves tables and charts in build/results-small; interrupted, the same command goes on.
results-small: setup
	$(BIN)/chordkit evaluate --data ml-100k --architecture sasrec --budget 3.0:2,4,8 --budget 2.0:0,8 --seeds 3 --jobs 2 --seen-items-masked \
		--out build/results-small

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The reference of the public Python API, build/docs/index.html.
docs: setup
	$(BIN)/python scripts/build_reference.py

wheel: setup
	$(BIN)/python -m build --wheel --outdir dist

# Rewrites the parts of README.md that are generated from the code.
readme: setup
	$(BIN)/python scripts/generate_readme.py README.md

# Rewrites the JSON schemas of the manifest, of a benchmark run and of the report.
schemas: setup
	$(BIN)/python scripts/generate_schemas.py

# The native engine beside LiteRT, ONNX Runtime, ExecuTorch, OpenVINO and PyTorch, in one interleaved run; prints the ratios.
bench-kernels: setup
	$(BIN)/python benchmarks/kernels/peers.py $(BENCH)

# What the Android builds need besides: a JDK, and clang for the native library. Their other tools are unpacked into the user's cache.
system-apk:
	@PYTHON="$(PYTHON)" sh scripts/system_packages.sh apk

# Fetched once into the user's cache. Without them the tests of the Android builds are skipped.
android-tools: setup
	@$(BIN)/python -m scripts.android tools || echo "not all that the Android builds need is here: their tests are skipped" >&2

apk: system-apk setup
	$(BIN)/python -m scripts.android apk $(if $(BUNDLE),--bundle "$(BUNDLE)" $(foreach key,$(KEY),--key "$(key)")) $(APK)

aar: system-apk setup
	$(BIN)/python -m scripts.android aar $(AAR)

# libchord.so for arm64-v8a and x86_64, without the NDK (clang-19 and lld-19 of Debian); kernels/libchord/CMakeLists.txt is for NDK users.
native-android:
	sh kernels/libchord/build_android.sh build/android

# The static runner for an arm64 device or qemu-user.
native-arm64:
	sh kernels/libchord/build_arm.sh build/arm64

# libchord_executorch.so for Linux on x86_64 and arm64 (g++-aarch64-linux-gnu); kernels/executorch/CMakeLists.txt is for NDK users.
executorch-ops: setup
	$(BIN)/python -m chordkit.kernels.executorch --target x86_64 --out build/executorch
	$(BIN)/python -m chordkit.kernels.executorch --target aarch64 --out build/executorch

clean:
	rm -rf build dist *.egg-info
