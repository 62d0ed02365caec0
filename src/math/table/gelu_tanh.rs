//! GELU with the hyperbolic tangent, in `f32`.

use super::exponential::{Exponential, UNSCALE, unscale_to_subnormal};
use super::{Logarithmic, Piecewise, splat};
use crate::lanes::{Lanes, Token};
use fearless_simd::prelude::*;
use fearless_simd::{f32x16, mask32x16};

/// [`gelu_tanh_common`] holds for `|x|` below this: from here on `gelu_tanh(-|x|)` is subnormal.
pub const GELU_TANH_COMMON: f32 = 10.105;

/// `x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2`, for every `x`.
///
/// `x s(w)` with the logistic function `s` and `w = rate x (KAPPA + x^2)`, hence
/// `max(x, 0) + n(|x|)`, `n(a) = -a s(-w) = m(a) e^-w`; `m` is smooth, as for [`gelu`](super::gelu()).
#[inline(always)]
pub fn gelu_tanh<S: Token>(simd: S, x: f32x16<S>) -> f32x16<S> {
    simd.outline(
        #[inline(always)]
        move || {
            // Beyond, n is 0.
            let a = simd.at_most_f32(x.abs(), splat(simd, 10.8));
            terms(simd, x, a).sum(simd, x.simd_le(splat(simd, -GELU_TANH_COMMON)))
        },
    )
}

/// [`gelu_tanh`] where every lane's `|x|` is below [`GELU_TANH_COMMON`].
#[inline(always)]
pub fn gelu_tanh_common<S: Token>(simd: S, x: f32x16<S>) -> f32x16<S> {
    terms(simd, x, x.abs()).common_sum(simd)
}

#[inline(always)]
fn terms<S: Token>(simd: S, x: f32x16<S>, a: f32x16<S>) -> Terms<S> {
    // KAPPA + a^2 in two parts; KAPPA_HIGH has so few bits that its subtraction is exact.
    let high = splat(simd, KAPPA_HIGH);
    let factor = a.fma(a, high);
    let factor_low = a.fma(a, high - factor) + splat(simd, KAPPA_LOW);
    let z = a * factor;
    let z_low = a.fma(factor_low, a.fma(factor, -z));
    let exponential = CUBIC.parts(simd, z, Some(z_low));
    let index = Logarithmic::new(a.fma(splat(simd, SCALE), splat(simd, 1.0)));
    Terms::new(simd, &TABLE, x, a, &index, exponential)
}

/// `lead + 2^-64 n`: a function like `max(x, 0) + m(|x|) e^-z`, before the last operation.
struct Terms<S: Token> {
    n: f32x16<S>,
    lead: f32x16<S>,
}

impl<S: Token> Terms<S> {
    /// From `m` by pieces of `a`, and `e^-z = 2^-64 t (1 + g)`.
    #[inline(always)]
    fn new(
        simd: S,
        table: &Piecewise<7>,
        x: f32x16<S>,
        a: f32x16<S>,
        index: &Logarithmic<S>,
        (t, g): (f32x16<S>, f32x16<S>),
    ) -> Self {
        let r = table.offset(simd, a, index.pieces);
        let q = table.slope(simd, r, index.pieces);
        let c0 = table.constant(simd, index.pieces);
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
    fn common_sum(self, simd: S) -> f32x16<S> {
        self.n.fma(splat(simd, UNSCALE), self.lead)
    }

    /// The sum; `subnormal` tells where it is.
    #[inline(always)]
    fn sum(self, simd: S, subnormal: mask32x16<S>) -> f32x16<S> {
        let far = unscale_to_subnormal(simd, self.n);
        let n = subnormal.select(splat(simd, 0.0), self.n);
        let near = Self { n, ..self }.common_sum(simd);
        f32x16::from_bits(subnormal.select(far, near.to_bits()))
    }
}

/// The second piece ends at 0.386, as [`gelu`](super::gelu())'s does, and the last beyond 10.8; every other is
/// a quarter narrower than there, where the function is steeper.
const SCALE: f32 = 1.295;

/// `1 / 0.044715`: a multiple of 2^-16, and the rest.
const KAPPA_HIGH: f32 = 22.363861;
const KAPPA_LOW: f32 = -1.081748e-06;

/// `e^(-rate z)` with the rate `2 sqrt(2/pi) 0.044715`.
const CUBIC: Exponential = Exponential {
    steps_per_unit: -1.6470919,
    step: 0.6071307,
    step_low: -1.7058792e-08,
    slope: [-0.071354814, 0.0025458357, -6.0578226e-05],
};

/// Largest error in ULP, in a sample of each piece:
/// 0.0000 to 0.1931: 0.788
/// 0.1931 to 0.3861: 0.902
/// 0.3861 to 0.5792: 0.840
/// 0.5792 to 0.7722: 0.790
/// 0.7722 to 1.1583: 0.759
/// 1.1583 to 1.5444: 0.694
/// 1.5444 to 1.9305: 0.681
/// 1.9305 to 2.3166: 0.630
/// 2.3166 to 3.0888: 0.687
/// 3.0888 to 3.8610: 0.665
/// 3.8610 to 4.6332: 0.662
/// 4.6332 to 5.4054: 0.638
/// 5.4054 to 6.9498: 0.616
/// 6.9498 to 8.4942: 0.606
/// 8.4942 to 10.0386: 0.607
/// 10.0386 to 11.5830: 0.521
const TABLE: Piecewise<7> = Piecewise {
    points: [
        0.90411067, 1.3540472, 1.7293805, 2.1086578, 2.6718547, 3.459475, 4.202611, 4.8896055,
        6.092664, 7.558992, 9.21983, 10.335327, 0.0, 0.27878416, 0.4595677, 0.6292698,
    ],
    coefficients: [
        [
            -0.7385682,
            -1.2348461,
            -1.6568558,
            -2.0719752,
            -2.66225,
            -3.4587533,
            -4.202585,
            -4.889605,
            -6.092664,
            -7.558992,
            -9.21983,
            -10.335327,
            -0.0,
            0.047830097,
            -0.31115454,
            -0.46273488,
        ],
        [
            -1.0563616,
            -1.1281037,
            -1.1134266,
            -1.0744305,
            -1.0263017,
            -1.0027913,
            -1.0001323,
            -1.0000031,
            -1.0,
            -1.0,
            -1.0,
            -1.0,
            -1e-30,
            0.415836,
            -0.84195226,
            -0.9411534,
        ],
        [
            -0.15665689,
            -0.014096471,
            0.043566354,
            0.053081308,
            0.029699063,
            0.004832348,
            0.00031602755,
            9.51597e-06,
            1.9763713e-09,
            1.1903411e-15,
            0.0,
            0.0,
            0.39894256,
            1.1873324,
            -0.320776,
            -0.26214564,
        ],
        [
            0.12656775,
            0.07753034,
            0.026623959,
            -0.005881056,
            -0.015988724,
            -0.0048183003,
            -0.00046079946,
            -1.8619667e-05,
            -1.5090579e-09,
            4.899475e-15,
            0.0,
            0.0,
            0.63659835,
            1.32123,
            0.10439541,
            0.12368891,
        ],
        [
            -0.012078619,
            -0.035784286,
            -0.029158954,
            -0.013494592,
            0.0018994081,
            0.0028878432,
            0.00045371387,
            2.6680385e-05,
            7.478406e-09,
            -2.4464145e-15,
            0.0,
            0.0,
            0.4416462,
            0.83592886,
            0.038164783,
            0.018339569,
        ],
        [
            -0.019039245,
            -0.0018505965,
            0.0072390973,
            0.007986031,
            0.0027070146,
            -0.00085472525,
            -0.00031308804,
            -2.6888843e-05,
            -3.7154404e-08,
            -3.3760785e-14,
            0.0,
            0.0,
            0.1866964,
            0.4083322,
            -0.02190685,
            -0.022968201,
        ],
        [
            0.005814755,
            0.0057968656,
            0.001959457,
            -0.0010954118,
            -0.0014854756,
            -4.710117e-05,
            0.0001285334,
            1.3299996e-05,
            3.2561086e-08,
            3.2018923e-14,
            -0.0,
            -0.0,
            0.10260951,
            0.20215556,
            -0.004111667,
            -0.0020951894,
        ],
    ],
};
