"""The library as an AAR in a folder that Gradle takes for a Maven repository: no server, no account.

::

    repositories { maven { url = uri("FOLDER") } }
    dependencies { implementation("io.chordkit:chord-android:VERSION") }
"""

import hashlib
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path

from scripts.android import java, layout, zips
from scripts.android.tools import Tools

_RULES = layout.LIBRARY.parent / "consumer-rules.pro"
_METADATA = """aarFormatVersion=1.0
aarMetadataVersion=1.0
minCompileSdk=1
minCompileSdkExtension=0
minAndroidGradlePluginVersion=1.0.0
coreLibraryDesugaringEnabled=false
"""
"""What an app's build must be at least; Gradle's Android plug-in reads it."""

_SUMS = ("md5", "sha1", "sha256", "sha512")


def build(tools: Tools, libraries: Mapping[str, Path], folder: Path, work: Path) -> Path:
    """Build the AAR, its sources and its POM into the Maven repository ``folder``; returns the AAR.

    Args:
        tools: Debian's packages.
        libraries: the native library by ABI.
        folder: the repository; other versions in it stay.
        work: a folder for what lies between.

    Raises:
        BuildError: a source is wrong, or a tool is missing.
    """
    classes = java.compile_for_android(tools, java.sources(java.CORE), work / "classes")
    # What dx takes, D8 takes: here it is only asked whether it can be translated.
    java.dex(tools, classes, work / "classes.dex")
    return publish(classes, libraries, folder, work)


def publish(classes: Path, libraries: Mapping[str, Path], folder: Path, work: Path) -> Path:
    """Put the AAR of compiled classes into the repository, as this version."""
    work.mkdir(parents=True, exist_ok=True)
    jar = zips.write(work / "classes.jar", [_manifest_of_jar(), *zips.of_folder(classes)])
    members = [
        zips.Member("AndroidManifest.xml", _manifest()),
        zips.Member("classes.jar", jar.read_bytes()),
        zips.Member("R.txt", b""),
        zips.Member("proguard.txt", _RULES.read_bytes()),
        zips.Member("META-INF/com/android/build/gradle/aar-metadata.properties", _METADATA.encode()),
        *(zips.Member(f"jni/{abi}/{library.name}", library.read_bytes()) for abi, library in libraries.items()),
    ]
    sources = [_manifest_of_jar(), *zips.of_folder(java.CORE, "*.java")]
    name = f"{layout.ARTIFACT}-{layout.VERSION}"
    place = folder.joinpath(*layout.GROUP.split("."), layout.ARTIFACT)
    release = place / layout.VERSION
    release.mkdir(parents=True, exist_ok=True)
    made = [zips.write(release / f"{name}.aar", members), zips.write(release / f"{name}-sources.jar", sources), release / f"{name}.pom"]
    made[-1].write_bytes(_pom())
    made.append(_versions(place))
    for path in made:
        data = path.read_bytes()
        for algorithm in _SUMS:
            path.with_name(f"{path.name}.{algorithm}").write_text(hashlib.new(algorithm, data).hexdigest())
    return made[0]


def _manifest() -> bytes:
    """The library's manifest, which is merged into an app's: no permissions, no components."""
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f'<manifest xmlns:android="http://schemas.android.com/apk/res/android" package="{layout.GROUP}">\n'
        f'    <uses-sdk android:minSdkVersion="{layout.MIN_SDK}" />\n'
        "</manifest>\n"
    ).encode()


def _manifest_of_jar() -> zips.Member:
    return zips.Member("META-INF/MANIFEST.MF", b"Manifest-Version: 1.0\r\n\r\n")


def _pom() -> bytes:
    project = ElementTree.Element("project", xmlns="http://maven.apache.org/POM/4.0.0")
    about = {"modelVersion": "4.0.0", "groupId": layout.GROUP, "artifactId": layout.ARTIFACT, "version": layout.VERSION, "packaging": "aar"}
    for name, text in about.items():
        ElementTree.SubElement(project, name).text = text
    licence = ElementTree.SubElement(ElementTree.SubElement(project, "licenses"), "license")
    ElementTree.SubElement(licence, "name").text = "Apache-2.0"
    ElementTree.SubElement(licence, "url").text = "https://www.apache.org/licenses/LICENSE-2.0.txt"
    return _text(project)


def _versions(place: Path) -> Path:
    """``maven-metadata.xml``: which versions the folder has; without a time, which would differ every time."""
    root = ElementTree.Element("metadata")
    for name, text in (("groupId", layout.GROUP), ("artifactId", layout.ARTIFACT)):
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
