//! Rows: the elements along the reduced axes, a block at a time.
//!
//! Element `j` of row `r` is at linear position `r * columns + j` of an operand whose reduced axes come
//! last, wherever it lies in memory. A row is worked through in blocks of [`BLOCK`] elements, the last
//! one shorter. Within a block, vectors start at multiples of the lane count, and the last vector ends
//! with the block, overlapping the one before it, so that a tail costs no copy. Which lane an element
//! falls into is thus a matter of its index, the row's length and the compute type, never of layout,
//! neighbours or SIMD level; and so is the order of every sum.

use super::floating_point::FloatingPointGuard;
use super::layout::Ahead;
use super::operand::{BLOCK, Operand, OperandMut};
use super::threads::{Interrupted, parallel};
use crate::dtype::Real;
use crate::lanes::{LINE, Lanes, Token, map_array};
use fearless_simd::prelude::*;
use std::ops::Range;

/// Elements a thread takes at a time, at least, and from how many on threads are woken.
const GRAIN: usize = 1 << 15;
const PARALLEL_FROM: usize = 1 << 16;

/// Rows of no more than a block that a thread takes at a time, at least: as many as are computed together.
const GROUP: usize = 64;

/// The lanes that count in a vector; `None` means all.
pub(crate) type Valid<S, T> = Option<<<T as Real>::Vector<S> as SimdBase<S>>::Mask>;

/// Call `f` with each vector of `n` elements of the sources, and write what it returns to `target`.
///
/// Lanes that are not valid hold `fill`, or elements that the vector before has had already: their
/// results must be the same again, and be kept out of sums.
///
/// # Safety
/// Each source is valid for `n` reads and `target` for `n` writes, aligned; `target` is exactly one of
/// the sources or overlaps none. No references to `target`'s elements live.
#[inline(always)]
pub(crate) unsafe fn for_each_vector<S: Token, T: Real, const N: usize>(
    simd: S,
    sources: [*const T; N],
    target: Option<*mut T>,
    n: usize,
    fill: T,
    mut f: impl FnMut([T::Vector<S>; N], Valid<S, T>) -> T::Vector<S>,
) {
    let lanes = T::Vector::<S>::LEN;
    let rest = n % lanes;
    // Read before the vector it overlaps is written, should the target be a source.
    let tail = if n < lanes {
        map_array(
            sources,
            #[inline(always)]
            |source| {
                let mut padded = T::Vector::<S>::splat(simd, fill);
                for (i, slot) in padded.as_mut_slice()[..n].iter_mut().enumerate() {
                    // SAFETY: `n` elements are readable.
                    *slot = unsafe { *source.add(i) };
                }
                padded
            },
        )
    } else {
        // SAFETY: `n` elements are readable, at least as many as there are lanes.
        unsafe { load_all::<S, T, N>(simd, sources, n - lanes) }
    };
    let mut at = 0;
    while at < n - rest {
        // SAFETY: at + lanes <= n elements are readable and writable.
        unsafe {
            let result = f(load_all::<S, T, N>(simd, sources, at), None);
            store::<S, T>(target, at, result);
        }
        at += lanes;
    }
    if rest == 0 {
        return;
    }
    let last = u64::MAX << (lanes - rest);
    let valid = if n < lanes { (1 << n) - 1 } else { last };
    let result = f(tail, Some(SimdMask::from_bitmask(simd, valid)));
    if n >= lanes {
        // SAFETY: `n` elements are writable, at least as many as there are lanes.
        unsafe { store::<S, T>(target, n - lanes, result) };
    } else if let Some(target) = target {
        for (i, value) in result.as_slice()[..n].iter().enumerate() {
            // SAFETY: `n` elements are writable.
            unsafe { *target.add(i) = *value };
        }
    }
}

/// From how many elements on [`map_vectors`] takes the trouble.
const ALIGN_FROM: usize = 256;

/// Write `f` of each of `n` elements of the sources to `target`. In whichever vector an element is, `f` of it is the
/// same; so vectors begin where lines of the cache do: a store to two lines takes as long as two stores.
///
/// # Safety
/// As for [`for_each_vector`].
#[inline(always)]
pub(crate) unsafe fn map_vectors<S: Token, T: Real, const N: usize>(
    simd: S,
    sources: [*const T; N],
    target: *mut T,
    n: usize,
    f: impl Fn([T::Vector<S>; N]) -> T::Vector<S>,
) {
    let lanes = T::Vector::<S>::LEN;
    // SAFETY: as there. All vectors end at or before `n`; the first and the last are read before any is written.
    unsafe {
        if n < ALIGN_FROM {
            return for_each_vector(
                simd,
                sources,
                Some(target),
                n,
                T::default(),
                #[inline(always)]
                |x, _| f(x),
            );
        }
        let first = load_all::<S, T, N>(simd, sources, 0);
        let last = load_all::<S, T, N>(simd, sources, n - lanes);
        let mut at = target.align_offset(LINE).min(lanes);
        while at + lanes <= n {
            store::<S, T>(Some(target), at, f(load_all::<S, T, N>(simd, sources, at)));
            at += lanes;
        }
        store::<S, T>(Some(target), 0, f(first));
        store::<S, T>(Some(target), n - lanes, f(last));
    }
}

/// The vectors at index `at` of the sources.
///
/// # Safety
/// As many elements as a vector has lanes are readable there.
#[inline(always)]
unsafe fn load_all<S: Token, T: Real, const N: usize>(
    simd: S,
    sources: [*const T; N],
    at: usize,
) -> [T::Vector<S>; N] {
    map_array(
        sources,
        #[inline(always)]
        // SAFETY: promised by the caller.
        |source| unsafe { load(simd, source.add(at)) },
    )
}

/// Write a vector at index `at` of the target, if there is one.
///
/// # Safety
/// As many elements as it has lanes are writable there, and no references to them live.
#[inline(always)]
pub(crate) unsafe fn store<S: Token, T: Real>(
    target: Option<*mut T>,
    at: usize,
    value: T::Vector<S>,
) {
    if let Some(target) = target {
        // SAFETY: promised by the caller; an array has its elements' alignment.
        let slots = unsafe {
            &mut *target
                .add(at)
                .cast::<<T::Vector<S> as SimdBase<S>>::Array>()
        };
        value.store_array(slots);
    }
}

/// The vector at `source`.
///
/// # Safety
/// As many elements as it has lanes are readable.
#[inline(always)]
pub(crate) unsafe fn load<S: Token, T: Real>(simd: S, source: *const T) -> T::Vector<S> {
    // SAFETY: promised by the caller; an array has its elements' alignment.
    let array = unsafe { &*source.cast::<<T::Vector<S> as SimdBase<S>>::Array>() };
    T::Vector::<S>::load_array_ref(simd, array)
}

/// The largest of `n` elements, NaN left out; `-inf` if there is none.
///
/// # Safety
/// `source` is valid for `n` reads.
#[inline(always)]
pub(crate) unsafe fn maximum<S: Token, T: Real>(
    simd: S,
    source: *const T,
    n: usize,
    negative_infinity: T,
) -> T {
    // SAFETY: passed on.
    largest_lane::<S, T>(unsafe { lane_maxima(simd, source, n, negative_infinity) })
}

/// The elements of [`maximum`], reduced to one for each lane.
///
/// # Safety
/// As there.
#[inline(always)]
pub(crate) unsafe fn lane_maxima<S: Token, T: Real>(
    simd: S,
    source: *const T,
    n: usize,
    negative_infinity: T,
) -> T::Vector<S> {
    let lanes = T::Vector::<S>::LEN;
    let mut largest = [T::Vector::<S>::splat(simd, negative_infinity); 4];
    let mut at = 0;
    // SAFETY: all loads end at or before `n`.
    unsafe {
        // Four in flight: a comparison takes longer than two more loads.
        while at + 4 * lanes <= n {
            for (k, slot) in largest.iter_mut().enumerate() {
                *slot = slot.larger(load(simd, source.add(at + k * lanes)));
            }
            at += 4 * lanes;
        }
        while at + lanes <= n {
            largest[0] = largest[0].larger(load(simd, source.add(at)));
            at += lanes;
        }
        if n >= lanes {
            largest[1] = largest[1].larger(load(simd, source.add(n - lanes)));
        } else {
            for i in 0..n {
                largest[1].as_mut_slice()[i] = *source.add(i);
            }
            largest[0] = largest[0].larger(largest[1]);
        }
    }
    let [a, b, c, d] = largest;
    a.larger(b).larger(c.larger(d))
}

/// The largest lane, none being NaN.
#[inline(always)]
pub(crate) fn largest_lane<S: Token, T: Real>(lanes: T::Vector<S>) -> T {
    let mut all = lanes;
    if T::Vector::<S>::LEN == 16 {
        all = all.larger(all.slide::<8>(all));
    }
    all = all.larger(all.slide::<4>(all));
    all = all.larger(all.slide::<2>(all));
    all.larger(all.slide::<1>(all))[0]
}

/// Where a row lies among the elements of an operand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// Linear position of the first element.
    pub(crate) start: usize,
    /// Number of elements.
    pub(crate) columns: usize,
}

impl Row {
    /// The row of this index.
    #[inline(always)]
    pub(crate) fn of(index: usize, columns: usize) -> Self {
        Self {
            start: index * columns,
            columns,
        }
    }

    /// Its blocks: where in the row they begin, and how many elements they have.
    #[inline(always)]
    pub(crate) fn blocks(self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.columns)
            .step_by(BLOCK)
            .map(move |first| (first, BLOCK.min(self.columns - first)))
    }
}

/// A block of `n` elements from linear position `start` on, in place or through `buffer`.
#[inline(always)]
pub(crate) fn read_block<S: Token, T: Real>(
    simd: S,
    operand: &Operand<'_>,
    start: usize,
    n: usize,
    buffer: &mut Vec<T>,
) -> *const T {
    if let Some(slice) = operand.as_slice(start, n) {
        return slice.as_ptr();
    }
    let buffer = reserve(buffer, n);
    operand.read(simd, start, buffer);
    buffer.as_ptr()
}

/// `n` elements of a buffer that is made when first needed.
#[inline(always)]
pub(crate) fn reserve<T: Real>(buffer: &mut Vec<T>, n: usize) -> &mut [T] {
    if buffer.len() < n {
        buffer.resize(n.max(BLOCK), T::default());
    }
    &mut buffer[..n]
}

/// Where a block of results goes: straight to the output, or to a buffer first.
pub(crate) struct Target<T> {
    /// `n` writable elements.
    pub(crate) pointer: *mut T,
    buffered: bool,
}

impl<T: Real> Target<T> {
    /// The elements of `out` from linear position `start` on, or `buffer` for them.
    #[inline(always)]
    pub(crate) fn new(out: &OperandMut<'_>, start: usize, n: usize, buffer: &mut Vec<T>) -> Self {
        match out.as_mut_ptr(start, n) {
            Some(pointer) => Self {
                pointer,
                buffered: false,
            },
            None => Self {
                pointer: reserve(buffer, n).as_mut_ptr(),
                buffered: true,
            },
        }
    }

    /// What of `out` is wanted next, given the `start` and `n` of [`Target::new`]: the place of the results after these
    /// or, where they are buffered, theirs.
    #[inline(always)]
    pub(crate) fn ahead(&self, out: &OperandMut<'_>, start: usize, n: usize) -> Ahead {
        let here = Ahead::of(self.pointer);
        if self.buffered {
            out.ahead(start, n).unwrap_or(here)
        } else {
            here.after(n)
        }
    }

    /// Write what was buffered.
    ///
    /// # Safety
    /// All `n` elements have been written to [`Target::pointer`]; `out` and `start` are those of
    /// [`Target::new`], whose buffer has not been touched since; no other thread uses these elements.
    #[inline(always)]
    pub(crate) unsafe fn finish<S: Token>(
        self,
        simd: S,
        out: &OperandMut<'_>,
        start: usize,
        n: usize,
    ) {
        if self.buffered {
            // SAFETY: promised by the caller.
            unsafe { out.write(simd, start, std::slice::from_raw_parts(self.pointer, n)) };
        }
    }
}

/// Work through `rows` rows of `columns` elements, on several threads where there is enough to do; the
/// states of the threads come back.
///
/// # Errors
/// [`Interrupted`] when `keep_going` said no.
pub(crate) fn for_each_row_range<State: Send>(
    rows: usize,
    columns: usize,
    keep_going: &dyn Fn() -> bool,
    init: impl Fn() -> State + Sync,
    work: impl Fn(&mut State, Range<usize>) + Sync,
) -> Result<Vec<State>, Interrupted> {
    if rows < 2 || rows.saturating_mul(columns) < PARALLEL_FROM {
        let _environment = FloatingPointGuard::new();
        let mut state = init();
        work(&mut state, 0..rows);
        return Ok(vec![state]);
    }
    let least = if columns <= BLOCK { GROUP } else { 1 };
    let grain = (GRAIN / columns.max(1)).max(least);
    parallel(rows, grain, keep_going, init, work)
}
