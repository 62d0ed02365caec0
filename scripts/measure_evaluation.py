"""Measure an evaluation against reading its file once: speed, CPU time, and anonymous memory.

    python scripts/measure_evaluation.py --gigabytes 20 --classes 1000

makes a sparse file of zeros, which takes no room on the disk, reads it once into a buffer, and evaluates it;
``--real`` writes random numbers instead, and ``--cold`` drops the file from the page cache before each turn.
"""

import argparse
import os
import resource
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import actloss_rs as al


def write(path: Path, shape: tuple[int, ...], dtype: type, real: bool) -> None:
    """A .npy file of this shape."""
    with path.open("wb") as file:
        header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        size = np.dtype(dtype).itemsize * int(np.prod(shape))
        end = file.tell() + size
        if real:
            rng = np.random.default_rng(0)
            block = rng.normal(0, 3, 1 << 22).astype(np.float32) if dtype is np.float32 else None
            while file.tell() < end:
                piece = block.tobytes() if block is not None else bytes(1 << 22)
                file.write(piece[: end - file.tell()])
        else:
            file.truncate(end)


def read_once(path: Path) -> None:
    """Read all bytes of a file into one buffer."""
    buffer = bytearray(8 << 20)
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def anonymous_megabytes() -> float:
    """What the process has in memory that belongs to no file."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) / 1024


def measured(name: str, size: int, work: Callable[[], object]) -> float:
    """Bytes per second of some work, printed with its CPU time and greatest memory."""
    most, stop = [0.0], threading.Event()

    def watch() -> None:
        while not stop.wait(0.05):
            most[0] = max(most[0], anonymous_megabytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    work()
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    stop.set()
    watcher.join()
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(
        f"{name:<10} {size / seconds / 1e9:6.2f} GB/s   {cpu / size * 1e9:6.3f} CPU s/GB   "
        f"RssAnon {most[0]:6.1f} MB",
        flush=True,
    )
    return size / seconds


def drop(path: Path) -> None:
    """Take a file out of the page cache."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gigabytes", type=float, default=20)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--loss", default="sparse_categorical_crossentropy")
    parser.add_argument("--real", action="store_true")
    parser.add_argument("--cold", action="store_true")
    parser.add_argument("--folder", type=Path, default=None)
    asked = parser.parse_args()
    rows = int(asked.gigabytes * 1e9 / 4 / asked.classes)
    sparse = asked.loss.startswith("sparse")
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        y, z = Path(folder, "y.npy"), Path(folder, "z.npy")
        label = np.uint8 if asked.classes <= 256 else np.uint16
        write(y, (rows,) if sparse else (rows, asked.classes), label if sparse else np.float32, False)
        write(z, (rows, asked.classes), np.float32, asked.real)
        size = z.stat().st_size
        options = {"from_logits": True} if "crossentropy" in asked.loss else {}
        for _ in range(asked.turns):
            for name, work in (
                ("read", lambda: read_once(z)),
                ("evaluate", lambda: al.evaluate(y, z, loss=asked.loss, **options)),
            ):
                if asked.cold:
                    drop(z)
                measured(name, size, work)


if __name__ == "__main__":
    main()
