//! Sums over samples and along rows that depend on the values and their order alone.
//!
//! Terms are added in `f64`, term `i` to phase `i % 8`, so that eight additions are under way at a time.
//! Those of `f64` operands carry the error of every addition along (Knuth's `TwoSum`); narrower ones have
//! bits to spare, and a chunk is short. The two ways through memory, along
//! a row or across many channels, keep the same phases and so give the same bits. The formulas are plain
//! `f64` arithmetic, which the compiler turns into the level's vectors: it may not reorder it, and
//! `+ - * /` have one defined result.

use crate::dtype::Dtype;
use crate::reduction::exact::ExactSum;

/// Sums that are kept side by side.
pub(super) const PHASES: usize = 8;

/// Whether `f64` sums of such elements have bits to spare.
pub(super) fn is_narrow(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::Float32 | Dtype::Float16 | Dtype::BFloat16)
}

/// `sum + error` plus `term`; without `EXACT` the error is let go.
#[inline(always)]
pub(super) fn accumulate<const EXACT: bool>(sum: &mut f64, error: &mut f64, term: f64) {
    if EXACT {
        add(sum, error, term);
    } else {
        *sum += term;
    }
}

/// `sum + error` plus `term`.
#[inline(always)]
fn add(sum: &mut f64, error: &mut f64, term: f64) {
    let total = *sum + term;
    let part = total - *sum;
    *error += (*sum - (total - part)) + (term - part);
    *sum = total;
}

/// The sums of a row's terms, one for each phase.
#[derive(Clone, Copy, Default)]
pub(super) struct Phases {
    sum: [f64; PHASES],
    error: [f64; PHASES],
}

impl Phases {
    /// The total and its low part.
    #[inline(always)]
    pub(super) fn total(&self) -> (f64, f64) {
        fold(self.sum, self.error)
    }
}

/// Add the phases in halves: the total and its low part, which an infinite total has none of.
#[inline(always)]
fn fold(mut sum: [f64; PHASES], mut error: [f64; PHASES]) -> (f64, f64) {
    for half in [4, 2, 1] {
        for i in 0..half {
            error[i] += error[i + half];
            let term = sum[i + half];
            add(&mut sum[i], &mut error[i], term);
        }
    }
    normalise(sum[0], error[0])
}

/// `sum + error` as the nearest `f64` and what is missing to it.
#[inline(always)]
pub(super) fn normalise(sum: f64, error: f64) -> (f64, f64) {
    let high = sum + error;
    if high.is_finite() {
        (high, error - (high - sum))
    } else {
        // Of an infinite sum the errors are NaN.
        (sum, 0.0)
    }
}

/// Add `N` terms for each pair of elements of `a` and `b`, of which the first is in phase 0.
#[inline(always)]
pub(super) fn add_row<const EXACT: bool, const N: usize>(
    sums: &mut [Phases; N],
    a: &[f64],
    b: &[f64],
    terms: impl Fn(f64, f64) -> [f64; N],
) {
    let mut kept = *sums;
    let (a_whole, a_rest) = a.as_chunks::<PHASES>();
    let (b_whole, b_rest) = b.as_chunks::<PHASES>();
    for (a, b) in a_whole.iter().zip(b_whole) {
        let mut each = [[0.0; PHASES]; N];
        for (k, (&a, &b)) in a.iter().zip(b).enumerate() {
            let terms = terms(a, b);
            for (each, term) in each.iter_mut().zip(terms) {
                each[k] = term;
            }
        }
        for (sums, each) in kept.iter_mut().zip(&each) {
            let kept = sums.sum.iter_mut().zip(&mut sums.error);
            for ((sum, error), &term) in kept.zip(each) {
                accumulate::<EXACT>(sum, error, term);
            }
        }
    }
    for (k, (&a, &b)) in a_rest.iter().zip(b_rest).enumerate() {
        for (sums, term) in kept.iter_mut().zip(terms(a, b)) {
            accumulate::<EXACT>(&mut sums.sum[k], &mut sums.error[k], term);
        }
    }
    *sums = kept;
}

/// What the sums of pieces of the samples are gathered in. [`Twofold`] serves where there is one piece,
/// [`ExactSum`] where the pieces may come from several threads in any order.
pub(super) trait Total: Clone + Default + Send {
    /// Add `high + low`.
    fn add(&mut self, high: f64, low: f64);

    /// Add another total.
    fn merge(&mut self, other: &Self);

    /// The total and its low part, over `n`.
    fn over(&self, n: f64) -> (f64, f64);
}

/// A sum in two parts.
#[derive(Clone, Copy, Default)]
pub(super) struct Twofold {
    high: f64,
    low: f64,
}

impl Total for Twofold {
    #[inline(always)]
    fn add(&mut self, high: f64, low: f64) {
        add(&mut self.high, &mut self.low, high);
        self.low += low;
    }

    fn merge(&mut self, other: &Self) {
        self.add(other.high, other.low);
    }

    fn over(&self, n: f64) -> (f64, f64) {
        let (high, low) = normalise(self.high, self.low);
        divide(high, low, n)
    }
}

impl Total for ExactSum {
    fn add(&mut self, high: f64, low: f64) {
        ExactSum::add(self, high);
        if low != 0.0 {
            ExactSum::add(self, low);
        }
    }

    fn merge(&mut self, other: &Self) {
        ExactSum::merge(self, other);
    }

    fn over(&self, n: f64) -> (f64, f64) {
        let high = self.to_f64();
        if !high.is_finite() {
            return (high / n, 0.0);
        }
        let mut rest = self.clone();
        ExactSum::add(&mut rest, -high);
        divide(high, rest.to_f64(), n)
    }
}

/// `(high + low) / n` in two parts.
#[inline(always)]
pub(super) fn divide(high: f64, low: f64, n: f64) -> (f64, f64) {
    let quotient = high / n;
    // The remainder of a division is exact in one fused operation.
    let rest = ((-quotient).mul_add(n, high) + low) / n;
    if rest.is_finite() {
        (quotient, rest)
    } else {
        (quotient, 0.0)
    }
}

/// NaN without sign or payload: which one an operation makes differs between CPUs.
#[inline(always)]
pub(super) fn canonical(value: f64) -> f64 {
    if value.is_nan() { f64::NAN } else { value }
}
