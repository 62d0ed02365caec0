"""What the pages show is what happens: their Python sessions, and the output of the README's command."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

import actloss_rs
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


FAMILIES = [f"actloss_rs.losses.{module.name}" for module in pkgutil.iter_modules(actloss_rs.losses.__path__)]


@pytest.mark.parametrize("module", ["actloss_rs.evaluation.engine", "actloss_rs.threads", *FAMILIES])
def test_docstrings(module):
    tests = [test for test in doctest.DocTestFinder().find(importlib.import_module(module)) if test.examples]
    assert tests
    for test in tests:
        run_doctest(test)


def test_the_output_of_the_command():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = re.search(r"^\$ actloss (evaluate --sample digits)\n(.*?)^```", text, re.M | re.S)
    assert shown is not None
    result = CliRunner().invoke(app, shown[1].split())
    speed = re.compile(r"^(rows/s +).*$", re.M)
    assert speed.sub(r"\1", result.stdout) == speed.sub(r"\1", shown[2])
