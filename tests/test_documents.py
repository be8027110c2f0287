"""JSON documents that are read back: another version is named, whatever else the document holds."""

from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from chordkit.documents import read_document
from chordkit.errors import InputError
from chordkit.export.collection import Index
from chordkit.report import Report
from chordkit.runtime_bench.results import BenchReport


@pytest.mark.parametrize(("model", "name", "known"), [(Report, "chordkit-report", "2"), (Index, "chordkit-export", "1 or 2")])
def test_a_newer_document_is_refused_by_its_version_and_not_by_what_it_added(
    model: type[BaseModel], name: str, known: str, tmp_path: Path
) -> None:
    path = tmp_path / "document.json"
    path.write_text(f'{{"format": "{name}", "version": 3, "something_new": []}}')
    with pytest.raises(InputError) as caught:
        read_document(path, model, "document", "make it again")
    what = f"document version 3 is unknown, this chordkit reads version {known}"
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
