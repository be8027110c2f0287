"""Pools and answers from the shell, with real files."""

from pathlib import Path

import pytest

from chordkit.coda.pool import Pool
from chordkit.coda.samples import decode_samples
from chordkit.data import Dataset
from chordkit.quantization import MasterWeights


@pytest.fixture(scope="module")
def pools(project, command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pools")
    source = ("match", "build", "--data", project / "shop.safetensors", "--master", project / "m.chrm", "--k", 3)
    (folder / "agreed.txt").write_text("\n".join([*map(str, range(1, 81)), "gone", "", "5"]))
    outcome = command(*source, "--consent", folder / "agreed.txt", "--out", folder / "private", "--json")
    assert outcome.json["agreed"] == 80 and (outcome.json["mode"], outcome.json["k"]) == ("private", 3)
    assert "1 of 81 ids are no users of" in outcome.err
    assert outcome.json["bytes"] == (folder / "private").stat().st_size
    public = command(*source, "--public", "--out", folder / "public", "--json").json
    assert (public["mode"], public["k"], public["users"]) == ("public", 0, 120) and public["items"] > outcome.json["items"]
    everybody = command(*source, "--all-users", "--samples", 2, "--out", folder / "all", "--json").json
    assert everybody["agreed"] == 120 >= everybody["users"] and everybody["samples"] <= 2 * everybody["users"]
    return folder


def _query(project, pools: Path, out: Path) -> tuple[object, ...]:
    return ("match", "query", "--pool", pools / "private", "--master", project / "m.chrm", "--out", out, "--json")


def test_a_user_gets_samples_of_others_that_the_phone_reads(project, pools: Path, command, tmp_path: Path) -> None:
    data, weights = Dataset.load(project / "shop.safetensors"), MasterWeights.load(project / "m.chrm")
    answer = command(*_query(project, pools, tmp_path / "5"), "--data", project / "shop.safetensors", "--user", 5, "--count", 60).json
    wire = (tmp_path / "5").read_bytes()
    found = decode_samples(wire, fingerprint=weights.fingerprint, items=weights.items)
    assert answer["bytes"] == len(wire) <= 3072 and answer["samples"] == found.samples == 60
    assert (answer["segments"], answer["items"]) == (len(found.histories), found.items) and 3 <= answer["users"] <= 60
    # The same history of nobody is answered with this user's samples too, which are nearest.
    history = ",".join(data.item_ids[item] for item in data.sequences[data.user_ids.index("5")])
    command(*_query(project, pools, tmp_path / "h"), "--data", project / "shop.safetensors", "--history", history, "--count", 60)
    indices = ",".join(map(str, data.sequences[data.user_ids.index("5")]))
    command(*_query(project, pools, tmp_path / "i"), "--indices", "--history", indices, "--count", 60)
    assert (tmp_path / "h").read_bytes() == (tmp_path / "i").read_bytes() != wire


def test_an_answer_with_too_few_bytes_says_what_it_leaves_out(project, pools: Path, command, tmp_path: Path) -> None:
    outcome = command(*_query(project, pools, tmp_path / "x"), "--indices", "--history", "1,2", "--count", 100, "--most-bytes", 150)
    assert outcome.json["bytes"] <= 150 and f"{outcome.json['samples']} of 100 samples fit" in outcome.err
    public = (*_query(project, pools, tmp_path / "y"), "--pool", pools / "public", "--data", project / "shop.safetensors", "--user", 5)
    assert "a public pool knows no users" in command(*public).err


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("build --data {p}/shop.safetensors --master {p}/m.chrm --out {t}/x", "say --all-users, or --public; one"),
        ("build --data {p}/shop.safetensors --master {p}/m.chrm --all-users --public --out {t}/x", "one of the three"),
        ("build --data {p}/shop.safetensors --master {p}/m.chrm --consent {t}/none.txt --out {t}/x", "has none of its 1 users"),
        ("build --data {p}/shop.safetensors --master {p}/m.chrm --consent {t}/no.txt --out {t}/x", "no such consent file"),
        ("build --data {p}/shop.safetensors --master {p}/m.chrm --all-users --k 121 --out {t}/x", "lower k, or bring more users"),
        ("build --data {p}/shop.safetensors --master {p}/m.chrm --all-users --k 1 --out {t}/x", "--k"),
        ("query --pool {p}/m.chrm --master {p}/m.chrm --indices --history 1 --out {t}/x", "m.chrm: not a pool, or damaged"),
        ("query --pool {p}/shop.safetensors --master {p}/m.chrm --indices --history 1 --out {t}/x", "not a pool (metadata field 'format')"),
        ("query --pool {q}/private --master {p}/m.chrm --out {t}/x", "give either --history, or --user with --data"),
        ("query --pool {q}/private --master {p}/m.chrm --data {p}/shop.safetensors --user 999 --out {t}/x", "has no such user"),
        ("query --pool {q}/private --master {p}/m.chrm --indices --history 1 --out {q}/private", "which would be lost"),
    ],
)  # fmt: skip
def test_whatever_is_wrong_is_one_sentence(line: str, says: str, project, pools: Path, command, tmp_path: Path) -> None:
    (tmp_path / "none.txt").write_text("gone\n")
    outcome = command("match", *line.format(p=project.folder, q=pools, t=tmp_path).split())
    assert outcome.status == 2 and says in outcome.err and outcome.err.count("\n") == 1, outcome.err
    assert not (tmp_path / "x").exists()


def test_a_pool_of_another_backbone_is_refused(project, pools: Path, command, tmp_path: Path) -> None:
    from dataclasses import replace

    replace(Pool.load(pools / "private"), fingerprint=bytes(8)).save(tmp_path / "other")
    outcome = command(*_query(project, pools, tmp_path / "x"), "--pool", tmp_path / "other", "--indices", "--history", "1")
    assert outcome.status == 2 and "pool: fingerprint: it is for backbone 0000000000000000" in outcome.err
