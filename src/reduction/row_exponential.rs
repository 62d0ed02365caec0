//! The exponentials that rows are summed from: `e^(z - ρ)` for a reference `ρ` near the row's maximum `m`.
//!
//! Apart from [`crate::math::exp`] because a row asks for less and for more: what is far below the maximum
//! counts as 0 and nothing is far above it, so there is no special case; but a thousand exponentials that
//! each underflow may sum to something, so the result is scaled by `2^SCALE` and keeps all its digits far
//! below the least normal number; and it comes in two parts, since a row of two classes has but one
//! exponential for its loss to be accurate with.
//!
//! The difference `z - m` loses digits when it is rounded: 16 ULP of the exponential of ordinary logits. `f64`
//! carries them along. `f32` subtracts nothing: `ρ` is `N ln 2`, the multiple that is nearest to `m`, and `N`
//! goes into the exponent, so that `e^z` costs no more than if it were asked for by itself. Only where
//! `|m|` is large are the digits carried there too, with `ρ = m`.
//!
//! `f32`: `z = (8 k + j) ln 2 / 8 + w`, and `e^z = 2^k 2^(j/8) e^w`, the middle factor from a table in a register
//! (of eight, which an AVX2 permutation covers), with what its rounding cut off added to `w`. So
//! `e^w - 1` is less than 0.05, its rounding errors are nothing, and the exponential is as good as rounded
//! correctly without arithmetic in two parts. Nor do sums need its low part: they add `2^k 2^(j/8)` and its
//! product with `e^w - 1`.

use super::exponential_sums::Mask;
use super::row_sums::RowReal;
use crate::lanes::{Lanes, Token, map_array};
use crate::math::polynomial::horner;
use crate::math::twofold::{constant, fast_two_sum, two_product, two_sum};
use fearless_simd::f64x8;
use fearless_simd::prelude::*;

/// `(e^w - 1 - w) / w^2` for `|w| <= ln 2 / 16`: error `2^-32.4` relative to `e^w` (minimax; each leading
/// coefficient rounded, the rest fitted anew).
const TAIL_SINGLE: [f64; 3] = [0.5, 0.1666802316904068, 0.041667208075523376];

/// The bits of `2^(j/8)` in 21 digits, less `j 2^20`, which the shifted index brings along. The last three
/// bits of an `f32` are free, as sums want it: see [`super::exponential_sums`].
const ROOTS: [u32; 8] = [
    0x3f80_0000,
    0x3f7b_95c0,
    0x3f78_37f0,
    0x3f75_fed8,
    0x3f75_04f0,
    0x3f75_6728,
    0x3f77_4500,
    0x3f7a_c0c8,
];

/// What rounding cut off them, relative.
const ROOT_ERRORS: [f32; 8] = [
    0.0,
    2.0663865996084496e-07,
    3.1934181521364735e-08,
    -1.2291364726024767e-07,
    2.699954109175451e-07,
    1.5982867296315817e-07,
    -2.2736638527476316e-07,
    -7.112758027005839e-08,
];

/// `ln 2 / 8` as the nearest `f32` and what it lacks. `n ln 2 / 8` is subtracted without error: the remainder is a
/// multiple of its last place, `2^-27`, and not longer than the significand; of less than 1/16 Sterbenz'
/// lemma applies, or `n` is 0.
const EIGHTH: (f64, f64) = (0.08664339780807495, -2.380817765157417e-10);

/// `(e^r - 1 - r) / r^2` for `|r| <= ln 2 / 2`: error `2^-57.8` relative to `e^r` (minimax).
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

/// Up to which `|m|` the reference is a multiple of `ln 2`, in `f32`: `n` times the low part of `ln 2 / 8`
/// has an error of no account.
const DIRECT: f64 = 4096.0;

/// `e^(x + x_low) 2^k = power (1 + growth)` for `f32`, `k` being as [`magic`] has it; the result is normal. The error is
/// `2^-27.5`, relative, and `power growth + power`, rounded once, is within 0.57 ULP. NaN gives NaN as growth.
#[inline(always)]
fn exponential_single<S: Token, V: Lanes<S>>(simd: S, x: V, x_low: Option<V>, magic: V) -> (V, V) {
    let shifted = x.fma(V::lit(simd, 8.0 * std::f64::consts::LOG2_E), magic);
    let n = shifted - magic;
    let r = n.fma(-V::lit(simd, EIGHTH.0), x);
    let correction = lookup(simd, ROOT_ERRORS.map(f32::to_bits), shifted);
    let correction = x_low.map_or(correction, |low| correction + low);
    let w = r + n.fma(-V::lit(simd, EIGHTH.1), correction);
    let growth = (w * w).fma(horner(simd, w, &TAIL_SINGLE), w);
    let root = lookup(simd, ROOTS, shifted);
    let power = V::from_bits(root.to_bits() + (shifted.to_bits() << 20));
    (power, growth)
}

/// The entries that the last three bits of `index` choose; `f32` lanes.
#[inline(always)]
fn lookup<S: Token, V: Lanes<S>>(simd: S, table: [u32; 8], index: V) -> V {
    index.by_precision(
        #[inline(always)]
        |index| simd.lookup_eight_f32(table.map(f32::from_bits), index.to_bits()),
        #[inline(always)]
        |index| index,
    )
}

/// `e^(x + x_low) 2^scale = head + tail` for `f64`, where `x` is from `-cut` to 0 and `x_low` what rounding cut
/// off it. The error is `2^-55`, relative; `head + tail` rounds to within 0.6 ULP. `|tail| < 0.11 head`;
/// both are exact for 0. NaN gives NaN, anything else outside the range a number without meaning.
#[inline(always)]
fn exponential_double<S: Token, V: Lanes<S>>(simd: S, x: V, x_low: V) -> (V, V) {
    // ln 2 as the nearest number and what it lacks. n * ln2 is subtracted without error: the remainder
    // is a multiple of ln2's last place and not longer than the significand.
    let (ln2, ln2_low) = (std::f64::consts::LN_2, 2.3190468138462996e-17);
    // Adding 1.5 * 2^(PRECISION - 1) rounds to an integer n; the sum's bits end with n + bias + scale,
    // which is the exponent field of 2^(n + scale) once it is shifted there.
    let magic = (3_u64 << 51) as f64 + f64::from(1023 + scale_exponent(53));
    let magic = V::lit(simd, magic);
    let shifted = x.fma(V::lit(simd, std::f64::consts::LOG2_E), magic);
    let n = shifted - magic;
    let power = V::from_bits(shifted.to_bits() << (V::PRECISION - 1));

    let r = n.fma(-V::lit(simd, ln2), x);
    let r_low = n.fma(-V::lit(simd, ln2_low), x_low);
    let whole = r + r_low;
    let tail = (whole * whole).fma(horner(simd, whole, &TAIL_DOUBLE), r_low);
    let (head, error) = fast_two_sum(V::lit(simd, 1.0), r);
    let tail = tail + error;
    (head * power, tail * power)
}

/// `1 / T` in two parts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct InverseTemperature {
    pub(crate) high: f64,
    pub(crate) low: f64,
}

impl InverseTemperature {
    /// Of the temperature 1, which leaves logits as they are.
    pub(crate) const ONE: Self = Self {
        high: 1.0,
        low: 0.0,
    };

    /// Of a temperature that is a positive normal number.
    pub(crate) fn of(temperature: f64) -> Self {
        let high = 1.0 / temperature;
        let low = (-high).mul_add(temperature, 1.0) / temperature;
        Self { high, low }
    }

    /// `(difference + low) / T`, in two parts again.
    #[inline(always)]
    fn apply<S: Token, V: Lanes<S>>(self, simd: S, difference: V, low: V) -> (V, V) {
        let (scale, scale_low) = constant::<S, V>(simd, (self.high, self.low));
        let product = difference * scale;
        let error = difference.fma(scale, -product);
        (product, difference.fma(scale_low, low.fma(scale, error)))
    }
}

/// How an element becomes the argument of its exponential: a parameter of the kernels.
pub(crate) mod form {
    /// As it is, the reference being in the exponent: `f32` only.
    pub(crate) const DIRECT: u8 = 0;
    /// As the difference to the maximum. In lanes that could be direct the difference is to 0, to the same bits.
    pub(crate) const DIFFERENCE: u8 = 1;
    /// As the difference over the temperature.
    pub(crate) const TEMPERED: u8 = 2;
}

/// The exponentials of elements of a row, or of a row to a lane, given its maximum.
#[derive(Clone, Copy)]
pub(crate) struct Exponentials<S: Token, T: RowReal, const FORM: u8> {
    inverse_temperature: InverseTemperature,
    maximum: T::Vector<S>,
    /// What is subtracted from the elements.
    base: T::Vector<S>,
    /// Where elements begin to count as 0.
    least: T::Vector<S>,
    /// What rounds to a multiple of `ln 2 / 8`, its bits ending with eight times the exponent to be.
    magic: T::Vector<S>,
    zero: T::Vector<S>,
}

/// The exponentials of a vector of elements.
pub(crate) struct Exponential<S: Token, T: RowReal> {
    /// Where the element is the maximum, and is not summed.
    pub(crate) tie: Mask<S, T>,
    /// Where it is neither that nor counts as 0.
    pub(crate) summed: Mask<S, T>,
    /// What is to be summed there, in the two parts that [`super::exponential_sums`] adds.
    pub(crate) parts: (T::Vector<S>, T::Vector<S>),
    /// The whole of it, rounded.
    pub(crate) rounded: T::Vector<S>,
}

/// `1.5 2^23 + 8 scale`.
const MAGIC: f64 = ((3 << 22) + 8 * scale_exponent(24)) as f64;

impl<S: Token, T: RowReal, const FORM: u8> Exponentials<S, T, FORM> {
    /// Given a row's maximum, or the largest element so far.
    #[inline(always)]
    pub(crate) fn new(simd: S, maximum: T, inverse_temperature: InverseTemperature) -> Self {
        let maximum = T::Vector::<S>::splat(simd, maximum);
        Self::of_maxima(simd, maximum, inverse_temperature)
    }

    /// Given a maximum for each lane.
    #[inline(always)]
    pub(crate) fn of_maxima(
        simd: S,
        maximum: T::Vector<S>,
        inverse_temperature: InverseTemperature,
    ) -> Self {
        let lit = |value| T::Vector::<S>::lit(simd, value);
        let single = T::Vector::<S>::PRECISION == 24;
        let zero = lit(0.0);
        let mut base = maximum;
        let mut magic = lit(MAGIC);
        if single && FORM != form::TEMPERED {
            let direct = maximum.abs().simd_le(lit(DIRECT));
            base = direct.select(zero, maximum);
            let rounding = lit(f64::from(3 << 22));
            let exponent = direct.select(maximum, zero);
            let exponent = exponent.fma(lit(std::f64::consts::LOG2_E), rounding) - rounding;
            magic = exponent.fma(lit(-8.0), magic);
        }
        Self {
            inverse_temperature,
            maximum,
            base,
            least: maximum - lit(cut(T::Vector::<S>::PRECISION)),
            magic,
            zero,
        }
    }

    /// Those of one lane's row, in all lanes.
    #[inline(always)]
    pub(crate) fn of_row(&self, simd: S, i: usize) -> Self {
        Self {
            maximum: T::Vector::<S>::splat(simd, self.maximum[i]),
            base: T::Vector::<S>::splat(simd, self.base[i]),
            least: T::Vector::<S>::splat(simd, self.least[i]),
            magic: T::Vector::<S>::splat(simd, self.magic[i]),
            ..*self
        }
    }

    /// The exponential of each element. Where the reference is a multiple of `ln 2`, those of the maximum are summed
    /// like the others unless they are to be kept `APART`.
    #[inline(always)]
    pub(crate) fn of<const APART: bool>(self, z: T::Vector<S>) -> Exponential<S, T> {
        let simd = z.token();
        let single = T::Vector::<S>::PRECISION == 24;
        let mut tie = z.simd_eq(self.maximum);
        if !APART && FORM == form::DIRECT {
            tie = SimdMask::splat(simd, false);
        } else if !APART && FORM == form::DIFFERENCE && single {
            tie &= !self.base.simd_eq(self.zero);
        }
        let (mut x, mut low) = (z, None);
        if FORM != form::DIRECT {
            let (difference, rest) = two_sum::<S, _>(z, -self.base);
            (x, low) = (difference, Some(rest));
            if FORM == form::TEMPERED {
                let (quotient, rest) = self.inverse_temperature.apply(simd, difference, rest);
                (x, low) = (quotient, Some(rest));
            }
        }
        let parts = if single {
            exponential_single(simd, x, low, self.magic)
        } else {
            exponential_double(simd, x, low.unwrap_or(self.zero))
        };
        // NaN is not below.
        let [counted, summed] = match FORM {
            form::DIRECT => {
                let [counted, other] = z.above_and_other(self.least, self.maximum);
                [counted, if APART { other } else { counted }]
            }
            form::DIFFERENCE => {
                // Of an infinite or a large maximum nothing is above the least.
                let counted = !z.simd_le(self.least);
                [counted, counted & !tie]
            }
            _ => {
                let least = T::Vector::<S>::lit(simd, -cut(T::Vector::<S>::PRECISION));
                let counted = !x.simd_le(least);
                [counted, counted & !tie]
            }
        };
        let rounded = if single {
            parts.0.fma(parts.1, parts.0)
        } else {
            parts.0 + parts.1
        };
        let mut rounded = counted.select(rounded, self.zero);
        if FORM != form::DIRECT {
            // Of equal infinities there is no difference.
            rounded = tie.select(self.peak().0, rounded);
        }
        Exponential {
            tie,
            summed,
            parts,
            rounded,
        }
    }

    /// The exponential of the maximum, in two parts.
    #[inline(always)]
    pub(crate) fn peak(self) -> (T::Vector<S>, T::Vector<S>) {
        let simd = self.zero.token();
        let precision = T::Vector::<S>::PRECISION;
        let one = T::Vector::<S>::lit(simd, 1.0 / unscale(precision));
        if precision != 24 || FORM == form::TEMPERED {
            return (one, self.zero);
        }
        let direct = self.base.simd_eq(self.zero);
        let argument = direct.select(self.maximum, self.zero);
        let (power, growth) = exponential_single(simd, argument, None, self.magic);
        let head = power.fma(growth, power);
        // The difference is exact: they are within a factor of 1.05.
        (head, power.fma(growth, power - head))
    }

    /// The reference that exponentials are relative to, in two parts.
    #[inline(always)]
    fn reference(self, simd: S) -> (f64x8<S>, f64x8<S>) {
        let exponent =
            (T::Vector::<S>::lit(simd, MAGIC) - self.magic) * T::Vector::<S>::lit(simd, 0.125);
        let exponent = f64x8::splat(simd, exponent[0].into());
        let (ln2, ln2_low) = constant::<S, f64x8<S>>(simd, crate::math::exp::LN_2);
        let (product, error) = two_product(exponent, ln2);
        let base = f64x8::splat(simd, self.base[0].into());
        // One of the two is 0.
        (product + base, Lanes::fma(exponent, ln2_low, error))
    }
}

/// Up to which a maximum is one for the [`form::DIRECT`].
#[inline(always)]
pub(crate) const fn direct_bound<T: RowReal>() -> f64 {
    if size_of::<T>() == 4 { DIRECT } else { -1.0 }
}

/// Whether a maximum is one for the [`form::DIRECT`].
#[inline(always)]
pub(crate) fn is_direct<T: RowReal>(maximum: T) -> bool {
    let maximum: f64 = maximum.into();
    maximum.abs() <= direct_bound::<T>()
}

/// `e^(a - b) 2^512` in two parts, where `a < b` are the references that go with two maxima, the first of them
/// finite; 0 where the exponent is below -1000.
#[inline(never)]
pub(crate) fn exponential_of_difference<S: Token, T: RowReal>(
    simd: S,
    (a, b): (T, T),
    inverse_temperature: InverseTemperature,
) -> (f64, f64) {
    simd.vectorize(
        #[inline(always)]
        || {
            let tempered = inverse_temperature != InverseTemperature::ONE;
            let [(a, a_low), (b, b_low)] = map_array(
                [a, b],
                #[inline(always)]
                |maximum| {
                    if tempered {
                        return (f64x8::splat(simd, maximum.into()), f64x8::splat(simd, 0.0));
                    }
                    let one = InverseTemperature::ONE;
                    Exponentials::<S, T, { form::DIFFERENCE }>::new(simd, maximum, one)
                        .reference(simd)
                },
            );
            let (difference, low) = two_sum::<S, _>(a, -b);
            let (difference, low) = (difference, low + (a_low - b_low));
            let (difference, low) = inverse_temperature.apply(simd, difference, low);
            let (head, tail) = exponential_double(simd, difference, low);
            if difference[0] <= -cut(53) {
                return (0.0, 0.0);
            }
            let high = head[0] + tail[0];
            (high, tail[0] - (high - head[0]))
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use fearless_simd::{Fallback, f32x16};

    #[test]
    fn agrees_with_core_math_to_the_stated_error() {
        let simd = Fallback::new();
        let mut worst = (0.0_f64, 0.0_f64);
        for i in 0..200_000 {
            let x = -f64::from(i) / 200_000.0 * 128.0;
            let (single, low) = (x as f32, (x - f64::from(x as f32)) as f32);
            let (power, growth) = exponential_single(
                simd,
                f32x16::splat(simd, single),
                Some(f32x16::splat(simd, low)),
                f32x16::splat(simd, MAGIC as f32),
            );
            let got = f64::from(power[0]) * (1.0 + f64::from(growth[0]));
            let expected = core_math::exp(f64::from(single) + f64::from(low)) * 2_f64.powi(64);
            worst.0 = worst.0.max((got / expected - 1.0).abs());
            assert!(growth[0].abs() < 0.05);
            assert_eq!(power[0].to_bits() % 8, 0);

            // Beside a correctly rounded reference: half an ulp of each.
            let x = x * 5.0;
            let (head, tail) =
                exponential_double(simd, f64x8::splat(simd, x), f64x8::splat(simd, 0.0));
            let reference = core_math::exp(x);
            let got = (head[0] + tail[0]) * unscale(53);
            worst.1 = worst.1.max((got / reference - 1.0).abs());
        }
        assert!(worst.0 < 2_f64.powf(-27.5), "{:e}", worst.0);
        assert!(worst.1 < 1.02 * f64::EPSILON, "{:e}", worst.1);
    }

    #[test]
    fn elements_are_relative_to_the_multiple_of_ln_2_next_to_the_maximum() {
        let simd = Fallback::new();
        for maximum in [
            0.0_f32, 3.7, -3.7, 88.1, -1000.3, 4095.5, 4096.5, -70000.0, 3e7,
        ] {
            let of = Exponentials::<_, f32, { form::DIFFERENCE }>::new(
                simd,
                maximum,
                InverseTemperature::ONE,
            );
            let steps = if maximum.abs() <= 4096.0 {
                (f64::from(maximum) / std::f64::consts::LN_2).round_ties_even()
            } else {
                0.0
            };
            for below in [0.0_f32, 1e-3, 0.4, 7.3, 100.0] {
                let z = maximum - below;
                let e = of.of::<true>(f32x16::splat(simd, z));
                let from = if steps == 0.0 && maximum.abs() > 4096.0 {
                    f64::from(maximum)
                } else {
                    steps * std::f64::consts::LN_2
                };
                let expected = core_math::exp(f64::from(z) - from) * 2_f64.powi(64);
                let got = f64::from(e.rounded[0]);
                assert!((got / expected - 1.0).abs() < 0.54 * f64::from(f32::EPSILON));
                if z == maximum {
                    let whole = of.peak();
                    assert_eq!(e.rounded[0], whole.0[0]);
                    assert!(!e.summed.any_true());
                }
            }
        }
    }
}
