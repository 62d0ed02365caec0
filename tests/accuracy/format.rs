//! The floating-point formats, and the distance of a result from the exact value in their ulps.

use super::real::Parts;

/// A binary floating-point format.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// What NumPy calls it.
    pub name: &'static str,
    /// Bits of the significand, the hidden one included.
    pub precision: i64,
    /// Exponent of the smallest normal number.
    pub min_exponent: i64,
    /// Exponent of the largest number.
    pub max_exponent: i64,
}

pub const FLOAT32: Format = Format {
    name: "float32",
    precision: 24,
    min_exponent: -126,
    max_exponent: 127,
};
pub const FLOAT64: Format = Format {
    name: "float64",
    precision: 53,
    min_exponent: -1022,
    max_exponent: 1023,
};
pub const FLOAT16: Format = Format {
    name: "float16",
    precision: 11,
    min_exponent: -14,
    max_exponent: 15,
};
pub const BFLOAT16: Format = Format {
    name: "bfloat16",
    precision: 8,
    min_exponent: -126,
    max_exponent: 127,
};

/// Whether a result is the number of its format nearest to the exact value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// It is (ties to even).
    Correct,
    /// It is not.
    Wrong,
    /// The exact value is closer to the middle of two numbers than its own error bound.
    Undecided,
}

/// How far a result is from the exact value.
#[derive(Clone, Copy, Debug)]
pub struct Distance {
    /// In units of the last place of the format at the exact value.
    pub ulps: f64,
    /// Whether it is the nearest number.
    pub rounding: Rounding,
}

impl Format {
    /// The exponent of the last place of a number with this exponent: fixed below the normal range.
    fn last_place(&self, exponent: i64) -> i64 {
        exponent.max(self.min_exponent) - self.precision + 1
    }

    /// [`Format::distance`] where nothing is special, for an exact value good to `error`, its own scale:
    /// both are zero, or it is a normal number of the format, or beyond every `f64`. `None` elsewhere, and
    /// where it decides nothing. A few operations: the full sweep makes this test 2^32 times a function.
    pub fn plain_distance(&self, result: f64, exact: f64, error: f64) -> Option<Distance> {
        if exact == 0.0 && result == 0.0 {
            return Some(Distance::all_or_nothing(true));
        }
        if exact.is_infinite() {
            return Some(Distance::all_or_nothing(result == exact));
        }
        let exponent = ((exact.to_bits() >> 52) & 0x7ff) as i64 - 1023;
        if exponent < self.min_exponent || exponent >= self.max_exponent {
            return None;
        }
        let places = super::real::power_of_two(self.precision - 1 - exponent);
        // Exact for a result within a factor of 2, which is all that is decided here.
        let ulps = (result - exact).abs() * places;
        let beyond_half = ulps - 0.5;
        let margin = error * super::real::power_of_two(self.precision);
        let decided = beyond_half.abs() > margin && ulps < 4.0;
        decided.then_some(Distance {
            ulps,
            rounding: if beyond_half < 0.0 {
                Rounding::Correct
            } else {
                Rounding::Wrong
            },
        })
    }

    /// The distance of `result` from `exact`.
    ///
    /// `scale` is the number whose ulp is the unit: `exact` itself, or the larger term of a sum that
    /// cancels; `error` bounds the error of `exact` relative to it. Infinity counts as the number
    /// after the largest, and is right where the exact value rounds to it.
    pub fn distance(&self, result: f64, exact: Parts, scale: Parts, error: f64) -> Distance {
        let overflows = exact.hi != 0.0 && exact.exponent > self.max_exponent;
        let zero = exact.hi == 0.0;
        if !exact.hi.is_finite() || overflows {
            let expected = if overflows {
                f64::INFINITY.copysign(exact.hi)
            } else {
                exact.hi
            };
            return Distance::all_or_nothing(
                result == expected || (result.is_nan() && expected.is_nan()),
            );
        }
        let wrong_sign = !zero && result.is_sign_negative() != exact.hi.is_sign_negative();
        if result.is_nan() || (wrong_sign && (result == 0.0 || result.is_infinite())) {
            return Distance::all_or_nothing(false);
        }
        // Everything in units of the exact value's last place.
        let place = self.last_place(if zero {
            self.min_exponent
        } else {
            exact.exponent
        });
        let hi = times_power_of_two(exact.hi, exact.exponent - place);
        let lo = times_power_of_two(exact.lo, exact.exponent - place);
        let result = if result.is_infinite() {
            times_power_of_two(1.0_f64.copysign(result), self.max_exponent + 1 - place)
        } else {
            times_power_of_two(result, -place)
        };
        let difference = result - hi;
        let sign = (difference - lo).signum();
        let beyond_half = (sign * difference - 0.5) - sign * lo;
        let (scale_hi, scale_place) = if scale.hi == 0.0 {
            (hi, place)
        } else {
            let units = times_power_of_two(scale.hi, scale.exponent - place);
            (units, self.last_place(scale.exponent).max(place))
        };
        let rounding = if beyond_half == 0.0 && error < f64::EPSILON {
            // A tie, exactly: no transcendental value is one to 88 bits.
            if result.rem_euclid(2.0) == 0.0 {
                Rounding::Correct
            } else {
                Rounding::Wrong
            }
        } else if beyond_half.abs() <= error * scale_hi.abs() {
            Rounding::Undecided
        } else if beyond_half < 0.0 {
            Rounding::Correct
        } else {
            Rounding::Wrong
        };
        Distance {
            ulps: times_power_of_two(beyond_half + 0.5, place - scale_place),
            rounding,
        }
    }
}

impl Distance {
    fn all_or_nothing(right: bool) -> Self {
        if right {
            Self {
                ulps: 0.0,
                rounding: Rounding::Correct,
            }
        } else {
            Self {
                ulps: f64::INFINITY,
                rounding: Rounding::Wrong,
            }
        }
    }
}

/// `x * 2^n`, saturating, for any `n`.
pub fn times_power_of_two(x: f64, n: i64) -> f64 {
    let n = n.clamp(-2200, 2200);
    let step = |n: i64| super::real::power_of_two(n.clamp(-1000, 1000));
    let rest = n - n.clamp(-1000, 1000);
    x * step(n) * step(rest) * step(rest - rest.clamp(-1000, 1000))
}
