"""What every version of every runtime makes of chordkit's artifacts: ``python -m scripts.try_runtimes`` (docs/targets/runtimes.md)."""
