"""The report of a run: one JSON document with a schema, and the pages drawn from it."""
