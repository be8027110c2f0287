"""A channel's verbs: what they let phones have, what they refuse, and that the mirror always verifies."""

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("tuf", reason="needs chordkit[release]")
pytest.importorskip("sqlalchemy", reason="needs chordkit[release]")

from chordkit.errors import BundleError, ReleaseError
from chordkit.export.bundle import apply_difference
from chordkit.release.channel import Candidate, Channel
from chordkit.release.client import ChannelClient, Targets, choose
from chordkit.release.metadata import MetadataRefused
from chordkit.release.report import ReportKey
from chordkit.release.words import Cohort, Killed, PhoneFacts

PHONE = PhoneFacts("3.4.0", "arm64-v8a", ("native",), "small")
PHONE_ID = bytes(range(16))


class Owner:
    """A channel, its bundles, and a phone that looks at it."""

    def __init__(self, folder: Path, clock, key: Path, make: Callable[[int], Path]) -> None:
        self.folder, self.clock, self.key, self.make = folder, clock, key, make
        self.channel = Channel.open(folder, clock=clock)
        self.root, self.state = (folder / "mirror" / "metadata" / "1.root.json").read_bytes(), b""

    def publish(self, counter: int, **options):
        return self.channel.publish(Candidate(self.make(counter), [self.key]), **options)

    def look(self) -> Targets:
        """As one phone that keeps what it saw."""
        client = ChannelClient(self.root, self.state, self.channel.repository.fetch, int(self.clock()))
        targets = client.refresh()
        self.state = client.state
        return targets

    def chosen(self, kept: int = 0, phone: PhoneFacts = PHONE) -> int | None:
        release = choose(self.look(), phone, PHONE_ID, kept)
        return release.number if release else None

    def states(self) -> list[str]:
        return [each.state for each in self.channel.registry.releases()]


@pytest.fixture(scope="session")
def new(tmp_path_factory: pytest.TempPathFactory, clock_at_start) -> Path:
    """The folder of a channel with nothing in it."""
    folder = tmp_path_factory.mktemp("new") / "shop"
    Channel.init(folder, "shop", clock=clock_at_start)
    return folder


@pytest.fixture
def owner(tmp_path: Path, new: Path, clock, bundle_key: Path, make_bundle) -> Owner:
    shutil.copytree(new, tmp_path / "shop")
    return Owner(tmp_path / "shop", clock, bundle_key, make_bundle)


def test_an_empty_channel_has_nothing_for_a_phone(owner: Owner) -> None:
    targets = owner.look()
    assert targets.versions == dict.fromkeys(("root", "targets", "snapshot", "timestamp"), 1)
    assert owner.chosen() is None
    assert (owner.folder / "keys" / "targets-1.pem").stat().st_mode & 0o077 == 0
    assert not list(owner.channel.home.mirror.rglob("*.pem"))


def test_a_release_reaches_the_phone_byte_for_byte(owner: Owner) -> None:
    release = owner.publish(7)
    client = ChannelClient(owner.root, b"", owner.channel.repository.fetch, owner.clock.now)
    chosen = choose(client.refresh(), PHONE, PHONE_ID)
    assert chosen == release and chosen.counter == 7
    assert client.bundle(chosen) == owner.make(7).read_bytes()


def test_a_stage_grows_and_never_shrinks(owner: Owner) -> None:
    owner.publish(1)
    owner.publish(2, basis_points=0)
    assert owner.chosen() == 1
    owner.channel.promote(2, 10_000)
    assert owner.chosen() == 2 and owner.states() == ["live", "live"]
    with pytest.raises(ReleaseError, match="100 % may have it already"):
        owner.channel.promote(2, 9_999)


def test_what_is_paused_goes_on_where_it_was(owner: Owner) -> None:
    owner.publish(1)
    owner.publish(2)
    owner.channel.pause(2)
    assert owner.chosen() == 1
    with pytest.raises(ReleaseError, match="it is paused; resume it first"):
        owner.channel.promote(2, 10_000)
    owner.channel.resume(2)
    assert owner.chosen() == 2
    with pytest.raises(ReleaseError, match="neither paused nor stopped"):
        owner.channel.resume(2)


def test_taking_back_is_a_higher_number_with_the_older_bundle(owner: Owner) -> None:
    first, second = owner.publish(1), owner.publish(2)
    back = owner.channel.rollback()
    assert (back.number, back.bundle, back.counter, back.rollback_of) == (3, first.bundle, 1, second.number)
    assert owner.chosen(kept=2) == 3 and owner.states() == ["live", "rolled back", "live"]
    with pytest.raises(ReleaseError, match="no older one that went to all"):
        owner.channel.rollback()
    with pytest.raises(ReleaseError, match="its counter is 1, and one with 2 was put out"):
        owner.publish(1)


def test_taking_back_falls_over_what_never_went_to_all(owner: Owner) -> None:
    first = owner.publish(1)
    owner.publish(2, basis_points=500)
    owner.publish(3)
    assert owner.states() == ["live", "replaced", "live"]
    assert owner.channel.rollback().bundle == first.bundle


def test_taking_back_to_a_release_that_is_named(owner: Owner) -> None:
    first = owner.publish(1)
    owner.publish(2)
    owner.publish(3, basis_points=500)
    assert owner.channel.rollback(3, to=1).bundle == first.bundle
    assert owner.states() == ["live", "rolled back", "rolled back", "live"]
    with pytest.raises(ReleaseError, match="no older one 9"):
        owner.channel.rollback(to=9)


def test_cohorts_keep_what_they_had(owner: Owner) -> None:
    owner.publish(1)
    owner.publish(2, cohort=Cohort(abi=("x86_64",)))
    x86 = PhoneFacts("3.4.0", "x86_64", ("native",), "small")
    assert (owner.chosen(), owner.chosen(phone=x86)) == (1, 2)
    owner.publish(3)
    assert (owner.chosen(), owner.chosen(phone=x86)) == (3, 3)
    owner.channel.pause(3)
    assert (owner.chosen(), owner.chosen(phone=x86)) == (1, 2)


def test_a_bundle_that_is_not_good_is_not_put_out(owner: Owner, tmp_path: Path) -> None:
    before = owner.look()
    damaged = tmp_path / "damaged.chord"
    data = bytearray(owner.make(1).read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    with pytest.raises(BundleError):
        owner.channel.publish(Candidate(damaged, [owner.key]))
    stranger = owner.folder / "keys" / "targets-1.pub.pem"
    with pytest.raises(BundleError):
        owner.channel.publish(Candidate(owner.make(1), [stranger]))
    assert owner.look() == before and not owner.channel.registry.releases()
    assert not list(owner.channel.home.mirror.glob("targets/*"))


def test_one_counter_is_one_bundle_and_one_release(owner: Owner) -> None:
    owner.publish(1)
    with pytest.raises(ReleaseError, match=r"this is release 1 already \(live\)"):
        owner.publish(1)
    other = owner.make(1).with_name("other.chord")
    other.write_bytes(owner.make(2).read_bytes())
    owner.channel.publish(Candidate(other, [owner.key]))
    with pytest.raises(ReleaseError, match="its counter is 1"):
        owner.publish(1, cohort=Cohort(device=("small",)))


def test_a_difference_makes_the_new_bundle_from_the_old(owner: Owner) -> None:
    first = owner.publish(1)
    second = owner.publish(2, differences_from=[1])
    client = ChannelClient(owner.root, b"", owner.channel.repository.fetch, owner.clock.now)
    difference = client.refresh().difference(second, first.bundle)
    assert difference is not None and difference.length < second.length
    assert apply_difference(owner.make(1).read_bytes(), client.difference(difference)) == owner.make(2).read_bytes()


def test_a_family_is_killed_and_given_back(owner: Owner) -> None:
    family = Killed("46afccc803a06ae9", None, 1, 9)
    owner.channel.kill(family)
    assert owner.look().killed == (family,)
    owner.channel.unkill(family)
    assert owner.look().killed == ()


def test_failing_phones_stop_a_release(owner: Owner) -> None:
    owner.publish(1)
    owner.publish(2, basis_points=2_000)
    owner.channel.registry.count({ReportKey(2, "native", "arm64-v8a", "failed"): 9, ReportKey(2, "native", "arm64-v8a", "passed"): 50})
    assert set(owner.channel.stop_failing()) == {2} and owner.channel.stop_failing() == {}
    assert owner.states() == ["live", "stopped"]
    assert {release.number: release.stage.basis_points for release in owner.look().releases} == {1: 10_000, 2: 0}
    with pytest.raises(ReleaseError, match="it is stopped; resume it if the phones were wrong"):
        owner.channel.promote(2, 10_000)
    owner.channel.resume(2)
    assert owner.look().releases[1].stage.basis_points == 2_000


def test_metadata_is_made_anew_at_half_its_life(owner: Owner) -> None:
    assert owner.channel.due() == ()
    owner.clock.pass_days(0.51)
    assert owner.channel.due() == ("timestamp",) == owner.channel.refresh()
    assert owner.look().versions == {"root": 1, "targets": 1, "snapshot": 1, "timestamp": 2}
    owner.clock.pass_days(4)
    assert owner.channel.refresh() == ("snapshot", "timestamp")
    owner.clock.pass_days(50)
    with pytest.raises(MetadataRefused, match="timestamp: expired"):
        owner.look()
    assert owner.channel.refresh() == ("targets", "snapshot", "timestamp")
    assert owner.look().versions == {"root": 1, "targets": 2, "snapshot": 3, "timestamp": 4}


@pytest.mark.parametrize("role", ["root", "targets", "snapshot", "timestamp"])
def test_a_role_gets_other_keys_under_way(role: str, owner: Owner) -> None:
    owner.publish(1)
    owner.look()
    before = set(json.loads(owner.channel.repository.root().data)["signed"]["roles"][role]["keyids"])
    assert owner.channel.rotate(role, 2, 3) == 2
    signed = json.loads(owner.channel.repository.root().data)["signed"]["roles"][role]
    assert len(signed["keyids"]) == 3 and signed["threshold"] == 2 and not before & set(signed["keyids"])
    assert owner.look().versions["root"] == 2
    # A phone that does not see the new root yet goes on with the old one.
    old = ChannelClient(
        owner.root, b"", lambda path, limit: None if "2.root" in path else owner.channel.repository.fetch(path, limit), owner.clock.now
    )
    assert old.refresh().versions["root"] == 1
    owner.channel.refresh()
    assert owner.chosen() == 1
    if role != "root":
        (owner.folder / "keys" / f"{role}-2.pem").unlink()
        owner.channel.refresh()
        (owner.folder / "keys" / f"{role}-3.pem").unlink()
        with pytest.raises(ReleaseError, match=f"{role}: 1 of its private keys are here and 2 have to sign"):
            owner.channel.refresh()


def test_a_lost_key_is_replaced(owner: Owner) -> None:
    owner.look()
    (owner.folder / "keys" / "timestamp-1.pem").unlink()
    with pytest.raises(ReleaseError, match="timestamp: 0 of its private keys are here"):
        owner.publish(1)
    owner.channel.rotate("timestamp", 1, 1)
    owner.publish(1)
    assert owner.chosen() == 1


def test_root_keys_may_lie_elsewhere(owner: Owner, tmp_path: Path) -> None:
    owner.channel.home.root_keys.rename(tmp_path / "stick")
    owner.publish(1)
    with pytest.raises(ReleaseError, match="root: 0 of its private keys are here"):
        owner.channel.rotate("targets", 1, 1)
    assert owner.look().versions["root"] == 1
    assert owner.channel.renew_root([tmp_path / "stick"]) == 2
    assert owner.channel.rotate("root", 1, 1, [tmp_path / "stick"]) == 3
    assert (tmp_path / "stick" / "root-2.pem").exists() and not owner.channel.home.root_keys.exists()
    assert owner.look().versions["root"] == 3


def test_an_old_copy_of_the_registry_is_noticed(owner: Owner) -> None:
    owner.publish(1)
    for path in owner.folder.glob("registry.sqlite*"):
        path.unlink()
    again = Channel.open(owner.folder, clock=owner.clock)
    with pytest.raises(ReleaseError, match=r"the mirror has shop-1\.chord and this registry has not"):
        again.publish(Candidate(owner.make(2), [owner.key]))
    assert owner.chosen() == 1


def test_no_version_is_written_twice_after_an_old_copy_of_the_registry(owner: Owner) -> None:
    copies = {path: path.read_bytes() for path in owner.folder.glob("registry.sqlite*")}
    owner.channel.kill(Killed("46afccc803a06ae9", None, 1, 1))
    before = owner.look()
    for path, data in copies.items():
        path.write_bytes(data)
    Channel.open(owner.folder, clock=owner.clock).kill(Killed("46afccc803a06ae9", None, 2, 2))
    after = owner.look()
    assert all(after.versions[role] > before.versions[role] for role in ("targets", "snapshot", "timestamp"))
    assert [killed.serial_from for killed in after.killed] == [2]


def test_owners_wait_for_each_other(owner: Owner) -> None:
    channels = [Channel.open(owner.folder, clock=owner.clock) for _ in range(4)]
    threads = [
        threading.Thread(target=channel.kill, args=[Killed("46afccc803a06ae9", None, number, number)])
        for number, channel in enumerate(channels, 1)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {killed.serial_from for killed in owner.look().killed} == {1, 2, 3, 4}
    assert owner.look().versions["targets"] == 5


def test_a_folder_with_a_channel_is_not_made_again(owner: Owner, tmp_path: Path, clock) -> None:
    with pytest.raises(ReleaseError, match="there is a channel here already"):
        Channel.init(owner.folder, "shop", clock=clock)
    with pytest.raises(ReleaseError, match="the files of a channel are here already"):
        Channel.init(tmp_path / "other", "shop", mirror=owner.channel.home.mirror, clock=clock)
    with pytest.raises(ReleaseError, match="registry of another channel"):
        Channel.init(tmp_path / "third", "shop", registry=owner.channel.home.registry_url, clock=clock)
    with pytest.raises(ReleaseError, match="there is no channel here"):
        Channel.open(tmp_path / "nowhere")
    for name in ("", "../x", "a b", "a" * 33):
        with pytest.raises(ReleaseError, match="cannot name files"):
            Channel.init(tmp_path / "fourth", name)
