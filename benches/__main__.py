"""The command line: see the package."""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from . import machine, report
from .timing import CLOCKS
from .worker import SIMD_VARIABLES, environment

ROOT = Path(__file__).resolve().parent.parent
RECORDS = ROOT / "benches" / "records"


def run_worker(threads: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """The rows, in a process of its own, printed as they come; in another without the peer that ended it."""
    run: dict[str, Any] = {"rows": []}
    crashed: list[str] = []
    while True:
        done = len(run["rows"])
        status, asked = run_process(run, crashed, threads, arguments)
        if status == 0:
            return run
        if asked is None or asked == report.OURS:
            sys.exit(f"the worker ended with status {status}; --verbose shows why")
        crashed = [*(crashed if len(run["rows"]) == done else []), asked]
        print(f"{asked} ended the worker with status {status}: on without it", file=sys.stderr)


def run_process(
    run: dict[str, Any], crashed: list[str], threads: int, arguments: argparse.Namespace
) -> tuple[int, str | None]:
    """Time the rows that the run lacks; how the process ended, and whose call was the last."""
    command = [sys.executable, "-m", "benches.worker", "--threads", str(threads)]
    command += ["--peers", arguments.peers, "--clock", arguments.clock, "--rows", *arguments.rows]
    command += ["--done", str(len(run["rows"])), "--crashed", *crashed]
    variables = environment(threads, arguments.simd)
    pipe = None if arguments.verbose else subprocess.DEVNULL
    worker = subprocess.Popen(
        command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, stderr=pipe, text=True
    )
    assert worker.stdout is not None
    asked = None
    for text in worker.stdout:
        line = json.loads(text)
        if "versions" in line:
            if "versions" not in run:
                run.update(line)
                print_contenders(run, threads)
        elif "asked" in line:
            asked = line["asked"]
        else:
            run["rows"].append(line)
            print_row(line, threads, arguments.verbose)
    return worker.wait(), asked


def print_contenders(run: dict[str, Any], threads: int) -> None:
    print(f"\n{threads} thread{'s' if threads > 1 else ''}, level {run['level']}, load {machine.load():.2f}")
    print(", ".join(f"{name} {version}" for name, version in run["versions"].items()))
    for name, reason in run["missing"].items():
        print(f"not here: {name} ({reason})")
    print(report.HEADER)


def print_row(row: dict[str, Any], threads: int, verbose: bool) -> None:
    print(report.text(report.line(row, threads)), flush=True)
    if verbose:
        for name, seconds in sorted(row["seconds"].items(), key=lambda item: item[1]):
            print(f"    {name:20}{report.duration(seconds):>12}{row['spread'][name]:7.0%}")
        for name, reason in row["skipped"].items():
            print(f"    {name:20}{reason}")


def run_rows(arguments: argparse.Namespace) -> None:
    record = {
        "machine": machine.describe(),
        "command": shlex.join(["python", "-m", "benches", *sys.argv[1:]]),
        "complete": not arguments.rows and not arguments.peers,
        "runs": {str(threads): run_worker(threads, arguments) for threads in arguments.threads},
    }
    record["machine"]["load_after"] = round(machine.load(), 2)
    print()
    print("\n".join(report.summary(record)))
    if record["complete"] or arguments.record:
        date = record["machine"]["date"].replace(":", "").replace("+0000", "")
        level = next(iter(record["runs"].values()))["level"]
        path = arguments.record or RECORDS / f"{date}-{level}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(record, indent=1) + "\n")
        print(f"record: {path}")


def run_report(arguments: argparse.Namespace) -> None:
    record = report.load(arguments.record)
    if arguments.readme:
        if not record["complete"]:
            sys.exit("only a full run goes into README")
        report.into_readme(record, ROOT / "README.md", ROOT / "docs" / "benchmarks.svg")
        return
    print(report.markdown(record))
    print("\n".join(report.summary(record)))
    print(report.provenance(record))
    if arguments.plot:
        report.plot(record, arguments.plot)


def run_latency(arguments: argparse.Namespace) -> None:
    from . import latency

    latency.main(arguments.clock)


def run_kernels(arguments: argparse.Namespace) -> None:
    from . import kernels

    kernels.main(arguments.names, arguments.record)


def run_scaling(_: argparse.Namespace) -> None:
    from . import scaling

    scaling.main()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benches")
    parser.set_defaults(run=run_rows)
    everything = sorted({1, machine.cpus()})
    parser.add_argument("--rows", nargs="*", default=[], help="only rows whose name contains one of these")
    parser.add_argument("--peers", default="", help="only peers whose name contains this")
    parser.add_argument("--threads", nargs="*", type=int, default=everything)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: for a busy machine, one thread")
    parser.add_argument("--simd", choices=SIMD_VARIABLES, help="instruction set for all contenders")
    parser.add_argument(
        "--record", type=Path, help="where to write the record (default for a full run: records/)"
    )
    parser.add_argument("--verbose", action="store_true", help="every contender, and why others are skipped")
    commands = parser.add_subparsers()
    of_record = commands.add_parser("report", help="tables of a record")
    of_record.set_defaults(run=run_report)
    of_record.add_argument("record", type=Path)
    of_record.add_argument("--readme", action="store_true", help="put them into README")
    of_record.add_argument("--plot", type=Path, help="write the plot there")
    commands.add_parser("latency", help="small calls").set_defaults(run=run_latency)
    commands.add_parser("scaling", help="threads by size").set_defaults(run=run_scaling)
    of_kernels = commands.add_parser("kernels", help="every kernel at every level, against the record")
    of_kernels.set_defaults(run=run_kernels)
    of_kernels.add_argument("names", nargs="*", help="only cases whose name contains one of these")
    of_kernels.add_argument("--record", action="store_true", help="write the record instead of comparing")
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
