"""The result of an evaluation as one HTML page that needs nothing else."""

from html import escape
from pathlib import Path
from typing import Any

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
table { border-collapse: collapse; margin-bottom: 2rem }
td, th { border: 1px solid #ccc; padding: .2rem .6rem; text-align: right; font-variant-numeric: tabular-nums }
th { background: #f3f3f3; font-weight: 600 }
"""


def write_report(path: Path, result: dict[str, Any]) -> None:
    """Write the page."""
    figures = {key: value for key, value in result.items() if not isinstance(value, (list, dict))}
    parts = [
        f"<h1>{escape(result['loss_name'])}: {result['loss']!r}</h1>",
        table([list(figures), list(figures.values())], transposed=True),
        "<h2>Options of the loss</h2>",
        table([list(result["loss_options"]), list(result["loss_options"].values())], transposed=True),
    ]
    for key, value in result.items():
        if not isinstance(value, list) or not value:
            continue
        parts.append(f"<h2>{escape(key.replace('_', ' '))}</h2>")
        if key == "reliability":
            parts.append(reliability(value))
        rows = (
            [list(value[0]), *(list(row.values()) for row in value)] if isinstance(value[0], dict) else value
        )
        parts.append(table(rows, heading=isinstance(value[0], dict)))
    body = "\n".join(parts)
    path.write_text(
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>actloss evaluate</title>\n'
        f"<style>{STYLE}</style>\n{body}\n</html>\n",
        encoding="utf-8",
    )


def table(rows: list[Any], heading: bool = False, transposed: bool = False) -> str:
    """A table of the rows; the first row, or when transposed the first column, as headings."""
    if transposed:
        rows = [list(row) for row in zip(*rows, strict=True)]
    lines = []
    for number, row in enumerate(rows):
        cells = []
        for place, cell in enumerate(row):
            tag = "th" if (heading and number == 0) or (transposed and place == 0) else "td"
            cells.append(f"<{tag}>{escape(str(cell))}</{tag}>")
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def reliability(bins: list[dict[str, Any]]) -> str:
    """Accuracy against confidence: a dot per bin, on the diagonal where the two agree."""
    most = max(row["count"] for row in bins) or 1
    dots = "".join(
        f'<circle cx="{300 * row["confidence"]:.1f}" cy="{300 - 300 * row["accuracy"]:.1f}" '
        f'r="{3 + 9 * (row["count"] / most) ** 0.5:.1f}" fill="#2563eb" fill-opacity=".6"/>'
        for row in bins
        if row["count"] and row["confidence"] == row["confidence"]
    )
    return (
        '<svg viewBox="-20 -20 340 340" width="340" role="img" aria-label="accuracy against confidence">'
        '<rect width="300" height="300" fill="none" stroke="#999"/>'
        f'<line x1="0" y1="300" x2="300" y2="0" stroke="#999"/>{dots}</svg>'
    )
