"""What a record says: rows on the terminal, a Markdown table, a plot, and README's share of them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OURS = "actloss_rs"
# Ratios that count as a tie: where a core's own cache holds the row's arrays, and where memory that other
# cores and machines use sets part of the time.
TIE, TIE_OUT_OF_CACHE = 0.95, 0.85
MARKS = ("<!-- benchmarks -->", "<!-- /benchmarks -->")


@dataclass(frozen=True)
class Line:
    """A row with one number of threads."""

    row: str
    threads: int
    ours: float
    spread: float
    peer: str | None
    best: float
    limit: float
    in_cache: bool

    @property
    def ratio(self) -> float:
        """How many times faster than the best peer."""
        return self.best / self.ours

    @property
    def behind(self) -> bool:
        """Whether a peer is faster by more than a tie."""
        return self.ratio < (TIE if self.in_cache else TIE_OUT_OF_CACHE)

    @property
    def limit_ratio(self) -> float:
        """Our time in times of the memory traffic alone."""
        return self.ours / self.limit


def lines(record: dict[str, Any]) -> Iterator[Line]:
    for threads, run in record["runs"].items():
        for row in run["rows"]:
            yield line(row, int(threads))


def line(row: dict[str, Any], threads: int) -> Line:
    seconds = row["seconds"]
    peers = {name: time for name, time in seconds.items() if name != OURS}
    best = min(peers, key=peers.__getitem__, default=None)
    return Line(
        row["row"],
        threads,
        seconds.get(OURS, math.nan),
        row["spread"].get(OURS, math.nan),
        best,
        peers[best] if best else math.nan,
        row["limit"],
        row["in_cache"],
    )


def duration(seconds: float) -> str:
    return f"{seconds * 1e6:,.1f} us" if seconds < 1e-3 else f"{seconds * 1e3:,.2f} ms"


HEADER = f"{'row':34}{'ours':>12}{'spread':>8}{'best peer':>12}  {'':18}{'faster':>8}{'x limit':>9}"


def text(line: Line) -> str:
    """A line for the terminal."""
    peer = f"{duration(line.best):>12}  {line.peer:18}{line.ratio:7.2f}x" if line.peer else " " * 40
    behind = "  BEHIND" if line.behind else ""
    return f"{line.row:34}{duration(line.ours):>12}{line.spread:8.0%}{peer}{line.limit_ratio:8.2f}x{behind}"


def geometric_mean(ratios: list[float]) -> float:
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def summary(record: dict[str, Any]) -> Iterator[str]:
    """Geometric mean, worst row and rows behind, for each number of threads."""
    for threads in map(int, record["runs"]):
        compared = [line for line in lines(record) if line.threads == threads and line.ratio > 0]
        if not compared:
            continue
        worst = min(compared, key=lambda line: line.ratio)
        behind = [line.row for line in compared if line.behind]
        mean = geometric_mean([line.ratio for line in compared])
        yield (
            f"{threads} thread{'s' if threads > 1 else ''}: {mean:.2f}x the best peer "
            f"(geometric mean of {len(compared)} rows), worst {worst.ratio:.2f}x "
            f"({worst.row}, {worst.peer}), {len(behind)} behind"
        )


def markdown(record: dict[str, Any]) -> str:
    """The table: a line for each row, a column of ratios for each number of threads."""
    counts = list(map(int, record["runs"]))
    table: dict[str, dict[int, Line]] = {}
    for entry in lines(record):
        table.setdefault(entry.row, {})[entry.threads] = entry
    titles = [f"{n} thread{'s' if n > 1 else ''} | best peer | faster" for n in counts]
    out = ["| row | " + " | ".join(titles) + " |", "|---|" + "---:|---:|---:|" * len(counts)]
    for row, entries in table.items():
        cells = []
        for count in counts:
            entry = entries.get(count)
            if entry is None or entry.peer is None:
                cells += [duration(entry.ours) if entry else "", "", ""]
            else:
                cells += [
                    duration(entry.ours),
                    f"{duration(entry.best)} ({entry.peer})",
                    f"{entry.ratio:.2f}x",
                ]
        out.append("| " + " | ".join([row, *cells]) + " |")
    return "\n".join(out)


def provenance(record: dict[str, Any]) -> str:
    machine = record["machine"]
    run = next(iter(record["runs"].values()))
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    return (
        f"{machine['date'][:10]}, {machine['cpu']}, {machine['cpus']} CPUs, level {run['level']}, "
        f"commit {machine['commit']}, `{record['command']}`. {versions}."
    )


def plot(record: dict[str, Any], path: Path) -> None:
    """Every row's ratio to the best peer."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "actloss"
    from matplotlib import pyplot

    threads = min(map(int, record["runs"]))
    entries = [entry for entry in lines(record) if entry.threads == threads and entry.peer]
    figure, axes = pyplot.subplots(figsize=(8, 0.17 * len(entries) + 1), layout="constrained")
    places = range(len(entries))
    axes.barh(
        places,
        [entry.ratio - 1 for entry in entries],
        left=1,
        color=["#2a7f62" if entry.ratio >= 1 else "#c8553d" for entry in entries],
    )
    axes.set_xscale("log", base=2)
    axes.set_xticks([0.5, 1, 2, 4, 8], ["half", "as fast", "2x", "4x", "8x"])
    axes.set_yticks(places, [entry.row for entry in entries], fontsize=6)
    axes.invert_yaxis()
    axes.margins(y=0.01)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.grid(axis="x", alpha=0.3)
    axes.set_title(f"actloss_rs against the fastest of its peers, {threads} thread", fontsize=9)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def into_readme(record: dict[str, Any], readme: Path, picture: Path) -> None:
    """Replace what is between the marks."""
    before, _, rest = readme.read_text().partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    plot(record, picture)
    body = "\n\n".join(
        [
            "\n".join(f"- {part}" for part in summary(record)),
            f"![ratio to the best peer, row by row]({picture.relative_to(readme.parent)})",
            f"<details><summary>All rows</summary>\n\n{markdown(record)}\n\n</details>",
            provenance(record),
        ]
    )
    readme.write_text(f"{before}{MARKS[0]}\n{body}\n{MARKS[1]}{after}")


def load(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())
