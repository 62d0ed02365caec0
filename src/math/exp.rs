//! `exp` and `expm1`, and the parts from which everything exponential is built.
//!
//! `x = n ln 2 + r` with `|r| <= ln 2 / 2`, by adding and subtracting a magic number. `n ln2_high` is
//! subtracted by one FMA without error: for `|x| >= 1/2` the remainder is a multiple of `ln2_high`'s
//! last place and fits, below that `n` is 0 or Sterbenz' lemma applies. Then
//! `e^r - 1 = r + r^2/2 + r^3 p(r)`, where `r + r^2/2` is carried exactly, so that only `r^3 p(r)`,
//! at most 1/130, meets an error of the size of a unit roundoff: about `2^-30` for `f32` and `2^-59`
//! for `f64`, relative to `e^r` and to `e^r - 1` alike.
//!
//! Multiplying by `2^n` is exact until a result may be subnormal; such lanes (none, in ordinary data)
//! take the general form, which rounds once at the place the subnormal result ends.

use super::polynomial::{by_precision, horner};
use super::twofold::{constant, fast_two_sum, multiply, two_product, two_sum};
use crate::lanes::{Lanes, Token};
use fearless_simd::prelude::*;

/// `(e^r - 1 - r - r^2/2) / r^3` for `|r| <= ln 2 / 2`; error `2^-29.8` relative to `e^r - 1`.
const TAIL_SINGLE: [f64; 5] = [
    0.1666666567325592,
    0.041666481643915176,
    0.0083334194496274,
    0.0013933265581727028,
    0.00019824120681732893,
];

/// The same; error `2^-58.9`.
const TAIL_DOUBLE: [f64; 10] = [
    0.16666666666666677,
    0.041666666666666574,
    0.008333333333322146,
    0.0013888888888942711,
    0.00019841269884982528,
    2.4801587198164707e-05,
    2.7557245249162997e-06,
    2.7557387055862017e-07,
    2.5108703655782365e-08,
    2.0878921097554585e-09,
];

/// `ln 2` in two parts.
pub(crate) const LN_2: (f64, f64) = (std::f64::consts::LN_2, 2.3190468138462996e-17);

/// `ln 2` in two parts.
#[inline(always)]
pub fn ln_2<S: Token, V: Lanes<S>>(simd: S) -> (V, V) {
    constant(simd, LN_2)
}

/// Where `|x|` is not below this, `e^x` may come near the ends of the normal range: 87 or 708.
#[inline(always)]
fn normal_bound<S: Token, V: Lanes<S>>(simd: S) -> V {
    V::lit(simd, by_precision::<S, V, _>(87.0, 708.0))
}

/// For `|x|` up to this, `e^x` and the low parts of it are normal and `1 + e^-|x|` is 1 beyond: 64 or
/// 640. Formulas that are written in the parts of `e^-|x|` hold up to here.
#[inline(always)]
pub fn parts_bound<S: Token, V: Lanes<S>>(simd: S) -> V {
    V::lit(simd, by_precision::<S, V, _>(64.0, 640.0))
}

/// `1.5 * 2^(PRECISION - 1)`: adding it rounds to an integer, whose low bits it then ends with.
#[inline(always)]
fn magic<S: Token, V: Lanes<S>>(simd: S) -> V {
    V::lit(
        simd,
        by_precision::<S, V, _>(12582912.0, 6755399441055744.0),
    )
}

/// `2^n` for the integer `n` that [`magic`] was added to, between the exponents of normal numbers.
#[inline(always)]
fn power_of_two<S: Token, V: Lanes<S>>(simd: S, n_plus_magic: V) -> V {
    let one = by_precision::<S, V, _>(u64::from(1.0_f32.to_bits()), 1.0_f64.to_bits());
    V::from_bits((n_plus_magic.to_bits() << (V::PRECISION - 1)) + V::bits(simd, one))
}

/// `e^(x + x_low) = (1 + growth + growth_low) 2^n`, with `|growth| <= 0.42`.
struct Reduced<V> {
    growth: V,
    growth_low: V,
    n: V,
    n_plus_magic: V,
}

impl<V> Reduced<V> {
    /// Valid for `|x|` up to three times the range of the result's exponent.
    #[inline(always)]
    fn new<S: Token>(simd: S, x: V, x_low: V) -> Self
    where
        V: Lanes<S>,
    {
        let half = V::lit(simd, 0.5);
        let (ln2, ln2_low) = ln_2::<S, V>(simd);
        let magic: V = magic(simd);
        let n_plus_magic = x.fma(V::lit(simd, std::f64::consts::LOG2_E), magic);
        let n = n_plus_magic - magic;
        let r = n.fma(-ln2, x);
        let r_low = n.fma(-ln2_low, x_low);

        let (square, square_low) = two_product(r, r);
        // Fast2Sum of r and square / 2, the halving inside the FMA.
        let growth = square.fma(half, r);
        let error = square.fma(half, r - growth);
        let tail: &[f64] = by_precision::<S, V, _>(&TAIL_SINGLE, &TAIL_DOUBLE);
        let cubic = (square * r) * horner(simd, r, tail);
        // r_low counts e^r times: n ln2_low may be a hundred units in the last place of 1.
        let shift = r_low.fma(growth + cubic, r_low);
        let growth_low = (square_low.fma(half, error) + cubic) + shift;
        Self {
            growth,
            growth_low,
            n,
            n_plus_magic,
        }
    }

    /// `1 + growth + growth_low`; the low part may be as large as 1/130.
    #[inline(always)]
    fn significand<S: Token>(&self, simd: S) -> (V, V)
    where
        V: Lanes<S>,
    {
        let (high, error) = fast_two_sum(V::lit(simd, 1.0), self.growth);
        (high, error + self.growth_low)
    }

    /// `2^n (1 + growth) - 1`, from `power = 2^n` and `2^n - 1` in two parts.
    #[inline(always)]
    fn minus_one<S: Token>(&self, power: V, (base, base_low): (V, V)) -> (V, V)
    where
        V: Lanes<S>,
    {
        // 2^n growth is the smaller, or the base is 0.
        let (high, error) = fast_two_sum(base, power * self.growth);
        fast_two_sum(high, power.fma(self.growth_low, base_low + error))
    }
}

/// `e^(x + x_low) = (high + low) 2^exponent`, for factors that may lie outside the lane type's range.
#[derive(Clone, Copy)]
pub struct Scaled<V> {
    /// The significand's high part, from 0.7 to 1.42 for an exponential.
    pub high: V,
    /// The significand's low part, which may be as large as 1/130 of it.
    pub low: V,
    /// An integer.
    pub exponent: V,
}

impl<V> Scaled<V> {
    /// `e^(x + x_low)` for any `x`: beyond `e^+-195` (`f32`) or `e^+-1460` (`f64`) it stays there,
    /// where its product with any number is 0 or infinite.
    #[inline(always)]
    pub fn exp<S: Token>(simd: S, x: V, x_low: V) -> Self
    where
        V: Lanes<S>,
    {
        simd.outline(
            #[inline(always)]
            move || {
                let bound = V::lit(simd, by_precision::<S, V, _>(195.0, 1460.0));
                let beyond = x.abs().simd_gt(bound);
                // A sum of infinite x has no low part, only NaN.
                let x_low = beyond.select(V::lit(simd, 0.0), x_low);
                let x = beyond.select(bound.copysign(x), x);
                let reduced = Reduced::new(simd, x, x_low);
                let (high, low) = reduced.significand(simd);
                Self {
                    high,
                    low,
                    exponent: reduced.n,
                }
            },
        )
    }

    /// The product with a twofold value between `2^-20` and `2^20` in size, of either sign.
    #[inline(always)]
    pub fn multiply<S: Token>(self, factor: (V, V)) -> Self
    where
        V: Lanes<S>,
    {
        let (high, low) = multiply((self.high, self.low), factor);
        Self { high, low, ..self }
    }

    /// `(high + low) 2^exponent`, rounded once, to a subnormal number as well. For a significand
    /// between `2^-20` and `2^20` in size, of either sign.
    #[inline(always)]
    pub fn round<S: Token>(self, simd: S) -> V
    where
        V: Lanes<S>,
    {
        simd.outline(
            #[inline(always)]
            move || {
                let least_exponent = by_precision::<S, V, _>(-126.0, -1022.0);
                let least_normal =
                    by_precision::<S, V, _>(f64::from(f32::MIN_POSITIVE), f64::MIN_POSITIVE);
                let normal = self.times_power(simd, self.high + self.low);

                // A subnormal result ends at a fixed place. Adding 2^(least_exponent - exponent) makes the
                // significand end there too; the bound keeps the unused lanes' power of two in range.
                let shift = V::lit(simd, least_exponent) - self.exponent;
                let shift = shift
                    .simd_lt(V::lit(simd, 100.0))
                    .select(shift, V::lit(simd, 100.0));
                let unit = power_of_two(simd, shift + magic::<S, V>(simd)).copysign(self.high);
                let (sum, error) = fast_two_sum(unit, self.high);
                let fixed = (sum + (error + self.low)) - unit;
                // -0.0 where a negative one rounds to nothing.
                let subnormal = self.times_power(simd, fixed).copysign(self.high);
                let is_subnormal = normal.abs().simd_le(V::lit(simd, least_normal));
                is_subnormal.select(subnormal, normal)
            },
        )
    }

    /// `y (high + low) 2^exponent` for any `y`: two roundings, three where the result is subnormal.
    #[inline(always)]
    pub fn times<S: Token>(self, simd: S, y: V) -> V
    where
        V: Lanes<S>,
    {
        simd.outline(
            #[inline(always)]
            move || {
                let [a, b, c] = self.powers(simd);
                // If y * a is inexact, then a is so small that the result is 0.
                (((y * a) * (self.high + self.low)) * b) * c
            },
        )
    }

    #[inline(always)]
    fn times_power<S: Token>(self, simd: S, y: V) -> V
    where
        V: Lanes<S>,
    {
        let [a, b, c] = self.powers(simd);
        ((y * a) * b) * c
    }

    /// `2^exponent` in three factors: exponents twice as long as the lane type's fit.
    #[inline(always)]
    fn powers<S: Token>(self, simd: S) -> [V; 3]
    where
        V: Lanes<S>,
    {
        let magic: V = magic(simd);
        let third = self.exponent.fma(V::lit(simd, 1.0 / 3.0), magic);
        let rest = self.exponent - (third - magic) * V::lit(simd, 2.0);
        let third = power_of_two(simd, third);
        [third, third, power_of_two(simd, rest + magic)]
    }
}

/// `e^(x + x_low) = high + low`, normalised, the relative error about `2^-29.5` (`f32`) or `2^-58.5` (`f64`).
///
/// For `x` up to 88 (`f32`) or 709 (`f64`), and `x_low` at most a few ulp of `x`. Below -87 or -708
/// both parts are 0, which is less than `2^-125` or `2^-1021` off: sums lose nothing by that; a result
/// that may itself be that small is [`exp_low`]'s or [`Scaled`]'s. NaN gives NaN.
#[inline(always)]
pub fn exp_parts<S: Token, V: Lanes<S>>(simd: S, x: V, x_low: V) -> (V, V) {
    simd.outline(
        #[inline(always)]
        move || {
            let zero = V::lit(simd, 0.0);
            let least = -normal_bound::<S, V>(simd);
            let below = x.simd_lt(least);
            let (high, low) = exp_parts_of_normal(simd, below.select(least, x), x_low);
            (below.select(zero, high), below.select(zero, low))
        },
    )
}

/// The same where `e^x` is normal: for `x` from -87 to 88 or from -708 to 709.
#[inline(always)]
pub fn exp_parts_of_normal<S: Token, V: Lanes<S>>(simd: S, x: V, x_low: V) -> (V, V) {
    simd.outline(
        #[inline(always)]
        move || {
            let reduced = Reduced::new(simd, x, x_low);
            let power = power_of_two(simd, reduced.n_plus_magic);
            let (high, low) = reduced.significand(simd);
            let (high, low) = fast_two_sum(high, low);
            (high * power, low * power)
        },
    )
}

/// `e^(x + x_low) - 1 = high + low`, normalised, the error relative to it about `2^-29` (`f32`) or `2^-58` (`f64`)
/// for every `x` up to 88 or 709, tiny and subnormal ones included. Below -64 or -640 it stays at -1.
#[inline(always)]
pub fn expm1_parts<S: Token, V: Lanes<S>>(simd: S, x: V, x_low: V) -> (V, V) {
    simd.outline(
        #[inline(always)]
        move || {
            let least = -parts_bound::<S, V>(simd);
            let below = x.simd_lt(least);
            let x_low = below.select(V::lit(simd, 0.0), x_low);
            let reduced = Reduced::new(simd, below.select(least, x), x_low);
            let power = power_of_two(simd, reduced.n_plus_magic);
            reduced.minus_one(power, two_sum(power, V::lit(simd, -1.0)))
        },
    )
}

/// The same for negative `x`, with less work.
#[inline(always)]
pub fn expm1_parts_of_negative<S: Token, V: Lanes<S>>(simd: S, x: V, x_low: V) -> (V, V) {
    simd.outline(
        #[inline(always)]
        move || {
            let least = -parts_bound::<S, V>(simd);
            let below = x.simd_lt(least);
            let x_low = below.select(V::lit(simd, 0.0), x_low);
            let reduced = Reduced::new(simd, below.select(least, x), x_low);
            let power = power_of_two(simd, reduced.n_plus_magic);
            reduced.minus_one(power, fast_two_sum(V::lit(simd, -1.0), power))
        },
    )
}

/// `e^x` for every `x`, rounded: at most 0.53 ULP.
#[inline(always)]
pub fn exp<S: Token, V: Lanes<S>>(simd: S, x: V) -> V {
    simd.outline(
        #[inline(always)]
        move || exp_low(simd, x, V::lit(simd, 0.0)),
    )
}

/// `e^(x + x_low)`, `x_low` at most a few ulp of `x`, rounded once: subnormal results, 0 and infinity
/// as they come.
#[inline(always)]
pub fn exp_low<S: Token, V: Lanes<S>>(simd: S, x: V, x_low: V) -> V {
    simd.outline(
        #[inline(always)]
        move || {
            if x.abs().simd_lt(normal_bound::<S, V>(simd)).all_true() {
                exp_normal(simd, x, x_low)
            } else {
                Scaled::exp(simd, x, x_low).round(simd)
            }
        },
    )
}

/// `e^(x + x_low)` where `|x|` is below [`normal_bound`].
#[inline(always)]
fn exp_normal<S: Token, V: Lanes<S>>(simd: S, x: V, x_low: V) -> V {
    let reduced = Reduced::new(simd, x, x_low);
    let (high, low) = reduced.significand(simd);
    // Multiplication by 2^n as an addition to the exponent.
    let exponent = reduced.n_plus_magic.to_bits() << (V::PRECISION - 1);
    V::from_bits((high + low).to_bits() + exponent)
}

/// `y e^x`, also where `e^x` alone would overflow or lose digits to underflow; at most 2 ULP.
#[inline(always)]
pub fn times_exp<S: Token, V: Lanes<S>>(simd: S, y: V, x: V) -> V {
    let zero = V::lit(simd, 0.0);
    let inside = x.abs().simd_lt(normal_bound::<S, V>(simd));
    let product = y * exp_normal(simd, x, zero);
    if inside.all_true() {
        return product;
    }
    let scaled = Scaled::exp(simd, x, zero).times(simd, y);
    inside.select(product, scaled)
}

/// `e^x - 1` for every `x`, rounded: at most 0.6 ULP; -0.0 for -0.0.
#[inline(always)]
pub fn expm1<S: Token, V: Lanes<S>>(simd: S, x: V) -> V {
    simd.outline(
        #[inline(always)]
        move || {
            let (high, low) = expm1_parts(simd, x, V::lit(simd, 0.0));
            let y = (high + low).copysign(x);
            // From here on 1 is less than what rounding e^x loses.
            let above = x.simd_gt(parts_bound::<S, V>(simd));
            if above.any_true() {
                return above.select(exp(simd, x), y);
            }
            y
        },
    )
}
