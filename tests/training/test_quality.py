"""On data with sequence structure a trained backbone beats popularity, by more than chance."""

import numpy as np
import pytest
import torch

from chordkit.backbones import ARCHITECTURES, default_config
from chordkit.data import split, synthesize
from chordkit.training import default_options, evaluate, paired_difference, train_backbone

pytestmark = pytest.mark.long


@pytest.mark.parametrize("architecture", list(ARCHITECTURES))
def test_a_backbone_beats_popularity_on_the_embedded_data(architecture):
    dataset = synthesize(0, users=300, items=120, mean_length=40.0, interests=8)
    parts = split(dataset)
    counts = torch.from_numpy(np.bincount(np.concatenate(parts.train), minlength=dataset.items + 1)).double()
    popularity = evaluate(lambda histories: counts.expand(len(histories), -1), parts.test)
    options = default_options(architecture, epochs=10, batch=512, lr=4e-3, averaging=0.95)
    result = train_backbone(dataset, default_config(architecture, dataset.items, dim=32), options)
    assert paired_difference(result.metrics["test"], popularity).low > 0
