//! Rows side by side, as many at once as there are lanes: a row to a lane, an element to a vector. For rows
//! of few elements, and for those that lie beside each other in memory (an array along its first axis).
//!
//! A row of ten has one vector, mostly padding, and more work in what is done once a row (the maximum and
//! the sum of the lanes, the quotient) than in its elements. Here all of that is done in lanes for 16 rows
//! (8 of `f64`), for the price of two transpositions, or none. A row's result is that of the row by itself, to the
//! bit: the additions are those of [`super::row_sums`], in their order, lane after lane, and the lanes'
//! sums folded in halves.

use super::row_exponential::form::{DIFFERENCE, DIRECT};
use super::row_exponential::{Exponentials, InverseTemperature, direct_bound, unscale};
use super::row_probabilities::{SMALL_FACTOR, Scratch};
use super::row_statistics::{RowStatistics, inverse_of_sum, log_sums};
use super::row_sums::{RowReal, Sums};
use super::softmax::log_probability;
use crate::driver::elementwise::canonical_nan;
use crate::driver::operand::{BLOCK, Operand, OperandMut};
use crate::driver::rows::{Row, load, reserve, store};
use crate::lanes::transpose::transpose;
use crate::lanes::{Lanes, Token};
use crate::math::twofold::multiply;
use fearless_simd::f64x8;
use fearless_simd::prelude::*;
use std::ops::Range;

/// Elements of a row at most: from here on a row by itself is faster.
const NARROW: usize = 64;

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

/// Tiles at once at most, and their elements: what is done to one has to wait for itself, less so for another.
const TILES: usize = 8;
const TILES_ELEMENTS: usize = 1 << 12;

/// Elements of a tile.
#[inline(always)]
fn tile_size<S: Token, T: RowReal>(columns: usize) -> usize {
    let lanes = T::Vector::<S>::LEN;
    lanes * columns.max(lanes)
}

/// Call `f` with the first row of each tile, as many as are done at once, and their number.
#[inline(always)]
fn for_each_group<S: Token, T: RowReal>(
    rows: Range<usize>,
    columns: usize,
    mut f: impl FnMut(usize, usize),
) {
    let lanes = T::Vector::<S>::LEN;
    let tiles = (TILES_ELEMENTS / tile_size::<S, T>(columns)).clamp(1, TILES);
    for first in rows.clone().step_by(tiles * lanes) {
        f(first, (tiles * lanes).min(rows.end - first));
    }
}

/// Some rows, no more than `T`'s vectors have lanes, an element of each to a vector.
#[derive(Clone, Copy)]
struct Tile<T> {
    elements: *mut T,
    first_row: usize,
    rows: usize,
    columns: usize,
}

impl<T> Default for Tile<T> {
    fn default() -> Self {
        Self {
            elements: std::ptr::null_mut(),
            first_row: 0,
            rows: 0,
            columns: 0,
        }
    }
}

impl<T: RowReal> Tile<T> {
    /// The rows from `first_row` on; zeros for those that lack.
    #[inline(always)]
    fn read<S: Token>(
        simd: S,
        x: &Operand<'_>,
        (first_row, rows): (usize, usize),
        columns: usize,
        (elements, buffer): (&mut [T], &mut Vec<T>),
    ) -> Self {
        let lanes = T::Vector::<S>::LEN;
        if let Some((first, stride)) = x.as_columns::<T>(first_row, lanes, columns)
            && rows == lanes
        {
            let columns = elements.chunks_exact_mut(lanes).take(columns);
            for (column, target) in columns.enumerate() {
                // SAFETY: as many elements as there are lanes lie there.
                let source = unsafe { first.offset(column as isize * stride) };
                // SAFETY: as above; they are read before `out` is written.
                let source = unsafe { std::slice::from_raw_parts(source, lanes) };
                T::Vector::<S>::from_slice(simd, source).store_slice(target);
            }
        } else {
            let (start, n) = (first_row * columns, rows * columns);
            let room = room::<S, T>(columns);
            let rows = if let Some(slice) = x.as_slice::<T>(start, room) {
                slice
            } else {
                let buffer = reserve(buffer, room);
                x.read(simd, start, &mut buffer[..n]);
                buffer[n..].fill(T::default());
                buffer
            };
            // SAFETY: there is room for all rows, and for `columns` vectors, or as many as there are lanes.
            unsafe {
                let (rows, tile) = (rows.as_ptr(), elements.as_mut_ptr());
                transpose_tile::<S, T>(simd, columns, (rows, columns, 1), (tile, lanes, lanes));
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
        let columns = self.columns;
        let (start, n) = (self.first_row * columns, self.rows * columns);
        let place = out.as_mut_ptr::<T>(start, n);
        let room = room::<S, T>(columns);
        let direct = place.filter(|_| room == n);
        let rows = direct.unwrap_or_else(|| reserve(buffer, room).as_mut_ptr());
        // SAFETY: there is room for all rows in the buffer, or in `out`, where they are shared out among
        // threads; the tile is apart from both.
        unsafe {
            let tile = self.elements.cast_const();
            transpose_tile::<S, T>(simd, columns, (tile, lanes, lanes), (rows, columns, 1));
            match place {
                Some(_) if direct.is_some() => {}
                Some(place) => copy(simd, rows, place, n),
                None => out.write(simd, start, std::slice::from_raw_parts(rows, n)),
            }
        }
    }
}

/// Elements that as many rows as there are lanes have, the last with a whole vector: rows of less are read and
/// written with what follows them.
#[inline(always)]
fn room<S: Token, T: RowReal>(columns: usize) -> usize {
    let lanes = T::Vector::<S>::LEN;
    (lanes - 1) * columns + columns.max(lanes)
}

/// From rows to a tile, or back: pointer, distance from vector to vector, and from a row's element to the next.
///
/// # Safety
/// From `source` on can be read, to `target` written, apart from it, as many rows as there are lanes in [`room`] elements,
/// or `columns` vectors, but at least as many as there are lanes.
#[inline(always)]
unsafe fn transpose_tile<S: Token, T: RowReal>(
    simd: S,
    columns: usize,
    (source, source_step, source_next): (*const T, usize, usize),
    (target, target_step, target_next): (*mut T, usize, usize),
) {
    let lanes = T::Vector::<S>::LEN;
    let mut first = 0;
    loop {
        // SAFETY: promised by the caller; a chunk ends with the row or before, or is the only one.
        unsafe {
            let source = (source.add(first * source_next), source_step);
            let target = (target.add(first * target_next), target_step);
            if lanes == 16 {
                transpose_square::<S, T, 16>(simd, source, target);
            } else {
                transpose_square::<S, T, 8>(simd, source, target);
            }
        }
        if first + lanes >= columns {
            break;
        }
        // The last chunk ends with the row.
        first = (first + lanes).min(columns - lanes);
    }
}

/// Transpose `N` vectors, from and to pointers with a distance from one to the next; in the order of memory.
///
/// # Safety
/// So many vectors can be read, and written.
#[inline(always)]
unsafe fn transpose_square<S: Token, T: RowReal, const N: usize>(
    simd: S,
    (source, source_step): (*const T, usize),
    (target, target_step): (*mut T, usize),
) {
    let mut square = [T::Vector::<S>::lit(simd, 0.0); N];
    for (i, vector) in square.iter_mut().enumerate() {
        // SAFETY: promised by the caller.
        *vector = unsafe { load(simd, source.add(i * source_step)) };
    }
    for (i, vector) in transpose::<S, _, N>(square).into_iter().enumerate() {
        // SAFETY: promised by the caller.
        unsafe { store::<S, T>(Some(target), i * target_step, vector) };
    }
}

/// Copy `n` elements.
///
/// # Safety
/// They can be read at `source`, and written at `target`, which is apart from it.
#[inline(always)]
unsafe fn copy<S: Token, T: RowReal>(simd: S, source: *const T, target: *mut T, n: usize) {
    let lanes = T::Vector::<S>::LEN;
    let whole = n - n % lanes;
    // SAFETY: promised by the caller.
    unsafe {
        for at in (0..whole).step_by(lanes) {
            store::<S, T>(Some(target), at, load(simd, source.add(at)));
        }
        for at in whole..n {
            *target.add(at) = *source.add(at);
        }
    }
}

/// What [`RowStatistics`] is for one row, for as many as there are lanes.
#[derive(Clone, Copy)]
struct Statistics<S: Token, T: RowReal> {
    maximum: T::Vector<S>,
    peak: T::Vector<S>,
    unit: [f64x8<S>; 2],
    ties: [f64x8<S>; 2],
    rest: [f64x8<S>; 2],
    rest_low: [f64x8<S>; 2],
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
    fn new<const KEEP: bool>(simd: S, tile: &Tile<T>) -> Self {
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
            let mut of_lanes = [sums; TOGETHER];
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

    /// Those of the first rows.
    #[inline(always)]
    fn write(&self, rows: &mut [RowStatistics<T>]) {
        for (i, row) in rows.iter_mut().enumerate() {
            let (half, lane) = (i / 8, i % 8);
            *row = RowStatistics {
                maximum: self.maximum[i],
                peak: self.peak[i],
                unit: self.unit[half][lane],
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
    /// One over the sum of all exponentials.
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
            let ties = statistics.ties[half] * statistics.unit[half];
            let mut product = inverse_of_sum(simd, ties, rest);
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

/// The tiles of `n` rows from `first_row` on.
#[inline(always)]
fn read_tiles<S: Token, T: RowReal>(
    simd: S,
    x: &Operand<'_>,
    (first_row, n): (usize, usize),
    columns: usize,
    scratch: &mut Scratch<T>,
) -> ([Tile<T>; TILES], usize) {
    let lanes = T::Vector::<S>::LEN;
    let count = n.div_ceil(lanes);
    let size = tile_size::<S, T>(columns);
    let elements = reserve(&mut scratch.tile, count * size);
    let mut tiles = [Tile::default(); TILES];
    for (k, (tile, elements)) in tiles
        .iter_mut()
        .zip(elements.chunks_exact_mut(size))
        .enumerate()
    {
        let place = (first_row + k * lanes, lanes.min(n - k * lanes));
        *tile = Tile::read(simd, x, place, columns, (elements, &mut scratch.x));
    }
    (tiles, count)
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
                let tile = read_tiles(simd, x, place, columns, scratch).0[0];
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
        let tile = read_tiles(simd, x, (first, n), columns, scratch).0[0];
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
                    let tile = read_tiles(simd, x, place, columns, scratch).0[0];
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
