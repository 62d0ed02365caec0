//! The elements of a row, as vectors of `f64`.

use crate::driver::kernel::canonical_nan;
use crate::driver::operand::OperandMut;
use crate::driver::rows::{Row, for_each_vector, read_block, reserve};
use crate::lanes::Token;
use crate::loss::twofold::Twofold;
use crate::loss::{Argument, Batch, Found, Refusal};
use crate::math::twofold::two_product;
use crate::reduction::row_probabilities::fill;
use crate::reduction::row_statistics::{InverseTemperature, RowStatistics};
use crate::reduction::row_sums::{DoubleSums, Sums};
use fearless_simd::f64x8;
use fearless_simd::prelude::*;

type Mask<S> = <f64x8<S> as SimdBase<S>>::Mask;

/// Buffers of a thread.
#[derive(Default)]
pub(super) struct Buffers {
    y_true: Vec<f64>,
    y_pred: Vec<f64>,
    result: Vec<f64>,
}

/// A vector of elements.
#[derive(Clone, Copy)]
pub(crate) struct At<S: Token> {
    /// Labels; of class ids, 1 for the target and 0 for the others.
    pub(crate) y_true: f64x8<S>,
    /// Predictions.
    pub(crate) y_pred: f64x8<S>,
    /// What the loss has for each class; 1 if there is nothing.
    pub(crate) of_class: f64x8<S>,
    /// The lanes that count; `None` means all.
    valid: Option<Mask<S>>,
}

impl<S: Token> At<S> {
    /// `x` in the lanes that count, `otherwise` in the others.
    #[inline(always)]
    pub(crate) fn counted(&self, x: f64x8<S>, otherwise: f64x8<S>) -> f64x8<S> {
        self.valid.map_or(x, |valid| valid.select(x, otherwise))
    }

    /// How many of these lanes count.
    #[inline(always)]
    pub(crate) fn count(&self, lanes: Mask<S>) -> u32 {
        let lanes = self.valid.map_or(lanes, |valid| lanes & valid);
        lanes.to_bitmask().count_ones()
    }
}

/// A sum over a row, with the errors of its additions.
#[derive(Clone, Copy)]
pub(crate) struct RowSum<S: Token>(DoubleSums<S>);

impl<S: Token> RowSum<S> {
    /// Of nothing.
    #[inline(always)]
    pub(crate) fn zero(simd: S) -> Self {
        Self(DoubleSums::zero(simd))
    }

    /// Add `head + tail`, `tail` much the smaller, in the lanes that count.
    #[inline(always)]
    pub(crate) fn add(&mut self, at: &At<S>, head: f64x8<S>, tail: f64x8<S>) {
        let zero = f64x8::splat(head.token(), 0.0);
        self.0.add(at.counted(head, zero), at.counted(tail, zero));
    }

    /// Add `a b` in the lanes that count.
    #[inline(always)]
    pub(crate) fn add_product(&mut self, at: &At<S>, a: f64x8<S>, b: f64x8<S>) {
        let (product, error) = two_product(a, b);
        self.add(at, product, error);
    }

    /// The sum of all lanes.
    #[inline(always)]
    pub(crate) fn total(self) -> Twofold {
        let (high, low) = self.0.total();
        Twofold { high, low }
    }
}

/// A row, to go over any number of times.
pub(crate) struct Elements<'a, S: Token> {
    simd: S,
    batch: &'a Batch<'a>,
    row: Row,
    target: Option<usize>,
    per_class: Option<&'a [f64]>,
    buffers: &'a mut Buffers,
    nan: Mask<S>,
}

impl<'a, S: Token> Elements<'a, S> {
    /// The row of this index, with the target if labels are class ids.
    pub(super) fn new(
        simd: S,
        batch: &'a Batch<'a>,
        index: usize,
        target: Option<usize>,
        per_class: Option<&'a [f64]>,
        buffers: &'a mut Buffers,
    ) -> Self {
        Self {
            simd,
            batch,
            row: Row::of(index, batch.classes),
            target,
            per_class,
            buffers,
            nan: Mask::<S>::splat(simd, false),
        }
    }

    pub(super) fn simd(&self) -> S {
        self.simd
    }

    /// The number of elements.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.row.columns
    }

    /// Whether an element of a row that has been gone over is NaN.
    #[inline(always)]
    pub(super) fn found_nan(&self) -> bool {
        self.nan.any_true()
    }

    /// Call `f` with all elements.
    #[inline(always)]
    pub(crate) fn scan(&mut self, mut f: impl FnMut(At<S>)) {
        let mut nan = self.nan;
        for (first, n) in self.row.blocks() {
            let sources = self.block(first, n);
            let has_numbers = self.per_class.is_some();
            // SAFETY: `n` elements can be read at each place; nothing is written.
            unsafe {
                for_each_vector::<S, f64, 3>(
                    self.simd,
                    sources,
                    None,
                    n,
                    0.0,
                    #[inline(always)]
                    |sources, valid| {
                        let at = at(self.simd, sources, has_numbers, valid);
                        // A lane that does not count has no NaN that another has not.
                        nan |= at.y_true.is_nan() | at.y_pred.is_nan();
                        f(at);
                        at.y_true
                    },
                );
            }
        }
        self.nan = nan;
    }

    /// Write `factor f` of all elements to the row's place in `out`.
    #[inline(always)]
    pub(super) fn map(&mut self, out: &OperandMut<'_>, factor: f64, f: impl Fn(At<S>) -> f64x8<S>) {
        let simd = self.simd;
        let factor = f64x8::splat(simd, factor);
        for (first, n) in self.row.blocks() {
            let sources = self.block(first, n);
            let has_numbers = self.per_class.is_some();
            let result = reserve(&mut self.buffers.result, n).as_mut_ptr();
            // SAFETY: `n` elements can be read at each place, and written to the buffer, which is apart from
            // them. The block has been read before it is written, should it be where the predictions are.
            unsafe {
                for_each_vector::<S, f64, 3>(
                    simd,
                    sources,
                    Some(result),
                    n,
                    0.0,
                    #[inline(always)]
                    |sources, valid| {
                        let derivative = f(at(simd, sources, has_numbers, valid));
                        canonical_nan(simd, derivative * factor)
                    },
                );
                let result = std::slice::from_raw_parts(result, n);
                out.write(simd, self.row.start + first, result);
            }
        }
    }

    /// Write the same number to all of the row's place in `out`.
    pub(super) fn fill(&mut self, out: &OperandMut<'_>, value: f64) {
        fill(self.simd, out, &mut self.buffers.result, self.row, value);
    }

    /// What the softmax of the predictions is made of.
    #[inline(always)]
    pub(super) fn statistics(&mut self) -> RowStatistics<f64> {
        let buffer = &mut self.buffers.y_pred;
        let (y_pred, temperature) = (&self.batch.y_pred, InverseTemperature::ONE);
        RowStatistics::of(self.simd, y_pred, self.row, temperature, buffer)
    }

    /// `n` labels, predictions and numbers of the classes from the `first` on.
    #[inline(always)]
    fn block(&mut self, first: usize, n: usize) -> [*const f64; 3] {
        let (simd, start) = (self.simd, self.row.start + first);
        let Buffers { y_true, y_pred, .. } = self.buffers;
        let x = read_block(simd, &self.batch.y_pred, start, n, y_pred);
        let y = match self.target {
            None => read_block(simd, &self.batch.y_true, start, n, y_true),
            Some(target) => {
                let one_hot = reserve(y_true, n);
                one_hot.fill(0.0);
                if let Some(slot) = target.checked_sub(first).and_then(|i| one_hot.get_mut(i)) {
                    *slot = 1.0;
                }
                one_hot.as_ptr()
            }
        };
        let of_class = self
            .per_class
            .map_or(x, |numbers| numbers[first..first + n].as_ptr());
        [y, x, of_class]
    }

    /// Refuse the first label or prediction outside `[0, 1]`.
    pub(super) fn check_unit_interval(&mut self, argument: Argument) -> Result<(), Refusal> {
        let simd = self.simd;
        let (operand, buffer) = match argument {
            Argument::YTrue => (&self.batch.y_true, &mut self.buffers.y_true),
            _ => (&self.batch.y_pred, &mut self.buffers.y_pred),
        };
        for (first, n) in self.row.blocks() {
            let start = self.row.start + first;
            let block = read_block(simd, operand, start, n, buffer);
            // SAFETY: `n` readable elements, which nobody writes.
            let block = unsafe { std::slice::from_raw_parts(block, n) };
            // NaN is not outside.
            let outside = |x: f64| u32::from(x < 0.0) + u32::from(x > 1.0);
            let count = simd.vectorize(
                #[inline(always)]
                || block.iter().fold(0, |count, &x| count + outside(x)),
            );
            if count > 0
                && let Some(index) = block.iter().position(|&x| outside(x) > 0)
            {
                return Err(Refusal {
                    argument,
                    position: start + index,
                    found: Found::OutsideUnitInterval(block[index]),
                });
            }
        }
        Ok(())
    }
}

/// A vector of the three sources.
#[inline(always)]
fn at<S: Token>(
    simd: S,
    [y_true, y_pred, of_class]: [f64x8<S>; 3],
    has_numbers: bool,
    valid: Option<Mask<S>>,
) -> At<S> {
    At {
        y_true,
        y_pred,
        of_class: if has_numbers {
            of_class
        } else {
            f64x8::splat(simd, 1.0)
        },
        valid,
    }
}
