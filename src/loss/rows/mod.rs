//! Losses of a whole row: one definition of value, gradient and Hessian.
//!
//! A definition goes over the elements of the row once or more to sum up what the loss is made of, and
//! once again for each derivative; blocks are read in place or converted, so that a row of any length and
//! layout takes no memory of its own. Everything is computed in `f64` lanes, whatever the element type;
//! sums carry the errors of their additions along, in an order that the row's length alone decides.
//! So a result is good to its last digits, and the same bits on every level and any number of threads.
//!
//! The cross-entropies over classes, which must be fast, have a pass of their own (`categorical`).

mod elements;
mod pass;
mod probability;
#[cfg(test)]
mod tests;

use super::call::{Batch, Labels, LossError, Request};
use super::options::{OptionError, Options};
use super::reduction::Totals;
use super::twofold::Twofold;
use crate::driver::operand::OperandMut;
use crate::lanes::Token;
use crate::level::{Level, OnLevel};
use fearless_simd::f64x8;
use pass::Pass;

pub(crate) use elements::{At, Elements, RowSum};
pub(crate) use probability::{Logits, Predictions, Probabilities, Probability};

/// A loss with one value for each row; [`row_losses!`] makes a [`super::Loss`] of it.
pub(crate) trait RowLoss: Options {
    /// What `y_true` holds. Class ids come to the formula as one-hot labels.
    const LABELS: Labels;

    /// Whether the second derivatives are those of single elements.
    const HESSIAN: bool = true;

    /// See [`super::Loss::axis`].
    fn class_axis(&self) -> i64 {
        -1
    }

    /// The class id of rows that do not count.
    fn ignored(&self) -> Option<i64> {
        None
    }

    /// Whether labels must lie in `[0, 1]`.
    fn labels_in_unit_interval(&self) -> bool {
        false
    }

    /// Whether predictions must lie in `[0, 1]`.
    fn predictions_in_unit_interval(&self) -> bool {
        false
    }

    /// See [`super::Loss::check`].
    ///
    /// # Errors
    /// When an option is out of range.
    fn check_options(&self) -> Result<(), OptionError> {
        Ok(())
    }

    /// The option that has a number for each class; one for all is for the formula to use.
    fn per_class(&self) -> Option<(&'static str, &[f64])> {
        None
    }

    /// The formula that these options select.
    fn kernel<S: Token>(&self) -> RowKernel<S>;
}

/// A loss of a row and its derivatives, without weight.
pub(crate) trait RowFormula: Copy + Send + Sync + 'static {
    /// What the elements of a row are summed up to.
    type Row: Copy;

    /// Sum up a row.
    fn read<S: Token>(self, simd: S, elements: &mut Elements<'_, S>) -> Self::Row;

    /// The loss. Where it is NaN, so are the derivatives.
    fn value(self, row: &Self::Row) -> Twofold;

    /// Its derivative with respect to an element of `y_pred`.
    fn gradient<S: Token>(self, simd: S, row: &Self::Row, at: At<S>) -> f64x8<S>;

    /// Its second derivative.
    fn hessian<S: Token>(self, simd: S, row: &Self::Row, at: At<S>) -> f64x8<S>;
}

/// Make these types [`super::Loss`]es.
macro_rules! row_losses {
    ($($Loss:ty),+) => {$(
        impl $crate::loss::Loss for $Loss {
            fn check(&self) -> Result<(), $crate::loss::OptionError> {
                $crate::loss::rows::RowLoss::check_options(self)
            }

            fn labels(&self) -> $crate::loss::Labels {
                <Self as $crate::loss::rows::RowLoss>::LABELS
            }

            fn axis(&self) -> i64 {
                $crate::loss::rows::RowLoss::class_axis(self)
            }

            fn has_hessian(&self) -> bool {
                <Self as $crate::loss::rows::RowLoss>::HESSIAN
            }

            fn evaluate(
                &self,
                level: $crate::level::Level,
                batch: &$crate::loss::Batch<'_>,
                request: $crate::loss::Request<'_>,
                keep_going: &dyn Fn() -> bool,
            ) -> Result<$crate::loss::Totals, $crate::loss::LossError> {
                $crate::loss::rows::evaluate(self, level, batch, request, keep_going)
            }
        }
    )+};
}
pub(crate) use row_losses;

/// See [`super::Loss::evaluate`].
pub(crate) fn evaluate<L: RowLoss>(
    loss: &L,
    level: Level,
    batch: &Batch<'_>,
    request: Request<'_>,
    keep_going: &dyn Fn() -> bool,
) -> Result<Totals, LossError> {
    if let Some((name, numbers)) = loss.per_class()
        && numbers.len() > 1
        && numbers.len() != batch.classes
    {
        let message = format!(
            "has length {}, but there are {} classes",
            numbers.len(),
            batch.classes
        );
        return Err(OptionError::value(name, message).into());
    }
    level.dispatch(Evaluation {
        loss,
        batch,
        request,
        keep_going,
    })
}

struct Evaluation<'a, L> {
    loss: &'a L,
    batch: &'a Batch<'a>,
    request: Request<'a>,
    keep_going: &'a dyn Fn() -> bool,
}

impl<L: RowLoss> OnLevel for Evaluation<'_, L> {
    type Output = Result<Totals, LossError>;

    fn run<S: Token>(self, simd: S) -> Self::Output {
        let RowKernel(kernel) = self.loss.kernel::<S>();
        let each = self.loss.per_class().map(|(_, numbers)| numbers);
        let pass = Pass {
            simd,
            kernel: &*kernel,
            class_ids: L::LABELS == Labels::ClassIds,
            ignored: self.loss.ignored(),
            labels_in_unit_interval: self.loss.labels_in_unit_interval(),
            predictions_in_unit_interval: self.loss.predictions_in_unit_interval(),
            per_class: each.filter(|numbers| numbers.len() > 1),
            batch: self.batch,
        };
        if self.batch.double {
            pass.run::<f64>(self.request, self.keep_going)
        } else {
            pass.run::<f32>(self.request, self.keep_going)
        }
    }
}

/// A [`RowFormula`] compiled for the level `S`.
pub(crate) struct RowKernel<S: Token>(Box<dyn Kernel<S>>);

impl<S: Token> RowKernel<S> {
    /// The kernel of a formula.
    pub(crate) fn of<F: RowFormula>(formula: F) -> Self {
        Self(Box::new(formula))
    }
}

/// What a [`RowKernel`] holds.
trait Kernel<S: Token>: Send + Sync {
    /// The loss of a row; its derivatives are written.
    fn evaluate(&self, elements: Elements<'_, S>, derivatives: Option<Derivatives<'_>>) -> Twofold;
}

/// Where the derivatives of a row go.
#[derive(Clone, Copy)]
struct Derivatives<'a> {
    gradient: &'a OperandMut<'a>,
    hessian: Option<&'a OperandMut<'a>>,
    /// What they are multiplied with.
    factor: f64,
}

impl<S: Token, F: RowFormula> Kernel<S> for F {
    fn evaluate(&self, elements: Elements<'_, S>, derivatives: Option<Derivatives<'_>>) -> Twofold {
        let simd = elements.simd();
        simd.vectorize(
            #[inline(always)]
            || {
                let mut elements = elements;
                let formula = *self;
                let row = formula.read(simd, &mut elements);
                let value = if elements.found_nan() {
                    Twofold::from(f64::NAN)
                } else {
                    formula.value(&row)
                };
                let Some(Derivatives {
                    gradient,
                    hessian,
                    factor,
                }) = derivatives
                else {
                    return value;
                };
                if value.high.is_nan() {
                    for out in [Some(gradient), hessian].into_iter().flatten() {
                        elements.fill(out, f64::NAN);
                    }
                    return value;
                }
                elements.map(
                    gradient,
                    factor,
                    #[inline(always)]
                    |at| {
                        simd.outline(
                            #[inline(always)]
                            || formula.gradient(simd, &row, at),
                        )
                    },
                );
                if let Some(hessian) = hessian {
                    elements.map(
                        hessian,
                        factor,
                        #[inline(always)]
                        |at| {
                            simd.outline(
                                #[inline(always)]
                                || formula.hessian(simd, &row, at),
                            )
                        },
                    );
                }
                value
            },
        )
    }
}
