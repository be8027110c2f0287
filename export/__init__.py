"""Lowering to the runtimes of a phone, capability check, parity, bundle.

Importing this package loads nothing: each module is imported by whoever needs it, so that the command line starts
fast and works without the runtimes that are not used.
"""
