//! Some rows of middling length, each summed by itself; what is done once a row is done in lanes for all.
//!
//! In rows of a hundred elements the maximum's and the sum's last steps, the quotient and the logarithm take as
//! long as the elements if each row waits for its own. So the exponentials of all rows of a group come first,
//! then one quotient or logarithm for as many rows as there are lanes, then all results, while the group is in
//! the first-level cache. Rows of few elements are better transposed: see [`super::rows_side_by_side`].
//!
//! What binds, on AVX-512: the instructions for the two ports that compute. A vector takes 25 of them where the maximum
//! is kept apart, 22 in softmax, and a quarter more for the maximum before and the result after; the exponential itself is 13,
//! the sum in two parts 6. The loop takes 12 cycles, near what that is. Of rows of 1,000 softmax takes 0.41 ns an element at
//! 2.7 GHz: exponentials and sums 0.24, settled 0.02, maxima 0.03, results 0.05, what is once a row or a group 0.06. Results are bound
//! by the stores. Exponentials of less digits, summed as `f32`, would take half: onnxruntime takes 0.36 of these.
//! Tried without gain: two vectors in turns, or the reduction of the next before the polynomial of this one (the loop does not
//! wait for its chain of 39 cycles), unrolling, exponentials kept in memory for a second loop to add.
//!
//! Groups are small: with four rows of 1,000, their results and the next ones of both, the first-level cache is full, and maxima
//! and results take twice as long as with two. And arguments that are to be copied must not have been stored just before in
//! other pieces: the copy waited for all sums to reach the cache, 60 ns a group.

use super::row_probabilities::Scratch;
use super::row_statistics::{InverseTemperature, RowSums, add_blocks};
use super::row_sums::RowReal;
use super::rows_side_by_side::Statistics;
use crate::driver::layout::Ahead;
use crate::driver::operand::{Operand, OperandMut};
use crate::driver::rows::{Target, map_vectors, reserve};
use crate::lanes::Token;
use fearless_simd::prelude::*;
use std::ops::Range;

/// Elements of a group: theirs are to stay in the first-level cache, with the next group's that are asked for
/// meanwhile. Where results are written, of these as many.
const ELEMENTS: usize = 1 << 12;

/// Lanes of a vector at most.
const LANES: usize = 16;

/// Rows that lie one after the other in memory, no more than there are lanes.
pub(super) struct RowGroup<T> {
    /// Their elements.
    pub(super) elements: *const T,
    /// Those of the next rows, where they come from.
    next: Ahead,
    pub(super) first_row: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl<T: RowReal> RowGroup<T> {
    /// Call `f` with each group of the rows, and sums of nothing for its rows.
    #[inline(always)]
    pub(super) fn for_each<S: Token>(
        simd: S,
        (x, results): (&Operand<'_>, bool),
        rows: Range<usize>,
        columns: usize,
        scratch: &mut Scratch<T>,
        mut f: impl FnMut(&Self, &mut Scratch<T>, &mut [RowSums<S, T>; LANES]),
    ) {
        let none = RowSums::<S, T>::new(simd, InverseTemperature::ONE);
        let mut sums = [none; LANES];
        let elements = if results { ELEMENTS / 2 } else { ELEMENTS };
        let size = (elements / columns).clamp(2, T::Vector::<S>::LEN);
        for first_row in rows.clone().step_by(size) {
            let count = size.min(rows.end - first_row);
            let (start, n) = (first_row * columns, count * columns);
            let (elements, next) = if let Some(slice) = x.as_slice::<T>(start, n) {
                (slice.as_ptr(), Ahead::of(slice.as_ptr()).after(n))
            } else {
                let buffer = reserve(&mut scratch.x, n);
                x.read(simd, start, buffer);
                let here = Ahead::of(buffer.as_ptr());
                let next = x.ahead(start, n).map(|source| source.after(n));
                (buffer.as_ptr(), next.unwrap_or(here))
            };
            let group = Self {
                elements,
                next,
                first_row,
                rows: count,
                columns,
            };
            sums[..count].fill(none);
            f(&group, scratch, &mut sums);
        }
    }

    /// The rows' statistics, from sums of nothing. Their exponentials, scaled, go to `target`, which may be the elements' place.
    /// Meanwhile `next` is asked for from memory, as many elements.
    ///
    /// # Safety
    /// As many elements are writable at `target`, and no references to them live.
    #[inline(always)]
    pub(super) unsafe fn statistics<S: Token, const APART: bool>(
        &self,
        simd: S,
        sums: &mut [RowSums<S, T>; LANES],
        target: Option<*mut T>,
        next: Ahead,
    ) -> Statistics<S, T> {
        let (rows, asked) = (&mut sums[..self.rows], [self.next, next]);
        // SAFETY: the group's elements are readable; the rest is promised by the caller.
        unsafe {
            add_blocks::<S, T, APART>(simd, rows, self.elements, &asked, self.columns, target);
        };
        Statistics::of_rows(simd, sums, self.rows)
    }

    /// Where the results of the rows go, and what of it is wanted next.
    #[inline(always)]
    pub(super) fn target(&self, out: &OperandMut<'_>, buffer: &mut Vec<T>) -> (Target<T>, Ahead) {
        let (start, n) = (self.first_row * self.columns, self.rows * self.columns);
        let target = Target::new(out, start, n, buffer);
        let next = target.ahead(out, start, n);
        (target, next)
    }

    /// Write what was buffered.
    ///
    /// # Safety
    /// As for [`Target::finish`].
    #[inline(always)]
    pub(super) unsafe fn finish<S: Token>(&self, simd: S, target: Target<T>, out: &OperandMut<'_>) {
        let n = self.rows * self.columns;
        // SAFETY: promised by the caller.
        unsafe { target.finish(simd, out, self.first_row * self.columns, n) };
    }

    /// Write `f` of the elements of the `i`-th row of `source` to that of `target`, both places of such a group.
    ///
    /// # Safety
    /// They can be read and written, are the same or apart, and no references to them live.
    #[inline(always)]
    pub(super) unsafe fn map<S: Token>(
        &self,
        simd: S,
        i: usize,
        (source, target): (*const T, *mut T),
        f: impl Fn(T::Vector<S>) -> T::Vector<S>,
    ) {
        let at = i * self.columns;
        // SAFETY: promised by the caller.
        unsafe {
            map_vectors(
                simd,
                [source.add(at)],
                target.add(at),
                self.columns,
                #[inline(always)]
                |[x]| f(x),
            );
        }
    }

    /// Make the whole `i`-th row NaN.
    ///
    /// # Safety
    /// As for [`RowGroup::map`].
    #[inline(always)]
    pub(super) unsafe fn fill_with_nan(&self, i: usize, target: *mut T) {
        for column in 0..self.columns {
            // SAFETY: promised by the caller.
            unsafe { *target.add(i * self.columns + column) = T::nearest(f64::NAN) };
        }
    }
}
