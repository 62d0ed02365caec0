//! GELU with the error function, in `f32`.

use super::exponential::{Exponential, UNSCALE, unscale_to_subnormal};
use super::{Logarithmic, OFFSET, Piecewise, splat};
use crate::lanes::{Lanes, Token};
use fearless_simd::prelude::*;
use fearless_simd::{f32x16, mask32x16};

/// [`gelu_common`] holds for `|x|` below this: from here on `gelu(-|x|)` is subnormal.
pub const GELU_COMMON: f32 = 13.15;

/// `x Phi(x)`, for every `x`: 0.95 ULP at most on every 101st float.
///
/// `max(x, 0) + n(|x|)` with `n(a) = -a Phi(-a) = m(a) e^(-a^2/2)`: the exponential has all the steepness,
/// `m` is left smooth enough for pieces up to 2 wide.
#[inline(always)]
pub fn gelu<S: Token>(simd: S, x: f32x16<S>) -> f32x16<S> {
    simd.outline(
        #[inline(always)]
        move || {
            // Beyond, n is 0.
            let a = simd.at_most_f32(x.abs(), splat(simd, 14.5));
            terms(simd, x, a).sum(simd, x.simd_le(splat(simd, -GELU_COMMON)))
        },
    )
}

/// [`gelu`] where every lane's `|x|` is below [`GELU_COMMON`].
#[inline(always)]
pub fn gelu_common<S: Token>(simd: S, x: f32x16<S>) -> f32x16<S> {
    terms(simd, x, x.abs()).common_sum(simd)
}

#[inline(always)]
fn terms<S: Token>(simd: S, x: f32x16<S>, a: f32x16<S>) -> Terms<S> {
    let square = a * a;
    let exponential = HALF.parts(simd, square, Some(a.fma(a, -square)));
    let index = Logarithmic::new(a + splat(simd, OFFSET));
    Terms::new(simd, &TABLE, x, a, &index, exponential)
}

/// `lead + 2^-64 n`: a function like `max(x, 0) + m(|x|) e^-z`, before the last operation.
pub(super) struct Terms<S: Token> {
    n: f32x16<S>,
    lead: f32x16<S>,
}

impl<S: Token> Terms<S> {
    /// From `m` by pieces of `a`, and `e^-z = 2^-64 t (1 + g)`.
    #[inline(always)]
    pub(super) fn new(
        simd: S,
        table: &Piecewise<7>,
        x: f32x16<S>,
        a: f32x16<S>,
        index: &Logarithmic<S>,
        (t, g): (f32x16<S>, f32x16<S>),
    ) -> Self {
        let r = table.offset(simd, a, index.piece);
        let q = table.slope(simd, r, index.piece);
        let c0 = table.constant(simd, index.piece);
        // m (1 + g) = c0 + u: one rounding at the size of the result, the others at a quarter or less.
        let u = r.fma(q, r.fma(q, c0) * g);
        let n = t.fma(c0, t * u);
        // On the first two pieces the table holds n + a / 2: otherwise x + n would cancel.
        let positive = simd.larger_f32(splat(simd, 0.0), x);
        let half = x * splat(simd, 0.5);
        let lead = index.first_two(simd).select(half, positive);
        Self { n, lead }
    }

    /// The sum where it is no subnormal number.
    #[inline(always)]
    pub(super) fn common_sum(self, simd: S) -> f32x16<S> {
        self.n.fma(splat(simd, UNSCALE), self.lead)
    }

    /// The sum; `subnormal` tells where it is.
    #[inline(always)]
    pub(super) fn sum(self, simd: S, subnormal: mask32x16<S>) -> f32x16<S> {
        let far = unscale_to_subnormal(simd, self.n);
        let n = subnormal.select(splat(simd, 0.0), self.n);
        let near = Self { n, ..self }.common_sum(simd);
        subnormal.select(far, near)
    }
}

/// `e^(-z/2)`.
const HALF: Exponential = Exponential {
    steps_per_unit: -11.54156,
    step: 0.0866434,
    step_low: -2.3808178e-10,
    slope: [-0.5, 0.12500407, -0.020833762],
};

/// Largest error in ULP, in a sample of each piece:
/// 0.0000 to 0.1355: 0.667
/// 0.1355 to 0.3855: 0.929
/// 0.3855 to 0.6355: 0.817
/// 0.6355 to 0.8855: 0.762
/// 0.8855 to 1.3855: 0.648
/// 1.3855 to 1.8855: 0.584
/// 1.8855 to 2.3855: 0.556
/// 2.3855 to 2.8855: 0.556
/// 2.8855 to 3.8855: 0.573
/// 3.8855 to 4.8855: 0.565
/// 4.8855 to 5.8855: 0.565
/// 5.8855 to 6.8855: 0.554
/// 6.8855 to 8.8855: 0.598
/// 8.8855 to 10.8855: 0.555
/// 10.8855 to 12.8855: 0.568
/// 12.8855 to 14.8855: 0.539
const TABLE: Piecewise<7> = Piecewise {
    points: [
        1.09831, 1.566068, 2.1339371, 2.5828388, 3.4537253, 4.156535, 5.1908827, 6.2317615,
        7.3978686, 9.983392, 11.671044, 13.304325, 0.0, 0.31284308, 0.49517483, 0.68075585,
    ],
    coefficients: [
        [
            -0.2730962,
            -0.31316143,
            -0.34157047,
            -0.35551292,
            -0.37160736,
            -0.3790169,
            -0.3855395,
            -0.38937595,
            -0.3920199,
            -0.3950544,
            -0.39607573,
            -0.3967256,
            -0.0,
            0.040343866,
            -0.17365934,
            -0.21286196,
        ],
        [
            -0.1104333,
            -0.06562804,
            -0.037638012,
            -0.025473211,
            -0.013188803,
            -0.00836526,
            -0.004700185,
            -0.0028674284,
            -0.0017800443,
            -0.0007569271,
            -0.00048092523,
            -0.00032779173,
            -1e-30,
            0.26638642,
            -0.23914865,
            -0.18600945,
        ],
        [
            0.0652009,
            0.034391798,
            0.017213242,
            0.010532756,
            0.0045597255,
            0.002540121,
            0.0012037224,
            0.00063175976,
            0.00033811183,
            0.000109532055,
            6.0104892e-05,
            3.6161557e-05,
            0.3989423,
            0.48095474,
            0.16607273,
            0.12276686,
        ],
        [
            -0.03134514,
            -0.01486073,
            -0.006574831,
            -0.003668429,
            -0.001344946,
            -0.00066334987,
            -0.00026731179,
            -0.00012138932,
            -5.6279227e-05,
            -1.39638805e-05,
            -6.6327916e-06,
            -3.527494e-06,
            -8.92463e-07,
            0.18335041,
            -0.092162155,
            -0.06514699,
        ],
        [
            0.013136233,
            0.0056499946,
            0.0022299236,
            0.0011426349,
            0.00035774277,
            0.00015760136,
            5.4406715e-05,
            2.1488628e-05,
            8.660445e-06,
            1.6525676e-06,
            6.8250904e-07,
            3.2097245e-07,
            0.13300267,
            0.17467257,
            0.043952174,
            0.02982349,
        ],
        [
            -0.004998966,
            -0.001951602,
            -0.0006979039,
            -0.00032862858,
            -9.024463e-05,
            -3.421884e-05,
            -1.0297503e-05,
            -3.581211e-06,
            -1.2116542e-06,
            -1.8997576e-07,
            -6.7338355e-08,
            -2.811361e-08,
            -0.00021891813,
            0.056423187,
            -0.018753162,
            -0.012048637,
        ],
        [
            0.001597157,
            0.00054706034,
            0.00020254243,
            8.118252e-05,
            2.3444383e-05,
            5.4457305e-06,
            1.5174197e-06,
            4.8983316e-07,
            1.1611744e-07,
            2.2586054e-08,
            5.620187e-09,
            2.1234996e-09,
            0.027414232,
            0.034155414,
            0.0070648505,
            0.0037036713,
        ],
    ],
};
