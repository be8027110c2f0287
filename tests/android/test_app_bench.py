"""`chordkit bench --app` on the emulated phone: the demo app's own benchmark, in Java on arm64, behind adb, beside the command line.

There is no Android in that machine: scripts stand for ``am`` and ``pm``. Everything else is what a phone has: adb and adbd, the
files, the library as it is compiled for phones, its native part for arm64, and the logic of the app's benchmark.
"""

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chordkit.errors import DeviceError
from chordkit.runtime_bench.app import PACKAGE
from chordkit.runtime_bench.bundles import bench_bundles
from chordkit.runtime_bench.devices.emulator import booted_with
from chordkit.runtime_bench.emulated import prepared
from chordkit.runtime_bench.emulated.java import prepared_java
from chordkit.runtime_bench.results import BenchReport, Settings
from tests.runtime_bench.android.conftest import adb_server, free_port

if TYPE_CHECKING:
    from chordkit.runtime_bench.devices.emulator import Emulator

pytestmark = pytest.mark.checkout

HERE = Path(__file__).parent / "app"
QUICK = Settings(launches=1, min_samples=30, min_seconds=0.0)
NATIVE, IN_APP = "native-u5", "native-u5@app"
Shared = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="module")
def phone(shared: Shared, tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Emulator]":
    """An emulated phone with Java, where the app is as good as installed."""
    from scripts.android import java
    from scripts.android.layout import APP
    from tests.android import java_virtual_machines as machines

    pytest.importorskip("adbutils")
    runtime = prepared_java()
    if prepared() is None or runtime is None:
        pytest.skip("no emulated machine with Java is prepared; `chordkit devices prepare emulator` and the module emulated.java make them")
    debian = machines.debian()
    sources = dict.fromkeys(java.sources(*machines.SOURCES, APP / "java" / "io" / "chordkit" / "demo" / "logic"))
    library = shared("app-logic", lambda folder: java.compile_for_android(debian, sources, folder, machines.run_with(debian)))
    classes = shared(
        "bench-app", lambda folder: java.compile_for_jvm([HERE / "BenchmarkProcess.java"], folder, [library, debian.jar("jsr305")])
    )
    native = shared("native-arm64", lambda folder: machines.build_native("arm64", folder))
    with adb_server(free_port()), booted_with(runtime) as device:
        there = "/data/local/tmp/app"
        jar = tmp_path_factory.mktemp("app") / "classes.jar"  # one file: each that is pushed is checked there as well
        with zipfile.ZipFile(jar, "w") as archive:
            for folder in (library, classes):
                for path in folder.rglob("*.class"):
                    archive.write(path, path.relative_to(folder))
        device.push(jar, f"{there}/classes.jar")
        device.push(debian.jar("com.android.json"), f"{there}/json.jar")
        device.push(native / "libchord_jni.so", f"{there}/libchord_jni.so")
        *root, program = runtime.within()
        named = f"{there}/{PACKAGE}"  # a process is called as the app is
        options = [
            "-Xshare:auto",
            "-XX:+UseSerialGC",
            "-Xmx64m",
            f"-Djava.library.path={there}",
            "-cp",
            f"{there}/classes.jar:{there}/json.jar",
        ]
        folder = f"/data/sdcard/Android/media/{PACKAGE}/chordkit"
        app = f'exec {" ".join([*root, named, *options])} BenchmarkProcess {folder} "$@"\n'
        script = f"mkdir -p {folder} && ln -s /data/sdcard /sdcard && ln -s {program} {named} && printf %s '{app}' > /data/app.command"
        done = device.run(["sh", "-c", script], 20)
        assert done.status == 0, done.stderr
        yield device


@pytest.fixture
def installed(phone: "Emulator") -> "Emulator":
    """The phone with Android's commands."""
    for name in ("am", "pm"):
        phone.push(HERE / name, f"/bin/{name}")
    return phone


def _bench(phone: "Emulator", project: Path) -> BenchReport:
    key = project / "key.pub.pem"
    return bench_bundles([project / "shop.chord"], [NATIVE], QUICK, device=phone, public_key=key, app=PACKAGE)


def test_without_android_there_is_no_app(phone: "Emulator", project: Path) -> None:
    with pytest.raises(DeviceError, match="it has no Android that an app could be installed on"):
        _bench(phone, project)


def test_the_app_is_measured_beside_the_command_line(installed: "Emulator", project: Path) -> None:
    report = _bench(installed, project)
    line, app = report.result(NATIVE), report.result(IN_APP)
    assert line is not None and app is not None and app.ratio is not None
    # The same kernels on the same machine, whose clock counts instructions; a call through Java is a longer one.
    assert app.variant == line.variant and app.latency.n >= 30
    assert 1 < app.ratio.value < 10
    assert app.isolated is not None and app.isolated.adoption_us is not None
    left = installed.run(["sh", "-c", f"ls /sdcard/Android/media/{PACKAGE}/chordkit"], 20)
    assert (left.status, left.stdout.strip()) == (0, "")


def test_an_app_that_dies_is_noticed(installed: "Emulator", project: Path) -> None:
    saved = installed.run(["mv", "/data/app.command", "/data/app.command.kept"], 20)
    assert saved.status == 0
    try:
        assert installed.run(["sh", "-c", "echo 'kill -9 $$' > /data/app.command"], 20).status == 0
        with pytest.raises(DeviceError, match=f"{IN_APP}: on {installed.name} the app ended before it had answered"):
            _bench(installed, project)
    finally:
        installed.run(["mv", "/data/app.command.kept", "/data/app.command"], 20)
