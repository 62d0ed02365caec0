"""Threads: their number, the same bits for any, fork, and Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import sysconfig
import threading

import numpy as np
import pytest
from inputs import LOSS_IDS, LOSSES, UFUNCS, bits, loss_class, loss_inputs

import actloss_rs as al

COUNTS = [1, 2, 7]


@pytest.fixture(autouse=True)
def _restore():
    threads = al.get_num_threads()
    yield
    al.set_num_threads(threads)


def python(program, timeout=120, **variables):
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ACTLOSS_")}
    return subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program],
        env={**kept, **variables},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


# ----------------------------------------------------------------------------------------------- number


def test_number_of_threads():
    for threads in COUNTS:
        al.set_num_threads(threads)
        assert al.get_num_threads() == threads


def test_context_manager():
    al.set_num_threads(3)
    with al.num_threads(2):
        assert al.get_num_threads() == 2
        with al.num_threads(5):
            assert al.get_num_threads() == 5
        assert al.get_num_threads() == 2
    assert al.get_num_threads() == 3
    with pytest.raises(KeyError), al.num_threads(1):
        raise KeyError
    assert al.get_num_threads() == 3


def test_the_default_is_the_cpus_of_the_process():
    ended = python("import actloss_rs; print(actloss_rs.get_num_threads())")
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert 1 <= int(ended.stdout) <= allowed


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the platform has no affinity")
def test_the_default_knows_affinity():
    first = min(os.sched_getaffinity(0))
    pinned = f"import os; os.sched_setaffinity(0, {{{first}}}); "
    assert python(pinned + "import actloss_rs; print(actloss_rs.get_num_threads())").stdout.strip() == "1"


@pytest.mark.parametrize("threads", ["1", "5"])
def test_environment_variable(threads):
    ended = python("import actloss_rs; print(actloss_rs.get_num_threads())", ACTLOSS_NUM_THREADS=threads)
    assert ended.stdout.strip() == threads


@pytest.mark.parametrize("threads", ["zero", "0", "-3", "1.5"])
def test_a_wrong_environment_variable_is_not_ignored(threads):
    ended = python("import actloss_rs; actloss_rs.get_num_threads()", ACTLOSS_NUM_THREADS=threads)
    assert ended.returncode != 0
    assert "ACTLOSS_NUM_THREADS" in ended.stderr


# ------------------------------------------------------------------------------------------------- bits


def for_each_count(compute):
    found = []
    for threads in COUNTS:
        with al.num_threads(threads):
            found.append(compute())
    assert found[1:] == found[:-1]


@pytest.mark.parametrize("name", UFUNCS)
def test_activations(name, dtype):
    x = np.random.default_rng(0).normal(0, 3, 700_001).astype(dtype)
    for_each_count(lambda: bits(getattr(al, name)(x)))


def test_activations_with_parameters():
    x = np.random.default_rng(0).normal(0, 3, (1001, 701)).astype(np.float32)
    slope = np.linspace(0, 1, 701, dtype=np.float32)
    for_each_count(lambda: (bits(al.leaky_relu(x, slope)), bits(al.gelu(x)), bits(al.softplus(x, 2.0))))


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
@pytest.mark.parametrize("shape", [(100_003, 7), (1001, 701), (3, 300_001)])
def test_rows(name, shape):
    x = np.random.default_rng(0).normal(0, 3, shape).astype(np.float32)
    for_each_count(lambda: [bits(getattr(al, name)(x, axis=axis)) for axis in (-1, 0, None)])


@pytest.mark.parametrize(("name", "options"), LOSSES, ids=LOSS_IDS)
@pytest.mark.parametrize("shape", [(100_003, 7), (1001, 701)])
def test_losses(name, options, shape):
    y_true, y_pred = loss_inputs(name, shape, np.float32, **options)
    weight = np.random.default_rng(0).uniform(0.5, 1, shape[0])

    def compute():
        none = getattr(al, name)(y_true, y_pred, sample_weight=weight, reduction="none", **options)
        value, gradient = loss_class(name, **options).value_and_grad(y_true, y_pred, weight)
        return bits(none), bits(value), bits(gradient)

    for_each_count(compute)


def test_many_python_threads_at_once():
    x = np.random.default_rng(0).normal(0, 3, 400_000).astype(np.float32)
    expected, wrong = bits(al.tanh(x)), []

    def work():
        for _ in range(5):
            if bits(al.tanh(x)) != expected:
                wrong.append(1)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=120)
        assert not worker.is_alive()
    assert not wrong


def test_one_metric_from_many_python_threads():
    random = np.random.default_rng(0)
    logits, ids = random.normal(0, 3, (500, 20)).astype(np.float32), random.integers(0, 20, 500)
    loss = al.losses.SparseCategoricalCrossentropy(from_logits=True)
    shared, alone = loss.metric(), loss.metric()
    alone.update_state(ids, logits)
    workers = [
        threading.Thread(target=lambda: [shared.update_state(ids, logits) for _ in range(50)])
        for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=120)
        assert not worker.is_alive()
    assert shared.count == 4 * 50 * 500
    assert shared.result() == alone.result()


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="an interpreter with a GIL")
def test_the_import_leaves_the_gil_off():
    ended = python("import sys, actloss_rs; print(sys._is_gil_enabled())")
    assert ended.stdout == "False\n", ended.stderr


# ------------------------------------------------------------------------------------------------- fork

FORK = """
import os, sys
import numpy as np
import actloss_rs as al

al.set_num_threads(4)
x = np.linspace(-5, 5, 2_000_000, dtype=np.float32)
y = np.zeros(500_000, dtype=int)
def compute():
    value = al.sparse_categorical_crossentropy(y, x.reshape(-1, 4), from_logits=True)
    return al.sigmoid(x).tobytes(), float(value)
before = compute()
for _ in range(3):
    child = os.fork()
    if child == 0:
        ok = compute() == before and al.get_num_threads() == 4
        grandchild = os.fork()
        if grandchild == 0:
            os._exit(0 if compute() == before else 1)
        ok = ok and os.waitpid(grandchild, 0)[1] == 0
        os._exit(0 if ok else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert compute() == before
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
def test_a_forked_child_computes():
    ended = python(FORK)
    assert ended.returncode == 0, ended.stderr


# ----------------------------------------------------------------------------------------------- Ctrl-C

# One array element repeated without memory: each call would take hours.
ENDLESS = """
import sys
import numpy as np
import actloss_rs as al

flat = np.broadcast_to(np.float32(0.5), (1 << 40,))
rows = np.broadcast_to(np.float32(0.5), (1 << 38, 4))
labels = np.broadcast_to(np.int64(1), (1 << 38,))
print("ready", flush=True)
try:
    {call}
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.parametrize(
    "call",
    [
        "al.mean_squared_error(flat, flat)",
        "al.binary_crossentropy(flat, flat)",
        "al.sparse_categorical_crossentropy(labels, rows)",
        "al.sparse_categorical_crossentropy(labels, rows, from_logits=True)",
        "al.categorical_crossentropy(rows, rows, from_logits=True)",
        "al.losses.BinaryCrossentropy().metric().update_state(flat, flat)",
    ],
)
@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_ends_a_long_loss(call):
    command = [sys.executable, "-c", ENDLESS.format(call=call)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout.readline() == "ready\n"
            with pytest.raises(subprocess.TimeoutExpired):
                child.wait(1)
            child.send_signal(signal.SIGINT)
            assert child.communicate(timeout=60)[0] == "interrupted\n"
        finally:
            child.kill()


def test_the_gil_is_released():
    """Another Python thread runs while one call computes."""
    program = ENDLESS.format(
        call="""
    import _thread, threading, time
    threading.Timer(0.5, lambda: (print("alive", flush=True), _thread.interrupt_main())).start()
    al.mean_squared_error(flat, flat)"""
    )
    assert python(program, timeout=60).stdout == "ready\nalive\ninterrupted\n"
