//! The Kullback-Leibler divergence of two distributions, `sum_c y_c log(y_c / p_c)`.
//!
//! Where the distributions agree, its terms are `y - p` and a little more, of either sign, and cancel to
//! second order. With `s = (y - p) / (y + p)`
//!
//! `y log(y / p) = (y - p) + (y - p)^2 / (y + p) (1 + s (1 + s) P(s^2) / 2)`, `2 atanh(s) = 2 s + s^3 P(s^2)`,
//!
//! whose second part is not negative and good to its last digits however small it is; the first parts are
//! exact and summed apart. Of a softmax they need not be formed, since its probabilities sum to 1.

use super::rows::{
    At, Elements, Logits, Predictions, Probabilities, Probability, RowFormula, RowKernel, RowLoss,
    RowSum, row_losses,
};
use super::twofold::Twofold;
use super::{Labels, OptionError, check_range, define_loss};
use crate::lanes::{Lanes, Token};
use crate::math::exp::ln_2;
use crate::math::log::{atanh_tail, log_parts};
use crate::math::twofold::{two_product, two_sum};
use fearless_simd::f64x8;
use fearless_simd::prelude::*;

define_loss! {
    "kl_divergence":
    /// The Kullback-Leibler divergence of the predicted distribution from the true one.
    pub struct KlDivergence {
        /// Whether `y_pred` holds logits.
        from_logits: bool = false,
        /// The axis of the classes.
        axis: i64 = -1,
        /// Probabilities are clipped to `[epsilon, 1 - epsilon]`.
        epsilon: f64 = 0.0,
    }
}

impl RowLoss for KlDivergence {
    const LABELS: Labels = Labels::Distribution;

    fn class_axis(&self) -> i64 {
        self.axis
    }

    fn labels_in_unit_interval(&self) -> bool {
        true
    }

    fn predictions_in_unit_interval(&self) -> bool {
        !self.from_logits
    }

    fn check_options(&self) -> Result<(), OptionError> {
        check_range("epsilon", self.epsilon, 0.0, 0.5)
    }

    fn kernel<S: Token>(&self) -> RowKernel<S> {
        if self.from_logits {
            RowKernel::of(Divergence(Logits))
        } else {
            RowKernel::of(Divergence(Probabilities {
                epsilon: self.epsilon,
            }))
        }
    }
}

row_losses!(KlDivergence);

#[derive(Clone, Copy)]
struct Divergence<P>(P);

#[derive(Clone, Copy)]
struct DivergenceRow<R> {
    predictions: R,
    labels: Twofold,
    value: Twofold,
}

impl<P: Predictions> RowFormula for Divergence<P> {
    type Row = DivergenceRow<P::Row>;

    #[inline(always)]
    fn read<S: Token>(self, simd: S, elements: &mut Elements<'_, S>) -> Self::Row {
        let predictions = self.0.read(simd, elements);
        let zero = f64x8::splat(simd, 0.0);
        let (mut labels, mut terms) = (RowSum::zero(simd), RowSum::zero(simd));
        elements.scan(
            #[inline(always)]
            |at| {
                let y = at.y_true;
                let probability = self.0.of(simd, &predictions, at.y_pred);
                let (p, p_low) = probability.p;
                labels.add(&at, y, zero);

                let (deviation, error) = two_sum(y, -p);
                let deviation_low = error - p_low;
                let whole = deviation + deviation_low;
                let s = whole / (y + p);
                let is_near = s.abs().simd_le(f64x8::splat(simd, 0.2));
                let near = (whole * s) * excess(simd, s);
                let (log, log_low) = log_ratio::<S, P>(simd, y, &probability);
                let (far, far_error) = two_product(y, log);
                let far_low = Lanes::fma(y, log_low, far_error);
                // A term without a label is 0; an infinite one has no low part.
                let infinite = far.abs().simd_eq(f64x8::splat(simd, f64::INFINITY));
                let without = y.simd_eq(zero);
                let far = without.select(zero, far);
                let far_low = (without | infinite).select(zero, far_low);
                terms.add(
                    &at,
                    is_near.select(near, far),
                    is_near.select(zero, far_low),
                );
                let counts = if P::LOGITS { !is_near } else { is_near };
                let sign = f64x8::splat(simd, if P::LOGITS { -1.0 } else { 1.0 });
                terms.add(
                    &at,
                    counts.select(sign * deviation, zero),
                    counts.select(sign * deviation_low, zero),
                );
            },
        );
        let labels = labels.total();
        let mut value = terms.total();
        if P::LOGITS {
            value = value.plus(labels.plus(Twofold::from(-1.0)));
        }
        if !P::exist(&predictions) {
            value = Twofold::from(f64::NAN);
        }
        DivergenceRow {
            predictions,
            labels,
            value,
        }
    }

    #[inline(always)]
    fn value(self, row: &Self::Row) -> Twofold {
        row.value
    }

    #[inline(always)]
    fn gradient<S: Token>(self, simd: S, row: &Self::Row, at: At<S>) -> f64x8<S> {
        let y = at.y_true;
        let probability = self.0.of(simd, &row.predictions, at.y_pred);
        let (p, p_low) = probability.p;
        let zero = f64x8::splat(simd, 0.0);
        if P::LOGITS {
            let labels = f64x8::splat(simd, row.labels.high);
            let (product, error) = two_product(labels, p);
            let (slope, slope_low) = two_sum(product, -y);
            let low = Lanes::fma(labels, p_low, error + slope_low);
            return slope + Lanes::fma(f64x8::splat(simd, row.labels.low), p, low);
        }
        let none = y.simd_eq(zero) | probability.clipped;
        none.select(zero, -(y / p))
    }

    #[inline(always)]
    fn hessian<S: Token>(self, simd: S, row: &Self::Row, at: At<S>) -> f64x8<S> {
        let y = at.y_true;
        let probability = self.0.of(simd, &row.predictions, at.y_pred);
        let (p, rest) = (probability.p.0, probability.rest.0);
        if P::LOGITS {
            return f64x8::splat(simd, row.labels.high) * (p * rest);
        }
        let zero = f64x8::splat(simd, 0.0);
        let none = y.simd_eq(zero) | probability.clipped;
        none.select(zero, (y / p) / p)
    }
}

/// `1 + s (1 + s) P(s^2) / 2`.
#[inline(always)]
fn excess<S: Token>(simd: S, s: f64x8<S>) -> f64x8<S> {
    let one = f64x8::splat(simd, 1.0);
    let half = s * f64x8::splat(simd, 0.5);
    let tail = atanh_tail(simd, s * s);
    Lanes::fma(Lanes::fma(half, s, half), tail, one)
}

/// `log(y / p)` in two parts, for `y` that is not near `p`.
#[inline(always)]
fn log_ratio<S: Token, P: Predictions>(
    simd: S,
    y: f64x8<S>,
    of: &Probability<S>,
) -> (f64x8<S>, f64x8<S>) {
    let zero = f64x8::splat(simd, 0.0);
    if P::LOGITS {
        let (log, log_low) = log_parts(simd, y, zero);
        let (sum, error) = two_sum(log, of.surprise.0);
        return (sum, error + (log_low + of.surprise.1));
    }
    // The logarithm of the quotient: those of two small numbers would have lost what they differ by. A
    // denominator whose quotient may overflow is made 2^512 times as large.
    let tiny = of.p.0.simd_lt(f64x8::splat(simd, 1e-150));
    let scaled = of.p.0 * f64x8::splat(simd, 2_f64.powi(512));
    let p = tiny.select(scaled, of.p.0);
    let quotient = y / p;
    let remainder = Lanes::fma(-quotient, p, y) / p;
    let remainder = remainder.is_finite().select(remainder, zero);
    let (log, log_low) = log_parts(simd, quotient, remainder);
    let power = f64x8::splat(simd, 512.0);
    let (ln2, ln2_low) = ln_2::<S, f64x8<S>>(simd);
    let (sum, error) = two_sum(log, tiny.select(power * ln2, zero));
    let low = error + (log_low + tiny.select(power * ln2_low, zero));
    (sum, sum.is_finite().select(low, zero))
}
