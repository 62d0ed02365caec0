//! The statistics of a block in one pass over it, right where all its elements are finite.
//!
//! What binds it for `f32` is the widening to `f64`, an instruction and a half for each eight elements, then the
//! two sums; all else, of sixteen elements at a time, is cheap. An `f32`'s square is exact in `f64`, so that it
//! is the same whether fused with the addition or not.

use super::LANES;
use super::magnitudes::HasExponent;
use crate::dtype::Real;
use crate::lanes::{Lanes, Token};
use fearless_simd::f64x8;
use fearless_simd::prelude::*;

/// What is known of a block's elements.
pub(super) struct Found<T> {
    /// Elements that are 0 or -0, even where others are not finite.
    pub(super) zeros: u64,
    pub(super) min: T,
    pub(super) max: T,
    pub(super) sum: f64,
    /// Infinite or NaN if an element is, or if a square overflows; the other fields, but zeros, are without
    /// meaning then.
    pub(super) squares: f64,
}

/// Sums in lanes.
#[derive(Clone, Copy)]
pub(super) struct Sums<S: Token> {
    pub(super) sum: [f64x8<S>; 2],
    pub(super) squares: [f64x8<S>; 2],
}

/// Statistics of a vector's lanes.
struct Lane<S: Token, T: Real> {
    sums: Sums<S>,
    min: T::Vector<S>,
    max: T::Vector<S>,
    /// Counted in floats: there are far fewer than 2^24.
    zeros: T::Vector<S>,
}

impl<S: Token, T: HasExponent> Lane<S, T> {
    #[inline(always)]
    fn look(&mut self, simd: S, x: T::Vector<S>) {
        let (zero, one) = (T::Vector::lit(simd, 0.0), T::Vector::lit(simd, 1.0));
        self.zeros += x.simd_eq(zero).select(one, zero);
        // Of NaN, any result will do, and of zeros, either.
        self.min = self.min.min(x);
        self.max = self.max.max(x);
        T::add_lanes(&mut self.sums, x);
    }
}

/// Statistics of `values`, whose bits are taken into `live`, which begins anew after each period.
pub(super) fn look<S: Token, T: HasExponent>(simd: S, values: &[T], live: &mut [T]) -> Found<T> {
    simd.vectorize(
        #[inline(always)]
        || {
            let first = values.first().copied().unwrap_or_default();
            let nothing = f64x8::splat(simd, 0.0);
            let mut lane = Lane::<S, T> {
                sums: Sums {
                    sum: [nothing; 2],
                    squares: [nothing; 2],
                },
                min: T::Vector::splat(simd, first),
                max: T::Vector::splat(simd, first),
                zeros: T::Vector::splat(simd, T::default()),
            };
            let mut padding = 0;
            for part in values.chunks(live.len().max(1)) {
                padding += look_at_period(simd, &mut lane, part, &mut live[..part.len()], first);
            }
            let total = |[a, b]: [f64x8<S>; 2]| {
                let [a, b, c, d, e, f, g, h] = (a + b).to_array();
                ((a + b) + (c + d)) + ((e + f) + (g + h))
            };
            let smaller = |a: T, &b: &T| if b < a { b } else { a };
            let larger = |a: T, &b: &T| if b > a { b } else { a };
            Found {
                zeros: count(lane.zeros.as_slice()) - padding,
                min: lane.min.as_slice().iter().fold(first, smaller),
                max: lane.max.as_slice().iter().fold(first, larger),
                sum: total(lane.sums.sum),
                squares: total(lane.sums.squares),
            }
        },
    )
}

/// One period; how many zeros were added to fill the last vector.
#[inline(always)]
fn look_at_period<S: Token, T: HasExponent>(
    simd: S,
    lane: &mut Lane<S, T>,
    values: &[T],
    live: &mut [T],
    first: T,
) -> u64 {
    let lanes = T::Vector::<S>::LEN;
    let whole = values.len() - values.len() % lanes;
    let (values, rest) = values.split_at(whole);
    let (live, live_rest) = live.split_at_mut(whole);
    for (x, live) in values.chunks_exact(lanes).zip(live.chunks_exact_mut(lanes)) {
        let x = T::Vector::from_slice(simd, x);
        let seen = T::Vector::from_slice(simd, live);
        T::Vector::<S>::from_bits(x.to_bits() | seen.to_bits()).store_slice(live);
        lane.look(simd, x);
    }
    if rest.is_empty() {
        return 0;
    }
    let mut padded = [T::default(); LANES];
    padded[..rest.len()].copy_from_slice(rest);
    let (min, max) = (lane.min, lane.max);
    lane.look(simd, T::Vector::from_slice(simd, &padded[..lanes]));
    padded[rest.len()..].fill(first);
    let x = T::Vector::from_slice(simd, &padded[..lanes]);
    (lane.min, lane.max) = (min.min(x), max.max(x));
    for (live, &x) in live_rest.iter_mut().zip(rest) {
        *live = live.union(x);
    }
    (lanes - rest.len()) as u64
}

/// How many elements are at most `low` or at least `high`.
pub(super) fn saturated<S: Token, T: HasExponent>(simd: S, values: &[T], low: T, high: T) -> u64 {
    simd.vectorize(
        #[inline(always)]
        || {
            let lanes = T::Vector::<S>::LEN;
            let (zero, one) = (T::Vector::lit(simd, 0.0), T::Vector::lit(simd, 1.0));
            let (lows, highs) = (T::Vector::splat(simd, low), T::Vector::splat(simd, high));
            let mut counts = zero;
            let chunks = values.chunks_exact(lanes);
            let rest = chunks.remainder();
            for x in chunks {
                let x = T::Vector::from_slice(simd, x);
                counts += (x.simd_le(lows) | x.simd_ge(highs)).select(one, zero);
            }
            let is_saturated = |x: &&T| **x <= low || **x >= high;
            count(counts.as_slice()) + rest.iter().filter(is_saturated).count() as u64
        },
    )
}

/// The sum of counts.
#[inline(always)]
fn count<T: Real>(counts: &[T]) -> u64 {
    let wide = counts.iter().map(|&count| -> f64 { count.into() });
    wide.sum::<f64>() as u64
}
