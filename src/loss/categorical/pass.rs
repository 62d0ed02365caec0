//! Over the samples: labels and weights checked, rows evaluated, totals exact, on all threads.

use super::Settings;
use super::labels::{LabelBuffers, LabelSums, sum_row};
use super::logits::{self, Derivatives, Label};
use super::pending::{Pending, Values};
use super::probabilities;
use super::samples::{Survey, at};
use crate::driver::kernel::canonical_nan;
use crate::driver::operand::OperandMut;
use crate::driver::rows::{Row, for_each_row_range};
use crate::lanes::Token;
use crate::level::{Level, OnLevel};
use crate::loss::options::OptionError;
use crate::loss::twofold::{Twofold, TwofoldLanes};
use crate::loss::{Batch, FirstRefusal, LossError, Reduction, Refusal, Request, Scale, Totals};
use crate::reduction::batch_statistics::eight;
use crate::reduction::exact::ExactSum;
use crate::reduction::row_probabilities::{Scratch, fill, row_exponentials};
use crate::reduction::row_statistics::{RowStatistics, row_statistics};
use crate::reduction::row_sums::RowReal;
use crate::reduction::rows_side_by_side::TOGETHER;
use fearless_simd::f64x8;
use fearless_simd::prelude::*;
use std::ops::Range;

/// Rows whose logarithms are taken together.
pub(super) const BATCH: usize = TOGETHER;

pub(super) type KeepGoing<'a> = &'a dyn Fn() -> bool;

/// See [`crate::loss::Loss::evaluate`].
pub(super) fn evaluate(
    settings: Settings<'_>,
    level: Level,
    batch: &Batch<'_>,
    request: Request<'_>,
    keep_going: KeepGoing<'_>,
) -> Result<Totals, LossError> {
    if let Some(weights) = settings.class_weight
        && weights.len() != batch.classes
    {
        let message = format!(
            "has length {}, but there are {} classes",
            weights.len(),
            batch.classes
        );
        return Err(OptionError::value("class_weight", message).into());
    }
    level.dispatch(Evaluation {
        settings,
        batch,
        request,
        keep_going,
    })
}

struct Evaluation<'a> {
    settings: Settings<'a>,
    batch: &'a Batch<'a>,
    request: Request<'a>,
    keep_going: KeepGoing<'a>,
}

impl OnLevel for Evaluation<'_> {
    type Output = Result<Totals, LossError>;

    fn run<S: Token>(self, simd: S) -> Self::Output {
        let pass = Pass {
            simd,
            settings: self.settings,
            batch: self.batch,
            classes: self.batch.classes,
        };
        if self.batch.double {
            pass.run::<f64>(self.request, self.keep_going)
        } else {
            pass.run::<f32>(self.request, self.keep_going)
        }
    }
}

pub(super) struct Pass<'a, S: Token> {
    pub(super) simd: S,
    pub(super) settings: Settings<'a>,
    pub(super) batch: &'a Batch<'a>,
    pub(super) classes: usize,
}

/// A type whose values are summed exactly.
pub(super) trait Summed: RowReal {
    fn add_to<S: Token>(sum: &mut ExactSum, simd: S, values: &[Self]);
}

impl Summed for f32 {
    fn add_to<S: Token>(sum: &mut ExactSum, simd: S, values: &[Self]) {
        sum.add_f32_slice(simd, values);
    }
}

impl Summed for f64 {
    fn add_to<S: Token>(sum: &mut ExactSum, simd: S, values: &[Self]) {
        sum.add_f64_slice(simd, values);
    }
}

/// What a thread has of its own.
pub(super) struct Worker<T> {
    pub(super) totals: Totals,
    pub(super) scratch: Scratch<T>,
    pub(super) buffers: LabelBuffers,
    /// For labels of the type of the computation, and others.
    pub(super) labels: (Scratch<T>, Scratch<f64>),
    pub(super) ids: Vec<i64>,
    pub(super) weights: Vec<f64>,
    pub(super) values: Vec<T>,
}

impl<T: Default> Default for Worker<T> {
    fn default() -> Self {
        Self {
            totals: Totals::new(),
            scratch: Scratch::default(),
            buffers: LabelBuffers::default(),
            labels: (Scratch::default(), Scratch::default()),
            ids: Vec::new(),
            weights: Vec::new(),
            values: Vec::new(),
        }
    }
}

impl<T: RowReal> Worker<T> {
    /// Take note of the values of samples, the first the `offset`-th of the range.
    fn add_values<S: Token>(&mut self, simd: S, offset: usize, n: usize, values: &Values) {
        let weights = &self.weights[offset..offset + n];
        let mut rounded = [T::default(); BATCH];
        simd.vectorize(
            #[inline(always)]
            || {
                let lanes = T::Vector::<S>::LEN;
                let low = f64x8::splat(simd, 0.0);
                for (begin, slots) in (0..n).step_by(lanes).zip(rounded.chunks_exact_mut(lanes)) {
                    let mut of_vector = [low; 2];
                    for (half, slot) in of_vector.iter_mut().enumerate().take(T::HALVES) {
                        let first = begin + 8 * half;
                        let value = TwofoldLanes {
                            high: eight(simd, &values.high, first),
                            low: eight(simd, &values.low, first),
                        };
                        let high = eight(simd, weights, first);
                        // Times 1 it is itself.
                        let weighted = value.times(TwofoldLanes { high, low });
                        *slot = weighted.high + weighted.low;
                    }
                    canonical_nan(simd, T::narrow(of_vector)).store_slice(slots);
                }
            },
        );
        self.values.extend_from_slice(&rounded[..n]);
    }
}

/// What a pass does with each row.
pub(super) struct Plan<'a> {
    values: Option<OperandMut<'a>>,
    pub(super) gradient: Option<OperandMut<'a>>,
    pub(super) hessian: Option<OperandMut<'a>>,
    pub(super) scale: f64,
    /// Whether the weights have been added before.
    weighed: bool,
}

impl<S: Token> Pass<'_, S> {
    fn run<T: Summed>(
        &self,
        request: Request<'_>,
        keep_going: KeepGoing<'_>,
    ) -> Result<Totals, LossError> {
        let mut before = None;
        let plan = match request {
            Request::Value { values } => Plan {
                values,
                gradient: None,
                hessian: None,
                scale: 1.0,
                weighed: false,
            },
            Request::ValueAndGradient {
                values,
                gradient,
                reduction,
                keep_if_refused,
            } => {
                let divides = matches!(reduction, Reduction::Mean | Reduction::SumOverBatchSize);
                let scale = if keep_if_refused {
                    let totals = self.survey(Survey::All, keep_going)?;
                    before.insert(totals).gradient_scale(reduction)
                } else if divides && self.counts_unevenly() {
                    let totals = self.survey(Survey::Weights, keep_going)?;
                    before.insert(totals).gradient_scale(reduction)
                } else {
                    even_totals(self.batch.samples() as u64).gradient_scale(reduction)
                };
                Plan {
                    values,
                    gradient: Some(gradient),
                    hessian: None,
                    scale: scale.high,
                    weighed: before.is_some(),
                }
            }
            Request::GradientHessian { gradient, hessian } => Plan {
                values: None,
                gradient: Some(gradient),
                hessian: Some(hessian),
                scale: Scale::ONE.high,
                weighed: true,
            },
        };
        let empty = plan.hessian.is_some();
        let mut totals = self.for_each_range(keep_going, |worker: &mut Worker<T>, range| {
            self.rows(worker, &plan, range)
        })?;
        if empty {
            return Ok(Totals::new());
        }
        match before {
            Some(before) => totals.weight = before.weight,
            None if !self.has_weights() => totals.weight = ExactSum::from(totals.count),
            None => {}
        }
        Ok(totals)
    }

    pub(super) fn has_weights(&self) -> bool {
        self.batch.sample_weight.is_some() || self.settings.class_weight.is_some()
    }

    /// Whether the divisor of a mean is not just the number of samples.
    fn counts_unevenly(&self) -> bool {
        self.has_weights() || self.settings.ignore_class.is_some()
    }

    /// Go over all samples up to the first refusal; the merged totals.
    pub(super) fn for_each_range<T: Summed>(
        &self,
        keep_going: KeepGoing<'_>,
        work: impl Fn(&mut Worker<T>, Range<usize>) -> Result<(), (usize, Refusal)> + Sync,
    ) -> Result<Totals, LossError> {
        let refused = FirstRefusal::default();
        let workers = for_each_row_range(
            self.batch.samples(),
            self.classes,
            keep_going,
            Worker::default,
            |worker, range| {
                if !refused.precedes(range.start)
                    && let Err((sample, refusal)) = work(worker, range)
                {
                    refused.note(sample, refusal);
                }
            },
        )?;
        refused.into_result()?;
        let mut totals = workers.into_iter().map(|worker| worker.totals);
        let first = totals.next().unwrap_or_default();
        Ok(totals.fold(first, |mut sum, other| {
            sum.merge(&other);
            sum
        }))
    }

    /// Evaluate a range of samples.
    fn rows<T: Summed>(
        &self,
        worker: &mut Worker<T>,
        plan: &Plan<'_>,
        range: Range<usize>,
    ) -> Result<(), (usize, Refusal)> {
        self.read_labels(worker, range.clone());
        worker.values.clear();
        for first in range.clone().step_by(BATCH) {
            let n = BATCH.min(range.end - first);
            self.batch_of_rows(worker, plan, first - range.start, first, n)?;
        }
        if plan.hessian.is_some() {
            return Ok(());
        }
        let Worker {
            totals,
            values,
            weights,
            ..
        } = worker;
        T::add_to(&mut totals.sum, self.simd, values);
        if self.has_weights() && !plan.weighed {
            totals
                .weight
                .add_f64_slice(self.simd, &weights[..range.len()]);
        }
        if let Some(target) = &plan.values {
            // SAFETY: ranges are disjoint.
            unsafe { target.write(self.simd, range.start, values) };
        }
        Ok(())
    }

    /// Evaluate `n` samples from `first` on, the `offset`-th of the range.
    fn batch_of_rows<T: Summed>(
        &self,
        worker: &mut Worker<T>,
        plan: &Plan<'_>,
        offset: usize,
        first: usize,
        n: usize,
    ) -> Result<(), (usize, Refusal)> {
        let place = (offset, first, n);
        let mut values = Values::default();
        if self.is_side_by_side(worker, plan, place) {
            self.side_by_side(worker, plan, place, &mut values)?;
            worker.add_values(self.simd, offset, n, &values);
            return Ok(());
        }
        if self.is_dense_side_by_side::<T>(plan, (first, n))
            && self.dense_side_by_side(worker, plan, place, &mut values)
        {
            worker.add_values(self.simd, offset, n, &values);
            return Ok(());
        }
        let mut pending = Pending::default();
        let mut targets = [1.0; BATCH];
        let mut counted = [false; BATCH];
        for i in 0..n {
            let sample = first + i;
            let row = Row::of(sample, self.classes);
            let label = self.label(worker, offset + i, sample);
            let Some(class) = label.map_err(at(sample))? else {
                worker.weights[offset + i] = 0.0;
                for out in [&plan.gradient, &plan.hessian].into_iter().flatten() {
                    fill(self.simd, out, &mut worker.scratch.result, row, 0.0);
                }
                continue;
            };
            counted[i] = true;
            worker.totals.count += 1;
            let label = if self.settings.sparse {
                Label::Class(class, self.prediction::<T>(row.start + class))
            } else {
                Label::Dense
            };
            let settings = &self.settings;
            let scans = !settings.sparse || !settings.from_logits || settings.label_smoothing > 0.0;
            let mut sums = LabelSums::default();
            if scans {
                sums = match self.sum_labels(worker, row) {
                    Some(sums) => sums,
                    None => sum_row(self.simd, settings, self.batch, row, &mut worker.buffers)
                        .map_err(at(sample))?,
                };
            }
            let weight = self
                .weigh(worker, offset + i, sample, class, sums.weight)
                .map_err(at(sample))?;
            let derivatives = plan.gradient.as_ref().map(|gradient| Derivatives {
                gradient,
                hessian: plan.hessian.as_ref(),
                factor: weight * plan.scale,
            });
            if settings.from_logits {
                let statistics = self.logits::<T>(worker, row, label, &mut sums, derivatives);
                pending.statistics.set(i, &statistics);
                pending.sums[i] = sums;
            } else {
                let is_nan = sums.products.high.is_nan() || sums.labels.high.is_nan();
                if let Label::Class(_, p) = label {
                    targets[i] = p;
                }
                if let Some(derivatives) = derivatives {
                    probabilities::differentiate(
                        self.simd,
                        (settings, self.batch),
                        (row, label, is_nan),
                        derivatives,
                        &mut worker.buffers,
                    );
                }
                pending.sums[i] = sums;
            }
        }
        if plan.hessian.is_some() {
            return Ok(());
        }
        let settings = &self.settings;
        if settings.from_logits {
            pending.values::<S, T>(self.simd, settings, self.classes, n, &mut values);
        } else {
            if settings.sparse {
                let sums = pending.sums[..n].iter_mut();
                probabilities::add_targets(self.simd, settings, &targets[..n], sums);
            }
            for (i, sums) in pending.sums[..n].iter().enumerate() {
                values.set(i, probabilities::value(settings, self.classes, sums));
            }
        }
        // Samples that do not count have weight 0, but perhaps no finite value.
        for (i, _) in counted[..n]
            .iter()
            .enumerate()
            .filter(|(_, counted)| !**counted)
        {
            values.set(i, Twofold::default());
        }
        worker.add_values(self.simd, offset, n, &values);
        Ok(())
    }

    /// Evaluate a row of logits but for its logarithm.
    fn logits<T: Summed>(
        &self,
        worker: &mut Worker<T>,
        row: Row,
        label: Label,
        sums: &mut LabelSums,
        derivatives: Option<Derivatives<'_>>,
    ) -> RowStatistics<T> {
        let (simd, y_pred) = (self.simd, &self.batch.y_pred);
        let temperature = self.settings.inverse_temperature;
        if let Label::Class(_, logit) = label {
            let LabelSums { all, weight, .. } = *sums;
            *sums = LabelSums {
                all,
                weight,
                ..LabelSums::of_class(logit)
            };
        }
        let Some(derivatives) = derivatives else {
            return row_statistics(simd, y_pred, row, temperature, &mut worker.scratch.x);
        };
        // The gradient's place is free until it is written, but not for a Hessian to be made as well.
        let place = derivatives
            .hessian
            .is_none()
            .then_some(derivatives.gradient);
        let exponentials =
            row_exponentials(simd, y_pred, row, temperature, place, &mut worker.scratch);
        logits::differentiate(
            simd,
            (&self.settings, self.batch),
            (row, label, sums.labels.high),
            &exponentials,
            derivatives,
            (&mut worker.scratch, &mut worker.buffers),
        );
        exponentials.statistics
    }

    /// One prediction as a number.
    pub(super) fn prediction<T: Summed>(&self, position: usize) -> f64 {
        let y_pred = &self.batch.y_pred;
        if let Some(&[value]) = y_pred.as_slice::<T>(position, 1) {
            return value.into();
        }
        let mut value = [0.0];
        y_pred.read(self.simd, position, &mut value);
        value[0]
    }
}

/// The totals of samples of weight 1, but for their values.
fn even_totals(count: u64) -> Totals {
    Totals {
        weight: ExactSum::from(count),
        count,
        ..Totals::new()
    }
}
