//! Scalars in two parts, for what is done once a row, and lanes of them, for what is done to several rows.

use crate::lanes::{Lanes, Token};
use crate::math::twofold::two_sum;
use fearless_simd::f64x8;
use fearless_simd::prelude::*;
use std::ops::Neg;

/// The unevaluated sum `high + low`. A number that is not finite has no low part.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Twofold {
    pub(crate) high: f64,
    pub(crate) low: f64,
}

impl From<f64> for Twofold {
    #[inline(always)]
    fn from(high: f64) -> Self {
        Self { high, low: 0.0 }
    }
}

impl Twofold {
    #[inline(always)]
    pub(crate) fn new(high: f64, low: f64) -> Self {
        let sum = high + low;
        if sum.is_finite() {
            Self {
                high: sum,
                low: low - (sum - high),
            }
        } else {
            // Of a sum that overflowed, or was infinite, the rest is NaN.
            Self::from(if high.is_finite() { sum } else { high })
        }
    }

    #[inline(always)]
    pub(crate) fn plus(self, other: Self) -> Self {
        let sum = self.high + other.high;
        let part = sum - self.high;
        let error = (self.high - (sum - part)) + (other.high - part);
        Self::new(sum, error + (self.low + other.low))
    }

    #[inline(always)]
    pub(crate) fn minus(self, other: Self) -> Self {
        self.plus(Self {
            high: -other.high,
            low: -other.low,
        })
    }

    #[inline(always)]
    pub(crate) fn times(self, other: Self) -> Self {
        let product = self.high * other.high;
        let error = self.high.mul_add(other.high, -product);
        let low = self
            .high
            .mul_add(other.low, self.low.mul_add(other.high, error));
        Self::new(product, low)
    }

    /// The quotient; one that is not finite has no low part.
    #[inline(always)]
    pub(crate) fn over(self, divisor: Self) -> Self {
        let quotient = self.high / divisor.high;
        let remainder = (-quotient).mul_add(divisor.high, self.high);
        let remainder = (-quotient).mul_add(divisor.low, remainder + self.low);
        let low = remainder / divisor.high;
        // An infinite divisor leaves no remainder to speak of.
        Self::new(quotient, if low.is_finite() { low } else { 0.0 })
    }

    /// The square root of a number that is not negative.
    #[inline(always)]
    pub(crate) fn sqrt(self) -> Self {
        let root = self.high.sqrt();
        if root == 0.0 || !root.is_finite() {
            return Self::from(root);
        }
        let remainder = (-root).mul_add(root, self.high) + self.low;
        Self::new(root, remainder / (root + root))
    }

    /// The sum of both parts, which is `high` but for rounding.
    #[inline(always)]
    pub(crate) fn rounded(self) -> f64 {
        self.high + self.low
    }
}

impl<S: Token> Neg for TwofoldLanes<S> {
    type Output = Self;

    #[inline(always)]
    fn neg(self) -> Self {
        Self {
            high: -self.high,
            low: -self.low,
        }
    }
}

/// [`Twofold`] in lanes, to the same bits.
#[derive(Clone, Copy)]
pub(crate) struct TwofoldLanes<S: Token> {
    pub(crate) high: f64x8<S>,
    pub(crate) low: f64x8<S>,
}

impl<S: Token> TwofoldLanes<S> {
    #[inline(always)]
    pub(crate) fn new(high: f64x8<S>, low: f64x8<S>) -> Self {
        let sum = high + low;
        let finite = sum.is_finite();
        let zero = f64x8::splat(high.token(), 0.0);
        Self {
            high: (finite | high.is_finite()).select(sum, high),
            low: finite.select(low - (sum - high), zero),
        }
    }

    #[inline(always)]
    pub(crate) fn plus(self, other: Self) -> Self {
        let (sum, error) = two_sum(self.high, other.high);
        Self::new(sum, error + (self.low + other.low))
    }

    #[inline(always)]
    pub(crate) fn times(self, other: Self) -> Self {
        let (product, low) = self.product(other);
        Self::new(product, low)
    }

    #[inline(always)]
    fn product(self, other: Self) -> (f64x8<S>, f64x8<S>) {
        let product = self.high * other.high;
        let error = Lanes::fma(self.high, other.high, -product);
        let low = Lanes::fma(self.low, other.high, error);
        (product, Lanes::fma(self.high, other.low, low))
    }

    /// [`TwofoldLanes::new`], to the bit where the result is finite; it is not where a part is not.
    #[inline(always)]
    fn finite(high: f64x8<S>, low: f64x8<S>) -> Self {
        let sum = high + low;
        Self {
            high: sum,
            low: low - (sum - high),
        }
    }

    /// [`TwofoldLanes::plus`], to the bit where the sum is finite, which it is not where a term is not.
    #[inline(always)]
    pub(crate) fn plus_finite(self, other: Self) -> Self {
        let (sum, error) = two_sum(self.high, other.high);
        Self::finite(sum, error + (self.low + other.low))
    }

    /// [`TwofoldLanes::times`], to the bit where the product is finite, which it is not where a factor is not.
    #[inline(always)]
    pub(crate) fn times_finite(self, other: Self) -> Self {
        let (product, low) = self.product(other);
        Self::finite(product, low)
    }
}
