//! The hyperbolic tangent family.
//!
//! `tanh |x| = -E / (2 + E)` with `E = e^(-2|x|) - 1`, which has full relative accuracy for tiny `x`
//! and neither overflows nor cancels for large; the quotient is corrected by the remainder of its
//! division, with `1 / (2 + E) = (1 + tanh |x|) / 2`.

use super::{Activation, Parameter};
use crate::lanes::{Lanes, Token};
use crate::math::exp::expm1_parts_of_negative;
use crate::math::logistic::times_sigmoid_derivative;
use crate::math::polynomial::{by_precision, horner};
use crate::math::table;
use crate::math::twofold::{
    constant, fast_two_sum, multiply, multiply_rounded, times_square, two_product,
};
use fearless_simd::prelude::*;

/// `tanh |x| = high + low`.
#[inline(always)]
fn tanh_parts<S: Token, V: Lanes<S>>(simd: S, size: V) -> (V, V) {
    let half = V::lit(simd, 0.5);
    let argument = size * V::lit(simd, -2.0);
    let (e, e_low) = expm1_parts_of_negative(simd, argument, V::lit(simd, 0.0));
    let (divisor, error) = fast_two_sum(V::lit(simd, 2.0), e);
    let quotient = -e / divisor;
    let remainder = quotient.fma(-divisor, -e) - e_low;
    let remainder = half * quotient.fma(-(error + e_low), remainder);
    (quotient, remainder.fma(quotient, remainder))
}

/// `(e^x - e^-x) / (e^x + e^-x)`.
pub struct Tanh;

impl Activation<0> for Tanh {
    const NAME: &'static str = "tanh";
    const DOC: &'static str = "Hyperbolic tangent: ``(e**x - e**-x) / (e**x + e**-x)``.";
    const PARAMETERS: [Parameter; 0] = [];

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(simd: S, x: V, []: [V; 0]) -> V {
        x.by_precision(
            #[inline(always)]
            |x| table::tanh(simd, x),
            #[inline(always)]
            |x| {
                let (high, low) = tanh_parts(simd, x.abs());
                (high + low).copysign(x)
            },
        )
    }

    /// `dy (1 - tanh^2)`, which is four times the derivative of the logistic function at `2 x`.
    #[inline(always)]
    fn backward<S: Token, V: Lanes<S>>(simd: S, dy: V, x: V, []: [V; 0]) -> V {
        times_sigmoid_derivative(simd, dy, x + x, 4.0)
    }
}

/// `((x - tanh x) / x^3 - 1/3) / x^2` in `x^2` for `|x| <= 1/2`; error `2^-28.2` relative to `x - tanh x`.
const SHRINK_SINGLE: [f64; 5] = [
    -0.13333331048488617,
    0.05396675318479538,
    -0.02184143289923668,
    0.00863130297511816,
    -0.002693606074899435,
];

/// The same; error `2^-56.7`.
const SHRINK_DOUBLE: [f64; 10] = [
    -0.13333333333333264,
    0.05396825396811953,
    -0.02186948852706592,
    0.008863235225004745,
    -0.003592122143995961,
    0.0014557636738323876,
    -0.0005894816062136803,
    0.00023640097140486592,
    -8.828009713206692e-05,
    2.301762170700405e-05,
];

const THIRD: (f64, f64) = (0.3333333333333333, 1.850371707708594e-17);

/// `x - tanh x`.
pub struct TanhShrink;

impl Activation<0> for TanhShrink {
    const NAME: &'static str = "tanh_shrink";
    const DOC: &'static str = "What the hyperbolic tangent takes away: ``x - tanh(x)``.";
    const PARAMETERS: [Parameter; 0] = [];

    /// By its own series below 1/2, where the difference cancels; the leading `x^3 / 3` in two parts.
    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(simd: S, x: V, []: [V; 0]) -> V {
        let size = x.abs();
        let (third, third_low) = constant::<S, V>(simd, THIRD);
        let series: &[f64] = by_precision::<S, V, _>(&SHRINK_SINGLE, &SHRINK_DOUBLE);
        let square = size * size;
        // A cube is soon subnormal, so that of a tiny number is formed of 2^k times it.
        let k = by_precision::<S, V, _>(40, 300);
        let tiny = size.simd_lt(V::lit(simd, 1.0 / (1_u64 << 30) as f64));
        let one = V::lit(simd, 1.0);
        let scaled = size * tiny.select(V::lit(simd, 2.0_f64.powi(k)), one);
        let cube = multiply(two_product(scaled, scaled), (scaled, V::lit(simd, 0.0)));
        let rest = square * horner(simd, square, series);
        let (factor, error) = fast_two_sum(third, rest);
        let small = multiply_rounded(cube, (factor, error + third_low));
        let small = small * tiny.select(V::lit(simd, 2.0_f64.powi(-3 * k)), one);

        let (high, low) = tanh_parts(simd, size);
        let (difference, error) = fast_two_sum(size, -high);
        let large = difference + (error - low);
        // Infinity has no rounding error, only NaN.
        let infinite = size.simd_eq(V::lit(simd, f64::INFINITY));
        let large = infinite.select(size, large);
        size.simd_lt(V::lit(simd, 0.5))
            .select(small, large)
            .copysign(x)
    }

    /// `dy tanh^2`.
    #[inline(always)]
    fn backward<S: Token, V: Lanes<S>>(simd: S, dy: V, x: V, []: [V; 0]) -> V {
        times_square(dy, tanh_parts(simd, x.abs()))
    }
}
