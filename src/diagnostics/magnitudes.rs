//! A histogram that needs no range: how many elements have which sign and exponent.
//!
//! The bins are those of `f32`, whose sign and exponent are the upper nine bits; narrower floats lie
//! inside, `f64` outside of it go to the outermost bins. Four tables take turns, so that equal neighbours
//! do not wait for each other.

use super::finite::Sums;
use crate::dtype::Real;
use crate::lanes::Token;
use fearless_simd::prelude::*;
use fearless_simd::{SimdFloatElement, f32x16, f64x8};

/// Number of bins: bin `b` has the elements with sign `b / 256` and biased exponent `b % 256`. Exponent
/// 0 is of zeros and `f32` subnormals, 255 of infinities and NaN.
pub const BINS: usize = 512;

const TABLES: usize = 4;

/// Counts by sign and exponent.
#[derive(Clone, Debug)]
pub struct Magnitudes {
    counts: [u64; BINS],
    tables: [[u32; BINS]; TABLES],
    /// Elements that the tables have room for.
    room: u32,
}

/// A compute type that can be counted and summed.
pub(super) trait HasExponent: Real + SimdFloatElement {
    /// The bin of an element.
    fn bin(self) -> usize;

    /// The number whose bits are those of either.
    #[must_use]
    fn union(self, other: Self) -> Self;

    /// Add a vector and its squares.
    fn add_lanes<S: Token>(sums: &mut Sums<S>, x: Self::Vector<S>);
}

impl HasExponent for f32 {
    #[inline(always)]
    fn bin(self) -> usize {
        (self.to_bits() >> 23) as usize
    }

    #[inline(always)]
    fn union(self, other: Self) -> Self {
        Self::from_bits(self.to_bits() | other.to_bits())
    }

    #[inline(always)]
    fn add_lanes<S: Token>(sums: &mut Sums<S>, x: f32x16<S>) {
        let (low, high) = x.widen();
        for (k, x) in [low, high].into_iter().enumerate() {
            sums.sum[k] += x;
            sums.squares[k] = x.mul_add(x, sums.squares[k]);
        }
    }
}

impl HasExponent for f64 {
    #[inline(always)]
    fn bin(self) -> usize {
        const BIAS_DIFFERENCE: i32 = 1023 - 127;
        let upper = (self.to_bits() >> 52) as i32;
        let exponent = (upper & 0x7ff) - BIAS_DIFFERENCE;
        let largest = if self.is_finite() { 254 } else { 255 };
        (exponent.clamp(0, largest) | (upper >> 11) << 8) as usize
    }

    #[inline(always)]
    fn union(self, other: Self) -> Self {
        Self::from_bits(self.to_bits() | other.to_bits())
    }

    #[inline(always)]
    fn add_lanes<S: Token>(sums: &mut Sums<S>, x: f64x8<S>) {
        sums.sum[0] += x;
        sums.squares[0] += x * x;
    }
}

impl Magnitudes {
    pub(super) fn new() -> Self {
        Self {
            counts: [0; BINS],
            tables: [[0; BINS]; TABLES],
            room: u32::MAX,
        }
    }

    /// Count a block of elements.
    pub(super) fn add<T: HasExponent>(&mut self, values: &[T]) {
        let n = values.len() as u32;
        if self.room < n {
            self.flush();
            self.room = u32::MAX;
        }
        self.room -= n;
        let (whole, rest) = values.as_chunks::<TABLES>();
        for chunk in whole {
            for (table, value) in self.tables.iter_mut().zip(chunk) {
                table[value.bin() % BINS] += 1;
            }
        }
        for value in rest {
            self.counts[value.bin() % BINS] += 1;
        }
    }

    fn flush(&mut self) {
        for table in &mut self.tables {
            for (count, part) in self.counts.iter_mut().zip(table) {
                *count += u64::from(std::mem::take(part));
            }
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (count, other) in self.counts.iter_mut().zip(other.counts()) {
            *count += other;
        }
    }

    /// The number of elements in each bin.
    #[must_use]
    pub fn counts(&self) -> [u64; BINS] {
        let mut all = self.clone();
        all.flush();
        all.counts
    }
}
