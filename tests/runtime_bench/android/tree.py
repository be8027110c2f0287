"""Devices of the folder ``devices``, made into trees of files and tools that a shell can be let loose on."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from chordkit.runtime_bench.devices.device import Completed

DEVICES = Path(__file__).with_name("devices")
NAMES = sorted(path.name for path in DEVICES.iterdir() if path.is_dir())


def read(name: str, file: str) -> str:
    """A file of a device; empty where the device has none."""
    path = DEVICES / name / file
    return path.read_text() if path.exists() else ""


def make_tree(name: str, root: Path) -> Path:
    """Lay the device out below ``root``: its files, and scripts for its tools in ``root/tools``."""
    files = dict(line.split("\t", 1) for line in read(name, "files.txt").splitlines())
    for path, content in {**files, "/proc/cpuinfo": read(name, "cpuinfo.txt").rstrip("\n")}.items():
        place = root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content + "\n")
    tools = root / "tools"
    tools.mkdir()
    machine = "x86_64" if "x86" in name else "aarch64"
    scripts = {"uname": f'[ "$1" = -m ] && echo {machine} || echo 6.1.25-android14-11'}
    if (DEVICES / name / "getprop.txt").exists():
        scripts["getprop"] = 'cat "${0%/*}/getprop.txt"'
        scripts["dumpsys"] = 'cat "${0%/*}/$1.txt"'
        for file in ("getprop.txt", "thermalservice.txt", "battery.txt"):
            (tools / file).write_text(read(name, file))
    for tool, text in scripts.items():
        (tools / tool).write_text(f"#!/bin/sh\n{text}\n")
        (tools / tool).chmod(0o755)
    return root


class TreeShell:
    """This machine's sh, to which /sys, /proc and the tools are those of the tree."""

    def __init__(self, root: Path) -> None:
        self.name = "adb:tree"
        self.root = root

    def run(self, command: Sequence[str], timeout_s: float) -> Completed:
        there = [word.replace("/sys/", f"{self.root}/sys/").replace("/proc/", f"{self.root}/proc/") for word in command]
        path = f"{self.root / 'tools'}:/usr/bin:/bin"
        done = subprocess.run(there, capture_output=True, text=True, timeout=timeout_s, env={"PATH": path})
        return Completed(done.returncode, done.stdout.replace(str(self.root), ""), done.stderr)
