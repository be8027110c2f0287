"""What a hostile manifest costs whoever opens it: seconds and memory of one refusal, each in a process of its own.

    python benchmarks/attack/manifest_bomb.py --megabytes 0.9 4 15

Every bomb is refused; the question is after how much work. It is opened with a key that did not make its signature (nothing of it may be
parsed then), with the key that did (its own maker's mistake, or a stolen key), and without a key (`chordkit bundle inspect`).
"""

import argparse
import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))


def _filled(head: bytes, item: bytes, tail: bytes, size: int) -> bytes:
    """``head``, as many times ``item`` as make ``size`` bytes, comma-separated, ``tail``."""
    return head + b",".join([item] * max(1, (size - len(head) - len(tail)) // (len(item) + 1))) + tail


def _keys(size: int) -> bytes:
    return json.dumps({f"k{index:07}": 0 for index in range(size // 15)}, separators=(",", ":")).encode()


def _options(value: object) -> bytes:
    return json.dumps({"format_version": 1, "provenance": {"options": {str(key): value for key in range(250)}}}).encode()


BOMBS: dict[str, Callable[[int], bytes]] = {
    "members that are numbers": lambda size: _filled(b'{"format_version":1,"members":[', b"0", b"]}", size),
    "members that are empty": lambda size: _filled(b'{"format_version":1,"members":[', b"{}", b"]}", size),
    "artifacts that are empty": lambda size: _filled(b'{"format_version":1,"artifacts":[', b"{}", b"]}", size),
    "options of lists": lambda size: _filled(b'{"format_version":1,"provenance":{"options":{"a":[', b"[]", b"]}}}", size),
    "options of lists, none too long": lambda size: _options([[]] * min(250, size // 1024)),
    "options of objects, none too long": lambda size: _options({str(key): [] for key in range(min(250, size // 4096))}),
    "fields that nobody knows": _keys,
    "a list in a list in a list": lambda size: b"[" * (size // 2) + b"]" * (size // 2),
    "one number": lambda size: b'{"format_version":1,"name":' + b"9" * size + b"}",
    "numbers of 4,000 digits": lambda size: _filled(b'{"format_version":1,"members":[', b"9" * 4000, b"]}", size),
    "one string": lambda size: b'{"format_version":1,"name":"' + b"x" * size + b'"}',
}
"""Manifests of about so many bytes, by what they are made of."""


def bomb(manifest: bytes) -> bytes:
    """A bundle with this manifest and nothing besides, signed with :data:`KEY`."""
    from chordkit.export.bundle import container

    stream = io.BytesIO()
    container.write(stream, [("manifest.json", manifest), ("manifest.sig", KEY.sign(manifest))])
    return stream.getvalue()


def crowd(members: int) -> bytes:
    """A bundle whose container has so many members, all empty, and whose manifest lists none."""
    from chordkit.export.bundle import container

    stream = io.BytesIO()
    names = [(f"strategies/{index:05}", b"") for index in range(members - 2)]
    container.write(stream, [("manifest.json", b"{}"), ("manifest.sig", KEY.sign(b"{}")), *names])
    return stream.getvalue()


_MEASURE = """
import resource, sys, time
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from chordkit.errors import BundleError
from chordkit.export import bundle
key = None if sys.argv[2] == "none" else Ed25519PrivateKey.from_private_bytes(bytes.fromhex(sys.argv[2])).public_key()
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
before, start = peak(), time.perf_counter()
try:
    bundle.open(sys.argv[1], key)
    said = "ACCEPTED"
except BundleError as error:
    said = str(error).split(": ", 1)[1]
print(f"{time.perf_counter() - start:.3f}\\t{(peak() - before) / 1024:.0f}\\t{said}")
"""


def measured(path: Path, key: str, limit_s: float) -> str:
    """Seconds, MB beyond what the imports take, and what was said."""
    try:
        run = subprocess.run([sys.executable, "-c", _MEASURE, str(path), key], capture_output=True, text=True, timeout=limit_s, check=False)
    except subprocess.TimeoutExpired:
        return f">{limit_s:g}\t?\tstopped"
    return run.stdout.strip() or f"?\t?\tended with status {run.returncode}: {run.stderr.strip().splitlines()[-1:]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, nargs="+", default=[0.9, 4])
    parser.add_argument("--members", type=int, nargs="+", default=[4096])
    parser.add_argument("--limit-s", type=float, default=120)
    options = parser.parse_args()
    openers = {"another key": bytes(32).hex(), "its key": bytes(range(32)).hex(), "no key": "none"}
    cases = {f"{name}, {size:g} MB": make(int(size * 1e6)) for size in options.megabytes for name, make in BOMBS.items()}
    bundles = {name: bomb(manifest) for name, manifest in cases.items()} | {f"{n:,} members": crowd(n) for n in options.members}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bomb.chord"
        print("bomb\topened with\ts\tMB\tsaid")
        for name, data in bundles.items():
            path.write_bytes(data)
            for opener, key in openers.items():
                print(f"{name}\t{opener}\t{measured(path, key, options.limit_s)}"[:200], flush=True)


if __name__ == "__main__":
    main()
