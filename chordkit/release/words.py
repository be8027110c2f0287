"""The words of a release channel: release, cohort, stage, difference, kill, and the JSON that each one is (docs/release.md).

No package beside Python's own is needed here. ``to_json`` gives what is signed; ``from_json`` takes nothing else: every field of its kind
and in its range, and none that is unknown, since a phone cannot tell what a field that it does not know takes back.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chordkit.errors import ReleaseError

LARGEST_NUMBER = 2**53 - 1
"""The largest release number, counter and serial: what JSON and a Java ``double`` still count exactly."""
ALL_BASIS_POINTS = 10_000
MOST_WORDS = 32
"""A cohort names at most this many ABIs, runtimes or classes of devices."""
BUNDLE_SUFFIX = ".chord"
DIFFERENCE_SUFFIX = ".chordd"

_LARGEST_PART = 2**31 - 1
_DIGEST = re.compile(r"[0-9a-f]{64}")
_IDENTIFIER = re.compile(r"[0-9a-f]{16}")
_SALT = re.compile(r"[0-9a-f]{32}")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
_VERSION = re.compile(r"(0|[1-9][0-9]{0,9})(\.(0|[1-9][0-9]{0,9})){0,3}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}(\.[A-Za-z0-9_-]{1,64}){0,3}\.chordd?")


def app_version(text: str) -> tuple[int, int, int, int]:
    """The version of an app as it compares: up to four whole numbers between dots, those that are missing are 0.

    Raises:
        ReleaseError: it is not of this form, or a part is beyond 2^31 - 1.
    """
    if isinstance(text, str) and _VERSION.fullmatch(text):
        parts = [int(part) for part in text.split(".")]
        if max(parts) <= _LARGEST_PART:
            first, second, third, fourth = parts + [0] * (4 - len(parts))
            return first, second, third, fourth
    raise ReleaseError(f"release: app version: {text!r} is not one; give up to four whole numbers between dots, such as 3.4.0")


@dataclass(frozen=True)
class PhoneFacts:
    """What a phone says of itself when it asks which release is for it.

    Attributes:
        app: version of the app.
        abi: of the process, as Android names it ("arm64-v8a").
        runtimes: those that the app has ("native", "litert", ...).
        device: class of the device ("small", "medium", "large").
    """

    app: str
    abi: str
    runtimes: tuple[str, ...]
    device: str


@dataclass(frozen=True)
class Cohort:
    """Which phones a release is for; without any bound, all of them.

    Attributes:
        app_from: the lowest version of the app; None = any.
        app_below: the lowest version that is too new; None = none is.
        abi: one of these; () = any.
        runtime: the app has at least one of these; () = any.
        device: one of these; () = any.
    """

    app_from: str | None = None
    app_below: str | None = None
    abi: tuple[str, ...] = ()
    runtime: tuple[str, ...] = ()
    device: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        bounds = [None if version is None else app_version(version) for version in (self.app_from, self.app_below)]
        if bounds[0] is not None and bounds[1] is not None and bounds[0] >= bounds[1]:
            raise ReleaseError(f"release: cohort: no app is from {self.app_from} on and below {self.app_below}; give a higher bound")
        for name in ("abi", "runtime", "device"):
            _require_words(getattr(self, name), f"cohort.{name}")

    def matches(self, phone: PhoneFacts) -> bool:
        """Whether ``phone`` is one of them."""
        version = app_version(phone.app)
        return (
            (self.app_from is None or version >= app_version(self.app_from))
            and (self.app_below is None or version < app_version(self.app_below))
            and (not self.abi or phone.abi in self.abi)
            and (not self.runtime or not set(self.runtime).isdisjoint(phone.runtimes))
            and (not self.device or phone.device in self.device)
        )

    def to_json(self) -> dict[str, Any]:
        """Only what bounds it."""
        app = {name: bound for name, bound in (("from", self.app_from), ("below", self.app_below)) if bound is not None}
        lists = {name: list(getattr(self, name)) for name in ("abi", "runtime", "device") if getattr(self, name)}
        return ({"app": app} if app else {}) | lists

    @classmethod
    def from_json(cls, value: Any) -> "Cohort":
        """Raises ReleaseError where ``value`` is not a cohort."""
        fields = _object(value, "cohort", (), ("app", "abi", "runtime", "device"))
        app = _object(fields["app"], "cohort.app", (), ("from", "below")) if "app" in fields else {}
        if "app" in fields and not app:
            raise ReleaseError("release: cohort.app: it is empty; leave it out")
        for name, bound in app.items():
            _require_text(bound, _VERSION, f"cohort.app.{name}", "a version of an app")
        lists = {name: _list(fields[name], f"cohort.{name}") for name in ("abi", "runtime", "device") if name in fields}
        return cls(app.get("from"), app.get("below"), **lists)


@dataclass(frozen=True)
class Stage:
    """How large a part of the cohort may have a release, and which: a hash decides, that nobody but the phone can compute.

    Attributes:
        salt: 32 hexadecimal digits, new for every release, so that not the same phones go first each time.
        basis_points: 0 .. 10,000.
    """

    salt: str
    basis_points: int

    def __post_init__(self) -> None:
        _require_text(self.salt, _SALT, "stage.salt", "32 hexadecimal digits")
        _require_whole(self.basis_points, 0, ALL_BASIS_POINTS, "stage.basis_points")

    def holds(self, install_id: bytes) -> bool:
        """Whether the phone that chose these 16 bytes for itself is in it."""
        if len(install_id) != 16:
            raise ReleaseError(f"release: install id: it has {len(install_id)} bytes; give 16, chosen at random once")
        drawn = int.from_bytes(hashlib.sha256(bytes.fromhex(self.salt) + install_id).digest()[:4], "big")
        return (drawn * ALL_BASIS_POINTS) >> 32 < self.basis_points

    def to_json(self) -> dict[str, Any]:
        """Both fields."""
        return {"salt": self.salt, "basis_points": self.basis_points}

    @classmethod
    def from_json(cls, value: Any) -> "Stage":
        """Raises ReleaseError where ``value`` is not a stage."""
        return cls(**_object(value, "stage", ("salt", "basis_points")))


@dataclass(frozen=True)
class Release:
    """One bundle under one number. ``name`` and ``length`` are those of its target and no part of ``to_json``.

    Attributes:
        number: 1 and up, never used twice.
        counter: the bundle's own, with which the phone opens it.
        fingerprint: of the backbone, 16 hexadecimal digits.
        bundle: SHA-256 of the file.
        name: of the file, ``<name>.chord``.
        length: bytes of the file.
        stage: which part of the cohort.
        cohort: which phones.
        rollback_of: the release that this one takes back; None = none.
    """

    number: int
    counter: int
    fingerprint: str
    bundle: str
    name: str
    length: int
    stage: Stage
    cohort: Cohort = field(default_factory=Cohort)
    rollback_of: int | None = None

    def __post_init__(self) -> None:
        _require_whole(self.number, 1, LARGEST_NUMBER, "release")
        _require_whole(self.counter, 0, LARGEST_NUMBER, "counter")
        _require_text(self.fingerprint, _IDENTIFIER, "fingerprint", "16 hexadecimal digits")
        _require_text(self.bundle, _DIGEST, "bundle", "a SHA-256")
        require_target_name(self.name, BUNDLE_SUFFIX)
        _require_whole(self.length, 1, LARGEST_NUMBER, "length")
        if self.rollback_of is not None:
            _require_whole(self.rollback_of, 1, self.number - 1, "rollback_of")

    def to_json(self) -> dict[str, Any]:
        """What stands in the target's ``custom.chordkit``."""
        back = {} if self.rollback_of is None else {"rollback_of": self.rollback_of}
        cohort = self.cohort.to_json()
        return {
            "release": self.number,
            "counter": self.counter,
            "fingerprint": self.fingerprint,
            "bundle": self.bundle,
            "stage": self.stage.to_json(),
            **({"cohort": cohort} if cohort else {}),
            **back,
        }

    @classmethod
    def from_json(cls, value: Any, name: str, length: int) -> "Release":
        """Of the target ``name`` with ``length`` bytes; raises ReleaseError where ``value`` is not a release."""
        fields = _object(value, "release", ("release", "counter", "fingerprint", "bundle", "stage"), ("cohort", "rollback_of"))
        if "rollback_of" in fields:
            _require_whole(fields["rollback_of"], 1, LARGEST_NUMBER, "rollback_of")
        return cls(
            number=fields["release"],
            counter=fields["counter"],
            fingerprint=fields["fingerprint"],
            bundle=fields["bundle"],
            name=name,
            length=length,
            stage=Stage.from_json(fields["stage"]),
            cohort=Cohort.from_json(fields.get("cohort", {})),
            rollback_of=fields.get("rollback_of"),
        )


@dataclass(frozen=True)
class Difference:
    """A file that makes one bundle from another one that the phone has. ``name``, ``length`` and ``digest`` are those of its target.

    Attributes:
        base: SHA-256 of the bundle that it starts from.
        result: SHA-256 of the bundle that it makes.
        release: the number of the release that it was made for.
        name: of the file, ``<name>.chordd``.
        length: bytes of the file.
        digest: SHA-256 of the file.
    """

    base: str
    result: str
    release: int
    name: str
    length: int
    digest: str

    def __post_init__(self) -> None:
        for name in ("base", "result", "digest"):
            _require_text(getattr(self, name), _DIGEST, f"difference.{name}", "a SHA-256")
        _require_whole(self.release, 1, LARGEST_NUMBER, "difference.release")
        require_target_name(self.name, DIFFERENCE_SUFFIX)
        _require_whole(self.length, 1, LARGEST_NUMBER, "difference.length")

    def to_json(self) -> dict[str, Any]:
        """What stands in the target's ``custom.chordkit``."""
        return {"difference": {"base": self.base, "result": self.result, "release": self.release}}

    @classmethod
    def from_json(cls, value: Any, name: str, length: int, digest: str) -> "Difference":
        """Of the target ``name``; raises ReleaseError where ``value`` is not a difference."""
        fields = _object(_object(value, "custom", ("difference",))["difference"], "difference", ("base", "result", "release"))
        return cls(**fields, name=name, length=length, digest=digest)


@dataclass(frozen=True)
class Killed:
    """A family of envelopes (strategies and user vectors) that no phone may use any more.

    Attributes:
        fingerprint: of the backbone, 16 hexadecimal digits.
        key: identifier of the key that signed them; None = whichever.
        serial_from: the lowest serial, 1 and up.
        serial_to: the highest serial.
    """

    fingerprint: str
    key: str | None
    serial_from: int
    serial_to: int

    def __post_init__(self) -> None:
        _require_text(self.fingerprint, _IDENTIFIER, "killed.fingerprint", "16 hexadecimal digits")
        if self.key is not None:
            _require_text(self.key, _IDENTIFIER, "killed.key", "16 hexadecimal digits")
        _require_whole(self.serial_from, 1, LARGEST_NUMBER, "killed.from")
        _require_whole(self.serial_to, self.serial_from, LARGEST_NUMBER, "killed.to")

    def holds(self, fingerprint: str, key: str, serial: int) -> bool:
        """Whether an envelope with these is of this family."""
        return fingerprint == self.fingerprint and self.key in (None, key) and self.serial_from <= serial <= self.serial_to

    def to_json(self) -> dict[str, Any]:
        """An element of ``signed.chordkit.killed``."""
        key = {} if self.key is None else {"key": self.key}
        return {"fingerprint": self.fingerprint, **key, "from": self.serial_from, "to": self.serial_to}

    @classmethod
    def from_json(cls, value: Any) -> "Killed":
        """Raises ReleaseError where ``value`` is not one."""
        fields = _object(value, "killed", ("fingerprint", "from", "to"), ("key",))
        if "key" in fields:
            _require_text(fields["key"], _IDENTIFIER, "killed.key", "16 hexadecimal digits")
        return cls(fields["fingerprint"], fields.get("key"), fields["from"], fields["to"])


def require_target_name(name: str, suffix: str) -> None:
    """Hold that ``name`` can be a file of a channel: letters, digits, ``_``, ``-`` and single dots inside, and this suffix.

    Raises:
        ReleaseError: it cannot.
    """
    if not (isinstance(name, str) and _NAME.fullmatch(name) and name.endswith(suffix)):
        raise ReleaseError(
            f"release: name: {name!r} is not the name of a file <name>{suffix}; use letters, digits, _ and -, and at most three dots"
        )


def _object(value: Any, where: str, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ReleaseError(f"release: {where}: it is not an object; give one")
    for name in required:
        if name not in value:
            raise ReleaseError(f"release: {where}: the field {name!r} is missing; add it")
    for name in value:
        if name not in required and name not in optional:
            raise ReleaseError(f"release: {where}: the field {str(name)[:40]!r} is unknown; update chordkit, or leave it out")
    return value


def _list(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise ReleaseError(f"release: {where}: it is not a list of names; give at least one, or leave it out")
    return tuple(value)


def _require_words(values: tuple[str, ...], where: str) -> None:
    if len(values) > MOST_WORDS:
        raise ReleaseError(f"release: {where}: {len(values)} names are more than {MOST_WORDS}; give fewer")
    for value in values:
        _require_text(value, _WORD, where, "a name of letters, digits, '.', '_' and '-', at most 32")
    if len(set(values)) != len(values):
        raise ReleaseError(f"release: {where}: a name is there twice; give it once")


def _require_text(value: Any, pattern: re.Pattern[str], where: str, what: str) -> None:
    if not (isinstance(value, str) and pattern.fullmatch(value)):
        raise ReleaseError(f"release: {where}: {str(value)[:80]!r} is not {what}; give that")


def _require_whole(value: Any, lowest: int, highest: int, where: str) -> None:
    if type(value) is not int or not lowest <= value <= highest:
        raise ReleaseError(f"release: {where}: {str(value)[:40]} is not a whole number in {lowest}..{highest}; give one")
