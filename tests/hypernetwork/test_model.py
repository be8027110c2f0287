"""Profile and the three levels of importance."""

from collections.abc import Callable

import numpy as np
import torch

from chordkit.backbones import Backbone, make_master
from chordkit.hypernetwork import Hypernetwork, HypernetworkOptions, TrainedHypernetwork, profile
from chordkit.hypernetwork.profile import pooled_profile


def fresh(backbone: Backbone, options: HypernetworkOptions) -> Hypernetwork:
    return Hypernetwork(make_master(backbone), options).initialise(torch.Generator().manual_seed(0)).eval()


def test_a_pool_is_the_mean_embedding_of_the_last_items_and_padding_does_not_count(backbone: Backbone) -> None:
    history = torch.tensor([[0, 0, 7, 3, 5]])
    table = backbone.item_embedding.weight.detach()
    found = profile(backbone, history, (2, 4))[0]
    pooled = found[:-1].view(2, -1)
    torch.testing.assert_close(pooled[0], table[[3, 5]].mean(dim=0))
    torch.testing.assert_close(pooled[1], table[[7, 3, 5]].mean(dim=0))
    torch.testing.assert_close(found[-1], torch.log(torch.tensor(4.0)) / 4)


def test_a_longer_window_of_padding_changes_nothing(backbone: Backbone) -> None:
    history = torch.tensor([[0, 7, 3, 5]])
    longer = torch.cat([torch.zeros(1, 9, dtype=torch.int64), history], dim=1)
    assert torch.equal(profile(backbone, history, (2, 12)), profile(backbone, longer, (2, 12)))


def test_an_empty_history_has_a_zero_profile(backbone: Backbone) -> None:
    assert not profile(backbone, torch.zeros(1, 8, dtype=torch.int64), (2, 4)).any()


def test_item_embeddings_get_no_gradient_through_the_profile() -> None:
    embedding = torch.randn(5, 4, requires_grad=True)
    assert not pooled_profile(embedding, torch.tensor([[1, 2]]), (2,)).requires_grad


def test_history_dropout_hides_items_in_training_only() -> None:
    torch.manual_seed(0)
    history, embedding = torch.arange(1, 41).unsqueeze(0), torch.eye(41)
    kept = (pooled_profile(embedding, history, (40,), dropout=0.5)[:, :-1] > 0).sum()
    assert 8 <= kept <= 32  # 40 fair coins: outside with probability 2e-4, and the seed is fixed
    assert (pooled_profile(embedding, history, (40,))[:, :-1] > 0).sum() == 40


def test_importance_depends_on_the_profile(backbone: Backbone, options: Callable[..., HypernetworkOptions]) -> None:
    hypernetwork = fresh(backbone, options())
    profiles = hypernetwork.profile(torch.tensor([[1, 2, 3], [9, 8, 7]]))
    first, second = hypernetwork.importance(profiles)
    assert (first != second).float().mean() > 0.99


def test_the_static_baseline_gives_everybody_the_same(backbone: Backbone, options: Callable[..., HypernetworkOptions]) -> None:
    hypernetwork = fresh(backbone, options(personal=False))
    first, second = hypernetwork.importance(hypernetwork.profile(torch.tensor([[1, 2, 3], [9, 8, 7]])))
    assert torch.equal(first, second)


def test_element_importance_rebuilds_the_filters_as_the_full_matrix_would(
    backbone: Backbone, options: Callable[..., HypernetworkOptions]
) -> None:
    hypernetwork = fresh(backbone, options(rank=3))
    hidden = hypernetwork._hidden(hypernetwork.profile(torch.tensor([[1, 2, 3], [9, 8, 7]])))
    rebuilt = hypernetwork._rebuilt_filters(hidden)
    rows = hypernetwork.rows(hidden).view(2, 3, -1)
    columns = hypernetwork.columns(hidden).view(2, 3, -1)
    start = 0
    for index, layer in enumerate(hypernetwork.table.layers):
        channels = slice(layer.offset, layer.offset + layer.out_channels)
        inputs = slice(start, start + layer.in_features)
        elements = torch.einsum("bro,bri->boi", rows[..., channels], columns[..., inputs])
        magnitude = getattr(hypernetwork, f"magnitude{index}")
        expected = hypernetwork.filters(hidden)[:, channels] + (magnitude * elements).sum(dim=2)
        # Sums of 3 x 16 products of order 1 in fp32: 48 roundings of 6e-8 relative each stay far below 1e-5.
        torch.testing.assert_close(rebuilt[:, channels], expected, rtol=1e-5, atol=1e-5)
        start += layer.in_features


def test_magnitudes_follow_the_frozen_weights(backbone: Backbone, options: Callable[..., HypernetworkOptions]) -> None:
    hypernetwork = fresh(backbone, options())
    weight = backbone.channel_layers()["blocks.0.query"].weight.detach().abs()
    correlation = np.corrcoef(weight.flatten(), hypernetwork.magnitude0.flatten())[0, 1]
    assert correlation > 0.999


def test_layer_importance_weights_a_whole_layer_by_zero_to_two(backbone: Backbone, options: Callable[..., HypernetworkOptions]) -> None:
    hypernetwork = fresh(backbone, options())
    profiles = hypernetwork.profile(torch.tensor([[1, 2, 3]]))
    with torch.no_grad():
        hypernetwork.layers.weight.zero_()
        hypernetwork.layers.bias.zero_()
        plain = hypernetwork.importance(profiles)
        hypernetwork.layers.bias[1] = 20.0
        hypernetwork.layers.bias[2] = -20.0
        weighted = hypernetwork.importance(profiles)
    layers = hypernetwork.table.layers
    for index, factor in enumerate([1.0, 2.0, 0.0] + [1.0] * (len(layers) - 3)):
        channels = slice(layers[index].offset, layers[index].offset + layers[index].out_channels)
        # sigmoid(20) misses 1 by 2e-9, sigmoid(-20) misses 0 by as much.
        torch.testing.assert_close(weighted[:, channels], factor * plain[:, channels], rtol=1e-6, atol=1e-7)


def test_calibration_standardises_the_importance_over_the_population(trained: TrainedHypernetwork, histories: np.ndarray) -> None:
    hypernetwork = trained.hypernetwork
    profiles = hypernetwork.profile(torch.from_numpy(histories))
    mean, deviation = hypernetwork.mean.clone(), hypernetwork.deviation.clone()
    try:
        hypernetwork.calibrate(profiles)
        levels = hypernetwork._rebuilt_filters(hypernetwork._hidden(profiles))
        standard = (levels - hypernetwork.mean) / hypernetwork.deviation
        assert standard.mean(dim=0).abs().max() < 1e-3
        assert (standard.std(dim=0, correction=0) <= 1.0 + 1e-3).all()
    finally:
        hypernetwork.mean.copy_(mean)
        hypernetwork.deviation.copy_(deviation)
