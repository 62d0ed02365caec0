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
        errors = [
            w * (mp.polyval(p[::-1], x) - y) for x, y, w in zip(grid, values, weights, strict=True)
        ]
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


def series(f: Function, terms: Callable[[mp.mpf], mp.mpf], near: mp.mpf) -> Function:
    """f, and where |x| < near the value `terms` of a form that does not cancel."""
    return lambda x: terms(x) if abs(x) < near else f(x)


def exponential(r: mp.mpf) -> mp.mpf:
    """(e^r - 1 - r - r^2/2) / r^3 = sum of r^k / (k+3)!."""
    return mp.nsum(lambda k: r**k / mp.factorial(k + 3), [0, 40])


def logarithm(z: mp.mpf) -> mp.mpf:
    """(2 atanh(s) - 2 s) / s^3 with z = s^2: sum of 2 z^k / (2k+3)."""
    total, power, k = mp.mpf(0), mp.mpf(1), 0
    while power > mp.mpf(10) ** -50:
        total += 2 * power / (2 * k + 3)
        power *= z
        k += 1
    return total


def main() -> None:
    """Print every table."""
    half_ln2 = mp.log(2) / 2 * (1 + mp.mpf(2) ** -12)
    around_zero = (-half_ln2, half_ln2)
    # Relative to e^r - 1, the smaller of the two functions that it serves.
    exponential_weight: Function = lambda r: abs(r**3 / mp.expm1(r))
    table("EXP_SINGLE", exponential, exponential_weight, around_zero, 3, single=True)
    table("EXP_SINGLE", exponential, exponential_weight, around_zero, 4, single=True)
    table("EXP_DOUBLE", exponential, exponential_weight, around_zero, 9, single=False)

    # log(1 + f) with f in [-0.293, 0.5]: s = f / (2 + f), s^2 <= 1/25.
    to_one_25th = (mp.mpf(0), mp.mpf(1) / 25)
    table("LOG_SINGLE", logarithm, lambda z: z / 2, to_one_25th, 3, single=True)
    table("LOG_DOUBLE", logarithm, lambda z: z / 2, to_one_25th, 8, single=False)

    for name, value in (("LN_2", mp.log(2)),):
        for single in (True, False):
            high = round_to(value, single)
            print(f"{name}, float{32 if single else 64}: {float(high)!r}, {float(round_to(value - high, single))!r}")


if __name__ == "__main__":
    main()
