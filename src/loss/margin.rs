//! Losses of scores against labels -1 and 1, functions of the margin `y p`.
//!
//! A label 0 is a no, as -1 is: labels 0 and 1 need no conversion. Flat parts begin at a margin of exactly
//! 1, where gradient and Hessian are 0.

use super::binary::{FromLogits, LabelWeights, Outcomes};
use super::{Domain, Domains, Element, ElementwiseLoss, Formula, Kernel, define_loss};
use crate::lanes::{Lanes, Token};
use crate::math::twofold::two_sum;
use fearless_simd::prelude::*;

const DOMAINS: Domains = Domains {
    y_true: Domain::Signs,
    y_pred: Domain::All,
    parameter: Domain::All,
};

define_loss! {
    "hinge":
    /// `max(0, 1 - y p)`.
    pub struct Hinge {}
}

impl ElementwiseLoss for Hinge {
    const REGRESSION: bool = false;

    fn domains(&self) -> Domains {
        DOMAINS
    }

    fn kernel<S: Token>(&self) -> Kernel<S> {
        Kernel::of(HingeError)
    }
}

define_loss! {
    "squared_hinge":
    /// `max(0, 1 - y p)^2`.
    pub struct SquaredHinge {}
}

impl ElementwiseLoss for SquaredHinge {
    const REGRESSION: bool = false;

    fn domains(&self) -> Domains {
        DOMAINS
    }

    fn kernel<S: Token>(&self) -> Kernel<S> {
        Kernel::of(SquaredHingeError)
    }
}

define_loss! {
    "soft_margin":
    /// `log(1 + e^(-y p))`: binary cross-entropy of the logit `p`, with other names for the labels.
    pub struct SoftMargin {}
}

impl ElementwiseLoss for SoftMargin {
    const REGRESSION: bool = false;

    fn domains(&self) -> Domains {
        DOMAINS
    }

    fn kernel<S: Token>(&self) -> Kernel<S> {
        Kernel::of(FromLogits(SignedLabels))
    }
}

/// The label as -1 or 1, NaN for NaN.
#[inline(always)]
fn signed<S: Token, V: Lanes<S>>(simd: S, label: V) -> V {
    let no = label.simd_eq(V::lit(simd, 0.0));
    no.select(V::lit(simd, -1.0), label)
}

/// By how much the margin falls short of 1, negative if it does not, in parts; and the label.
#[inline(always)]
fn shortfall<S: Token, V: Lanes<S>>(simd: S, at: Element<V>) -> ((V, V), V) {
    let label = signed(simd, at.y_true);
    (two_sum(V::lit(simd, 1.0), -(label * at.y_pred)), label)
}

/// `x` where it is not negative, NaN too, elsewhere 0.
#[inline(always)]
fn positive<S: Token, V: Lanes<S>>(simd: S, x: V, result: V) -> V {
    let zero = V::lit(simd, 0.0);
    x.simd_le(zero).select(zero, result)
}

#[derive(Clone, Copy)]
struct HingeError;

impl Formula for HingeError {
    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let ((short, _), _) = shortfall(simd, at);
        positive(simd, short, short)
    }

    #[inline(always)]
    fn gradient<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let ((short, _), label) = shortfall(simd, at);
        let slope = short.is_nan().select(short, -label);
        positive(simd, short, slope)
    }

    #[inline(always)]
    fn hessian<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let ((short, _), _) = shortfall(simd, at);
        short.is_nan().select(short, V::lit(simd, 0.0))
    }
}

#[derive(Clone, Copy)]
struct SquaredHingeError;

impl Formula for SquaredHingeError {
    /// As the squared error, the square takes the rounding error of the difference along.
    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let ((short, error), _) = shortfall(simd, at);
        let plain = short * short;
        let value = short.fma(short, (short + short) * error);
        let value = value.is_finite().select(value, plain);
        positive(simd, short, value)
    }

    #[inline(always)]
    fn gradient<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let ((short, _), label) = shortfall(simd, at);
        positive(simd, short, -(label * (short + short)))
    }

    #[inline(always)]
    fn hessian<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let ((short, _), _) = shortfall(simd, at);
        let bend = short.is_nan().select(short, V::lit(simd, 2.0));
        positive(simd, short, bend)
    }
}

/// Labels -1 and 1 as the weights 0 and 1 of the two outcomes.
#[derive(Clone, Copy)]
struct SignedLabels;

impl LabelWeights for SignedLabels {
    const PLAIN: bool = true;

    #[inline(always)]
    fn outcomes<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> Outcomes<V> {
        let (zero, half) = (V::lit(simd, 0.0), V::lit(simd, 0.5));
        let label = signed(simd, at.y_true);
        Outcomes {
            positive: (label.fma(half, half), zero),
            negative: ((-label).fma(half, half), zero),
        }
    }
}
