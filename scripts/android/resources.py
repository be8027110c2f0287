"""The app's manifest and resources, as aapt2 makes them for phones."""

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

from scripts.android.layout import COMPILE_SDK, MIN_SDK, TARGET_SDK, VERSION, version_code
from scripts.android.process import BuildError
from scripts.android.tools import Tools

_ANDROID = "http://schemas.android.com/apk/res/android"
_ANDROID_VERSION = "14"
"""What Android with :data:`COMPILE_SDK` is called."""


@dataclass(frozen=True)
class Linked:
    """``package``: a zip file with the compiled manifest and resources. ``java``: folder of ``R.java``. ``symbols``: ``R.txt``."""

    package: Path
    java: Path
    symbols: Path


def link(tools: Tools, manifest: Path, resources: Path, namespace: str, folder: Path) -> Linked:
    """Compile ``resources`` and link them and ``manifest`` with Android's own.

    Args:
        tools: Debian's packages.
        manifest: as a Gradle project has it, without package, versions and SDK numbers.
        resources: the folder ``res``.
        namespace: the app's package, which ``R`` is in.
        folder: where the files go.

    Raises:
        BuildError: a resource is wrong or not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    linked = Linked(folder / "resources.zip", folder / "java", folder / "R.txt")
    compiled, whole = folder / "compiled.zip", folder / "AndroidManifest.xml"
    whole.write_bytes(_whole(manifest, namespace))
    tools.run("aapt2", ["compile", "--dir", resources, "-o", compiled], f"compiling {resources}")
    numbers = {"min-sdk-version": MIN_SDK, "target-sdk-version": TARGET_SDK, "version-code": version_code(), "version-name": VERSION}
    numbers |= {"compile-sdk-version-code": COMPILE_SDK, "compile-sdk-version-name": _ANDROID_VERSION}
    options = [word for name, value in numbers.items() for word in (f"--{name}", str(value))]
    # As Gradle's Android plug-in does: ids are no constants, so that code cannot rely on what a library may not.
    options += ["--non-final-ids", "--no-version-vectors"]
    places: list[str | Path] = ["-I", tools.framework, "--manifest", whole, "--java", linked.java, "--output-text-symbols", linked.symbols]
    tools.run("aapt2", ["link", *options, *places, "-o", linked.package, compiled], "linking the app's resources")
    return linked


def _whole(manifest: Path, namespace: str) -> bytes:
    """The manifest with what Gradle's Android plug-in puts into it."""
    for prefix, uri in (("android", _ANDROID), ("tools", "http://schemas.android.com/tools")):
        ElementTree.register_namespace(prefix, uri)
    try:
        root = ElementTree.parse(manifest).getroot()
    except (OSError, ElementTree.ParseError) as error:
        raise BuildError(f"{manifest}: is no manifest: {error}") from None
    application = root.find("application")
    if application is None or root.get("package") is not None:
        raise BuildError(f"{manifest}: must have an application and no package, which the build gives ({namespace})")
    root.set("package", namespace)
    # Libraries are loaded from where they lie in the APK, and no second copy is made of them.
    application.set(f"{{{_ANDROID}}}extractNativeLibs", "false")
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))
