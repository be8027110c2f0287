"""Runs chordkit's artifacts on every version of every runtime that can be had: ``python -m scripts.try_runtimes``.

Writes ``export/targets/runtimes.json`` and ``docs/results/runtimes.md`` (docs/targets/runtimes.md has the how). What was fetched and what
was found is kept in a folder, so that a run that was cut off goes on where it stood; ``--again`` forgets what was found, ``--check`` writes
nothing and compares with the table that is there, ``--fetch`` only has the oldest version of each package at hand, as the tests need it.
"""

import argparse
import json
import platform
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import chordkit
from chordkit.export.targets.runtimes import FILE, RuntimeTable, Tried, Untried, load_runtimes
from chordkit.files import cache_folder, write_bytes, write_json
from scripts.runtimes.artifacts import Made, Trial, makeable, trials
from scripts.runtimes.attempts import Outcome, attempt
from scripts.runtimes.environments import PACKAGES, Environment, Package, Unavailable, find_package, prepare, versions
from scripts.runtimes.tables import differences, markdown, rows_of

ROOT = Path(__file__).resolve().parents[1]
TABLE, PAGE = ROOT / "export" / "targets" / FILE, ROOT / "docs" / "results" / "runtimes.md"


def say(text: str) -> None:
    """What is going on, for whoever waits."""
    print(text, file=sys.stderr, flush=True)


def made_for(target: str, folder: Path) -> list[Made]:
    """The artifacts of a target that chordkit makes."""
    found = []
    wanted = trials(target)
    for number, trial in enumerate(wanted, 1):
        if number % 10 == 0:
            say(f"  {number} of {len(wanted)}")
        made = makeable(trial, folder / "artifacts")
        if isinstance(made, str):
            say(f"  {trial.name} is not made: {made}")
        else:
            found.append(made)
    return found


def outcomes_of(environment: Environment, artifacts: list[Made], folder: Path, again: bool) -> dict[str, Outcome]:
    """What one version makes of the artifacts, from the notes of an earlier run as far as they are of the same files.

    Raises:
        Unavailable: the runtime cannot be imported.
    """
    notes = folder / "outcomes" / f"{environment.package.name}-{environment.version}.json"
    known = {} if again or not notes.exists() else json.loads(notes.read_text())
    keys = {made.trial.name: made.key for made in artifacts}
    found = {name: Outcome(**known[name]["outcome"]) for name, key in keys.items() if known.get(name, {}).get("key") == key}
    found |= attempt(environment, [made for made in artifacts if made.trial.name not in found])
    notes.parent.mkdir(parents=True, exist_ok=True)
    write_json(notes, {name: {"key": keys[name], "outcome": asdict(outcome)} for name, outcome in found.items()})
    return found


def tried(package: Package, artifacts: list[Made], folder: Path, again: bool) -> tuple[Tried, dict[Trial, dict[str, Outcome]]]:
    """Every version of a package, and what each made of each artifact, by version."""
    run: list[str] = []
    untried: list[Untried] = []
    emulated: list[str] = []
    beside: dict[str, None] = {}
    found: dict[Trial, dict[str, Outcome]] = {made.trial: {} for made in artifacts}
    for version in versions(package):
        say(f"{package.name} {version}")
        try:
            environment = prepare(package, version, folder)
            outcomes = outcomes_of(environment, artifacts, folder, again)
        except Unavailable as error:
            say(f"  not tried: {error}")
            untried.append(Untried(version=version, reason=str(error)))
            continue
        run.append(version)
        emulated += [version] if environment.emulated else []
        beside |= dict.fromkeys(f"{name}=={number}" for name, number in environment.beside.items())
        for made in artifacts:
            found[made.trial][version] = outcomes[made.trial.name]
    one = Tried(
        name=package.name,
        target=package.target,
        versions=tuple(run),
        beside=tuple(beside),
        untried=tuple(untried),
        emulated=tuple(emulated),
    )
    return one, found


def try_all(packages: list[Package], folder: Path, again: bool) -> RuntimeTable:
    """The table of what ``packages`` make of the artifacts of their targets."""
    artifacts: dict[str, list[Made]] = {}
    all_tried, rows = [], []
    for package in packages:
        if package.target not in artifacts:
            say(f"making the artifacts of {package.target}")
            artifacts[package.target] = made_for(package.target, folder)
        one, found = tried(package, artifacts[package.target], folder, again)
        all_tried.append(one)
        rows += [row for trial, outcomes in found.items() for row in rows_of(package.name, trial, outcomes)]
    return RuntimeTable(
        format="chordkit-runtimes",
        version=1,
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        chordkit=chordkit.__version__,
        machine=platform.machine(),
        python=platform.python_version(),
        packages=tuple(all_tried),
        rows=tuple(rows),
    )


def written(table: RuntimeTable) -> bytes:
    """The table as its file holds it: a row a line, what is not said is the default."""
    head = table.model_dump(mode="json", exclude={"rows"})
    text = json.dumps(head, indent=1, ensure_ascii=False).removesuffix("\n}")
    rows = ",\n  ".join(json.dumps(row.model_dump(mode="json", exclude_defaults=True), ensure_ascii=False) for row in table.rows)
    return f'{text},\n "rows": [\n  {rows}\n ]\n}}\n'.encode()


def fetch(folder: Path) -> int:
    """Have the environments at hand that the tests ask for; one that cannot be had is told, and no failure."""
    for each in load_runtimes().packages:
        try:
            prepare(find_package(each.name), each.here[0], folder)
        except Unavailable as error:
            say(f"{each.name} {each.here[0]}: {error}")
    return 0


def main() -> int:
    """Run, write or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where wheels and notes are kept; default: chordkit's cache")
    parser.add_argument("--packages", default=",".join(each.name for each in PACKAGES), help="comma-separated; only with --check")
    parser.add_argument("--again", action="store_true", help="run everything once more, whatever an earlier run found")
    parser.add_argument("--check", action="store_true", help="compare with the table that is there; exit status 1 where they differ")
    parser.add_argument("--fetch", action="store_true", help="have the oldest version of each package in the table at hand, and end")
    given = parser.parse_args()
    folder = given.folder or cache_folder("runtimes")
    if given.fetch:
        return fetch(folder)
    chosen = [find_package(name) for name in given.packages.split(",")]
    if not given.check and len(chosen) < len(PACKAGES):
        parser.error("--packages: a table of some packages only would lose the others; add --check")
    table = try_all(chosen, folder, given.again)
    if given.check:
        different = differences(load_runtimes(), table)
        print("\n".join(different) or f"{len(table.rows)} rows, as in {FILE}")
        return 1 if different else 0
    write_bytes(TABLE, written(table))
    write_bytes(PAGE, markdown(table).encode())
    print(f"{TABLE}: {len(table.rows)} rows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
