//! Piecewise linear units: exact, no rounding but that of the one multiplication.

use super::{Activation, Parameter};
use crate::lanes::{Lanes, Token};
use fearless_simd::prelude::*;

/// `max(x, 0)`.
pub struct Relu;

impl Activation<0> for Relu {
    const NAME: &'static str = "relu";
    const DOC: &'static str = "Rectified linear unit: ``max(x, 0)``. The derivative at 0 is 0.";
    const PARAMETERS: [Parameter; 0] = [];

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(simd: S, x: V, []: [V; 0]) -> V {
        let zero = V::lit(simd, 0.0);
        // NaN is not <= 0 and so passes; -0.0 becomes +0.0.
        x.simd_le(zero).select(zero, x)
    }

    #[inline(always)]
    fn backward<S: Token, V: Lanes<S>>(simd: S, dy: V, x: V, []: [V; 0]) -> V {
        let zero = V::lit(simd, 0.0);
        x.simd_le(zero).select(zero, dy)
    }
}

/// `x` where positive, `negative_slope * x` elsewhere.
pub struct LeakyRelu;

impl Activation<1> for LeakyRelu {
    const NAME: &'static str = "leaky_relu";
    const DOC: &'static str =
        "Leaky rectified linear unit: ``x`` where ``x > 0``, else ``negative_slope * x``.";
    const PARAMETERS: [Parameter; 1] = [Parameter {
        name: "negative_slope",
        default: 0.01,
    }];

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(simd: S, x: V, [slope]: [V; 1]) -> V {
        x.simd_gt(V::lit(simd, 0.0)).select(x, slope * x)
    }

    #[inline(always)]
    fn backward<S: Token, V: Lanes<S>>(simd: S, dy: V, x: V, [slope]: [V; 1]) -> V {
        x.simd_gt(V::lit(simd, 0.0)).select(dy, slope * dy)
    }
}
