"""Bench runs programs: whose, is asked first, and what runs is what was verified."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from chordkit.errors import BundleError, InputError
from chordkit.export import bundle
from chordkit.runtime_bench import bundles
from chordkit.runtime_bench.bundles import EAGER, bench_bundles
from chordkit.runtime_bench.results import Settings

QUICK = Settings(rounds=5, block_ms=1.0, processes=1, launches=1)
OPTIONS = ("--rounds", 5, "--block-ms", 1, "--processes", 1, "--launches", 1, "--artifact", "native-u5")


def test_bench_refuses_a_bundle_of_another_signer_and_an_older_one_before_it_runs(project: Any, command: Any, tmp_path: Path) -> None:
    path = project / "shop.chord"
    other = tmp_path / "other.pub.pem"
    assert command("bundle", "key", "--private", tmp_path / "other.pem", "--public", other).status == 0
    identifier = bundle.inspect(path).key
    (tmp_path / "revoked").write_text(f"# since the move\n\n{identifier}  # the old one\n")
    right = ("--public-key", project / "key.pub.pem")
    for verb in (("bench", path, *OPTIONS), ("validate", path), ("bundle", "verify", path, "--run"), ("bundle", "inspect", path)):
        for arguments, words in (
            (("--public-key", other), "not with the key"),
            ((*right, "--minimum-counter", 1), "the lowest that is accepted is 1"),
            ((*right, "--revoked", identifier), "which is revoked"),
            ((*right, "--revoked", tmp_path / "revoked"), "which is revoked"),
            ((*right, "--revoked", "0123"), "no such list of revoked keys"),
            ((*right, "--revoked", project / "key.pub.pem"), "is not the identifier of a key"),
            (("--revoked", identifier), "no public key is given"),
        ):
            outcome = command(*verb, *arguments)
            assert outcome.status == 2 and not outcome.out and words in outcome.err, outcome


def test_who_gives_no_key_is_told_that_nobody_vouches_for_what_runs(project: Any, command: Any, tmp_path: Path) -> None:
    path, keys = project / "shop.chord", ("--public-key", project / "key.pub.pem")
    other = tmp_path / "other.pub.pem"
    assert command("bundle", "key", "--private", tmp_path / "other.pem", "--public", other).status == 0
    for verb in (("bench", path, *OPTIONS), ("validate", path, "--artifact", "native-u5"), ("bundle", "verify", path, "--run")):
        without, with_key = command(*verb), command(*verb, *keys, "--public-key", other)
        assert without.status == with_key.status == 0, (without.err, with_key.err)
        assert f"note: {path}: no --public-key was given, so nobody vouches for the programs that ran" in without.err
        assert "vouches" not in with_key.err
    assert "vouches" not in command("bundle", "verify", path).err


def test_what_is_measured_are_the_bytes_that_were_verified(project: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is gone before the first process that loads an artifact, or eager PyTorch, starts."""
    path = tmp_path / "shop.chord"
    shutil.copy(project / "shop.chord", path)
    run_host = bundles.run_host

    def without_the_file(*arguments: Any, **options: Any) -> Any:
        path.unlink()
        return run_host(*arguments, **options)

    monkeypatch.setattr(bundles, "run_host", without_the_file)
    report = bench_bundles([path], ["native-u5"], QUICK, public_key=project / "key.pub.pem")
    assert {result.name for result in report.results} == {EAGER, "native-u5"} and not path.exists()
    assert all(result.isolated is not None for result in report.results)


def test_bench_verifies_every_bundle_it_is_given(project: Any, unsigned: Path) -> None:
    with pytest.raises(BundleError, match=r"unsigned\.chord: the bundle is not signed"):
        bench_bundles([project / "shop.chord", unsigned], ["native-u5"], QUICK, public_key=project / "key.pub.pem")


def test_an_fp32_artifact_is_not_timed_where_nobody_knows_its_scores(project: Any, unsigned: Path) -> None:
    with pytest.raises(InputError, match=r"unsigned/onnx-fp32: what it must score over the histories of another bundle is not known"):
        bench_bundles([project / "shop.chord", unsigned], ["onnx-fp32"], QUICK)


def test_a_counter_and_an_sbom_are_made_and_asked_for_by_command(unsigned: Path, command: Any) -> None:
    seen = command("bundle", "inspect", unsigned, "--json").json
    assert (seen["counter"], seen["sbom"]["format"], len(seen["provenance"]["lock_sha256"])) == (7, "CycloneDX 1.6", 64)
    shown = command("bundle", "inspect", unsigned).out
    assert "CycloneDX 1.6" in shown and seen["provenance"]["lock_sha256"] in shown
    checked = command("bundle", "verify", unsigned, "--minimum-counter", 7, "--json").json
    assert checked["counter"] == 7 and "sbom" in checked["checks"] and checked["passed"]
    older = command("bundle", "verify", unsigned, "--minimum-counter", 8)
    assert older.status == 2 and "its counter is 7, and the lowest that is accepted is 8" in older.err


@pytest.fixture(scope="module")
def unsigned(project: Any, command: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's bundle without a signature, with a counter and an SBOM."""
    pytest.importorskip("cyclonedx")
    path = tmp_path_factory.mktemp("unsigned") / "unsigned.chord"
    sources = ("--master", project / "m.chrm", "--backbone", project / "m.fp32.safetensors", "--strategy", project / "u5.chrd")
    data = ("--artifacts", project / "artifacts", "--data", project / "shop.safetensors", "--histories", 20)
    outcome = command("bundle", "make", *sources, *data, "--counter", 7, "--sbom", "--out", path)
    assert outcome.status == 0, outcome.err
    return path
