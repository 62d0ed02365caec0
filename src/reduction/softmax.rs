//! `softmax`, `log_softmax`, `logsumexp` and their derivatives, row by row.
//!
//! From a row's statistics (see `row_statistics`): `softmax = e^(z - m) / (k + R)`, `log_softmax =
//! (z - m) - L` and `logsumexp = m + L`, `L = log1p((k - 1) + R)`; the two terms of `log_softmax` have
//! one sign, so it has all its digits however small it is.
//!
//! Where the limit exists it is taken: `+inf` alone in its row has probability 1. A row with NaN, with
//! `+inf` twice or of `-inf` only is NaN.
//!
//! Largest errors in ULP that were found, `float32` (`float64`): softmax 1.71 (1.5), `log_softmax`
//! 1.26 (1.0), logsumexp, in units of the larger of it and the maximum, 0.59 (0.8). By analysis softmax is
//! below 1.8: an exponential rounded, a product rounded, and what changes where a binade ends.

use super::batch_statistics::{BatchStatistics, eight, put};
use super::log_probabilities::{self, Logarithms};
use super::row_probabilities::{RowExponentials, Scratch, fill, map_row};
use super::row_statistics::InverseTemperature;
use super::row_sums::RowReal;
use super::rows_side_by_side::{self, TOGETHER, statistics_of_rows, together};
pub use super::softmax_backward::{
    log_softmax_backward, logsumexp_backward, softmax_backward, softmin_backward,
};
use crate::driver::kernel::canonical_nan;
use crate::driver::operand::{Operand, OperandMut};
use crate::driver::rows::{Row, Target, for_each_row_range, map_vectors};
use crate::lanes::{Lanes, Token};
use crate::level::{Level, OnLevel};
use crate::math::twofold::two_sum;
use fearless_simd::f64x8;
use fearless_simd::prelude::*;
use std::marker::PhantomData;
use std::ops::Range;

/// Rows whose logarithms are taken together.
const BATCH: usize = TOGETHER;

/// How the rows of a call are computed.
#[derive(Clone, Copy, Debug)]
pub struct Rows {
    /// The SIMD level.
    pub level: Level,
    /// Elements of a row.
    pub columns: usize,
    /// Compute in `f64`, else in `f32`.
    pub double: bool,
}

/// Softmax of each row.
///
/// `out` has as many elements as `x` and is exactly `x` or does not overlap it.
pub fn softmax(rows: Rows, x: &Operand<'_>, out: &OperandMut<'_>) {
    run(rows, x.len(), &Softmax { x, out });
}

/// Softmax of each row of `-x`; see [`softmax`].
pub fn softmin(rows: Rows, x: &Operand<'_>, out: &OperandMut<'_>) {
    softmax(rows, &x.negated(), out);
}

/// Log-softmax of each row; see [`softmax`].
pub fn log_softmax(rows: Rows, x: &Operand<'_>, out: &OperandMut<'_>) {
    run(rows, x.len(), &LogSoftmax { x, out });
}

/// `log sum e^x` of each row, to `out` with one element a row; `-inf` for an empty row.
pub fn logsumexp(rows: Rows, x: &Operand<'_>, out: &OperandMut<'_>) {
    run(rows, out.len() * rows.columns.max(1), &LogSumExp { x, out });
}

/// A computation on a range of rows.
pub(super) trait RowFunction: Sync {
    fn rows<S: Token, T: RowReal>(
        &self,
        simd: S,
        scratch: &mut Scratch<T>,
        columns: usize,
        rows: Range<usize>,
    );
}

/// Run a row function on rows with `elements` elements in all.
pub(super) fn run<F: RowFunction>(rows: Rows, elements: usize, function: &F) {
    if elements == 0 {
        return;
    }
    if rows.double {
        rows.level.dispatch(Call::<F, f64> {
            function,
            rows,
            elements,
            compute: PhantomData,
        });
    } else {
        rows.level.dispatch(Call::<F, f32> {
            function,
            rows,
            elements,
            compute: PhantomData,
        });
    }
}

struct Call<'a, F, T> {
    function: &'a F,
    rows: Rows,
    elements: usize,
    compute: PhantomData<T>,
}

impl<F: RowFunction, T: RowReal> OnLevel for Call<'_, F, T> {
    type Output = ();

    fn run<S: Token>(self, simd: S) {
        let (function, columns) = (self.function, self.rows.columns);
        let count = self.elements / columns.max(1);
        // Never stopped.
        let _ = for_each_row_range(
            count,
            columns,
            &|| true,
            Scratch::default,
            // Called from several places, each of which would compile its own copy.
            #[inline(never)]
            |scratch, rows| {
                simd.vectorize(
                    #[inline(always)]
                    || function.rows::<S, T>(simd, scratch, columns, rows),
                );
            },
        );
    }
}

struct Softmax<'a> {
    x: &'a Operand<'a>,
    out: &'a OperandMut<'a>,
}

impl RowFunction for Softmax<'_> {
    #[inline(always)]
    fn rows<S: Token, T: RowReal>(
        &self,
        simd: S,
        scratch: &mut Scratch<T>,
        columns: usize,
        rows: Range<usize>,
    ) {
        if together(rows.len(), columns) {
            return rows_side_by_side::softmax(simd, (self.x, self.out), rows, columns, scratch);
        }
        for row in rows {
            scaled_softmax(simd, self.x, self.out, Row::of(row, columns), None, scratch);
        }
    }
}

/// Softmax of a row, times a factor.
#[inline(always)]
pub(super) fn scaled_softmax<S: Token, T: RowReal>(
    simd: S,
    x: &Operand<'_>,
    out: &OperandMut<'_>,
    row: Row,
    factor: Option<f64>,
    scratch: &mut Scratch<T>,
) {
    let exponentials =
        RowExponentials::new::<S, false>(simd, x, row, InverseTemperature::ONE, Some(out), scratch);
    if !exponentials.statistics.has_probabilities() {
        fill(simd, out, &mut scratch.result, row, f64::NAN);
        return;
    }
    exponentials.for_each_block(
        simd,
        x,
        factor,
        scratch,
        #[inline(always)]
        |scratch, first, n, exponentials, multiplier| {
            let target = Target::new(out, row.start + first, n, &mut scratch.result);
            // SAFETY: `n` elements can be read and written; the exponentials are in the target itself or
            // in a buffer of their own.
            unsafe {
                map_vectors(
                    simd,
                    [exponentials],
                    target.pointer,
                    n,
                    #[inline(always)]
                    |[e]| {
                        let y = multiplier.apply(e);
                        if factor.is_some() {
                            canonical_nan(simd, y)
                        } else {
                            y
                        }
                    },
                );
                target.finish(simd, out, row.start + first, n);
            }
        },
    );
}

struct LogSoftmax<'a> {
    x: &'a Operand<'a>,
    out: &'a OperandMut<'a>,
}

impl RowFunction for LogSoftmax<'_> {
    #[inline(always)]
    fn rows<S: Token, T: RowReal>(
        &self,
        simd: S,
        scratch: &mut Scratch<T>,
        columns: usize,
        rows: Range<usize>,
    ) {
        if together(rows.len(), columns) {
            return log_probabilities::log_softmax(
                simd,
                (self.x, self.out),
                rows,
                columns,
                scratch,
            );
        }
        for first_row in rows.clone().step_by(BATCH) {
            let n = BATCH.min(rows.end - first_row);
            let mut batch = BatchStatistics::default();
            statistics_of_rows(simd, self.x, (first_row, n), columns, scratch, &mut batch);
            let log_sums = batch.log_sums::<S, T>(simd, n);
            for i in 0..n {
                let place = Row::of(first_row + i, columns);
                if !batch.has_probabilities(i) {
                    fill(simd, self.out, &mut scratch.result, place, f64::NAN);
                    continue;
                }
                let log_sum = (log_sums.high[i], log_sums.low[i]);
                let logarithms = Logarithms::<S, T>::splat(simd, batch.maximum[i], log_sum);
                let maximum = T::Vector::<S>::lit(simd, batch.maximum[i]);
                // +inf alone in its row: the logarithm of 1.
                let sure = maximum.simd_eq(T::Vector::<S>::lit(simd, f64::INFINITY));
                map_row(
                    simd,
                    [(self.x, &mut scratch.x)],
                    self.out,
                    &mut scratch.result,
                    place,
                    #[inline(always)]
                    |[z]| {
                        let zero = T::Vector::<S>::lit(simd, 0.0);
                        (sure & z.simd_eq(maximum)).select(zero, logarithms.of(z))
                    },
                );
            }
        }
    }
}

struct LogSumExp<'a> {
    x: &'a Operand<'a>,
    out: &'a OperandMut<'a>,
}

impl RowFunction for LogSumExp<'_> {
    #[inline(always)]
    fn rows<S: Token, T: RowReal>(
        &self,
        simd: S,
        scratch: &mut Scratch<T>,
        columns: usize,
        rows: Range<usize>,
    ) {
        for first_row in rows.clone().step_by(BATCH) {
            let n = BATCH.min(rows.end - first_row);
            let mut batch = BatchStatistics::default();
            statistics_of_rows(simd, self.x, (first_row, n), columns, scratch, &mut batch);
            let log_sums = batch.log_sums::<S, T>(simd, n);
            let mut values = [0.0; BATCH];
            for first in (0..n).step_by(8) {
                let maximum = eight(simd, &batch.maximum, first);
                let log_sum = eight(simd, &log_sums.high, first);
                let log_sum_low = eight(simd, &log_sums.low, first);
                let (sum, error) = two_sum::<S, _>(maximum, log_sum);
                let value = sum + (error + log_sum_low);
                let infinite = maximum.abs().simd_eq(f64x8::splat(simd, f64::INFINITY));
                let value = infinite.select(maximum, value);
                let is_nan = eight(simd, &batch.rest, first).is_nan();
                let nan = f64x8::splat(simd, f64::NAN);
                put(&mut values, first, is_nan.select(nan, value));
            }
            let mut results = [T::default(); BATCH];
            for (result, &value) in results.iter_mut().zip(&values) {
                *result = T::nearest(value);
            }
            // SAFETY: rows are shared out among threads, each has one element of `out`.
            unsafe { self.out.write(simd, first_row, &results[..n]) };
        }
    }
}
