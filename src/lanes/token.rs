//! The SIMD levels that kernels are compiled for, and their fused multiply-add.

use fearless_simd::prelude::*;
use fearless_simd::{Fallback, f32x16, f64x8};

/// A SIMD level that kernels are compiled for.
///
/// `fearless_simd`'s own fused multiply-add is inlined at every use, which on levels without the
/// instruction is some fifty instructions each: three kernels took minutes to compile. Those levels
/// call one out-of-line copy instead; they need to be right, not fast.
pub trait Token: Simd {
    /// The name that `ACTLOSS_SIMD` takes and `simd_level()` gives.
    const NAME: &'static str;

    /// `a * b + c` with one rounding, per lane.
    fn fma_f32(self, a: f32x16<Self>, b: f32x16<Self>, c: f32x16<Self>) -> f32x16<Self>;

    /// `a * b + c` with one rounding, per lane.
    fn fma_f64(self, a: f64x8<Self>, b: f64x8<Self>, c: f64x8<Self>) -> f64x8<Self>;
}

macro_rules! token_with_fma {
    ($token:ty, $name:literal) => {
        impl Token for $token {
            const NAME: &'static str = $name;

            #[inline(always)]
            fn fma_f32(self, a: f32x16<Self>, b: f32x16<Self>, c: f32x16<Self>) -> f32x16<Self> {
                a.mul_add_precise(b, c)
            }

            #[inline(always)]
            fn fma_f64(self, a: f64x8<Self>, b: f64x8<Self>, c: f64x8<Self>) -> f64x8<Self> {
                a.mul_add_precise(b, c)
            }
        }
    };
}

macro_rules! token_without_fma {
    ($token:ty, $name:literal) => {
        impl Token for $token {
            const NAME: &'static str = $name;

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
token_with_fma!(fearless_simd::x86::Avx512, "avx512");
#[cfg(target_arch = "x86_64")]
token_with_fma!(fearless_simd::x86::Avx2, "avx2");
#[cfg(target_arch = "x86_64")]
token_without_fma!(fearless_simd::x86::Sse2, "sse2");
#[cfg(target_arch = "aarch64")]
token_with_fma!(fearless_simd::aarch64::Neon, "neon");
token_without_fma!(Fallback, "scalar");
