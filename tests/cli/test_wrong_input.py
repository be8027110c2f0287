"""Whatever is wrong with the input: exit status 2, one sentence that names the file or field and the mend, and no half file.

A traceback cannot hide: an exception that the command line does not turn into a sentence leaves ``run`` and fails the test.
"""

import dataclasses
import errno
import json
import os
import resource
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

import chordkit.data
import chordkit.files

COLUMNS = "--user uid --item sku --time ts"

# (what is wrong, command, words the sentence must have). {p} is the project, {t} the test's own folder.
CASES = [
    ("a missing file", f"data prepare {{p}}/no.csv {COLUMNS} --out {{t}}/x.safetensors", ["no.csv", "no such file"]),
    ("a wrong column", "data prepare {p}/clicks.csv --user uid --item goods --time ts --out {t}/x.safetensors",
     ["clicks.csv", "no column 'goods'", "'sku'", "--item"]),
    ("an empty user", f"data prepare {{t}}/nouser.csv {COLUMNS} --out {{t}}/x.safetensors",
     ["nouser.csv:3", "user", "is empty", "fill it"]),
    ("users without interactions", "data prepare {t}/users.txt --out {t}/x.safetensors", ["users.txt", "holds no interactions", "give"]),
    ("no user with a history", f"data prepare {{t}}/short.csv {COLUMNS} --out {{t}}/x.safetensors",
     ["short.csv", "none of 2 users", "give"]),
    ("a timestamp that is no number", f"data prepare {{t}}/monday.csv {COLUMNS} --out {{t}}/x.safetensors",
     ["monday.csv:2", "'monday' is not a number", "another column than 'ts'"]),
    ("an empty file", f"data prepare {{t}}/empty.csv {COLUMNS} --out {{t}}/x.safetensors", ["empty.csv", "is empty"]),
    ("a binary file", "data prepare {t}/binary --out {t}/x.safetensors", ["binary", "cannot tell the format"]),
    ("an unknown format", "data prepare {p}/clicks.csv --format tsv --out {t}/x.safetensors", ["tsv", "csv, jsonl or parquet"]),
    ("a data set that is not there", "data info ml-100k", ["ml-100k", "CHORDKIT_DATA"]),
    ("a damaged data set", "data info {t}/flipped.safetensors", ["flipped.safetensors", "damaged", "make it again"]),
    ("a seed below 0", f"data prepare {{p}}/clicks.csv {COLUMNS} --out {{t}}/x.safetensors --seed -1", ["--seed", "0"]),
    ("a seed that is no number", "data info synthetic --seed tomorrow", ["--seed", "integer"]),
    ("an unknown option", "data info synthetic --sede 1", ["--sede", "chordkit data info --help"]),
    ("an unknown command", "dtaa info", ["dtaa"]),
    ("a missing option", "data prepare {p}/clicks.csv", ["--out"]),
    ("an unknown architecture", "train backbone --data {p}/shop.safetensors --architecture bert4rec --out {t}/x.safetensors",
     ["'bert4rec' is unknown", "sasrec"]),
    ("an unknown training device", "train backbone --data {p}/shop.safetensors --device tpu --out {t}/x.safetensors", ["'tpu'", "cpu"]),
    ("a checkpoint of another data set",
     "train backbone --data {t}/other.safetensors --dim 16 --max-length 20 --epochs 1 --threads 1 --out {t}/x.safetensors "
     "--checkpoints {p}/b.safetensors.checkpoints", ["training.safetensors", "dataset fingerprint", "another checkpoint folder"]),
    ("a checkpoint of another seed",
     "train backbone --data {p}/shop.safetensors --dim 16 --max-length 20 --epochs 1 --threads 1 --seed 4 --out {t}/x.safetensors "
     "--checkpoints {p}/b.safetensors.checkpoints", ["training.safetensors", "seed = 0"]),
    ("a damaged backbone", "train hypernetwork --data {p}/shop.safetensors --backbone {t}/flipped-b.safetensors --out {t}/x.safetensors "
     "--master {t}/x.chrm", ["flipped-b.safetensors", "damaged", "train again"]),
    ("half a backbone", "train hypernetwork --data {p}/shop.safetensors --backbone {t}/half-b.safetensors --out {t}/x.safetensors "
     "--master {t}/x.chrm", ["half-b.safetensors", "not a whole backbone"]),
    ("a data set of another backbone", "train hypernetwork --data {t}/other.safetensors --backbone {p}/b.safetensors "
     "--out {t}/x.safetensors --master {t}/x.chrm", ["items", "its own data set"]),
    ("a budget out of range", "train hypernetwork --data {p}/shop.safetensors --backbone {p}/b.safetensors --budget 9 "
     "--out {t}/x.safetensors --master {t}/x.chrm", ["average_bits = 9.0", "give 2 to 8"]),
    ("a range of budgets that is none", "train hypernetwork --data {p}/shop.safetensors --backbone {p}/b.safetensors --budgets 1 "
     "--out {t}/x.safetensors --master {t}/x.chrm", ["--budgets 1", "such as 1,6"]),
    ("budgets that the widths cannot have", "train hypernetwork --data {p}/shop.safetensors --backbone {p}/b.safetensors --budgets 1,6 "
     "--out {t}/x.safetensors --master {t}/x.chrm", ["average_bits = 1.0", "widths 2, 4, 8", "give 2 to 8"]),
    ("widths that are none", "train hypernetwork --data {p}/shop.safetensors --backbone {p}/b.safetensors --widths 2,x "
     "--out {t}/x.safetensors --master {t}/x.chrm", ["--widths 2,x", "such as 2,4,8"]),
    ("a level of importance that is none", "train hypernetwork --data {p}/shop.safetensors --backbone {p}/b.safetensors "
     "--without block --out {t}/x.safetensors --master {t}/x.chrm", ["without", "filter, element, layer"]),
    ("an fp32 rival of a frozen backbone", "train hypernetwork --data {p}/shop.safetensors --backbone {p}/b.safetensors --fp32 "
     "--backbone-init trained --out {t}/x.safetensors --master {t}/x.chrm", ["quantised", "joint"]),
    ("a window longer than the backbone's", "train hypernetwork --data {p}/shop.safetensors --backbone {p}/b.safetensors --window 21 "
     "--out {t}/x.safetensors --master {t}/x.chrm", ["window = 21", "1 to 20"]),
    ("a teacher of other data", "train backbone --data {t}/other.safetensors --dim 16 --max-length 20 --epochs 1 "
     "--teacher {p}/b.safetensors --out {t}/x.safetensors", ["--teacher", "b.safetensors", "on other data", "trained on this data set"]),
    ("a weight of no teacher", "train backbone --data {p}/shop.safetensors --teacher-weight 0.5 --out {t}/x.safetensors",
     ["--teacher-weight", "no --teacher"]),
    ("lessons of no teacher", "train hypernetwork --data {p}/shop.safetensors --backbone {p}/b.safetensors --lessons {t}/l.safetensors "
     "--out {t}/x.safetensors --master {t}/x.chrm", ["--lessons", "no --teacher"]),
    ("a hypernetwork's teacher of other data", "train hypernetwork --data {p}/shop.safetensors --backbone {p}/b.safetensors --epochs 1 "
     "--teacher {t}/other-b.safetensors --out {t}/x.safetensors --master {t}/x.chrm", ["--teacher", "on other data", "'clicks'"]),
    ("a user vector of a hypernetwork that makes none", "strategy make --hypernetwork {p}/h.safetensors --master {p}/m.chrm "
     "--history 1,2 --out {t}/x.chrd --user-vector {t}/x.chru", ["--user-vector", "h.safetensors", "train it with"]),
    ("an evaluation of a budget that is none", "evaluate --data {p}/shop.safetensors --budget three --out {t}/e",
     ["--budget three", "such as 3.0"]),
    ("an evaluation of one budget twice", "evaluate --data {p}/shop.safetensors --budget 3,4 --budget 3:2,4,8 --out {t}/e",
     ["--budget", "twice"]),
    ("an evaluation of an impossible budget", "evaluate --data {p}/shop.safetensors --budget 1.5 --out {t}/e",
     ["average_bits = 1.5", "give 2 to 8"]),
    ("an evaluation of an unknown architecture", "evaluate --data {p}/shop.safetensors --architecture bert4rec --out {t}/e",
     ["'bert4rec' is unknown", "sasrec"]),
    ("an evaluation that holds out too much", "evaluate --data {p}/shop.safetensors --held-out 6 --out {t}/e", ["held_out", "1..5"]),
    ("an evaluation of another backbone's data", "evaluate --data {t}/other.safetensors --backbone {p}/b.safetensors --out {t}/e",
     ["items", "its own data set"]),
    ("an evaluation into a file", "evaluate --data {p}/shop.safetensors --out {p}/clicks.csv", ["--out", "is a file"]),
    ("a user who is not in the data set", "strategy make --hypernetwork {p}/h.safetensors --master {p}/m.chrm --data {p}/shop.safetensors "
     "--user nobody --out {t}/x.chrd", ["--user nobody", "no such user", "'1'"]),
    ("a history of no indices", "strategy make --hypernetwork {p}/h.safetensors --master {p}/m.chrm --indices --history 1,131 "
     "--out {t}/x.chrd", ["--history", "1..130"]),
    ("a history of ids that are no numbers", "strategy make --hypernetwork {p}/h.safetensors --master {p}/m.chrm --indices --history s1 "
     "--out {t}/x.chrd", ["--history s1", "leave --indices out"]),
    ("a history of unknown items", "strategy make --hypernetwork {p}/h.safetensors --master {p}/m.chrm --data {p}/shop.safetensors "
     "--history 1,131 --out {t}/x.chrd", ["--history 1,131", "has none of these items; its ids look like 's"]),
    ("a history of nobody's items", "strategy make --hypernetwork {p}/h.safetensors --master {p}/m.chrm --history s1 --out {t}/x.chrd",
     ["--history s1", "--data", "--indices if they lie in 1..130"]),
    ("a backbone for a hypernetwork", "strategy make --hypernetwork {p}/b.safetensors --master {p}/m.chrm --history 1,2 --out {t}/x.chrd",
     ["b.safetensors", "no hypernetwork"]),
    ("a damaged master", "strategy show {p}/u5.chrd --master {t}/flipped.chrm", ["flipped.chrm", "checksum"]),
    ("half a master", "strategy show {p}/u5.chrd --master {t}/half.chrm", ["half.chrm", "truncated"]),
    ("a damaged strategy", "strategy show {t}/flipped.chrd --master {p}/m.chrm", ["flipped.chrd", "CRC", "fetch it again"]),
    ("an explanation of nobody", "strategy show {p}/u5.chrd --master {p}/m.chrm --hypernetwork {p}/h.safetensors "
     "--data {p}/shop.safetensors", ["either --user or --history"]),
    ("an explanation without a hypernetwork", "strategy show {p}/u5.chrd --master {p}/m.chrm --data {p}/shop.safetensors --user 5",
     ["needs --hypernetwork"]),
    ("an explanation of a user and a history", "strategy show {p}/u5.chrd --master {p}/m.chrm --hypernetwork {p}/h.safetensors "
     "--data {p}/shop.safetensors --user 5 --history 1,2", ["either --user or --history"]),
    ("an explanation of a user who is not there", "strategy show {p}/u5.chrd --master {p}/m.chrm --hypernetwork {p}/h.safetensors "
     "--data {p}/shop.safetensors --user nobody", ["--user nobody", "no such user", "'1'"]),
    ("an explanation against other data", "strategy show {p}/u5.chrd --master {p}/m.chrm --hypernetwork {p}/h.safetensors "
     "--data {t}/other.safetensors --user 5", ["--data", "items do not fit", "trained on"]),
    ("an explanation within another budget", "strategy show {p}/u5.chrd --master {p}/m.chrm --hypernetwork {p}/h.safetensors "
     "--data {p}/shop.safetensors --user 5 --budget 4", ["u5.chrd", "budget", "3.00 bits", "4.00", "give the budget"]),
    ("a change since another backbone", "strategy show {p}/u5.chrd --master {p}/m.chrm --since {t}/foreign.chrd",
     ["foreign.chrd", "fingerprint", "make it again"]),
    ("a change since nothing", "strategy show {p}/u5.chrd --master {p}/m.chrm --since {t}/none.chrd", ["none.chrd", "no such strategy"]),
    ("a picture of another kind", "strategy show {p}/u5.chrd --master {p}/m.chrm --picture {t}/p.jpg", ["p.jpg", ".png or .svg"]),
    ("a picture in a file", "strategy show {p}/u5.chrd --master {p}/m.chrm --picture {p}/clicks.csv/p.svg",
     ["--picture", "clicks.csv is a file"]),
    ("a strategy of another backbone", "export --master {p}/m.chrm --strategy {t}/foreign.chrd --target onnx --out {t}/a",
     ["foreign.chrd", "fingerprint", "make it again"]),
    ("an unknown target", "export --master {p}/m.chrm --target tensorrt --out {t}/a", ["--target: tensorrt", "onnx, openvino, native"]),
    ("an unknown precision", "export --master {p}/m.chrm --target litert --precision int3 --out {t}/a", ["--precision: int3", "int8"]),
    ("a precision that a target lacks", "export --master {p}/m.chrm --backbone {p}/m.fp32.safetensors --target native --precision fp32 "
     "--out {t}/a", ["native", "fp32", "int8 or strategy"]),
    ("more candidates than items", "export --master {p}/m.chrm --target litert --candidates 131 --out {t}/a", ["131", "at most 130"]),
    ("the float backbone of another master", "export --master {p}/m.chrm --backbone {p}/b.safetensors --target onnx --precision fp32 "
     "--out {t}/a", ["not the one behind", ".fp32.safetensors"]),
    ("a folder without artifacts", "bundle make --master {p}/m.chrm --artifacts {t} --data {p}/shop.safetensors --out {t}/x.chord",
     ["export.json", "no such"]),
    ("a strategy that the artifacts need", "bundle make --master {p}/m.chrm --artifacts {p}/artifacts --data {p}/shop.safetensors "
     "--backbone {p}/m.fp32.safetensors --out {t}/x.chord", ["--strategy u5.chrd"]),
    ("a public key to sign with", "bundle make --master {p}/m.chrm --artifacts {p}/artifacts --data {p}/shop.safetensors "
     "--strategy {p}/u5.chrd --backbone {p}/m.fp32.safetensors --key {p}/key.pub.pem --out {t}/x.chord", ["key.pub.pem", "private key"]),
    ("a key that is there already", "bundle key --private {p}/key.pem --public {t}/new.pub.pem", ["key.pem", "never overwritten"]),
    ("a truncated bundle", "bundle verify {t}/half.chord", ["half.chord", "damaged", "fetch it again"]),
    ("a changed bundle", "bundle verify {t}/flipped.chord", ["flipped.chord", "damaged"]),
    ("the wrong public key", "bundle verify {p}/shop.chord --public-key {t}/other.pub.pem", ["shop.chord", "signed with key", "signer's"]),
    ("an unsigned bundle when a key is required", "validate {t}/unsigned.chord --public-key {p}/key.pub.pem",
     ["unsigned.chord", "not signed", "--key"]),
    ("an artifact that is not in the bundle", "validate {p}/shop.chord --artifact tflite", ["'tflite'", "litert-u5"]),
    ("the data set of another bundle", "validate {p}/shop.chord --data {t}/other.safetensors", ["items", "trained on"]),
    ("an unknown device", "bench {p}/shop.chord --device pixel", ["'pixel'", "host"]),
    ("a report that is none", "report {t}/short.csv", ["short.csv", "not a bundle, a result"]),
    ("a demo of too little", "demo --data {t}/other.safetensors --target native --out {t}/demo", ["too few", "100"]),
    ("a file where a folder should be", f"data prepare {{p}}/clicks.csv {COLUMNS} --out {{p}}/clicks.csv/x.safetensors",
     ["--out", "clicks.csv is a file", "another place"]),
    ("a folder where a file should be", f"data prepare {{p}}/clicks.csv {COLUMNS} --out {{t}}", ["--out", "folder", "name of a file"]),
    ("a place that the system keeps for itself", f"data prepare {{p}}/clicks.csv {COLUMNS} --out /proc/x.safetensors", ["/proc"]),
    ("checkpoints in a file", "train backbone --data {p}/shop.safetensors --out {t}/x.safetensors --checkpoints {p}/clicks.csv",
     ["--checkpoints", "is a file"]),
]  # fmt: skip


def _flip(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


@pytest.fixture(scope="module")
def wrong(project, command, clicks, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files that are each wrong in one way."""
    folder = tmp_path_factory.mktemp("wrong")
    (folder / "nouser.csv").write_text("uid,sku,ts\n1,2,3\n,3,4\n")
    (folder / "users.txt").write_text("1\n2\n")
    (folder / "short.csv").write_text("uid,sku,ts\n1,2,3\n2,3,4\n")
    (folder / "monday.csv").write_text("uid,sku,ts\n1,2,monday\n")
    (folder / "empty.csv").touch()
    (folder / "binary").write_bytes(bytes(range(256)))
    clicks(folder / "other.csv", seed=5, users=30, items=40)
    assert command("data", "prepare", folder / "other.csv", *COLUMNS.split(), "--out", folder / "other.safetensors").status == 0
    for file, name in (("shop.safetensors", "safetensors"), ("m.chrm", "chrm"), ("u5.chrd", "chrd"), ("shop.chord", "chord")):
        data = (project / file).read_bytes()
        (folder / f"flipped.{name}").write_bytes(_flip(data, len(data) * 3 // 4))
        (folder / f"half.{name}").write_bytes(data[: len(data) // 2])
    train = ("train", "backbone", "--data", folder / "other.safetensors", "--dim", 16, "--max-length", 20, "--epochs", 1, "--threads", 1)
    assert command(*train, "--out", folder / "other-b.safetensors").status == 0
    backbone = (project / "b.safetensors").read_bytes()
    (folder / "flipped-b.safetensors").write_bytes(_flip(backbone, len(backbone) - 9))
    (folder / "half-b.safetensors").write_bytes(backbone[:9000])
    strategy = _flip((project / "u5.chrd").read_bytes(), 9)[:-4]
    (folder / "foreign.chrd").write_bytes(strategy + zlib.crc32(strategy).to_bytes(4, "little"))
    assert command("bundle", "key", "--private", folder / "other.pem", "--public", folder / "other.pub.pem").status == 0
    make = ("bundle", "make", "--master", project / "m.chrm", "--data", project / "shop.safetensors", "--strategy", project / "u5.chrd")
    more = ("--backbone", project / "m.fp32.safetensors", "--artifacts", project / "artifacts", "--histories", 20, "--vectors", 4)
    assert command(*make, *more, "--out", folder / "unsigned.chord").status == 0
    return folder


def _files(*folders: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for folder in folders for path in folder.rglob("*") if path.is_file()}


def assert_one_sentence(outcome, words: list[str]) -> None:
    assert outcome.status == 2, outcome
    assert outcome.out == ""
    assert outcome.err.startswith("chordkit: ") and outcome.err.count("\n") == 1 and outcome.err.endswith("\n"), outcome.err
    assert "Traceback" not in outcome.err and outcome.err[:-1].isprintable()
    for word in words:
        assert word in outcome.err, outcome.err


@pytest.mark.parametrize(("line", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_one_sentence_and_no_half_file(line: str, words: list[str], project, command, wrong: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHORDKIT_DATA", raising=False)
    before = _files(project.folder, wrong)
    outcome = command(*(part.format(p=project.folder, t=wrong) for part in line.split()))
    assert_one_sentence(outcome, words)
    assert _files(project.folder, wrong) == before


@pytest.mark.parametrize(
    ("module", "package", "line"),
    [
        ("ai_edge_litert", "litert", "validate {p}/shop.chord --artifact litert-u5"),
        ("onnxruntime", "onnx", "validate {p}/shop.chord --artifact onnx-u5"),
        ("onnx", "onnx", "export --master {p}/m.chrm --target onnx --candidates 20 --out {t}/a"),
        ("executorch", "executorch", "export --master {p}/m.chrm --target executorch --candidates 20 --out {t}/a"),
        ("ai_edge_litert", "litert", "bench {p}/shop.chord --artifact litert-u5 --rounds 5 --processes 0 --launches 1"),
    ],
)
def test_a_missing_runtime_names_the_extra_that_brings_it(
    module: str, package: str, line: str, project, command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [module, *(name for name in sys.modules if name.startswith(module + "."))]:
        monkeypatch.setitem(sys.modules, name, None)
    outcome = command(*(part.format(p=project.folder, t=tmp_path) for part in line.split()))
    assert_one_sentence(outcome, ["not installed", f"pip install 'chordkit[{package}]'"])
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_sentence_and_no_file(project, command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(chordkit.files.os, "fsync", full)
    out = tmp_path / "x.safetensors"
    outcome = command("data", "prepare", project / "clicks.csv", *COLUMNS.split(), "--out", out)
    assert_one_sentence(outcome, [str(out), "No space left on device", "free some space"])
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_may_not_grow_is_one_sentence_and_no_file(project, command, tmp_path: Path) -> None:
    # The kernel itself refuses, in the middle of a write.
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        outcome = command("data", "prepare", project / "clicks.csv", *COLUMNS.split(), "--out", tmp_path / "x.safetensors")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert_one_sentence(outcome, [str(tmp_path / "x.safetensors"), "File too large"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_refused(project, command, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    outcome = command("data", "prepare", project / "clicks.csv", *COLUMNS.split(), "--out", tmp_path / "x.safetensors")
    assert_one_sentence(outcome, ["may not be written", "permissions"])


def test_a_folder_that_does_not_exist_yet_is_made(project, command, tmp_path: Path) -> None:
    out = tmp_path / "new" / "deeper" / "x.safetensors"
    assert command("data", "prepare", project / "clicks.csv", *COLUMNS.split(), "--out", out).status == 0
    assert out.exists()


def test_a_data_set_gets_the_ending_by_which_it_is_known(project, command, tmp_path: Path) -> None:
    outcome = command("data", "prepare", project / "clicks.csv", *COLUMNS.split(), "--out", tmp_path / "shop")
    assert_one_sentence(outcome, [f"--out {tmp_path / 'shop'}: data sets are known by their ending; call it shop.safetensors"])
    assert list(tmp_path.iterdir()) == []


def test_too_little_memory_is_one_sentence(project, command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*arguments: object, **options: object) -> None:
        raise MemoryError("Unable to allocate 29.8 GiB")

    monkeypatch.setattr(chordkit.data, "load_named", load)
    outcome = command("data", "info", project / "shop.safetensors")
    assert_one_sentence(outcome, ["memory does not hold", "29.8 GiB", "ask for less"])


def test_an_option_of_every_command_has_its_place_before_them(project, command) -> None:
    for option, verb in (("--quiet", "data info"), ("-v", "validate")):
        outcome = command(*verb.split(), project / "shop.safetensors", option)
        assert_one_sentence(outcome, [f"{option} stands before the command: 'chordkit {option} {verb}'"])


def test_names_reach_a_terminal_that_lacks_their_letters_and_no_terminal_is_no_error(project, tmp_path: Path) -> None:
    shop = chordkit.data.Dataset.load(project / "shop.safetensors")
    dataclasses.replace(shop, name="Café").save(tmp_path / "cafe.safetensors")
    info = [sys.executable, "-m", "chordkit", "data", "info", str(tmp_path / "cafe.safetensors")]
    poor = {**os.environ, "PYTHONIOENCODING": "ascii"}
    told = subprocess.run([*info, "--json"], capture_output=True, env=poor)
    assert json.loads(told.stdout)["name"] == "Café" and told.returncode == 0
    assert b"Caf\\xe9" in subprocess.run(info, capture_output=True, env=poor).stdout
    closed = subprocess.run(["sh", "-c", '"$@" >&- 2>&-', "sh", *info, "--json"], capture_output=True)
    assert closed.returncode == 0


def test_the_console_script_says_the_same(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "chordkit", "data", "info", str(tmp_path / "no.csv")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("chordkit: ") and done.stderr.count("\n") == 1
