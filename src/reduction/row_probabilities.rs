//! From a row's exponentials to its probabilities: the second pass over a row.
//!
//! The first pass keeps the scaled exponentials, each relative to the maximum as it was then: in the
//! output if that can hold them, else in a buffer; a row too long for that is read and exponentiated
//! again, to the same bits. A probability is an exponential times a factor in two parts, so that only
//! the exponential and the product are rounded.

use super::row_exponential::unscale;
use super::row_statistics::{
    InverseTemperature, RowStatistics, RowSums, exponential_of_difference, exponentiate_block,
};
use super::row_sums::RowReal;
use crate::driver::kernel::canonical_nan;
use crate::driver::operand::{Operand, OperandMut};
use crate::driver::rows::{Row, Target, map_vectors, read_block, reserve};
use crate::lanes::{Lanes, Token};
use fearless_simd::f64x8;
use fearless_simd::prelude::*;

/// Exponentials that a thread keeps at most, in bytes: half a second-level cache.
const KEPT_BYTES: usize = 1 << 20;

/// Below this a factor does not undo the exponentials' scaling: it would lose digits itself.
pub(super) const SMALL_FACTOR: f64 = 1.0 / 4294967296.0;

/// Buffers of a thread, each made when first needed.
#[derive(Default)]
pub(crate) struct Scratch<T> {
    pub(crate) x: Vec<T>,
    pub(crate) dy: Vec<T>,
    kept: Vec<T>,
    pub(super) tile: Vec<T>,
    pub(crate) result: Vec<T>,
    /// Where in the row the maximum rose, and to what.
    rises: Vec<(usize, T)>,
}

/// The exponentials of a row: kept, or to be computed again.
pub(crate) struct RowExponentials<T> {
    pub(crate) statistics: RowStatistics<T>,
    inverse_temperature: InverseTemperature,
    row: Row,
    kept: Option<*mut T>,
}

impl<T: RowReal> RowExponentials<T> {
    /// Of a row of `x`; kept in that of `out`, if given and if it can hold them, or in a buffer, if they
    /// fit. The maximum `APART` from the sum or not: see [`super::row_exponential::Exponentials::of`].
    #[inline(always)]
    pub(crate) fn new<S: Token, const APART: bool>(
        simd: S,
        x: &Operand<'_>,
        row: Row,
        inverse_temperature: InverseTemperature,
        out: Option<&OperandMut<'_>>,
        scratch: &mut Scratch<T>,
    ) -> Self {
        let Row { start, columns } = row;
        let in_out = out.and_then(|out| out.as_mut_ptr(start, columns));
        let fits = columns <= KEPT_BYTES / size_of::<T>();
        let kept =
            in_out.or_else(|| fits.then(|| reserve(&mut scratch.kept, columns).as_mut_ptr()));
        let mut sums = RowSums::<S, T>::new(simd, inverse_temperature);
        scratch.rises.clear();
        for (first, n) in row.blocks() {
            let block = read_block(simd, x, start + first, n, &mut scratch.x);
            let before = sums.maximum();
            let target = kept.map_or_else(
                // Not to be kept, but summed as if they were.
                #[inline(always)]
                || reserve(&mut scratch.kept, n).as_mut_ptr(),
                #[inline(always)]
                |kept| kept.wrapping_add(first),
            );
            // SAFETY: `n` elements are readable, and writable at `target`: a place in the row of `out`,
            // which is `x` itself or apart from it, or in a buffer.
            unsafe { sums.add_block::<APART>(block, n, Some(target)) };
            if first == 0 || sums.maximum() != before {
                scratch.rises.push((first, sums.maximum()));
            }
        }
        Self {
            statistics: sums.finish(),
            inverse_temperature,
            row,
            kept,
        }
    }

    /// Call `f` with each block: position of its first element, scaled exponentials (in place, or in
    /// `scratch.kept`), and what to multiply them by for `factor * softmax`.
    #[inline(always)]
    pub(crate) fn for_each_block<S: Token>(
        &self,
        simd: S,
        x: &Operand<'_>,
        factor: Option<f64>,
        scratch: &mut Scratch<T>,
        mut f: impl FnMut(&mut Scratch<T>, usize, usize, *const T, ProbabilityFactor<S, T>),
    ) {
        let mut rise = 0;
        let mut multiplier = None;
        for (first, n) in self.row.blocks() {
            while rise < scratch.rises.len() && scratch.rises[rise].0 <= first {
                rise += 1;
                multiplier = None;
            }
            let maximum = scratch.rises[rise - 1].1;
            // A closure might be left out of line.
            let factor_here = if let Some(multiplier) = multiplier {
                multiplier
            } else {
                let temperature = self.inverse_temperature;
                ProbabilityFactor::new(simd, &self.statistics, maximum, temperature, factor)
            };
            multiplier = Some(factor_here);
            let exponentials = if let Some(kept) = self.kept {
                kept.wrapping_add(first).cast_const()
            } else {
                let block = read_block(simd, x, self.row.start + first, n, &mut scratch.x);
                let target = reserve(&mut scratch.kept, n).as_mut_ptr();
                // SAFETY: `n` readable elements and a buffer of that many.
                unsafe {
                    exponentiate_block(simd, (block, n), maximum, self.inverse_temperature, target);
                }
                target.cast_const()
            };
            f(scratch, first, n, exponentials, factor_here);
        }
    }
}

/// [`RowExponentials::new`], for callers that are not compiled for a level.
#[inline(never)]
pub(crate) fn row_exponentials<S: Token, T: RowReal>(
    simd: S,
    x: &Operand<'_>,
    row: Row,
    inverse_temperature: InverseTemperature,
    out: Option<&OperandMut<'_>>,
    scratch: &mut Scratch<T>,
) -> RowExponentials<T> {
    simd.vectorize(
        #[inline(always)]
        || RowExponentials::new::<S, true>(simd, x, row, inverse_temperature, out, scratch),
    )
}

/// What makes a probability, times a factor, of a scaled exponential.
#[derive(Clone, Copy)]
pub(crate) struct ProbabilityFactor<S: Token, T: RowReal> {
    unscale: T::Vector<S>,
    high: T::Vector<S>,
    low: T::Vector<S>,
    /// Makes the probability of a scaled exponential, in one number and without the factor.
    pub(crate) probability: f64,
    /// Whether the exponentials are relative to what the row's maximum is.
    pub(crate) at_maximum: bool,
}

impl<S: Token, T: RowReal> ProbabilityFactor<S, T> {
    /// For exponentials relative to `maximum`, which may be less than the row's.
    #[inline(always)]
    pub(crate) fn new(
        simd: S,
        statistics: &RowStatistics<T>,
        maximum: T,
        inverse_temperature: InverseTemperature,
        factor: Option<f64>,
    ) -> Self {
        let mut product = statistics.inverse(simd);
        let at_maximum = maximum == statistics.maximum;
        if !at_maximum {
            let (high, low) =
                exponential_of_difference(simd, (maximum, statistics.maximum), inverse_temperature);
            product = multiply(simd, product, (high, low));
            product = (product.0 * unscale(53), product.1 * unscale(53));
        }
        let probability = product.0;
        if let Some(factor) = factor {
            product = multiply(simd, product, (factor, 0.0));
        }
        // The exponentials' scaling is undone in the factor, so that a subnormal result is rounded once;
        // or first, if the factor is so small that it would lose digits itself.
        let undo = unscale(T::Vector::<S>::PRECISION);
        let (unscale, scale) = if product.0.abs() < SMALL_FACTOR {
            (undo, 1.0)
        } else {
            (1.0, undo)
        };
        let high = T::nearest(product.0 * scale);
        let wide: f64 = high.into();
        let low = if wide.is_finite() {
            (product.0 * scale - wide) + product.1 * scale
        } else {
            0.0
        };
        Self {
            unscale: T::Vector::<S>::lit(simd, unscale),
            high: T::Vector::<S>::splat(simd, high),
            low: T::Vector::<S>::splat(simd, T::nearest(low)),
            probability: probability * undo,
            at_maximum,
        }
    }

    /// The factor times the probability.
    #[inline(always)]
    pub(crate) fn apply(self, exponential: T::Vector<S>) -> T::Vector<S> {
        let exponential = exponential * self.unscale;
        exponential.fma(self.high, exponential * self.low)
    }
}

/// The product of two numbers in two parts.
#[inline(always)]
fn multiply<S: Token>(simd: S, (a, a_low): (f64, f64), (b, b_low): (f64, f64)) -> (f64, f64) {
    let (a, b) = (f64x8::splat(simd, a), f64x8::splat(simd, b));
    let product = a * b;
    let error = Lanes::fma(a, b, -product);
    let low = Lanes::fma(b, f64x8::splat(simd, a_low), error);
    let low = Lanes::fma(a, f64x8::splat(simd, b_low), low);
    (product[0], low[0])
}

/// Write `f` of the row's elements of all operands.
#[inline(always)]
pub(crate) fn map_row<S: Token, T: RowReal, const N: usize>(
    simd: S,
    operands: [(&Operand<'_>, &mut Vec<T>); N],
    out: &OperandMut<'_>,
    result: &mut Vec<T>,
    row: Row,
    f: impl Fn([T::Vector<S>; N]) -> T::Vector<S>,
) {
    let mut operands = operands;
    for (first, n) in row.blocks() {
        let start = row.start + first;
        let mut sources = [std::ptr::null(); N];
        for (source, (operand, buffer)) in sources.iter_mut().zip(&mut operands) {
            *source = read_block(simd, operand, start, n, buffer);
        }
        let target = Target::new(out, start, n, result);
        // SAFETY: `n` elements can be read at each source and written at the target, which is one of
        // the sources, element by element, or apart from them.
        unsafe {
            map_vectors(
                simd,
                sources,
                target.pointer,
                n,
                #[inline(always)]
                |x| canonical_nan(simd, f(x)),
            );
            target.finish(simd, out, start, n);
        }
    }
}

/// Write the same value to the whole row.
#[inline(never)]
pub(crate) fn fill<S: Token, T: RowReal>(
    simd: S,
    out: &OperandMut<'_>,
    result: &mut Vec<T>,
    row: Row,
    value: f64,
) {
    simd.vectorize(
        #[inline(always)]
        || {
            map_row::<S, T, 0>(
                simd,
                [],
                out,
                result,
                row,
                #[inline(always)]
                |[]| T::Vector::<S>::lit(simd, value),
            );
        },
    );
}
