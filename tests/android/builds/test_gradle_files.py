"""The Gradle project says what `make apk` and `make aar` do. Gradle's Android plug-in cannot be had here, so that its files are read."""

import json
import re
import shutil
import subprocess
import tomllib
import zipfile
from pathlib import Path

import pytest

from chordkit.kernels import build as libchord

pytest.importorskip("scripts.android", reason="only a checkout has scripts")
from scripts.android import apk, kotlin, layout, native
from scripts.android.process import BuildError
from scripts.android.tools import jdk_headers

pytestmark = pytest.mark.checkout
SCRIPTS = sorted(path for path in layout.ANDROID.rglob("*.gradle.kts") if "build" not in path.relative_to(layout.ANDROID).parts)
LIBRARY, APP = (layout.ANDROID / name / "build.gradle.kts" for name in ("chord-android", "app"))


@pytest.fixture(scope="module")
def catalogue() -> dict:
    return tomllib.loads((layout.ANDROID / "gradle" / "libs.versions.toml").read_text())


def test_all_are_written_in_kotlin(tmp_path: Path) -> None:
    """Kotlin's compiler does not know Gradle, so names stay unknown to it; only what is no Kotlin at all is a syntax error."""
    broken = [tmp_path / "first.gradle.kts", tmp_path / "last.gradle.kts"]
    for path in broken:
        path.write_text(LIBRARY.read_text().replace("alias(", "alias((", 1))
    try:
        said = kotlin.say([broken[0], *SCRIPTS, broken[1]], [])
    except BuildError as error:
        pytest.skip(str(error))
    assert len(SCRIPTS) == 7
    assert {line.split(":")[0] for line in said if "syntax error" in line} == set(map(str, broken))


def test_numbers_and_names_are_those_of_the_builds_without_gradle(catalogue: dict) -> None:
    versions, library, app = catalogue["versions"], LIBRARY.read_text(), APP.read_text()
    assert (int(versions["minSdk"]), int(versions["targetSdk"])) == (layout.MIN_SDK, layout.TARGET_SDK)
    assert int(versions["compileSdk"]) >= max(layout.COMPILE_SDK, layout.TARGET_SDK)
    assert f'namespace = "{layout.GROUP}"' in library and LIBRARY.parent.name == layout.ARTIFACT
    assert re.search(r"abiFilters \+= listOf\((.*)\)", library)[1] == ", ".join(f'"{abi}"' for abi in layout.ABIS)
    assert 'namespace = "io.chordkit.demo"' in app and 'applicationId = "io.chordkit.demo"' in app
    assert "major * 10_000 + minor * 100 + patch" in app and layout.version_code("1.2.3") == 10_203


def test_the_version_is_read_where_it_is_written() -> None:
    root = (layout.ANDROID / "build.gradle.kts").read_text()
    path, pattern = (re.search(search, root)[1] for search in (r'file\("(.*?)"\)', r'Regex\("(.*)"\)\.find'))
    declared = (layout.ANDROID / path).read_text()
    assert re.search(pattern.replace('\\"', '"'), declared)[1] == layout.VERSION


def test_every_name_of_the_catalogue_is_used_and_every_name_used_is_in_it(catalogue: dict) -> None:
    text = "\n".join(path.read_text() for path in SCRIPTS)
    used = set(re.findall(r"\blibs\.((?:\w+\.)*?\w+)(?=\)|\.get\(\))", text))
    own = {name.replace("-", ".") for name in catalogue["libraries"]}
    own |= {f"plugins.{name.replace('-', '.')}" for name in catalogue["plugins"]}
    own |= {f"versions.{name}" for name in catalogue["versions"]}
    references = {f"versions.{entry['version']['ref']}" for kind in ("libraries", "plugins") for entry in catalogue[kind].values()}
    assert used <= own and own - used - references == set()
    assert references <= {f"versions.{name}" for name in catalogue["versions"]}


def test_every_module_has_its_file_and_sources() -> None:
    settings = (layout.ANDROID / "settings.gradle.kts").read_text()
    assert 'include(":chord-android", ":app")' in settings
    optional = re.findall(r'"(\w+)"', re.search(r"listOf\((.*)\)", settings)[1])
    assert sorted(optional) == sorted(path.parent.name for path in layout.LIBRARY.glob("*/build.gradle.kts"))
    for name in optional:
        text = (layout.LIBRARY / name / "build.gradle.kts").read_text()
        assert 'sourceSets["main"].java.directories += "java"' in text and f"libs.{name})" in text
        assert f'namespace = "io.chordkit.{name}"' in text and "`maven-publish`" in text and 'singleVariant("release")' in text
        assert list((layout.LIBRARY / name / "java").rglob("*.java"))
    # The core builds without them: none of its configurations but that of the tests names one.
    for line in LIBRARY.read_text().splitlines():
        assert "chord-android-" not in line or line.strip().startswith("testImplementation(")


def test_the_app_finds_its_assets_under_the_same_names() -> None:
    text = APP.read_text()
    assert set(re.findall(r'folder\.resolve\("(.*?)"\)', text)) == {apk.BUNDLE, apk.KEYS, apk.PEOPLE}
    stored = re.findall(r'"(.*?)"', re.search(r"noCompress \+= listOf\((.*)\)", text)[1])
    assert apk.BUNDLE.endswith(stored[0]) and stored[1] == apk.KEYS


def test_consumers_get_the_rules_that_the_aar_has(built) -> None:
    (name,) = re.findall(r'consumerProguardFiles\("(.*)"\)', LIBRARY.read_text())
    with zipfile.ZipFile(built.aar) as archive:
        assert archive.read("proguard.txt") == (LIBRARY.parent / name).read_bytes()


def test_the_wrapper_says_which_gradle_and_has_no_binary() -> None:
    properties = (layout.ANDROID / "gradle" / "wrapper" / "gradle-wrapper.properties").read_text()
    assert re.search(r"^distributionUrl=https\\://services\.gradle\.org/distributions/gradle-\d+\.\d+(\.\d+)?-bin\.zip$", properties, re.M)
    listed = subprocess.run(["git", "ls-files", "android_demo"], cwd=layout.ROOT, capture_output=True, text=True, check=True).stdout
    assert not [name for name in listed.splitlines() if name.endswith((".jar", ".so", ".apk", ".aar", "gradlew"))]


def test_cmake_builds_the_same_library_from_the_same_sources(tmp_path: Path) -> None:
    if shutil.which("cmake") is None:
        pytest.skip("there is no cmake")
    try:
        headers = ";".join(map(str, jdk_headers()))
    except BuildError as error:
        pytest.skip(str(error))
    define = [f"-DCHORD_JNI_HEADERS={headers}", "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON"]
    for command in (["cmake", "-S", native.JNI, "-B", tmp_path, *define], ["cmake", "--build", tmp_path, "-j2"]):
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    # The folder has targets of which no part is asked for.
    objects = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.o")}
    built = {}
    for each in json.loads((tmp_path / "compile_commands.json").read_text()):
        words = each["command"].split()
        if (Path(each["directory"]) / words[words.index("-o") + 1]).relative_to(tmp_path).as_posix() in objects:
            built[Path(each["file"]).resolve()] = set(words)
    assert set(built) == {path.resolve() for path in native.sources()}
    assert [path for path, words in built.items() if not set(libchord.flags()) <= words] == []
    shown = subprocess.run(
        ["nm", "-D", "--defined-only", tmp_path / native.NAME], capture_output=True, text=True, check=True
    ).stdout.split()
    assert shown and all(name.startswith(("Java_io_chordkit_", "JNI_On")) for name in shown[2::3])
