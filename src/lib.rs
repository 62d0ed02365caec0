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
