"""The JSON schemas that lie beside the code are those of the code."""

import importlib.util
import json
from pathlib import Path

import jsonschema

SCRIPT = Path(__file__).parents[1] / "scripts" / "generate_schemas.py"


def test_every_schema_is_valid_and_that_of_its_models() -> None:
    spec = importlib.util.spec_from_file_location("generate_schemas", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert len(module.SCHEMAS) == 3
    for path, json_schema in module.SCHEMAS.items():
        schema = json.loads(path.read_text(encoding="utf-8"))
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema == json_schema(), f"{path.name}: run `make schemas`"
