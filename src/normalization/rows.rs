//! Layer normalisation (Ba, Kiros and Hinton, "Layer Normalization", 2016) and RMS normalisation (Zhang
//! and Sennrich, "Root Mean Square Layer Normalization", 2019): each row by its own statistics.
//!
//! A row is read once, as `f64`, into a buffer in cache; its mean, variance and result are taken there.
//! The gradients of gamma and beta are sums over rows: a chunk of rows is summed in order, the chunks'
//! sums in any.

use super::sums::{
    Phases, Total, Twofold, accumulate, add_row, canonical, divide, is_narrow, normalise,
};
use crate::driver::floating_point::FloatingPointGuard;
use crate::driver::operand::{BLOCK, Operand, OperandMut};
use crate::driver::rows::for_each_row_range;
use crate::driver::threads::Interrupted;
use crate::lanes::Token;
use crate::level::{Level, OnLevel};
use crate::reduction::exact::ExactSum;
use std::ops::Range;

/// Rows whose gradients by gamma and beta are summed in order.
const CHUNK: usize = 64;

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
    /// A factor for each column.
    pub gamma: &'a [f64],
    /// A summand for each column.
    pub beta: &'a [f64],
}

/// What a row is normalised with.
#[derive(Clone, Copy)]
struct Moments {
    mean: f64,
    mean_low: f64,
    scale: f64,
}

impl Moments {
    #[inline(always)]
    fn of<const EXACT: bool>(row: &[f64], centred: bool, epsilon: f64) -> Self {
        let n = row.len() as f64;
        let (mean, mean_low) = if centred {
            let mut sum = [Phases::default()];
            add_row::<EXACT, _>(&mut sum, row, row, |x, _| [x]);
            let (high, low) = sum[0].total();
            divide(high, low, n)
        } else {
            (0.0, 0.0)
        };
        let mut squares = [Phases::default()];
        add_row::<EXACT, _>(&mut squares, row, row, |x, _| {
            let deviation = (x - mean) - mean_low;
            [deviation * deviation]
        });
        let (high, low) = squares[0].total();
        let (variance, low) = divide(high, low, n);
        Self {
            mean,
            mean_low,
            scale: 1.0 / (variance + low + epsilon).sqrt(),
        }
    }

    #[inline(always)]
    fn normalise(&self, x: f64) -> f64 {
        ((x - self.mean) - self.mean_low) * self.scale
    }
}

impl Rows<'_> {
    /// Rows that are read at a time.
    fn together(&self) -> usize {
        (BLOCK / self.columns.max(1)).max(1)
    }

    /// The ranges of rows that a range is worked through in.
    fn groups(&self, rows: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let together = self.together();
        let end = rows.end;
        rows.step_by(together)
            .map(move |first| first..end.min(first + together))
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
        for_each_row_range(
            self.rows,
            self.columns,
            keep_going,
            Vec::new,
            |buffer, rows| {
                let forward = Forward {
                    call: self,
                    x,
                    out,
                    buffer,
                    rows,
                };
                self.level.dispatch(forward);
            },
        )?;
        Ok(())
    }

    /// The gradient by `x`, to `out`, which is exactly `dy` or `x` or overlaps neither, and those by gamma
    /// and beta.
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
        if self.rows <= CHUNK {
            self.gradients::<Twofold>(dy, x, out, keep_going)
        } else {
            self.gradients::<ExactSum>(dy, x, out, keep_going)
        }
    }

    fn gradients<Sum: Total>(
        &self,
        dy: &Operand<'_>,
        x: &Operand<'_>,
        out: &OperandMut<'_>,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<(Vec<f64>, Vec<f64>), Interrupted> {
        let init = || GradientState {
            totals: std::array::from_fn(|_| vec![Sum::default(); self.columns]),
            sums: std::array::from_fn(|_| vec![0.0; self.columns]),
            x: Vec::new(),
            dy: Vec::new(),
        };
        let chunks = self.rows.div_ceil(CHUNK);
        let states = for_each_row_range(
            chunks,
            CHUNK * self.columns,
            keep_going,
            init,
            |state, chunks| {
                for chunk in chunks {
                    let first = chunk * CHUNK;
                    self.level.dispatch(Backward {
                        call: self,
                        dy,
                        x,
                        out,
                        state,
                        rows: first..self.rows.min(first + CHUNK),
                    });
                }
            },
        )?;
        let mut states = states.into_iter().map(|state| state.totals);
        let mut totals = states.next().unwrap_or_else(|| init().totals);
        for other in states {
            for (total, other) in totals.iter_mut().flatten().zip(other.iter().flatten()) {
                total.merge(other);
            }
        }
        let [gamma, beta] = totals.map(|totals| {
            let value = totals.iter().map(|total| canonical(total.over(1.0).0));
            value.collect()
        });
        Ok((gamma, beta))
    }
}

struct Forward<'a> {
    call: &'a Rows<'a>,
    x: &'a Operand<'a>,
    out: &'a OperandMut<'a>,
    buffer: &'a mut Vec<f64>,
    rows: Range<usize>,
}

impl OnLevel for Forward<'_> {
    type Output = ();

    fn run<S: Token>(self, simd: S) {
        let call = self.call;
        let columns = call.columns;
        let narrow = is_narrow(self.x.dtype());
        self.buffer.resize(call.together() * columns, 0.0);
        for rows in call.groups(self.rows) {
            let (position, n) = (rows.start * columns, rows.len() * columns);
            let block = &mut self.buffer[..n];
            self.x.read(simd, position, block);
            simd.vectorize(
                #[inline(always)]
                || {
                    for row in block.chunks_exact_mut(columns.max(1)) {
                        let moments = if narrow {
                            Moments::of::<false>(row, call.centred, call.epsilon)
                        } else {
                            Moments::of::<true>(row, call.centred, call.epsilon)
                        };
                        for ((x, gamma), beta) in row.iter_mut().zip(call.gamma).zip(call.beta) {
                            *x = canonical(moments.normalise(*x) * gamma + beta);
                        }
                    }
                },
            );
            // SAFETY: threads have different rows, and these have been read.
            unsafe { self.out.write(simd, position, block) };
        }
    }
}

struct GradientState<Sum> {
    /// Of gamma and of beta.
    totals: [Vec<Sum>; 2],
    /// Of a chunk: sum and error of gamma's terms and of beta's.
    sums: [Vec<f64>; 4],
    x: Vec<f64>,
    dy: Vec<f64>,
}

struct Backward<'a, Sum> {
    call: &'a Rows<'a>,
    dy: &'a Operand<'a>,
    x: &'a Operand<'a>,
    out: &'a OperandMut<'a>,
    state: &'a mut GradientState<Sum>,
    rows: Range<usize>,
}

impl<Sum: Total> OnLevel for Backward<'_, Sum> {
    type Output = ();

    fn run<S: Token>(self, simd: S) {
        let call = self.call;
        let columns = call.columns;
        let GradientState {
            totals,
            sums,
            x,
            dy,
        } = self.state;
        let narrow = is_narrow(self.x.dtype()) && is_narrow(self.dy.dtype());
        x.resize(call.together() * columns, 0.0);
        dy.resize(call.together() * columns, 0.0);
        for sums in sums.iter_mut() {
            sums.fill(0.0);
        }
        for rows in call.groups(self.rows) {
            let (position, n) = (rows.start * columns, rows.len() * columns);
            let (x, dy) = (&mut x[..n], &mut dy[..n]);
            self.x.read(simd, position, x);
            self.dy.read(simd, position, dy);
            simd.vectorize(
                #[inline(always)]
                || {
                    let width = columns.max(1);
                    for (x, dy) in x.chunks_exact_mut(width).zip(dy.chunks_exact_mut(width)) {
                        if narrow {
                            row_gradient::<false>(call, sums, x, dy);
                        } else {
                            row_gradient::<true>(call, sums, x, dy);
                        }
                    }
                },
            );
            // SAFETY: threads have different rows, and these have been read.
            unsafe { self.out.write(simd, position, x) };
        }
        for (totals, sums) in totals.iter_mut().zip(sums.chunks_exact(2)) {
            for ((total, &sum), &error) in totals.iter_mut().zip(&sums[0]).zip(&sums[1]) {
                let (high, low) = normalise(sum, error);
                total.add(high, low);
            }
        }
    }
}

/// The gradient by a row, in place of `x`; its share in the gradients by gamma and beta.
///
/// `dx = scale (g - mean(g) - y mean(g y))`, where `y` is the normalised row and `g = dy gamma`.
#[inline(always)]
fn row_gradient<const EXACT: bool>(
    call: &Rows<'_>,
    sums: &mut [Vec<f64>; 4],
    x: &mut [f64],
    dy: &mut [f64],
) {
    let n = x.len() as f64;
    let moments = Moments::of::<EXACT>(x, call.centred, call.epsilon);
    let columns = x.len();
    let (x, dy) = (&mut x[..columns], &mut dy[..columns]);
    let gamma = &call.gamma[..columns];
    let [gamma_sum, gamma_error, beta_sum, beta_error] =
        sums.each_mut().map(|sums| &mut sums[..columns]);
    for j in 0..columns {
        x[j] = moments.normalise(x[j]);
        accumulate::<EXACT>(&mut gamma_sum[j], &mut gamma_error[j], dy[j] * x[j]);
        accumulate::<EXACT>(&mut beta_sum[j], &mut beta_error[j], dy[j]);
        dy[j] *= gamma[j];
    }
    let mut means = [Phases::default(); 2];
    add_row::<EXACT, _>(&mut means, x, dy, |y, g| [g, g * y]);
    let [g, product] = means.map(|sum| {
        let (high, low) = sum.total();
        (high + low) / n
    });
    let mean = if call.centred { g } else { 0.0 };
    for (x, g) in x.iter_mut().zip(dy.iter()) {
        *x = canonical(moments.scale * ((g - mean) - *x * product));
    }
}
