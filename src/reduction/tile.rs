//! Tiles: some rows, an element of each to a vector. Rows that lie one after the other are transposed on the way,
//! in squares of as many elements as a vector has lanes.

use super::row_probabilities::Scratch;
use super::row_sums::RowReal;
use crate::driver::operand::{BLOCK, Operand, OperandMut};
use crate::driver::rows::{load, reserve, store};
use crate::lanes::transpose::{load_four_columns, transpose, transpose_four};
use crate::lanes::{Lanes, Token};
use fearless_simd::f32x4;
use fearless_simd::prelude::*;
use std::ops::Range;

/// Elements of a row at most, by [`Token::SHUFFLES_WHOLE`]: from here on a row by itself is faster than two
/// transpositions.
const NARROW: [usize; 2] = [24, 40];

/// Whether `rows` rows of `columns` elements are done several at once. Rows longer than a block are summed block
/// by block, which only the row kernel does.
#[inline(always)]
pub(crate) fn together(rows: usize, columns: usize) -> bool {
    rows > 1 && (1..=BLOCK).contains(&columns)
}

/// Whether rows that are done together, of `columns` elements from `first` on, are better done in tiles.
#[inline(always)]
pub(crate) fn side_by_side<S: Token, T: RowReal>(
    x: &Operand<'_>,
    (first, rows): (usize, usize),
    columns: usize,
) -> bool {
    columns <= NARROW[usize::from(S::SHUFFLES_WHOLE)]
        || (rows >= 16 && x.as_columns::<T>(first, 16, columns).is_some())
}

/// Tiles at once at most, and their elements: what is done to one has to wait for itself, less so for another.
pub(crate) const TILES: usize = 8;
const TILES_ELEMENTS: usize = 1 << 12;

/// Elements of a tile.
#[inline(always)]
fn tile_size<S: Token, T: RowReal>(columns: usize) -> usize {
    let lanes = T::Vector::<S>::LEN;
    lanes * columns.max(lanes)
}

/// Tiles at once at least of rows that lie beside each other with [`PAGE`] bytes or more from a column to the next: a
/// tile has a page for each of its columns, all of which its neighbour wants again. A thousand columns of 16 KiB take
/// three quarters of the time; of 4000 bytes, a fifth more, as four tiles do not stay as near as one.
const TILES_OF_PAGES: usize = 4;
const PAGE: usize = 4096;

/// Call `f` with the first row of each tile, as many as are done at once, and their number.
#[inline(always)]
pub(crate) fn for_each_group<S: Token, T: RowReal>(
    x: &Operand<'_>,
    rows: Range<usize>,
    columns: usize,
    mut f: impl FnMut(usize, usize),
) {
    let lanes = T::Vector::<S>::LEN;
    let paged = x
        .as_columns::<T>(rows.start, lanes.min(rows.len()), columns)
        .is_some_and(|(_, stride)| stride.unsigned_abs() * size_of::<T>() >= PAGE);
    let least = if paged { TILES_OF_PAGES } else { 1 };
    let tiles = (TILES_ELEMENTS / tile_size::<S, T>(columns)).clamp(least, TILES);
    for first in rows.clone().step_by(tiles * lanes) {
        f(first, (tiles * lanes).min(rows.end - first));
    }
}

/// Some rows, no more than `T`'s vectors have lanes, an element of each to a vector.
#[derive(Clone, Copy)]
pub(crate) struct Tile<T> {
    pub(crate) elements: *mut T,
    pub(crate) first_row: usize,
    rows: usize,
    pub(crate) columns: usize,
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
    pub(crate) fn read<S: Token>(
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
    pub(crate) fn get<S: Token>(&self, simd: S, column: usize) -> T::Vector<S> {
        debug_assert!(column < self.columns);
        let lanes = T::Vector::<S>::LEN;
        // SAFETY: one of the `columns` vectors of the buffer, which outlives the tile.
        let slice = unsafe { std::slice::from_raw_parts(self.elements.add(column * lanes), lanes) };
        T::Vector::<S>::from_slice(simd, slice)
    }

    #[inline(always)]
    pub(crate) fn set<S: Token>(&self, column: usize, value: T::Vector<S>) {
        debug_assert!(column < self.columns);
        let lanes = T::Vector::<S>::LEN;
        // SAFETY: as above; no other reference lives.
        let slice =
            unsafe { std::slice::from_raw_parts_mut(self.elements.add(column * lanes), lanes) };
        value.store_slice(slice);
    }

    /// Write the rows to `out`.
    #[inline(always)]
    pub(crate) fn write<S: Token>(&self, simd: S, out: &OperandMut<'_>, buffer: &mut Vec<T>) {
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
        let rows = reserve(buffer, room::<S, T>(columns)).as_mut_ptr();
        // SAFETY: there is room for all rows in the buffer, of which `n` elements go to `out`, where rows are
        // shared out among threads; the tile is apart from both.
        unsafe {
            let tile = self.elements.cast_const();
            transpose_tile::<S, T>(simd, columns, (tile, lanes, lanes), (rows, columns, 1));
            // From one end to the other: 16 rows at a time would leave the caches behind.
            match out.as_mut_ptr::<T>(start, n) {
                Some(target) => copy(simd, rows, target, n),
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
    let by_four = lanes == 16 && S::SHUFFLES_WHOLE && source_next == 1;
    let chunk = if by_four { 4 } else { lanes };
    let mut first = 0;
    loop {
        // SAFETY: promised by the caller; a chunk ends with the row or before, or is the only one.
        unsafe {
            let source = (source.add(first * source_next), source_step);
            let target = (target.add(first * target_next), target_step);
            if by_four {
                let (source, step) = source;
                let (source, target) = ((source.cast(), step), (target.0.cast(), target.1));
                rows_to_four(simd, source, target);
            } else if lanes == 16 && S::SHUFFLES_WHOLE {
                transpose_square::<S, T, 16>(simd, source, target);
            } else if lanes == 16 {
                let (source, step) = source;
                transpose_in_blocks(simd, (source.cast(), step), (target.0.cast(), target.1));
            } else {
                transpose_square::<S, T, 8>(simd, source, target);
            }
        }
        if first + chunk >= columns {
            break;
        }
        // The last chunk ends with the row.
        first = (first + chunk).min(columns - chunk);
    }
}

/// The first four elements of sixteen rows to four vectors, sixteen lanes each.
///
/// # Safety
/// So many elements of each row can be read, and vectors written.
#[inline(always)]
unsafe fn rows_to_four<S: Token>(
    simd: S,
    (source, source_step): (*const f32, usize),
    (target, target_step): (*mut f32, usize),
) {
    // SAFETY: promised by the caller.
    unsafe {
        let vectors = load_four_columns(simd, source, source_step);
        for (i, vector) in vectors.into_iter().enumerate() {
            store::<S, f32>(Some(target), i * target_step, vector);
        }
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

/// [`transpose_square`] of sixteen vectors of `f32`, in blocks of four by four.
///
/// # Safety
/// As there.
#[inline(always)]
unsafe fn transpose_in_blocks<S: Token>(
    simd: S,
    (source, source_step): (*const f32, usize),
    (target, target_step): (*mut f32, usize),
) {
    // Four of the target's vectors after the other, from their ends to their beginnings: should they overlap, a
    // vector's beginning is stored after what the one before has put into its place.
    for first in (0..16).step_by(4) {
        for row in [12, 8, 4, 0] {
            let mut block = [f32x4::splat(simd, 0.0); 4];
            for (i, vector) in block.iter_mut().enumerate() {
                // SAFETY: promised by the caller; an array has its elements' alignment.
                let four = unsafe { &*source.add((row + i) * source_step + first).cast() };
                *vector = f32x4::load_array_ref(simd, four);
            }
            for (i, vector) in transpose_four(block).into_iter().enumerate() {
                // SAFETY: as above, and no references to it live.
                let four = unsafe { &mut *target.add((first + i) * target_step + row).cast() };
                vector.store_array(four);
            }
        }
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

/// The tile of rows, no more than there are lanes.
#[inline(always)]
pub(crate) fn read_tile<S: Token, T: RowReal>(
    simd: S,
    x: &Operand<'_>,
    place: (usize, usize),
    columns: usize,
    scratch: &mut Scratch<T>,
) -> Tile<T> {
    let elements = reserve(&mut scratch.tile, tile_size::<S, T>(columns));
    Tile::read(simd, x, place, columns, (elements, &mut scratch.x))
}

/// The tiles of `n` rows from `first_row` on.
#[inline(always)]
pub(crate) fn read_tiles<S: Token, T: RowReal>(
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
    if let Some((first, stride)) = x.as_columns::<T>(first_row, n, columns)
        && n == count * lanes
    {
        let elements = elements.as_mut_ptr();
        for column in 0..columns {
            for k in 0..count {
                // SAFETY: the elements `column` of all rows lie there; each tile has room for its vectors.
                unsafe {
                    let source = first.offset(column as isize * stride).add(k * lanes);
                    let target = elements.add(k * size + column * lanes);
                    store::<S, T>(Some(target), 0, load(simd, source));
                }
            }
        }
        for (k, tile) in tiles[..count].iter_mut().enumerate() {
            *tile = Tile {
                // SAFETY: inside the buffer.
                elements: unsafe { elements.add(k * size) },
                first_row: first_row + k * lanes,
                rows: lanes,
                columns,
            };
        }
        return (tiles, count);
    }
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

/// Write the rows of tiles that follow each other to `out`.
#[inline(always)]
pub(crate) fn write_tiles<S: Token, T: RowReal>(
    simd: S,
    tiles: &[Tile<T>],
    out: &OperandMut<'_>,
    buffer: &mut Vec<T>,
) {
    let (lanes, columns) = (T::Vector::<S>::LEN, tiles[0].columns);
    let rows = tiles.len() * lanes;
    if let Some((first, stride)) = out.as_mut_columns::<T>(tiles[0].first_row, rows, columns)
        && tiles.iter().all(|tile| tile.rows == lanes)
    {
        for column in 0..columns {
            for (k, tile) in tiles.iter().enumerate() {
                // SAFETY: the elements `column` of these rows lie there; rows are shared out among threads, and no
                // other reference lives.
                unsafe {
                    let target = first.offset(column as isize * stride).add(k * lanes);
                    store::<S, T>(Some(target), 0, tile.get(simd, column));
                }
            }
        }
        return;
    }
    for tile in tiles {
        tile.write(simd, out, buffer);
    }
}

/// The column after `column` in the lane where a row by itself would have it: the last vector of a row ends
/// with it, see [`crate::driver::rows`].
#[inline(always)]
pub(crate) fn next_in_lane(lane: usize, column: usize, n: usize, lanes: usize) -> usize {
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
