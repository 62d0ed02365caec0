//! Cross-entropy over classes: `-sum_c y'_c log p_c` with `y' = (1 - s) y + s / C`.
//!
//! From logits `z`, already divided by the temperature, with maximum `m` it is `sum_c y'_c (m - z_c) + (sum_c y'_c) L`, `L` being the
//! logarithm of the sum of `e^(z - m)`: terms that are not negative, so that a small loss keeps its
//! digits, and neither a one-hot array nor probabilities are ever made. The smoothing is applied to
//! three sums over the row, of `y`, of `y z` and of `z`; of one-hot labels the first is 1 and the second
//! is the target's logit, so that sparse and one-hot labels give the same bits.
//!
//! `pass.rs` goes over the samples, whose labels and weights `samples.rs` reads; `logits.rs` and
//! `probabilities.rs` evaluate a row, `labels.rs` sums it with dense labels.

mod dense_rows;
mod dense_side_by_side;
mod labels;
mod logits;
mod pass;
mod pending;
mod probabilities;
mod samples;
mod side_by_side;
#[cfg(test)]
mod tests;

use super::options::{OptionError, OptionValue, check_range, define_loss};
use super::twofold::Twofold;
use super::{Batch, Labels, Loss, LossError, Request, Totals};
use crate::level::Level;
use crate::reduction::row_statistics::InverseTemperature;
use pass::evaluate;

define_loss! {
    "categorical_crossentropy":
    /// Cross-entropy with a distribution over the classes for each sample.
    pub struct CategoricalCrossentropy {
        /// Whether `y_pred` holds logits.
        from_logits: bool = false,
        /// The axis of the classes.
        axis: i64 = -1,
        /// A weight for each class.
        class_weight: Option<Vec<f64>> = None,
        /// `s`.
        label_smoothing: f64 = 0.0,
        /// Factor of the square of logsumexp.
        z_loss: f64 = 0.0,
        /// Probabilities are clipped to `[epsilon, 1 - epsilon]`.
        epsilon: f64 = 0.0,
        /// What logits are divided by.
        temperature: f64 = 1.0,
    }
}

define_loss! {
    "sparse_categorical_crossentropy":
    /// Cross-entropy with a class id for each sample.
    pub struct SparseCategoricalCrossentropy {
        /// Whether `y_pred` holds logits.
        from_logits: bool = false,
        /// The axis of the classes.
        axis: i64 = -1,
        /// A weight for each class.
        class_weight: Option<Vec<f64>> = None,
        /// The id of samples that do not count.
        ignore_class: Option<i64> = None,
        /// `s`.
        label_smoothing: f64 = 0.0,
        /// Factor of the square of logsumexp.
        z_loss: f64 = 0.0,
        /// Probabilities are clipped to `[epsilon, 1 - epsilon]`.
        epsilon: f64 = 0.0,
        /// What logits are divided by.
        temperature: f64 = 1.0,
    }
}

/// The options of either loss.
#[derive(Clone, Copy, Debug)]
struct Settings<'a> {
    sparse: bool,
    from_logits: bool,
    ignore_class: Option<i64>,
    class_weight: Option<&'a [f64]>,
    label_smoothing: f64,
    z_loss: f64,
    epsilon: f64,
    temperature: f64,
    /// Of the temperature, if that is a normal number.
    inverse_temperature: InverseTemperature,
}

impl Settings<'_> {
    fn check(&self) -> Result<(), OptionError> {
        check_range("label_smoothing", self.label_smoothing, 0.0, 1.0)?;
        check_range("z_loss", self.z_loss, 0.0, f64::INFINITY)?;
        check_range("epsilon", self.epsilon, 0.0, 0.5)?;
        for &weight in self.class_weight.unwrap_or_default() {
            if weight < 0.0 {
                check_range("class_weight", weight, 0.0, f64::INFINITY)?;
            }
        }
        for (name, given) in [
            ("z_loss", self.z_loss != 0.0),
            ("temperature", self.temperature != 1.0),
        ] {
            if given && !self.from_logits {
                let message = "needs logits: pass from_logits=True".to_owned();
                return Err(OptionError::value(name, message));
            }
        }
        if !(self.temperature > 0.0 && self.temperature.is_normal()) {
            let message = format!(
                "must be a positive normal number, got {}",
                OptionValue::Float(self.temperature)
            );
            return Err(OptionError::value("temperature", message));
        }
        Ok(())
    }

    /// `z / T`.
    #[inline(always)]
    fn tempered(&self, z: Twofold) -> Twofold {
        let InverseTemperature { high, low } = self.inverse_temperature;
        if self.temperature == 1.0 {
            z
        } else {
            z.times(Twofold { high, low })
        }
    }

    /// `1 - s`.
    fn keep(&self) -> f64 {
        1.0 - self.label_smoothing
    }

    /// `s / classes`: what label smoothing gives to each class.
    fn uniform(&self, classes: usize) -> f64 {
        self.label_smoothing / classes as f64
    }

    /// `(1 - s) sum`; of an infinite sum nothing, not NaN, if `s = 1`.
    fn kept(&self, sum: Twofold) -> Twofold {
        let keep = self.keep();
        if keep == 0.0 && sum.high.is_infinite() {
            return Twofold::default();
        }
        Twofold::from(keep).times(sum)
    }
}

macro_rules! class_loss {
    ($Loss:ty, $labels:expr, $sparse:literal, $ignore_class:expr) => {
        impl $Loss {
            fn settings(&self) -> Settings<'_> {
                let ignore_class: fn(&Self) -> Option<i64> = $ignore_class;
                Settings {
                    sparse: $sparse,
                    from_logits: self.from_logits,
                    ignore_class: ignore_class(self),
                    class_weight: self.class_weight.as_deref(),
                    label_smoothing: self.label_smoothing,
                    z_loss: self.z_loss,
                    epsilon: self.epsilon,
                    temperature: self.temperature,
                    inverse_temperature: InverseTemperature::of(self.temperature),
                }
            }
        }

        impl Loss for $Loss {
            fn check(&self) -> Result<(), OptionError> {
                self.settings().check()
            }

            fn labels(&self) -> Labels {
                $labels
            }

            fn axis(&self) -> i64 {
                self.axis
            }

            fn evaluate(
                &self,
                level: Level,
                batch: &Batch<'_>,
                request: Request<'_>,
                keep_going: &dyn Fn() -> bool,
            ) -> Result<Totals, LossError> {
                evaluate(self.settings(), level, batch, request, keep_going)
            }
        }
    };
}
class_loss!(CategoricalCrossentropy, Labels::Distribution, false, |_| {
    None
});
class_loss!(
    SparseCategoricalCrossentropy,
    Labels::ClassIds,
    true,
    |loss| loss.ignore_class
);
