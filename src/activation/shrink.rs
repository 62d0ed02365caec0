//! Shrinkage and thresholds: values near zero, or below a bound, are replaced.

use super::{Activation, Parameter};
use crate::lanes::{Lanes, Token};
use fearless_simd::prelude::*;

/// `x` where `|x| > threshold`, else 0.
pub struct HardShrink;

impl Activation<1> for HardShrink {
    const NAME: &'static str = "hard_shrink";
    const DOC: &'static str = "Hard shrinkage: ``x`` where ``|x| > threshold``, else 0.

The derivative at the threshold is 0. Source: Donoho and Johnstone, Ideal Spatial Adaptation by Wavelet
Shrinkage, 1994.";
    const PARAMETERS: [Parameter; 1] = [Parameter::new("threshold", 0.5)];

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(simd: S, x: V, [threshold]: [V; 1]) -> V {
        // Written so that NaN passes.
        x.abs().simd_le(threshold).select(V::lit(simd, 0.0), x)
    }

    #[inline(always)]
    fn backward<S: Token, V: Lanes<S>>(simd: S, dy: V, x: V, [threshold]: [V; 1]) -> V {
        let passed = x.abs().simd_le(threshold).select(V::lit(simd, 0.0), dy);
        x.is_nan().select(x, passed)
    }
}

/// `x` moved towards 0 by `threshold`.
pub struct SoftShrink;

impl Activation<1> for SoftShrink {
    const NAME: &'static str = "soft_shrink";
    const DOC: &'static str =
        "Soft shrinkage: ``x - threshold`` above the threshold, ``x + threshold`` below minus the threshold, else 0.

The derivative at the threshold is 0. Source: Donoho, De-noising by Soft-thresholding, 1995.";
    const PARAMETERS: [Parameter; 1] = [Parameter::new("threshold", 0.5)];

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(simd: S, x: V, [threshold]: [V; 1]) -> V {
        let shrunk = x - threshold.copysign(x);
        x.abs().simd_le(threshold).select(V::lit(simd, 0.0), shrunk)
    }

    #[inline(always)]
    fn backward<S: Token, V: Lanes<S>>(simd: S, dy: V, x: V, parameters: [V; 1]) -> V {
        HardShrink::backward(simd, dy, x, parameters)
    }
}

/// `x` where `x > threshold`, else `value`.
pub struct Threshold;

impl Activation<2> for Threshold {
    const NAME: &'static str = "threshold";
    const DOC: &'static str = "Threshold: ``x`` where ``x > threshold``, else ``value``.

The derivative at the threshold is 0. Source: the function of this name in Torch.";
    const PARAMETERS: [Parameter; 2] = [
        Parameter::required("threshold"),
        Parameter::required("value"),
    ];

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(_: S, x: V, [threshold, value]: [V; 2]) -> V {
        x.simd_le(threshold).select(value, x)
    }

    #[inline(always)]
    fn backward<S: Token, V: Lanes<S>>(simd: S, dy: V, x: V, [threshold, _]: [V; 2]) -> V {
        let passed = x.simd_le(threshold).select(V::lit(simd, 0.0), dy);
        x.is_nan().select(x, passed)
    }
}

/// `x` where `x > theta`, else 0.
pub struct ThresholdedRelu;

impl Activation<1> for ThresholdedRelu {
    const NAME: &'static str = "thresholded_relu";
    const DOC: &'static str = "Thresholded rectified linear unit: ``x`` where ``x > theta``, else 0.

The derivative at the threshold is 0. Source: Konda, Memisevic and Krueger, Zero-bias Autoencoders and the
Benefits of Co-adapting Features, 2014.";
    const PARAMETERS: [Parameter; 1] = [Parameter::new("theta", 1.0)];

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(simd: S, x: V, [theta]: [V; 1]) -> V {
        Threshold::value(simd, x, [theta, V::lit(simd, 0.0)])
    }

    #[inline(always)]
    fn backward<S: Token, V: Lanes<S>>(simd: S, dy: V, x: V, [theta]: [V; 1]) -> V {
        Threshold::backward(simd, dy, x, [theta, V::lit(simd, 0.0)])
    }
}
