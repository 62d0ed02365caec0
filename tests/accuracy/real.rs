//! The arithmetic that a textbook formula is evaluated in.
//!
//! Each formula is written once, over [`Real`]. In `f64`, with CORE-MATH's correctly rounded functions,
//! it is fast and good to 2^-43: enough to measure the error of a `float32`. In [`Wide`] it is good
//! to 2^-88: for `float64`, and for the inputs that `f64` cannot decide.
//!
//! [`Wide`]: super::wide::Wide

use std::ops::{Add, Div, Mul, Neg, Sub};

/// A real number, as exactly as the type can tell.
pub trait Real:
    Copy
    + From<f64>
    + PartialOrd
    + PartialOrd<f64>
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Add<f64, Output = Self>
    + Sub<f64, Output = Self>
    + Mul<f64, Output = Self>
    + Div<f64, Output = Self>
    + Neg<Output = Self>
{
    /// Bound on the relative error of every formula in this arithmetic.
    const ERROR: f64;

    /// The unevaluated sum `hi + lo`: a constant to 106 bits.
    fn constant(hi: f64, lo: f64) -> Self;
    /// `e^x`.
    fn exp(self) -> Self;
    /// `e^x - 1`.
    fn expm1(self) -> Self;
    /// `log(1 + x)`.
    fn log1p(self) -> Self;
    /// The hyperbolic tangent.
    fn tanh(self) -> Self;
    /// The error function.
    fn erf(self) -> Self;
    /// `1 - erf(x)`.
    fn erfc(self) -> Self;
    /// The square root.
    fn sqrt(self) -> Self;
    /// The number, taken apart.
    fn parts(self) -> Parts;

    /// `1 / x`.
    fn reciprocal(self) -> Self {
        Self::from(1.0) / self
    }

    /// The magnitude.
    fn abs(self) -> Self {
        if self < 0.0 { -self } else { self }
    }

    /// The smaller number.
    fn min(self, other: f64) -> Self {
        if self < other { self } else { other.into() }
    }

    /// The larger number.
    fn max(self, other: f64) -> Self {
        if self > other { self } else { other.into() }
    }
}

/// `(hi + lo) * 2^exponent` with `1 <= |hi| < 2`, or `hi` is 0, infinite or NaN.
#[derive(Clone, Copy, Debug)]
pub struct Parts {
    /// The leading part.
    pub hi: f64,
    /// The rest: at most half an ulp of `hi`.
    pub lo: f64,
    /// The power of two.
    pub exponent: i64,
}

impl Parts {
    /// `hi + lo`, taken apart; `|lo| <= |hi|`.
    pub fn new(hi: f64, lo: f64, exponent: i64) -> Self {
        let sum = hi + lo;
        let lo = lo - (sum - hi);
        if sum == 0.0 || !sum.is_finite() {
            return Self {
                hi: sum,
                lo: 0.0,
                exponent: 0,
            };
        }
        if sum.is_subnormal() {
            return Self::new(sum * power_of_two(64), 0.0, exponent - 64);
        }
        let biased = (sum.to_bits() >> 52) & 0x7ff;
        let shift = biased as i64 - 1023;
        // In two steps: 2^-1023 is subnormal.
        let (half, rest) = (-(shift / 2), -(shift - shift / 2));
        Self {
            hi: sum * power_of_two(half) * power_of_two(rest),
            lo: lo * power_of_two(half) * power_of_two(rest),
            exponent: exponent + shift,
        }
    }
}

/// `2^n`, where that is a normal number.
pub fn power_of_two(n: i64) -> f64 {
    assert!((-1022..=1023).contains(&n));
    f64::from_bits(((n + 1023) as u64) << 52)
}

impl Real for f64 {
    // The worst is erfc(x / sqrt(2)) at 14: its argument's error, 2^-52, times x^2.
    const ERROR: f64 = 1.0 / (1_u64 << 43) as f64;

    fn constant(hi: f64, _lo: f64) -> Self {
        hi
    }
    fn exp(self) -> Self {
        core_math::exp(self)
    }
    fn expm1(self) -> Self {
        core_math::expm1(self)
    }
    fn log1p(self) -> Self {
        core_math::log1p(self)
    }
    fn tanh(self) -> Self {
        core_math::tanh(self)
    }
    fn erf(self) -> Self {
        core_math::erf(self)
    }
    fn erfc(self) -> Self {
        core_math::erfc(self)
    }
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }
    fn parts(self) -> Parts {
        Parts::new(self, 0.0, 0)
    }
}
