"""The library from Kotlin, as Kotlin's own compiler sees it: what may be null, and what may not."""

import io
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("scripts.android", reason="only a checkout has scripts")
from scripts.android import kotlin
from scripts.android.process import BuildError

pytestmark = pytest.mark.checkout
STRICT = "-Xjsr305=strict"
HEAD = "import io.chordkit.Engine\nimport io.chordkit.trust.*\nimport java.nio.ByteBuffer\n"
RIGHT = """
fun nobody(engine: Engine) = engine.adoptUser(null)
fun fastest(master: ByteBuffer): Engine = Engine.open(master, null)
fun missing(bundle: VerifiedBundle): Int = bundle.member("none")?.remaining() ?: 0
fun name(engine: Engine): Int = engine.variant().length
"""
WRONG = {
    "fun strategy(engine: Engine) = engine.adopt(null)": "null cannot be a value of a non-null type 'ByteArray'",
    'fun member(bundle: VerifiedBundle): Int = bundle.member("none").remaining()': "only safe (?.) or non-null asserted (!!.) calls",
    "fun keys(): EnvelopeVerifier = EnvelopeVerifier(null, null)": "null cannot be a value of a non-null type 'TrustedKeys'",
}


@pytest.fixture(scope="module")
def classes(built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The AAR's classes, and nothing else: no library of annotations is beside them in an app."""
    path = tmp_path_factory.mktemp("kotlin") / "classes.jar"
    with zipfile.ZipFile(io.BytesIO(built.aar.read_bytes())) as archive:
        path.write_bytes(archive.read("classes.jar"))
    return path


@pytest.fixture
def say(classes: Path, tmp_path: Path):
    def compile(text: str, *options: str) -> list[str]:
        (tmp_path / "Use.kt").write_text(HEAD + text)
        try:
            return kotlin.say([tmp_path / "Use.kt"], [classes], options)
        except BuildError as error:
            pytest.skip(str(error))

    return compile


def test_null_is_an_error_where_it_may_not_be_for_those_who_ask_for_it(say) -> None:
    said = say("\n".join(WRONG) + RIGHT, STRICT)
    for number, (line, words) in enumerate(WRONG.items(), HEAD.count("\n") + 1):
        assert [each for each in said if f"Use.kt:{number}:" in each and f"error: {words}" in each], line
    assert len(said) == len(WRONG)


def test_null_is_a_warning_there_for_everybody(say) -> None:
    said = say("\n".join(WRONG))
    assert len(said) == len(WRONG) and all(": warning: " in line for line in said)
