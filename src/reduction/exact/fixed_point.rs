//! A fixed-point number wide enough for any sum of float64 values.
//!
//! Two's complement keeps one representation for a value, so equality, merging and serialisation are
//! those of an integer; no carries are pending, nothing has to be normalised.

use super::rounding::{Leading, round_to_nearest};

/// Limbs of a [`FixedPoint`], of 64 bits each.
pub(super) const LIMBS: usize = 34;

/// The exponent of the unit: the least significant bit counts 2^-1074, the smallest subnormal.
const UNIT_EXPONENT: i32 = -1074;

/// Explicit bits of a float64 significand.
const FRACTION_BITS: u32 = 52;

/// A multiple of 2^-1074 in two's complement, the least significant limb first.
///
/// 2176 bits: 1074 below the point, 1024 for the largest float64, a sign, and 77 for the growth of
/// a sum, which would take 2^77 additions to fill.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct FixedPoint(pub(super) [u64; LIMBS]);

impl FixedPoint {
    pub(super) const ZERO: Self = Self([0; LIMBS]);

    /// Add a finite value.
    #[inline]
    pub(super) fn add_float(&mut self, value: f64) {
        let bits = value.to_bits();
        let fraction = bits & ((1 << FRACTION_BITS) - 1);
        let biased = ((bits >> FRACTION_BITS) & 0x7ff) as u32;
        // A subnormal has no hidden bit and the exponent of the smallest normal.
        let hidden = u32::from(biased != 0);
        let significand = fraction | (u64::from(hidden) << FRACTION_BITS);
        self.add_shifted(significand, biased - hidden, value.is_sign_negative());
    }

    /// Add an integer.
    pub(super) fn add_integer(&mut self, value: u64) {
        self.add_shifted(value, UNIT_EXPONENT.unsigned_abs(), false);
    }

    /// Add `significand * 2^shift` units, or subtract it; `shift` is at most 2045.
    #[inline]
    fn add_shifted(&mut self, significand: u64, shift: u32, negative: bool) {
        let Self(limbs) = self;
        let at = (shift / 64) as usize;
        // Less than 2^127, so the sign bit is free.
        let magnitude = i128::from(significand) << (shift % 64);
        let term = if negative { -magnitude } else { magnitude };
        let (low, carry) = limbs[at].overflowing_add(term as u64);
        let (high, carry) = add_with_carry(limbs[at + 1], (term >> 64) as u64, carry);
        limbs[at] = low;
        limbs[at + 1] = high;
        // All further limbs of the term are its sign: 0 or -1, to which the carry adds 1. Mostly that
        // gives 0 and nothing is left to do.
        let sign = (term >> 127) as i64;
        let mut rest = sign + i64::from(carry);
        for limb in &mut limbs[at + 2..] {
            if rest == 0 {
                return;
            }
            let (sum, overflow) = limb.overflowing_add_signed(rest);
            *limb = sum;
            rest = if overflow { rest } else { 0 };
        }
    }

    /// Add another number.
    pub(super) fn add(&mut self, other: &Self) {
        let mut carry = false;
        for (limb, &term) in self.0.iter_mut().zip(&other.0) {
            (*limb, carry) = add_with_carry(*limb, term, carry);
        }
    }

    pub(super) fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }

    pub(super) fn is_negative(&self) -> bool {
        (self.0[LIMBS - 1] as i64) < 0
    }

    /// Sign, magnitude and exponent in the form that division and rounding want; None for zero.
    pub(super) fn normalised(&self) -> Option<Normalised> {
        let negative = self.is_negative();
        let mut magnitude = self.0;
        if negative {
            let mut carry = true;
            for limb in &mut magnitude {
                (*limb, carry) = add_with_carry(!*limb, 0, carry);
            }
        }
        let top = magnitude.iter().rposition(|&limb| limb != 0)?;
        let last = magnitude.iter().position(|&limb| limb != 0)?;
        let leading_zeros = magnitude[top].leading_zeros();
        let mut fraction = [0; LIMBS];
        for (k, limb) in fraction[..=top - last].iter_mut().enumerate() {
            let here = magnitude[top - k];
            let below = if k < top { magnitude[top - k - 1] } else { 0 };
            let pair = (u128::from(here) << 64) | u128::from(below);
            *limb = ((pair << leading_zeros) >> 64) as u64;
        }
        Some(Normalised {
            negative,
            fraction,
            exponent: 64 * top as i32 + 63 - leading_zeros as i32 + UNIT_EXPONENT,
        })
    }

    /// The nearest float64, ties to even; zero is `+0.0`.
    pub(super) fn to_f64(&self) -> f64 {
        self.normalised().map_or(0.0, |number| {
            round_to_nearest(Leading {
                negative: number.negative,
                bits: number.fraction[0],
                inexact: number.fraction[1..].iter().any(|&limb| limb != 0),
                exponent: number.exponent,
            })
        })
    }
}

/// `a + b + carry` and the carry out.
#[inline]
fn add_with_carry(a: u64, b: u64, carry: bool) -> (u64, bool) {
    let (sum, first) = a.overflowing_add(b);
    let (sum, second) = sum.overflowing_add(u64::from(carry));
    (sum, first || second)
}

/// A nonzero number as sign, fraction and exponent.
pub(super) struct Normalised {
    pub(super) negative: bool,
    /// The magnitude's bits, most significant limb FIRST, its leading bit the first of all: arrays
    /// then compare as the numbers do.
    pub(super) fraction: [u64; LIMBS],
    /// The leading bit counts `2^exponent`.
    pub(super) exponent: i32,
}
