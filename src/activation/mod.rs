//! THE list of activations. A family a file; value and derivative side by side.
//!
//! To add one: implement [`Activation`] in its family's file and put the type in [`activations!`]
//! below. Every dtype, SIMD level, the NumPy ufunc, its `backward`, the stub and the contract tests
//! follow from that.

mod rectifier;

use crate::lanes::{Lanes, Token};

pub use rectifier::{LeakyRelu, Relu};

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

    /// The gradient with respect to `x`: `dy` times the derivative at `x`.
    fn backward<S: Token, V: Lanes<S>>(simd: S, dy: V, x: V, parameters: [V; P]) -> V;
}

/// A parameter of an activation, as the Python function takes it.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// The keyword.
    pub name: &'static str,
    /// What it is when the keyword is not given.
    pub default: f64,
}

/// Call the macro `$with` with the list of all activations, each with its number of parameters.
macro_rules! activations {
    ($with:ident) => {
        $with! {
            Relu: 0,
            LeakyRelu: 1,
        }
    };
}
pub(crate) use activations;
