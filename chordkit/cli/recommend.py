"""``chordkit recommend``: from a bundle and a history to the best items, in the owner's own ids."""

from typing import Annotated

import typer

from chordkit.cli.options import (
    UNVERIFIED,
    BundleArgument,
    MinimumCounterOption,
    OptionalDataOption,
    PublicKeysOption,
    RevokedOption,
    UserOption,
    parse_ids,
    read_revoked,
    tell_unknown,
    user_index,
)
from chordkit.cli.output import JsonOption, SeedOption, emit, note, progress_bar, rows
from chordkit.errors import InputError

EXAMPLE = "Example: `chordkit recommend shop.chord --history SKU-1,SKU-2 --k 10`"


def recommend(
    bundle: BundleArgument,
    history: Annotated[str | None, typer.Option(help="Item ids as the owner writes them, comma-separated, oldest first.")] = None,
    user: UserOption = None,
    data: OptionalDataOption = None,
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="How many items.")] = 10,
    strategy: Annotated[
        str | None,
        typer.Option("--strategy", "-s", help="Whose strategy, by its name in the bundle; default: the user's own, if any."),
    ] = None,
    artifact: Annotated[
        str | None, typer.Option("--artifact", "-a", help="On this artifact; the default is the first that fits and can run here.")
    ] = None,
    seen: Annotated[bool, typer.Option("--seen", help="Also items of the history itself.")] = False,
    public_key: PublicKeysOption = None,
    revoked: RevokedOption = None,
    minimum_counter: MinimumCounterOption = 0,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """The best items after a history, out of the whole catalogue, as a phone with this bundle would rank them."""
    from chordkit.data import load_named
    from chordkit.export.bundle import open as open_bundle

    if (history is None) == (user is None or data is None):
        raise InputError("recommend: give either --history, or --user with --data")
    if history is not None:
        items = parse_ids(history)
    else:
        assert user is not None and data is not None
        with progress_bar() as progress:
            dataset = load_named(data, seed=seed, progress=progress)
        items = [dataset.item_ids[item] for item in dataset.sequences[user_index(dataset, user)]]
    with open_bundle(bundle, public_key or None, revoked=read_revoked(revoked), minimum=minimum_counter) as opened:
        if strategy is None and artifact is None and any(entry.strategy == user for entry in opened.manifest.artifacts):
            strategy = user
        found = opened.recommend(items, k, strategy=strategy, artifact=artifact, seen=seen)
    payload = {
        "bundle": str(bundle),
        "artifact": found.artifact,
        "user_vector": found.user_vector,
        "unknown": list(found.unknown),
        "items": [{"item": each.item, "name": each.name, "category": each.category, "score": each.score} for each in found.items],
    }
    words = [column for column in ("name", "category") if any(getattr(each, column) for each in found.items)]
    body = [
        [place, each.item, *(getattr(each, column) for column in words), f"{each.score:.4f}"] for place, each in enumerate(found.items, 1)
    ]
    emit(as_json, payload, lambda: rows(f"{bundle}, {found.artifact}", ["", "item", *words, "score"], body))
    tell_unknown(found.unknown, len(items))
    if not public_key:
        note(UNVERIFIED.format(bundle))
