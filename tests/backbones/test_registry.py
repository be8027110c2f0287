"""The registry: what is there, what is added from outside, and what is not there said in a sentence."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar
from unittest import mock

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from chordkit.backbones import (
    ARCHITECTURES,
    Architecture,
    Backbone,
    BackboneConfig,
    CausalBackbone,
    ChannelLinear,
    architectures,
    build,
    config_from_dict,
    config_to_dict,
    default_config,
    find_architecture,
    from_master,
    initialise,
    make_master,
    register,
    registry,
)
from chordkit.backbones.layers import Choices, choice_of
from chordkit.data import Dataset, synthesize
from chordkit.errors import InputError
from chordkit.hypernetwork import HypernetworkOptions, train_hypernetwork
from chordkit.quantization import MasterWeights
from chordkit.training import TrainingOptions, default_options, load_backbone, save_backbone, train_backbone


@dataclasses.dataclass(frozen=True)
class MeanConfig(BackboneConfig):
    """Has no dropout, which every backbone once had to have."""

    hidden: int = 8
    architecture: ClassVar[str] = "mean"


class Mean(Backbone):
    """As little as a backbone can be: the mean item through two layers."""

    def __init__(self, config: MeanConfig) -> None:
        super().__init__(config)
        self.item_embedding = nn.Embedding(config.items + 1, config.dim, padding_idx=0)
        self.up = ChannelLinear(config.dim, config.hidden)
        self.down = ChannelLinear(config.hidden, config.dim)

    def encode(self, history: Tensor, choices: Choices | None = None) -> Tensor:
        pooled = self.item_embedding(history).mean(dim=1)
        return self.down(torch.relu(self.up(pooled, choice_of(choices, "up"))), choice_of(choices, "down"))


class RunningMean(CausalBackbone):
    """The same as a model with a state in every slot, again with no more than it must have."""

    def __init__(self, config: MeanConfig) -> None:
        super().__init__(config)
        self.item_embedding = nn.Embedding(config.items + 1, config.dim, padding_idx=0)
        self.down = ChannelLinear(config.dim, config.dim)

    def forward(self, history: Tensor, choices: Choices | None = None) -> Tensor:
        count = (history != 0).cumsum(dim=1).clamp(min=1).unsqueeze(-1)
        return self.down(self.item_embedding(history).cumsum(dim=1) / count, choice_of(choices, "down"))


MEAN = Architecture(title="Mean", config=MeanConfig, model=Mean, examples=(MeanConfig(20, 6, 8),), accuracy="none", training={"lr": 1e-2})


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    with mock.patch.dict(registry._known):
        yield


@pytest.fixture
def dataset() -> Dataset:
    return synthesize(3, users=30, items=20, mean_length=10.0, max_length=20)


def test_every_file_of_the_folder_is_registered_under_its_name() -> None:
    files = [path for path in Path(architectures.__path__[0]).glob("*.py") if path.stem != "__init__"]
    assert len(ARCHITECTURES) == len(files) and {"sasrec", "caser"} <= set(ARCHITECTURES)
    assert all(find_architecture(name).name == name == architecture.config.architecture for name, architecture in ARCHITECTURES.items())


@pytest.mark.parametrize("model", [Mean, RunningMean])
def test_a_registered_backbone_goes_the_whole_way(model: type[Backbone], dataset: Dataset, tmp_path) -> None:
    register(dataclasses.replace(MEAN, model=model))
    config = default_config("mean", items=20, max_length=6, dim=8)
    options = default_options("mean", epochs=2)
    assert options == TrainingOptions(lr=1e-2, epochs=2)
    trained = train_backbone(dataset, config, options)
    save_backbone(tmp_path / "mean.safetensors", trained.backbone)
    assert load_backbone(tmp_path / "mean.safetensors")[0].config == config
    small = HypernetworkOptions(epochs=2, batch=32, hidden=8, pools=(3, 6), stride=6)
    assert len(train_hypernetwork(dataset, trained.backbone, options=small).history) == 2
    master = make_master(trained.backbone)
    again = from_master(MasterWeights.from_bytes(master.to_bytes()), np.full(master.channel_table.channels, 2, np.uint8))
    assert isinstance(again, model) and again.config == config


def test_the_least_backbone_has_right_defaults_for_all_the_rest() -> None:
    register(MEAN)
    backbone = initialise(build(MeanConfig(20, 6, 8)), seed=1).double().eval()
    window = torch.randint(0, 21, (3, backbone.window_context + 7), generator=torch.Generator().manual_seed(0))
    states = backbone.window_states(window)
    each = torch.stack([backbone.encode(window[:, start : start + 6]) for start in range(7)], dim=1)
    # The same sums of at most 8 terms of order 1.
    assert states.shape == (3, 7, 8) and (states - each).abs().max() < 8 * 2.0**-50
    assert torch.equal(backbone(window[:, :6])[:, -1], backbone.encode(window[:, :6]))


def test_the_least_causal_backbone_encodes_the_last_slot() -> None:
    register(dataclasses.replace(MEAN, model=RunningMean))
    backbone = initialise(build(MeanConfig(20, 6, 8)), seed=1).eval()
    window = torch.randint(1, 21, (3, 6), generator=torch.Generator().manual_seed(0))
    states = backbone.window_states(window)
    assert backbone.window_context == 0 and states.shape == (3, 6, 8)
    assert torch.equal(backbone.encode(window), states[:, -1])
    assert not torch.equal(states[:, -1], states[:, 0])


def test_an_item_bias_is_part_of_both_scores() -> None:
    register(MEAN)
    backbone = initialise(build(MeanConfig(20, 6, 8)), seed=1)
    hidden, candidates = torch.ones(1, 8), torch.tensor([[3, 20]])
    plain = backbone.score(hidden, candidates), backbone.score_all(hidden)
    bias = torch.arange(21.0)
    backbone.item_bias = nn.Parameter(bias)
    torch.testing.assert_close(backbone.score(hidden, candidates), plain[0] + bias[candidates])
    torch.testing.assert_close(backbone.score_all(hidden), plain[1] + bias)


def test_registering_again_replaces_but_never_what_chordkit_ships() -> None:
    register(MEAN)
    register(dataclasses.replace(MEAN, title="Other"))
    assert find_architecture("mean").title == ARCHITECTURES["mean"].title == "Other"

    class Impostor(MeanConfig):
        architecture: ClassVar[str] = "sasrec"

    with pytest.raises(InputError, match="'sasrec' is one of chordkit's own"):
        register(dataclasses.replace(MEAN, config=Impostor))
    for name in ("", "two\nlines", 7):
        with pytest.raises(InputError, match="is no name"):
            register(dataclasses.replace(MEAN, config=type("Nameless", (MeanConfig,), {"architecture": name})))


@pytest.mark.parametrize("name", ["gru", "", None, 7, ["sasrec"], {"sasrec": 1}])
def test_an_unknown_name_is_refused_with_those_that_there_are(name: object) -> None:
    master = make_master(build(default_config("caser", items=5, max_length=4, dim=4)))
    doors = [
        lambda: find_architecture(name),
        lambda: default_config(name, items=5),
        lambda: default_options(name),
        lambda: config_from_dict({"architecture": name, "items": 5}),
    ]
    if isinstance(name, str):  # a master cannot carry anything else
        doors.append(lambda: from_master(dataclasses.replace(master, config=master.config | {"architecture": name})))
    for door in doors:
        with pytest.raises(InputError, match=r"architecture = .* is unknown: use one of .*sasrec"):
            door()


def test_what_is_no_configuration_of_a_known_architecture_is_not_built() -> None:
    class Stranger:
        architecture = "sasrec"

    for config, says in [(object(), "is unknown: use one of"), (MeanConfig(5), "'mean' is unknown"), (Stranger(), "needs a SASRecConfig")]:
        with pytest.raises(InputError, match=says):
            build(config)  # type: ignore[arg-type]


def test_unknown_training_options_are_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"unknown option 'colour' for sasrec: use seed, epochs"):
        default_options("sasrec", colour=1)
    register(dataclasses.replace(MEAN, training={"rate": 1.0}))
    with pytest.raises(InputError, match=r"unknown option 'rate' for mean"):
        default_options("mean")


def test_a_field_that_only_training_reads_stays_out_of_the_master() -> None:
    config = default_config("sasrec", items=5, dropout=0.5)
    assert config_to_dict(config)["dropout"] == 0.5
    flat = config_to_dict(config, training=False)
    assert "dropout" not in flat
    assert config_from_dict(flat) == dataclasses.replace(config, dropout=0.0)
