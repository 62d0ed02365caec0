//! The Gaussian error linear unit in both forms, and the error function.
//!
//! Neither form is computed as `1 + erf` or `1 + tanh`, which cancel for negative `x`: the result is `x`
//! times a probability, and that is carried in two parts until the one rounding at the end, in the
//! far negative tail together with its exponent.

use super::{Activation, Parameter};
use crate::lanes::{Lanes, Token};
use crate::math::erf::{TWO_OVER_SQRT_PI, erf, half_square, scaled_normal_tail};
use crate::math::exp::{Scaled, exp_parts, parts_bound};
use crate::math::logistic::{decay_low, numerator, reciprocal_of_one_plus};
use crate::math::polynomial::by_precision;
use crate::math::table;
use crate::math::twofold::{
    constant, fast_two_sum, multiply, multiply_rounded, scale_rounded, two_product, two_sum,
};
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
    pub(super) fn size<S: Token, V: Lanes<S>>(simd: S, x: V) -> V {
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

    /// The function in compensated arithmetic.
    #[inline(always)]
    fn compensated<S: Token, V: Lanes<S>>(simd: S, x: V) -> V {
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
}

impl Activation<0> for Gelu {
    const NAME: &'static str = "gelu";
    const DOC: &'static str = "Gaussian error linear unit: ``x * Phi(x)``, where ``Phi`` is the distribution function of the \
         normal distribution (Hendrycks and Gimpel 2016).";
    const PARAMETERS: [Parameter; 0] = [];

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(simd: S, x: V, []: [V; 0]) -> V {
        x.by_precision(
            #[inline(always)]
            |x| table::gelu(simd, x),
            #[inline(always)]
            |x| Self::compensated(simd, x),
        )
    }

    const COMMON: Option<f32> = Some(table::GELU_COMMON);

    #[inline(always)]
    fn value_common<S: Token, V: Lanes<S>>(simd: S, x: V, []: [V; 0]) -> V {
        x.by_precision(
            #[inline(always)]
            |x| table::gelu_common(simd, x),
            #[inline(always)]
            |x| Self::value(simd, x, []),
        )
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

/// `x / 2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))`.
pub struct GeluTanh;

/// `2 sqrt(2/pi)`.
const LINEAR: (f64, f64) = (1.5957691216057308, -9.96930880911092e-17);

/// `2 sqrt(2/pi) 0.044715`.
const CUBIC: (f64, f64) = (0.07135481627260025, -6.175149918155315e-19);

/// Three times that, for the derivative.
const CUBIC_SLOPE: (f64, f64) = (0.21406444881780073, 1.2025242832367862e-17);

impl GeluTanh {
    /// `2 sqrt(2/pi) + coefficient x^2`.
    #[inline(always)]
    fn parabola<S: Token, V: Lanes<S>>(simd: S, x: V, coefficient: (f64, f64)) -> (V, V) {
        let (linear, linear_low) = constant(simd, LINEAR);
        let (product, product_low) = multiply(two_product(x, x), constant(simd, coefficient));
        let (high, error) = two_sum(linear, product);
        (high, error + (product_low + linear_low))
    }

    /// `x`, but between -32 and 32, where the results are 0, 1 or `x`.
    #[inline(always)]
    fn clamp<S: Token, V: Lanes<S>>(simd: S, x: V) -> V {
        let limit = V::lit(simd, 32.0);
        x.abs().simd_gt(limit).select(limit.copysign(x), x)
    }

    /// Twice the argument of the tangent.
    #[inline(always)]
    fn argument<S: Token, V: Lanes<S>>(simd: S, x: V) -> (V, V) {
        let (high, low) = multiply((x, V::lit(simd, 0.0)), Self::parabola(simd, x, CUBIC));
        fast_two_sum(high, low)
    }

    /// The function in compensated arithmetic.
    #[inline(always)]
    fn compensated<S: Token, V: Lanes<S>>(simd: S, x: V) -> V {
        let zero = V::lit(simd, 0.0);
        let clamped = Self::clamp(simd, x);
        let (w, w_low) = Self::argument(simd, clamped);
        let e = decay_low(simd, w, w_low);
        let q = reciprocal_of_one_plus(simd, e);
        let probability = multiply(numerator(simd, x, e), q);
        // The sign is lost where -0.0 meets a low part.
        let y = scale_rounded(x, probability).copysign(x);
        let inside = w.abs().simd_lt(parts_bound::<S, V>(simd));
        if inside.all_true() {
            return y;
        }
        let tail = Scaled::exp(simd, w, w_low)
            .multiply((clamped, zero))
            .round(simd);
        let outside = x.simd_gt(zero).select(x, tail);
        inside.select(y, outside)
    }
}

impl Activation<0> for GeluTanh {
    const NAME: &'static str = "gelu_tanh";
    const DOC: &'static str = "The tanh form of the Gaussian error linear unit: \
         ``x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))`` (Hendrycks and Gimpel 2016).";
    const PARAMETERS: [Parameter; 0] = [];

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(simd: S, x: V, []: [V; 0]) -> V {
        x.by_precision(
            #[inline(always)]
            |x| table::gelu_tanh(simd, x),
            #[inline(always)]
            |x| Self::compensated(simd, x),
        )
    }

    const COMMON: Option<f32> = Some(table::GELU_TANH_COMMON);

    #[inline(always)]
    fn value_common<S: Token, V: Lanes<S>>(simd: S, x: V, []: [V; 0]) -> V {
        x.by_precision(
            #[inline(always)]
            |x| table::gelu_tanh_common(simd, x),
            #[inline(always)]
            |x| Self::value(simd, x, []),
        )
    }

    #[inline(always)]
    fn backward<S: Token, V: Lanes<S>>(simd: S, dy: V, x: V, []: [V; 0]) -> V {
        let zero = V::lit(simd, 0.0);
        let clamped = Self::clamp(simd, x);
        let (w, w_low) = Self::argument(simd, clamped);
        let e = decay_low(simd, w, w_low);
        let q = reciprocal_of_one_plus(simd, e);

        // The logistic function s is q or e q, and s' is e q^2: so s + x w' s' is q (1 + e q |x| w')
        // or e q (1 - q |x| w').
        let slope = multiply(
            (clamped.abs(), zero),
            Self::parabola(simd, clamped, CUBIC_SLOPE),
        );
        let product = multiply(q, slope);
        let damped = multiply(e, product);
        let negative = x.simd_lt(zero);
        let term = (
            negative.select(-product.0, damped.0),
            negative.select(-product.1, damped.1),
        );
        let (high, error) = two_sum(V::lit(simd, 1.0), term.0);
        let sum = fast_two_sum(high, error + term.1);
        let probability = multiply(numerator(simd, x, e), q);
        let dx = dy * multiply_rounded(probability, sum);
        let inside = w.abs().simd_lt(parts_bound::<S, V>(simd));
        if inside.all_true() {
            return dx;
        }
        let tail = Scaled::exp(simd, w, w_low).multiply(sum).times(simd, dy);
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
