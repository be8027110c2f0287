"""The Android library's own tests (JUnit, in android_demo), on every virtual machine there is, and the machinery that runs them."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

machines = pytest.importorskip("tests.android.java_virtual_machines", reason="the wheel has no sources of Android")

pytestmark = pytest.mark.checkout

EACH = sorted((name, machine) for machine in machines.MACHINES for name in machines.test_classes(machine))
"""By class: two processes that test at once begin with different virtual machines."""


@pytest.mark.parametrize(("name", "machine"), EACH)
def test_all_of_it_passes(machine: str, name: str, results: Callable) -> None:
    problems = results(machine).problems(name)
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("machine", machines.MACHINES)
def test_the_virtual_machine_has_nothing_to_say_of_how_it_is_called(machine: str, results: Callable) -> None:
    found = results(machine)
    assert (found.status, found.said) == (0, "")


def test_a_test_that_fails_is_told_with_its_name_and_its_sentence(virtual_machine: Callable, material: Path, tmp_path: Path) -> None:
    (tmp_path / "BadTest.java").write_text(
        "import org.junit.Assert; import org.junit.Assume; import org.junit.Test;\n"
        "public class BadTest {\n"
        '  @Test public void fails() { Assert.assertEquals("two\\nlines", 1, 2); }\n'
        "  @Test public void passes() {}\n"
        '  @Test public void assumes() { Assume.assumeTrue("not here", false); }\n'
        "  @Test @org.junit.Ignore public void sleeps() {}\n"
        "}\n"
    )
    (tmp_path / "EndedTest.java").write_text(
        "import org.junit.Test;\npublic class EndedTest { @Test public void ends() { Runtime.getRuntime().halt(3); } }\n"
    )
    (tmp_path / "WaitingTest.java").write_text(
        "import org.junit.Test;\n"
        "public class WaitingTest { @Test public void waits() throws Exception { new java.util.concurrent.Semaphore(0).acquire(); } }\n"
    )
    (tmp_path / "NoTest.java").write_text("public class NoTest {}\n")
    virtual = virtual_machine("x86_64")
    classes = tmp_path / "classes"
    machines.compile_tests(machines.debian(), virtual.classes[1], sorted(tmp_path.glob("*.java")), classes)
    spoilt = dataclasses.replace(virtual, classes=[classes, *virtual.classes])
    found = spoilt.test(["BadTest", "NoTest", "EndedTest"], material)
    problems = found.problems("BadTest")
    assert found.status == 3 and len(problems) == 3
    assert any(line.startswith("BadTest.fails: java.lang.AssertionError: two\nlines expected:<1> but was:<2>") for line in problems)
    assert any(line.startswith("BadTest.assumes: ") and "not here" in line for line in problems)
    assert "BadTest.sleeps: is ignored" in problems
    assert found.problems("EndedTest") == ["EndedTest.ends: the virtual machine ended in it"]
    assert "No runnable methods" in found.problems("NoTest")[0]
    assert "no test ran" in found.problems("MissingTest")[0]
    waiting = dataclasses.replace(spoilt, properties={"chord.test.limit": "1"}).test(["WaitingTest"], material)
    (problem,) = waiting.problems("WaitingTest")
    assert problem.startswith("WaitingTest.waits: does not end") and "Semaphore.acquire" in problem
