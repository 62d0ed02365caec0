//! Elementwise losses: one definition of value, gradient and Hessian.
//!
//! The definition is compiled for each level and computation type into the three kernels here; the
//! block loop that feeds them (`pass.rs`) reaches them by a `dyn` call for each block, and so is compiled
//! once for a level, not once for a loss.

mod blocks;
mod computed;
mod pass;
#[cfg(test)]
mod tests;

use super::Loss;
use super::call::{Batch, Labels, LossError, Request};
use super::options::{OptionError, Options};
use super::reduction::Totals;
use crate::driver::kernel::{BLOCK, Sizes, canonical_nan, sizes};
use crate::dtype::{Dtype, Real};
use crate::lanes::{Lanes, Token, prefetch};
use crate::level::{Level, OnLevel};
use crate::reduction::exact::{Assumed, ExactSum, Window};
use fearless_simd::f32x16;
use fearless_simd::prelude::*;
use pass::Pass;
use std::slice::ChunksExactMut;

/// The operands of one element, in lanes, or what there is for each of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Element<V> {
    /// Label or target.
    pub y_true: V,
    /// Prediction.
    pub y_pred: V,
    /// The further operand of the batch, 1 where there is none.
    pub parameter: V,
}

/// The numbers that an operand may hold. NaN passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Domain {
    /// Any number.
    #[default]
    All,
    /// Probabilities: `[0, 1]`.
    UnitInterval,
    /// Counts, rates, variances, weights: from 0 on.
    NotNegative,
    /// Where `log(1 + x)` is finite.
    AboveMinusOne,
    /// Yes or no: 1, and -1 or 0.
    Signs,
}

/// The domains of the operands of a loss.
pub type Domains = Element<Domain>;

/// A loss that is a sum over elements of a function of `y_true` and `y_pred`.
pub trait ElementwiseLoss: Options {
    /// Whether `y_true` is a target, and so takes part in the choice of the computation type.
    const REGRESSION: bool;

    /// What the operands may hold.
    fn domains(&self) -> Domains {
        Domains::default()
    }

    /// See [`Loss::operand`].
    fn operand_name(&self) -> Option<&'static str> {
        None
    }

    /// See [`Loss::check`].
    ///
    /// # Errors
    /// When an option is out of range.
    fn check_options(&self) -> Result<(), OptionError> {
        Ok(())
    }

    /// See [`Loss::per_label`].
    fn per_label_option(&self) -> Option<(&'static str, &[f64])> {
        None
    }

    /// The formula that these options select.
    fn kernel<S: Token>(&self) -> Kernel<S>;
}

/// A loss of one element and its derivatives, without weight. NaN operands must give NaN.
///
/// Options that choose between formulas make different types of this trait, so that a kernel branches on
/// none; numbers are its fields.
pub trait Formula: Copy + Send + Sync + 'static {
    /// Whether the kernel needs `f64` lanes for `f32` operands, because of options that are `f64`
    /// numbers or of a formula that loses digits.
    const IN_DOUBLE: bool = false;

    /// Whether [`Element::parameter`] is used.
    const PARAMETER: bool = false;

    /// The loss.
    fn value<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V;

    /// Whether `f32` values are added up in the loop that computes them. It pays where that loop waits for
    /// memory, and costs where it lacks registers. For formulas without parameter that are never negative.
    const SUMMED_AT_ONCE: bool = false;

    /// What `value` gives if that is below `2^124`, and nothing below otherwise.
    #[inline(always)]
    fn value_of_common<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        self.value(simd, at)
    }

    /// Where `near_value` and `near_gradient` may stand for `value` and `gradient`: in blocks of `f32` whose
    /// predictions are below this everywhere, by absolute value. For formulas without parameter.
    const NEAR: Option<f32> = None;

    /// The same bits as `value`, faster, for predictions that are near.
    #[inline(always)]
    fn near_value<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        self.value(simd, at)
    }

    /// The same bits as `gradient`, faster, for predictions that are near.
    #[inline(always)]
    fn near_gradient<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        self.gradient(simd, at)
    }

    /// Its derivative with respect to `y_pred`.
    fn gradient<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V;

    /// Its second derivative.
    fn hessian<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V;
}

impl<L: ElementwiseLoss> Loss for L {
    fn check(&self) -> Result<(), OptionError> {
        self.check_options()
    }

    fn labels(&self) -> Labels {
        Labels::Elements
    }

    fn promotes(&self) -> bool {
        L::REGRESSION
    }

    fn per_label(&self) -> Option<(&'static str, &[f64])> {
        self.per_label_option()
    }

    fn operand(&self) -> Option<&'static str> {
        self.operand_name()
    }

    fn evaluate(
        &self,
        level: Level,
        batch: &Batch<'_>,
        request: Request<'_>,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<Totals, LossError> {
        level.dispatch(Evaluation {
            loss: self,
            batch,
            request,
            keep_going,
        })
    }
}

struct Evaluation<'a, L> {
    loss: &'a L,
    batch: &'a Batch<'a>,
    request: Request<'a>,
    keep_going: &'a dyn Fn() -> bool,
}

impl<L: ElementwiseLoss> OnLevel for Evaluation<'_, L> {
    type Output = Result<Totals, LossError>;

    fn run<S: Token>(self, simd: S) -> Self::Output {
        let Kernel(kernels) = self.loss.kernel::<S>();
        let pass = Pass {
            simd,
            kernels: &*kernels,
            domains: self.loss.domains(),
            batch: self.batch,
        };
        if self.batch.double {
            pass.run::<f64, f64>(self.request, self.keep_going)
        } else if kernels.in_double() {
            pass.run::<f64, f32>(self.request, self.keep_going)
        } else {
            pass.run::<f32, f32>(self.request, self.keep_going)
        }
    }
}

/// A block of operands, and where the results go: buffers of whole vectors.
struct Block<'a, T> {
    y_true: &'a [T],
    y_pred: &'a [T],
    /// Empty if the formula does not use it.
    parameter: &'a [T],
    /// Where the derivatives will be written to, which is asked for meanwhile; never accessed.
    target: *const T,
    results: Results<'a, T>,
}

enum Results<'a, T> {
    Value(&'a mut [T]),
    ValueAndGradient(&'a mut [T], &'a mut [T]),
    GradientAndHessian(&'a mut [T], &'a mut [T]),
}

/// A [`Formula`] compiled for the level `S`.
pub struct Kernel<S: Token>(Box<dyn Kernels<S>>);

impl<S: Token> Kernel<S> {
    /// The kernel of a formula.
    #[must_use]
    pub fn of<F: Formula>(formula: F) -> Self {
        Self(Box::new(formula))
    }
}

/// What a [`Kernel`] holds.
trait Kernels<S: Token>: Send + Sync {
    fn in_double(&self) -> bool;
    fn uses_parameter(&self) -> bool;
    fn single(&self, simd: S, block: Block<'_, f32>);
    fn double(&self, simd: S, block: Block<'_, f64>);
    /// Add the values to the sum. False where that was not done.
    fn single_summed(&self, simd: S, y_true: &[f32], y_pred: &[f32], sum: Summed<'_>) -> bool;
}

/// An exact sum, and where the values of the next block are assumed to lie.
struct Summed<'a> {
    sum: &'a mut ExactSum,
    window: &'a mut Window,
}

impl<S: Token, F: Formula> Kernels<S> for F {
    fn in_double(&self) -> bool {
        F::IN_DOUBLE
    }
    fn uses_parameter(&self) -> bool {
        F::PARAMETER
    }
    fn single(&self, simd: S, block: Block<'_, f32>) {
        // Not compiled where it is not called.
        if F::IN_DOUBLE {
            unreachable!("this formula is computed in f64")
        }
        evaluate(*self, simd, block);
    }
    fn double(&self, simd: S, block: Block<'_, f64>) {
        evaluate(*self, simd, block);
    }
    fn single_summed(&self, simd: S, y_true: &[f32], y_pred: &[f32], sum: Summed<'_>) -> bool {
        F::SUMMED_AT_ONCE
            && sum.window.invites()
            && evaluate_summed(*self, simd, y_true, y_pred, sum)
    }
}

/// The values themselves are kept nowhere.
fn evaluate_summed<S: Token, F: Formula>(
    formula: F,
    simd: S,
    y_true: &[f32],
    y_pred: &[f32],
    sum: Summed<'_>,
) -> bool {
    simd.vectorize(
        #[inline(always)]
        move || {
            let formula = formula;
            let mut assumed = Assumed::new(simd, *sum.window);
            let (y_true, last_true) = y_true.as_chunks::<16>();
            let (y_pred, last_pred) = y_pred.as_chunks::<16>();
            if let Some(bound) = F::NEAR {
                const VECTORS: usize = BLOCK / 16;
                for (y_true, y_pred) in y_true.chunks(VECTORS).zip(y_pred.chunks(VECTORS)) {
                    let predictions = y_pred.iter().map(
                        #[inline(always)]
                        |lanes| f32x16::load_array_ref(simd, lanes),
                    );
                    if sizes(simd, f64::from(bound), predictions) == Sizes::Below {
                        add_values(
                            simd,
                            &mut assumed,
                            (y_true, y_pred),
                            #[inline(always)]
                            |at| formula.near_value(simd, at),
                        );
                    } else {
                        add_values(
                            simd,
                            &mut assumed,
                            (y_true, y_pred),
                            #[inline(always)]
                            |at| formula.value_of_common(simd, at),
                        );
                    }
                }
            } else {
                add_values(
                    simd,
                    &mut assumed,
                    (y_true, y_pred),
                    #[inline(always)]
                    |at| formula.value_of_common(simd, at),
                );
            }
            if !last_pred.is_empty() {
                let value = formula.value_of_common(
                    simd,
                    Element {
                        y_true: load_lanes::<S, f32>(simd, last_true),
                        y_pred: load_lanes::<S, f32>(simd, last_pred),
                        parameter: f32x16::splat(simd, 1.0),
                    },
                );
                // Without what the formula makes of zeros.
                let value = &value.as_slice()[..last_pred.len()];
                assumed.add(simd, load_lanes::<S, f32>(simd, value));
            }
            assumed.finish(simd, sum.sum, sum.window)
        },
    )
}

/// Add the values of whole vectors.
#[inline(always)]
fn add_values<S: Token>(
    simd: S,
    assumed: &mut Assumed<S>,
    (y_true, y_pred): (&[[f32; 16]], &[[f32; 16]]),
    value: impl Fn(Element<f32x16<S>>) -> f32x16<S>,
) {
    for (y_true, y_pred) in y_true.iter().zip(y_pred) {
        prefetch_ahead(y_true);
        prefetch_ahead(y_pred);
        let value = value(Element {
            y_true: f32x16::load_array_ref(simd, y_true),
            y_pred: f32x16::load_array_ref(simd, y_pred),
            parameter: f32x16::splat(simd, 1.0),
        });
        assumed.add(simd, value);
    }
}

/// Ask for operands some vectors ahead: within a block the CPU would see them coming, but blocks are short.
#[inline(always)]
fn prefetch_ahead<T>(vector: &[T]) {
    prefetch(vector.as_ptr().wrapping_byte_add(2048));
}

fn evaluate<S: Token, F: Formula, T: Real>(formula: F, simd: S, block: Block<'_, T>) {
    simd.vectorize(
        #[inline(always)]
        move || {
            // A copy on this side of the call, whose fields can stay in registers.
            let formula = formula;
            let Block {
                y_true,
                y_pred,
                parameter,
                target,
                results,
            } = block;
            let inputs = (y_true, y_pred, parameter, target);
            match results {
                Results::Value(value) => by_distance::<S, F, T, 1>(
                    simd,
                    inputs,
                    [value],
                    #[inline(always)]
                    |at| [value_of(formula, simd, at)],
                    #[inline(always)]
                    |at| [formula.near_value(simd, at)],
                ),
                Results::ValueAndGradient(value, gradient) => by_distance::<S, F, T, 2>(
                    simd,
                    inputs,
                    [value, gradient],
                    #[inline(always)]
                    |at| [value_of(formula, simd, at), gradient_of(formula, simd, at)],
                    #[inline(always)]
                    |at| {
                        [
                            formula.near_value(simd, at),
                            formula.near_gradient(simd, at),
                        ]
                    },
                ),
                Results::GradientAndHessian(gradient, hessian) => on_lanes::<S, F, T, 2>(
                    simd,
                    inputs,
                    [gradient, hessian],
                    #[inline(always)]
                    |at| {
                        let hessian = simd.outline(
                            #[inline(always)]
                            move || formula.hessian(simd, at),
                        );
                        [gradient_of(formula, simd, at), hessian]
                    },
                ),
            }
        },
    );
}

/// The value, in one copy for all requests on levels that outline.
#[inline(always)]
fn value_of<S: Token, F: Formula, V: Lanes<S>>(formula: F, simd: S, at: Element<V>) -> V {
    simd.outline(
        #[inline(always)]
        move || formula.value(simd, at),
    )
}

/// The derivative; see [`value_of`].
#[inline(always)]
fn gradient_of<S: Token, F: Formula, V: Lanes<S>>(formula: F, simd: S, at: Element<V>) -> V {
    simd.outline(
        #[inline(always)]
        move || formula.gradient(simd, at),
    )
}

/// The operands of a block, and where its derivatives will be written to.
type Inputs<'a, T> = (&'a [T], &'a [T], &'a [T], *const T);

/// Apply `near` in blocks whose predictions all are, and `function` elsewhere.
#[inline(always)]
fn by_distance<S: Token, F: Formula, T: Real, const OUTPUTS: usize>(
    simd: S,
    inputs: Inputs<'_, T>,
    mut outputs: [&mut [T]; OUTPUTS],
    function: impl Fn(Element<T::Vector<S>>) -> [T::Vector<S>; OUTPUTS] + Copy,
    near: impl Fn(Element<T::Vector<S>>) -> [T::Vector<S>; OUTPUTS] + Copy,
) {
    // A constant, so that the other branch is not even compiled.
    if const { F::NEAR.is_none() || !matches!(T::DTYPE, Dtype::Float32) } {
        return on_lanes::<S, F, T, OUTPUTS>(simd, inputs, outputs, function);
    }
    let (y_true, y_pred, _, target) = inputs;
    let bound = f64::from(F::NEAR.unwrap_or(0.0));
    let blocks = y_true.chunks(BLOCK).zip(y_pred.chunks(BLOCK));
    for (i, (y_true, y_pred)) in blocks.enumerate() {
        let start = i * BLOCK;
        let outputs = outputs.each_mut().map(|output| &mut output[start..]);
        let inputs = (y_true, y_pred, &y_true[..0], target.wrapping_add(start));
        let predictions = y_pred.chunks(T::Vector::<S>::LEN).map(
            #[inline(always)]
            |lanes| load_lanes::<S, T>(simd, lanes),
        );
        // Copies: what a reference to a closure is called by is not inlined, and so compiled for the baseline CPU.
        if sizes(simd, bound, predictions) == Sizes::Below {
            on_lanes::<S, F, T, OUTPUTS>(simd, inputs, outputs, near);
        } else {
            on_lanes::<S, F, T, OUTPUTS>(simd, inputs, outputs, function);
        }
    }
}

/// Apply `function` vector by vector; the last one is filled up with zeros.
#[inline(always)]
fn on_lanes<S: Token, F: Formula, T: Real, const OUTPUTS: usize>(
    simd: S,
    (y_true, y_pred, parameter, target): Inputs<'_, T>,
    outputs: [&mut [T]; OUTPUTS],
    function: impl Fn(Element<T::Vector<S>>) -> [T::Vector<S>; OUTPUTS],
) {
    let lanes = T::Vector::<S>::LEN;
    let mut outputs = outputs.map(|output| output.chunks_exact_mut(lanes));
    let mut parameter = parameter.chunks_exact(lanes);
    let (y_true, y_pred) = (y_true.chunks_exact(lanes), y_pred.chunks_exact(lanes));
    let last = (y_true.remainder(), y_pred.remainder());
    for (i, (y_true, y_pred)) in y_true.zip(y_pred).enumerate() {
        prefetch_ahead(y_true);
        prefetch_ahead(y_pred);
        if OUTPUTS > 1 {
            prefetch(target.wrapping_add(i * lanes));
        }
        let results = function(Element {
            y_true: T::Vector::<S>::from_slice(simd, y_true),
            y_pred: T::Vector::<S>::from_slice(simd, y_pred),
            parameter: match parameter.next() {
                Some(parameter) if F::PARAMETER => T::Vector::<S>::from_slice(simd, parameter),
                _ => T::Vector::<S>::lit(simd, 1.0),
            },
        });
        store_lanes(simd, results, &mut outputs);
    }
    if !last.0.is_empty() {
        let results = function(Element {
            y_true: load_lanes(simd, last.0),
            y_pred: load_lanes(simd, last.1),
            parameter: if F::PARAMETER {
                load_lanes(simd, parameter.remainder())
            } else {
                T::Vector::<S>::lit(simd, 1.0)
            },
        });
        store_lanes(simd, results, &mut outputs);
    }
}

/// Up to a vector of elements, filled up with zeros.
#[inline(always)]
fn load_lanes<S: Token, T: Real>(simd: S, elements: &[T]) -> T::Vector<S> {
    if elements.len() == T::Vector::<S>::LEN {
        return T::Vector::<S>::from_slice(simd, elements);
    }
    let mut padded = T::Vector::<S>::splat(simd, T::default());
    padded.as_mut_slice()[..elements.len()].copy_from_slice(elements);
    padded
}

/// Store a vector for each output.
#[inline(always)]
fn store_lanes<S: Token, T: Real, const OUTPUTS: usize>(
    simd: S,
    results: [T::Vector<S>; OUTPUTS],
    outputs: &mut [ChunksExactMut<'_, T>; OUTPUTS],
) {
    for (output, result) in outputs.iter_mut().zip(results) {
        if let Some(target) = output.next() {
            canonical_nan(simd, result).store_slice(target);
        }
    }
}
