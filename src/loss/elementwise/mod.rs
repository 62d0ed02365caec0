//! Elementwise losses: one definition of value, gradient and Hessian.
//!
//! The definition is compiled for each level and computation type into the three kernels here; the
//! block loop that feeds them (`pass.rs`) reaches them by a `dyn` call for each block, and so is compiled
//! once for a level, not once for a loss.

mod computed;
mod pass;

use super::Loss;
use super::call::{Batch, Labels, LossError, Request};
use super::options::{OptionError, Options};
use super::reduction::Totals;
use crate::driver::elementwise::canonical_nan;
use crate::dtype::Real;
use crate::lanes::{Lanes, Token};
use crate::level::{Level, OnLevel};
use fearless_simd::prelude::*;
use pass::Pass;

/// The operands of one element, in lanes.
#[derive(Clone, Copy)]
pub struct Element<V> {
    /// Label or target.
    pub y_true: V,
    /// Prediction.
    pub y_pred: V,
    /// The further operand of the batch, 1 where there is none.
    pub parameter: V,
}

/// Which operands must lie in `[0, 1]`. NaN passes.
#[derive(Clone, Copy, Debug, Default)]
pub struct UnitInterval {
    /// Labels that are probabilities.
    pub y_true: bool,
    /// Predictions that are probabilities.
    pub y_pred: bool,
}

/// A loss that is a sum over elements of a function of `y_true` and `y_pred`.
///
/// The three functions are of one element, without weight. NaN operands must give NaN.
pub trait ElementwiseLoss: Options {
    /// Whether `y_true` is a target, and so takes part in the choice of the computation type.
    const REGRESSION: bool;

    /// The operands that are checked.
    fn domain(&self) -> UnitInterval {
        UnitInterval::default()
    }

    /// Whether the kernel needs `f64` lanes for `f32` operands, because of options that are `f64`
    /// numbers or of a formula that loses digits.
    fn in_double(&self) -> bool {
        false
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

    /// The loss.
    fn value<S: Token, V: Lanes<S>>(&self, simd: S, at: Element<V>) -> V;

    /// Its derivative with respect to `y_pred`.
    fn gradient<S: Token, V: Lanes<S>>(&self, simd: S, at: Element<V>) -> V;

    /// Its second derivative.
    fn hessian<S: Token, V: Lanes<S>>(&self, simd: S, at: Element<V>) -> V;
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
        let pass = Pass {
            simd,
            kernels: self.loss,
            domain: self.loss.domain(),
            batch: self.batch,
        };
        if self.batch.double {
            pass.run::<f64, f64>(self.request, self.keep_going)
        } else if self.loss.in_double() {
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
    parameter: Option<&'a [T]>,
    results: Results<'a, T>,
}

enum Results<'a, T> {
    Value(&'a mut [T]),
    ValueAndGradient(&'a mut [T], &'a mut [T]),
    GradientAndHessian(&'a mut [T], &'a mut [T]),
}

/// A loss on the level `S`, whichever it is.
trait Kernels<S: Token>: Sync {
    fn single(&self, simd: S, block: Block<'_, f32>);
    fn double(&self, simd: S, block: Block<'_, f64>);
}

impl<S: Token, L: ElementwiseLoss> Kernels<S> for L {
    fn single(&self, simd: S, block: Block<'_, f32>) {
        kernel(self, simd, block);
    }
    fn double(&self, simd: S, block: Block<'_, f64>) {
        kernel(self, simd, block);
    }
}

fn kernel<S: Token, L: ElementwiseLoss, T: Real>(loss: &L, simd: S, block: Block<'_, T>) {
    let Block {
        y_true,
        y_pred,
        parameter,
        results,
    } = block;
    let inputs = (y_true, y_pred, parameter);
    simd.vectorize(
        #[inline(always)]
        || match results {
            Results::Value(value) => on_lanes(
                simd,
                inputs,
                [value],
                #[inline(always)]
                |at| [loss.value(simd, at)],
            ),
            Results::ValueAndGradient(value, gradient) => on_lanes(
                simd,
                inputs,
                [value, gradient],
                #[inline(always)]
                |at| [loss.value(simd, at), loss.gradient(simd, at)],
            ),
            Results::GradientAndHessian(gradient, hessian) => on_lanes(
                simd,
                inputs,
                [gradient, hessian],
                #[inline(always)]
                |at| [loss.gradient(simd, at), loss.hessian(simd, at)],
            ),
        },
    );
}

/// Apply `function` vector by vector; the last one is filled up with zeros.
#[inline(always)]
fn on_lanes<S: Token, T: Real, const OUTPUTS: usize>(
    simd: S,
    (y_true, y_pred, parameter): (&[T], &[T], Option<&[T]>),
    mut outputs: [&mut [T]; OUTPUTS],
    function: impl Fn(Element<T::Vector<S>>) -> [T::Vector<S>; OUTPUTS],
) {
    let lanes = T::Vector::<S>::LEN;
    let n = y_pred.len();
    let mut start = 0;
    while start < n {
        let end = n.min(start + lanes);
        let results = function(Element {
            y_true: load_lanes(simd, &y_true[start..end]),
            y_pred: load_lanes(simd, &y_pred[start..end]),
            parameter: parameter.map_or_else(
                #[inline(always)]
                || T::Vector::<S>::lit(simd, 1.0),
                #[inline(always)]
                |parameter| load_lanes(simd, &parameter[start..end]),
            ),
        });
        for (output, result) in outputs.iter_mut().zip(results) {
            canonical_nan(simd, result).store_slice(&mut output[start..start + lanes]);
        }
        start += lanes;
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
