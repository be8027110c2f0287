"""Lowers, runs and judges one target over models of the sizes on stdin, one JSON line each; what became of each is a line on stdout.

A program of its own: a runtime that ends the process ends this one, and the last line says which model it was (test_sizes.py).
"""

import json
import sys
from typing import Any

import numpy as np
import torch

from chordkit.backbones import Backbone, BackboneConfig, build, config_from_dict, initialise, make_master
from chordkit.errors import CheckFailed, InputError
from chordkit.export.artifact import Artifact, ArtifactSpec, Precision
from chordkit.export.judge import judge
from chordkit.export.parity import draw, references, run_all
from chordkit.export.targets import find_target, load_runner, lower
from chordkit.strategy import Strategy, to_wire

HISTORIES = 24


def model(config: BackboneConfig) -> Backbone:
    """A random backbone in which nothing is zero or one, and no activation of a model of one number is off for good."""
    backbone = initialise(build(config), "random", distribution="normal", seed=5).eval()
    generator = torch.Generator().manual_seed(6)
    with torch.no_grad():
        for parameter in backbone.parameters():
            if parameter.dim() == 1:
                parameter += 0.3 + 0.2 * torch.rand(parameter.shape, generator=generator)
        for layer in backbone.channel_layers().values():
            layer.weight.normal_(0, 0.6 * layer.in_features**-0.5, generator=generator)
        backbone.item_embedding.weight[1:].normal_(0, 1, generator=generator)
    return backbone


def outcome(name: str, case: dict[str, Any]) -> tuple[str, str]:
    """``passed``, ``refused`` (before there was an artifact) or ``missed``, with what was said."""
    target, precision, candidates = find_target(name), Precision(case["precision"]), case["candidates"]
    backbone = model(config_from_dict(case["config"]))
    master = make_master(backbone, embedding_bits=case["table"])
    channels = master.channel_table.channels
    widths = np.full(channels, 8, np.uint8)
    if precision is Precision.STRATEGY:
        of = np.array([case["width"]] if case["width"] else [0, 2, 4, 8], np.uint8)
        widths = np.random.default_rng(0).choice(of, channels)
    strategy = Strategy(widths, master.fingerprint)
    try:
        data = master.to_bytes()
        if target.capability.suffix is not None:
            data = lower(ArtifactSpec(name, precision, candidates), backbone if precision is Precision.FP32 else (master, widths))
        runner = load_runner(name, data, strategy=to_wire(strategy), candidates=candidates, master=master.to_bytes())
    except InputError as error:
        return "refused", str(error)
    generator = np.random.default_rng(1)
    length, items = backbone.config.max_length, backbone.config.items
    histories = generator.integers(1, items + 1, (HISTORIES, length)).astype(np.int32)
    histories[np.arange(length) < generator.integers(0, length, (HISTORIES, 1)) * (np.arange(HISTORIES) % 2)[:, None]] = 0
    personal = {"mix": strategy} if precision is Precision.STRATEGY else {}
    artifact = Artifact(
        name="x", target=name, precision=precision, activations=target.capability.activations[0], candidates=candidates,
        strategy="mix" if personal else None,
    )  # fmt: skip
    vectors = draw(histories, generator.integers(1, items + 1, HISTORIES), items, count=HISTORIES, candidates=candidates)
    vectors = vectors.with_scores({artifact.reference: references(master, backbone, personal)[artifact.reference]})
    if items < 3:
        # The gate would measure by next to nothing, or says that it cannot: the scores have to be those of the reference.
        expected = vectors.scores[artifact.reference]
        error = float(np.abs(run_all(runner, *vectors.inputs) - expected).max() / np.abs(expected).max())
        return ("passed" if error <= 0.05 else "missed"), f"{error:.2g} off"
    try:
        report = judge(artifact, runner, master, widths if personal else None, vectors)
    except CheckFailed as error:
        return "unjudged", str(error)
    return ("passed", "") if report.passed else ("missed", "; ".join(report.reasons))


def main() -> None:
    """Walk over the lines of stdin."""
    for number, line in enumerate(sys.stdin):
        print(json.dumps([number, "died", ""]), flush=True)
        try:
            print(json.dumps([number, *outcome(sys.argv[1], json.loads(line))]), flush=True)
        except Exception as error:
            print(json.dumps([number, "failed", f"{type(error).__name__}: {error}"]), flush=True)


if __name__ == "__main__":
    main()
