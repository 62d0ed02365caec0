//! Rows side by side, as many at once as there are lanes: a row to a lane, an element to a vector. For rows
//! of few elements, and for those that lie beside each other in memory (an array along its first axis).
//!
//! A row of ten has one vector, mostly padding, and more work in what is done once a row (the maximum and
//! the sum of the lanes, the quotient) than in its elements. Here all of that is done in lanes for 16 rows
//! (8 of `f64`), for the price of two transpositions, or none. A row's result is that of the row by itself, to the
//! bit: the additions are those of [`super::row_sums`], in their order, lane after lane, and the lanes'
//! sums folded in halves.
//!
//! What binds it: at ten columns the transpositions, which are scalar (an element loaded and stored), take
//! about as long as the arithmetic.

use super::row_exponential::unscale;
use super::row_probabilities::{SMALL_FACTOR, Scratch};
use super::row_statistics::{
    BlockExponentials, InverseTemperature, RowStatistics, inverse_of_sum, log_sums,
};
use super::row_sums::{RowReal, Sums};
use super::softmax::log_probability;
use crate::driver::elementwise::canonical_nan;
use crate::driver::operand::{BLOCK, Operand, OperandMut};
use crate::driver::rows::{Row, Target, larger, read_block, reserve};
use crate::lanes::{Lanes, Token};
use crate::math::twofold::multiply;
use fearless_simd::f64x8;
use fearless_simd::prelude::*;

/// Elements of a row at most: from here on a row by itself is faster.
const NARROW: usize = 32;

/// Rows at once at most: the lanes of `f32`.
pub(crate) const TOGETHER: usize = 16;

/// Whether the `rows` rows of `columns` elements from `first` on are better done at once.
#[inline(always)]
pub(crate) fn side_by_side<T: RowReal>(
    x: &Operand<'_>,
    (first, rows): (usize, usize),
    columns: usize,
) -> bool {
    // Rows longer than a block are summed block by block, which only the row kernel does.
    let bound = if rows < TOGETHER || x.as_columns::<T>(first, TOGETHER, columns).is_none() {
        NARROW
    } else {
        BLOCK
    };
    rows > 1 && (1..=bound).contains(&columns)
}

/// Some rows, no more than `T`'s vectors have lanes, an element of each to a vector.
struct Tile<T> {
    elements: *mut T,
    first_row: usize,
    rows: usize,
    columns: usize,
}

impl<T: RowReal> Tile<T> {
    /// The rows from `first_row` on; zeros for those that lack.
    #[inline(always)]
    fn read<S: Token>(
        simd: S,
        x: &Operand<'_>,
        (first_row, rows): (usize, usize),
        columns: usize,
        scratch: &mut Scratch<T>,
    ) -> Self {
        let lanes = T::Vector::<S>::LEN;
        let elements = reserve(&mut scratch.tile, lanes * columns);
        if let Some((first, stride)) = x.as_columns::<T>(first_row, lanes, columns)
            && rows == lanes
        {
            for (column, target) in elements.chunks_exact_mut(lanes).enumerate() {
                // SAFETY: as many elements as there are lanes lie there.
                let source = unsafe { first.offset(column as isize * stride) };
                // SAFETY: as above; they are read before `out` is written.
                let source = unsafe { std::slice::from_raw_parts(source, lanes) };
                T::Vector::<S>::from_slice(simd, source).store_slice(target);
            }
        } else {
            if rows < lanes {
                elements.fill(T::default());
            }
            let (start, n) = (first_row * columns, rows * columns);
            let block = read_block(simd, x, start, n, &mut scratch.x);
            for (column, target) in elements.chunks_exact_mut(lanes).enumerate() {
                for (row, slot) in target[..rows].iter_mut().enumerate() {
                    // SAFETY: one of the `n` readable elements.
                    *slot = unsafe { *block.add(row * columns + column) };
                }
            }
        }
        Self {
            elements: elements.as_mut_ptr(),
            first_row,
            rows,
            columns,
        }
    }

    /// The element `column` of all rows.
    #[inline(always)]
    fn get<S: Token>(&self, simd: S, column: usize) -> T::Vector<S> {
        debug_assert!(column < self.columns);
        let lanes = T::Vector::<S>::LEN;
        // SAFETY: one of the `columns` vectors of the buffer, which outlives the tile.
        let slice = unsafe { std::slice::from_raw_parts(self.elements.add(column * lanes), lanes) };
        T::Vector::<S>::from_slice(simd, slice)
    }

    #[inline(always)]
    fn set<S: Token>(&self, column: usize, value: T::Vector<S>) {
        debug_assert!(column < self.columns);
        let lanes = T::Vector::<S>::LEN;
        // SAFETY: as above; no other reference lives.
        let slice =
            unsafe { std::slice::from_raw_parts_mut(self.elements.add(column * lanes), lanes) };
        value.store_slice(slice);
    }

    /// Write the rows to `out`.
    #[inline(always)]
    fn write<S: Token>(&self, simd: S, out: &OperandMut<'_>, buffer: &mut Vec<T>) {
        let lanes = T::Vector::<S>::LEN;
        if let Some((first, stride)) = out.as_mut_columns::<T>(self.first_row, lanes, self.columns)
            && self.rows == lanes
        {
            for column in 0..self.columns {
                // SAFETY: as many elements as there are lanes lie there, which belong to these rows.
                let target = unsafe { first.offset(column as isize * stride) };
                // SAFETY: as above; rows are shared out among threads, and no other reference lives.
                let target = unsafe { std::slice::from_raw_parts_mut(target, lanes) };
                self.get(simd, column).store_slice(target);
            }
            return;
        }
        let (start, n) = (self.first_row * self.columns, self.rows * self.columns);
        let target = Target::new(out, start, n, buffer);
        for row in 0..self.rows {
            for column in 0..self.columns {
                // SAFETY: one of the tile's elements, and one of the `n` writable ones.
                unsafe {
                    *target.pointer.add(row * self.columns + column) =
                        *self.elements.add(column * lanes + row);
                }
            }
        }
        // SAFETY: all elements have been written; rows are shared out among threads.
        unsafe { target.finish(simd, out, start, n) };
    }
}

/// What [`RowStatistics`] is for one row, for as many as there are lanes.
struct Statistics<S: Token, T: RowReal> {
    maximum: T::Vector<S>,
    ties: [f64x8<S>; 2],
    rest: [f64x8<S>; 2],
    rest_low: [f64x8<S>; 2],
}

impl<S: Token, T: RowReal> Statistics<S, T> {
    /// Of the rows of a tile, where their scaled exponentials are put if they are to be `KEEP`t.
    #[inline(always)]
    fn new<const KEEP: bool>(simd: S, tile: &Tile<T>) -> Self {
        let lanes = T::Vector::<S>::LEN;
        let n = tile.columns;
        let mut maximum = T::Vector::<S>::lit(simd, f64::NEG_INFINITY);
        for column in 0..n {
            maximum = larger(maximum, tile.get(simd, column));
        }
        let exponentials =
            BlockExponentials::<S, T, false>::of_maxima(simd, maximum, InverseTemperature::ONE);
        let (zero, one) = (
            T::Vector::<S>::lit(simd, 0.0),
            T::Vector::<S>::lit(simd, 1.0),
        );
        let mut ties = zero;
        // Lanes in the order in which folding in halves needs their sums, so that few have to be kept.
        let mut partial = [T::Sums::<S>::zero(simd); 5];
        let mut depth = 0;
        for i in 0..lanes {
            let lane = i.reverse_bits() >> (usize::BITS - lanes.trailing_zeros());
            let mut sums = T::Sums::<S>::zero(simd);
            let mut column = lane;
            while column < n {
                let e = exponentials.of(tile.get(simd, column));
                ties += e.tie.select(one, zero);
                sums.add(
                    e.counted.select(e.head, zero),
                    e.counted.select(e.tail, zero),
                );
                if KEEP {
                    tile.set(column, exponentials.rounded(&e));
                }
                column = next_in_lane(lane, column, n, lanes);
            }
            sums.end_block();
            partial[depth] = sums;
            for _ in 0..(i + 1).trailing_zeros() {
                depth -= 1;
                let other = partial[depth + 1];
                partial[depth].merge(&other);
            }
            depth += 1;
        }
        let undo = f64x8::splat(simd, unscale(T::Vector::<S>::PRECISION));
        let (rest, rest_low) = partial[0].lane_totals();
        Self {
            maximum,
            ties: T::widen(simd, ties),
            rest: rest.map(|rest| rest * undo),
            rest_low: rest_low.map(|low| low * undo),
        }
    }

    /// Those of the first rows.
    #[inline(always)]
    fn write(&self, rows: &mut [RowStatistics<T>]) {
        for (i, row) in rows.iter_mut().enumerate() {
            let (half, lane) = (i / 8, i % 8);
            *row = RowStatistics {
                maximum: self.maximum[i],
                ties: self.ties[half][lane],
                rest: self.rest[half][lane],
                rest_low: self.rest_low[half][lane],
            };
        }
    }

    /// Where there are no probabilities: see [`RowStatistics::has_probabilities`].
    #[inline(always)]
    fn without_probabilities(&self, simd: S) -> <T::Vector<S> as SimdBase<S>>::Mask {
        let infinity = T::Vector::<S>::lit(simd, f64::INFINITY);
        let one = T::Vector::<S>::lit(simd, 1.0);
        let ties = T::narrow(self.ties);
        let rest: T::Vector<S> = T::narrow(self.rest);
        !rest.simd_eq(rest)
            | self.maximum.simd_eq(-infinity)
            | (self.maximum.simd_eq(infinity) & ties.simd_gt(one))
    }
}

/// The column after `column` in the lane where a row by itself would have it: the last vector of a row ends
/// with it, see [`crate::driver::rows`].
#[inline(always)]
fn next_in_lane(lane: usize, column: usize, n: usize, lanes: usize) -> usize {
    let whole = n - n % lanes;
    let next = column + lanes;
    if next < whole || n < lanes {
        return next;
    }
    let in_tail = n - lanes + lane;
    if column < whole && in_tail >= whole {
        in_tail
    } else {
        n
    }
}

/// What makes probabilities, times a factor for each row, of scaled exponentials: a
/// [`super::row_probabilities::ProbabilityFactor`] to a lane.
struct Factors<S: Token, T: RowReal> {
    /// `1 / (k + R)`.
    inverse: [f64x8<S>; 2],
    unscale: T::Vector<S>,
    high: T::Vector<S>,
    low: T::Vector<S>,
}

impl<S: Token, T: RowReal> Factors<S, T> {
    #[inline(always)]
    fn new(simd: S, statistics: &Statistics<S, T>, factors: Option<&[f64; TOGETHER]>) -> Self {
        let (zero, one) = (f64x8::splat(simd, 0.0), f64x8::splat(simd, 1.0));
        let undo = f64x8::splat(simd, unscale(T::Vector::<S>::PRECISION));
        let (mut inverse, mut high, mut low) = ([one; 2], [one; 2], [one; 2]);
        let mut scales = [one; 2];
        for half in 0..T::HALVES {
            let rest = (statistics.rest[half], statistics.rest_low[half]);
            let mut product = inverse_of_sum(
                one,
                (statistics.ties[half], rest.0, rest.1),
                #[inline(always)]
                |x| f64x8::from_bits(x.to_bits() & !0x7ff_ffff),
            );
            inverse[half] = product.0;
            if let Some(factors) = factors {
                let factor = f64x8::from_slice(simd, &factors[8 * half..8 * half + 8]);
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

/// Softmax of the rows `first_row ..`.
#[inline(always)]
pub(super) fn softmax<S: Token, T: RowReal>(
    simd: S,
    (x, out): (&Operand<'_>, &OperandMut<'_>),
    rows: std::ops::Range<usize>,
    columns: usize,
    scratch: &mut Scratch<T>,
) {
    let lanes = T::Vector::<S>::LEN;
    let nan = T::Vector::<S>::lit(simd, f64::NAN);
    for first in rows.clone().step_by(lanes) {
        let n = lanes.min(rows.end - first);
        let tile = Tile::read(simd, x, (first, n), columns, scratch);
        let statistics = Statistics::<S, T>::new::<true>(simd, &tile);
        let bad = statistics.without_probabilities(simd);
        let factors = Factors::new(simd, &statistics, None);
        for column in 0..columns {
            let y = factors.apply(tile.get(simd, column));
            tile.set(column, bad.select(nan, y));
        }
        tile.write(simd, out, &mut scratch.result);
    }
}

/// One element of a row that [`scaled_softmax`] does not compute.
pub(crate) struct Exception<T> {
    /// Which of the rows.
    pub(crate) row: usize,
    /// Its exponential, scaled.
    pub(crate) exponential: T,
    /// `1 / (k + R)`.
    pub(crate) inverse: f64,
}

/// Write the softmax of `n` rows from `first_row` on, times a factor for each, but for one element a row,
/// the result of `exception`; the rows' statistics. A row without probabilities is NaN.
#[inline(never)]
pub(crate) fn scaled_softmax<S: Token, T: RowReal>(
    simd: S,
    (x, out): (&Operand<'_>, &OperandMut<'_>),
    (first_row, n): (usize, usize),
    columns: usize,
    (factors, exceptions): (&[f64; TOGETHER], &[usize; TOGETHER]),
    scratch: &mut Scratch<T>,
    exception: impl Fn(Exception<T>, &RowStatistics<T>) -> T,
) -> [RowStatistics<T>; TOGETHER] {
    simd.vectorize(
        #[inline(always)]
        || {
            let lanes = T::Vector::<S>::LEN;
            let nan = T::Vector::<S>::lit(simd, f64::NAN);
            let mut all = [RowStatistics::default(); TOGETHER];
            for (k, some) in all[..n].chunks_mut(lanes).enumerate() {
                let begin = k * lanes;
                let place = (first_row + begin, some.len());
                let tile = Tile::read(simd, x, place, columns, scratch);
                let statistics = Statistics::<S, T>::new::<true>(simd, &tile);
                statistics.write(some);
                let mut own = [0.0; TOGETHER];
                own[..lanes].copy_from_slice(&factors[begin..begin + lanes]);
                let own = Factors::new(simd, &statistics, Some(&own));
                let mut results = [T::default(); TOGETHER];
                for (i, row) in some.iter().enumerate() {
                    let exponential = tile.get(simd, exceptions[begin + i])[i];
                    let of_row = Exception {
                        row: begin + i,
                        exponential,
                        inverse: own.inverse[i / 8][i % 8],
                    };
                    results[i] = exception(of_row, row);
                }
                for column in 0..columns {
                    let y = own.apply(tile.get(simd, column));
                    tile.set(column, canonical_nan(simd, y));
                }
                for (i, result) in results[..some.len()].iter().enumerate() {
                    let column = exceptions[begin + i];
                    let mut y = tile.get(simd, column);
                    y.as_mut_slice()[i] = *result;
                    tile.set(column, y);
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
            all
        },
    )
}

/// Log-softmax of the rows `first_row ..`.
#[inline(always)]
pub(super) fn log_softmax<S: Token, T: RowReal>(
    simd: S,
    (x, out): (&Operand<'_>, &OperandMut<'_>),
    rows: std::ops::Range<usize>,
    columns: usize,
    scratch: &mut Scratch<T>,
) {
    let lanes = T::Vector::<S>::LEN;
    let nan = T::Vector::<S>::lit(simd, f64::NAN);
    let zero = T::Vector::<S>::lit(simd, 0.0);
    let infinity = T::Vector::<S>::lit(simd, f64::INFINITY);
    for first in rows.clone().step_by(lanes) {
        let n = lanes.min(rows.end - first);
        let tile = Tile::read(simd, x, (first, n), columns, scratch);
        let statistics = Statistics::<S, T>::new::<false>(simd, &tile);
        let mut of_rows = [RowStatistics::default(); TOGETHER];
        statistics.write(&mut of_rows[..lanes]);
        let log_sums = log_sums(simd, &of_rows, n);
        let bad = statistics.without_probabilities(simd);
        let maximum = statistics.maximum;
        let sure = maximum.simd_eq(infinity);
        let maxima = T::widen(simd, maximum);
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
            let y = T::narrow(y);
            let y = (sure & z.simd_eq(maximum)).select(zero, y);
            tile.set(column, canonical_nan(simd, bad.select(nan, y)));
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
) -> [RowStatistics<T>; TOGETHER] {
    simd.vectorize(
        #[inline(always)]
        || {
            let mut statistics = [RowStatistics::default(); TOGETHER];
            let rows = &mut statistics[..n];
            if side_by_side::<T>(x, (first_row, n), columns) {
                let lanes = T::Vector::<S>::LEN;
                for (k, some) in rows.chunks_mut(lanes).enumerate() {
                    let place = (first_row + k * lanes, some.len());
                    let tile = Tile::read(simd, x, place, columns, scratch);
                    Statistics::<S, T>::new::<false>(simd, &tile).write(some);
                }
            } else {
                for (i, slot) in rows.iter_mut().enumerate() {
                    let row = Row::of(first_row + i, columns);
                    *slot =
                        RowStatistics::of(simd, x, row, InverseTemperature::ONE, &mut scratch.x);
                }
            }
            statistics
        },
    )
}
