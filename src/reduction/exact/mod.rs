//! Exact sums: what a loss is reduced with, and why a reduced value depends on nothing but its inputs.
//!
//! Floating-point addition is not associative, so an ordinary sum depends on the order of additions,
//! hence on vector width, threads and batches. [`ExactSum`] holds the sum itself, without any error:
//! any order, split or merge tree ends in the same state, and the only rounding is the last one, of
//! [`ExactSum::to_f64`] or [`exact_quotient`].
//!
//! The state is one wide fixed-point number (`fixed_point.rs`) to which a scalar adds a value in a
//! few nanoseconds. Slices take a faster road (`bin_and_rests.rs`, `bins.rs`): a block of values is split, in SIMD
//! lanes, into two to four bins whose own sums are exact, and only those few totals reach the wide number.

mod bin_and_rests;
mod bins;
mod encoding;
mod fixed_point;
mod quotient;
mod rounding;
mod squares;

pub use bin_and_rests::{Assumed, Window};
pub use bins::BLOCK;
pub use encoding::{ENCODED_LEN, InvalidEncoding};
pub use quotient::exact_quotient;
pub use squares::NearlyExactSum;

use crate::lanes::Token;
use fixed_point::FixedPoint;
use std::fmt;

/// The exact sum of float values.
///
/// Infinities and NaN follow IEEE: a NaN, or infinities of both signs, make the sum NaN; else an
/// infinity makes it that infinity. Intermediate results cannot overflow: there is room for 2^62
/// additions of the largest float64, merged sums included.
///
/// Two sums are equal when they hold the same exact value (NaN equals NaN here), whatever the order
/// of the additions, and equal sums have the same [`ExactSum::to_bytes`].
///
/// ```
/// use actloss_rs::reduction::exact::ExactSum;
///
/// let mut first = ExactSum::new();
/// first.add(1e16);
/// first.add(1.0);
/// let mut second = ExactSum::new();
/// second.add(-1e16);
/// first.merge(&second);
/// assert_eq!(first.to_f64(), 1.0);
/// assert_eq!(first.divide_by_count(3), 1.0 / 3.0);
/// ```
#[derive(Clone)]
pub struct ExactSum {
    class: Class,
    /// The sum of all finite values; without meaning unless `class` is finite.
    finite: FixedPoint,
}

/// What the infinities and NaN among the values make of the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Finite,
    Infinite { negative: bool },
    NaN,
}

impl Class {
    fn of(value: f64) -> Self {
        if value.is_nan() {
            Self::NaN
        } else if value.is_infinite() {
            Self::Infinite {
                negative: value < 0.0,
            }
        } else {
            Self::Finite
        }
    }

    /// The class of a sum of two: infinities of different signs make a NaN.
    fn join(self, other: Self) -> Self {
        match (self, other) {
            (Self::Finite, class) | (class, Self::Finite) => class,
            (a, b) if a == b => a,
            _ => Self::NaN,
        }
    }
}

impl ExactSum {
    /// The sum of no values: zero.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            class: Class::Finite,
            finite: FixedPoint::ZERO,
        }
    }

    /// Add one value. A `f32` is added by its exact conversion.
    #[inline]
    pub fn add(&mut self, value: f64) {
        if value.is_finite() {
            self.finite.add_float(value);
        } else {
            self.class = self.class.join(Class::of(value));
        }
    }

    /// Add every value of `values`.
    ///
    /// Compiled for the level of `simd` by itself, out of line so that its registers do not compete
    /// with the caller's loop: call it with a buffer of values, best a multiple of [`BLOCK`].
    #[inline(never)]
    pub fn add_f32_slice<S: Token>(&mut self, simd: S, values: &[f32]) {
        bin_and_rests::add_slice(self, simd, values);
    }

    /// Add every value of `values`; as [`ExactSum::add_f32_slice`].
    #[inline(never)]
    pub fn add_f64_slice<S: Token>(&mut self, simd: S, values: &[f64]) {
        bins::add_slice(self, simd, values);
    }

    /// Add the square of every value of `values`; as [`ExactSum::add_f32_slice`].
    #[inline(never)]
    pub fn add_squares_of_f32_slice<S: Token>(&mut self, simd: S, values: &[f32]) {
        bins::add_slice(self, simd, bins::Squared::of(values));
    }

    /// Add the sum that `other` holds.
    pub fn merge(&mut self, other: &Self) {
        self.class = self.class.join(other.class);
        self.finite.add(&other.finite);
    }

    /// Is the exact sum zero?
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.class == Class::Finite && self.finite.is_zero()
    }

    /// The float64 nearest to the sum, ties to even; a zero sum is `+0.0`, too large a sum infinite.
    #[must_use]
    pub fn to_f64(&self) -> f64 {
        match self.class {
            Class::NaN => f64::NAN,
            Class::Infinite { negative: false } => f64::INFINITY,
            Class::Infinite { negative: true } => f64::NEG_INFINITY,
            Class::Finite => self.finite.to_f64(),
        }
    }

    /// The sum over `count`, rounded once to the nearest float64; NaN for a count of zero.
    #[must_use]
    pub fn divide_by_count(&self, count: u64) -> f64 {
        exact_quotient(self, &Self::from(count))
    }
}

impl Default for ExactSum {
    fn default() -> Self {
        Self::new()
    }
}

/// The integer itself, exactly: the sum of `count` ones.
impl From<u64> for ExactSum {
    fn from(count: u64) -> Self {
        let mut sum = Self::new();
        sum.finite.add_integer(count);
        sum
    }
}

impl PartialEq for ExactSum {
    fn eq(&self, other: &Self) -> bool {
        self.class == other.class && (self.class != Class::Finite || self.finite == other.finite)
    }
}

impl Eq for ExactSum {}

impl fmt::Debug for ExactSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ExactSum").field(&self.to_f64()).finish()
    }
}
