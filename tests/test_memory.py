"""Memory: a loss streams its inputs in blocks, whatever their type and layout."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ARRAY = 400 * 10**6

# The inputs are a file's pages, which do not count; what the process may allocate beyond what it has is
# bounded by the kernel, so that a copy of any input fails.
PROGRAM = """
import resource, sys
import numpy as np
import actloss_rs as al

path, dtype, layout, call = sys.argv[1:]
classes = 1000
samples = {array} // np.dtype(dtype).itemsize // classes
logits = np.memmap(path, dtype, "r", shape=(samples, classes), order=layout)
labels = np.zeros(samples, np.int16)
gradient = np.empty(logits.shape, np.float32) if call == "gradient" else None
loss = al.losses.SparseCategoricalCrossentropy(from_logits=True)

def value(samples):
    if call == "sparse":
        return loss(labels[:samples], logits[:samples])
    if call == "gradient":
        return loss.value_and_grad(labels[:samples], logits[:samples], out=gradient[:samples])[0]
    return al.binary_crossentropy(0, logits[:samples], from_logits=True)

al.set_num_threads(2)
value(200)  # threads and their buffers
with open("/proc/self/status") as status:
    used = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmData"))
resource.setrlimit(resource.RLIMIT_DATA, (used + {room}, used + {room}))
print(repr(float(value(samples))))
"""


@pytest.fixture(scope="module")
def zeros(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of zeros that takes no place on the disk."""
    path = tmp_path_factory.mktemp("memory") / "zeros"
    with path.open("wb") as file:
        os.truncate(file.fileno(), ARRAY)
    return path


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the bound is Linux's")
@pytest.mark.parametrize(
    ("dtype", "layout", "call"),
    [
        ("<f4", "C", "sparse"),
        ("<f8", "F", "sparse"),
        (">f4", "C", "sparse"),
        ("<f4", "C", "gradient"),
        ("<f2", "C", "binary"),
    ],
)
def test_a_loss_allocates_nothing_of_the_size_of_its_input(zeros, dtype, layout, call):
    program = PROGRAM.format(array=ARRAY, room=16 * 2**20)
    command = [sys.executable, "-c", program, str(zeros), dtype, layout, call]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    expected = 0.6931471805599453 if call == "binary" else 6.907755278982137
    assert float(result.stdout) == pytest.approx(expected, rel=1e-7)
