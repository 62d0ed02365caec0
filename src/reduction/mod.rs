//! Reductions: many values to one.

pub mod exact;
mod row_exponential;
mod row_probabilities;
mod row_statistics;
mod row_sums;
pub mod softmax;
mod softmax_backward;
#[cfg(test)]
mod tests;
