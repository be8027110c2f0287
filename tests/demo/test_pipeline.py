"""What the demo leaves: every rival as an artifact, in one bundle or another and in one timing, and a report that says what to ship."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from chordkit.cli.main import run
from chordkit.data import synthesize
from chordkit.demo import DemoOptions, DemoResult
from chordkit.demo.training import TrainingPlan
from chordkit.errors import BundleError, InputError
from chordkit.export import bundle
from chordkit.report import load_json
from chordkit.runtime_bench.bundles import bench_bundles
from chordkit.runtime_bench.results import Settings

TARGETS = ("litert", "onnx", "native")


def test_only_the_same_run_finds_its_checkpoints_again(tmp_path: Path) -> None:
    plan = DemoOptions(out=tmp_path).plan
    small, other = (synthesize(seed, users=20, items=110, mean_length=12) for seed in (0, 1))
    runs = [
        (small, plan),
        (other, plan),
        *((small, replace(plan, **change)) for change in ({"seed": 1}, {"epochs": 3}, {"architecture": "caser"})),
    ]
    folders = [run.checkpoints(dataset, tmp_path) for dataset, run in runs]
    assert len(set(folders)) == len(folders)
    assert TrainingPlan("sasrec", None, None, 0).checkpoints(small, tmp_path) == folders[0]
    assert all(folder.is_relative_to(tmp_path) for folder in folders)


def test_every_rival_ships_signed_and_passed_the_gate(demo: DemoResult) -> None:
    found = {}
    for path in (demo.bundle, demo.static, demo.full):
        report = bundle.verify(path, demo.html.parent / "demo.pub.pem")
        assert report.passed and report.signed
        with bundle.open(path) as opened:
            found[path.stem] = {entry.name for entry in opened.manifest.artifacts}
            assert all(entry.parity is not None and entry.parity.passed for entry in opened.manifest.artifacts)
            # The phone's window, not the one that the backbone was first trained with.
            assert opened.vectors().histories.shape[1] == 10
    users = {name.split("-")[1] for name in found["demo"]}
    assert len(users) == 2 and found["demo"] == {f"{target}-{user}" for target in TARGETS for user in users}
    assert found["static"] == {f"{target}-static" for target in TARGETS}
    even = {f"{target}-{kind}" for target in TARGETS for kind in ("int8", "uniform2")}
    assert found["fp32"] == even | {"litert-fp32", "onnx-fp32"}


def test_the_static_bundle_holds_one_strategy_with_channels_that_are_off_for_everybody(demo: DemoResult) -> None:
    with bundle.open(demo.static) as opened, bundle.open(demo.bundle) as personal:
        (entry,) = opened.manifest.strategies
        widths = opened.strategy(entry.name).widths
        assert set(widths.tolist()) == {0, 8} and entry.average_bits == pytest.approx(2.0, rel=0.005)
        assert opened.master().fingerprint != personal.master().fingerprint


def test_all_artifacts_are_timed_in_one_run_and_in_one_table(demo: DemoResult) -> None:
    report = load_json(demo.json)
    assert report == demo.report
    assert {each.bundle for each in report.artifacts} == {"demo", "static", "fp32", None}
    assert all(each.latency is not None for each in report.artifacts)
    assert [each.file for each in report.bundles] == ["demo.chord", "static.chord", "fp32.chord"]


def test_the_report_names_all_rivals_and_the_truth(demo: DemoResult) -> None:
    report = demo.report
    benefit = report.benefits[0]
    rows = {row.key: row for row in benefit.strategy_accuracy}
    assert next(iter(rows)) == "own" and set(rows) == {
        "own", "other", "mean", "random", "static", "sensitivity", "uniform2", "uniform4", "uniform8", "fp32", "start",
    }  # fmt: skip
    assert [key for key, row in rows.items() if row.own_minus_this is None] == ["own"]
    assert rows["own"].personal and not rows["static"].personal
    assert rows["own"].products == pytest.approx(0.25, abs=0.01) and rows["fp32"].products == 1.0
    difference = rows["static"].own_minus_this_likelihood
    assert difference is not None
    assert rows["static"].likelihood.value + difference.value == pytest.approx(rows["own"].likelihood.value, abs=1e-5)
    assert [each.measure for each in benefit.truth] == ["masked_likelihood", "masked_ndcg10"]
    # One epoch is far from the truth, and nothing is beyond it.
    assert all(row.likelihood.value < benefit.truth[0].taste.value for row in benefit.strategy_accuracy)
    assert benefit.truth[0].static == rows["static"].likelihood


def test_the_commands_ship_the_static_strategy_as_well(demo: DemoResult, tmp_path: Path) -> None:
    """From the files that training leaves, in every format: the phone's short window, and channels that are off."""
    out = demo.html.parent
    master, strategy = str(out / "static.chrm"), str(out / "strategies" / "static.chrd")
    export = ["export", "--target", ",".join(TARGETS), "--master", master, "--strategy", strategy, "--candidates", "20"]
    assert run([*export, "--out", str(tmp_path / "artifacts"), "--json"]) == 0
    make = ["bundle", "make", "--master", master, "--strategy", strategy, "--artifacts", str(tmp_path / "artifacts"), "--histories", "50"]
    data = ["--data", str(out / "dataset.safetensors"), "--key", str(out / "demo.pem")]
    assert run([*make, *data, "--out", str(tmp_path / "static.chord"), "--json"]) == 0
    assert bundle.verify(tmp_path / "static.chord", out / "demo.pub.pem").passed
    with pytest.raises(InputError, match=r"static\.chord: it takes other histories, items or candidates than .*static\.chord; measure"):
        bench_bundles([demo.static, tmp_path / "static.chord"])


def test_artifacts_of_one_name_are_told_apart_by_their_bundle(demo: DemoResult, tmp_path: Path) -> None:
    shutil.copy(demo.static, tmp_path / "again.chord")
    quick = Settings(rounds=5, block_ms=1, processes=0)
    report = bench_bundles([demo.static, tmp_path / "again.chord", demo.full], ["native-static", "native-int8"], quick)
    names = [result.name for result in report.results]
    assert names == ["pytorch-eager", "static/native-static", "again/native-static", "native-int8"]
    with pytest.raises(BundleError, match="no artifact 'native-none'"):
        bench_bundles([demo.static, demo.full], ["native-none"], quick)
