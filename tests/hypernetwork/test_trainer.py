"""Training: what learns and what stays, what must not leak, and what a kill may cost."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from chordkit.backbones import Backbone, SASRecConfig, build, initialise, make_master
from chordkit.data import Dataset, left_pad, synthesize
from chordkit.errors import CheckpointError, DataError, InputError
from chordkit.hypernetwork import (
    Hypernetwork,
    HypernetworkOptions,
    TrainedHypernetwork,
    make_strategies,
    make_user_vectors,
    to_user_vector,
    train_hypernetwork,
)
from chordkit.hypernetwork.grid import fake_quantize
from chordkit.hypernetwork.joint import JointModel, phone_backbone, training_backbone
from chordkit.hypernetwork.trainer import CHECKPOINT_NAME
from chordkit.hypernetwork.windows import strategy_windows
from chordkit.quantization import ScalePolicy, dequantize_rows
from chordkit.strategy import average_bits_each
from tests.hypernetwork.conftest import make_backbone

pytestmark = pytest.mark.long

Options = Callable[..., HypernetworkOptions]


def same_weights(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    left, right = first.state_dict(), second.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def model_with_gradients(backbone: Backbone, options: HypernetworkOptions, dataset: Dataset) -> JointModel:
    frozen, master = training_backbone(phone_backbone(backbone, options), None, options)
    model = JointModel(Hypernetwork(master, options).initialise(torch.Generator().manual_seed(0)), frozen, master).train()
    model.attach(options.widths)
    windows = strategy_windows(dataset.sequences, backbone.config.max_length, options.stride, options.pools[-1])
    model.loss(windows.profiles[:48].long(), windows.inputs[:48].long(), windows.targets[:48].long()).backward()
    return model


@pytest.mark.parametrize("init", ["joint", "random", "trained"])
def test_gradients_reach_every_stage(init: str, backbone: Backbone, options: Options, dataset: Dataset) -> None:
    model = model_with_gradients(backbone, options(backbone_init=init), dataset)
    for name, parameter in model.hypernetwork.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
    # Every layer of the backbone passes a gradient to the importance of its own channels.
    for layer in model.hypernetwork.table.layers:
        assert model.hypernetwork.offset.grad[layer.offset : layer.offset + layer.out_channels].any(), layer.name


def test_a_random_backbone_learns_all_but_its_channel_layers(backbone: Backbone, options: Options, dataset: Dataset) -> None:
    model = model_with_gradients(backbone, options(), dataset)
    frozen = {f"{name}.weight" for name in backbone.channel_layers()}
    for name, parameter in model.backbone.named_parameters():
        assert (parameter.grad is None) == (name in frozen), name


def test_a_trained_backbone_learns_nothing(backbone: Backbone, options: Options, dataset: Dataset) -> None:
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    master = make_master(backbone)
    run = train_hypernetwork(dataset, backbone, master, options(backbone_init="trained", epochs=1))
    assert run.master.fingerprint == master.fingerprint == run.hypernetwork.fingerprint
    assert all(torch.equal(tensor, before[name]) for name, tensor in run.backbone.state_dict().items())
    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.state_dict().items())


def test_random_channel_layers_stay_as_drawn_and_the_rest_trains(trained: TrainedHypernetwork) -> None:
    drawn = initialise(build(trained.backbone.config), "random", seed=trained.options.seed).state_dict()
    frozen = {f"{name}.weight" for name in trained.backbone.channel_layers()}
    for name, tensor in trained.backbone.state_dict().items():
        assert torch.equal(tensor, drawn[name]) == (name in frozen), name
    assert make_master(trained.backbone, trained.options.scale_policy).fingerprint == trained.hypernetwork.fingerprint


def test_a_warm_start_takes_embeddings_but_not_channel_layers(backbone: Backbone, options: Options) -> None:
    frozen, _ = training_backbone(backbone, None, options(warm_start=True))
    layers = {f"{name}.weight" for name in backbone.channel_layers()}
    for name, tensor in backbone.state_dict().items():
        assert torch.equal(frozen.state_dict()[name], tensor) == (name not in layers), name


def test_caser_trains_too(trained_caser: TrainedHypernetwork) -> None:
    assert trained_caser.history[1]["loss"] < trained_caser.history[0]["loss"]


def test_a_window_never_shows_its_targets_to_the_strategy(dataset: Dataset) -> None:
    sequence = np.arange(1, 41, dtype=np.int32)
    windows = strategy_windows([sequence], max_length=12, stride=6, profile_length=50)
    seen_as_target = []
    for profile, inputs, targets in zip(windows.profiles, windows.inputs, windows.targets, strict=True):
        wanted = targets[targets != 0]
        assert profile.max() == wanted.min() - 1  # ends right before the first target, items being numbered by time
        assert torch.equal(inputs[targets != 0], wanted - 1)  # the column of a target ends with the item before it
        seen_as_target += wanted.tolist()
    assert sorted(seen_as_target) == list(range(min(seen_as_target), 41))


def test_short_users_are_split_in_half() -> None:
    windows = strategy_windows([np.array([4, 9], np.int32), np.array([5], np.int32)], max_length=4, stride=3, profile_length=4)
    assert windows.profiles.tolist() == [[0, 0, 0, 4]]
    assert windows.inputs.tolist() == [[0, 0, 0, 4]]
    assert windows.targets.tolist() == [[0, 0, 0, 9]]


def test_users_without_two_items_are_refused() -> None:
    with pytest.raises(DataError, match="two interactions"):
        strategy_windows([np.array([5], np.int32)], max_length=4, stride=3, profile_length=4)


def test_held_out_items_have_no_say(dataset: Dataset, backbone: Backbone, options: Options) -> None:
    flat = dataset.flat.copy()
    for back in (1, 2, 3):
        held_out = dataset.offsets[1:] - back
        flat[held_out] = flat[held_out] % dataset.items + 1
    altered = replace(dataset, flat=flat)
    runs = [train_hypernetwork(each, backbone, options=options(epochs=1), held_out=3) for each in (dataset, altered)]
    assert same_weights(runs[0].hypernetwork, runs[1].hypernetwork)
    assert same_weights(runs[0].backbone, runs[1].backbone)


def test_another_seed_gives_another_hypernetwork(
    trained: TrainedHypernetwork, dataset: Dataset, backbone: Backbone, options: Options
) -> None:
    assert not same_weights(train_hypernetwork(dataset, backbone, options=options(seed=1, epochs=1)).hypernetwork, trained.hypernetwork)


def test_training_leaves_the_callers_random_numbers_alone(dataset: Dataset, backbone: Backbone, options: Options) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train_hypernetwork(dataset, backbone, options=options(epochs=1))
    assert torch.equal(torch.rand(3), expected)


class Killed(Exception):
    """Stands for kill -9: nothing of the run survives but its checkpoint folder."""


@pytest.mark.parametrize("init", ["joint", "random", "trained"])
def test_an_interrupted_run_ends_with_the_bits_of_an_uninterrupted_one(
    init: str, dataset: Dataset, backbone: Backbone, options: Options, tmp_path: Path
) -> None:
    chosen = options(backbone_init=init, epochs=3)
    calls: list[tuple[int, int]] = []

    def kill_in_the_second_epoch(phase: str, done: int, total: int) -> None:
        calls.append((done, total))
        if done == total // 3 + 2:
            raise Killed

    with pytest.raises(Killed):
        train_hypernetwork(dataset, backbone, None, chosen, tmp_path, kill_in_the_second_epoch)
    steps_lost = 2
    calls.clear()
    resumed = train_hypernetwork(dataset, backbone, None, chosen, tmp_path, lambda phase, done, total: calls.append((done, total)))
    assert calls[0] == (calls[0][1] // 3 + 1, calls[0][1])
    assert len(calls) == calls[0][1] * 2 // 3 + 1  # two epochs again, of which only the steps_lost were run before
    assert steps_lost < calls[0][1] // 3
    whole = train_hypernetwork(dataset, backbone, options=chosen)
    assert same_weights(resumed.hypernetwork, whole.hypernetwork)
    assert same_weights(resumed.backbone, whole.backbone)
    assert resumed.history == whole.history


def test_a_checkpoint_of_something_else_is_refused(dataset: Dataset, backbone: Backbone, options: Options, tmp_path: Path) -> None:
    train_hypernetwork(dataset, backbone, None, options(epochs=1), tmp_path)
    with pytest.raises(CheckpointError, match="lr"):
        train_hypernetwork(dataset, backbone, None, options(epochs=1, lr=0.5), tmp_path)
    altered = Dataset.from_sequences("other", [sequence[::-1] for sequence in dataset.sequences], dataset.item_ids)
    with pytest.raises(CheckpointError, match="fingerprint"):
        train_hypernetwork(altered, backbone, None, options(epochs=1), tmp_path)


def test_a_damaged_checkpoint_is_refused(dataset: Dataset, backbone: Backbone, options: Options, tmp_path: Path) -> None:
    train_hypernetwork(dataset, backbone, None, options(epochs=1), tmp_path)
    path = tmp_path / CHECKPOINT_NAME
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="damaged"):
        train_hypernetwork(dataset, backbone, None, options(epochs=1), tmp_path)


def test_a_master_for_a_random_backbone_is_refused(dataset: Dataset, backbone: Backbone, options: Options) -> None:
    with pytest.raises(InputError, match="leave them out"):
        train_hypernetwork(dataset, backbone, make_master(backbone), options())


def test_another_catalogue_is_refused(dataset: Dataset, options: Options) -> None:
    with pytest.raises(DataError, match="items"):
        train_hypernetwork(dataset, build(SASRecConfig(items=dataset.items + 1, max_length=12, dim=8)), options=options())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("epochs", 0), ("lr", 0.0), ("batch", 2), ("pools", ()), ("pools", (5, 5)), ("temperature", 0.0), ("seed", -1)],
        *[("backbone_init", "xavier"), ("history_dropout", 1.0), ("policy", "minmax"), ("distribution", "cauchy")],
        *[("policy", "mse"), ("widths", (0, 3)), ("without", ("rows",)), ("without", ("filter", "element")), ("window", -1)],
        *[("budgets", (3.0, 2.5)), ("budgets", (1.0, 3.0)), ("average_bits", 1.5), ("floor", 2.0), ("dropout", 1.0), ("vector_lr", 0.0)],
    ],
)
def test_impossible_options_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(InputError, match="budget|average_bits" if field in ("budgets", "average_bits", "widths") else field):
        HypernetworkOptions(**{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("init", ["joint", "trained"])
def test_a_warm_start_of_a_trained_backbone_is_refused(init: str) -> None:
    with pytest.raises(InputError, match="warm_start"):
        HypernetworkOptions(backbone_init=init, warm_start=True)


@pytest.mark.parametrize("policy_width", [2, 4, 8])
def test_the_grid_of_training_is_the_masters_bit_for_bit(policy_width: int, backbone: Backbone) -> None:
    layers = backbone.channel_layers()
    next(iter(layers.values())).weight.data[0].zero_()  # a dead channel
    next(iter(layers.values())).weight.data[1] *= 1e-31  # one that counts as dead
    master = make_master(backbone, ScalePolicy.ABSMAX)
    for name, layer in layers.items():
        (fake,) = fake_quantize(layer.weight, (policy_width,))
        rows = master.layers[name].rows
        assert np.array_equal(fake.detach().numpy(), dequantize_rows(rows, np.full(layer.out_features, policy_width, np.uint8)))


def test_what_a_joint_backbone_learned_is_what_its_master_computes(dataset: Dataset, backbone: Backbone, options: Options) -> None:
    run = train_hypernetwork(dataset, backbone, options=options(backbone_init="joint", epochs=1))
    rebuilt = make_master(run.backbone, ScalePolicy.ABSMAX)
    assert rebuilt.fingerprint == run.master.fingerprint == run.hypernetwork.fingerprint
    changed = [name for name, tensor in backbone.state_dict().items() if not torch.equal(tensor, run.backbone.state_dict()[name])]
    assert set(changed) == set(backbone.state_dict())  # all of it goes on learning


def test_the_phones_window_keeps_the_newest_slots(dataset: Dataset, backbone: Backbone, options: Options) -> None:
    run = train_hypernetwork(dataset, backbone, options=options(backbone_init="joint", epochs=1, window=4, backbone_lr=1e-9, averaging=0.0))
    assert run.backbone.config.max_length == run.master.config["max_length"] == 4
    kept = backbone.position_embedding.weight[-4:]
    torch.testing.assert_close(run.backbone.position_embedding.weight, kept, rtol=0, atol=1e-6)


def test_a_window_longer_than_the_backbones_is_refused(dataset: Dataset, backbone: Backbone, options: Options) -> None:
    with pytest.raises(InputError, match="window"):
        train_hypernetwork(dataset, backbone, options=options(window=13))


def test_the_fp32_rival_has_no_strategy_and_learns(dataset: Dataset, backbone: Backbone, options: Options) -> None:
    run = train_hypernetwork(dataset, backbone, options=options(backbone_init="joint", quantised=False))
    assert run.history[1]["loss"] < run.history[0]["loss"]
    assert "filters.weight" not in run.hypernetwork.state_dict()


@pytest.mark.parametrize(("init", "architecture"), [("joint", "sasrec"), ("joint", "caser"), ("random", "sasrec"), ("trained", "sasrec")])
def test_channels_that_are_off_train(init: str, architecture: str, dataset: Dataset, options: Options) -> None:
    source = make_backbone(dataset.items, architecture)
    chosen = options(backbone_init=init, widths=(0, 8), average_bits=2.0, epochs=3, backbone_lr=1e-2)
    run = train_hypernetwork(dataset, source, options=chosen)
    widths = make_strategies(run.hypernetwork, left_pad(dataset.sequences, 12))
    assert set(np.unique(widths)) == {0, 8}
    spent = average_bits_each(widths, run.hypernetwork.table)
    assert (spent <= 2.0 + 1e-9).all() and (spent > 1.7).all()
    assert init != "joint" or run.history[-1]["loss"] < run.history[0]["loss"]


def test_one_hypernetwork_serves_every_budget(dataset: Dataset, backbone: Backbone, options: Options) -> None:
    chosen = options(backbone_init="joint", widths=(0, 2, 4, 8), budgets=(1.0, 6.0))
    run = train_hypernetwork(dataset, backbone, options=chosen)
    assert run.hypernetwork.slope.abs().max() > 0
    histories = left_pad(dataset.sequences, 12)
    for bits in (1.0, 2.5, 6.0):
        spent = average_bits_each(make_strategies(run.hypernetwork, histories, bits), run.hypernetwork.table)
        np.testing.assert_allclose(spent, bits, rtol=0.02)


def test_a_user_vector_is_learned_and_is_its_own_for_every_user(dataset: Dataset, backbone: Backbone, options: Options) -> None:
    run = train_hypernetwork(dataset, backbone, options=options(backbone_init="joint", user_vector=True))
    vectors = make_user_vectors(run.hypernetwork, left_pad(dataset.sequences, 12))
    assert vectors.shape == (dataset.users, 16) and (vectors[0] != vectors[1]).any()
    sent = to_user_vector(run.hypernetwork, vectors[0])
    # Rounding to int8 again changes nothing: what was evaluated is what is sent.
    np.testing.assert_allclose(sent.values, vectors[0], rtol=1e-6)
    with pytest.raises(InputError, match="user_vector"):
        make_user_vectors(train_hypernetwork(dataset, backbone, options=options(epochs=1)).hypernetwork, vectors.astype(np.int32))


@pytest.mark.parametrize("level", ["element", "filter", "layer"])
def test_a_level_that_is_left_out_has_no_weights(level: str, dataset: Dataset, backbone: Backbone, options: Options) -> None:
    run = train_hypernetwork(dataset, backbone, options=options(backbone_init="joint", without=(level,), epochs=1))
    names = {"element": "rows.weight", "filter": "filters.weight", "layer": "layers.weight"}
    assert {each for each, name in names.items() if name in run.hypernetwork.state_dict()} == set(names) - {level}


def test_a_window_knows_what_was_seen_before_each_target() -> None:
    sequences = [np.array([7, 8], np.int32), np.array([1, 2, 3, 2, 4, 5], np.int32)]
    windows = strategy_windows(sequences, max_length=3, stride=3, profile_length=5)
    rows = torch.tensor([1])
    assert windows.targets[1].tolist() == [2, 4, 5]
    number, items = windows.seen(rows)
    assert items[number == 0].tolist() == [1, 3]  # 2 has been seen, but it is what comes next
    assert items[number == 1].tolist() == [1, 2, 3, 2]
    assert items[number == 2].tolist() == [1, 2, 3, 2, 4]


def test_a_profile_can_be_as_it_was_some_interactions_ago() -> None:
    sequences = [np.array([7, 8], np.int32), np.array([1, 2, 3, 2, 4, 5], np.int32)]
    windows = strategy_windows(sequences, max_length=3, stride=3, profile_length=4)
    rows = torch.tensor([0, 1, 1, 1])
    older = windows.older_profiles(rows, torch.tensor([5, 0, 1, 9]))
    assert older.tolist() == [[0, 0, 0, 7], [0, 1, 2, 3], [0, 0, 1, 2], [0, 0, 0, 1]]
    assert torch.equal(older[1], windows.profiles[1])


def test_training_with_older_profiles_is_another_training(dataset: Dataset, backbone: Backbone, options: Options) -> None:
    fresh, older = (train_hypernetwork(dataset, backbone, options=options(epochs=1, profile_age=age)).hypernetwork for age in (0, 10))
    assert not same_weights(fresh, older)


@pytest.mark.parametrize("architecture", ["sasrec", "caser"])
def test_seen_items_that_do_not_compete_make_the_loss_smaller(architecture: str, dataset: Dataset, options: Options) -> None:
    source = make_backbone(dataset.items, architecture)
    losses = [
        train_hypernetwork(dataset, source, options=options(backbone_init="joint", epochs=1, seen_masked=masked)).history[0]["loss"]
        for masked in (False, True)
    ]
    assert losses[1] < losses[0]


def test_a_teacher_pulls_the_student_towards_what_it_says_after_each_history(options: Options) -> None:
    wide = synthesize(3, users=60, items=120, mean_length=20.0, max_length=30)
    histories = torch.from_numpy(left_pad(wide.sequences, 12)).long()
    source, teacher = make_backbone(wide.items), make_backbone(wide.items)
    with torch.no_grad():
        teacher.item_embedding.weight *= 15.0  # opinions that differ from history to history
        wanted = torch.softmax(teacher.score_all(teacher.encode(histories))[:, 1:], dim=1)
    chosen = options(backbone_init="joint", teacher_weight=1.0, epochs=6, backbone_lr=2e-2, history_dropout=0.0, dropout=0.0)

    def agreement(teachers: list[Backbone]) -> float:
        student = train_hypernetwork(wide, source, options=chosen, teachers=teachers).backbone
        with torch.no_grad():
            found = torch.log_softmax(student.score_all(student.encode(histories))[:, 1:], dim=1)
            # Beside what all histories have in common, which a student learns from whatever lessons.
            return float(((wanted - wanted.mean(dim=0)) * found).sum(dim=1).mean())

    assert agreement([teacher]) > 2 * agreement([]) > 0


def test_static_and_personal_students_share_the_lessons_of_their_teacher(tmp_path: Path, options: Options) -> None:
    wide, lessons = synthesize(3, users=60, items=120, mean_length=20.0, max_length=30), tmp_path / "lessons.safetensors"
    source, written = make_backbone(wide.items), set()
    for personal in (False, True):
        chosen = options(backbone_init="joint", epochs=1, personal=personal)
        train_hypernetwork(wide, source, options=chosen, checkpoint_dir=tmp_path / str(personal), teachers=[source], lessons=lessons)
        assert [path.name for path in (tmp_path / str(personal)).iterdir()] == [CHECKPOINT_NAME]
        written.add(lessons.stat().st_mtime_ns)
    assert len(written) == 1
    with pytest.raises(CheckpointError, match="lessons seen_masked"):
        train_hypernetwork(wide, source, options=replace(chosen, seen_masked=True), teachers=[source], lessons=lessons)
    with pytest.raises(CheckpointError, match="options teacher_temperature"):
        other = replace(chosen, teacher_temperature=2.0)
        train_hypernetwork(wide, source, options=other, checkpoint_dir=tmp_path / "True", teachers=[source], lessons=lessons)


def test_a_teacher_of_another_catalogue_is_refused(dataset: Dataset, backbone: Backbone, options: Options) -> None:
    with pytest.raises(InputError, match="teacher"):
        train_hypernetwork(dataset, backbone, options=options(backbone_init="joint"), teachers=[make_backbone(dataset.items + 5)])
