"""How many threads a call may use, and which instruction set it runs on. Results depend on neither."""

from collections.abc import Iterator
from contextlib import contextmanager

from actloss_rs._core import SIMD_LEVEL, get_num_threads, set_num_threads

__all__ = ["get_num_threads", "num_threads", "set_num_threads", "simd_level"]


@contextmanager
def num_threads(n: int) -> Iterator[None]:
    """Let calls use up to `n` threads inside a ``with`` block; the setting is the process's.

    >>> import actloss_rs as al
    >>> with al.num_threads(1):
    ...     al.get_num_threads()
    1
    """
    before = get_num_threads()
    set_num_threads(n)
    try:
        yield
    finally:
        set_num_threads(before)


def simd_level() -> str:
    """The instruction set in use: avx512, avx2, sse2, neon or scalar; ``ACTLOSS_SIMD`` forces one."""
    return SIMD_LEVEL
