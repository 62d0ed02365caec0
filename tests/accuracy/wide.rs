//! Double-double arithmetic with an exponent of its own, so that nothing overflows or underflows.
//! Even infinity is a number, at which formulas have their limits.
//!
//! 106 bits by error-free transformations (Dekker 1971; Shewchuk 1997), then plain series: slow,
//! short, and independent of the kernels under test.

use super::real::{Parts, Real, power_of_two};
use std::cmp::Ordering;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// `(hi + lo) * 2^exponent`.
#[derive(Clone, Copy, Debug)]
pub struct Wide(Parts);

/// The exponent that stands for infinity.
const INFINITY: i64 = 1 << 40;
/// The exponent of its exponential, which outweighs any power of it.
const EXP_INFINITY: i64 = 1 << 50;

impl Wide {
    const LN_2: (f64, f64) = (std::f64::consts::LN_2, 2.3190468138462996e-17);
    const TWO_OVER_SQRT_PI: (f64, f64) = (std::f64::consts::FRAC_2_SQRT_PI, 1.533545961316588e-17);

    fn new(hi: f64, lo: f64, exponent: i64) -> Self {
        Self(Parts::new(hi, lo, exponent))
    }

    /// Itself times `2^n`.
    fn scale(self, n: i64) -> Self {
        Self(Parts {
            exponent: self.0.exponent + n,
            ..self.0
        })
    }

    /// The nearest `f64`, up to double rounding where it is subnormal.
    pub fn nearest(self) -> f64 {
        let exponent = self.0.exponent.clamp(-1200, 1200);
        let half = exponent / 2;
        self.0.hi * power_of_two(half) * power_of_two(exponent - half)
    }

    /// The sum of `x^n / n!` from `n = 1` on, for `|x| < 0.011`.
    fn expm1_series(self) -> Self {
        // 0.011^12 / 13! is 2^-110.
        let one = Self::from(1.0);
        (2..=12)
            .rev()
            .fold(one, |sum, n| one + sum * self / f64::from(n))
            * self
    }

    /// `x = n ln(2) + 32 r`: `n` and the series' value at `r`, five doublings away from `e^(32 r) - 1`.
    fn expm1_reduced(self) -> (i64, Self) {
        let n = (self.nearest() / std::f64::consts::LN_2).round();
        let r = self - Self::constant(Self::LN_2.0, Self::LN_2.1) * n;
        let doubled = |e: Self| e * (e + 2.0);
        (
            n as i64,
            (0..5).fold(r.scale(-5).expm1_series(), |e, _| doubled(e)),
        )
    }

    /// `e^(x^2) erf(x)`, by the series with positive terms only (Abramowitz and Stegun 7.1.6).
    fn scaled_erf(self) -> Self {
        let square = self.scale(1) * self;
        let (mut term, mut sum, mut n) = (self, self, 1.0);
        while term.0.hi != 0.0 && term.0.exponent > sum.0.exponent - 110 {
            n += 2.0;
            term = term * square / n;
            sum = sum + term;
        }
        sum * Self::constant(Self::TWO_OVER_SQRT_PI.0, Self::TWO_OVER_SQRT_PI.1)
    }

    /// `e^(x^2) erfc(x)` for `x >= 2`, by the continued fraction (Abramowitz and Stegun 7.1.14).
    fn scaled_erfc(self) -> Self {
        // Terms for 106 bits: the error falls as exp(-2 x sqrt(2 n)).
        let terms = (680.0 / (self.nearest() * self.nearest())).ceil() as i32 + 8;
        let fraction = (1..=terms)
            .rev()
            .fold(self, |tail, n| self + Self::from(f64::from(n) / 2.0) / tail);
        Self::constant(Self::TWO_OVER_SQRT_PI.0, Self::TWO_OVER_SQRT_PI.1).scale(-1) / fraction
    }
}

impl Real for Wide {
    const ERROR: f64 = 1.0 / (1_u128 << 88) as f64;

    fn constant(hi: f64, lo: f64) -> Self {
        Self::new(hi, lo, 0)
    }

    fn exp(self) -> Self {
        if self.0.exponent > 30 {
            return Self::new(1.0, 0.0, EXP_INFINITY * self.0.hi.signum() as i64);
        }
        let (n, e) = self.expm1_reduced();
        (e + 1.0).scale(n)
    }

    fn expm1(self) -> Self {
        if self.0.exponent > 30 {
            return self.exp() - 1.0;
        }
        let (n, e) = self.expm1_reduced();
        if n == 0 { e } else { (e + 1.0).scale(n) - 1.0 }
    }

    fn log1p(self) -> Self {
        if self <= -1.0 {
            let pole = if self == -1.0 {
                f64::NEG_INFINITY
            } else {
                f64::NAN
            };
            return Self::from(pole);
        }
        if self.0.exponent < -120 || self.0.exponent >= INFINITY {
            return self;
        }
        // One step from the nearest f64, with cubic convergence: log(a / b) = 2 (a-b) / (a+b) + ...
        let guess = Self::from(core_math::log1p(self.nearest()));
        let power = guess.expm1();
        guess + (self - power).scale(1) / (self + power + 2.0)
    }

    fn tanh(self) -> Self {
        let e = self.abs().scale(1).expm1();
        let t = e / (e + 2.0);
        if self < 0.0 { -t } else { t }
    }

    fn erf(self) -> Self {
        if self.abs() > 2.0 {
            let e = Self::from(1.0) - self.abs().erfc();
            if self < 0.0 { -e } else { e }
        } else {
            self.scaled_erf() * (-(self * self)).exp()
        }
    }

    fn erfc(self) -> Self {
        if self > 2.0 {
            self.scaled_erfc() * (-(self * self)).exp()
        } else {
            Self::from(1.0) - self.erf()
        }
    }

    fn sqrt(self) -> Self {
        if self.0.hi == 0.0 {
            return self;
        }
        let odd = self.0.exponent.rem_euclid(2);
        let significand = Self(Parts {
            exponent: odd,
            ..self.0
        });
        let root = Self::from(significand.nearest().sqrt());
        let root = root + (significand - root * root) / root.scale(1);
        root.scale((self.0.exponent - odd) / 2)
    }

    fn parts(self) -> Parts {
        self.0
    }
}

impl From<f64> for Wide {
    fn from(x: f64) -> Self {
        if x.is_infinite() {
            return Self::new(x.signum(), 0.0, INFINITY);
        }
        Self::new(x, 0.0, 0)
    }
}

impl Neg for Wide {
    type Output = Self;
    fn neg(self) -> Self {
        Self(Parts {
            hi: -self.0.hi,
            lo: -self.0.lo,
            exponent: self.0.exponent,
        })
    }
}

impl Add for Wide {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        let zero_or_larger = |a: Self, b: Self| b.0.hi == 0.0 || a.0.exponent >= b.0.exponent;
        let (a, b) = if self.0.hi != 0.0 && zero_or_larger(self, other) {
            (self.0, other.0)
        } else {
            (other.0, self.0)
        };
        let apart = a.exponent - b.exponent;
        if b.hi == 0.0 || apart > 900 || !a.hi.is_finite() {
            return Self(a);
        }
        let (b_hi, b_lo) = (b.hi * power_of_two(-apart), b.lo * power_of_two(-apart));
        let (hi, hi_error) = two_sum(a.hi, b_hi);
        let (lo, lo_error) = two_sum(a.lo, b_lo);
        let (hi, rest) = two_sum(hi, hi_error + lo);
        Self::new(hi, rest + lo_error, a.exponent)
    }
}

impl Sub for Wide {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Mul for Wide {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        let (a, b) = (self.0, other.0);
        let hi = a.hi * b.hi;
        let lo = a.hi.mul_add(b.hi, -hi) + (a.hi * b.lo + a.lo * b.hi);
        Self::new(hi, lo, a.exponent + b.exponent)
    }
}

impl Div for Wide {
    type Output = Self;
    fn div(self, other: Self) -> Self {
        let (a, b) = (self.0, other.0);
        let quotient = a.hi / b.hi;
        if !quotient.is_finite() {
            return Self::from(quotient);
        }
        let remainder = (-quotient).mul_add(b.hi, a.hi) + (a.lo - quotient * b.lo);
        Self::new(quotient, remainder / b.hi, a.exponent - b.exponent)
    }
}

impl PartialOrd for Wide {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (*self - *other).0.hi.partial_cmp(&0.0)
    }
}

impl PartialEq for Wide {
    fn eq(&self, other: &Self) -> bool {
        self.partial_cmp(other) == Some(Ordering::Equal)
    }
}

impl PartialOrd<f64> for Wide {
    fn partial_cmp(&self, other: &f64) -> Option<Ordering> {
        self.partial_cmp(&Self::from(*other))
    }
}

impl PartialEq<f64> for Wide {
    fn eq(&self, other: &f64) -> bool {
        *self == Self::from(*other)
    }
}

macro_rules! with_f64 {
    ($($operator:ident $method:ident),*) => {$(
        impl $operator<f64> for Wide {
            type Output = Self;
            fn $method(self, other: f64) -> Self {
                self.$method(Self::from(other))
            }
        }
    )*};
}
with_f64!(Add add, Sub sub, Mul mul, Div div);

/// `a + b` and its rounding error (Knuth).
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let b_part = sum - a;
    (sum, (a - (sum - b_part)) + (b - b_part))
}
