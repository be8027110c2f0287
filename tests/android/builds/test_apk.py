"""The APK of `make apk`: what a phone, a store and a reader of the documents expect of it, asked of the file itself."""

import json
import re
import stat
import struct
import subprocess
import zipfile
from pathlib import Path

import pytest

from chordkit.errors import InputError
from chordkit.export import bundle
from chordkit.signing import raw_key
from tests.export.conftest import Toy

pytest.importorskip("scripts.android", reason="only a checkout has scripts")
from scripts.android import apk, java, layout, native, signing, zips
from scripts.android.process import BuildError

pytestmark = pytest.mark.checkout
PAGE = 16384
MACHINES = {"arm64-v8a": "AArch64", "x86_64": "X86-64"}


def manifest(tools, path: Path) -> str:
    return tools.run("aapt2", ["dump", "xmltree", "--file", "AndroidManifest.xml", path], "reading the manifest")


def readelf(path: Path, *options: str) -> str:
    return subprocess.run(["readelf", "--wide", *options, path], capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def libraries(built, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The native libraries as they are in the APK."""
    folder = tmp_path_factory.mktemp("libraries")
    with zipfile.ZipFile(built / "chord.apk") as archive:
        return {abi: Path(archive.extract(f"lib/{abi}/libchord_jni.so", folder)) for abi in MACHINES}


def test_the_same_sources_and_the_same_key_give_the_same_bytes(build) -> None:
    first, second = build("first"), build("second")
    assert (first / "bundled.apk").read_bytes() == (second / "bundled.apk").read_bytes()


def test_it_is_signed_over_the_whole_file_by_schemes_2_and_3_alone(tools, built) -> None:
    said = signing.verify(tools, built / "bundled.apk")
    schemes = re.findall(r"Verified using (v\d) scheme.*: (true|false)", said)
    assert schemes == [("v1", "false"), ("v2", "true"), ("v3", "true"), ("v4", "false")]
    assert "Number of signers: 1" in said and "WARNING" not in said
    # apksigner does not look for scheme 1 in an app for newer phones: its files would be there.
    with zipfile.ZipFile(built / "bundled.apk") as archive:
        assert not [name for name in archive.namelist() if name.endswith((".SF", ".RSA", ".EC", "MANIFEST.MF"))]


def test_a_changed_byte_is_no_longer_signed(tools, built, tmp_path: Path) -> None:
    data = bytearray((built / "chord.apk").read_bytes())
    data[PAGE + 5000] ^= 1
    (tmp_path / "changed.apk").write_bytes(data)
    with pytest.raises(BuildError, match="verifying the APK's signatures failed"):
        signing.verify(tools, tmp_path / "changed.apk")


def test_the_signing_key_is_made_once_and_shown_to_nobody(tmp_path: Path) -> None:
    key, certificate = signing.signing_key(tmp_path / "signing")
    made = key.read_bytes(), certificate.read_bytes()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    signing.signing_key(tmp_path / "signing")
    assert (key.read_bytes(), certificate.read_bytes()) == made
    certificate.unlink()
    with pytest.raises(BuildError, match=r"key\.pk8: is here, but not the other of"):
        signing.signing_key(tmp_path / "signing")


def test_the_manifest_says_what_the_documents_say(tools, built) -> None:
    badging = tools.run("aapt2", ["dump", "badging", built / "chord.apk"], "reading the manifest")
    assert f"package: name='io.chordkit.demo' versionCode='{layout.version_code()}' versionName='{layout.VERSION}'" in badging
    for line in ("sdkVersion:'26'", f"targetSdkVersion:'{layout.TARGET_SDK}'", "native-code: 'arm64-v8a' 'x86_64'"):
        assert line in badging.splitlines()
    assert "launchable-activity: name='io.chordkit.demo.MainActivity'" in badging
    tree = manifest(tools, built / "chord.apk")
    assert re.search(r"extractNativeLibs\(0x\w+\)=false", tree)
    assert "debuggable" not in tree and "testOnly" not in tree


def test_it_asks_for_no_permission(tools, built) -> None:
    assert "permission" not in tools.run("aapt2", ["dump", "permissions", built / "chord.apk"], "reading the permissions").replace(
        "package: io.chordkit.demo", ""
    )
    assert "E: uses-permission" not in manifest(tools, built / "chord.apk")


def test_libraries_and_bundle_lie_where_a_phone_of_the_largest_pages_maps_them(tools, built, toy_bundle: Path) -> None:
    path = built / "bundled.apk"
    tools.run("zipalign", ["-c", "-p", "4", path], "checking the alignment")
    data = path.read_bytes()
    pages = [data[at : at + 4096] for at in range(0, len(data), PAGE)]
    machines = [struct.unpack_from("<H", page, 18)[0] for page in pages if page.startswith(b"\x7fELF")]
    assert machines == [183, 62]
    whole = toy_bundle.read_bytes()
    assert whole[:4096] in pages
    with zipfile.ZipFile(path) as archive:
        stored = {info.filename for info in archive.infolist() if info.compress_type == zipfile.ZIP_STORED}
        assert archive.read("assets/bundle.chord") == whole
    assert stored >= {*(f"lib/{abi}/libchord_jni.so" for abi in MACHINES), "assets/bundle.chord", "assets/trusted_keys", "resources.arsc"}


def test_a_library_that_lies_beside_a_page_is_found(tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing, "verify", lambda *_: "")
    zips.write(tmp_path / "beside.apk", [zips.Member("lib/x86_64/libchord_jni.so", b"\x7fELF", stored=True, alignment=4096)])
    with pytest.raises(BuildError, match="which is no multiple of 16384"):
        apk.check(tools, tmp_path / "beside.apk")


def test_the_app_finds_a_bundle_that_its_keys_open(built, tmp_path: Path) -> None:
    with zipfile.ZipFile(built / "bundled.apk") as archive:
        keys = archive.read("assets/trusted_keys")
        assert archive.read("assets/demo_users.json") == b'{"people": []}\n'
        path = Path(archive.extract("assets/bundle.chord", tmp_path))
    assert keys == raw_key(Toy.PUBLIC)
    with bundle.open(path, Toy.PUBLIC) as opened:
        assert opened.manifest.name == "toy"
    with zipfile.ZipFile(built / "chord.apk") as archive:
        assert not [name for name in archive.namelist() if name.startswith("assets/bundle") or name.endswith(("trusted_keys", ".json"))]


def test_a_bundle_that_the_app_would_refuse_is_refused_now(toy_bundle: Path, tmp_path: Path, command) -> None:
    with pytest.raises(BuildError, match="give its public key"):
        apk.assets(toy_bundle, [])
    assert command("bundle", "key", "--private", tmp_path / "k.pem", "--public", tmp_path / "k.pub.pem").status == 0
    with pytest.raises(InputError, match="key"):
        apk.assets(toy_bundle, [tmp_path / "k.pub.pem"])
    (tmp_path / "short.chord").write_bytes(toy_bundle.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"short\.chord"):
        apk.assets(tmp_path / "short.chord", [toy_bundle.with_name("key.pub.pem")])


def test_no_call_is_left_to_be_linked_on_the_phone(built) -> None:
    with zipfile.ZipFile(built / "chord.apk") as archive:
        assert [name for name in archive.namelist() if name.endswith(".dex")] == ["classes.dex"]
        dex = archive.read("classes.dex")
    assert dex.startswith(b"dex\n038\0") and java.linked_when_called(dex) == []


@pytest.mark.parametrize("body", ["Runnable r = () -> {};", "java.util.concurrent.Callable<String> c = this::toString;"])
def test_a_lambda_is_refused_in_the_sources_and_found_in_a_dex_file(tools, body: str, tmp_path: Path) -> None:
    source = tmp_path / "Lambda.java"
    source.write_text(f"class Lambda {{ void m() {{ {body} }} }}\n")
    with pytest.raises(BuildError, match=r"Lambda\.class: has a lambda or a method reference"):
        java.compile_for_android(tools, [source], tmp_path / "classes")
    with pytest.raises(BuildError, match="has call sites and method handles"):
        java.dex(tools, tmp_path / "classes", tmp_path / "classes.dex")


def test_the_dex_file_has_every_class_of_the_library_and_turns_back_into_them(built, shipped_classes: Path) -> None:
    with zipfile.ZipFile(shipped_classes) as archive:
        back = {name for name in archive.namelist() if name.endswith(".class")}
    classes = built / "work" / "classes"
    assert back == {path.relative_to(classes).as_posix() for path in classes.rglob("*.class")}
    library = {path.relative_to(java.CORE).with_suffix(".class").as_posix() for path in java.sources(java.CORE)}
    assert len(library) > 10 and library - back <= {"io/chordkit/annotation/package-info.class"}


def test_phones_before_ed25519_verify_by_the_part_of_bouncycastle_that_is_in_it(tools, shipped_classes: Path, tmp_path: Path) -> None:
    vectors = json.loads((layout.ROOT / "tests" / "golden" / "ed25519.json").read_text())
    cases = [*vectors["rfc8032"], *vectors["cases"]]
    classes = java.compile_for_jvm([Path(__file__).parent / "VerifyAll.java"], tmp_path / "classes", [shipped_classes])
    words = [word for case in cases for word in (case["key"], case["signature"], case["message"])]
    said = subprocess.run(["java", "-cp", f"{classes}:{shipped_classes}", "VerifyAll", *words], capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    assert said.stdout.split() == [str(case.get("accept", True)).lower() for case in cases]
    assert {"true", "false"} <= set(said.stdout.split())


def test_bouncycastles_licence_is_beside_it(built) -> None:
    with zipfile.ZipFile(built / "chord.apk") as archive:
        licence = archive.read("META-INF/bouncycastle-licence.txt").decode()
        assert b"org/bouncycastle" in archive.read("classes.dex") and "Permission is hereby granted" in licence


def test_libraries_are_for_both_processors_pages_of_16_kb_and_android_alone(libraries) -> None:
    for abi, path in libraries.items():
        header, program, dynamic = readelf(path, "-h"), readelf(path, "-l"), readelf(path, "-d")
        assert re.search(r"Machine:\s+.*" + MACHINES[abi], header)
        loads = [line.split()[-1] for line in program.splitlines() if line.split()[:1] == ["LOAD"]]
        assert loads and set(loads) == {"0x4000"}
        assert set(re.findall(r"NEEDED.*\[(.*)\]", dynamic)) <= {"libc.so", "libm.so"}
        assert "[libchord_jni.so]" in dynamic and "TEXTREL" not in dynamic
        assert not re.search(r"\.(symtab|debug\w*)\b", readelf(path, "-S"))


def test_libraries_show_the_native_methods_of_java_and_nothing_else(libraries) -> None:
    declared = set()
    for source in java.sources(java.CORE):
        text = re.sub(r"/\*.*?\*/|//[^\n]*", "", source.read_text(), flags=re.DOTALL)
        owner = source.relative_to(java.CORE).with_suffix("").as_posix().replace("_", "_1").replace("/", "_")
        declared |= {f"Java_{owner}_{name}" for name in re.findall(r"\bnative\b[^;()]*\b(\w+)\(", text)}
    assert len(declared) > 2
    for path in libraries.values():
        symbols = [line.split() for line in readelf(path, "--dyn-syms").splitlines() if line.split()[:1] and line.split()[0][:-1].isdigit()]
        assert {words[7] for words in symbols if len(words) > 7 and words[6] != "UND"} - {"JNI_OnLoad", "JNI_OnUnload"} == declared


def test_it_is_under_a_megabyte_without_the_bundle(built) -> None:
    assert (built / "chord.apk").stat().st_size < 1_000_000


def test_the_library_is_made_of_each_source_once(tmp_path: Path) -> None:
    names = [path.name for path in native.sources()]
    assert len(names) == len(set(native.sources())) and {"api.c", "bundle.c", "checksum.c", "chord_verify_jni.c"} <= set(names)


def test_a_manifest_with_a_package_or_without_an_app_is_refused(tools, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"has no AndroidManifest\.xml"):
        apk.App.of(tmp_path)
    from scripts.android import resources

    for text in ('<manifest package="a.b"><application/></manifest>', "<manifest/>", "<manifest"):
        (tmp_path / "AndroidManifest.xml").write_text(text)
        with pytest.raises(BuildError, match=r"AndroidManifest\.xml: (must have an application and no package|is no manifest)"):
            resources.link(tools, tmp_path / "AndroidManifest.xml", tmp_path, "io.chordkit.demo", tmp_path / "out")


def test_versions_count_up() -> None:
    codes = [layout.version_code(version) for version in ("0.1.0", "0.1.1.dev3", "0.2.0rc1", "1.0.0", "1.10.0")]
    assert codes == [100, 101, 200, 10000, 11000]
