//! Elementary functions on lanes, in compensated arithmetic.
//!
//! One algorithm serves `f32` and `f64`: only the degree of the polynomials and the bounds differ.
//! A value that is not yet rounded is carried as an unevaluated sum of two lanes (see [`twofold`]),
//! so that a function is rounded once, at the end of the last formula it takes part in.
//!
//! Lanes never influence each other: a branch on "any lane out of range" only decides whether the
//! general form is evaluated as well, and its result is taken per lane.

pub mod erf;
pub mod exp;
pub mod log;
pub mod logistic;
pub(crate) mod polynomial;
pub mod table;
#[cfg(test)]
mod tests;
pub mod twofold;
