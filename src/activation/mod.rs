//! THE list of activations. A family a file; value and derivative side by side.
//!
//! To add one: implement [`Activation`] in its family's file and put the type in the list at the end
//! of this file. Every dtype, SIMD level, the NumPy ufunc, its `backward`, the stub and the contract tests
//! follow from that.

mod algebraic;
mod exponential;
mod gated;
mod gelu;
mod hard;
mod rectifier;
mod shrink;
mod sigmoid;
mod tanh;
#[cfg(test)]
mod tests;

use crate::driver::kernel::{Function, Kernels};
use crate::lanes::{Lanes, Token};
use std::array::from_fn;

pub use algebraic::{Softsign, SparsePlus, SparseSigmoid, Squareplus};
pub use exponential::{Celu, Elu, Exp, Expm1, Log1p, Selu};
pub use gated::{GATED_UNITS, GatedDefinition, GatedUnit, Geglu, Glu, Swiglu};
pub use gelu::{Erf, Gelu, GeluTanh};
pub use hard::{HardSigmoid, HardSwish, HardTanh};
pub use rectifier::{LeakyRelu, Prelu, Relu, Relu6};
pub use shrink::{HardShrink, SoftShrink, Threshold, ThresholdedRelu};
pub use sigmoid::{LogSigmoid, Mish, Sigmoid, Silu, Softplus};
pub use tanh::{Tanh, TanhShrink};

/// An elementwise function of `x` with `P` parameters, and its derivative.
///
/// A parameter is an operand like any other: it broadcasts, one value for an element.
pub trait Activation<const P: usize>: 'static {
    /// The name of the ufunc.
    const NAME: &'static str;

    /// The docstring: a sentence, the formula, the source.
    const DOC: &'static str;

    /// Name and default value of each parameter.
    const PARAMETERS: [Parameter; P];

    /// The function itself.
    fn value<S: Token, V: Lanes<S>>(simd: S, x: V, parameters: [V; P]) -> V;

    /// Where `value_common` may stand for `value`: in `f32`, for `|x|` below this.
    const COMMON: Option<f32> = None;

    /// The same bits as `value`, faster, for common `x`. Never NaN.
    #[inline(always)]
    fn value_common<S: Token, V: Lanes<S>>(simd: S, x: V, parameters: [V; P]) -> V {
        Self::value(simd, x, parameters)
    }

    /// The gradient with respect to `x`: `dy` times the derivative at `x`.
    fn backward<S: Token, V: Lanes<S>>(simd: S, dy: V, x: V, parameters: [V; P]) -> V;
}

/// A parameter of an activation, as the Python function takes it.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// The keyword.
    pub name: &'static str,
    /// What it is when not given; `None`: it must be given.
    pub default: Option<f64>,
}

impl Parameter {
    const fn new(name: &'static str, default: f64) -> Self {
        Self {
            name,
            default: Some(default),
        }
    }

    const fn required(name: &'static str) -> Self {
        Self {
            name,
            default: None,
        }
    }
}

/// An activation as the drivers see it: its words, and its kernels for all types and levels.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    /// The name of the ufunc.
    pub name: &'static str,
    /// The docstring.
    pub doc: &'static str,
    /// Name and default value of each parameter.
    pub parameters: &'static [Parameter],
    /// Operands: `x`, then the parameters.
    pub value: Kernels,
    /// Operands: `dy`, `x`, then the parameters.
    pub backward: Kernels,
}

impl Definition {
    const fn of<A: Activation<P>, const P: usize>() -> Self {
        Self {
            name: A::NAME,
            doc: A::DOC,
            parameters: const { &A::PARAMETERS },
            value: Kernels::of::<Value<A, P>>(),
            backward: Kernels::of::<Backward<A, P>>(),
        }
    }
}

struct Value<A, const P: usize>(A);

impl<A: Activation<P>, const P: usize> Function for Value<A, P> {
    const INPUTS: usize = 1 + P;

    #[inline(always)]
    fn apply<S: Token, V: Lanes<S>>(simd: S, operand: impl Fn(usize) -> V) -> V {
        A::value(simd, operand(0), from_fn(|k| operand(1 + k)))
    }

    const COMMON: Option<f32> = A::COMMON;

    #[inline(always)]
    fn apply_common<S: Token, V: Lanes<S>>(simd: S, operand: impl Fn(usize) -> V) -> V {
        A::value_common(simd, operand(0), from_fn(|k| operand(1 + k)))
    }
}

struct Backward<A, const P: usize>(A);

impl<A: Activation<P>, const P: usize> Function for Backward<A, P> {
    const INPUTS: usize = 2 + P;

    #[inline(always)]
    fn apply<S: Token, V: Lanes<S>>(simd: S, operand: impl Fn(usize) -> V) -> V {
        A::backward(simd, operand(0), operand(1), from_fn(|k| operand(2 + k)))
    }
}

macro_rules! activations {
    ($($activation:ty: $parameters:literal,)*) => {
        /// All activations.
        pub static ACTIVATIONS: &[Definition] = &[
            $(Definition::of::<$activation, $parameters>(),)*
        ];
    };
}

// The list: the type, and how many parameters it has.
activations! {
    Relu: 0,
    Relu6: 0,
    LeakyRelu: 1,
    Erf: 0,
    Gelu: 0,
    GeluTanh: 0,
    Prelu: 1,
    HardSigmoid: 2,
    HardTanh: 2,
    HardSwish: 0,
    HardShrink: 1,
    SoftShrink: 1,
    Threshold: 2,
    ThresholdedRelu: 1,
    Softsign: 0,
    Squareplus: 1,
    SparsePlus: 0,
    SparseSigmoid: 0,
    Exp: 0,
    Expm1: 0,
    Log1p: 0,
    Sigmoid: 0,
    LogSigmoid: 0,
    Softplus: 1,
    Silu: 0,
    Mish: 0,
    Tanh: 0,
    TanhShrink: 0,
    Elu: 1,
    Celu: 1,
    Selu: 0,
}
