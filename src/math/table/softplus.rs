//! `log(1 + e^-a)` in `f32`: softplus, the logarithm of the logistic function, binary cross-entropy.
//!
//! The polynomial `c0 + r q` is the function of a negative argument. Of a positive one the result is `a` more,
//! `(c0 + b) + r (q + 1)`: as one rounding at its size as the other, where adding `a` at the end would make a
//! second one. So the points were also chosen for `c0 + b` to be almost a float.

use super::exponential::{DECAYED, decay_less_square};
use super::sigmoid::PIECES_PER_UNIT;
use super::{Form, MAGIC, Pieces, Piecewise, splat};
use crate::lanes::{Lanes, Token};
use fearless_simd::f32x16;
use fearless_simd::prelude::*;

/// [`softplus_common`] and [`softplus_and_share_common`] hold for `|x|` below this.
pub const SOFTPLUS_COMMON: f32 = 14.25;

/// `log(1 + e^x)`, for every `x`.
#[inline(always)]
pub fn softplus<S: Token>(simd: S, x: f32x16<S>) -> f32x16<S> {
    simd.outline(
        #[inline(always)]
        move || {
            // The pieces make something of an a far out, which is not used.
            let a = simd.at_most_f32(x.abs(), splat(simd, DECAYED));
            let near = Parts::new(simd, Form::General, a).softplus(simd, x);
            let positive = simd.larger_f32(splat(simd, 0.0), x);
            let far = positive + decay_less_square(simd, a, 0.5);
            a.simd_ge(splat(simd, SOFTPLUS_COMMON)).select(far, near)
        },
    )
}

/// [`softplus`] where every lane's `|x|` is below [`SOFTPLUS_COMMON`].
#[inline(always)]
pub fn softplus_common<S: Token>(simd: S, x: f32x16<S>) -> f32x16<S> {
    Parts::new(simd, Form::Common, x.abs()).softplus(simd, x)
}

/// `log(1 + e^-|x|) + share |x|` for every `x` and shares from 0 to 1, a share of 0 taking nothing even of
/// infinity. The logarithm is off by 1 ULP at most, 0.7 where it is largest; the share adds another rounding: at
/// most 1.2 ULP for shares of 0 and 1, and 1.5 for others.
#[inline(always)]
pub fn softplus_and_share<S: Token>(simd: S, x: f32x16<S>, share: f32x16<S>) -> f32x16<S> {
    simd.outline(
        #[inline(always)]
        move || {
            let a = simd.at_most_f32(x.abs(), splat(simd, DECAYED));
            let zero = splat(simd, 0.0);
            let distance = share.simd_eq(zero).select(zero, x.abs());
            let logarithm = a.simd_ge(splat(simd, SOFTPLUS_COMMON)).select(
                decay_less_square(simd, a, 0.5),
                Parts::new(simd, Form::General, a).sum(),
            );
            share.fma(distance, logarithm)
        },
    )
}

/// [`softplus_and_share`] where every lane's `|x|` is below [`SOFTPLUS_COMMON`].
#[inline(always)]
pub fn softplus_and_share_common<S: Token>(simd: S, x: f32x16<S>, share: f32x16<S>) -> f32x16<S> {
    let a = x.abs();
    share.fma(a, Parts::new(simd, Form::Common, a).sum())
}

/// `log(1 + e^-a) = constant + r slope`, `a = point + r`.
struct Parts<S: Token> {
    point: f32x16<S>,
    r: f32x16<S>,
    constant: f32x16<S>,
    slope: f32x16<S>,
}

impl<S: Token> Parts<S> {
    #[inline(always)]
    fn new(simd: S, form: Form, a: f32x16<S>) -> Self {
        let piece = a
            .fma(splat(simd, PIECES_PER_UNIT), splat(simd, MAGIC))
            .to_bits();
        Pieces::each(
            simd,
            form,
            piece,
            #[inline(always)]
            |pieces| {
                let point = pieces.look_up(simd, &TABLE.points);
                let r = a - point;
                Self {
                    point,
                    r,
                    constant: TABLE.constant(simd, pieces),
                    slope: TABLE.slope(simd, r, pieces),
                }
            },
        )
    }

    /// With `a` added where `x` is positive.
    #[inline(always)]
    fn softplus(self, simd: S, x: f32x16<S>) -> f32x16<S> {
        let positive = x.simd_gt(splat(simd, 0.0));
        let slope = positive.select(self.slope + splat(simd, 1.0), self.slope);
        let constant = positive.select(self.constant + self.point, self.constant);
        self.r.fma(slope, constant)
    }

    /// Of a negative argument.
    #[inline(always)]
    fn sum(self) -> f32x16<S> {
        self.r.fma(self.slope, self.constant)
    }
}

/// Largest error in ULP, in a sample of each piece:
/// 0.0000 to 0.4598: 0.695
/// 0.4598 to 1.3793: 0.919
/// 1.3793 to 2.2989: 0.844
/// 2.2989 to 3.2184: 0.889
/// 3.2184 to 4.1379: 0.702
/// 4.1379 to 5.0575: 0.879
/// 5.0575 to 5.9770: 0.859
/// 5.9770 to 6.8966: 0.788
/// 6.8966 to 7.8161: 0.984
/// 7.8161 to 8.7356: 0.892
/// 8.7356 to 9.6552: 0.796
/// 9.6552 to 10.5747: 0.984
/// 10.5747 to 11.4943: 0.899
/// 11.4943 to 12.4138: 0.860
/// 12.4138 to 13.3333: 0.991
/// 13.3333 to 14.2529: 0.901
const TABLE: Piecewise<7> = Piecewise {
    points: [
        0.19952327, 0.94836473, 1.8494402, 2.7682934, 3.794368, 4.706259, 5.476508, 6.5587277,
        7.4749656, 8.2906065, 9.319929, 10.253068, 11.040382, 12.20046, 12.998793, 13.788497,
    ],
    coefficients: [
        [
            0.5983535,
            0.32741272,
            0.14611149,
            0.0608778,
            0.022247791,
            0.0089979265,
            0.0041751857,
            0.0014166842,
            0.00056694454,
            0.0002508308,
            8.9616246e-05,
            3.524857e-05,
            1.6040554e-05,
            5.0281274e-06,
            2.2630575e-06,
            1.0273812e-06,
        ],
        [
            -0.450284,
            -0.27921388,
            -0.13593861,
            -0.059061773,
            -0.022002134,
            -0.008957567,
            -0.004166482,
            -0.0014156812,
            -0.0005667839,
            -0.0002507994,
            -8.961223e-05,
            -3.5247947e-05,
            -1.6040429e-05,
            -5.0281137e-06,
            -2.263055e-06,
            -1.0273809e-06,
        ],
        [
            0.12376414,
            0.10062693,
            0.058729697,
            0.02778676,
            0.01075901,
            0.0044386713,
            0.0020745562,
            0.00070684054,
            0.0002832323,
            0.0001253682,
            4.480224e-05,
            1.7623417e-05,
            8.020078e-06,
            2.5140366e-06,
            1.1315291e-06,
            5.1368914e-07,
        ],
        [
            -0.0041020033,
            -0.014808846,
            -0.014254867,
            -0.008168621,
            -0.0034285164,
            -0.0014530368,
            -0.00068574096,
            -0.00023494592,
            -9.4302784e-05,
            -4.176647e-05,
            -1.4931385e-05,
            -5.874095e-06,
            -2.6731504e-06,
            -8.380709e-07,
            -3.7717285e-07,
            -1.7122186e-07,
        ],
        [
            -0.0050028525,
            -0.0017434735,
            0.0014445095,
            0.001543417,
            0.00078100833,
            0.0003500656,
            0.00016864222,
            5.8362264e-05,
            2.3504452e-05,
            1.043135e-05,
            3.7286106e-06,
            1.4670643e-06,
            6.6832246e-07,
            2.0957029e-07,
            9.421563e-08,
            4.2814666e-08,
        ],
        [
            0.00040183967,
            0.0010251238,
            0.00029861016,
            -0.00013164186,
            -0.00012716978,
            -6.508222e-05,
            -3.2772536e-05,
            -1.15736375e-05,
            -4.6985997e-06,
            -2.100497e-06,
            -7.4738284e-07,
            -2.9382747e-07,
            -1.3482129e-07,
            -4.0863345e-08,
            -1.8906325e-08,
            -8.63591e-09,
        ],
        [
            0.0003019275,
            -3.4445588e-05,
            -0.00013955396,
            -2.3523646e-05,
            1.1337667e-05,
            9.711668e-06,
            4.831554e-06,
            2.0996429e-06,
            8.61429e-07,
            3.4913916e-07,
            1.3960775e-07,
            5.5683866e-08,
            2.2261043e-08,
            8.926108e-09,
            3.5335215e-09,
            1.4098102e-09,
        ],
    ],
};
