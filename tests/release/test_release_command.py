"""``chordkit release``: a channel from zero on the command line, over a real server of static files."""

import getpass
import http.server
import importlib.util
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

pytest.importorskip("tuf", reason="needs chordkit[release]")
pytest.importorskip("sqlalchemy", reason="needs chordkit[release]")

from chordkit.release.channel import Channel
from chordkit.release.client import ChannelClient, choose
from chordkit.release.report import ReportKey
from chordkit.release.words import PhoneFacts

PHONE = PhoneFacts("3.4.0", "arm64-v8a", ("native",), "small")


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def serve() -> Iterator:
    """Serves a folder on loopback, and gives what asks it as a phone does."""
    servers = []

    def start(folder: Path):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)

        def fetch(path: str, limit: int) -> bytes | None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/{path}", timeout=10) as answer:
                    return answer.read(limit + 1)
            except urllib.error.HTTPError as error:
                if error.code == 404:
                    return None
                raise

        return fetch

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_channel_from_zero(command, tmp_path: Path, serve, make_bundle, bundle_key: Path) -> None:
    home = tmp_path / "shop"
    made = command("release", "init", home, "--name", "shop", "--share", "root=2/3", "--lifetime", "timestamp=2", "--json").json
    root = Path(made["ship_with_the_app"]).read_bytes()
    fetch, phone = serve(home / "mirror"), bytes(16)
    key = ("--public-key", bundle_key)

    def run(verb: str, *arguments: object) -> dict:
        return command("release", verb, *arguments, "--channel", home, "--json").json

    assert run("publish", make_bundle(1), *key)["release"] == 1
    second = run("publish", make_bundle(2), *key, "--percent", 12.5, "--abi", "arm64-v8a", "--app-from", "3", "--difference-from", 1)
    assert second["stage"]["basis_points"] == 1_250 and second["cohort"] == {"app": {"from": "3"}, "abi": ["arm64-v8a"]}
    run("promote", 2, "--percent", 100)
    client = ChannelClient(root, b"", fetch, int(time.time()))
    targets = client.refresh()
    chosen = choose(targets, PHONE, phone)
    assert chosen is not None and chosen.number == 2 and client.bundle(chosen) == make_bundle(2).read_bytes()
    assert len(client.difference(targets.differences[0])) == targets.differences[0].length
    run("pause", 2)
    run("resume", 2)
    assert run("rollback", 2)["rollback_of"] == 2
    run("kill", "--fingerprint", chosen.fingerprint, "--from", 3, "--to", 9)
    assert run("rotate", "timestamp", "--needed", 1, "--count", 2) == {"role": "timestamp", "root": 2}
    assert run("refresh", "--root") == {"written": ["timestamp"], "root": 3}
    again = ChannelClient(root, client.state, fetch, int(time.time()))
    after = again.refresh()
    assert after.versions["root"] == 3 and [killed.serial_to for killed in after.killed] == [9]
    assert choose(after, PHONE, phone, kept=2).number == 3
    run("kill", "--fingerprint", chosen.fingerprint, "--from", 3, "--to", 9, "--undo")
    shown = run("status")
    assert [(each["release"], each["state"]) for each in shown["releases"]] == [(3, "live"), (2, "rolled back"), (1, "live")]
    assert shown["problem"] is None and shown["due"] == shown["killed"] == shown["remarks"] == []
    assert shown["roles"]["root"] | {"seconds_left": 0, "expires": ""} == {
        "version": 3, "keys": 3, "threshold": 2, "seconds_left": 0, "expires": "",
    }  # fmt: skip
    people = command("release", "status", "--channel", home).out
    assert "rolled back" in people and "2 of 3" in people
    events = run("log", "--last", 3)["events"]
    assert [each["release"] for each in events] == [None, None, None] and {each["who"] for each in events} == {getpass.getuser()}
    assert events[0]["what"] != events[-1]["what"] and events[0]["time"] >= events[-1]["time"]
    assert "rolled back" in command("release", "log", "--channel", home).out


def test_a_watch_stops_what_fails_and_signs_what_is_about_to_end(command, tmp_path: Path, make_bundle, bundle_key: Path) -> None:
    home = tmp_path / "shop"
    command("release", "init", home, "--lifetime", "timestamp=0.001", "--json")
    command("release", "publish", make_bundle(1), "--public-key", bundle_key, "--channel", home)
    Channel.open(home).registry.count({ReportKey(1, "native", "arm64-v8a", "failed"): 30})
    done = command("release", "watch", "--once", "--channel", home, "--json").json
    assert done["stopped"] == {"1": "30 of 30 self-checks failed (all phones)"}
    for path in (home / "mirror" / "metadata").glob("timestamp.json"):
        path.unlink()
    shown = command("release", "status", "--channel", home)
    assert "phones refuse this mirror" in shown.err and "run `chordkit release refresh`" in shown.err
    done = command("release", "watch", "--once", "--channel", home, "--json").json
    assert done["written"] == ["targets", "snapshot", "timestamp"]
    assert command("release", "watch", "--once", "--channel", home).out == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("init", "{new}", "--share", "root=3/2"), "3 of 2 keys cannot sign"),
        (("init", "{new}", "--share", "mirrors=1/1"), "give ROLE=NEEDED/KEYS"),
        (("init", "{new}", "--lifetime", "root=0"), "give ROLE=DAYS"),
        (("init", "{new}", "--registry", "mysql://x/y"), "is none that can be one"),
        (("status", "-c", "{new}"), "there is no channel here"),
        (("promote", "7", "--percent", "1", "-c", "{home}"), "release 7: there is none of this number"),
        (("promote", "7", "--percent", "0.001", "-c", "{home}"), "a stage has steps of 0.01"),
        (("rotate", "mirrors", "-c", "{home}"), "'mirrors' is no role"),
        (("kill", "--fingerprint", "xyz", "--from", "1", "--to", "2", "-c", "{home}"), "is not 16 hexadecimal digits"),
        (("kill", "--fingerprint", "46afccc803a06ae9", "--from", "2", "--to", "1", "-c", "{home}"), "killed.to"),
        (("watch", "--once", "--threshold", "2", "-c", "{home}"), "give a share"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)  # fmt: skip
def test_what_is_wrong_is_one_sentence(arguments: tuple[str, ...], said: str, command, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp() / "channel-for-refusals"
    if not folder.exists():
        Channel.init(folder, "shop")
    outcome = command("release", *(text.format(home=folder, new=folder / "new") for text in arguments))
    assert outcome.status == 2 and said in outcome.err and outcome.err.count("\n") == 1


@pytest.mark.parametrize("package", ["tuf", "sqlalchemy"])
def test_a_package_that_is_missing_is_named(package: str, command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == package else found(name, *more))
    for arguments in (("init", tmp_path / "new"), ("status", "-c", tmp_path)):
        outcome = command("release", *arguments)
        said = f"chordkit: a release channel needs the package {package}; pip install 'chordkit[release]'\n"
        assert (outcome.status, outcome.err) == (2, said)
