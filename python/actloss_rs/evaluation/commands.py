"""The commands of ``actloss``: results to standard output, progress and errors to standard error."""

import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from importlib.resources import files
from inspect import signature
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

import actloss_rs as al
from actloss_rs.evaluation.checkpoint import SECONDS
from actloss_rs.evaluation.engine import evaluate, groupings, make_loss
from actloss_rs.evaluation.metrics import METRICS
from actloss_rs.evaluation.output import lines, strict
from actloss_rs.evaluation.report import write_report
from actloss_rs.evaluation.sample import SAMPLES, open_sample
from actloss_rs.evaluation.task import KINDS, loss_classes

ABOVE_LIMIT, WRONG_INPUT, INTERRUPTED = 1, 2, 130
"""Exit codes."""

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich")


class OnBadRow(Enum):
    """Choices of --on-bad-row."""

    RAISE = "raise"
    SKIP = "skip"


def version(wanted: bool) -> None:
    if wanted:
        print(al.__version__)
        raise typer.Exit


def losses_that_begin(text: str) -> list[str]:
    """For the shell's completion of --loss."""
    return [name for name in sorted(loss_classes()) if name.startswith(text)]


def metrics_that_begin(text: str) -> list[str]:
    """For the completion of --metrics: of the last name in the list."""
    before, comma, last = text.rpartition(",")
    names = METRICS.replace("_K_", "_5_").replace("_N", "_10").split(", ")
    return [f"{before}{comma}{name}" for name in names if name.startswith(last)]


@app.callback(
    help="Losses over files of any size, exact to the last bit.\n\n"
    "[bold]Try it[/bold] on data that come along:\n\n"
    "\b\n    actloss evaluate --sample digits\n\n"
    "[bold]Your own[/bold]: class ids in one file, a row of logits for each in another:\n\n"
    "\b\n    actloss evaluate labels.npy logits.npy --loss sparse_categorical_crossentropy --from-logits\n\n"
    "[bold]A page to send[/bold], a run that may be killed and started again, a limit for continuous "
    "integration:\n\n"
    "\b\n    ... --report report.html\n    ... --checkpoint state\n    ... --fail-above loss=0.35\n\n"
    "[bold]Columns and shards[/bold]: a table's columns, figures by country, files one after another:\n\n"
    "\b\n    actloss evaluate t.parquet::label 't.parquet::p_*' --group-by t.parquet::country --loss ...\n"
    "    actloss evaluate 'labels-*.npy' 'logits-*.npy' --loss ...\n\n"
    "`actloss losses` lists the losses, `actloss evaluate --help` the options; both are completed after "
    "`actloss --install-completion`.",
)
def actloss(
    _version: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Print the version.")
    ] = False,
) -> None: ...


@app.command("losses")
def losses_command() -> None:
    """List the losses: what Y_TRUE holds, and the options with their defaults."""
    for name, cls in sorted(loss_classes().items()):
        options = ", ".join(str(parameter) for parameter in signature(cls).parameters.values())
        print(f"{name}\n    y_true: {KINDS.get(name, 'values')}\n    {options.replace('*, ', '')}")


@app.command("schema")
def schema_command() -> None:
    """Print the JSON schema of what --json prints."""
    print((files("actloss_rs.evaluation") / "schema.json").read_text(encoding="utf-8"), end="")


LOSS, FIGURES, RUN, OUTPUT = "The loss", "Figures", "Long runs and bad data", "Output"


@app.command("evaluate")
def evaluate_command(
    y_true: Annotated[
        str | None,
        typer.Argument(
            metavar="Y_TRUE",
            help="The truth: PATH, or PATH::NAME in a file of several, or a quoted glob of shards.",
        ),
    ] = None,
    y_pred: Annotated[
        str | None,
        typer.Argument(
            metavar="Y_PRED",
            help="The predictions, likewise. 'PATH::p_*' or PATH::a,b,c: a column per class.",
        ),
    ] = None,
    loss: Annotated[
        str | None,
        typer.Option(
            help="The loss, by the name of its function: see actloss losses.",
            rich_help_panel=LOSS,
            autocompletion=losses_that_begin,
        ),
    ] = None,
    from_logits: Annotated[
        bool,
        typer.Option("--from-logits", help="Y_PRED holds logits, not probabilities.", rich_help_panel=LOSS),
    ] = False,
    option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="An option of the loss. May be repeated.", rich_help_panel=LOSS
        ),
    ] = None,
    sample_weight: Annotated[
        str | None, typer.Option(metavar="PATH", help="Weights of the samples.", rich_help_panel=LOSS)
    ] = None,
    metrics: Annotated[
        str,
        typer.Option(
            metavar="A,B,...",
            help=f"Figures beyond the usual ones: {METRICS}; and other losses.",
            rich_help_panel=FIGURES,
            autocompletion=metrics_that_begin,
        ),
    ] = "",
    group_by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH",
            help="Also the figures of each group of rows alone: model version, country. May be repeated.",
            rich_help_panel=FIGURES,
        ),
    ] = None,
    sample: Annotated[
        str | None, typer.Option(help=f"Evaluate data that come with the package: {', '.join(SAMPLES)}.")
    ] = None,
    on_bad_row: Annotated[
        OnBadRow,
        typer.Option(
            help="Stop at a row that cannot be counted, or skip, count and list it.", rich_help_panel=RUN
        ),
    ] = OnBadRow.RAISE,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Keep the state in this file, and go on from it if it is there.",
            rich_help_panel=RUN,
        ),
    ] = None,
    checkpoint_seconds: Annotated[
        float, typer.Option(metavar="SECONDS", help="How often.", rich_help_panel=RUN)
    ] = SECONDS,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Let the workers of this Dask scheduler read and count; they must see the same files.",
            rich_help_panel=RUN,
        ),
    ] = None,
    fail_above: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIGURE=LIMIT",
            help="Exit with 1 if a figure is above, or NaN. May be repeated.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html", help="Write a page with charts; takes all metrics.", rich_help_panel=OUTPUT
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON: see actloss schema.", rich_help_panel=OUTPUT)
    ] = False,
) -> None:
    """The loss of predictions against the truth, with accuracy and its kin, in constant memory.

    Reads .npy, .npz, .safetensors, .zarr, .parquet, .arrow and .feather files.

    Exit codes: 0; 1 above a limit of --fail-above; 2 wrong input; 130 interrupted.
    """
    done: list[int | None] = [0, None]
    try:
        with shown_warnings():
            limits = dict(limit(text) for text in fail_above or [])
            options = dict(option_of_loss(text) for text in option or [])
            options |= {"from_logits": True} if from_logits else {}
            made, inputs, data = loss_and_inputs(y_true, y_pred, loss, options, sample)
            names = [name.strip() for name in metrics.split(",") if name.strip()]
            if report is not None:
                check_report(report)
            with progress_bar(done) as progress:
                result = evaluate(
                    *inputs,
                    loss=made,
                    metrics=[*names, "all"] if report is not None and "all" not in names else names,
                    sample_weight=sample_weight,
                    group_by=named_groupings(group_by or []),
                    on_bad_row=on_bad_row.value,
                    checkpoint=checkpoint,
                    checkpoint_seconds=checkpoint_seconds,
                    scheduler=scheduler,
                    progress=progress,
                )
            try:
                if report is not None:
                    write_report(report, result, data, limits)
            finally:  # nothing that took hours is lost because a disk is full
                shown = lines(result, tables=report is None)
                print(json.dumps(strict(result), indent=2) if as_json else "\n".join(shown))
            too_high = list(above(result, limits))
    except KeyboardInterrupt:
        of = "" if done[1] is None else f" of {done[1]}"
        goes_on = (
            f"saved in {checkpoint}; the same command goes on from there"
            if checkpoint
            else "nothing is saved; with --checkpoint FILE the same command would go on"
        )
        print(f"actloss: interrupted after {done[0]}{of} rows; {goes_on}", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    except ModuleNotFoundError as error:
        extra = {"matplotlib": "report", "jinja2": "report", "distributed": "dask", "dask": "dask"}
        name = (error.name or "").partition(".")[0]
        if name not in extra:
            raise
        print(
            f"actloss: this takes the package {name}; "
            f"install it with: pip install 'actloss_rs[{extra[name]}]'",
            file=sys.stderr,
        )
        raise typer.Exit(WRONG_INPUT) from None
    except (ValueError, TypeError, OSError) as error:
        print(f"actloss: {error}", file=sys.stderr)
        raise typer.Exit(WRONG_INPUT) from None
    for line in too_high:
        print(f"actloss: {line}", file=sys.stderr)
    if too_high:
        raise typer.Exit(ABOVE_LIMIT)


def check_report(path: Path) -> None:
    """What would be a pity to learn after hours: whether the report can be made and written."""
    import jinja2  # noqa: F401

    from actloss_rs.evaluation import charts  # noqa: F401

    if not path.absolute().parent.is_dir():
        raise ValueError(f"--report: no such folder: {path.absolute().parent}")


def loss_and_inputs(
    y_true: str | None, y_pred: str | None, loss: str | None, options: dict[str, Any], sample: str | None
) -> tuple[Any, tuple[Any, Any], dict[str, str]]:
    """The loss, y_true and y_pred, and what they are called in a report."""
    if sample is not None:
        if sample not in SAMPLES or y_true is not None:
            raise ValueError(f"--sample stands without paths and is one of: {', '.join(SAMPLES)}")
        made = make_loss(loss or SAMPLES[sample], options if loss else {"from_logits": True} | options)
        return made, open_sample(sample, made), {"sample": sample}
    if y_true is None or y_pred is None:
        raise ValueError("Y_TRUE and Y_PRED are needed, or --sample digits")
    if loss is None:
        raise ValueError(f"--loss is needed, one of: {', '.join(sorted(loss_classes()))}")
    return make_loss(loss, options), (y_true, y_pred), {"y_true": y_true, "y_pred": y_pred}


def named_groupings(paths: list[str]) -> dict[str, str] | None:
    """The paths by the names that slices have in the result."""
    found: dict[str, str] = {}
    for path in paths:
        ((name, _),) = groupings(path).items()
        if name in found:
            raise ValueError(f"--group-by: two groupings are called {name!r}: {found[name]} and {path}")
        found[name] = path
    return found or None


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
def progress_bar(done: list[int | None]) -> Iterator[Callable[[int, int | None, int], None]]:
    """A callback that notes how far it is, and shows it when standard error is a terminal."""
    console = Console(stderr=True)
    columns = (
        TextColumn("evaluating"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} rows" if console.is_terminal else ""),
        TextColumn("{task.fields[speed]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    first: list[float] = []
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=0, speed="")

        def show(rows: int, total: int | None, row_bytes: int) -> None:
            done[:] = rows, total
            if not first:  # what a checkpoint had counted is no speed
                first[:] = time.monotonic(), rows
            seconds = time.monotonic() - first[0]
            speed = (rows - first[1]) / seconds if seconds else 0.0
            text = f"{speed:,.0f} rows/s" + (f", {speed * row_bytes / 1e6:,.0f} MB/s" if row_bytes else "")
            bar.update(task, completed=rows, total=total or rows, speed=text)

        yield show
