//! Layer normalisation (Ba, Kiros and Hinton, "Layer Normalization", 2016) and RMS normalisation (Zhang
//! and Sennrich, "Root Mean Square Layer Normalization", 2019): each row by its own statistics.
//!
//! A row is converted once to `f64`, in cache; its mean, variance and result are taken there (`row.rs`). Of short
//! rows sixteen are taken at once, one to a lane (`short_rows.rs`). The gradients of gamma and beta are sums
//! over rows: those of a chunk in order, then the chunks' in order, so threads change nothing.

use super::row::{Moments, Parameters, Ways, row_normalised};
use super::row_gradient::{Beside, Gradients, Means, write_gradient};
use super::short_rows::{SHORT, ShortScratch, rows_gradient, rows_normalised};
use super::sixteen::{LANES, Operands, Sixteen, is_streamed};
use super::sums::{in_order, is_narrow};
use crate::driver::floating_point::FloatingPointGuard;
use crate::driver::operand::{BLOCK, Operand, OperandMut};
use crate::driver::rows::{Target, for_each_row_range, read_block};
use crate::driver::threads::Interrupted;
use crate::dtype::Dtype;
use crate::lanes::{Token, fence_streamed};
use crate::level::{Level, OnLevel};
use std::ops::Range;

/// Rows of a chunk at least, and chunks at most: each leaves four numbers for each column.
const CHUNK: usize = 64;
const CHUNKS: usize = 64;

/// Columns from which on a row is worked through alone: with the next one, which is asked for meanwhile, it fills
/// half a second-level cache.
const LONG: usize = 1 << 15;

/// How the rows of a call are normalised. The operands' normalised axes come last.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// The SIMD level.
    pub level: Level,
    /// Number of rows.
    pub rows: usize,
    /// Elements of a row.
    pub columns: usize,
    /// Whether the mean is subtracted: layer normalisation, else RMS normalisation.
    pub centred: bool,
    /// Added to the variance, or to the mean square.
    pub epsilon: f64,
    /// A factor for each column, or one for all.
    pub gamma: &'a [f64],
    /// A summand for each column, or one for all.
    pub beta: &'a [f64],
}

impl Rows<'_> {
    /// Rows that are read at a time.
    fn together(&self, least: usize) -> usize {
        (BLOCK / self.columns.max(1))
            .max(least)
            .next_multiple_of(if self.columns <= SHORT { LANES } else { 1 })
    }

    /// Rows of a chunk: a matter of their number alone.
    fn chunk(&self) -> usize {
        let least = if self.columns <= SHORT {
            LANES * CHUNK
        } else {
            CHUNK
        };
        self.rows.div_ceil(CHUNKS).next_multiple_of(least)
    }

    /// The ranges of rows that a range is worked through in.
    fn groups(&self, rows: Range<usize>, least: usize) -> impl Iterator<Item = Range<usize>> {
        let together = self.together(least);
        let end = rows.end;
        rows.step_by(together)
            .map(move |first| first..end.min(first + together))
    }

    fn parameters(&self) -> Parameters {
        Parameters::new(
            self.columns,
            [self.gamma, self.beta],
            self.centred,
            self.epsilon,
        )
    }

    /// Each row of `x` normalised, to `out`, which is exactly `x` or does not overlap it.
    ///
    /// # Errors
    /// [`Interrupted`] when `keep_going` said no.
    pub fn normalised(
        &self,
        x: &Operand<'_>,
        out: &OperandMut<'_>,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<(), Interrupted> {
        let _environment = FloatingPointGuard::new();
        if self.columns == 0 {
            return Ok(());
        }
        match (is_narrow(x.dtype()), out.dtype()) {
            (true, Dtype::Float32) => self.forward::<f32, f32>(x, out, keep_going),
            (true, _) => self.forward::<f32, f64>(x, out, keep_going),
            (false, _) => self.forward::<f64, f64>(x, out, keep_going),
        }
    }

    fn forward<T: Sixteen, O: Sixteen>(
        &self,
        x: &Operand<'_>,
        out: &OperandMut<'_>,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<(), Interrupted> {
        let parameters = self.parameters();
        let streamed = is_streamed::<O>(Operands { x, dy: None }, out);
        for_each_row_range(
            self.rows,
            self.columns,
            keep_going,
            Buffers::<T, O>::default,
            |buffers, rows| {
                self.level.dispatch(Forward {
                    call: self,
                    parameters: &parameters,
                    x,
                    out,
                    streamed,
                    buffers,
                    rows,
                });
            },
        )?;
        Ok(())
    }

    /// The gradient by `x`, to `out`, which is exactly `dy` or `x` or overlaps neither, and those by gamma
    /// and beta; without centring that by beta is left 0.
    ///
    /// # Errors
    /// [`Interrupted`] when `keep_going` said no.
    pub fn gradient(
        &self,
        dy: &Operand<'_>,
        x: &Operand<'_>,
        out: &OperandMut<'_>,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<(Vec<f64>, Vec<f64>), Interrupted> {
        let _environment = FloatingPointGuard::new();
        let narrow = is_narrow(x.dtype()) && is_narrow(dy.dtype());
        match (narrow, out.dtype()) {
            (true, Dtype::Float32) => self.backward::<f32, f32>(dy, x, out, keep_going),
            (true, _) => self.backward::<f32, f64>(dy, x, out, keep_going),
            (false, _) => self.backward::<f64, f64>(dy, x, out, keep_going),
        }
    }

    fn backward<T: Sixteen, O: Sixteen>(
        &self,
        dy: &Operand<'_>,
        x: &Operand<'_>,
        out: &OperandMut<'_>,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<(Vec<f64>, Vec<f64>), Interrupted> {
        let parameters = self.parameters();
        let chunk = self.chunk().max(1);
        let chunks = if self.columns == 0 {
            0
        } else {
            self.rows.div_ceil(chunk)
        };
        let states = for_each_row_range(
            chunks,
            chunk * self.columns,
            keep_going,
            || (Buffers::<T, O>::default(), Vec::new()),
            |(buffers, done), chunks| {
                for index in chunks {
                    let first = index * chunk;
                    let sums = self.level.dispatch(Backward {
                        call: self,
                        parameters: &parameters,
                        dy,
                        x,
                        out,
                        buffers,
                        rows: first..self.rows.min(first + chunk),
                    });
                    done.push((index, sums));
                }
            },
        )?;
        let done = states.into_iter().flat_map(|(_, done)| done).collect();
        let mut values = in_order(done, 2 * self.columns)
            .into_iter()
            .map(|(high, _)| super::sums::canonical(high));
        let gamma = values.by_ref().take(self.columns).collect();
        Ok((gamma, values.collect()))
    }
}

/// What a thread works in.
struct Buffers<T, O> {
    x: Vec<T>,
    dy: Vec<T>,
    out: Vec<O>,
    moments: Vec<Moments>,
    means: Vec<Means>,
    short: ShortScratch,
}

impl<T, O> Default for Buffers<T, O> {
    fn default() -> Self {
        Self {
            x: Vec::new(),
            dy: Vec::new(),
            out: Vec::new(),
            moments: Vec::new(),
            means: Vec::new(),
            short: ShortScratch::default(),
        }
    }
}

struct Forward<'a, T, O> {
    call: &'a Rows<'a>,
    parameters: &'a Parameters,
    x: &'a Operand<'a>,
    out: &'a OperandMut<'a>,
    streamed: bool,
    buffers: &'a mut Buffers<T, O>,
    rows: Range<usize>,
}

impl<T: Sixteen, O: Sixteen> OnLevel for Forward<'_, T, O> {
    type Output = ();

    fn run<S: Token>(self, simd: S) {
        let Self {
            call,
            parameters,
            streamed,
            buffers,
            ..
        } = self;
        let columns = call.columns;
        // Two rows need not wait for each other's sums; of long ones that is no matter, but the cache's room.
        let least = if columns > LONG { 1 } else { 2 };
        for rows in call.groups(self.rows, least) {
            let (position, n) = (rows.start * columns, rows.len() * columns);
            let x = read_block(simd, self.x, position, n, &mut buffers.x);
            let target = Target::new(self.out, position, n, &mut buffers.out);
            let out = target.pointer;
            simd.vectorize(
                #[inline(always)]
                || {
                    // SAFETY: `n` elements each; `out` is exactly `x` or apart from it, and threads have
                    // different rows.
                    unsafe {
                        if columns <= SHORT && !T::EXACT {
                            rows_normalised(
                                simd,
                                parameters,
                                x,
                                out,
                                rows.len(),
                                &mut buffers.short,
                            );
                        } else {
                            moments_of(simd, parameters, (x, n), &mut buffers.moments);
                            for (row, moments) in buffers.moments.iter().enumerate() {
                                let start = row * columns;
                                let ways = Ways { streamed, ahead: n };
                                let row = (x.add(start), out.add(start));
                                row_normalised(simd, parameters, *moments, row, ways);
                            }
                        }
                    }
                },
            );
            // SAFETY: all elements have been written; threads have different rows.
            unsafe { target.finish(simd, self.out, position, n) };
        }
        if streamed {
            fence_streamed();
        }
    }
}

/// The moments of rows with `n` elements in all, in place of those before.
///
/// # Safety
/// They are readable.
#[inline(always)]
unsafe fn moments_of<S: Token, T: Sixteen>(
    simd: S,
    parameters: &Parameters,
    (x, n): (*const T, usize),
    moments: &mut Vec<Moments>,
) {
    simd.outline(
        #[inline(always)]
        || {
            moments.clear();
            for start in (0..n).step_by(parameters.columns) {
                // SAFETY: promised by the caller.
                moments.push(unsafe { Moments::of(simd, parameters, x.add(start)) });
            }
        },
    );
}

struct Backward<'a, T, O> {
    call: &'a Rows<'a>,
    parameters: &'a Parameters,
    dy: &'a Operand<'a>,
    x: &'a Operand<'a>,
    out: &'a OperandMut<'a>,
    buffers: &'a mut Buffers<T, O>,
    rows: Range<usize>,
}

impl<T: Sixteen, O: Sixteen> OnLevel for Backward<'_, T, O> {
    /// High parts of the sums for gamma, for beta, and their low parts.
    type Output = Vec<f64>;

    fn run<S: Token>(self, simd: S) -> Vec<f64> {
        let Self {
            call,
            parameters,
            buffers,
            ..
        } = self;
        let columns = call.columns;
        let short = columns <= SHORT && !T::EXACT;
        let mut sums = Gradients::new(columns);
        // What is summed without errors is short.
        let most = if short { LANES * CHUNK } else { CHUNK };
        let (end, mut unsettled) = (self.rows.end, 0);
        for rows in call.groups(self.rows, 2) {
            let (position, n) = (rows.start * columns, rows.len() * columns);
            let x = read_block(simd, self.x, position, n, &mut buffers.x);
            let dy = read_block(simd, self.dy, position, n, &mut buffers.dy);
            let target = Target::new(self.out, position, n, &mut buffers.out);
            let out = target.pointer;
            simd.vectorize(
                #[inline(always)]
                || {
                    // SAFETY: `n` elements each; `out` is exactly `x` or `dy` or apart from both, and threads
                    // have different rows.
                    unsafe {
                        if short {
                            rows_gradient(
                                simd,
                                parameters,
                                (dy, x),
                                out,
                                rows.len(),
                                &mut buffers.short,
                            );
                        } else {
                            moments_of(simd, parameters, (x, n), &mut buffers.moments);
                            let beside = Beside {
                                dy,
                                x,
                                readable: n,
                                moments: &buffers.moments,
                            };
                            buffers.means.clear();
                            beside.means(simd, parameters, &mut sums, &mut buffers.means);
                            for (row, means) in buffers.means.iter().enumerate() {
                                let start = row * columns;
                                let from = [dy.add(start), x.add(start)];
                                write_gradient(simd, parameters, *means, from, out.add(start));
                            }
                        }
                    }
                },
            );
            // SAFETY: all elements have been written; threads have different rows.
            unsafe { target.finish(simd, self.out, position, n) };
            unsettled += rows.len();
            if unsettled >= most || rows.end == end {
                if short {
                    buffers.short.add_to(simd, &mut sums);
                }
                simd.vectorize(
                    #[inline(always)]
                    || sums.settle(),
                );
                unsettled = 0;
            }
        }
        sums.into_parts()
    }
}
