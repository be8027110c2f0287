"""The AAR of `make aar` and the folder it lies in: what Gradle and its Android plug-in read of them."""

import hashlib
import io
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("scripts.android", reason="only a checkout has scripts")
from scripts.android import aar, java, layout

pytestmark = pytest.mark.checkout
POM = "{http://maven.apache.org/POM/4.0.0}"
ANDROID = "{http://schemas.android.com/apk/res/android}"


@pytest.fixture(scope="module")
def archive(built) -> zipfile.ZipFile:
    return zipfile.ZipFile(built.aar)


@pytest.fixture(scope="module")
def classes(archive: zipfile.ZipFile) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(archive.read("classes.jar")))


def test_the_same_sources_give_the_same_repository(build) -> None:
    first, second = (build(name).folder / "maven" for name in ("first", "second"))
    files = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert len(files) == 2 * 4 * (1 + 4)
    assert files == sorted(path.relative_to(second) for path in second.rglob("*") if path.is_file())
    assert [name for name in files if (first / name).read_bytes() != (second / name).read_bytes()] == []


def test_it_has_the_members_that_the_format_asks_for_and_no_other(archive: zipfile.ZipFile) -> None:
    assert set(archive.namelist()) == {
        "AndroidManifest.xml", "classes.jar", "R.txt", "proguard.txt", "META-INF/com/android/build/gradle/aar-metadata.properties",
        "jni/arm64-v8a/libchord_jni.so", "jni/x86_64/libchord_jni.so",
    }  # fmt: skip
    assert archive.testzip() is None and archive.read("R.txt") == b""


def test_its_manifest_adds_nothing_to_an_app(archive: zipfile.ZipFile) -> None:
    manifest = ElementTree.fromstring(archive.read("AndroidManifest.xml"))
    assert manifest.tag == "manifest" and manifest.get("package") == "io.chordkit"
    assert [(child.tag, child.attrib) for child in manifest] == [("uses-sdk", {f"{ANDROID}minSdkVersion": "26"})]


def test_its_classes_are_the_library_for_java_8(classes: zipfile.ZipFile) -> None:
    names = [name for name in classes.namelist() if name != "META-INF/MANIFEST.MF"]
    assert len(names) > 10 and all(name.startswith("io/chordkit/") and name.endswith(".class") for name in names)
    assert not [name for name in names if name.startswith("io/chordkit/demo/") or re.search(r"/R(\$|\.class)", name)]
    data = [classes.read(name) for name in names]
    assert {each[6:8] for each in data} == {b"\0\x34"}
    assert not [each for each in data if b"BootstrapMethods" in each]


def test_what_the_rules_keep_is_there(archive: zipfile.ZipFile, classes: zipfile.ZipFile) -> None:
    rules = "\n".join(line for line in archive.read("proguard.txt").decode().splitlines() if not line.startswith("#"))
    names = {name.removesuffix(".class").replace("/", ".") for name in classes.namelist()}
    kept = set(re.findall(r"\bio\.chordkit\.[\w.$]+", rules))
    assert kept and kept - names == set()


def test_names_that_native_code_looks_up_are_kept(archive: zipfile.ZipFile) -> None:
    """A class that C finds by its name, renamed by R8, would be missed only on a phone."""
    rules = archive.read("proguard.txt").decode()
    text = "".join(path.read_text() for path in (layout.JNI).glob("*.c"))
    found = {name.replace("/", ".") for name in re.findall(r'"(io/chordkit/[\w/$]+)"', text)}
    assert [name for name in sorted(found) if f"-keep class {name} " not in rules and f"-keep interface {name} " not in rules] == []
    upcalls = set(re.findall(r'GetMethodID\([^;]*?"(\w+)"', text)) - {"<init>"}
    assert [name for name in sorted(upcalls) if not re.search(rf"\b{name}\(", rules)] == []


def test_its_libraries_are_those_of_the_apk(archive: zipfile.ZipFile, built) -> None:
    with zipfile.ZipFile(built / "chord.apk") as apk:
        for abi in layout.ABIS:
            assert archive.read(f"jni/{abi}/libchord_jni.so") == apk.read(f"lib/{abi}/libchord_jni.so")


def test_the_plug_in_is_told_what_an_app_must_be_at_least(archive: zipfile.ZipFile) -> None:
    lines = archive.read("META-INF/com/android/build/gradle/aar-metadata.properties").decode().splitlines()
    told = dict(line.split("=") for line in lines)
    assert told["aarFormatVersion"] == told["aarMetadataVersion"] == "1.0"
    assert int(told["minCompileSdk"]) <= layout.MIN_SDK and told["coreLibraryDesugaringEnabled"] == "false"


def test_the_folder_is_a_maven_repository(built) -> None:
    folder = built / "maven" / "io" / "chordkit" / "chord-android"
    release = folder / layout.VERSION
    names = {f"chord-android-{layout.VERSION}{end}" for end in (".aar", ".pom", "-sources.jar")}
    assert {path.name for path in release.iterdir() if path.suffix in (".aar", ".pom", ".jar")} == names
    pom = ElementTree.parse(release / f"chord-android-{layout.VERSION}.pom").getroot()
    about = {name: pom.findtext(f"{POM}{name}") for name in ("groupId", "artifactId", "version", "packaging")}
    assert about == {"groupId": "io.chordkit", "artifactId": "chord-android", "version": layout.VERSION, "packaging": "aar"}
    assert pom.find(f"{POM}dependencies") is None
    metadata = ElementTree.parse(folder / "maven-metadata.xml")
    assert [version.text for version in metadata.iter("version")] == [layout.VERSION]
    for path in (*(release / name for name in names), folder / "maven-metadata.xml"):
        for algorithm in ("md5", "sha1", "sha256", "sha512"):
            assert path.with_name(f"{path.name}.{algorithm}").read_text() == hashlib.new(algorithm, path.read_bytes()).hexdigest()


def test_the_verifier_for_phones_before_ed25519_is_a_library_of_its_own(built) -> None:
    release = built / "maven" / "io" / "chordkit" / "chord-android-bouncycastle" / layout.VERSION
    with zipfile.ZipFile(release / f"chord-android-bouncycastle-{layout.VERSION}.aar") as archive:
        classes = zipfile.ZipFile(io.BytesIO(archive.read("classes.jar"))).namelist()
        assert classes == ["META-INF/MANIFEST.MF", "io/chordkit/trust/BouncyCastleEd25519.class"]
        assert b"io.chordkit.trust.BouncyCastleEd25519" in archive.read("proguard.txt")
        assert b'package="io.chordkit.bouncycastle"' in archive.read("AndroidManifest.xml")
        assert not [name for name in archive.namelist() if name.startswith("jni/")]
    pom = ElementTree.parse(release / f"chord-android-bouncycastle-{layout.VERSION}.pom").getroot()
    needs = [[part.text for part in dependency] for dependency in pom.iter(f"{POM}dependency")]
    assert needs[0] == ["io.chordkit", "chord-android", layout.VERSION, "compile"]
    assert needs[1][:2] == ["org.bouncycastle", "bcprov-jdk15to18"] and re.fullmatch(r"[\d.]+", needs[1][2]) and len(needs) == 2


def test_gradle_takes_it_from_the_folder(built, tmp_path: Path) -> None:
    if shutil.which("gradle") is None:
        pytest.skip("there is no Gradle")
    (tmp_path / "settings.gradle").touch()
    (tmp_path / "build.gradle").write_text(f"""
        repositories {{ maven {{ url = uri("{built / "maven"}") }} }}
        configurations {{ app }}
        dependencies {{ app "io.chordkit:chord-android:{layout.VERSION}" }}
        tasks.create("show") {{ doLast {{ configurations.app.resolve().each {{ println "resolved " + it.name }} }} }}
    """)
    command = ["gradle", "--offline", "--no-daemon", "--gradle-user-home", tmp_path / "home", "--quiet", "show"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert f"resolved chord-android-{layout.VERSION}.aar" in done.stdout.splitlines(), done.stdout + done.stderr


def test_another_version_in_the_folder_stays_and_is_listed(built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    libraries = {abi: built / "native" / abi / "libchord_jni.so" for abi in layout.ABIS}
    for version in ("0.0.8", "0.0.9"):
        monkeypatch.setattr(layout, "VERSION", version)
        made = aar.publish(aar.modules()[0], built / "work-aar" / "chord-android", libraries, tmp_path / "maven")
        assert made.name == f"chord-android-{version}.aar"
    metadata = ElementTree.parse(made.parents[1] / "maven-metadata.xml")
    assert [version.text for version in metadata.iter("version")] == ["0.0.8", "0.0.9"]
    assert metadata.findtext("versioning/release") == "0.0.9"


def test_the_sources_are_all_there(built) -> None:
    with zipfile.ZipFile(built.aar.with_name(f"chord-android-{layout.VERSION}-sources.jar")) as jar:
        assert {name for name in jar.namelist() if name.endswith(".java")} == {
            path.relative_to(java.CORE).as_posix() for path in java.sources(java.CORE)
        }
        assert all(jar.read(name) == (java.CORE / name).read_bytes() for name in jar.namelist() if name.endswith(".java"))


def test_a_program_of_a_virtual_machine_compiles_against_the_classes_alone(archive: zipfile.ZipFile, tools, tmp_path: Path) -> None:
    """No class of the interface needs one that is neither in the AAR nor of the platform."""
    (tmp_path / "classes.jar").write_bytes(archive.read("classes.jar"))
    (tmp_path / "User.java").write_text(
        "import io.chordkit.trust.TrustedKeys;\nimport java.util.Collections;\n"
        "final class User { Object keys = new TrustedKeys(Collections.<byte[]>emptyList(), Collections.<byte[]>emptyList()); }\n"
    )
    command = [
        "javac",
        "--release",
        "8",
        "-Xlint:-options",
        "-Werror",
        "-cp",
        tmp_path / "classes.jar",
        "-d",
        tmp_path,
        tmp_path / "User.java",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
