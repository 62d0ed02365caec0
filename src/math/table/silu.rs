//! `SiLU` (swish) in `f32`.

use super::exponential::{NATURAL, UNSCALE};
use super::{Form, MAGIC, Pieces, Piecewise, splat};
use crate::lanes::{Lanes, Token};
use fearless_simd::f32x16;
use fearless_simd::prelude::*;

/// [`silu_common`] holds for `|x|` below this.
pub const SILU_COMMON: f32 = 15.25;

/// `x / (1 + e^-x)`, for every `x`: 0.89 ULP at most on every 101st float.
///
/// `max(x, 0) + n(|x|)` with `n(a) = -a / (1 + e^a)`.
#[inline(always)]
pub fn silu<S: Token>(simd: S, x: f32x16<S>) -> f32x16<S> {
    simd.outline(
        #[inline(always)]
        move || {
            // From 109 on the tail rounds to -0.0. The pieces make something of a, which is not used there.
            let a = simd.at_most_f32(x.abs(), splat(simd, 110.0));
            let near = near(simd, Form::General, x, a);
            // -0.0 stays that.
            let far = simd.larger_f32(splat(simd, -0.0), x) + tail(simd, a);
            a.simd_ge(splat(simd, SILU_COMMON)).select(far, near)
        },
    )
}

/// [`silu`] where every lane's `|x|` is below [`SILU_COMMON`].
#[inline(always)]
pub fn silu_common<S: Token>(simd: S, x: f32x16<S>) -> f32x16<S> {
    near(simd, Form::Common, x, x.abs())
}

#[inline(always)]
fn near<S: Token>(simd: S, form: Form, x: f32x16<S>, a: f32x16<S>) -> f32x16<S> {
    let shifted = a + splat(simd, MAGIC);
    let piece = shifted.to_bits();
    let n = Pieces::each(
        simd,
        form,
        piece,
        #[inline(always)]
        |pieces| {
            let r = TABLE.offset(simd, a, pieces);
            r.fma(TABLE.slope(simd, r, pieces), TABLE.constant(simd, pieces))
        },
    );
    // 2 max(x, 0); on the first piece x, where the table holds n + a / 2: otherwise x + n would cancel.
    // In this order of the choice, the sum is one masked instruction.
    let later = shifted.simd_gt(splat(simd, MAGIC));
    let double = later.select(x + a, x);
    double.fma(splat(simd, 0.5), n)
}

/// `-a / (1 + e^a)` from 15.25 to 110: `-a (e - e^2)` with `e = e^-a = t (1 + g)`.
#[inline(always)]
fn tail<S: Token>(simd: S, a: f32x16<S>) -> f32x16<S> {
    let (t, g) = NATURAL.parts(simd, a, None);
    let unscale = splat(simd, UNSCALE);
    // In a correction of at most 2.4e-7, t may stand for e.
    let g = t.fma(-unscale, g);
    // a t in two parts, so that only the last addition rounds at the size of the result.
    let high = t * -a;
    let low = t.fma(-a, -high);
    (high + high.fma(g, low)) * unscale
}

/// Largest error in ULP, in a sample of each piece:
/// 0.0000 to 0.5000: 0.840
/// 0.5000 to 1.5000: 0.865
/// 1.5000 to 2.5000: 0.638
/// 2.5000 to 3.5000: 0.670
/// 3.5000 to 4.5000: 0.671
/// 4.5000 to 5.5000: 0.672
/// 5.5000 to 6.5000: 0.688
/// 6.5000 to 7.5000: 0.681
/// 7.5000 to 8.5000: 0.749
/// 8.5000 to 9.5000: 0.768
/// 9.5000 to 10.5000: 0.678
/// 10.5000 to 11.5000: 0.774
/// 11.5000 to 12.5000: 0.760
/// 12.5000 to 13.5000: 0.715
/// 13.5000 to 14.5000: 0.761
/// 14.5000 to 15.5000: 0.777
const TABLE: Piecewise<8> = Piecewise {
    points: [
        0.0, 0.79972994, 1.9857891, 3.1542497, 4.133341, 5.1543126, 6.115493, 7.118461, 8.084824,
        8.983222, 10.12743, 11.195227, 12.0333605, 13.289667, 14.22906, 14.982764,
    ],
    coefficients: [
        [
            -0.0,
            -0.24798289,
            -0.23969084,
            -0.129085,
            -0.06520905,
            -0.02959243,
            -0.013475616,
            -0.0057613743,
            -0.0024908206,
            -0.0011272335,
            -0.00040475753,
            -0.00015381609,
            -7.150926e-05,
            -2.2484553e-05,
            -9.409653e-06,
            -4.6629416e-06,
        ],
        [
            -1e-30,
            -0.13899577,
            0.09005635,
            0.08287815,
            0.048403937,
            0.023681236,
            0.011242402,
            0.0049473546,
            0.0021819673,
            0.00100161,
            0.0003647749,
            0.00014007454,
            6.556625e-05,
            2.0792633e-05,
            8.748349e-06,
            4.35172e-06,
        ],
        [
            0.25000003,
            0.18143879,
            0.026193393,
            -0.017585259,
            -0.015550153,
            -0.008834011,
            -0.004494667,
            -0.0020649945,
            -0.0009362684,
            -0.00043793826,
            -0.00016238967,
            -6.316561e-05,
            -2.9811446e-05,
            -9.550342e-06,
            -4.043519e-06,
            -2.0202488e-06,
        ],
        [
            -1.1317353e-06,
            -0.04871479,
            -0.027498575,
            -0.002243713,
            0.002181377,
            0.0019143957,
            0.0011169326,
            0.0005510995,
            0.0002603413,
            0.00012498985,
            4.7459915e-05,
            1.8764124e-05,
            8.946481e-06,
            2.901433e-06,
            1.2376203e-06,
            6.215449e-07,
        ],
        [
            -0.02081917,
            -0.005856893,
            0.0082482975,
            0.0024951107,
            0.00023956344,
            -0.000210018,
            -0.00018145889,
            -0.00010302406,
            -5.206806e-05,
            -2.5984193e-05,
            -1.0195083e-05,
            -4.1183284e-06,
            -1.988856e-06,
            -6.548472e-07,
            -2.818616e-07,
            -1.4241157e-07,
        ],
        [
            -8.1496866e-05,
            0.005389546,
            -0.00054181623,
            -0.0007889979,
            -0.00020843821,
            -1.4680431e-05,
            1.5961832e-05,
            1.350408e-05,
            7.7817585e-06,
            4.1384883e-06,
            1.7044255e-06,
            7.085099e-07,
            3.481541e-07,
            1.17063735e-07,
            5.08376e-08,
            2.5890577e-08,
        ],
        [
            0.0023220927,
            -0.00034709444,
            -0.00045182346,
            0.00013016208,
            5.9612048e-05,
            1.2513798e-05,
            1.0075131e-06,
            -1.0051089e-06,
            -8.493382e-07,
            -5.1281603e-07,
            -2.3048142e-07,
            -9.7650535e-08,
            -5.0041198e-08,
            -1.6586299e-08,
            -7.489867e-09,
            -3.917348e-09,
        ],
        [
            -0.00035049662,
            -0.0002925098,
            0.00016123622,
            9.5399055e-06,
            -1.1258344e-05,
            -4.0452646e-06,
            -8.227872e-07,
            -5.9196843e-08,
            5.3240342e-08,
            4.7042242e-08,
            2.3845574e-08,
            1.4035668e-08,
            6.107119e-09,
            2.7099751e-09,
            1.1288371e-09,
            4.9556337e-10,
        ],
    ],
};
