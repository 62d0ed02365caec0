//! The Gaussian error linear unit and the error function.
//!
//! Not computed as `1 + erf`, which cancels for negative `x`: the result is `x` times a probability, and
//! that is carried in two parts until the one rounding at the end, in the far negative tail together
//! with its exponent.

use super::{Activation, Parameter};
use crate::lanes::{Lanes, Token};
use crate::math::erf::{TWO_OVER_SQRT_PI, erf, half_square, scaled_normal_tail};
use crate::math::exp::{Scaled, exp_parts};
use crate::math::polynomial::by_precision;
use crate::math::twofold::{constant, fast_two_sum, multiply, scale_rounded, two_product, two_sum};
use fearless_simd::prelude::*;

/// `x Phi(x)`, with the distribution function of the normal distribution.
pub struct Gelu;

/// `1 / sqrt(2 pi)`.
const DENSITY: (f64, f64) = (0.3989422804014327, -2.49232720227773e-17);

impl Gelu {
    /// Up to here `e^(-a^2/2)` in two parts and products with them are normal numbers.
    #[inline(always)]
    fn bound<S: Token, V: Lanes<S>>(simd: S) -> V {
        V::lit(simd, by_precision::<S, V, _>(11.0, 35.0))
    }

    /// `|x|`, but at most 60, where the results are 0, 1 or `x`.
    #[inline(always)]
    fn size<S: Token, V: Lanes<S>>(simd: S, x: V) -> V {
        let limit = V::lit(simd, 60.0);
        x.abs().simd_gt(limit).select(limit, x.abs())
    }

    /// `a / sqrt(2 pi) - M(a)`: `1 - gelu'(-a)` and `gelu'(a)` are this times `e^(-a^2/2)`.
    #[inline(always)]
    fn slope<S: Token, V: Lanes<S>>(simd: S, a: V) -> (V, V) {
        let (product, product_low) = multiply((a, V::lit(simd, 0.0)), constant(simd, DENSITY));
        let (tail, tail_low) = scaled_normal_tail(simd, a, V::lit(simd, 0.0));
        let (high, error) = two_sum(product, -tail);
        fast_two_sum(high, error + (product_low - tail_low))
    }
}

impl Activation<0> for Gelu {
    const NAME: &'static str = "gelu";
    const DOC: &'static str = "Gaussian error linear unit: ``x * Phi(x)``, where ``Phi`` is the distribution function of the \
         normal distribution (Hendrycks and Gimpel 2016).";
    const PARAMETERS: [Parameter; 0] = [];

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(simd: S, x: V, []: [V; 0]) -> V {
        let zero = V::lit(simd, 0.0);
        let a = Self::size(simd, x);
        let (exponent, exponent_low) = half_square(simd, a);
        let tail = scaled_normal_tail(simd, a, zero);
        let negative = x.simd_lt(zero);

        let below = multiply(exp_parts(simd, exponent, exponent_low), tail);
        let (high, error) = fast_two_sum(V::lit(simd, 1.0), -below.0);
        let probability = (
            negative.select(below.0, high),
            negative.select(below.1, error - below.1),
        );
        // The sign is lost where -0.0 meets a low part.
        let y = scale_rounded(x, probability).copysign(x);
        let inside = x.abs().simd_lt(Self::bound::<S, V>(simd));
        if inside.all_true() {
            return y;
        }
        let scaled = Scaled::exp(simd, exponent, exponent_low);
        let (high, low) = multiply((-a, zero), multiply((scaled.high, scaled.low), tail));
        let tail = Scaled {
            high,
            low,
            ..scaled
        }
        .round(simd);
        let outside = x.simd_gt(zero).select(x, tail);
        inside.select(y, outside)
    }

    #[inline(always)]
    fn backward<S: Token, V: Lanes<S>>(simd: S, dy: V, x: V, []: [V; 0]) -> V {
        let zero = V::lit(simd, 0.0);
        let a = Self::size(simd, x);
        let (exponent, exponent_low) = half_square(simd, a);
        let slope = Self::slope(simd, a);
        let negative = x.simd_lt(zero);

        let (above, above_low) = multiply(exp_parts(simd, exponent, exponent_low), slope);
        let (high, error) = fast_two_sum(V::lit(simd, 1.0), above);
        let derivative = negative.select(-(above + above_low), high + (error + above_low));
        let dx = dy * derivative;
        let inside = x.abs().simd_lt(Self::bound::<S, V>(simd));
        if inside.all_true() {
            return dx;
        }
        let scaled = Scaled::exp(simd, exponent, exponent_low);
        let (high, low) = multiply((scaled.high, scaled.low), (-slope.0, -slope.1));
        let tail = Scaled {
            high,
            low,
            ..scaled
        }
        .times(simd, dy);
        let outside = x.simd_gt(zero).select(dy, tail);
        inside.select(dx, outside)
    }
}

/// The error function.
pub struct Erf;

impl Activation<0> for Erf {
    const NAME: &'static str = "erf";
    const DOC: &'static str = "The error function, ``2 / sqrt(pi)`` times the integral of ``exp(-t**2)`` from 0 to ``x``.";
    const PARAMETERS: [Parameter; 0] = [];

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(simd: S, x: V, []: [V; 0]) -> V {
        erf(simd, x)
    }

    #[inline(always)]
    fn backward<S: Token, V: Lanes<S>>(simd: S, dy: V, x: V, []: [V; 0]) -> V {
        // e^(-x^2) is 0 beyond 60.
        let a = Gelu::size(simd, x);
        let (exponent, exponent_low) = two_product(a, -a);
        let scaled = Scaled::exp(simd, exponent, exponent_low);
        let significand = (scaled.high, scaled.low);
        let (high, low) = multiply(significand, constant(simd, TWO_OVER_SQRT_PI));
        Scaled {
            high,
            low,
            ..scaled
        }
        .times(simd, dy)
    }
}
