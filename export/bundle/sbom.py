"""The bill of materials inside a bundle: CycloneDX, by ``cyclonedx-python-lib``, of what ships and what that needs.

It lists every member that carries the model by its SHA-256, and per artifact the packages and libraries that run it, with the versions it
was checked with. Nothing in it is drawn or timed: its serial number is made of the members' hashes.
"""

import hashlib
import json
import uuid
from collections.abc import Mapping

from chordkit.documents import parse_json
from chordkit.errors import MissingRuntimeError
from chordkit.export.bundle.manifest import MASTER, MemberEntry, Provenance

FORMAT = "CycloneDX 1.6"
_OURS = "libchord"  # libraries that come with chordkit and not from a package index


def document(
    name: str, members: Mapping[str, bytes], requires: Mapping[str, Mapping[str, str]], files: Mapping[str, str], provenance: Provenance
) -> bytes:
    """The SBOM's one spelling: JSON, keys sorted, indented by one space, a final newline.

    Args:
        name: of the bundle.
        members: what ships besides the manifest, its signature and the SBOM.
        requires: per artifact the package, library or operator that it needs -> version.
        files: per artifact its member.
        provenance: how the model came to be.

    Raises:
        MissingRuntimeError: ``cyclonedx-python-lib`` is not installed.
    """
    try:
        from cyclonedx.model import HashAlgorithm, HashType, Property
        from cyclonedx.model.bom import Bom
        from cyclonedx.model.component import Component, ComponentType
        from cyclonedx.output.json import JsonV1Dot6
        from packageurl import PackageURL
    except ImportError:
        raise MissingRuntimeError("sbom: the package cyclonedx-python-lib is not installed; pip install 'chordkit[sbom]'") from None
    models = {MASTER, *files.values()}
    operators: dict[str, set[str]] = {}
    for artifact, needed in requires.items():
        operators.setdefault(files[artifact], set()).update(f"{each} {version}" for each, version in needed.items() if "::" in each)
    shipped: dict[str, Component] = {}
    for member, data in members.items():
        facts = [Property(name="chordkit:operator", value=each) for each in sorted(operators.get(member, ()))]
        if member == MASTER:
            facts += [Property(name=f"chordkit:training:{key}", value=value) for key, value in _training(provenance).items()]
        shipped[member] = Component(
            name=member,
            type=ComponentType.MACHINE_LEARNING_MODEL if member in models else ComponentType.DATA,
            bom_ref=member,
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=hashlib.sha256(data).hexdigest())],
            properties=facts,
        )
    serial = uuid.uuid5(uuid.NAMESPACE_URL, "".join(hashlib.sha256(data).hexdigest() for data in members.values()))
    bom = Bom(serial_number=serial, components=shipped.values())
    whole = Component(name=name, type=ComponentType.APPLICATION, bom_ref=f"bundle:{name}")
    bom.metadata.timestamp, bom.metadata.component = None, whole  # type: ignore[assignment]
    bom.register_dependency(whole, shipped.values())
    libraries: dict[tuple[str, str], Component] = {}
    for artifact, needed in requires.items():
        runs_on = []
        for package, version in needed.items():
            if "::" in package:
                continue
            purl = None if package.startswith(_OURS) else PackageURL("pypi", name=package, version=version)
            library = Component(name=package, version=version, bom_ref=f"{package}@{version}", purl=purl)
            runs_on.append(libraries.setdefault((package, version), library))
        bom.register_dependency(shipped[files[artifact]], runs_on)
    bom.components.update(libraries.values())
    value = json.loads(JsonV1Dot6(bom).output_as_string())
    return (json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()


def problem(data: bytes, members: Mapping[str, MemberEntry]) -> str | None:
    """Why an SBOM is not that of these members (its own left out), or None."""
    try:
        components = parse_json(data, None)["components"]
        listed = {
            component["bom-ref"]: [each["content"] for each in component["hashes"] if each["alg"] == "SHA-256"]
            for component in components
            if "hashes" in component
        }
    except (ValueError, KeyError, TypeError):
        return "it is no CycloneDX document"
    expected = {name: [member.sha256] for name, member in members.items()}
    if listed == expected:
        return None
    name = min(name for name in {*listed, *expected} if listed.get(name) != expected.get(name))
    return f"it lists {name[:100]!r} otherwise than the manifest does"


def _training(provenance: Provenance) -> dict[str, str]:
    """The training's provenance as text by name."""
    facts: dict[str, object] = {"seed": provenance.seed, "commit": provenance.commit, "lock_sha256": provenance.lock_sha256}
    facts |= {f"version:{name}": version for name, version in provenance.versions.items()}
    facts |= {f"option:{name}": value for name, value in provenance.options.items()}
    facts |= {f"metric:{name}": value for name, value in provenance.metrics.items()}
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in sorted(facts.items()) if value is not None}
