"""Sphinx extension: write the pages of the reference from the catalogue before Sphinx reads them."""

from __future__ import annotations

import inspect
import re
import shutil
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path

import migration
import numpy as np
import plots
from catalogue import ROOT, Page, activation_pages, aliases, class_name, forgotten, loss_pages, support_pages
from sphinx.application import Sphinx
from sphinx.util import logging

import actloss_rs as al

FOLDER = Path(__file__).parent / "reference"
log = logging.getLogger(__name__)


def errors() -> dict[str, dict[str, str]]:
    """The rows of the table of `accuracy.md`, by function."""
    lines = (ROOT / "docs" / "accuracy.md").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return {row[0]: dict(zip(rows[0], row, strict=True)) for row in rows[2:]}


def accuracy(name: str, measured: dict[str, dict[str, str]]) -> list[str]:
    """The largest errors of a function, as measured."""
    said = []
    for row, what in ((name, ""), (f"{name} (derivative)", "derivative: ")):
        if row in measured:
            single, double = (measured[row][f"{dtype} max ULP"] for dtype in ("float32", "float64"))
            said.append(f"{what}{single} ULP in float32, {double} in float64")
    return [f":doc:`Largest errors measured </accuracy>`: {'; '.join(said)}.", ""] if said else []


def heading(text: str, line: str = "-") -> list[str]:
    return [text, line * len(text), ""]


def image(file: str, name: str) -> list[str]:
    return [f".. image:: plots/{file}", f"   :alt: {name} and its derivative", "   :class: plot", ""]


def bare_signature(function: Callable[..., object]) -> str:
    """The parameters of a function and their defaults, without types and the keywords of a ufunc."""
    signature = inspect.signature(function)
    parameters = [
        parameter.replace(annotation=parameter.empty)
        for parameter in signature.parameters.values()
        if parameter.kind is not parameter.VAR_KEYWORD
    ]
    return str(inspect.Signature(parameters))


def activation(name: str, measured: dict[str, dict[str, str]]) -> list[str]:
    """The section of an activation."""
    lines = [*heading(name), f".. autofunction:: actloss_rs.{name}", ""]
    if others := aliases(al.activations, name):
        lines += [f"Also called {', '.join(f'``{other}``' for other in others)}.", ""]
    if name in al.backward.__all__:
        gradient = getattr(al.backward, name)
        signature = "(dy, x)" if isinstance(gradient, np.ufunc) else bare_signature(gradient)
        lines += [f"Derivative: ``actloss_rs.backward.{name}{signature}``.", ""]
    lines += accuracy(name, measured)
    if plots.activation(name, FOLDER / "plots" / f"{name}.svg"):
        lines += image(f"{name}.svg", name)
    return lines


def loss(name: str) -> list[str]:
    """The section of a loss: its class, its function, its plot."""
    lines = heading(name)
    if plots.loss(name, FOLDER / "plots" / f"{name}.svg"):
        lines += image(f"{name}.svg", name)
    if class_name(name):
        lines += [f".. autoclass:: actloss_rs.losses.{class_name(name)}", "   :no-members:", ""]
    return [*lines, f".. autofunction:: actloss_rs.{name}", ""]


def support(name: str) -> list[str]:
    """The section of anything else."""
    if name.startswith("losses."):
        module = [".. automodule:: actloss_rs.losses", "   :no-members:", ""] if name == "losses.Loss" else []
        return [*module, f".. autoclass:: actloss_rs.{name}()", "   :members:", ""]
    value = attrgetter(name)(al) if name != "dask.evaluate" else None
    if inspect.isclass(value):
        return [f".. autoclass:: actloss_rs.{name}", "   :members:", ""]
    if name in al.backward.__all__:
        derivative = f"Derivative: ``actloss_rs.backward.{name}``."
        return [f".. autofunction:: actloss_rs.{name}", "", derivative, ""]
    return [f".. autofunction:: actloss_rs.{name}", ""]


def peers(groups: dict[str, list[Page]]) -> list[str]:
    """Every function against every peer: what it is called there, as the tables of `migrating.md` say."""
    table, names = migration.by_function(), list(migration.sections())
    lines = [
        ":html_theme.sidebar_secondary.remove: true",
        "",
        *heading("Every function and its peers", "="),
        "What each function is called elsewhere. The same name need not have the same defaults:",
        ":doc:`/migrating` has the calls that give the same numbers, and says why an entry is missing here.",
        "",
    ]
    for group, pages in groups.items():
        lines += [*heading(group), ".. list-table::", "   :header-rows: 1", ""]
        lines += [f"   {'* -' if i == 0 else '  -'} {cell}" for i, cell in enumerate(["", *names])]
        for name in (name for page in pages for name in page.names):
            called = [list(dict.fromkeys(line.called for line in table[name][peer])) for peer in names]
            lines += [f"   * - :obj:`{name} <actloss_rs.{name}>`"]
            lines += [f"     - {', '.join(f'``{c}``' for c in cell) or '—'}" for cell in called]
        lines += [""]
    return lines


def write_pages(app: Sphinx) -> None:
    """All pages of the reference, and the list of them."""
    if missing := forgotten():
        log.warning("public names on no page: %s", ", ".join(sorted(missing)))
    shutil.rmtree(FOLDER, ignore_errors=True)
    (FOLDER / "plots").mkdir(parents=True)
    measured = errors()
    groups: dict[str, list[Page]] = {
        "Activations": activation_pages(),
        "Losses": loss_pages(),
        "More": support_pages(),
    }
    sections = {
        "Activations": lambda name: activation(name, measured),
        "Losses": loss,
        "More": support,
    }
    text = peers({group: groups[group] for group in ("Activations", "Losses")})
    (FOLDER / "peers.rst").write_text("\n".join(text), encoding="utf-8")
    index = [*heading("Reference", "=")]
    for group, pages in groups.items():
        index += [*heading(group), ".. list-table::", "   :widths: 35 65", ""]
        for page in pages:
            head = [*heading(page.title, "=")]
            if page.head.rstrip(".") != page.title:
                head += [page.head, ""]
            body = [line for name in page.names for line in sections[group](name)]
            (FOLDER / f"{page.file}.rst").write_text("\n".join([*head, *body]), encoding="utf-8")
            links = ", ".join(f":obj:`{name} <actloss_rs.{name}>`" for name in page.names)
            index += [f"   * - :doc:`{page.file}`", f"     - {links}"]
        index += ["", ".. toctree::", f"   :caption: {group}", "   :hidden:", ""]
        index += [f"   {page.file}" for page in pages] + ["   peers"] * (group == "More") + [""]
    (FOLDER / "index.rst").write_text("\n".join(index), encoding="utf-8")


def keep_initials(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """An author's initial at the start of a line is no item of a numbered list."""
    lines[:] = [re.sub(r"^(\s*)([A-Z])\. ", r"\1\\\2. ", line) for line in lines]


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("builder-inited", write_pages)
    app.connect("autodoc-process-docstring", keep_initials, priority=100)
    return {"parallel_read_safe": True}
