//! Losses of independent yes/no labels.
//!
//! Nothing is computed as a difference of two things that may be close: `1 - y` is carried in two
//! parts, `1 - sigmoid(x)` is `sigmoid(-x)`, and from logits
//!
//! `-a log sigmoid(x) - b log sigmoid(-x) = (a + b) log(1 + e^-|x|) + |x| (b if x > 0 else a)`
//!
//! is a sum of terms that are not negative, with one exponential and one logarithm in all; of `f32` with labels as
//! they are it comes out of a table, at most 1.2 ULP off for hard labels and 1.5 for soft ones. `a` and `b`
//! are the weights of the two outcomes: `a = pos_weight y'`, `b = 1 - y'`, `y' = (1 - s) y + s / 2`.

use super::{
    Domain, Domains, Element, ElementwiseLoss, Formula, Kernel, OptionError, check_range,
    define_loss,
};
use crate::lanes::{Lanes, Token};
use crate::math::exp::{exp, parts_bound};
use crate::math::log::{log, log1p, log1p_parts};
use crate::math::logistic::{decay, reciprocal_of_one_plus};
use crate::math::table;
use crate::math::twofold::{fast_two_sum, multiply, multiply_rounded, two_product, two_sum};
use fearless_simd::prelude::*;

define_loss! {
    "binary_crossentropy":
    /// `-pos_weight y' log p - (1 - y') log(1 - p)`, with `y' = (1 - s) y + s / 2`.
    pub struct BinaryCrossentropy {
        /// Whether `y_pred` is the logit of `p`.
        from_logits: bool = false,
        /// `s`.
        label_smoothing: f64 = 0.0,
        /// Weight of the `y = 1` term: one number, or one for each label.
        pos_weight: Option<Vec<f64>> = None,
        /// Probabilities are clipped to `[epsilon, 1 - epsilon]`.
        epsilon: f64 = 0.0,
    }
}

impl ElementwiseLoss for BinaryCrossentropy {
    const REGRESSION: bool = false;

    fn domains(&self) -> Domains {
        Domains {
            y_true: Domain::UnitInterval,
            y_pred: domain_of(self.from_logits),
            parameter: Domain::All,
        }
    }

    fn check_options(&self) -> Result<(), OptionError> {
        check_range("label_smoothing", self.label_smoothing, 0.0, 1.0)?;
        check_range("epsilon", self.epsilon, 0.0, 0.5)?;
        for &weight in self.pos_weight.iter().flatten() {
            check_range("pos_weight", weight, 0.0, f64::INFINITY)?;
        }
        Ok(())
    }

    fn per_label_option(&self) -> Option<(&'static str, &[f64])> {
        self.pos_weight
            .as_deref()
            .map(|weights| ("pos_weight", weights))
    }

    fn kernel<S: Token>(&self) -> Kernel<S> {
        let adjusted = AdjustedLabels::new(self.label_smoothing);
        let plain = self.label_smoothing == 0.0 && self.pos_weight.is_none();
        match (self.from_logits, plain) {
            (true, true) => Kernel::of(FromLogits(PlainLabels)),
            (true, false) => Kernel::of(FromLogits(adjusted)),
            (false, true) if self.epsilon == 0.0 => Kernel::of(FromProbabilities::<_, false> {
                labels: PlainLabels,
                epsilon: 0.0,
            }),
            (false, _) => Kernel::of(FromProbabilities::<_, true> {
                labels: adjusted,
                epsilon: self.epsilon,
            }),
        }
    }
}

/// What predictions may be: logits, or probabilities.
pub(super) fn domain_of(from_logits: bool) -> Domain {
    if from_logits {
        Domain::All
    } else {
        Domain::UnitInterval
    }
}

/// An unevaluated sum of two lanes.
pub(super) type Twofold<V> = (V, V);

/// The weights of the two outcomes, not negative, in two parts each.
#[derive(Clone, Copy)]
pub(super) struct Outcomes<V> {
    /// `a`.
    pub(super) positive: Twofold<V>,
    /// `b`.
    pub(super) negative: Twofold<V>,
}

/// From labels to the weights of the outcomes.
pub(super) trait LabelWeights: Copy + Send + Sync + 'static {
    /// Whether the labels are used as they are: `a = y`, `b = 1 - y`, `a + b = 1`.
    const PLAIN: bool;

    fn outcomes<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> Outcomes<V>;
}

/// `a = y`, `b = 1 - y`.
#[derive(Clone, Copy)]
pub(super) struct PlainLabels;

impl LabelWeights for PlainLabels {
    const PLAIN: bool = true;

    #[inline(always)]
    fn outcomes<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> Outcomes<V> {
        Outcomes {
            positive: (at.y_true, V::lit(simd, 0.0)),
            negative: fast_two_sum(V::lit(simd, 1.0), -at.y_true),
        }
    }
}

/// Labels with smoothing and the weight of the positive outcome, which is the element's parameter.
#[derive(Clone, Copy)]
pub(super) struct AdjustedLabels {
    /// `1 - s`, in two parts.
    keep: f64,
    keep_low: f64,
    /// `s / 2`.
    shift: f64,
}

impl LabelWeights for AdjustedLabels {
    const PLAIN: bool = false;

    #[inline(always)]
    fn outcomes<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> Outcomes<V> {
        let Outcomes { positive, negative } = PlainLabels.outcomes(simd, at);
        Outcomes {
            positive: multiply(
                self.smooth(simd, positive),
                (at.parameter, V::lit(simd, 0.0)),
            ),
            negative: self.smooth(simd, negative),
        }
    }
}

impl AdjustedLabels {
    /// With label smoothing `s`.
    pub(super) fn new(smoothing: f64) -> Self {
        let keep = 1.0 - smoothing;
        Self {
            keep,
            keep_low: (1.0 - keep) - smoothing,
            shift: smoothing / 2.0,
        }
    }

    /// `(1 - s) y + s / 2`.
    #[inline(always)]
    fn smooth<S: Token, V: Lanes<S>>(self, simd: S, y: Twofold<V>) -> Twofold<V> {
        let keep = (V::lit(simd, self.keep), V::lit(simd, self.keep_low));
        let (scaled, error) = multiply(y, keep);
        let (sum, sum_error) = two_sum(scaled, V::lit(simd, self.shift));
        (sum, sum_error + error)
    }
}

/// Of the logit of `p`.
#[derive(Clone, Copy)]
pub(super) struct FromLogits<L>(pub(super) L);

impl<L: LabelWeights> FromLogits<L> {
    /// The value in compensated arithmetic.
    #[inline(always)]
    fn compensated<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let zero = V::lit(simd, 0.0);
        let Outcomes { positive, negative } = self.0.outcomes(simd, at);
        let x = at.y_pred;
        let against_negative = x.simd_gt(zero);
        // The weight of the outcome that x speaks against, and |x| where that counts.
        let share = against_negative.select(negative.0, positive.0);
        let share_low = against_negative.select(negative.1, positive.1);
        let size = x.abs();
        let distance = share.simd_eq(zero).select(zero, size);

        let e = decay(simd, x);
        let logarithm = log1p_parts(simd, e.0, e.1);
        let (near, near_low, sum) = if L::PLAIN {
            (logarithm.0, logarithm.1, V::lit(simd, 1.0))
        } else {
            let (sum, error) = two_sum(positive.0, negative.0);
            let sum = (sum, error + (positive.1 + negative.1));
            let (near, near_low) = multiply(sum, logarithm);
            (near, near_low, sum.0)
        };
        // Two roundings where both terms are there, one where the prediction is right: at most 1 ULP.
        let near = distance.fma(share_low, near + near_low);
        let value = distance.fma(share, near);
        // Far out log(1 + e^-|x|) is e^-|x|, which may be subnormal; infinite terms have no low parts.
        let regular =
            size.simd_le(parts_bound::<S, V>(simd)) & value.simd_lt(V::lit(simd, f64::INFINITY));
        if regular.all_true() {
            return value;
        }
        let near = sum * exp(simd, -size);
        let precise = distance.fma(share, distance.fma(share_low, near));
        let limit = distance.fma(share, near);
        regular.select(value, precise.is_finite().select(precise, limit))
    }

    /// `a` and `b`, rounded.
    #[inline(always)]
    fn weights<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> (V, V) {
        let outcomes = self.0.outcomes(simd, at);
        if L::PLAIN {
            // As they are.
            (outcomes.positive.0, outcomes.negative.0)
        } else {
            rounded(outcomes)
        }
    }

    /// For plain labels, which need no low parts: the weight of the outcome that `y_pred` speaks against.
    #[inline(always)]
    fn plain_share<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let (a, b) = self.weights(simd, at);
        at.y_pred.simd_gt(V::lit(simd, 0.0)).select(b, a)
    }

    #[inline(always)]
    fn slope<S: Token, V: Lanes<S>, const IS_NEAR: bool>(self, simd: S, at: Element<V>) -> V {
        let (a, b) = self.weights(simd, at);
        let (to_positive, to_negative) = sigmoids::<S, V, IS_NEAR>(simd, at.y_pred);
        b.fma(to_positive, -(a * to_negative))
    }
}

/// Where the forms by pieces hold, by the size of the logit.
const NEAR: f32 = {
    assert!(table::SIGMOID_COMMON == table::SOFTPLUS_COMMON);
    table::SIGMOID_COMMON
};

impl<L: LabelWeights> Formula for FromLogits<L> {
    const IN_DOUBLE: bool = !L::PLAIN;
    const PARAMETER: bool = !L::PLAIN;

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        if V::PRECISION == 24 {
            let share = self.plain_share(simd, at);
            softplus_and_share::<S, V, false>(simd, at.y_pred, share)
        } else {
            self.compensated(simd, at)
        }
    }

    const SUMMED_AT_ONCE: bool = L::PLAIN;

    const NEAR: Option<f32> = if L::PLAIN { Some(NEAR) } else { None };

    #[inline(always)]
    fn near_value<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let share = self.plain_share(simd, at);
        softplus_and_share::<S, V, true>(simd, at.y_pred, share)
    }

    /// `b sigmoid(x) - a sigmoid(-x)`: one term for hard labels.
    #[inline(always)]
    fn gradient<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        self.slope::<S, V, false>(simd, at)
    }

    #[inline(always)]
    fn near_gradient<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        self.slope::<S, V, true>(simd, at)
    }

    /// `(a + b) p (1 - p)`.
    #[inline(always)]
    fn hessian<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let (a, b) = self.weights(simd, at);
        let (to_positive, to_negative) = sigmoids::<S, V, false>(simd, at.y_pred);
        (a + b) * (to_positive * to_negative)
    }
}

/// Both weights, rounded.
#[inline(always)]
fn rounded<S: Token, V: Lanes<S>>(outcomes: Outcomes<V>) -> (V, V) {
    let Outcomes { positive, negative } = outcomes;
    (positive.0 + positive.1, negative.0 + negative.1)
}

/// `log(1 + e^-|x|) + share |x|`, for `f32` lanes.
#[inline(always)]
fn softplus_and_share<S: Token, V: Lanes<S>, const IS_NEAR: bool>(simd: S, x: V, share: V) -> V {
    x.both_by_precision(
        share,
        #[inline(always)]
        |x, share| {
            if IS_NEAR {
                table::softplus_and_share_common(simd, x, share)
            } else {
                table::softplus_and_share(simd, x, share)
            }
        },
        #[inline(always)]
        |x, _| x,
    )
}

/// `(sigmoid(x), sigmoid(-x))`, each rounded once; in `f32` by pieces.
#[inline(always)]
fn sigmoids<S: Token, V: Lanes<S>, const IS_NEAR: bool>(simd: S, x: V) -> (V, V) {
    let size = x.abs();
    let (near_one, small) = if V::PRECISION == 24 {
        let small = size.by_precision(
            #[inline(always)]
            |a| {
                if IS_NEAR {
                    table::sigmoid_of_negative_common(simd, a)
                } else {
                    table::sigmoid_of_negative(simd, a)
                }
            },
            #[inline(always)]
            |a| a,
        );
        (V::lit(simd, 1.0) - small, small)
    } else {
        let e = decay(simd, x);
        let q = reciprocal_of_one_plus(simd, e);
        let mut small = multiply_rounded(e, q);
        let far = size.simd_gt(parts_bound::<S, V>(simd));
        if far.any_true() {
            small = far.select(exp(simd, -size), small);
        }
        (q.0 + q.1, small)
    };
    let positive = x.simd_gt(V::lit(simd, 0.0));
    (
        positive.select(near_one, small),
        positive.select(small, near_one),
    )
}

/// Of `p` itself, which may be clipped.
#[derive(Clone, Copy)]
pub(super) struct FromProbabilities<L, const CLIPPED: bool> {
    pub(super) labels: L,
    pub(super) epsilon: f64,
}

/// A probability and whether it was outside of `[epsilon, 1 - epsilon]`.
pub(super) struct Clipped<V, M> {
    outside: M,
    pub(super) above: M,
    /// The probability, or `epsilon` for both bounds.
    pub(super) inside: V,
}

impl<L: LabelWeights, const CLIPPED: bool> FromProbabilities<L, CLIPPED> {
    /// `p` in `[epsilon, 1 - epsilon]`.
    #[inline(always)]
    pub(super) fn clip<S: Token, V: Lanes<S>>(self, simd: S, p: V) -> Clipped<V, V::Mask> {
        let epsilon = V::lit(simd, self.epsilon);
        // 1 - p is exact where this may be true, 1 - epsilon would not be.
        let above = (V::lit(simd, 1.0) - p).simd_lt(epsilon);
        let outside = p.simd_lt(epsilon) | above;
        Clipped {
            outside,
            above,
            inside: outside.select(epsilon, p),
        }
    }

    /// A derivative: 0 where the probability is clipped.
    #[inline(always)]
    pub(super) fn unless_clipped<S: Token, V: Lanes<S>>(self, simd: S, p: V, derivative: V) -> V {
        let derivative = with_nan_of(p, derivative);
        if !CLIPPED {
            return derivative;
        }
        let outside = self.clip(simd, p).outside;
        outside.select(V::lit(simd, 0.0), derivative)
    }
}

impl<L: LabelWeights, const CLIPPED: bool> Formula for FromProbabilities<L, CLIPPED> {
    const IN_DOUBLE: bool = CLIPPED || !L::PLAIN;
    const PARAMETER: bool = !L::PLAIN;

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let Outcomes { positive, negative } = self.labels.outcomes(simd, at);
        let (log_p, log_q) = if CLIPPED {
            // The logarithms of the nearer bound and of its complement; above, they change places.
            let Clipped { above, inside, .. } = self.clip(simd, at.y_pred);
            let (near, far) = (log(simd, inside), log1p(simd, -inside));
            (above.select(far, near), above.select(near, far))
        } else {
            (log(simd, at.y_pred), log1p(simd, -at.y_pred))
        };
        let (a, a_low) = information(simd, positive, log_p);
        let (b, b_low) = information(simd, negative, log_q);
        let (sum, error) = two_sum(a, b);
        let value = sum + (error + (a_low + b_low));
        // Where infinities take part, the error terms mean nothing. No value is negative: -log 1 = -0.
        let regular = value.abs().simd_lt(V::lit(simd, f64::INFINITY));
        with_nan_of(at.y_pred, regular.select(value, sum).abs())
    }

    /// `b / (1 - p) - a / p`, for soft labels as `(b p - a (1 - p)) / (p (1 - p))` with the difference of
    /// the exact products.
    #[inline(always)]
    fn gradient<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let zero = V::lit(simd, 0.0);
        let p = at.y_pred;
        let q = fast_two_sum(V::lit(simd, 1.0), -p);
        let outcomes = self.labels.outcomes(simd, at);
        let (high, high_low) = multiply(outcomes.negative, (p, zero));
        let (low, low_low) = multiply(outcomes.positive, q);
        let (difference, error) = two_sum(high, -low);
        let both = difference + (error + (high_low - low_low));
        let (a, b) = rounded(outcomes);
        let (certain, impossible) = (b.simd_eq(zero), a.simd_eq(zero));
        let numerator = certain.select(-a, impossible.select(b, both));
        let denominator = certain.select(p, impossible.select(q.0, p * q.0));
        let slope = (certain & impossible).select(zero, numerator / denominator);
        self.unless_clipped(simd, p, slope)
    }

    /// `b / (1 - p)^2 + a / p^2`.
    #[inline(always)]
    fn hessian<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let (a, b) = rounded(self.labels.outcomes(simd, at));
        let p = at.y_pred;
        let q = V::lit(simd, 1.0) - p;
        let bend = over_square(simd, b, q) + over_square(simd, a, p);
        self.unless_clipped(simd, p, bend)
    }
}

/// `-share log(...)`, 0 for no share whatever the logarithm.
#[inline(always)]
fn information<S: Token, V: Lanes<S>>(
    simd: S,
    (share, share_low): Twofold<V>,
    logarithm: V,
) -> Twofold<V> {
    let zero = V::lit(simd, 0.0);
    let bits = share.simd_eq(zero).select(zero, -logarithm);
    let (product, error) = two_product(share, bits);
    (product, bits.fma(share_low, error))
}

/// `share / (p p)`, 0 for no share.
#[inline(always)]
fn over_square<S: Token, V: Lanes<S>>(simd: S, share: V, p: V) -> V {
    let zero = V::lit(simd, 0.0);
    share.simd_eq(zero).select(zero, share / p / p)
}

/// `result`, or NaN where `x` is: a term that is left out must not lose it.
#[inline(always)]
fn with_nan_of<S: Token, V: Lanes<S>>(x: V, result: V) -> V {
    x.is_nan().select(x, result)
}
