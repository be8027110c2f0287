"""Java sources to classes that a phone's translator takes, classes to a dex file, and a dex file back to classes.

dx, unlike Google's D8, rewrites nothing: a lambda or a method reference, which javac leaves to be linked when it is first called, becomes
an instruction that asks for classes no phone has. What could do that is refused, in the classes and once more in the dex file.
"""

import shutil
import struct
import sys
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from scripts.android import classfile
from scripts.android.layout import LIBRARY, MIN_SDK, STUBS
from scripts.android.process import BuildError, run
from scripts.android.tools import Tools, javac

CORE, BOUNCY_CASTLE = LIBRARY / "main" / "java", LIBRARY / "bouncycastle" / "java"
_STRICT = ("-Xlint:all,-options,-path,-processing", "-Werror", "-encoding", "UTF-8", "-proc:none", "-g:source,lines,vars")
_ENJARIFY = """
import enjarify.dalvikformats as formats, enjarify.main
read = formats._FUNC["31i"]
formats._FUNC["31i"] = lambda *words: [read(*words)[0], formats.sign(read(*words)[1], 32)]
enjarify.main.main()
"""
"""enjarify 1.0.3 takes a long constant of 32 bits (const-wide/32) for one without a sign: negative ones came back positive."""

_CALL_SITES, _METHOD_HANDLES = 7, 8


def sources(*folders: Path) -> list[Path]:
    """All Java files below ``folders``."""
    return [path for folder in folders for path in sorted(folder.rglob("*.java"))]


def compile_for_android(tools: Tools, found: Iterable[Path], folder: Path, classpath: Sequence[Path] = ()) -> Path:
    """Compile against Android's classes: those of API 23, and before them our declarations of later ones (``android_demo/stubs``).

    Args:
        tools: Debian's packages.
        found: Java files.
        folder: where the classes go.
        classpath: what else is known to the compiler.

    Raises:
        BuildError: they do not compile, or have something that dx cannot translate.
    """
    later = _declared(tools, folder.with_name(f"{folder.name}-later"))
    known = [*classpath, tools.jar("jsr305")]
    options = [*_STRICT, "-bootclasspath", f"{later}:{tools.android}", "-cp", ":".join(map(str, known))]
    _compile(found, folder, options, "compiling the Java sources")
    refuse_untranslatable(folder)
    return folder


def _declared(tools: Tools, folder: Path) -> Path:
    """Classes of API 23 with what ``android_demo/stubs`` declares besides, and the classes that only it declares."""
    _compile(sources(STUBS), folder, ["-bootclasspath", str(tools.android), "-nowarn"], "compiling android_demo/stubs")
    with zipfile.ZipFile(tools.android) as known:
        names = set(known.namelist())
        for path in sorted(folder.rglob("*.class")):
            if (name := path.relative_to(folder).as_posix()) in names:
                path.write_bytes(classfile.with_members(known.read(name), path.read_bytes()))
    return folder


def compile_for_jvm(found: Iterable[Path], folder: Path, classpath: Sequence[Path]) -> Path:
    """Compile tests, which only a JVM runs, against the JDK's classes of Java 8.

    Raises:
        BuildError: they do not compile.
    """
    options = [*_STRICT, "--release", "8", "-cp", ":".join(map(str, classpath))]
    _compile(found, folder, options, "compiling the Java tests")
    return folder


def _compile(found: Iterable[Path], folder: Path, options: Sequence[str], doing: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    level = [] if "--release" in options else ["-source", "8", "-target", "8"]
    run([javac(), *level, *options, "-implicit:none", "-d", folder, *found], doing)


def add_from(jar: Path, roots: Iterable[Path], folder: Path) -> int:
    """Put into ``folder`` those classes of ``jar`` that ``roots``, class files, need, directly or not; returns how many.

    dx leaves out nothing, and of a large library an app may need a few classes.
    """
    todo = set().union(*(classfile.references(path.read_bytes()) for path in roots))
    done: set[str] = set()
    with zipfile.ZipFile(jar) as archive:
        known = set(archive.namelist())
        while todo := {name for name in todo if f"{name}.class" in known} - done:
            done |= todo
            found = {name: archive.read(f"{name}.class") for name in todo}
            for name, data in found.items():
                path = folder / f"{name}.class"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            todo = set().union(*map(classfile.references, found.values()))
    return len(done)


def refuse_untranslatable(folder: Path) -> None:
    """Raises:
    BuildError: a class has a lambda, a method reference, or strings joined as of Java 9."""
    for path in sorted(folder.rglob("*.class")):
        if b"BootstrapMethods" in path.read_bytes():
            raise BuildError(
                f"{path.relative_to(folder)}: has a lambda or a method reference, which dx cannot translate; write an inner class"
            )


def dex(tools: Tools, classes: Path, path: Path) -> Path:
    """Translate a folder of classes into a dex file at ``path``.

    Raises:
        BuildError: dx refuses them, or what it made is not for phones.
    """
    options: list[str | Path] = ["--dex", f"--min-sdk-version={MIN_SDK}", f"--output={path}", classes]
    tools.java("com.android.dx.command.Main", "com.android.dx", options, "translating classes to a dex file")
    if sections := linked_when_called(path.read_bytes()):
        raise BuildError(f"{path}: has {' and '.join(sections)}, that is a lambda or a method reference, which no phone answers")
    return path


def linked_when_called(data: bytes) -> list[str]:
    """What in a dex file belongs to ``invoke-custom``: nothing, or the names of the sections of its map that such a call needs."""
    (at,) = struct.unpack_from("<I", data, 52)
    (count,) = struct.unpack_from("<I", data, at)
    kinds = {struct.unpack_from("<H", data, at + 4 + 12 * index)[0] for index in range(count)}
    return [name for kind, name in ((_CALL_SITES, "call sites"), (_METHOD_HANDLES, "method handles")) if kind in kinds]


def retranslate(tools: Tools, dex_file: Path, jar: Path) -> Path:
    """Turn a dex file back into classes for a JVM, at ``jar``, so that what dx made of the sources can be run and not the sources again.

    Raises:
        BuildError: a class cannot be turned back.
    """
    command: list[str | Path] = [sys.executable, "-O", "-c", _ENJARIFY, "--force", "--output", jar, dex_file]
    said = run(command, "turning the dex file back into classes", {"PYTHONPATH": str(tools.enjarify)})
    done, _, failed = said.strip().splitlines()[-1].partition(" classes translated successfully, ")
    if not done.isdigit() or failed.split()[0] != "0":
        raise BuildError(f"{dex_file}: cannot be turned back into classes as a whole: {said.strip()[-500:]}")
    return jar
