"""What is compared in matching: a profile as one direction, each of its parts of length 1."""

import numpy as np
import torch

from chordkit.hypernetwork.profile import pooled_profile
from chordkit.inputs import left_pad
from chordkit.quantization import MasterWeights, dequantize_table

_BATCH = 1024


def directions(profiles: np.ndarray, parts: int) -> np.ndarray:
    """float32 ``[n, width]`` of profiles ``[n, width + 1]``: the pooled embeddings, each of ``parts`` scaled to the length 1 / sqrt(parts).

    The product of two rows then is the mean of the cosines of their parts. The last column, the count, is left out: who has clicked
    more is not more alike. A part without items is zero.
    """
    pooled = profiles[:, :-1].astype(np.float32).reshape(len(profiles), parts, -1)
    lengths = np.linalg.norm(pooled, axis=2, keepdims=True)
    return (pooled / (np.maximum(lengths, np.float32(1e-30)) * np.float32(parts**0.5))).reshape(len(profiles), -1)


def history_directions(table: np.ndarray, histories: np.ndarray, pools: tuple[int, ...]) -> np.ndarray:
    """:func:`directions` of histories int32 ``[n, length]``, left-padded with 0; ``table`` float32 ``[items + 1, dim]`` embeds items."""
    embedding = torch.from_numpy(table)
    rows = [
        directions(pooled_profile(embedding, torch.from_numpy(histories[start : start + _BATCH]), pools).numpy(), len(pools))
        for start in range(0, len(histories), _BATCH)
    ]
    return np.concatenate(rows)


def history_profile(master: MasterWeights, history: np.ndarray, pools: tuple[int, ...]) -> np.ndarray:
    """The profile float32 ``[len(pools) * dim + 1]`` of one history, int32 items oldest first, from the item table that phones have."""
    table = torch.from_numpy(dequantize_table(master.embeddings["item_embedding"]))
    return pooled_profile(table, torch.from_numpy(left_pad([history], pools[-1])), pools).numpy()[0]
