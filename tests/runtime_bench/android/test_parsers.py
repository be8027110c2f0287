"""Whatever a device writes is a result or nothing: no parser breaks on it."""

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chordkit.errors import DeviceError
from chordkit.runtime_bench.android import battery, cores, processors, properties, script, state, thermal
from chordkit.runtime_bench.results import ClusterState, Machine, State

from .tree import NAMES, TreeShell, make_tree, read

# Text that looks like the real thing: lines of real answers, cut, mixed and with other numbers put in.
LINES = sorted({line for name in NAMES for file in ("getprop.txt", "thermalservice.txt", "battery.txt", "cpuinfo.txt", "files.txt")
                for line in read(name, file).splitlines()})  # fmt: skip
NUMBERS = st.one_of(
    st.integers(-(10**30), 10**30).map(str), st.sampled_from(["NaN", "1e999", "-0", "", "٣", "0x", "99999999999", "0-9999"])
)


@st.composite
def mangled(draw: st.DrawFn) -> str:
    """Lines of several devices, some with a number exchanged or cut somewhere."""
    lines = draw(st.lists(st.sampled_from(LINES), max_size=30))
    changed = []
    for line in lines:
        kind = draw(st.integers(0, 3))
        if kind == 1:
            line = line[: draw(st.integers(0, len(line)))]
        elif kind == 2:
            line = re.sub(r"\d+", lambda _: draw(NUMBERS), line, count=3)
        changed.append(line)
    return draw(st.sampled_from(["\n", "\r\n", "\n\n"])).join(changed)


TEXT = st.one_of(st.text(max_size=400), mangled())


@given(TEXT)
def test_properties_are_a_build_or_none(text: str) -> None:
    found = properties.parse(text)
    build = properties.android(found)
    assert build is None or 0 <= build.sdk < 10_000
    assert set(properties.bad_states(found)) <= {"DEBUGGABLE", "EMULATOR", "ENG-BUILD"}


@given(TEXT, TEXT, st.sampled_from(["big", "middle", "little"]))
def test_processors_are_clusters_that_share_none(files: str, info: str, choice: processors.Choice) -> None:
    found = state.parse_files(files)
    clusters = processors.clusters(found, processors.parse_cpuinfo(info))
    numbers = [cpu for cluster in clusters for cpu in cluster.cpus]
    assert len(numbers) == len(set(numbers)) and all(cluster.cpus for cluster in clusters)
    processors.unlocked(processors.cluster_states(found, clusters))
    try:
        chosen = processors.measuring_cluster(clusters, numbers, None, choice)
    except DeviceError:
        assert not clusters or choice == "middle"
    else:
        assert chosen in clusters


@given(TEXT)
def test_temperatures_are_plausible_or_left_out(text: str) -> None:
    found = thermal.service_temperatures(text) | thermal.zones(state.parse_files(text))
    assert all(0 < value < 125 for value in found.values())
    assert thermal.status(text) in (None, 0, 1, 2, 3, 4, 5, 6)


@given(TEXT)
def test_a_battery_has_a_charge_of_at_most_100(text: str) -> None:
    found = battery.parse(text)
    assert found is None or 0 <= found.level_percent <= 100
    assert battery.low(found) == (found is not None and found.level_percent < 25)


@given(st.text(max_size=60))
def test_a_list_of_processors_is_numbers_or_nothing(text: str) -> None:
    assert all(0 <= cpu < 1024 for cpu in processors.parse_cpu_list(text))


@given(st.sets(st.integers(0, 1023), min_size=1))
def test_a_list_of_processors_comes_back(cpus: set[int]) -> None:
    assert processors.parse_cpu_list(",".join(map(str, sorted(cpus)))) == tuple(sorted(cpus))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.dictionaries(st.sampled_from([line.partition("\t")[0] for line in LINES if line.startswith("/")]), TEXT, max_size=6))
def test_a_machine_with_any_files_is_described(content: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> None:
    root: Path = make_tree("pixel-8", tmp_path_factory.mktemp("tree"))
    for path, text in content.items():
        place = root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text.encode(errors="replace"))
    shell = TreeShell(root)
    machine, now = state.read_machine(shell), state.read_state(shell)
    assert Machine.model_validate_json(machine.model_dump_json()) == machine
    assert State.model_validate_json(now.model_dump_json()) == now


@given(st.text(), st.text(), st.integers(0, 255))
def test_a_mark_is_believed_only_as_it_was_made(before: str, after: str, status: int) -> None:
    mark = "chord-0123456789abcdef"
    assert script.unwrap(f"{before}\n{mark} {status}\n{after}", mark) == (status, before + after)
    assert script.unwrap(f"{before}\nchord-fedcba9876543210 {status}\n", mark) is None


def test_numbers_of_cores_that_no_table_knows_are_shown() -> None:
    assert cores.core_name(0x41, 0xD0B) == "Cortex-A76"
    assert (cores.core_name(0x41, 0xABC), cores.core_name(0x99, 1)) == ("Arm 0xabc", "0x99 0x001")


@pytest.mark.parametrize(
    ("low", "high", "governor", "moves"),
    [
        (300, 900, "schedutil", True),
        (300, 900, None, True),
        (900, 900, "schedutil", False),
        (300, 900, "performance", False),
        (300, 900, "userspace", False),
        (None, 900, "schedutil", False),
    ],
)
def test_a_clock_is_unlocked_when_it_may_move(low: int | None, high: int, governor: str | None, moves: bool) -> None:
    clock = ClusterState(cpus=(0,), governor=governor, khz=(), allowed_min_khz=low, allowed_max_khz=high)
    assert processors.unlocked([clock]) is moves


UNITS = [("42000", 42.0), ("312", 31.2), ("41", 41.0), ("0", None), ("-40000", None), ("125000", None), ("150", None), ("1e3", None)]


@pytest.mark.parametrize(("raw", "celsius"), UNITS)
def test_the_unit_of_a_zone_is_seen_in_its_number(raw: str, celsius: float | None) -> None:
    zone = f"{thermal.ZONES}3"
    expected = {} if celsius is None else {"soc": celsius}
    assert thermal.zones({f"{zone}/temp": raw, f"{zone}/type": "soc"}) == expected


def test_builds_for_engineers_and_other_emulators_are_named() -> None:
    assert properties.bad_states({"ro.build.type": "eng", "ro.debuggable": "1"}) == ("DEBUGGABLE", "ENG-BUILD")
    for emulator in ({"ro.boot.qemu": "1"}, {"ro.hardware": "cutf_cvm"}, {"ro.product.model": "Android SDK built for arm64"}):
        assert properties.bad_states(emulator) == ("EMULATOR",)
    assert properties.bad_states({"ro.hardware": "qcom", "ro.kernel.qemu": "0"}) == ()


def test_a_device_without_a_battery_has_none() -> None:
    assert battery.parse("Current Battery Service state:\n  present: false\n  level: 0\n  scale: 100\n") is None
    assert battery.parse("level: 30\nscale: 0\n") is None
    half = battery.parse("level: 100\nscale: 200\n")
    assert half is not None and (half.level_percent, half.temperature_c, half.powered) == (50, None, False)
