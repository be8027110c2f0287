"""Options and arguments that several commands take: each with one name, one help text and one reading."""

import pkgutil
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from chordkit.cli.apart import note_source
from chordkit.cli.output import note, writable_folder
from chordkit.errors import InputError

if TYPE_CHECKING:
    from chordkit.data import Dataset, Split
    from chordkit.export.artifact import Precision
    from chordkit.export.targets import Target
    from chordkit.quantization import MasterWeights
    from chordkit.strategy import Strategy, UserVector

Choice = TypeVar("Choice")


def _named_by_files(folder: str, *, packages: bool) -> str:
    """Names of the packages, or of the modules, in a folder of ours, which --help lists without importing any of them."""
    found = pkgutil.iter_modules([str(Path(__file__).parents[1] / folder)])
    return ", ".join(sorted(each.name.replace("_", "-") for each in found if each.ispkg is packages))


SOURCE_HELP = "A file or folder, a prepared .safetensors file, 'synthetic', or a name under $CHORDKIT_DATA (ml-100k, yelp, cds, beauty)."

SourceArgument = Annotated[str, typer.Argument(callback=note_source, help=SOURCE_HELP)]
DataOption = Annotated[str, typer.Option("--data", "-d", callback=note_source, help=SOURCE_HELP)]
OptionalDataOption = Annotated[str | None, typer.Option("--data", "-d", callback=note_source, help=SOURCE_HELP)]
ArchitectureOption = Annotated[
    str, typer.Option("--architecture", "-a", help=f"Backbone: {_named_by_files('backbones/architectures', packages=False)}.")
]
DeviceOption = Annotated[str, typer.Option("--device", help="cpu, cuda or cuda:N.")]
EpochsOption = Annotated[int | None, typer.Option(min=1, help="At most so many epochs; the default is the documented one.")]
CheckpointsOption = Annotated[
    Path | None,
    typer.Option(
        "--checkpoints",
        callback=writable_folder,
        help="Folder of the checkpoints; the default is beside --out. The same command resumes from them.",
    ),
]
BestSoFarOption = Annotated[
    bool, typer.Option("--best-so-far", help="Train no further: keep the best epoch of the run that was interrupted.")
]
RestartOption = Annotated[bool, typer.Option("--restart", help="Start anew, although there are checkpoints of this run; they are removed.")]
PatienceOption = Annotated[
    int | None, typer.Option(min=1, help="Stop after so many epochs without a better one; the default is the documented one.")
]
ThreadsOption = Annotated[
    int | None, typer.Option(min=0, help="CPU threads; results depend on the number, so it is part of the run. The default is 1.")
]
WidthsOption = Annotated[str, typer.Option(help="Widths that a strategy may use, comma-separated; 0 = channels may be off.")]
WindowOption = Annotated[
    int | None,
    typer.Option(min=0, help="Items of a history that the phone looks at; 0 = as many as the backbone; the default is 10 where it can be."),
]
SeenOption = Annotated[
    bool, typer.Option("--seen-items-masked", help="Leave items that a user has seen out of the loss, for apps that never repeat one.")
]
WithoutOption = Annotated[
    list[str] | None,
    typer.Option(metavar="LEVEL", help="Level of importance to leave out: element, filter or layer; may be repeated. Default: element."),
]
HeldOutOption = Annotated[int, typer.Option(min=1, help="The last so many items of each user (1 to 5) are not trained on: they test.")]
ValidationOption = Annotated[int, typer.Option(min=1, help="So many items (1 to 5) before them validate.")]
SplitAtOption = Annotated[
    str | None,
    typer.Option(
        metavar="MOMENT,MOMENT",
        help="Split by time: train on what came before the first, validate from there on, test from the second; of each user's items the "
        "first --validation and --held-out count. Dates, 2015-01-01,2015-06-01, or shares of the interactions, 80%,90%.",
    ),
]
MasterOption = Annotated[Path, typer.Option("--master", "-m", help="The master weights (.chrm) that the strategy belongs to.")]
StrategiesOption = Annotated[
    list[Path] | None, typer.Option("--strategy", "-s", metavar="FILE", help="A strategy (.chrd); may be repeated.")
]
UserVectorsOption = Annotated[
    list[Path] | None,
    typer.Option("--user-vector", "-u", metavar="FILE", help="A user vector (.chru), called as its user's strategy is; may be repeated."),
]
UserOption = Annotated[str | None, typer.Option("--user", "-u", help="Id of a user of the data set.")]
BundleArgument = Annotated[Path, typer.Argument(help="A bundle (.chord).")]
UNVERIFIED = "{}: no --public-key was given, so nobody vouches for the programs that ran"
"""What is said beside the result when a bundle's artifacts ran."""
BundlesArgument = Annotated[list[Path], typer.Argument(help="One or several bundles (.chord).")]
ArtifactsOption = Annotated[list[str] | None, typer.Option("--artifact", "-a", metavar="NAME", help="Only this artifact; may be repeated.")]
HistoriesOption = Annotated[
    int, typer.Option(min=1, max=100_000, help="Histories to compare on; of fewer users each is taken again with other candidates.")
]
PublicKeysOption = Annotated[
    list[Path] | None,
    typer.Option("--public-key", metavar="FILE", help="Require the signature of this public Ed25519 key (PEM); repeated: of one of them."),
]
RevokedOption = Annotated[
    list[str] | None,
    typer.Option(
        "--revoked", metavar="KEY|FILE", help="Identifier of a key that is no longer accepted, or a file with one a line; may be repeated."
    ),
]
MinimumCounterOption = Annotated[int, typer.Option("--minimum-counter", min=0, help="Refuse a bundle with a lower counter: an older one.")]
TargetsOption = Annotated[str, typer.Option("--target", "-t", help=f"Comma-separated: {_named_by_files('export/targets', packages=True)}.")]


def parse_list(text: str, option: str, find: Callable[[str], Choice]) -> list[Choice]:
    """What a comma-separated list names, without repetitions.

    Raises:
        InputError: ``find`` does not know a name; the sentence begins with the option.
    """
    found = []
    for name in dict.fromkeys(part.strip() for part in text.split(",")):
        try:
            found.append(find(name))
        except InputError as error:
            raise InputError(f"{option}: {error}") from None
    return found


def parse_widths(text: str, option: str) -> tuple[int, ...]:
    """Widths from a comma-separated list; whether they make a budget is for the budget to say.

    Raises:
        InputError: not a list of whole numbers.
    """
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"{option} {text}: not a list of widths such as 2,4,8 or 0,8") from None


def parse_range(text: str, option: str) -> tuple[float, float]:
    """Two numbers with a comma between them.

    Raises:
        InputError: anything else.
    """
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"{option} {text}: not the lowest and the highest average bits, such as 1,6") from None
    return low, high


def parse_budgets(texts: Sequence[str], widths: str) -> list[tuple[float, tuple[int, ...]]]:
    """Budgets, as average bits and widths, from texts such as ``3.0,2.0`` and ``2.0:0,8``; ``widths`` are those of all that name none.

    Raises:
        InputError: not such texts, or a budget twice.
    """
    budgets = []
    for text in texts:
        bits, colon, own = text.partition(":")
        try:
            each = [float(part) for part in bits.split(",")]
        except ValueError:
            raise InputError(f"--budget {text}: not average bits such as 3.0, 3.0,2.0 or, with widths of their own, 2.0:0,8") from None
        budgets += [(number, parse_widths(own, "--budget") if colon else parse_widths(widths, "--widths")) for number in each]
    if len(set(budgets)) != len(budgets):
        raise InputError(f"--budget {' '.join(texts)}: a budget is there twice; give each once")
    return budgets


def parse_targets(text: str) -> "list[Target]":
    """The targets of ``--target``.

    Raises:
        InputError: one of them is unknown.
    """
    from chordkit.export.targets import find_target

    return parse_list(text, "--target", find_target)


def parse_precisions(text: str) -> "list[Precision]":
    """The precisions of ``--precision``.

    Raises:
        InputError: one of them is unknown.
    """
    from chordkit.export.artifact import find_precision

    return parse_list(text, "--precision", find_precision)


def tell_repeated(dataset: "Dataset", histories: int) -> None:
    """A remark where more histories are compared than there are."""
    if histories > dataset.users:
        times = -(-histories // dataset.users)
        note(f"{dataset.name} has {dataset.users:,} histories; to make {histories:,}, each is taken {times} times, with other candidates")


def tell_learned(backbone: Path, provenance: dict[str, Any], dataset: "Dataset", split: "Split") -> None:
    """A remark where a backbone was trained on what validates or tests in ``split``."""
    from chordkit.data import learned_of

    counts = [learned_of(dataset, provenance.get("split"), part) or 0 for part in (split.valid, split.test)]
    if any(counts):
        note(
            f"{backbone}: it has learned from {counts[0]:,} of {len(split.valid):,} items that validate and {counts[1]:,} of "
            f"{len(split.test):,} that test here; train it with the same --held-out, --validation and --split-at"
        )


def tell_parts(parts: dict[str, Any]) -> None:
    """A remark that says what a split by time leaves to train and to ask."""
    note(
        f"split by time at {parts['valid_from']} and {parts['test_from']}: {parts['train_interactions']:,} interactions of "
        f"{parts['train_users']:,} users train, {parts['valid_users']:,} users validate and {parts['test_users']:,} test, "
        f"{parts['test_users_untrained']:,} of these without anything trained on; of {parts['test_targets']:,} test items "
        f"{parts['test_targets_untrained']:,} are new since"
    )


def user_index(dataset: "Dataset", user: str) -> int:
    """The number of the user of ``--user`` in a data set.

    Raises:
        InputError: there is none of this id.
    """
    if user not in dataset.user_ids:
        raise InputError(f"--user {user}: data set '{dataset.name}' has no such user; its first is '{dataset.user_ids[0]}'")
    return list(dataset.user_ids).index(user)


def parse_ids(text: str) -> list[str]:
    """Item ids as their owner writes them, from a comma-separated list."""
    return [item.strip() for item in text.split(",") if item.strip()]


def parse_history(text: str, items: int, dataset: "Dataset | None", indices: bool) -> list[int]:
    """The item indices of ``--history``: of ids in the data set, those that it does not have left out and told; or written as they are.

    Args:
        text: comma-separated.
        items: how many there are.
        dataset: whose ids they are.
        indices: they are indices already.

    Raises:
        InputError: ids without a data set, or none of them is in it; or not a list of indices in 1..items.
    """
    if indices:
        try:
            numbers = [int(part) for part in text.split(",")]
        except ValueError:
            raise InputError(f"--history {text}: not a list of item indices such as 17,4,211; leave --indices out for ids") from None
        if not all(1 <= item <= items for item in numbers):
            raise InputError(f"--history {text}: item indices lie in 1..{items}")
        return numbers
    if dataset is None:
        raise InputError(f"--history {text}: give with --data whose item ids these are, or say --indices if they lie in 1..{items}")
    places = {item: place for place, item in enumerate(dataset.item_ids) if place}
    ids = parse_ids(text)
    known = [places[item] for item in ids if item in places]
    if not known:
        raise InputError(f"--history {text}: data set '{dataset.name}' has none of these items; its ids look like '{dataset.item_ids[1]}'")
    tell_unknown([item for item in ids if item not in places], len(ids))
    return known


def tell_unknown(unknown: Sequence[str], of: int) -> None:
    """A remark where items of a history are not in the catalogue."""
    if unknown:
        named = ", ".join(unknown[:5]) + (" ..." if len(unknown) > 5 else "")
        note(f"{len(unknown)} of {of} items of the history are not in the catalogue and were left out: {named}")


def read_revoked(values: Sequence[str] | None) -> list[str]:
    """The identifiers of ``--revoked``: given as they are, or in a file, one a line, what follows a ``#`` left out.

    Raises:
        InputError: a value is neither 16 hexadecimal digits nor a file, or a line is no identifier.
    """
    from chordkit.files import read_bytes

    found = []
    for value in values or []:
        if re.fullmatch("[0-9a-f]{16}", value):
            found.append(value)
            continue
        lines = read_bytes(value, "list of revoked keys").decode("utf-8", "replace").splitlines()
        named = [line.partition("#")[0].strip() for line in lines]
        for name in filter(None, named):
            if not re.fullmatch("[0-9a-f]{16}", name):
                raise InputError(f"--revoked {value}: {name[:40]!r} is not the identifier of a key (16 hexadecimal digits)")
            found.append(name)
    return found


def read_strategy(path: Path, weights: "MasterWeights") -> "Strategy":
    """Read a strategy file and check it against its backbone; the error names the file."""
    from chordkit.errors import StrategyError
    from chordkit.files import read_bytes
    from chordkit.strategy import decode
    from chordkit.strategy.envelope import MAGIC

    data = read_bytes(path, "strategy")
    if data[: len(MAGIC)] == MAGIC:
        raise StrategyError(f"{path}: this is a signed envelope; take the strategy out with `chordkit strategy open --out`")
    try:
        return decode(data, fingerprint=weights.fingerprint, channels=weights.channel_table.channels)
    except StrategyError as error:
        raise StrategyError(f"{path}: {error}") from None


def read_strategies(paths: Sequence[Path] | None, weights: "MasterWeights") -> "dict[str, Strategy]":
    """The strategies of ``--strategy`` by the names of their files."""
    return {name: read_strategy(path, weights) for name, path in _by_name(paths, "--strategy").items()}


def _by_name(paths: Sequence[Path] | None, option: str) -> dict[str, Path]:
    """Files by their names without the ending.

    Raises:
        InputError: two have one name.
    """
    found: dict[str, Path] = {}
    for path in paths or []:
        if path.stem in found:
            raise InputError(f"{option} {path}: {found[path.stem]} is called {path.stem!r} as well; rename one of the two files")
        found[path.stem] = path
    return found


def read_user_vector(path: Path, weights: "MasterWeights") -> "UserVector":
    """Read a user vector file and check it against its backbone; the error names the file."""
    from chordkit.errors import UserVectorError
    from chordkit.files import read_bytes
    from chordkit.strategy import decode_user_vector

    try:
        return decode_user_vector(read_bytes(path, "user vector"), fingerprint=weights.fingerprint, dim=weights.dim)
    except UserVectorError as error:
        raise UserVectorError(f"{path}: {error}") from None


def read_user_vectors(paths: Sequence[Path] | None, weights: "MasterWeights") -> "dict[str, UserVector]":
    """The user vectors of ``--user-vector`` by the names of their files."""
    return {name: read_user_vector(path, weights) for name, path in _by_name(paths, "--user-vector").items()}
