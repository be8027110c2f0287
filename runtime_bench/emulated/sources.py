"""The machine's own Debian package sources, both forms of the file, and the same sources for another release of Debian."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chordkit.errors import DeviceError

SUITES = frozenset(["bullseye", "bookworm", "trixie", "forky", "sid", "oldoldstable", "oldstable", "stable", "testing", "unstable"])
"""Releases of Debian: a source of one of these serves the others too."""


@dataclass(frozen=True)
class Source:
    """A place that serves a release. ``signed_by``: a file of keys; empty = the machine's trusted keys. ``trusted``: the machine's
    owner has said ``trusted=yes`` of it."""

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str = ""
    trusted: bool = False


def machine_sources(folder: Path = Path("/etc/apt")) -> list[Source]:
    """Every enabled binary source of ``sources.list`` and ``sources.list.d``, in apt's order. Unreadable files are skipped."""
    found: list[Source] = []
    for path in [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))]:
        parse = {".list": parse_list, ".sources": parse_deb822}.get(path.suffix)
        if parse is None or not path.is_file():
            continue
        try:
            found.extend(parse(path.read_text(errors="replace")))
        except OSError:
            continue
    return found


def parse_list(text: str) -> list[Source]:
    """Sources of the one-line form: ``deb [signed-by=FILE] URI SUITE COMPONENT...``."""
    found: list[Source] = []
    for line in text.splitlines():
        kind, _, rest = line.partition("#")[0].strip().partition(" ")
        if kind != "deb":
            continue
        rest, options = rest.strip(), {}
        if rest.startswith("["):
            inside, _, rest = rest[1:].partition("]")
            options = {key.lower(): value for key, _, value in (word.partition("=") for word in inside.split())}
        uri, suite, *components = [*rest.split(), "", ""][: max(2, len(rest.split()))]
        if uri and components:
            found.append(Source(uri, suite, tuple(components), options.get("signed-by", ""), options.get("trusted", "") == "yes"))
    return found


def parse_deb822(text: str) -> list[Source]:
    """Sources of the form with fields: ``Types``, ``URIs``, ``Suites``, ``Components``, ``Signed-By``, ``Enabled``."""
    found: list[Source] = []
    for stanza in _stanzas(text):
        if "deb" not in stanza.get("types", "").split() or stanza.get("enabled", "yes").lower() in ("no", "false", "0"):
            continue
        components = tuple(stanza.get("components", "").split())
        signed_by = stanza.get("signed-by", "")
        if "PGP PUBLIC KEY" in signed_by:
            # Keys written into the stanza itself cannot be said in a line; the machine's trusted keys serve instead.
            signed_by = ""
        for uri in stanza.get("uris", "").split():
            found.extend(
                Source(uri, suite, components, signed_by, stanza.get("trusted", "").lower() == "yes")
                for suite in stanza.get("suites", "").split()
                if components
            )
    return found


def _stanzas(text: str) -> list[dict[str, str]]:
    stanzas: list[dict[str, str]] = [{}]
    field = ""
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        if not line.strip():
            stanzas.append({})
        elif line[0].isspace():
            stanzas[-1][field] = f"{stanzas[-1].get(field, '')} {line.strip()}"
        else:
            field, _, value = line.partition(":")
            field = field.strip().lower()
            stanzas[-1][field] = value.strip()
    return stanzas


def for_suite(sources: Sequence[Source], suite: str, architectures: Sequence[str]) -> str:
    """The line of a ``sources.list`` that serves ``suite`` from where the machine gets its own Debian.

    Raises:
        DeviceError: the machine has no source of Debian's main archive.
    """
    for source in sources:
        if source.suite.strip("/") in SUITES and "main" in source.components:
            options = [f"arch={','.join(architectures)}"]
            options += [f"signed-by={source.signed_by}"] if source.signed_by else []
            options += ["trusted=yes"] if source.trusted else []
            return f"deb [{' '.join(options)}] {source.uri} {suite} main\n"
    raise DeviceError(
        "/etc/apt: no package source of Debian's main archive is configured, and what is needed is made of Debian's packages; "
        "prepare it on a Debian machine, or add a line such as 'deb URI-OF-A-DEBIAN-MIRROR bookworm main'"
    )
