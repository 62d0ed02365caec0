//! Gated linear units: one array times an activation of another, and the two derivatives.
//!
//! Dauphin et al. 2017 (arXiv:1612.08083), Shazeer 2020 (arXiv:2002.05202). The product rounds what the
//! activation has rounded, so the largest error is half an ULP and up to twice that of the activation.
//! Only where the activation is subnormal would its rounding weigh more: there the formulas for small and
//! for far negative arguments take over, in which nothing is rounded before the other factor has brought
//! it back. In the derivatives `dy` times the other array is rounded first, and overflows as it does.

use super::gelu::Gelu;
use super::{Activation, Silu};
use crate::driver::kernel::{Function, Kernels};
use crate::lanes::{Lanes, Token};
use crate::math::erf::{half_square, scaled_normal_tail};
use crate::math::exp::Scaled;
use crate::math::logistic::{tail, times_sigmoid, times_sigmoid_derivative};
use crate::math::polynomial::by_precision;
use crate::math::twofold::multiply;
use fearless_simd::prelude::*;

/// A function of two arrays, one of which lets the other through.
pub trait GatedUnit: 'static {
    /// The name of the ufunc.
    const NAME: &'static str;

    /// The docstring: a sentence, the formula, the source.
    const DOC: &'static str;

    /// The function itself.
    fn value<S: Token, V: Lanes<S>>(simd: S, a: V, b: V) -> V;

    /// The gradient with respect to `a`: `dy` times the derivative.
    fn backward_a<S: Token, V: Lanes<S>>(simd: S, dy: V, a: V, b: V) -> V;

    /// The gradient with respect to `b`.
    fn backward_b<S: Token, V: Lanes<S>>(simd: S, dy: V, a: V, b: V) -> V;
}

/// A gated unit as the drivers see it.
#[derive(Clone, Copy, Debug)]
pub struct GatedDefinition {
    /// The name of the ufunc.
    pub name: &'static str,
    /// The docstring.
    pub doc: &'static str,
    /// Operands: `a`, `b`.
    pub value: Kernels,
    /// With respect to `a`; operands: `dy`, `a`, `b`.
    pub backward_a: Kernels,
    /// With respect to `b`; operands: `dy`, `a`, `b`.
    pub backward_b: Kernels,
}

impl GatedDefinition {
    const fn of<G: GatedUnit>() -> Self {
        Self {
            name: G::NAME,
            doc: G::DOC,
            value: Kernels::of::<Value<G>>(),
            backward_a: Kernels::of::<BackwardA<G>>(),
            backward_b: Kernels::of::<BackwardB<G>>(),
        }
    }
}

/// All gated units.
pub static GATED_UNITS: &[GatedDefinition] = &[
    GatedDefinition::of::<Glu>(),
    GatedDefinition::of::<Swiglu>(),
    GatedDefinition::of::<Geglu>(),
];

struct Value<G>(G);

impl<G: GatedUnit> Function for Value<G> {
    const INPUTS: usize = 2;

    #[inline(always)]
    fn apply<S: Token, V: Lanes<S>>(simd: S, operand: impl Fn(usize) -> V) -> V {
        G::value(simd, operand(0), operand(1))
    }
}

struct BackwardA<G>(G);

impl<G: GatedUnit> Function for BackwardA<G> {
    const INPUTS: usize = 3;

    #[inline(always)]
    fn apply<S: Token, V: Lanes<S>>(simd: S, operand: impl Fn(usize) -> V) -> V {
        G::backward_a(simd, operand(0), operand(1), operand(2))
    }
}

struct BackwardB<G>(G);

impl<G: GatedUnit> Function for BackwardB<G> {
    const INPUTS: usize = 3;

    #[inline(always)]
    fn apply<S: Token, V: Lanes<S>>(simd: S, operand: impl Fn(usize) -> V) -> V {
        G::backward_b(simd, operand(0), operand(1), operand(2))
    }
}

/// `a / (1 + e^-b)`.
pub struct Glu;

impl GatedUnit for Glu {
    const NAME: &'static str = "glu";
    const DOC: &'static str =
        "Gated linear unit: ``a * sigmoid(b)`` (Dauphin et al. 2017, arXiv:1612.08083).";

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(simd: S, a: V, b: V) -> V {
        let zero = V::lit(simd, 0.0);
        let y = times_sigmoid(simd, a, b, zero);
        // At -inf the factor is 0 indeed, to an infinite a too.
        let closed = b.simd_eq(V::lit(simd, f64::NEG_INFINITY));
        closed.select(a * zero, y)
    }

    #[inline(always)]
    fn backward_a<S: Token, V: Lanes<S>>(simd: S, dy: V, _: V, b: V) -> V {
        Self::value(simd, dy, b)
    }

    #[inline(always)]
    fn backward_b<S: Token, V: Lanes<S>>(simd: S, dy: V, a: V, b: V) -> V {
        times_sigmoid_derivative(simd, dy * a, b, 1.0)
    }
}

/// `b a / (1 + e^-a)`.
pub struct Swiglu;

impl GatedUnit for Swiglu {
    const NAME: &'static str = "swiglu";
    const DOC: &'static str = "Gated linear unit with the sigmoid-weighted one: ``silu(a) * b`` \
         (Shazeer 2020, arXiv:2002.05202).";

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(simd: S, a: V, b: V) -> V {
        gate(
            simd,
            a,
            Silu::value(simd, a, []),
            b,
            #[inline(always)]
            || {
                let (exponential, bounded) = tail(simd, a);
                exponential
                    .multiply((bounded, V::lit(simd, 0.0)))
                    .times(simd, b)
            },
        )
    }

    #[inline(always)]
    fn backward_a<S: Token, V: Lanes<S>>(simd: S, dy: V, a: V, b: V) -> V {
        Silu::backward(simd, dy * b, a, [])
    }

    #[inline(always)]
    fn backward_b<S: Token, V: Lanes<S>>(simd: S, dy: V, a: V, _: V) -> V {
        Self::value(simd, a, dy)
    }
}

/// `b a Phi(a)`.
pub struct Geglu;

impl GatedUnit for Geglu {
    const NAME: &'static str = "geglu";
    const DOC: &'static str = "Gated linear unit with the Gaussian error one: ``gelu(a) * b`` \
         (Shazeer 2020, arXiv:2002.05202).";

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(simd: S, a: V, b: V) -> V {
        gate(
            simd,
            a,
            Gelu::value(simd, a, []),
            b,
            #[inline(always)]
            || {
                let zero = V::lit(simd, 0.0);
                let size = Gelu::size(simd, a);
                let (exponent, exponent_low) = half_square(simd, size);
                let product = multiply((-size, zero), scaled_normal_tail(simd, size, zero));
                Scaled::exp(simd, exponent, exponent_low)
                    .multiply(product)
                    .times(simd, b)
            },
        )
    }

    #[inline(always)]
    fn backward_a<S: Token, V: Lanes<S>>(simd: S, dy: V, a: V, b: V) -> V {
        Gelu::backward(simd, dy * b, a, [])
    }

    #[inline(always)]
    fn backward_b<S: Token, V: Lanes<S>>(simd: S, dy: V, a: V, _: V) -> V {
        Self::value(simd, a, dy)
    }
}

/// `activation * b`, for an activation of `a` that is `a / 2` near 0 and falls off exponentially for negative
/// `a`, where `far` is the product.
#[inline(always)]
fn gate<S: Token, V: Lanes<S>>(simd: S, a: V, activation: V, b: V, far: impl FnOnce() -> V) -> V {
    let y = activation * b;
    let least_normal = by_precision::<S, V, _>(f64::from(f32::MIN_POSITIVE), f64::MIN_POSITIVE);
    let subnormal = activation.abs().simd_lt(V::lit(simd, least_normal));
    if !subnormal.any_true() {
        return y;
    }
    let near = subnormal & a.abs().simd_lt(V::lit(simd, 1.0));
    let y = near.select((a * b) * V::lit(simd, 0.5), y);
    // At -inf the activation is 0 indeed.
    let is_far =
        subnormal & a.simd_lt(V::lit(simd, -1.0)) & a.simd_gt(V::lit(simd, f64::NEG_INFINITY));
    if is_far.any_true() {
        return is_far.select(far(), y);
    }
    y
}
