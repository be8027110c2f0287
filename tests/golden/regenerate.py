"""Write the golden vectors: ``python -m tests.golden.regenerate``. Do so only when a format changes its version.

Numbers are plain JSON; bytes, and the long rows of int8 codes in derivation.json, are hexadecimal, so that C, Kotlin and
Python read the same files.
"""

import json
from typing import Any

from chordkit.files import write_json
from tests.golden import (
    differences,
    envelopes,
    grid,
    masters,
    patches,
    personal,
    refused_masters,
    releases,
    samples,
    signatures,
    strategies,
    training,
)
from tests.golden.common import FOLDER

VECTORS = {
    "derivation": grid.derivation,
    "packing": grid.packing,
    "allocation": grid.allocations,
    "strategy": strategies.strategies,
    "user_vector": strategies.user_vectors,
    "coda_samples": samples.coda_samples,
    "coda_training": training.coda_training,
    "coda_adapters": training.coda_adapters,
    "coda_personal": training.coda_personal,
    "master": masters.master,
    "master_refused": refused_masters.refused_masters,
    "ed25519": signatures.ed25519,
    "envelope": envelopes.envelopes,
    "difference": differences.differences,
    "patch": patches.patches,
    "personal": personal.personal,
    "release": releases.releases,
}


def as_json(value: Any) -> Any:
    """``value`` as a reader of the file sees it."""
    return json.loads(json.dumps(value))


if __name__ == "__main__":
    for name, make in VECTORS.items():
        write_json(FOLDER / f"{name}.json", make())
