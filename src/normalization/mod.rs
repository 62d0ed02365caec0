//! Batch, layer and RMS normalisation with their gradients, and gradients clipped by their common norm.
//!
//! All of it is computed in `f64` and rounded once to the type of the result, so that `f32` and 16-bit
//! results are as good as correctly rounded. Memory beside the operands is some numbers for each channel or
//! column, at most sixteen for each thread and a few for each of at most 64 chunks of the samples.

pub mod batch;
mod channel_grid;
mod channel_maps;
mod channel_sums;
mod channel_terms;
mod channel_totals;
mod channels;
mod lane_sums;
pub mod norm;
mod row;
mod row_gradient;
pub mod rows;
mod short_rows;
mod sixteen;
mod sums;

pub use channels::Channels;

#[cfg(test)]
mod tests;
