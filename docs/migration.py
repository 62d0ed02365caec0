"""The tables of `migrating.md`: for the tests, which run them, and for the page that turns them round."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

TEXT = (Path(__file__).parent / "migrating.md").read_text(encoding="utf-8")


class Line(NamedTuple):
    """A line of a table."""

    peer: str
    theirs: str
    ours: str
    differs: str

    @property
    def functions(self) -> list[str]:
        """Our functions in it."""
        return re.findall(r"\bal\.(\w+)", self.ours)

    @property
    def called(self) -> str:
        """The name of their function, or the expression where it takes more than a call of one."""
        call = re.fullmatch(r"([A-Za-z][\w.]*)\(.*\)", self.theirs)
        return call[1] if call else self.theirs


def sections() -> dict[str, str]:
    """The text about each peer."""
    parts = re.split(r"^## From (.*)\n", TEXT, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def lines() -> list[Line]:
    """Every line of every table."""
    row = re.compile(r"^\| `(.+)` \| `(.+)` \| (.*?) ?\|$", re.M)
    return [Line(peer, *found) for peer, text in sections().items() for found in row.findall(text)]


def absent() -> dict[str, str]:
    """For each peer what the text says is not there."""
    return {peer: text.partition("\nNot there")[2] for peer, text in sections().items()}


def nowhere() -> set[str]:
    """What the text says is in no other library."""
    return set(re.findall(r"`(\w+)`", TEXT.partition("\nIn none of them")[2].partition("\n\n")[0]))


def by_function() -> dict[str, dict[str, list[Line]]]:
    """The lines of each of our functions by peer."""
    table: dict[str, dict[str, list[Line]]] = defaultdict(lambda: defaultdict(list))
    for line in lines():
        for function in dict.fromkeys(line.functions):
            table[function][line.peer].append(line)
    return table
