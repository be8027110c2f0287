"""The native engine against the runtimes: how each is bound to fixed memory, checked, and timed beside the others."""
