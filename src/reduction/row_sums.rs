//! Sums of a row's terms, in `f64`, in an order that only the number of terms and their type decide.
//!
//! Term `j` of a block is added to the sum of the lane it was loaded in: 16 sums for `f32`, 8 for
//! `f64`, folded in halves at the end; or, of no more terms than there are lanes, added one after the other. `f32` terms are added as `f64`; `f64` terms carry the error of
//! every addition along (Knuth's `TwoSum`), so that a sum of any length is as accurate as its terms.

use crate::dtype::Real;
use crate::lanes::{Lanes, Token};
use crate::math::twofold::{two_product, two_sum};
use fearless_simd::prelude::*;
use fearless_simd::{f32x16, f64x8};

/// A compute type with the sums of its rows.
pub(crate) trait RowReal: Real {
    /// Sums of terms of this type.
    type Sums<S: Token>: Sums<S, Self>;

    /// Vectors of `f64` that a vector of this type widens to: 2 or 1.
    const HALVES: usize;

    /// Each lane as `f64`, in the first [`RowReal::HALVES`].
    fn widen<S: Token>(simd: S, x: Self::Vector<S>) -> [f64x8<S>; 2];

    /// Each lane rounded.
    fn narrow<S: Token>(x: [f64x8<S>; 2]) -> Self::Vector<S>;

    /// Compute in `f64` lanes and round once.
    fn in_double<S: Token, const N: usize>(
        simd: S,
        operands: [Self::Vector<S>; N],
        f: impl Fn([f64x8<S>; N]) -> f64x8<S>,
    ) -> Self::Vector<S>;
}

/// One sum for each lane.
pub(crate) trait Sums<S: Token, T: Real>: Copy {
    /// All 0.
    fn zero(simd: S) -> Self;

    /// Add `head + tail` in each lane, `tail` much the smaller.
    fn add(&mut self, head: T::Vector<S>, tail: T::Vector<S>);

    /// Add `a * b` in each lane.
    fn add_product(&mut self, a: T::Vector<S>, b: T::Vector<S>);

    /// Add one term to the first lane, then multiply all by `factor * (high + low)`.
    fn rescale(&mut self, term: f64, factor: f64, high: f64, low: f64);

    /// The sum of all lanes and its low part; infinite or NaN without one.
    fn total(self) -> (f64, f64);

    /// [`Sums::total`], if no lane has more than one term: first lane first.
    fn total_in_order(self) -> (f64, f64);

    /// Add the other's sums, lane to lane, as [`Sums::total`] adds lane to lane.
    fn merge(&mut self, other: &Self);

    /// The sum of each lane and its low part, in halves.
    fn lane_totals(self) -> ([f64x8<S>; 2], [f64x8<S>; 2]);
}

impl RowReal for f32 {
    type Sums<S: Token> = SingleSums<S>;
    const HALVES: usize = 2;

    #[inline(always)]
    fn widen<S: Token>(_: S, x: f32x16<S>) -> [f64x8<S>; 2] {
        let (low, high) = x.widen();
        [low, high]
    }

    #[inline(always)]
    fn narrow<S: Token>([low, high]: [f64x8<S>; 2]) -> f32x16<S> {
        low.narrow(high)
    }

    #[inline(always)]
    fn in_double<S: Token, const N: usize>(
        _: S,
        operands: [f32x16<S>; N],
        f: impl Fn([f64x8<S>; N]) -> f64x8<S>,
    ) -> f32x16<S> {
        let wide = operands.map(f32x16::widen);
        let low = f(wide.map(
            #[inline(always)]
            |halves| halves.0,
        ));
        let high = f(wide.map(
            #[inline(always)]
            |halves| halves.1,
        ));
        low.narrow(high)
    }
}

impl RowReal for f64 {
    type Sums<S: Token> = DoubleSums<S>;
    const HALVES: usize = 1;

    #[inline(always)]
    fn widen<S: Token>(simd: S, x: f64x8<S>) -> [f64x8<S>; 2] {
        [x, f64x8::splat(simd, 0.0)]
    }

    #[inline(always)]
    fn narrow<S: Token>([x, _]: [f64x8<S>; 2]) -> f64x8<S> {
        x
    }

    #[inline(always)]
    fn in_double<S: Token, const N: usize>(
        _: S,
        operands: [f64x8<S>; N],
        f: impl Fn([f64x8<S>; N]) -> f64x8<S>,
    ) -> f64x8<S> {
        f(operands)
    }
}

/// Sums of `f32` terms. Their tails, which are small, are summed as `f32`.
#[derive(Clone, Copy)]
pub(crate) struct SingleSums<S: Token> {
    low_lanes: f64x8<S>,
    high_lanes: f64x8<S>,
    tails: f32x16<S>,
}

impl<S: Token> Sums<S, f32> for SingleSums<S> {
    #[inline(always)]
    fn zero(simd: S) -> Self {
        Self {
            low_lanes: f64x8::splat(simd, 0.0),
            high_lanes: f64x8::splat(simd, 0.0),
            tails: f32x16::splat(simd, 0.0),
        }
    }

    #[inline(always)]
    fn add(&mut self, head: f32x16<S>, tail: f32x16<S>) {
        let (low, high) = head.widen();
        self.low_lanes += low;
        self.high_lanes += high;
        self.tails += tail;
    }

    #[inline(always)]
    fn add_product(&mut self, a: f32x16<S>, b: f32x16<S>) {
        // A product of two f32 is an f64.
        let ((a_low, a_high), (b_low, b_high)) = (a.widen(), b.widen());
        self.low_lanes += a_low * b_low;
        self.high_lanes += a_high * b_high;
    }

    #[inline(always)]
    fn rescale(&mut self, term: f64, factor: f64, high: f64, _low: f64) {
        self.low_lanes.as_mut_slice()[0] += term;
        self.low_lanes = (self.low_lanes * factor) * high;
        self.high_lanes = (self.high_lanes * factor) * high;
        let (low, upper) = self.tails.widen();
        self.tails = ((low * factor) * high).narrow((upper * factor) * high);
    }

    #[inline(always)]
    fn total(self) -> (f64, f64) {
        let sum: [f64; 8] = (self.low_lanes + self.high_lanes).into();
        let [a, b, c, d, e, f, g, h] = sum;
        let tails = self.tails + self.tails.slide::<8>(self.tails);
        let tails = tails + tails.slide::<4>(tails);
        let tails = tails + tails.slide::<2>(tails);
        let tails = tails + tails.slide::<1>(tails);
        let sum = ((a + e) + (c + g)) + ((b + f) + (d + h));
        (sum + f64::from(tails[0]), 0.0)
    }

    #[inline(always)]
    fn total_in_order(self) -> (f64, f64) {
        let (low, high): ([f64; 8], [f64; 8]) = (self.low_lanes.into(), self.high_lanes.into());
        let tails: [f32; 16] = self.tails.into();
        let sum = low.iter().chain(&high).fold(0.0, |sum, x| sum + x);
        let tail = tails.iter().fold(0.0, |sum, x| sum + x);
        (sum + f64::from(tail), 0.0)
    }

    #[inline(always)]
    fn merge(&mut self, other: &Self) {
        self.low_lanes += other.low_lanes;
        self.high_lanes += other.high_lanes;
        self.tails += other.tails;
    }

    #[inline(always)]
    fn lane_totals(self) -> ([f64x8<S>; 2], [f64x8<S>; 2]) {
        let (low, high) = self.tails.widen();
        let zero = f64x8::splat(self.tails.token(), 0.0);
        ([self.low_lanes + low, self.high_lanes + high], [zero, zero])
    }
}

/// Sums of `f64` terms with their errors.
#[derive(Clone, Copy)]
pub(crate) struct DoubleSums<S: Token> {
    sums: f64x8<S>,
    errors: f64x8<S>,
}

impl<S: Token> Sums<S, f64> for DoubleSums<S> {
    #[inline(always)]
    fn zero(simd: S) -> Self {
        Self {
            sums: f64x8::splat(simd, 0.0),
            errors: f64x8::splat(simd, 0.0),
        }
    }

    #[inline(always)]
    fn add(&mut self, head: f64x8<S>, tail: f64x8<S>) {
        let (sum, error) = two_sum(self.sums, head);
        self.sums = sum;
        self.errors += error + tail;
    }

    #[inline(always)]
    fn add_product(&mut self, a: f64x8<S>, b: f64x8<S>) {
        let (product, error) = two_product(a, b);
        self.add(product, error);
    }

    #[inline(always)]
    fn rescale(&mut self, term: f64, factor: f64, high: f64, low: f64) {
        let simd = self.sums.token();
        let mut first = f64x8::splat(simd, 0.0);
        first.as_mut_slice()[0] = term;
        self.add(first, f64x8::splat(simd, 0.0));
        let (sums, errors) = (self.sums * factor, self.errors * factor);
        let (high, low) = (f64x8::splat(simd, high), f64x8::splat(simd, low));
        let product = sums * high;
        self.sums = product;
        self.errors = errors.fma(high, sums.fma(low, sums.fma(high, -product)));
    }

    #[inline(always)]
    fn total(self) -> (f64, f64) {
        let (sums, errors): ([f64; 8], [f64; 8]) = (self.sums.into(), self.errors.into());
        let mut pairs: [(f64, f64); 8] = std::array::from_fn(|i| (sums[i], errors[i]));
        for half in [4, 2, 1] {
            for i in 0..half {
                pairs[i] = add_pairs(pairs[i], pairs[i + half]);
            }
        }
        normalised(pairs[0])
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

/// The sum of two numbers and that of their errors, its own error included.
#[inline(always)]
fn add_pairs((a, a_error): (f64, f64), (b, b_error): (f64, f64)) -> (f64, f64) {
    let sum = a + b;
    let b_part = sum - a;
    let error = (a - (sum - b_part)) + (b - b_part);
    (sum, (a_error + b_error) + error)
}

#[inline(always)]
fn normalised((sum, error): (f64, f64)) -> (f64, f64) {
    let high = sum + error;
    if high.is_finite() {
        (high, error - (high - sum))
    } else {
        // Of an infinite sum the errors are NaN.
        (sum, 0.0)
    }
}
