"""What is read off devices of several makers, by the scripts that run on them."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from chordkit.errors import DeviceError
from chordkit.runtime_bench.android import state
from chordkit.runtime_bench.android.processors import Choice, measuring_cluster
from chordkit.runtime_bench.devices.device import Completed

from .tree import NAMES, TreeShell, make_tree, read


@dataclass(frozen=True)
class Said:
    """What must come out of a device: (processors, core, highest kHz) of its clusters, the ones to measure on, and its bad states."""

    clusters: list[tuple[tuple[int, ...], str | None, int | None]]
    big: tuple[int, ...]
    little: tuple[int, ...]
    middle: tuple[int, ...] | None
    bad: tuple[str, ...]
    soc: str | None
    thermal: int | None
    temperatures: dict[str, float]
    battery: tuple[int, float, bool] | None


KNOWN = {
    "pixel-8": Said(
        [((0, 1, 2, 3), "Cortex-A510", 1704000), ((4, 5, 6, 7), "Cortex-A715", 2367000), ((8,), "Cortex-X3", 2914000)],
        big=(8,),
        little=(0, 1, 2, 3),
        middle=(4, 5, 6, 7),
        bad=("UNLOCKED",),
        soc="Google Tensor G3",
        thermal=0,
        temperatures={"VIRTUAL-SKIN": 31.2, "BIG": 44.0, "MID": 41.5, "LITTLE": 40.0, "battery": 29.8},
        battery=(87, 28.5, True),
    ),
    # Two kinds of core share the clock of processors 3 to 6, and the shell may not use the fastest.
    "galaxy-s23": Said(
        [
            ((0, 1, 2), "Cortex-A510", 2016000),
            ((5, 6), "Cortex-A710", 2803200),
            ((3, 4), "Cortex-A715", 2803200),
            ((7,), "Cortex-X3", 3360000),
        ],
        big=(3, 4),
        little=(0, 1, 2),
        middle=(5, 6),
        bad=("UNLOCKED",),
        soc="QTI SM8550",
        thermal=1,
        temperatures={"TYPE_CPU": 24.0, "TYPE_SKIN": 36.9, "TYPE_BATTERY": 24.4},
        battery=(64, 30.1, True),
    ),
    # Empty and hot: the highest frequency is held down.
    "snapdragon-695": Said(
        [((0, 1, 2, 3, 4, 5), "Cortex-A55", 1804800), ((6, 7), "Cortex-A78", 2208000)],
        big=(6, 7),
        little=(0, 1, 2, 3, 4, 5),
        middle=None,
        bad=("UNLOCKED", "LOW-BATTERY"),
        soc="QTI SM6375",
        thermal=2,
        temperatures={"skin-msm-therm-usr": 43.4, "cpu0-silver-usr": 61.2, "cpu1-gold-usr": 66.0, "battery": 40.1},
        battery=(14, 40.1, False),
    ),
    # A big core sleeps, and the service knows no temperatures, so the kernel's zones speak.
    "helio-g99": Said(
        [((0, 1, 2, 3, 4, 5), "Cortex-A55", 2000000), ((6, 7), "Cortex-A76", 2200000)],
        big=(6,),
        little=(0, 1, 2, 3, 4, 5),
        middle=None,
        bad=("UNLOCKED",),
        soc="Mediatek MT6789V/CD",
        thermal=0,
        temperatures={"mtktscpu": 45.21, "mtktsAP": 33.9, "mtktsbattery": 31.0},
        battery=(100, 31.0, True),
    ),
    # Rooted, with locked clocks; a charge of 25 % is not low.
    "exynos-2200": Said(
        [((0, 1, 2, 3), "Cortex-A510", 1824000), ((4, 5, 6), "Cortex-A710", 2515200), ((7,), "Cortex-X2", 2803200)],
        big=(7,),
        little=(0, 1, 2, 3),
        middle=(4, 5, 6),
        bad=("DEBUGGABLE",),
        soc="Samsung s5e9925",
        thermal=0,
        temperatures={"AP": 34.2, "BAT": 31.0, "SKIN": 32.7},
        battery=(25, 31.0, True),
    ),
    # API 26: no thermal service, no capacities, and a /proc/cpuinfo that describes one core without saying which.
    "nexus-5x": Said(
        [((0, 1, 2, 3), None, 1440000), ((4, 5), None, 1824000)],
        big=(4, 5),
        little=(0, 1, 2, 3),
        middle=None,
        bad=("UNLOCKED",),
        soc="msm8992",
        thermal=None,
        temperatures={"tsens_tz_sensor0": 34.0, "tsens_tz_sensor1": 36.0, "pm8994_tz": 33.0, "battery": 31.2, "tsens_tz_sensor1#5": 38.0},
        battery=(55, 31.2, False),
    ),
    "emulator-x86": Said(
        [((0, 1, 2, 3), None, None)],
        big=(0, 1, 2, 3),
        little=(0, 1, 2, 3),
        middle=None,
        bad=("DEBUGGABLE", "EMULATOR"),
        soc="AOSP ranchu",
        thermal=0,
        temperatures={"TYPE_SKIN": 30.8},
        battery=(100, 25.0, True),
    ),
    "raspberry-pi-4": Said(
        [((0, 1, 2, 3), "Cortex-A72", 1500000)],
        big=(0, 1, 2, 3),
        little=(0, 1, 2, 3),
        middle=None,
        bad=("UNLOCKED",),
        soc=None,
        thermal=None,
        temperatures={"cpu-thermal": 48.312},
        battery=None,
    ),
}


@pytest.fixture(params=NAMES)
def device(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[TreeShell, Said]:
    return TreeShell(make_tree(request.param, tmp_path)), KNOWN[request.param]


def test_the_machine_of_each_device(device: tuple[TreeShell, Said]) -> None:
    shell, said = device
    machine = state.read_machine(shell)
    assert [(each.cpus, each.core, each.max_khz) for each in machine.clusters] == said.clusters
    assert machine.cores == sum(len(cpus) for cpus, _, _ in said.clusters)
    assert (machine.android.soc if machine.android else None) == said.soc
    emulator = "EMULATOR" in said.bad
    assert (machine.emulated, machine.virtual) == (emulator, emulator)
    assert (machine.abi, machine.architecture) == (("x86_64", "x86_64") if emulator else ("arm64-v8a", "aarch64"))
    assert machine.kernel == "6.1.25-android14-11" and 1 << 30 < machine.memory_bytes < 16 << 30
    assert ("asimd" in machine.flags) != emulator and machine.cpu != "unknown"


def test_the_state_of_each_device(device: tuple[TreeShell, Said]) -> None:
    shell, said = device
    now = state.read_state(shell)
    assert now.bad == said.bad
    assert (now.thermal_status, now.temperatures_c) == (said.thermal, said.temperatures)
    charge = now.battery
    assert (charge and (charge.level_percent, charge.temperature_c, charge.powered)) == said.battery
    assert now.load_average is not None and now.load_average[0] < 3
    for clock in now.clusters:
        assert clock.governor and clock.allowed_min_khz and clock.allowed_max_khz
        assert clock.khz and all(
            clock.allowed_min_khz <= each <= clock.allowed_max_khz or "snapdragon" in str(shell.root) for each in clock.khz
        )


@pytest.mark.parametrize("choice", ["big", "middle", "little"])
def test_the_processors_to_measure_on(device: tuple[TreeShell, Said], choice: Choice) -> None:
    shell, said = device
    online, allowed = state.usable_cpus(shell)
    expected = getattr(said, choice)
    clusters = state.read_machine(shell).clusters
    if expected is None:
        with pytest.raises(DeviceError, match="none between"):
            measuring_cluster(clusters, online, allowed, choice)
    else:
        assert measuring_cluster(clusters, online, allowed, choice).cpus == expected


def test_locked_clocks_of_a_device_are_seen_as_they_are(tmp_path: Path) -> None:
    now = state.read_state(TreeShell(make_tree("exynos-2200", tmp_path)))
    assert [(clock.governor, set(clock.khz)) for clock in now.clusters] == [
        ("performance", {1824000}),
        ("performance", {2515200}),
        ("performance", {2803200}),
    ]


def test_a_clock_that_is_held_down_shows_beside_what_it_could_do(tmp_path: Path) -> None:
    shell = TreeShell(make_tree("snapdragon-695", tmp_path))
    assert state.read_machine(shell).clusters[1].max_khz == 2208000
    assert state.read_state(shell).clusters[1].allowed_max_khz == 1651200


def test_an_empty_machine_is_described_without_guesses(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    shell = TreeShell(tmp_path)
    machine, now = state.read_machine(shell), state.read_state(shell)
    assert (machine.android, machine.clusters, machine.flags, machine.cores, machine.memory_bytes) == (None, (), (), 1, 0)
    assert (now.clusters, now.battery, now.thermal_status, now.temperatures_c, now.bad, now.load_average) == ((), None, None, {}, (), None)
    with pytest.raises(DeviceError, match="none to measure on"):
        measuring_cluster(machine.clusters, *state.usable_cpus(shell))


def test_an_answer_that_is_cut_off_is_no_answer(tmp_path: Path) -> None:
    class Cut(TreeShell):
        def run(self, command: list[str], timeout_s: float) -> Completed:  # type: ignore[override]
            done = super().run(command, timeout_s)
            return Completed(0, done.stdout[: len(done.stdout) // 2], "")

    with pytest.raises(DeviceError, match="cut off"):
        state.read_machine(Cut(make_tree("pixel-8", tmp_path)))


def test_an_emulated_board_says_so(tmp_path: Path) -> None:
    shell = TreeShell(make_tree("raspberry-pi-4", tmp_path))
    board = tmp_path / "proc" / "device-tree" / "compatible"
    board.parent.mkdir()
    board.write_bytes(b"linux,dummy-virt\0")
    assert state.read_machine(shell).emulated


def test_every_device_is_known() -> None:
    assert set(NAMES) == set(KNOWN)
    assert all(read(name, "cpuinfo.txt") for name in NAMES)
