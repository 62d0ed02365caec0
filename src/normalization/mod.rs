//! Batch, layer and RMS normalisation with their gradients, and gradients clipped by their common norm.
//!
//! All of it is computed in `f64` and rounded once to the type of the result, so that `f32` and 16-bit
//! results are as good as correctly rounded. Memory beside the operands is a few numbers for each channel
//! or column, and thread.

pub mod batch;
mod channels;
pub mod norm;
pub mod rows;
mod sums;

pub use channels::Channels;

#[cfg(test)]
mod tests;
