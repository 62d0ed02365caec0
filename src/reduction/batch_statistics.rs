//! The statistics of several rows, so that what is done once a row is done in lanes: see
//! [`super::row_statistics`].

use super::row_statistics::RowStatistics;
use super::row_sums::RowReal;
use crate::lanes::{Lanes, Token};
use crate::math::log::{log1p, log1p_short};
use crate::math::twofold::two_sum;
use fearless_simd::f64x8;
use fearless_simd::prelude::*;

/// What [`RowStatistics`] is for one row, for `N`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchStatistics<const N: usize> {
    pub(crate) maximum: [f64; N],
    pub(crate) peak: [f64; N],
    pub(crate) unit: [f64; N],
    pub(crate) ties: [f64; N],
    pub(crate) rest: [f64; N],
    pub(crate) rest_low: [f64; N],
}

impl<const N: usize> Default for BatchStatistics<N> {
    fn default() -> Self {
        Self {
            maximum: [0.0; N],
            peak: [1.0; N],
            unit: [1.0; N],
            ties: [1.0; N],
            rest: [0.0; N],
            rest_low: [0.0; N],
        }
    }
}

/// `log1p((k - 1) + R)` of each row of a batch, in two parts; of `f32` rows the second is 0.
pub(crate) struct LogSums<const N: usize> {
    pub(crate) high: [f64; N],
    pub(crate) low: [f64; N],
}

impl BatchStatistics<1> {
    /// Of one row.
    pub(crate) fn of_row<T: RowReal>(row: &RowStatistics<T>) -> Self {
        let mut one = Self::default();
        one.set(0, row);
        one
    }
}

impl<const N: usize> BatchStatistics<N> {
    /// Make those of a row the `i`-th.
    #[inline(always)]
    pub(crate) fn set<T: RowReal>(&mut self, i: usize, row: &RowStatistics<T>) {
        self.maximum[i] = row.maximum.into();
        self.peak[i] = row.peak.into();
        self.unit[i] = row.unit;
        self.ties[i] = row.ties;
        self.rest[i] = row.rest;
        self.rest_low[i] = row.rest_low;
    }

    /// See [`RowStatistics::has_probabilities`], of eight rows from `first` on.
    #[inline(always)]
    pub(crate) fn have_probabilities<S: Token>(
        &self,
        simd: S,
        first: usize,
    ) -> <f64x8<S> as SimdBase<S>>::Mask {
        let splat = |value| f64x8::splat(simd, value);
        let maximum = eight(simd, &self.maximum, first);
        let rest = eight(simd, &self.rest, first);
        let alone = eight(simd, &self.ties, first).simd_eq(splat(1.0));
        rest.simd_eq(rest)
            & maximum.simd_gt(splat(f64::NEG_INFINITY))
            & (maximum.simd_lt(splat(f64::INFINITY)) | alone)
    }

    /// See [`RowStatistics::has_probabilities`].
    #[inline(always)]
    pub(crate) fn has_probabilities(&self, i: usize) -> bool {
        !self.rest[i].is_nan()
            && self.maximum[i] > f64::NEG_INFINITY
            && (self.maximum[i] < f64::INFINITY || self.ties[i] == 1.0)
    }

    /// The log-sums of the first `n` rows.
    #[inline(never)]
    pub(crate) fn log_sums<S: Token, T: RowReal>(&self, simd: S, n: usize) -> LogSums<N> {
        simd.vectorize(
            #[inline(always)]
            || {
                let mut sums = LogSums {
                    high: [0.0; N],
                    low: [0.0; N],
                };
                for first in (0..n).step_by(8) {
                    let (high, low) = self.log_sums_of_eight::<S, T>(simd, first);
                    put(&mut sums.high, first, high);
                    put(&mut sums.low, first, low);
                }
                sums
            },
        )
    }

    #[inline(always)]
    fn log_sums_of_eight<S: Token, T: RowReal>(
        &self,
        simd: S,
        first: usize,
    ) -> (f64x8<S>, f64x8<S>) {
        let one = f64x8::splat(simd, 1.0);
        let others = eight(simd, &self.ties, first) - one;
        let rest = eight(simd, &self.rest, first);
        if T::Vector::<S>::PRECISION == 24 {
            let sum = others + rest / eight(simd, &self.unit, first);
            return (log1p_short(simd, sum), f64x8::splat(simd, 0.0));
        }
        let (sum, error) = two_sum::<S, _>(others, rest);
        let low = (error + eight(simd, &self.rest_low, first)) / (one + sum);
        (log1p(simd, sum), low)
    }
}

/// Eight numbers from `first` on; zeros for those that lack.
#[inline(always)]
pub(crate) fn eight<S: Token>(simd: S, all: &[f64], first: usize) -> f64x8<S> {
    match all.get(first..first + 8) {
        Some(slice) => f64x8::from_slice(simd, slice),
        None => f64x8::from_fn(
            simd,
            #[inline(always)]
            |i| all.get(first + i).copied().unwrap_or_default(),
        ),
    }
}

/// Write lanes to the places from `first` on, as far as there are.
#[inline(always)]
pub(crate) fn put<S: Token>(all: &mut [f64], first: usize, x: f64x8<S>) {
    match all.get_mut(first..first + 8) {
        Some(slice) => x.store_slice(slice),
        None => {
            for (slot, x) in all.iter_mut().skip(first).zip(x.as_slice()) {
                *slot = *x;
            }
        }
    }
}
