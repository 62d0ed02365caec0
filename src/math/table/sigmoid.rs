//! The logistic function in `f32`.

use super::exponential::{DECAYED, decay_less_square};
use super::{Form, MAGIC, Pieces, Piecewise, splat};
use crate::lanes::{Lanes, Token};
use fearless_simd::f32x16;
use fearless_simd::prelude::*;

/// [`sigmoid_common`] holds for `|x|` below this.
pub const SIGMOID_COMMON: f32 = 14.25;

/// `1 / (1 + e^-x)`, for every `x`: 0.95 ULP at most on every 101st float.
#[inline(always)]
pub fn sigmoid<S: Token>(simd: S, x: f32x16<S>) -> f32x16<S> {
    simd.outline(
        #[inline(always)]
        move || from_negative(simd, x, sigmoid_of_negative(simd, x.abs())),
    )
}

/// [`sigmoid`] where every lane's `|x|` is below [`SIGMOID_COMMON`].
#[inline(always)]
pub fn sigmoid_common<S: Token>(simd: S, x: f32x16<S>) -> f32x16<S> {
    from_negative(simd, x, sigmoid_of_negative_common(simd, x.abs()))
}

/// `1 / (1 + e^a)`, for every `a` that is not negative.
#[inline(always)]
pub fn sigmoid_of_negative<S: Token>(simd: S, a: f32x16<S>) -> f32x16<S> {
    simd.outline(
        #[inline(always)]
        move || {
            // The pieces make something of an a far out, which is not used.
            let a = simd.at_most_f32(a, splat(simd, DECAYED));
            let s = by_pieces(simd, Form::General, a);
            let far = decay_less_square(simd, a, 1.0);
            a.simd_ge(splat(simd, SIGMOID_COMMON)).select(far, s)
        },
    )
}

/// [`sigmoid_of_negative`] where every lane's `a` is below [`SIGMOID_COMMON`]: by pieces.
#[inline(always)]
pub fn sigmoid_of_negative_common<S: Token>(simd: S, a: f32x16<S>) -> f32x16<S> {
    by_pieces(simd, Form::Common, a)
}

#[inline(always)]
fn by_pieces<S: Token>(simd: S, form: Form, a: f32x16<S>) -> f32x16<S> {
    let piece = a
        .fma(splat(simd, PIECES_PER_UNIT), splat(simd, MAGIC))
        .to_bits();
    Pieces::each(
        simd,
        form,
        piece,
        #[inline(always)]
        |pieces| {
            let r = TABLE.offset(simd, a, pieces);
            r.fma(TABLE.slope(simd, r, pieces), TABLE.constant(simd, pieces))
        },
    )
}

/// `sigmoid(x)` from `s = sigmoid(-|x|)`.
#[inline(always)]
fn from_negative<S: Token>(simd: S, x: f32x16<S>, s: f32x16<S>) -> f32x16<S> {
    let zero = splat(simd, 0.0);
    x.simd_ge(zero).select(splat(simd, 1.0) - s, s)
}

pub(super) const PIECES_PER_UNIT: f32 = 1.0875;

/// Largest error in ULP, in a sample of each piece:
/// 0.0000 to 0.4598: 0.801
/// 0.4598 to 1.3793: 0.944
/// 1.3793 to 2.2989: 0.884
/// 2.2989 to 3.2184: 0.910
/// 3.2184 to 4.1379: 0.794
/// 4.1379 to 5.0575: 0.802
/// 5.0575 to 5.9770: 0.799
/// 5.9770 to 6.8966: 0.760
/// 6.8966 to 7.8161: 0.941
/// 7.8161 to 8.7356: 0.865
/// 8.7356 to 9.6552: 0.782
/// 9.6552 to 10.5747: 0.927
/// 10.5747 to 11.4943: 0.879
/// 11.4943 to 12.4138: 0.788
/// 12.4138 to 13.3333: 0.926
/// 13.3333 to 14.2529: 0.863
const TABLE: Piecewise<7> = Piecewise {
    points: [
        0.0, 0.938653, 1.8800457, 3.0278585, 3.7592435, 4.702193, 5.4787345, 6.5516067, 7.4759192,
        8.274145, 9.337239, 10.266757, 11.042826, 12.130417, 13.02823, 13.777546,
    ],
    coefficients: [
        [
            0.5,
            0.2811725,
            0.13238363,
            0.04618307,
            0.022770772,
            0.008993734,
            0.0041572545,
            0.001425784,
            0.0005662439,
            0.00025496096,
            8.8074514e-05,
            3.4768742e-05,
            1.6001282e-05,
            5.392927e-06,
            2.1974083e-06,
            1.0386934e-06,
        ],
        [
            -0.25,
            -0.20211464,
            -0.11485823,
            -0.0440502,
            -0.022252262,
            -0.008912846,
            -0.004139972,
            -0.0014237511,
            -0.0005659233,
            -0.000254896,
            -8.806675e-05,
            -3.476753e-05,
            -1.600103e-05,
            -5.392897e-06,
            -2.1974033e-06,
            -1.0386925e-06,
        ],
        [
            2.3226413e-07,
            0.044228103,
            0.042223867,
            0.019990867,
            0.010619395,
            0.0043762615,
            0.002052772,
            0.0007098474,
            0.00028264214,
            0.00012738284,
            4.4025754e-05,
            1.7382617e-05,
            8.000252e-06,
            2.696425e-06,
            1.0987007e-06,
            5.193442e-07,
        ],
        [
            0.020828124,
            0.007168497,
            -0.005949651,
            -0.00540049,
            -0.003213632,
            -0.0014060334,
            -0.0006728444,
            -0.00023526388,
            -9.3999784e-05,
            -4.241581e-05,
            -1.4670286e-05,
            -5.793509e-06,
            -2.6664559e-06,
            -8.988284e-07,
            -3.6623769e-07,
            -1.7310694e-07,
        ],
        [
            4.2415693e-05,
            -0.005252251,
            -0.0013334549,
            0.0007829589,
            0.0006492908,
            0.0003257159,
            0.00016260722,
            5.810744e-05,
            2.3376153e-05,
            1.05843155e-05,
            3.661983e-06,
            1.4467099e-06,
            6.6659106e-07,
            2.2452498e-07,
            9.147725e-08,
            4.3289052e-08,
        ],
        [
            -0.0022446576,
            0.00023489793,
            0.0008167458,
            1.4591658e-05,
            -7.154674e-05,
            -5.5138033e-05,
            -3.0415365e-05,
            -1.1392275e-05,
            -4.6502837e-06,
            -2.1259102e-06,
            -7.317209e-07,
            -2.8906373e-07,
            -1.3446062e-07,
            -4.4651898e-08,
            -1.828338e-08,
            -8.72864e-09,
        ],
        [
            0.0002935054,
            0.00043244942,
            -0.0001209293,
            -8.3099214e-05,
            -7.684097e-06,
            5.8394476e-06,
            4.169993e-06,
            1.9876497e-06,
            8.440224e-07,
            3.4531146e-07,
            1.3930389e-07,
            5.5649895e-08,
            2.225257e-08,
            8.885573e-09,
            3.5310492e-09,
            1.4118018e-09,
        ],
    ],
};
