//! The exponential that rows are summed from: `e^(z - m)` for the row's maximum `m`.
//!
//! Apart from [`crate::math::exp`] because a row asks for less and for more: the argument is never
//! positive and bounded below, so there is no special case; but a thousand exponentials that each
//! underflow may sum to something, so the result is scaled by `2^SCALE` and keeps all its digits far
//! below the least normal number; and it comes in two parts, since a row of two classes has but one
//! exponential for its loss to be accurate with.

use crate::lanes::{Lanes, Token};
use crate::math::polynomial::horner;
use crate::math::twofold::fast_two_sum;

/// `(e^r - 1 - r) / r^2` for `|r| <= ln 2 / 2`: error `2^-28.2` relative to `e^r` (minimax; each leading
/// coefficient rounded, the rest fitted anew).
const TAIL_SINGLE: [f64; 5] = [
    0.4999999403953552,
    0.16666516661643982,
    0.04166810214519501,
    0.008369192481040955,
    0.0013838890008628368,
];

/// The same, error `2^-57.8`.
const TAIL_DOUBLE: [f64; 10] = [
    0.5000000000000011,
    0.16666666666666438,
    0.04166666666652578,
    0.0083333333334737,
    0.001388888894487161,
    0.00019841269560746944,
    2.4801491729164713e-05,
    2.7557529905789626e-06,
    2.763076104877061e-07,
    2.5020367697324036e-08,
];

/// What [`scaled_exponential`] multiplies `e^x` by is 2 to this.
#[inline(always)]
pub(crate) const fn scale_exponent(precision: u32) -> i32 {
    if precision == 24 { 64 } else { 512 }
}

/// `2^-scale`, to undo the scaling with.
#[inline(always)]
pub(crate) const fn unscale(precision: u32) -> f64 {
    f64::from_bits(((1023 - scale_exponent(precision)) as u64) << 52)
}

/// How far below the maximum an element's exponential becomes 0: `e^-128` is less than 2^-34 of the
/// least `f32`, `e^-1000` less than 2^-368 of the least `f64`.
#[inline(always)]
pub(crate) const fn cut(precision: u32) -> f64 {
    if precision == 24 { 128.0 } else { 1000.0 }
}

/// `e^(x + x_low) 2^scale = head + tail`, where `x` is from `-cut` to 0 and `x_low` what rounding cut
/// off it. The error is `2^-26` (`f32`) or `2^-55` (`f64`), relative; `head + tail` rounds to within
/// 0.6 ULP. `|tail| < 0.11 head`; both are exact for 0. NaN gives NaN, anything else outside the range a
/// number without meaning.
#[inline(always)]
pub(crate) fn scaled_exponential<S: Token, V: Lanes<S>>(simd: S, x: V, x_low: V) -> (V, V) {
    let single = V::PRECISION == 24;
    // ln 2 as the nearest number and what it lacks. n * ln2 is subtracted without error: the remainder
    // is a multiple of ln2's last place and not longer than the significand.
    let (ln2, ln2_low) = if single {
        (0.6931471824645996, -1.9046542121259336e-09)
    } else {
        (std::f64::consts::LN_2, 2.3190468138462996e-17)
    };
    // Adding 1.5 * 2^(PRECISION - 1) rounds to an integer n; the sum's bits end with n + bias + scale,
    // which is the exponent field of 2^(n + scale) once it is shifted there.
    let magic = if single {
        f64::from(3_u32 << 22) + f64::from(127 + scale_exponent(24))
    } else {
        (3_u64 << 51) as f64 + f64::from(1023 + scale_exponent(53))
    };
    let magic = V::lit(simd, magic);
    let shifted = x.fma(V::lit(simd, std::f64::consts::LOG2_E), magic);
    let n = shifted - magic;
    let power = V::from_bits(shifted.to_bits() << (V::PRECISION - 1));

    let r = n.fma(-V::lit(simd, ln2), x);
    let r_low = n.fma(-V::lit(simd, ln2_low), x_low);
    let whole = r + r_low;
    let tail: &[f64] = if single { &TAIL_SINGLE } else { &TAIL_DOUBLE };
    let tail = (whole * whole).fma(horner(simd, whole, tail), r_low);
    let (head, error) = fast_two_sum(V::lit(simd, 1.0), r);
    let tail = tail + error;
    (head * power, tail * power)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fearless_simd::prelude::*;
    use fearless_simd::{Fallback, f32x16, f64x8};

    #[test]
    fn agrees_with_core_math_to_the_stated_error() {
        let simd = Fallback::new();
        let mut worst = (0.0_f64, 0.0_f64);
        for i in 0..200_000 {
            let x = -f64::from(i) / 200_000.0 * 128.0;
            let (single, low) = (x as f32, (x - f64::from(x as f32)) as f32);
            let (head, tail) =
                scaled_exponential(simd, f32x16::splat(simd, single), f32x16::splat(simd, low));
            let got = f64::from(head[0]) + f64::from(tail[0]);
            let expected = core_math::exp(f64::from(single) + f64::from(low)) * 2_f64.powi(64);
            worst.0 = worst.0.max((got / expected - 1.0).abs());
            assert!(tail[0].abs() < 0.11 * head[0]);

            // Beside a correctly rounded reference: half an ulp of each.
            let x = x * 5.0;
            let (head, tail) =
                scaled_exponential(simd, f64x8::splat(simd, x), f64x8::splat(simd, 0.0));
            let reference = core_math::exp(x);
            let got = (head[0] + tail[0]) * unscale(53);
            worst.1 = worst.1.max((got / reference - 1.0).abs());
        }
        assert!(worst.0 < 2_f64.powi(-26), "{:e}", worst.0);
        assert!(worst.1 < 1.02 * f64::EPSILON, "{:e}", worst.1);
    }
}
