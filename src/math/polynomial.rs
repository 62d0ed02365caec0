//! Polynomials with coefficients chosen by precision.

use crate::lanes::{Lanes, Token};

/// The table for the lane type: `single` for `f32`, `double` for `f64`.
#[inline(always)]
pub(crate) fn by_precision<S: Token, V: Lanes<S>, T>(single: T, double: T) -> T {
    if V::PRECISION == 24 { single } else { double }
}

/// `coefficients[0] + coefficients[1] x + ...` by Horner's rule.
#[inline(always)]
pub(crate) fn horner<S: Token, V: Lanes<S>>(simd: S, x: V, coefficients: &[f64]) -> V {
    let (last, rest) = coefficients.split_last().expect("a polynomial has a term");
    // Not a fold: the compiler may leave its closure out of line, in code for the baseline CPU.
    let mut sum = V::lit(simd, *last);
    for c in rest.iter().rev() {
        sum = sum.fma(x, V::lit(simd, *c));
    }
    sum
}
