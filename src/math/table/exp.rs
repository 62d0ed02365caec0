//! `e^x`: a looked-up power of two and a polynomial of degree 3, 12 operations for 16 lanes.

use super::exponential::{Exponential, UNSCALED_POWERS};
use super::splat;
use crate::lanes::{Lanes, Token};
use crate::math::exp::exp as exp_of_any;
use fearless_simd::f32x16;
use fearless_simd::prelude::*;

/// `e^(ln 2 / 16 n + r)`, see [`Exponential`].
const GROWTH: Exponential = Exponential {
    steps_per_unit: 23.08312,
    step: -0.0433217,
    step_low: 1.1904089e-10,
    slope: [1.0, 0.5000163, 0.1666701],
};

/// Where the common form is good: up to here all results are normal.
pub const EXP_COMMON: f32 = 87.0;

/// `e^x` for `|x| < EXP_COMMON`; at most 0.56 ULP.
#[inline(always)]
pub fn exp_common<S: Token>(simd: S, x: f32x16<S>) -> f32x16<S> {
    let (t, g) = GROWTH.parts_with(simd, &UNSCALED_POWERS, x, None);
    t.fma(g, t)
}

/// `e^x`, rounded.
#[inline(always)]
pub fn exp<S: Token>(simd: S, x: f32x16<S>) -> f32x16<S> {
    simd.outline(
        #[inline(always)]
        move || {
            let y = exp_common(simd, x);
            let common = x.abs().simd_lt(splat(simd, EXP_COMMON));
            if common.all_true() {
                return y;
            }
            common.select(y, exp_of_any(simd, x))
        },
    )
}
