"""How the polynomial coefficients of `src/math` came about: weighted minimax fits (Remez exchange).

Run `python scripts/fit_coefficients.py` to print every table as it stands in the Rust source.
Needs mpmath. The stated error is that of the polynomial with exact arithmetic after its coefficients
were rounded to the lane type, relative to the function it serves.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import mpmath as mp

mp.mp.dps = 60

Function = Callable[[mp.mpf], mp.mpf]
GRID = 1200


def remez(f: Function, weight: Function, low: mp.mpf, high: mp.mpf, degree: int) -> list[mp.mpf]:
    """Coefficients, lowest first, of the polynomial p that minimises max |weight (p - f)|."""
    middle, half = (low + high) / 2, (high - low) / 2
    grid = [middle - half * mp.cos(mp.pi * (k + mp.mpf(1) / 2) / GRID) for k in range(GRID)]
    values = [f(x) for x in grid]
    weights = [weight(x) for x in grid]
    count = degree + 2
    points = [round((k + 0.5) * GRID / count) for k in range(count)]
    for _ in range(30):
        system = mp.matrix(count, count)
        right = mp.matrix(count, 1)
        for row, k in enumerate(points):
            for power in range(degree + 1):
                system[row, power] = grid[k] ** power
            system[row, degree + 1] = (-1) ** row / weights[k]
            right[row] = values[k]
        solution = mp.lu_solve(system, right)
        p = [solution[i] for i in range(degree + 1)]
        errors = [w * (mp.polyval(p[::-1], x) - y) for x, y, w in zip(grid, values, weights, strict=True)]
        # One point of greatest error in each run of equal sign, then the best `count` neighbours.
        extrema: list[int] = []
        for k, error in enumerate(errors):
            if extrema and mp.sign(errors[extrema[-1]]) == mp.sign(error):
                if abs(error) > abs(errors[extrema[-1]]):
                    extrema[-1] = k
            else:
                extrema.append(k)
        while len(extrema) > count:
            extrema.pop(0 if abs(errors[extrema[0]]) < abs(errors[extrema[-1]]) else -1)
        if len(extrema) < count or extrema == points:
            break
        points = extrema
    return p


def round_to(x: mp.mpf, single: bool) -> mp.mpf:
    """The float32 or float64 nearest to x."""
    if single:
        return mp.mpf(struct.unpack("f", struct.pack("f", float(x)))[0])
    return mp.mpf(float(x))


def table(
    name: str,
    f: Function,
    weight: Function,
    interval: tuple[mp.mpf, mp.mpf],
    degree: int,
    *,
    single: bool,
) -> None:
    """Fit, round, and print as Rust."""
    p = [round_to(c, single) for c in remez(f, weight, *interval, degree)]
    low, high = interval
    grid = [low + (high - low) * (k + mp.mpf(1) / 2) / 3000 for k in range(3000)]
    error = max(abs(weight(x) * (mp.polyval(p[::-1], x) - f(x))) for x in grid)
    print(f"/// Error 2^{float(mp.log(error, 2)):.1f}.")
    print(f"const {name}: [f64; {degree + 1}] = [")
    for c in p:
        print(f"    {float(c)!r},")
    print("];")


def in_two_parts(name: str, value: mp.mpf) -> None:
    """Print a constant as the nearest float64 and what it lacks."""
    high = float(value)
    print(f"const {name}: (f64, f64) = ({high!r}, {float(value - mp.mpf(high))!r});")


def exponential(r: mp.mpf) -> mp.mpf:
    """(e^r - 1 - r - r^2/2) / r^3 = sum of r^k / (k+3)!."""
    return mp.nsum(lambda k: r**k / mp.factorial(k + 3), [0, 40])


def exponential_weight(r: mp.mpf) -> mp.mpf:
    """Relative to e^r - 1, the smaller of the two functions that it serves."""
    return abs(r**3 / mp.expm1(r))


def logarithm(z: mp.mpf) -> mp.mpf:
    """(2 atanh(s) - 2 s) / s^3 with z = s^2: sum of 2 z^k / (2k+3)."""
    total, power, k = mp.mpf(0), mp.mpf(1), 0
    while power > mp.mpf(10) ** -50:
        total += 2 * power / (2 * k + 3)
        power *= z
        k += 1
    return total


def shrinkage(z: mp.mpf) -> mp.mpf:
    """(x - tanh x) / x^3 with z = x^2; 60 digits leave 40 after the cancellation."""
    if z < mp.mpf(10) ** -10:
        return mp.mpf(1) / 3 - 2 * z / 15 + 17 * z**2 / 315 - 62 * z**3 / 2835
    x = mp.sqrt(z)
    return (x - mp.tanh(x)) / x**3


def tangent(z: mp.mpf) -> mp.mpf:
    """((x - tanh x) / x^3 - 1/3) / z with z = x^2."""
    if z < mp.mpf(10) ** -8:
        return -mp.mpf(2) / 15 + 17 * z / 315 - 62 * z**2 / 2835 + 1382 * z**3 / 155925
    return (shrinkage(z) - mp.mpf(1) / 3) / z


def tangent_weight(z: mp.mpf) -> mp.mpf:
    """Relative to x - tanh x."""
    return z / shrinkage(z)


def main() -> None:
    """Print every table."""
    half_ln2 = mp.log(2) / 2 * (1 + mp.mpf(2) ** -12)
    around_zero = (-half_ln2, half_ln2)
    print("// src/math/exp.rs")
    table("TAIL_SINGLE", exponential, exponential_weight, around_zero, 4, single=True)
    table("TAIL_DOUBLE", exponential, exponential_weight, around_zero, 9, single=False)

    # log(1 + f) with f in [-0.293, 0.5]: s = f / (2 + f), s^2 <= 1/25.
    to_one_25th = (mp.mpf(0), mp.mpf(1) / 25)
    print("// src/math/log.rs")
    table("SERIES_SINGLE", logarithm, lambda z: z / 2, to_one_25th, 3, single=True)
    table("SERIES_DOUBLE", logarithm, lambda z: z / 2, to_one_25th, 8, single=False)

    # |x| <= 1/2; beyond, x - tanh x cancels to no less than a twelfth.
    to_quarter = (mp.mpf(0), mp.mpf(1) / 4)
    print("// src/activation/tanh.rs")
    table("SHRINK_SINGLE", tangent, tangent_weight, to_quarter, 4, single=True)
    table("SHRINK_DOUBLE", tangent, tangent_weight, to_quarter, 9, single=False)

    in_two_parts("LN_2", mp.log(2))
    in_two_parts("THIRD", mp.mpf(1) / 3)
    scale = mp.mpf("1.0507009873554804934193349852946")
    in_two_parts("LAMBDA", scale)
    in_two_parts("LAMBDA_ALPHA", scale * mp.mpf("1.6732632423543772848170429916717"))


if __name__ == "__main__":
    main()
