"""The engine Spark: where the logs already are. A task's Python process reads the model once and works through its partitions."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from chordkit.errors import InputError, MissingRuntimeError
from chordkit.jobs import require_packages
from chordkit.jobs.batch import AVERAGE_BITS, STRATEGY, UNKNOWN_ITEMS, USER_VECTOR, sole_worker_of, worker_of
from chordkit.jobs.job import Job, one_line
from chordkit.jobs.shards import Made

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

PYTHON_VARIABLE = "PYSPARK_PYTHON"
LEAST_JAVA = 17
# As other engines write: strategies do not repeat, so that a dictionary of them costs time and brings nothing.
_FORM = {"compression": "zstd", "parquet.compression.codec.zstd.level": "1", "parquet.enable.dictionary": "false"}
_ATTEMPTS = 4
"""Of a task, as on a cluster; without being told, Spark on one machine gives up after the first."""


def make_strategies(frame: "DataFrame", job: Job) -> "DataFrame":
    """Strategies of all users of a Spark frame, as a frame: a row for each, with the columns that :mod:`chordkit.jobs.batch` makes.

    The workers need chordkit installed; the model is broadcast to them. Whatever Spark does again, it does to the same bytes.

    Args:
        frame: with the job's columns of users and histories.
        job: what is asked.

    Raises:
        InputError: a column is missing or of another kind, or Spark's workers would run another Python.
    """
    require_packages("spark", "pyspark")
    from pyspark.sql import types
    from pyspark.sql.pandas.types import to_arrow_schema

    worker = worker_of(job.digest, lambda: job)
    worker.require_schema(to_arrow_schema(frame.schema))
    context = getattr(frame.sparkSession, "sparkContext", None)
    if context is None:
        raise InputError("Spark Connect cannot broadcast a model to its workers; run this in a session of its own (spark-submit)")
    _require_python(context.pythonExec)
    kinds = {STRATEGY: types.BinaryType(), USER_VECTOR: types.BinaryType(), AVERAGE_BITS: types.FloatType()}
    made = worker.schema(to_arrow_schema(frame.schema)).names
    out = types.StructType([types.StructField(job.user, frame.schema[job.user].dataType)])
    for name in made[1:]:
        out.add(name, kinds.get(name, types.IntegerType()))
    broadcast = context.broadcast(job)
    return frame.select(*worker.columns).mapInArrow(partial(_partition, job.digest, broadcast), out)


def _partition(digest: str, broadcast: Any, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    worker = sole_worker_of(digest, lambda: broadcast.value)
    for batch in batches:
        yield worker.make(batch)


def run(job: Job, source: str, out: str, *, jobs: int = 1) -> Made:
    """Read Parquet tables with Spark, make strategies, and write them as a folder of tables.

    It runs where ``spark-submit`` or Spark's own configuration says; without either on this machine, with ``jobs`` tasks at a time.

    Args:
        job: what is asked.
        source: a path or URL that Spark knows.
        out: likewise; it may not exist.
        jobs: tasks at a time on this machine.

    Raises:
        InputError: the tables cannot be read or lack a column, ``out`` exists, or a task failed four times.
        MissingRuntimeError: Spark, or Java 17, is not installed.
    """
    session = start(jobs)
    from pyspark.errors import AnalysisException, PySparkException
    from pyspark.sql import functions

    try:
        frame = session.read.parquet(source)
        make_strategies(frame, job).write.options(**_FORM).parquet(out)
        # What is binary is most of it, and is not read again.
        made = session.read.parquet(out).select(job.user, AVERAGE_BITS, UNKNOWN_ITEMS)
        columns = [functions.count("*"), functions.count(job.user), functions.count(AVERAGE_BITS)]
        (counts,) = made.agg(*columns, functions.sum(UNKNOWN_ITEMS), functions.sum(AVERAGE_BITS)).collect()
    except AnalysisException as error:
        raise InputError(f"Spark: {one_line(error)}") from None
    except PySparkException as error:
        raise InputError(f"Spark: the job failed: {_cause(str(error))}") from None
    users, named, strategies, unknown, bits = counts
    return Made(users, strategies, users - named, unknown or 0, bits or 0.0)


def start(jobs: int = 1, **settings: str) -> "SparkSession":
    """The session that is there, or one that is configured from outside, or one on this machine with ``jobs`` tasks at a time.

    Raises:
        MissingRuntimeError: Spark, or Java 17, is not installed.
    """
    require_packages("spark", "pyspark", "pyarrow")
    from pyspark.sql import SparkSession

    active = SparkSession.getActiveSession()
    if active is not None:
        return active
    require_java()
    os.environ.setdefault(PYTHON_VARIABLE, sys.executable)
    builder = SparkSession.builder.appName("chordkit")
    if not _is_placed():
        builder = builder.master(f"local[{jobs},{_ATTEMPTS}]").config("spark.driver.bindAddress", "127.0.0.1")
        builder = builder.config("spark.driver.host", "127.0.0.1").config("spark.ui.enabled", "false")
    for name, value in settings.items():
        builder = builder.config(name.replace("_", "."), value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


def _is_placed() -> bool:
    """Whether somebody said where Spark runs: ``spark-submit``, which starts this process, or Spark's own configuration."""
    folders = [os.environ.get("SPARK_CONF_DIR"), os.path.join(os.environ.get("SPARK_HOME", "/nowhere"), "conf")]
    files = [Path(folder) / "spark-defaults.conf" for folder in folders if folder]
    defaults = "\n".join(file.read_text() for file in files if file.is_file())
    return (
        bool({"PYSPARK_GATEWAY_PORT", "MASTER"} & os.environ.keys())
        or "--master" in os.environ.get("PYSPARK_SUBMIT_ARGS", "")
        or re.search(r"^\s*spark\.master\b", defaults, re.MULTILINE) is not None
    )


def require_java() -> None:
    """Hold that the Java that Spark will start is new enough.

    Raises:
        MissingRuntimeError: there is none, or an older one.
    """
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    mend = f"install one (on Debian: apt-get install openjdk-{LEAST_JAVA}-jre-headless), or name its folder in JAVA_HOME"
    if java is None:
        raise MissingRuntimeError(f"Spark needs Java {LEAST_JAVA} and there is no java; {mend}")
    try:
        told = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        raise MissingRuntimeError(f"Spark needs Java {LEAST_JAVA} and {java} does not run; {mend}") from None
    found = re.search(r'version "(?:1\.)?(\d+)', told.stderr + told.stdout)
    if found is None or int(found.group(1)) < LEAST_JAVA:
        which = found.group(1) if found else "of an unknown version"
        raise MissingRuntimeError(f"Spark needs Java {LEAST_JAVA} and {java} is {which}; {mend}")


def _require_python(given: str) -> None:
    """Hold that workers on this machine do not run the system's Python only because nobody named one."""
    if PYTHON_VARIABLE in os.environ or given != "python3":
        return
    there = shutil.which(given)
    if there is None or os.path.realpath(there) != os.path.realpath(sys.executable) or sys.prefix not in there:
        raise InputError(
            f"{PYTHON_VARIABLE} is not set, so Spark's workers would run {there or given}, which may lack chordkit; "
            f"set it before the session starts ({PYTHON_VARIABLE}={sys.executable})"
        )


def _cause(text: str) -> str:
    """The line that matters of what came back from the workers."""
    ours = re.findall(r"chordkit\.errors\.\w+: (.*)", text)
    return ours[-1] if ours else one_line(Exception(text))
