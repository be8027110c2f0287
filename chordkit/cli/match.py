"""``chordkit match``: a pool of other people's samples, and those of them that are like one user's own."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chordkit.cli.options import DataOption, OptionalDataOption, UserOption, parse_history, user_index
from chordkit.cli.output import JsonOption, SeedOption, emit, key_values, note, progress_bar, writable_file
from chordkit.errors import InputError

if TYPE_CHECKING:
    from chordkit.data import Dataset
    from chordkit.quantization import MasterWeights

app = typer.Typer(no_args_is_help=True, help="Match a user with samples of others, for training on the phone.")

_MOST_CONSENT_BYTES = 1 << 30

BackboneOption = Annotated[Path, typer.Option("--master", "-m", help="The master weights (.chrm) of the backbone.")]


def _read_data(data: str, weights: "MasterWeights", seed: int) -> "Dataset":
    from chordkit.data import load_named

    with progress_bar() as progress:
        dataset = load_named(data, seed=seed, progress=progress)
    if dataset.items > weights.items:
        raise InputError(
            f"--data {data}: {dataset.items} items do not fit master weights of {weights.items}; give the data set they were trained on"
        )
    return dataset


@app.command(
    epilog="Example: `chordkit match build --data shop.safetensors --master master.chrm --consent agreed.txt --k 5 --out pool.safetensors`"
)
def build(
    data: DataOption,
    master: BackboneOption,
    out: Annotated[Path, typer.Option("--out", "-o", callback=writable_file, help="Where the pool goes (.safetensors).")],
    consent: Annotated[
        Path | None, typer.Option(help="A file with the ids of the users who agreed to be in it, one a line; no others are looked at.")
    ] = None,
    all_users: Annotated[bool, typer.Option("--all-users", help="Instead: all users of --data have agreed.")] = False,
    public: Annotated[
        bool, typer.Option("--public", help="Instead: these histories are public. Nothing is cut, and the pool itself may go to phones.")
    ] = False,
    k: Annotated[int, typer.Option(min=2, help="Each two neighbours of a segment stand in the histories of so many users at least.")] = 5,
    samples: Annotated[int, typer.Option(min=1, max=1000, help="At most so many samples of one user, the newest.")] = 25,
    context: Annotated[int, typer.Option(min=1, max=1000, help="How many items before a sample are kept for it.")] = 50,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Make the pool of a backbone: samples of users who agreed, each with a profile of what stood before it."""
    from chordkit.coda.building import EVERYBODY, PoolOptions, build_pool
    from chordkit.quantization import MasterWeights

    if (consent is not None) + all_users + public != 1:
        raise InputError("match build: give --consent with the ids of those who agreed, or say --all-users, or --public; one of the three")
    weights = MasterWeights.load(master)
    dataset = _read_data(data, weights, seed)
    agreed = EVERYBODY if consent is None else _read_consent(consent, dataset)
    options = PoolOptions(k=0 if public else k, samples=samples, context=context)
    with progress_bar() as progress:
        pool = build_pool(dataset.sequences, dataset.user_ids, weights, consent=agreed, options=options, progress=progress)
    pool.save(out)
    payload = {
        "file": str(out),
        "bytes": out.stat().st_size,
        "backbone": pool.fingerprint.hex(),
        "mode": "public" if public else "private",
        "k": pool.k,
        "users": pool.sources,
        "agreed": dataset.users if consent is None else len(agreed),
        "samples": pool.samples,
        "segments": len(pool.segment_sources),
        "items": len(pool.flat),
    }
    emit(as_json, payload, lambda: key_values(f"{dataset.name}: pool", payload))


def _read_consent(path: Path, dataset: "Dataset") -> frozenset[str]:
    """Ids of users of the data set, one a line."""
    from chordkit.files import read_bytes

    lines = read_bytes(path, "consent", _MOST_CONSENT_BYTES).decode("utf-8", "replace").splitlines()
    named = frozenset(line.strip() for line in lines if line.strip())
    known = named & frozenset(dataset.user_ids)
    if not known:
        raise InputError(f"--consent {path}: data set '{dataset.name}' has none of its {len(named)} users; give one id a line")
    if len(known) < len(named):
        note(f"{path}: {len(named) - len(known):,} of {len(named):,} ids are no users of '{dataset.name}'")
    return known


@app.command(
    epilog="Example: `chordkit match query --pool pool.safetensors --master master.chrm --data shop.safetensors --user 42 --count 200 "
    "--out samples.chrs`"
)
def query(
    pool: Annotated[Path, typer.Option("--pool", "-p", help="The pool that 'match build' made.")],
    master: BackboneOption,
    out: Annotated[Path, typer.Option("--out", "-o", callback=writable_file, help="Where the samples go (.chrs).")],
    data: OptionalDataOption = None,
    user: UserOption = None,
    history: Annotated[
        str | None, typer.Option(help="Or a history, oldest first, comma-separated: item ids of --data, as their owner writes them.")
    ] = None,
    indices: Annotated[bool, typer.Option("--indices", help="--history holds item indices (1, 2, ...) and not ids.")] = False,
    count: Annotated[int, typer.Option(min=1, max=4096, help="How many samples.")] = 200,
    most_bytes: Annotated[
        int, typer.Option(min=64, max=65_536, help="What they may weigh; where more is found, less stands before each sample.")
    ] = 3072,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """The samples of a pool that are most like a user's history, as they travel to the phone."""
    import numpy as np

    from chordkit.coda.matching import Matcher, require_backbone
    from chordkit.coda.pool import Pool
    from chordkit.coda.profiles import history_profile
    from chordkit.files import write_bytes
    from chordkit.quantization import MasterWeights

    weights, opened = MasterWeights.load(master), Pool.load(pool)
    require_backbone(opened, weights)
    dataset = None if data is None else _read_data(data, weights, seed)
    if history is not None and user is None:
        items = parse_history(history, weights.items, dataset, indices)
    elif user is not None and history is None and dataset is not None:
        items = dataset.sequences[user_index(dataset, user)].tolist()
        if opened.public:
            note(f"{pool}: a public pool knows no users; if it has samples of user {user}, they are among the answer")
    else:
        raise InputError("match query: give either --history, or --user with --data")
    profile = history_profile(weights, np.asarray(items, np.int32), opened.pools)
    answer = Matcher(opened).answer(profile, count, exclude=user, most_bytes=most_bytes)
    write_bytes(out, answer.data)
    payload = {
        "file": str(out),
        "bytes": len(answer.data),
        "backbone": opened.fingerprint.hex(),
        "samples": answer.segments.samples,
        "users": answer.sources,
        "segments": len(answer.segments.histories),
        "items": answer.segments.items,
        "context": answer.context,
    }
    if answer.segments.samples < answer.found:
        note(f"--most-bytes {most_bytes}: {answer.segments.samples} of {answer.found} samples fit")
    emit(as_json, payload, lambda: key_values(f"{pool}: {answer.segments.samples} samples of {answer.sources} users", payload))
