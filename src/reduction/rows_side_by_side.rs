//! Rows side by side, as many at once as there are lanes: a row to a lane, an element to a vector. For rows
//! of few elements, and for those that lie beside each other in memory (an array along its first axis).
//!
//! A row of ten has one vector, mostly padding, and more work in what is done once a row (the maximum and
//! the sum of the lanes, the quotient) than in its elements. Here all of that is done in lanes for 16 rows
//! (8 of `f64`), for the price of two transpositions, or none. A row's result is that of the row by itself, to the
//! bit: the additions are those of [`super::row_sums`], in their order, lane after lane, and the lanes'
//! sums folded in halves.

use super::batch_statistics::{BatchStatistics, eight, put};
use super::exponential_sums::{ExponentialSums, SETTLE};
use super::row_exponential::form::{DIFFERENCE, DIRECT};
use super::row_exponential::{
    Exponential, Exponentials, InverseTemperature, direct_bound, unscale,
};
use super::row_group::RowGroup;
use super::row_probabilities::{SMALL_FACTOR, Scratch};
use super::row_statistics::{RowStatistics, RowSums, inverse_of_sum};
use super::row_sums::RowReal;
use super::tile::{TILES, Tile, for_each_group, next_in_lane, read_tiles, write_tiles};
pub(crate) use super::tile::{side_by_side, together};
use crate::driver::layout::Ahead;
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

    /// Of the rows of a tile, where their scaled exponentials are put if they are to be `KEEP`t; the maximum `APART`
    /// from the sum or not, see [`Exponentials::of`].
    #[inline(always)]
    pub(crate) fn new<const KEEP: bool, const APART: bool>(simd: S, tile: &Tile<T>) -> Self {
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
            Self::of::<KEEP, APART, DIRECT>(simd, tile, maximum, of)
        } else {
            let of = Exponentials::<S, T, DIFFERENCE>::of_maxima(simd, maximum, temperature);
            Self::of::<KEEP, APART, DIFFERENCE>(simd, tile, maximum, of)
        }
    }

    #[inline(always)]
    fn of<const KEEP: bool, const APART: bool, const FORM: u8>(
        simd: S,
        tile: &Tile<T>,
        maximum: T::Vector<S>,
        exponentials: Exponentials<S, T, FORM>,
    ) -> Self {
        let lanes = T::Vector::<S>::LEN;
        let n = tile.columns;
        let mut ties = T::Vector::<S>::lit(simd, 0.0);
        let mut sums = T::ExponentialSums::<S>::zero(simd);
        if n <= lanes {
            for column in 0..n {
                let e =
                    of_column::<S, T, KEEP, APART, FORM>(tile, column, &exponentials, &mut ties);
                sums.add_in_order(e.summed, e.parts);
            }
        } else {
            // The sums that the lanes of a row by itself would have, then folded in halves.
            let mut of_lanes = [sums; 16];
            for (lane, slot) in of_lanes[..lanes].iter_mut().enumerate() {
                let mut sums = T::ExponentialSums::<S>::zero(simd);
                let (mut column, mut added) = (lane, 0);
                while column < n {
                    let e = of_column::<S, T, KEEP, APART, FORM>(
                        tile,
                        column,
                        &exponentials,
                        &mut ties,
                    );
                    sums.add(e.summed, e.parts);
                    added += 1;
                    if added % SETTLE == 0 && column < n - n % lanes {
                        sums.settle();
                    }
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
        let ties = T::widen(simd, ties);
        Self::new_of(simd, maximum, exponentials.peak(), ties, sums.lane_totals())
    }

    /// Of `n` rows that were summed by themselves.
    #[inline(always)]
    pub(super) fn of_rows(simd: S, rows: &[RowSums<S, T>; 16], n: usize) -> Self {
        let mut maxima = T::Vector::<S>::lit(simd, 0.0);
        let mut ties = [0.0; 16];
        for ((maximum, ties), row) in maxima.as_mut_slice().iter_mut().zip(&mut ties).zip(rows) {
            (*maximum, *ties) = (row.maximum(), row.ties());
        }
        let (rest, rest_low) = RowSums::rests(simd, rows, n);
        let temperature = InverseTemperature::ONE;
        let of = Exponentials::<S, T, DIFFERENCE>::of_maxima(simd, maxima, temperature);
        let ties = [eight(simd, &ties, 0), eight(simd, &ties, 8)];
        Self::new_of(simd, maxima, of.peak(), ties, (rest, rest_low))
    }

    /// Of maxima, their exponentials, how often they occur, and the sums of the other exponentials, all scaled.
    #[inline(always)]
    fn new_of(
        simd: S,
        maximum: T::Vector<S>,
        (peak, peak_low): (T::Vector<S>, T::Vector<S>),
        ties: [f64x8<S>; 2],
        (rest, rest_low): ([f64x8<S>; 2], [f64x8<S>; 2]),
    ) -> Self {
        let undo = f64x8::splat(simd, unscale(T::Vector::<S>::PRECISION));
        let (unit, unit_low) = (T::widen(simd, peak), T::widen(simd, peak_low));
        Self {
            maximum,
            peak,
            unit: [
                (unit[0] + unit_low[0]) * undo,
                (unit[1] + unit_low[1]) * undo,
            ],
            ties,
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

    /// See [`RowStatistics::others`], of a half of the lanes.
    #[inline(always)]
    pub(crate) fn others(&self, simd: S, half: usize) -> f64x8<S> {
        let others = self.ties[half] - f64x8::splat(simd, 1.0);
        others + (self.rest[half] + self.rest_low[half]) / self.unit[half]
    }

    /// Where the maximum is `+inf`.
    #[inline(always)]
    pub(super) fn is_infinite(&self, simd: S) -> <T::Vector<S> as SimdBase<S>>::Mask {
        let infinity = T::Vector::<S>::lit(simd, f64::INFINITY);
        self.maximum.simd_eq(infinity)
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

/// The exponentials of a column of a tile, put in its place if they are to be `KEEP`t; ties are counted.
#[inline(always)]
fn of_column<S: Token, T: RowReal, const KEEP: bool, const APART: bool, const FORM: u8>(
    tile: &Tile<T>,
    column: usize,
    exponentials: &Exponentials<S, T, FORM>,
    ties: &mut T::Vector<S>,
) -> Exponential<S, T> {
    let simd = ties.token();
    let e = exponentials.of::<APART>(tile.get(simd, column));
    if APART || FORM != DIRECT {
        let one = T::Vector::<S>::lit(simd, 1.0);
        *ties += e.tie.select(one, T::Vector::<S>::lit(simd, 0.0));
    }
    if KEEP {
        tile.set(column, e.rounded);
    }
    e
}

/// What makes probabilities, times a factor for each row, of scaled exponentials: a
/// [`super::row_probabilities::ProbabilityFactor`] to a lane.
pub(super) struct Factors<S: Token, T: RowReal> {
    /// One over the sum of all exponentials.
    pub(super) inverse: [f64x8<S>; 2],
    unscale: T::Vector<S>,
    high: T::Vector<S>,
    low: T::Vector<S>,
}

impl<S: Token, T: RowReal> Factors<S, T> {
    #[inline(always)]
    pub(super) fn new(simd: S, statistics: &Statistics<S, T>, factors: Option<&[f64]>) -> Self {
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

    /// That of one row, in all lanes.
    #[inline(always)]
    pub(super) fn of_row(&self, simd: S, i: usize) -> Self {
        Self {
            inverse: self.inverse,
            unscale: T::Vector::<S>::splat(simd, self.unscale[i]),
            high: T::Vector::<S>::splat(simd, self.high[i]),
            low: T::Vector::<S>::splat(simd, self.low[i]),
        }
    }

    /// The factor times the probability.
    #[inline(always)]
    pub(super) fn apply(&self, exponential: T::Vector<S>) -> T::Vector<S> {
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
    if !side_by_side::<S, T>(x, (rows.start, rows.len()), columns) {
        return softmax_by_rows(simd, (x, out), rows, columns, scratch);
    }
    let nan = T::Vector::<S>::lit(simd, f64::NAN);
    for_each_group::<S, T>(
        x,
        rows,
        columns,
        #[inline(always)]
        |first, n| {
            let (tiles, count) = read_tiles(simd, x, (first, n), columns, scratch);
            let mut statistics = [Statistics::<S, T>::none(simd); TILES];
            for (statistics, tile) in statistics.iter_mut().zip(&tiles[..count]) {
                *statistics = Statistics::new::<true, false>(simd, tile);
            }
            for (statistics, tile) in statistics.iter().zip(&tiles[..count]) {
                let bad = statistics.without_probabilities(simd);
                let factors = Factors::new(simd, statistics, None);
                for column in 0..columns {
                    let y = factors.apply(tile.get(simd, column));
                    tile.set(column, bad.select(nan, y));
                }
            }
            write_tiles(simd, &tiles[..count], out, &mut scratch.result);
        },
    );
}

/// See [`softmax`]: each row by itself.
#[inline(always)]
fn softmax_by_rows<S: Token, T: RowReal>(
    simd: S,
    (x, out): (&Operand<'_>, &OperandMut<'_>),
    rows: Range<usize>,
    columns: usize,
    scratch: &mut Scratch<T>,
) {
    RowGroup::for_each(
        simd,
        (x, true),
        rows,
        columns,
        scratch,
        #[inline(always)]
        |group, scratch, sums| {
            let (target, next) = group.target(out, &mut scratch.result);
            let place = (target.pointer.cast_const(), target.pointer);
            // SAFETY: the target is for the results of the group: `x` itself, or apart from it.
            unsafe {
                let statistics =
                    group.statistics::<S, false>(simd, sums, Some(target.pointer), next);
                let bad = statistics.without_probabilities(simd).to_bitmask();
                let factors = Factors::new(simd, &statistics, None);
                for i in 0..group.rows {
                    if bad >> i & 1 == 1 {
                        group.fill_with_nan(i, target.pointer);
                    } else {
                        let factor = factors.of_row(simd, i);
                        group.map(
                            simd,
                            i,
                            place,
                            // The sum of a block is less than 2^32.
                            #[inline(always)]
                            |e| e.fma(factor.high, e * factor.low),
                        );
                    }
                }
                group.finish(simd, target, out);
            }
        },
    );
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
            if together(n, columns) && side_by_side::<S, T>(x, (first_row, n), columns) {
                for_each_group::<S, T>(
                    x,
                    first_row..first_row + n,
                    columns,
                    #[inline(always)]
                    |first, n| {
                        let (tiles, count) = read_tiles(simd, x, (first, n), columns, scratch);
                        for tile in &tiles[..count] {
                            let statistics = Statistics::<S, T>::new::<false, true>(simd, tile);
                            statistics.write(simd, tile.first_row - first_row, batch);
                        }
                    },
                );
            } else if together(n, columns) {
                RowGroup::for_each(
                    simd,
                    (x, false),
                    first_row..first_row + n,
                    columns,
                    scratch,
                    #[inline(always)]
                    |group, _, sums| {
                        // SAFETY: nothing is written.
                        let statistics = unsafe {
                            group.statistics::<S, true>(simd, sums, None, Ahead::of(group.elements))
                        };
                        statistics.write(simd, group.first_row - first_row, batch);
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
