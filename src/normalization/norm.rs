//! The Euclidean norm of any number of arrays, and their values times a factor.
//!
//! Squares are summed exactly: of `f32` and narrower ones a square is an `f64`, of `f64` it is two. So the
//! norm depends on neither order nor threads, and states of several arrays merge. Values too large or too
//! small to be squared are halved or doubled often enough first.

use super::sums::canonical;
use crate::driver::floating_point::FloatingPointGuard;
use crate::driver::operand::{BLOCK, Operand, OperandMut};
use crate::driver::rows::for_each_row_range;
use crate::driver::threads::Interrupted;
use crate::dtype::Dtype;
use crate::lanes::Token;
use crate::level::{Level, OnLevel};
use crate::reduction::exact::ExactSum;

/// Sums of squares below this are taken again of larger values: their errors may have underflowed.
const TINY: f64 = f64::from_bits((1023 - 800) << 52);

/// The norm of all elements of the operands, rounded to within an ULP. Infinite or NaN elements make it
/// so.
///
/// # Errors
/// [`Interrupted`] when `keep_going` said no.
pub fn global_norm(
    level: Level,
    operands: &[Operand<'_>],
    keep_going: &dyn Fn() -> bool,
) -> Result<f64, Interrupted> {
    let _environment = FloatingPointGuard::new();
    let sum = sum_of_squares(level, operands, 1.0, keep_going)?;
    let scale = if sum == f64::INFINITY {
        f64::from_bits((1023 - 600) << 52)
    } else if sum < TINY {
        f64::from_bits((1023 + 600) << 52)
    } else {
        return Ok(canonical(sum.sqrt()));
    };
    let sum = sum_of_squares(level, operands, scale, keep_going)?;
    Ok(canonical(sum.sqrt() / scale))
}

/// The sum of the squares of all elements times `scale`, a power of two.
fn sum_of_squares(
    level: Level,
    operands: &[Operand<'_>],
    scale: f64,
    keep_going: &dyn Fn() -> bool,
) -> Result<f64, Interrupted> {
    let mut squares = ExactSum::new();
    for operand in operands {
        let init = || (ExactSum::new(), vec![0.0; 3 * BLOCK]);
        let pieces = operand.len().div_ceil(BLOCK);
        let sums = for_each_row_range(pieces, BLOCK, keep_going, init, |(sum, buffer), pieces| {
            for piece in pieces {
                let start = piece * BLOCK;
                level.dispatch(Squares {
                    operand,
                    start,
                    n: BLOCK.min(operand.len() - start),
                    scale,
                    sum,
                    buffer,
                });
            }
        })?;
        for (sum, _) in &sums {
            squares.merge(sum);
        }
    }
    Ok(squares.to_f64())
}

struct Squares<'a> {
    operand: &'a Operand<'a>,
    start: usize,
    n: usize,
    scale: f64,
    sum: &'a mut ExactSum,
    buffer: &'a mut [f64],
}

impl OnLevel for Squares<'_> {
    type Output = ();

    fn run<S: Token>(self, simd: S) {
        let (values, rest) = self.buffer.split_at_mut(BLOCK);
        let (squares, errors) = rest.split_at_mut(BLOCK);
        let (squares, errors) = (&mut squares[..self.n], &mut errors[..self.n]);
        let values = self.operand.block(simd, self.start, self.n, values);
        let scale = self.scale;
        let double = !matches!(
            self.operand.dtype(),
            Dtype::Float32 | Dtype::Float16 | Dtype::BFloat16
        );
        simd.vectorize(
            #[inline(always)]
            || {
                for (square, &value) in squares.iter_mut().zip(values) {
                    let value = value * scale;
                    *square = value * value;
                }
            },
        );
        self.sum.add_f64_slice(simd, squares);
        if double {
            simd.vectorize(
                #[inline(always)]
                || {
                    for ((error, &square), &value) in
                        errors.iter_mut().zip(squares.iter()).zip(values)
                    {
                        let value = value * scale;
                        // Split in halves (Veltkamp), whose products are exact: no fused operation, which
                        // older machines lack.
                        let shifted = value * 134_217_729.0;
                        let high = shifted - (shifted - value);
                        let low = value - high;
                        let rest = ((high * high - square) + 2.0 * high * low) + low * low;
                        *error = if rest.is_finite() { rest } else { 0.0 };
                    }
                },
            );
            self.sum.add_f64_slice(simd, errors);
        }
    }
}

/// `x * factor` to `out`, which is exactly `x` or does not overlap it.
///
/// # Errors
/// [`Interrupted`] when `keep_going` said no.
pub fn scale(
    level: Level,
    x: &Operand<'_>,
    factor: f64,
    out: &OperandMut<'_>,
    keep_going: &dyn Fn() -> bool,
) -> Result<(), Interrupted> {
    let _environment = FloatingPointGuard::new();
    let init = || vec![0.0; BLOCK];
    for_each_row_range(
        x.len().div_ceil(BLOCK),
        BLOCK,
        keep_going,
        init,
        |buffer, pieces| {
            for piece in pieces {
                let start = piece * BLOCK;
                let n = BLOCK.min(x.len() - start);
                level.dispatch(Scale {
                    x,
                    factor,
                    out,
                    start,
                    buffer: &mut buffer[..n],
                });
            }
        },
    )?;
    Ok(())
}

struct Scale<'a> {
    x: &'a Operand<'a>,
    factor: f64,
    out: &'a OperandMut<'a>,
    start: usize,
    buffer: &'a mut [f64],
}

impl OnLevel for Scale<'_> {
    type Output = ();

    fn run<S: Token>(self, simd: S) {
        self.x.read(simd, self.start, self.buffer);
        simd.vectorize(
            #[inline(always)]
            || {
                for value in self.buffer.iter_mut() {
                    *value = canonical(*value * self.factor);
                }
            },
        );
        // SAFETY: threads have different pieces, and this one has been read.
        unsafe { self.out.write(simd, self.start, self.buffer) };
    }
}
