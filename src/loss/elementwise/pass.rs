//! The block loop of elementwise losses: checks, weights, exact sums, gradients into place, threads.
//!
//! A block of operands is converted to the computation type, evaluated into first-level cache, weighted,
//! rounded once to the type of the per-sample values, and added exactly. Gradients are scaled and
//! written in the same pass, straight to where the caller wants them, which may be `y_pred` itself: the
//! whole block has been read by then. Memory is a few blocks for each thread.

use super::super::call::{Argument, Batch, FirstRefusal, LossError, Refusal, Request};
use super::super::reduction::{Reduction, Scale, Totals};
use super::blocks::{Buffers, Wanted, exceeds_f32, load, narrow, outside, room};
use super::computed::{Computed, weigh_values};
use super::{Block, Domain, Domains, Kernels, Summed};
use crate::driver::floating_point::FloatingPointGuard;
use crate::driver::operand::OperandMut;
use crate::driver::threads::parallel;
use crate::dtype::{Dtype, Real};
use crate::lanes::Token;
use crate::reduction::exact::{self, ExactSum, Window};

/// Elements of a block: what the exact sum takes at a time.
const BLOCK: usize = exact::BLOCK;

/// Elements a thread takes at a time, some 20 µs of work.
const GRAIN: usize = 16 * BLOCK;

type KeepGoing<'a> = &'a dyn Fn() -> bool;

/// What a thread has of its own.
struct Worker<T, N> {
    totals: Totals,
    buffers: Buffers<T>,
    /// For labels that do not fit into `T`.
    exact: Buffers<f64>,
    weights: Vec<f64>,
    values: Vec<N>,
    window: Window,
}

impl<T: Real, N> Worker<T, N> {
    fn new() -> Self {
        Self {
            totals: Totals::new(),
            buffers: Buffers::new(),
            exact: Buffers::new(),
            weights: Vec::new(),
            values: Vec::new(),
            window: Window::ORDINARY,
        }
    }
}

pub(super) struct Pass<'a, S: Token> {
    pub(super) simd: S,
    pub(super) kernels: &'a dyn Kernels<S>,
    pub(super) domains: Domains,
    pub(super) batch: &'a Batch<'a>,
}

/// What the main pass does with each block.
struct Plan<'a> {
    wanted: Wanted,
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
        let (plan, mut totals) = match request {
            Request::Value { values } => {
                let plan = Plan {
                    wanted: Wanted::Value,
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
                if keep_if_refused {
                    self.check(keep_going)?;
                }
                // The divisor of the mean is needed before the first gradient.
                let weigh_first = weighted && (keep_if_refused || reduction == Reduction::Mean);
                let totals = if weigh_first {
                    self.weigh(keep_going)?
                } else {
                    self.before_weights(n)
                };
                let plan = Plan {
                    wanted: Wanted::ValueAndGradient,
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
                    wanted: Wanted::GradientAndHessian,
                    values: None,
                    gradient: Some(gradient),
                    hessian: Some(hessian),
                    scale: Scale::ONE,
                    add_weights: false,
                };
                (plan, Totals::new())
            }
        };
        self.blocks(
            keep_going,
            Worker::<T, N>::new,
            |worker, start, n| self.block(worker, &plan, start, n),
            |worker| totals.merge(&worker.totals),
        )?;
        Ok(totals)
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

    /// Pass over all elements in blocks, on all threads, up to the first refusal; then `finish` each
    /// thread's worker.
    fn blocks<W: Send>(
        &self,
        keep_going: KeepGoing<'_>,
        worker: impl Fn() -> W + Sync,
        block: impl Fn(&mut W, usize, usize) -> Result<(), Refusal> + Sync,
        mut finish: impl FnMut(W),
    ) -> Result<(), LossError> {
        let n = self.batch.y_pred.len();
        if n <= GRAIN {
            let _environment = FloatingPointGuard::new();
            let mut worker = worker();
            for start in (0..n).step_by(BLOCK) {
                block(&mut worker, start, BLOCK.min(n - start)).map_err(LossError::Refused)?;
            }
            finish(worker);
            return Ok(());
        }
        let refused = FirstRefusal::default();
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
        workers.into_iter().for_each(finish);
        Ok(())
    }

    /// Check all operands but the weights.
    fn check(&self, keep_going: KeepGoing<'_>) -> Result<(), LossError> {
        let (batch, domains) = (self.batch, self.domains);
        let restricted = [
            (Argument::YTrue, domains.y_true, Some(&batch.y_true)),
            (Argument::YPred, domains.y_pred, Some(&batch.y_pred)),
            (
                Argument::Parameter,
                domains.parameter,
                batch.parameter.as_ref(),
            ),
        ]
        .into_iter()
        .filter(|(_, domain, _)| *domain != Domain::All)
        .filter_map(|(argument, domain, operand)| Some((argument, domain, operand?)))
        .collect::<Vec<_>>();
        if restricted.is_empty() {
            return Ok(());
        }
        self.blocks(
            keep_going,
            Vec::<f64>::new,
            |buffer, start, n| {
                for &(argument, domain, operand) in &restricted {
                    let block = load(self.simd, operand, start, n, buffer);
                    self.check_block(argument, domain, start, block)?;
                }
                Ok(())
            },
            drop,
        )
    }

    fn check_block<T: Real>(
        &self,
        argument: Argument,
        domain: Domain,
        start: usize,
        block: &[T],
    ) -> Result<(), Refusal> {
        match outside(self.simd, domain, argument, start, block) {
            Some(refusal) => Err(refusal),
            None => Ok(()),
        }
    }

    /// Check and add the weights.
    fn weigh(&self, keep_going: KeepGoing<'_>) -> Result<Totals, LossError> {
        let mut totals = self.before_weights(self.batch.y_pred.len());
        self.blocks(
            keep_going,
            || (ExactSum::new(), Vec::new()),
            |(sum, buffer), start, n| self.weights(Some(sum), buffer, start, n).map(|_| ()),
            |(sum, _)| totals.weight.merge(&sum),
        )?;
        Ok(totals)
    }

    /// The weights of a block, checked, and added to `sum` if there is one.
    fn weights<'b>(
        &'b self,
        sum: Option<&mut ExactSum>,
        buffer: &'b mut Vec<f64>,
        start: usize,
        n: usize,
    ) -> Result<Option<&'b [f64]>, Refusal> {
        let Some(operand) = &self.batch.sample_weight else {
            return Ok(None);
        };
        let weights = load(self.simd, operand, start, n, buffer);
        self.check_block(Argument::SampleWeight, Domain::NotNegative, start, weights)?;
        if let Some(sum) = sum {
            sum.add_f64_slice(self.simd, weights);
        }
        Ok(Some(weights))
    }

    /// The parameter of a block, if the formula uses it: ones where the batch has none.
    fn parameter<'b, T: Real>(&'b self, start: usize, n: usize, buffer: &'b mut Vec<T>) -> &'b [T] {
        if !self.kernels.uses_parameter() {
            return &[];
        }
        if let Some(operand) = &self.batch.parameter {
            return load(self.simd, operand, start, n, buffer);
        }
        let ones = &mut room(buffer, n)[..n];
        ones.fill(T::nearest(1.0));
        ones
    }

    /// One block of the main pass.
    fn block<T: Computed, N: Computed>(
        &self,
        worker: &mut Worker<T, N>,
        plan: &Plan<'_>,
        start: usize,
        n: usize,
    ) -> Result<(), Refusal> {
        let (simd, batch, domains) = (self.simd, self.batch, self.domains);
        let Buffers {
            operands,
            first,
            second,
        } = &mut worker.buffers;
        let mut representable = true;
        let y_true = if T::DTYPE == Dtype::Float32 && exceeds_f32(batch.y_true.dtype()) {
            let exact = &mut worker.exact.operands.y_true;
            let exact = load(simd, &batch.y_true, start, n, exact);
            self.check_block(Argument::YTrue, domains.y_true, start, exact)?;
            let rounded = &mut room(&mut operands.y_true, n)[..n];
            representable = narrow(simd, exact, rounded);
            rounded
        } else {
            let y_true = load(simd, &batch.y_true, start, n, &mut operands.y_true);
            self.check_block(Argument::YTrue, domains.y_true, start, y_true)?;
            y_true
        };
        let y_pred = load(simd, &batch.y_pred, start, n, &mut operands.y_pred);
        self.check_block(Argument::YPred, domains.y_pred, start, y_pred)?;
        let parameter = self.parameter(start, n, &mut operands.parameter);
        self.check_block(Argument::Parameter, domains.parameter, start, parameter)?;
        let sum = plan.add_weights.then_some(&mut worker.totals.weight);
        let weights = self.weights(sum, &mut worker.weights, start, n)?;
        let only_the_sum = plan.wanted == Wanted::Value && plan.values.is_none();
        if only_the_sum && representable && weights.is_none() {
            let sum = Summed {
                sum: &mut worker.totals.sum,
                window: &mut worker.window,
            };
            if T::add_values(self.kernels, simd, y_true, y_pred, sum) {
                return Ok(());
            }
        }
        let target = plan
            .gradient
            .as_ref()
            .and_then(|target| target.as_mut_ptr(start, n));
        T::evaluate(
            self.kernels,
            simd,
            Block {
                y_true,
                y_pred,
                parameter,
                target: target.map_or(y_pred.as_ptr(), <*mut T>::cast_const),
                results: plan.wanted.results(first, second, n),
            },
        );
        if !representable {
            self.correct(&mut worker.exact, plan.wanted, start, y_true, first, second);
        }

        let first = &mut first[..n];
        if let (Some(gradient), Some(hessian)) = (&plan.gradient, &plan.hessian) {
            self.derivative(gradient, start, first, Scale::ONE, weights);
            self.derivative(hessian, start, &mut second[..n], Scale::ONE, weights);
            return Ok(());
        }
        let values = match N::alike(first) {
            Some(values) if weights.is_none() => values,
            _ => {
                let values = &mut room(&mut worker.values, n)[..n];
                weigh_values(simd, first, weights, values);
                values
            }
        };
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

    /// Replace the results of labels that were rounded: `1 - y` would keep few digits of a soft label.
    #[cold]
    #[inline(never)]
    fn correct<T: Computed>(
        &self,
        exact: &mut Buffers<f64>,
        wanted: Wanted,
        start: usize,
        rounded: &[T],
        first: &mut [T],
        second: &mut [T],
    ) {
        let (simd, batch, n) = (self.simd, self.batch, rounded.len());
        let operands = &mut exact.operands;
        let y_true = load(simd, &batch.y_true, start, n, &mut operands.y_true);
        let y_pred = load(simd, &batch.y_pred, start, n, &mut operands.y_pred);
        let parameter = self.parameter(start, n, &mut operands.parameter);
        let results = wanted.results(&mut exact.first, &mut exact.second, n);
        let block = Block {
            y_true,
            y_pred,
            parameter,
            target: y_pred.as_ptr(),
            results,
        };
        self.kernels.double(simd, block);
        for (i, (&rounded, &label)) in rounded.iter().zip(y_true).enumerate() {
            if rounded.into() != label {
                first[i] = T::nearest(exact.first[i]);
                if wanted != Wanted::Value {
                    second[i] = T::nearest(exact.second[i]);
                }
            }
        }
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
