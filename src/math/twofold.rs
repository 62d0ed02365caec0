//! Unevaluated sums of two lanes: `high + low`, where `low` is what rounding cut off `high`.
//!
//! The error-free transformations of Dekker, Knuth and Ogita, Rump & Oishi. They give an operation's
//! rounding error exactly, with the operations themselves; a twofold value has about twice the
//! precision of its lanes at a fraction of the price of double-double arithmetic, because
//! normalisation is left out wherever the next step does not need it.

use crate::lanes::{Lanes, Token};
use fearless_simd::prelude::*;

/// `a + b` as the rounded sum and its exact error, for `|a| >= |b|` or `a = 0`.
#[inline(always)]
pub fn fast_two_sum<S: Token, V: Lanes<S>>(a: V, b: V) -> (V, V) {
    let sum = a + b;
    (sum, b - (sum - a))
}

/// `a + b` as the rounded sum and its exact error, in any order of size.
#[inline(always)]
pub fn two_sum<S: Token, V: Lanes<S>>(a: V, b: V) -> (V, V) {
    let sum = a + b;
    let b_part = sum - a;
    (sum, (a - (sum - b_part)) + (b - b_part))
}

/// `a - b` as the rounded difference and its exact error, in any order of size.
#[inline(always)]
pub fn two_difference<S: Token, V: Lanes<S>>(a: V, b: V) -> (V, V) {
    let difference = a - b;
    let b_part = difference - a;
    (difference, (a - (difference - b_part)) - (b + b_part))
}

/// `a * b` as the rounded product and its exact error (unless it underflows).
#[inline(always)]
pub fn two_product<S: Token, V: Lanes<S>>(a: V, b: V) -> (V, V) {
    let product = a * b;
    (product, a.fma(b, -product))
}

/// The sum of two twofold values, in any order of size.
#[inline(always)]
pub fn add<S: Token, V: Lanes<S>>((a, a_low): (V, V), (b, b_low): (V, V)) -> (V, V) {
    let (sum, error) = two_sum(a, b);
    (sum, error + (a_low + b_low))
}

/// The product of two twofold values; the relative error is about `2^(3 - 2 PRECISION)`.
#[inline(always)]
pub fn multiply<S: Token, V: Lanes<S>>((a, a_low): (V, V), (b, b_low): (V, V)) -> (V, V) {
    a.token().outline(
        #[inline(always)]
        move || {
            let (product, error) = two_product(a, b);
            (product, a.fma(b_low, a_low.fma(b, error)))
        },
    )
}

/// The product of two twofold values, rounded once.
#[inline(always)]
pub fn multiply_rounded<S: Token, V: Lanes<S>>((a, a_low): (V, V), (b, b_low): (V, V)) -> V {
    a.token().outline(
        #[inline(always)]
        move || a.fma(b, a.fma(b_low, a_low * b)),
    )
}

/// `y * (high + low)`, rounded once.
#[inline(always)]
pub fn scale_rounded<S: Token, V: Lanes<S>>(y: V, (high, low): (V, V)) -> V {
    y.fma(high, y * low)
}

/// The constant `high + low`, given to 106 bits, in two lanes.
#[inline(always)]
pub fn constant<S: Token, V: Lanes<S>>(simd: S, (high, low): (f64, f64)) -> (V, V) {
    if V::PRECISION == 24 {
        let nearest = f64::from(high as f32);
        (V::lit(simd, nearest), V::lit(simd, high - nearest + low))
    } else {
        (V::lit(simd, high), V::lit(simd, low))
    }
}

/// The quotient of two twofold values, by two divisions. An infinite or zero quotient has low part 0.
#[inline(always)]
pub fn divide<S: Token, V: Lanes<S>>(simd: S, (a, a_low): (V, V), (b, b_low): (V, V)) -> (V, V) {
    simd.outline(
        #[inline(always)]
        move || {
            let quotient = a / b;
            let remainder = quotient.fma(-b, a) + quotient.fma(-b_low, a_low);
            let low = remainder / b;
            (quotient, low.is_finite().select(low, V::lit(simd, 0.0)))
        },
    )
}

/// `1 / (b + b_low)`, by one division.
#[inline(always)]
pub fn reciprocal<S: Token, V: Lanes<S>>(simd: S, (b, b_low): (V, V)) -> (V, V) {
    let one = V::lit(simd, 1.0);
    let quotient = one / b;
    let remainder = quotient.fma(-b_low, quotient.fma(-b, one));
    (quotient, remainder * quotient)
}

/// `y (a + a_low)^2`, rounded once; the square alone may be subnormal.
#[inline(always)]
pub fn times_square<S: Token, V: Lanes<S>>(y: V, (a, a_low): (V, V)) -> V {
    let (product, error) = two_product(y, a);
    product.fma(a, product.fma(a_low, y.fma(a_low, error) * a))
}
