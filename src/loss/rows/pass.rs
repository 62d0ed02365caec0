//! Over the rows: labels and weights read and checked, rows evaluated, totals exact, on all threads.

use super::elements::{Buffers, Elements};
use super::{Derivatives, Kernel};
use crate::driver::operand::OperandMut;
use crate::driver::rows::for_each_row_range;
use crate::dtype::Real;
use crate::lanes::Token;
use crate::loss::twofold::Twofold;
use crate::loss::{
    Argument, Batch, FirstRefusal, Found, LossError, Reduction, Refusal, Request, Scale, Totals,
};
use crate::reduction::exact::ExactSum;
use std::ops::Range;

type KeepGoing<'a> = &'a dyn Fn() -> bool;

/// A type whose values are summed exactly.
pub(super) trait Summed: Real {
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

pub(super) struct Pass<'a, S: Token> {
    pub(super) simd: S,
    pub(super) kernel: &'a dyn Kernel<S>,
    pub(super) class_ids: bool,
    pub(super) ignored: Option<i64>,
    pub(super) labels_in_unit_interval: bool,
    pub(super) predictions_in_unit_interval: bool,
    pub(super) per_class: Option<&'a [f64]>,
    pub(super) batch: &'a Batch<'a>,
}

/// What a thread has of its own.
struct Worker<T> {
    totals: Totals,
    buffers: Buffers,
    ids: Vec<i64>,
    weights: Vec<f64>,
    values: Vec<T>,
}

impl<T> Default for Worker<T> {
    fn default() -> Self {
        Self {
            totals: Totals::new(),
            buffers: Buffers::default(),
            ids: Vec::new(),
            weights: Vec::new(),
            values: Vec::new(),
        }
    }
}

/// What is written, besides the totals.
struct Plan<'a> {
    values: Option<OperandMut<'a>>,
    gradient: Option<OperandMut<'a>>,
    hessian: Option<OperandMut<'a>>,
    scale: f64,
}

/// What a row counts for, once it has been looked at.
#[derive(Clone, Copy)]
enum Checked {
    Ignored,
    Counted { target: Option<usize>, weight: f64 },
}

impl<S: Token> Pass<'_, S> {
    pub(super) fn run<T: Summed>(
        &self,
        request: Request<'_>,
        keep_going: KeepGoing<'_>,
    ) -> Result<Totals, LossError> {
        let plan = match request {
            Request::Value { values } => Plan {
                values,
                gradient: None,
                hessian: None,
                scale: 1.0,
            },
            Request::ValueAndGradient {
                values,
                gradient,
                reduction,
                keep_if_refused,
            } => Plan {
                values,
                gradient: Some(gradient),
                hessian: None,
                scale: self
                    .scale::<T>(reduction, keep_if_refused, keep_going)?
                    .high,
            },
            Request::GradientHessian { gradient, hessian } => Plan {
                values: None,
                gradient: Some(gradient),
                hessian: Some(hessian),
                scale: Scale::ONE.high,
            },
        };
        let totals = self.for_each_row(
            keep_going,
            |worker: &mut Worker<T>, sample, checked| {
                let value = self.row(worker, &plan, sample, checked);
                worker.values.push(value);
            },
            |worker, range| {
                T::add_to(&mut worker.totals.sum, self.simd, &worker.values);
                if let Some(target) = &plan.values {
                    // SAFETY: ranges are disjoint.
                    unsafe { target.write(self.simd, range.start, &worker.values) };
                }
                worker.values.clear();
            },
        )?;
        Ok(if plan.hessian.is_some() {
            Totals::new()
        } else {
            totals
        })
    }

    /// What the gradients are multiplied with; if nothing may be written before it is known that nothing is
    /// refused, everything is checked first.
    fn scale<T: Summed>(
        &self,
        reduction: Reduction,
        keep_if_refused: bool,
        keep_going: KeepGoing<'_>,
    ) -> Result<Scale, LossError> {
        let divides = matches!(reduction, Reduction::Mean | Reduction::SumOverBatchSize);
        let unevenly = self.batch.sample_weight.is_some() || self.ignored.is_some();
        let count = self.batch.samples() as u64;
        let totals = if keep_if_refused || (divides && unevenly) {
            self.for_each_row::<T>(keep_going, |_, _, _| (), |_, _| ())?
        } else {
            Totals {
                weight: ExactSum::from(count),
                count,
                ..Totals::new()
            }
        };
        Ok(totals.gradient_scale(reduction))
    }

    /// Check all rows up to the first refusal; the merged totals.
    fn for_each_row<T: Summed>(
        &self,
        keep_going: KeepGoing<'_>,
        row: impl Fn(&mut Worker<T>, usize, Checked) + Sync,
        finish: impl Fn(&mut Worker<T>, Range<usize>) + Sync,
    ) -> Result<Totals, LossError> {
        let refused = FirstRefusal::default();
        let workers = for_each_row_range(
            self.batch.samples(),
            self.batch.classes,
            keep_going,
            Worker::default,
            |worker: &mut Worker<T>, range: Range<usize>| {
                if refused.precedes(range.start) {
                    return;
                }
                self.read(worker, range.clone());
                for sample in range.clone() {
                    match self.check(worker, sample, sample - range.start) {
                        Ok(checked) => row(worker, sample, checked),
                        Err(refusal) => return refused.note(sample, refusal),
                    }
                }
                if self.batch.sample_weight.is_some() {
                    let weights = &worker.weights[..range.len()];
                    worker.totals.weight.add_f64_slice(self.simd, weights);
                }
                finish(worker, range);
            },
        )?;
        refused.into_result()?;
        let mut totals = Totals::new();
        for worker in &workers {
            totals.merge(&worker.totals);
        }
        if self.batch.sample_weight.is_none() {
            totals.weight = ExactSum::from(totals.count);
        }
        Ok(totals)
    }

    /// Read class ids and weights of a range of rows.
    fn read<T>(&self, worker: &mut Worker<T>, range: Range<usize>) {
        let n = range.len();
        if self.class_ids {
            worker.ids.resize(n, 0);
            self.batch
                .y_true
                .read_class_ids(self.simd, range.start, &mut worker.ids);
        }
        worker.weights.resize(n, 1.0);
        match &self.batch.sample_weight {
            Some(weights) => weights.read(self.simd, range.start, &mut worker.weights),
            None => worker.weights.fill(1.0),
        }
    }

    /// Refuse what is outside its domain in the `i`-th row of the range that was read.
    fn check<T>(
        &self,
        worker: &mut Worker<T>,
        sample: usize,
        i: usize,
    ) -> Result<Checked, Refusal> {
        let mut target = None;
        if self.class_ids {
            let (id, classes) = (worker.ids[i], self.batch.classes);
            if self.ignored == Some(id) {
                worker.weights[i] = 0.0;
                return Ok(Checked::Ignored);
            }
            target = usize::try_from(id).ok().filter(|&id| id < classes);
            if target.is_none() {
                return Err(Refusal {
                    argument: Argument::YTrue,
                    position: sample,
                    found: Found::ClassId { id, classes },
                });
            }
        }
        let mut elements = self.elements(sample, target, &mut worker.buffers);
        if self.labels_in_unit_interval {
            elements.check_unit_interval(Argument::YTrue)?;
        }
        if self.predictions_in_unit_interval {
            elements.check_unit_interval(Argument::YPred)?;
        }
        let weight = worker.weights[i];
        if weight < 0.0 {
            return Err(Refusal {
                argument: Argument::SampleWeight,
                position: sample,
                found: Found::Negative(weight),
            });
        }
        worker.totals.count += 1;
        Ok(Checked::Counted { target, weight })
    }

    /// The weighted value of a row; its derivatives are written.
    fn row<T: Summed>(
        &self,
        worker: &mut Worker<T>,
        plan: &Plan<'_>,
        sample: usize,
        checked: Checked,
    ) -> T {
        let Checked::Counted { target, weight } = checked else {
            let mut elements = self.elements(sample, None, &mut worker.buffers);
            for out in [&plan.gradient, &plan.hessian].into_iter().flatten() {
                elements.fill(out, 0.0);
            }
            return T::default();
        };
        let derivatives = plan.gradient.as_ref().map(|gradient| Derivatives {
            gradient,
            hessian: plan.hessian.as_ref(),
            factor: weight * plan.scale,
        });
        let elements = self.elements(sample, target, &mut worker.buffers);
        let value = self.kernel.evaluate(elements, derivatives);
        let weighted = value.times(Twofold::from(weight));
        let sum = weighted.high + weighted.low;
        // A NaN that arises has another sign on another CPU.
        T::nearest(if sum.is_nan() { f64::NAN } else { sum })
    }

    fn elements<'b>(
        &'b self,
        sample: usize,
        target: Option<usize>,
        buffers: &'b mut Buffers,
    ) -> Elements<'b, S> {
        Elements::new(
            self.simd,
            self.batch,
            sample,
            target,
            self.per_class,
            buffers,
        )
    }
}
