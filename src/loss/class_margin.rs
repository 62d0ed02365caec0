//! Margins between the score of the true class and those of the others.
//!
//! Piecewise linear or quadratic: at a kink the derivative is that of the side without loss; of scores
//! that tie for a maximum each has its share.

use super::rows::{At, Elements, RowFormula, RowKernel, RowLoss, RowSum, row_losses};
use super::twofold::Twofold;
use super::{Labels, OptionError, check_range, define_loss};
use crate::lanes::{Lanes, Token};
use crate::math::twofold::{fast_two_sum, two_product, two_sum};
use fearless_simd::f64x8;
use fearless_simd::prelude::*;

define_loss! {
    "categorical_hinge":
    /// `max(0, 1 + max_c (1 - y_c) x_c - sum_c y_c x_c)`.
    pub struct CategoricalHinge {
        /// The axis of the classes.
        axis: i64 = -1,
    }
}

define_loss! {
    "multi_margin":
    /// `sum_{c != y} max(0, margin + x_c - x_y)^p / C`.
    pub struct MultiMargin {
        /// 1 or 2.
        p: i64 = 1,
        /// How far the true class's score is to be above the others.
        margin: f64 = 1.0,
        /// The axis of the classes.
        axis: i64 = -1,
        /// The id of samples that do not count.
        ignore_class: Option<i64> = None,
    }
}

impl RowLoss for CategoricalHinge {
    const LABELS: Labels = Labels::Distribution;

    fn class_axis(&self) -> i64 {
        self.axis
    }

    fn labels_in_unit_interval(&self) -> bool {
        true
    }

    fn kernel<S: Token>(&self) -> RowKernel<S> {
        RowKernel::of(Hinge)
    }
}

impl RowLoss for MultiMargin {
    const LABELS: Labels = Labels::ClassIds;

    fn class_axis(&self) -> i64 {
        self.axis
    }

    fn ignored(&self) -> Option<i64> {
        self.ignore_class
    }

    fn check_options(&self) -> Result<(), OptionError> {
        if !(1..=2).contains(&self.p) {
            let message = format!("must be 1 or 2, got {}", self.p);
            return Err(OptionError::value("p", message));
        }
        check_range("margin", self.margin, f64::MIN, f64::MAX)
    }

    fn kernel<S: Token>(&self) -> RowKernel<S> {
        let margin = self.margin;
        if self.p == 1 {
            RowKernel::of(Margins::<false> { margin })
        } else {
            RowKernel::of(Margins::<true> { margin })
        }
    }
}

row_losses!(CategoricalHinge, MultiMargin);

#[derive(Clone, Copy)]
struct Hinge;

#[derive(Clone, Copy)]
struct HingeRow {
    /// The largest `(1 - y) x`.
    largest: f64,
    /// How many elements have it.
    ties: f64,
    /// Before it is cut off at 0.
    value: Twofold,
}

impl Hinge {
    /// `(1 - y) x` in two parts.
    #[inline(always)]
    fn wrong<S: Token>(simd: S, at: &At<S>) -> (f64x8<S>, f64x8<S>) {
        let zero = f64x8::splat(simd, 0.0);
        let (share, share_low) = fast_two_sum(f64x8::splat(simd, 1.0), -at.y_true);
        let (product, error) = two_product(share, at.y_pred);
        let low = Lanes::fma(share_low, at.y_pred, error);
        let (high, low) = fast_two_sum(product, low);
        // An infinite product has no low part, and a share of 0 no product.
        let finite = low.is_finite();
        let (high, low) = (finite.select(high, product), finite.select(low, zero));
        let none = share.simd_eq(zero);
        (none.select(zero, high), none.select(zero, low))
    }
}

impl RowFormula for Hinge {
    type Row = HingeRow;

    #[inline(always)]
    fn read<S: Token>(self, simd: S, elements: &mut Elements<'_, S>) -> HingeRow {
        let zero = f64x8::splat(simd, 0.0);
        let least = f64x8::splat(simd, f64::NEG_INFINITY);
        let (mut right, mut largest, mut largest_low) = (RowSum::zero(simd), least, zero);
        elements.scan(
            #[inline(always)]
            |at| {
                let x = at.y_true.simd_eq(zero).select(zero, at.y_pred);
                let (product, error) = two_product(at.y_true, x);
                let error = error.is_finite().select(error, zero);
                right.add(&at, product, error);
                let (wrong, wrong_low) = Self::wrong(simd, &at);
                let larger = at.counted(wrong, least).simd_gt(largest);
                largest = larger.select(wrong, largest);
                largest_low = larger.select(wrong_low, largest_low);
            },
        );
        let mut most = Twofold::from(f64::NEG_INFINITY);
        for (&high, &low) in largest.as_slice().iter().zip(largest_low.as_slice()) {
            if high > most.high {
                most = Twofold { high, low };
            }
        }
        let mut ties = 0;
        elements.scan(
            #[inline(always)]
            |at| {
                let (wrong, _) = Self::wrong(simd, &at);
                ties += at.count(wrong.simd_eq(f64x8::splat(simd, most.high)));
            },
        );
        let difference = most.minus(right.total());
        HingeRow {
            largest: most.high,
            ties: f64::from(ties),
            value: difference.plus(Twofold::from(1.0)),
        }
    }

    #[inline(always)]
    fn value(self, row: &HingeRow) -> Twofold {
        if row.value.high <= 0.0 {
            Twofold::default()
        } else {
            row.value
        }
    }

    #[inline(always)]
    fn gradient<S: Token>(self, simd: S, row: &HingeRow, at: At<S>) -> f64x8<S> {
        let splat = |number| f64x8::splat(simd, number);
        let zero = splat(0.0);
        if row.value.high <= 0.0 {
            return zero;
        }
        let is_largest = Self::wrong(simd, &at).0.simd_eq(splat(row.largest));
        let share = (splat(1.0) - at.y_true) / splat(row.ties);
        is_largest.select(share, zero) - at.y_true
    }

    #[inline(always)]
    fn hessian<S: Token>(self, simd: S, _: &HingeRow, _: At<S>) -> f64x8<S> {
        f64x8::splat(simd, 0.0)
    }
}

/// Margins, or their squares.
#[derive(Clone, Copy)]
struct Margins<const SQUARED: bool> {
    margin: f64,
}

#[derive(Clone, Copy)]
struct MarginsRow {
    /// The score of the true class.
    target: f64,
    /// `C`.
    classes: f64,
    /// How many margins are violated.
    violated: f64,
    /// The sum of the violations.
    first: Twofold,
    /// The sum of the violations, squared if that is the loss.
    terms: Twofold,
}

impl<const SQUARED: bool> Margins<SQUARED> {
    /// `margin + x - target` in two parts, 0 where that is not positive, and for the target.
    #[inline(always)]
    fn violation<S: Token>(self, simd: S, target: f64, at: &At<S>) -> (f64x8<S>, f64x8<S>) {
        let splat = |number| f64x8::splat(simd, number);
        let zero = splat(0.0);
        let (difference, low) = two_sum(at.y_pred, -splat(target));
        let (sum, error) = two_sum(difference, splat(self.margin));
        let (high, low) = fast_two_sum(sum, error + low);
        // An infinite difference has no low part.
        let infinite = !sum.is_finite();
        let (high, low) = (infinite.select(sum, high), infinite.select(zero, low));
        // It is NaN between two infinite scores.
        let violated = !high.simd_le(zero) & at.y_true.simd_eq(zero);
        (violated.select(high, zero), violated.select(low, zero))
    }
}

impl<const SQUARED: bool> RowFormula for Margins<SQUARED> {
    type Row = MarginsRow;

    #[inline(always)]
    fn read<S: Token>(self, simd: S, elements: &mut Elements<'_, S>) -> MarginsRow {
        let zero = f64x8::splat(simd, 0.0);
        let mut target = RowSum::zero(simd);
        elements.scan(
            #[inline(always)]
            |at| target.add(&at, at.y_true.simd_eq(zero).select(zero, at.y_pred), zero),
        );
        let target = target.total().high;
        let mut violated = 0;
        let (mut first, mut squares) = (RowSum::zero(simd), RowSum::zero(simd));
        elements.scan(
            #[inline(always)]
            |at| {
                let (high, low) = self.violation(simd, target, &at);
                violated += at.count(high.simd_gt(zero));
                first.add(&at, high, low);
                if SQUARED {
                    let (square, error) = two_product(high, high);
                    let cross = (high + high) * low;
                    let error = error.is_finite().select(error + cross, zero);
                    squares.add(&at, square, error);
                }
            },
        );
        let first = first.total();
        MarginsRow {
            target,
            classes: elements.len() as f64,
            violated: f64::from(violated),
            first,
            terms: if SQUARED { squares.total() } else { first },
        }
    }

    #[inline(always)]
    fn value(self, row: &MarginsRow) -> Twofold {
        row.terms.over(Twofold::from(row.classes))
    }

    #[inline(always)]
    fn gradient<S: Token>(self, simd: S, row: &MarginsRow, at: At<S>) -> f64x8<S> {
        let splat = |number| f64x8::splat(simd, number);
        let (zero, classes) = (splat(0.0), Twofold::from(row.classes));
        let (high, low) = self.violation(simd, row.target, &at);
        let (own, others) = if SQUARED {
            let twice = Twofold::from(2.0).times(row.first);
            let whole = high + low;
            (
                twice.over(classes).rounded(),
                (whole + whole) / splat(row.classes),
            )
        } else {
            let one = splat(1.0 / row.classes);
            (
                row.violated / row.classes,
                high.simd_gt(zero).select(one, zero),
            )
        };
        at.y_true.simd_eq(zero).select(others, splat(-own))
    }

    #[inline(always)]
    fn hessian<S: Token>(self, simd: S, row: &MarginsRow, at: At<S>) -> f64x8<S> {
        let splat = |number| f64x8::splat(simd, number);
        let zero = splat(0.0);
        if !SQUARED {
            return zero;
        }
        let (high, _) = self.violation(simd, row.target, &at);
        let others = high.simd_gt(zero).select(splat(2.0 / row.classes), zero);
        let own = splat(2.0 * row.violated / row.classes);
        at.y_true.simd_eq(zero).select(others, own)
    }
}
