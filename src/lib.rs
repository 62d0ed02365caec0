//! Activation and loss functions on NumPy arrays: fast, accurate, and the same bits on every CPU.

pub mod activation;
pub mod diagnostics;
pub mod driver;
pub mod dtype;
pub mod lanes;
pub mod level;
pub mod loss;
pub mod math;
pub mod normalization;
#[cfg(feature = "python")]
mod python;
pub mod reduction;

// Tests of the public face. They are part of the library's own test binary, for every kernel on every level takes
// minutes to compile, once more for each crate that would hold them.
#[cfg(test)]
extern crate self as actloss_rs;
#[cfg(test)]
#[path = "../tests/accuracy/main.rs"]
mod accuracy;
#[cfg(test)]
#[path = "../tests/bits/main.rs"]
mod bits;
#[cfg(test)]
#[path = "../tests/exact/main.rs"]
mod exact;
