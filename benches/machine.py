"""What a record says about where it was made."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def cpu_name() -> str:
    """The CPU as it names itself, with the family and model that a hypervisor's plain name hides."""
    facts: dict[str, str] = {}
    path = Path("/proc/cpuinfo")
    for line in path.read_text().splitlines() if path.exists() else []:
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.strip())
    name = facts.get("model name") or platform.processor() or platform.machine()
    detail = [f"{word} {facts[f'{word}']}" for word in ("cpu family", "model") if word in facts]
    return f"{name} ({', '.join(detail)})" if detail else name


def cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def private_cache() -> int:
    """Bytes of the largest cache that a core does not share with others: the second level."""
    path = Path("/sys/devices/system/cpu/cpu0/cache/index2/size")
    size = path.read_text().strip() if path.exists() else "1024K"
    return int(size.removesuffix("K")) * 1024


def commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout.strip() or "unknown"


def load() -> float:
    """Processes that ran beside us in the last minute."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def describe() -> dict[str, Any]:
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "cpu": cpu_name(),
        "cpus": cpus(),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "load_before": round(load(), 2),
    }
