"""The native engine: runs a backbone at any strategy, from the bytes of its master weights.

    engine = Engine(master.to_bytes())
    engine.adopt(strategy_bytes)
    scores = engine.scores(history, candidates)

``docs/kernels.md`` explains the C library behind it.
"""

from chordkit.kernels.engine import Engine, Variant, available, backbones, variants
from chordkit.kernels.linear import Form, NativeLinear
from chordkit.kernels.sharpness import is_sharp, sharpness

__all__ = ["Engine", "Form", "NativeLinear", "Variant", "available", "backbones", "is_sharp", "sharpness", "variants"]
