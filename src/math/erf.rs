//! The tail of the normal distribution, scaled so that it does not underflow, and the error function.
//!
//! `M(a) = Phi(-a) e^(a^2/2)` for `a >= 0`: then `Phi(-a) = M(a) e^(-a^2/2)` and
//! `Phi(a) = 1 - Phi(-a)` keep their relative accuracy everywhere, which `1 + erf` does not.
//! `(a + C) M(a)` stays within an eighth of `C / 2` for every `a`, and in a variable that maps `[0, inf]`
//! to a finite interval one polynomial serves them all (after Schonfelder 1978, and Shepherd and
//! Laframboise 1981): no table, no case distinction. The variable is `w = 2 a / (a + K)`, and
//! `(a + C) M(a) = C / 2 + w p(w - 1)`: exact at 0, and the rounding errors of `w` and `p` count an eighth.
//!
//! The tables are written by `scripts/fit_normal_tail.py`.

use super::exp::exp_parts;
use super::polynomial::{by_precision, horner};
use super::twofold::{constant, fast_two_sum, multiply, two_product, two_sum};
use crate::lanes::{Lanes, Token};
use fearless_simd::prelude::*;

/// `C`, which keeps `(a + C) M(a)` closest to its value at 0.
const OFFSET: f64 = 29.0 / 32.0;

/// `p` for `K = 4.5`, `a <= 15`; error `2^-30.3`.
/// The leading constant is within 0.09 of the sum.
const TAIL_SINGLE: [f64; 11] = [
    0.0053433384746313095,
    -0.08518043160438538,
    0.09770350158214569,
    -0.07149327546358109,
    0.03731927275657654,
    -0.013191265054047108,
    0.002202412812039256,
    0.0005407030694186687,
    -0.00038694514660164714,
    1.3316937838681042e-05,
    3.9232974813785404e-05,
];

/// `p` for `K = 5.5`, `a <= 39`; error `2^-60.5`.
/// The leading constant is within 0.11 of the sum.
const TAIL_DOUBLE: [f64; 24] = [
    -0.00249211640152447,
    -0.07341261365275821,
    0.09919476545214445,
    -0.08928673844364166,
    0.06288797747121135,
    -0.03579106216258175,
    0.0162417719451996,
    -0.005517269919542337,
    0.001125381824730102,
    5.185476409163625e-05,
    -0.00012826192960312284,
    3.432781398729204e-05,
    5.00009792485268e-06,
    -5.2424251920942975e-06,
    4.426685459291029e-07,
    6.080633774780399e-07,
    -1.468360088589182e-07,
    -6.944163151557011e-08,
    2.7428025252631276e-08,
    8.895830899686991e-09,
    -4.303875820666299e-09,
    -1.3499826478959105e-09,
    4.6556812512088733e-10,
    1.7832579471716875e-10,
];

/// `(erf(x) / x - 2 / sqrt(pi)) / x^2` in `x^2`, `|x| <= 1/2`; error `2^-29.3`.
/// The leading constant is within 0.08 of the sum.
const ERF_SINGLE: [f64; 4] = [
    -0.37612617015838623,
    0.11282945424318314,
    -0.026763737201690674,
    0.0047296397387981415,
];

/// `(erf(x) / x - 2 / sqrt(pi)) / x^2` in `x^2`, `|x| <= 1/2`; error `2^-63.7`.
/// The leading constant is within 0.08 of the sum.
const ERF_DOUBLE: [f64; 9] = [
    -0.37612638903183754,
    0.11283791670955179,
    -0.02686617064511234,
    0.005223977624112485,
    -0.0008548326733844628,
    0.00012055300357570283,
    -1.4923532553368503e-05,
    1.6381993894557944e-06,
    -1.471268134660818e-07,
];

/// `2 / sqrt(pi)`.
pub const TWO_OVER_SQRT_PI: (f64, f64) = (std::f64::consts::FRAC_2_SQRT_PI, 1.533545961316588e-17);

/// Below this `erf(x)` is `2 x / sqrt(pi)`.
const MINUTE: f64 = 1.0 / (1_u64 << 60) as f64;

/// The square root of 2.
const SQRT_2: (f64, f64) = (std::f64::consts::SQRT_2, -9.667293313452913e-17);

/// `M(a + a_low) = high + low`, for `a` from 0 to 15 (`f32`) or 39 (`f64`); harmless up to 60.
#[inline(always)]
pub fn scaled_normal_tail<S: Token, V: Lanes<S>>(simd: S, a: V, a_low: V) -> (V, V) {
    simd.outline(
        #[inline(always)]
        move || {
            let one = V::lit(simd, 1.0);
            let centre = V::lit(simd, by_precision::<S, V, _>(4.5, 5.5));
            let table: &[f64] = by_precision::<S, V, _>(&TAIL_SINGLE, &TAIL_DOUBLE);
            let w = (a + a) / (a + centre);
            let p = horner(simd, w - one, table);
            let (sum, error) = fast_two_sum(V::lit(simd, OFFSET / 2.0), w * p);

            // The quotient by a + C, and the remainder it leaves.
            let (divisor, divisor_error) = two_sum(a, V::lit(simd, OFFSET));
            let divisor_low = divisor_error + a_low;
            let reciprocal = one / divisor;
            let high = sum * reciprocal;
            let remainder = high.fma(-divisor, sum) + high.fma(-divisor_low, error);
            (high, remainder * reciprocal)
        },
    )
}

/// `e^(-a^2/2)`, and with it the exponent `-a^2/2`, each in two parts; see [`exp_parts`].
#[inline(always)]
pub fn half_square<S: Token, V: Lanes<S>>(simd: S, a: V) -> (V, V) {
    let minus_half = V::lit(simd, -0.5);
    let (square, square_low) = two_product(a, a);
    (square * minus_half, square_low * minus_half)
}

/// The error function: at most 0.75 ULP where it is subnormal, less elsewhere. -0.0 for -0.0.
#[inline(always)]
pub fn erf<S: Token, V: Lanes<S>>(simd: S, x: V) -> V {
    simd.outline(
        #[inline(always)]
        move || {
            let zero = V::lit(simd, 0.0);
            // From 4 (6) on erf is 1.
            let limit = V::lit(simd, by_precision::<S, V, _>(4.0, 6.0));
            let size = x.abs();
            let a = size.simd_gt(limit).select(limit, size);

            // |x| < 1/2: x (c + x^2 p(x^2)), the product with c carried exactly; its error would underflow
            // where x is minute.
            let table: &[f64] = by_precision::<S, V, _>(&ERF_SINGLE, &ERF_DOUBLE);
            let square = a * a;
            let minute = a.simd_lt(V::lit(simd, MINUTE));
            let scaled = a * minute.select(V::lit(simd, 1.0 / MINUTE), V::lit(simd, 1.0));
            let (c, c_low) = constant(simd, TWO_OVER_SQRT_PI);
            let (product, error) = two_product(scaled, c);
            let low = scaled.fma(square.fma(horner(simd, square, table), c_low), error);
            let near = (product + low) * minute.select(V::lit(simd, MINUTE), V::lit(simd, 1.0));

            // Beyond: 1 - 2 M(sqrt(2) a) e^(-a^2).
            let (z, z_low) = multiply((a, zero), constant(simd, SQRT_2));
            let (exponent, exponent_low) = two_product(a, -a);
            let e = exp_parts(simd, exponent, exponent_low);
            let two = V::lit(simd, 2.0);
            let tail = multiply(e, scaled_normal_tail(simd, z, z_low));
            let (high, error) = fast_two_sum(V::lit(simd, 1.0), -(tail.0 * two));
            let far = high + (error - tail.1 * two);

            a.simd_lt(V::lit(simd, 0.5)).select(near, far).copysign(x)
        },
    )
}
