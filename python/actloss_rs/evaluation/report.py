"""The result of an evaluation as one HTML page that needs nothing else: a template with charts in it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from actloss_rs.evaluation.task import KINDS

FIGURES = {
    "loss": "mean loss",
    "accuracy": "accuracy",
    "perplexity": "perplexity",
    "brier": "Brier score",
    "ece": "calibration error",
}
"""Headline figures with a name of their own; others are called as in the result."""

LISTED = 20
"""Lines of a table before the rest is left to --json."""


def write_report(
    path: Path | str,
    result: Mapping[str, Any],
    data: Mapping[str, str] | None = None,
    limits: Mapping[str, float] | None = None,
) -> None:
    """Write the page of a result of `evaluate`, which shows what metrics it has; "all" has all.

    Args:
        path: the .html file.
        result: what `evaluate` returned.
        data: what was evaluated, name by name, to be shown.
        limits: upper limits of figures, shown as kept or not.
    """
    from jinja2 import Environment, PackageLoader

    environment = Environment(
        loader=PackageLoader("actloss_rs.evaluation", "templates"), autoescape=True, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(short=short, exact=exact, count=count)
    page = environment.get_template("report.html.j2").render(
        result=result,
        data=data or {},
        cards=list(cards(result, limits or {})),
        options={key: value for key, value in result["loss_options"].items() if value is not None},
        sections=list(sections(result)),
        rows=count(result["rows"]),
    )
    Path(path).write_text(page, encoding="utf-8")


def cards(result: Mapping[str, Any], limits: Mapping[str, float]) -> Iterator[dict[str, Any]]:
    """The headline figures: each with its exact value, and whether it keeps its limit."""
    said = {"samples", "rows", "skipped_rows", "seconds", "rows_per_second", "bytes_per_second"}
    for key, value in result.items():
        if isinstance(value, float) and key not in said:
            name = FIGURES.get(key, key.replace("_", " ").replace("top ", "top-"))
            if key == "loss" and result["loss_options"].get("reduction") != "mean":
                name = "loss"
            bound = limits.get(key)
            yield {"name": name, "value": value, "limit": bound, "kept": bound is None or value <= bound}


def sections(result: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The charts, each with a sentence that says how to read it, and its numbers as a table."""
    from actloss_rs.evaluation import charts

    overall = result["loss"]
    if "reliability" in result:
        yes = KINDS.get(result["loss_name"]) == "decisions"
        yield {
            "title": "Reliability",
            "chart": charts.reliability(result["reliability"], yes),
            "about": "Bars on the dashed line: when the model says 80 %, it is right 80 % of the time. "
            f"The expected calibration error is {short(result['ece'])}.",
            "table": [each for each in result["reliability"] if each["count"]],
        }
    if "loss_histogram" in result:
        odd = sum(each["count"] for each in result["loss_histogram"] if not charts.finite(each["to"]))
        yield {
            "title": "Losses",
            "chart": charts.loss_histogram(result["loss_histogram"]),
            "about": "Samples by the size of their loss, weights applied."
            + (f" {count(odd)} of them are infinite or NaN and not drawn." if odd else ""),
            "table": result["loss_histogram"],
        }
    if "confusion_matrix" in result:
        mistakes = confusions(result["confusion_matrix"])
        yield {
            "title": "Confusion",
            "chart": charts.confusion(result["confusion_matrix"]),
            "about": "Shade: share of the true class, as a square root, so that rare mistakes show. "
            + ("The commonest mistakes are in the table." if mistakes else "There are no mistakes."),
            "table": mistakes,
        }
    if "per_class_loss" in result:
        entries = result["per_class_loss"]
        many = len(entries) > charts.MOST_BARS
        yield {
            "title": "Classes",
            "chart": charts.per_class(entries, overall),
            "about": "Loss of each true class"
            + (f", the {charts.MOST_BARS} largest of {len(entries)}." if many else "."),
            "table": entries,
        }
    for by, entries in grouped(result.get("slices", [])).items():
        yield {
            "title": f"By {by}",
            "chart": charts.slices(by, entries, overall),
            "about": f"Loss of each of {len(entries)} groups alone"
            + (f", the {charts.MOST_BARS} largest." if len(entries) > charts.MOST_BARS else "."),
            "table": [{key: value for key, value in each.items() if key != "by"} for each in entries],
            "open": True,
        }
    if result.get("worst"):
        yield {
            "title": "Worst samples",
            "about": "Of the largest loss, weights applied; rows count from 0.",
            "table": result["worst"],
            "open": True,
        }
    if result.get("bad_rows"):
        yield {
            "title": "Skipped rows",
            "about": f"{count(result['skipped_rows'])} rows could not be counted.",
            "table": result["bad_rows"],
            "open": True,
        }


def grouped(entries: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Slices by the grouping they belong to."""
    found: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        found.setdefault(entry["by"], []).append(dict(entry))
    return found


def confusions(matrix: Sequence[Sequence[int]]) -> list[dict[str, Any]]:
    """The commonest mistakes."""
    wrong = [
        {"true class": true, "predicted": predicted, "count": number, "share": number / sum(row)}
        for true, row in enumerate(matrix)
        for predicted, number in enumerate(row)
        if true != predicted and number
    ]
    return sorted(wrong, key=lambda each: -each["count"])[:LISTED]


def short(value: Any) -> str:
    """A number in four digits, anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return "\N{EN DASH}" if value is None else str(value)
    if isinstance(value, int):
        return count(value)
    if not math.isfinite(value):
        return {math.inf: "\N{INFINITY}", -math.inf: "\N{MINUS SIGN}\N{INFINITY}"}.get(value, "NaN")
    return f"{value:.4g}"


def exact(value: Any) -> str:
    """Every digit."""
    return repr(value) if isinstance(value, float) else str(value)


def count(value: int) -> str:
    """Thousands set apart by narrow spaces."""
    return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
