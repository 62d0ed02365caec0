//! `log` and `log1p`, rounded and in parts.
//!
//! `log(1 + f) = 2 atanh(s)` with `s = f / (2 + f)`: `2 s` is carried as the quotient and what the
//! division left (the remainder is exact, and `1 / (2 + f) = (1 - s) / 2` saves a second division),
//! the rest of the odd series, at most 1/75 of it, is a polynomial in `s^2`. An argument outside
//! `[sqrt 1/2, sqrt 2]` is first divided by a power of two, `k ln 2` added to the result; inside it
//! `k = 0`, so that nothing cancels near 1.

use super::exp::ln_2;
use super::polynomial::{by_precision, horner};
use super::twofold::{fast_two_sum, two_product, two_sum};
use crate::lanes::{Lanes, Token};
use fearless_simd::f64x8;
use fearless_simd::prelude::*;

/// `(2 atanh(s) - 2 s) / s^3` in `s^2` for `|s| <= 1/5`; error `2^-33.3` relative to `2 s`.
const SERIES_SINGLE: [f64; 4] = [
    0.6666666269302368,
    0.4000086188316345,
    0.2850712835788727,
    0.24098517000675201,
];

/// The same; error `2^-59.9`.
const SERIES_DOUBLE: [f64; 9] = [
    0.6666666666666666,
    0.39999999999999214,
    0.28571428571698443,
    0.22222222176754464,
    0.18181822510076365,
    0.15384367032818347,
    0.13342081325717717,
    0.11580335366565722,
    0.12636054777554562,
];

/// `log(1 + f + f_low) = high + low` for `f` from `sqrt 1/2 - 1` to `1/2`, the error relative to it
/// about `2^-29` (`f32`) or `2^-58` (`f64`), however small `f` is. `high` is not the rounded sum.
#[inline(always)]
fn log1p_near_zero<S: Token, V: Lanes<S>>(simd: S, f: V, f_low: V) -> (V, V) {
    let (divisor, divisor_low) = fast_two_sum(V::lit(simd, 2.0), f);
    let s = f / divisor;
    let remainder = s.fma(-divisor, f);
    let remainder = s.fma(-(divisor_low + f_low), remainder + f_low);
    // 2 remainder / divisor
    let correction = s.fma(-remainder, remainder);
    let square = s * s;
    let series: &[f64] = by_precision::<S, V, _>(&SERIES_SINGLE, &SERIES_DOUBLE);
    let low = (square * s).fma(horner(simd, square, series), correction);
    (s + s, low)
}

/// `log(1 + x + x_low) = high + low` for `x` from 0 to 1: what `log(1 + e^-|x|)` needs.
///
/// The error relative to it is about `2^-29` (`f32`) or `2^-58` (`f64`); `high` is not the rounded sum.
#[inline(always)]
pub fn log1p_parts<S: Token, V: Lanes<S>>(simd: S, x: V, x_low: V) -> (V, V) {
    simd.outline(
        #[inline(always)]
        move || {
            let zero = V::lit(simd, 0.0);
            let half = V::lit(simd, 0.5);
            // Above 1/2: log(1 + x) = ln 2 + log(1 + (x - 1) / 2); x - 1 is exact.
            let large = x.simd_gt(half);
            let f = large.select(x.fma(half, -half), x);
            let f_low = large.select(half * x_low, x_low);
            let (ln2, ln2_low) = ln_2::<S, V>(simd);
            let (high, low) = log1p_near_zero(simd, f, f_low);
            let (sum, error) = fast_two_sum(large.select(ln2, zero), high);
            (sum, low + (error + large.select(ln2_low, zero)))
        },
    )
}

/// `log((1 + f + f_low) 2^k)` in parts; `f` as in [`log1p_near_zero`].
#[inline(always)]
fn log_scaled<S: Token, V: Lanes<S>>(simd: S, f: V, f_low: V, k: V) -> (V, V) {
    let (ln2, ln2_low) = ln_2::<S, V>(simd);
    let (high, low) = log1p_near_zero(simd, f, f_low);
    let (product, product_error) = two_product(k, ln2);
    let (sum, error) = fast_two_sum(product, high);
    (sum, low + (error + k.fma(ln2_low, product_error)))
}

/// `log x`, rounded: at most 0.54 ULP. NaN for `x < 0`, `-inf` for 0.
#[inline(always)]
pub fn log<S: Token, V: Lanes<S>>(simd: S, x: V) -> V {
    simd.outline(
        #[inline(always)]
        move || {
            let zero = V::lit(simd, 0.0);
            let infinity = V::lit(simd, f64::INFINITY);
            // A subnormal argument is made normal by 2^PRECISION.
            let scale = V::lit(simd, (1_u64 << V::PRECISION) as f64);
            let least_normal =
                by_precision::<S, V, _>(f64::from(f32::MIN_POSITIVE), f64::MIN_POSITIVE);
            let subnormal = x.simd_lt(V::lit(simd, least_normal));
            let shift = subnormal.select(V::lit(simd, -f64::from(V::PRECISION)), zero);
            let split = Split::new(simd, subnormal.select(x * scale, x));
            let (high, low) = log_scaled(simd, split.fraction, zero, split.k + shift);
            let y = high + low;
            let inside = x.simd_gt(zero) & x.simd_lt(infinity);
            if inside.all_true() {
                return y;
            }
            // sqrt gives NaN below 0 and infinity at infinity.
            let limit = x.simd_eq(zero).select(-infinity, x.sqrt());
            inside.select(y, limit)
        },
    )
}

/// `log(x + x_low) = high + low`, normalised, for any `x` from 0 to infinity, `x_low` being what rounding
/// cut off it; the error is about `2^-29` (`f32`) or `2^-58` (`f64`), relative to it.
#[inline(always)]
pub fn log_parts<S: Token, V: Lanes<S>>(simd: S, x: V, x_low: V) -> (V, V) {
    simd.outline(
        #[inline(always)]
        move || {
            let zero = V::lit(simd, 0.0);
            let infinity = V::lit(simd, f64::INFINITY);
            let scale = V::lit(simd, (1_u64 << V::PRECISION) as f64);
            let least_normal =
                by_precision::<S, V, _>(f64::from(f32::MIN_POSITIVE), f64::MIN_POSITIVE);
            let subnormal = x.simd_lt(V::lit(simd, least_normal));
            let shift = subnormal.select(V::lit(simd, -f64::from(V::PRECISION)), zero);
            let split = Split::new(simd, subnormal.select(x * scale, x));
            // What a large x lost is nothing to it, and its 2^-k may be out of range.
            let f_low = subnormal.select(x_low * scale, x_low) * split.scale;
            let moderate = split.k.simd_lt(V::lit(simd, 100.0));
            let f_low = moderate.select(f_low, zero);
            let (high, low) = log_scaled(simd, split.fraction, f_low, split.k + shift);
            let (high, low) = fast_two_sum(high, low);
            let limit = x.simd_eq(zero).select(-infinity, infinity);
            let inside = x.simd_gt(zero) & x.simd_lt(infinity);
            (inside.select(high, limit), inside.select(low, zero))
        },
    )
}

/// `2 atanh(s) = 2 s + s^3 p(s^2)` for `|s| <= 1/5`: the polynomial at `square = s^2`.
#[inline(always)]
pub fn atanh_tail<S: Token, V: Lanes<S>>(simd: S, square: V) -> V {
    let series: &[f64] = by_precision::<S, V, _>(&SERIES_SINGLE, &SERIES_DOUBLE);
    horner(simd, square, series)
}

/// `log(1 + x)` for every `x`, rounded: at most 0.58 ULP, of tiny and subnormal results too. NaN for
/// `x < -1`, `-inf` for -1.
#[inline(always)]
pub fn log1p<S: Token, V: Lanes<S>>(simd: S, x: V) -> V {
    simd.outline(
        #[inline(always)]
        move || {
            let one = V::lit(simd, 1.0);
            let zero = V::lit(simd, 0.0);
            let infinity = V::lit(simd, f64::INFINITY);
            let (u, u_low) = two_sum(one, x);
            let split = Split::new(simd, u);
            let near_one = split.k.simd_eq(zero);
            let f = near_one.select(x, split.fraction);
            // What 1 + x lost is nothing to a large x, whose 2^-k may be out of range.
            let moderate = split.k.simd_lt(V::lit(simd, 100.0)) & !near_one;
            let f_low = moderate.select(u_low * split.scale, zero);
            let (high, low) = log_scaled(simd, f, f_low, split.k);
            let y = (high + low).copysign(x);
            let inside = x.simd_gt(-one) & x.simd_lt(infinity);
            if inside.all_true() {
                return y;
            }
            // log(inf) = inf; sqrt gives NaN below -1; 1 + x = 0 at -1.
            let limit = x.simd_eq(-one).select(-infinity, u.sqrt());
            inside.select(y, limit)
        },
    )
}

/// `log(1 + x + x_low)` in parts, as [`log_parts`], for every `x` that is not negative: the error is relative
/// to the result however small `x` is.
#[inline(always)]
pub fn log1p_parts_of_positive<S: Token, V: Lanes<S>>(simd: S, x: V, x_low: V) -> (V, V) {
    simd.outline(
        #[inline(always)]
        move || {
            let zero = V::lit(simd, 0.0);
            let (u, u_low) = two_sum(V::lit(simd, 1.0), x);
            let split = Split::new(simd, u);
            let near_one = split.k.simd_eq(zero);
            let f = near_one.select(x, split.fraction);
            let moderate = split.k.simd_lt(V::lit(simd, 100.0)) & !near_one;
            let f_low =
                near_one.select(x_low, moderate.select((u_low + x_low) * split.scale, zero));
            let (high, low) = log_scaled(simd, f, f_low, split.k);
            let (high, low) = fast_two_sum(high, low);
            let inside = x.simd_lt(V::lit(simd, f64::INFINITY));
            (inside.select(high, x), inside.select(low, zero))
        },
    )
}

/// `log(1 + x)` of `f64` lanes for `x` that is not negative, to be rounded to `f32`: the error is `2^-33`, relative
/// to it however small `x` is.
#[inline(always)]
pub(crate) fn log1p_short<S: Token>(simd: S, x: f64x8<S>) -> f64x8<S> {
    simd.outline(
        #[inline(always)]
        move || {
            let one = f64x8::splat(simd, 1.0);
            let split = Split::new(simd, one + x);
            let near_one = split.k.simd_eq(f64x8::splat(simd, 0.0));
            let f = near_one.select(x, split.fraction);
            let s = f / (f + f64x8::splat(simd, 2.0));
            let square = s * s;
            let tail = (square * s) * horner(simd, square, &SERIES_SINGLE);
            let ln2 = f64x8::splat(simd, std::f64::consts::LN_2);
            let y = Lanes::fma(split.k, ln2, (s + s) + tail);
            // Infinity and NaN.
            x.simd_lt(f64x8::splat(simd, f64::INFINITY)).select(y, x)
        },
    )
}

/// `u = (1 + fraction) 2^k`, with `1 + fraction` between `sqrt 1/2` and `sqrt 2`.
struct Split<V> {
    fraction: V,
    k: V,
    /// `2^-k`, for `k` below 127 or 1023.
    scale: V,
}

impl<V> Split<V> {
    /// For a normal positive `u`.
    #[inline(always)]
    fn new<S: Token>(simd: S, u: V) -> Self
    where
        V: Lanes<S>,
    {
        let mantissa_bits = V::PRECISION - 1;
        let sqrt_half = by_precision::<S, V, _>(
            u64::from(std::f32::consts::FRAC_1_SQRT_2.to_bits()),
            std::f64::consts::FRAC_1_SQRT_2.to_bits(),
        );
        let one = by_precision::<S, V, _>(u64::from(1.0_f32.to_bits()), 1.0_f64.to_bits());
        let one_bits = V::bits(simd, one);
        // k + bias: the exponent field after sqrt 1/2 is moved to the beginning of an octave.
        let biased = (u.to_bits() + V::bits(simd, one.wrapping_sub(sqrt_half))) >> mantissa_bits;
        let exponent = biased << mantissa_bits;
        let significand = V::from_bits(u.to_bits() - exponent + one_bits);
        let scale = V::from_bits(one_bits + one_bits - exponent);
        // An integer becomes a float as the last digits of 2^(PRECISION - 1).
        let unit = V::lit(simd, (1_u64 << mantissa_bits) as f64);
        let bias = by_precision::<S, V, _>(127.0, 1023.0);
        let digits = V::from_bits(biased | unit.to_bits());
        Self {
            fraction: significand - V::lit(simd, 1.0),
            k: digits - (unit + V::lit(simd, bias)),
            scale,
        }
    }
}
