"""``strategy show`` explains: against other users, by the user's own items, since the last strategy, and as a picture."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from chordkit.cli.options import read_strategy
from chordkit.data import Dataset
from chordkit.quantization import MasterWeights

USER = "5"


@pytest.fixture(scope="module")
def data(project) -> Dataset:
    return Dataset.load(project / "shop.safetensors")


@pytest.fixture(scope="module")
def widths(project) -> dict[str, np.ndarray]:
    """int [channels] of the two users who have a strategy, by user."""
    weights = MasterWeights.load(project / "m.chrm")
    return {user: read_strategy(project / f"u{user}.chrd", weights).widths.astype(int) for user in (USER, "6")}


@pytest.fixture
def show(project, command):
    """Runs ``strategy show`` for the strategy of ``USER``, with her explanation where ``explained``."""

    def run(*more: object, strategy: object = project / "u5.chrd", explained: bool = True):
        why = ("--hypernetwork", project / "h.safetensors", "--data", project / "shop.safetensors") if explained else ()
        return command("strategy", "show", strategy, "--master", project / "m.chrm", *why, *more)

    return run


def test_without_a_hypernetwork_nothing_is_explained(show) -> None:
    assert set(show("--json", explained=False).json) == {
        "file", "backbone", "channels", "average_bits", "packed_weight_bytes", "widths",
    }  # fmt: skip


def test_a_strategy_is_explained_by_the_users_own_items(show, data: Dataset) -> None:
    found = show("--user", USER, "--json").json["explanation"]
    own = {data.item_ids[item] for item in data.sequences[data.user_ids.index(USER)][-50:]}
    assert found["outdated"] == 0 and found["others"] == data.users - 1
    assert len(found["items"]) == min(10, len(own)) and {each["item"] for each in found["items"]} <= own
    assert {each["driver"] for each in found["channels"]} <= {*own, None}
    changed = [each["changed"] for each in found["items"]]
    assert changed == sorted(changed, reverse=True) and changed[0] > 0


def test_neighbours_are_other_users_at_the_distance_of_their_strategies(show, data: Dataset, widths) -> None:
    found = show("--user", USER, "--top", data.users, "--json").json["explanation"]
    distances = {each["user"]: each["distance"] for each in found["neighbours"]}
    assert set(distances) == {*data.user_ids} - {USER}
    assert found["median_distance"] == np.median(list(distances.values()))
    # Strategies of one user made alone and with others differ where rounding decides between equals: hardly ever.
    assert distances["6"] == pytest.approx((widths[USER] != widths["6"]).mean(), abs=2.5 / 192)


def test_a_history_is_explained_as_the_user_who_has_it(show, data: Dataset) -> None:
    history = ",".join(data.item_ids[item] for item in data.sequences[data.user_ids.index(USER)])
    named = show("--user", USER, "--json").json["explanation"]
    found = show("--history", history, "--json").json["explanation"]
    assert found["others"] == data.users and [each["item"] for each in found["items"][:3]] == [each["item"] for each in named["items"][:3]]
    # Nobody is named, so the user of the data set with this very history is somebody else.
    assert found["neighbours"][0]["user"] == USER and found["neighbours"][0]["distance"] <= 2.5 / 192


def test_a_strategy_of_another_history_is_said_to_be_out_of_date(show, widths) -> None:
    differing = show("--user", "6", "--json").json["explanation"]["outdated"]
    assert differing == (widths[USER] != widths["6"]).sum() > 0
    assert f"{differing} of 192 channels differ; make it again" in show("--user", "6").out


def test_since_tells_what_moved_in_every_layer(show, project, widths) -> None:
    since = show("--since", project / "u6.chrd", "--json", explained=False).json["since"]
    new, old = widths[USER], widths["6"]
    assert since["changed"] == (new != old).sum() == sum(since["moves"].values())
    for index, layer in enumerate(since["layers"].values()):
        part = slice(16 * index, 16 * index + 16)
        assert (layer["up"], layer["down"]) == ((new[part] > old[part]).sum(), (new[part] < old[part]).sum())
    assert show("--since", project / "u5.chrd", "--json", explained=False).json["since"]["changed"] == 0


@pytest.mark.parametrize("explained", [False, True])
@pytest.mark.parametrize("kind", ["svg", "png"])
def test_a_picture_is_drawn_with_and_without_the_population(kind: str, explained: bool, show, project, tmp_path: Path) -> None:
    if kind == "png":
        pytest.importorskip("PIL", reason="Pillow draws PNG; pip install 'chordkit[picture]'")
    picture = tmp_path / "new" / f"p.{kind}"
    more = ("--user", USER) if explained else ()
    assert show(*more, "--since", project / "u6.chrd", "--picture", picture, "--json", explained=explained).json["picture"] == str(picture)
    content = picture.read_bytes()
    assert content.startswith(b"<svg " if kind == "svg" else b"\x89PNG")
    if kind == "svg":
        assert (b"mean of 119 other users" in content) is explained and b"change since u6.chrd" in content


def test_people_get_all_of_it_as_tables(show, project) -> None:
    arguments = ("--user", USER, "--since", project / "u6.chrd", "--top", 3)
    outcome, found = show(*arguments), show(*arguments, "--json").json
    assert outcome.status == 0 and "…" not in outcome.out
    why = found["explanation"]
    said = [each["name"] for each in why["layers"]] + [each["item"] for each in why["items"]] + [each["user"] for each in why["neighbours"]]
    said += [f"{each['share']:.1%}" for each in why["channels"]] + [f"{why['median_distance']:.3f}", "gives exactly this strategy"]
    said += [f"{found['since']['changed']} of 192 channels have changed"]
    text = " ".join(outcome.out.split())
    assert all(word in text for word in said)


def test_an_envelope_is_not_taken_for_a_strategy(project, command, tmp_path: Path) -> None:
    sealing = ("strategy", "seal", project / "u5.chrd", "--key", project / "key.pem", "--serial", 1, "--out", tmp_path / "u5.chre")
    assert command(*sealing).status == 0
    outcome = command("strategy", "show", tmp_path / "u5.chre", "--master", project / "m.chrm")
    assert outcome.status == 2 and "strategy open --out" in outcome.err
    opening = ("strategy", "open", tmp_path / "u5.chre", "--public-key", project / "key.pub.pem", "--out", tmp_path / "same.chrd")
    assert command(*opening, "--master", project / "m.chrm", "--json").json["backbone_checked"]
    assert (tmp_path / "same.chrd").read_bytes() == (project / "u5.chrd").read_bytes()


def test_strategies_of_everybody_come_in_one_table(project, command, tmp_path: Path) -> None:
    out = tmp_path / "all.parquet"
    make = ("strategy", "make", "--hypernetwork", project / "h.safetensors", "--master", project / "m.chrm", "--all", "--out", out)
    made = command(*make, "--data", project / "shop.safetensors", "--json").json
    table = pl.read_parquet(out)
    assert made["users"] == table.height == 120 and made["resumed"] == 0 and made["bytes_a_user"] == len(table["strategy"][0])
    own = tmp_path / "own.chrd"
    assert command(*make[:-3], "--user", USER, "--data", project / "shop.safetensors", "--out", own).status == 0
    assert table.filter(pl.col("user") == USER)["strategy"][0] == own.read_bytes()
    for wrong, said in (((), "give either --data"), (("--user", USER), "are of one user"), (("--history", "1,2"), "are of one user")):
        refused = command(*make, *wrong)
        assert refused.status == 2 and "--all: " in refused.err and said in refused.err
