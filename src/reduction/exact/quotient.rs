//! The quotient of two exact sums, rounded once: a weighted mean that is as exact as its sums.

use super::fixed_point::Normalised;
use super::rounding::{Leading, round_to_nearest};
use super::{Class, ExactSum};

/// `numerator / denominator`, the exact ratio rounded once to the nearest float64, ties to even.
///
/// A zero denominator gives NaN; infinite and NaN sums follow IEEE division. A ratio too large for
/// float64 is infinite; one too small is a zero of its sign.
#[must_use]
pub fn exact_quotient(numerator: &ExactSum, denominator: &ExactSum) -> f64 {
    match (numerator.class, denominator.class) {
        (Class::Finite, Class::Finite) => finite_quotient(numerator, denominator),
        (Class::Infinite { negative }, Class::Finite) if !denominator.is_zero() => {
            signed(f64::INFINITY, negative != denominator.finite.is_negative())
        }
        (Class::Finite, Class::Infinite { negative }) => {
            signed(0.0, negative != numerator.finite.is_negative())
        }
        _ => f64::NAN,
    }
}

fn signed(magnitude: f64, negative: bool) -> f64 {
    if negative { -magnitude } else { magnitude }
}

/// Schoolbook binary division of the fractions: 64 bits of the quotient and whether any follow.
fn finite_quotient(numerator: &ExactSum, denominator: &ExactSum) -> f64 {
    let Some(divisor) = denominator.finite.normalised() else {
        return f64::NAN;
    };
    let Some(dividend) = numerator.finite.normalised() else {
        return 0.0;
    };
    // Sums of a few binades have a few limbs: leave out those that are zero in both.
    let used = |limbs: &[u64]| {
        limbs
            .iter()
            .rposition(|&limb| limb != 0)
            .map_or(0, |last| last + 1)
    };
    let length = used(&dividend.fraction).max(used(&divisor.fraction));
    let negative = dividend.negative != divisor.negative;
    if used(&divisor.fraction) == 1 {
        return round_to_nearest(short_quotient(&dividend, &divisor, negative));
    }
    let mut remainder = dividend.fraction;
    let remainder = &mut remainder[..length];
    let divisor_limbs = &divisor.fraction[..length];

    // Both fractions lie in [1, 2), so the leading bit is the first or the second.
    let mut exponent = dividend.exponent - divisor.exponent;
    let mut bits: u64 = 0;
    let mut carry = false;
    loop {
        let one = carry || *remainder >= *divisor_limbs;
        if one {
            subtract(remainder, divisor_limbs);
        }
        bits = bits << 1 | u64::from(one);
        if bits >> 63 == 1 {
            break;
        }
        if bits == 0 {
            exponent -= 1;
        }
        carry = double(remainder);
    }
    round_to_nearest(Leading {
        negative,
        bits,
        inexact: remainder.iter().any(|&limb| limb != 0),
        exponent,
    })
}

/// Division by a single limb, as of a count: one machine division instead of 64 subtractions.
fn short_quotient(dividend: &Normalised, divisor: &Normalised, negative: bool) -> Leading {
    let (d, f) = (divisor.fraction[0], &dividend.fraction);
    let digit = f[0] >= d;
    let rest = if digit { f[0] - d } else { f[0] };
    let next = (u128::from(rest) << 64) | u128::from(f[1]);
    // The rest is less than the divisor, so the quotient has one limb.
    let quotient = (next / u128::from(d)) as u64;
    let remainder = next - u128::from(quotient) * u128::from(d);
    let inexact = remainder != 0 || f[2..].iter().any(|&limb| limb != 0);
    let exponent = dividend.exponent - divisor.exponent;
    if digit {
        Leading {
            negative,
            bits: 1 << 63 | quotient >> 1,
            inexact: inexact || quotient & 1 == 1,
            exponent,
        }
    } else {
        // The rest is at least 2^63 and less than the divisor: the quotient's leading bit is set.
        Leading {
            negative,
            bits: quotient,
            inexact,
            exponent: exponent - 1,
        }
    }
}

/// `a -= b`, most significant limb first; a borrow out of the first limb cancels the caller's carry.
fn subtract(a: &mut [u64], b: &[u64]) {
    let mut borrow = false;
    for (limb, &term) in a.iter_mut().zip(b).rev() {
        let (difference, first) = limb.overflowing_sub(term);
        let (difference, second) = difference.overflowing_sub(u64::from(borrow));
        *limb = difference;
        borrow = first || second;
    }
}

/// `a *= 2`, most significant limb first; the bit shifted out.
fn double(a: &mut [u64]) -> bool {
    let mut carry = 0;
    for limb in a.iter_mut().rev() {
        let out = *limb >> 63;
        *limb = *limb << 1 | carry;
        carry = out;
    }
    carry == 1
}
