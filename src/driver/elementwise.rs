//! Elementwise functions over any layout: kernels, fed block by block.
//!
//! What lies in memory as a kernel takes it goes to it directly, however long, and a parameter that is one value for
//! all as a vector of that; everything else (strides, 16-bit floats, integers) passes through block buffers in the
//! first-level cache.

use super::kernel::{Input, Kernel, Kernels, MAX_INPUTS, Stores, VECTOR_ELEMENTS};
use super::threads::parallel;
use crate::dtype::{Dtype, Real, Storage, with_storage};
use crate::lanes::{LINE, Token};
use crate::level::{Level, OnLevel};
use std::array::from_fn;

/// Elements of a block buffer: five of them, of `f64`, fill half a first-level cache.
const BUFFER: usize = 512;

/// The same for few elements, which take less time than making the larger buffers does.
const SMALL_BUFFER: usize = 32;

/// Bytes of results from which on they are streamed past the caches: no reader would find them there. The
/// 64 MB of 16M values then take half to three quarters of the time.
const STREAM_FROM: usize = 1 << 25;

/// Elements a thread takes at a time, some 10 µs of work; and from how many on threads are woken.
const GRAIN: usize = 1 << 15;
const PARALLEL_FROM: usize = 1 << 17;

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
        // A parameter that is one value for all is made a vector of it; x goes the general way.
        let mut vectors = [[T::default(); VECTOR_ELEMENTS]; MAX_INPUTS];
        let mut repeated = [None; MAX_INPUTS];
        for k in 1..arity {
            let source = self.inputs[k];
            if source.stride == 0 {
                let target = &mut vectors[k];
                self.level.dispatch(Gather { source, target });
                repeated[k] = Some(Input::repeated(&vectors[k]));
            }
        }
        let direct = self.output.is_slice_of::<T>()
            && (0..arity).all(|k| repeated[k].is_some() || self.inputs[k].is_slice_of::<T>());
        if direct {
            let kernel = |start: usize, n: usize, stores: Stores| {
                let inputs: [Input<T>; MAX_INPUTS] = from_fn(|k| {
                    let data = self.inputs[k].at(start).cast_const().cast();
                    repeated[k].unwrap_or(Input::slice(data))
                });
                let output = self.output.at(start).cast();
                // SAFETY: all operands are aligned slices of at least start + n elements, or repeated.
                unsafe { kernel(self.level, &inputs[..arity], output, n, stores) };
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
        let inputs = &repeated[..arity];
        // SAFETY: passed on.
        unsafe {
            if n <= SMALL_BUFFER {
                self.buffered::<T, SMALL_BUFFER>(inputs, kernel, start, n);
            } else {
                self.buffered::<T, BUFFER>(inputs, kernel, start, n);
            }
        };
    }

    /// Through block buffers, but for the inputs that are given. The block is read whole before any of it is written,
    /// as the contract of `run` needs when the output is an input.
    ///
    /// # Safety
    /// As for [`Call::piece`].
    unsafe fn buffered<T: Real, const SIZE: usize>(
        &self,
        given: &[Option<Input<T>>],
        kernel: Kernel<T>,
        start: usize,
        n: usize,
    ) {
        let mut buffers = [[T::default(); SIZE]; MAX_INPUTS];
        let mut result = [T::default(); SIZE];
        let mut done = 0;
        while done < n {
            let first = start + done;
            let count = SIZE.min(n - done);
            let mut inputs = [Input::slice(std::ptr::null()); MAX_INPUTS];
            for (k, given) in given.iter().enumerate() {
                let input = self.inputs[k];
                inputs[k] = if let Some(given) = given {
                    *given
                } else if input.is_slice_of::<T>() {
                    Input::slice(input.at(first).cast_const().cast())
                } else {
                    self.level.dispatch(Gather {
                        source: Strided {
                            data: input.at(first),
                            ..input
                        },
                        target: &mut buffers[k][..count],
                    });
                    Input::slice(buffers[k].as_ptr())
                };
            }
            let in_place = self.output.is_slice_of::<T>();
            let target = if in_place {
                self.output.at(first).cast()
            } else {
                result.as_mut_ptr()
            };
            // SAFETY: every input has `count` elements, in place or in its buffer, or is repeated, and the output has.
            unsafe {
                kernel(
                    self.level,
                    &inputs[..given.len()],
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
