"""The floating-point environment of the caller changes no result and is left as it was.

Other libraries leave flush-to-zero on in the threads they touch; a caller may have chosen another rounding.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
import sys
from contextlib import contextmanager

import numpy as np
import pytest
from inputs import KINDS, LOSS_IDS, LOSSES, PARAMETERS, bits, function, loss_class, loss_inputs, samples

import actloss_rs as al

if sys.platform != "linux" or platform.machine() != "x86_64":
    pytest.skip("writes the control register of x86-64 under Linux", allow_module_level=True)

DEFAULT, FLUSH, DENORMALS_ARE_ZERO, UP, DOWN = 0x1F80, 0x8000, 0x0040, 0x4000, 0x2000
CONTROL = 0xFFC0  # of the register, without the flags of what has happened
SETTINGS = pytest.mark.parametrize("setting", [FLUSH | DENORMALS_ARE_ZERO, UP, DOWN, FLUSH | UP | DOWN])


def machine_code(code):
    memory = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(code)
    entry = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    return memory, ctypes.CFUNCTYPE(None, ctypes.POINTER(ctypes.c_uint32))(entry)


LOAD_MEMORY, load = machine_code(b"\x0f\xae\x17\xc3")  # ldmxcsr [rdi]; ret
STORE_MEMORY, store = machine_code(b"\x0f\xae\x1f\xc3")  # stmxcsr [rdi]; ret


@contextmanager
def control(setting):
    """The control word of this thread; on leaving it must be as it was set."""
    word = ctypes.c_uint32(DEFAULT | setting)
    load(word)
    try:
        yield
        store(word)
    finally:
        load(ctypes.c_uint32(DEFAULT))
    assert word.value & CONTROL == (DEFAULT | setting) & CONTROL


def test_the_control_word_takes_effect():
    tiny = np.array([1e-310])
    with control(FLUSH | DENORMALS_ARE_ZERO):
        flushed = tiny + tiny
    assert flushed == 0
    assert tiny + tiny > 0


@SETTINGS
@pytest.mark.parametrize(("name", "parameters"), PARAMETERS)
def test_activations(name, parameters, setting, dtype):
    x, of, slope = samples(dtype, 500), function(name), function(name, al.backward)
    # NumPy itself would round a Python float as the control word says.
    parameters = [np.array(p).astype(dtype) if isinstance(p, float) else p for p in parameters]
    dy = x[::-1].copy()
    expected = of(x, *parameters), of(x[::2], *parameters), slope(dy, x, *parameters)
    with control(setting):
        actual = of(x, *parameters), of(x[::2], *parameters), slope(dy, x, *parameters)
    assert list(map(bits, actual)) == list(map(bits, expected))


@SETTINGS
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
@pytest.mark.parametrize("shape", [(40, 9), (2000, 100)])
def test_rows(name, setting, shape, dtype):
    x = np.random.default_rng(0).normal(0, 60, shape).astype(dtype)
    expected = getattr(al, name)(x), getattr(al, name)(x, axis=0)
    with control(setting), al.num_threads(3):
        actual = getattr(al, name)(x), getattr(al, name)(x, axis=0)
    assert list(map(bits, actual)) == list(map(bits, expected))


@SETTINGS
@pytest.mark.parametrize(("name", "options"), LOSSES, ids=LOSS_IDS)
@pytest.mark.parametrize("shape", [(40, 9), (2000, 100)])
def test_losses(name, options, setting, shape, dtype):
    y_true, y_pred = loss_inputs(name, shape, dtype, **options)
    y_pred *= np.array(2.0**-12).astype(dtype)
    weight = np.random.default_rng(0).uniform(1e-3, 1, shape[0]) * 1e-38
    loss, none = loss_class(name, **options), loss_class(name, reduction="none", **options)

    def compute():
        metric = loss.metric()
        metric.update_state(y_true, y_pred, weight)
        results = loss.value_and_grad(y_true, y_pred, weight)
        if KINDS[name].hessian:
            results += loss.gradient_hessian(y_true, y_pred, weight)
        return *results, none(y_true, y_pred, weight), metric.result()

    expected = compute()
    with control(setting), al.num_threads(3):
        actual = compute()
    assert list(map(bits, actual)) == list(map(bits, expected))


def test_large_calls_on_several_threads():
    x = np.random.default_rng(0).normal(0, 40, 600_000).astype(np.float32)
    x[::3] *= np.float32(1e-42)
    expected = bits(al.silu(x))
    with al.num_threads(3), control(FLUSH | DENORMALS_ARE_ZERO):
        actual = al.silu(x)
    assert bits(actual) == expected
