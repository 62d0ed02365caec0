//! Why a loss refused a call, in words: the argument, where, what was found, what to do.

use super::arrays::{Array, joined};
use crate::loss::{Argument, Found, LossError, OptionError, Refusal};
use pyo3::exceptions::{PyKeyboardInterrupt, PyTypeError, PyValueError};
use pyo3::prelude::*;

/// The arrays that positions refer to.
pub(super) struct Context<'a, 'py> {
    pub(super) y_true: &'a Array<'py>,
    pub(super) y_pred: &'a Array<'py>,
    /// What the caller knows `y_pred` as.
    pub(super) prediction: &'static str,
    pub(super) sample_weight: Option<&'a Array<'py>>,
    /// The further operand, by its name.
    pub(super) operand: Option<(&'static str, &'a Array<'py>)>,
    /// The shape of the per-sample values.
    pub(super) samples: &'a [usize],
    /// Whether the loss has an option for logits.
    pub(super) takes_logits: bool,
    /// The class axis of `y_pred`, if it has one.
    pub(super) axis: Option<usize>,
}

/// The exception for an error.
pub(super) fn loss_error(error: LossError, context: &Context<'_, '_>) -> PyErr {
    match error {
        LossError::Interrupted => PyKeyboardInterrupt::new_err(()),
        LossError::Option(error) => option_error(&error),
        LossError::Refused(refusal) => PyValueError::new_err(refused(&refusal, context)),
    }
}

/// The exception for an option.
pub(super) fn option_error(error: &OptionError) -> PyErr {
    let message = format!("{} {}", error.name, error.message);
    if error.wrong_type {
        PyTypeError::new_err(message)
    } else {
        PyValueError::new_err(message)
    }
}

fn refused(refusal: &Refusal, context: &Context<'_, '_>) -> String {
    let (name, element) = context.element(refusal);
    match refusal.found {
        Found::OutsideUnitInterval(_) => match (refusal.argument, context.takes_logits) {
            (Argument::YPred, true) => format!(
                "{element} is not a probability in [0, 1]; if {name} holds logits, pass from_logits=True"
            ),
            (Argument::YPred, false) => format!("{element} is not in [0, 1]"),
            (_, true) => format!(
                "{element} is not a probability in [0, 1]; the order is (y_true, y_pred), and logits are \
                 for y_pred, with from_logits=True"
            ),
            (_, false) => format!("{element} is not in [0, 1]; the order is (y_true, y_pred)"),
        },
        Found::NotANumber => format!("{element}: there is no decision on NaN"),
        Found::Negative(_) => format!("{element} is negative"),
        Found::NotAboveMinusOne(_) => {
            format!("{element} is not above -1: there is no logarithm of 1 plus {name}")
        }
        Found::NotASign(_) => format!(
            "{element} is not a label of two: -1 or 1, or 0 or 1; the order is (y_true, y_pred)"
        ),
        Found::ClassId { classes, .. } => format!(
            "{element} is not a class id: {} has {classes} classes, 0 to {}; samples with ignore_class as \
             their id are left out",
            context.prediction,
            classes - 1
        ),
    }
}

impl Context<'_, '_> {
    /// The argument's name, and the refused element as in `y_pred[3, 1] = 1.25`.
    fn element(&self, refusal: &Refusal) -> (&'static str, String) {
        let position = refusal.position;
        let (name, array, index) = match refusal.argument {
            Argument::YPred => (self.prediction, self.y_pred, self.along_rows(position)),
            Argument::YTrue => {
                let index = match self.axis {
                    _ if self.y_true.shape().is_empty() => Vec::new(),
                    None => unravel(position, self.y_pred.shape()),
                    // Class ids: one for each sample, perhaps with an axis of length 1.
                    Some(axis) if matches!(refusal.found, Found::ClassId { .. }) => {
                        let mut index = unravel(position, self.samples);
                        if self.y_true.shape().len() > index.len() {
                            index.insert(axis, 0);
                        }
                        index
                    }
                    Some(_) => self.along_rows(position),
                };
                ("y_true", self.y_true, index)
            }
            Argument::SampleWeight | Argument::Parameter => {
                let weight = ("sample_weight", self.sample_weight.unwrap_or(self.y_pred));
                let (name, array) = match refusal.argument {
                    Argument::Parameter => self.operand.unwrap_or(weight),
                    _ => weight,
                };
                // Both may be repeated over trailing axes.
                let mut index = unravel(position, self.samples);
                index.truncate(array.shape().len());
                for (index, &size) in index.iter_mut().zip(array.shape()) {
                    *index = (*index).min(size.saturating_sub(1));
                }
                (name, array, index)
            }
        };
        let place = if index.is_empty() {
            String::new()
        } else {
            format!("[{}]", joined(&index))
        };
        (name, format!("{name}{place} = {}", array.item(&index)))
    }

    /// A position in the rows of `y_pred` as an index of it.
    fn along_rows(&self, position: usize) -> Vec<usize> {
        let shape = self.y_pred.shape();
        let Some(axis) = self.axis else {
            return unravel(position, shape);
        };
        let classes = shape[axis];
        let mut index = unravel(position / classes, self.samples);
        index.insert(axis, position % classes);
        index
    }
}

/// A linear position in C order as an index.
fn unravel(position: usize, shape: &[usize]) -> Vec<usize> {
    let mut rest = position;
    let mut index = vec![0; shape.len()];
    for (slot, &size) in index.iter_mut().zip(shape).rev() {
        *slot = rest % size.max(1);
        rest /= size.max(1);
    }
    index
}
