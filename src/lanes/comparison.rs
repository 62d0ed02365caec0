//! Comparisons that `fearless_simd` lacks: those that are true of NaN, and those under a mask.

use std::arch::x86_64::{
    __m512, __mmask16, _CMP_NEQ_UQ, _CMP_NLE_UQ, _mm512_cmp_ps_mask, _mm512_mask_cmp_ps_mask,
};

fearless_simd::kernel!(
    #[inline(always)]
    pub(super) fn above_and_other(
        token: Avx512,
        x: __m512,
        least: __m512,
        greatest: __m512,
    ) -> [__mmask16; 2] {
        let above = _mm512_cmp_ps_mask::<_CMP_NLE_UQ>(x, least);
        let other = _mm512_mask_cmp_ps_mask::<_CMP_NEQ_UQ>(above, x, greatest);
        [above, other]
    }
);
