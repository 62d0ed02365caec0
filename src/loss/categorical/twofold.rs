//! Scalars in two parts, for what is done once a row.

/// The unevaluated sum `high + low`. A number that is not finite has no low part.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Twofold {
    pub(super) high: f64,
    pub(super) low: f64,
}

impl From<f64> for Twofold {
    #[inline(always)]
    fn from(high: f64) -> Self {
        Self { high, low: 0.0 }
    }
}

impl Twofold {
    #[inline(always)]
    pub(super) fn new(high: f64, low: f64) -> Self {
        let sum = high + low;
        if sum.is_finite() {
            Self {
                high: sum,
                low: low - (sum - high),
            }
        } else {
            // Of a sum that overflowed, or was infinite, the rest is NaN.
            Self::from(if high.is_finite() { sum } else { high })
        }
    }

    #[inline(always)]
    pub(super) fn plus(self, other: Self) -> Self {
        let sum = self.high + other.high;
        let part = sum - self.high;
        let error = (self.high - (sum - part)) + (other.high - part);
        Self::new(sum, error + (self.low + other.low))
    }

    #[inline(always)]
    pub(super) fn minus(self, other: Self) -> Self {
        self.plus(Self {
            high: -other.high,
            low: -other.low,
        })
    }

    #[inline(always)]
    pub(super) fn times(self, other: Self) -> Self {
        let product = self.high * other.high;
        let error = self.high.mul_add(other.high, -product);
        let low = self
            .high
            .mul_add(other.low, self.low.mul_add(other.high, error));
        Self::new(product, low)
    }
}
