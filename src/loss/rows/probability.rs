//! Predictions as probabilities: given, or the softmax of logits.
//!
//! Either way a probability `p` comes with `1 - p` and `-log p`, each in two parts, none of them a
//! difference that cancels: of logits, `-log p_c = log(k + R) - (z_c - m)` with the statistics of
//! `row_statistics.rs`, and at the maximum `1 - p = ((k - 1) + R) / (k + R)`.

use super::elements::Elements;
use crate::lanes::Token;
use crate::loss::twofold::Twofold;
use crate::math::exp::exp_parts;
use crate::math::log::log_parts;
use crate::math::twofold::{fast_two_sum, multiply, two_sum};
use crate::reduction::batch_statistics::BatchStatistics;
use fearless_simd::f64x8;
use fearless_simd::prelude::*;

/// An unevaluated sum of two vectors.
type Lanes2<S> = (f64x8<S>, f64x8<S>);

/// The probability of one class for each lane.
#[derive(Clone, Copy)]
pub(crate) struct Probability<S: Token> {
    /// `p`.
    pub(crate) p: Lanes2<S>,
    /// `1 - p`.
    pub(crate) rest: Lanes2<S>,
    /// `-log p`.
    pub(crate) surprise: Lanes2<S>,
    /// Where `p` does not depend on `y_pred`, as it was clipped.
    pub(crate) clipped: <f64x8<S> as SimdBase<S>>::Mask,
}

/// How predictions become probabilities.
pub(crate) trait Predictions: Copy + Send + Sync + 'static {
    /// Whether they are logits: derivatives are then with respect to those.
    const LOGITS: bool;

    /// What the probabilities of a row have in common.
    type Row: Copy;

    /// Look at a row.
    fn read<S: Token>(self, simd: S, elements: &mut Elements<'_, S>) -> Self::Row;

    /// Whether the row has probabilities.
    fn exist(row: &Self::Row) -> bool;

    /// The probabilities of the row's elements `x`.
    fn of<S: Token>(self, simd: S, row: &Self::Row, x: f64x8<S>) -> Probability<S>;
}

/// Probabilities, clipped to `[epsilon, 1 - epsilon]`.
#[derive(Clone, Copy)]
pub(crate) struct Probabilities {
    pub(crate) epsilon: f64,
}

impl Predictions for Probabilities {
    const LOGITS: bool = false;
    type Row = ();

    #[inline(always)]
    fn read<S: Token>(self, _: S, _: &mut Elements<'_, S>) {}

    #[inline(always)]
    fn exist((): &()) -> bool {
        true
    }

    #[inline(always)]
    fn of<S: Token>(self, simd: S, (): &(), x: f64x8<S>) -> Probability<S> {
        let low = f64x8::splat(simd, self.epsilon);
        let high = f64x8::splat(simd, 1.0 - self.epsilon);
        let raised = x.simd_lt(low).select(low, x);
        let p = raised.simd_gt(high).select(high, raised);
        let zero = f64x8::splat(simd, 0.0);
        let (log, log_low) = log_parts(simd, p, zero);
        Probability {
            p: (p, zero),
            rest: fast_two_sum(f64x8::splat(simd, 1.0), -p),
            surprise: (zero - log, zero - log_low),
            clipped: !p.simd_eq(x),
        }
    }
}

/// Logits.
#[derive(Clone, Copy)]
pub(crate) struct Logits;

/// The statistics of a row of logits.
#[derive(Clone, Copy)]
pub(crate) struct Softmax {
    exists: bool,
    maximum: f64,
    /// `log(k + R)`.
    log_sum: Twofold,
    /// `1 / (k + R)`.
    inverse: (f64, f64),
}

impl Predictions for Logits {
    const LOGITS: bool = true;
    type Row = Softmax;

    #[inline(always)]
    fn read<S: Token>(self, simd: S, elements: &mut Elements<'_, S>) -> Softmax {
        let statistics = elements.statistics();
        let sums = BatchStatistics::of_row(&statistics).log_sums::<S, f64>(simd, 1);
        Softmax {
            exists: statistics.has_probabilities(),
            maximum: statistics.maximum,
            log_sum: Twofold::new(sums.high[0], sums.low[0]),
            inverse: statistics.inverse(simd),
        }
    }

    #[inline(always)]
    fn exist(row: &Softmax) -> bool {
        row.exists
    }

    #[inline(always)]
    fn of<S: Token>(self, simd: S, row: &Softmax, x: f64x8<S>) -> Probability<S> {
        let splat = |number| f64x8::splat(simd, number);
        let (zero, infinity) = (splat(0.0), splat(f64::INFINITY));
        let maximum = splat(row.maximum);
        let tie = x.simd_eq(maximum);
        let (difference, low) = two_sum(x, -maximum);
        let difference = tie.select(zero, difference);
        let finite = difference.simd_gt(-infinity) & !tie;
        let low = finite.select(low, zero);

        let (surprise, error) = two_sum(splat(row.log_sum.high), -difference);
        let error = error + (splat(row.log_sum.low) - low);
        let surprise_low = surprise.simd_lt(infinity).select(error, zero);

        let exponential = exp_parts(simd, difference, low);
        let inverse = (splat(row.inverse.0), splat(row.inverse.1));
        let (p, p_low) = multiply(exponential, inverse);
        let (p, p_low) = fast_two_sum(p, p_low);
        let (rest, rest_low) = fast_two_sum(splat(1.0), -p);
        Probability {
            p: (p, p_low),
            rest: fast_two_sum(rest, rest_low - p_low),
            surprise: (surprise, surprise_low),
            clipped: x.simd_lt(x),
        }
    }
}
