//! Activation and loss functions on NumPy arrays: fast, accurate, and the same bits on every CPU.

pub mod activation;
pub mod driver;
pub mod dtype;
pub mod lanes;
pub mod level;
pub mod loss;
pub mod math;
#[cfg(feature = "python")]
mod python;
pub mod reduction;
