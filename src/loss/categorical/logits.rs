//! A row of logits: its loss, gradient and Hessian.

use super::Settings;
use super::dense_rows::holds;
use super::labels::LabelBuffers;
use crate::driver::kernel::canonical_nan;
use crate::driver::operand::OperandMut;
use crate::driver::rows::{Row, Target, for_each_vector, read_block, reserve};
use crate::lanes::{Lanes, Token};
use crate::loss::Batch;
use crate::reduction::batch_statistics::BatchStatistics;
use crate::reduction::row_exponential::unscale;
use crate::reduction::row_probabilities::{ProbabilityFactor, RowExponentials, Scratch, fill};
use crate::reduction::row_sums::RowReal;
use crate::reduction::rows_side_by_side::Statistics;
use fearless_simd::f64x8;
use fearless_simd::prelude::*;

/// The labels of a row.
#[derive(Clone, Copy, Debug)]
pub(super) enum Label {
    /// The target and, as a number, its logit or probability.
    Class(usize, f64),
    /// In `y_true`.
    Dense,
}

/// Where the derivatives of a row go.
#[derive(Clone, Copy)]
pub(super) struct Derivatives<'a> {
    pub(super) gradient: &'a OperandMut<'a>,
    pub(super) hessian: Option<&'a OperandMut<'a>>,
    /// What they are multiplied with.
    pub(super) factor: f64,
}

/// The derivative is `factor (p_j share - y'_j)`, with `share = sum y' + 2 z_loss logsumexp`, and the
/// second derivative `factor p_j (share (1 - p_j) + 2 z_loss p_j)`.
///
/// Where the exponential is that of the maximum, `p_j = 1 / (k + R)`, and `1 - p_j` and the gradient are
/// formed from `(k - 1) + R`, which has all its digits where `p_j` rounds to 1.
struct Slope<'a, T> {
    settings: &'a Settings<'a>,
    batch: &'a Batch<'a>,
    row: Row,
    label: Label,
    exponentials: &'a RowExponentials<T>,
    derivatives: Derivatives<'a>,
    /// `1 / T`: the factor of each derivative by a logit before it was divided by `T`.
    inverse_temperature: f64,
    /// `(k - 1) + R`.
    others: f64,
    /// `1 / (k + R)`.
    inverse: f64,
    share: f64,
    /// `2 z_loss`.
    square: f64,
}

/// Write the derivatives of a row, whose exponentials may be kept in the gradient's place.
#[inline(never)]
pub(super) fn differentiate<S: Token, T: RowReal>(
    simd: S,
    (settings, batch): (&Settings<'_>, &Batch<'_>),
    (row, label, labels): (Row, Label, f64),
    exponentials: &RowExponentials<T>,
    derivatives: Derivatives<'_>,
    (scratch, buffers): (&mut Scratch<T>, &mut LabelBuffers),
) {
    let statistics = &exponentials.statistics;
    if !statistics.has_probabilities() {
        for out in [Some(derivatives.gradient), derivatives.hessian]
            .into_iter()
            .flatten()
        {
            fill(simd, out, &mut scratch.result, row, f64::NAN);
        }
        return;
    }
    let inverse_temperature = settings.inverse_temperature.high;
    let mut share = settings.keep() * labels + settings.label_smoothing;
    let square = 2.0 * settings.z_loss;
    if square > 0.0 {
        let log_sum = BatchStatistics::of_row(statistics).log_sums::<S, T>(simd, 1);
        let maximum: f64 = statistics.maximum.into();
        share += square * (maximum * inverse_temperature + log_sum.high[0]);
    }
    let slope = Slope {
        settings,
        batch,
        row,
        label,
        exponentials,
        derivatives: Derivatives {
            factor: derivatives.factor * inverse_temperature,
            ..derivatives
        },
        inverse_temperature,
        others: statistics.others(),
        inverse: statistics.inverse(simd).0 * statistics.unit,
        share,
        square,
    };
    simd.vectorize(
        #[inline(always)]
        || match label {
            Label::Class(target, _)
                if settings.label_smoothing == 0.0 && derivatives.hessian.is_none() =>
            {
                slope.of_class(simd, target, scratch);
            }
            Label::Dense if derivatives.hessian.is_none() && holds::<T>(&batch.y_true) => {
                slope.of_dense(simd, scratch);
            }
            _ => slope.of_any(simd, scratch, buffers),
        },
    );
}

impl<T: RowReal> Slope<'_, T> {
    /// The probabilities times a factor, and something of its own for the target.
    #[inline(always)]
    fn of_class<S: Token>(&self, simd: S, target: usize, scratch: &mut Scratch<T>) {
        let factor = self.derivatives.factor;
        let out = self.derivatives.gradient;
        self.exponentials.for_each_block(
            simd,
            &self.batch.y_pred,
            Some(factor * self.share),
            scratch,
            #[inline(always)]
            |scratch, first, n, exponentials, multiplier| {
                let start = self.row.start + first;
                let place = Target::new(out, start, n, &mut scratch.result);
                // The target's exponential, before it is overwritten.
                let target = target.checked_sub(first).filter(|&index| index < n);
                // SAFETY: one of the block's exponentials.
                let of_target = target.map(|index| unsafe { *exponentials.add(index) });
                // SAFETY: `n` elements can be read and written; the exponentials are in the target
                // itself or in a buffer of their own.
                unsafe {
                    for_each_vector(
                        simd,
                        [exponentials],
                        Some(place.pointer),
                        n,
                        T::default(),
                        #[inline(always)]
                        |[e], _| canonical_nan(simd, multiplier.apply(e)),
                    );
                    if let (Some(index), Some(e)) = (target, of_target) {
                        let slope = self.slope(e.into(), 1.0, &multiplier);
                        *place.pointer.add(index) = T::nearest(without_payload(slope * factor));
                    }
                    place.finish(simd, out, start, n);
                }
            },
        );
    }

    /// The gradient of one class, before the factor.
    #[inline(always)]
    fn slope<S: Token>(&self, e: f64, y: f64, multiplier: &ProbabilityFactor<S, T>) -> f64 {
        if multiplier.at_maximum && e == self.exponentials.statistics.peak.into() {
            ((self.share - y) - y * self.others) * self.inverse
        } else {
            e * multiplier.probability * self.share - y
        }
    }

    /// Of dense labels that are as good as `T`s: the general form, to the bit, without `f64` in memory.
    #[inline(always)]
    fn of_dense<S: Token>(&self, simd: S, scratch: &mut Scratch<T>) {
        let splat = |value| f64x8::splat(simd, value);
        let (out, factor) = (self.derivatives.gradient, splat(self.derivatives.factor));
        let keep = splat(self.settings.keep());
        let uniform = splat(self.settings.uniform(self.row.columns));
        let (others, inverse) = (splat(self.others), splat(self.inverse));
        let share = splat(self.share);
        let peak = self.exponentials.statistics.peak;
        self.exponentials.for_each_block(
            simd,
            &self.batch.y_pred,
            None,
            scratch,
            #[inline(always)]
            |scratch, first, n, exponentials, multiplier| {
                let start = self.row.start + first;
                let labels = read_block(simd, &self.batch.y_true, start, n, &mut scratch.dy);
                let place = Target::new(out, start, n, &mut scratch.result);
                let probability = splat(multiplier.probability);
                // No exponential of a block that does not reach the maximum is this large.
                let maximum = T::Vector::<S>::splat(
                    simd,
                    if multiplier.at_maximum {
                        peak
                    } else {
                        T::nearest(f64::INFINITY)
                    },
                );
                // SAFETY: `n` elements can be read and written; the exponentials are in the target
                // itself or in a buffer of their own.
                unsafe {
                    for_each_vector::<S, T, 2>(
                        simd,
                        [exponentials, labels],
                        Some(place.pointer),
                        n,
                        T::default(),
                        #[inline(always)]
                        |[e, y], _| {
                            // Few are.
                            let is_maximum = e.simd_eq(maximum).any_true();
                            let (e, y) = (T::widen(simd, e), T::widen(simd, y));
                            let largest = T::widen(simd, maximum)[0];
                            let mut slope = [factor; 2];
                            for half in 0..T::HALVES {
                                let (e, y) = (e[half], Lanes::fma(y[half], keep, uniform));
                                let mut of_half = Lanes::fma(e * probability, share, -y);
                                if is_maximum {
                                    let at_maximum = ((share - y) - y * others) * inverse;
                                    of_half = e.simd_eq(largest).select(at_maximum, of_half);
                                }
                                slope[half] = of_half * factor;
                            }
                            canonical_nan(simd, T::narrow(slope))
                        },
                    );
                    place.finish(simd, out, start, n);
                }
            },
        );
    }

    /// The general form, in `f64` lanes for all types.
    #[inline(always)]
    fn of_any<S: Token>(&self, simd: S, scratch: &mut Scratch<T>, buffers: &mut LabelBuffers) {
        let splat = |value| f64x8::splat(simd, value);
        let Derivatives {
            gradient,
            hessian,
            factor,
        } = self.derivatives;
        let keep = self.settings.keep();
        let uniform = self.settings.uniform(self.row.columns);
        self.exponentials.for_each_block(
            simd,
            &self.batch.y_pred,
            None,
            scratch,
            #[inline(always)]
            |_, first, n, exponentials, multiplier| {
                let start = self.row.start + first;
                // SAFETY: `n` exponentials are readable, and not written while the slice lives.
                let kept = unsafe { std::slice::from_raw_parts(exponentials, n) };
                let wide = reserve(&mut buffers.y_pred, n);
                for (slot, &e) in wide.iter_mut().zip(kept) {
                    *slot = e.into();
                }
                let e = wide.as_ptr();
                let (dense, y) = match self.label {
                    Label::Class(..) => (false, e),
                    Label::Dense => {
                        let y_true = &self.batch.y_true;
                        (
                            true,
                            read_block(simd, y_true, start, n, &mut buffers.y_true),
                        )
                    }
                };
                let target = match self.label {
                    Label::Class(target, _) => target.checked_sub(first).filter(|&i| i < n),
                    Label::Dense => None,
                };
                let (others, inverse) = (splat(self.others), splat(self.inverse));
                let (share, square) = (splat(self.share), splat(self.square));
                let probability = splat(multiplier.probability);
                let (factor_lanes, one) = (splat(factor), splat(1.0));
                let (keep_lanes, uniform_lanes) = (splat(keep), splat(uniform));
                // No exponential of a block that does not reach the maximum is this large.
                let maximum = splat(if multiplier.at_maximum {
                    self.exponentials.statistics.peak.into()
                } else {
                    f64::INFINITY
                });
                let result = reserve(&mut buffers.result, n).as_mut_ptr();
                // SAFETY: `n` elements can be read at each place and written to the buffer, which is
                // apart from them.
                unsafe {
                    for_each_vector::<S, f64, 2>(
                        simd,
                        [e, y],
                        Some(result),
                        n,
                        0.0,
                        #[inline(always)]
                        |[e, y], _| {
                            let y = if dense {
                                Lanes::fma(y, keep_lanes, uniform_lanes)
                            } else {
                                uniform_lanes
                            };
                            let below = Lanes::fma(e * probability, share, -y);
                            let at_maximum = ((share - y) - y * others) * inverse;
                            let slope = e.simd_eq(maximum).select(at_maximum, below);
                            canonical_nan(simd, slope * factor_lanes)
                        },
                    );
                    if let Some(index) = target {
                        let slope = self.slope(*e.add(index), keep + uniform, &multiplier);
                        *result.add(index) = without_payload(slope * factor);
                    }
                    gradient.write(simd, start, std::slice::from_raw_parts(result, n));
                    let Some(hessian) = hessian else { return };
                    let factor_lanes = splat(factor * self.inverse_temperature);
                    for_each_vector::<S, f64, 1>(
                        simd,
                        [e],
                        Some(result),
                        n,
                        0.0,
                        #[inline(always)]
                        |[e], _| {
                            let p = e * probability;
                            let complement = e.simd_eq(maximum).select(others * inverse, one - p);
                            let bend = p * Lanes::fma(share, complement, square * p);
                            canonical_nan(simd, bend * factor_lanes)
                        },
                    );
                    hessian.write(simd, start, std::slice::from_raw_parts(result, n));
                }
            },
        );
    }
}

/// `factor (p - 1)` of the only labels of eight rows, those of a `half` of the lanes; as [`Slope::slope`].
#[inline(always)]
pub(super) fn slope_of_class<S: Token, T: RowReal>(
    simd: S,
    (statistics, half): (&Statistics<S, T>, usize),
    (exponential, inverse): (f64x8<S>, f64x8<S>),
    factor: f64x8<S>,
) -> f64x8<S> {
    let (one, zero) = (f64x8::splat(simd, 1.0), f64x8::splat(simd, 0.0));
    let undo = f64x8::splat(simd, unscale(T::Vector::<S>::PRECISION));
    let below = exponential * (inverse * undo) - one;
    let at_maximum = (zero - statistics.others(simd, half)) * (inverse * statistics.unit[half]);
    let peak = T::widen(simd, statistics.peak)[half];
    exponential.simd_eq(peak).select(at_maximum, below) * factor
}

/// A NaN that arises has another sign on another CPU.
#[inline(always)]
pub(super) fn without_payload(value: f64) -> f64 {
    if value.is_nan() { f64::NAN } else { value }
}
