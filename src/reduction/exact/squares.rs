//! Sums of squares of `f32`, all but exact, with a bound of what is missing: for a result that is rounded, of
//! which such a sum mostly decides every bit. What it leaves open is for the exact one to decide.
//!
//! The square of an `f32` is exact in `f64`. It is added to a bin, as in `bins.rs`, in one operation; what the
//! bin's grid cut off is exact too, and summed beside it in `f64`, rounded: 2^-49 of a grid step and less, where
//! the bin itself holds 2^48 steps. So nothing is asked of the values' span, and as squares are never negative a
//! bin only grows: that it ends within its binade tells that it never left it. Ten operations for 16 values, two
//! of which widen them, against 16 for bins with a look at the exponents.

use super::ExactSum;
use super::bins::{self, Squared, Summand};
use crate::lanes::Token;
use fearless_simd::prelude::*;
use fearless_simd::{f32x16, f64x8, u32x16};

/// Values that are summed before they reach the wide number.
const PIECE: usize = 16 << LANE_BITS;

/// A lane sees `2^LANE_BITS` values of a piece.
const LANE_BITS: i32 = 10;

/// Values that tell how large the others may be.
const SAMPLE: usize = 256;

/// How much larger, squared.
const MARGIN_BITS: i32 = 6;

/// What is left of a lane's 52 bits for the sum of 16 lanes to be exact.
const ROOM_BITS: i32 = 48;

/// A sum of squares, and what is known of its error.
#[derive(Clone, Default)]
pub struct NearlyExactSum {
    /// A value no further from the exact sum than `radius`.
    sum: ExactSum,
    radius: f64,
    /// The grid of the values before.
    grid: Option<i32>,
}

impl NearlyExactSum {
    /// Add the square of every value of `values`.
    #[inline(never)]
    pub fn add_squares_of_f32_slice<S: Token>(&mut self, simd: S, values: &[f32]) {
        simd.vectorize(
            #[inline(always)]
            || {
                for piece in values.chunks(PIECE) {
                    self.add_piece(simd, piece);
                }
            },
        );
    }

    /// What may be added exactly, or has been, if nothing else was added.
    pub fn exact(&mut self) -> &mut ExactSum {
        &mut self.sum
    }

    /// Add the sum that `other` holds.
    pub fn merge(&mut self, other: &Self) {
        self.sum.merge(&other.sum);
        self.radius += other.radius;
    }

    /// The float64 nearest to the exact sum, if that is known.
    #[must_use]
    pub fn to_f64(&self) -> Option<f64> {
        let [low, high] = [-self.radius, self.radius].map(|radius| {
            let mut end = self.sum.clone();
            end.add(radius);
            end.to_f64()
        });
        (low.to_bits() == high.to_bits()).then_some(low)
    }

    #[inline(always)]
    fn add_piece<S: Token>(&mut self, simd: S, piece: &[f32]) {
        // What serves the sample, or served the values before, mostly serves all.
        let sample = &piece[..piece.len().min(SAMPLE)];
        let mut grid = if self.grid.is_some() {
            self.grid
        } else {
            grid_for(simd, sample)
        };
        for _ in 0..2 {
            let Some(step) = grid else { break };
            if self.add_on_grid(simd, piece, step) {
                self.grid = grid;
                return;
            }
            grid = grid_for(simd, piece);
        }
        // Zeros, infinities, NaN.
        bins::add_slice(&mut self.sum, simd, Squared::of(piece));
    }

    /// Add a piece to bins whose steps are 2 to `grid`, if they hold it.
    #[inline(always)]
    fn add_on_grid<S: Token>(&mut self, simd: S, piece: &[f32], grid: i32) -> bool {
        let (steps, tail) = bins::steps(Squared::of(piece));
        let start = bins::power_of_two(grid + 52);
        let mut bins = Bins {
            sums: [f64x8::splat(simd, start); 2],
            rests: [f64x8::splat(simd, 0.0); 2],
        };
        for step in steps {
            bins.add(Squared::widen(simd, step));
        }
        bins.add(Squared::widen(simd, &tail));

        let mut filled = 0.0;
        let most = bins::power_of_two(grid + ROOM_BITS);
        for sum in bins.sums.map(f64x8::to_array).as_flattened() {
            let sum = sum - start;
            // Not so for NaN, either.
            let holds = sum <= most;
            if !holds {
                return false;
            }
            filled += sum;
        }
        let rests = bins.rests.map(f64x8::to_array);
        self.sum.add(filled);
        self.sum.add(rests.as_flattened().iter().sum::<f64>());
        // Each of a lane's n remainders is at most half a step, so their sum is below n / 2 steps, and
        // rounding it n times costs n^2 2^-54 steps; 16 lanes, and their own sum, (n + 16)^2 2^-50. Twice that.
        let n = (steps.len() + 1 + 16) as f64;
        self.radius += n * n * bins::power_of_two(grid - 49);
        true
    }
}

/// Bins, and what did not go into them, for the halves of a step.
struct Bins<S: Token> {
    sums: [f64x8<S>; 2],
    rests: [f64x8<S>; 2],
}

impl<S: Token> Bins<S> {
    #[inline(always)]
    fn add(&mut self, roots: [f64x8<S>; 2]) {
        for (i, root) in roots.into_iter().enumerate() {
            let sum = Squared::onto(self.sums[i], root);
            self.rests[i] += Squared::without(root, sum - self.sums[i]);
            self.sums[i] = sum;
        }
    }
}

/// The grid for values as large as these and somewhat larger; None for zeros, infinities and NaN.
#[inline(always)]
fn grid_for<S: Token>(simd: S, values: &[f32]) -> Option<i32> {
    let (steps, tail) = bins::steps(values);
    let mut largest = u32x16::splat(simd, 0);
    for step in steps.iter().chain(std::iter::once(&tail)) {
        let bits = f32x16::load_array_ref(simd, step).to_bits() & (u32::MAX >> 1);
        largest = largest.max(bits);
    }
    let largest = largest.reduce_max();
    // Squares are below 2 to twice this.
    let exponent = (largest >> 23).max(1) as i32 - 126;
    (largest != 0 && exponent <= 128).then_some(2 * exponent + LANE_BITS + MARGIN_BITS - ROOM_BITS)
}
