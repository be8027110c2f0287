"""The library, and BouncyCastle's part, as AARs in a folder that Gradle takes for a Maven repository: no server, no account.

::

    repositories { maven { url = uri("FOLDER") } }
    dependencies { implementation("io.chordkit:chord-android:VERSION") }
"""

import hashlib
import io
import tomllib
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scripts.android import java, layout, zips
from scripts.android.tools import Tools

_METADATA = """aarFormatVersion=1.0
aarMetadataVersion=1.0
minCompileSdk=1
minCompileSdkExtension=0
minAndroidGradlePluginVersion=1.0.0
coreLibraryDesugaringEnabled=false
"""
"""What an app's build must be at least; Gradle's Android plug-in reads it."""

_SUMS = ("md5", "sha1", "sha256", "sha512")


@dataclass(frozen=True)
class Module:
    """A library as Gradle has it, with the coordinates of what an app gets with it."""

    artifact: str
    namespace: str
    sources: Path
    rules: Path
    dependencies: tuple[str, ...] = ()


def modules() -> tuple[Module, Module]:
    """The library, and what it verifies with on phones before API 33. The adapters need runtimes that Debian does not have."""
    core = Module(layout.ARTIFACT, layout.GROUP, java.CORE, layout.LIBRARY.parent / "consumer-rules.pro")
    catalogue = tomllib.loads((layout.ANDROID / "gradle" / "libs.versions.toml").read_text())
    bcprov = f"{catalogue['libraries']['bouncycastle']['module']}:{catalogue['versions']['bouncycastle']}"
    needs = (f"{layout.GROUP}:{core.artifact}:{layout.VERSION}", bcprov)
    rules = layout.LIBRARY / "bouncycastle" / "consumer-rules.pro"
    return core, Module(f"{core.artifact}-bouncycastle", f"{core.namespace}.bouncycastle", java.BOUNCY_CASTLE, rules, needs)


def build(tools: Tools, libraries: Mapping[str, Path], folder: Path, work: Path) -> list[Path]:
    """Build the AARs, their sources and their POMs into the Maven repository ``folder``; returns the AARs, the library first.

    Args:
        tools: Debian's packages.
        libraries: the native library by ABI.
        folder: the repository; other versions in it stay.
        work: a folder for what lies between.

    Raises:
        BuildError: a source is wrong, or a tool is missing.
    """
    core, verifier = modules()
    classes = java.compile_for_android(tools, java.sources(core.sources), work / core.artifact)
    more = java.compile_for_android(tools, java.sources(verifier.sources), work / verifier.artifact, [classes, tools.bouncy_castle])
    # What dx takes, D8 takes: here it is only asked whether it can be translated.
    java.dex(tools, classes, work / "classes.dex")
    return [publish(core, classes, libraries, folder), publish(verifier, more, {}, folder)]


def publish(module: Module, classes: Path, libraries: Mapping[str, Path], folder: Path) -> Path:
    """Put a module's compiled classes and native libraries into the repository, as this version; returns the AAR."""
    jar = io.BytesIO()
    zips.write_to(jar, [_manifest_of_jar(), *zips.of_folder(classes)])
    members = [
        zips.Member("AndroidManifest.xml", _manifest(module)),
        zips.Member("classes.jar", jar.getvalue()),
        zips.Member("R.txt", b""),
        zips.Member("proguard.txt", module.rules.read_bytes()),
        zips.Member("META-INF/com/android/build/gradle/aar-metadata.properties", _METADATA.encode()),
        *(zips.Member(f"jni/{abi}/{library.name}", library.read_bytes()) for abi, library in libraries.items()),
    ]
    sources = [_manifest_of_jar(), *zips.of_folder(module.sources, "*.java")]
    name = f"{module.artifact}-{layout.VERSION}"
    place = folder.joinpath(*layout.GROUP.split("."), module.artifact)
    release = place / layout.VERSION
    release.mkdir(parents=True, exist_ok=True)
    made = [zips.write(release / f"{name}.aar", members), zips.write(release / f"{name}-sources.jar", sources), release / f"{name}.pom"]
    made[-1].write_bytes(_pom(module))
    made.append(_versions(module, place))
    for path in made:
        data = path.read_bytes()
        for algorithm in _SUMS:
            path.with_name(f"{path.name}.{algorithm}").write_text(hashlib.new(algorithm, data).hexdigest())
    return made[0]


def _manifest(module: Module) -> bytes:
    """A library's manifest, which is merged into an app's: no permissions, no components."""
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f'<manifest xmlns:android="http://schemas.android.com/apk/res/android" package="{module.namespace}">\n'
        f'    <uses-sdk android:minSdkVersion="{layout.MIN_SDK}" />\n'
        "</manifest>\n"
    ).encode()


def _manifest_of_jar() -> zips.Member:
    return zips.Member("META-INF/MANIFEST.MF", b"Manifest-Version: 1.0\r\n\r\n")


def _pom(module: Module) -> bytes:
    project = ElementTree.Element("project", xmlns="http://maven.apache.org/POM/4.0.0")
    about = {"modelVersion": "4.0.0", "groupId": layout.GROUP, "artifactId": module.artifact, "version": layout.VERSION, "packaging": "aar"}
    for name, text in about.items():
        ElementTree.SubElement(project, name).text = text
    dependencies = ElementTree.SubElement(project, "dependencies") if module.dependencies else None
    for coordinates in module.dependencies:
        assert dependencies is not None
        dependency = ElementTree.SubElement(dependencies, "dependency")
        for name, text in zip(("groupId", "artifactId", "version"), coordinates.split(":"), strict=True):
            ElementTree.SubElement(dependency, name).text = text
        ElementTree.SubElement(dependency, "scope").text = "compile"
    licence = ElementTree.SubElement(ElementTree.SubElement(project, "licenses"), "license")
    ElementTree.SubElement(licence, "name").text = "Apache-2.0"
    ElementTree.SubElement(licence, "url").text = "https://www.apache.org/licenses/LICENSE-2.0.txt"
    return _text(project)


def _versions(module: Module, place: Path) -> Path:
    """``maven-metadata.xml``: which versions the folder has; without a time, which would differ every time."""
    root = ElementTree.Element("metadata")
    for name, text in (("groupId", layout.GROUP), ("artifactId", module.artifact)):
        ElementTree.SubElement(root, name).text = text
    versioning = ElementTree.SubElement(root, "versioning")
    ElementTree.SubElement(versioning, "latest").text = layout.VERSION
    ElementTree.SubElement(versioning, "release").text = layout.VERSION
    versions = ElementTree.SubElement(versioning, "versions")
    for pom in sorted(place.glob("*/*.pom")):
        ElementTree.SubElement(versions, "version").text = pom.parent.name
    (place / "maven-metadata.xml").write_bytes(_text(root))
    return place / "maven-metadata.xml"


def _text(root: ElementTree.Element) -> bytes:
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"
