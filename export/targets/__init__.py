"""Targets: what each runtime can run, how a program becomes its file, and how the file is run."""
