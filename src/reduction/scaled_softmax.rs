//! Softmax of several rows at once, times a factor for each, but for one element a row: the gradient of a
//! cross-entropy with sparse labels.

use super::batch_statistics::BatchStatistics;
use super::row_group::RowGroup;
use super::row_probabilities::Scratch;
use super::row_sums::RowReal;
use super::rows_side_by_side::{Factors, Statistics, TOGETHER};
use super::tile::{read_tile, side_by_side};
use crate::driver::kernel::canonical_nan;
use crate::driver::operand::{Operand, OperandMut};
use crate::lanes::{Lanes, Token};
use fearless_simd::prelude::*;
use std::ops::Range;

/// One element of a row that [`scaled_softmax`] does not compute.
pub(crate) struct Exception<T> {
    /// Which of the rows.
    pub(crate) row: usize,
    /// Its exponential, scaled.
    pub(crate) exponential: T,
    /// One over the sum of all exponentials.
    pub(crate) inverse: f64,
}

/// Write the softmax of `n` rows from `first_row` on, times a factor for each, but for one element a row,
/// the result of `exception`; and the rows' statistics to `all`. A row without probabilities is NaN.
#[inline(never)]
pub(crate) fn scaled_softmax<S: Token, T: RowReal>(
    simd: S,
    (x, out): (&Operand<'_>, &OperandMut<'_>),
    (first_row, n): (usize, usize),
    columns: usize,
    (factors, exceptions): (&[f64; TOGETHER], &[usize; TOGETHER]),
    (scratch, all): (&mut Scratch<T>, &mut BatchStatistics<TOGETHER>),
    exception: impl Fn(Exception<T>, &BatchStatistics<TOGETHER>) -> T,
) {
    simd.vectorize(
        #[inline(always)]
        || {
            if !side_by_side::<S, T>(x, (first_row, n), columns) {
                let rows = first_row..first_row + n;
                let chosen = (factors, exceptions);
                let (place, state) = ((x, out), (scratch, all));
                return scaled_by_rows(simd, place, rows, columns, chosen, state, exception);
            }
            let lanes = T::Vector::<S>::LEN;
            let nan = T::Vector::<S>::lit(simd, f64::NAN);
            for begin in (0..n).step_by(lanes) {
                let count = lanes.min(n - begin);
                let place = (first_row + begin, count);
                let tile = read_tile(simd, x, place, columns, scratch);
                let statistics = Statistics::<S, T>::new::<true, true>(simd, &tile);
                statistics.write(simd, begin, all);
                let own = Factors::new(simd, &statistics, Some(&factors[begin..begin + lanes]));
                let mut results = [T::default(); TOGETHER];
                for i in 0..count {
                    // SAFETY: an element of the tile.
                    let exponential =
                        unsafe { *tile.elements.add(exceptions[begin + i] * lanes + i) };
                    let of_row = Exception {
                        row: begin + i,
                        exponential,
                        inverse: own.inverse[i / 8][i % 8],
                    };
                    results[i] = exception(of_row, all);
                }
                for column in 0..columns {
                    let y = own.apply(tile.get(simd, column));
                    tile.set(column, canonical_nan(simd, y));
                }
                for (i, result) in results[..count].iter().enumerate() {
                    // SAFETY: an element of the tile, to which no reference lives.
                    unsafe { *tile.elements.add(exceptions[begin + i] * lanes + i) = *result };
                }
                let bad = statistics.without_probabilities(simd);
                if bad.any_true() {
                    for column in 0..columns {
                        let y = tile.get(simd, column);
                        tile.set(column, bad.select(nan, y));
                    }
                }
                tile.write(simd, out, &mut scratch.result);
            }
        },
    );
}

/// See [`scaled_softmax`]: each row by itself.
#[inline(always)]
fn scaled_by_rows<S: Token, T: RowReal>(
    simd: S,
    (x, out): (&Operand<'_>, &OperandMut<'_>),
    rows: Range<usize>,
    columns: usize,
    (factors, exceptions): (&[f64; TOGETHER], &[usize; TOGETHER]),
    (scratch, all): (&mut Scratch<T>, &mut BatchStatistics<TOGETHER>),
    exception: impl Fn(Exception<T>, &BatchStatistics<TOGETHER>) -> T,
) {
    let first_row = rows.start;
    RowGroup::for_each(
        simd,
        (x, true),
        rows,
        columns,
        scratch,
        #[inline(always)]
        |group, scratch, sums| {
            let begin = group.first_row - first_row;
            let (target, next) = group.target(out, &mut scratch.result);
            let place = (target.pointer.cast_const(), target.pointer);
            // SAFETY: the target is for the results of the group: `x` itself, or apart from it.
            unsafe {
                let statistics =
                    group.statistics::<S, true>(simd, sums, Some(target.pointer), next);
                statistics.write(simd, begin, all);
                let bad = statistics.without_probabilities(simd).to_bitmask();
                let own = Factors::new(simd, &statistics, Some(&factors[begin..]));
                for i in 0..group.rows {
                    let element = target
                        .pointer
                        .add(i * group.columns + exceptions[begin + i]);
                    let of_row = Exception {
                        row: begin + i,
                        exponential: *element,
                        inverse: own.inverse[i / 8][i % 8],
                    };
                    let result = exception(of_row, all);
                    let factor = own.of_row(simd, i);
                    group.map(
                        simd,
                        i,
                        place,
                        #[inline(always)]
                        |e| canonical_nan(simd, factor.apply(e)),
                    );
                    *element = result;
                    if bad >> i & 1 == 1 {
                        group.fill_with_nan(i, target.pointer);
                    }
                }
                group.finish(simd, target, out);
            }
        },
    );
}
