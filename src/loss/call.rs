//! One call of a loss: the arrays, what is wanted of them, and why it may be refused.

use super::options::OptionError;
use super::reduction::Reduction;
use crate::driver::operand::{Operand, OperandMut};
use crate::driver::threads::Interrupted;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What the elements of `y_true` stand for, and so its shape and what `axis` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Labels {
    /// One number for each element of `y_pred`, and one value of the loss for each.
    Elements,
    /// A distribution over the classes along `axis`, one value for each row. Shape of `y_pred`.
    Distribution,
    /// A class id for each row along `axis`. Shape of `y_pred` without that axis.
    ClassIds,
    /// One number for each element of `y_pred`, and one value of the loss for each index of the first
    /// axis: for all elements over the other axes.
    Samples,
}

impl Labels {
    /// Whether [`super::Loss::axis`] is the axis of a row's elements.
    #[must_use]
    pub fn along_axis(self) -> bool {
        matches!(self, Self::Distribution | Self::ClassIds)
    }
}

/// The arrays of one call. Positions are linear, in C order, with the class axis last.
#[derive(Clone, Debug)]
pub struct Batch<'a> {
    /// Labels or targets: as many as elements of `y_pred`, or one for each sample ([`Labels`]).
    pub y_true: Operand<'a>,
    /// Predictions: `samples x classes`, a row of classes after the other, whatever the strides.
    pub y_pred: Operand<'a>,
    /// A further number for each element of `y_pred`, where the loss takes one.
    pub parameter: Option<Operand<'a>>,
    /// A weight for each sample.
    pub sample_weight: Option<Operand<'a>>,
    /// Length of a row: 1 where the samples are the elements ([`Labels::Elements`]).
    pub classes: usize,
    /// Whether the computation type is `f64`; else it is `f32`. Values are of the computation type.
    pub double: bool,
}

impl Batch<'_> {
    /// Number of samples: of the values of "none".
    #[must_use]
    pub fn samples(&self) -> usize {
        match self.classes {
            1 => self.y_pred.len(),
            classes => self.y_pred.len() / classes.max(1),
        }
    }
}

/// What is wanted of a call besides its totals.
#[derive(Clone, Debug)]
pub enum Request<'a> {
    /// The per-sample values, or nothing more.
    Value {
        /// One element for each sample.
        values: Option<OperandMut<'a>>,
    },
    /// The gradient of the reduced value (of the sum, for "none") as well.
    ValueAndGradient {
        /// One element for each sample.
        values: Option<OperandMut<'a>>,
        /// As many elements as `y_pred`, and perhaps the same ones.
        gradient: OperandMut<'a>,
        /// What the gradient is of.
        reduction: Reduction,
        /// Whether a call that is refused must leave `gradient` as it was.
        keep_if_refused: bool,
    },
    /// First and second derivatives of the per-sample values; the totals are left empty.
    GradientHessian {
        /// As many elements as `y_pred`.
        gradient: OperandMut<'a>,
        /// As many elements as `y_pred`: the diagonal.
        hessian: OperandMut<'a>,
    },
}

/// Which array a value was refused in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names of the arguments")]
pub enum Argument {
    YTrue,
    YPred,
    SampleWeight,
    Parameter,
}

/// What was found where something else is needed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Found {
    /// A number outside `[0, 1]`.
    OutsideUnitInterval(f64),
    /// NaN, where a decision is asked for.
    NotANumber,
    /// A number below 0.
    Negative(f64),
    /// A number up to -1, where `log(1 + x)` is needed.
    NotAboveMinusOne(f64),
    /// A number other than -1, 0 and 1, where a yes or no is needed.
    NotASign(f64),
    /// A class id outside `[0, classes)`.
    ClassId {
        /// The id.
        id: i64,
        /// The number of classes.
        classes: usize,
    },
}

/// A value that a loss does not take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Refusal {
    /// The array it is in.
    pub argument: Argument,
    /// Its linear position there, in the order of [`Batch`].
    pub position: usize,
    /// What it is.
    pub found: Found,
}

/// Why a call gave no result.
#[derive(Clone, Debug, PartialEq)]
pub enum LossError {
    /// `keep_going` said no.
    Interrupted,
    /// A value is outside of its domain.
    Refused(Refusal),
    /// An option does not fit the arrays.
    Option(OptionError),
}

impl From<Interrupted> for LossError {
    fn from(_: Interrupted) -> Self {
        Self::Interrupted
    }
}

impl From<OptionError> for LossError {
    fn from(error: OptionError) -> Self {
        Self::Option(error)
    }
}

/// The first refusal that any thread finds, in the order of samples.
///
/// Pieces of work are handed out in order, and a piece that was begun is searched up to its own first
/// refusal; so the least of what the threads find is the first there is, for any number of threads.
#[derive(Debug)]
pub struct FirstRefusal {
    sample: AtomicUsize,
    found: Mutex<Option<(usize, Refusal)>>,
}

impl Default for FirstRefusal {
    fn default() -> Self {
        Self {
            sample: AtomicUsize::new(usize::MAX),
            found: Mutex::new(None),
        }
    }
}

impl FirstRefusal {
    /// Whether nothing from `sample` on can matter any more.
    #[inline]
    #[must_use]
    pub fn precedes(&self, sample: usize) -> bool {
        self.sample.load(Ordering::Relaxed) < sample
    }

    /// Take note of a refusal, found with the sample of this index.
    #[cold]
    pub fn note(&self, sample: usize, refusal: Refusal) {
        self.sample.fetch_min(sample, Ordering::Relaxed);
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (sample, refusal.argument, refusal.position);
        if found.is_none_or(|(sample, first)| key < (sample, first.argument, first.position)) {
            *found = Some((sample, refusal));
        }
    }

    /// # Errors
    /// [`LossError::Refused`] if there is a refusal.
    pub fn into_result(self) -> Result<(), LossError> {
        match self
            .found
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
        {
            Some((_, refusal)) => Err(LossError::Refused(refusal)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_refusal_wins() {
        let refusal = |argument, position| Refusal {
            argument,
            position,
            found: Found::Negative(-1.0),
        };
        let first = FirstRefusal::default();
        first.note(7, refusal(Argument::YTrue, 7));
        first.note(3, refusal(Argument::YPred, 31));
        first.note(3, refusal(Argument::YPred, 30));
        first.note(9, refusal(Argument::YTrue, 9));
        assert!(first.precedes(4) && !first.precedes(3));
        let expected = refusal(Argument::YPred, 30);
        assert_eq!(first.into_result(), Err(LossError::Refused(expected)));
        assert_eq!(FirstRefusal::default().into_result(), Ok(()));
    }
}
