//! Transposition of as many vectors as they have lanes.

use super::{Lanes, Token, map_array};
use fearless_simd::prelude::*;
use fearless_simd::{f32x4, f32x16};

/// `v`, of `N` vectors of `N` lanes, transposed.
///
/// Each round interleaves vector `i` with vector `i + N / 2`, which turns the bits of an element's position
/// (vector, then lane) by one place; after as many rounds as a lane's number has bits, the two have
/// changed places.
#[inline(always)]
pub(crate) fn transpose<S: Token, V: Lanes<S>, const N: usize>(mut v: [V; N]) -> [V; N] {
    debug_assert_eq!(N, V::LEN);
    for _ in 0..N.trailing_zeros() {
        let before = v;
        for i in 0..N / 2 {
            let (a, b) = (before[i], before[i + N / 2]);
            v[2 * i] = a.zip_low(b);
            v[2 * i + 1] = a.zip_high(b);
        }
    }
    v
}

/// The lanes of each of as many vectors as they have lanes, brought together by `f` in halves: the first with the one
/// half of all lanes later, then those with each other. The result of the `i`-th vector is in lane `i`.
///
/// Each round interleaves as in [`transpose`], and one of its two vectors becomes `f` of both: less than a transposition, and
/// less than so many times halving one.
#[inline(always)]
pub(crate) fn fold<S: Token, V: Lanes<S>>(mut v: [V; 16], f: impl Fn(V, V) -> V) -> V {
    let mut half = V::LEN / 2;
    while half > 0 {
        for i in 0..half {
            let (a, b) = (v[i], v[i + half]);
            v[i] = f(a.zip_low(b), a.zip_high(b));
        }
        half /= 2;
    }
    v[0]
}

/// The first four elements of sixteen rows a step apart, column by column. The block `k` of vector `j` is read from row
/// `4 k + j`: in half the shuffles of sixteen elements each, and none for what there is not.
///
/// # Safety
/// They can be read.
#[inline(always)]
pub(crate) unsafe fn load_four_columns<S: Token>(
    simd: S,
    source: *const f32,
    step: usize,
) -> [f32x16<S>; 4] {
    let mut vectors = [f32x16::splat(simd, 0.0); 4];
    for (j, vector) in vectors.iter_mut().enumerate() {
        let mut blocks = [f32x4::splat(simd, 0.0); 4];
        for (k, block) in blocks.iter_mut().enumerate() {
            // SAFETY: promised by the caller; an array has its elements' alignment.
            let four = unsafe { &*source.add((4 * k + j) * step).cast() };
            *block = f32x4::load_array_ref(simd, four);
        }
        let [a, b, c, d] = blocks;
        *vector = a.combine(b).combine(c.combine(d));
    }
    simd.transpose_blocks(vectors)
}

/// Transpose four vectors of four blocks of four lanes, each block of the four by itself.
#[inline(always)]
pub(super) fn transpose_blocks<S: Token>(v: [f32x16<S>; 4]) -> [f32x16<S>; 4] {
    let mut columns = [[f32x4::splat(v[0].token(), 0.0); 4]; 4];
    for (block, column) in columns.iter_mut().enumerate() {
        for (slot, v) in column.iter_mut().zip(v) {
            let (low, high) = v.split();
            let (first, second) = if block < 2 { low.split() } else { high.split() };
            *slot = if block % 2 == 0 { first } else { second };
        }
        *column = transpose_four(*column);
    }
    let mut result = v;
    for (i, slot) in result.iter_mut().enumerate() {
        let [a, b, c, d] = map_array(
            [0, 1, 2, 3],
            #[inline(always)]
            |block: usize| columns[block][i],
        );
        *slot = a.combine(b).combine(c.combine(d));
    }
    result
}

/// [`transpose_blocks`], of which each step is one instruction.
#[cfg(target_arch = "x86_64")]
pub(super) mod blocks {
    use std::arch::x86_64::{
        __m512, _mm512_castpd_ps, _mm512_castps_pd, _mm512_unpackhi_pd, _mm512_unpackhi_ps,
        _mm512_unpacklo_pd, _mm512_unpacklo_ps,
    };

    fearless_simd::kernel!(
        #[inline(always)]
        pub(in super::super) fn avx512(
            token: Avx512,
            a: __m512,
            b: __m512,
            c: __m512,
            d: __m512,
        ) -> [__m512; 4] {
            let (low, high) = (_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
            let (other_low, other_high) = (_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
            let (low, other_low) = (_mm512_castps_pd(low), _mm512_castps_pd(other_low));
            let (high, other_high) = (_mm512_castps_pd(high), _mm512_castps_pd(other_high));
            [
                _mm512_castpd_ps(_mm512_unpacklo_pd(low, other_low)),
                _mm512_castpd_ps(_mm512_unpackhi_pd(low, other_low)),
                _mm512_castpd_ps(_mm512_unpacklo_pd(high, other_high)),
                _mm512_castpd_ps(_mm512_unpackhi_pd(high, other_high)),
            ]
        }
    );
}

/// Transpose four vectors of four lanes, in two rounds of the same.
#[inline(always)]
pub(crate) fn transpose_four<S: Token>([a, b, c, d]: [f32x4<S>; 4]) -> [f32x4<S>; 4] {
    let (low, other_low) = (a.zip_low(c), b.zip_low(d));
    let (high, other_high) = (a.zip_high(c), b.zip_high(d));
    [
        low.zip_low(other_low),
        low.zip_high(other_low),
        high.zip_low(other_high),
        high.zip_high(other_high),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use fearless_simd::{Fallback, f64x8};

    #[test]
    fn lanes_are_folded_in_halves() {
        let simd = Fallback::new();
        let v: [f64x8<_>; 16] = std::array::from_fn(|row| {
            f64x8::from_fn(simd, |lane| (1 << (3 * lane)) as f64 * row as f64)
        });
        let nested = |a: f64x8<_>, b: f64x8<_>| (a * 2.0) - b;
        let folded = fold(v, nested);
        for row in 0..8 {
            let mut parts: [f64; 8] = v[row].into();
            for half in [4, 2, 1] {
                for i in 0..half {
                    parts[i] = parts[i] * 2.0 - parts[i + half];
                }
            }
            assert_eq!(folded[row], parts[0]);
        }
    }

    #[test]
    fn rows_become_columns() {
        let simd = Fallback::new();
        let v: [f32x16<_>; 16] =
            std::array::from_fn(|row| f32x16::from_fn(simd, |column| (100 * row + column) as f32));
        let blocks = transpose_blocks([v[0], v[1], v[2], v[3]]);
        for (i, lane) in (0..4).flat_map(|i| (0..16).map(move |lane| (i, lane))) {
            assert_eq!(blocks[i][lane], v[lane % 4][lane / 4 * 4 + i]);
        }
        let t = transpose(v);
        let w: [f64x8<_>; 8] =
            std::array::from_fn(|row| f64x8::from_fn(simd, |column| (100 * row + column) as f64));
        let u = transpose(w);
        for (row, column) in (0..16).flat_map(|row| (0..16).map(move |column| (row, column))) {
            assert_eq!(t[row][column], (100 * column + row) as f32);
            if row < 8 && column < 8 {
                assert_eq!(u[row][column], (100 * column + row) as f64);
            }
        }
    }
}
