//! The logistic function `1 / (1 + e^-x)`, its derivative and its products, in parts.
//!
//! Everything is built from `e = e^-|x|`, in `(0, 1]`, and `q = 1 / (1 + e)`: nothing overflows, and no
//! `1 - s` cancels. Beyond [`parts_bound`] `1 + e` is 1, and what is proportional to `e` may be
//! subnormal: there the formulas in parts give way to the plain exponential, rounded once.
//!
//! Cost, of `sigmoid` in `f64` on AVX-512: 57 operations for 8 values, two a cycle, and a division, which takes
//! one of the two ports 16 cycles: 37 at the least on Sapphire Rapids, 41 as measured. A logistic function that
//! carries no low parts takes 32 there (PyTorch's).

use super::exp::{Scaled, exp, exp_parts_of_normal, parts_bound};
use super::twofold::{fast_two_sum, multiply, multiply_rounded, reciprocal};
use crate::lanes::{Lanes, Token};
use fearless_simd::prelude::*;

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

/// `1 / (1 + e^-x)`, rounded once.
#[inline(always)]
pub fn sigmoid<S: Token, V: Lanes<S>>(simd: S, x: V) -> V {
    simd.outline(
        #[inline(always)]
        move || {
            let e = decay(simd, x);
            let q = reciprocal_of_one_plus(simd, e);
            let y = multiply_rounded(numerator(simd, x, e), q);
            let below = x.simd_lt(-parts_bound::<S, V>(simd));
            if below.any_true() {
                return below.select(exp(simd, x), y);
            }
            y
        },
    )
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
