//! Exact sums of slices in SIMD lanes.
//!
//! A block of values is split into float64 bins, each on its own grid. A bin starts at
//! `M = 1.5 * 2^(g+52)`, whose ulp is `2^g`, so that `bin + v` adds `v` rounded to a multiple of `2^g`;
//! what was added, `(bin + v) - bin`, and what remains of `v` are exact, and the remainder goes to the
//! next bin. A grid leaves room for the sum of [`BLOCK`] values, so that sum is exact in any order, and
//! a block costs one addition to the wide number per bin. (The extraction is that of Rump, Ogita and
//! Oishi, "Accurate floating-point summation", SIAM J. Sci. Comput. 31, 2008; to accumulate in place,
//! that of Demmel and Nguyen, "Parallel reproducible summation", IEEE Trans. Computers 64, 2015.)
//!
//! A first look at the block, as integers, gives the largest exponent, from which the grids hang, and
//! the smallest, which tells how many bins it takes until nothing remains. So the window follows the
//! data: two bins take any `f32` block whose magnitudes span 61 binades (32 for `f64`), wherever those
//! lie, and each bin more takes another 43. What four bins do not cover, and what is not finite, is
//! added one by one.
//!
//! All this holds in the default floating-point environment: round to nearest, subnormals kept.

use super::ExactSum;
use crate::lanes::Token;
use fearless_simd::prelude::*;
use fearless_simd::{f32x16, f64x8, u32x16, u64x8};

/// Values that are summed in lanes before they reach the wide number.
pub const BLOCK: usize = 1 << BLOCK_BITS;
const BLOCK_BITS: i32 = 11;

/// Bits of a float64 significand.
const PRECISION: i32 = 53;

/// How far one grid lies below the last: remainders are at most half a grid step, and the sum of a
/// block of them needs `BLOCK_BITS` more.
const BIN_BITS: i32 = PRECISION - BLOCK_BITS + 1;

/// Values handled at a time.
const STEP: usize = 16;

/// The exponents that bound a block of values, not all zero.
#[derive(Clone, Copy)]
pub(super) struct Span {
    /// Every magnitude is below `2^(largest + 1)`.
    largest: i32,
    /// Every value is a multiple of `2^lowest_bit`.
    lowest_bit: i32,
}

/// What a block is made of: `f32` or `f64`.
pub(super) trait Summand: Copy + Into<f64> {
    /// Zero.
    const ZERO: Self;

    /// The largest exponent for which no bin overflows; infinities and NaN exceed it.
    const MAX_EXPONENT: i32;

    /// The values, exactly.
    fn widen<S: Token>(simd: S, values: &[Self; STEP]) -> [f64x8<S>; 2];

    /// What bounds the exponents; None if all values are zero.
    fn span<S: Token>(simd: S, steps: &[[Self; STEP]], tail: &[Self; STEP]) -> Option<Span>;
}

impl Summand for f32 {
    const ZERO: Self = 0.0;
    const MAX_EXPONENT: i32 = 127;

    #[inline(always)]
    fn widen<S: Token>(simd: S, values: &[f32; STEP]) -> [f64x8<S>; 2] {
        let (low, high) = f32x16::load_array_ref(simd, values).widen();
        [low, high]
    }

    #[inline(always)]
    fn span<S: Token>(simd: S, steps: &[[f32; STEP]], tail: &[f32; STEP]) -> Option<Span> {
        // Less one, a zero becomes the largest integer: the minimum is that of the other values.
        let mut largest = magnitude_f32(simd, tail);
        let mut smallest = largest - 1;
        for step in steps {
            let bits = magnitude_f32(simd, step);
            largest = largest.max(bits);
            smallest = smallest.min(bits - 1);
        }
        let (largest, smallest) = (largest.reduce_max(), smallest.reduce_min());
        let exponent = |bits: u32| (bits >> 23).max(1) as i32 - 127;
        (smallest != u32::MAX).then(|| Span {
            largest: exponent(largest),
            lowest_bit: exponent(smallest + 1) - 23,
        })
    }
}

impl Summand for f64 {
    const ZERO: Self = 0.0;
    const MAX_EXPONENT: i32 = 1023 - BLOCK_BITS - 1;

    #[inline(always)]
    fn widen<S: Token>(simd: S, values: &[f64; STEP]) -> [f64x8<S>; 2] {
        let (halves, _) = values.as_chunks::<8>();
        [
            f64x8::load_array_ref(simd, &halves[0]),
            f64x8::load_array_ref(simd, &halves[1]),
        ]
    }

    #[inline(always)]
    fn span<S: Token>(simd: S, steps: &[[f64; STEP]], tail: &[f64; STEP]) -> Option<Span> {
        // As for f32, but compared as 32-bit integers, for want of 64-bit minima on AVX2: only the lanes
        // of the high words matter. The high word of a power of two, less one, reads one binade low.
        let mut largest = u32x16::splat(simd, 0);
        let mut smallest = u32x16::splat(simd, u32::MAX);
        for step in steps.iter().chain([tail]) {
            for v in Self::widen(simd, step) {
                let bits = v.to_bits() & (u64::MAX >> 1);
                largest = largest.max(bits.bitcast::<u32x16<S>>());
                smallest = smallest.min((bits - 1).bitcast::<u32x16<S>>());
            }
        }
        let (mut high, mut low) = (0, u32::MAX);
        let largest = largest.bitcast::<u64x8<S>>().to_array();
        let smallest = smallest.bitcast::<u64x8<S>>().to_array();
        for lane in 0..8 {
            high = high.max((largest[lane] >> 32) as u32);
            low = low.min((smallest[lane] >> 32) as u32);
        }
        let exponent = |word: u32| (word >> 20).max(1) as i32 - 1023;
        (low != u32::MAX).then(|| Span {
            largest: exponent(high),
            lowest_bit: exponent(low) - 52,
        })
    }
}

/// The bits of the absolute values.
#[inline(always)]
fn magnitude_f32<S: Token>(simd: S, step: &[f32; STEP]) -> u32x16<S> {
    f32x16::load_array_ref(simd, step).to_bits() & (u32::MAX >> 1)
}

/// Add a slice, block by block.
#[inline(always)]
pub(super) fn add_slice<S: Token, T: Summand>(sum: &mut ExactSum, simd: S, values: &[T]) {
    simd.vectorize(
        #[inline(always)]
        || {
            for block in values.chunks(BLOCK) {
                add_block(sum, simd, block);
            }
        },
    );
}

#[inline(always)]
fn add_block<S: Token, T: Summand>(sum: &mut ExactSum, simd: S, block: &[T]) {
    let (steps, rest) = block.as_chunks::<STEP>();
    let mut tail = [T::ZERO; STEP];
    tail[..rest.len()].copy_from_slice(rest);
    let Some(Span {
        largest,
        lowest_bit,
    }) = T::span(simd, steps, &tail)
    else {
        return;
    };
    // The sum of the block is below 2^(largest + 1 + BLOCK_BITS), which fixes the first grid.
    let first_grid = largest + 1 + BLOCK_BITS - PRECISION;
    if largest > T::MAX_EXPONENT || lowest_bit < first_grid - 3 * BIN_BITS {
        add_each(sum, block);
    } else if lowest_bit < first_grid - 2 * BIN_BITS {
        add_bins::<S, T, 4>(sum, simd, steps, &tail, first_grid);
    } else if lowest_bit < first_grid - BIN_BITS {
        add_bins::<S, T, 3>(sum, simd, steps, &tail, first_grid);
    } else {
        add_bins::<S, T, 2>(sum, simd, steps, &tail, first_grid);
    }
}

/// Split the values over `BINS` bins and add the bins' totals.
#[inline(always)]
fn add_bins<S: Token, T: Summand, const BINS: usize>(
    sum: &mut ExactSum,
    simd: S,
    steps: &[[T; STEP]],
    tail: &[T; STEP],
    first_grid: i32,
) {
    // Every bin but the last starts from its M, which is a normal number: a third bin is called for
    // only when the second grid lies above 2^-1074. A lane sees BLOCK / STEP values, which move the
    // bin by less than a sixth of M: its ulp stays that of the grid.
    let mut start = [f64x8::splat(simd, 0.0); BINS];
    for (k, start) in start[..BINS - 1].iter_mut().enumerate() {
        let ulp = first_grid - k as i32 * BIN_BITS;
        *start = f64x8::splat(simd, 1.5 * power_of_two(ulp + PRECISION - 1));
    }
    let mut bins = [start; 2];
    for step in steps {
        split(&mut bins, T::widen(simd, step));
    }
    split(&mut bins, T::widen(simd, tail));
    for (k, start) in start.into_iter().enumerate() {
        let [a, b, c, d, e, f, g, h] = ((bins[0][k] - start) + (bins[1][k] - start)).to_array();
        sum.finite
            .add_float(((a + b) + (c + d)) + ((e + f) + (g + h)));
    }
}

/// Add to each bin what its grid takes of each value, and to the last what then remains.
#[inline(always)]
fn split<S: Token, const BINS: usize>(bins: &mut [[f64x8<S>; BINS]; 2], values: [f64x8<S>; 2]) {
    for (bins, mut value) in bins.iter_mut().zip(values) {
        for bin in &mut bins[..BINS - 1] {
            let sum = *bin + value;
            value -= sum - *bin;
            *bin = sum;
        }
        bins[BINS - 1] += value;
    }
}

/// `2^exponent`, for the exponents of normal numbers.
#[inline(always)]
fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

/// The road for everything else, out of line to leave the vector code its registers.
#[cold]
#[inline(never)]
fn add_each<T: Summand>(sum: &mut ExactSum, values: &[T]) {
    for &value in values {
        sum.add(value.into());
    }
}
