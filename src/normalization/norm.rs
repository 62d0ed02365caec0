//! The Euclidean norm of any number of arrays, and their values times a factor.
//!
//! The norm is that of the exact sum of the squares, whose float64 an enclosure of it mostly tells already: of `f32`
//! and narrower ones a square is an `f64`, of `f64` it is two. So the norm depends on neither order nor threads. Values
//! too large or too small to be squared are halved or doubled often enough first.
//!
//! What binds, in cache: ten operations on two ports for sixteen squares, of which two widen them and two compute
//! what the other sums cut off, where a library that rounds as it adds takes a load and a multiply-add: it waits for the
//! cache. On paper and no better: squares as two `f32`, on three grids in integer lanes (14 and more); values split in
//! two, whose products are summed apart (13). One `f64` sum alone, of four operations, would not decide the last bit.

use super::sums::{canonical, is_narrow};
use crate::driver::floating_point::FloatingPointGuard;
use crate::driver::operand::{BLOCK, Operand, OperandMut};
use crate::driver::rows::{for_each_row_range, map_vectors};
use crate::driver::threads::Interrupted;
use crate::lanes::Token;
use crate::level::{Level, OnLevel};
use crate::reduction::exact::{self, NearlyExactSum};
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
    // Unless the sum lies close to the middle between two numbers, it need not be exact to be rounded so. Asking
    // whether it does takes a tenth of a microsecond.
    let elements: usize = operands.iter().map(Operand::len).sum();
    if elements > 2 * exact::BLOCK
        && let Some(sum) = total(level, operands, scale, false, keep_going)?.to_f64()
    {
        return Ok(sum);
    }
    let mut sum = total(level, operands, scale, true, keep_going)?;
    Ok(sum.exact().to_f64())
}

/// The same sum, of which squares of `f32` are added exactly or nearly so.
fn total(
    level: Level,
    operands: &[Operand<'_>],
    scale: f64,
    exactly: bool,
    keep_going: &dyn Fn() -> bool,
) -> Result<NearlyExactSum, Interrupted> {
    let mut squares = NearlyExactSum::default();
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
                        exactly,
                        state,
                    });
                }
            },
        )?;
        for state in &states {
            squares.merge(&state.sum);
        }
    }
    Ok(squares)
}

/// Of a thread; the buffers are made when needed.
#[derive(Default)]
struct State {
    sum: NearlyExactSum,
    narrow: Vec<f32>,
    wide: Vec<f64>,
}

struct Squares<'a> {
    operand: &'a Operand<'a>,
    start: usize,
    n: usize,
    scale: f64,
    exactly: bool,
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
            if self.exactly {
                sum.exact().add_squares_of_f32_slice(simd, values);
            } else {
                sum.add_squares_of_f32_slice(simd, values);
            }
            return;
        }
        let sum = sum.exact();
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
