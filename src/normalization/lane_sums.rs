//! Sums in lanes, with what the additions have lost where elements are as precise as the sums.

use super::sixteen::{Pair, Sixteen, multiply_add};
use super::sums::fold;
use crate::lanes::{Lanes, Token};
use crate::math::twofold::two_sum;
use fearless_simd::f64x8;
use fearless_simd::prelude::*;

/// A sum in lanes, with what the additions have lost where `EXACT`.
#[derive(Clone, Copy)]
pub(super) struct Sum<S: Token, const N: usize> {
    sum: [f64x8<S>; N],
    error: [f64x8<S>; N],
}

impl<S: Token, const N: usize> Sum<S, N> {
    #[inline(always)]
    pub(super) fn new(simd: S) -> Self {
        Self {
            sum: [f64x8::splat(simd, 0.0); N],
            error: [f64x8::splat(simd, 0.0); N],
        }
    }

    /// Add a term to vector `k`.
    #[inline(always)]
    pub(super) fn add<T: Sixteen>(&mut self, k: usize, term: f64x8<S>) {
        if T::EXACT {
            let (sum, error) = two_sum(self.sum[k], term);
            self.sum[k] = sum;
            self.error[k] += error;
        } else {
            self.sum[k] += term;
        }
    }

    /// Add a product to vector `k`.
    #[inline(always)]
    pub(super) fn add_product<T: Sixteen>(&mut self, k: usize, a: f64x8<S>, b: f64x8<S>) {
        if T::EXACT {
            self.add::<T>(k, a * b);
        } else {
            self.sum[k] = a.fma(b, self.sum[k]);
        }
    }

    /// Begin with other sums, to which these are added.
    #[inline(always)]
    pub(super) fn add_to<T: Sixteen>(&mut self, others: &Self) {
        for k in 0..N {
            let own = self.sum[k];
            self.sum[k] = others.sum[k];
            if T::EXACT {
                self.error[k] += others.error[k];
            }
            self.add::<T>(k, own);
        }
    }

    /// The same sums as others.
    #[inline(always)]
    pub(super) fn set<T: Sixteen>(&mut self, others: &Self) {
        self.sum = others.sum;
        if T::EXACT {
            self.error = others.error;
        }
    }

    /// Vector `k`, where no errors are carried along.
    #[inline(always)]
    pub(super) fn vector(&self, k: usize) -> f64x8<S> {
        self.sum[k]
    }

    /// The sum in each lane of vector `k`, and what the additions have lost.
    #[inline(always)]
    pub(super) fn lanes(&self, k: usize) -> [[f64; 8]; 2] {
        [self.sum[k].to_array(), self.error[k].to_array()]
    }

    /// The sum of all lanes and its low part.
    #[inline(always)]
    pub(super) fn total<T: Sixteen>(self) -> (f64, f64) {
        self.sum[0].token().outline(
            #[inline(always)]
            move || self.of_all::<T>(),
        )
    }

    #[inline(always)]
    fn of_all<T: Sixteen>(mut self) -> (f64, f64) {
        let mut half = N / 2;
        while half > 0 {
            for k in 0..half {
                self.error[k] += self.error[k + half];
                self.add::<T>(k, self.sum[k + half]);
            }
            half /= 2;
        }
        if T::EXACT {
            return fold(self.sum[0].to_array(), self.error[0].to_array());
        }
        let [a, b, c, d, e, f, g, h] = self.sum[0].to_array();
        (((a + e) + (c + g)) + ((b + f) + (d + h)), 0.0)
    }
}

/// Add `a * b` to sums and their errors.
///
/// # Safety
/// Sixteen of each are writable, and no references to them live.
#[inline(always)]
pub(super) unsafe fn add_products<S: Token, T: Sixteen>(
    simd: S,
    [sums, errors]: [*mut f64; 2],
    a: Pair<S>,
    b: Pair<S>,
) {
    simd.outline(
        #[inline(always)]
        move || {
            // SAFETY: promised by the caller.
            unsafe {
                let sum = f64::load(simd, sums);
                if T::EXACT {
                    let error = f64::load(simd, errors);
                    let (low, lost_low) = two_sum(sum[0], a[0] * b[0]);
                    let (high, lost_high) = two_sum(sum[1], a[1] * b[1]);
                    f64::store([low, high], sums);
                    f64::store([error[0] + lost_low, error[1] + lost_high], errors);
                } else {
                    f64::store(multiply_add(a, b, sum), sums);
                }
            }
        },
    );
}
