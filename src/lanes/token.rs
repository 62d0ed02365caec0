//! The SIMD levels that kernels are compiled for, and their fused multiply-add.

use super::lookup;
#[cfg(target_arch = "x86_64")]
use super::memory;
use super::memory::Line;
use super::transpose;
#[cfg(target_arch = "x86_64")]
use super::{comparison, conversion};
use crate::dtype::{F16, Storage};
use fearless_simd::prelude::*;
use fearless_simd::{Fallback, f32x16, f64x8, mask32x16, u32x16, u64x8};
#[cfg(target_arch = "aarch64")]
use fearless_simd::{f32x4, u32x4};
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use fearless_simd::{f32x8, u32x8};
#[cfg(target_arch = "x86_64")]
use fearless_simd::{u16x8, u16x16};

/// A SIMD level that kernels are compiled for.
///
/// `fearless_simd`'s own fused multiply-add is inlined at every use, which on levels without the
/// instruction is some fifty instructions each: three kernels took minutes to compile. Those levels
/// call one out-of-line copy instead; they need to be right, not fast.
pub trait Token: Simd {
    /// The name that `ACTLOSS_SIMD` takes and `simd_level()` gives.
    const NAME: &'static str;

    /// Whether a shuffle over all lanes of a vector is one instruction, not one for each register and more.
    const SHUFFLES_WHOLE: bool = false;

    /// Whether an `f32` becomes an `f64` sooner by shifting its bits into place than by conversions, which move it
    /// to another lane first.
    const WIDENS_IN_PLACE: bool = false;

    /// Whether there is an instruction for a fused multiply-add.
    const FUSES: bool;

    /// `a * b + c` with one rounding, per lane.
    fn fma_f32(self, a: f32x16<Self>, b: f32x16<Self>, c: f32x16<Self>) -> f32x16<Self>;

    /// `a * b + c` with one rounding, per lane.
    fn fma_f64(self, a: f64x8<Self>, b: f64x8<Self>, c: f64x8<Self>) -> f64x8<Self>;

    /// `sum + a * b` of factors whose product has no error, so that it is the same with one rounding and with two.
    #[inline(always)]
    fn add_exact_product(self, sum: f64x8<Self>, a: f64x8<Self>, b: f64x8<Self>) -> f64x8<Self> {
        sum + a * b
    }

    /// Run a part of a kernel that many kernels have. Levels without a fused multiply-add call one copy of
    /// it: they compile in a fraction of the time, and need to be right, not fast.
    #[inline(always)]
    fn outline<R>(self, part: impl FnOnce() -> R) -> R {
        part()
    }

    /// The table's entry number `index` modulo 16, per lane.
    fn lookup_f32(self, table: f32x16<Self>, index: u32x16<Self>) -> f32x16<Self>;

    /// The table's entry number `index` modulo 8, per lane: one permutation where a table of 16 takes two.
    #[inline(always)]
    fn lookup_eight_f32(self, table: [f32; 8], index: u32x16<Self>) -> f32x16<Self> {
        let [a, b, c, d, e, f, g, h] = table;
        let twice = [a, b, c, d, e, f, g, h, a, b, c, d, e, f, g, h];
        self.lookup_f32(twice.simd_into(self), index)
    }

    /// Whether it pays to look up in the lower half of a table of 16, because all lanes' `index` modulo 16 is there.
    #[inline(always)]
    fn prefers_lower_half(self, _index: u32x16<Self>) -> bool {
        false
    }

    /// The table's entry number `index` modulo 16, per lane.
    #[inline(always)]
    fn lookup_f64(self, table: &[f64; 16], index: u64x8<Self>) -> f64x8<Self> {
        lookup::doubles_by_element(self, table, index)
    }

    /// `b` where it is the larger, else `a`. One instruction where there is one for it.
    #[inline(always)]
    fn larger_f32(self, a: f32x16<Self>, b: f32x16<Self>) -> f32x16<Self> {
        b.simd_gt(a).select(b, a)
    }

    /// `b` where it is the larger, else `a`.
    #[inline(always)]
    fn larger_f64(self, a: f64x8<Self>, b: f64x8<Self>) -> f64x8<Self> {
        b.simd_gt(a).select(b, a)
    }

    /// Store past the caches where the level can; see [`Line`].
    #[inline(always)]
    fn stream(self, lanes: f32x16<Self>, target: &mut Line) {
        lanes.store_array(&mut target.0);
    }

    /// Transpose four vectors of four blocks of four lanes, each block of the four by itself.
    #[inline(always)]
    fn transpose_blocks(self, v: [f32x16<Self>; 4]) -> [f32x16<Self>; 4] {
        transpose::transpose_blocks(v)
    }

    /// See [`super::Lanes::above_and_other`].
    #[inline(always)]
    fn above_and_other_f32(
        self,
        x: f32x16<Self>,
        least: f32x16<Self>,
        greatest: f32x16<Self>,
    ) -> [mask32x16<Self>; 2] {
        let above = !x.simd_le(least);
        [above, above & !x.simd_eq(greatest)]
    }

    /// Sixteen `float16`, given as their bits.
    #[inline(always)]
    fn widen_halves(self, halves: [u16; 16]) -> f32x16<Self> {
        let mut wide = [0.0; 16];
        for (slot, half) in wide.iter_mut().zip(halves) {
            *slot = F16(half).to_f32();
        }
        wide.simd_into(self)
    }

    /// The bits of the nearest `float16`, to even, in each lane; one NaN for all.
    #[inline(always)]
    fn narrow_halves(self, x: f32x16<Self>) -> [u16; 16] {
        let (mut halves, wide): (_, [f32; 16]) = ([0; 16], x.into());
        for (slot, wide) in halves.iter_mut().zip(wide) {
            *slot = F16::from_f32(wide).0;
        }
        halves
    }

    /// `x`, but `bound` where it is above; NaN stays NaN. One instruction where there is one for it.
    #[inline(always)]
    fn at_most_f32(self, x: f32x16<Self>, bound: f32x16<Self>) -> f32x16<Self> {
        x.simd_gt(bound).select(bound, x)
    }
}

macro_rules! token_with_fma {
    ($token:ty, $name:literal, {$($lookup:item)*}) => {
        impl Token for $token {
            const NAME: &'static str = $name;
            const FUSES: bool = true;
            $($lookup)*

            #[inline(always)]
            fn fma_f32(self, a: f32x16<Self>, b: f32x16<Self>, c: f32x16<Self>) -> f32x16<Self> {
                a.mul_add_precise(b, c)
            }

            #[inline(always)]
            fn fma_f64(self, a: f64x8<Self>, b: f64x8<Self>, c: f64x8<Self>) -> f64x8<Self> {
                a.mul_add_precise(b, c)
            }

            #[inline(always)]
            fn add_exact_product(
                self,
                sum: f64x8<Self>,
                a: f64x8<Self>,
                b: f64x8<Self>,
            ) -> f64x8<Self> {
                a.mul_add_precise(b, sum)
            }
        }
    };
}

macro_rules! token_without_fma {
    ($token:ty, $name:literal, {$($lookup:item)*}) => {
        impl Token for $token {
            const NAME: &'static str = $name;
            const FUSES: bool = false;
            $($lookup)*

            #[inline(never)]
            fn outline<R>(self, part: impl FnOnce() -> R) -> R {
                self.vectorize(part)
            }

            #[inline(never)]
            fn fma_f32(self, a: f32x16<Self>, b: f32x16<Self>, c: f32x16<Self>) -> f32x16<Self> {
                self.vectorize(
                    #[inline(always)]
                    || a.mul_add_precise(b, c),
                )
            }

            #[inline(never)]
            fn fma_f64(self, a: f64x8<Self>, b: f64x8<Self>, c: f64x8<Self>) -> f64x8<Self> {
                self.vectorize(
                    #[inline(always)]
                    || a.mul_add_precise(b, c),
                )
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
token_with_fma!(fearless_simd::x86::Avx512, "avx512", {
    const SHUFFLES_WHOLE: bool = true;
    const WIDENS_IN_PLACE: bool = true;

    #[inline(always)]
    fn lookup_f32(self, table: f32x16<Self>, index: u32x16<Self>) -> f32x16<Self> {
        lookup::avx512(self, table.into(), index.into()).simd_into(self)
    }

    #[inline(always)]
    fn lookup_f64(self, table: &[f64; 16], index: u64x8<Self>) -> f64x8<Self> {
        let half = |first| f64x8::from_slice(self, &table[first..first + 8]).into();
        lookup::doubles_avx512(self, half(0), half(8), index.into()).simd_into(self)
    }

    #[inline(always)]
    fn transpose_blocks(self, [a, b, c, d]: [f32x16<Self>; 4]) -> [f32x16<Self>; 4] {
        let [a, b, c, d] = transpose::blocks::avx512(self, a.into(), b.into(), c.into(), d.into());
        [
            a.simd_into(self),
            b.simd_into(self),
            c.simd_into(self),
            d.simd_into(self),
        ]
    }

    // Two instructions: it has the comparisons that NaN is not left out of, and under a mask.
    #[inline(always)]
    fn above_and_other_f32(
        self,
        x: f32x16<Self>,
        least: f32x16<Self>,
        greatest: f32x16<Self>,
    ) -> [mask32x16<Self>; 2] {
        comparison::above_and_other(self, x.into(), least.into(), greatest.into())
            .map(|mask| mask.simd_into(self))
    }

    #[inline(always)]
    fn widen_halves(self, halves: [u16; 16]) -> f32x16<Self> {
        let halves: u16x16<Self> = halves.simd_into(self);
        conversion::halves_avx512(self, halves.into()).simd_into(self)
    }

    #[inline(always)]
    fn narrow_halves(self, x: f32x16<Self>) -> [u16; 16] {
        let halves: u16x16<Self> = conversion::to_halves_avx512(self, x.into()).simd_into(self);
        halves.into()
    }

    #[inline(always)]
    fn stream(self, lanes: f32x16<Self>, target: &mut Line) {
        memory::stream_avx512(self, lanes.into(), target);
    }

    #[inline(always)]
    fn at_most_f32(self, x: f32x16<Self>, bound: f32x16<Self>) -> f32x16<Self> {
        bound.min(x)
    }

    // The instruction gives its second operand unless the first is the larger.
    #[inline(always)]
    fn larger_f32(self, a: f32x16<Self>, b: f32x16<Self>) -> f32x16<Self> {
        b.max(a)
    }

    #[inline(always)]
    fn larger_f64(self, a: f64x8<Self>, b: f64x8<Self>) -> f64x8<Self> {
        b.max(a)
    }
});
#[cfg(target_arch = "x86_64")]
token_with_fma!(fearless_simd::x86::Avx2, "avx2", {
    #[inline(always)]
    fn lookup_f32(self, table: f32x16<Self>, index: u32x16<Self>) -> f32x16<Self> {
        let (low, high) = table.split();
        let (first, second) = index.split();
        let half = |index: u32x8<Self>| -> f32x8<Self> {
            lookup::avx2(self, low.into(), high.into(), index.into()).simd_into(self)
        };
        half(first).combine(half(second))
    }

    #[inline(always)]
    fn lookup_eight_f32(self, table: [f32; 8], index: u32x16<Self>) -> f32x16<Self> {
        let table: f32x8<Self> = table.simd_into(self);
        let (first, second) = index.split();
        let half = |index: u32x8<Self>| -> f32x8<Self> {
            lookup::avx2_eight(self, table.into(), index.into()).simd_into(self)
        };
        half(first).combine(half(second))
    }

    #[inline(always)]
    fn prefers_lower_half(self, index: u32x16<Self>) -> bool {
        let (first, second) = index.split();
        lookup::in_lower_half_avx2(self, first.into(), second.into())
    }

    #[inline(always)]
    fn widen_halves(self, halves: [u16; 16]) -> f32x16<Self> {
        let halves: u16x16<Self> = halves.simd_into(self);
        let (low, high) = halves.split();
        let half = |halves: u16x8<Self>| -> f32x8<Self> {
            conversion::halves_avx2(self, halves.into()).simd_into(self)
        };
        half(low).combine(half(high))
    }

    #[inline(always)]
    fn narrow_halves(self, x: f32x16<Self>) -> [u16; 16] {
        let (low, high) = x.split();
        let half = |x: f32x8<Self>| -> u16x8<Self> {
            conversion::to_halves_avx2(self, x.into()).simd_into(self)
        };
        half(low).combine(half(high)).into()
    }

    #[inline(always)]
    fn stream(self, lanes: f32x16<Self>, target: &mut Line) {
        let (low, high) = lanes.split();
        memory::stream_avx2(self, low.into(), high.into(), target);
    }

    #[inline(always)]
    fn at_most_f32(self, x: f32x16<Self>, bound: f32x16<Self>) -> f32x16<Self> {
        bound.min(x)
    }

    // The instruction gives its second operand unless the first is the larger.
    #[inline(always)]
    fn larger_f32(self, a: f32x16<Self>, b: f32x16<Self>) -> f32x16<Self> {
        b.max(a)
    }

    #[inline(always)]
    fn larger_f64(self, a: f64x8<Self>, b: f64x8<Self>) -> f64x8<Self> {
        b.max(a)
    }
});
#[cfg(target_arch = "x86_64")]
token_without_fma!(fearless_simd::x86::Sse2, "sse2", {
    #[inline(always)]
    fn lookup_f32(self, table: f32x16<Self>, index: u32x16<Self>) -> f32x16<Self> {
        lookup::by_element(self, table, index)
    }
});
#[cfg(target_arch = "aarch64")]
token_with_fma!(fearless_simd::aarch64::Neon, "neon", {
    #[inline(always)]
    fn lookup_f32(self, table: f32x16<Self>, index: u32x16<Self>) -> f32x16<Self> {
        let (low, high) = table.split();
        let ((a, b), (c, d)) = (low.split(), high.split());
        let quarter = |index: u32x4<Self>| -> f32x4<Self> {
            lookup::neon(self, a.into(), b.into(), c.into(), d.into(), index.into()).simd_into(self)
        };
        let (first, second) = index.split();
        let half = |index: u32x8<Self>| -> f32x8<Self> {
            let (first, second) = index.split();
            quarter(first).combine(quarter(second))
        };
        half(first).combine(half(second))
    }
});
token_without_fma!(Fallback, "scalar", {
    #[inline(always)]
    fn lookup_f32(self, table: f32x16<Self>, index: u32x16<Self>) -> f32x16<Self> {
        lookup::by_element(self, table, index)
    }
});
