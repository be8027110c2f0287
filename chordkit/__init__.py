"""chordkit: personal mixed-precision recommenders, from the cloud to the phone.

An implementation of CHORD (arXiv 2510.03038): a frozen backbone on the device, a 2-bit-a-channel strategy from the
cloud. The floors of the package, and which may import which, are drawn in ``docs/architecture.md``.
"""

__version__ = "0.1.0"
