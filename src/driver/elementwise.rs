//! Elementwise kernels: one per function and compute type, fed block by block from any layout.
//!
//! A kernel sees contiguous elements of the type it computes in. What lies so in memory goes to it
//! directly, however long; everything else (strides, 16-bit floats, integers, a parameter that is one
//! value for all) passes through block buffers in the first-level cache. Every element takes the same
//! vector code, the last few of an array too, so its result depends on nothing but its value.

use super::threads::parallel;
use crate::dtype::{Dtype, Real, Storage, with_storage};
use crate::lanes::{LINE, Lanes, Line, Token, fence_streamed, prefetch};
use crate::level::{Level, OnLevel};
use fearless_simd::prelude::*;
use std::array::from_fn;
use std::marker::PhantomData;
use std::ops::Range;

/// Operands of a kernel at most: an upstream gradient, the input, two parameters.
pub const MAX_INPUTS: usize = 4;

/// Elements of a block buffer: five of them, of `f64`, fill half a first-level cache.
const BUFFER: usize = 512;

/// The same for few elements, which take less time than making the larger buffers does.
const SMALL_BUFFER: usize = 32;

/// Elements that are looked at before they are computed, where a function has a common form: so many
/// that the test costs little, so few that a rare uncommon one is alone with few others.
pub const BLOCK: usize = 128;

/// Bytes by which memory is asked for what will be read. Without that, a CPU whose own guesses stop at
/// the end of a page waits at each: 1M values, in the third-level cache, would take a quarter to a half longer.
const AHEAD: usize = 2048;

/// Bytes of results from which on they are streamed past the caches: no reader would find them there. The
/// 64 MB of 16M values then take half to three quarters of the time.
const STREAM_FROM: usize = 1 << 25;

/// Elements a thread takes at a time, some 10 µs of work; and from how many on threads are woken.
const GRAIN: usize = 1 << 15;
const PARALLEL_FROM: usize = 1 << 17;

/// A function on lanes.
pub trait Function {
    /// Number of operands.
    const INPUTS: usize;

    /// The function of the operands `operand(0)`, `operand(1)`, ...
    fn apply<S: Token, V: Lanes<S>>(simd: S, operand: impl Fn(usize) -> V) -> V;

    /// Where `apply_common` may stand for `apply`: in blocks of `f32` whose first operand is below this
    /// everywhere, by absolute value.
    const COMMON: Option<f32> = None;

    /// What all further operands must be there: the value of a parameter that has a form of its own.
    const COMMON_PARAMETER: f64 = 1.0;

    /// The same bits as `apply`, faster, for common operands. Never NaN.
    #[inline(always)]
    fn apply_common<S: Token, V: Lanes<S>>(simd: S, operand: impl Fn(usize) -> V) -> V {
        Self::apply(simd, operand)
    }
}

/// A [`Function`] compiled for the compute type `T` on all levels: reads `n` elements at each input,
/// writes `n` at the output, which may be one of the inputs.
///
/// # Safety
/// There are [`Function::INPUTS`] inputs; each is valid for `n` reads and the output for `n` writes,
/// all aligned. The output is either exactly an input or overlaps none. It is aligned to [`LINE`] if it
/// is to be streamed.
pub type Kernel<T> = unsafe fn(Level, &[*const T], *mut T, usize, Stores);

/// Where a kernel's results go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stores {
    /// Into the caches, as ever.
    Cached,
    /// Past them; see [`Line`].
    Streamed,
}

/// A [`Function`] compiled for both compute types.
#[derive(Clone, Copy, Debug)]
pub struct Kernels {
    /// Number of operands.
    pub inputs: usize,
    /// For `float32`.
    pub single: Kernel<f32>,
    /// For all other types: 16-bit floats too, since one rounding of a `float64` result is right where
    /// a second rounding of a `float32` result would not be.
    pub double: Kernel<f64>,
}

impl Kernels {
    /// The kernels of a function.
    #[must_use]
    pub const fn of<F: Function>() -> Self {
        Self {
            inputs: F::INPUTS,
            single: kernel::<F, f32>,
            double: kernel::<F, f64>,
        }
    }
}

/// See [`Kernel`]. The last elements, too few to fill the lanes, are the end of a vector that begins among
/// those before; where that cannot be, they go through the same loop as a padded vector of their own.
/// So there is one copy of a function's code for a level, not two.
unsafe fn kernel<F: Function, T: Real>(
    level: Level,
    inputs: &[*const T],
    output: *mut T,
    n: usize,
    stores: Stores,
) {
    let lanes = VECTOR_BYTES / size_of::<T>();
    // In place, the elements before are results already; and only whole lines are streamed.
    let overlap = n >= lanes && stores == Stores::Cached && !inputs.contains(&output.cast_const());
    let whole = if overlap { n } else { n - n % lanes };
    if whole > 0 {
        level.dispatch(Pass::<F, T>::new(inputs, output, whole, stores));
        if stores == Stores::Streamed {
            fence_streamed();
        }
    }
    let rest = n - whole;
    if rest > 0 {
        let mut padded = [[T::default(); VECTOR_BYTES / size_of::<f32>()]; MAX_INPUTS];
        let mut result = padded[0];
        for (padded, input) in padded.iter_mut().zip(inputs) {
            // SAFETY: `rest` elements are readable at `whole`, and fewer than the lanes.
            unsafe {
                input
                    .add(whole)
                    .copy_to_nonoverlapping(padded.as_mut_ptr(), rest);
            }
        }
        let pointers = padded.each_ref().map(|padded| padded.as_ptr());
        let inputs = &pointers[..inputs.len()];
        let pass = Pass::<F, T>::new(inputs, result.as_mut_ptr(), lanes, Stores::Cached);
        level.dispatch(pass);
        // SAFETY: `rest` elements are writable at `whole`.
        unsafe {
            output
                .add(whole)
                .copy_from_nonoverlapping(result.as_ptr(), rest);
        }
    }
}

/// The elements of a vector.
type Array<S, T> = <<T as Real>::Vector<S> as SimdBase<S>>::Array;

/// Bytes of a vector, in registers or not, on every level.
const VECTOR_BYTES: usize = LINE;

/// The loop of a kernel, over at least a vector of elements; the last vector may begin among those of the
/// one before, unless the output is an input or streamed. Made only by [`kernel`], whose contract it works under.
struct Pass<'a, F, T> {
    inputs: &'a [*const T],
    output: *mut T,
    n: usize,
    stores: Stores,
    function: PhantomData<F>,
}

impl<'a, F, T> Pass<'a, F, T> {
    fn new(inputs: &'a [*const T], output: *mut T, n: usize, stores: Stores) -> Self {
        Self {
            inputs,
            output,
            n,
            stores,
            function: PhantomData,
        }
    }
}

impl<F: Function, T: Real> OnLevel for Pass<'_, F, T> {
    type Output = ();

    fn run<S: Token>(self, simd: S) {
        simd.vectorize(
            #[inline(always)]
            || self.on_lanes(simd),
        );
    }
}

impl<F: Function, T: Real> Pass<'_, F, T> {
    #[inline(always)]
    fn on_lanes<S: Token>(self, simd: S) {
        let lanes = T::Vector::<S>::LEN;
        debug_assert!(self.n >= lanes, "a part of a vector");
        // The compiler cannot know that no store changes the list of pointers: a copy that nobody sees.
        let inputs: [*const T; MAX_INPUTS] =
            from_fn(|k| self.inputs.get(k).map_or(std::ptr::null(), |input| *input));
        // Two ranges of whole vectors rather than a last vector that moves: the loops stay as they are.
        let whole = self.n - self.n % lanes;
        let last = if whole < self.n {
            self.n - lanes
        } else {
            self.n
        };

        // A constant, so that the other branch is not even compiled.
        if const { F::COMMON.is_none() || !matches!(T::DTYPE, Dtype::Float32) } {
            for Range { start, end } in [0..whole, last..self.n] {
                for i in (start..end).step_by(lanes) {
                    prefetch_ahead::<F, T>(&inputs, i);
                    self.general(simd, &inputs, i, true);
                }
            }
            return;
        }
        let bound = f64::from(F::COMMON.unwrap_or(0.0));
        for range in [0..whole, last..self.n] {
            for start in range.clone().step_by(BLOCK) {
                let block = || (start..range.end.min(start + BLOCK)).step_by(lanes);
                let first = block().map(
                    #[inline(always)]
                    |i| {
                        prefetch_ahead::<F, T>(&inputs, i);
                        self.load(simd, inputs[0], i)
                    },
                );
                let sizes = sizes(simd, bound, first);
                let common = sizes == Sizes::Below
                    && (1..F::INPUTS).all(
                        #[inline(always)]
                        |k| {
                            let values = block().map(
                                #[inline(always)]
                                |i| self.load(simd, inputs[k], i),
                            );
                            all_equal(simd, F::COMMON_PARAMETER, values)
                        },
                    );
                if common {
                    for i in block() {
                        let y = F::apply_common(
                            simd,
                            #[inline(always)]
                            |k| self.load(simd, inputs[k], i),
                        );
                        self.store(i, y);
                    }
                } else {
                    // Functions of one operand give NaN for NaN only.
                    let may_be_nan = F::INPUTS > 1 || sizes == Sizes::Missing;
                    for i in block() {
                        self.general(simd, &inputs, i, may_be_nan);
                    }
                }
            }
        }
    }
}

// Functions rather than closures, which the compiler may leave out of line, where they would be compiled for
// the baseline CPU and call a function for every operation: twenty to fifty times slower.
impl<F: Function, T: Real> Pass<'_, F, T> {
    /// The vector at `i`, for `i + lanes <= n`.
    #[inline(always)]
    fn load<S: Token>(&self, simd: S, input: *const T, i: usize) -> T::Vector<S> {
        debug_assert!(i + T::Vector::<S>::LEN <= self.n, "past the end");
        // SAFETY: these elements are readable; the reference to them ends here, before anything is stored.
        let source = unsafe { &*input.add(i).cast::<Array<S, T>>() };
        T::Vector::<S>::load_array_ref(simd, source)
    }

    /// Store the vector at `i`, for `i + lanes <= n`.
    #[inline(always)]
    fn store<S: Token>(&self, i: usize, y: T::Vector<S>) {
        debug_assert!(i + T::Vector::<S>::LEN <= self.n, "past the end");
        // SAFETY: these elements are writable, and no reference to them lives. Vectors are as long as
        // lines, on which streamed output begins.
        unsafe {
            let target = self.output.add(i);
            match self.stores {
                Stores::Cached => y.store_array(&mut *target.cast::<Array<S, T>>()),
                Stores::Streamed => y.stream(&mut *target.cast::<Line>()),
            }
        }
    }

    /// The general form at `i`, for `i + lanes <= n`.
    #[inline(always)]
    fn general<S: Token>(
        &self,
        simd: S,
        inputs: &[*const T; MAX_INPUTS],
        i: usize,
        may_be_nan: bool,
    ) {
        let y = F::apply(
            simd,
            #[inline(always)]
            |k| self.load(simd, inputs[k], i),
        );
        let y = if may_be_nan {
            canonical_nan(simd, y)
        } else {
            y
        };
        self.store(i, y);
    }
}

/// Ask for what will be read.
#[inline(always)]
fn prefetch_ahead<F: Function, T>(inputs: &[*const T; MAX_INPUTS], i: usize) {
    for input in &inputs[..F::INPUTS] {
        prefetch(input.wrapping_add(i + AHEAD / size_of::<T>()));
    }
}

/// What there is among the absolute values of a block.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sizes {
    /// All are below the bound.
    Below,
    /// Not all, but none is NaN.
    Large,
    /// Some are NaN.
    Missing,
}

/// Look at the absolute values of a block.
#[inline(always)]
pub fn sizes<S: Token, V: Lanes<S>>(
    simd: S,
    bound: f64,
    numbers: impl Iterator<Item = V>,
) -> Sizes {
    // The order of the bits is that of the numbers, NaN the greatest.
    let mut greatest = V::bits(simd, 0);
    for x in numbers {
        greatest = greatest.max(x.abs().to_bits());
    }
    let infinity = V::lit(simd, f64::INFINITY).to_bits();
    if greatest.simd_lt(V::lit(simd, bound).to_bits()).all_true() {
        Sizes::Below
    } else if greatest.simd_le(infinity).all_true() {
        Sizes::Large
    } else {
        Sizes::Missing
    }
}

/// Whether all numbers are this one.
#[inline(always)]
fn all_equal<S: Token, V: Lanes<S>>(simd: S, value: f64, numbers: impl Iterator<Item = V>) -> bool {
    let value = V::lit(simd, value).to_bits();
    let mut difference = V::bits(simd, 0);
    for x in numbers {
        difference |= x.to_bits() ^ value;
    }
    difference.simd_eq(V::bits(simd, 0)).all_true()
}

/// NaN as the positive quiet NaN without payload: which of two NaNs survives an addition, and the sign
/// of a generated one, differ between instruction sets.
#[inline(always)]
pub fn canonical_nan<S: Token, V: Lanes<S>>(simd: S, x: V) -> V {
    x.is_nan().select(V::lit(simd, f64::NAN), x)
}

/// One operand as NumPy hands it over: first element, bytes to the next one, element type.
#[derive(Clone, Copy, Debug)]
pub struct Strided {
    /// Address of the first element.
    pub data: *mut u8,
    /// Bytes from one element to the next: 0, negative and odd ones too.
    pub stride: isize,
    /// Element type.
    pub dtype: Dtype,
}

impl Strided {
    fn at(self, index: usize) -> *mut u8 {
        self.data.wrapping_offset(index as isize * self.stride)
    }

    fn is_slice_of<T: Real>(self) -> bool {
        self.dtype == T::DTYPE
            && self.stride == size_of::<T>() as isize
            && self.data.cast::<T>().is_aligned()
    }
}

#[derive(Clone, Copy)]
struct Call {
    level: Level,
    inputs: [Strided; MAX_INPUTS],
    output: Strided,
    stores: Stores,
}

// SAFETY: the pointers are used for disjoint ranges of elements by each thread, within the call of
// `run`, whose caller vouches for them.
unsafe impl Sync for Call {}

/// Apply `kernels` to `n` elements of the inputs.
///
/// # Safety
/// Each operand's `n` elements are inside valid memory, in native byte order, alignment not needed. The
/// output is either exactly an input (same address, stride and type) or overlaps none.
pub unsafe fn run(level: Level, kernels: &Kernels, inputs: &[Strided], output: Strided, n: usize) {
    assert_eq!(inputs.len(), kernels.inputs);
    let mut all = [output; MAX_INPUTS];
    all[..inputs.len()].copy_from_slice(inputs);
    let mut call = Call {
        level,
        inputs: all,
        output,
        // In place the lines are there already.
        stores: if n.saturating_mul(output.dtype.size()) >= STREAM_FROM
            && inputs.iter().all(|input| input.data != output.data)
        {
            Stores::Streamed
        } else {
            Stores::Cached
        },
    };
    if n == 1 {
        // NumPy says 0: what lies beyond the only element is no matter.
        for operand in call.inputs.iter_mut().chain([&mut call.output]) {
            operand.stride = operand.dtype.size() as isize;
        }
    }
    let piece = |start: usize, n: usize| {
        let call = &call;
        // SAFETY: the piece lies within the operands; see this function's contract.
        unsafe {
            if call.output.dtype == Dtype::Float32 {
                call.piece(kernels.inputs, kernels.single, start, n);
            } else {
                call.piece(kernels.inputs, kernels.double, start, n);
            }
        }
    };
    if n < PARALLEL_FROM {
        piece(0, n);
    } else {
        // Never stopped: NumPy owns the loop of a ufunc.
        let _ = parallel(
            n,
            GRAIN,
            &|| true,
            || (),
            |(), range| piece(range.start, range.len()),
        );
    }
}

impl Call {
    /// # Safety
    /// As for [`run`]; `start + n` is at most its `n`.
    unsafe fn piece<T: Real>(&self, arity: usize, kernel: Kernel<T>, start: usize, n: usize) {
        let direct = self.output.is_slice_of::<T>()
            && self.inputs[..arity]
                .iter()
                .all(|input| input.is_slice_of::<T>());
        if direct {
            let kernel = |start: usize, n: usize, stores: Stores| {
                let pointers = self.inputs.map(|input| input.at(start).cast_const().cast());
                let output = self.output.at(start).cast();
                // SAFETY: all operands are aligned slices of at least start + n elements.
                unsafe { kernel(self.level, &pointers[..arity], output, n, stores) };
            };
            let before_line = match self.stores {
                Stores::Cached => 0,
                Stores::Streamed => n.min(self.output.at(start).cast::<T>().align_offset(LINE)),
            };
            if before_line > 0 {
                kernel(start, before_line, Stores::Cached);
            }
            kernel(start + before_line, n - before_line, self.stores);
            return;
        }
        // SAFETY: passed on.
        unsafe {
            if n <= SMALL_BUFFER {
                self.buffered::<T, SMALL_BUFFER>(arity, kernel, start, n);
            } else {
                self.buffered::<T, BUFFER>(arity, kernel, start, n);
            }
        };
    }

    /// Through block buffers. The block is read whole before any of it is written, as the contract of
    /// `run` needs when the output is an input.
    ///
    /// # Safety
    /// As for [`Call::piece`].
    unsafe fn buffered<T: Real, const SIZE: usize>(
        &self,
        arity: usize,
        kernel: Kernel<T>,
        start: usize,
        n: usize,
    ) {
        let mut buffers = [[T::default(); SIZE]; MAX_INPUTS];
        let mut result = [T::default(); SIZE];
        let mut splat_filled = [false; MAX_INPUTS];
        let mut done = 0;
        while done < n {
            let first = start + done;
            let count = SIZE.min(n - done);
            let mut pointers = [std::ptr::null(); MAX_INPUTS];
            for (k, input) in self.inputs[..arity].iter().enumerate() {
                pointers[k] = if input.is_slice_of::<T>() {
                    input.at(first).cast_const().cast()
                } else {
                    if !splat_filled[k] {
                        // One value for all: the buffer of the first block serves the others.
                        splat_filled[k] = input.stride == 0;
                        self.level.dispatch(Gather {
                            source: Strided {
                                data: input.at(first),
                                ..*input
                            },
                            target: &mut buffers[k][..count],
                        });
                    }
                    buffers[k].as_ptr()
                };
            }
            let in_place = self.output.is_slice_of::<T>();
            let target = if in_place {
                self.output.at(first).cast()
            } else {
                result.as_mut_ptr()
            };
            // SAFETY: every input has `count` elements, in place or in its buffer, and so has the output.
            unsafe {
                kernel(
                    self.level,
                    &pointers[..arity],
                    target,
                    count,
                    Stores::Cached,
                );
            }
            if !in_place {
                self.level.dispatch(Scatter {
                    source: &result[..count],
                    target: Strided {
                        data: self.output.at(first),
                        ..self.output
                    },
                });
            }
            done += count;
        }
    }
}

/// Read strided elements into a block buffer. Made only by [`Call::buffered`], whose contract says that
/// the elements can be read.
struct Gather<'a, T> {
    source: Strided,
    target: &'a mut [T],
}

impl<T: Real> OnLevel for Gather<'_, T> {
    type Output = ();

    fn run<S: Token>(self, simd: S) {
        with_storage!(self.source.dtype, E => simd.vectorize(
            #[inline(always)]
            || {
                let first = self.source.data.cast::<E>();
                if self.source.stride == size_of::<E>() as isize {
                    // SAFETY: the readable elements.
                    unsafe { E::read_run(simd, first, self.target) };
                } else {
                    for (i, slot) in self.target.iter_mut().enumerate() {
                        let address = self.source.at(i).cast::<E>();
                        // SAFETY: one of the readable elements.
                        *slot = T::convert_from(unsafe { address.read_unaligned() });
                    }
                }
            }
        ));
    }
}

/// Write a block buffer to strided elements. Made only by [`Call::buffered`], whose contract says that
/// the elements can be written.
struct Scatter<'a, T> {
    source: &'a [T],
    target: Strided,
}

impl<T: Real> OnLevel for Scatter<'_, T> {
    type Output = ();

    fn run<S: Token>(self, simd: S) {
        with_storage!(self.target.dtype, E => simd.vectorize(
            #[inline(always)]
            || {
                let first = self.target.data.cast::<E>();
                if self.target.stride == size_of::<E>() as isize {
                    // SAFETY: the writable elements.
                    unsafe { E::write_run(simd, self.source, first) };
                } else {
                    for (i, value) in self.source.iter().enumerate() {
                        // SAFETY: one of the writable elements.
                        unsafe { self.target.at(i).cast::<E>().write_unaligned(value.convert_to()) };
                    }
                }
            }
        ));
    }
}
