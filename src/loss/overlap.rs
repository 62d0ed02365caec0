//! How far two sets overlap that are given by how much each element belongs to them.
//!
//! With `I = sum y p`, `A = sum y (1 - p)` and `B = sum (1 - y) p`, Tversky's index is
//! `(I + s) / (I + a A + b B + s)` and the loss, 1 minus that, `(a A + b B) / (I + a A + b B + s)`: no
//! difference is left in it. Dice's is that with `a = b = 1/2` and half of `s`.

use super::rows::{At, Elements, RowFormula, RowKernel, RowLoss, RowSum, row_losses};
use super::twofold::Twofold;
use super::{Labels, OptionError, check_range, define_loss};
use crate::lanes::{Lanes, Token};
use crate::math::twofold::{fast_two_sum, two_product};
use fearless_simd::f64x8;
use fearless_simd::prelude::*;

define_loss! {
    "dice":
    /// `1 - (2 sum y p + s) / (sum y + sum p + s)`.
    pub struct Dice {
        /// `s`.
        smooth: f64 = 0.0,
    }
}

define_loss! {
    "tversky":
    /// `1 - (sum y p + s) / (sum y p + a sum y (1 - p) + b sum (1 - y) p + s)`.
    pub struct Tversky {
        /// `a`.
        alpha: f64 = 0.5,
        /// `b`.
        beta: f64 = 0.5,
        /// `s`.
        smooth: f64 = 0.0,
    }
}

impl RowLoss for Dice {
    const LABELS: Labels = Labels::Samples;
    const HESSIAN: bool = false;

    fn labels_in_unit_interval(&self) -> bool {
        true
    }

    fn predictions_in_unit_interval(&self) -> bool {
        true
    }

    fn check_options(&self) -> Result<(), OptionError> {
        check_range("smooth", self.smooth, 0.0, f64::MAX)
    }

    fn kernel<S: Token>(&self) -> RowKernel<S> {
        RowKernel::of(Overlap {
            alpha: 0.5,
            beta: 0.5,
            smooth: 0.5 * self.smooth,
        })
    }
}

impl RowLoss for Tversky {
    const LABELS: Labels = Labels::Samples;
    const HESSIAN: bool = false;

    fn labels_in_unit_interval(&self) -> bool {
        true
    }

    fn predictions_in_unit_interval(&self) -> bool {
        true
    }

    fn check_options(&self) -> Result<(), OptionError> {
        check_range("alpha", self.alpha, 0.0, f64::MAX)?;
        check_range("beta", self.beta, 0.0, f64::MAX)?;
        check_range("smooth", self.smooth, 0.0, f64::MAX)
    }

    fn kernel<S: Token>(&self) -> RowKernel<S> {
        RowKernel::of(Overlap {
            alpha: self.alpha,
            beta: self.beta,
            smooth: self.smooth,
        })
    }
}

row_losses!(Dice, Tversky);

#[derive(Clone, Copy)]
struct Overlap {
    alpha: f64,
    beta: f64,
    smooth: f64,
}

#[derive(Clone, Copy, Default)]
struct OverlapRow {
    value: Twofold,
    /// The derivative where `y` is 1.
    inside: f64,
    /// The derivative where `y` is 0.
    outside: f64,
}

impl RowFormula for Overlap {
    type Row = OverlapRow;

    #[inline(always)]
    fn read<S: Token>(self, simd: S, elements: &mut Elements<'_, S>) -> OverlapRow {
        let one = f64x8::splat(simd, 1.0);
        let mut common = RowSum::zero(simd);
        let (mut missed, mut added) = (common, common);
        elements.scan(
            #[inline(always)]
            |at| {
                let (y, p) = (at.y_true, at.y_pred);
                common.add_product(&at, y, p);
                for (sum, a, b) in [(&mut missed, y, p), (&mut added, p, y)] {
                    // a (1 - b)
                    let (rest, rest_low) = fast_two_sum(one, -b);
                    let (product, error) = two_product(a, rest);
                    sum.add(&at, product, Lanes::fma(a, rest_low, error));
                }
            },
        );
        let (alpha, beta) = (Twofold::from(self.alpha), Twofold::from(self.beta));
        let wrong = alpha.times(missed.total()).plus(beta.times(added.total()));
        let right = common.total().plus(Twofold::from(self.smooth));
        let whole = right.plus(wrong);
        if whole.high == 0.0 {
            // Two empty sets are alike; a step from there has no limit.
            return OverlapRow::default();
        }
        let slope = |numerator: Twofold| numerator.over(whole).over(whole).rounded();
        OverlapRow {
            value: wrong.over(whole),
            inside: -slope(alpha.times(right).plus(wrong)),
            outside: slope(beta.times(right)),
        }
    }

    #[inline(always)]
    fn value(self, row: &OverlapRow) -> Twofold {
        row.value
    }

    #[inline(always)]
    fn gradient<S: Token>(self, simd: S, row: &OverlapRow, at: At<S>) -> f64x8<S> {
        let rest = f64x8::splat(simd, 1.0) - at.y_true;
        let outside = rest * f64x8::splat(simd, row.outside);
        Lanes::fma(at.y_true, f64x8::splat(simd, row.inside), outside)
    }

    #[inline(always)]
    fn hessian<S: Token>(self, _: S, _: &OverlapRow, _: At<S>) -> f64x8<S> {
        unreachable!("the second derivatives are not those of single elements")
    }
}
