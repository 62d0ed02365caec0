//! Sums of a row's exponentials: in the order of [`super::row_sums`], but for what is known of their terms.
//!
//! An exponential of `f32` is a power times one and a growth of less than 0.05. The powers are added as `f64`, their
//! products with the growths as `f32`, by one FMA: of a sixteen of them the rounding errors are below `2^-26`
//! of the whole, and then they are [settled](ExponentialSums::settle) in the `f64` sums.
//!
//! A power is a normal number or 0, never negative, and its last three bits are 0. As `f64` it has the same bits 29
//! places further up, and another bias of the exponent; so shifted into place it is the `f64`, times 2^-896, and of 16 lanes
//! those in even places are as good as where they have to be: what is shifted out of the lane beside them is
//! those three bits. On AVX-512 that takes a shift and an addition for eight, where a conversion takes two
//! instructions; on other levels conversions are as good. The sums are as
//! if scaled, which loses nothing: no exponential is below 2^-121, and the least normal number is 2^-126
//! of that scale. NaN becomes a number, but its growth, summed as `f32`, stays NaN.

use super::batch_statistics::eight;
use super::row_statistics::FEW;
use super::row_sums::{DoubleSums, RowReal, Sums, add_pairs, fold_lanes, normalised};
use crate::dtype::Real;
use crate::lanes::transpose::fold;
use crate::lanes::{Lanes, Token};
use crate::math::twofold::two_sum;
use fearless_simd::prelude::*;
use fearless_simd::{f32x16, f64x8, mask32x16, u32x16, u64x8};
use std::hint::black_box;

/// The mask of a compute type's vector.
pub(super) type Mask<S, T> = <<T as Real>::Vector<S> as SimdBase<S>>::Mask;

/// One sum for each lane.
pub(crate) trait ExponentialSums<S: Token, T: RowReal>: Copy {
    /// All 0.
    fn zero(simd: S) -> Self;

    /// Add exponentials in the lanes that are `summed`: of `f32`, `power + power * growth`; of `f64`, `head + tail`.
    fn add(&mut self, summed: Mask<S, T>, parts: (T::Vector<S>, T::Vector<S>));

    /// The same to the bit as if `parts` were added to sums of their own, of which
    /// [`ExponentialSums::total_in_order`] is the total.
    #[inline(always)]
    fn add_in_order(&mut self, summed: Mask<S, T>, parts: (T::Vector<S>, T::Vector<S>)) {
        self.add(summed, parts);
    }

    /// To be called after every [`SETTLE`] whole vectors of a row, lest rounding errors accumulate.
    #[inline(always)]
    fn settle(&mut self) {}

    /// Add one term to the first lane, then multiply all by `factor * (high + low)`.
    fn rescale(&mut self, term: f64, factor: f64, high: f64, low: f64);

    /// The sum of all lanes and its low part; infinite or NaN without one.
    fn total(self) -> (f64, f64);

    /// [`ExponentialSums::total`], if no lane has more than one term: first lane first.
    fn total_in_order(self) -> (f64, f64);

    /// [`ExponentialSums::total`] of the first `n` of several rows, no more than there are lanes, one to a lane.
    #[inline(always)]
    fn totals(simd: S, rows: [&Self; 16], n: usize) -> ([f64x8<S>; 2], [f64x8<S>; 2]) {
        each_total(simd, rows, n)
    }

    /// Add the other's sums, lane to lane, as [`ExponentialSums::total`] adds lane to lane.
    fn merge(&mut self, other: &Self);

    /// The sum of each lane and its low part, in halves.
    fn lane_totals(self) -> ([f64x8<S>; 2], [f64x8<S>; 2]);
}

/// [`ExponentialSums::totals`], one by one.
#[inline(always)]
fn each_total<S: Token, T: RowReal, E: ExponentialSums<S, T>>(
    simd: S,
    rows: [&E; 16],
    n: usize,
) -> ([f64x8<S>; 2], [f64x8<S>; 2]) {
    let (mut high, mut low) = ([0.0; 16], [0.0; 16]);
    for (i, row) in rows[..n].iter().enumerate() {
        (high[i], low[i]) = row.total();
    }
    (
        [eight(simd, &high, 0), eight(simd, &high, 8)],
        [eight(simd, &low, 0), eight(simd, &low, 8)],
    )
}

/// Whole vectors after which sums are to be settled.
pub(super) const SETTLE: usize = 16;

/// Sums of `f32` exponentials.
#[derive(Clone, Copy)]
pub(crate) struct SingleExponentialSums<S: Token> {
    /// Of lanes 0 to 7 and 8 to 15; if the level [`Token::WIDENS_IN_PLACE`], of even and odd lanes, times [`SCALE`].
    sums: [f64x8<S>; 2],
    /// Of the products of powers and growths.
    growths: f32x16<S>,
    /// [`ODDS`], unknown to the compiler: of a shift under a known mask it makes two instructions.
    odds: u64,
}

/// The bit mask of odd lanes.
const ODDS: u64 = 0xaaaa;

/// How far up the bits of an `f32` are in an `f64`.
const SHIFT: u32 = 29;

/// What differs in the exponents' biases, and its inverse.
const SCALE: f64 = f64::from_bits((1023 - 896) << 52);
const UNSCALE: f64 = f64::from_bits((1023 + 896) << 52);

impl<S: Token> SingleExponentialSums<S> {
    /// Add those that are `summed`, and put 0 in place of the others.
    #[inline(always)]
    fn add_powers(&mut self, summed: Mask<S, f32>, power: f32x16<S>) -> f32x16<S> {
        let simd = power.token();
        let power = summed.select(power, f32x16::splat(simd, 0.0));
        let [first, second] = if S::WIDENS_IN_PLACE {
            let bits = power.to_bits();
            let even: u64x8<S> = bits.bitcast();
            let odds = mask32x16::from_bitmask(simd, self.odds);
            let up = bits >> (u32::BITS - SHIFT);
            let odd: u64x8<S> = odds.select(up, u32x16::splat(simd, 0)).bitcast();
            [(even << SHIFT).bitcast(), odd.bitcast()]
        } else {
            let (low, high) = power.widen();
            [low, high]
        };
        self.sums[0] += first;
        self.sums[1] += second;
        power
    }

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
            growths: f32x16::splat(simd, 0.0),
            odds: black_box(ODDS),
        }
    }

    #[inline(always)]
    fn add(&mut self, summed: Mask<S, f32>, (power, growth): (f32x16<S>, f32x16<S>)) {
        let power = self.add_powers(summed, power);
        self.growths = if S::WIDENS_IN_PLACE {
            // One instruction, under the mask.
            summed.select(Lanes::fma(power, growth, self.growths), self.growths)
        } else {
            let growth = summed.select(growth, f32x16::splat(power.token(), 0.0));
            Lanes::fma(power, growth, self.growths)
        };
    }

    #[inline(always)]
    fn add_in_order(&mut self, summed: Mask<S, f32>, (power, growth): (f32x16<S>, f32x16<S>)) {
        let power = self.add_powers(summed, power);
        let growth = summed.select(growth, f32x16::splat(power.token(), 0.0));
        self.growths += power * growth;
    }

    #[inline(always)]
    fn settle(&mut self) {
        let (mut low, mut high) = self.growths.widen();
        if S::WIDENS_IN_PLACE {
            let (lower, upper) = (low * SCALE, high * SCALE);
            (low, high) = (lower.unzip_low(upper), lower.unzip_high(upper));
        }
        self.sums[0] += low;
        self.sums[1] += high;
        self.growths = f32x16::splat(self.growths.token(), 0.0);
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
        let (low, upper) = self.growths.widen();
        self.growths = ((low * factor) * high).narrow((upper * factor) * high);
    }

    #[inline(always)]
    fn total(self) -> (f64, f64) {
        let [low, high] = self.lanes();
        (fold_lanes(low + high, self.growths), 0.0)
    }

    #[inline(always)]
    fn total_in_order(self) -> (f64, f64) {
        let [low, high] = self.lanes();
        let (low, high): ([f64; 8], [f64; 8]) = (low.into(), high.into());
        let growths: [f32; 16] = self.growths.into();
        let sum = low.iter().chain(&high).fold(0.0, |sum, x| sum + x);
        let growth = growths.iter().fold(0.0, |sum, x| sum + x);
        (sum + f64::from(growth), 0.0)
    }

    #[inline(always)]
    fn totals(simd: S, rows: [&Self; 16], n: usize) -> ([f64x8<S>; 2], [f64x8<S>; 2]) {
        if n <= FEW {
            return each_total(simd, rows, n);
        }
        let mut growths = [f32x16::splat(simd, 0.0); 16];
        for (growths, row) in growths.iter_mut().zip(rows) {
            *growths = row.growths;
        }
        let (low, high) = sum_lanes(growths).widen();
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
        self.growths += other.growths;
    }

    #[inline(always)]
    fn lane_totals(self) -> ([f64x8<S>; 2], [f64x8<S>; 2]) {
        let [low_lanes, high_lanes] = self.lanes();
        let (low, high) = self.growths.widen();
        let zero = f64x8::splat(self.growths.token(), 0.0);
        ([low_lanes + low, high_lanes + high], [zero, zero])
    }
}

impl<S: Token> ExponentialSums<S, f64> for DoubleSums<S> {
    #[inline(always)]
    fn zero(simd: S) -> Self {
        Sums::zero(simd)
    }

    #[inline(always)]
    fn add(&mut self, summed: Mask<S, f64>, (head, tail): (f64x8<S>, f64x8<S>)) {
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
