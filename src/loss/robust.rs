//! Losses that are square near the target and linear far from it.
//!
//! All of them take the rounding error of `p - y` along.

use super::regression::{difference, sign, size, unless_nan};
use super::{
    Element, ElementwiseLoss, Formula, Kernel, OptionError, check_positive, check_range,
    define_loss,
};
use crate::lanes::{Lanes, Token};
use crate::math::exp::{Scaled, expm1_parts_of_negative, ln_2, parts_bound};
use crate::math::log::log1p_parts;
use crate::math::logistic::{decay_low, reciprocal_of_one_plus};
use crate::math::twofold::{divide, fast_two_sum, multiply, multiply_rounded, two_sum};
use fearless_simd::prelude::*;

define_loss! {
    "huber":
    /// `d^2 / 2` for `d = |p - y|` up to `delta`, then `delta (d - delta / 2)`.
    pub struct Huber {
        /// Where the line begins.
        delta: f64 = 1.0,
    }
}

impl ElementwiseLoss for Huber {
    const REGRESSION: bool = true;

    fn check_options(&self) -> Result<(), OptionError> {
        check_positive("delta", self.delta)
    }

    fn kernel<S: Token>(&self) -> Kernel<S> {
        Kernel::of(HuberError { delta: self.delta })
    }
}

define_loss! {
    "smooth_l1":
    /// `d^2 / (2 beta)` for `d = |p - y|` below `beta`, then `d - beta / 2`: Huber's loss over `beta`.
    pub struct SmoothL1 {
        /// Where the line begins.
        beta: f64 = 1.0,
    }
}

impl ElementwiseLoss for SmoothL1 {
    const REGRESSION: bool = true;

    fn check_options(&self) -> Result<(), OptionError> {
        check_range("beta", self.beta, 0.0, f64::INFINITY)
    }

    fn kernel<S: Token>(&self) -> Kernel<S> {
        Kernel::of(SmoothError { beta: self.beta })
    }
}

define_loss! {
    "log_cosh":
    /// `log cosh(p - y)`.
    pub struct LogCosh {}
}

impl ElementwiseLoss for LogCosh {
    const REGRESSION: bool = true;

    fn kernel<S: Token>(&self) -> Kernel<S> {
        Kernel::of(LogCoshError)
    }
}

/// `size - half`, of which the first is the larger, in parts.
#[inline(always)]
fn less<S: Token, V: Lanes<S>>((size, size_low): (V, V), half: V) -> (V, V) {
    let (rest, error) = fast_two_sum(size, -half);
    (rest, error + size_low)
}

#[derive(Clone, Copy)]
struct HuberError {
    delta: f64,
}

impl Formula for HuberError {
    const IN_DOUBLE: bool = true;

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let delta = V::lit(simd, self.delta);
        let size = size(simd, difference(simd, at));
        let half = V::lit(simd, 0.5) * size.0;
        let square = half.fma(size.0, size.0 * size.1);
        let (rest, rest_low) = less(size, V::lit(simd, 0.5 * self.delta));
        let line = delta.fma(rest, delta * rest_low);
        let inside = size.0.simd_le(delta);
        let value = inside.select(square, line);
        // Beyond the largest number the error terms are not finite.
        let plain = inside.select(half * size.0, delta * rest);
        value.is_finite().select(value, plain)
    }

    #[inline(always)]
    fn gradient<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let delta = V::lit(simd, self.delta);
        let difference = at.y_pred - at.y_true;
        difference
            .abs()
            .simd_gt(delta)
            .select(delta.copysign(difference), difference)
    }

    #[inline(always)]
    fn hessian<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let delta = V::lit(simd, self.delta);
        let inside = (at.y_pred - at.y_true).abs().simd_le(delta);
        unless_nan(at, inside.select(V::lit(simd, 1.0), V::lit(simd, 0.0)))
    }
}

#[derive(Clone, Copy)]
struct SmoothError {
    beta: f64,
}

impl Formula for SmoothError {
    const IN_DOUBLE: bool = true;

    /// Divided first: the square of a small difference might underflow.
    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let beta = V::lit(simd, self.beta);
        let size = size(simd, difference(simd, at));
        let half = V::lit(simd, 0.5) * size.0;
        let ratio = size.0 / beta;
        let square = ratio.fma(half, ratio * size.1);
        let (rest, rest_low) = less(size, V::lit(simd, 0.5 * self.beta));
        let line = rest + rest_low;
        let line = line.is_finite().select(line, rest);
        size.0.simd_lt(beta).select(square, line)
    }

    #[inline(always)]
    fn gradient<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let beta = V::lit(simd, self.beta);
        let difference = at.y_pred - at.y_true;
        let inside = difference.abs().simd_lt(beta);
        inside.select(difference / beta, sign(simd, difference))
    }

    #[inline(always)]
    fn hessian<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let inside = (at.y_pred - at.y_true)
            .abs()
            .simd_lt(V::lit(simd, self.beta));
        let bend = V::lit(simd, 1.0 / self.beta);
        unless_nan(at, inside.select(bend, V::lit(simd, 0.0)))
    }
}

/// `log cosh d`, from `m = e^-|d| - 1`, which keeps its digits for small `d`:
///
/// `log(1 + m^2 / (2 (1 + m)))` near 0, `|d| - ln 2 + log(1 + (1 + m)^2)` from 5/4 on; one logarithm of
/// something between 1 and 2, and nothing that cancels.
#[derive(Clone, Copy)]
struct LogCoshError;

/// `|d|`, `m`, and `1 + m = e^-|d|` with an error of the size that `m` has, in parts each.
#[inline(always)]
fn falling<S: Token, V: Lanes<S>>(simd: S, at: Element<V>) -> [(V, V); 3] {
    let size = size(simd, difference(simd, at));
    let m = expm1_parts_of_negative(simd, -size.0, -size.1);
    let (e, error) = fast_two_sum(V::lit(simd, 1.0), m.0);
    [size, m, fast_two_sum(e, error + m.1)]
}

impl Formula for LogCoshError {
    const IN_DOUBLE: bool = true;

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let zero = V::lit(simd, 0.0);
        let [size, m, e] = falling(simd, at);
        let near = size.0.simd_lt(V::lit(simd, 1.25));
        let above = divide(simd, multiply(m, m), (e.0 + e.0, e.1 + e.1));
        let square = multiply(e, e);
        let x = (
            near.select(above.0, square.0),
            near.select(above.1, square.1),
        );
        let (log, log_low) = log1p_parts(simd, x.0, x.1);
        let (ln2, ln2_low) = ln_2::<S, V>(simd);
        let (line, line_low) = less(size, ln2);
        let (line, line_low) = (
            near.select(zero, line),
            near.select(zero, line_low - ln2_low),
        );
        let (sum, error) = two_sum(line, log);
        let value = sum + (error + (line_low + log_low));
        value.is_finite().select(value, size.0)
    }

    /// `tanh d = -m (2 + m) / (1 + (1 + m)^2)`.
    #[inline(always)]
    fn gradient<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let one = V::lit(simd, 1.0);
        let [_, m, e] = falling(simd, at);
        let (two, error) = fast_two_sum(one, e.0);
        let numerator = multiply((-m.0, -m.1), (two, error + e.1));
        let square = multiply(e, e);
        let (denominator, error) = fast_two_sum(one, square.0);
        let (slope, low) = divide(simd, numerator, (denominator, error + square.1));
        unless_nan(at, (slope + low).copysign(at.y_pred - at.y_true))
    }

    /// `4 e / (1 + e)^2` with `e = e^-2|d|`.
    #[inline(always)]
    fn hessian<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let (zero, four) = (V::lit(simd, 0.0), V::lit(simd, 4.0));
        let (d, d_low) = difference(simd, at);
        let (x, x_low) = (d + d, d_low + d_low);
        let e = decay_low(simd, x, x_low);
        let q = reciprocal_of_one_plus(simd, e);
        let bend = four * multiply_rounded(multiply(e, q), q);
        let far = x.abs().simd_gt(parts_bound::<S, V>(simd));
        if far.any_true() {
            let (x, x_low) = size(simd, (x, x_low));
            let tail = Scaled::exp(simd, -x, -x_low).multiply((four, zero));
            return unless_nan(at, far.select(tail.round(simd), bend));
        }
        unless_nan(at, bend)
    }
}
