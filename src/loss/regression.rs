//! Squared errors, of the numbers or of their logarithms, and what all functions of `y_pred - y_true`
//! are made of.

use super::{Domain, Domains, Element, ElementwiseLoss, Formula, Kernel, define_loss};
use crate::lanes::{Lanes, Token};
use crate::math::log::log1p_parts_of_positive;
use crate::math::twofold::{constant, divide, fast_two_sum, two_difference, two_sum};
use fearless_simd::prelude::*;

define_loss! {
    "mean_squared_error":
    /// `(p - y)^2`.
    pub struct MeanSquaredError {}
}

impl ElementwiseLoss for MeanSquaredError {
    const REGRESSION: bool = true;

    fn kernel<S: Token>(&self) -> Kernel<S> {
        Kernel::of(SquaredError { one: 1.0 })
    }
}

define_loss! {
    "mean_squared_logarithmic_error":
    /// `(log(1 + p) - log(1 + y))^2`.
    pub struct MeanSquaredLogarithmicError {}
}

impl ElementwiseLoss for MeanSquaredLogarithmicError {
    const REGRESSION: bool = true;

    fn domains(&self) -> Domains {
        Domains {
            y_true: Domain::AboveMinusOne,
            y_pred: Domain::AboveMinusOne,
            parameter: Domain::All,
        }
    }

    fn kernel<S: Token>(&self) -> Kernel<S> {
        Kernel::of(SquaredLogarithmicError)
    }
}

/// `y_pred - y_true`, rounded, and its error: 0 where there is none to speak of, beyond the largest number.
#[inline(always)]
pub(super) fn difference<S: Token, V: Lanes<S>>(simd: S, at: Element<V>) -> (V, V) {
    let (difference, error) = two_difference(at.y_pred, at.y_true);
    let error = error.is_finite().select(error, V::lit(simd, 0.0));
    (difference, error)
}

/// The absolute value of a twofold number.
#[inline(always)]
pub(super) fn size<S: Token, V: Lanes<S>>(simd: S, (x, low): (V, V)) -> (V, V) {
    (x.abs(), x.simd_lt(V::lit(simd, 0.0)).select(-low, low))
}

/// -1, 0 or 1: the slope of `|x|`, at the kink 0. NaN for NaN.
#[inline(always)]
pub(super) fn sign<S: Token, V: Lanes<S>>(simd: S, x: V) -> V {
    let one = V::lit(simd, 1.0).copysign(x);
    (x.simd_eq(V::lit(simd, 0.0)) | x.is_nan()).select(x, one)
}

/// `result`, or NaN where the difference of the operands is.
#[inline(always)]
pub(super) fn unless_nan<S: Token, V: Lanes<S>>(at: Element<V>, result: V) -> V {
    let difference = at.y_pred - at.y_true;
    difference.is_nan().select(difference, result)
}

/// `(p - y)^2`.
#[derive(Clone, Copy)]
struct SquaredError {
    /// See [`Lanes::add_by_multiplier`].
    one: f64,
}

impl Formula for SquaredError {
    /// The square takes the rounding error of the difference along: 0.51 ULP, where squaring the
    /// rounded difference would give 1.9.
    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let difference = at.y_pred - at.y_true;
        let plain = difference * difference;
        // Beyond the largest number the error terms are not finite.
        plain
            .simd_lt(V::lit(simd, f64::INFINITY))
            .select(self.value_of_common(simd, at), plain)
    }

    const SUMMED_AT_ONCE: bool = true;

    #[inline(always)]
    fn value_of_common<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        // `two_difference`, with every other addition by multiplication, and so the one that doubles.
        let one = V::lit(simd, self.one);
        let (p, y) = (at.y_pred, at.y_true);
        let difference = p.add_by_multiplier(one, -y);
        let y_part = difference.add_by_multiplier(one, -p);
        let error = (p - (difference - y_part)) - y.add_by_multiplier(one, y_part);
        let twice = difference.add_by_multiplier(one, difference);
        difference.fma(difference, twice * error)
    }

    #[inline(always)]
    fn gradient<S: Token, V: Lanes<S>>(self, _: S, at: Element<V>) -> V {
        let difference = at.y_pred - at.y_true;
        difference + difference
    }

    #[inline(always)]
    fn hessian<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        unless_nan(at, V::lit(simd, 2.0))
    }
}

/// `(log(1 + p) - log(1 + y))^2`.
///
/// The difference of the logarithms is `+-log(1 + |p - y| / (1 + min(p, y)))`: nothing cancels however
/// close `p` and `y` are.
#[derive(Clone, Copy)]
struct SquaredLogarithmicError;

/// `100 ln 2`.
const HUNDRED_LN_2: (f64, f64) = (69.31471805599453, -1.6777560748042639e-15);

/// `|log(1 + p) - log(1 + y)|` in parts.
#[inline(always)]
fn logarithmic_size<S: Token, V: Lanes<S>>(simd: S, at: Element<V>) -> (V, V) {
    let (zero, one) = (V::lit(simd, 0.0), V::lit(simd, 1.0));
    let (size, size_low) = size(simd, difference(simd, at));
    let least = at.y_pred.simd_lt(at.y_true).select(at.y_pred, at.y_true);
    let base = two_sum(one, least);
    // The quotient might overflow: there take 2^-100 of it, to which 1 is still nothing, and add 100 ln 2.
    let far = size.simd_gt(V::lit(simd, 2.0_f64.powi(200))) & base.0.simd_lt(one);
    let scale = far.select(V::lit(simd, 2.0_f64.powi(-100)), one);
    let quotient = divide(simd, (size * scale, size_low * scale), base);
    let (log, log_low) = log1p_parts_of_positive(simd, quotient.0, quotient.1);
    let (shift, shift_low) = constant::<S, V>(simd, HUNDRED_LN_2);
    let (sum, error) = two_sum(log, far.select(shift, zero));
    // The low part of an infinite logarithm is NaN.
    let (sum, error) = fast_two_sum(sum, error + (log_low + far.select(shift_low, zero)));
    let infinite = size.simd_eq(V::lit(simd, f64::INFINITY));
    (infinite.select(size, sum), infinite.select(zero, error))
}

impl Formula for SquaredLogarithmicError {
    const IN_DOUBLE: bool = true;

    /// One rounding, of the square.
    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let (log, low) = logarithmic_size(simd, at);
        let plain = log * log;
        let value = log.fma(log, (log + log) * low);
        plain
            .simd_lt(V::lit(simd, f64::INFINITY))
            .select(value, plain)
    }

    /// `2 (log(1 + p) - log(1 + y)) / (1 + p)`.
    #[inline(always)]
    fn gradient<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let base = two_sum(V::lit(simd, 1.0), at.y_pred);
        let (slope, low) = divide(simd, logarithmic_size(simd, at), base);
        let slope = slope + low;
        let slope = (slope + slope).copysign(at.y_pred - at.y_true);
        vanishing(simd, at, slope)
    }

    /// `2 (1 - (log(1 + p) - log(1 + y))) / (1 + p)^2`.
    #[inline(always)]
    fn hessian<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let one = V::lit(simd, 1.0);
        let (log, low) = logarithmic_size(simd, at);
        let below = at.y_pred.simd_lt(at.y_true);
        let (rest, error) = two_sum(one, below.select(log, -log));
        let rest = rest + (error + below.select(low, -low));
        let base = one + at.y_pred;
        vanishing(simd, at, (rest + rest) / base / base)
    }
}

/// A derivative, which goes to 0 for an infinite prediction.
#[inline(always)]
fn vanishing<S: Token, V: Lanes<S>>(simd: S, at: Element<V>, derivative: V) -> V {
    let infinite = at.y_pred.simd_eq(V::lit(simd, f64::INFINITY));
    unless_nan(at, infinite.select(V::lit(simd, 0.0), derivative))
}
