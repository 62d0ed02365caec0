"""Learning-rate schedules: functions from the number of the step to the learning rate."""

from collections.abc import Callable
from math import cos, pi

Schedule = Callable[[int], float]


def constant(rate: float) -> Schedule:
    """The same rate at every step."""
    return lambda step: rate


def step_decay(rate: float, factor: float, every: int) -> Schedule:
    """Times `factor` after every so many steps."""
    return lambda step: rate * factor ** (step // every)


def cosine(rate: float, steps: int, final: float = 0.0) -> Schedule:
    """From `rate` to `final` in the shape of half a cosine (Loshchilov and Hutter 2017), and no further."""
    return lambda step: final + (rate - final) * (1 + cos(pi * min(step / steps, 1.0))) / 2


def warm_up(schedule: Schedule, steps: int) -> Schedule:
    """The schedule, after a linear rise to its start: early gradients are large and point anywhere."""
    return lambda step: schedule(0) * (step + 1) / steps if step < steps else schedule(step - steps)
