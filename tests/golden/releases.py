"""Golden vectors: what a phone takes from a channel's mirrors and what it refuses, as sequences of answers, clocks and what it kept."""

import hashlib
from typing import Any

from tests.golden.channels import (
    DAY,
    FINGERPRINT,
    NOW,
    SALT,
    Cases,
    Mirror,
    accepted,
    bundle,
    key_identifier,
    refused,
    release,
    root,
    seal,
)
from tests.golden.refused_releases import add_forms, add_spellings
from tests.golden.signatures import ORDER

FIRST = root()
PHONE = {"app": "3.4.0", "abi": "arm64-v8a", "runtimes": ["native", "litert"], "device": "small"}


def releases() -> dict[str, Any]:
    """Every case has the root that the app ships, and steps; what a step kept is there in the next."""
    cases = Cases()
    for add in (
        _accepted,
        _frozen,
        _rolled_back,
        _mixed,
        _endless,
        _strangers,
        _thresholds,
        _rotations,
        add_spellings,
        add_forms,
        _content,
    ):
        add(cases)
    return {"files": cases.files, "cases": cases.cases}


def _install_id(stage_of: int) -> str:
    """One that the salt draws into the stage from exactly these basis points on."""
    for counter in range(1_000_000):
        made = counter.to_bytes(16, "big")
        drawn = int.from_bytes(hashlib.sha256(bytes.fromhex(SALT) + made).digest()[:4], "big")
        if (drawn * 10_000) >> 32 == stage_of - 1:
            return made.hex()
    raise AssertionError(stage_of)


def _accepted(cases: Cases) -> None:
    first, newer = Mirror([FIRST]), Mirror([FIRST], [release(12), release(13)], (2, 2, 2))
    cases.add("a first update", FIRST, accepted(first, releases=[11, 12], killed=[], differences=[]))
    cases.add("a newer release", FIRST, accepted(first), accepted(newer, (1, 2, 2, 2), releases=[12, 13]))
    cases.add("nothing new", FIRST, accepted(first), accepted(first))
    kept = Mirror([FIRST], versions=(1, 1, 2), swap={"snapshot": lambda data: None, "targets": lambda data: None})
    cases.add("what is kept is not asked for again", FIRST, accepted(first), accepted(kept, (1, 1, 1, 2)))
    other = Mirror([FIRST], expires={"timestamp": NOW + 2 * DAY})
    cases.add("another timestamp of the kept version: the kept one counts", FIRST, accepted(first),
              accepted(other), refused(other, "timestamp", "expired", now=NOW + DAY))  # fmt: skip
    cases.add("versions may skip", FIRST, accepted(first), accepted(Mirror([FIRST], versions=(7, 9, 2**53 - 1)), (1, 7, 9, 2**53 - 1)))
    fields = {role: lambda signed: signed.update(note={"a": [None, True, -5]}) for role in ("targets", "snapshot", "timestamp")}
    noted = root(change=lambda signed: signed.update(note="x"))
    cases.add("fields that are unknown to the framework", noted, accepted(Mirror([noted], change=fields)))


def _frozen(cases: Cases) -> None:
    mirror = Mirror([FIRST])
    cases.add("a mirror that freezes", FIRST, accepted(mirror), accepted(mirror, now=NOW + DAY - 1),
              refused(mirror, "timestamp", "expired", now=NOW + DAY), refused(mirror, "timestamp", "expired", now=NOW + 9 * DAY),
              accepted(Mirror([FIRST], versions=(1, 2, 2), expires={"snapshot": NOW + 20 * DAY, "timestamp": NOW + 10 * DAY}),
                       (1, 1, 2, 2), now=NOW + 9 * DAY))  # fmt: skip
    for role in ("targets", "snapshot", "timestamp"):
        cases.add(f"{role} expires now", FIRST, refused(Mirror([FIRST], expires={role: NOW}), role, "expired"))
        cases.add(f"{role} expires in a second", FIRST, accepted(Mirror([FIRST], expires={role: NOW + 1})))
    short = root(expires=NOW)
    cases.add("root expires now", short, refused(Mirror([short]), "root", "expired"))
    cases.add("an expired root with a successor", short, accepted(Mirror([short, root(2)]), (2, 1, 1, 1)))
    cases.add("an expired root between", FIRST, accepted(Mirror([FIRST, root(2, expires=1), root(3)]), (3, 1, 1, 1)))
    cases.add("the last root is expired", FIRST, refused(Mirror([FIRST, root(2, expires=NOW)]), "root", "expired", 2))
    cases.add("a clock years ahead, then right", FIRST, refused(mirror, "root", "expired", now=NOW + 3_000 * DAY), accepted(mirror))
    cases.add("a clock at the end of time", FIRST, refused(mirror, "root", "expired", now=2**53 - 1))
    cases.add("a clock at its beginning", FIRST, accepted(mirror, now=0), accepted(mirror), accepted(mirror, now=0))


def _rolled_back(cases: Cases) -> None:
    second = accepted(Mirror([FIRST], versions=(2, 2, 2)), (1, 2, 2, 2))
    cases.add("an older timestamp", FIRST, second, refused(Mirror([FIRST], versions=(2, 2, 1)), "timestamp", "version"), second)
    cases.add("everything older", FIRST, second, refused(Mirror([FIRST]), "timestamp", "version"))
    cases.add("an older snapshot", FIRST, second, refused(Mirror([FIRST], versions=(2, 1, 3)), "snapshot", "version"), second)
    cases.add("older targets", FIRST, second, refused(Mirror([FIRST], versions=(1, 3, 3)), "targets", "version"), second)
    for role in ("targets", "snapshot"):
        lying = Mirror([FIRST], change={role: lambda signed: signed.update(version=2)})
        cases.add(f"{role} of another version than named", FIRST, refused(lying, role, "version"))
    for version in (1, 3):
        wrong = {**Mirror([FIRST]).files, "metadata/2.root.json": root(version)}
        cases.add(f"root {version} where 2 is asked for", FIRST, refused(wrong, "root", "version"))


def _mixed(cases: Cases) -> None:
    first, second = Mirror([FIRST]), Mirror([FIRST], [release(12), release(13)], (2, 2, 2))
    for role in ("targets", "snapshot"):
        mixed = {**second.files, f"metadata/2.{role}.json": first.files[f"metadata/1.{role}.json"]}
        check = "length" if len(first.files[f"metadata/1.{role}.json"]) != len(second.files[f"metadata/2.{role}.json"]) else "hash"
        cases.add(f"{role} of another time", FIRST, refused(mixed, role, check))
        cases.add(f"{role} is changed", FIRST, refused(Mirror([FIRST], swap={role: _flipped}), role, "hash"))
        cases.add(f"{role} is cut", FIRST, refused(Mirror([FIRST], swap={role: lambda data: data[:-1]}), role, "length"))
        cases.add(f"{role} goes on", FIRST, refused(Mirror([FIRST], swap={role: lambda data: data + b" "}), role, "length"))
    for role in ("targets", "snapshot", "timestamp"):
        cases.add(f"{role} is missing", FIRST, refused(Mirror([FIRST], swap={role: lambda data: None}), role, "missing"))
        later = Mirror([FIRST], versions=(2, 2, 2), swap={role: lambda data: None})
        cases.add(f"{role} is missing the next time", FIRST, accepted(first), refused(later, role, "missing"), accepted(first))
    good, files = bundle(12), Mirror([FIRST]).files
    path = f"targets/{hashlib.sha256(good).hexdigest()}.shop-12.chord"
    cases.add("a bundle", FIRST, accepted(files | {path: good}, bundles=[{"release": 12, "check": "passed"}]))
    for name, data, check in (("another", good[:-1] + b"!", "hash"), ("a short", good[:-1], "length"), ("a long", good + b"!", "length"),
                              ("an endless", good * 3, "length"), ("no", None, "missing")):  # fmt: skip
        mirror = files | ({} if data is None else {path: data})
        cases.add(f"{name} bundle", FIRST, accepted(mirror, bundles=[{"release": 12, "check": check}]))


def _flipped(data: bytes) -> bytes:
    return data.replace(b'"version":1', b'"version":2', 1)


def _endless(cases: Cases) -> None:
    def padded(to: int) -> Any:
        def pad(signed: dict[str, Any]) -> None:
            signed["pad"] = ""
            signed["pad"] = "x" * (to - len(seal(signed, ["m1"])))

        return pad

    cases.add("a timestamp as long as can be", FIRST, accepted(Mirror([FIRST], change={"timestamp": padded(16_384)})))
    cases.add("a longer timestamp", FIRST, refused(Mirror([FIRST], change={"timestamp": padded(16_385)}), "timestamp", "length"))
    long = root(2, change=lambda signed: signed.update(pad="x" * 65_536))
    cases.add("a long root", FIRST, refused(Mirror([FIRST, long]), "root", "length"))
    for upper, role, length in (("timestamp", "snapshot", 65_537), ("snapshot", "targets", 2_097_153)):
        named = Mirror([FIRST], change={upper: _named(role, length=length)})
        cases.add(f"{role} are said to have {length} bytes", FIRST, refused(named, role, "length"))


def _named(role: str, **fields: Any) -> Any:
    return lambda signed: signed["meta"][f"{role}.json"].update(fields)


def _strangers(cases: Cases) -> None:
    for role in ("targets", "snapshot", "timestamp"):
        cases.add(f"{role} of a stranger", FIRST, refused(Mirror([FIRST], signers={role: ["x1"]}), role, "signature"))
        cases.add(f"{role} of nobody", FIRST, refused(Mirror([FIRST], signers={role: []}), role, "signature"))
        other = "timestamp" if role != "timestamp" else "snapshot"
        signers = {role: [{"snapshot": "s1", "timestamp": "m1"}[other]]}
        cases.add(f"{role} signed by the key of {other}", FIRST, refused(Mirror([FIRST], signers=signers), role, "signature"))
    named = Mirror([FIRST], signers={"timestamp": ["x1"]}, spell={"timestamp": lambda data: data.replace(
        key_identifier("x1").encode(), key_identifier("m1").encode())})  # fmt: skip
    cases.add("a stranger under the identifier of the key", FIRST, refused(named, "timestamp", "signature"))
    cases.add("a mirror of another channel", FIRST, refused(_other_channel(1), "timestamp", "signature"))
    cases.add("a mirror of another channel, its root after ours", FIRST, refused(_other_channel(2), "root", "signature"))
    cases.add("a root by its own keys alone", FIRST, refused(Mirror([FIRST, root(2, _STRANGERS)]), "root", "signature"))
    cases.add("a root by the old keys alone", FIRST, refused(
        Mirror([FIRST, root(2, {"root": ["q1", "q2"]}, signers=["r1", "r2"])]), "root", "signature"))  # fmt: skip


_STRANGERS = {"root": ["x1", "x2", "x3"], "targets": ["x4"], "snapshot": ["x5"], "timestamp": ["x6"]}


def _other_channel(version: int) -> Mirror:
    others = [root(number, _STRANGERS) for number in range(1, version + 1)]
    return Mirror(others, signers=_STRANGERS)


def _thresholds(cases: Cases) -> None:
    cases.add("one of two root keys", FIRST, refused(Mirror([FIRST, root(2, signers=["r1"])]), "root", "signature"))
    cases.add("two of three root keys", FIRST, accepted(Mirror([FIRST, root(2, signers=["r1", "r3"])]), (2, 1, 1, 1)))
    raised = root(2, thresholds={"root": 3}, signers=["r1", "r2"])
    cases.add("a root that does not meet its own threshold", FIRST, refused(Mirror([FIRST, raised]), "root", "signature"))
    two = root(keys={"targets": ["t1", "t2"]}, thresholds={"targets": 2})
    cases.add("one of two keys for targets", two, refused(Mirror([two]), "targets", "signature"))
    cases.add("both keys for targets", two, accepted(Mirror([two], signers={"targets": ["t1", "t2"]})))
    cases.add("a key and a stranger for targets", two, refused(Mirror([two], signers={"targets": ["t1", "x1"]}), "targets", "signature"))
    cases.add("one key twice for targets", two, refused(Mirror([two], signers={"targets": ["t1", "t1"]}), "targets", "malformed"))
    same = root(keys={"targets": ["t1", "T1"]}, thresholds={"targets": 2})
    twice = Mirror([same], signers={"targets": ["t1", "T1"]})
    cases.add("one key under two identifiers", same, refused(twice, "targets", "signature"))
    cases.add("a stranger's signature beside", FIRST, accepted(Mirror([FIRST], signers={"targets": ["x1", "t1", "x2"]})))
    for name, change in (("of capitals", str.upper), ("cut", lambda sig: sig[:-2]), ("with a space", lambda sig: sig[:-1] + " "),
                         ("of zeros", lambda sig: "0" * 128), ("empty", lambda sig: ""), ("in a second spelling", _second)):  # fmt: skip
        cases.add(f"a signature {name}", FIRST, refused(Mirror([FIRST], spell={"timestamp": _resigned(change)}), "timestamp", "signature"))
    spoiled = Mirror([two], signers={"targets": ["t1", "t2"]}, spell={"targets": _resigned(str.upper)})
    cases.add("a signature of two in capitals", two, refused(spoiled, "targets", "signature"))


def _second(sig: str) -> str:
    raw = bytes.fromhex(sig)
    return (raw[:32] + (int.from_bytes(raw[32:], "little") + ORDER).to_bytes(32, "little")).hex()


def _resigned(change: Any) -> Any:
    """The first signature of a file, changed."""

    def spell(data: bytes) -> bytes:
        before, _, rest = data.partition(b'"sig":"')
        sig, _, rest = rest.partition(b'"')
        return before + b'"sig":"' + change(sig.decode()).encode() + b'"' + rest

    return spell


def _rotations(cases: Cases) -> None:
    first = accepted(Mirror([FIRST]))
    for role, new in (("targets", "t2"), ("snapshot", "s2"), ("timestamp", "m2")):
        roots = [FIRST, root(2, {role: [new]})]
        versions = (2, 2, 2)
        another = Mirror(roots, versions=versions, signers={role: [new]})
        recovered = {"recovered": True} if role == "targets" else {}
        cases.add(f"another key for {role}", FIRST, first, accepted(another, (2, 2, 2, 2), **recovered), accepted(another, (2, 2, 2, 2)))
        cases.add(f"the old key for {role}", FIRST, first, refused(Mirror(roots, versions=versions), role, "signature", 2))
    second = root(2, {"root": ["q1", "q2", "q3"]}, signers=["r1", "r2", "q1", "q2"])
    third = root(3, {"root": ["q1", "q2", "q3"], "timestamp": ["m2"]})
    signers = {"timestamp": ["m2"]}
    cases.add("other root keys, then another key", FIRST, first, accepted(Mirror([FIRST, second, third], signers=signers), (3, 1, 1, 1)))
    gap = Mirror([FIRST, second, third], signers=signers).files
    del gap["metadata/2.root.json"]
    cases.add("a root is skipped", FIRST, refused(gap, "timestamp", "signature"))
    cases.add("a root is hidden", FIRST, accepted(Mirror([FIRST])), accepted(Mirror([FIRST, root(2)]), (2, 1, 1, 1)),
              accepted(Mirror([FIRST]), (2, 1, 1, 1)))  # fmt: skip
    cases.add("the old root keys", FIRST, refused(Mirror([FIRST, second, root(3)], signers=signers), "root", "signature", 2))
    stays = Mirror([FIRST, root(2)], swap={"timestamp": lambda data: None})
    cases.add("roots stay when the rest is refused", FIRST, refused(stays, "timestamp", "missing", 2), accepted(Mirror([]), (2, 1, 1, 1)))
    cases.add("an app that ships a newer root", root(2), accepted(Mirror([]), (2, 1, 1, 1)))
    one = {"root": ["r1"]}
    chain = [root(number, one, {"root": 1}) for number in range(1, 34)] + [root(34, one | {"timestamp": ["m2"]}, {"root": 1})]
    late = Mirror(chain, signers=signers)
    cases.add("33 roots behind", chain[0], refused(late, "timestamp", "signature", 33), accepted(late, (34, 1, 1, 1)))

    far = accepted(Mirror([FIRST], versions=(1, 1, 2**53 - 1)), (1, 1, 1, 2**53 - 1))
    again = Mirror([FIRST, root(2, signers_of("timestamp"))], versions=(1, 1, 2), signers=signers_of("timestamp"))
    cases.add("a stolen timestamp key counted far ahead; another key begins anew", FIRST, far, accepted(again, (2, 1, 1, 2)))
    far = accepted(Mirror([FIRST], versions=(1, 900, 900)), (1, 1, 900, 900))
    again = Mirror([FIRST, root(2, signers_of("snapshot"))], versions=(1, 2, 901), signers=signers_of("snapshot"))
    cases.add("far ahead, and only the snapshot's key is another", FIRST, far, refused(again, "snapshot", "version", 2))
    both = signers_of("snapshot", "timestamp")
    again = Mirror([FIRST, root(2, both)], versions=(1, 2, 2), signers=both)
    cases.add("far ahead, and both keys are others", FIRST, far, accepted(again, (2, 1, 2, 2)))
    fewer = root(2, {"root": ["r1"]}, {"root": 1}, signers=["r1", "r2"])
    cases.add("fewer root keys", FIRST, accepted(Mirror([FIRST, fewer, root(3, {"root": ["r1"]}, {"root": 1})]), (3, 1, 1, 1)))


def signers_of(*roles: str) -> dict[str, list[str]]:
    """Second keys for these roles."""
    return {role: [{"targets": "t2", "snapshot": "s2", "timestamp": "m2"}[role]] for role in roles}


def _content(cases: Cases) -> None:
    cohort = {"app": {"from": "3.4", "below": "3.10"}, "abi": ["arm64-v8a"], "runtime": ["executorch", "litert"], "device": ["small"]}
    several = [release(11), release(12, 2_500), release(13, cohort=cohort), release(14, 0)]
    inside, outside = _install_id(2_500), _install_id(2_501)

    def asks(chosen: int | None, install_id: str = outside, kept: int = 0, failed: tuple[int, ...] = (), **facts: Any) -> dict[str, Any]:
        return {"phone": PHONE | facts, "install_id": install_id, "kept": kept, "failed": list(failed), "chosen": chosen}

    choices = [
        asks(13), asks(13, inside), asks(None, kept=13), asks(None, kept=20), asks(13, kept=12), asks(11, failed=(13,)),
        asks(12, inside, failed=(13,)), asks(None, kept=11, failed=(13,)), asks(None, inside, kept=10, failed=(11, 12, 13)),
        asks(11, app="3.3.99"), asks(13, app="3.4"), asks(13, app="3.9.2147483647.1"), asks(11, app="3.10"), asks(12, inside, app="4"),
        asks(11, abi="x86_64"), asks(11, runtimes=["native"]), asks(11, runtimes=[]), asks(13, runtimes=["executorch"]),
        asks(11, device="large"), asks(None, kept=11, device="large"),
    ]  # fmt: skip
    cases.add("who gets what", FIRST, accepted(Mirror([FIRST], several), releases=[11, 12, 13, 14], choices=choices))
    back = [release(12), release(13, content=bundle(11), counter=11, rollback_of=12)]
    cases.add(
        "a release that takes one back", FIRST, accepted(Mirror([FIRST], back), choices=[asks(13, kept=12), asks(13), asks(None, kept=13)])
    )
    killed = [
        {"fingerprint": FINGERPRINT, "from": 1, "to": 99},
        {"fingerprint": FINGERPRINT, "key": "0123456789abcdef", "from": 7, "to": 2**53 - 1},
    ]
    told = Mirror([FIRST], change={"targets": lambda signed: signed.update(chordkit={"killed": killed, "later": 1})})
    cases.add("families that are killed", FIRST, accepted(told, killed=killed))
    saying = {"base": "aa" * 32, "result": hashlib.sha256(bundle(12)).hexdigest(), "release": 12}
    data = b"a difference"
    entry = {"length": len(data), "hashes": {"sha256": hashlib.sha256(data).hexdigest()}, "custom": {"chordkit": {"difference": saying}}}
    mirror = Mirror([FIRST], [release(12), ("shop-12-from-11.chordd", entry)])
    found = {"name": "shop-12-from-11.chordd", "length": len(data), "sha256": entry["hashes"]["sha256"]} | saying
    cases.add("a difference", FIRST, accepted(mirror, releases=[12], differences=[found]))
