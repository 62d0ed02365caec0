"""What the pages show is what happens: their Python sessions, and the output of the README's command."""

from __future__ import annotations

import doctest
import inspect
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

import actloss_rs as al
import actloss_rs.evaluation.engine
from actloss_rs.evaluation.commands import app

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def session(page):
    """The Python of a page, from its first block to its last."""
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    return "\n".join(block for block in blocks if ">>>" in block)


def run_doctest(test):
    report = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    runner.run(test, out=report.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)


@pytest.mark.parametrize("page", [page for page in PAGES if session(page)], ids=lambda page: page.name)
def test_sessions(page):
    run_doctest(doctest.DocTestParser().get_doctest(session(page), {}, page.name, str(page), 0))


def test_there_are_sessions():
    assert session(ROOT / "README.md").count(">>>") > 10


def documented():
    """Every public object with examples in its docstring, by name: functions, classes and their methods."""
    objects = {name: getattr(al, name) for name in al.__all__}
    objects |= {f"backward.{name}": getattr(al.backward, name) for name in al.backward.__all__}
    for name in al.losses.__all__:
        objects[f"losses.{name}"] = value = getattr(al.losses, name)
        if inspect.isclass(value):
            objects |= {f"losses.{name}.{method}": getattr(value, method) for method in vars(value)}
    objects |= {module.__name__: module for module in (actloss_rs.evaluation.engine, al.losses, al.backward)}
    return {name: value for name, value in objects.items() if ">>>" in (value.__doc__ or "")}


@pytest.mark.parametrize("name", documented())
def test_docstrings(name):
    value = documented()[name]
    names = {**vars(al.losses), **vars(al), "al": al}
    run_doctest(doctest.DocTestParser().get_doctest(value.__doc__, names, name, None, 0))


def test_losses_have_examples():
    with_examples = {name.removeprefix("losses.") for name in documented()}
    assert set(al.losses.__all__) - {"Loss", "LossMetric"} <= with_examples


def test_the_output_of_the_command():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = re.search(r"^\$ actloss (evaluate --sample digits)\n(.*?)^```", text, re.M | re.S)
    assert shown is not None
    result = CliRunner().invoke(app, shown[1].split())
    speed = re.compile(r"^(rows/s +).*$", re.M)
    assert speed.sub(r"\1", result.stdout) == speed.sub(r"\1", shown[2])
