//! The negative log-likelihood of counts that have a Poisson distribution.
//!
//! `p - y log p`, or `e^x - y x` of the logarithm `x` of the rate, is a difference of terms that may be
//! close: both are carried in two parts, so that of the last digit nothing is lost while no more than the
//! first five bits of the terms cancel (thirty, for `f32`).

use super::binary::Twofold;
use super::{Domain, Domains, Element, ElementwiseLoss, Formula, Kernel, define_loss};
use crate::lanes::{Lanes, Token};
use crate::math::exp::{exp, exp_parts};
use crate::math::log::log_parts;
use crate::math::twofold::{add, constant, multiply, two_product};
use fearless_simd::prelude::*;

define_loss! {
    "poisson":
    /// `p - y log p`, with `full` also Stirling's approximation of `log y!` where `y > 1`.
    pub struct Poisson {
        /// Whether `y_pred` is `log p`.
        log_input: bool = false,
        /// Whether the term that does not depend on `p` is added.
        full: bool = false,
    }
}

impl ElementwiseLoss for Poisson {
    const REGRESSION: bool = false;

    fn domains(&self) -> Domains {
        Domains {
            y_true: Domain::NotNegative,
            y_pred: if self.log_input {
                Domain::All
            } else {
                Domain::NotNegative
            },
            parameter: Domain::All,
        }
    }

    fn kernel<S: Token>(&self) -> Kernel<S> {
        match (self.log_input, self.full) {
            (false, false) => Kernel::of(OfRate::<false>),
            (false, true) => Kernel::of(OfRate::<true>),
            (true, false) => Kernel::of(OfLogarithm::<false>),
            (true, true) => Kernel::of(OfLogarithm::<true>),
        }
    }
}

/// `log(2 pi) / 2`.
const HALF_LOG_TWO_PI: (f64, f64) = (0.9189385332046728, -3.8782941580672414e-17);

/// `y log y - y + log(2 pi y) / 2` where `y > 1`, elsewhere 0.
#[inline(always)]
fn stirling<S: Token, V: Lanes<S>>(simd: S, y: V) -> Twofold<V> {
    let (zero, half) = (V::lit(simd, 0.0), V::lit(simd, 0.5));
    let (log, log_low) = log_parts(simd, y, zero);
    let product = multiply((y, zero), (log, log_low));
    let entropy = add(product, (-y, zero));
    let width = add(
        (half * log, half * log_low),
        constant::<S, V>(simd, HALF_LOG_TWO_PI),
    );
    let sum = add(entropy, width);
    let small = y.simd_le(V::lit(simd, 1.0));
    (small.select(zero, sum.0), small.select(zero, sum.1))
}

/// `value + value_low`, with Stirling's term if it is `FULL`, or `limit` where that is not finite.
#[inline(always)]
fn finished<S: Token, V: Lanes<S>, const FULL: bool>(
    simd: S,
    at: Element<V>,
    value: Twofold<V>,
    limit: V,
) -> V {
    let (sum, limit) = if FULL {
        let stirling = stirling(simd, at.y_true);
        (add(value, stirling), limit + stirling.0)
    } else {
        (value, limit)
    };
    let sum = sum.0 + sum.1;
    let missing = at.y_true.is_nan() | at.y_pred.is_nan();
    let infinity = V::lit(simd, f64::INFINITY);
    // Two infinite terms: the rate grows faster.
    let limit = limit.is_nan().select(infinity, limit);
    let value = sum.is_finite().select(sum, limit);
    missing.select(V::lit(simd, f64::NAN), value)
}

/// Of the rate `p`.
#[derive(Clone, Copy)]
struct OfRate<const FULL: bool>;

impl<const FULL: bool> Formula for OfRate<FULL> {
    const IN_DOUBLE: bool = true;

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let zero = V::lit(simd, 0.0);
        let (log, log_low) = log_parts(simd, at.y_pred, zero);
        // No count, no logarithm.
        let none = at.y_true.simd_eq(zero);
        let (log, log_low) = (none.select(zero, log), none.select(zero, log_low));
        let (product, error) = two_product(at.y_true, log);
        let product = (product, at.y_true.fma(log_low, error));
        let value = add((at.y_pred, zero), (-product.0, -product.1));
        finished::<S, V, FULL>(simd, at, value, at.y_pred - product.0)
    }

    /// `1 - y / p` as `(p - y) / p`.
    #[inline(always)]
    fn gradient<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let one = V::lit(simd, 1.0);
        let slope = (at.y_pred - at.y_true) / at.y_pred;
        let certain =
            at.y_true.simd_eq(V::lit(simd, 0.0)) | at.y_pred.simd_eq(V::lit(simd, f64::INFINITY));
        let slope = certain.select(one, slope);
        (at.y_true + at.y_pred)
            .is_nan()
            .select(at.y_true + at.y_pred, slope)
    }

    /// `y / p^2`.
    #[inline(always)]
    fn hessian<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let none = at.y_true.simd_eq(V::lit(simd, 0.0));
        let bend = none.select(at.y_true, at.y_true / at.y_pred / at.y_pred);
        at.y_pred.is_nan().select(at.y_pred, bend)
    }
}

/// Of the logarithm of the rate.
#[derive(Clone, Copy)]
struct OfLogarithm<const FULL: bool>;

/// `e^x` in parts, the rounded one where it is not far from the ends of the range.
#[inline(always)]
fn rate<S: Token, V: Lanes<S>>(simd: S, x: V) -> Twofold<V> {
    let zero = V::lit(simd, 0.0);
    let inside = x.abs().simd_lt(V::lit(simd, 700.0));
    let (rate, low) = exp_parts(simd, inside.select(x, zero), zero);
    if inside.all_true() {
        return (rate, low);
    }
    (inside.select(rate, exp(simd, x)), inside.select(low, zero))
}

impl<const FULL: bool> Formula for OfLogarithm<FULL> {
    const IN_DOUBLE: bool = true;

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let zero = V::lit(simd, 0.0);
        let rate = rate(simd, at.y_pred);
        let none = at.y_true.simd_eq(zero);
        let x = none.select(zero, at.y_pred);
        let product = two_product(at.y_true, x);
        let value = add(rate, (-product.0, -product.1));
        finished::<S, V, FULL>(simd, at, value, rate.0 - product.0)
    }

    /// `e^x - y`.
    #[inline(always)]
    fn gradient<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let rate = rate(simd, at.y_pred);
        let plain = rate.0 - at.y_true;
        let (slope, low) = add(rate, (-at.y_true, V::lit(simd, 0.0)));
        let slope = slope + low;
        slope.is_finite().select(slope, plain)
    }

    #[inline(always)]
    fn hessian<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let missing = at.y_true.is_nan();
        missing.select(at.y_true, exp(simd, at.y_pred))
    }
}
