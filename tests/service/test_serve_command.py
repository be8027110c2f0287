"""``chordkit serve`` from the shell, as far as it does not come to serving."""

import hashlib
from pathlib import Path

import pytest

pytest.importorskip("fastapi")


def test_tokens_are_made_and_gather_in_a_file(command, tmp_path: Path) -> None:
    file = tmp_path / "tokens.txt"
    shop = command("serve", "token", "shop-android", "--tokens", file, "--json").json
    other = command("serve", "token", "shop-ios", "--tokens", file, "--json").json
    assert shop["app"] == "shop-android" and len(shop["token"]) >= 40 and shop["token"] != other["token"]
    digests = [hashlib.sha256(each["token"].encode()).hexdigest() for each in (shop, other)]
    assert file.read_text() == f"shop-android {digests[0]}\nshop-ios {digests[1]}\n"
    file.write_text("something else\n")
    assert command("serve", "token", "third", "--tokens", file).status == 2 and file.read_text() == "something else\n"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ((), "give --key to sign envelopes with, or say --bare"),
        (("--bare", "--host", "0.0.0.0"), "--host 0.0.0.0 is open to others; give --tokens"),
        (("--bare", "--device", "small=2"), "device class small: 2 bits are not 2.5 to 6 in steps of 0.25"),
        (("--bare", "--device", "small"), "--device small: give NAME=BITS, such as small=2.5"),
        (("--bare", "--tls-key", "x.pem"), "--tls-certificate and --tls-key go together"),
        (("--bare", "--tls-key", "x.pem", "--tls-certificate", "y.pem"), "y.pem: there is no such file"),
        (("--key", "no.pem"), "no.pem"),
        (("--bare", "--tokens", "no.txt"), "no.txt"),
    ],
)
def test_what_cannot_be_served_is_said_before_it_starts(options: tuple[str, ...], sentence: str, command, folder: Path) -> None:
    outcome = command("serve", folder / "models", *options)
    assert outcome.status == 2 and sentence in outcome.err.splitlines()[-1]


def test_a_folder_without_a_model_is_refused(command, tmp_path: Path) -> None:
    outcome = command("serve", "run", tmp_path, "--bare")
    assert outcome.status == 2 and "there is no master.chrm in it" in outcome.err
