//! The focal loss of independent yes/no labels: cross-entropy that counts less where it is small.
//!
//! `w m^gamma B`, with `B = -a log p - b log(1 - p)` the cross-entropy of the weights `a = y'` and
//! `b = 1 - y'` of the outcomes, `m = a (1 - p) + b p` the probability of being wrong, and `w` = 1 or
//! `alpha a + (1 - alpha) b`. The power is `e^(gamma log m)`; the logarithm is carried in two parts, since
//! its error counts `gamma log m` times.
//!
//! From logits everything is seen from the outcome that `x` speaks for: with `n = sigmoid|x|`,
//! `f = sigmoid(-|x|)` and `a`, `b` the weights of that outcome and the other,
//!
//! `B = log(1 + e^-|x|) + b |x|`, `log m = log(a e^-|x| + b) - log(1 + e^-|x|)`.
//!
//! With `mu = m'/m` the derivatives are `w m^gamma` times
//!
//! - `gamma mu B + B'`,
//! - `gamma mu B (gamma mu + s - mu) + 2 gamma mu B' + B''`, where `s = m''/m'`.

use super::binary::{
    AdjustedLabels, FromProbabilities as Crossentropy, LabelWeights, Outcomes, Twofold, domain_of,
};
use super::{
    Domain, Domains, Element, ElementwiseLoss, Formula, Kernel, OptionError, check_range,
    define_loss,
};
use crate::lanes::{Lanes, Token};
use crate::math::exp::{exp, exp_parts, parts_bound};
use crate::math::log::{log_parts, log1p_parts};
use crate::math::logistic::{decay, reciprocal_of_one_plus};
use crate::math::twofold::{add, fast_two_sum, multiply, multiply_rounded, two_product};
use fearless_simd::prelude::*;

define_loss! {
    "binary_focal_crossentropy":
    /// `w m^gamma` times the binary cross-entropy, `m` the probability given to the wrong outcome.
    pub struct BinaryFocalCrossentropy {
        /// How much less easy elements count: 0 is plain cross-entropy.
        gamma: f64 = 2.0,
        /// The weight of the `y = 1` term, 1 minus it that of the other.
        alpha: f64 = 0.25,
        /// Whether `alpha` is used.
        apply_class_balancing: bool = false,
        /// Whether `y_pred` is the logit of `p`.
        from_logits: bool = false,
        /// Labels are `(1 - s) y + s / 2`.
        label_smoothing: f64 = 0.0,
        /// Probabilities are clipped to `[epsilon, 1 - epsilon]`.
        epsilon: f64 = 0.0,
    }
}

impl ElementwiseLoss for BinaryFocalCrossentropy {
    const REGRESSION: bool = false;

    fn domains(&self) -> Domains {
        Domains {
            y_true: Domain::UnitInterval,
            y_pred: domain_of(self.from_logits),
            parameter: Domain::All,
        }
    }

    fn check_options(&self) -> Result<(), OptionError> {
        check_range("gamma", self.gamma, 0.0, f64::INFINITY)?;
        check_range("alpha", self.alpha, 0.0, 1.0)?;
        check_range("label_smoothing", self.label_smoothing, 0.0, 1.0)?;
        check_range("epsilon", self.epsilon, 0.0, 0.5)
    }

    fn kernel<S: Token>(&self) -> Kernel<S> {
        let (positive, negative) = if self.apply_class_balancing {
            (self.alpha, 1.0 - self.alpha)
        } else {
            (1.0, 1.0)
        };
        let focus = Focus {
            labels: AdjustedLabels::new(self.label_smoothing),
            positive,
            negative,
            gamma: self.gamma,
        };
        if self.from_logits {
            Kernel::of(FromLogits(focus))
        } else {
            Kernel::of(FromProbabilities {
                focus,
                plain: Crossentropy {
                    labels: focus.labels,
                    epsilon: self.epsilon,
                },
            })
        }
    }
}

/// What both forms have in common.
#[derive(Clone, Copy)]
struct Focus {
    labels: AdjustedLabels,
    /// The factors of the weights of the outcomes in `w`.
    positive: f64,
    negative: f64,
    gamma: f64,
}

impl Focus {
    /// `w m^gamma e^-extra`, from the logarithm of `m`.
    #[inline(always)]
    fn factor<S: Token, V: Lanes<S>>(
        self,
        simd: S,
        outcomes: Outcomes<V>,
        log: Twofold<V>,
        extra: V,
    ) -> Twofold<V> {
        let zero = V::lit(simd, 0.0);
        let gamma = V::lit(simd, self.gamma);
        // No power of what is 0 either.
        let plain = gamma.simd_eq(zero);
        let (product, error) = two_product(gamma, log.0);
        let low = gamma.fma(log.1, error);
        let (product, low) = (plain.select(zero, product), plain.select(zero, low));
        let (exponent, low) = add((product, low), (-extra, zero));
        let low = low.is_finite().select(low, zero);
        multiply(self.weight(simd, outcomes), exp_parts(simd, exponent, low))
    }

    /// `w`.
    #[inline(always)]
    fn weight<S: Token, V: Lanes<S>>(self, simd: S, outcomes: Outcomes<V>) -> Twofold<V> {
        let zero = V::lit(simd, 0.0);
        add(
            multiply(outcomes.positive, (V::lit(simd, self.positive), zero)),
            multiply(outcomes.negative, (V::lit(simd, self.negative), zero)),
        )
    }
}

/// The terms of a logit, from the side of the outcome that it speaks for.
struct Sided<V> {
    /// `w m^gamma`, with a factor `far` where that alone may be subnormal.
    factor: Twofold<V>,
    /// `B`, without that factor.
    crossentropy: Twofold<V>,
    /// `gamma mu B`, of which an infinite `B` leaves nothing.
    growing: V,
    /// `gamma mu`.
    growth: V,
    mu: V,
    /// `B'` and `B''`.
    slope: V,
    bend: V,
    /// `f - n`.
    difference: V,
}

#[derive(Clone, Copy)]
struct FromLogits(Focus);

impl FromLogits {
    #[inline(always)]
    fn terms<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> Sided<V> {
        let (zero, one) = (V::lit(simd, 0.0), V::lit(simd, 1.0));
        let outcomes = self.0.labels.outcomes(simd, at);
        let Outcomes { positive, negative } = outcomes;
        let yes = at.y_pred.simd_gt(zero);
        let pick = |a: Twofold<V>, b: Twofold<V>| (yes.select(a.0, b.0), yes.select(a.1, b.1));
        let a = pick(positive, negative);
        let b = pick(negative, positive);
        let size = at.y_pred.abs();
        let certain = b.0.simd_eq(zero);

        let e = decay(simd, at.y_pred);
        let q = reciprocal_of_one_plus(simd, e);
        let beyond = size.simd_gt(parts_bound::<S, V>(simd));
        let near = q.0 + q.1;
        let mut far = multiply_rounded(e, q);
        if beyond.any_true() {
            far = beyond.select(exp(simd, -size), far);
        }
        let (log, low) = log1p_parts(simd, e.0, e.1);
        let softplus = fast_two_sum(log, low);
        let wrong = add(multiply(a, e), b);
        let log_wrong = log_parts(simd, wrong.0, wrong.1);
        let log_wrong = (
            certain.select(-size, log_wrong.0),
            certain.select(zero, log_wrong.1),
        );
        let log = add(log_wrong, (-softplus.0, -softplus.1));
        // An infinite logit leaves nothing to add or take off.
        let log = (
            log.0.is_nan().select(log_wrong.0, log.0),
            log.1.is_finite().select(log.1, zero),
        );

        // Where the prediction is right and far out, everything is proportional to e^-|x|, which may be
        // subnormal, or the power make it so: it goes into the exponent.
        let tail = certain & beyond;
        let factor = self.0.factor(simd, outcomes, log, tail.select(size, zero));
        let softplus = (tail.select(one, softplus.0), tail.select(zero, softplus.1));
        let far_or_one = tail.select(one, far);
        let distance = certain.select(zero, size);
        let (product, error) = two_product(b.0, distance);
        let crossentropy = add(softplus, (product, distance.fma(b.1, error)));
        let crossentropy = (
            crossentropy.0,
            crossentropy.1.is_finite().select(crossentropy.1, zero),
        );
        let (a, b) = (a.0 + a.1, b.0 + b.1);
        // From far before the bound on mu is 0, which B may not make NaN.
        let bound = V::lit(simd, 1e6);
        let distance = distance.simd_gt(bound).select(bound, distance);
        let bounded = b.fma(distance, softplus.0);
        let weight = near * far / a.fma(far, b * near);
        let mu = (b - a) * certain.select(near, weight);
        let growth = V::lit(simd, self.0.gamma) * mu;
        Sided {
            factor,
            crossentropy,
            growing: growth * bounded,
            growth,
            mu,
            slope: b.fma(near, -(a * far_or_one)),
            bend: near * far_or_one,
            difference: far - near,
        }
    }
}

/// `factor value`, rounded; infinite and missing values as they are.
#[inline(always)]
fn product<S: Token, V: Lanes<S>>(simd: S, factor: Twofold<V>, value: Twofold<V>) -> V {
    let rounded = multiply_rounded(factor, value);
    let plain = factor.0 * value.0;
    let result = rounded.is_finite().select(rounded, plain);
    // An infinite term that is given no weight.
    let nothing = factor.0.simd_eq(V::lit(simd, 0.0)) & !value.0.is_nan();
    nothing.select(V::lit(simd, 0.0), result)
}

impl Formula for FromLogits {
    const IN_DOUBLE: bool = true;

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let terms = self.terms(simd, at);
        missing(at, product(simd, terms.factor, terms.crossentropy))
    }

    #[inline(always)]
    fn gradient<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let zero = V::lit(simd, 0.0);
        let terms = self.terms(simd, at);
        let slope = terms.growing + terms.slope;
        let outwards = product(simd, terms.factor, (slope, zero));
        let yes = at.y_pred.simd_gt(zero);
        missing(at, yes.select(outwards, -outwards))
    }

    #[inline(always)]
    fn hessian<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let zero = V::lit(simd, 0.0);
        let terms = self.terms(simd, at);
        let growth = terms.growth;
        let first = terms.growing * (growth + (terms.difference - terms.mu));
        let bend = first + ((growth + growth).fma(terms.slope, terms.bend));
        missing(at, product(simd, terms.factor, (bend, zero)))
    }
}

#[derive(Clone, Copy)]
struct FromProbabilities {
    focus: Focus,
    plain: Crossentropy<AdjustedLabels, true>,
}

/// The terms of a probability.
struct Terms<V, M> {
    /// `w m^gamma`.
    factor: Twofold<V>,
    /// `B`.
    crossentropy: Twofold<V>,
    /// `m'/m`, 0 where `m` is.
    mu: V,
    /// Where `m` is 0.
    right: M,
    outcomes: Outcomes<V>,
}

impl FromProbabilities {
    #[inline(always)]
    fn terms<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> Terms<V, V::Mask> {
        let zero = V::lit(simd, 0.0);
        let outcomes = self.focus.labels.outcomes(simd, at);
        let Outcomes { positive, negative } = outcomes;
        // The nearer bound and its complement; above, they change places.
        let clipped = self.plain.clip(simd, at.y_pred);
        let base = (clipped.inside, zero);
        let rest = fast_two_sum(V::lit(simd, 1.0), -clipped.inside);
        let pick = |a: Twofold<V>, b: Twofold<V>| {
            (
                clipped.above.select(a.0, b.0),
                clipped.above.select(a.1, b.1),
            )
        };
        let (p, q) = (pick(rest, base), pick(base, rest));
        let crossentropy = add(
            weighted_information(simd, positive, p),
            weighted_information(simd, negative, q),
        );
        let crossentropy = (
            crossentropy.0,
            crossentropy.1.is_finite().select(crossentropy.1, zero),
        );
        let wrong = add(multiply(positive, q), multiply(negative, p));
        let log = log_parts(simd, wrong.0, wrong.1);
        let right = wrong.0.simd_eq(zero);
        let mu = (negative.0 - positive.0) / (wrong.0 + wrong.1);
        Terms {
            factor: self.focus.factor(simd, outcomes, log, zero),
            crossentropy,
            mu: right.select(zero, mu),
            right,
            outcomes,
        }
    }
}

/// `-share log(x)`, 0 for no share whatever the logarithm.
#[inline(always)]
fn weighted_information<S: Token, V: Lanes<S>>(
    simd: S,
    share: Twofold<V>,
    x: Twofold<V>,
) -> Twofold<V> {
    let zero = V::lit(simd, 0.0);
    let (log, low) = log_parts(simd, x.0, x.1);
    let none = share.0.simd_eq(zero);
    let bits = (none.select(zero, -log), none.select(zero, -low));
    let (product, error) = multiply(share, bits);
    (product, error.is_finite().select(error, zero))
}

impl Formula for FromProbabilities {
    const IN_DOUBLE: bool = true;

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let terms = self.terms(simd, at);
        // No value is negative: -log 1 = -0.
        missing(at, product(simd, terms.factor, terms.crossentropy).abs())
    }

    #[inline(always)]
    fn gradient<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let zero = V::lit(simd, 0.0);
        let terms = self.terms(simd, at);
        let growth = V::lit(simd, self.focus.gamma) * terms.mu;
        // Nothing times what may be infinite.
        let growing = growth
            .simd_eq(zero)
            .select(zero, growth * terms.crossentropy.0);
        let slope = growing + self.plain.gradient(simd, at);
        let slope = product(simd, terms.factor, (slope, zero));
        self.plain
            .unless_clipped(simd, at.y_pred, missing(at, slope))
    }

    #[inline(always)]
    fn hessian<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let (zero, infinity) = (V::lit(simd, 0.0), V::lit(simd, f64::INFINITY));
        let terms = self.terms(simd, at);
        let growth = V::lit(simd, self.focus.gamma) * terms.mu;
        let crossentropy = terms.crossentropy.0;
        let first = growth * crossentropy * (growth - terms.mu);
        let (slope, bend) = (self.plain.gradient(simd, at), self.plain.hessian(simd, at));
        let bend = first + (growth + growth).fma(slope, bend);
        let bend = product(simd, terms.factor, (bend, zero));
        // An impossible outcome has an infinite slope, whatever the factors of the infinite terms.
        let bend = crossentropy.simd_eq(infinity).select(infinity, bend);
        // Near a right prediction the loss is w m^(1 + gamma).
        let bend = match self.focus.gamma {
            0.0 => bend,
            gamma => {
                let limit = if gamma > 1.0 {
                    0.0
                } else if gamma < 1.0 {
                    f64::INFINITY
                } else {
                    2.0
                };
                let weight = self.focus.weight(simd, terms.outcomes).0;
                terms.right.select(weight * V::lit(simd, limit), bend)
            }
        };
        self.plain
            .unless_clipped(simd, at.y_pred, missing(at, bend))
    }
}

/// `result`, or NaN where an operand is: a term that is left out must not lose it.
#[inline(always)]
fn missing<S: Token, V: Lanes<S>>(at: Element<V>, result: V) -> V {
    let sum = at.y_true + at.y_pred;
    sum.is_nan().select(sum, result)
}
