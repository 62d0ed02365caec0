//! THE list of losses. A family a file; value, gradient and Hessian side by side.
//!
//! To add an elementwise loss: declare it with its options and implement [`ElementwiseLoss`] in its
//! family's file, and put the type in [`losses!`] below. Every dtype, layout, SIMD level and thread
//! count, the exact reductions, weights, gradients into `out`, checks, and the metric follow from that.
//! So it is for a loss with one value for each row: see `rows`.
//!
//! A loss is the struct of its options ([`Options`]). A call of it is a [`Batch`] of operands and a
//! [`Request`]; it gives exact [`Totals`], which a [`Reduction`] turns into the value, and which merge
//! with those of other batches. So there is one path for a value, a gradient and a metric.

mod absolute;
mod binary;
mod binary_focal;
mod call;
mod categorical;
mod categorical_focal;
mod class_margin;
pub mod decision;
mod divergence;
mod elementwise;
mod gaussian;
mod margin;
mod options;
mod overlap;
mod poisson;
pub mod rank;
mod reduction;
mod regression;
mod robust;
mod rows;
mod similarity;
pub mod state;
#[cfg(test)]
mod tests;
mod twofold;

pub use absolute::{MeanAbsoluteError, MeanAbsolutePercentageError, Quantile};
pub use binary::BinaryCrossentropy;
pub use binary_focal::BinaryFocalCrossentropy;
pub use call::{Argument, Batch, FirstRefusal, Found, Labels, LossError, Refusal, Request};
pub use categorical::{CategoricalCrossentropy, SparseCategoricalCrossentropy};
pub use categorical_focal::CategoricalFocalCrossentropy;
pub use class_margin::{CategoricalHinge, MultiMargin};
pub use divergence::KlDivergence;
pub use elementwise::{Domain, Domains, Element, ElementwiseLoss, Formula, Kernel};
pub use gaussian::GaussianNLL;
pub use margin::{Hinge, SoftMargin, SquaredHinge};
pub use options::{
    ForEachClass, OptionError, OptionType, OptionValue, Options, check_positive, check_range,
};
pub use overlap::{Dice, Tversky};
pub use poisson::Poisson;
pub use reduction::{Reduction, Scale, Totals};
pub use regression::{MeanSquaredError, MeanSquaredLogarithmicError};
pub use robust::{Huber, LogCosh, SmoothL1};
pub use similarity::CosineSimilarity;

pub(crate) use options::define_loss;

use crate::level::Level;

/// Call the macro `$with` with the list of all losses.
macro_rules! losses {
    ($with:ident) => {
        $with! {
            CategoricalCrossentropy,
            SparseCategoricalCrossentropy,
            MeanSquaredError,
            MeanSquaredLogarithmicError,
            MeanAbsoluteError,
            MeanAbsolutePercentageError,
            Quantile,
            Huber,
            SmoothL1,
            LogCosh,
            GaussianNLL,
            Poisson,
            BinaryCrossentropy,
            KlDivergence,
            CategoricalFocalCrossentropy,
            CategoricalHinge,
            MultiMargin,
            CosineSimilarity,
            Dice,
            Tversky,
            BinaryFocalCrossentropy,
            Hinge,
            SquaredHinge,
            SoftMargin,
        }
    };
}

/// A loss with its options: what the Python layer and the metrics call.
pub trait Loss: Described + Send + Sync {
    /// Check the values of the options.
    ///
    /// # Errors
    /// When one is out of range.
    fn check(&self) -> Result<(), OptionError> {
        Ok(())
    }

    /// What `y_true` holds.
    fn labels(&self) -> Labels;

    /// The class axis of `y_pred` as the caller numbers it. Without meaning for [`Labels::Elements`].
    fn axis(&self) -> i64 {
        -1
    }

    /// Whether a floating `y_true` takes part in the choice of the computation type: regression.
    fn promotes(&self) -> bool {
        false
    }

    /// The option that is a number for each label, that is for each index of the last axis (or one
    /// number for all), and becomes [`Batch::parameter`].
    fn per_label(&self) -> Option<(&'static str, &[f64])> {
        None
    }

    /// Whether [`Request::GradientHessian`] may be asked for: the second derivatives are those of single
    /// elements.
    fn has_hessian(&self) -> bool {
        true
    }

    /// The name of the further argument that has a number for each element of `y_pred`, if the loss takes
    /// one; it becomes [`Batch::parameter`].
    fn operand(&self) -> Option<&'static str> {
        None
    }

    /// Evaluate a batch: the totals, and into the request's arrays what it asks for.
    ///
    /// `keep_going` is asked now and then, on the calling thread only.
    ///
    /// # Errors
    /// See [`LossError`].
    fn evaluate(
        &self,
        level: Level,
        batch: &Batch<'_>,
        request: Request<'_>,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<Totals, LossError>;
}

/// Name and options of a loss, whichever it is.
pub trait Described {
    /// The name of the Python function.
    fn name(&self) -> &'static str;

    /// The names of the options.
    fn option_names(&self) -> &'static [&'static str];

    /// The values of the options.
    fn options(&self) -> Vec<OptionValue>;
}

impl<L: Options> Described for L {
    fn name(&self) -> &'static str {
        L::NAME
    }
    fn option_names(&self) -> &'static [&'static str] {
        L::OPTIONS
    }
    fn options(&self) -> Vec<OptionValue> {
        self.to_values()
    }
}

/// Makes a loss from the values of its options.
pub type Constructor = fn(&[OptionValue]) -> Result<Box<dyn Loss>, OptionError>;

/// An entry of the list of losses.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    /// The name of the Python function.
    pub name: &'static str,
    /// The names of the options, in the order in which `new` takes their values.
    pub options: &'static [&'static str],
    /// The default values of the options.
    pub defaults: fn() -> Vec<OptionValue>,
    /// The loss with these options, checked.
    pub new: Constructor,
}

impl Definition {
    const fn of<L: Loss + Options>() -> Self {
        Self {
            name: L::NAME,
            options: L::OPTIONS,
            defaults: || L::default().to_values(),
            new: |values| {
                let loss = L::from_values(values)?;
                loss.check()?;
                Ok(Box::new(loss))
            },
        }
    }

    /// The loss called `name`.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        LOSSES.iter().find(|definition| definition.name == name)
    }
}

macro_rules! definitions {
    ($($Loss:ident,)*) => { &[$( Definition::of::<$Loss>() ),*] };
}

/// All losses.
pub static LOSSES: &[Definition] = losses!(definitions);
