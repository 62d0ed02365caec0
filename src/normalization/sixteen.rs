//! Sixteen elements at a time as two vectors of `f64`, whatever the type in memory: what rows and channels
//! are summed and mapped in.
//!
//! For `f32` the conversions bind: to `f64` and back they take two instructions each for eight elements,
//! nearly as much as all the arithmetic of a normalisation. So an element is converted once in each
//! direction where that can be, and results go straight to the output.

use crate::driver::operand::{Operand, OperandMut};
use crate::dtype::Real;
use crate::lanes::transpose::load_four_columns;
use crate::lanes::{Lanes, Line, Token, map_array};
use fearless_simd::prelude::*;
use fearless_simd::{f32x16, f64x8, mask64x8};

/// Elements at a time.
pub(super) const LANES: usize = 16;

/// Columns of rows that are read and written together.
pub(super) const COLUMNS: usize = 4;

/// Sixteen numbers.
pub(super) type Pair<S> = [f64x8<S>; 2];

/// A compute type that is read and written sixteen elements at a time.
pub(super) trait Sixteen: Real {
    /// Whether its sums carry the error of every addition along: those of `f32` have bits to spare.
    const EXACT: bool;

    /// The sixteen elements at `source`.
    ///
    /// # Safety
    /// They are readable.
    unsafe fn load<S: Token>(simd: S, source: *const Self) -> Pair<S>;

    /// Write sixteen elements to `target`, each rounded once.
    ///
    /// # Safety
    /// They are writable, and no references to them live.
    unsafe fn store<S: Token>(values: Pair<S>, target: *mut Self);

    /// Write sixteen elements to `target`, past the caches where that is wanted and they make whole lines.
    ///
    /// # Safety
    /// They are writable, and no references to them live.
    #[inline(always)]
    unsafe fn put<S: Token>(values: Pair<S>, target: *mut Self, streamed: bool) {
        // SAFETY: promised by the caller; the lines are aligned.
        unsafe {
            if streamed && target.cast::<Line>().is_aligned() {
                Self::stream(values, target.cast());
            } else {
                Self::store(values, target);
            }
        }
    }

    /// Write sixteen elements past the caches.
    ///
    /// # Safety
    /// There are as many lines as they fill, writable, and no references to them live.
    unsafe fn stream<S: Token>(values: Pair<S>, target: *mut Line);

    /// The first four elements of sixteen rows a step apart, column by column.
    ///
    /// # Safety
    /// They are readable.
    #[inline(always)]
    unsafe fn load_columns<S: Token>(
        simd: S,
        source: *const Self,
        step: usize,
    ) -> [Pair<S>; COLUMNS] {
        let mut columns = [[0.0; LANES]; COLUMNS];
        for (column, lanes) in columns.iter_mut().enumerate() {
            for (row, lane) in lanes.iter_mut().enumerate() {
                // SAFETY: promised by the caller.
                *lane = unsafe { *source.add(row * step + column) }.into();
            }
        }
        // SAFETY: sixteen elements each.
        map_array(
            columns,
            #[inline(always)]
            |lanes| unsafe { f64::load(simd, lanes.as_ptr()) },
        )
    }

    /// Write the first four elements of sixteen rows a step apart, each rounded once.
    ///
    /// # Safety
    /// They are writable, and no references to them live.
    #[inline(always)]
    unsafe fn store_columns<S: Token>(values: [Pair<S>; COLUMNS], target: *mut Self, step: usize) {
        for (column, values) in values.into_iter().enumerate() {
            let mut lanes = [0.0; LANES];
            // SAFETY: sixteen elements.
            unsafe { f64::store(values, lanes.as_mut_ptr()) };
            for (row, lane) in lanes.into_iter().enumerate() {
                // SAFETY: promised by the caller.
                unsafe { *target.add(row * step + column) = Self::nearest(lane) };
            }
        }
    }

    /// The first `n` elements at `source`, then zeros.
    ///
    /// # Safety
    /// `n` elements are readable, at most 16.
    #[inline(always)]
    unsafe fn load_first<S: Token>(simd: S, source: *const Self, n: usize) -> Pair<S> {
        let mut padded = [Self::default(); LANES];
        for (k, slot) in padded[..n].iter_mut().enumerate() {
            // SAFETY: promised by the caller.
            *slot = unsafe { *source.add(k) };
        }
        // SAFETY: sixteen elements.
        unsafe { Self::load(simd, padded.as_ptr()) }
    }

    /// Sixteen elements, or the first `n` and zeros.
    ///
    /// # Safety
    /// `n` elements are readable.
    #[inline(always)]
    unsafe fn load_upto<S: Token>(simd: S, source: *const Self, n: usize) -> Pair<S> {
        // SAFETY: promised by the caller.
        unsafe {
            if n >= LANES {
                Self::load(simd, source)
            } else {
                Self::load_first(simd, source, n)
            }
        }
    }

    /// Sixteen elements of a row.
    ///
    /// # Safety
    /// The row's elements are readable.
    #[inline(always)]
    unsafe fn load_at<S: Token>(simd: S, row: *const Self, at: At) -> Pair<S> {
        // SAFETY: promised by the caller.
        unsafe {
            if at.columns >= LANES {
                Self::load(simd, row.add(at.start))
            } else {
                Self::load_first(simd, row, at.columns)
            }
        }
    }

    /// Write sixteen elements of a row.
    ///
    /// # Safety
    /// The row's elements are writable, and no references to them live.
    #[inline(always)]
    unsafe fn store_at<S: Token>(values: Pair<S>, row: *mut Self, at: At) {
        // SAFETY: promised by the caller.
        unsafe {
            if at.columns >= LANES {
                Self::store(values, row.add(at.start));
            } else {
                Self::store_first(values, row, at.columns);
            }
        }
    }

    /// Write the first `n` elements to `target`.
    ///
    /// # Safety
    /// `n` elements are writable, at most 16, and no references to them live.
    #[inline(always)]
    unsafe fn store_first<S: Token>(values: Pair<S>, target: *mut Self, n: usize) {
        let mut padded = [Self::default(); LANES];
        // SAFETY: sixteen elements.
        unsafe { Self::store(values, padded.as_mut_ptr()) };
        for (k, value) in padded[..n].iter().enumerate() {
            // SAFETY: promised by the caller.
            unsafe { *target.add(k) = *value };
        }
    }
}

impl Sixteen for f32 {
    const EXACT: bool = false;

    #[inline(always)]
    unsafe fn load<S: Token>(simd: S, source: *const f32) -> Pair<S> {
        // SAFETY: promised by the caller; an array has its elements' alignment.
        let (low, high) = f32x16::load_array_ref(simd, unsafe { &*source.cast() }).widen();
        [low, high]
    }

    #[inline(always)]
    unsafe fn store<S: Token>([low, high]: Pair<S>, target: *mut f32) {
        // SAFETY: as above.
        low.narrow(high)
            .store_array(unsafe { &mut *target.cast::<[f32; LANES]>() });
    }

    #[inline(always)]
    unsafe fn load_columns<S: Token>(
        simd: S,
        source: *const f32,
        step: usize,
    ) -> [Pair<S>; COLUMNS] {
        map_array(
            // SAFETY: promised by the caller.
            unsafe { load_four_columns(simd, source, step) },
            #[inline(always)]
            |column| {
                let (low, high) = column.widen();
                [low, high]
            },
        )
    }

    #[inline(always)]
    unsafe fn store_columns<S: Token>(values: [Pair<S>; COLUMNS], target: *mut f32, step: usize) {
        let simd = values[0][0].token();
        let vectors = map_array(
            values,
            #[inline(always)]
            |[low, high]| low.narrow(high),
        );
        for (i, vector) in simd.transpose_blocks(vectors).into_iter().enumerate() {
            let (low, high) = vector.split();
            let ((a, b), (c, d)) = (low.split(), high.split());
            for (k, block) in [a, b, c, d].into_iter().enumerate() {
                // SAFETY: promised by the caller; an array has its elements' alignment.
                block.store_array(unsafe { &mut *target.add((4 * k + i) * step).cast() });
            }
        }
    }

    #[inline(always)]
    unsafe fn stream<S: Token>([low, high]: Pair<S>, target: *mut Line) {
        // SAFETY: promised by the caller.
        Lanes::stream(low.narrow(high), unsafe { &mut *target });
    }
}

impl Sixteen for f64 {
    const EXACT: bool = true;

    #[inline(always)]
    unsafe fn load<S: Token>(simd: S, source: *const f64) -> Pair<S> {
        // SAFETY: promised by the caller; an array has its elements' alignment.
        let [low, high]: &[[f64; 8]; 2] = unsafe { &*source.cast() };
        [
            f64x8::load_array_ref(simd, low),
            f64x8::load_array_ref(simd, high),
        ]
    }

    #[inline(always)]
    unsafe fn store<S: Token>([low, high]: Pair<S>, target: *mut f64) {
        // SAFETY: as above.
        let [low_slot, high_slot]: &mut [[f64; 8]; 2] = unsafe { &mut *target.cast() };
        low.store_array(low_slot);
        high.store_array(high_slot);
    }

    #[inline(always)]
    unsafe fn stream<S: Token>([low, high]: Pair<S>, target: *mut Line) {
        // SAFETY: promised by the caller.
        unsafe {
            Lanes::stream(low, &mut *target);
            Lanes::stream(high, &mut *target.add(1));
        }
    }
}

/// What is read.
#[derive(Clone, Copy)]
pub(super) struct Operands<'a> {
    pub(super) x: &'a Operand<'a>,
    pub(super) dy: Option<&'a Operand<'a>>,
}

/// Bytes of results from which on they are streamed past the caches, where no reader would find them. Parts of batches
/// never are (`channel_maps.rs`).
const STREAM_FROM: usize = 1 << 25;

/// Whether results are to be streamed: if they are many, and not in place, where the lines are there already.
pub(super) fn is_streamed<O: Sixteen>(of: Operands<'_>, out: &OperandMut<'_>) -> bool {
    if out.len() * size_of::<O>() < STREAM_FROM {
        return false;
    }
    let place = out.as_mut_ptr::<O>(0, 1).map(<*mut O>::cast_const);
    let is_place = |of: &Operand<'_>| of.as_slice::<O>(0, 1).map(<[O]>::as_ptr) == place;
    place.is_some() && !is_place(of.x) && !of.dy.is_some_and(is_place)
}

/// Numbers in whole vectors, aligned so that none lies across two cache lines.
#[derive(Default)]
pub(super) struct Aligned {
    vectors: Vec<Vectors>,
}

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Vectors([f64; LANES]);

impl Aligned {
    /// The numbers, and zeros up to whole vectors.
    pub(super) fn of(values: &[f64]) -> Self {
        let mut all = Self::default();
        all.reserve(values.len());
        for (line, values) in all.vectors.iter_mut().zip(values.chunks(LANES)) {
            line.0[..values.len()].copy_from_slice(values);
        }
        all
    }

    /// Room for `n` numbers, zeros at first.
    #[inline(always)]
    pub(super) fn reserve(&mut self, n: usize) -> *mut f64 {
        let len = n.div_ceil(LANES);
        if self.vectors.len() < len {
            self.vectors.resize(len, Vectors([0.0; LANES]));
        }
        self.vectors.as_mut_ptr().cast()
    }

    /// As many as were reserved.
    #[inline(always)]
    pub(super) fn as_slice(&self) -> &[f64] {
        // SAFETY: lines are arrays, without padding: their size is a multiple of their alignment.
        unsafe {
            std::slice::from_raw_parts(self.vectors.as_ptr().cast(), self.vectors.len() * LANES)
        }
    }

    /// As many as were reserved.
    #[inline(always)]
    pub(super) fn as_mut_slice(&mut self) -> &mut [f64] {
        let len = self.vectors.len() * LANES;
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.vectors.as_mut_ptr().cast(), len) }
    }
}

/// Where in a row sixteen elements are.
#[derive(Clone, Copy)]
pub(super) struct At {
    /// The first of them.
    pub(super) start: usize,
    /// Those before this lane were in the vector before, or the row has none such.
    new: usize,
    /// Which two of four vectors their sums are in.
    pub(super) vector: usize,
    columns: usize,
}

impl At {
    /// Whether all of them are new.
    #[inline(always)]
    pub(super) fn is_whole(self) -> bool {
        self.new == 0 && self.columns >= LANES
    }

    /// Zeros in place of what the vector before had, and of what the row has not.
    #[inline(always)]
    pub(super) fn new_only<S: Token>(self, simd: S, values: Pair<S>) -> Pair<S> {
        let bits = if self.columns < LANES {
            (1_u64 << self.columns) - 1
        } else if self.new > 0 {
            0xffff_u64 << self.new
        } else {
            return values;
        };
        keep(simd, values, bits)
    }
}

/// Call `f` for each sixteen of `columns` elements. The last ones end with the row, and have some of those
/// before once more, so that a tail costs no copy; a row of fewer is filled up behind.
#[inline(always)]
pub(super) fn for_each_sixteen(columns: usize, mut f: impl FnMut(At)) {
    let mut at = At {
        start: 0,
        new: 0,
        vector: 0,
        columns: LANES,
    };
    while at.start + 2 * LANES <= columns {
        f(at);
        f(At {
            start: at.start + LANES,
            vector: 2,
            ..at
        });
        at.start += 2 * LANES;
    }
    // Which vectors sums are in is a constant at each call: they stay in registers.
    let last = |vector: usize, next: usize| {
        let start = columns.saturating_sub(LANES);
        At {
            start,
            new: next - start,
            vector,
            columns,
        }
    };
    if at.start + LANES <= columns {
        f(at);
        if at.start + LANES < columns {
            f(last(2, at.start + LANES));
        }
    } else if at.start < columns {
        f(last(0, at.start));
    }
}

/// Call `f(at, vector, n)` for each sixteen of `columns` elements, the last `n` less than sixteen, whose sums
/// are in vectors `vector` and `vector + 1` of four.
#[inline(always)]
pub(super) fn for_each_vector(columns: usize, mut f: impl FnMut(usize, usize, usize)) {
    let mut at = 0;
    while at + 2 * LANES <= columns {
        f(at, 0, LANES);
        f(at + LANES, 2, LANES);
        at += 2 * LANES;
    }
    // Constants at each call, so that sums stay in registers.
    if at + LANES <= columns {
        f(at, 0, LANES);
        if at + LANES < columns {
            f(at + LANES, 2, columns - at - LANES);
        }
    } else if at < columns {
        f(at, 0, columns - at);
    }
}

/// The last sixteen elements of a row; of fewer, all, and zeros.
///
/// # Safety
/// The row's elements are readable.
#[inline(always)]
pub(super) unsafe fn load_last<S: Token, T: Sixteen>(
    simd: S,
    row: *const T,
    columns: usize,
) -> Pair<S> {
    // SAFETY: promised by the caller.
    unsafe {
        if columns < LANES {
            T::load_first(simd, row, columns)
        } else {
            T::load(simd, row.add(columns - LANES))
        }
    }
}

/// Zeros but for the first `n` lanes.
#[inline(always)]
pub(super) fn first<S: Token>(simd: S, values: Pair<S>, n: usize) -> Pair<S> {
    if n >= LANES {
        return values;
    }
    keep(simd, values, (1 << n) - 1)
}

/// Zeros but for the lanes of the bits.
#[inline(always)]
fn keep<S: Token>(simd: S, values: Pair<S>, bits: u64) -> Pair<S> {
    let zero = f64x8::splat(simd, 0.0);
    [
        mask64x8::from_bitmask(simd, bits & 0xff).select(values[0], zero),
        mask64x8::from_bitmask(simd, bits >> 8 & 0xff).select(values[1], zero),
    ]
}

/// Both halves through a function.
#[inline(always)]
pub(super) fn zip<S: Token>(
    a: Pair<S>,
    b: Pair<S>,
    f: impl Fn(f64x8<S>, f64x8<S>) -> f64x8<S>,
) -> Pair<S> {
    [f(a[0], b[0]), f(a[1], b[1])]
}

/// The products of two vectors' lanes.
#[inline(always)]
pub(super) fn multiply<S: Token>(a: Pair<S>, b: Pair<S>) -> Pair<S> {
    [a[0] * b[0], a[1] * b[1]]
}

/// `a * b + c`, rounded once.
#[inline(always)]
pub(super) fn multiply_add<S: Token>(a: Pair<S>, b: Pair<S>, c: Pair<S>) -> Pair<S> {
    [a[0].fma(b[0], c[0]), a[1].fma(b[1], c[1])]
}
