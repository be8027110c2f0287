"""The one graph that every target starts from: the re-ranker as an exported program, and orders of its channels."""
