//! What a row of logits `z` is reduced to: its maximum `m`, how often it occurs, and the sum of the
//! other `e^(z - m)`.
//!
//! With `k` the number of elements equal to `m` and `R` the sum over all others, the sum of all
//! exponentials is `k + R` and `log sum e^(z - m) = log1p((k - 1) + R)`. Kept apart from the 1 of the
//! maximum, `R` has all its digits however confident the row: logits `[40, 0, 0]` have the loss
//! `2 e^-40` to the last digit, where the logarithm of a sum gives 0.
//!
//! A probability does not need that, and softmax adds all exponentials alike, which takes three instructions less.
//!
//! What is summed are exponentials relative to a reference `ρ` near the maximum (see `row_exponential`); `R` is
//! their sum over that of the maximum. A row is read once: each block's exponentials go with the largest
//! element so far, and when a block raises it, the sums are rescaled.
//!
//! With a temperature `T` the exponentials are `e^((z - m) / T)`: the difference, which has no error, is
//! multiplied with `1 / T` in two parts, as dividing the logits first would round each.

use super::exponential_sums::{ExponentialSums, SETTLE};
use super::row_exponential::form::{DIFFERENCE, DIRECT, TEMPERED};
use super::row_exponential::unscale;
pub(crate) use super::row_exponential::{
    Exponentials, InverseTemperature, exponential_of_difference, is_direct,
};
use super::row_sums::RowReal;
use crate::driver::layout::Ahead;
use crate::driver::operand::Operand;
use crate::driver::rows::{Row, for_each_vector, lane_maxima, largest_lane, read_block};
use crate::lanes::transpose::fold;
use crate::lanes::{Lanes, Token, prefetch};
use crate::math::twofold::two_sum;
use fearless_simd::f64x8;
use fearless_simd::prelude::*;

/// The statistics of the part of a row seen so far.
#[derive(Clone, Copy)]
pub(crate) struct RowSums<S: Token, T: RowReal> {
    simd: S,
    inverse_temperature: InverseTemperature,
    maximum: T,
    ties: u64,
    /// How many elements there were.
    count: usize,
    /// Of the exponentials of the others, scaled.
    rest: T::ExponentialSums<S>,
}

impl<S: Token, T: RowReal> RowSums<S, T> {
    /// Of no elements.
    #[inline(always)]
    pub(crate) fn new(simd: S, inverse_temperature: InverseTemperature) -> Self {
        Self {
            simd,
            inverse_temperature,
            maximum: T::nearest(f64::NEG_INFINITY),
            ties: 0,
            count: 0,
            rest: ExponentialSums::zero(simd),
        }
    }

    /// The largest element so far: what the last block's exponentials are relative to.
    #[inline(always)]
    pub(crate) fn maximum(&self) -> T {
        self.maximum
    }

    /// Take in the next block. Its exponentials, scaled, go to `target`, which may be `block` itself. Without a target
    /// those of the maximum are kept `APART` always, else where that says so: see [`Exponentials::of`].
    ///
    /// # Safety
    /// As for [`for_each_vector`].
    #[inline(always)]
    pub(crate) unsafe fn add_block<const APART: bool>(
        &mut self,
        block: *const T,
        n: usize,
        target: Option<*mut T>,
    ) {
        let simd = self.simd;
        let next = target.map_or(Ahead::of(block), |target| Ahead::of(target).after(n));
        let asked = [Ahead::of(block).after(n), next];
        // SAFETY: passed on.
        unsafe {
            let rows = std::slice::from_mut(self);
            add_blocks::<S, T, APART>(simd, rows, block, &asked, n, target);
        }
    }

    /// Make the sums relative to a larger maximum; the ties become ordinary terms.
    #[inline(never)]
    fn raise_maximum(&mut self, largest: T) {
        let (high, low) =
            exponential_of_difference(self.simd, (self.maximum, largest), self.inverse_temperature);
        let (simd, ties, maximum) = (self.simd, self.ties as f64, self.maximum);
        let (rest, temperature) = (&mut self.rest, self.inverse_temperature);
        simd.vectorize(
            #[inline(always)]
            || {
                let (_, peak) = peak::<S, T>(simd, maximum, temperature);
                rest.rescale(ties * peak, unscale(53), high, low);
            },
        );
        (self.maximum, self.ties) = (largest, 0);
    }

    /// How many elements equal the maximum.
    #[inline(always)]
    pub(crate) fn ties(&self) -> f64 {
        self.ties as f64
    }

    /// [`RowSums::rest`] of the first `n` of several rows of more elements than there are lanes, one to a lane.
    #[inline(always)]
    pub(super) fn rests(simd: S, rows: &[Self; 16], n: usize) -> ([f64x8<S>; 2], [f64x8<S>; 2]) {
        let mut rests = [&rows[0].rest; 16];
        for (rest, row) in rests.iter_mut().zip(rows) {
            *rest = &row.rest;
        }
        T::ExponentialSums::totals(simd, rests, n)
    }

    /// The sum of the exponentials of the others, scaled, and its low part.
    #[inline(always)]
    fn rest(&self) -> (f64, f64) {
        if self.count <= T::Vector::<S>::LEN {
            self.rest.total_in_order()
        } else {
            self.rest.total()
        }
    }

    /// The row's statistics.
    #[inline(always)]
    pub(crate) fn finish(self) -> RowStatistics<T> {
        let unscale = unscale(T::Vector::<S>::PRECISION);
        let (rest, rest_low) = self.rest();
        let (rounded, whole) = peak(self.simd, self.maximum, self.inverse_temperature);
        RowStatistics {
            maximum: self.maximum,
            peak: rounded,
            unit: whole * unscale,
            ties: self.ties(),
            rest: rest * unscale,
            rest_low: rest_low * unscale,
        }
    }
}

/// The exponential of the maximum, scaled: rounded, and whole.
#[inline(always)]
fn peak<S: Token, T: RowReal>(
    simd: S,
    maximum: T,
    inverse_temperature: InverseTemperature,
) -> (T, f64) {
    let (head, tail) = if inverse_temperature == InverseTemperature::ONE {
        let of = Exponentials::<S, T, DIFFERENCE>::new(simd, maximum, inverse_temperature);
        of.peak()
    } else {
        let of = Exponentials::<S, T, TEMPERED>::new(simd, maximum, inverse_temperature);
        of.peak()
    };
    let whole: f64 = head[0].into();
    (head[0], whole + tail[0].into())
}

/// [`RowSums::add_block`] of several rows, no more than there are lanes, whose blocks of `n` elements lie one after the
/// other. Meanwhile `asked` are asked for from memory, as many elements each.
///
/// # Safety
/// As for [`for_each_vector`], of as many blocks as there are rows.
#[inline(always)]
pub(crate) unsafe fn add_blocks<S: Token, T: RowReal, const APART: bool>(
    simd: S,
    rows: &mut [RowSums<S, T>],
    blocks: *const T,
    asked: &[Ahead; 2],
    n: usize,
    target: Option<*mut T>,
) {
    // SAFETY: passed on.
    unsafe {
        if let Some(target) = target {
            add_blocks_and::<S, T, true, APART>(simd, rows, blocks, asked, n, target);
        } else {
            let target = std::ptr::null_mut();
            add_blocks_and::<S, T, false, true>(simd, rows, blocks, asked, n, target);
        }
    }
}

/// See [`add_blocks`]. Compiled once for each level, type, whether to `KEEP` the exponentials and whether
/// the maximum's are `APART`, and called by all row functions: it is most of their code.
///
/// # Safety
/// As there; `target` is of no account unless they are kept.
#[inline(never)]
unsafe fn add_blocks_and<S: Token, T: RowReal, const KEEP: bool, const APART: bool>(
    simd: S,
    rows: &mut [RowSums<S, T>],
    blocks: *const T,
    asked: &[Ahead; 2],
    n: usize,
    target: *mut T,
) {
    simd.vectorize(
        #[inline(always)]
        || {
            // SAFETY: passed on.
            unsafe { raise_maxima(simd, rows, blocks, n) };
            // What makes exponentials is made of all maxima at once, in lanes.
            let mut maxima = T::Vector::<S>::lit(simd, 0.0);
            let mut direct = true;
            for (slot, sums) in maxima.as_mut_slice().iter_mut().zip(rows.iter()) {
                *slot = sums.maximum;
                direct &= is_direct(sums.maximum);
            }
            let temperature = rows[0].inverse_temperature;
            // SAFETY: passed on.
            unsafe {
                if temperature != InverseTemperature::ONE {
                    let of = Exponentials::<S, T, TEMPERED>::of_maxima(simd, maxima, temperature);
                    sum_blocks::<S, T, KEEP, APART, TEMPERED>(
                        simd, rows, &of, blocks, asked, n, target,
                    );
                } else if direct {
                    let of = Exponentials::<S, T, DIRECT>::of_maxima(simd, maxima, temperature);
                    sum_blocks::<S, T, KEEP, APART, DIRECT>(
                        simd, rows, &of, blocks, asked, n, target,
                    );
                } else {
                    let of = Exponentials::<S, T, DIFFERENCE>::of_maxima(simd, maxima, temperature);
                    sum_blocks::<S, T, KEEP, APART, DIFFERENCE>(
                        simd, rows, &of, blocks, asked, n, target,
                    );
                }
            }
        },
    );
}

/// Up to how many rows each is better reduced by itself.
pub(super) const FEW: usize = 4;

/// Make the sums of rows relative to the largest elements so far, those of the blocks included.
///
/// # Safety
/// The blocks can be read.
#[inline(always)]
unsafe fn raise_maxima<S: Token, T: RowReal>(
    simd: S,
    rows: &mut [RowSums<S, T>],
    blocks: *const T,
    n: usize,
) {
    let none = T::nearest(f64::NEG_INFINITY);
    let mut largest = T::Vector::<S>::splat(simd, none);
    let mut lanes = [largest; 16];
    for (i, lanes) in lanes[..rows.len()].iter_mut().enumerate() {
        // SAFETY: promised by the caller.
        *lanes = unsafe { lane_maxima(simd, blocks.add(i * n), n, none) };
    }
    if rows.len() <= FEW {
        let few = largest.as_mut_slice()[..rows.len()].iter_mut();
        for (slot, &lanes) in few.zip(&lanes) {
            *slot = largest_lane::<S, T>(lanes);
        }
    } else {
        largest = fold(lanes, Lanes::larger);
    }
    for (&largest, sums) in largest.as_slice().iter().zip(rows) {
        if largest > sums.maximum {
            if sums.maximum == none {
                // Nothing to rescale but NaN, which stays.
                (sums.maximum, sums.ties) = (largest, 0);
            } else {
                sums.raise_maximum(largest);
            }
        }
    }
}

/// The part of [`add_blocks_and`] that depends on the exponentials' form, which `of` makes in lanes.
///
/// # Safety
/// As there.
#[inline(always)]
unsafe fn sum_blocks<S: Token, T: RowReal, const KEEP: bool, const APART: bool, const FORM: u8>(
    simd: S,
    rows: &mut [RowSums<S, T>],
    of: &Exponentials<S, T, FORM>,
    blocks: *const T,
    asked: &[Ahead; 2],
    n: usize,
    target: *mut T,
) {
    let lanes = T::Vector::<S>::LEN;
    let count = rows.len();
    for (i, sums) in rows.iter_mut().enumerate() {
        let exponentials = of.of_row(simd, i);
        // In bounds, if there are elements.
        let block = blocks.wrapping_add(i * n);
        let mut asked = asked.map(|ahead| ahead.part::<T>(i, count, n));
        let (mut ties, mut rest, mut unsettled) = (0, sums.rest, SETTLE);
        // SAFETY: passed on. The result of a lane depends on its element alone.
        unsafe {
            for_each_vector(
                simd,
                [block],
                if KEEP {
                    Some(target.wrapping_add(i * n))
                } else {
                    None
                },
                n,
                T::nearest(f64::NEG_INFINITY),
                #[inline(always)]
                |[z], valid| {
                    for address in &mut asked {
                        prefetch(*address);
                        *address = address.wrapping_add(lanes * size_of::<T>());
                    }
                    let e = exponentials.of::<APART>(z);
                    let (tied, summed) = match valid {
                        Some(valid) => (e.tie & valid, e.summed & valid),
                        None => (e.tie, e.summed),
                    };
                    ties += u64::from(tied.to_bitmask().count_ones());
                    rest.add(summed, e.parts);
                    unsettled -= 1;
                    if unsettled == 0 && valid.is_none() {
                        rest.settle();
                        unsettled = SETTLE;
                    }
                    e.rounded
                },
            );
        }
        sums.rest = rest;
        sums.count += n;
        sums.ties += ties;
    }
}

/// Write the scaled exponentials of a block relative to `maximum`, as [`RowSums::add_block`] does.
///
/// # Safety
/// As for [`for_each_vector`].
#[inline(never)]
pub(crate) unsafe fn exponentiate_block<S: Token, T: RowReal>(
    simd: S,
    (block, n): (*const T, usize),
    maximum: T,
    temperature: InverseTemperature,
    target: *mut T,
) {
    /// # Safety
    /// As for [`for_each_vector`].
    #[inline(always)]
    unsafe fn write<S: Token, T: RowReal, const FORM: u8>(
        simd: S,
        of: Exponentials<S, T, FORM>,
        (block, n): (*const T, usize),
        target: *mut T,
    ) {
        // SAFETY: passed on.
        unsafe {
            for_each_vector(
                simd,
                [block],
                Some(target),
                n,
                T::default(),
                #[inline(always)]
                |[z], _| of.of::<true>(z).rounded,
            );
        }
    }
    simd.vectorize(
        #[inline(always)]
        || {
            let place = (block, n);
            // SAFETY: passed on.
            unsafe {
                if temperature != InverseTemperature::ONE {
                    let of = Exponentials::<S, T, TEMPERED>::new(simd, maximum, temperature);
                    write(simd, of, place, target);
                } else if is_direct(maximum) {
                    let of = Exponentials::<S, T, DIRECT>::new(simd, maximum, temperature);
                    write(simd, of, place, target);
                } else {
                    let of = Exponentials::<S, T, DIFFERENCE>::new(simd, maximum, temperature);
                    write(simd, of, place, target);
                }
            }
        },
    );
}

/// A row's statistics: see the module.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RowStatistics<T> {
    /// The largest element; `-inf` of an empty row.
    pub(crate) maximum: T,
    /// Its exponential, rounded and scaled, as the others that are kept.
    pub(crate) peak: T,
    /// `e^(maximum - ρ)`.
    pub(crate) unit: f64,
    /// How many elements equal the maximum and are not in the sum.
    pub(crate) ties: f64,
    /// The sum of `e^(z - ρ)` over the others; NaN if an element is NaN.
    pub(crate) rest: f64,
    /// What rounding cut off `rest`.
    pub(crate) rest_low: f64,
}

impl<T: RowReal> RowStatistics<T> {
    /// Of a row of `x`.
    #[inline(always)]
    pub(crate) fn of<S: Token>(
        simd: S,
        x: &Operand<'_>,
        row: Row,
        inverse_temperature: InverseTemperature,
        buffer: &mut Vec<T>,
    ) -> Self {
        let mut sums = RowSums::<S, T>::new(simd, inverse_temperature);
        for (first, n) in row.blocks() {
            let block = read_block(simd, x, row.start + first, n, buffer);
            // SAFETY: `n` readable elements.
            unsafe { sums.add_block::<true>(block, n, None) };
        }
        sums.finish()
    }

    /// Whether the probabilities have a limit: no element is NaN, not all are `-inf`, `+inf` stands
    /// alone.
    #[inline(always)]
    pub(crate) fn has_probabilities(&self) -> bool {
        let maximum: f64 = self.maximum.into();
        !self.rest.is_nan()
            && maximum > f64::NEG_INFINITY
            && (maximum < f64::INFINITY || self.ties == 1.0)
    }

    /// `(k - 1) + R`: the sum of the exponentials relative to the maximum, but for one of its own.
    #[inline(always)]
    pub(crate) fn others(&self) -> f64 {
        (self.ties - 1.0) + (self.rest + self.rest_low) / self.unit
    }

    /// One over the sum of all `e^(z - ρ)`, in two parts.
    #[inline(always)]
    pub(crate) fn inverse<S: Token>(&self, simd: S) -> (f64, f64) {
        simd.vectorize(
            #[inline(always)]
            || {
                let splat = |value| f64x8::splat(simd, value);
                let rest = (splat(self.rest), splat(self.rest_low));
                let (high, low) = inverse_of_sum(simd, splat(self.ties * self.unit), rest);
                (high[0], low[0])
            },
        )
    }
}

/// `1 / (ties + rest)` in two parts.
#[inline(always)]
pub(crate) fn inverse_of_sum<S: Token>(
    simd: S,
    ties: f64x8<S>,
    (rest, rest_low): (f64x8<S>, f64x8<S>),
) -> (f64x8<S>, f64x8<S>) {
    // Either may be the larger.
    let (total, error) = two_sum::<S, _>(ties, rest);
    let low = error + rest_low;
    let inverse = f64x8::splat(simd, 1.0) / total;
    let residual = Lanes::fma(inverse, -total, f64x8::splat(simd, 1.0));
    (inverse, Lanes::fma(-low, inverse, residual) * inverse)
}

/// [`RowStatistics::of`], for callers that are not compiled for a level.
#[inline(never)]
pub(crate) fn row_statistics<S: Token, T: RowReal>(
    simd: S,
    x: &Operand<'_>,
    row: Row,
    inverse_temperature: InverseTemperature,
    buffer: &mut Vec<T>,
) -> RowStatistics<T> {
    simd.vectorize(
        #[inline(always)]
        || RowStatistics::of(simd, x, row, inverse_temperature, buffer),
    )
}
