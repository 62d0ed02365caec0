"""The commands of ``actloss demo``."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

app = typer.Typer(no_args_is_help=True, help="Demonstrations on real data.")


@app.callback()
def demo() -> None:
    """Demonstrations on real data."""


@app.command("failure-modes")
def failure_modes(
    out: Annotated[Path, typer.Option("--out", metavar="FILE.html", help="The page to write.")] = Path(
        "failure-modes.html"
    ),
    seed: Annotated[int, typer.Option(help="Seed of weights, batches, and the split of the data.")] = 0,
    steps: Annotated[int, typer.Option(min=2, help="Steps of each run; failures take their time.")] = 300,
) -> None:
    """See gradients vanish and explode and ReLUs die, what the monitor says, and what helps."""
    from actloss_rs.demo.failure_modes import MODES, run
    from actloss_rs.demo.page import write_page

    results = []
    total = sum(1 + len(mode.cures) for mode in MODES)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("training", total=total + 1)
        for mode in MODES:
            outcomes = []
            for setting in (mode.sick, *mode.cures):
                progress.update(task, description=setting.title)
                outcomes.append(run(setting, seed, steps))
                progress.advance(task)
            results.append((mode, outcomes))
        progress.update(task, description="drawing")
        write_page(out, results)
        progress.advance(task)
    table = Table("run", "loss", "accuracy", "diagnosis", box=None)
    for _, outcomes in results:
        for outcome in outcomes:
            table.add_row(
                outcome.setting.title,
                f"{outcome.losses[0]:.3g} to {outcome.losses[-1]:.3g}",
                f"{outcome.accuracy:.1%}",
                ", ".join(outcome.names) or "healthy",
            )
    Console().print(table)
    print(f"written: {out}")
