"""Golden vectors: master weights that are accepted."""

import dataclasses
from typing import Any

import numpy as np

from chordkit.quantization import (
    MasterLayer,
    MasterWeights,
    QuantizedRows,
    QuantizedTable,
    container,
)


def small_master() -> MasterWeights:
    """Two layers, an int8 and an int4 table, all kinds of configuration; made of exact numbers only."""

    def rows(out: int, features: int, start: int) -> QuantizedRows:
        codes = ((np.arange(out * features) * 37 + start) % 255 - 127).astype(np.int8).reshape(out, features)
        scale = (np.arange(1, out + 1) / 128).astype(np.float32)
        ratios = np.array([[258 + 64 * i for i in range(out)], [1806 + 64 * i for i in range(out)]], np.int16)
        return QuantizedRows(codes, np.stack([scale * 64, scale * 16, scale]), ratios)

    table8 = QuantizedTable(((np.arange(20) * 53) % 255 - 127).astype(np.int8).reshape(5, 4), np.full(5, 0.25, np.float32), 8)
    table4 = QuantizedTable(((np.arange(15) * 4) % 15 - 7).astype(np.int8).reshape(5, 3), np.full(5, 0.5, np.float32), 4)
    return MasterWeights(
        config={"architecture": "example", "dim": 4, "norm_eps": 1e-5, "heights": (2, 3)},
        layers={
            "first": MasterLayer(rows(3, 4, 0), np.array([0.5, -1.0, 2.0], np.float32)),
            "blocks.0.second": MasterLayer(rows(2, 6, 91)),
        },
        embeddings={"item_embedding": table8, "small": table4},
        tensors={"norm.weight": np.array([1.0, 0.5, -0.25, 2.0], np.float32)},
    )


def master() -> dict[str, Any]:
    """A whole master file, and the first layer's weights at every width."""
    made = small_master()
    widths = [2, 4, 8, 0, 4]
    state = made.state_dict(np.array(widths, np.uint8))
    return {
        "bytes": made.to_bytes().hex(),
        "fingerprint": made.fingerprint.hex(),
        "channel_table": made.channel_table.to_json(),
        "widths": widths,
        "state_dict": {name: value.astype(np.float64).tolist() for name, value in state.items()},
        "grown": {
            "bytes": (grown := runnable_masters()["grown"]).to_bytes().hex(),
            "fingerprint": grown.fingerprint.hex(),
            "digest": grown.digest.hex(),
            "items": grown.items,
            "items_before": 2,
        },
    }


def _layer(out: int, features: int) -> MasterLayer:
    codes = (np.arange(out * features) % 255 - 127).astype(np.int8).reshape(out, features)
    ratios = np.repeat(np.array([[258], [1806]], np.int16), out, 1)
    return MasterLayer(QuantizedRows(codes, np.full((3, out), 0.25, np.float32), ratios), np.full(out, 0.5, np.float32))


def _table(rows: int, dim: int = 16) -> QuantizedTable:
    codes = np.outer(np.arange(rows), np.arange(dim) - 7).astype(np.int8)
    return QuantizedTable(codes, np.full(rows, 0.5, np.float32), 8)


def _caser(dim: int = 16) -> MasterWeights:
    sizes = {"items": 2, "max_length": 2, "dim": dim, "heights": (2,), "filters": 1, "vertical_filters": 1, "item_bias": 1}
    return MasterWeights(
        config={"architecture": "caser", **sizes},
        layers={"horizontal.0": _layer(1, 2 * dim), "vertical": _layer(1, 2), "fc": _layer(dim, 1 + dim)},
        embeddings={"item_embedding": _table(3, dim)},
        tensors={"item_bias": np.array([0, 1, 2], np.float32)},
    )


def runnable_masters() -> dict[str, MasterWeights]:
    """The smallest masters that the native engine runs, of each architecture it knows; made of exact numbers only."""
    sizes = {"items": 2, "max_length": 2, "dim": 16}
    norms = ("embedding_norm", "blocks.0.attention_norm", "blocks.0.ffn_norm")
    wide = {"ffn1": (1, 16), "ffn2": (16, 1)}
    sasrec = MasterWeights(
        config={"architecture": "sasrec", **sizes, "blocks": 1, "heads": 2, "ffn_dim": 1, "activation": "relu", "norm_first": 0,
                "norm_eps": 1e-12},
        layers={f"blocks.0.{name}": _layer(*wide.get(name, (16, 16))) for name in ("query", "key", "value", "output", "ffn1", "ffn2")},
        embeddings={"item_embedding": _table(3), "position_embedding": _table(2)},
        tensors={f"{norm}.{part}": np.ones(16, np.float32) for norm in norms for part in ("weight", "bias")},
    )  # fmt: skip
    grown = dataclasses.replace(
        sasrec,
        config=sasrec.config | {"items": 4},
        embeddings=sasrec.embeddings | {"item_embedding": _table(5)},
        origin=container.Origin(sasrec.digest, 2),
    )
    return {"caser": _caser(), "sasrec": sasrec, "grown": grown}
