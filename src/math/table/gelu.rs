//! GELU with the error function, in `f32`.

use super::exponential::{POWERS, UNSCALE, UNSCALED_POWERS, power, unscale_to_subnormal};
use super::{MAGIC, Pieces, Piecewise, Table, splat};
use crate::lanes::{Lanes, Token};
use fearless_simd::f32x16;
use fearless_simd::prelude::*;

/// [`gelu_common`] holds for `|x|` below this: it makes no subnormal number on the way, or one that is too small to
/// make a difference, which was tried with every number from 6 on.
pub const GELU_COMMON: f32 = 12.5;

/// From here on `gelu(-|x|)` is subnormal.
const SUBNORMAL_FROM: f32 = 13.15;

/// `x Phi(x)`, for every `x`: at most 0.994 ULP.
///
/// `max(x, 0) + n(|x|)` with `n(a) = -a Phi(-a) = m(a) e^(-rate a^2)`: the exponential has all the steepness,
/// `m` is left smooth enough for pieces up to 2.5 wide. The rate is not quite a half but such that [`STEP`]
/// is short; the rest is in `m`.
#[inline(always)]
pub fn gelu<S: Token>(simd: S, x: f32x16<S>) -> f32x16<S> {
    simd.outline(
        #[inline(always)]
        move || {
            // Beyond, n is 0.
            let a = simd.at_most_f32(x.abs(), splat(simd, 14.5));
            let square = a.fma(a, splat(simd, OFFSET));
            // The last piece serves for all larger a, whose n has few bits.
            let w = simd.at_most_f32(a.fma(splat(simd, SLANT), square), splat(simd, 255.0));
            let scaled = n(simd, &POWERS, a, square, w);

            // Not (x + |x|) / 2, which may overflow.
            let positive = simd.larger_f32(splat(simd, 0.0), x);
            let lead = w
                .simd_lt(splat(simd, NEAR_ZERO))
                .select(x * splat(simd, 0.5), positive);
            let subnormal = x.simd_le(splat(simd, -SUBNORMAL_FROM));
            let far = unscale_to_subnormal(simd, scaled);
            let near = subnormal.select(splat(simd, 0.0), scaled);
            let near = near.fma(splat(simd, UNSCALE), lead);
            f32x16::from_bits(subnormal.select(far, near.to_bits()))
        },
    )
}

/// [`gelu`] where every lane's `|x|` is below [`GELU_COMMON`].
#[inline(always)]
pub fn gelu_common<S: Token>(simd: S, x: f32x16<S>) -> f32x16<S> {
    let a = x.abs();
    let square = a.fma(a, splat(simd, OFFSET));
    let w = a.fma(splat(simd, SLANT), square);
    // In this order the sum is one masked instruction.
    let double = w.simd_ge(splat(simd, NEAR_ZERO)).select(x + a, x);
    double.fma(splat(simd, 0.5), n(simd, &UNSCALED_POWERS, a, square, w))
}

/// `m(a) e^(-rate a^2)` times the scale of these powers, for `square = a^2 + OFFSET`, by the piece that `w` tells.
#[inline(always)]
fn n<S: Token>(
    simd: S,
    powers: &Table,
    a: f32x16<S>,
    square: f32x16<S>,
    w: f32x16<S>,
) -> f32x16<S> {
    // How many steps there are in a^2, negated. That square is rounded does not matter here; n step is exact
    // because the step is short, and so the remainder is rounded once, at its own size.
    let shifted = square.fma(splat(simd, -1.0 / STEP), splat(simd, MAGIC + OFFSET_STEPS));
    let whole = shifted.fma(splat(simd, STEP), splat(simd, -MAGIC * STEP));
    let (t, g) = power(simd, powers, shifted, SLOPE, a.fma(a, whole));

    let pieces = Pieces::any(w.to_bits() >> 22);
    let r = TABLE.offset(simd, a, pieces);
    let q = TABLE.slope(simd, r, pieces);
    let c0 = TABLE.constant(simd, pieces);
    // m (1 + g) = c0 + u: one rounding at the size of the result, the others at a quarter or less.
    let u = r.fma(q, r.fma(q, c0) * g);
    t.fma(c0, t * u)
}

/// Where `w` is below this, in the first three pieces, the table holds n + a / 2, to be added to x / 2: x + n
/// would cancel.
const NEAR_ZERO: f32 = 3.0;

/// Pieces are numbered by `w = a^2 + SLANT a + OFFSET`, two an octave, from 1 to 256: as fine as `m` asks
/// for, near 0 and far.
pub(super) const SLANT: f32 = 4.5;
pub(super) const OFFSET: f32 = OFFSET_STEPS * STEP;
const OFFSET_STEPS: f32 = 13.0;

/// `ln(2) / 8`, cut to 12 bits. The rate is `ln(2) / 16` over this.
const STEP: f32 = 0.086639404;

/// `(e^(-rate r) - 1) / r`, to 2^-29 of the exponential.
const SLOPE: [f32; 3] = [-0.50002307, 0.12501545, -0.020825174];

/// Largest error in ULP, in a sample of each piece:
/// 0.0000 to 0.0816: 0.587
/// 0.0816 to 0.1864: 0.652
/// 0.1864 to 0.3837: 0.896
/// 0.3837 to 0.5671: 0.803
/// 0.5671 to 0.9022: 0.840
/// 0.9022 to 1.2049: 0.638
/// 1.2049 to 1.7420: 0.868
/// 1.7420 to 2.2150: 0.610
/// 2.2150 to 3.0355: 0.962
/// 3.0355 to 3.7447: 0.578
/// 3.7447 to 4.9567: 0.886
/// 4.9567 to 5.9923: 0.568
/// 5.9923 to 7.7468: 0.697
/// 7.7468 to 9.2363: 0.567
/// 9.2363 to 11.7477: 0.596
/// 11.7477 to 13.8725: 0.570
const TABLE: Piecewise<6> = Piecewise {
    points: [
        0.31925115, 0.45139325, 0.63254744, 0.9719126, 1.4319073, 1.8852396, 2.3784926, 3.3622615,
        4.6076374, 5.2017965, 6.666527, 8.019405, 9.969596, 12.778356, 0.0, 0.11538554,
    ],
    coefficients: [
        [
            0.042070784,
            -0.16286357,
            -0.20360383,
            -0.25803486,
            -0.30371425,
            -0.33106208,
            -0.34987995,
            -0.37045836,
            -0.38251567,
            -0.38583118,
            -0.39091262,
            -0.39359087,
            -0.39594984,
            -0.39803764,
            -0.0,
            0.005335083,
        ],
        [
            0.2725744,
            -0.25424016,
            -0.198322,
            -0.12854524,
            -0.07573991,
            -0.04760412,
            -0.030321887,
            -0.01411884,
            -0.0065115327,
            -0.004769428,
            -0.0025029855,
            -0.0015650752,
            -0.0009436357,
            -0.00060477795,
            -1e-30,
            0.09288482,
        ],
        [
            0.48453033,
            0.17869115,
            0.13261187,
            0.078443415,
            0.04102146,
            0.02305603,
            0.013090486,
            0.004937815,
            0.0017979835,
            0.0011858074,
            0.00048583306,
            0.00024135513,
            0.00010086506,
            3.300384e-05,
            0.3989422,
            0.40963694,
        ],
        [
            0.1879018,
            -0.1002396,
            -0.07118363,
            -0.038851425,
            -0.018283546,
            -0.00929505,
            -0.0047525996,
            -0.0014842956,
            -0.0004374371,
            -0.0002649932,
            -9.0192596e-05,
            -3.8845774e-05,
            -1.4093774e-05,
            -4.291193e-06,
            9.459126e-06,
            0.062197395,
        ],
        [
            0.17627816,
            0.04829179,
            0.032495722,
            0.016596043,
            0.0072031044,
            0.003296437,
            0.0014840094,
            0.00040611337,
            9.410258e-05,
            5.2845313e-05,
            1.5301706e-05,
            5.4084694e-06,
            1.6476884e-06,
            4.0237944e-07,
            0.13263462,
            0.13832822,
        ],
        [
            0.050088804,
            -0.01961704,
            -0.010956511,
            -0.005491883,
            -0.002366994,
            -0.0009130304,
            -0.00031450525,
            -9.8591016e-05,
            -2.832654e-05,
            -7.799699e-06,
            -2.0659675e-06,
            -5.398937e-07,
            -1.3966647e-07,
            -4.327154e-08,
            0.0052457936,
            0.021731505,
        ],
    ],
};
