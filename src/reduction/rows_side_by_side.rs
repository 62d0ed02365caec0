//! Rows side by side, as many at once as there are lanes: a row to a lane, an element to a vector. For rows
//! of few elements, and for those that lie beside each other in memory (an array along its first axis).
//!
//! A row of ten has one vector, mostly padding, and more work in what is done once a row (the maximum and
//! the sum of the lanes, the quotient) than in its elements. Here all of that is done in lanes for 16 rows
//! (8 of `f64`), for the price of two transpositions, or none. A row's result is that of the row by itself, to the
//! bit: the additions are those of [`super::row_sums`], in their order, lane after lane, and the lanes'
//! sums folded in halves.

use super::batch_statistics::{BatchStatistics, eight, put};
use super::row_exponential::form::{DIFFERENCE, DIRECT};
use super::row_exponential::{Exponentials, InverseTemperature, direct_bound, unscale};
use super::row_probabilities::{SMALL_FACTOR, Scratch};
use super::row_statistics::{RowStatistics, inverse_of_sum};
use super::row_sums::{RowReal, Sums};
use super::softmax::log_probability;
pub(crate) use super::tile::side_by_side;
use super::tile::{TILES, Tile, for_each_group, next_in_lane, read_tile, read_tiles};
use crate::driver::elementwise::canonical_nan;
use crate::driver::operand::{Operand, OperandMut};
use crate::driver::rows::Row;
use crate::lanes::{Lanes, Token};
use crate::math::twofold::multiply;
use fearless_simd::f64x8;
use fearless_simd::prelude::*;
use std::ops::Range;

/// Rows whose statistics are taken together: twice the lanes of `f32`.
pub(crate) const TOGETHER: usize = 32;

/// What [`RowStatistics`] is for one row, for as many as there are lanes.
#[derive(Clone, Copy)]
pub(crate) struct Statistics<S: Token, T: RowReal> {
    pub(crate) maximum: T::Vector<S>,
    pub(crate) peak: T::Vector<S>,
    pub(crate) unit: [f64x8<S>; 2],
    pub(crate) ties: [f64x8<S>; 2],
    pub(crate) rest: [f64x8<S>; 2],
    pub(crate) rest_low: [f64x8<S>; 2],
}

impl<S: Token, T: RowReal> Statistics<S, T> {
    /// Of no rows.
    #[inline(always)]
    fn none(simd: S) -> Self {
        let (zero, zeros) = (T::Vector::<S>::lit(simd, 0.0), [f64x8::splat(simd, 0.0); 2]);
        Self {
            maximum: zero,
            peak: zero,
            unit: zeros,
            ties: zeros,
            rest: zeros,
            rest_low: zeros,
        }
    }

    /// Of the rows of a tile, where their scaled exponentials are put if they are to be `KEEP`t.
    #[inline(always)]
    pub(crate) fn new<const KEEP: bool>(simd: S, tile: &Tile<T>) -> Self {
        // Four in flight.
        let mut largest = [T::Vector::<S>::lit(simd, f64::NEG_INFINITY); 4];
        let mut column = 0;
        while column + 4 <= tile.columns {
            for (k, slot) in largest.iter_mut().enumerate() {
                *slot = slot.larger(tile.get(simd, column + k));
            }
            column += 4;
        }
        for column in column..tile.columns {
            largest[0] = largest[0].larger(tile.get(simd, column));
        }
        let [a, b, c, d] = largest;
        let maximum = a.larger(b).larger(c.larger(d));
        let bound = T::Vector::<S>::lit(simd, direct_bound::<T>());
        let temperature = InverseTemperature::ONE;
        if maximum.abs().simd_le(bound).all_true() {
            let of = Exponentials::<S, T, DIRECT>::of_maxima(simd, maximum, temperature);
            Self::of::<KEEP, DIRECT>(simd, tile, maximum, of)
        } else {
            let of = Exponentials::<S, T, DIFFERENCE>::of_maxima(simd, maximum, temperature);
            Self::of::<KEEP, DIFFERENCE>(simd, tile, maximum, of)
        }
    }

    #[inline(always)]
    fn of<const KEEP: bool, const FORM: u8>(
        simd: S,
        tile: &Tile<T>,
        maximum: T::Vector<S>,
        exponentials: Exponentials<S, T, FORM>,
    ) -> Self {
        let lanes = T::Vector::<S>::LEN;
        let n = tile.columns;
        let mut ties = T::Vector::<S>::lit(simd, 0.0);
        let mut sums = T::Sums::<S>::zero(simd);
        if n <= lanes {
            for column in 0..n {
                add_column::<S, T, KEEP, FORM>(tile, column, &exponentials, (&mut sums, &mut ties));
            }
        } else {
            // The sums that the lanes of a row by itself would have, then folded in halves.
            let mut of_lanes = [sums; 16];
            for (lane, slot) in of_lanes[..lanes].iter_mut().enumerate() {
                let mut sums = T::Sums::<S>::zero(simd);
                let mut column = lane;
                while column < n {
                    add_column::<S, T, KEEP, FORM>(
                        tile,
                        column,
                        &exponentials,
                        (&mut sums, &mut ties),
                    );
                    column = next_in_lane(lane, column, n, lanes);
                }
                *slot = sums;
            }
            let mut half = lanes / 2;
            while half > 0 {
                let (lower, upper) = of_lanes.split_at_mut(half);
                for (sums, other) in lower.iter_mut().zip(upper) {
                    sums.merge(other);
                }
                half /= 2;
            }
            sums = of_lanes[0];
        }
        let undo = f64x8::splat(simd, unscale(T::Vector::<S>::PRECISION));
        let (rest, rest_low) = sums.lane_totals();
        let (peak, peak_low) = exponentials.peak();
        let (unit, unit_low) = (T::widen(simd, peak), T::widen(simd, peak_low));
        Self {
            maximum,
            peak,
            unit: [
                (unit[0] + unit_low[0]) * undo,
                (unit[1] + unit_low[1]) * undo,
            ],
            ties: T::widen(simd, ties),
            rest: [rest[0] * undo, rest[1] * undo],
            rest_low: [rest_low[0] * undo, rest_low[1] * undo],
        }
    }

    /// Those of the rows from `first` on.
    #[inline(always)]
    pub(crate) fn write(&self, simd: S, first: usize, batch: &mut BatchStatistics<TOGETHER>) {
        let (maximum, peak) = (T::widen(simd, self.maximum), T::widen(simd, self.peak));
        for half in 0..T::HALVES {
            let at = first + 8 * half;
            put(&mut batch.maximum, at, maximum[half]);
            put(&mut batch.peak, at, peak[half]);
            put(&mut batch.unit, at, self.unit[half]);
            put(&mut batch.ties, at, self.ties[half]);
            put(&mut batch.rest, at, self.rest[half]);
            put(&mut batch.rest_low, at, self.rest_low[half]);
        }
    }

    /// Where there are no probabilities: see [`RowStatistics::has_probabilities`].
    #[inline(always)]
    pub(crate) fn without_probabilities(&self, simd: S) -> <T::Vector<S> as SimdBase<S>>::Mask {
        let infinity = T::Vector::<S>::lit(simd, f64::INFINITY);
        let one = T::Vector::<S>::lit(simd, 1.0);
        let ties = T::narrow(self.ties);
        let rest: T::Vector<S> = T::narrow(self.rest);
        !rest.simd_eq(rest)
            | self.maximum.simd_eq(-infinity)
            | (self.maximum.simd_eq(infinity) & ties.simd_gt(one))
    }
}

/// Add the exponentials of a column of a tile to the sums of the others and to the number of ties.
#[inline(always)]
fn add_column<S: Token, T: RowReal, const KEEP: bool, const FORM: u8>(
    tile: &Tile<T>,
    column: usize,
    exponentials: &Exponentials<S, T, FORM>,
    (sums, ties): (&mut T::Sums<S>, &mut T::Vector<S>),
) {
    let simd = ties.token();
    let e = exponentials.of(tile.get(simd, column));
    let one = T::Vector::<S>::lit(simd, 1.0);
    *ties += e.tie.select(one, T::Vector::<S>::lit(simd, 0.0));
    sums.add(e.head, e.tail);
    if KEEP {
        tile.set(column, e.rounded);
    }
}

/// What makes probabilities, times a factor for each row, of scaled exponentials: a
/// [`super::row_probabilities::ProbabilityFactor`] to a lane.
struct Factors<S: Token, T: RowReal> {
    /// One over the sum of all exponentials.
    inverse: [f64x8<S>; 2],
    unscale: T::Vector<S>,
    high: T::Vector<S>,
    low: T::Vector<S>,
}

impl<S: Token, T: RowReal> Factors<S, T> {
    #[inline(always)]
    fn new(simd: S, statistics: &Statistics<S, T>, factors: Option<&[f64]>) -> Self {
        let (zero, one) = (f64x8::splat(simd, 0.0), f64x8::splat(simd, 1.0));
        let undo = f64x8::splat(simd, unscale(T::Vector::<S>::PRECISION));
        let (mut inverse, mut high, mut low) = ([one; 2], [one; 2], [one; 2]);
        let mut scales = [one; 2];
        for half in 0..T::HALVES {
            let rest = (statistics.rest[half], statistics.rest_low[half]);
            let ties = statistics.ties[half] * statistics.unit[half];
            let mut product = inverse_of_sum(simd, ties, rest);
            inverse[half] = product.0;
            if let Some(factors) = factors {
                let factor = eight(simd, factors, 8 * half);
                product = multiply(product, (factor, zero));
            }
            let small = product.0.abs().simd_lt(f64x8::splat(simd, SMALL_FACTOR));
            scales[half] = small.select(undo, one);
            let scale = small.select(one, undo);
            (high[half], low[half]) = (product.0 * scale, product.1 * scale);
        }
        let factor = T::narrow(high);
        let wide = T::widen(simd, factor);
        for half in 0..T::HALVES {
            let rest = (high[half] - wide[half]) + low[half];
            low[half] = wide[half].is_finite().select(rest, zero);
        }
        Self {
            inverse,
            unscale: T::narrow(scales),
            high: factor,
            low: T::narrow(low),
        }
    }

    /// The factor times the probability.
    #[inline(always)]
    fn apply(&self, exponential: T::Vector<S>) -> T::Vector<S> {
        let exponential = exponential * self.unscale;
        exponential.fma(self.high, exponential * self.low)
    }
}

/// Softmax of rows.
#[inline(always)]
pub(super) fn softmax<S: Token, T: RowReal>(
    simd: S,
    (x, out): (&Operand<'_>, &OperandMut<'_>),
    rows: Range<usize>,
    columns: usize,
    scratch: &mut Scratch<T>,
) {
    let nan = T::Vector::<S>::lit(simd, f64::NAN);
    for_each_group::<S, T>(
        rows,
        columns,
        #[inline(always)]
        |first, n| {
            let (tiles, count) = read_tiles(simd, x, (first, n), columns, scratch);
            let mut statistics = [Statistics::<S, T>::none(simd); TILES];
            for (statistics, tile) in statistics.iter_mut().zip(&tiles[..count]) {
                *statistics = Statistics::new::<true>(simd, tile);
            }
            for (statistics, tile) in statistics.iter().zip(&tiles[..count]) {
                let bad = statistics.without_probabilities(simd);
                let factors = Factors::new(simd, statistics, None);
                for column in 0..columns {
                    let y = factors.apply(tile.get(simd, column));
                    tile.set(column, bad.select(nan, y));
                }
                tile.write(simd, out, &mut scratch.result);
            }
        },
    );
}

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
            let lanes = T::Vector::<S>::LEN;
            let nan = T::Vector::<S>::lit(simd, f64::NAN);
            for begin in (0..n).step_by(lanes) {
                let count = lanes.min(n - begin);
                let place = (first_row + begin, count);
                let tile = read_tile(simd, x, place, columns, scratch);
                let statistics = Statistics::<S, T>::new::<true>(simd, &tile);
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

/// Log-softmax of the rows `first_row ..`.
#[inline(always)]
pub(super) fn log_softmax<S: Token, T: RowReal>(
    simd: S,
    (x, out): (&Operand<'_>, &OperandMut<'_>),
    rows: Range<usize>,
    columns: usize,
    scratch: &mut Scratch<T>,
) {
    let lanes = T::Vector::<S>::LEN;
    let nan = T::Vector::<S>::lit(simd, f64::NAN);
    let zero = T::Vector::<S>::lit(simd, 0.0);
    let infinity = T::Vector::<S>::lit(simd, f64::INFINITY);
    for first in rows.clone().step_by(lanes) {
        let n = lanes.min(rows.end - first);
        let tile = read_tile(simd, x, (first, n), columns, scratch);
        let statistics = Statistics::<S, T>::new::<false>(simd, &tile);
        let mut of_rows = BatchStatistics::default();
        statistics.write(simd, 0, &mut of_rows);
        let log_sums = of_rows.log_sums::<S, T>(simd, n);
        let bad = statistics.without_probabilities(simd);
        let maximum = statistics.maximum;
        let sure = maximum.simd_eq(infinity);
        let maxima = T::widen(simd, maximum);
        let unusual = (bad | sure).any_true();
        for column in 0..columns {
            let z = tile.get(simd, column);
            let mut y = T::widen(simd, z);
            for half in 0..T::HALVES {
                let part = 8 * half..8 * half + 8;
                y[half] = log_probability::<S, T>(
                    simd,
                    (y[half], maxima[half]),
                    f64x8::from_slice(simd, &log_sums.high[part.clone()]),
                    f64x8::from_slice(simd, &log_sums.low[part]),
                );
            }
            let mut y = T::narrow(y);
            if unusual {
                y = (sure & z.simd_eq(maximum)).select(zero, y);
                y = canonical_nan(simd, bad.select(nan, y));
            }
            tile.set(column, y);
        }
        tile.write(simd, out, &mut scratch.result);
    }
}

/// The statistics of `n` rows from `first_row` on: at once if they are narrow, else one by one.
#[inline(never)]
pub(crate) fn statistics_of_rows<S: Token, T: RowReal>(
    simd: S,
    x: &Operand<'_>,
    (first_row, n): (usize, usize),
    columns: usize,
    scratch: &mut Scratch<T>,
    batch: &mut BatchStatistics<TOGETHER>,
) {
    simd.vectorize(
        #[inline(always)]
        || {
            if side_by_side::<T>(x, (first_row, n), columns) {
                for_each_group::<S, T>(
                    first_row..first_row + n,
                    columns,
                    #[inline(always)]
                    |first, n| {
                        let (tiles, count) = read_tiles(simd, x, (first, n), columns, scratch);
                        for tile in &tiles[..count] {
                            let statistics = Statistics::<S, T>::new::<false>(simd, tile);
                            statistics.write(simd, tile.first_row - first_row, batch);
                        }
                    },
                );
            } else {
                for i in 0..n {
                    let row = Row::of(first_row + i, columns);
                    let temperature = InverseTemperature::ONE;
                    let of_row = RowStatistics::of(simd, x, row, temperature, &mut scratch.x);
                    batch.set(i, &of_row);
                }
            }
        },
    );
}
