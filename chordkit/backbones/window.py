"""The window of a backbone: how many items of a history the phone looks at."""

from dataclasses import replace

from chordkit.backbones.backbone import Backbone
from chordkit.backbones.registry import build
from chordkit.errors import InputError


def shorten(backbone: Backbone, window: int) -> Backbone:
    """The backbone for the last ``window`` slots of a history, with the weights of ``backbone``, in eval mode.

    What belongs to a slot (SASRec's positions, Caser's vertical filters) keeps its newest slots, as the newest item always stands in the
    last one; what counts from the oldest item, its first rows. For a history of ``window`` items or less it computes what the long backbone
    would, except where padding counts: Caser's horizontal filters no longer see the border between the two, and pmixer's attention fewer
    padded slots.

    Args:
        backbone: is not modified.
        window: slots, at most the backbone's own; the same number gives a copy.

    Raises:
        InputError: the window is longer than the backbone's, or the backbone cannot be made with it.
    """
    length = backbone.config.max_length
    if not 1 <= window <= length:
        raise InputError(f"window = {window} is not possible: give 1 to {length}, the length that the backbone was trained with")
    short = build(replace(backbone.config, max_length=window))
    state = {}
    for name, tensor in short.state_dict().items():
        kept = backbone.state_dict()[name]
        for axis, (new, old) in enumerate(zip(tensor.shape, kept.shape, strict=True)):
            if new != old:
                kept = kept.narrow(axis, 0 if name in short.counted_from_oldest else old - new, new)
        state[name] = kept
    short.load_state_dict(state)
    return short.eval()
