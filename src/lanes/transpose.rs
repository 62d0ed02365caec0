//! Transposition of as many vectors as they have lanes.

use super::{Lanes, Token};
use fearless_simd::f32x4;
use fearless_simd::prelude::*;

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
    use fearless_simd::{Fallback, f32x16, f64x8};

    #[test]
    fn rows_become_columns() {
        let simd = Fallback::new();
        let v: [f32x16<_>; 16] =
            std::array::from_fn(|row| f32x16::from_fn(simd, |column| (100 * row + column) as f32));
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
