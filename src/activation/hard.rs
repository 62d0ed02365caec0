//! Straight-line stand-ins for sigmoid, tanh and swish: clipped lines, and a parabola between them.

use super::rectifier::{clip, inside};
use super::{Activation, Parameter};
use crate::lanes::{Lanes, Token};
use crate::math::twofold::{fast_two_sum, two_product};
use fearless_simd::prelude::*;

/// `clip(alpha * x + beta, 0, 1)`.
pub struct HardSigmoid;

impl Activation<2> for HardSigmoid {
    const NAME: &'static str = "hard_sigmoid";
    const DOC: &'static str = "Piecewise linear sigmoid: ``clip(alpha * x + beta, 0, 1)``.

``alpha * x + beta`` is rounded once. The derivative at the two kinks is 0. Source: Courbariaux, Bengio and
David, BinaryConnect, 2015 (slope 0.2 there); the default slope 1/6 is that of Keras 3, PyTorch and JAX.";
    const PARAMETERS: [Parameter; 2] = [
        Parameter::new("alpha", 1.0 / 6.0),
        Parameter::new("beta", 0.5),
    ];

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(simd: S, x: V, [alpha, beta]: [V; 2]) -> V {
        clip(alpha.fma(x, beta), V::lit(simd, 0.0), V::lit(simd, 1.0))
    }

    #[inline(always)]
    fn backward<S: Token, V: Lanes<S>>(simd: S, dy: V, x: V, [alpha, beta]: [V; 2]) -> V {
        let line = alpha.fma(x, beta);
        inside(simd, alpha * dy, line, V::lit(simd, 0.0), V::lit(simd, 1.0))
    }
}

/// `clip(x, min_val, max_val)`.
pub struct HardTanh;

impl Activation<2> for HardTanh {
    const NAME: &'static str = "hard_tanh";
    const DOC: &'static str = "Piecewise linear tanh: ``clip(x, min_val, max_val)``.

The derivative at the two kinks is 0. Source: Collobert, Large Scale Machine Learning, 2004.";
    const PARAMETERS: [Parameter; 2] = [
        Parameter::new("min_val", -1.0),
        Parameter::new("max_val", 1.0),
    ];

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(_: S, x: V, [low, high]: [V; 2]) -> V {
        clip(x, low, high)
    }

    #[inline(always)]
    fn backward<S: Token, V: Lanes<S>>(simd: S, dy: V, x: V, [low, high]: [V; 2]) -> V {
        inside(simd, dy, x, low, high)
    }
}

/// `x * relu6(x + 3) / 6`.
pub struct HardSwish;

impl Activation<0> for HardSwish {
    const NAME: &'static str = "hard_swish";
    const DOC: &'static str = "Piecewise swish: ``x * relu6(x + 3) / 6``.

The derivative is 0 at -3 and 1 at 3. Source: Howard et al., Searching for MobileNetV3, 2019.";
    const PARAMETERS: [Parameter; 0] = [];

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(simd: S, x: V, []: [V; 0]) -> V {
        let lit = |value| V::lit(simd, value);
        // Product and quotient carry their rounding errors along: three roundings would be 1.5 ULP.
        let three = lit(3.0);
        let (sum, sum_low) = fast_two_sum(three, clip(x, -three, three));
        let (product, error) = two_product(x, sum);
        let product_low = x.fma(sum_low, error);
        let six = lit(6.0);
        let quotient = product / six;
        let residual = (-quotient).fma(six, product) + product_low;
        let curved = quotient + residual / six;
        // The errors of tiny products underflow, but there x / 2 is right to the last bit.
        let curved = x.abs().simd_lt(lit(1e-17)).select(x * lit(0.5), curved);
        let left = x.simd_le(-three).select(lit(-0.0), curved);
        x.simd_ge(three).select(x, left)
    }

    #[inline(always)]
    fn backward<S: Token, V: Lanes<S>>(simd: S, dy: V, x: V, []: [V; 0]) -> V {
        let lit = |value| V::lit(simd, value);
        // (2 x + 3) / 6: the sum is rounded once, and exact near its root.
        let slope = x.fma(lit(2.0), lit(3.0)) / lit(6.0);
        let left = x.simd_le(lit(-3.0)).select(lit(0.0), dy * slope);
        x.simd_ge(lit(3.0)).select(dy, left)
    }
}
