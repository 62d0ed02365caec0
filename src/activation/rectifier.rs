//! Rectifiers: piecewise linear, exact but for the one multiplication.

use super::{Activation, Parameter};
use crate::lanes::{Lanes, Token};
use fearless_simd::prelude::*;

/// `max(x, 0)`.
pub struct Relu;

impl Activation<0> for Relu {
    const NAME: &'static str = "relu";
    const DOC: &'static str = "Rectified linear unit: ``max(x, 0)``.

The derivative at 0 is 0. Source: Nair and Hinton, Rectified Linear Units Improve Restricted Boltzmann
Machines, 2010.";
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
        let passed = x.simd_le(zero).select(zero, dy);
        x.is_nan().select(x, passed)
    }
}

/// `min(max(x, 0), 6)`.
pub struct Relu6;

impl Activation<0> for Relu6 {
    const NAME: &'static str = "relu6";
    const DOC: &'static str = "Rectified linear unit capped at 6: ``min(max(x, 0), 6)``.

The derivative at 0 and at 6 is 0. Source: Krizhevsky, Convolutional Deep Belief Networks on CIFAR-10, 2010.";
    const PARAMETERS: [Parameter; 0] = [];

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(simd: S, x: V, []: [V; 0]) -> V {
        clip(x, V::lit(simd, 0.0), V::lit(simd, 6.0))
    }

    #[inline(always)]
    fn backward<S: Token, V: Lanes<S>>(simd: S, dy: V, x: V, []: [V; 0]) -> V {
        inside(simd, dy, x, V::lit(simd, 0.0), V::lit(simd, 6.0))
    }
}

/// `x` where positive, `negative_slope * x` elsewhere.
pub struct LeakyRelu;

impl Activation<1> for LeakyRelu {
    const NAME: &'static str = "leaky_relu";
    const DOC: &'static str =
        "Leaky rectified linear unit: ``x`` where ``x > 0``, else ``negative_slope * x``.

The derivative at 0 is ``negative_slope``. Source: Maas, Hannun and Ng, Rectifier Nonlinearities Improve Neural
Network Acoustic Models, 2013.";
    const PARAMETERS: [Parameter; 1] = [Parameter::new("negative_slope", 0.01)];

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(simd: S, x: V, [slope]: [V; 1]) -> V {
        x.simd_gt(V::lit(simd, 0.0)).select(x, slope * x)
    }

    #[inline(always)]
    fn backward<S: Token, V: Lanes<S>>(simd: S, dy: V, x: V, [slope]: [V; 1]) -> V {
        let passed = x.simd_gt(V::lit(simd, 0.0)).select(dy, slope * dy);
        x.is_nan().select(x, passed)
    }
}

/// [`LeakyRelu`] with a learned slope.
pub struct Prelu;

impl Activation<1> for Prelu {
    const NAME: &'static str = "prelu";
    const DOC: &'static str =
        "Parametric rectified linear unit: ``x`` where ``x > 0``, else ``slope * x``, the slope being learned.

It broadcasts against x: for one slope a channel give it the shape of the channel axis and those after it.
Source: He et al., Delving Deep into Rectifiers, 2015.";
    const PARAMETERS: [Parameter; 1] = [Parameter::required("slope")];

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(simd: S, x: V, slope: [V; 1]) -> V {
        LeakyRelu::value(simd, x, slope)
    }

    #[inline(always)]
    fn backward<S: Token, V: Lanes<S>>(simd: S, dy: V, x: V, slope: [V; 1]) -> V {
        LeakyRelu::backward(simd, dy, x, slope)
    }
}

/// `x` brought into `low ..= high`; NaN passes.
#[inline(always)]
pub(super) fn clip<S: Token, V: Lanes<S>>(x: V, low: V, high: V) -> V {
    let raised = x.simd_le(low).select(low, x);
    raised.simd_ge(high).select(high, raised)
}

/// `dy` where `low < x < high`, else 0; NaN in x passes.
#[inline(always)]
pub(super) fn inside<S: Token, V: Lanes<S>>(simd: S, dy: V, x: V, low: V, high: V) -> V {
    let within = x.simd_gt(low) & x.simd_lt(high);
    let passed = within.select(dy, V::lit(simd, 0.0));
    x.is_nan().select(x, passed)
}
