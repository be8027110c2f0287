"""Golden vectors of a release channel: one file in another spelling, or of another form, signed by whose it is."""

import json
from collections.abc import Callable
from typing import Any

from tests.golden.channels import FINGERPRINT, Cases, Mirror, accepted, canonical, key_identifier, refused, release, root, signature

FIRST = root()


def add_spellings(cases: Cases) -> None:
    """What a parser that forgives would take for the same, or for something."""

    def timestamp(name: str, spell: Callable[[bytes], bytes]) -> None:
        cases.add(f"spelling: {name}", FIRST, refused(Mirror([FIRST], spell={"timestamp": spell}), "timestamp", "spelling"))

    def signed(name: str, spell: Callable[[str], str]) -> None:
        """The signature is over what stands in the file."""

        def again(data: bytes) -> bytes:
            payload = spell(_signed_part(data)).encode("utf-8", "surrogatepass")
            return b'{"signatures":[' + canonical(signature("m1", payload)) + b'],"signed":' + payload + b"}"

        timestamp(name, again)

    timestamp("nothing", lambda data: b"")
    timestamp("no JSON", lambda data: b"<html></html>")
    timestamp("cut", lambda data: data[:-1])
    timestamp("a newline at its end", lambda data: data + b"\n")
    timestamp("a second document", lambda data: data + b"{}")
    timestamp("a byte order mark", lambda data: b"\xef\xbb\xbf" + data)
    timestamp("a zero byte", lambda data: data + b"\0")
    timestamp("no UTF-8", lambda data: data.replace(b"1.0.31", b"1.0.\xff"))
    timestamp("spaces", lambda data: data.replace(b":", b": "))
    timestamp("indented", lambda data: json.dumps(json.loads(data), indent=1, sort_keys=True).encode())
    timestamp("another order above", lambda data: _reordered(json.loads(data)))
    timestamp("another order below", _reversed)
    timestamp("an escape that is not needed", lambda data: data.replace(b'"timestamp"', b'"\\u0074imestamp"'))
    timestamp("signed twice", lambda data: data[:-1] + b',"signed":{}}')
    timestamp("100 deep", lambda data: b"[" * 100 + b"]" * 100)
    timestamp("16,000 deep, and open", lambda data: b"[" * 16_000)
    signed("a member twice", lambda text: text.replace('"version":1}', '"version":2,"version":1}'))
    signed("a fraction", lambda text: text.replace('"version":1}', '"version":1.0}'))
    signed("an exponent", lambda text: text.replace('"version":1}', '"version":1e0}'))
    signed("a leading zero", lambda text: text.replace('"version":1}', '"version":01}'))
    signed("a plus", lambda text: text.replace('"version":1}', '"version":+1}'))
    signed("minus nothing", lambda text: text[:-1] + ',"zero":-0}')
    signed("NaN", lambda text: text[:-1] + ',"zero":NaN}')
    signed("beyond 2^53 - 1", lambda text: text[:-1] + f',"zero":{2**53}}}')
    signed("beneath -(2^53 - 1)", lambda text: text[:-1] + f',"zero":-{2**53}}}')
    signed("a long number", lambda text: text[:-1] + f',"zero":{"9" * 5_000}}}')
    signed("an umlaut", lambda text: text[:-1] + ',"zero":"\u00e4"}')
    signed("a tab", lambda text: text[:-1] + ',"zero":"\t"}')
    signed("a delete character", lambda text: text[:-1] + ',"zero":"\x7f"}')
    signed("an escaped slash", lambda text: text[:-1] + ',"zero":"\\/"}')
    signed("an escaped surrogate", lambda text: text[:-1] + ',"zero":"\\ud800"}')
    signed("33 deep", lambda text: text[:-1] + f',"zero":{"[" * 31 + "]" * 31}}}')
    signed("a comma too many", lambda text: text[:-1] + ",}")
    for name, value in (
        ("quote and backslash", 'a"b\\c'),
        ("32 deep", json.loads("[" * 30 + "]" * 30)),
        ("every other character", "".join(map(chr, range(0x20, 0x7F)))),
        ("names", {"~": 1, "A": 2, "a": 3, "": 4}),
    ):
        cases.add(f"spelling: {name}", FIRST, accepted(Mirror([FIRST], change={"timestamp": _setting(zero=value)})))
    for role in ("targets", "snapshot"):
        cases.add(f"spelling: spaces in {role}", FIRST, refused(Mirror([FIRST], spell={role: lambda data: data + b" "}), role, "spelling"))
    spaced = {**Mirror([FIRST]).files, "metadata/2.root.json": root(2) + b"\n"}
    cases.add("spelling: a newline behind a root", FIRST, refused(spaced, "root", "spelling"))


def _signed_part(data: bytes) -> str:
    return data[data.index(b'"signed":') + 9 : -1].decode()


def _reordered(value: dict[str, Any]) -> bytes:
    return json.dumps({"signed": value["signed"], "signatures": value["signatures"]}, separators=(",", ":")).encode()


def _reversed(data: bytes) -> bytes:
    value = json.loads(data)
    return json.dumps(value | {"signed": dict(reversed(value["signed"].items()))}, separators=(",", ":")).encode()


def _setting(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda signed: signed.update(fields)


def _without(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda signed: signed.pop(name)


def add_forms(cases: Cases) -> None:
    """Fields of another kind, missing, or too many."""

    def form(name: str, role: str, change: Callable[[dict[str, Any]], Any]) -> None:
        cases.add(f"{role}: {name}", FIRST, refused(Mirror([FIRST], change={role: change}), role, "malformed"))

    for role in ("targets", "snapshot", "timestamp"):
        other = "snapshot" if role != "snapshot" else "targets"
        form("says that it is another role", role, _setting(_type=other))
    form("is a root", "timestamp", _setting(_type="root"))
    for name in ("_type", "spec_version", "version", "expires", "meta"):
        form(f"without {name}", "timestamp", _without(name))
    for version in (0, -1, "1", True, None, [1]):
        form(f"version {version!r}", "timestamp", _setting(version=version))
    for version in ("2.0.0", "1", "1.0.0.0", "1.0.x", "", 1):
        form(f"spec_version {version!r}", "timestamp", _setting(spec_version=version))
    for expires in ("2030-01-01T00:00:00", "2030-01-01T00:00:00+00:00", "2030-01-01", "2030-02-30T00:00:00Z", "2030-13-01T00:00:00Z",
                    "2030-01-01T24:00:00Z", "2030-01-01T00:00:60Z", "0000-01-01T00:00:00Z", "2030-1-1T00:00:00Z",
                    2_000_000_000):  # fmt: skip
        form(f"expires {expires!r}", "timestamp", _setting(expires=expires))
    for upper, role in (("timestamp", "snapshot"), ("snapshot", "targets")):
        entry = f"{role}.json"
        for name, change in (
            ("no entry", lambda signed, entry=entry: signed["meta"].pop(entry)),
            ("another entry", lambda signed, entry=entry: signed["meta"].update({"more.json": signed["meta"][entry]})),
            ("no version", lambda signed, entry=entry: signed["meta"][entry].pop("version")),
            ("no length", lambda signed, entry=entry: signed["meta"][entry].pop("length")),
            ("a negative length", lambda signed, entry=entry: signed["meta"][entry].update(length=-1)),
            ("no hashes", lambda signed, entry=entry: signed["meta"][entry].pop("hashes")),
            ("no SHA-256", lambda signed, entry=entry: signed["meta"][entry].update(hashes={"sha512": "00" * 64})),
            ("a hash more", lambda signed, entry=entry: signed["meta"][entry]["hashes"].update(sha512="00" * 64)),
            ("a hash in capitals", lambda signed, entry=entry: signed["meta"][entry]["hashes"].update(sha256="AB" * 32)),
            ("a short hash", lambda signed, entry=entry: signed["meta"][entry]["hashes"].update(sha256="ab" * 31)),
        ):
            form(f"{name} for {role}", upper, change)
    form("delegations", "targets", _setting(delegations={"keys": {}, "roles": []}))
    form("no targets", "targets", _without("targets"))
    for name, fields in (
        ("no length", {"length": None}),
        ("no hashes", {"hashes": None}),
        ("hashes of another kind", {"hashes": {"md5": "00"}}),
    ):
        target = {key: value for key, value in (release(12)[1] | fields).items() if value is not None}
        cases.add(f"targets: {name} of a target", FIRST, refused(Mirror([FIRST], [("shop-12.chord", target)]), "targets", "malformed"))
    _add_envelopes(cases)
    _add_roots(cases)
    _add_targets(cases)


def _add_envelopes(cases: Cases) -> None:
    def envelope(name: str, change: Callable[[dict[str, Any]], Any], check: str = "malformed") -> None:
        def spell(data: bytes) -> bytes:
            value = json.loads(data)
            change(value)
            return canonical(value)

        cases.add(f"envelope: {name}", FIRST, refused(Mirror([FIRST], spell={"timestamp": spell}), "timestamp", check))

    envelope("a member more", lambda value: value.update(more=1))
    envelope("no signatures", lambda value: value.pop("signatures"))
    envelope("signatures by identifier", lambda value: value.update(signatures={key_identifier("m1"): value["signatures"][0]["sig"]}))
    envelope("nothing signed", lambda value: value.pop("signed"))
    envelope("a list is signed", lambda value: value.update(signed=[]))
    envelope("a signature that is text", lambda value: value.update(signatures=["00"]))
    envelope("a signature without its key", lambda value: value["signatures"][0].pop("keyid"))
    envelope("a signature with a method", lambda value: value["signatures"][0].update(method="ed25519"))
    envelope("a signature that is a number", lambda value: value["signatures"][0].update(sig=0))
    envelope("an empty list of signatures", lambda value: value.update(signatures=[]), "signature")


def _add_roots(cases: Cases) -> None:
    def second(name: str, change: Callable[[dict[str, Any]], Any]) -> None:
        cases.add(f"root: {name}", FIRST, refused(Mirror([FIRST, root(2, change=change)]), "root", "malformed"))

    second("not consistent", _setting(consistent_snapshot=False))
    second("consistent as a number", _setting(consistent_snapshot=1))
    second("no word of consistency", _without("consistent_snapshot"))
    second("a role is missing", lambda signed: signed["roles"].pop("snapshot"))
    second("a role more", lambda signed: signed["roles"].update(mirrors=signed["roles"]["snapshot"]))
    second("threshold 0", lambda signed: signed["roles"]["timestamp"].update(threshold=0))
    second("a threshold that is text", lambda signed: signed["roles"]["timestamp"].update(threshold="1"))
    second("a threshold that is true", lambda signed: signed["roles"]["timestamp"].update(threshold=True))
    second("a key twice in a role", lambda signed: signed["roles"]["root"].update(keyids=signed["roles"]["root"]["keyids"] * 2))
    second(
        "a key of another kind",
        lambda signed: signed["keys"].update({"ab": {"keytype": "rsa", "scheme": "rsassa-pss-sha256", "keyval": {"public": "x"}}}),
    )
    second("a key of another scheme", lambda signed: signed["keys"][key_identifier("m1")].update(scheme="ed25519ph"))
    second("a short key", lambda signed: signed["keys"][key_identifier("m1")]["keyval"].update(public="ab" * 31))
    second("a key in capitals", lambda signed: signed["keys"][key_identifier("m1")]["keyval"].update(public="AB" * 32))
    second("no keys", _without("keys"))
    second("keys in a list", lambda signed: signed.update(keys=[]))
    lost = root(2, change=lambda signed: signed["keys"].pop(key_identifier("r3")))
    cases.add("root: a role names a key that is not there", FIRST, accepted(Mirror([FIRST, lost]), (2, 1, 1, 1)))
    named = root(2, change=lambda signed: signed["keys"][key_identifier("m1")].update(note="x"))
    cases.add("root: a field that is unknown, of a key", FIRST, accepted(Mirror([FIRST, named]), (2, 1, 1, 1)))
    weak = "01" + "00" * 31
    anybody = root(2, change=lambda signed: signed["keys"][key_identifier("m1")]["keyval"].update(public=weak))
    forged = Mirror([FIRST, anybody], spell={"timestamp": lambda data: data.replace(
        json.loads(data)["signatures"][0]["sig"].encode(), (weak + "00" * 32).encode())})  # fmt: skip
    cases.add("root: a key under which anybody can sign", FIRST, refused(forged, "timestamp", "signature", 2))


def _add_targets(cases: Cases) -> None:
    """Of a target that is not wholly understood nothing is known; the rest goes on."""
    known = release(11)
    tricks = ["../../evil.chord", "/etc/evil.chord", "a/b.chord", "a\\b.chord", ".chord", "..chord", "a..chord", ".evil.chord", "a b.chord",
              "evil.chord.exe", "EVIL.CHORD", "evil", "", "%2e%2e%2fevil.chord", "CON:.chord", "a" * 65 + ".chord"]  # fmt: skip
    several = [known, *((name, release(12)[1]) for name in tricks)]
    cases.add("targets: names that lead elsewhere", FIRST, accepted(Mirror([FIRST], several), releases=[11]))

    def unknown(name: str, target: tuple[str, dict[str, Any]]) -> None:
        cases.add(f"targets: {name}", FIRST, accepted(Mirror([FIRST], [known, target]), releases=[11], differences=[]))

    def said(**fields: Any) -> tuple[str, dict[str, Any]]:
        return release(12, **fields)

    name, plain = release(12)
    unknown("no custom", (name, {key: value for key, value in plain.items() if key != "custom"}))
    unknown("custom of another kind", (name, plain | {"custom": []}))
    unknown("nothing of chordkit", (name, plain | {"custom": {"other": {}}}))
    unknown("chordkit of another kind", (name, plain | {"custom": {"chordkit": 12}}))
    unknown("another bundle than the file", said(bundle="ab" * 32))
    unknown("a field that is unknown", said(urgent=True))
    unknown("a cohort that is unknown", said(cohort={"country": ["de"]}))
    unknown("an empty cohort of apps", said(cohort={"app": {}}))
    unknown("an app that is no version", said(cohort={"app": {"from": "3.04"}}))
    unknown("no app is in the cohort", said(cohort={"app": {"from": "3.4", "below": "3.4.0"}}))
    unknown("an empty list of ABIs", said(cohort={"abi": []}))
    unknown("an ABI twice", said(cohort={"abi": ["arm64-v8a", "arm64-v8a"]}))
    unknown("a stage of more than all", said(stage={"salt": "00" * 16, "basis_points": 10_001}))
    unknown("a stage with a short salt", said(stage={"salt": "00" * 15, "basis_points": 1}))
    unknown("a stage in percent", said(stage={"salt": "00" * 16, "percent": 1}))
    unknown("a counter that is text", said(counter="12"))
    unknown("a fingerprint in capitals", said(fingerprint=FINGERPRINT.upper()))
    unknown("a number that is true", said(release=True))
    unknown("number 0", said(release=0))
    unknown("it takes itself back", said(rollback_of=12))
    unknown("a release under the name of a difference", ("shop-12.chordd", plain))
    made = {"base": "aa" * 32, "result": "bb" * 32, "release": 12}
    for what, target, custom in (
        ("a difference under the name of a release", "shop-12.chord", {"difference": made}),
        ("a difference from nothing", "shop-12.chordd", {"difference": {"result": "bb" * 32, "release": 12}}),
        ("a difference and a release", "shop-12.chordd", plain["custom"]["chordkit"] | {"difference": made}),
        ("a difference with more", "shop-12.chordd", {"difference": made | {"method": "x"}}),
    ):
        unknown(what, (target, plain | {"custom": {"chordkit": custom}}))
    twice = [release(12), ("again.chord", release(12)[1])]
    cases.add("targets: a release twice", FIRST, refused(Mirror([FIRST], twice), "targets", "malformed"))
    family = {"fingerprint": FINGERPRINT, "from": 1, "to": 2}
    for what, value in (
        ("of another kind", []),
        ("killed of another kind", {"killed": {}}),
        ("a family without end", {"killed": [{"fingerprint": FINGERPRINT, "from": 1}]}),
        ("a family from 0", {"killed": [family | {"from": 0}]}),
        ("a family that ends before it begins", {"killed": [family | {"from": 3}]}),
        ("a family with more", {"killed": [family | {"user": "42"}]}),
        ("a family of a short key", {"killed": [family | {"key": "ab"}]}),
        ("1001 families", {"killed": [family] * 1001}),
    ):
        told = Mirror([FIRST], change={"targets": _setting(chordkit=value)})
        cases.add(f"targets: chordkit: {what}", FIRST, refused(told, "targets", "malformed"))
