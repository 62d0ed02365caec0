//! Focal cross-entropy over classes, `sum_c alpha_c y'_c (1 - p_c)^gamma (-log p_c)`.
//!
//! With `w = (1 - p)^gamma` and `l = -log p / (1 - p)`, which is 1 at `p = 1`, the derivative of
//! `F = -w log p` is `-w (1 / p + gamma l)`: two terms of one sign. Of logits, with `u = p F'`,
//!
//! `dL/dz_j = u_j (1 - p_j) - p_j sum_{c != j} u_c`,
//!
//! where the sum over the others is that over all without `u_j`, both in two parts, so that it is exactly
//! 0 of one-hot labels. `alpha_c y'_c` counts with each class's `F`.

use super::rows::{
    At, Elements, Logits, Predictions, Probabilities, Probability, RowFormula, RowKernel, RowLoss,
    RowSum, row_losses,
};
use super::twofold::Twofold;
use super::{ForEachClass, Labels, OptionError, check_range, define_loss};
use crate::lanes::{Lanes, Token};
use crate::math::exp::exp_low;
use crate::math::log::log_parts;
use crate::math::twofold::{two_product, two_sum};
use fearless_simd::f64x8;
use fearless_simd::prelude::*;

define_loss! {
    "categorical_focal_crossentropy":
    /// Cross-entropy that counts a class the less, the better it is predicted.
    pub struct CategoricalFocalCrossentropy {
        /// Weight of the classes.
        alpha: ForEachClass = ForEachClass::from(0.25),
        /// How much less.
        gamma: f64 = 2.0,
        /// Whether `y_pred` holds logits.
        from_logits: bool = false,
        /// The axis of the classes.
        axis: i64 = -1,
        /// How far labels are drawn to the uniform distribution.
        label_smoothing: f64 = 0.0,
        /// Probabilities are clipped to `[epsilon, 1 - epsilon]`.
        epsilon: f64 = 0.0,
    }
}

impl RowLoss for CategoricalFocalCrossentropy {
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
        check_range("gamma", self.gamma, 0.0, f64::MAX)?;
        check_range("label_smoothing", self.label_smoothing, 0.0, 1.0)?;
        check_range("epsilon", self.epsilon, 0.0, 0.5)?;
        for &alpha in self.alpha.numbers() {
            check_range("alpha", alpha, 0.0, f64::INFINITY)?;
        }
        Ok(())
    }

    fn per_class(&self) -> Option<(&'static str, &[f64])> {
        Some(("alpha", self.alpha.numbers()))
    }

    fn kernel<S: Token>(&self) -> RowKernel<S> {
        let alpha = match self.alpha.numbers() {
            [alpha] => *alpha,
            _ => 1.0,
        };
        let (gamma, smoothing) = (self.gamma, self.label_smoothing);
        if self.from_logits {
            RowKernel::of(Focal {
                predictions: Logits,
                alpha,
                gamma,
                smoothing,
            })
        } else {
            RowKernel::of(Focal {
                predictions: Probabilities {
                    epsilon: self.epsilon,
                },
                alpha,
                gamma,
                smoothing,
            })
        }
    }
}

row_losses!(CategoricalFocalCrossentropy);

#[derive(Clone, Copy)]
struct Focal<P> {
    predictions: P,
    /// If it is the same for all classes; else 1.
    alpha: f64,
    gamma: f64,
    smoothing: f64,
}

#[derive(Clone, Copy)]
struct FocalRow<R> {
    predictions: R,
    exists: bool,
    /// `s / C`.
    uniform: f64,
    value: Twofold,
    /// The sum of `u`.
    first: Twofold,
    /// The sum of `v = p du/dp`.
    second: Twofold,
}

/// The parts that the loss of a class and its derivatives are made of.
#[derive(Clone, Copy)]
struct Terms<S: Token> {
    probability: Probability<S>,
    /// `alpha y'`.
    label: f64x8<S>,
    /// `(1 - p)^gamma`.
    power: f64x8<S>,
    /// `-log p / (1 - p)`.
    ratio: f64x8<S>,
}

impl<P: Predictions> Focal<P> {
    #[inline(always)]
    fn terms<S: Token>(
        self,
        simd: S,
        (predictions, uniform): (&P::Row, f64),
        at: &At<S>,
    ) -> Terms<S> {
        let splat = |number| f64x8::splat(simd, number);
        let (zero, one) = (splat(0.0), splat(1.0));
        let probability = self.predictions.of(simd, predictions, at.y_pred);
        let keep = splat(1.0 - self.smoothing);
        let label = Lanes::fma(at.y_true, keep, splat(uniform));
        let (rest, rest_low) = probability.rest;
        let none = rest.simd_eq(zero);
        let (log, log_low) = log_parts(simd, rest, rest_low);
        let gamma = splat(self.gamma);
        let (exponent, error) = two_product(gamma, log);
        let low = Lanes::fma(gamma, log_low, error);
        let low = low.is_finite().select(low, zero);
        let power = exp_low(simd, exponent, low);
        let at_one = splat(if self.gamma == 0.0 { 1.0 } else { 0.0 });
        let surprise = probability.surprise.0 + probability.surprise.1;
        Terms {
            probability,
            label: label * (at.of_class * splat(self.alpha)),
            power: none.select(at_one, power),
            ratio: none.select(one, surprise / rest),
        }
    }

    /// `u = -alpha y' w (1 + gamma p l)`.
    #[inline(always)]
    fn slope<S: Token>(self, simd: S, terms: &Terms<S>) -> f64x8<S> {
        let splat = |number| f64x8::splat(simd, number);
        let p = terms.probability.p.0;
        let ratio = p.simd_eq(splat(0.0)).select(splat(0.0), p * terms.ratio);
        let factor = Lanes::fma(splat(self.gamma), ratio, splat(1.0));
        let slope = -(terms.label * (terms.power * factor));
        terms.label.simd_eq(splat(0.0)).select(splat(0.0), slope)
    }

    /// `v = alpha y' p gamma w / (1 - p) (2 + l ((gamma - 1) p - (1 - p)))`; 0 at `p = 1`, where it counts
    /// with `1 - p`.
    #[inline(always)]
    fn bend<S: Token>(self, simd: S, terms: &Terms<S>) -> f64x8<S> {
        let splat = |number| f64x8::splat(simd, number);
        let (p, rest) = (terms.probability.p.0, terms.probability.rest.0);
        let difference = Lanes::fma(splat(self.gamma - 1.0), p, -rest);
        let factor = Lanes::fma(terms.ratio, difference, splat(2.0));
        let power = terms.power / rest;
        let bend = (terms.label * (splat(self.gamma) * power)) * (p * factor);
        let none =
            terms.label.simd_eq(splat(0.0)) | rest.simd_eq(splat(0.0)) | p.simd_eq(splat(0.0));
        none.select(splat(0.0), bend)
    }
}

impl<P: Predictions> RowFormula for Focal<P> {
    type Row = FocalRow<P::Row>;

    #[inline(always)]
    fn read<S: Token>(self, simd: S, elements: &mut Elements<'_, S>) -> Self::Row {
        let predictions = self.predictions.read(simd, elements);
        let uniform = self.smoothing / elements.len() as f64;
        let zero = f64x8::splat(simd, 0.0);
        let mut value = RowSum::zero(simd);
        let (mut first, mut second) = (value, value);
        elements.scan(
            #[inline(always)]
            |at| {
                let terms = self.terms(simd, (&predictions, uniform), &at);
                let (surprise, surprise_low) = terms.probability.surprise;
                let surprise = surprise + surprise_low;
                let term = terms.label * (terms.power * surprise);
                let without = terms.label.simd_eq(zero);
                value.add(&at, without.select(zero, term), zero);
                if P::LOGITS {
                    first.add(&at, self.slope(simd, &terms), zero);
                    second.add(&at, self.bend(simd, &terms), zero);
                }
            },
        );
        FocalRow {
            exists: P::exist(&predictions),
            predictions,
            uniform,
            value: value.total(),
            first: first.total(),
            second: second.total(),
        }
    }

    #[inline(always)]
    fn value(self, row: &Self::Row) -> Twofold {
        if row.exists {
            row.value
        } else {
            Twofold::from(f64::NAN)
        }
    }

    #[inline(always)]
    fn gradient<S: Token>(self, simd: S, row: &Self::Row, at: At<S>) -> f64x8<S> {
        let splat = |number| f64x8::splat(simd, number);
        let terms = self.terms(simd, (&row.predictions, row.uniform), &at);
        let (p, rest) = (terms.probability.p.0, terms.probability.rest.0);
        if P::LOGITS {
            let own = self.slope(simd, &terms);
            return Lanes::fma(own, rest, -(p * without(simd, row.first, own)));
        }
        let sum = Lanes::fma(splat(self.gamma), terms.ratio, splat(1.0) / p);
        let none = terms.label.simd_eq(splat(0.0)) | terms.probability.clipped;
        none.select(splat(0.0), -(terms.label * (terms.power * sum)))
    }

    #[inline(always)]
    fn hessian<S: Token>(self, simd: S, row: &Self::Row, at: At<S>) -> f64x8<S> {
        let splat = |number| f64x8::splat(simd, number);
        let terms = self.terms(simd, (&row.predictions, row.uniform), &at);
        let (p, rest) = (terms.probability.p.0, terms.probability.rest.0);
        if P::LOGITS {
            // v_j q^2 - p q u_j + p^2 V' - p q U', with the sums over the others and q = 1 - p.
            let (slope, bend) = (self.slope(simd, &terms), self.bend(simd, &terms));
            let slopes = slope + without(simd, row.first, slope);
            let bends = without(simd, row.second, bend);
            let own = Lanes::fma(bend * rest, rest, (p * p) * bends);
            return own - (p * rest) * slopes;
        }
        let (gamma, inverse) = (splat(self.gamma), splat(1.0) / p);
        let factor = Lanes::fma(splat(self.gamma - 1.0), terms.ratio, inverse + inverse);
        let zero = splat(0.0);
        let ends = rest.simd_eq(zero);
        // gamma (1 - p)^(gamma - 1) at p = 1.
        let at_one = splat(match self.gamma {
            gamma if gamma > 1.0 || gamma == 0.0 => 0.0,
            1.0 => 1.0,
            _ => f64::INFINITY,
        });
        let power = ends.select(at_one, gamma * (terms.power / rest));
        let bend = Lanes::fma(power, factor, (terms.power * inverse) * inverse);
        let none = terms.label.simd_eq(zero) | terms.probability.clipped;
        none.select(zero, terms.label * bend)
    }
}

/// The sum without one of its terms.
#[inline(always)]
fn without<S: Token>(simd: S, sum: Twofold, term: f64x8<S>) -> f64x8<S> {
    let (rest, error) = two_sum(f64x8::splat(simd, sum.high), -term);
    rest + (error + f64x8::splat(simd, sum.low))
}
