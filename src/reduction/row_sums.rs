//! Sums of a row's terms, in `f64`, in an order that only the number of terms and their type decide.
//!
//! Term `j` of a block is added to the sum of the lane it was loaded in: 16 sums for `f32`, 8 for
//! `f64`, folded in halves at the end; or, of no more terms than there are lanes, added one after the other. `f32` terms are added as `f64`; `f64` terms carry the error of
//! every addition along (Knuth's `TwoSum`), so that a sum of any length is as accurate as its terms.

use super::exponential_sums::{ExponentialSums, SingleExponentialSums};
use crate::dtype::Real;
use crate::lanes::{Token, map_array};
use crate::math::twofold::{two_product, two_sum};
use fearless_simd::prelude::*;
use fearless_simd::{f32x16, f64x8};

/// A compute type with the sums of its rows.
pub(crate) trait RowReal: Real {
    /// Sums of terms of this type.
    type Sums<S: Token>: Sums<S, Self>;

    /// Sums of exponentials of this type.
    type ExponentialSums<S: Token>: ExponentialSums<S, Self>;

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

    /// The sum of all lanes and its low part; infinite or NaN without one.
    fn total(self) -> (f64, f64);
}

impl RowReal for f32 {
    type Sums<S: Token> = SingleSums<S>;
    type ExponentialSums<S: Token> = SingleExponentialSums<S>;
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
        let wide = map_array(operands, f32x16::widen);
        let low = f(map_array(
            wide,
            #[inline(always)]
            |halves| halves.0,
        ));
        let high = f(map_array(
            wide,
            #[inline(always)]
            |halves| halves.1,
        ));
        low.narrow(high)
    }
}

impl RowReal for f64 {
    type Sums<S: Token> = DoubleSums<S>;
    type ExponentialSums<S: Token> = DoubleSums<S>;
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
    fn total(self) -> (f64, f64) {
        (
            fold_lanes(self.low_lanes + self.high_lanes, self.tails),
            0.0,
        )
    }
}

/// The sum of all lanes and of their tails, each folded in halves.
#[inline(always)]
pub(super) fn fold_lanes<S: Token>(sums: f64x8<S>, tails: f32x16<S>) -> f64 {
    let [a, b, c, d, e, f, g, h]: [f64; 8] = sums.into();
    let tails = tails + tails.slide::<8>(tails);
    let tails = tails + tails.slide::<4>(tails);
    let tails = tails + tails.slide::<2>(tails);
    let tails = tails + tails.slide::<1>(tails);
    let sum = ((a + e) + (c + g)) + ((b + f) + (d + h));
    sum + f64::from(tails[0])
}

/// Sums of `f64` terms with their errors.
#[derive(Clone, Copy)]
pub(crate) struct DoubleSums<S: Token> {
    pub(super) sums: f64x8<S>,
    pub(super) errors: f64x8<S>,
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
        Sums::add(self, product, error);
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
}

/// The sum of two numbers and that of their errors, its own error included.
#[inline(always)]
pub(super) fn add_pairs((a, a_error): (f64, f64), (b, b_error): (f64, f64)) -> (f64, f64) {
    let sum = a + b;
    let b_part = sum - a;
    let error = (a - (sum - b_part)) + (b - b_part);
    (sum, (a_error + b_error) + error)
}

#[inline(always)]
pub(super) fn normalised((sum, error): (f64, f64)) -> (f64, f64) {
    let high = sum + error;
    if high.is_finite() {
        (high, error - (high - sum))
    } else {
        // Of an infinite sum the errors are NaN.
        (sum, 0.0)
    }
}
