"""The things that can be measured on, a module each (``registry`` finds them)."""
