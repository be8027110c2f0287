"""Writes the JSON schemas that lie beside the models they are made from: ``make schemas``."""

from pathlib import Path

from chordkit.export.bundle import manifest
from chordkit.files import write_json
from chordkit.report import model as report
from chordkit.runtime_bench import results

ROOT = Path(__file__).resolve().parents[1]
SCHEMAS = {
    ROOT / "export" / "bundle" / "manifest.schema.json": manifest.json_schema,
    ROOT / "runtime_bench" / "bench.schema.json": results.json_schema,
    ROOT / "chordkit" / "report" / "report.schema.json": report.json_schema,
}

if __name__ == "__main__":
    for path, json_schema in SCHEMAS.items():
        write_json(path, json_schema())
