//! Regression losses: functions of the difference `y_pred - y_true`.

use super::{Element, ElementwiseLoss, Formula, Kernel, define_loss};
use crate::lanes::{Lanes, Token};
use crate::math::twofold::two_sum;
use fearless_simd::prelude::*;

define_loss! {
    "mean_squared_error":
    /// `(p - y)^2`.
    pub struct MeanSquaredError {}
}

impl ElementwiseLoss for MeanSquaredError {
    const REGRESSION: bool = true;

    fn kernel<S: Token>(&self) -> Kernel<S> {
        Kernel::of(SquaredError)
    }
}

/// `(p - y)^2`.
#[derive(Clone, Copy)]
struct SquaredError;

impl Formula for SquaredError {
    /// The square takes the rounding error of the difference along: 0.51 ULP, where squaring the
    /// rounded difference would give 1.9.
    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let (difference, error) = two_sum(at.y_pred, -at.y_true);
        let plain = difference * difference;
        let correction = (difference + difference) * error;
        let value = difference.fma(difference, correction);
        // Beyond the largest number the error terms are not finite.
        plain
            .simd_lt(V::lit(simd, f64::INFINITY))
            .select(value, plain)
    }

    #[inline(always)]
    fn gradient<S: Token, V: Lanes<S>>(self, _: S, at: Element<V>) -> V {
        let difference = at.y_pred - at.y_true;
        difference + difference
    }

    #[inline(always)]
    fn hessian<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        // NaN where the loss is.
        let difference = at.y_pred - at.y_true;
        difference.is_nan().select(difference, V::lit(simd, 2.0))
    }
}
