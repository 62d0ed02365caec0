//! Reductions: many values to one.

pub(crate) mod batch_statistics;
pub mod exact;
pub(crate) mod exponential_sums;
mod log_probabilities;
pub(crate) mod row_exponential;
mod row_group;
pub(crate) mod row_probabilities;
pub(crate) mod row_statistics;
pub(crate) mod row_sums;
pub(crate) mod rows_side_by_side;
pub(crate) mod scaled_softmax;
pub mod softmax;
mod softmax_backward;
pub mod sparsemax;
#[cfg(test)]
mod tests;
pub(crate) mod tile;
