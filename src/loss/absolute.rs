//! Absolute errors: plain, relative, and of a quantile.
//!
//! At the kink, where the prediction is right, the gradient is 0. The Hessian, 0 wherever it exists, is
//! given as 1 for the plain error and the quantile: what a booster needs, and scikit-learn does.

use super::regression::{difference, sign, size, unless_nan};
use super::{Element, ElementwiseLoss, Formula, Kernel, OptionError, check_range, define_loss};
use crate::lanes::{Lanes, Token};
use crate::math::twofold::{divide, multiply_rounded};
use fearless_simd::prelude::*;

define_loss! {
    "mean_absolute_error":
    /// `|p - y|`.
    pub struct MeanAbsoluteError {}
}

impl ElementwiseLoss for MeanAbsoluteError {
    const REGRESSION: bool = true;

    fn kernel<S: Token>(&self) -> Kernel<S> {
        Kernel::of(AbsoluteError)
    }
}

define_loss! {
    "mean_absolute_percentage_error":
    /// `100 |p - y| / max(|y|, epsilon)`.
    pub struct MeanAbsolutePercentageError {
        /// What the divisor is at least.
        epsilon: f64 = 0.0,
    }
}

impl ElementwiseLoss for MeanAbsolutePercentageError {
    const REGRESSION: bool = true;

    fn check_options(&self) -> Result<(), OptionError> {
        check_range("epsilon", self.epsilon, 0.0, f64::INFINITY)
    }

    fn kernel<S: Token>(&self) -> Kernel<S> {
        Kernel::of(PercentageError {
            epsilon: self.epsilon,
        })
    }
}

define_loss! {
    "quantile":
    /// `q (y - p)` where `y > p`, elsewhere `(1 - q) (p - y)`: the pinball loss.
    pub struct Quantile {
        /// The quantile.
        q: f64 = 0.5,
    }
}

impl ElementwiseLoss for Quantile {
    const REGRESSION: bool = true;

    fn check_options(&self) -> Result<(), OptionError> {
        check_range("q", self.q, 0.0, 1.0)
    }

    fn kernel<S: Token>(&self) -> Kernel<S> {
        let above = 1.0 - self.q;
        Kernel::of(Pinball {
            below: self.q,
            above,
            above_low: (1.0 - above) - self.q,
        })
    }
}

/// `|p - y|`.
#[derive(Clone, Copy)]
struct AbsoluteError;

impl Formula for AbsoluteError {
    const SUMMED_AT_ONCE: bool = true;

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(self, _: S, at: Element<V>) -> V {
        (at.y_pred - at.y_true).abs()
    }

    #[inline(always)]
    fn gradient<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        sign(simd, at.y_pred - at.y_true)
    }

    #[inline(always)]
    fn hessian<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        unless_nan(at, V::lit(simd, 1.0))
    }
}

/// `100 |p - y| / max(|y|, epsilon)`.
#[derive(Clone, Copy)]
struct PercentageError {
    epsilon: f64,
}

impl PercentageError {
    #[inline(always)]
    fn divisor<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let epsilon = V::lit(simd, self.epsilon);
        let size = at.y_true.abs();
        size.simd_lt(epsilon).select(epsilon, size)
    }
}

impl Formula for PercentageError {
    const IN_DOUBLE: bool = true;

    /// 0 for a prediction that is right, of `y = 0` too; an infinity for one that is not, if there is no
    /// `epsilon`.
    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let (zero, one) = (V::lit(simd, 0.0), V::lit(simd, 1.0));
        // The difference of two huge numbers may overflow where the quotient does not.
        let bound = V::lit(simd, 2.0_f64.powi(1000));
        let huge = at.y_pred.abs().simd_gt(bound) | at.y_true.abs().simd_gt(bound);
        let scale = huge.select(V::lit(simd, 0.25), one);
        let scaled = Element {
            y_true: at.y_true * scale,
            y_pred: at.y_pred * scale,
            ..at
        };
        let size = size(simd, difference(simd, scaled));
        let divisor = self.divisor(simd, at) * scale;
        let (quotient, low) = divide(simd, size, (divisor, zero));
        let hundred = V::lit(simd, 100.0);
        let plain = quotient * hundred;
        let value = quotient.fma(hundred, low * hundred);
        let value = value.is_finite().select(value, plain);
        at.y_pred.simd_eq(at.y_true).select(size.0, value)
    }

    #[inline(always)]
    fn gradient<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let difference = at.y_pred - at.y_true;
        let slope = V::lit(simd, 100.0) / self.divisor(simd, at);
        let slope = difference
            .simd_eq(V::lit(simd, 0.0))
            .select(difference, slope.copysign(difference));
        unless_nan(at, slope)
    }

    #[inline(always)]
    fn hessian<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        unless_nan(at, V::lit(simd, 0.0))
    }
}

/// The quantile's two slopes, `-q` below and `1 - q` above the target, the latter in two parts.
#[derive(Clone, Copy)]
struct Pinball {
    below: f64,
    above: f64,
    above_low: f64,
}

impl Formula for Pinball {
    const IN_DOUBLE: bool = true;

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let zero = V::lit(simd, 0.0);
        let difference = difference(simd, at);
        let above = difference.0.simd_gt(zero);
        let slope = above.select(V::lit(simd, self.above), V::lit(simd, self.below));
        let slope_low = above.select(V::lit(simd, self.above_low), zero);
        let size = size(simd, difference);
        // A slope of 0 has no infinite error.
        let plain = slope.simd_eq(zero).select(zero, slope * size.0);
        let value = multiply_rounded((slope, slope_low), size);
        unless_nan(at, value.is_finite().select(value, plain))
    }

    #[inline(always)]
    fn gradient<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let zero = V::lit(simd, 0.0);
        let difference = at.y_pred - at.y_true;
        let (below, above) = (V::lit(simd, -self.below), V::lit(simd, self.above));
        let slope = difference.simd_gt(zero).select(above, below);
        unless_nan(at, difference.simd_eq(zero).select(zero, slope))
    }

    #[inline(always)]
    fn hessian<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        unless_nan(at, V::lit(simd, 1.0))
    }
}
