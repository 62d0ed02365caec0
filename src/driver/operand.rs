//! Operands: strided arrays of any element type, read and written block by block.
//!
//! All pointer arithmetic of row functions and losses is here. A kernel asks for `n` elements from a
//! linear position in C order and gets them as a slice of the type it computes in: straight from
//! memory where they lie there contiguously, else converted into a block buffer. So layout and element
//! type never change a result, and nothing is ever copied whole.

use super::layout::{Ahead, Layout};
use crate::dtype::{Dtype, Real, Storage, with_storage};
use crate::lanes::Token;
use std::marker::PhantomData;

/// Elements of a block: 4 KiB of `f32`, 8 KiB of `f64`, well inside the first-level cache.
pub const BLOCK: usize = 1024;

/// An array to read from.
#[derive(Clone, Debug)]
pub struct Operand<'a> {
    data: *const u8,
    dtype: Dtype,
    swapped: bool,
    negated: bool,
    layout: Layout,
    memory: PhantomData<&'a [u8]>,
}

// SAFETY: an operand only reads memory that its creator has promised to stay valid and unwritten for 'a.
unsafe impl Send for Operand<'_> {}
// SAFETY: as above; reading from several threads at once is sound.
unsafe impl Sync for Operand<'_> {}

impl<'a> Operand<'a> {
    /// An array of `shape` whose first element is at `data`, `strides` bytes apart, in the other byte
    /// order if `swapped`.
    ///
    /// # Safety
    /// Every element must be inside memory that is readable and not written by anyone for `'a`, except
    /// through an [`OperandMut`] with the very same elements, each of which is written after it has
    /// been read. Elements may be unaligned.
    #[must_use]
    pub unsafe fn new(
        data: *const u8,
        dtype: Dtype,
        swapped: bool,
        shape: &[usize],
        strides: &[isize],
    ) -> Self {
        Self {
            data,
            dtype,
            swapped: swapped && dtype.size() > 1,
            negated: false,
            layout: Layout::new(shape, strides),
            memory: PhantomData,
        }
    }

    /// The same array, read with the opposite sign: negation is exact, whatever type it is read as.
    #[must_use]
    pub fn negated(&self) -> Self {
        Self {
            negated: !self.negated,
            ..self.clone()
        }
    }

    /// A slice as an operand.
    #[must_use]
    pub fn from_slice<T: Real>(slice: &'a [T]) -> Self {
        // SAFETY: the slice is readable and borrowed for 'a.
        unsafe {
            Self::new(
                slice.as_ptr().cast(),
                T::DTYPE,
                false,
                &[slice.len()],
                &[size_of::<T>() as isize],
            )
        }
    }

    /// Number of elements.
    #[must_use]
    #[allow(
        clippy::len_without_is_empty,
        reason = "a loop bound, never asked for emptiness"
    )]
    pub fn len(&self) -> usize {
        self.layout.len
    }

    /// Type of the elements in memory.
    #[must_use]
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The elements `start .. start + n` in place, where they are `T`s that lie in memory as a slice.
    #[inline]
    #[must_use]
    pub fn as_slice<T: Real>(&self, start: usize, n: usize) -> Option<&'a [T]> {
        if self.dtype != T::DTYPE || self.swapped || self.negated {
            return None;
        }
        let offset = self.layout.contiguous(start, n, size_of::<T>())?;
        let first = self.data.wrapping_offset(offset).cast::<T>();
        // SAFETY: the elements are consecutive, aligned (checked), inside memory readable for 'a, and
        // every bit pattern is a valid float.
        first
            .is_aligned()
            .then(|| unsafe { std::slice::from_raw_parts(first, n) })
    }

    /// Where the elements `start .. start + n` lie, if they do one after the other.
    #[inline]
    pub(crate) fn ahead(&self, start: usize, n: usize) -> Option<Ahead> {
        self.layout.ahead(self.data, self.dtype.size(), (start, n))
    }

    /// How many elements from `start` on lie in place as `T`s of a slice, alignment left open.
    #[inline]
    #[must_use]
    pub(crate) fn run<T: Real>(&self, start: usize) -> usize {
        if self.dtype != T::DTYPE || self.swapped || self.negated {
            return 0;
        }
        self.layout.run(start, size_of::<T>())
    }

    /// Where the first elements of `rows` rows of `columns` elements lie beside each other as `T`s, those of
    /// the `first` row and those after it, and elements from one to the next of a row: an array along its
    /// first axis.
    #[inline]
    #[must_use]
    pub(crate) fn as_columns<T: Real>(
        &self,
        first: usize,
        rows: usize,
        columns: usize,
    ) -> Option<(*const T, isize)> {
        if self.dtype != T::DTYPE || self.swapped || self.negated {
            return None;
        }
        let grid = self.layout.grid(first, rows, columns);
        columns_of(self.data, grid)
            .map(|(first, stride): (*mut T, isize)| (first.cast_const(), stride))
    }

    /// Read the elements `start .. start + out.len()`, converted to `T`.
    pub fn read<S: Token, T: Real>(&self, simd: S, start: usize, out: &mut [T]) {
        with_storage!(self.dtype, E => simd.vectorize(
            #[inline(always)]
            || {
                self.read_as::<E, T>(start, out, |element| T::convert_from(element), |first, run| {
                    // SAFETY: the run's elements lie inside the operand's readable memory.
                    unsafe { E::read_run(simd, first, run) };
                });
                if self.negated {
                    for value in &mut *out {
                        *value = -*value;
                    }
                }
            }
        ));
    }

    /// The elements `start .. start + n` as a slice: in place if they lie so, else through `buffer`.
    #[inline]
    pub fn block<'b, S: Token, T: Real>(
        &self,
        simd: S,
        start: usize,
        n: usize,
        buffer: &'b mut [T],
    ) -> &'b [T]
    where
        'a: 'b,
    {
        if let Some(slice) = self.as_slice(start, n) {
            return slice;
        }
        self.read(simd, start, &mut buffer[..n]);
        &buffer[..n]
    }

    /// Read the elements `start .. start + out.len()` as class ids.
    pub fn read_class_ids<S: Token>(&self, simd: S, start: usize, out: &mut [i64]) {
        with_storage!(self.dtype, E => simd.vectorize(
            #[inline(always)]
            || self.read_as::<E, i64>(start, out, Storage::to_i64, |first, run| {
                for (i, slot) in run.iter_mut().enumerate() {
                    // SAFETY: an element of the run lies inside the operand's readable memory.
                    *slot = unsafe { first.add(i).read_unaligned() }.to_i64();
                }
            })
        ));
    }

    #[inline(always)]
    fn read_as<E: Storage, O>(
        &self,
        start: usize,
        out: &mut [O],
        convert: impl Fn(E) -> O,
        convert_run: impl Fn(*const E, &mut [O]),
    ) {
        let mut filled = 0;
        self.layout.runs(start, out.len(), |offset, stride, n| {
            let first = self.data.wrapping_offset(offset);
            let target = &mut out[filled..filled + n];
            filled += n;
            if stride == size_of::<E>() as isize && !self.swapped {
                convert_run(first.cast(), target);
            } else {
                for (i, slot) in target.iter_mut().enumerate() {
                    let address = first.wrapping_offset(i as isize * stride).cast::<E>();
                    // SAFETY: element i of the run lies inside the operand's readable memory.
                    let element = unsafe { address.read_unaligned() };
                    *slot = convert(if self.swapped {
                        element.swap_bytes()
                    } else {
                        element
                    });
                }
            }
        });
    }
}

/// An array to write to. Cloned for each thread: they write different elements.
#[derive(Clone, Debug)]
pub struct OperandMut<'a> {
    data: *mut u8,
    dtype: Dtype,
    swapped: bool,
    layout: Layout,
    memory: PhantomData<&'a mut [u8]>,
}

// SAFETY: the creator has promised exclusive access for 'a, and threads write disjoint elements.
unsafe impl Send for OperandMut<'_> {}
// SAFETY: as above.
unsafe impl Sync for OperandMut<'_> {}

impl OperandMut<'_> {
    /// An array of `shape` whose first element is at `data`, `strides` bytes apart, in the other byte
    /// order if `swapped`. `dtype` is a floating type.
    ///
    /// # Safety
    /// Every element must be inside memory that is writable for `'a`, and used by nobody else in that
    /// time but an [`Operand`] with the very same elements that is read first. No two elements overlap.
    #[must_use]
    pub unsafe fn new(
        data: *mut u8,
        dtype: Dtype,
        swapped: bool,
        shape: &[usize],
        strides: &[isize],
    ) -> Self {
        assert!(dtype.is_float());
        Self {
            data,
            dtype,
            swapped,
            layout: Layout::new(shape, strides),
            memory: PhantomData,
        }
    }

    /// Number of elements.
    #[must_use]
    #[allow(
        clippy::len_without_is_empty,
        reason = "a loop bound, never asked for emptiness"
    )]
    pub fn len(&self) -> usize {
        self.layout.len
    }

    /// Type of the elements in memory.
    #[must_use]
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Where the elements `start .. start + n` lie, if they are `T`s that form an aligned slice.
    #[inline]
    #[must_use]
    pub fn as_mut_ptr<T: Real>(&self, start: usize, n: usize) -> Option<*mut T> {
        if self.dtype != T::DTYPE || self.swapped {
            return None;
        }
        let offset = self.layout.contiguous(start, n, size_of::<T>())?;
        let first = self.data.wrapping_offset(offset).cast::<T>();
        first.is_aligned().then_some(first)
    }

    /// As [`Operand::ahead`].
    #[inline]
    pub(crate) fn ahead(&self, start: usize, n: usize) -> Option<Ahead> {
        self.layout.ahead(self.data, self.dtype.size(), (start, n))
    }

    /// As [`Operand::run`].
    #[inline]
    #[must_use]
    pub(crate) fn run<T: Real>(&self, start: usize) -> usize {
        if self.dtype != T::DTYPE || self.swapped {
            return 0;
        }
        self.layout.run(start, size_of::<T>())
    }

    /// As [`Operand::as_columns`].
    #[inline]
    #[must_use]
    pub(crate) fn as_mut_columns<T: Real>(
        &self,
        first: usize,
        rows: usize,
        columns: usize,
    ) -> Option<(*mut T, isize)> {
        if self.dtype != T::DTYPE || self.swapped {
            return None;
        }
        columns_of(self.data, self.layout.grid(first, rows, columns))
    }

    /// Write `values` to the elements from `start` on, each rounded once to the element type.
    ///
    /// # Safety
    /// No other thread may read or write these elements at the same time.
    pub unsafe fn write<S: Token, T: Real>(&self, simd: S, start: usize, values: &[T]) {
        with_storage!(self.dtype, E => simd.vectorize(
            #[inline(always)]
            || {
                let mut done = 0;
                self.layout.runs(start, values.len(), |offset, stride, n| {
                    let first = self.data.wrapping_offset(offset);
                    let source = &values[done..done + n];
                    done += n;
                    if stride == size_of::<E>() as isize && !self.swapped {
                        // SAFETY: the run's elements lie inside the operand's writable memory, which the caller
                        // lets this thread write.
                        unsafe { E::write_run(simd, source, first.cast()) };
                    } else {
                        for (i, &value) in source.iter().enumerate() {
                            let element: E = value.convert_to();
                            let element = if self.swapped { element.swap_bytes() } else { element };
                            let address = first.wrapping_offset(i as isize * stride).cast::<E>();
                            // SAFETY: as above, with the operand's own stride.
                            unsafe { address.write_unaligned(element) };
                        }
                    }
                });
            }
        ));
    }
}

/// See [`Operand::as_columns`].
#[inline]
fn columns_of<T>(data: *const u8, grid: Option<(isize, [isize; 2])>) -> Option<(*mut T, isize)> {
    let (offset, [between, stride]) = grid?;
    let size = size_of::<T>() as isize;
    let first = data.wrapping_offset(offset).cast::<T>().cast_mut();
    (between == size && stride % size == 0 && first.is_aligned()).then_some((first, stride / size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::F16;
    use fearless_simd::Fallback;
    use proptest::prelude::*;

    #[test]
    fn contiguous_axes_merge_and_slices_are_found() {
        let values: Vec<f32> = (0..24).map(|i| i as f32).collect();
        let operand =
            // SAFETY: shape and strides describe the 24 elements of `values`.
            unsafe { Operand::new(values.as_ptr().cast(), Dtype::Float32, false, &[2, 3, 4], &[48, 16, 4]) };
        assert_eq!(operand.as_slice::<f32>(5, 12), Some(&values[5..17]));
        assert_eq!(operand.as_slice::<f64>(0, 1), None);
    }

    #[test]
    fn writes_round_and_swap() {
        let mut memory = [0_u16; 6];
        let strides = [-4];
        let last = memory.as_mut_ptr().wrapping_add(4).cast();
        // SAFETY: elements 4, 2, 0 of `memory`, exclusively borrowed by this test.
        let target = unsafe { OperandMut::new(last, Dtype::Float16, true, &[3], &strides) };
        // SAFETY: single-threaded.
        unsafe { target.write(Fallback::new(), 1, &[1.0_f64, 65520.0]) };
        let expected = [F16(0x7c00), F16(0x3c00)].map(|half| half.swap_bytes().0);
        assert_eq!(memory, [expected[0], 0, expected[1], 0, 0, 0]);
    }

    proptest! {
        #[test]
        fn reads_what_indexing_reads(
            shape in prop::collection::vec(1_usize..5, 0..4),
            steps in prop::collection::vec(-3_isize..4, 4),
            window in (0_usize..300, 0_usize..300),
        ) {
            let memory: Vec<i32> = (0..4096).map(|i| i * 7 - 9000).collect();
            let strides: Vec<isize> = steps[..shape.len()].iter().map(|step| step * 4 * 5).collect();
            let origin = memory.as_ptr().wrapping_add(2048);
            // SAFETY: at most 3 axes of 4 elements, 15 * 4 integers apart: inside 2048 either side.
            let operand = unsafe { Operand::new(origin.cast(), Dtype::Int32, false, &shape, &strides) };
            let len: usize = shape.iter().product();
            prop_assert_eq!(operand.len(), len);
            let (start, end) = (window.0 % (len + 1), window.1 % (len + 1));
            let (start, end) = (start.min(end), start.max(end));
            let mut got = vec![0.0_f64; end - start];
            operand.read(Fallback::new(), start, &mut got);
            let mut ids = vec![0_i64; end - start];
            operand.read_class_ids(Fallback::new(), start, &mut ids);
            for (position, (&value, &id)) in (start..end).zip(got.iter().zip(&ids)) {
                let (mut rest, mut offset) = (position, 0);
                for (size, stride) in shape.iter().zip(&strides).rev() {
                    offset += (rest % size) as isize * stride / 4;
                    rest /= size;
                }
                let expected = memory[(2048 + offset) as usize];
                prop_assert_eq!(value, f64::from(expected));
                prop_assert_eq!(id, i64::from(expected));
            }
        }
    }
}
