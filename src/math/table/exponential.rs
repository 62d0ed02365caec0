//! `e^(-rate z)` as a looked-up power of two and a small rest.

use super::{MAGIC, Table, look_up, splat};
use crate::lanes::{Lanes, Token};
use fearless_simd::prelude::*;
use fearless_simd::{f32x16, u32x16};

/// Powers are 2^64 times too large, so that what becomes subnormal is rounded by the very last
/// multiplication only; `UNSCALE` undoes it.
const SCALE: u32 = 64;

/// `2^-64`.
pub(super) const UNSCALE: f32 = f32::from_bits((127 - SCALE) << 23);

/// `2^(j/16 + 64)`, rounded, the bits of `j << 19` subtracted: adding `n << 19` for `n = 16 k + j` gives
/// `2^(n/16 + 64)`.
pub(super) const POWERS: Table = powers(SCALE);

/// The same for `2^(n/16)`.
pub(super) const UNSCALED_POWERS: Table = powers(0);

const fn powers(scale: u32) -> Table {
    let mut table = [0.0; 16];
    let mut j = 0;
    while j < 16 {
        let bits = ROUNDED[j].to_bits() + (scale << 23) - ((j as u32) << 19);
        table[j] = f32::from_bits(bits);
        j += 1;
    }
    table
}

/// `2^(j/16)`, rounded.
#[allow(clippy::approx_constant)] // table entry 8, not a use of sqrt(2)
const ROUNDED: Table = [
    1.0, 1.0442737, 1.0905077, 1.1387886, 1.1892071, 1.2418578, 1.2968396, 1.3542556, 1.4142135,
    1.4768262, 1.5422108, 1.6104903, 1.6817929, 1.7562522, 1.8340081, 1.9152066,
];

/// What rounding took from them: `2^(j/16) = ROUNDED[j] (1 + DEFECTS[j])`.
const DEFECTS: Table = [
    0.0,
    4.628547e-08,
    -1.19921575e-08,
    4.7297824e-08,
    3.193418e-08,
    3.6210572e-08,
    -3.099072e-08,
    -7.475213e-09,
    1.7114271e-08,
    -3.0476834e-08,
    5.233334e-09,
    6.1075918e-09,
    -1.4719605e-08,
    -5.258795e-09,
    -6.1282597e-09,
    5.1406093e-09,
];

/// The exponential of a rate: `ln(2) / 16 / rate` in two parts, its negated inverse, and
/// `(e^(-rate r) - 1) / r = slope[0] + slope[1] r + slope[2] r^2`, to 2^-29 of the exponential.
pub(super) struct Exponential {
    pub steps_per_unit: f32,
    pub step: f32,
    pub step_low: f32,
    pub slope: [f32; 3],
}

impl Exponential {
    /// `t` and `g` with `e^(-rate (z + z_low)) = 2^-64 t (1 + g)` and `|g| < 0.022`; the error is about
    /// 2^-28.5. For `rate z` from 0 to 130.
    #[inline(always)]
    pub(super) fn parts<S: Token>(
        &self,
        simd: S,
        z: f32x16<S>,
        z_low: Option<f32x16<S>>,
    ) -> (f32x16<S>, f32x16<S>) {
        self.parts_with(simd, &POWERS, z, z_low)
    }

    /// The same, `t` being made of these powers.
    #[inline(always)]
    pub(super) fn parts_with<S: Token>(
        &self,
        simd: S,
        powers: &Table,
        z: f32x16<S>,
        z_low: Option<f32x16<S>>,
    ) -> (f32x16<S>, f32x16<S>) {
        let magic = splat(simd, MAGIC);
        let shifted = z.fma(splat(simd, self.steps_per_unit), magic);
        let n = shifted - magic;
        // Exact: both terms are multiples of the step's last place, and the sum is small.
        let r = n.fma(splat(simd, self.step), z);
        let step_low = splat(simd, self.step_low);
        let r = match z_low {
            Some(z_low) => r + n.fma(step_low, z_low),
            None => n.fma(step_low, r),
        };

        power(simd, powers, shifted, self.slope, r)
    }
}

/// `t` and `g` with `t (1 + g)` the power whose number of steps `shifted` ends with, times `e^(-rate r)`.
#[inline(always)]
pub(super) fn power<S: Token>(
    simd: S,
    powers: &Table,
    shifted: f32x16<S>,
    slope: [f32; 3],
    r: f32x16<S>,
) -> (f32x16<S>, f32x16<S>) {
    let j = shifted.to_bits();
    let t = f32x16::from_bits(look_up(simd, powers, j).to_bits() + (j << 19));
    let [c0, c1, c2] = slope.map(|c| splat(simd, c));
    let g = r.fma(r.fma(r.fma(c2, c1), c0), look_up(simd, &DEFECTS, j));
    (t, g)
}

/// `e^-z`.
pub(super) const NATURAL: Exponential = Exponential {
    steps_per_unit: -23.08312,
    step: 0.0433217,
    step_low: -1.1904089e-10,
    slope: [-1.0, 0.5000163, -0.1666701],
};

/// From 104 on `e^-a` rounds to 0.
pub(super) const DECAYED: f32 = 105.0;

/// `e - fraction e^2`, `e = e^-a = t (1 + g)`, where the second term is at most 6.5e-7 of the first: for `a` from
/// 14.25 to [`DECAYED`].
#[inline(always)]
pub(super) fn decay_less_square<S: Token>(simd: S, a: f32x16<S>, fraction: f32) -> f32x16<S> {
    let (t, g) = NATURAL.parts(simd, a, None);
    // In so small a correction t may stand for e.
    let g = t.fma(splat(simd, -fraction * UNSCALE), g);
    t.fma(g, t) * splat(simd, UNSCALE)
}

/// `2^-64 y` for `y <= 0` whose result is at most 2^-126, rounded to nearest, without making the CPU
/// compute a subnormal number, which may take it 150 cycles. As bits: a choice between integers is one masked
/// instruction with the last operation here.
#[inline(always)]
pub(super) fn unscale_to_subnormal<S: Token>(simd: S, y: f32x16<S>) -> u32x16<S> {
    // The sum is -(2^23 + k) for the result -k 2^-149: k in the low bits.
    let sum = y.fma(splat(simd, SUBNORMALS_PER_SCALED), splat(simd, -8388608.0));
    sum.to_bits() - u32x16::splat(simd, 8388608.0_f32.to_bits())
}

/// `2^(149 - 64)`.
const SUBNORMALS_PER_SCALED: f32 = f32::from_bits((127 + 149 - SCALE) << 23);
