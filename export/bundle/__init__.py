"""The bundle, one signed file that a phone installs (DESIGN.md, contract 3; docs/bundle.md).

from chordkit.export import bundle

bundle.write("shop.chord", contents, signing_key="private.pem")
with bundle.open("shop.chord", public_key="public.pem") as opened:
    opened.artifact("litert-int8")  # a view of the mapped file
    opened.strategy("user-17")
bundle.verify("shop.chord", "public.pem").require()
"""

from chordkit.export.bundle.catalogue import fitting_words
from chordkit.export.bundle.checker import BundleSummary, RunnerFactory, VectorResult, VerificationReport, inspect, verify
from chordkit.export.bundle.delta import (
    Difference,
    apply_difference,
    apply_difference_file,
    apply_difference_to,
    difference,
    difference_files,
    read_difference,
)
from chordkit.export.bundle.manifest import FORMAT_VERSION, MASTER, ArtifactEntry, DatasetSection, Manifest, Provenance
from chordkit.export.bundle.opening import Keys, open, read
from chordkit.export.bundle.reader import Bundle
from chordkit.export.bundle.recommend import Recommendation, Recommendations
from chordkit.export.bundle.writer import ArtifactContents, BundleContents, dataset_section, write
from chordkit.signing import SigningKey, TrustedKeys, VerifyingKey, generate_key_pair, key_id, load_private_key, load_public_key

__all__ = [
    "FORMAT_VERSION",
    "MASTER",
    "ArtifactContents",
    "ArtifactEntry",
    "Bundle",
    "BundleContents",
    "BundleSummary",
    "DatasetSection",
    "Difference",
    "Keys",
    "Manifest",
    "Provenance",
    "Recommendation",
    "Recommendations",
    "RunnerFactory",
    "SigningKey",
    "TrustedKeys",
    "VectorResult",
    "VerificationReport",
    "VerifyingKey",
    "apply_difference",
    "apply_difference_file",
    "apply_difference_to",
    "dataset_section",
    "difference",
    "difference_files",
    "fitting_words",
    "generate_key_pair",
    "inspect",
    "key_id",
    "load_private_key",
    "load_public_key",
    "open",
    "read",
    "read_difference",
    "verify",
    "write",
]
