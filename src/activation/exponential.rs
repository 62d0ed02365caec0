//! Exponential units and the elementary functions they are made of.

use super::{Activation, Parameter};
use crate::lanes::{Lanes, Token};
use crate::math::exp::{
    Scaled, exp, exp_parts, expm1, expm1_parts_of_negative, parts_bound, times_exp,
};
use crate::math::log::log1p;
use crate::math::table;
use crate::math::twofold::{constant, divide, multiply_rounded, scale_rounded};
use fearless_simd::prelude::*;

/// `e^x`.
pub struct Exp;

impl Activation<0> for Exp {
    const NAME: &'static str = "exp";
    const DOC: &'static str = "Exponential function: ``e**x``.";
    const PARAMETERS: [Parameter; 0] = [];

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(simd: S, x: V, []: [V; 0]) -> V {
        x.by_precision(
            #[inline(always)]
            |x| table::exp(simd, x),
            #[inline(always)]
            |x| exp(simd, x),
        )
    }

    const COMMON: Option<f32> = Some(table::EXP_COMMON);

    #[inline(always)]
    fn value_common<S: Token, V: Lanes<S>>(simd: S, x: V, []: [V; 0]) -> V {
        x.by_precision(
            #[inline(always)]
            |x| table::exp_common(simd, x),
            #[inline(always)]
            |x| exp(simd, x),
        )
    }

    #[inline(always)]
    fn backward<S: Token, V: Lanes<S>>(simd: S, dy: V, x: V, []: [V; 0]) -> V {
        times_exp(simd, dy, x)
    }
}

/// `e^x - 1`.
pub struct Expm1;

impl Activation<0> for Expm1 {
    const NAME: &'static str = "expm1";
    const DOC: &'static str = "Exponential minus one, accurate near 0: ``e**x - 1``.";
    const PARAMETERS: [Parameter; 0] = [];

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(simd: S, x: V, []: [V; 0]) -> V {
        expm1(simd, x)
    }

    #[inline(always)]
    fn backward<S: Token, V: Lanes<S>>(simd: S, dy: V, x: V, []: [V; 0]) -> V {
        times_exp(simd, dy, x)
    }
}

/// `log(1 + x)`.
pub struct Log1p;

impl Activation<0> for Log1p {
    const NAME: &'static str = "log1p";
    const DOC: &'static str =
        "Natural logarithm of one plus x, accurate near 0: ``log(1 + x)``; NaN for ``x < -1``.";
    const PARAMETERS: [Parameter; 0] = [];

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(simd: S, x: V, []: [V; 0]) -> V {
        log1p(simd, x)
    }

    #[inline(always)]
    fn backward<S: Token, V: Lanes<S>>(simd: S, dy: V, x: V, []: [V; 0]) -> V {
        let divisor = V::lit(simd, 1.0) + x;
        // NaN below -1, where the function is.
        let valid = x.simd_ge(V::lit(simd, -1.0));
        dy / valid.select(divisor, V::lit(simd, f64::NAN))
    }
}

/// `x` where positive, `alpha (e^x - 1)` elsewhere.
pub struct Elu;

impl Activation<1> for Elu {
    const NAME: &'static str = "elu";
    const DOC: &'static str = "Exponential linear unit: ``x`` where ``x > 0``, else \
        ``alpha * (e**x - 1)``.\n\nClevert, Unterthiner and Hochreiter, arXiv:1511.07289.";
    const PARAMETERS: [Parameter; 1] = [Parameter {
        name: "alpha",
        default: Some(1.0),
    }];

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(simd: S, x: V, [alpha]: [V; 1]) -> V {
        let zero = V::lit(simd, 0.0);
        let y = scale_rounded(alpha, expm1_parts_of_negative(simd, x, zero));
        // Also for -0.0.
        x.simd_ge(zero).select(x, y)
    }

    #[inline(always)]
    fn backward<S: Token, V: Lanes<S>>(simd: S, dy: V, x: V, [alpha]: [V; 1]) -> V {
        let zero = V::lit(simd, 0.0);
        let slope = times_scaled_exp(simd, dy, (alpha, zero), x, zero);
        x.simd_gt(zero).select(dy, slope)
    }
}

/// `x` where positive, `alpha (e^(x / alpha) - 1)` elsewhere.
pub struct Celu;

impl Activation<1> for Celu {
    const NAME: &'static str = "celu";
    const DOC: &'static str = "Continuously differentiable exponential linear unit: ``x`` where \
        ``x > 0``, else ``alpha * (e**(x / alpha) - 1)``; for ``alpha > 0``.\n\n\
        Barron, arXiv:1704.07483.";
    const PARAMETERS: [Parameter; 1] = [Parameter {
        name: "alpha",
        default: Some(1.0),
    }];

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(simd: S, x: V, [alpha]: [V; 1]) -> V {
        let zero = V::lit(simd, 0.0);
        let (z, z_low) = divide(simd, (x, zero), (alpha, zero));
        let y = scale_rounded(alpha, expm1_parts_of_negative(simd, z, z_low));
        // A quotient that small may be subnormal, its digits lost; the value is x (1 + z / 2 + ...).
        let linear = z.abs().simd_lt(V::lit(simd, TWO_MINUS_60));
        (x.simd_ge(zero) | linear).select(x, y)
    }

    #[inline(always)]
    fn backward<S: Token, V: Lanes<S>>(simd: S, dy: V, x: V, [alpha]: [V; 1]) -> V {
        let zero = V::lit(simd, 0.0);
        let (z, z_low) = divide(simd, (x, zero), (alpha, zero));
        let slope = times_scaled_exp(simd, dy, (V::lit(simd, 1.0), zero), z, z_low);
        x.simd_gt(zero).select(dy, slope)
    }
}

const TWO_MINUS_60: f64 = 1.0 / 1152921504606846976.0;

/// `lambda x` where positive, `lambda alpha (e^x - 1)` elsewhere.
pub struct Selu;

const LAMBDA: (f64, f64) = (1.0507009873554805, 3.9874847667154144e-17);
const LAMBDA_ALPHA: (f64, f64) = (1.7580993408473768, 1.41535193800845e-17);

impl Activation<0> for Selu {
    const NAME: &'static str = "selu";
    const DOC: &'static str = "Scaled exponential linear unit: ``lambda * elu(x, alpha)`` with \
        ``lambda = 1.0507009873554805`` and ``alpha = 1.6732632423543772``.\n\n\
        Klambauer, Unterthiner, Mayr and Hochreiter, arXiv:1706.02515.";
    const PARAMETERS: [Parameter; 0] = [];

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(simd: S, x: V, []: [V; 0]) -> V {
        let zero = V::lit(simd, 0.0);
        let linear = scale_rounded(x, constant(simd, LAMBDA));
        let parts = expm1_parts_of_negative(simd, x, zero);
        let y = multiply_rounded(constant(simd, LAMBDA_ALPHA), parts);
        let y = x.simd_ge(zero).select(linear, y);
        // An infinite x times a low part, and -0.0 plus one, are not what they should be.
        let exact = x.simd_eq(zero) | x.simd_eq(V::lit(simd, f64::INFINITY));
        exact.select(x, y)
    }

    #[inline(always)]
    fn backward<S: Token, V: Lanes<S>>(simd: S, dy: V, x: V, []: [V; 0]) -> V {
        let zero = V::lit(simd, 0.0);
        let slope = times_scaled_exp(simd, dy, constant(simd, LAMBDA_ALPHA), x, zero);
        let linear = dy * constant::<S, V>(simd, LAMBDA).0;
        x.simd_gt(zero).select(linear, slope)
    }
}

/// `dy factor e^(x + x_low)` for negative `x`, also where the exponential alone would be subnormal.
#[inline(always)]
fn times_scaled_exp<S: Token, V: Lanes<S>>(simd: S, dy: V, factor: (V, V), x: V, x_low: V) -> V {
    let y = dy * multiply_rounded(factor, exp_parts(simd, x, x_low));
    let below = x.simd_lt(-parts_bound::<S, V>(simd));
    if below.any_true() {
        let exponential = Scaled::exp(simd, x, x_low).multiply(factor);
        return below.select(exponential.times(simd, dy), y);
    }
    y
}
