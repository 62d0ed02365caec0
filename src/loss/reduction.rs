//! From the per-sample values to the value of a loss: exact totals, rounded once.

use crate::reduction::exact::{ExactSum, exact_quotient};

/// How the per-sample values become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// Not at all.
    None,
    /// Their sum.
    Sum,
    /// The sum over the sum of the weights (scikit-learn, PyTorch).
    Mean,
    /// The sum over the number of values (Keras).
    SumOverBatchSize,
}

impl Reduction {
    /// All of them, the default first.
    pub const ALL: [Self; 4] = [Self::Mean, Self::Sum, Self::SumOverBatchSize, Self::None];

    /// The name that Python takes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Sum => "sum",
            Self::Mean => "mean",
            Self::SumOverBatchSize => "sum_over_batch_size",
        }
    }

    /// The reduction called `name`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }
}

/// What a reduction needs to know of a set of samples: exact, so that any split of the samples, merged
/// in any order, ends in the same totals. Samples that are ignored are in none of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// The sum of the per-sample values, as rounded for "none".
    pub sum: ExactSum,
    /// The sum of the weights.
    pub weight: ExactSum,
    /// The number of samples.
    pub count: u64,
}

impl Totals {
    /// The totals of no samples.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            sum: ExactSum::new(),
            weight: ExactSum::new(),
            count: 0,
        }
    }

    /// Add the totals of other samples.
    pub fn merge(&mut self, other: &Self) {
        self.sum.merge(&other.sum);
        if !other.weight.is_zero() {
            self.weight.merge(&other.weight);
        }
        self.count += other.count;
    }

    /// The value of the loss, rounded once. NaN for a mean over no weight or no samples.
    ///
    /// [`Reduction::None`] has no single value; it gives the sum, of which its gradient is.
    #[must_use]
    pub fn reduce(&self, reduction: Reduction) -> f64 {
        match reduction {
            Reduction::None | Reduction::Sum => self.sum.to_f64(),
            Reduction::Mean => exact_quotient(&self.sum, &self.weight),
            Reduction::SumOverBatchSize => self.sum.divide_by_count(self.count),
        }
    }

    /// Whether [`Totals::reduce`] divides by zero.
    #[must_use]
    pub fn lacks_divisor(&self, reduction: Reduction) -> bool {
        match reduction {
            Reduction::None | Reduction::Sum => false,
            Reduction::Mean => self.weight.is_zero(),
            Reduction::SumOverBatchSize => self.count == 0,
        }
    }

    /// What the gradients of the per-sample values are multiplied with. Needs the weight (for
    /// [`Reduction::Mean`]) and the count, not the sum.
    #[must_use]
    pub fn gradient_scale(&self, reduction: Reduction) -> Scale {
        match reduction {
            Reduction::None | Reduction::Sum => Scale::ONE,
            Reduction::Mean => Scale::reciprocal(self.weight.to_f64()),
            Reduction::SumOverBatchSize => Scale::reciprocal(self.count as f64),
        }
    }
}

/// A factor in two parts: a gradient of `f64` is multiplied with it and rounded once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// The factor as a `f64`.
    pub high: f64,
    /// What is missing to it.
    pub low: f64,
}

impl Scale {
    /// The factor 1.
    pub const ONE: Self = Self {
        high: 1.0,
        low: 0.0,
    };

    /// The factor `1 / divisor`.
    #[must_use]
    pub fn reciprocal(divisor: f64) -> Self {
        let high = 1.0 / divisor;
        // The remainder of a division is exact; where there is none to speak of, nothing is missing.
        let low = (-high).mul_add(divisor, 1.0) / divisor;
        Self {
            high,
            low: if low.is_finite() { low } else { 0.0 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reciprocal_is_twice_as_precise_as_a_double() {
        // 1/3 = 0.0101...: the high part ends in ...0101 2^-54, a third of an ulp of it is missing.
        let third = Scale::reciprocal(3.0);
        assert_eq!(third.high, 1.0 / 3.0);
        assert_eq!(third.low, 1.0 / 3.0 * 2.0_f64.powi(-54));
        assert_eq!(
            Scale::reciprocal(8.0),
            Scale {
                high: 0.125,
                low: 0.0
            }
        );
        assert_eq!(Scale::reciprocal(0.0).high, f64::INFINITY);
        assert_eq!(
            Scale::reciprocal(f64::INFINITY),
            Scale {
                high: 0.0,
                low: 0.0
            }
        );
    }

    #[test]
    fn reductions_divide_by_what_they_say() {
        let mut totals = Totals {
            count: 4,
            ..Totals::new()
        };
        totals.sum.add(9.0);
        totals.weight.add(1.5);
        assert_eq!(totals.reduce(Reduction::Sum), 9.0);
        assert_eq!(totals.reduce(Reduction::Mean), 6.0);
        assert_eq!(totals.reduce(Reduction::SumOverBatchSize), 2.25);
        assert!(!totals.lacks_divisor(Reduction::Mean));
        assert!(Totals::new().lacks_divisor(Reduction::Mean));
        assert!(Totals::new().reduce(Reduction::SumOverBatchSize).is_nan());
        assert_eq!(Totals::new().reduce(Reduction::Sum), 0.0);
    }

    #[test]
    fn names_are_found() {
        for reduction in Reduction::ALL {
            assert_eq!(Reduction::from_name(reduction.name()), Some(reduction));
        }
        assert_eq!(Reduction::from_name("average"), None);
    }
}
