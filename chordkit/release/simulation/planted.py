"""Phones with one check missing: the simulation is worth something only if it sees every one of them.

Each fault replaces one function of the phone by a careless one. ``shows`` is what the judge says of it first of all.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

from chordkit.release import client, metadata, phone, store, words

Patch = tuple[Any, str, Any]


@dataclass(frozen=True)
class Fault:
    """What is missing, and by what it shows.

    Attributes:
        name: in a few words.
        shows: a sentence of the judge that has to be among those that it says.
        patches: (where, which function, what stands in its place).
    """

    name: str
    shows: str
    patches: tuple[Patch, ...]

    @contextmanager
    def planted(self) -> Iterator[None]:
        """All phones have it within this block."""
        with ExitStack() as stack:
            for where, name, value in self.patches:
                stack.enter_context(patch.object(where, name, value, create=name == "recovered"))
            yield


def _nothing(*_: Any, **__: Any) -> None:
    return None


def _yes(*_: Any, **__: Any) -> bool:
    return True


def _unsigned(data: memoryview, label: str, keys: Any, *, minimum: int) -> Any:
    return _READ_BUNDLE(data, label, None)


def _careless_choice(**careless: Any) -> Callable[..., Any]:
    def choose(targets: Any, facts: Any, install_id: bytes, kept: int, failed: Any) -> Any:
        return _CHOOSE(targets, facts, install_id, careless.get("kept", kept), careless.get("failed", failed))

    return choose


def _without(*steps: str) -> Callable[..., None]:
    """The store's writing without some of its steps."""

    def place(self: store.Store, name: str, data: bytes) -> None:
        self.disk.write(name + ".part", data)
        if "sync" not in steps:
            self.disk.sync(name + ".part")
        self.disk.rename(name + ".part", name)
        if "sync_folder" not in steps:
            self.disk.sync_folder()

    return place


def _in_place(self: store.Store, name: str, data: bytes) -> None:
    self.disk.write(name, data)
    self.disk.sync(name)
    self.disk.sync_folder()


def _state_first(self: store.Store, name: str, data: bytes) -> None:
    late: dict[str, bytes] = _LATE.setdefault(id(self.disk), {})
    if name != store.STATE:
        late[name] = data
        return
    _PLACE(self, name, data)
    for each in list(late):
        _PLACE(self, each, late.pop(each))


def _clean_first(self: store.Store, state: store.State) -> None:
    self.clean(state)
    self.place(store.STATE, state.to_bytes())


def _forgets(self: store.State) -> bytes:
    return _TO_BYTES(replace(self, channel=b""))


def _opens_or_ends(self: phone.Phone, slot: store.Slot) -> Any:
    return self._read(self._store.disk.read(slot.file), slot.file, slot.counter)


_NEVER = property(lambda _: False, lambda _, __: None)


_READ_BUNDLE, _CHOOSE, _PLACE, _TO_BYTES = phone.bundle.read, client.choose, store.Store.place, store.State.to_bytes
_LATE: dict[int, dict[str, bytes]] = {}

_NEVER_MADE = "it adopted a release that the channel never made"
_OLDER = "it believed metadata older than it had seen"
_TAKEN_BACK = "it uses a strategy that was taken back"
_FORGOT = "it went back to an older release, or forgot which it had"
_NOT_THERE = "its state names a file that is not there"
_NOT_FOR_IT = "it adopted a release that was not for it"
_SHUT_OUT = "it is shut out of updates"

FAULTS = (
    Fault(
        "signatures of metadata",
        _NEVER_MADE,
        ((metadata.SignedFile, "require_signed_by", _nothing),),
    ),
    Fault("versions that never fall", _OLDER, ((client, "_require_not_below", _nothing),)),
    Fault("what was seen is not kept", _OLDER, ((store.State, "to_bytes", _forgets),)),
    Fault("expiry", "it believed metadata that had expired", ((client.ChannelClient, "_require_unexpired", _nothing),)),
    Fault(
        "hash of the bundle, and its counter",  # either alone does for what mirrors can put in a bundle's place
        "what it adopted is not the bundle of that release",
        ((client, "_require_same", _nothing), (phone, "_require_meant", _nothing)),
    ),
    Fault(
        "limits of length", "it would take more bytes than a file can have", ((client, "LIMITS", dict.fromkeys(client.LIMITS, 1 << 40)),)
    ),
    Fault("new roots", _SHUT_OUT, ((client.ChannelClient, "_update_root", _nothing),)),
    Fault("signature of the bundle", _NEVER_MADE, ((phone.bundle, "read", _unsigned),)),
    Fault("self-check", "it runs a bundle that it cannot run", ((phone.Phone, "_runs", _yes),)),
    Fault("stage", _NOT_FOR_IT, ((words.Stage, "holds", _yes),)),
    Fault("cohort", _NOT_FOR_IT, ((words.Cohort, "matches", _yes),)),
    Fault("rising numbers", _FORGOT, ((phone, "choose", _careless_choice(kept=0)),)),
    Fault("memory of failures", "it fetched a release again that it cannot run", ((phone, "choose", _careless_choice(failed=())),)),
    Fault("kills", _TAKEN_BACK, ((phone, "_without_killed", lambda state, _: state),)),
    Fault("kills, of an envelope that comes later", _TAKEN_BACK, ((phone, "kept_killed", lambda _: ()),)),
    Fault(
        "sync of a file before its name",
        _FORGOT,
        ((store.Store, "place", _without("sync")),),
    ),
    Fault("sync of the folder", _NOT_THERE, ((store.Store, "place", _without("sync_folder")),)),
    Fault("a new file beside the old one", _FORGOT, ((store.Store, "place", _in_place),)),
    Fault("the bundle before the state", _NOT_THERE, ((store.Store, "place", _state_first),)),
    Fault("the state before old files go", _NOT_THERE, ((store.Store, "write", _clean_first),)),
    Fault("what is damaged is fetched again", "a damaged bundle was not mended", ((phone.Phone, "_is_damaged", lambda *_: False),)),
    Fault("another bundle where one is damaged", "it has nothing that opens: BundleError", ((phone.Phone, "_opened", _opens_or_ends),)),
    Fault("numbers that begin anew after a theft", _SHUT_OUT, ((client.ChannelClient, "recovered", _NEVER),)),
)
