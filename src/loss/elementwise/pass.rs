//! The block loop of elementwise losses: checks, weights, exact sums, gradients into place, threads.
//!
//! A block of operands is converted to the computation type, evaluated into first-level cache, weighted,
//! rounded once to the type of the per-sample values, and added exactly. Gradients are scaled and
//! written in the same pass, straight to where the caller wants them, which may be `y_pred` itself: the
//! whole block has been read by then. Memory is a few blocks for each thread.

use super::super::call::{Argument, Batch, FirstRefusal, Found, LossError, Refusal, Request};
use super::super::reduction::{Reduction, Scale, Totals};
use super::computed::{Computed, weigh_values};
use super::{Block, Kernels, Results, UnitInterval};
use crate::driver::operand::{Operand, OperandMut};
use crate::driver::threads::parallel;
use crate::dtype::Real;
use crate::lanes::Token;
use crate::reduction::exact::{self, ExactSum};

/// Elements of a block: what the exact sum takes at a time.
const BLOCK: usize = exact::BLOCK;

/// Elements a thread takes at a time, some 20 µs of work.
const GRAIN: usize = 16 * BLOCK;

type KeepGoing<'a> = &'a dyn Fn() -> bool;

/// What a thread has of its own.
struct Worker<T, N> {
    totals: Totals,
    y_true: Vec<T>,
    y_pred: Vec<T>,
    parameter: Vec<T>,
    weights: Vec<f64>,
    first: Vec<T>,
    second: Vec<T>,
    values: Vec<N>,
}

impl<T, N> Worker<T, N> {
    fn new() -> Self {
        Self {
            totals: Totals::new(),
            y_true: Vec::new(),
            y_pred: Vec::new(),
            parameter: Vec::new(),
            weights: Vec::new(),
            first: Vec::new(),
            second: Vec::new(),
            values: Vec::new(),
        }
    }
}

/// The buffer with room for `n` elements, in whole vectors.
fn room<T: Default + Clone>(buffer: &mut Vec<T>, n: usize) -> &mut [T] {
    let size = n.next_multiple_of(16);
    if buffer.len() < size {
        buffer.resize(size, T::default());
    }
    &mut buffer[..size]
}

/// The elements `start .. start + n` of an operand, through the buffer unless they lie as a slice.
fn load<'b, S: Token, T: Real>(
    simd: S,
    operand: &Operand<'b>,
    start: usize,
    n: usize,
    buffer: &'b mut Vec<T>,
) -> &'b [T] {
    if let Some(slice) = operand.as_slice(start, n) {
        return slice;
    }
    let buffer = &mut room(buffer, n)[..n];
    operand.read(simd, start, buffer);
    buffer
}

/// A refusal of an element of a block.
fn refuse<T: Real>(
    argument: Argument,
    start: usize,
    block: &[T],
    bad: impl Fn(f64) -> bool,
    found: impl Fn(f64) -> Found,
) -> Option<Refusal> {
    block
        .iter()
        .map(|&value| value.into())
        .enumerate()
        .find(|&(_, value)| bad(value))
        .map(|(i, value)| Refusal {
            argument,
            position: start + i,
            found: found(value),
        })
}

/// The first element outside `[0, 1]`.
fn outside_unit_interval<S: Token, T: Real>(
    simd: S,
    argument: Argument,
    start: usize,
    block: &[T],
) -> Option<Refusal> {
    let (zero, one) = (T::nearest(0.0), T::nearest(1.0));
    let count = simd.vectorize(
        #[inline(always)]
        || {
            block.iter().fold(0_u32, |count, &value| {
                count + u32::from(value < zero) + u32::from(value > one)
            })
        },
    );
    if count == 0 {
        return None;
    }
    let bad = |value: f64| !(0.0..=1.0).contains(&value) && !value.is_nan();
    refuse(argument, start, block, bad, Found::OutsideUnitInterval)
}

/// The first weight below 0.
fn negative<S: Token>(simd: S, start: usize, block: &[f64]) -> Option<Refusal> {
    let count = simd.vectorize(
        #[inline(always)]
        || {
            block
                .iter()
                .fold(0_u32, |count, &value| count + u32::from(value < 0.0))
        },
    );
    if count == 0 {
        return None;
    }
    let bad = |value: f64| value < 0.0;
    refuse(Argument::SampleWeight, start, block, bad, Found::Negative)
}

pub(super) struct Pass<'a, S: Token> {
    pub(super) simd: S,
    pub(super) kernels: &'a dyn Kernels<S>,
    pub(super) domain: UnitInterval,
    pub(super) batch: &'a Batch<'a>,
}

/// What the main pass does with each block.
struct Plan<'a> {
    values: Option<OperandMut<'a>>,
    gradient: Option<OperandMut<'a>>,
    hessian: Option<OperandMut<'a>>,
    scale: Scale,
    add_weights: bool,
}

impl<S: Token> Pass<'_, S> {
    /// Compute in `T`; the values are `N`s.
    pub(super) fn run<T: Computed, N: Computed>(
        &self,
        request: Request<'_>,
        keep_going: KeepGoing<'_>,
    ) -> Result<Totals, LossError> {
        let n = self.batch.y_pred.len();
        let weighted = self.batch.sample_weight.is_some();
        let (plan, totals) = match request {
            Request::Value { values } => {
                let plan = Plan {
                    values,
                    gradient: None,
                    hessian: None,
                    scale: Scale::ONE,
                    add_weights: weighted,
                };
                (plan, self.before_weights(n))
            }
            Request::ValueAndGradient {
                values,
                gradient,
                reduction,
                keep_if_refused,
            } => {
                if keep_if_refused && (self.domain.y_true || self.domain.y_pred) {
                    self.check::<T>(keep_going)?;
                }
                // The divisor of the mean is needed before the first gradient.
                let weigh_first = weighted && (keep_if_refused || reduction == Reduction::Mean);
                let totals = if weigh_first {
                    self.weigh(keep_going)?
                } else {
                    self.before_weights(n)
                };
                let plan = Plan {
                    values,
                    gradient: Some(gradient),
                    hessian: None,
                    scale: totals.gradient_scale(reduction),
                    add_weights: weighted && !weigh_first,
                };
                (plan, totals)
            }
            Request::GradientHessian { gradient, hessian } => {
                let plan = Plan {
                    values: None,
                    gradient: Some(gradient),
                    hessian: Some(hessian),
                    scale: Scale::ONE,
                    add_weights: false,
                };
                (plan, Totals::new())
            }
        };
        let workers = self.blocks(keep_going, Worker::<T, N>::new, |worker, start, n| {
            self.block(worker, &plan, start, n)
        })?;
        Ok(workers.iter().fold(totals, |mut totals, worker| {
            totals.merge(&worker.totals);
            totals
        }))
    }

    /// The totals of `n` elements but for their values, and but for their weights where they have any.
    fn before_weights(&self, n: usize) -> Totals {
        Totals {
            weight: match self.batch.sample_weight {
                None => ExactSum::from(n as u64),
                Some(_) => ExactSum::new(),
            },
            count: n as u64,
            ..Totals::new()
        }
    }

    /// Pass over all elements in blocks, on all threads, up to the first refusal.
    fn blocks<W: Send>(
        &self,
        keep_going: KeepGoing<'_>,
        worker: impl Fn() -> W + Sync,
        block: impl Fn(&mut W, usize, usize) -> Result<(), Refusal> + Sync,
    ) -> Result<Vec<W>, LossError> {
        let refused = FirstRefusal::default();
        let n = self.batch.y_pred.len();
        let workers = parallel(n, GRAIN, keep_going, worker, |worker, range| {
            for start in range.clone().step_by(BLOCK) {
                if refused.precedes(start) {
                    return;
                }
                if let Err(refusal) = block(worker, start, BLOCK.min(range.end - start)) {
                    refused.note(refusal.position, refusal);
                    return;
                }
            }
        })?;
        refused.into_result()?;
        Ok(workers)
    }

    /// Check all operands but the weights.
    fn check<T: Computed>(&self, keep_going: KeepGoing<'_>) -> Result<(), LossError> {
        self.blocks(keep_going, Worker::<T, T>::new, |worker, start, n| {
            let batch = self.batch;
            if self.domain.y_true {
                let y_true = load(self.simd, &batch.y_true, start, n, &mut worker.y_true);
                self.check_block(Argument::YTrue, start, y_true)?;
            }
            if self.domain.y_pred {
                let y_pred = load(self.simd, &batch.y_pred, start, n, &mut worker.y_pred);
                self.check_block(Argument::YPred, start, y_pred)?;
            }
            Ok(())
        })?;
        Ok(())
    }

    fn check_block<T: Real>(
        &self,
        argument: Argument,
        start: usize,
        block: &[T],
    ) -> Result<(), Refusal> {
        match outside_unit_interval(self.simd, argument, start, block) {
            Some(refusal) => Err(refusal),
            None => Ok(()),
        }
    }

    /// Check and add the weights.
    fn weigh(&self, keep_going: KeepGoing<'_>) -> Result<Totals, LossError> {
        let mut totals = self.before_weights(self.batch.y_pred.len());
        let workers = self.blocks(
            keep_going,
            || (ExactSum::new(), Vec::new()),
            |(sum, buffer), start, n| self.weights(sum, buffer, start, n).map(|_| ()),
        )?;
        for (sum, _) in workers {
            totals.weight.merge(&sum);
        }
        Ok(totals)
    }

    /// The weights of a block, checked and added to `sum`.
    fn weights<'b>(
        &'b self,
        sum: &mut ExactSum,
        buffer: &'b mut Vec<f64>,
        start: usize,
        n: usize,
    ) -> Result<Option<&'b [f64]>, Refusal> {
        let Some(operand) = &self.batch.sample_weight else {
            return Ok(None);
        };
        let weights = load(self.simd, operand, start, n, buffer);
        if let Some(refusal) = negative(self.simd, start, weights) {
            return Err(refusal);
        }
        sum.add_f64_slice(self.simd, weights);
        Ok(Some(weights))
    }

    /// One block of the main pass.
    fn block<T: Computed, N: Computed>(
        &self,
        worker: &mut Worker<T, N>,
        plan: &Plan<'_>,
        start: usize,
        n: usize,
    ) -> Result<(), Refusal> {
        let (simd, batch) = (self.simd, self.batch);
        let y_true = load(simd, &batch.y_true, start, n, &mut worker.y_true);
        if self.domain.y_true {
            self.check_block(Argument::YTrue, start, y_true)?;
        }
        let y_pred = load(simd, &batch.y_pred, start, n, &mut worker.y_pred);
        if self.domain.y_pred {
            self.check_block(Argument::YPred, start, y_pred)?;
        }
        let parameter = batch
            .parameter
            .as_ref()
            .map(|operand| load(simd, operand, start, n, &mut worker.parameter));
        let weights = if plan.add_weights {
            self.weights(&mut worker.totals.weight, &mut worker.weights, start, n)?
        } else {
            match &batch.sample_weight {
                None => None,
                Some(operand) => {
                    let weights = load(simd, operand, start, n, &mut worker.weights);
                    match negative(simd, start, weights) {
                        Some(refusal) => return Err(refusal),
                        None => Some(weights),
                    }
                }
            }
        };
        let first = room(&mut worker.first, n);
        let derivatives = plan.gradient.is_some();
        let second = room(&mut worker.second, if derivatives { n } else { 0 });
        let results = match (&plan.gradient, &plan.hessian) {
            (None, _) => Results::Value(first),
            (Some(_), None) => Results::ValueAndGradient(first, second),
            (Some(_), Some(_)) => Results::GradientAndHessian(first, second),
        };
        T::evaluate(
            self.kernels,
            simd,
            Block {
                y_true,
                y_pred,
                parameter,
                results,
            },
        );

        let (first, second) = (&mut worker.first[..n], &mut worker.second);
        if let (Some(gradient), Some(hessian)) = (&plan.gradient, &plan.hessian) {
            self.derivative(gradient, start, first, Scale::ONE, weights);
            self.derivative(hessian, start, &mut second[..n], Scale::ONE, weights);
            return Ok(());
        }
        let values = &mut room(&mut worker.values, n)[..n];
        weigh_values(simd, first, weights, values);
        N::add_to(&mut worker.totals.sum, simd, values);
        if let Some(target) = &plan.values {
            // SAFETY: these elements belong to this block, and no other thread has the block.
            unsafe { target.write(simd, start, values) };
        }
        if let Some(gradient) = &plan.gradient {
            self.derivative(gradient, start, &mut second[..n], plan.scale, weights);
        }
        Ok(())
    }

    /// Scale a block of derivatives and write it.
    fn derivative<T: Computed>(
        &self,
        target: &OperandMut<'_>,
        start: usize,
        block: &mut [T],
        scale: Scale,
        weights: Option<&[f64]>,
    ) {
        if scale != Scale::ONE || weights.is_some() {
            T::scale(self.simd, block, scale, weights);
        }
        // SAFETY: these elements belong to this block, no other thread has the block, and it has been
        // read if it is one of `y_pred`.
        unsafe { target.write(self.simd, start, block) };
    }
}
