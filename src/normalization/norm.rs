//! The Euclidean norm of any number of arrays, and their values times a factor.
//!
//! Squares are summed exactly: of `f32` and narrower ones a square is an `f64`, of `f64` it is two. So the
//! norm depends on neither order nor threads, and states of several arrays merge. Values too large or too
//! small to be squared are halved or doubled often enough first.
//!
//! What binds, in cache: some sixteen operations on two ports for the exact sum of sixteen squares, where a sum in `f32` or
//! `f64` is a load and a multiply-add or two: libraries that round as they add take half the time. Compensated sums
//! of fewer operations (that of a square which is smaller than its sum takes four instead of five) are not exact.

use super::sums::{canonical, is_narrow};
use crate::driver::floating_point::FloatingPointGuard;
use crate::driver::operand::{BLOCK, Operand, OperandMut};
use crate::driver::rows::{for_each_row_range, map_vectors};
use crate::driver::threads::Interrupted;
use crate::lanes::Token;
use crate::level::{Level, OnLevel};
use crate::reduction::exact::{self, ExactSum};
use fearless_simd::f32x16;
use fearless_simd::prelude::*;

/// Elements whose squares are summed at a time: some blocks of the exact sum.
const PIECE: usize = 8 * exact::BLOCK;

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
    let scale = if operands.iter().all(|operand| is_narrow(operand.dtype())) {
        // Neither overflows nor underflows.
        return Ok(canonical(sum.sqrt()));
    } else if sum == f64::INFINITY {
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
        let pieces = operand.len().div_ceil(PIECE);
        let states = for_each_row_range(
            pieces,
            PIECE,
            keep_going,
            State::default,
            |state, pieces| {
                for piece in pieces {
                    let start = piece * PIECE;
                    level.dispatch(Squares {
                        operand,
                        start,
                        n: PIECE.min(operand.len() - start),
                        scale,
                        state,
                    });
                }
            },
        )?;
        for state in &states {
            squares.merge(&state.sum);
        }
    }
    Ok(squares.to_f64())
}

/// Of a thread; the buffers are made when needed.
#[derive(Default)]
struct State {
    sum: ExactSum,
    narrow: Vec<f32>,
    wide: Vec<f64>,
}

struct Squares<'a> {
    operand: &'a Operand<'a>,
    start: usize,
    n: usize,
    scale: f64,
    state: &'a mut State,
}

impl OnLevel for Squares<'_> {
    type Output = ();

    fn run<S: Token>(self, simd: S) {
        let State { sum, narrow, wide } = self.state;
        let (start, n, scale) = (self.start, self.n, self.scale);
        let is_narrow = is_narrow(self.operand.dtype());
        if is_narrow && scale == 1.0 {
            let values = if let Some(values) = self.operand.as_slice(start, n) {
                values
            } else {
                narrow.resize(PIECE, 0.0);
                self.operand.block(simd, start, n, narrow)
            };
            sum.add_squares_of_f32_slice(simd, values);
            return;
        }
        wide.resize(3 * PIECE, 0.0);
        let (values, rest) = wide.split_at_mut(PIECE);
        let (squares, errors) = rest.split_at_mut(PIECE);
        let (squares, errors) = (&mut squares[..n], &mut errors[..n]);
        let values = self.operand.block(simd, start, n, values);
        simd.vectorize(
            #[inline(always)]
            || {
                for (square, &value) in squares.iter_mut().zip(values) {
                    let value = value * scale;
                    *square = value * value;
                }
            },
        );
        sum.add_f64_slice(simd, squares);
        if !is_narrow {
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
            sum.add_f64_slice(simd, errors);
        }
    }
}

/// `x * factor` to `out`, which is exactly `x` or does not overlap it. A NaN factor makes all elements NaN;
/// with any other one `x` has none.
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
    for_each_row_range(
        x.len().div_ceil(BLOCK),
        BLOCK,
        keep_going,
        Vec::new,
        |buffer, pieces| {
            for piece in pieces {
                let start = piece * BLOCK;
                level.dispatch(Scale {
                    x,
                    factor,
                    out,
                    start,
                    n: BLOCK.min(x.len() - start),
                    buffer,
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
    n: usize,
    buffer: &'a mut Vec<f64>,
}

impl OnLevel for Scale<'_> {
    type Output = ();

    fn run<S: Token>(self, simd: S) {
        let (start, n, factor) = (self.start, self.n, self.factor);
        if let Some(x) = self.x.as_slice::<f32>(start, n)
            && let Some(out) = self.out.as_mut_ptr::<f32>(start, n)
            && !factor.is_nan()
        {
            simd.vectorize(
                #[inline(always)]
                || {
                    // SAFETY: n elements each; `out` is exactly `x` or apart from it, and nobody else's.
                    unsafe {
                        map_vectors(
                            simd,
                            [x.as_ptr()],
                            out,
                            n,
                            #[inline(always)]
                            |[x]: [f32x16<S>; 1]| {
                                let (low, high) = x.widen();
                                (low * factor).narrow(high * factor)
                            },
                        );
                    }
                },
            );
            return;
        }
        self.buffer.resize(BLOCK, 0.0);
        let buffer = &mut self.buffer[..n];
        self.x.read(simd, start, buffer);
        simd.vectorize(
            #[inline(always)]
            || {
                for value in buffer.iter_mut() {
                    *value = canonical(*value * factor);
                }
            },
        );
        // SAFETY: threads have different pieces, and this one has been read.
        unsafe { self.out.write(simd, start, buffer) };
    }
}
