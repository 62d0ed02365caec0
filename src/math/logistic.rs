//! The logistic function `1 / (1 + e^-x)` and its derivative, in parts.
//!
//! Everything is built from `e = e^-|x|`, in `(0, 1]`, and `q = 1 / (1 + e)`: no overflow, and no
//! `1 - s` that cancels. `q` is one division and the remainder it left.

use super::exp::{exp_parts, parts_bound};
use super::twofold::{fast_two_sum, multiply};
use crate::lanes::{Lanes, Token};
use fearless_simd::prelude::*;

/// `e^-|x|` and `1 / (1 + e^-|x|)`, each in two parts, and the sign of `x`.
///
/// Good for every `x` as far as `1 + e^-|x|` is concerned; beyond [`parts_bound`] `e` no longer
/// decreases, so results proportional to it are to be replaced there.
pub struct Logistic<V> {
    x: V,
    /// `e^-|x|`.
    pub e: (V, V),
    /// `1 / (1 + e^-|x|)`.
    pub q: (V, V),
}

impl<V> Logistic<V> {
    /// For the argument `x + x_low`, `x_low` at most a few ulp of `x`. NaN gives NaN.
    #[inline(always)]
    pub fn new<S: Token>(simd: S, x: V, x_low: V) -> Self
    where
        V: Lanes<S>,
    {
        let zero = V::lit(simd, 0.0);
        let bound = parts_bound::<S, V>(simd);
        let size = x.abs();
        let beyond = size.simd_gt(bound);
        let argument = -beyond.select(bound, size);
        let argument_low = x.simd_lt(zero).select(x_low, -x_low);
        let e = exp_parts(simd, argument, beyond.select(zero, argument_low));

        let one = V::lit(simd, 1.0);
        let (divisor, error) = fast_two_sum(one, e.0);
        let divisor_low = error + e.1;
        let q = one / divisor;
        let remainder = q.fma(-divisor_low, q.fma(-divisor, one));
        Self {
            x,
            e,
            q: (q, remainder * q),
        }
    }

    /// `1 / (1 + e^-x)`.
    #[inline(always)]
    pub fn sigmoid<S: Token>(&self, simd: S) -> (V, V)
    where
        V: Lanes<S>,
    {
        let negative = self.x.simd_lt(V::lit(simd, 0.0));
        let product = self.derivative_root();
        (
            negative.select(product.0, self.q.0),
            negative.select(product.1, self.q.1),
        )
    }

    /// `e / (1 + e)`: the logistic function of `-|x|`.
    #[inline(always)]
    fn derivative_root<S: Token>(&self) -> (V, V)
    where
        V: Lanes<S>,
    {
        multiply(self.e, self.q)
    }

    /// The derivative, `e / (1 + e)^2`.
    #[inline(always)]
    pub fn derivative<S: Token>(&self) -> (V, V)
    where
        V: Lanes<S>,
    {
        multiply(self.derivative_root(), self.q)
    }
}
