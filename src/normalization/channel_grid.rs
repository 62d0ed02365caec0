//! Sums over samples of some of many channels, in registers: the channels of a sample lie side by side, the samples a
//! row of the array apart.

use super::channel_sums::terms_at;
use super::channel_terms::{Mean, Terms};
use super::lane_sums::Sum;
use super::sixteen::{LANES, Sixteen};
use crate::lanes::{Token, prefetch_early};
use fearless_simd::f64x8;
use fearless_simd::prelude::*;

/// Channels of many that are summed at a time: two lines of `f32`, and no more sums than there are registers.
pub(super) const BESIDE: usize = 2 * LANES;

/// Elements by which memory is asked for what will be read: the channels after the next ones. Rows of many channels
/// are pages apart, where a CPU guesses nothing.
const AHEAD: usize = 2 * BESIDE;

/// Some channels of samples: the elements of the first, and how many elements it is to the next one's.
pub(super) struct Grid<T> {
    pub(super) from: (*const T, *const T),
    pub(super) stride: usize,
    pub(super) count: usize,
}

impl<T: Sixteen> Grid<T> {
    /// Sums of the first `n` channels, [`BESIDE`] if `WHOLE`.
    ///
    /// The lanes take turns in the order in which halves are added, so that only four partial sums wait.
    ///
    /// # Safety
    /// All elements are readable, and the means of whole vectors, where there are any.
    #[inline(always)]
    pub(super) unsafe fn sums<S: Token, const N: usize, Of: Terms<N>, const WHOLE: bool>(
        &self,
        simd: S,
        means: [*const f64; 2],
        n: usize,
    ) -> [Sum<S, 4>; N] {
        let of = |half: usize| {
            if WHOLE {
                LANES
            } else {
                n.saturating_sub(half * LANES).min(LANES)
            }
        };
        let zero = f64x8::splat(simd, 0.0);
        let none = Mean {
            high: zero,
            low: zero,
        };
        let mut mean = [[none; 2]; 2];
        if Of::MEAN {
            for (half, mean) in mean.iter_mut().enumerate() {
                if of(half) > 0 {
                    // SAFETY: promised by the caller.
                    let [high, low] = unsafe {
                        [
                            f64::load(simd, means[0].add(half * LANES)),
                            f64::load(simd, means[1].add(half * LANES)),
                        ]
                    };
                    for k in 0..2 {
                        mean[k] = Mean {
                            high: high[k],
                            low: low[k],
                        };
                    }
                }
            }
        }
        let mut waiting = [[Sum::new(simd); N]; LANES.trailing_zeros() as usize];
        let mut sums = [Sum::new(simd); N];
        for turn in 0..LANES {
            let lane = turn.reverse_bits() >> (usize::BITS - LANES.trailing_zeros());
            sums = [Sum::new(simd); N];
            for sample in (lane..self.count).step_by(LANES) {
                for (half, mean) in mean.into_iter().enumerate() {
                    let at = sample * self.stride + half * LANES;
                    prefetch_early(self.from.0.wrapping_add(at + AHEAD));
                    if Of::GRADIENT {
                        prefetch_early(self.from.1.wrapping_add(at + AHEAD));
                    }
                    // SAFETY: promised by the caller.
                    let terms =
                        unsafe { terms_at::<S, T, N, Of>(simd, self.from, at, of(half), mean) };
                    for (sum, [(a, b), (c, d)]) in sums.iter_mut().zip(terms) {
                        sum.add_product::<T>(2 * half, a, b);
                        sum.add_product::<T>(2 * half + 1, c, d);
                    }
                }
            }
            let complete = turn.trailing_ones() as usize;
            for waiting in &waiting[..complete] {
                for (sums, waiting) in sums.iter_mut().zip(waiting) {
                    sums.add_to::<T>(waiting);
                }
            }
            if let Some(waiting) = waiting.get_mut(complete) {
                for (waiting, sums) in waiting.iter_mut().zip(&sums) {
                    waiting.set::<T>(sums);
                }
            }
        }
        sums
    }
}
