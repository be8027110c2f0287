"""What is masked contributes nothing, whatever its logits are: padding and the future, in SASRec and in torch's own attention."""

import copy
import math

import pytest
import torch
from torch import nn

from chordkit.backbones import Backbone, SASRecConfig, build, initialise, shorten
from chordkit.backbones.attention import MASKED, ChannelAttention

LENGTH, DIM, HEADS = 8, 16, 2
LOGITS = pytest.mark.parametrize("logits", [1.0, 1e4, 1e8])


def sharp(logits: float, norm_first: bool) -> Backbone:
    """A random SASRec whose attention logits have that standard deviation, of both signs."""
    config = SASRecConfig(30, LENGTH, DIM, blocks=2, heads=HEADS, norm_first=norm_first)
    backbone = initialise(build(config), seed=3).eval()
    with torch.no_grad():
        for name, layer in backbone.channel_layers().items():
            factor = math.sqrt(logits) if name.endswith(("query", "key")) else 1.0
            layer.weight.normal_(0, factor * DIM**-0.5, generator=torch.Generator().manual_seed(len(name)))
        for table in (backbone.item_embedding, backbone.get_submodule("position_embedding")):
            table.weight.normal_(generator=torch.Generator().manual_seed(7))  # row 0 too: nothing may look at it
    return backbone


@LOGITS
@pytest.mark.parametrize("norm_first", [False, True])
def test_a_padded_history_gives_what_the_short_model_gives_without_padding(logits: float, norm_first: bool) -> None:
    backbone = sharp(logits, norm_first)
    for real in range(1, LENGTH + 1):
        rows = torch.randint(1, 31, (6, real), generator=torch.Generator().manual_seed(real))
        padded = nn.functional.pad(rows, (LENGTH - real, 0))
        expected = shorten(backbone, real).double().encode(rows)
        wide = copy.deepcopy(backbone).double()
        # Sums over more slots, of which some are exactly zero, may be taken in another order: a logit then moves by its rounding.
        torch.testing.assert_close(wide.encode(padded), expected, rtol=0, atol=1e-12 * max(logits, 1.0) + 1e-12)
        assert wide(padded).isfinite().all()


@LOGITS
def test_no_state_knows_what_is_masked(logits: float) -> None:
    backbone = sharp(logits, False)
    rows = torch.randint(1, 31, (6, LENGTH), generator=torch.Generator().manual_seed(1))
    rows[:3, :5] = 0
    before = backbone(rows)
    with torch.no_grad():
        backbone.item_embedding.weight[0] = -3.0
        rows[3:, -1] = 31 - rows[3:, -1]
    after = backbone(rows)
    # Exactly: what is masked is not merely small.
    assert torch.equal(before[:3, 5:], after[:3, 5:]) and torch.equal(before[3:, :-1], after[3:, :-1])
    assert not torch.equal(before[:3, :5], after[:3, :5]) and not torch.equal(before[3:, -1], after[3:, -1])


@LOGITS
def test_torchs_own_attention_keeps_its_meaning_of_a_mask(logits: float) -> None:
    torch.manual_seed(0)
    attention = nn.MultiheadAttention(DIM, HEADS, batch_first=True).double().eval()
    with torch.no_grad():
        attention.in_proj_weight *= 4 * math.sqrt(logits)
    x = torch.randn(3, LENGTH, DIM, dtype=torch.float64)
    padding = torch.arange(LENGTH) < torch.tensor([0, 3, LENGTH - 1])[:, None]
    causal = torch.ones(LENGTH, LENGTH, dtype=torch.bool).triu(1)
    expected = attention(x, x, x, key_padding_mask=padding, attn_mask=causal, need_weights=False)[0]
    found = ChannelAttention(attention)(x, x, x, padding, attn_mask=causal)[0]
    # torch gives NaN where there is nothing to look at; here it is a number that nobody reads.
    torch.testing.assert_close(found[~padding], expected[~padding], rtol=1e-9, atol=1e-9 * math.sqrt(logits))
    assert found.isfinite().all()


def test_two_masks_add_up_to_a_number_and_leave_nothing_of_a_logit() -> None:
    masked = torch.tensor(MASKED)
    assert (masked + masked).isfinite() and (masked + 1e30) == masked
    assert torch.softmax(torch.stack([masked + 1e8, masked + masked, torch.tensor(-1e8)]), 0).tolist() == [0.0, 0.0, 1.0]
