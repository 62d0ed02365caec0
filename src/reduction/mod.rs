//! Reductions: many values to one.

pub mod exact;
