"""What the site is made from is whole: every public name has its page, and its place in `migrating.md`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import actloss_rs as al

sys.path.insert(0, str(Path(__file__).parent.parent / "docs"))
import catalogue
import migration

FUNCTIONS = sorted({*catalogue.public(al.activations), *catalogue.losses()})


def test_every_public_name_has_a_page():
    assert not catalogue.forgotten()


def test_every_page_is_in_the_contents():
    docs = Path(catalogue.__file__).parent
    contents = re.findall(r"^(?:.* <)?([\w/-]+)>?$", (docs / "index.md").read_text(encoding="utf-8"), re.M)
    assert {page.stem for page in docs.glob("*.md")} - {"index"} <= set(contents)


def test_families_are_the_files_of_the_definitions():
    pages = {page.file: page for page in (*catalogue.activation_pages(), *catalogue.loss_pages())}
    assert pages["activation-hard"].title == "Straight-line stand-ins for sigmoid, tanh and swish"
    assert pages["activation-hard"].names[:3] == ["hard_sigmoid", "hard_tanh", "hard_swish"]
    assert "softmax" in pages["along-an-axis"].names
    assert "sparse_categorical_crossentropy" in pages["loss-categorical"].names


@pytest.mark.parametrize("peer", migration.sections())
def test_no_function_is_missing_in_migrating(peer):
    """Each function has a line in the table of each peer, or the text below it says that it is not there."""
    text = migration.absent()[peer]
    table = {function for line in migration.lines() if line.peer == peer for function in line.functions}
    if re.search(r"every other function|the other activations and losses|all other losses", text):
        return
    named = {name.rpartition(".")[2] for name in re.findall(r"`([\w.]+)`", text)}
    assert set(FUNCTIONS) <= table | named | migration.nowhere()
