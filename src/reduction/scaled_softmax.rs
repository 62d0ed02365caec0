//! Softmax of several rows at once, times a factor for each, but for one element a row: the gradient of a
//! cross-entropy with sparse labels.

use super::batch_statistics::{BatchStatistics, eight};
use super::row_group::RowGroup;
use super::row_probabilities::Scratch;
use super::row_sums::RowReal;
use super::rows_side_by_side::{Factors, Statistics, TOGETHER};
use super::tile::{read_tile, side_by_side};
use crate::driver::kernel::canonical_nan;
use crate::driver::operand::{Operand, OperandMut};
use crate::lanes::{Lanes, Token};
use fearless_simd::f64x8;
use fearless_simd::prelude::*;
use std::ops::Range;

/// Lanes of a vector at most.
const LANES: usize = 16;

/// The elements that [`scaled_softmax`] does not compute, one a row, of half as many rows as there are lanes.
pub(crate) struct Exceptions<'a, S: Token, T: RowReal> {
    pub(crate) statistics: &'a Statistics<S, T>,
    /// Which half of the lanes.
    pub(crate) half: usize,
    /// Their exponentials, scaled.
    pub(crate) exponentials: f64x8<S>,
    /// One over the sum of all exponentials.
    pub(crate) inverse: f64x8<S>,
    /// The factors of the rows.
    pub(crate) factors: f64x8<S>,
}

/// The result of `exception` for the rows of a vector.
#[inline(always)]
fn results<S: Token, T: RowReal>(
    simd: S,
    statistics: &Statistics<S, T>,
    (exponentials, inverse, factors): (&[T; LANES], &[f64x8<S>; 2], &[f64]),
    exception: &impl Fn(Exceptions<'_, S, T>) -> f64x8<S>,
) -> [T; LANES] {
    let lanes = T::Vector::<S>::LEN;
    let exponentials = T::Vector::<S>::from_slice(simd, &exponentials[..lanes]);
    let exponentials = T::widen(simd, exponentials);
    let mut halves = [f64x8::splat(simd, 0.0); 2];
    for half in 0..T::HALVES {
        halves[half] = exception(Exceptions {
            statistics,
            half,
            exponentials: exponentials[half],
            inverse: inverse[half],
            factors: eight(simd, factors, 8 * half),
        });
    }
    let mut results = [T::default(); LANES];
    canonical_nan(simd, T::narrow(halves)).store_slice(&mut results[..lanes]);
    results
}

/// Write the softmax of `n` rows from `first_row` on, times a factor for each, but for one element a row,
/// the results of `exception`; and the rows' statistics to `all`. A row without probabilities is NaN.
#[inline(never)]
pub(crate) fn scaled_softmax<S: Token, T: RowReal>(
    simd: S,
    (x, out): (&Operand<'_>, &OperandMut<'_>),
    (first_row, n): (usize, usize),
    columns: usize,
    (factors, exceptions): (&[f64; TOGETHER], &[usize; TOGETHER]),
    (scratch, all): (&mut Scratch<T>, &mut BatchStatistics<TOGETHER>),
    exception: impl Fn(Exceptions<'_, S, T>) -> f64x8<S>,
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
                let (factors, exceptions) = (&factors[begin..], &exceptions[begin..]);
                let own = Factors::new(simd, &statistics, Some(factors));
                let mut exponentials = [T::default(); LANES];
                for i in 0..count {
                    // SAFETY: an element of the tile.
                    exponentials[i] = unsafe { *tile.elements.add(exceptions[i] * lanes + i) };
                }
                let of_rows = (&exponentials, &own.inverse, factors);
                let results = results(simd, &statistics, of_rows, &exception);
                for column in 0..columns {
                    let y = own.apply(tile.get(simd, column));
                    tile.set(column, canonical_nan(simd, y));
                }
                for (i, result) in results[..count].iter().enumerate() {
                    // SAFETY: an element of the tile, to which no reference lives.
                    unsafe { *tile.elements.add(exceptions[i] * lanes + i) = *result };
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
    exception: impl Fn(Exceptions<'_, S, T>) -> f64x8<S>,
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
                let (factors, exceptions) = (&factors[begin..], &exceptions[begin..]);
                let own = Factors::new(simd, &statistics, Some(factors));
                let element = |i| target.pointer.add(i * group.columns + exceptions[i]);
                let mut exponentials = [T::default(); LANES];
                for (i, exponential) in exponentials[..group.rows].iter_mut().enumerate() {
                    *exponential = *element(i);
                }
                let of_rows = (&exponentials, &own.inverse, factors);
                let results = results(simd, &statistics, of_rows, &exception);
                for (i, result) in results.into_iter().enumerate().take(group.rows) {
                    let factor = own.of_row(simd, i);
                    group.map(
                        simd,
                        i,
                        place,
                        #[inline(always)]
                        |e| canonical_nan(simd, factor.apply(e)),
                    );
                    *element(i) = result;
                    if bad >> i & 1 == 1 {
                        group.fill_with_nan(i, target.pointer);
                    }
                }
                group.finish(simd, target, out);
            }
        },
    );
}
