"""Where a call's instructions go under qemu-user: the parts are the whole, layers have their own lines, numbers repeat."""

import dataclasses
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from chordkit.backbones import BackboneConfig, CaserConfig, SASRecConfig
from chordkit.errors import DeviceError
from chordkit.runtime_bench.emulated import prepared
from chordkit.runtime_bench.runners.launch import Launch
from chordkit.runtime_bench.runners.native import native_program
from chordkit.runtime_bench.runners.profile import CALL, QEMU, Profile, counted, plugin_library, profile_contender, profile_native
from chordkit.strategy import Strategy, encode
from tests.kernels.conftest import random_master
from tests.runtime_bench.measured import launch_in

CPU = "cortex-a76"
USERS = 3
SASREC = SASRecConfig(items=90, dim=32, max_length=12, blocks=2, heads=2, norm_first=True)
CASER = CaserConfig(items=90, dim=32, max_length=10, heights=(2, 3), filters=16, vertical_filters=3)


@pytest.fixture(scope="module", autouse=True)
def ready() -> None:
    if shutil.which(QEMU) is None:
        pytest.skip(f"{QEMU} (qemu-user) is not installed")
    try:
        plugin_library()
        native_program("arm64-v8a", profiled=True)
    except DeviceError as error:
        if "apt-get install" not in str(error):  # what a compiler refuses is a fault of ours
            raise
        pytest.skip(str(error))


def launch_of(config: BackboneConfig, folder: Path, widths: dict[str, int] | None = None) -> Launch:
    """A model with 8 bits everywhere but in the layers of ``widths``; histories of three lengths."""
    master = random_master(config)
    chosen = np.full(master.channel_table.channels, 8, np.uint8)
    for layer in master.channel_table.layers:
        chosen[layer.offset : layer.offset + layer.out_channels] = (widths or {}).get(layer.name, 8)
    rng = np.random.default_rng(3)
    histories = rng.integers(1, config.items + 1, (USERS, config.max_length)).astype(np.int32)
    for user in range(USERS):
        histories[user, : user * config.max_length // (USERS + 1)] = 0
    candidates = rng.integers(1, config.items + 1, (USERS, 20)).astype(np.int32)
    folder.mkdir()
    return launch_in(
        folder, "native", histories, candidates, master.to_bytes(), encode(Strategy(chosen, master.fingerprint), allow_off=True)
    )


def profile(config: BackboneConfig, folder: Path, widths: dict[str, int] | None = None) -> Profile:
    return profile_native(launch_of(config, folder, widths), CPU)


def own(found: Profile, config: BackboneConfig) -> dict[str, float]:
    """The lines of layers."""
    names = [layer.name for layer in random_master(config).channel_table.layers]
    return {part: value for part, value in found.by_layer.items() if part.startswith(tuple(names))}


@pytest.mark.parametrize("config", [SASREC, CASER], ids=lambda config: config.architecture)
def test_the_parts_are_the_whole_and_the_harness_is_a_few_instructions(config: BackboneConfig, tmp_path: Path) -> None:
    launch = launch_of(config, tmp_path / "a")
    found = profile_native(launch, CPU)
    assert sum(found.by_layer.values()) == pytest.approx(sum(found.by_function.values()), rel=1e-12)
    # The whole, counted without looking at any part: everything between two numbers of calls.
    program = [str(native_program("arm64-v8a", profiled=True))]
    runs = [counted(plugin_library(), [*program, *launch.counting(calls).arguments()], CPU) for calls in (USERS, 101 * USERS)]
    whole = (runs[1].parts.total() - runs[0].parts.total()) / (100 * USERS)
    assert 0 < whole - found.instructions < 60
    assert CALL not in found.by_function and CALL not in found.by_layer


def test_a_single_history_is_encoded_in_every_call(tmp_path: Path) -> None:
    launch = launch_of(SASREC, tmp_path / "a")
    ids = [np.fromfile(file, "<i4").reshape(USERS, -1)[:1] for file in (launch.histories, launch.candidates)]
    found = profile_contender(Path(launch.artifact), Path(str(launch.strategy)), None, *ids, CPU)
    # The memory of the last history would leave the candidates' scores, and no layer.
    assert {f"blocks.{block}.ffn1" for block in range(SASREC.blocks)} <= set(own(found, SASREC))


def test_every_layer_of_the_channel_table_has_a_line_of_its_own_or_shares_one_product(tmp_path: Path) -> None:
    lines = own(profile(SASREC, tmp_path / "sasrec"), SASREC)
    last = [f"blocks.1.{name}" for name in ("query", "key", "value", "output", "ffn1", "ffn2")]
    first = ["blocks.0.query+key+value", "blocks.0.output", "blocks.0.ffn1", "blocks.0.ffn2"]
    assert sorted(lines) == sorted([*first, *last])
    # One position instead of all.
    assert lines["blocks.0.ffn2"] > 3 * lines["blocks.1.ffn2"]
    assert sorted(own(profile(CASER, tmp_path / "caser"), CASER)) == ["fc", "horizontal.0+1", "vertical"]


def test_a_wider_layer_changes_its_own_line_and_that_of_its_reader_alone(tmp_path: Path) -> None:
    narrow = own(profile(SASREC, tmp_path / "narrow"), SASREC)
    wide = own(profile(dataclasses.replace(SASREC, ffn_dim=64), tmp_path / "wide"), SASREC)
    assert {name for name in narrow if narrow[name] != wide[name]} == {f"blocks.{block}.ffn{part}" for block in (0, 1) for part in (1, 2)}


def test_a_narrow_layer_changes_no_line_because_all_widths_are_multiplied_as_8_bits(tmp_path: Path) -> None:
    assert profile(SASREC, tmp_path / "narrow", {"blocks.0.ffn1": 2}) == profile(SASREC, tmp_path / "whole")


def test_a_layer_that_is_off_and_its_reader_have_shorter_lines(tmp_path: Path) -> None:
    off, whole = (
        own(profile(SASREC, tmp_path / name, widths), SASREC) for name, widths in (("off", {"blocks.0.ffn1": 0}), ("whole", None))
    )
    # What is left of both is the one block of sixteen lanes that a product has at least.
    assert off.keys() == whole.keys()
    assert {name for name in whole if off[name] != whole[name]} == {"blocks.0.ffn1", "blocks.0.ffn2"}
    assert all(off[f"blocks.0.ffn{part}"] < whole[f"blocks.0.ffn{part}"] for part in (1, 2))


def test_code_and_data_are_those_of_a_call(tmp_path: Path) -> None:
    found = profile(SASREC, tmp_path / "a")
    program = native_program("arm64-v8a", profiled=True)
    assert found.code_bytes % 4 == 0 and 4_000 < found.code_bytes < program.stat().st_size
    weights = sum(layer.out_channels * layer.in_features for layer in random_master(SASREC).channel_table.layers)
    assert found.bytes_read > weights and found.bytes_written > 0
    longer = profile(dataclasses.replace(SASREC, ffn_dim=64), tmp_path / "b")
    assert longer.bytes_read > found.bytes_read


def test_a_contender_is_profiled_by_its_files_and_the_bench_inputs(tmp_path: Path) -> None:
    launch = launch_of(SASREC, tmp_path / "a")
    histories, candidates = (np.fromfile(file, "<i4").reshape(USERS, -1) for file in (launch.histories, launch.candidates))
    artifact, strategy = Path(launch.artifact), Path(str(launch.strategy))
    assert profile_contender(artifact, strategy, None, histories, candidates, CPU) == profile_native(launch, CPU)
    scalar = profile_contender(artifact, None, None, histories, candidates, "cortex-a53", variant="scalar")
    assert scalar.instructions > 3 * profile_contender(artifact, None, None, histories, candidates, "cortex-a53").instructions
    histories[0, -1] = 1000
    with pytest.raises(DeviceError, match="user 0"):
        profile_contender(artifact, strategy, None, histories, candidates, CPU)


def test_an_emulator_that_is_missing_or_takes_no_plugins_is_named_with_the_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    launch = launch_of(SASREC, tmp_path / "a")
    (tmp_path / "bin").mkdir()
    plugin = plugin_library()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(DeviceError, match="apt-get install qemu-user"):
        counted(plugin, ["program", *launch.arguments()], CPU)
    refusing = tmp_path / "bin" / QEMU
    refusing.write_text("#!/bin/sh\necho \"qemu: unknown option 'plugin'\" >&2; exit 1\n")
    refusing.chmod(0o755)
    with pytest.raises(DeviceError, match="without plugins"):
        counted(plugin, ["program", *launch.arguments()], CPU)


def test_a_plugin_without_a_compiler_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(DeviceError, match="apt-get install gcc"):
        plugin_library()


def test_the_plugin_is_taken_by_a_qemu_of_another_version_of_the_interface(tmp_path: Path) -> None:
    made = prepared()
    if made is None:
        pytest.skip("the emulated machine is not prepared")
    out = tmp_path / "out"
    command = [*made.qemu_system, "-M", "none", "-nodefaults", "-display", "none", "-monitor", "stdio"]
    command += ["-plugin", f"{plugin_library()},out={out},root={CALL}"]
    done = subprocess.run(command, input="quit\n", capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert out.read_text() == "data 0 0\nlayers 0\n"
