"""A result as text for people and as JSON for machines."""

import math
import re
from collections.abc import Iterator
from inspect import signature
from typing import Any

from actloss_rs.evaluation.task import loss_classes


def strict(value: Any) -> Any:
    """The value with what JSON has no number for as strings: "NaN", "Infinity", "-Infinity"."""
    if isinstance(value, dict):
        return {key: strict(each) for key, each in value.items()}
    if isinstance(value, list):
        return [strict(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def lines(result: dict[str, Any], tables: bool = True) -> Iterator[str]:
    """The result for people; numbers in full, since every digit counts. Slices are said in any case."""
    defaults = signature(loss_classes()[result["loss_name"]]).parameters
    chosen = {key: value for key, value in result["loss_options"].items() if value != defaults[key].default}
    made = ", ".join(f"{key}={value!r}" for key, value in chosen.items())
    yield f"{'loss':<16} {result['loss']!r}   {result['loss_name']}({made})"
    hidden = {"schema", "loss", "loss_name", "loss_options"}
    hidden |= {"seconds", "rows_per_second", "bytes_per_second"}
    hidden |= {"samples"} if result["samples"] == result["rows"] else set()
    hidden |= {"skipped_rows"} if not result["skipped_rows"] else set()
    found = []
    for key, value in result.items():
        label = re.sub(r"top (\d+)", r"top-\1", key.replace("_", " "))
        if isinstance(value, list):
            found += [(label, value)] if tables or key == "slices" else []
        elif key not in hidden:
            yield f"{label:<16} {value!r}"
    yield f"{'rows/s':<16} {result['rows_per_second']:,.0f}"
    for label, rows in found:
        yield f"\n{label}"
        yield from table(rows)


def table(rows: list[Any]) -> Iterator[str]:
    """Rows as columns set flush right, under their names where they have names."""
    if rows and isinstance(rows[0], dict):
        names = list(dict.fromkeys(name for row in rows for name in row))
        heading = [name.replace("_", " ") for name in names]
        rows = [heading, *([row.get(name) for name in names] for row in rows)]
    cells = [["-" if cell is None else str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        yield "  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
