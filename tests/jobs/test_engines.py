"""Spark and Ray for real, each started once: the bytes of the engine of one machine, also where a worker is killed in the middle.

An engine takes seconds to start, so that what is asked of it stands in one test.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow")
import pyarrow as pa
import pyarrow.dataset as ds

from chordkit.errors import InputError, MissingRuntimeError
from chordkit.jobs import require_packages
from chordkit.jobs.shards import make_strategies
from chordkit.jobs.spark import PYTHON_VARIABLE, _is_placed, _require_python, require_java, start

USERS = 3 * 400


def _sorted(table: Any, like: Any = None) -> Any:
    table = table if like is None else table.select(like.schema.names).cast(like.schema)
    return table.sort_by("user").combine_chunks()


def _read(folder: Path) -> Any:
    return ds.dataset(folder, format="parquet").to_table()


@pytest.fixture(scope="module")
def histories(material, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return material.write(tmp_path_factory.mktemp("logs"), tables=3, users=400)


@pytest.fixture(scope="module")
def expected(material, histories: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    out = tmp_path_factory.mktemp("plain")
    make_strategies(material.job(), str(histories), str(out))
    return _sorted(_read(out))


def _once(mark: Path) -> Callable[[], None]:
    """Kill -9 of whichever process calls it first."""

    def die() -> None:
        import os
        import signal

        try:
            os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)

    return die


@pytest.fixture
def session() -> Iterator[Any]:
    """Spark on this machine, with two tasks at a time; its Java ends with the test."""
    pytest.importorskip("pyspark")
    try:
        require_java()
    except MissingRuntimeError as error:
        pytest.skip(str(error))
    from pyspark import SparkContext

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PYTHON_VARIABLE, sys.executable)
        # A Java that compiles little: nothing here lives long enough to be worth more.
        session = start(
            2,
            **{
                "spark.sql.execution.arrow.maxRecordsPerBatch": "50",
                "spark.sql.shuffle.partitions": "1",
                "spark.sql.codegen.wholeStage": "false",
                "spark.driver.memory": "512m",
                "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
            },
        )
        yield session
        session.stop()
        gateway = SparkContext._gateway
        gateway.shutdown()
        gateway.proc.terminate()
        gateway.proc.wait()
        SparkContext._gateway = SparkContext._jvm = None


@pytest.mark.long
def test_spark_gives_the_same_bytes_whoever_is_killed(
    session, material, histories: Path, expected, command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chordkit.jobs import spark

    frame = session.read.parquet(str(histories))
    with pytest.raises(InputError, match="no column 'clicks' among 'user', 'history'"):
        spark.make_strategies(frame, material.job(history="clicks"))
    die = _once(tmp_path / "killed")

    def deadly(digest: str, broadcast: Any, batches: Any) -> Any:
        from chordkit.jobs.spark import _partition

        for made in _partition(digest, broadcast, batches):
            yield made
            die()

    monkeypatch.setattr(spark, "_partition", deadly)
    made = spark.make_strategies(frame, material.job()).toArrow()
    assert (tmp_path / "killed").exists() and _sorted(made, expected).equals(expected)
    monkeypatch.undo()
    make = ("strategy", "make", "--all", "--master", material.master, "--hypernetwork", material.hypernetwork, "--json")
    out = ("--histories", histories, "--into", tmp_path / "out", "--engine", "spark")
    told = command(*make, *out).json
    assert (told["users"], told["strategies"], told["unknown_items"], told["engine"]) == (USERS, USERS, 0, "spark")
    assert _sorted(_read(tmp_path / "out"), expected).equals(expected)


@pytest.mark.long
def test_ray_gives_the_same_bytes_whoever_is_killed(
    material, histories: Path, expected, command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    pytest.importorskip("ray.data")
    import ray

    from chordkit.jobs import ray as engine

    engine.start(2, object_store_memory=100 << 20)
    with contextlib.ExitStack() as stack:
        stack.callback(ray.shutdown)
        dataset = ray.data.read_parquet(str(histories))
        die = _once(tmp_path / "killed")

        def deadly(digest: str, stored: Any, device: str, table: Any) -> Any:
            from chordkit.jobs.ray import _batch

            made = _batch(digest, stored, device, table)
            die()
            return made

        monkeypatch.setattr(engine, "_batch", deadly)
        made = pa.concat_tables(ray.get(engine.make_strategies(dataset, material.job(), tasks=2).to_arrow_refs()))
        assert (tmp_path / "killed").exists() and _sorted(made, expected).equals(expected)
        monkeypatch.undo()
        make = ("strategy", "make", "--all", "--master", material.master, "--hypernetwork", material.hypernetwork, "--json")
        out = ("--histories", histories, "--into", tmp_path / "out", "--engine", "ray", "--jobs", 2)
        told = command(*make, *out).json
        assert (told["users"], told["strategies"], told["unknown_items"], told["engine"]) == (USERS, USERS, 0, "ray")
        assert _sorted(_read(tmp_path / "out"), expected).equals(expected)


@pytest.mark.parametrize(
    ("told", "said"), [('openjdk version "11.0.2"', "is 11;"), ('java version "1.8.0_302"', "is 8;"), (None, "does not run")]
)
def test_too_old_a_java_is_named(told: str | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text(f"#!/bin/sh\necho '{told}' >&2\n" if told else "#!/bin/sh\nexit 1\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(MissingRuntimeError, match=f"Spark needs Java 17 and {java} {said}") as caught:
        require_java()
    assert "openjdk-17-jre-headless" in str(caught.value) and "JAVA_HOME" in str(caught.value)
    java.write_text("#!/bin/sh\necho 'openjdk version \"21\" 2023-09-19' >&2\n")
    require_java()
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingRuntimeError, match="there is no java"):
        require_java()


def test_workers_of_another_python_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "python3"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    monkeypatch.delenv(PYTHON_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        InputError, match=f"PYSPARK_PYTHON is not set, so Spark's workers would run {other}.*PYSPARK_PYTHON={sys.executable}"
    ):
        _require_python("python3")
    monkeypatch.setenv(PYTHON_VARIABLE, sys.executable)
    _require_python(sys.executable)


def test_where_spark_runs_is_left_to_whoever_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYSPARK_GATEWAY_PORT", "MASTER", "PYSPARK_SUBMIT_ARGS", "SPARK_CONF_DIR", "SPARK_HOME"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "spark-defaults.conf").write_text("spark.masterful 1\n# spark.master yarn\n")
    for name, value in (("PYSPARK_SUBMIT_ARGS", "pyspark-shell"), ("SPARK_CONF_DIR", str(tmp_path)), ("SPARK_HOME", str(tmp_path))):
        monkeypatch.setenv(name, value)
        assert not _is_placed()
    for name, value in (("PYSPARK_GATEWAY_PORT", "35001"), ("MASTER", "yarn"), ("PYSPARK_SUBMIT_ARGS", "--master yarn pyspark-shell")):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            assert _is_placed()
    (tmp_path / "spark-defaults.conf").write_text("spark.executor.memory 4g\nspark.master   yarn\n")
    assert _is_placed()


def test_a_missing_engine_is_told_by_its_extra() -> None:
    with pytest.raises(MissingRuntimeError, match=r"need the package no_such_engine; pip install 'chordkit\[spark\]'"):
        require_packages("spark", "no_such_engine")
