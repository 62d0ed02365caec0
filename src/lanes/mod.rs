//! What the kernels need on top of `fearless_simd`: one generic vector type for a formula that is
//! written once for `f32` and `f64`, a fused multiply-add that is correctly rounded and cheap to
//! compile on every level, and fixed-order reductions.
//!
//! Vectors are VIRTUAL LANES: `f32x16` and `f64x8` are one register on AVX-512, two on AVX2, four on
//! NEON and SSE2, an array on the scalar level. The lane an element falls into, and so the order of
//! every reduction, is the same on every CPU.
//!
//! Only operations with one defined result may be used: `+ - * /`, `sqrt`, comparisons, bit
//! operations, [`Lanes::fma`] and the `_precise` minimum and maximum. Never `mul_add`, `max`, `min`,
//! `reduce_sum` or `approximate_recip`: those differ between CPUs.

#[cfg(target_arch = "x86_64")]
mod comparison;
#[cfg(target_arch = "x86_64")]
mod conversion;
mod lookup;
mod memory;
mod token;
pub(crate) mod transpose;

pub use memory::{LINE, Line, fence_streamed, prefetch, prefetch_early};
pub use token::Token;

use fearless_simd::prelude::*;
use fearless_simd::{f32x16, f64x8};

/// `items.map(f)`, part of its caller always. The standard library's may be left out of line, and is compiled for the
/// baseline CPU then, with a call for every operation on lanes.
#[inline(always)]
pub(crate) fn map_array<T: Copy, U: Copy, const N: usize>(
    items: [T; N],
    mut f: impl FnMut(T) -> U,
) -> [U; N] {
    if N == 0 {
        return std::array::from_fn(|_| unreachable!("there is none"));
    }
    let mut results = [f(items[0]); N];
    for i in 1..N {
        results[i] = f(items[i]);
    }
    results
}

/// A vector of 16 `f32` or 8 `f64` lanes on the SIMD level `S`.
///
/// Everything of `SimdFloat` is at hand as well (operators, comparisons, `to_bits`, `copysign`).
pub trait Lanes<S: Token>: SimdFloat<S> {
    /// Bits of the significand, the hidden one included: 24 or 53.
    const PRECISION: u32;

    /// The constant `value`, rounded to the lane type, in every lane.
    fn lit(simd: S, value: f64) -> Self;

    /// The integer vector whose every lane has these bits (cut to the lane's width).
    fn bits(simd: S, bits: u64) -> Self::Bits;

    /// `self * b + c` with one rounding, on every level.
    fn fma(self, b: Self, c: Self) -> Self;

    /// `self + b`, by the units that multiply: `self * one + b`, for a `one` that the compiler takes for any number. On
    /// Zen they are others than those that add, so that a loop of additions takes half the time if every other one is
    /// theirs; where both are the same it makes no difference.
    #[inline(always)]
    fn add_by_multiplier(self, one: Self, b: Self) -> Self {
        if S::FUSES { self.fma(one, b) } else { self + b }
    }

    /// Per lane, `b` if it is the larger, else `self`: a NaN in `b` is left out.
    fn larger(self, b: Self) -> Self;

    /// Where lanes are not `least` or below, as NaN is not; and those of them that are not `greatest`.
    #[inline(always)]
    fn above_and_other(self, least: Self, greatest: Self) -> [Self::Mask; 2] {
        let above = !self.simd_le(least);
        [above, above & !self.simd_eq(greatest)]
    }

    /// Choose the algorithm by lane type: `single` for `f32` lanes, `double` for `f64` lanes.
    ///
    /// For kernels whose best form differs between the precisions; everything else is generic.
    fn by_precision(
        self,
        single: impl FnOnce(f32x16<S>) -> f32x16<S>,
        double: impl FnOnce(f64x8<S>) -> f64x8<S>,
    ) -> Self;

    /// The same of two vectors.
    fn both_by_precision(
        self,
        other: Self,
        single: impl FnOnce(f32x16<S>, f32x16<S>) -> f32x16<S>,
        double: impl FnOnce(f64x8<S>, f64x8<S>) -> f64x8<S>,
    ) -> Self;

    /// Store past the caches where the level can; see [`Line`].
    fn stream(self, target: &mut Line);
}

impl<S: Token> Lanes<S> for f32x16<S> {
    const PRECISION: u32 = 24;

    #[inline(always)]
    fn lit(simd: S, value: f64) -> Self {
        Self::splat(simd, value as f32)
    }

    #[inline(always)]
    fn bits(simd: S, bits: u64) -> Self::Bits {
        Self::Bits::splat(simd, bits as u32)
    }

    #[inline(always)]
    fn fma(self, b: Self, c: Self) -> Self {
        self.token().fma_f32(self, b, c)
    }

    #[inline(always)]
    fn larger(self, b: Self) -> Self {
        self.token().larger_f32(self, b)
    }

    #[inline(always)]
    fn above_and_other(self, least: Self, greatest: Self) -> [Self::Mask; 2] {
        self.token().above_and_other_f32(self, least, greatest)
    }

    #[inline(always)]
    fn by_precision(
        self,
        single: impl FnOnce(f32x16<S>) -> f32x16<S>,
        _double: impl FnOnce(f64x8<S>) -> f64x8<S>,
    ) -> Self {
        single(self)
    }

    #[inline(always)]
    fn both_by_precision(
        self,
        other: Self,
        single: impl FnOnce(f32x16<S>, f32x16<S>) -> f32x16<S>,
        _double: impl FnOnce(f64x8<S>, f64x8<S>) -> f64x8<S>,
    ) -> Self {
        single(self, other)
    }

    #[inline(always)]
    fn stream(self, target: &mut Line) {
        self.token().stream(self, target);
    }
}

impl<S: Token> Lanes<S> for f64x8<S> {
    const PRECISION: u32 = 53;

    #[inline(always)]
    fn lit(simd: S, value: f64) -> Self {
        Self::splat(simd, value)
    }

    #[inline(always)]
    fn bits(simd: S, bits: u64) -> Self::Bits {
        Self::Bits::splat(simd, bits)
    }

    #[inline(always)]
    fn fma(self, b: Self, c: Self) -> Self {
        self.token().fma_f64(self, b, c)
    }

    #[inline(always)]
    fn larger(self, b: Self) -> Self {
        self.token().larger_f64(self, b)
    }

    #[inline(always)]
    fn by_precision(
        self,
        _single: impl FnOnce(f32x16<S>) -> f32x16<S>,
        double: impl FnOnce(f64x8<S>) -> f64x8<S>,
    ) -> Self {
        double(self)
    }

    #[inline(always)]
    fn both_by_precision(
        self,
        other: Self,
        _single: impl FnOnce(f32x16<S>, f32x16<S>) -> f32x16<S>,
        double: impl FnOnce(f64x8<S>, f64x8<S>) -> f64x8<S>,
    ) -> Self {
        double(self, other)
    }

    #[inline(always)]
    fn stream(self, target: &mut Line) {
        self.token().stream(self.bitcast(), target);
    }
}
