"""How the tables of `src/math/table` came about: piecewise polynomials looked up in SIMD registers.

Run `python scripts/fit_register_tables.py [name ...]` to print the tables as they stand in the Rust
source, with the largest error of each piece in ULP of the final result (simulated in binary32 on a
sample of the piece's numbers; the Rust tests measure all of them). Needs mpmath and NumPy.

The range of `a = |x|` is cut into at most 16 pieces, on each of which the kernel computes

    r = a - b,    y = c0 + r (c1 + r (c2 + ...)),

every step one FMA, all of b, c0, c1, ... looked up by the piece's number. The last step alone rounds at
the size of the result. What is left to chance is the error of the table itself, so:

1.  b is free. Any float near the middle will do, and moving b by an ulp changes every coefficient a
    little. Of some 100,000 candidates we take those where c0, c1 and c2 all happen to be almost floats;
    c0 needs no low part then.
2.  Coefficients are rounded one after the other, lowest first, and the rest fitted again each time,
    so that a rounding error is taken up by the higher coefficients.
3.  b need not lie in the middle. The error that Horner's rule makes is that of r * q against y, and y
    may vary a lot over a piece: near the small end r must be small. The position is searched too, by
    the simulated error of the whole kernel.
4.  Where the result passes through 0 the piece is written as a leading term and a correction.
"""

from __future__ import annotations

import functools
import itertools
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

import mpmath as mp
import numpy as np

mp.mp.dps = 40

Array = np.ndarray
f32 = np.float32

ENTRIES = 16
NODES = 60
SAMPLE = 4000
FINE_SAMPLE = 60_000
FINALISTS = 8
CANDIDATES = 100_000
POSITIONS = np.linspace(0.2, 0.8, 25)


def fma(a: Array, b: Array, c: Array) -> Array:
    """`a * b + c` in binary32; rounded twice, which differs once in 2^29."""
    return f32(np.float64(a) * np.float64(b) + np.float64(c))


def ulp(y: Array) -> Array:
    """Distance of the binary32 numbers around y."""
    exponent = np.floor(np.log2(np.maximum(np.abs(y), 2.0**-126)))
    return 2.0 ** (exponent - 23)


def evaluate(f: Callable[[mp.mpf], mp.mpf], points: Array) -> Array:
    """The function at each point, to the last place of binary64."""
    return np.array([float(f(mp.mpf(float(a)))) for a in points])


@dataclass
class Piece:
    """One piece: `r = a - b`, `c[0] + r (c[1] + ...)`."""

    low: float
    high: float
    b: float
    c: list[float]
    error: float = 0.0


@dataclass
class Function:
    """What is to be fitted."""

    name: str
    intervals: list[tuple[float, float]]
    degree: int
    # The function of a that the polynomial stands for, on the interval with this number.
    target: Callable[[int], Callable[[mp.mpf], mp.mpf]]
    # One ULP of the final result as an error of the polynomial, at each a.
    unit: Callable[[int, Array], Array]
    # Largest error of the kernel, in ULP of its result, at these floats with this piece.
    simulate: Callable[[int, Array, Piece], float]
    # The table's first entry belongs to this interval.
    rotation: int = 0
    # Coefficients that are given, by interval; with any, b is 0.
    given: dict[int, list[float]] = field(default_factory=dict)
    # The polynomial also serves for `a + target`, as `(b + c0) + r (1 + c1 + ...)`.
    plus_argument: bool = False
    # Numbers of a piece that its finalists are tried on.
    fine_sample: int = FINE_SAMPLE


def fit(r: Array, values: Array, unit: Array, fixed: list[float], degree: int) -> list[float]:
    """The coefficients after the fixed ones that minimise the largest error in units (Lawson)."""
    scale = np.max(np.abs(r))
    residual = values - np.polyval(fixed[::-1], r) if fixed else values
    powers = np.arange(len(fixed), degree + 1)
    basis = (r[:, None] / scale) ** powers / unit[:, None]
    right = residual / unit
    weights = np.ones_like(r)
    best, solution = np.inf, np.zeros(len(powers))
    for _ in range(40):
        root = np.sqrt(weights)
        trial = np.linalg.lstsq(basis * root[:, None], right * root, rcond=None)[0]
        error = np.abs(basis @ trial - right)
        if error.max() < best:
            best, solution = error.max(), trial
        if error.max() == 0:
            break
        weights *= error
        weights /= weights.max()
        weights = np.maximum(weights, 1e-12)
    return list(solution / scale**powers)


def round_in_turn(r: Array, values: Array, unit: Array, given: list[float], degree: int) -> list[float]:
    """Coefficients that are floats: each rounded in turn, the higher ones fitted to what is left."""
    c = list(given)
    while len(c) <= degree:
        c.append(float(f32(fit(r, values, unit, c, degree)[0])))
    return c


def expansion_points(
    nodes: Array,
    values: Array,
    unit: Array,
    degree: int,
    centre: float,
    width: float,
    plus_argument: bool,
) -> list[float]:
    """Floats near the centre at which the first three Taylor coefficients are almost floats."""
    p = np.polynomial.Polynomial(fit(nodes - centre, values, unit, [], degree))
    first = f32(centre - 0.02 * width)
    last = f32(centre + 0.02 * width)
    span = last.view(np.uint32) - first.view(np.uint32)
    step = max(1, int(span) // CANDIDATES)
    candidates = np.arange(first.view(np.uint32), last.view(np.uint32), step, dtype=np.uint32)
    b = np.float64(candidates.view(f32))
    cost = np.zeros_like(b)
    reach = np.max(np.abs(nodes - centre))
    for k in range(3):
        taylor = p.deriv(k)(b - centre) / (1, 1, 2)[k]
        cost += np.abs(taylor - f32(taylor)) * reach**k
    if plus_argument:
        constant = np.float64(f32(p(b - centre)))
        total = b + constant
        # As large against the result as the error of the constant itself is against its own.
        cost += np.abs(total - f32(total)) * constant / total
    return list(b[np.argsort(cost)[:4]])


def fit_piece(function: Function, index: int) -> Piece:
    """The best piece found for an interval."""
    low, high = function.intervals[index]
    cosines = np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES)
    nodes = (low + high) / 2 - (high - low) / 2 * cosines
    values = evaluate(function.target(index), nodes)
    unit = function.unit(index, nodes)
    given = function.given.get(index)

    def sample(count: int) -> Array:
        return f32(np.linspace(max(low, 1e-3), high, count))

    def attempt(b: float) -> Piece:
        c = round_in_turn(nodes - b, values, unit, given or [], function.degree)
        piece = Piece(low, high, b, c)
        piece.error = function.simulate(index, sample(SAMPLE), piece)
        return piece

    def measured(piece: Piece) -> Piece:
        piece.error = function.simulate(index, sample(function.fine_sample), piece)
        return piece

    if given is not None:
        return measured(attempt(0.0))
    points = [
        b
        for position in POSITIONS
        for b in expansion_points(
            nodes,
            values,
            unit,
            function.degree,
            low + position * (high - low),
            high - low,
            function.plus_argument,
        )
    ]
    tried = sorted((attempt(b) for b in points), key=lambda piece: piece.error)
    return min((measured(piece) for piece in tried[:FINALISTS]), key=lambda piece: piece.error)


def horner(piece: Piece, r: Array) -> Array:
    """The polynomial without its constant term and without its last factor r."""
    q = np.full_like(r, f32(piece.c[-1]))
    for c in piece.c[-2:0:-1]:
        q = fma(q, r, f32(c))
    return q


def worst(y: Array, exact: Array) -> float:
    """Largest error in ULP."""
    return float(np.max(np.abs(np.float64(y) - exact) / ulp(exact)))


# ---------------------------------------------------------------------------------------------------
def logarithmic(scale: float, offset: float) -> list[tuple[float, float]]:
    """Four pieces an octave of `w = scale a + offset`, numbered by two bits each of exponent and
    significand."""
    ends = [2.0**octave * (1 + k / 4) for octave in range(4) for k in range(5)]
    pairs = itertools.pairwise(ends)
    to_a = ((max((w - offset) / scale, 0.0), (v - offset) / scale) for w, v in pairs if w < v)
    return list(to_a)


# The second piece ends where a - gelu(-a) is 1/4; see `gelu_like`.
OFFSET = 1.1145
# Bits of 1.0 shifted right by 21, modulo 16.
LOGARITHMIC_ROTATION = 12


def uniform(pieces_per_unit: float) -> list[tuple[float, float]]:
    """`pieces_per_unit * a`, rounded to the nearest integer."""
    return [(max(k - 0.5, 0.0) / pieces_per_unit, (k + 0.5) / pieces_per_unit) for k in range(ENTRIES)]


# ---------------------------------------------------------------------------------------------------
# tanh


def tanh() -> Function:
    """`tanh a`; on the first piece `a + a q`, so that q stands for `tanh(a) / a - 1`."""

    def target(index: int) -> Callable[[mp.mpf], mp.mpf]:
        return (lambda a: mp.tanh(a) - a) if index == 0 else mp.tanh

    def unit(_: int, a: Array) -> Array:
        return ulp(np.tanh(a))

    def simulate(index: int, a: Array, piece: Piece) -> float:
        r = a - f32(piece.b)
        y = fma(r, horner(piece, r), a if index == 0 else f32(piece.c[0]))
        return worst(y, np.tanh(np.float64(a)))

    # From 9.02 on the tangent is 1 to the last place.
    intervals = [i for i in logarithmic(1, OFFSET) if i[0] < 9.02]
    return Function("tanh", intervals, 6, target, unit, simulate, LOGARITHMIC_ROTATION, {0: [0.0, 0.0]})


# ---------------------------------------------------------------------------------------------------
# The logistic function and SiLU


def logistic(a: mp.mpf) -> mp.mpf:
    """`1 / (1 + e^a)`."""
    return 1 / (1 + mp.exp(a))


def sigmoid() -> Function:
    """`s(a) = 1 / (1 + e^a)`: the result for negative x; for positive x it is `1 - s`."""

    def unit(_: int, a: Array) -> Array:
        return ulp(1 / (1 + np.exp(a)))

    def simulate(_: int, a: Array, piece: Piece) -> float:
        r = a - f32(piece.b)
        s = fma(r, horner(piece, r), f32(piece.c[0]))
        e = np.exp(-np.float64(a))
        return max(worst(s, e / (1 + e)), worst(f32(1) - s, 1 / (1 + e)))

    return Function("sigmoid", uniform(1.0875), 6, lambda _: logistic, unit, simulate, 0, {0: [0.5, -0.25]})


def softplus() -> Function:
    """`f(a) = log(1 + e^-a)`: the result for negative x; for positive x it is `a + f`."""

    def target(a: mp.mpf) -> mp.mpf:
        return mp.log1p(mp.exp(-a))

    def unit(_: int, a: Array) -> Array:
        return ulp(np.log1p(np.exp(-a)))

    def simulate(_: int, a: Array, piece: Piece) -> float:
        r, b, c0 = a - f32(piece.b), f32(piece.b), f32(piece.c[0])
        q = horner(piece, r)
        exact = np.log1p(np.exp(-np.float64(a)))
        above = fma(r, q + f32(1), c0 + b)
        return max(worst(fma(r, q, c0), exact), worst(above, a + exact))

    # From 8 on every number.
    return Function(
        "softplus",
        uniform(1.0875),
        6,
        lambda _: target,
        unit,
        simulate,
        plus_argument=True,
        fine_sample=1_000_000,
    )


def silu() -> Function:
    """`n(a) = -a s(a)`, added to max(x, 0); on the first piece `a (1/2 - s(a))`, added to x / 2."""

    def target(index: int) -> Callable[[mp.mpf], mp.mpf]:
        if index == 0:
            return lambda a: a * (mp.mpf(1) / 2 - logistic(a))
        return lambda a: -a * logistic(a)

    def unit(_: int, a: Array) -> Array:
        return ulp(a / (1 + np.exp(a)))

    def simulate(index: int, a: Array, piece: Piece) -> float:
        r = a - f32(piece.b)
        n = fma(r, horner(piece, r), f32(piece.c[0]))
        lead = a * f32(0.5 if index == 0 else 1)
        e = np.exp(-np.float64(a))
        negative = n - lead if index == 0 else n
        return max(worst(negative, -a * e / (1 + e)), worst(lead + n, a / (1 + e)))

    # -0.0 and a coefficient below 0 keep the sign of a zero: the sum of n and x / 2 is -0.0 then only
    # if x is.
    return Function("silu", uniform(1), 7, target, unit, simulate, 0, {0: [-0.0, -1e-30]})


# ---------------------------------------------------------------------------------------------------
# Both GELUs: `max(x, 0) + n`, `n = -a P(-a)`, written `m(a) e^-z` with a steep factor for which
# `2^(k/16)` is looked up, and a gentle one for the polynomial.

# Everything before the last step is 2^64 times too large, to keep it normal.
SCALE = 64

# Adding it rounds to an integer.
MAGIC = f32(1.5 * 2**23)


@dataclass
class Exponential:
    """`e^(-rate z)` with `z` in two parts, as the kernels compute it."""

    rate: mp.mpf

    def __post_init__(self) -> None:
        step = mp.log(2) / 16 / self.rate
        self.per_step = f32(float(-1 / step))
        self.step = f32(float(step))
        self.step_low = f32(float(step - mp.mpf(float(self.step))))
        power = [mp.power(2, mp.mpf(j) / 16) for j in range(16)]
        self.table = [f32(float(p)) for p in power]
        self.defect = [
            f32(float((p - mp.mpf(float(t))) / mp.mpf(float(t))))
            for p, t in zip(power, self.table, strict=True)
        ]
        # (e^(-rate r) - 1) / r: over |r| <= step / 2, and a little more for the rounding of n.
        reach = float(step) * 0.501
        nodes = reach * np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES)
        values = evaluate(lambda r: mp.expm1(-self.rate * r) / r, nodes)
        self.q = round_in_turn(nodes, values, 1 / np.abs(nodes), [], 2)

    def __call__(self, z: Array, z_low: Array) -> tuple[Array, Array]:
        """`t` and `g` with `e^(-rate z) = t (1 + g)`."""
        n = fma(z, self.per_step, MAGIC) - MAGIC
        return self.power(n, fma(n, self.step, z) + fma(n, self.step_low, z_low))

    def power(self, n: Array, r: Array) -> tuple[Array, Array]:
        """The same for `z = r - n step`."""
        j = np.int64(n) % 16
        t = np.ldexp(np.take(self.table, j), (np.int64(n) - j) // 16 + SCALE)
        q = fma(fma(r, f32(self.q[2]), f32(self.q[1])), r, f32(self.q[0]))
        return f32(t), fma(r, q, np.take(self.defect, j))


def gelu_like(
    name: str,
    degree: int,
    intervals: list[tuple[float, float]],
    rotation: int,
    near_zero: int,
    power: Callable[[Array], tuple[Array, Array]],
    exponent: Callable[[mp.mpf], mp.mpf],
    tail: Callable[[mp.mpf], mp.mpf],
) -> Function:
    """`x tail(-x)`: tail(a) falls like `e^-exponent(a)`, which `power` computes as `t (1 + g)`.

    On the first few pieces n + a / 2 is fitted, and added to x / 2: elsewhere to max(x, 0). They should
    end near 0.39. Before, x - a tail(a) for positive x is below 1/4, and the error of n, half an ulp of
    1/8 and more, no longer small against half an ulp of the result; and after 0.4 the error of n + a / 2
    is not.
    """

    def part(index: int) -> Callable[[mp.mpf], mp.mpf]:
        if index < near_zero:
            return lambda a: a * (mp.mpf(1) / 2 - tail(a))
        return lambda a: -a * tail(a)

    def target(index: int) -> Callable[[mp.mpf], mp.mpf]:
        return lambda a: part(index)(a) * mp.exp(exponent(a))

    def unit(_: int, a: Array) -> Array:
        return ulp(evaluate(lambda a: a * tail(a), a)) * evaluate(lambda a: mp.exp(exponent(a)), a)

    @functools.cache
    def factors(index: int, count: int) -> tuple[Array, Array, Array]:
        a = samples[index, count]
        return *power(a), evaluate(lambda a: a * tail(a), a)

    samples: dict[tuple[int, int], Array] = {}

    def simulate(index: int, a: Array, piece: Piece) -> float:
        samples[index, len(a)] = a
        t, g, small = factors(index, len(a))
        r, c0 = a - f32(piece.b), f32(piece.c[0])
        q = horner(piece, r)
        h = fma(r, q, c0)
        u = fma(r, q, h * g)
        n = fma(t, c0, t * u)
        lead = a * f32(0.5 if index < near_zero else 1)
        down = f32(2.0**-SCALE)
        negative = fma(n, down, -lead) if index < near_zero else fma(n, down, f32(0))
        normal = small > 2.0**-125
        return max(worst(negative[normal], -small[normal]), worst(fma(n, down, lead), a - small))

    return Function(name, intervals, degree, target, unit, simulate, rotation, {0: [-0.0, -1e-30]})


# The steep factor is `2^(-n/16)` for n steps in a^2, hence `e^(-rate a^2)`. A step of 12 bits makes n times
# it exact, and the rate 1/2 but for 2e-5, which m takes up.
GAUSSIAN_STEP = mp.nint(mp.log(2) / 8 * 2**15) / 2**15
GAUSSIAN_RATE = mp.log(2) / 16 / GAUSSIAN_STEP
GAUSSIAN = Exponential(GAUSSIAN_RATE)
# Pieces are numbered by `w = a^2 + slant a + offset`, two an octave from 1 to 256: narrower than those of
# `logarithmic` near 1 and 3, wider far out. Those below 3, up to 0.38, count as near zero.
GAUSSIAN_SLANT = f32(4.5)
GAUSSIAN_OFFSET_STEPS = 13
GAUSSIAN_OFFSET = f32(GAUSSIAN_OFFSET_STEPS * GAUSSIAN.step)
GAUSSIAN_ROTATION = 14


def gelu() -> Function:
    """`x Phi(x)`: `e^(-a^2/2)`, nearly, is the steep factor."""

    def power(a: Array) -> tuple[Array, Array]:
        square = fma(a, a, GAUSSIAN_OFFSET)
        n = fma(square, GAUSSIAN.per_step, MAGIC + f32(GAUSSIAN_OFFSET_STEPS)) - MAGIC
        return GAUSSIAN.power(n, fma(a, a, n * GAUSSIAN.step))

    def end(w: float) -> float:
        half = float(GAUSSIAN_SLANT) / 2
        return float(np.sqrt(half * half + w - float(GAUSSIAN_OFFSET)) - half)

    ends = [0.0, *(end(2.0 ** (k // 2) * (1 + k % 2 / 2)) for k in range(1, ENTRIES + 1))]
    return gelu_like(
        "gelu",
        5,
        list(itertools.pairwise(ends)),
        GAUSSIAN_ROTATION,
        3,
        power,
        lambda a: GAUSSIAN_RATE * a * a,
        lambda a: mp.erfc(a / mp.sqrt(2)) / 2,
    )


# tanh-GELU: `x / (1 + e^-w)`, `w = CUBIC a (KAPPA + a^2)`.
CUBIC = 2 * mp.sqrt(2 / mp.pi) * mp.mpf("0.044715")
KAPPA = 1 / mp.mpf("0.044715")
KAPPA_HIGH = f32(float(mp.nint(KAPPA * 2**16) / 2**16))
KAPPA_LOW = f32(float(KAPPA - mp.mpf(float(KAPPA_HIGH))))
LOGISTIC_OF_CUBIC = Exponential(CUBIC)
# Pieces a quarter narrower than gelu's: 14 of them still reach to 10.8, and the second ends at 0.386.
CUBIC_SCALE = 1.295


def gelu_tanh() -> Function:
    """`x s(w)`: `e^-w` is the steep factor."""

    def power(a: Array) -> tuple[Array, Array]:
        # kappa + a^2 in two parts; KAPPA_HIGH is so short that the subtraction is exact.
        factor = fma(a, a, KAPPA_HIGH)
        factor_low = fma(a, a, KAPPA_HIGH - factor) + KAPPA_LOW
        z = a * factor
        return LOGISTIC_OF_CUBIC(z, fma(a, factor_low, fma(a, factor, -z)))

    def exponent(a: mp.mpf) -> mp.mpf:
        return CUBIC * a * (KAPPA + a * a)

    return gelu_like(
        "gelu_tanh",
        6,
        [i for i in logarithmic(CUBIC_SCALE, 1.0) if i[0] < 10.8],
        LOGARITHMIC_ROTATION,
        2,
        power,
        exponent,
        lambda a: logistic(exponent(a)),
    )


FUNCTIONS = [tanh, sigmoid, softplus, silu, gelu, gelu_tanh]


EXPONENTIALS = {
    "NATURAL": Exponential(mp.mpf(1)),
    "GAUSSIAN": GAUSSIAN,
    "CUBIC": LOGISTIC_OF_CUBIC,
}


def rust(value: float) -> str:
    """The shortest literal that rounds to this float32."""
    text = np.format_float_scientific(f32(value), trim="-")
    _, exponent = text.split("e")
    return text if abs(int(exponent)) > 4 else np.format_float_positional(f32(value), trim="0")


def print_table(indent: str, values: list[float]) -> None:
    """Four entries a line."""
    for k in range(0, ENTRIES, 4):
        print(indent + " ".join(f"{rust(value)}," for value in values[k : k + 4]))


def print_function(function: Function) -> None:
    """The tables in Rust, the largest error of each piece in ULP as comments."""
    pieces = [fit_piece(function, index) for index in range(len(function.intervals))]
    print("/// Largest error in ULP, in a sample of each piece:")
    for piece in pieces:
        print(f"/// {piece.low:.4f} to {piece.high:.4f}: {piece.error:.3f}")
    print(f"const TABLE: Piecewise<{function.degree + 1}> = Piecewise {{")
    columns = [[piece.b for piece in pieces]]
    columns += [[piece.c[k] for piece in pieces] for k in range(function.degree + 1)]
    for number, column in enumerate(columns):
        # Pieces beyond the last are constant: 1 for tanh, unused otherwise.
        column = column + [float(number == 1)] * (ENTRIES - len(column))
        column = column[ENTRIES - function.rotation :] + column[: ENTRIES - function.rotation]
        if number < 2:
            print("    points: [" if number == 0 else "    coefficients: [")
        indent = "    "
        if number > 0:
            print("        [")
            indent = "        "
        print_table(indent + "    ", column)
        print(indent + "],")
    print("    ],\n};")


def print_exponentials() -> None:
    """The constants of `exponential.rs`."""
    print("const ROUNDED: Table = [")
    print_table("    ", GAUSSIAN.table)
    print("];\nconst DEFECTS: Table = [")
    print_table("    ", GAUSSIAN.defect)
    print("];")
    for name, exponential in EXPONENTIALS.items():
        print(f"const {name}: Exponential = Exponential {{")
        print(f"    steps_per_unit: {rust(exponential.per_step)},")
        print(f"    step: {rust(exponential.step)},")
        print(f"    step_low: {rust(exponential.step_low)},")
        print(f"    slope: [{', '.join(rust(c) for c in exponential.q)}],\n}};")
    print(f"const KAPPA_HIGH: f32 = {rust(KAPPA_HIGH)};")
    print(f"const KAPPA_LOW: f32 = {rust(KAPPA_LOW)};")


if __name__ == "__main__":
    wanted = sys.argv[1:] or ["exponentials", *(make.__name__ for make in FUNCTIONS)]
    if "exponentials" in wanted:
        print_exponentials()
    for make in FUNCTIONS:
        if make.__name__ in wanted:
            print_function(make())
