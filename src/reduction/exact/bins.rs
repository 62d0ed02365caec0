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
//! Blocks of `f32` that span few binades have a still faster road (`bin_and_rests.rs`).
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
pub(super) const STEP: usize = 16;

/// The exponents that bound a block of values, not all zero.
#[derive(Clone, Copy)]
pub(super) struct Span {
    /// Every magnitude is below `2^(largest + 1)`.
    largest: i32,
    /// Every value is a multiple of `2^lowest_bit`.
    lowest_bit: i32,
}

/// The largest and, less one, the smallest of the values' magnitudes, as integers: less one, a zero becomes
/// the largest of them, so that the minimum is that of the other values.
#[derive(Clone, Copy)]
pub(super) struct Extent<S: Token> {
    largest: u32x16<S>,
    smallest: u32x16<S>,
}

impl<S: Token> Extent<S> {
    #[inline(always)]
    fn new(simd: S) -> Self {
        Self {
            largest: u32x16::splat(simd, 0),
            smallest: u32x16::splat(simd, u32::MAX),
        }
    }
}

/// What a block is made of: `f32` or `f64`.
pub(super) trait Summand: Copy + Into<f64> {
    /// Zero.
    const ZERO: Self;

    /// The largest exponent for which no bin overflows; infinities and NaN exceed it.
    const MAX_EXPONENT: i32;

    /// The values, exactly.
    fn widen<S: Token>(simd: S, values: &[Self; STEP]) -> [f64x8<S>; 2];

    /// Take some values into the extent of a block.
    fn extend<S: Token>(simd: S, extent: &mut Extent<S>, values: &[Self; STEP]);

    /// What bounds the exponents; None if all values are zero.
    fn span<S: Token>(extent: Extent<S>) -> Option<Span>;

    /// A bin with the values that `widen` gave added to it.
    #[inline(always)]
    fn onto<S: Token>(bin: f64x8<S>, wide: f64x8<S>) -> f64x8<S> {
        bin + wide
    }

    /// What remains of the values without the part that a bin has taken.
    #[inline(always)]
    fn without<S: Token>(wide: f64x8<S>, part: f64x8<S>) -> f64x8<S> {
        wide - part
    }
}

/// A number whose square is summed: in `f64` that of an `f32` is exact, so squaring can be fused with what
/// comes next, or not, for the same bits. Its lanes are those of the number itself.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct Squared(f32);

impl Squared {
    /// The same elements.
    pub(super) fn of(values: &[f32]) -> &[Self] {
        // SAFETY: `Squared` is transparent, so both slices have the same layout.
        unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), values.len()) }
    }

    #[inline(always)]
    fn root(step: &[Self; STEP]) -> &[f32; STEP] {
        // SAFETY: as above.
        unsafe { &*std::ptr::from_ref(step).cast() }
    }
}

impl From<Squared> for f64 {
    fn from(Squared(root): Squared) -> Self {
        let root = Self::from(root);
        root * root
    }
}

impl Summand for Squared {
    const ZERO: Self = Self(0.0);
    const MAX_EXPONENT: i32 = 2 * <f32 as Summand>::MAX_EXPONENT + 1;

    #[inline(always)]
    fn widen<S: Token>(simd: S, values: &[Self; STEP]) -> [f64x8<S>; 2] {
        f32::widen(simd, Self::root(values))
    }

    #[inline(always)]
    fn extend<S: Token>(simd: S, extent: &mut Extent<S>, values: &[Self; STEP]) {
        f32::extend(simd, extent, Self::root(values));
    }

    #[inline(always)]
    fn span<S: Token>(extent: Extent<S>) -> Option<Span> {
        let span = f32::span(extent)?;
        Some(Span {
            largest: 2 * span.largest + 1,
            lowest_bit: 2 * span.lowest_bit,
        })
    }

    #[inline(always)]
    fn onto<S: Token>(bin: f64x8<S>, wide: f64x8<S>) -> f64x8<S> {
        wide.mul_add(wide, bin)
    }

    #[inline(always)]
    fn without<S: Token>(wide: f64x8<S>, part: f64x8<S>) -> f64x8<S> {
        wide.mul_sub(wide, part)
    }
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
    fn extend<S: Token>(simd: S, extent: &mut Extent<S>, values: &[f32; STEP]) {
        let bits = f32x16::load_array_ref(simd, values).to_bits() & (u32::MAX >> 1);
        extent.largest = extent.largest.max(bits);
        extent.smallest = extent.smallest.min(bits - 1);
    }

    #[inline(always)]
    fn span<S: Token>(extent: Extent<S>) -> Option<Span> {
        let (largest, smallest) = (extent.largest.reduce_max(), extent.smallest.reduce_min());
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
    fn extend<S: Token>(simd: S, extent: &mut Extent<S>, values: &[f64; STEP]) {
        // As for f32, but compared as 32-bit integers, for want of 64-bit minima on AVX2: only the lanes
        // of the high words matter. The high word of a power of two, less one, reads one binade low.
        for v in Self::widen(simd, values) {
            let bits = v.to_bits() & (u64::MAX >> 1);
            extent.largest = extent.largest.max(bits.bitcast::<u32x16<S>>());
            extent.smallest = (extent.smallest).min((bits - 1).bitcast::<u32x16<S>>());
        }
    }

    #[inline(always)]
    fn span<S: Token>(extent: Extent<S>) -> Option<Span> {
        let (mut high, mut low) = (0, u32::MAX);
        let largest = extent.largest.bitcast::<u64x8<S>>().to_array();
        let smallest = extent.smallest.bitcast::<u64x8<S>>().to_array();
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

/// Add a slice, block by block.
#[inline(always)]
pub(super) fn add_slice<S: Token, T: Summand>(sum: &mut ExactSum, simd: S, values: &[T]) {
    simd.vectorize(
        #[inline(always)]
        || {
            // A block's values are mostly as large as those of the block before, whose grid, with a bit to
            // spare, serves; whether it does is seen on the way. So a long slice is read once.
            let mut grid = None;
            for block in values.chunks(BLOCK) {
                let done = grid.is_some_and(
                    #[inline(always)]
                    |grid| add_on_grid(sum, simd, block, grid),
                );
                if !done {
                    grid = add_block(sum, simd, block).map(|grid| grid + 1);
                }
            }
        },
    );
}

/// The whole steps of a block, and the rest with zeros.
#[inline(always)]
pub(super) fn steps<T: Summand>(block: &[T]) -> (&[[T; STEP]], [T; STEP]) {
    let (steps, rest) = block.as_chunks::<STEP>();
    let mut tail = [T::ZERO; STEP];
    tail[..rest.len()].copy_from_slice(rest);
    (steps, tail)
}

/// Add a block; the first grid, if two bins served.
#[inline(always)]
pub(super) fn add_block<S: Token, T: Summand>(
    sum: &mut ExactSum,
    simd: S,
    block: &[T],
) -> Option<i32> {
    let (steps, tail) = steps(block);
    let mut extent = Extent::new(simd);
    T::extend(simd, &mut extent, &tail);
    for step in steps {
        T::extend(simd, &mut extent, step);
    }
    let Span {
        largest,
        lowest_bit,
    } = T::span(extent)?;
    let first_grid = first_grid(largest);
    if largest > T::MAX_EXPONENT || lowest_bit < first_grid - 3 * BIN_BITS {
        add_each(sum, block);
    } else if lowest_bit < first_grid - 2 * BIN_BITS {
        Bins::<S, 4>::new(simd, first_grid).add(simd, sum, steps, &tail);
    } else if lowest_bit < first_grid - BIN_BITS {
        Bins::<S, 3>::new(simd, first_grid).add(simd, sum, steps, &tail);
    } else {
        Bins::<S, 2>::new(simd, first_grid).add(simd, sum, steps, &tail);
        return (largest < T::MAX_EXPONENT).then_some(first_grid);
    }
    None
}

/// The sum of a block is below `2^(largest + 1 + BLOCK_BITS)`, which fixes the first grid.
#[inline(always)]
fn first_grid(largest: i32) -> i32 {
    largest + 1 + BLOCK_BITS - PRECISION
}

/// Add a block with two bins on a grid, if it fits; else leave the sum as it was.
#[inline(always)]
fn add_on_grid<S: Token, T: Summand>(sum: &mut ExactSum, simd: S, block: &[T], grid: i32) -> bool {
    let (steps, tail) = steps(block);
    let mut extent = Extent::new(simd);
    let mut bins = Bins::<S, 2>::new(simd, grid);
    for step in steps {
        T::extend(simd, &mut extent, step);
        bins.split::<T>(T::widen(simd, step));
    }
    T::extend(simd, &mut extent, &tail);
    bins.split::<T>(T::widen(simd, &tail));
    let Some(span) = T::span(extent) else {
        return true;
    };
    let fits = first_grid(span.largest) <= grid && span.lowest_bit >= grid - BIN_BITS;
    if fits {
        bins.finish(sum);
    }
    fits
}

/// Two sets of bins, for the halves of a step.
struct Bins<S: Token, const BINS: usize> {
    start: [f64x8<S>; BINS],
    bins: [[f64x8<S>; BINS]; 2],
}

impl<S: Token, const BINS: usize> Bins<S, BINS> {
    #[inline(always)]
    fn new(simd: S, first_grid: i32) -> Self {
        // Every bin but the last starts from its M, which is a normal number: a third bin is called for
        // only when the second grid lies above 2^-1074. A lane sees BLOCK / STEP values, which move the
        // bin by less than a sixth of M: its ulp stays that of the grid.
        let mut start = [f64x8::splat(simd, 0.0); BINS];
        for (k, start) in start[..BINS - 1].iter_mut().enumerate() {
            let ulp = first_grid - k as i32 * BIN_BITS;
            *start = f64x8::splat(simd, 1.5 * power_of_two(ulp + PRECISION - 1));
        }
        Self {
            start,
            bins: [start; 2],
        }
    }

    /// Split the values over the bins and add the bins' totals.
    #[inline(always)]
    fn add<T: Summand>(
        mut self,
        simd: S,
        sum: &mut ExactSum,
        steps: &[[T; STEP]],
        tail: &[T; STEP],
    ) {
        for step in steps {
            self.split::<T>(T::widen(simd, step));
        }
        self.split::<T>(T::widen(simd, tail));
        self.finish(sum);
    }

    /// Add to each bin what its grid takes of each value, and to the last what then remains.
    #[inline(always)]
    fn split<T: Summand>(&mut self, values: [f64x8<S>; 2]) {
        for (bins, value) in self.bins.iter_mut().zip(values) {
            let sum = T::onto(bins[0], value);
            let mut value = T::without(value, sum - bins[0]);
            bins[0] = sum;
            for bin in &mut bins[1..BINS - 1] {
                let sum = *bin + value;
                value -= sum - *bin;
                *bin = sum;
            }
            bins[BINS - 1] += value;
        }
    }

    #[inline(always)]
    fn finish(self, sum: &mut ExactSum) {
        for (k, start) in self.start.into_iter().enumerate() {
            let [a, b, c, d, e, f, g, h] =
                ((self.bins[0][k] - start) + (self.bins[1][k] - start)).to_array();
            sum.finite
                .add_float(((a + b) + (c + d)) + ((e + f) + (g + h)));
        }
    }
}

/// `2^exponent`, for the exponents of normal numbers.
#[inline(always)]
pub(super) fn power_of_two(exponent: i32) -> f64 {
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
