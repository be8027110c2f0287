"""A tiny project made with the command line, once for all tests that need one, and ways to run commands and scripts."""

import contextlib
import gc
import importlib.util
import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from chordkit.cli.main import run
from chordkit.errors import MissingRuntimeError


def pytest_collection_finish() -> None:
    """Leave torch and the tests themselves, some million objects that all stay to the end, out of every search for garbage."""
    gc.collect()
    gc.freeze()


@dataclass(frozen=True)
class Outcome:
    """What a command left: exit status and everything it said."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.status == 0, self.err
        return json.loads(self.out)


Command = Callable[..., Outcome]


def run_command(*arguments: object) -> Outcome:
    """Run ``chordkit`` in this process (importing torch anew for each command would take minutes)."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = run([str(argument) for argument in arguments])
    return Outcome(status, out.getvalue(), err.getvalue())


@dataclass(frozen=True)
class Project:
    """Everything between clicks and a bundle, and what the commands that made it said."""

    folder: Path
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    def __truediv__(self, name: str) -> Path:
        return self.folder / name

    def make(self, name: str, *arguments: object) -> None:
        """Run a command that has to succeed, with ``--json``, and keep its outcome under ``name``."""
        outcome = run_command(*arguments, "--json")
        assert outcome.status == 0, outcome.err
        self.outcomes[name] = outcome


USERS, ITEMS, CANDIDATES = 120, 130, 20


def write_clicks(path: Path, seed: int = 3, users: int = USERS, items: int = ITEMS) -> None:
    """A CSV of clicks as a shop would have it."""
    from chordkit.data import synthesize

    data = synthesize(seed, users=users, items=items, mean_length=15, max_length=30)
    lines = [f"{user},s{item},{time}" for user, sequence in enumerate(data.sequences, 1) for time, item in enumerate(sequence)]
    path.write_text("\n".join(["uid,sku,ts", *lines, ""]))


def load_script(path: str) -> ModuleType:
    """A script of the checkout, which is no part of a package, by its path in the repository."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, Path(__file__).parents[1] / path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def installed_target(request: pytest.FixtureRequest) -> None:
    """Skip a test whose parameter ``target`` needs a runtime that is not installed."""
    target = request.getfixturevalue("target") if "target" in request.fixturenames else None
    if target is not None:
        try:
            target.prepare()
        except MissingRuntimeError as error:
            pytest.skip(str(error))


@pytest.fixture(scope="session")
def script() -> Callable[[str], ModuleType]:
    return load_script


@pytest.fixture(scope="session")
def command() -> Command:
    return run_command


@pytest.fixture(scope="session")
def clicks() -> Callable[..., None]:
    return write_clicks


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Data, backbone, hypernetwork, two strategies, LiteRT, ONNX and native artifacts, keys, a signed bundle."""
    project = Project(tmp_path_factory.mktemp("project"))
    write_clicks(project / "clicks.csv")
    columns = ("--user", "uid", "--item", "sku", "--time", "ts")
    data, backbone, master, network = (project / name for name in ("shop.safetensors", "b.safetensors", "m.chrm", "h.safetensors"))
    project.make("data prepare", "data", "prepare", project / "clicks.csv", *columns, "--out", data)
    project.make(
        "train backbone", "train", "backbone", "--data", data, "--dim", 16, "--max-length", 20, "--epochs", 1, "--threads", 1,
        "--out", backbone,
    )  # fmt: skip
    project.make(
        "train hypernetwork", "train", "hypernetwork", "--data", data, "--backbone", backbone, "--epochs", 1, "--out", network,
        "--master", master,
    )  # fmt: skip
    for user in ("5", "6"):
        project.make(
            "strategy make", "strategy", "make", "--hypernetwork", network, "--master", master, "--data", data, "--user", user,
            "--out", project / f"u{user}.chrd",
        )  # fmt: skip
    project.make(
        "export", "export", "--master", master, "--backbone", project / "m.fp32.safetensors", "--strategy", project / "u5.chrd",
        "--target", "litert,onnx,native", "--candidates", CANDIDATES, "--out", project / "artifacts",
    )  # fmt: skip
    project.make("bundle key", "bundle", "key", "--private", project / "key.pem", "--public", project / "key.pub.pem")
    project.make(
        "bundle make", "bundle", "make", "--master", master, "--backbone", project / "m.fp32.safetensors",
        "--strategy", project / "u5.chrd",
        "--artifacts", project / "artifacts", "--data", data, "--key", project / "key.pem", "--histories", 100, "--vectors", 16,
        "--out", project / "shop.chord",
    )  # fmt: skip
    return project
