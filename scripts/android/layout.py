"""Where things are in the checkout, and the numbers that every build of the library and the app has in common."""

import re
from pathlib import Path

from chordkit import __version__

ROOT = Path(__file__).resolve().parents[2]
LIBCHORD = ROOT / "kernels" / "libchord"
ANDROID = ROOT / "android_demo"
LIBRARY = ANDROID / "chord-android" / "src"
JNI = LIBRARY / "main" / "cpp"
APP = ANDROID / "app" / "src" / "main"
STUBS = ANDROID / "stubs"
BUILD = ROOT / "build" / "android"

ABIS = ("arm64-v8a", "x86_64")
MIN_SDK, TARGET_SDK, COMPILE_SDK = 26, 36, 34
"""Android 8; Android 16, which stores ask for; Android 14, whose resources Debian has. Gradle, with the SDK, takes newer ones."""

PAGE = 16384
"""What phones of the largest page size map files by."""

VERSION = __version__
GROUP, ARTIFACT = "io.chordkit", "chord-android"


def version_code(version: str = VERSION) -> int:
    """Android's number of a version: 1.2.3 is 10203; a pre-release (1.2.3rc1, 1.2.3.dev4) has that of what it precedes."""
    major, minor, patch = (int(re.match(r"\d+", part)[0]) for part in version.split(".")[:3])  # type: ignore[index]
    return major * 10_000 + minor * 100 + patch
