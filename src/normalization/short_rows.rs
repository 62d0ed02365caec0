//! Sixteen short rows at a time, one to a lane.
//!
//! A row of ten is mostly what is done once a row: sums of lanes, two divisions and a root. Here sixteen
//! rows share them, for the price of transpositions: four columns at a time, of less than sixteen rows an element. Of
//! `f32` and narrower types only.

use super::row::Parameters;
use super::row_gradient::Gradients;
use super::sixteen::{COLUMNS, LANES, Pair, Sixteen};
use crate::driver::kernel::canonical_nan;
use crate::lanes::{Lanes, Token, map_array};
use fearless_simd::f64x8;
use fearless_simd::prelude::*;

/// Columns at most.
pub(super) const SHORT: usize = 16;

/// Sixteen rows column by column, and sums over rows in lanes.
pub(super) struct ShortScratch {
    x: [[f64; LANES]; SHORT],
    dy: [[f64; LANES]; SHORT],
    sums: [[[f64; LANES]; SHORT]; 2],
}

impl Default for ShortScratch {
    fn default() -> Self {
        let zeros = [[0.0; LANES]; SHORT];
        Self {
            x: zeros,
            dy: zeros,
            sums: [zeros; 2],
        }
    }
}

impl ShortScratch {
    /// Add the sums to those of all columns, and begin anew.
    pub(super) fn add_to<S: Token>(&mut self, simd: S, all: &mut Gradients) {
        simd.vectorize(
            #[inline(always)]
            || {
                for (sums, all) in self.sums.iter_mut().zip(&mut all.sums) {
                    for (lanes, all) in sums.iter_mut().zip(all.as_mut_slice()) {
                        for half in [8, 4, 2, 1] {
                            for k in 0..half {
                                lanes[k] += lanes[k + half];
                            }
                        }
                        *all += lanes[0];
                        *lanes = [0.0; LANES];
                    }
                }
            },
        );
    }
}

/// Call `f` with the first of each four columns; the last four end with the row.
#[inline(always)]
fn for_each_four(columns: usize, mut f: impl FnMut(usize)) {
    let mut first = 0;
    loop {
        f(first);
        if first + COLUMNS >= columns {
            break;
        }
        first = (first + COLUMNS).min(columns - COLUMNS);
    }
}

/// Read `rows` rows of `columns` elements; the last one again for those that lack, times `filler`.
///
/// # Safety
/// They are readable.
#[inline(always)]
unsafe fn read<S: Token, T: Sixteen>(
    simd: S,
    source: *const T,
    rows: usize,
    columns: usize,
    filler: f64,
    to: &mut [[f64; LANES]; SHORT],
) {
    if rows == LANES && columns >= COLUMNS {
        for_each_four(
            columns,
            #[inline(always)]
            |first| {
                // SAFETY: promised by the caller.
                let columns = unsafe { T::load_columns(simd, source.add(first), columns) };
                for (column, lanes) in columns.into_iter().zip(&mut to[first..]) {
                    store(column, lanes);
                }
            },
        );
        return;
    }
    for (column, lanes) in to[..columns].iter_mut().enumerate() {
        for (row, lane) in lanes[..rows].iter_mut().enumerate() {
            // SAFETY: promised by the caller.
            *lane = unsafe { *source.add(row * columns + column) }.into();
        }
        let last = lanes[rows - 1] * filler;
        lanes[rows..].fill(last);
    }
}

/// # Safety
/// `rows` rows of `columns` elements are writable, and no references to them live.
#[inline(always)]
unsafe fn write<S: Token, O: Sixteen>(
    simd: S,
    from: &[[f64; LANES]; SHORT],
    rows: usize,
    columns: usize,
    target: *mut O,
) {
    if rows == LANES && columns >= COLUMNS {
        for_each_four(
            columns,
            #[inline(always)]
            |first| {
                let columns_of = map_array(
                    [0, 1, 2, 3],
                    #[inline(always)]
                    |k| load(simd, &from[first + k]),
                );
                // SAFETY: promised by the caller.
                unsafe { O::store_columns(columns_of, target.add(first), columns) };
            },
        );
        return;
    }
    for (column, lanes) in from[..columns].iter().enumerate() {
        for (row, lane) in lanes[..rows].iter().enumerate() {
            // SAFETY: promised by the caller.
            unsafe { *target.add(row * columns + column) = O::nearest(*lane) };
        }
    }
}

#[inline(always)]
fn load<S: Token>(simd: S, lanes: &[f64; LANES]) -> Pair<S> {
    // SAFETY: sixteen elements.
    unsafe { f64::load(simd, lanes.as_ptr()) }
}

#[inline(always)]
fn store<S: Token>(values: Pair<S>, lanes: &mut [f64; LANES]) {
    // SAFETY: sixteen elements.
    unsafe { f64::store(values, lanes.as_mut_ptr()) };
}

/// The columns normalised without gamma and beta, in place; the scale of each row.
#[inline(always)]
fn normalise<S: Token>(simd: S, parameters: &Parameters, columns: &mut [[f64; LANES]]) -> Pair<S> {
    let n = f64x8::splat(simd, columns.len() as f64);
    let mut moments = [[f64x8::splat(simd, 0.0); 3]; 2];
    for (half, [mean, low, scale]) in moments.iter_mut().enumerate() {
        if parameters.centred {
            let mut sum = f64x8::splat(simd, 0.0);
            for column in columns.iter() {
                sum += load(simd, column)[half];
            }
            *mean = sum / n;
            // The remainder of a division is exact in one fused operation.
            *low = (-*mean).fma(n, sum) / n;
        }
        let mut squares = f64x8::splat(simd, 0.0);
        for column in columns.iter() {
            let deviation = load(simd, column)[half] - *mean;
            squares += deviation * deviation;
        }
        *scale = f64x8::splat(simd, 1.0) / (squares / n + parameters.epsilon).sqrt();
        *low *= *scale;
    }
    for column in columns.iter_mut() {
        let mut y = load(simd, column);
        for (y, [mean, low, scale]) in y.iter_mut().zip(&moments) {
            *y = (*y - *mean) * *scale;
            if parameters.centred {
                *y -= *low;
            }
        }
        store(y, column);
    }
    [moments[0][2], moments[1][2]]
}

/// Some rows normalised.
///
/// # Safety
/// `x` and `out` have `rows` rows; `out` is exactly `x` or apart from it.
#[inline(always)]
pub(super) unsafe fn rows_normalised<S: Token, T: Sixteen, O: Sixteen>(
    simd: S,
    parameters: &Parameters,
    x: *const T,
    out: *mut O,
    rows: usize,
    scratch: &mut ShortScratch,
) {
    let columns = parameters.columns;
    for first in (0..rows).step_by(LANES) {
        let (rows, start) = (LANES.min(rows - first), first * columns);
        // SAFETY: promised by the caller.
        unsafe { read(simd, x.add(start), rows, columns, 1.0, &mut scratch.x) };
        let tile = &mut scratch.x[..columns];
        normalise(simd, parameters, tile);
        for (c, column) in tile.iter_mut().enumerate() {
            let (gamma, beta) = (parameters.gamma.of_column(c), parameters.beta.of_column(c));
            let y = map_array(
                load(simd, column),
                #[inline(always)]
                |y| canonical_nan(simd, y * gamma + beta),
            );
            store(y, column);
        }
        // SAFETY: promised by the caller.
        unsafe { write(simd, &scratch.x, rows, columns, out.add(start)) };
    }
}

/// The gradients by some rows, and their share in those by gamma and beta.
///
/// # Safety
/// All pointers have `rows` rows; `out` is exactly `x` or `dy` or apart from both.
#[inline(always)]
pub(super) unsafe fn rows_gradient<S: Token, T: Sixteen, O: Sixteen>(
    simd: S,
    parameters: &Parameters,
    (dy, x): (*const T, *const T),
    out: *mut O,
    rows: usize,
    scratch: &mut ShortScratch,
) {
    let columns = parameters.columns;
    let n = f64x8::splat(simd, columns as f64);
    for first in (0..rows).step_by(LANES) {
        let (rows, start) = (LANES.min(rows - first), first * columns);
        // SAFETY: promised by the caller. What fills up has no weight.
        unsafe {
            read(simd, x.add(start), rows, columns, 1.0, &mut scratch.x);
            read(simd, dy.add(start), rows, columns, 0.0, &mut scratch.dy);
        }
        let (y, dy) = (&mut scratch.x[..columns], &mut scratch.dy[..columns]);
        let scale = normalise(simd, parameters, y);
        let mut means = [[f64x8::splat(simd, 0.0); 2]; 2];
        let [for_gamma, for_beta] = &mut scratch.sums;
        for c in 0..columns {
            let (y, upstream) = (load(simd, &y[c]), load(simd, &dy[c]));
            let g = map_array(
                upstream,
                #[inline(always)]
                |dy| dy * parameters.gamma.of_column(c),
            );
            let by_gamma = [upstream[0] * y[0], upstream[1] * y[1]];
            for (slot, terms) in [(&mut for_gamma[c], by_gamma), (&mut for_beta[c], upstream)] {
                let sum = load(simd, slot);
                store([sum[0] + terms[0], sum[1] + terms[1]], slot);
            }
            for k in 0..2 {
                means[0][k] += g[k];
                means[1][k] += g[k] * y[k];
            }
            store(g, &mut dy[c]);
        }
        let mean = if parameters.centred {
            map_array(
                means[0],
                #[inline(always)]
                |sum| sum / n,
            )
        } else {
            [f64x8::splat(simd, 0.0); 2]
        };
        let product = [means[1][0] / n, means[1][1] / n];
        for (y, g) in y.iter_mut().zip(dy.iter()) {
            let (values, g) = (load(simd, y), load(simd, g));
            let dx = map_array(
                [0, 1],
                #[inline(always)]
                |k| canonical_nan(simd, scale[k] * ((g[k] - mean[k]) - values[k] * product[k])),
            );
            store(dx, y);
        }
        // SAFETY: promised by the caller.
        unsafe { write(simd, &scratch.x, rows, columns, out.add(start)) };
    }
}
