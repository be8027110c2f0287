"""JSON documents that are read back: another version is named, whatever else the document holds."""

from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from chordkit.documents import parse_json, read_document
from chordkit.errors import InputError
from chordkit.evaluation.accuracy import Accuracy
from chordkit.export.collection import Index
from chordkit.report import Report
from chordkit.report.evaluation_document import EvaluationDocument
from chordkit.runtime_bench.compare import load_report
from chordkit.runtime_bench.records import Start
from chordkit.runtime_bench.results import BenchReport

KNOWN = [
    (Report, "chordkit-report", "2 or 3"),
    (Index, "chordkit-export", "1, 2 or 3"),
    (Accuracy, "chordkit-accuracy", "1"),
    (EvaluationDocument, "chordkit-evaluation", "1"),
]


@pytest.mark.parametrize(("model", "name", "known"), KNOWN)
def test_a_newer_document_is_refused_by_its_version_and_not_by_what_it_added(
    model: type[BaseModel], name: str, known: str, tmp_path: Path
) -> None:
    path = tmp_path / "document.json"
    path.write_text(f'{{"format": "{name}", "version": 4, "something_new": []}}')
    with pytest.raises(InputError) as caught:
        read_document(path, model, "document", "make it again")
    what = f"document version 4 is unknown, this chordkit reads version {known}"
    assert str(caught.value) == f"{path}: {what}; update chordkit, or make it again"


def test_a_document_of_another_format_is_refused_by_the_field(tmp_path: Path) -> None:
    path = tmp_path / "document.json"
    path.write_text('{"format": "chordkit-report", "version": 1}')
    with pytest.raises(InputError, match=r"document\.json: not a chordkit document: format: .*'chordkit-export'; make it again"):
        read_document(path, Index, "document", "make it again")


def test_a_newer_benchmark_run_does_not_meet_the_schema() -> None:
    with pytest.raises(ValidationError) as caught:
        BenchReport.model_validate({"format_version": 3})
    assert caught.value.errors()[0]["loc"] == ("format_version",)


# --- what JSON from outside may be ------------------------------------------------------------------------------------

REFUSED = {
    "nothing": (b"", "Expecting value"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "codec"),
    "half a character": (b'"\xc3', "codec"),
    "two values": (b"{} {}", "Extra data"),
    "a member twice": (b'{"a": 1, "b": 2, "a": 1}', "'a' is there twice"),
    "a member twice, far inside": (b'[[{"x": {"a": 1, "\\u0061": 1}}]]', "'a' is there twice"),
    "NaN": (b'{"a": NaN}', "NaN is no number"),
    "infinity": (b"[-Infinity]", "Infinity is no number"),
    "a number beyond float64": (b"[1e999]", "1e999 is too large"),
    "a number of 5,000 digits": (b"9" * 5_000, "4300"),
    "65 lists": (b"[" * 65 + b"]" * 65, "more than 64 deep"),
    "65 objects": (b'{"a":' * 65 + b"1" + b"}" * 65, "more than 64 deep"),
    "a million lists": (b"[" * 1_000_000, "more than 64 deep"),
    "a million objects": (b'{"a":' * 1_000_000, "more than 64 deep"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_json_or_no_honest_one_is_refused(what: str) -> None:
    data, words = REFUSED[what]
    with pytest.raises(ValueError, match=words):
        parse_json(data)


def test_json_is_bounded() -> None:
    assert parse_json(b'{"a": [1, 2.5, null, true, "\\u00e9"]}') == {"a": [1, 2.5, None, True, "é"]}
    assert parse_json(b"[" * 64 + b"]" * 64)
    assert parse_json(b"[1,2]", 5) == [1, 2]
    with pytest.raises(ValueError, match="larger than 4 bytes"):
        parse_json(b"[1,2]", 4)
    members = ",".join(f'"{number}":0' for number in range(65_537))
    with pytest.raises(ValueError, match="more than 65536 members"):
        parse_json(f"{{{members}}}")


def test_a_list_ends_at_its_first_bad_element() -> None:
    wrong = ",".join(["{}"] * 1000)
    with pytest.raises(ValidationError) as caught:
        Index.model_validate_json(f'{{"format":"chordkit-export","version":1,"fingerprint":"","artifacts":[{wrong}]}}')
    assert {error["loc"][:2] for error in caught.value.errors()} == {("artifacts", 0)}


@pytest.mark.parametrize("model", [Index, Report, BenchReport, Start, Accuracy, EvaluationDocument])
def test_every_list_of_a_document_ends_so(model: type[BaseModel]) -> None:
    def lists(schema: object) -> list[dict]:
        if isinstance(schema, dict):
            own = [schema] if schema.get("type") in ("list", "tuple", "set") else []
            return own + [found for value in schema.values() for found in lists(value)]
        return [found for value in schema for found in lists(value)] if isinstance(schema, list) else []

    found = lists(model.__pydantic_core_schema__)
    assert found and all(each.get("fail_fast") for each in found)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"format": "chordkit-report", "format": "chordkit-report"}', "'format' is there twice"),
        ("[" * 10_000, "nested more than 64 deep"),
        ('{"format": NaN}', "NaN is no number"),
        (" " * (16 << 20) + "{}", "larger than 16777216 bytes"),
    ],
)
def test_a_document_of_such_json_is_refused_in_a_sentence(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"report\.json: .*{words}.*; "):
        read_document(path, Report, "report", "make it again")
    with pytest.raises(InputError, match=rf"report\.json: .*{words}.*; "):
        load_report(path)
