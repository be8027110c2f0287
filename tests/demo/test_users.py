"""The people beside the demo's bundle: true to the data, and every strategy is one that a phone accepts."""

import base64
from collections import Counter

import numpy as np
import pytest

from chordkit.coda.samples import decode_samples
from chordkit.data import Dataset
from chordkit.demo import DemoResult
from chordkit.demo.users import EVERYBODY, DemoUsers, shortened, to_bytes
from chordkit.documents import parse_json
from chordkit.errors import DataError
from chordkit.export import bundle
from chordkit.strategy import decode, open_envelope


@pytest.fixture(scope="module")
def people(demo: DemoResult) -> DemoUsers:
    assert demo.users == demo.html.parent / "demo_users.json"
    assert demo.users.stat().st_size < 50_000
    return DemoUsers.model_validate(parse_json(demo.users.read_bytes()))


def test_each_user_is_what_the_data_says(demo: DemoResult, people: DemoUsers) -> None:
    dataset = Dataset.load(demo.html.parent / "dataset.safetensors")
    assert people.data == dataset.name and len(people.users) == 3
    assert any(len(user.history) > 10 for user in people.users)  # the window of the backbone is ten
    for user in people.users:
        index = dataset.user_ids.index(user.name.removeprefix("user "))
        assert user.subject == f"user{index + 1}"
        *past, taken = (dataset.item_ids[item] for item in dataset.sequences[index])
        assert user.taken == taken and user.history == past[-101:]
        assert len(user.candidates) == len(set(user.candidates)) == 100
        assert Counter(user.candidates)[taken] == 1
        # Of 130 items no user had more than 30: nobody is offered what they had.
        assert not set(user.candidates) & set(past)
    assert len({tuple(user.candidates) for user in people.users}) == 3
    assert len({user.candidates.index(user.taken) for user in people.users}) > 1


def test_the_bundle_has_the_words_for_what_is_shown(demo: DemoResult, people: DemoUsers) -> None:
    with bundle.open(demo.bundle, demo.html.parent / "demo.pub.pem") as opened:
        assert opened.item_names() == []
        categories = dict(zip(opened.item_ids(), opened.item_categories(), strict=True))
    shown = {item for user in people.users for item in (*user.history, *user.candidates)}
    assert len(shown) > 100 and all(categories[item].startswith("interest ") for item in shown)


def test_each_user_has_samples_of_others_that_fit_the_backbone(demo: DemoResult, people: DemoUsers) -> None:
    with bundle.open(demo.bundle, demo.html.parent / "demo.pub.pem") as opened:
        master = opened.master()
    found = []
    for user in people.users:
        assert user.samples is not None
        data = base64.b64decode(user.samples, validate=True)
        found.append(decode_samples(data, fingerprint=master.fingerprint, items=master.items))
        assert len(data) <= 3072 and found[-1].samples > 20
    assert len({each.histories[0].tobytes() for each in found}) > 1


def test_every_strategy_is_in_an_envelope_for_its_user_and_for_this_backbone(demo: DemoResult, people: DemoUsers) -> None:
    key = demo.html.parent / "demo.pub.pem"
    with bundle.open(demo.bundle, key) as opened:
        master = opened.master()
        assert people.fingerprint == master.fingerprint.hex()
        inside = {entry.name: opened.strategy(entry.name) for entry in opened.manifest.strategies}
    widths = {}
    for subject, text in [(user.subject, user.envelope) for user in people.users] + [(EVERYBODY, people.shared)]:
        envelope = open_envelope(base64.b64decode(text, validate=True), key, fingerprint=master.fingerprint, subject=subject.encode())
        widths[subject] = decode(envelope.payload, fingerprint=master.fingerprint, channels=master.channel_table.channels).widths
    assert len(inside) == 2
    for name, strategy in inside.items():
        np.testing.assert_array_equal(widths[name], strategy.widths)
    assert not any(np.array_equal(widths[EVERYBODY], own) for name, own in widths.items() if name != EVERYBODY)


def test_the_same_people_give_the_same_bytes_and_what_is_too_long_is_cut_or_refused(demo: DemoResult, people: DemoUsers) -> None:
    assert to_bytes(people) == demo.users.read_bytes()
    long = people.model_copy(update={"data": "x" * 200_000})
    with pytest.raises(DataError, match=r"its ids make .* bytes for the demo app, more than 200000; use shorter ids"):
        to_bytes(long)
    assert shortened("y" * 80) == "y" * 80 and shortened("y" * 81) == "y" * 79 + "…"
