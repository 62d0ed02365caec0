"""The commands of ``actloss``: results to standard output, progress and errors to standard error."""

import json
import math
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from inspect import signature
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import actloss_rs as al
from actloss_rs.evaluation.engine import evaluate, make_loss
from actloss_rs.evaluation.metrics import METRICS
from actloss_rs.evaluation.report import write_report
from actloss_rs.evaluation.sample import SAMPLES, open_sample
from actloss_rs.evaluation.task import loss_classes

ABOVE_LIMIT, WRONG_INPUT, INTERRUPTED = 1, 2, 130
"""Exit codes."""

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


class OnBadRow(Enum):
    """Choices of --on-bad-row."""

    RAISE = "raise"
    SKIP = "skip"


def version(wanted: bool) -> None:
    if wanted:
        print(al.__version__)
        raise typer.Exit


@app.callback()
def actloss(
    _version: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Losses over files, exact to the last bit."""


@app.command("evaluate")
def evaluate_command(
    y_true: Annotated[
        str | None,
        typer.Argument(metavar="Y_TRUE", help="The truth: PATH, a quoted glob of shards, or PATH::NAME."),
    ] = None,
    y_pred: Annotated[str | None, typer.Argument(metavar="Y_PRED", help="The predictions, likewise.")] = None,
    loss: Annotated[str | None, typer.Option(help="The loss, by the name of its function.")] = None,
    from_logits: Annotated[
        bool, typer.Option("--from-logits", help="Y_PRED holds logits, not probabilities.")
    ] = False,
    option: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="An option of the loss. May be repeated.")
    ] = None,
    sample_weight: Annotated[str | None, typer.Option(metavar="PATH", help="Weights of the samples.")] = None,
    metrics: Annotated[
        str, typer.Option(metavar="A,B,...", help=f"Figures beyond the usual ones: {METRICS}.")
    ] = "",
    sample: Annotated[
        str | None, typer.Option(help=f"Evaluate data that come with the package: {', '.join(SAMPLES)}.")
    ] = None,
    on_bad_row: Annotated[
        OnBadRow, typer.Option(help="Stop at a row that cannot be counted, or skip it.")
    ] = OnBadRow.RAISE,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Keep the state in this file, and go on from it.")
    ] = None,
    fail_above: Annotated[
        list[str] | None,
        typer.Option(metavar="FIGURE=LIMIT", help="Exit with 1 if a figure is above, or NaN."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write the result as a page.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """The loss of predictions against the truth, with accuracy and its kin, in constant memory.

    Exit codes: 0, 1 above a limit of --fail-above, 2 wrong input, 130 interrupted.
    """
    done: list[int | None] = [0, None]
    try:
        with shown_warnings():
            limits = dict(limit(text) for text in fail_above or [])
            options = dict(option_of_loss(text) for text in option or [])
            options |= {"from_logits": True} if from_logits else {}
            made, inputs = loss_and_inputs(y_true, y_pred, loss, options, sample)
            with progress_bar(done) as progress:
                result = evaluate(
                    *inputs,
                    loss=made,
                    metrics=[name.strip() for name in metrics.split(",") if name.strip()],
                    sample_weight=sample_weight,
                    on_bad_row=on_bad_row.value,
                    checkpoint=checkpoint,
                    progress=progress,
                )
            print(json.dumps(strict(result), indent=2) if as_json else "\n".join(lines(result)))
            if report is not None:
                write_report(report, result)
            too_high = list(above(result, limits))
    except KeyboardInterrupt:
        of = "" if done[1] is None else f" of {done[1]}"
        kept = f"; {checkpoint} keeps what was counted" if checkpoint else ""
        print(f"actloss: interrupted after {done[0]}{of} rows{kept}", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    except (ValueError, TypeError, OSError) as error:
        print(f"actloss: {error}", file=sys.stderr)
        raise typer.Exit(WRONG_INPUT) from None
    for line in too_high:
        print(f"actloss: {line}", file=sys.stderr)
    if too_high:
        raise typer.Exit(ABOVE_LIMIT)


def loss_and_inputs(
    y_true: str | None, y_pred: str | None, loss: str | None, options: dict[str, Any], sample: str | None
) -> tuple[Any, tuple[Any, Any]]:
    """The loss, with y_true and y_pred."""
    if sample is not None:
        if sample not in SAMPLES or y_true is not None:
            raise ValueError(f"--sample stands without paths and is one of: {', '.join(SAMPLES)}")
        made = make_loss(loss or SAMPLES[sample], options if loss else {"from_logits": True} | options)
        return made, open_sample(sample, made)
    if y_true is None or y_pred is None:
        raise ValueError("Y_TRUE and Y_PRED are needed, or --sample digits")
    if loss is None:
        raise ValueError(f"--loss is needed, one of: {', '.join(sorted(loss_classes()))}")
    return make_loss(loss, options), (y_true, y_pred)


def above(result: dict[str, Any], limits: dict[str, float]) -> Iterator[str]:
    """What to say of each figure above its limit, or NaN."""
    for name, bound in limits.items():
        if not isinstance(result.get(name), (int, float)):
            raise ValueError(f"--fail-above: the result has no figure {name!r}")
        if not result[name] <= bound:
            yield f"{name} is {result[name]!r}, above {bound!r}"


def split(text: str, what: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ValueError(f"{what} {text!r} is not NAME=VALUE")
    return name, value


def limit(text: str) -> tuple[str, float]:
    """A figure and its limit."""
    name, value = split(text, "--fail-above")
    try:
        return name, float(value)
    except ValueError:
        raise ValueError(f"--fail-above {text!r}: {value!r} is not a number") from None


def option_of_loss(text: str) -> tuple[str, Any]:
    """An option of a loss; the value is JSON, or else a word."""
    name, value = split(text, "--option")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


@contextmanager
def shown_warnings() -> Iterator[None]:
    """Warnings as lines for people, without a source line."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        print(f"actloss: warning: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


@contextmanager
def progress_bar(done: list[int | None]) -> Iterator[Callable[[int, int | None], None]]:
    """A callback that notes how far it is, and shows it when standard error is a terminal."""
    console = Console(stderr=True)
    columns = (
        TextColumn("evaluating"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("rows"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)

        def show(rows: int, total: int | None) -> None:
            done[:] = rows, total
            bar.update(task, completed=rows, total=total)

        yield show


def strict(value: Any) -> Any:
    """The value with what JSON has no number for as strings: "NaN", "Infinity", "-Infinity"."""
    if isinstance(value, dict):
        return {key: strict(each) for key, each in value.items()}
    if isinstance(value, list):
        return [strict(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def lines(result: dict[str, Any]) -> Iterator[str]:
    """The result for people; numbers in full, since every digit counts."""
    defaults = signature(loss_classes()[result["loss_name"]]).parameters
    chosen = {key: value for key, value in result["loss_options"].items() if value != defaults[key].default}
    made = ", ".join(f"{key}={value!r}" for key, value in chosen.items())
    yield f"{'loss':<16} {result['loss']!r}   {result['loss_name']}({made})"
    hidden = {"schema", "loss", "loss_name", "loss_options", "seconds", "rows_per_second"}
    hidden |= {"samples"} if result["samples"] == result["rows"] else set()
    hidden |= {"skipped_rows"} if not result["skipped_rows"] else set()
    tables = []
    for key, value in result.items():
        label = re.sub(r"top (\d+)", r"top-\1", key.replace("_", " "))
        if isinstance(value, list):
            tables.append((label, value))
        elif key not in hidden:
            yield f"{label:<16} {value!r}"
    yield f"{'rows/s':<16} {result['rows_per_second']:,.0f}"
    for label, rows in tables:
        yield f"\n{label}"
        yield from table(rows)


def table(rows: list[Any]) -> Iterator[str]:
    """Rows as columns set flush right, under their names where they have names."""
    if rows and isinstance(rows[0], dict):
        rows = [list(rows[0]), *(list(row.values()) for row in rows)]
    cells = [["-" if cell is None else str(cell).replace("_", " ") for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        yield "  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
