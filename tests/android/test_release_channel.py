"""A phone (the Java library) at a channel that Python makes, over a web server of static files."""

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

pytest.importorskip("tests.android.java_virtual_machines", reason="the wheel has no sources of Android")
pytest.importorskip("tuf", reason="needs chordkit[release]")
pytest.importorskip("sqlalchemy", reason="needs chordkit[release]")
from chordkit.release.channel import Candidate, Channel
from chordkit.release.report import Report
from chordkit.release.words import Cohort, Killed
from chordkit.signing import key_id
from tests.android.material import KEY, master_of

pytestmark = pytest.mark.checkout


class Shop:
    """A channel of the bundles in ``material``, its web server, and a phone."""

    def __init__(self, folder: Path, material: Path, command: list[str]) -> None:
        self.channel = Channel.init(folder / "owner", "shop")
        self.asked: list[str] = []
        asked, mirror = self.asked, str(self.channel.home.mirror)

        class Handler(SimpleHTTPRequestHandler):
            def __init__(self, *words: Any) -> None:
                super().__init__(*words, directory=mirror)

            def log_message(self, *_: Any) -> None:
                asked.append(self.path)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self._material, self._key = material, folder / "key.pub.pem"
        self._key.write_bytes(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        root = self.channel.home.mirror / "metadata" / "1.root.json"
        where = [folder / "phone", root, "http://127.0.0.1:9/gone", f"http://127.0.0.1:{self.server.server_port}"]
        self.phone = subprocess.Popen([*command, *map(str, where)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def publish(self, name: str, **options: Any) -> int:
        return self.channel.publish(Candidate(self._material / "store" / f"{name}.chord", [self._key]), **options).number

    def say(self, line: str) -> list[str]:
        """What the phone did, what it runs, what it reports, in the words of the registry, and what it fetched."""
        del self.asked[:]
        assert self.phone.stdin is not None and self.phone.stdout is not None
        self.phone.stdin.write(line + "\n")
        self.phone.stdin.flush()
        went, found, header = self.phone.stdout.readline().rstrip("\n").split("; ")
        report = Report.parse(header)
        assert (report.runtime, report.abi, report.app) == ("native", "arm64-v8a", "3.4.0")
        fetched = sorted(path.rpartition(".")[2] for path in self.asked if path.startswith("/targets/"))
        return [went, found, f"{report.release} {report.check}", *fetched]


@pytest.fixture
def shop(virtual_machine: Callable[[str], Any], material: Path, tmp_path: Path) -> Iterator[Shop]:
    machine = virtual_machine("x86_64")
    options = [f"-Djava.library.path={machine.native}", f"-Dchord.test.folder={material}", "-Xshare:auto", "-XX:TieredStopAtLevel=1"]
    made = Shop(tmp_path, material, ["java", *options, "-cp", os.pathsep.join(map(str, machine.classes)), "io.chordkit.ChannelPhone"])
    yield made
    made.phone.kill()
    made.phone.communicate()
    made.server.shutdown()
    made.server.server_close()


def test_a_phone_follows_what_the_owner_does(shop: Shop) -> None:
    first = shop.publish("5")
    assert shop.say("look") == ["release 1", "5 CURRENT plain-nobody", "1 passed", "chord"]
    shop.publish("6", differences_from=[first], basis_points=0)
    assert shop.say("look") == ["nothing", "5 CURRENT plain-nobody", "1 none"]
    shop.channel.promote(2, 10_000)
    assert shop.say("look") == ["release 2", "6 CURRENT plain-nobody", "2 passed", "chordd"]
    shop.publish("7", cohort=Cohort(app_from="4"))
    assert shop.say("look") == ["nothing", "6 CURRENT plain-nobody", "2 none"]
    shop.channel.rollback(2, to=first)
    assert shop.say("look") == ["release 4", "5 CURRENT plain-nobody", "4 passed"]  # from its own disk
    assert shop.say("adopt mixed-3") == ["adopted", "5 CURRENT mixed-nobody", "4 none"]
    shop.channel.kill(Killed(master_of("sasrec").fingerprint.hex(), key_id(KEY.public_key()), 1, 3))
    assert shop.say("look") == ["nothing", "5 CURRENT plain-nobody", "4 none"]
    assert shop.say("adopt mixed-3") == ["StoreException", "5 CURRENT plain-nobody", "4 none"]
    assert shop.say("adopt off-4") == ["adopted", "5 CURRENT off-nobody", "4 none"]
    bad = shop.publish("swapped")  # no phone computes its test vectors
    assert shop.say("look") == ["Failed", "5 CURRENT off-nobody", f"{bad} failed", "chord"]
    assert shop.say("look") == ["nothing", "5 CURRENT off-nobody", "4 none"]
    shop.channel.rotate("targets", 1, 1)  # after which what failed is tried once more: a thief may have burnt its number
    assert shop.say("look") == ["Failed", "5 CURRENT off-nobody", f"{bad} failed", "chord"]
