//! The logistic family: everything that is made of `e^-|x|` and `1 / (1 + e^-|x|)`.

use super::{Activation, Parameter};
use crate::lanes::{Lanes, Token};
use crate::math::exp::{Scaled, parts_bound};
use crate::math::log::log1p_parts;
use crate::math::logistic::{
    decay, decay_low, numerator, reciprocal_of_one_plus, sigmoid, silu, tail, times_sigmoid,
    times_sigmoid_derivative,
};
use crate::math::table;
use crate::math::twofold::{
    divide, fast_two_sum, multiply, reciprocal, scale_rounded, two_product, two_sum,
};
use fearless_simd::f64x8;
use fearless_simd::prelude::*;

/// `1 / (1 + e^-x)`.
pub struct Sigmoid;

impl Activation<0> for Sigmoid {
    const NAME: &'static str = "sigmoid";
    const DOC: &'static str = "Logistic function: ``1 / (1 + e**-x)``.";
    const PARAMETERS: [Parameter; 0] = [];

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(simd: S, x: V, []: [V; 0]) -> V {
        x.by_precision(
            #[inline(always)]
            |x| table::sigmoid(simd, x),
            #[inline(always)]
            |x| sigmoid(simd, x),
        )
    }

    const COMMON: Option<f32> = Some(table::SIGMOID_COMMON);

    #[inline(always)]
    fn value_common<S: Token, V: Lanes<S>>(simd: S, x: V, []: [V; 0]) -> V {
        x.by_precision(
            #[inline(always)]
            |x| table::sigmoid_common(simd, x),
            #[inline(always)]
            |x| Self::value(simd, x, []),
        )
    }

    #[inline(always)]
    fn backward<S: Token, V: Lanes<S>>(simd: S, dy: V, x: V, []: [V; 0]) -> V {
        times_sigmoid_derivative(simd, dy, x, 1.0)
    }
}

/// `x / (1 + e^-x)`.
pub struct Silu;

impl Activation<0> for Silu {
    const NAME: &'static str = "silu";
    const DOC: &'static str = "Sigmoid-weighted linear unit, also called swish: ``x * sigmoid(x)``; \
        -0.0 at ``-inf``.\n\nElfwing, Uchibe and Doya, arXiv:1702.03118; \
        Ramachandran, Zoph and Le, arXiv:1710.05941.";
    const PARAMETERS: [Parameter; 0] = [];

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(simd: S, x: V, []: [V; 0]) -> V {
        x.by_precision(
            #[inline(always)]
            |x| table::silu(simd, x),
            #[inline(always)]
            |x| tail_of_product(simd, x, silu(simd, x)),
        )
    }

    const COMMON: Option<f32> = Some(table::SILU_COMMON);

    #[inline(always)]
    fn value_common<S: Token, V: Lanes<S>>(simd: S, x: V, []: [V; 0]) -> V {
        x.by_precision(
            #[inline(always)]
            |x| table::silu_common(simd, x),
            #[inline(always)]
            |x| Self::value(simd, x, []),
        )
    }

    /// `dy (s + x s (1 - s))`; the two terms cancel near -1.28.
    #[inline(always)]
    fn backward<S: Token, V: Lanes<S>>(simd: S, dy: V, x: V, []: [V; 0]) -> V {
        let e = decay(simd, x);
        let q = reciprocal_of_one_plus(simd, e);
        let s = multiply(numerator(simd, x, e), q);
        let slope = multiply(multiply(e, q), q);
        let y = dy * plus_multiple(s, x, slope);
        tail_of_product_derivative(simd, dy, x, y)
    }
}

/// `x tanh(log(1 + e^x))`.
pub struct Mish;

/// `tanh(log(1 + e^x)) = N / (N + M)`, with what [`Mish`] needs of it.
struct MishParts<V> {
    e: (V, V),
    /// `N / (N + M)`.
    gate: (V, V),
    /// `M / (N + M)`: 1 less the gate, without cancellation.
    rest: (V, V),
}

impl<V> MishParts<V> {
    /// `N = e^2 + 2 e`, `M = 2` with `e = e^x` for negative `x`; both divided by `e^2x` for positive.
    #[inline(always)]
    fn new<S: Token>(simd: S, x: V) -> Self
    where
        V: Lanes<S>,
    {
        let zero = V::lit(simd, 0.0);
        let one = V::lit(simd, 1.0);
        let two = V::lit(simd, 2.0);
        let e = decay(simd, x);
        let square = multiply(e, e);
        let negative = x.simd_lt(zero);
        let (sum, error) = two_sum(negative.select(square.0, one), two * e.0);
        let n = (sum, two.fma(e.1, error + negative.select(square.1, zero)));
        let m = (
            negative.select(two, two * square.0),
            negative.select(zero, two * square.1),
        );
        let (sum, error) = two_sum(n.0, m.0);
        let divisor = reciprocal(simd, (sum, error + (n.1 + m.1)));
        Self {
            e,
            gate: multiply(n, divisor),
            rest: multiply(m, divisor),
        }
    }
}

impl Activation<0> for Mish {
    const NAME: &'static str = "mish";
    const DOC: &'static str = "Self-regularised unit: ``x * tanh(log(1 + e**x))``; -0.0 at ``-inf``.\
        \n\nMisra, arXiv:1908.08681.";
    const PARAMETERS: [Parameter; 0] = [];

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(simd: S, x: V, []: [V; 0]) -> V {
        let parts = MishParts::new(simd, x);
        // A low part of the other sign would make +0.0 of -0.0.
        let y = scale_rounded(x, parts.gate).copysign(x);
        tail_of_product(simd, x, y)
    }

    /// `dy (t + x (1 - t^2) s)`, `t` the hyperbolic tangent and `s` the logistic function; the two terms
    /// cancel near -1.19.
    #[inline(always)]
    fn backward<S: Token, V: Lanes<S>>(simd: S, dy: V, x: V, []: [V; 0]) -> V {
        let parts = MishParts::new(simd, x);
        let q = reciprocal_of_one_plus(simd, parts.e);
        let s = multiply(numerator(simd, x, parts.e), q);
        // 1 - t^2 = (1 - t) (1 + t)
        let (sum, error) = fast_two_sum(V::lit(simd, 1.0), parts.gate.0);
        let slope = multiply(multiply(parts.rest, (sum, error + parts.gate.1)), s);
        let y = dy * plus_multiple(parts.gate, x, slope);
        tail_of_product_derivative(simd, dy, x, y)
    }
}

/// `a + x b`, rounded once.
#[inline(always)]
fn plus_multiple<S: Token, V: Lanes<S>>(a: (V, V), x: V, b: (V, V)) -> V {
    let (product, product_error) = two_product(x, b.0);
    let (sum, error) = two_sum(a.0, product);
    sum + (error + x.fma(b.1, product_error + a.1))
}

/// A function that is `x` for large `x` and `x e^x` for large negative `x`: `y` between those.
#[inline(always)]
fn tail_of_product<S: Token, V: Lanes<S>>(simd: S, x: V, y: V) -> V {
    let bound = parts_bound::<S, V>(simd);
    let inside = x.abs().simd_le(bound);
    if inside.all_true() {
        return y;
    }
    let (exponential, bounded) = tail(simd, x);
    let below = exponential
        .multiply((bounded, V::lit(simd, 0.0)))
        .round(simd);
    // NaN counts as above.
    inside.select(y, x.simd_lt(-bound).select(below, x))
}

/// `dy` times the derivative of such a function: 1, and `(1 + x) e^x`.
#[inline(always)]
fn tail_of_product_derivative<S: Token, V: Lanes<S>>(simd: S, dy: V, x: V, y: V) -> V {
    let bound = parts_bound::<S, V>(simd);
    let outside = x.abs().simd_gt(bound);
    if outside.any_true() {
        let (exponential, bounded) = tail(simd, x);
        let factor = fast_two_sum(bounded, V::lit(simd, 1.0));
        let below = exponential.multiply(factor).times(simd, dy);
        return outside.select(x.simd_lt(-bound).select(below, dy), y);
    }
    y
}

/// `log(1 + e^(beta x)) / beta`.
pub struct Softplus;

impl Softplus {
    /// The function in compensated arithmetic.
    #[inline(always)]
    fn compensated<S: Token, V: Lanes<S>>(simd: S, x: V, beta: V) -> V {
        let zero = V::lit(simd, 0.0);
        let (z, z_low) = two_product(beta, x);
        let e = decay_low(simd, z, z_low);
        let log = log1p_parts(simd, e.0, e.1);
        // The same bits without the two divisions.
        let log = if beta.simd_eq(V::lit(simd, 1.0)).all_true() {
            log
        } else {
            divide(simd, log, (beta, zero))
        };
        let rectified = z.simd_gt(zero).select(x, zero);
        let (sum, error) = two_sum(rectified, log.0);
        let y = sum + (error + log.1);
        let bound = parts_bound::<S, V>(simd);
        let inside = z.abs().simd_le(bound) & sum.is_finite();
        if inside.all_true() {
            return y;
        }
        let mut exponential = Scaled::exp(simd, z, z_low);
        (exponential.high, exponential.low) =
            divide(simd, (exponential.high, exponential.low), (beta, zero));
        let below = exponential.round(simd);
        let above = rectified + log.0;
        inside.select(y, z.simd_lt(-bound).select(below, above))
    }
}

impl Activation<1> for Softplus {
    const NAME: &'static str = "softplus";
    const DOC: &'static str = "Smooth rectifier: ``log(1 + e**(beta * x)) / beta``.\n\n\
        Dugas et al., Incorporating second-order functional knowledge for better option pricing, 2000.";
    const PARAMETERS: [Parameter; 1] = [Parameter {
        name: "beta",
        default: Some(1.0),
    }];

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(simd: S, x: V, [beta]: [V; 1]) -> V {
        if V::PRECISION == 53 {
            return Self::compensated(simd, x, beta);
        }
        let standard = x.by_precision(
            #[inline(always)]
            |x| table::softplus(simd, x),
            #[inline(always)]
            |x| x,
        );
        let is_standard = beta.simd_eq(V::lit(simd, 1.0));
        if is_standard.all_true() {
            return standard;
        }
        is_standard.select(standard, Self::compensated(simd, x, beta))
    }

    /// For a `beta` of 1, which the driver looks for.
    const COMMON: Option<f32> = Some(table::SOFTPLUS_COMMON);

    #[inline(always)]
    fn value_common<S: Token, V: Lanes<S>>(simd: S, x: V, [_]: [V; 1]) -> V {
        x.by_precision(
            #[inline(always)]
            |x| table::softplus_common(simd, x),
            #[inline(always)]
            |x| x,
        )
    }

    #[inline(always)]
    fn backward<S: Token, V: Lanes<S>>(simd: S, dy: V, x: V, [beta]: [V; 1]) -> V {
        let (z, z_low) = two_product(beta, x);
        times_sigmoid(simd, dy, z, z_low)
    }
}

/// `log(1 / (1 + e^-x))`.
pub struct LogSigmoid;

impl Activation<0> for LogSigmoid {
    const NAME: &'static str = "log_sigmoid";
    const DOC: &'static str =
        "Logarithm of the logistic function: ``-log(1 + e**-x)``; -0.0 at ``inf``.";
    const PARAMETERS: [Parameter; 0] = [];

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(simd: S, x: V, []: [V; 0]) -> V {
        -(-x).by_precision(
            #[inline(always)]
            |x| table::softplus(simd, x),
            #[inline(always)]
            |x| Softplus::compensated(simd, x, f64x8::splat(simd, 1.0)),
        )
    }

    const COMMON: Option<f32> = Some(table::SOFTPLUS_COMMON);

    #[inline(always)]
    fn value_common<S: Token, V: Lanes<S>>(simd: S, x: V, []: [V; 0]) -> V {
        -(-x).by_precision(
            #[inline(always)]
            |x| table::softplus_common(simd, x),
            #[inline(always)]
            |x| x,
        )
    }

    #[inline(always)]
    fn backward<S: Token, V: Lanes<S>>(simd: S, dy: V, x: V, []: [V; 0]) -> V {
        times_sigmoid(simd, dy, -x, V::lit(simd, 0.0))
    }
}
