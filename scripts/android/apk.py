"""The demo app as an APK, signed, with a bundle in it or without.

Ed25519 comes to Android with API 33. For phones before, what is needed of BouncyCastle is in the APK.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chordkit.export.bundle import open as open_bundle
from chordkit.signing import load_public_key, raw_key
from scripts.android import java, layout, resources, signing, zips
from scripts.android.process import BuildError
from scripts.android.tools import Tools

BUNDLE, KEYS, PEOPLE = "bundle.chord", "trusted_keys", "demo_users.json"
"""Assets: the bundle, the public keys that it may be signed with (32 bytes each, one after another), whom the app shows."""


@dataclass(frozen=True)
class App:
    """The sources of an app: its manifest, ``res``, folders of Java files, and the package that ``R`` is in."""

    manifest: Path
    resources: Path
    java: tuple[Path, ...]
    namespace: str

    @classmethod
    def of(cls, folder: Path, namespace: str = "io.chordkit.demo") -> "App":
        """The app in a Gradle module's ``src/main``.

        Raises:
            BuildError: there is none.
        """
        if not (folder / "AndroidManifest.xml").is_file():
            raise BuildError(f"{folder}: has no AndroidManifest.xml, so that there is no app to build")
        return cls(folder / "AndroidManifest.xml", folder / "res", (folder / "java",), namespace)


def build(
    tools: Tools, app: App, libraries: Mapping[str, Path], path: Path, work: Path, key_folder: Path, assets: Sequence[zips.Member] = ()
) -> Path:
    """Build, sign and check an APK: :func:`compile_app` and :func:`pack`."""
    return pack(tools, [*compile_app(tools, app, libraries, work), *assets], path, work, key_folder)


def compile_app(tools: Tools, app: App, libraries: Mapping[str, Path], work: Path) -> list[zips.Member]:
    """What is in an APK besides its assets.

    Args:
        tools: Debian's packages.
        app: what is built, together with the library.
        libraries: the native library by ABI.
        work: a folder for what lies between.

    Raises:
        BuildError: a source is wrong, or a tool is missing.
    """
    linked = resources.link(tools, app.manifest, app.resources, app.namespace, work / "resources")
    sources = java.sources(java.CORE, java.BOUNCY_CASTLE, *app.java, linked.java)
    classes = java.compile_for_android(tools, sources, work / "classes", [tools.bouncy_castle])
    java.add_from(tools.bouncy_castle, classes.rglob("BouncyCastleEd25519.class"), classes)
    dex = java.dex(tools, classes, work / "classes.dex")
    return [
        *(_aligned(member) for member in zips.read(linked.package)),
        zips.Member(dex.name, dex.read_bytes()),
        *(
            zips.Member(f"lib/{abi}/{library.name}", library.read_bytes(), stored=True, alignment=layout.PAGE)
            for abi, library in libraries.items()
        ),
        zips.Member("META-INF/bouncycastle-licence.txt", tools.bouncy_castle_licence.read_bytes()),
    ]


def pack(tools: Tools, members: Sequence[zips.Member], path: Path, work: Path, key_folder: Path) -> Path:
    """Write an APK of ``members`` to ``path``, sign it with the key in ``key_folder``, which is made when it is not there, and check it.

    Raises:
        BuildError: a tool is missing or not content with what was made.
    """
    unsigned = zips.write(work / "unsigned.apk", members)
    path.parent.mkdir(parents=True, exist_ok=True)
    signing.sign(tools, unsigned, path, *signing.signing_key(key_folder))
    check(tools, path)
    return path


def _aligned(member: zips.Member) -> zips.Member:
    """Android reads the table of resources where it lies; the rest aapt2 stores or compresses as it is best."""
    return zips.Member(member.name, member.data, stored=True) if member.name == "resources.arsc" else member


def assets(bundle: Path | None, keys: Sequence[Path]) -> list[zips.Member]:
    """A bundle, whole pages that a phone maps, with its keys and the people of a demo beside it; nothing without a bundle.

    Raises:
        BuildError: there is a bundle and no key.
        InputError: a key is not one, or the app would refuse the bundle.
    """
    if bundle is None:
        return []
    if not keys:
        raise BuildError(f"{bundle}: an app opens a bundle only when it knows who signed it; give its public key (KEY=FILE.pub.pem)")
    trusted = [load_public_key(key) for key in keys]
    with open_bundle(bundle, trusted):
        data = bundle.read_bytes()
    members = [
        zips.Member(f"assets/{BUNDLE}", data, stored=True, alignment=layout.PAGE),
        zips.Member(f"assets/{KEYS}", b"".join(map(raw_key, trusted)), stored=True),
    ]
    people = bundle.with_name(PEOPLE)
    if people.is_file():
        members.append(zips.Member(f"assets/{PEOPLE}", people.read_bytes()))
    return members


def check(tools: Tools, path: Path) -> None:
    """Hold that a phone installs the APK and maps what it should: signatures, and where stored members begin.

    Raises:
        BuildError: it would not.
    """
    signing.verify(tools, path)
    tools.run("zipalign", ["-c", "-p", "4", path], "checking the APK's alignment")
    for name, offset in zips.offsets(path).items():
        alignment = layout.PAGE if name.endswith((".so", BUNDLE)) else 4
        if offset % alignment:
            raise BuildError(f"{path}: {name} begins at byte {offset}, which is no multiple of {alignment}")
