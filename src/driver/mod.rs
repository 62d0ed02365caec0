//! From arrays in memory to kernels on lanes: layouts, blocks, threads. Knows nothing of the formulas.

pub mod elementwise;
pub mod floating_point;
mod fork_join;
pub mod kernel;
pub(crate) mod layout;
pub mod operand;
pub mod rows;
pub mod table;
pub mod threads;
