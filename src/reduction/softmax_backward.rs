//! The derivatives of `softmax`, `log_softmax` and `logsumexp`, row by row.
//!
//! Dot products and sums over a row are taken in the same order as its exponentials, in `f64` for `f32`
//! rows and with the errors of each addition for `f64` rows; the result is rounded once from there.

use super::row_probabilities::{RowExponentials, Scratch, fill, map_row};
use super::row_statistics::InverseTemperature;
use super::row_sums::{RowReal, Sums};
use super::softmax::{RowFunction, Rows, run, scaled_softmax};
use crate::driver::kernel::canonical_nan;
use crate::driver::operand::{Operand, OperandMut};
use crate::driver::rows::{Row, Target, Valid, for_each_vector, read_block};
use crate::lanes::{Lanes, Token};
use crate::math::twofold::two_sum;
use fearless_simd::f64x8;
use fearless_simd::prelude::*;
use std::ops::Range;

/// The gradient of softmax, `y (dy - sum dy y)`, `y` being its output.
///
/// `out` is exactly `dy` or `y`, or overlaps neither.
pub fn softmax_backward(rows: Rows, dy: &Operand<'_>, y: &Operand<'_>, out: &OperandMut<'_>) {
    run(rows, dy.len(), &SoftmaxBackward { dy, y, out });
}

/// The gradient of softmin, `-y (dy - sum dy y)`, `y` being its output; see [`softmax_backward`].
pub fn softmin_backward(rows: Rows, dy: &Operand<'_>, y: &Operand<'_>, out: &OperandMut<'_>) {
    softmax_backward(rows, &dy.negated(), y, out);
}

/// The gradient of log-softmax, `dy - softmax(x) sum dy`.
///
/// `out` is exactly `dy` or `x`, or overlaps neither.
pub fn log_softmax_backward(rows: Rows, dy: &Operand<'_>, x: &Operand<'_>, out: &OperandMut<'_>) {
    run(rows, x.len(), &LogSoftmaxBackward { dy, x, out });
}

/// The gradient of logsumexp, `dy softmax(x)`, with one `dy` a row.
///
/// `out` is exactly `x` or overlaps neither.
pub fn logsumexp_backward(rows: Rows, dy: &Operand<'_>, x: &Operand<'_>, out: &OperandMut<'_>) {
    run(rows, x.len(), &LogSumExpBackward { dy, x, out });
}

struct LogSumExpBackward<'a> {
    dy: &'a Operand<'a>,
    x: &'a Operand<'a>,
    out: &'a OperandMut<'a>,
}

impl RowFunction for LogSumExpBackward<'_> {
    #[inline(always)]
    fn rows<S: Token, T: RowReal>(
        &self,
        simd: S,
        scratch: &mut Scratch<T>,
        columns: usize,
        rows: Range<usize>,
    ) {
        for row in rows {
            let mut dy = [T::default()];
            self.dy.read(simd, row, &mut dy);
            let factor = Some(dy[0].into());
            scaled_softmax(
                simd,
                self.x,
                self.out,
                Row::of(row, columns),
                factor,
                scratch,
            );
        }
    }
}

struct SoftmaxBackward<'a> {
    dy: &'a Operand<'a>,
    y: &'a Operand<'a>,
    out: &'a OperandMut<'a>,
}

impl RowFunction for SoftmaxBackward<'_> {
    #[inline(always)]
    fn rows<S: Token, T: RowReal>(
        &self,
        simd: S,
        scratch: &mut Scratch<T>,
        columns: usize,
        rows: Range<usize>,
    ) {
        for row in rows {
            let row = Row::of(row, columns);
            let mut sums = T::Sums::<S>::zero(simd);
            for (first, n) in row.blocks() {
                let dy = read_block(simd, self.dy, row.start + first, n, &mut scratch.dy);
                let y = read_block(simd, self.y, row.start + first, n, &mut scratch.x);
                // SAFETY: `n` elements can be read at each; nothing is written.
                unsafe {
                    for_each_vector(
                        simd,
                        [dy, y],
                        None,
                        n,
                        T::default(),
                        #[inline(always)]
                        |[dy, y], valid| {
                            sums.add_product(valid_or_zero::<S, T>(simd, dy, valid), y);
                            dy
                        },
                    );
                }
            }
            let (dot, dot_low) = sums.total();
            let (dot, dot_low) = (f64x8::splat(simd, dot), f64x8::splat(simd, dot_low));
            map_row(
                simd,
                [(self.dy, &mut scratch.dy), (self.y, &mut scratch.x)],
                self.out,
                &mut scratch.result,
                row,
                #[inline(always)]
                |operands| {
                    T::in_double(
                        simd,
                        operands,
                        #[inline(always)]
                        |[dy, y]| {
                            let difference = dy - dot;
                            if T::Vector::<S>::PRECISION == 24 {
                                return y * difference;
                            }
                            let (difference, error) = two_sum::<S, _>(dy, -dot);
                            let finite =
                                difference.abs().simd_lt(f64x8::splat(simd, f64::INFINITY));
                            let low = finite.select(error - dot_low, f64x8::splat(simd, 0.0));
                            Lanes::fma(y, difference, y * low)
                        },
                    )
                },
            );
        }
    }
}

struct LogSoftmaxBackward<'a> {
    dy: &'a Operand<'a>,
    x: &'a Operand<'a>,
    out: &'a OperandMut<'a>,
}

impl RowFunction for LogSoftmaxBackward<'_> {
    #[inline(always)]
    fn rows<S: Token, T: RowReal>(
        &self,
        simd: S,
        scratch: &mut Scratch<T>,
        columns: usize,
        rows: Range<usize>,
    ) {
        for row in rows {
            let row = Row::of(row, columns);
            let mut sums = T::Sums::<S>::zero(simd);
            let zero = T::Vector::<S>::lit(simd, 0.0);
            for (first, n) in row.blocks() {
                let dy = read_block(simd, self.dy, row.start + first, n, &mut scratch.dy);
                // SAFETY: `n` elements can be read; nothing is written.
                unsafe {
                    for_each_vector(
                        simd,
                        [dy],
                        None,
                        n,
                        T::default(),
                        #[inline(always)]
                        |[dy], valid| {
                            sums.add(valid_or_zero::<S, T>(simd, dy, valid), zero);
                            dy
                        },
                    );
                }
            }
            let (sum, _) = sums.total();
            // Never kept in `out`, which may be `dy`.
            let exponentials = RowExponentials::new::<S, false>(
                simd,
                self.x,
                row,
                InverseTemperature::ONE,
                None,
                scratch,
            );
            if !exponentials.statistics.has_probabilities() {
                fill(simd, self.out, &mut scratch.result, row, f64::NAN);
                continue;
            }
            exponentials.for_each_block(
                simd,
                self.x,
                None,
                scratch,
                #[inline(always)]
                |scratch, first, n, exponentials, multiplier| {
                    let dy = read_block(simd, self.dy, row.start + first, n, &mut scratch.dy);
                    let target = Target::new(self.out, row.start + first, n, &mut scratch.result);
                    let factor = f64x8::splat(simd, -multiplier.probability * sum);
                    // SAFETY: `n` elements can be read at each source and written at the target, which
                    // is `dy`, or `x` after it has been read, or apart from them.
                    unsafe {
                        for_each_vector(
                            simd,
                            [dy, exponentials],
                            Some(target.pointer),
                            n,
                            T::default(),
                            #[inline(always)]
                            |operands, _| {
                                let dx = T::in_double(
                                    simd,
                                    operands,
                                    #[inline(always)]
                                    |[dy, e]| Lanes::fma(e, factor, dy),
                                );
                                canonical_nan(simd, dx)
                            },
                        );
                        target.finish(simd, self.out, row.start + first, n);
                    }
                },
            );
        }
    }
}

/// `x` with 0 in the lanes that do not count.
#[inline(always)]
fn valid_or_zero<S: Token, T: RowReal>(
    simd: S,
    x: T::Vector<S>,
    valid: Valid<S, T>,
) -> T::Vector<S> {
    match valid {
        Some(valid) => valid.select(x, T::Vector::<S>::lit(simd, 0.0)),
        None => x,
    }
}
