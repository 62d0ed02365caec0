//! Log-softmax of several rows at once: from their statistics, `(z - m) - L`.

use super::batch_statistics::{BatchStatistics, eight};
use super::row_group::RowGroup;
use super::row_probabilities::Scratch;
use super::row_sums::RowReal;
use super::rows_side_by_side::Statistics;
use super::tile::{read_tile, side_by_side};
use crate::driver::kernel::canonical_nan;
use crate::driver::layout::Ahead;
use crate::driver::operand::{Operand, OperandMut};
use crate::lanes::{Lanes, Token};
use crate::math::twofold::two_sum;
use fearless_simd::prelude::*;
use std::ops::Range;

/// Log-softmax of rows.
#[inline(always)]
pub(super) fn log_softmax<S: Token, T: RowReal>(
    simd: S,
    (x, out): (&Operand<'_>, &OperandMut<'_>),
    rows: Range<usize>,
    columns: usize,
    scratch: &mut Scratch<T>,
) {
    if !side_by_side::<S, T>(x, (rows.start, rows.len()), columns) {
        return log_softmax_by_rows(simd, (x, out), rows, columns, scratch);
    }
    let lanes = T::Vector::<S>::LEN;
    let nan = T::Vector::<S>::lit(simd, f64::NAN);
    let zero = T::Vector::<S>::lit(simd, 0.0);
    for first in rows.clone().step_by(lanes) {
        let n = lanes.min(rows.end - first);
        let tile = read_tile(simd, x, (first, n), columns, scratch);
        let statistics = Statistics::<S, T>::new::<false, true>(simd, &tile);
        let bad = statistics.without_probabilities(simd);
        let sure = statistics.is_infinite(simd);
        let unusual = (bad | sure).any_true();
        let logarithms = Logarithms::new(simd, &statistics, n);
        for column in 0..columns {
            let z = tile.get(simd, column);
            let mut y = logarithms.of(z);
            if unusual {
                y = (sure & z.simd_eq(statistics.maximum)).select(zero, y);
                y = canonical_nan(simd, bad.select(nan, y));
            }
            tile.set(column, y);
        }
        tile.write(simd, out, &mut scratch.result);
    }
}

/// See [`log_softmax`]: each row by itself.
#[inline(always)]
fn log_softmax_by_rows<S: Token, T: RowReal>(
    simd: S,
    (x, out): (&Operand<'_>, &OperandMut<'_>),
    rows: Range<usize>,
    columns: usize,
    scratch: &mut Scratch<T>,
) {
    let zero = T::Vector::<S>::lit(simd, 0.0);
    let below = T::Vector::<S>::lit(simd, f64::NEG_INFINITY);
    RowGroup::for_each(
        simd,
        (x, true),
        rows,
        columns,
        scratch,
        #[inline(always)]
        |group, scratch, sums| {
            // SAFETY: the target is for the results of the group: `x` itself, or apart from it.
            unsafe {
                let (target, _) = group.target(out, &mut scratch.result);
                // Nothing is written before all statistics are known: this group's place is wanted first.
                let (start, n) = (group.first_row * columns, group.rows * columns);
                let own = out.ahead(start, n);
                let own = own.unwrap_or(Ahead::of(target.pointer));
                let place = (group.elements, target.pointer);
                let statistics = group.statistics::<S, true>(simd, sums, None, own);
                let bad = statistics.without_probabilities(simd).to_bitmask();
                let sure = statistics.is_infinite(simd).to_bitmask();
                let logarithms = Logarithms::new(simd, &statistics, group.rows);
                for i in 0..group.rows {
                    let of_row = logarithms.of_row(simd, i);
                    if bad >> i & 1 == 1 {
                        group.fill_with_nan(i, target.pointer);
                    } else if sure >> i & 1 == 1 {
                        group.map(
                            simd,
                            i,
                            place,
                            #[inline(always)]
                            |z| z.simd_eq(of_row.maximum).select(zero, below),
                        );
                    } else {
                        group.map(
                            simd,
                            i,
                            place,
                            #[inline(always)]
                            |z| of_row.of(z),
                        );
                    }
                }
                group.finish(simd, target, out);
            }
        },
    );
}

/// What makes the logarithm of a probability, of rows in lanes.
#[derive(Clone, Copy)]
pub(super) struct Logarithms<S: Token, T: RowReal> {
    maximum: T::Vector<S>,
    /// `log sum e^(z - maximum)`, in two parts.
    log_sum: T::Vector<S>,
    log_sum_low: T::Vector<S>,
}

impl<S: Token, T: RowReal> Logarithms<S, T> {
    /// Of the first `n` lanes.
    #[inline(always)]
    fn new(simd: S, statistics: &Statistics<S, T>, n: usize) -> Self {
        let mut of_rows = BatchStatistics::default();
        statistics.write(simd, 0, &mut of_rows);
        let sums = of_rows.log_sums::<S, T>(simd, n);
        let (high, low) = (&sums.high, &sums.low);
        let log_sum = T::narrow([eight(simd, high, 0), eight(simd, high, 8)]);
        let log_sum_low = T::narrow([eight(simd, low, 0), eight(simd, low, 8)]);
        Self {
            maximum: statistics.maximum,
            log_sum,
            log_sum_low,
        }
    }

    /// Of one row, in all lanes.
    #[inline(always)]
    pub(super) fn splat(simd: S, maximum: f64, (log_sum, log_sum_low): (f64, f64)) -> Self {
        Self {
            maximum: T::Vector::<S>::lit(simd, maximum),
            log_sum: T::Vector::<S>::lit(simd, log_sum),
            log_sum_low: T::Vector::<S>::lit(simd, log_sum_low),
        }
    }

    /// That of one row, in all lanes.
    #[inline(always)]
    fn of_row(&self, simd: S, i: usize) -> Self {
        Self {
            maximum: T::Vector::<S>::splat(simd, self.maximum[i]),
            log_sum: T::Vector::<S>::splat(simd, self.log_sum[i]),
            log_sum_low: T::Vector::<S>::splat(simd, self.log_sum_low[i]),
        }
    }

    /// `(z - maximum) - log_sum`: both terms have one sign. In `f32` the difference, the logarithm and the result
    /// are rounded; only one of the first two can be as large as half the result, so the error is below
    /// 0.5 + 0.5 + 0.25 ULP. In `f64` errors are carried along.
    #[inline(always)]
    pub(super) fn of(&self, z: T::Vector<S>) -> T::Vector<S> {
        let simd = z.token();
        if T::Vector::<S>::PRECISION == 24 {
            return (z - self.maximum) - self.log_sum;
        }
        let (difference, low) = two_sum::<S, _>(z, -self.maximum);
        let (y, error) = two_sum::<S, _>(difference, -self.log_sum);
        let correction = (low - self.log_sum_low) + error;
        // An infinite y has no correction, only NaN.
        let finite = y.simd_gt(T::Vector::<S>::lit(simd, f64::NEG_INFINITY));
        y + finite.select(correction, T::Vector::<S>::lit(simd, 0.0))
    }
}
