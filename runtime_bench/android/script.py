"""The shell scripts that run on a device: POSIX sh with Android's mksh and toybox, or with busybox.

What a command started is found by a mark in its environment, which every process inherits, and ended together: adbd ends the shell of
a killed client and leaves its children behind, and a pid file would be refused by a full disk.
"""

import re
import shlex
from collections.abc import Sequence

from chordkit.errors import DeviceError
from chordkit.runtime_bench.devices.device import Completed


def wrap(command: Sequence[str], mark: str) -> str:
    """A script that runs ``command`` and then says on its output, on a line that ``mark`` begins, how it ended."""
    if not command or any("\0" in word for word in command):
        raise DeviceError("a command for a device is one or more words without null characters")
    return f"export CHORDKIT_RUN={mark}\n{shlex.join(command)}\ns=$?\necho\necho {mark} $s\nexit $s"


def unwrap(stdout: str, mark: str) -> tuple[int, str] | None:
    """Exit status and output of a wrapped command, or None where its mark is missing: the connection was lost before it ended."""
    found = re.search(rf"\n{re.escape(mark)} (\d{{1,3}})\r?\n", stdout)
    return (int(found[1]), stdout[: found.start()] + stdout[found.end() :]) if found else None


def kill_marked(mark: str) -> str:
    """A script that ends everything that the command wrapped with ``mark`` started, and says how many processes those were."""
    # Twice, for what was started while the first round looked.
    return (
        "n=0\n"
        "for i in 1 2; do\n"
        f"  for f in $(grep -l {_elsewhere(mark)} /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null); do\n"
        "    p=${f#/proc/}; kill -9 ${p%%/*} 2>/dev/null && n=$((n+1))\n"
        "  done\n"
        "done\n"
        "echo $n"
    )


def kill_programs_in(folder: str) -> str:
    """A script that ends every process whose command line names a file in ``folder``, and says on a line each which program it was.

    Shells and the small tools stay, because another client may just be looking at the folder with them.
    """
    return (
        f"for f in $(grep -l {_elsewhere(folder + '/')} /proc/[0-9]*/cmdline 2>/dev/null); do\n"
        "  p=${f#/proc/}; p=${p%%/*}; e=$(readlink /proc/$p/exe 2>/dev/null) || continue\n"
        '  case "${e##*/}" in sh|mksh|ash|dash|bash|toybox*|toolbox|busybox*) continue;; esac\n'
        '  kill -9 $p 2>/dev/null && echo "$e"\n'
        "done; true"
    )


def measure_file(path: str, limit: int) -> str:
    """A script that says size and checksum of a file: ``SIZE sha256 SUM``, ``SIZE cksum SUM``, or ``SIZE none -`` above ``limit`` bytes."""
    name = shlex.quote(path)
    return (
        f"[ -f {name} ] || {{ echo 'no such file' >&2; exit 1; }}\n"
        f"n=$(wc -c < {name}) || exit 1\n"
        f"if [ $n -gt {limit} ]; then echo $n none -\n"
        f"elif command -v sha256sum >/dev/null 2>&1; then s=$(sha256sum < {name}) && echo $n sha256 ${{s%% *}}\n"
        f"elif command -v cksum >/dev/null 2>&1; then s=$(cksum < {name}) && echo $n cksum ${{s%% *}}\n"
        "else echo $n none -; fi"
    )


def answer_of(completed: Completed) -> str:
    """The last line that a command wrote, for messages."""
    lines = (completed.stderr.strip() or completed.stdout.strip()).splitlines()
    return lines[-1].strip() if lines else "no message"


def _elsewhere(text: str) -> str:
    """A quoted pattern of grep that finds ``text`` but not the script that searches for it."""
    escaped = "".join(f"[{letter}]" if letter in r".*^$[" else letter for letter in text[1:])
    return shlex.quote(f"[{text[0]}]{escaped}")
