//! `float16` to and from lanes of `f32`, where the level has an instruction for it.
//!
//! In bits it takes some fifteen operations one way and twenty the other (see [`crate::dtype`]), half the time of a
//! softmax of rows of `float16`. The instructions give the same: NaN becomes quiet when it widens, which
//! both do, and is made the one NaN before it narrows; they round as they are told, whatever the thread's rounding is.

use std::arch::x86_64::{
    __m128i, __m256, __m256i, __m512, _CMP_UNORD_Q, _MM_FROUND_NO_EXC, _MM_FROUND_TO_NEAREST_INT,
    _mm256_blendv_ps, _mm256_cmp_ps, _mm256_cvtph_ps, _mm256_cvtps_ph, _mm256_set1_ps,
    _mm512_cmp_ps_mask, _mm512_cvtph_ps, _mm512_cvtps_ph, _mm512_mask_mov_ps, _mm512_set1_ps,
};

fearless_simd::kernel!(
    #[inline(always)]
    pub(super) fn halves_avx512(token: Avx512, halves: __m256i) -> __m512 {
        _mm512_cvtph_ps(halves)
    }
);

fearless_simd::kernel!(
    #[inline(always)]
    pub(super) fn to_halves_avx512(token: Avx512, x: __m512) -> __m256i {
        let is_nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(x, x);
        let x = _mm512_mask_mov_ps(x, is_nan, _mm512_set1_ps(f32::NAN));
        _mm512_cvtps_ph::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(x)
    }
);

fearless_simd::kernel!(
    #[inline(always)]
    pub(super) fn halves_avx2(token: Avx2, halves: __m128i) -> __m256 {
        _mm256_cvtph_ps(halves)
    }
);

fearless_simd::kernel!(
    #[inline(always)]
    pub(super) fn to_halves_avx2(token: Avx2, x: __m256) -> __m128i {
        let is_nan = _mm256_cmp_ps::<_CMP_UNORD_Q>(x, x);
        let x = _mm256_blendv_ps(x, _mm256_set1_ps(f32::NAN), is_nan);
        _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(x)
    }
);

#[cfg(test)]
mod tests {
    use super::super::Token;
    use crate::dtype::{F16, Storage};
    use crate::level::{Level, OnLevel};
    use fearless_simd::f32x16;
    use fearless_simd::prelude::*;

    /// Compare with the conversions in bits: all `float16`, and `f32` on either side of every rounding.
    struct Conversions;

    impl OnLevel for Conversions {
        type Output = ();

        fn run<S: Token>(self, simd: S) {
            for bits in (0..=u16::MAX).step_by(16) {
                let halves: [u16; 16] = std::array::from_fn(|i| bits + i as u16);
                let wide: [f32; 16] = simd.widen_halves(halves).into();
                for (half, wide) in halves.into_iter().zip(wide) {
                    assert_eq!(wide.to_bits(), F16(half).to_f32().to_bits(), "{half:#x}");
                    let middle = f32::from_bits(wide.to_bits() | 0x1000);
                    let near = [-1_i32, 0, 1]
                        .map(|step| f32::from_bits(middle.to_bits().wrapping_add_signed(step)));
                    let x: [f32; 16] = std::array::from_fn(|i| match i {
                        0..3 => near[i],
                        3 => wide,
                        _ => wide * (i as f32 - 9.0),
                    });
                    let narrow = simd.narrow_halves(f32x16::simd_from(simd, x));
                    assert_eq!(narrow, x.map(|x| F16::from_f32(x).0), "{x:?}");
                }
            }
        }
    }

    #[test]
    fn instructions_convert_as_the_bits_do() {
        for level in Level::available() {
            level.dispatch(Conversions);
        }
    }
}
