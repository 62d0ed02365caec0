"""Fit the polynomials of ``src/math/erf.rs`` and print them as Rust tables.

The scaled tail of the normal distribution, ``M(a) = Phi(-a) exp(a^2 / 2)``, falls smoothly from 1/2 to
``1 / (a sqrt(2 pi))``. So ``Q = (a + C) M(a)`` with ``C = 29/32`` stays within an eighth of ``C / 2`` for
every ``a >= 0``. With ``w = 2 a / (a + K)``, which maps ``[0, inf]`` to ``[0, 2]``,
``Q = C / 2 + w p(w - 1)``.

The printed error is relative, for the coefficients as rounded to the lane type.

Needs mpmath: ``python scripts/fit_normal_tail.py``.
"""

from collections.abc import Callable, Sequence

from mpmath import cos, erf, erfc, exp, log, matrix, mp, mpf, pi, qr_solve, sqrt, workprec

mp.prec = 240

C = mpf(29) / 32

Function = Callable[[mpf], mpf]


def rounded(value: mpf, precision: int) -> mpf:
    """Return the nearest number of ``precision`` bits."""
    with workprec(precision):
        return +value


def fit(f: Function, weight: Function, low: mpf, high: mpf, degree: int, precision: int) -> list[mpf]:
    """Return the coefficients, of ``precision`` bits, of a polynomial close to ``f``.

    Weighted least squares at the Chebyshev nodes. Each coefficient is rounded before those after it
    are fitted, which so take up most of its rounding error.
    """
    count = 3 * degree
    nodes = [(low + high) / 2 + (high - low) / 2 * cos(pi * (2 * i + 1) / (2 * count)) for i in range(count)]
    weights = [weight(x) for x in nodes]
    rest = [f(x) for x in nodes]
    coefficients: list[mpf] = []
    for order in range(degree + 1):
        powers = range(order, degree + 1)
        rows = [[w * x**power for power in powers] for w, x in zip(weights, nodes, strict=True)]
        target = [w * y for w, y in zip(weights, rest, strict=True)]
        solution, _ = qr_solve(matrix(rows), matrix(target))
        coefficients.append(rounded(solution[0], precision))
        rest = [y - coefficients[-1] * x**order for x, y in zip(nodes, rest, strict=True)]
    return coefficients


def evaluate(coefficients: Sequence[mpf], x: mpf) -> mpf:
    """Evaluate a polynomial by Horner's rule."""
    result = mpf(0)
    for c in reversed(coefficients):
        result = result * x + c
    return result


def table(
    name: str,
    meaning: str,
    f: Function,
    factor: Function,
    leading: mpf,
    interval: tuple[mpf, mpf],
    degree: int,
    precision: int,
) -> None:
    """Fit and print the polynomial ``p`` in ``f(x) = leading + factor(x) p(x)``."""
    low, high = interval
    coefficients = fit(
        lambda x: (f(x) - leading) / factor(x),
        lambda x: factor(x) / f(x),
        low,
        high,
        degree,
        precision,
    )
    points = [low + (high - low) * mpf(i) / 1000 for i in range(1, 1001)]
    fitted = [leading + factor(x) * evaluate(coefficients, x) for x in points]
    error = max(abs(y / f(x) - 1) for x, y in zip(points, fitted, strict=True))
    share = max(abs(1 - leading / f(x)) for x in points)
    print(f"/// {meaning}; error `2^{float(log(error, 2)):.1f}`.")
    print(f"/// The leading constant is within {float(share):.2f} of the sum.")
    print(f"const {name}: [f64; {len(coefficients)}] = [")
    for c in coefficients:
        print(f"    {float(c)!r},")
    print("];\n")


def scaled_tail(a: mpf) -> mpf:
    """Return ``Phi(-a) exp(a^2 / 2)``."""
    return erfc(a / sqrt(mpf(2))) * exp(a * a / 2) / 2


def tail_in_v(centre: mpf) -> Function:
    """Return ``Q`` as a function of ``v = w - 1``."""

    def function(v: mpf) -> mpf:
        a = centre * (1 + v) / (1 - v)
        return (a + C) * scaled_tail(a)

    return function


def erf_over_x(square: mpf) -> mpf:
    """Return ``erf(x) / x`` as a function of ``x^2``."""
    x = sqrt(square)
    return erf(x) / x


def main() -> None:
    """Print all tables."""
    lanes = (
        ("SINGLE", 24, mpf("4.5"), mpf(15), 10, 3),
        ("DOUBLE", 53, mpf("5.5"), mpf(39), 23, 8),
    )
    for suffix, precision, centre, end, tail_degree, erf_degree in lanes:
        table(
            f"TAIL_{suffix}",
            f"`p` for `K = {float(centre)}`, `a <= {int(end)}`",
            tail_in_v(centre),
            lambda v: 1 + v,
            C / 2,
            (mpf(-1), (end - centre) / (end + centre)),
            tail_degree,
            precision,
        )
        table(
            f"ERF_{suffix}",
            "`(erf(x) / x - 2 / sqrt(pi)) / x^2` in `x^2`, `|x| <= 1/2`",
            erf_over_x,
            lambda square: square,
            2 / sqrt(pi),
            (mpf("1e-9"), mpf("0.25")),
            erf_degree,
            precision,
        )


if __name__ == "__main__":
    main()
