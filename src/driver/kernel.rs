//! Elementwise kernels: one per function and compute type.
//!
//! A kernel sees contiguous elements of the type it computes in; what lies otherwise in memory is the business of
//! [`elementwise`](super::elementwise). Every element takes the same vector code, the last few of an array too, so its
//! result depends on nothing but its value.

use crate::dtype::{Dtype, Real};
use crate::lanes::{LINE, Lanes, Line, Token, fence_streamed, prefetch};
use crate::level::{Level, OnLevel};
use fearless_simd::prelude::*;
use std::array::from_fn;
use std::marker::PhantomData;
use std::ops::Range;

/// Operands of a kernel at most: an upstream gradient, the input, two parameters.
pub const MAX_INPUTS: usize = 4;

/// Elements that are looked at before they are computed, where a function has a common form: so many
/// that the test costs little, so few that a rare uncommon one is alone with few others.
pub const BLOCK: usize = 128;

/// Bytes by which memory is asked for what will be read. Without that, a CPU whose own guesses stop at
/// the end of a page waits at each: 1M values, in the third-level cache, would take a quarter to a half longer.
const AHEAD: usize = 2048;

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
/// There are [`Function::INPUTS`] inputs, the first no [`Input::repeated`] one; each is valid for `n` reads and the
/// output for `n` writes, all aligned. The output is either exactly an input or overlaps none. It is aligned to
/// [`LINE`] if it is to be streamed.
pub type Kernel<T> = unsafe fn(Level, &[Input<T>], *mut T, usize, Stores);

/// An operand as a kernel reads it.
#[derive(Clone, Copy, Debug)]
pub struct Input<T> {
    data: *const T,
    /// What of an index counts: all of it, or nothing.
    mask: usize,
}

impl<T: Copy> Input<T> {
    /// Elements one after the other.
    pub fn slice(data: *const T) -> Self {
        let mask = usize::MAX;
        Self { data, mask }
    }

    /// The same elements for every vector: those of `vector`, which outlives the call of the kernel.
    pub(super) fn repeated(vector: &[T; VECTOR_ELEMENTS]) -> Self {
        let data = vector.as_ptr();
        Self { data, mask: 0 }
    }

    #[inline(always)]
    fn at(self, index: usize) -> *const T {
        self.data.wrapping_add(index & self.mask)
    }
}

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
    inputs: &[Input<T>],
    output: *mut T,
    n: usize,
    stores: Stores,
) {
    let lanes = VECTOR_BYTES / size_of::<T>();
    // In place, the elements before are results already; and only whole lines are streamed.
    let in_place = inputs.iter().any(|input| input.data == output);
    let overlap = n >= lanes && stores == Stores::Cached && !in_place;
    let whole = if overlap { n } else { n - n % lanes };
    if whole > 0 {
        level.dispatch(Pass::<F, T>::new(inputs, output, whole, stores));
        if stores == Stores::Streamed {
            fence_streamed();
        }
    }
    let rest = n - whole;
    if rest > 0 {
        let mut padded = [[T::default(); VECTOR_ELEMENTS]; MAX_INPUTS];
        let mut result = padded[0];
        for (padded, input) in padded.iter_mut().zip(inputs) {
            // SAFETY: `rest` elements are readable at `whole`, and fewer than the lanes.
            unsafe {
                input
                    .at(whole)
                    .copy_to_nonoverlapping(padded.as_mut_ptr(), rest);
            }
        }
        let padded = padded
            .each_ref()
            .map(|padded| Input::slice(padded.as_ptr()));
        let inputs = &padded[..inputs.len()];
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

/// Elements of a vector at most.
pub(super) const VECTOR_ELEMENTS: usize = VECTOR_BYTES / size_of::<f32>();

/// The loop of a kernel, over at least a vector of elements; the last vector may begin among those of the
/// one before, unless the output is an input or streamed. Made only by [`kernel`], whose contract it works under.
struct Pass<'a, F, T> {
    inputs: &'a [Input<T>],
    output: *mut T,
    n: usize,
    stores: Stores,
    function: PhantomData<F>,
}

impl<'a, F, T> Pass<'a, F, T> {
    fn new(inputs: &'a [Input<T>], output: *mut T, n: usize, stores: Stores) -> Self {
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
        let mut inputs: [Input<T>; MAX_INPUTS] =
            from_fn(|k| *self.inputs.get(k).unwrap_or(&self.inputs[0]));
        // So says the contract: nothing is to be done to this one's indices.
        inputs[0].mask = usize::MAX;
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
    fn load<S: Token>(&self, simd: S, input: Input<T>, i: usize) -> T::Vector<S> {
        debug_assert!(i + T::Vector::<S>::LEN <= self.n, "past the end");
        // SAFETY: these elements are readable; the reference to them ends here, before anything is stored.
        let source = unsafe { &*input.at(i).cast::<Array<S, T>>() };
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
        inputs: &[Input<T>; MAX_INPUTS],
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
fn prefetch_ahead<F: Function, T: Copy>(inputs: &[Input<T>; MAX_INPUTS], i: usize) {
    for input in &inputs[..F::INPUTS] {
        prefetch(input.at(i + AHEAD / size_of::<T>()));
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
