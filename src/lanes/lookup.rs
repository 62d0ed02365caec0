//! Table look-up in registers: 16 floats, one index a lane.
//!
//! The only lane operation that `fearless_simd` lacks: its byte shuffles would need four bytes of index
//! for each float. On AVX-512 it is one instruction, so a piecewise function of 16 pieces costs one
//! permutation for each coefficient and no memory access.

use fearless_simd::f32x16;
use fearless_simd::prelude::*;
use fearless_simd::{f64x8, u32x16, u64x8};

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    __m256, __m256i, __m512, __m512d, __m512i, _mm256_and_ps, _mm256_castsi256_ps, _mm256_or_si256,
    _mm256_permutevar8x32_ps, _mm256_set1_epi32, _mm256_slli_epi32, _mm256_srai_epi32,
    _mm256_testz_si256, _mm256_xor_ps, _mm512_permutex2var_pd, _mm512_permutexvar_ps,
};

#[cfg(target_arch = "aarch64")]
use std::arch::aarch64::{
    float32x4_t, uint8x16x4_t, uint32x4_t, vandq_u32, vdupq_n_u32, vmlaq_u32, vqtbl4q_u8,
    vreinterpretq_f32_u8, vreinterpretq_u8_f32, vreinterpretq_u8_u32,
};

/// Element by element, for levels without a permutation by variable indices.
#[inline(always)]
pub(super) fn by_element<S: Simd>(simd: S, table: f32x16<S>, index: u32x16<S>) -> f32x16<S> {
    let table: [f32; 16] = table.into();
    let index: [u32; 16] = index.into();
    f32x16::simd_from(simd, index.map(|i| table[i as usize % 16]))
}

/// The same for doubles.
#[inline(always)]
pub(super) fn doubles_by_element<S: Simd>(simd: S, table: &[f64; 16], index: u64x8<S>) -> f64x8<S> {
    let index: [u64; 8] = index.into();
    f64x8::simd_from(simd, index.map(|i| table[i as usize % 16]))
}

#[cfg(target_arch = "x86_64")]
fearless_simd::kernel!(
    #[inline(always)]
    pub(super) fn doubles_avx512(
        token: Avx512,
        low: __m512d,
        high: __m512d,
        index: __m512i,
    ) -> __m512d {
        _mm512_permutex2var_pd(low, index, high)
    }
);

#[cfg(target_arch = "x86_64")]
fearless_simd::kernel!(
    #[inline(always)]
    pub(super) fn avx512(token: Avx512, table: __m512, index: __m512i) -> __m512 {
        _mm512_permutexvar_ps(index, table)
    }
);

// Eight lanes from the lower half of the table, with what differs in the upper half where the index's fourth bit says
// so: two quick operations, where the choice by sign that AVX2 has takes three micro-operations on recent CPUs. The
// compiler makes the table of differences beforehand where it is constant, and the mask once for all look-ups of an index.
#[cfg(target_arch = "x86_64")]
fearless_simd::kernel!(
    #[inline(always)]
    pub(super) fn avx2(token: Avx2, low: __m256, high: __m256, index: __m256i) -> __m256 {
        let upper = _mm256_srai_epi32::<31>(_mm256_slli_epi32::<28>(index));
        let differs = _mm256_permutevar8x32_ps(_mm256_xor_ps(low, high), index);
        _mm256_xor_ps(
            _mm256_permutevar8x32_ps(low, index),
            _mm256_and_ps(differs, _mm256_castsi256_ps(upper)),
        )
    }
);

#[cfg(target_arch = "x86_64")]
fearless_simd::kernel!(
    #[inline(always)]
    pub(super) fn in_lower_half_avx2(token: Avx2, a: __m256i, b: __m256i) -> bool {
        _mm256_testz_si256(_mm256_or_si256(a, b), _mm256_set1_epi32(8)) != 0
    }
);

// The four bytes of entry i are bytes 4 i, 4 i + 1, 4 i + 2, 4 i + 3 of the table.
#[cfg(target_arch = "x86_64")]
fearless_simd::kernel!(
    #[inline(always)]
    pub(super) fn avx2_eight(token: Avx2, table: __m256, index: __m256i) -> __m256 {
        _mm256_permutevar8x32_ps(table, index)
    }
);

#[cfg(target_arch = "aarch64")]
fearless_simd::kernel!(
    #[inline(always)]
    pub(super) fn neon(
        token: Neon,
        a: float32x4_t,
        b: float32x4_t,
        c: float32x4_t,
        d: float32x4_t,
        index: uint32x4_t,
    ) -> float32x4_t {
        let entry = vandq_u32(index, vdupq_n_u32(15));
        let bytes = vmlaq_u32(vdupq_n_u32(0x0302_0100), entry, vdupq_n_u32(0x0404_0404));
        let table = uint8x16x4_t(
            vreinterpretq_u8_f32(a),
            vreinterpretq_u8_f32(b),
            vreinterpretq_u8_f32(c),
            vreinterpretq_u8_f32(d),
        );
        vreinterpretq_f32_u8(vqtbl4q_u8(table, vreinterpretq_u8_u32(bytes)))
    }
);
