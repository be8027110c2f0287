"""``python -m scripts.android``: see the package."""

import argparse
import subprocess
import sys
from pathlib import Path

from chordkit.errors import ChordkitError
from scripts.android import aar, apk, kotlin, layout, native
from scripts.android.process import BuildError
from scripts.android.tools import Tools, refresh, tools

DEMO = layout.ROOT / "build" / "demo"


def main(arguments: list[str]) -> int:
    """Returns the exit status: 2 when something is missing or wrong, which is said in a sentence."""
    parser = argparse.ArgumentParser(prog="python -m scripts.android", description="The Android library and app, without Gradle.")
    commands = parser.add_subparsers(dest="command", required=True)
    of_apk = commands.add_parser("apk", help="the demo app, signed")
    of_apk.add_argument("--bundle", type=Path, help="the bundle that goes into it; by default `make demo`'s, made when it is not there")
    of_apk.add_argument("--key", type=Path, action="append", default=[], help="a public key that the bundle may be signed with; repeat it")
    of_apk.add_argument("--no-bundle", action="store_true", help="an app without a bundle")
    of_apk.add_argument("--app", type=Path, default=layout.APP, help="the folder of manifest, java and res")
    of_apk.add_argument("--signing-key", type=Path, default=layout.BUILD / "signing", help="the folder of the APK's signing key")
    of_apk.add_argument("--out", type=Path, default=layout.BUILD / "chord-demo.apk")
    of_aar = commands.add_parser("aar", help="the library, in a folder that Gradle takes for a Maven repository")
    of_aar.add_argument("--out", type=Path, default=layout.BUILD / "maven")
    commands.add_parser("tools", help="fetch what the builds and their tests need, and Kotlin's compiler where there is npm")
    commands.add_parser("lock", help="pin the packages that Debian serves now")
    given = parser.parse_args(arguments)
    try:
        if given.command == "lock":
            refresh()
        elif given.command == "tools":
            _tools()
            kotlin.install()
        elif given.command == "aar":
            for made in aar.build(_tools(), _libraries(), given.out, layout.BUILD / "work-aar"):
                _say(made)
        else:
            _apk(given)
    except (ChordkitError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _apk(given: argparse.Namespace) -> None:
    found = _tools()
    app = apk.App.of(given.app)
    bundle, keys = (None, []) if given.no_bundle else (given.bundle, given.key) if given.bundle else _demo()
    assets = apk.assets(bundle, keys)
    made = apk.build(found, app, _libraries(), given.out, layout.BUILD / "work-apk", given.signing_key, assets)
    _say(made)
    if assets:
        print(f"  {made.stat().st_size - sum(len(member.data) for member in assets):,} bytes without the bundle and what belongs to it")
    print(f"install with:  adb install -r {made}")


def _libraries() -> dict[str, Path]:
    _tell("native library for " + " and ".join(layout.ABIS))
    return native.for_android(layout.BUILD / "native")


def _demo() -> tuple[Path, list[Path]]:
    """The bundle of ``make demo`` and its key; made when they are not there, which takes minutes."""
    bundle, key = DEMO / "demo.chord", DEMO / "demo.pub.pem"
    if not (bundle.is_file() and key.is_file()):
        _tell("the demo's bundle, as `make demo` makes it (a bundle of your own: BUNDLE=FILE KEY=FILE)")
        if subprocess.run([sys.executable, "-m", "chordkit", "demo", "--out", str(DEMO)]).returncode:
            raise BuildError(f"{bundle}: could not be made; run `make demo`, or name a bundle of your own (BUNDLE=FILE KEY=FILE)")
    return bundle, [key]


def _tools() -> Tools:
    found = tools(lambda phase, done, total: _tell(f"{phase} ({done} of {total})"))
    for name in found.unpinned:
        _tell(f"{name} is another version than the pinned one: other bytes may come out")
    return found


def _tell(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def _say(path: Path) -> None:
    print(f"{path}  {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
