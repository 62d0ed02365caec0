//! Sums with what their additions have lost, in scalars: plain `f64` arithmetic, whose `+ - * /` have one
//! defined result.

use crate::dtype::Dtype;

/// Whether `f64` sums of such elements have bits to spare.
pub(super) fn is_narrow(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::Float32 | Dtype::Float16 | Dtype::BFloat16)
}

/// `sum + error` plus `term`.
#[inline(always)]
pub(super) fn add(sum: &mut f64, error: &mut f64, term: f64) {
    let total = *sum + term;
    let part = total - *sum;
    *error += (*sum - (total - part)) + (term - part);
    *sum = total;
}

/// Add eight sums and their errors in halves: the total and its low part, which an infinite total has none of.
#[inline(always)]
pub(super) fn fold(mut sum: [f64; 8], mut error: [f64; 8]) -> (f64, f64) {
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

/// For each of some numbers, the sum over pieces of work: each with its place in their order, high and low
/// parts. They are added in that order, whichever thread had them.
pub(super) fn in_order(mut pieces: Vec<(usize, Vec<f64>)>, n: usize) -> Vec<(f64, f64)> {
    pieces.sort_unstable_by_key(|(place, _)| *place);
    let mut totals = vec![(0.0, 0.0); n];
    for (_, parts) in &pieces {
        let (high, low) = parts.split_at(n);
        for ((total, high), low) in totals.iter_mut().zip(high).zip(low) {
            add(&mut total.0, &mut total.1, *high);
            total.1 += low;
        }
    }
    for total in &mut totals {
        *total = normalise(total.0, total.1);
    }
    totals
}
