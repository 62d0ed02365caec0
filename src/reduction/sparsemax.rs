//! Sparsemax and its derivative, row by row: the Euclidean projection of a row onto the probabilities
//! (Martins and Astudillo 2016, arXiv:1602.02068).
//!
//! `p_i = max(d_i - t, 0)` with `d_i = z_i - max(z)` and the `t` for which the `p_i` sum to 1. Their sum is
//! convex and piecewise linear in `t`, so Newton's method from the left ends at the solution itself, not
//! near it: of the `k` elements above the last `t` it makes the next, `(sum of their d - 1) / k`, until no
//! element drops out (Michelot 1986). No sorting, and few steps: if `f` is what the `p_i` sum to beyond
//! 1, then `f'/f + k'/k <= 1` from a step to the next by convexity, so `f k` falls to a quarter or less.
//!
//! `d` and `t` are carried in two parts of `f64`, which makes an absolute error of some `2^-100`: which
//! elements are 0 is decided right, and the others are rounded once, however small they are. Largest
//! errors that the tests find: 0.501 ULP, of results above `2^-40`.

use super::row_probabilities::{Scratch, fill, map_row};
use super::row_sums::{RowReal, Sums};
use super::softmax::{RowFunction, Rows, run};
use crate::driver::operand::{Operand, OperandMut};
use crate::driver::rows::{Row, for_each_vector, maximum, read_block};
use crate::lanes::{Lanes, Token};
use crate::math::twofold::{divide, two_sum};
use fearless_simd::f64x8;
use fearless_simd::prelude::*;
use std::ops::Range;

/// Sparsemax of each row.
///
/// `out` has as many elements as `x` and is exactly `x` or does not overlap it.
pub fn sparsemax(rows: Rows, x: &Operand<'_>, out: &OperandMut<'_>) {
    run(rows, x.len(), &Sparsemax { x, out });
}

/// The gradient of sparsemax: where its output `y` is positive, `dy` less the mean of `dy` there.
///
/// `out` is exactly `dy` or `y`, or overlaps neither.
pub fn sparsemax_backward(rows: Rows, dy: &Operand<'_>, y: &Operand<'_>, out: &OperandMut<'_>) {
    run(rows, dy.len(), &SparsemaxBackward { dy, y, out });
}

struct Sparsemax<'a> {
    x: &'a Operand<'a>,
    out: &'a OperandMut<'a>,
}

impl RowFunction for Sparsemax<'_> {
    #[inline(always)]
    fn rows<S: Token, T: RowReal>(
        &self,
        simd: S,
        scratch: &mut Scratch<T>,
        columns: usize,
        rows: Range<usize>,
    ) {
        let mut candidates = Vec::new();
        for row in rows {
            let row = Row::of(row, columns);
            let largest = self.maximum(simd, row, scratch);
            // Rounding moves this bound past no element: it is one itself.
            let bound = T::nearest(largest.into() - 1.0);
            self.find_candidates(simd, row, bound, scratch, &mut candidates);
            let Some(threshold) = Threshold::of(simd, largest.into(), &mut candidates) else {
                fill(simd, self.out, &mut scratch.result, row, f64::NAN);
                continue;
            };
            let bound = T::Vector::<S>::splat(simd, bound);
            map_row(
                simd,
                [(self.x, &mut scratch.x)],
                self.out,
                &mut scratch.result,
                row,
                #[inline(always)]
                |[z]| {
                    if z.simd_lt(bound).all_true() {
                        return T::Vector::<S>::lit(simd, 0.0);
                    }
                    T::in_double(
                        simd,
                        [z],
                        #[inline(always)]
                        |[z]| threshold.excess(z),
                    )
                },
            );
        }
    }
}

impl Sparsemax<'_> {
    /// The largest element of a row, NaN left out.
    #[inline(always)]
    fn maximum<S: Token, T: RowReal>(&self, simd: S, row: Row, scratch: &mut Scratch<T>) -> T {
        let mut largest = T::nearest(f64::NEG_INFINITY);
        for (first, n) in row.blocks() {
            let block = read_block(simd, self.x, row.start + first, n, &mut scratch.x);
            // SAFETY: `n` elements can be read.
            let of_block = unsafe { maximum(simd, block, n, T::nearest(f64::NEG_INFINITY)) };
            if of_block > largest {
                largest = of_block;
            }
        }
        largest
    }

    /// The elements of a row that are not below `bound`, NaN too, in order.
    #[inline(always)]
    fn find_candidates<S: Token, T: RowReal>(
        &self,
        simd: S,
        row: Row,
        bound: T,
        scratch: &mut Scratch<T>,
        candidates: &mut Vec<f64>,
    ) {
        candidates.clear();
        let bound = T::Vector::<S>::splat(simd, bound);
        for (first, n) in row.blocks() {
            let block = read_block(simd, self.x, row.start + first, n, &mut scratch.x);
            // SAFETY: `n` elements can be read; nothing is written.
            unsafe {
                for_each_vector(
                    simd,
                    [block],
                    None,
                    n,
                    T::nearest(f64::NEG_INFINITY),
                    #[inline(always)]
                    |[z], valid| {
                        let mut found = !z.simd_lt(bound);
                        if let Some(valid) = valid {
                            found &= valid;
                        }
                        for lane in ones(found.to_bitmask()) {
                            candidates.push(z.as_slice()[lane].into());
                        }
                        z
                    },
                );
            }
        }
    }
}

/// The positions of the ones.
#[inline(always)]
fn ones(mut bits: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        (bits != 0).then(|| {
            let position = bits.trailing_zeros() as usize;
            bits &= bits - 1;
            position
        })
    })
}

/// The threshold `t` of a row, relative to its maximum.
#[derive(Clone, Copy)]
struct Threshold<S: Token> {
    maximum: f64x8<S>,
    high: f64x8<S>,
    low: f64x8<S>,
}

impl<S: Token> Threshold<S> {
    /// From the elements that may be above it, all of them by less than 1 below `maximum`; of which those
    /// that are above it are left. None if there is NaN, or no finite maximum but `+inf` alone.
    #[inline(always)]
    fn of(simd: S, maximum: f64, candidates: &mut Vec<f64>) -> Option<Self> {
        if maximum.is_infinite() {
            // +inf less any number is above a threshold of -1 by far; less itself, it is NaN.
            let alone = candidates.len() == 1 && maximum > 0.0;
            return alone.then(|| Self {
                maximum: f64x8::splat(simd, maximum),
                high: f64x8::splat(simd, -1.0),
                low: f64x8::splat(simd, 0.0),
            });
        }
        let maximum = f64x8::splat(simd, maximum);
        loop {
            let count = candidates.len();
            // Made whole vectors by the maximum, whose difference is 0.
            candidates.resize(count.next_multiple_of(8), maximum[0]);
            let mut sums = <f64 as RowReal>::Sums::<S>::zero(simd);
            for vector in candidates.as_chunks().0 {
                let (d, d_low) = two_sum(f64x8::load_array_ref(simd, vector), -maximum);
                sums.add(d, d_low);
            }
            let (sum, sum_low) = sums.total();
            if sum.is_nan() {
                return None;
            }
            let (sum, error) = two_sum(f64x8::splat(simd, sum), f64x8::splat(simd, -1.0));
            let sum = (sum, error + f64x8::splat(simd, sum_low));
            let divisor = (f64x8::splat(simd, count as f64), f64x8::splat(simd, 0.0));
            let (high, low) = divide(simd, sum, divisor);
            let threshold = Self { maximum, high, low };
            let kept = threshold.keep_above(simd, candidates, count);
            candidates.truncate(kept);
            if kept == count {
                return Some(threshold);
            }
        }
    }

    /// Move those of the first `count` candidates that are above the threshold to the front.
    #[inline(always)]
    fn keep_above(self, simd: S, candidates: &mut [f64], count: usize) -> usize {
        let mut kept = 0;
        for start in (0..count).step_by(8) {
            let vector: [f64; 8] = std::array::from_fn(|lane| candidates[start + lane]);
            let above = self.excess(f64x8::load_array_ref(simd, &vector));
            let above = above.simd_gt(f64x8::splat(simd, 0.0)).to_bitmask();
            let valid = u64::MAX >> (64 - (count - start).min(8));
            for lane in ones(above & valid) {
                candidates[kept] = vector[lane];
                kept += 1;
            }
        }
        kept
    }

    /// `max(z - maximum - t, 0)`, rounded once.
    #[inline(always)]
    fn excess(self, z: f64x8<S>) -> f64x8<S> {
        let simd = z.token();
        let (d, d_low) = two_sum(z, -self.maximum);
        let (p, error) = two_sum(d, -self.high);
        let p = p + (error + (d_low - self.low));
        let zero = f64x8::splat(simd, 0.0);
        let p = p.simd_gt(zero).select(p, zero);
        // +inf alone in its row has it all.
        let sure = z.simd_eq(f64x8::splat(simd, f64::INFINITY));
        sure.select(f64x8::splat(simd, 1.0), p)
    }
}

struct SparsemaxBackward<'a> {
    dy: &'a Operand<'a>,
    y: &'a Operand<'a>,
    out: &'a OperandMut<'a>,
}

impl RowFunction for SparsemaxBackward<'_> {
    #[inline(always)]
    fn rows<S: Token, T: RowReal>(
        &self,
        simd: S,
        scratch: &mut Scratch<T>,
        columns: usize,
        rows: Range<usize>,
    ) {
        for row in rows {
            let row = Row::of(row, columns);
            let zero = T::Vector::<S>::lit(simd, 0.0);
            let mut sums = T::Sums::<S>::zero(simd);
            let mut count = 0_u64;
            for (first, n) in row.blocks() {
                let dy = read_block(simd, self.dy, row.start + first, n, &mut scratch.dy);
                let y = read_block(simd, self.y, row.start + first, n, &mut scratch.x);
                // SAFETY: `n` elements can be read at each; nothing is written.
                unsafe {
                    for_each_vector(
                        simd,
                        [dy, y],
                        None,
                        n,
                        T::default(),
                        #[inline(always)]
                        |[dy, y], valid| {
                            let mut support = !y.simd_le(zero);
                            if let Some(valid) = valid {
                                support &= valid;
                            }
                            count += u64::from(support.to_bitmask().count_ones());
                            // A NaN in y is one in the sum.
                            sums.add(support.select(dy + y * zero, zero), zero);
                            dy
                        },
                    );
                }
            }
            let (sum, sum_low) = sums.total();
            let sum = (f64x8::splat(simd, sum), f64x8::splat(simd, sum_low));
            let divisor = (f64x8::splat(simd, count as f64), f64x8::splat(simd, 0.0));
            let (mean, mean_low) = divide(simd, sum, divisor);
            map_row(
                simd,
                [(self.dy, &mut scratch.dy), (self.y, &mut scratch.x)],
                self.out,
                &mut scratch.result,
                row,
                #[inline(always)]
                |[dy, y]| {
                    let dx = T::in_double(
                        simd,
                        [dy],
                        #[inline(always)]
                        |[dy]| {
                            if T::Vector::<S>::PRECISION == 24 {
                                return dy - mean;
                            }
                            let (difference, error) = two_sum(dy, -mean);
                            // An infinite difference has no low part, only NaN.
                            let low = error - mean_low;
                            let low = low.is_finite().select(low, f64x8::splat(simd, 0.0));
                            difference + low
                        },
                    );
                    y.simd_le(zero).select(zero, dx)
                },
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::Real;
    use crate::level::Level;

    fn on<T: Real>(level: Level, x: &[T]) -> Vec<T> {
        let mut out = vec![T::default(); x.len()];
        let rows = Rows {
            level,
            columns: x.len(),
            double: size_of::<T>() == 8,
        };
        // SAFETY: the elements of `out`, borrowed for the call.
        let target = unsafe {
            let strides = [size_of::<T>() as isize];
            OperandMut::new(
                out.as_mut_ptr().cast(),
                T::DTYPE,
                false,
                &[x.len()],
                &strides,
            )
        };
        sparsemax(rows, &Operand::from_slice(x), &target);
        out
    }

    /// By sorting, as the paper has it.
    fn by_sorting(x: &[f64]) -> Vec<f64> {
        let mut sorted = x.to_vec();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let (mut sum, mut threshold) = (0.0, 0.0);
        for (k, z) in (1..).zip(sorted) {
            sum += z;
            if 1.0 + f64::from(k) * z > sum {
                threshold = (sum - 1.0) / f64::from(k);
            }
        }
        x.iter().map(|z| (z - threshold).max(0.0)).collect()
    }

    #[test]
    fn the_projection_on_all_levels() {
        let mut state = 1_u64;
        let mut uniform = || {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (state >> 40) as f64 / f64::from(1 << 24)
        };
        for columns in [1, 2, 7, 8, 9, 15, 16, 17, 33, 1024, 1025, 3000] {
            for scale in [0.01, 1.0, 30.0] {
                let x: Vec<f64> = (0..columns)
                    .map(|_| f64::from((scale * uniform()) as f32))
                    .collect();
                let single: Vec<f32> = x.iter().map(|x| *x as f32).collect();
                let expected = by_sorting(&x);
                let levels = Level::available();
                let (first, first_single) = (on(levels[0], &x), on(levels[0], &single));
                for (i, p) in expected.iter().enumerate() {
                    assert!((first[i] - p).abs() < 1e-13, "{columns}, {scale}, {i}");
                    assert!((f64::from(first_single[i]) - p).abs() < 1e-7);
                }
                for level in &levels[1..] {
                    assert_eq!(on(*level, &x), first);
                    assert_eq!(on(*level, &single), first_single);
                }
            }
        }
    }
}
