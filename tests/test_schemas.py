"""The JSON schemas that lie beside the code are those of the code."""

import json
from collections.abc import Callable
from types import ModuleType

import jsonschema
import pytest

pytestmark = pytest.mark.checkout


def test_every_schema_is_valid_and_that_of_its_models(script: Callable[[str], ModuleType]) -> None:
    schemas = script("scripts/generate_schemas.py").SCHEMAS
    assert len(schemas) == 3
    for path, json_schema in schemas.items():
        schema = json.loads(path.read_text(encoding="utf-8"))
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema == json_schema(), f"{path.name}: run `make schemas`"
