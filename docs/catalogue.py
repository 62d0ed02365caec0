"""What the reference pages hold, found in the definitions, so that the two cannot drift apart.

A family of activations is a file of `src/activation/`, one of losses a module; its first sentence is the
title of its page, and the functions that it defines are on it. Functions along an axis have a page of their
own. A public name that has no place is an error.
"""

from __future__ import annotations

import inspect
import re
import sys
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from types import ModuleType

import actloss_rs as al

ROOT = Path(__file__).parent.parent

SUPPORT = {
    "Losses as objects": ["losses.Loss", "losses.LossMetric"],
    "Decisions and evaluation": ["predict_binary", "evaluate", "dask.evaluate"],
    "Threads and instruction sets": ["get_num_threads", "set_num_threads", "num_threads", "simd_level"],
}
"""Pages of what is neither an activation nor a loss."""


@dataclass
class Page:
    """A page of the reference: its file, its title, what is said at its head, and the names on it."""

    file: str
    title: str
    head: str
    names: list[str] = field(default_factory=list)


def public(module: ModuleType) -> list[str]:
    """The names that a module exports, one of each function: aliases are told by `aliases`."""
    names: dict[int, str] = {}
    for name in module.__all__:
        value = getattr(module, name)
        if id(value) not in names or value.__name__ == name:
            names[id(value)] = name
    return sorted(names.values())


def aliases(module: ModuleType, name: str) -> list[str]:
    """The other names of a function."""
    function = getattr(module, name, None)
    return [other for other in module.__all__ if other != name and getattr(module, other) is function]


def head(source: str) -> tuple[str, str]:
    """The title and the text at the head of a page: a module's first sentence, up to a colon and whole."""
    comment = (line.removeprefix("//!").strip() for line in source.splitlines())
    paragraph = " ".join(takewhile(bool, comment))
    title = re.split(r"[:.](?: |$)", paragraph)[0].replace("`", "")
    return title, re.sub(r"`([^`]+)`", r"``\1``", paragraph)


def activation_pages() -> list[Page]:
    """The activations: elementwise ones by family, then those along an axis."""
    names, pages = public(al.activations), []
    for path in sorted((ROOT / "src" / "activation").rglob("*.rs")):
        source = path.read_text(encoding="utf-8")
        defined = re.findall(r'const NAME: &\'static str = "(\w+)"', source)
        if here := [name for name in defined if name in names]:
            pages.append(Page(f"activation-{path.stem}", *head(source), here))
    elementwise = {name for page in pages for name in page.names}
    rest = [name for name in names if name not in elementwise]
    return [*pages, Page("along-an-axis", "Along an axis", "Functions of the values along an axis.", rest)]


def losses() -> list[str]:
    """The public functions of labels and predictions."""
    elsewhere = {name for names in SUPPORT.values() for name in names}
    names = [name for name in al.__all__ if name not in elsewhere]
    functions = [name for name in names if inspect.isfunction(getattr(al, name))]
    return [name for name in functions if "y_true" in inspect.signature(getattr(al, name)).parameters]


def loss_pages() -> list[Page]:
    """The losses by family, which is the module that they are in."""
    pages: dict[str, Page] = {}
    for name in losses():
        module = sys.modules[getattr(al, name).__module__]
        page = pages.setdefault(module.__name__, described(module, []))
        page.file = f"loss-{module.__name__.rpartition('.')[2]}"
        page.names.append(name)
    return list(pages.values())


def described(module: ModuleType, names: list[str]) -> Page:
    """A page of names of a module, with the first sentence of its docstring."""
    stem = module.__name__.rpartition(".")[2]
    sentence = (module.__doc__ or "").partition("\n\n")[0].replace("\n", " ")
    return Page(stem, re.split(r"[:.](?: |$)", sentence)[0], sentence, names)


def other_pages() -> list[Page]:
    """Public functions that are neither activations nor losses, and public modules, a page each."""
    elsewhere = {"__version__", *al.activations.__all__, *losses()}
    elsewhere |= {name for names in SUPPORT.values() for name in names}
    left = [name for name in al.__all__ if name not in elsewhere]
    modules = [getattr(al, name) for name in left if inspect.ismodule(getattr(al, name))]
    submodules = [module for module in vars(al).values() if inspect.ismodule(module)]
    pages: dict[str, Page] = {}
    for name in (name for name in left if not inspect.ismodule(getattr(al, name))):
        homes = [module for module in submodules if name in getattr(module, "__all__", ())]
        for home in [module for module in homes if module is not al.backward][:1]:
            page = pages.setdefault(home.__name__, described(home, []))
            page.names.append(name)
    for module in modules:
        if module not in (al.activations, al.backward, al.losses) and module.__name__ not in pages:
            names = [f"{module.__name__.removeprefix('actloss_rs.')}.{name}" for name in module.__all__]
            pages[module.__name__] = described(module, names)
    return list(pages.values())


def support_pages() -> list[Page]:
    """The rest of the package."""
    fixed = [Page(re.sub(r"\W+", "-", title.lower()), title, "", names) for title, names in SUPPORT.items()]
    return [*other_pages(), *fixed]


def class_name(function: str) -> str:
    """The class of a loss function, or nothing if it has none."""
    return next(
        (
            name
            for name in al.losses.__all__
            if name != function and name.lower() == function.replace("_", "")
        ),
        "",
    )


def forgotten() -> set[str]:
    """Public names that are on no page."""
    pages = [*activation_pages(), *loss_pages(), *support_pages()]
    shown = {name for page in pages for name in page.names}
    shown |= {alias for name in shown for alias in aliases(al.activations, name)}
    modules = {name for name in al.__all__ if isinstance(getattr(al, name), ModuleType)}
    classes = {f"losses.{class_name(name)}" for name in losses()}
    missing = set(al.__all__) - shown - modules - {"__version__"}
    exported = {f"losses.{name}" for name in al.losses.__all__ if inspect.isclass(getattr(al.losses, name))}
    return missing | (exported - shown - classes)
