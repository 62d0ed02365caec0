//! The logistic function `1 / (1 + e^-x)`, its derivative and its products, in parts.
//!
//! Everything is built from `e = e^-|x|`, in `(0, 1]`, and `q = 1 / (1 + e)`: nothing overflows, and no
//! `1 - s` cancels. Beyond [`parts_bound`] `1 + e` is 1, and what is proportional to `e` may be
//! subnormal: there the formulas in parts give way to the plain exponential, rounded once.
//!
//! `sigmoid` and `silu` in `f64` carry no more than their 1.5 ULP need: 30 and 36 operations for 8 values on AVX-512,
//! where carrying everything took 57 and more, and a division, which takes one of the two ports 16 cycles.

use super::exp::{LN_2, Scaled, exp, exp_parts_of_normal, parts_bound};
use super::twofold::{fast_two_sum, multiply, multiply_rounded, reciprocal, two_product};
use crate::lanes::{Lanes, Token};
use fearless_simd::prelude::*;
use fearless_simd::{f64x8, u64x8};

/// `e^-|x + x_low|` in parts, for every `x`; beyond [`parts_bound`] it no longer decreases.
#[inline(always)]
pub fn decay_low<S: Token, V: Lanes<S>>(simd: S, x: V, x_low: V) -> (V, V) {
    simd.outline(
        #[inline(always)]
        move || {
            let zero = V::lit(simd, 0.0);
            let bound = parts_bound::<S, V>(simd);
            let size = x.abs();
            let beyond = size.simd_gt(bound);
            let low = x.simd_lt(zero).select(x_low, -x_low);
            // The low part of an infinite x is NaN.
            let low = beyond.select(zero, low);
            exp_parts_of_normal(simd, -beyond.select(bound, size), low)
        },
    )
}

/// `e^-|x|`, as [`decay_low`].
#[inline(always)]
pub fn decay<S: Token, V: Lanes<S>>(simd: S, x: V) -> (V, V) {
    let bound = parts_bound::<S, V>(simd);
    let size = x.abs();
    let size = size.simd_gt(bound).select(bound, size);
    exp_parts_of_normal(simd, -size, V::lit(simd, 0.0))
}

/// `1 / (1 + e)`, for `e` from 0 to 1.
#[inline(always)]
pub fn reciprocal_of_one_plus<S: Token, V: Lanes<S>>(simd: S, e: (V, V)) -> (V, V) {
    simd.outline(
        #[inline(always)]
        move || {
            let (sum, error) = fast_two_sum(V::lit(simd, 1.0), e.0);
            reciprocal(simd, (sum, error + e.1))
        },
    )
}

/// Where `x` is positive `1`, elsewhere `e`: the numerator of the logistic function.
#[inline(always)]
pub fn numerator<S: Token, V: Lanes<S>>(simd: S, x: V, e: (V, V)) -> (V, V) {
    let zero = V::lit(simd, 0.0);
    let negative = x.simd_lt(zero);
    (
        negative.select(e.0, V::lit(simd, 1.0)),
        negative.select(e.1, zero),
    )
}

/// `2^(j/16)`, rounded, the bits of `j << 48` subtracted: adding `n << 48` for `n = 16 k + j` gives `2^(n/16)`.
const POWERS: [f64; 16] = {
    let mut table = ROUNDED;
    let mut j = 0;
    while j < 16 {
        table[j] = f64::from_bits(ROUNDED[j].to_bits() - ((j as u64) << 48));
        j += 1;
    }
    table
};

/// `2^(j/16)`, rounded.
#[allow(clippy::approx_constant)] // table entry 8, not a use of sqrt(2)
const ROUNDED: [f64; 16] = [
    1.0,
    1.0442737824274138,
    1.0905077326652577,
    1.1387886347566916,
    1.189207115002721,
    1.241857812073484,
    1.2968395546510096,
    1.3542555469368927,
    1.4142135623730951,
    1.4768261459394993,
    1.5422108254079407,
    1.6104903319492543,
    1.681792830507429,
    1.7562521603732995,
    1.8340080864093424,
    1.9152065613971474,
];

/// `ln 2 / 16` in two parts.
const STEP: (f64, f64) = (LN_2.0 / 16.0, LN_2.1 / 16.0);

/// `(e^r - 1 - r) / r^2` for `|r| <= ln 2 / 32`: error `2^-56.2` relative to `e^r` (minimax).
const GROWTH: [f64; 5] = [
    0.49999999999999606,
    0.1666666666441347,
    0.0416666666933031,
    0.008333472059377445,
    0.0013888593771650437,
];

/// What rounding took from them: `2^(j/16) = ROUNDED[j] (1 + DEFECTS[j])`.
const DEFECTS: [f64; 16] = [
    0.0,
    8.189317638195515e-17,
    -2.7939114859515733e-17,
    7.826573258636076e-17,
    3.3484623336251524e-17,
    3.750854201303127e-17,
    1.9572585293112036e-17,
    5.68648095791174e-17,
    -6.835808657661922e-17,
    -2.3591094770850053e-17,
    5.1548301170786783e-17,
    1.5341410053603723e-17,
    4.875160526227062e-17,
    1.685487290628973e-17,
    1.790126907604513e-17,
    -5.545065618639427e-17,
];

/// `1 / (1 + e^-x)`; at most 1.4 ULP, 1.33 as measured.
///
/// With `e = e^-|x|`, a power of two from a table times a small growth, it is `1` or `e` divided by `1 + e`. The
/// table's rounding counts most, where `e` is just above a power of two and the result below: 0.72 ULP. The
/// growth's errors come to 0.12, the last rounding to 0.5, the quotient's remainder to 0.06.
#[inline(always)]
pub fn sigmoid<S: Token>(simd: S, x: f64x8<S>) -> f64x8<S> {
    simd.outline(
        #[inline(always)]
        move || {
            let zero = f64x8::splat(simd, 0.0);
            let e = decay_by_table(
                simd,
                x,
                #[inline(always)]
                |r, _| r,
            );
            let negative = x.simd_lt(zero);
            let one = f64x8::splat(simd, 1.0);
            let y = over_one_plus(
                simd,
                negative.select(e.0, one),
                negative.select(e.1, zero),
                e,
            );
            let below = x.simd_lt(-parts_bound::<S, f64x8<S>>(simd));
            if below.any_true() {
                return below.select(exp(simd, x), y);
            }
            y
        },
    )
}

/// `x / (1 + e^-x)`, for `|x|` up to [`parts_bound`]: 0.67 ULP as measured.
///
/// As [`sigmoid`], the numerator being `x` or `x e`. The result may be as small in its binade as it likes, so the
/// table's rounding would count with 0.74 ULP: it is made good.
#[inline(always)]
pub fn silu<S: Token>(simd: S, x: f64x8<S>) -> f64x8<S> {
    simd.outline(
        #[inline(always)]
        move || {
            let zero = f64x8::splat(simd, 0.0);
            let e = decay_by_table(
                simd,
                x,
                #[inline(always)]
                |r, index| r + simd.lookup_f64(&DEFECTS, index),
            );
            let negative = x.simd_lt(zero);
            let factor = negative.select(e.0, f64x8::splat(simd, 1.0));
            let (numerator, error) = two_product(x, factor);
            let numerator_low = x.fma(negative.select(e.1, zero), error);
            // -0.0 loses its sign to the remainder.
            over_one_plus(simd, numerator, numerator_low, e).copysign(x)
        },
    )
}

/// `e^-|x|` in two parts, the second of 13 bits or so, for every `x`; beyond [`parts_bound`] it no longer
/// decreases. NaN stays. `growth` gives the leading term of the growth: `r`, perhaps with the power's defect.
#[inline(always)]
fn decay_by_table<S: Token>(
    simd: S,
    x: f64x8<S>,
    growth: impl Fn(f64x8<S>, u64x8<S>) -> f64x8<S>,
) -> (f64x8<S>, f64x8<S>) {
    let lit = |value| f64x8::splat(simd, value);
    let z = (-x.abs()).larger(-parts_bound::<S, f64x8<S>>(simd));
    let magic = lit(6755399441055744.0);
    let shifted = z.fma(lit(16.0 * std::f64::consts::LOG2_E), magic);
    let n = shifted - magic;
    // The first is exact: both terms are multiples of the step's last place, or n is 0 or 1.
    let r = n.fma(lit(-STEP.1), n.fma(lit(-STEP.0), z));
    let index = shifted.to_bits();
    let power = f64x8::from_bits(simd.lookup_f64(&POWERS, index).to_bits() + (index << 48));
    let square = r * r;
    let [c2, c3, c4, c5, c6] = GROWTH.map(lit);
    let cubic = r.fma(c3, c2);
    let rest = square.fma(c6, r.fma(c5, c4));
    let growth = square.fma(square.fma(rest, cubic), growth(r, index));
    let e = power.fma(growth, power);
    (e, power.fma(growth, power - e))
}

/// The numerator in two parts divided by `1 + e`. What rounding the divisor and the quotient loses, the quotient's
/// remainder gives back; it is divided by `1 + e` as well, by a line within 4.3 % of that.
#[inline(always)]
fn over_one_plus<S: Token>(
    simd: S,
    numerator: f64x8<S>,
    numerator_low: f64x8<S>,
    (e, e_low): (f64x8<S>, f64x8<S>),
) -> f64x8<S> {
    let lit = |value| f64x8::splat(simd, value);
    let one = lit(1.0);
    let divisor = one + e;
    let divisor_low = (e - (divisor - one)) + e_low;
    let quotient = numerator / divisor;
    let remainder = quotient.fma(-divisor, numerator) + numerator_low;
    let remainder = quotient.fma(-divisor_low, remainder);
    remainder.fma(e.fma(lit(-0.5), lit(0.957)), quotient)
}

/// `dy / (1 + e^-(x + x_low))`, also where the second factor alone would be subnormal.
#[inline(always)]
pub fn times_sigmoid<S: Token, V: Lanes<S>>(simd: S, dy: V, x: V, x_low: V) -> V {
    simd.outline(
        #[inline(always)]
        move || {
            let e = decay_low(simd, x, x_low);
            let q = reciprocal_of_one_plus(simd, e);
            let y = dy * multiply_rounded(numerator(simd, x, e), q);
            let below = x.simd_lt(-parts_bound::<S, V>(simd));
            if below.any_true() {
                return below.select(Scaled::exp(simd, x, x_low).times(simd, dy), y);
            }
            y
        },
    )
}

/// `dy scale e / (1 + e)^2`: `dy` times a multiple of the derivative of the logistic function at `x`, the
/// scale a power of two.
#[inline(always)]
pub fn times_sigmoid_derivative<S: Token, V: Lanes<S>>(simd: S, dy: V, x: V, scale: f64) -> V {
    simd.outline(
        #[inline(always)]
        move || {
            let zero = V::lit(simd, 0.0);
            let scale = V::lit(simd, scale);
            let e = decay(simd, x);
            let q = reciprocal_of_one_plus(simd, e);
            let y = dy * (scale * multiply_rounded(multiply(e, q), q));
            let outside = x.abs().simd_gt(parts_bound::<S, V>(simd));
            if outside.any_true() {
                let exponential = Scaled::exp(simd, -x.abs(), zero).multiply((scale, zero));
                return outside.select(exponential.times(simd, dy), y);
            }
            y
        },
    )
}

/// `e^x` for `x` below `-`[`parts_bound`], and `x` itself, kept from infinity: the factors of a function
/// that goes like `x e^x` there, underflow included.
#[inline(always)]
pub fn tail<S: Token, V: Lanes<S>>(simd: S, x: V) -> (Scaled<V>, V) {
    simd.outline(
        #[inline(always)]
        move || {
            let least = V::lit(simd, -2000.0);
            let x = x.simd_lt(least).select(least, x);
            (Scaled::exp(simd, x, V::lit(simd, 0.0)), x)
        },
    )
}
