//! Sums of a row's exponentials: those of [`super::row_sums`], and in the same order, but for what is known of their terms.
//!
//! An exponential of `f32` is a normal number or 0, never negative. As `f64` it has the same bits 29 places further up, and
//! another bias of the exponent; so shifted into place it is the `f64`, times 2^-896, and of 16 lanes
//! those in even places are as good as where they have to be. On AVX-512 that takes four operations, with leaving out what is
//! not to be summed, where conversions take six; on other levels conversions are as good. The sums are as
//! if scaled, which loses nothing: no exponential is below 2^-121, and the least normal number is 2^-126
//! of that scale. NaN becomes a number, but its tail, summed as `f32`, stays NaN.

use super::batch_statistics::eight;
use super::row_sums::{DoubleSums, RowReal, Sums, add_pairs, fold_lanes, normalised};
use crate::dtype::Real;
use crate::lanes::transpose::fold;
use crate::lanes::{Lanes, Token};
use crate::math::twofold::two_sum;
use fearless_simd::prelude::*;
use fearless_simd::{f32x16, f64x8, u32x16, u64x8};

/// The mask of a compute type's vector.
pub(super) type Mask<S, T> = <<T as Real>::Vector<S> as SimdBase<S>>::Mask;

/// One sum for each lane.
pub(crate) trait ExponentialSums<S: Token, T: RowReal>: Copy {
    /// All 0.
    fn zero(simd: S) -> Self;

    /// Add `head + tail` in the lanes that are `summed`, `tail` much the smaller.
    fn add(&mut self, summed: Mask<S, T>, head: T::Vector<S>, tail: T::Vector<S>);

    /// Add one term to the first lane, then multiply all by `factor * (high + low)`.
    fn rescale(&mut self, term: f64, factor: f64, high: f64, low: f64);

    /// The sum of all lanes and its low part; infinite or NaN without one.
    fn total(self) -> (f64, f64);

    /// [`ExponentialSums::total`], if no lane has more than one term: first lane first.
    fn total_in_order(self) -> (f64, f64);

    /// [`ExponentialSums::total`] of the first `n` of several rows, no more than there are lanes, one to a lane.
    #[inline(always)]
    fn totals(simd: S, rows: [&Self; 16], n: usize) -> ([f64x8<S>; 2], [f64x8<S>; 2]) {
        let (mut high, mut low) = ([0.0; 16], [0.0; 16]);
        for (i, row) in rows[..n].iter().enumerate() {
            (high[i], low[i]) = row.total();
        }
        (
            [eight(simd, &high, 0), eight(simd, &high, 8)],
            [eight(simd, &low, 0), eight(simd, &low, 8)],
        )
    }

    /// Add the other's sums, lane to lane, as [`ExponentialSums::total`] adds lane to lane.
    fn merge(&mut self, other: &Self);

    /// The sum of each lane and its low part, in halves.
    fn lane_totals(self) -> ([f64x8<S>; 2], [f64x8<S>; 2]);
}

/// Sums of `f32` exponentials. Their tails, which are small, are summed as `f32`.
#[derive(Clone, Copy)]
pub(crate) struct SingleExponentialSums<S: Token> {
    /// Of lanes 0 to 7 and 8 to 15; if the level [`Token::WIDENS_IN_PLACE`], of even and odd lanes, times [`SCALE`].
    sums: [f64x8<S>; 2],
    tails: f32x16<S>,
}

/// How far up the bits of an `f32` are in an `f64`.
const SHIFT: u32 = 29;

/// What differs in the exponents' biases, and its inverse.
const SCALE: f64 = f64::from_bits((1023 - 896) << 52);
const UNSCALE: f64 = f64::from_bits((1023 + 896) << 52);

impl<S: Token> SingleExponentialSums<S> {
    /// The sums of lanes 0 to 7 and 8 to 15.
    #[inline(always)]
    fn lanes(self) -> [f64x8<S>; 2] {
        let [even, odd] = self.sums;
        if S::WIDENS_IN_PLACE {
            let (even, odd) = (even * UNSCALE, odd * UNSCALE);
            [even.zip_low(odd), even.zip_high(odd)]
        } else {
            self.sums
        }
    }
}

/// The sum of each vector's lanes, in halves.
#[inline(always)]
fn sum_lanes<S: Token, V: Lanes<S>>(v: [V; 16]) -> V {
    fold(
        v,
        #[inline(always)]
        |a, b| a + b,
    )
}

impl<S: Token> ExponentialSums<S, f32> for SingleExponentialSums<S> {
    #[inline(always)]
    fn zero(simd: S) -> Self {
        Self {
            sums: [f64x8::splat(simd, 0.0); 2],
            tails: f32x16::splat(simd, 0.0),
        }
    }

    #[inline(always)]
    fn add(&mut self, summed: Mask<S, f32>, head: f32x16<S>, tail: f32x16<S>) {
        let simd = self.tails.token();
        let zero = f32x16::splat(simd, 0.0);
        let [first, second] = if S::WIDENS_IN_PLACE {
            let (bits, none) = (head.to_bits(), u32x16::splat(simd, 0));
            let evens: u32x16<S> = u64x8::splat(simd, 0xffff_ffff).bitcast();
            let even: u64x8<S> = summed.select(bits & evens, none).bitcast();
            let odd: u64x8<S> = summed.select(bits & !evens, none).bitcast();
            [
                (even << SHIFT).bitcast(),
                (odd >> (u32::BITS - SHIFT)).bitcast(),
            ]
        } else {
            let (low, high) = summed.select(head, zero).widen();
            [low, high]
        };
        self.sums[0] += first;
        self.sums[1] += second;
        self.tails += summed.select(tail, zero);
    }

    #[inline(always)]
    fn rescale(&mut self, term: f64, factor: f64, high: f64, _low: f64) {
        let (unscale, scale) = if S::WIDENS_IN_PLACE {
            (UNSCALE, SCALE)
        } else {
            (1.0, 1.0)
        };
        for (i, sums) in self.sums.iter_mut().enumerate() {
            let mut lanes = *sums * unscale;
            if i == 0 {
                lanes.as_mut_slice()[0] += term;
            }
            *sums = ((lanes * factor) * high) * scale;
        }
        let (low, upper) = self.tails.widen();
        self.tails = ((low * factor) * high).narrow((upper * factor) * high);
    }

    #[inline(always)]
    fn total(self) -> (f64, f64) {
        let [low, high] = self.lanes();
        (fold_lanes(low + high, self.tails), 0.0)
    }

    #[inline(always)]
    fn total_in_order(self) -> (f64, f64) {
        let [low, high] = self.lanes();
        let (low, high): ([f64; 8], [f64; 8]) = (low.into(), high.into());
        let tails: [f32; 16] = self.tails.into();
        let sum = low.iter().chain(&high).fold(0.0, |sum, x| sum + x);
        let tail = tails.iter().fold(0.0, |sum, x| sum + x);
        (sum + f64::from(tail), 0.0)
    }

    #[inline(always)]
    fn totals(simd: S, rows: [&Self; 16], _n: usize) -> ([f64x8<S>; 2], [f64x8<S>; 2]) {
        let mut tails = [f32x16::splat(simd, 0.0); 16];
        for (tails, row) in tails.iter_mut().zip(rows) {
            *tails = row.tails;
        }
        let (low, high) = sum_lanes(tails).widen();
        let mut sums = [low, high];
        for (half, sums) in sums.iter_mut().enumerate() {
            let mut lanes = [f64x8::splat(simd, 0.0); 16];
            for (i, lanes) in lanes[..8].iter_mut().enumerate() {
                let [low, high] = rows[8 * half + i].lanes();
                *lanes = low + high;
            }
            *sums += sum_lanes(lanes);
        }
        (sums, [f64x8::splat(simd, 0.0); 2])
    }

    #[inline(always)]
    fn merge(&mut self, other: &Self) {
        self.sums[0] += other.sums[0];
        self.sums[1] += other.sums[1];
        self.tails += other.tails;
    }

    #[inline(always)]
    fn lane_totals(self) -> ([f64x8<S>; 2], [f64x8<S>; 2]) {
        let [low_lanes, high_lanes] = self.lanes();
        let (low, high) = self.tails.widen();
        let zero = f64x8::splat(self.tails.token(), 0.0);
        ([low_lanes + low, high_lanes + high], [zero, zero])
    }
}

impl<S: Token> ExponentialSums<S, f64> for DoubleSums<S> {
    #[inline(always)]
    fn zero(simd: S) -> Self {
        Sums::zero(simd)
    }

    #[inline(always)]
    fn add(&mut self, summed: Mask<S, f64>, head: f64x8<S>, tail: f64x8<S>) {
        let zero = f64x8::splat(self.sums.token(), 0.0);
        Sums::add(self, summed.select(head, zero), summed.select(tail, zero));
    }

    #[inline(always)]
    fn rescale(&mut self, term: f64, factor: f64, high: f64, low: f64) {
        let simd = self.sums.token();
        let mut first = f64x8::splat(simd, 0.0);
        first.as_mut_slice()[0] = term;
        Sums::add(self, first, f64x8::splat(simd, 0.0));
        let (sums, errors) = (self.sums * factor, self.errors * factor);
        let (high, low) = (f64x8::splat(simd, high), f64x8::splat(simd, low));
        let product = sums * high;
        self.sums = product;
        self.errors = errors.fma(high, sums.fma(low, sums.fma(high, -product)));
    }

    #[inline(always)]
    fn total(self) -> (f64, f64) {
        Sums::total(self)
    }

    #[inline(always)]
    fn total_in_order(self) -> (f64, f64) {
        let (sums, errors): ([f64; 8], [f64; 8]) = (self.sums.into(), self.errors.into());
        let pairs = sums.into_iter().zip(errors);
        normalised(pairs.fold((0.0, 0.0), |(all, all_errors), (x, x_error)| {
            let (sum, error) = add_pairs((all, 0.0), (x, 0.0));
            (sum, all_errors + (error + x_error))
        }))
    }

    #[inline(always)]
    fn merge(&mut self, other: &Self) {
        let (sum, error) = two_sum(self.sums, other.sums);
        self.errors = (self.errors + other.errors) + error;
        self.sums = sum;
    }

    #[inline(always)]
    fn lane_totals(self) -> ([f64x8<S>; 2], [f64x8<S>; 2]) {
        let zero = f64x8::splat(self.sums.token(), 0.0);
        let high = self.sums + self.errors;
        let low = self.errors - (high - self.sums);
        let finite = high.is_finite();
        let sum = finite.select(high, self.sums);
        ([sum, zero], [finite.select(low, zero), zero])
    }
}
