//! Element types: how they lie in memory, and how they widen to and round from the types we compute in.

mod sixteen_bits;

pub use sixteen_bits::{Bf16, F16};

use crate::lanes::{Lanes, Token};
use fearless_simd::prelude::*;
use fearless_simd::{f32x16, f64x8};
use std::ops::Neg;

/// The type of an array's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "NumPy's names")]
pub enum Dtype {
    Bool,
    Int8,
    Int16,
    Int32,
    Int64,
    UInt8,
    UInt16,
    UInt32,
    UInt64,
    Float16,
    BFloat16,
    Float32,
    Float64,
}

impl Dtype {
    /// Bytes of one element.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Self::Bool | Self::Int8 | Self::UInt8 => 1,
            Self::Int16 | Self::UInt16 | Self::Float16 | Self::BFloat16 => 2,
            Self::Int32 | Self::UInt32 | Self::Float32 => 4,
            Self::Int64 | Self::UInt64 | Self::Float64 => 8,
        }
    }

    /// NumPy's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int8 => "int8",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::UInt8 => "uint8",
            Self::UInt16 => "uint16",
            Self::UInt32 => "uint32",
            Self::UInt64 => "uint64",
            Self::Float16 => "float16",
            Self::BFloat16 => "bfloat16",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
        }
    }

    /// Whether this is one of the four floating types.
    #[must_use]
    pub fn is_float(self) -> bool {
        matches!(
            self,
            Self::Float16 | Self::BFloat16 | Self::Float32 | Self::Float64
        )
    }
}

/// A type that can be stored in an array: converts to and from the types we compute in.
pub trait Storage: Copy + Send + Sync + 'static {
    /// The element with its bytes in the other order.
    #[must_use]
    fn swap_bytes(self) -> Self;
    /// The value; exact for floats of at most 32 bits, else rounded to nearest even.
    fn to_f32(self) -> f32;
    /// The value; exact but for 64-bit integers, which are rounded to nearest even.
    fn to_f64(self) -> f64;
    /// The nearest element. Floats only: integers are never an output.
    fn from_f32(value: f32) -> Self;
    /// The nearest element, with one rounding.
    fn from_f64(value: f64) -> Self;
    /// Convert to as many elements as `target` has those that lie one after the other from `source` on.
    ///
    /// # Safety
    /// They can be read; they may be unaligned.
    #[inline(always)]
    unsafe fn read_run<S: Token, T: Real>(_simd: S, source: *const Self, target: &mut [T]) {
        // SAFETY: promised by the caller.
        unsafe { read_each(source, target) }
    }
    /// Round all elements of `source` to those that lie one after the other from `target` on.
    ///
    /// # Safety
    /// They can be written, and no references to them live; they may be unaligned.
    #[inline(always)]
    unsafe fn write_run<S: Token, T: Real>(_simd: S, source: &[T], target: *mut Self) {
        // SAFETY: promised by the caller.
        unsafe { write_each(source, target) }
    }
    /// The value as a class id; `u64` beyond `i64::MAX` becomes `i64::MAX`, floats are truncated.
    fn to_i64(self) -> i64;
}

macro_rules! integer_storage {
    ($($type:ty),*) => {$(
        impl Storage for $type {
            #[inline(always)]
            fn swap_bytes(self) -> Self { <$type>::swap_bytes(self) }
            #[inline(always)]
            fn to_f32(self) -> f32 { self as f32 }
            #[inline(always)]
            fn to_f64(self) -> f64 { self as f64 }
            #[inline(always)]
            fn from_f32(value: f32) -> Self { value as $type }
            #[inline(always)]
            fn from_f64(value: f64) -> Self { value as $type }
            #[inline(always)]
            fn to_i64(self) -> i64 { i64::try_from(self).unwrap_or(i64::MAX) }
        }
    )*};
}
integer_storage!(i8, i16, i32, i64, u8, u16, u32, u64);

impl Storage for f32 {
    #[inline(always)]
    fn swap_bytes(self) -> Self {
        Self::from_bits(self.to_bits().swap_bytes())
    }
    #[inline(always)]
    fn to_f32(self) -> f32 {
        self
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        value
    }
    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value as f32
    }
    #[inline(always)]
    fn to_i64(self) -> i64 {
        self as i64
    }
}

impl Storage for f64 {
    #[inline(always)]
    fn swap_bytes(self) -> Self {
        Self::from_bits(self.to_bits().swap_bytes())
    }
    #[inline(always)]
    fn to_f32(self) -> f32 {
        self as f32
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }
    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        f64::from(value)
    }
    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value
    }
    #[inline(always)]
    fn to_i64(self) -> i64 {
        self as i64
    }
}

/// A type we compute in: `f32` or `f64`.
pub trait Real:
    Storage + Into<f64> + PartialOrd + Neg<Output = Self> + Default + std::fmt::Debug
{
    /// Its vector on the level `S`: 16 or 8 lanes.
    type Vector<S: Token>: Lanes<S>
        + SimdBase<S, Element = Self, Array: AsMut<[Self]> + AsRef<[Self]>>;

    /// As an array's element type.
    const DTYPE: Dtype;

    /// The value of an element of another type.
    fn convert_from<E: Storage>(element: E) -> Self;

    /// The nearest element of another type.
    fn convert_to<E: Storage>(self) -> E;

    /// The number nearest to `value`.
    fn nearest(value: f64) -> Self;

    /// [`Storage::read_run`] of `float16`.
    ///
    /// # Safety
    /// As there.
    #[inline(always)]
    unsafe fn read_halves<S: Token>(_simd: S, source: *const F16, target: &mut [Self]) {
        // SAFETY: promised by the caller.
        unsafe { read_each(source, target) }
    }

    /// [`Storage::write_run`] of `float16`.
    ///
    /// # Safety
    /// As there.
    #[inline(always)]
    unsafe fn write_halves<S: Token>(_simd: S, source: &[Self], target: *mut F16) {
        // SAFETY: promised by the caller.
        unsafe { write_each(source, target) }
    }
}

/// [`Storage::read_run`], element by element.
///
/// # Safety
/// As there.
#[inline(always)]
unsafe fn read_each<E: Storage, T: Real>(source: *const E, target: &mut [T]) {
    for (i, slot) in target.iter_mut().enumerate() {
        // SAFETY: promised by the caller.
        *slot = T::convert_from(unsafe { source.add(i).read_unaligned() });
    }
}

/// [`Storage::write_run`], element by element.
///
/// # Safety
/// As there.
#[inline(always)]
unsafe fn write_each<E: Storage, T: Real>(source: &[T], target: *mut E) {
    for (i, value) in source.iter().enumerate() {
        // SAFETY: promised by the caller.
        unsafe { target.add(i).write_unaligned(value.convert_to()) };
    }
}

/// Call `f` with the index of each vector of 16 of `n` elements, the last ending with them; and how many elements there
/// are if they are too few for that.
#[inline(always)]
fn sixteen_at_a_time(n: usize, mut f: impl FnMut(usize)) -> usize {
    if n < 16 {
        return n;
    }
    for at in (0..n - 15).step_by(16) {
        f(at);
    }
    if !n.is_multiple_of(16) {
        f(n - 16);
    }
    0
}

impl Real for f32 {
    type Vector<S: Token> = f32x16<S>;
    const DTYPE: Dtype = Dtype::Float32;

    #[inline(always)]
    fn convert_from<E: Storage>(element: E) -> Self {
        element.to_f32()
    }
    #[inline(always)]
    fn convert_to<E: Storage>(self) -> E {
        E::from_f32(self)
    }
    #[inline(always)]
    fn nearest(value: f64) -> Self {
        value as f32
    }
    #[inline(always)]
    unsafe fn read_halves<S: Token>(simd: S, source: *const F16, target: &mut [Self]) {
        let few = sixteen_at_a_time(
            target.len(),
            #[inline(always)]
            |at| {
                // SAFETY: promised by the caller: `at` is 16 elements from the end at least.
                let halves = unsafe { source.add(at).cast::<[u16; 16]>().read_unaligned() };
                simd.widen_halves(halves)
                    .store_slice(&mut target[at..at + 16]);
            },
        );
        // SAFETY: promised by the caller.
        unsafe { read_each(source, &mut target[..few]) }
    }
    #[inline(always)]
    unsafe fn write_halves<S: Token>(simd: S, source: &[Self], target: *mut F16) {
        let few = sixteen_at_a_time(
            source.len(),
            #[inline(always)]
            |at| {
                let halves = simd.narrow_halves(f32x16::from_slice(simd, &source[at..at + 16]));
                // SAFETY: promised by the caller: `at` is 16 elements from the end at least.
                unsafe {
                    target.add(at).cast::<[u16; 16]>().write_unaligned(halves);
                }
            },
        );
        // SAFETY: promised by the caller.
        unsafe { write_each(&source[..few], target) }
    }
}

impl Real for f64 {
    type Vector<S: Token> = f64x8<S>;
    const DTYPE: Dtype = Dtype::Float64;

    #[inline(always)]
    fn convert_from<E: Storage>(element: E) -> Self {
        element.to_f64()
    }
    #[inline(always)]
    fn convert_to<E: Storage>(self) -> E {
        E::from_f64(self)
    }
    #[inline(always)]
    fn nearest(value: f64) -> Self {
        value
    }
}

/// Call the generic `$body` with the type `$E` that a [`Dtype`] stands for.
macro_rules! with_storage {
    ($dtype:expr, $E:ident => $body:expr) => {{
        use $crate::dtype::{Bf16, Dtype, F16};
        match $dtype {
            Dtype::Bool | Dtype::UInt8 => {
                type $E = u8;
                $body
            }
            Dtype::Int8 => {
                type $E = i8;
                $body
            }
            Dtype::Int16 => {
                type $E = i16;
                $body
            }
            Dtype::Int32 => {
                type $E = i32;
                $body
            }
            Dtype::Int64 => {
                type $E = i64;
                $body
            }
            Dtype::UInt16 => {
                type $E = u16;
                $body
            }
            Dtype::UInt32 => {
                type $E = u32;
                $body
            }
            Dtype::UInt64 => {
                type $E = u64;
                $body
            }
            Dtype::Float16 => {
                type $E = F16;
                $body
            }
            Dtype::BFloat16 => {
                type $E = Bf16;
                $body
            }
            Dtype::Float32 => {
                type $E = f32;
                $body
            }
            Dtype::Float64 => {
                type $E = f64;
                $body
            }
        }
    }};
}
pub(crate) use with_storage;
