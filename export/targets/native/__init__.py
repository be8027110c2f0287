"""chordkit's own engine, which runs from the master weights."""
