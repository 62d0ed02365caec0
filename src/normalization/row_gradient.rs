//! The gradient by a row, and the gradients by gamma and beta, which are sums over rows.
//!
//! `dx = scale (g - mean(g) - y mean(g y))`, where `y` is the normalised row and `g = dy gamma`. Rows of a group
//! take turns: first the moments of all, then the means, then the results, so that the sums of one row need
//! not wait for those of another. Elements are converted anew each time: their `f64` copies would not stay in
//! the first-level cache beside the sums.

use super::lane_sums::{Sum, add_products};
use super::row::{Centre, FAR, Moments, NEAR, Parameters, ZERO};
use super::sixteen::{
    Aligned, LANES, Pair, Sixteen, first, for_each_sixteen, for_each_vector, load_last, multiply,
    zip,
};
use super::sums::{add, normalise};
use crate::driver::kernel::canonical_nan;
use crate::lanes::{Lanes, Token};
use fearless_simd::f64x8;
use fearless_simd::prelude::*;

/// Sums over rows for each column: the gradients by gamma and beta.
pub(super) struct Gradients {
    columns: usize,
    /// Sums of some rows, and their errors.
    pub(super) sums: [Aligned; 2],
    errors: [Aligned; 2],
    /// High and low parts of what was settled: of gamma and beta, one after the other.
    high: Vec<f64>,
    low: Vec<f64>,
}

impl Gradients {
    pub(super) fn new(columns: usize) -> Self {
        let zeros = || {
            let mut zeros = Aligned::default();
            zeros.reserve(columns);
            zeros
        };
        Self {
            columns,
            sums: [zeros(), zeros()],
            errors: [zeros(), zeros()],
            high: vec![0.0; 2 * columns],
            low: vec![0.0; 2 * columns],
        }
    }

    /// Add the sums to those settled before, and begin anew.
    #[inline(always)]
    pub(super) fn settle(&mut self) {
        let columns = self.columns;
        let halves = self.high.chunks_exact_mut(columns);
        let halves = halves.zip(self.low.chunks_exact_mut(columns));
        for (k, (high, low)) in halves.enumerate() {
            let sums = self.sums[k].as_mut_slice();
            let errors = self.errors[k].as_mut_slice();
            for c in 0..columns {
                let (sum, error) = normalise(sums[c], errors[c]);
                add(&mut high[c], &mut low[c], sum);
                low[c] += error;
            }
            sums.fill(0.0);
            errors.fill(0.0);
        }
    }

    /// The high parts of all, then the low parts.
    pub(super) fn into_parts(mut self) -> Vec<f64> {
        self.high.append(&mut self.low);
        self.high
    }

    /// Where the sums and errors are.
    #[inline(always)]
    fn slots(&mut self) -> [[*mut f64; 2]; 2] {
        let [gamma, beta] = &mut self.sums;
        let [gamma_errors, beta_errors] = &mut self.errors;
        let first = |numbers: &mut Aligned| numbers.as_mut_slice().as_mut_ptr();
        [
            [first(gamma), first(gamma_errors)],
            [first(beta), first(beta_errors)],
        ]
    }
}

/// Add terms to sums and their errors.
///
/// # Safety
/// As for [`add_products`].
#[inline(always)]
unsafe fn add_terms<S: Token, T: Sixteen>(simd: S, slots: [*mut f64; 2], terms: Pair<S>) {
    // SAFETY: promised by the caller.
    unsafe {
        if T::EXACT {
            add_products::<S, T>(simd, slots, terms, [f64x8::splat(simd, 1.0); 2]);
        } else {
            let [low, high] = f64::load(simd, slots[0]);
            f64::store([low + terms[0], high + terms[1]], slots[0]);
        }
    }
}

/// What is known of a row after the first pass.
#[derive(Clone, Copy)]
pub(super) struct Means {
    moments: Moments,
    gradient: f64,
    product: f64,
}

/// Rows beside each other: where they are, and as constants what they have in common.
pub(super) struct Beside<'a, T> {
    pub(super) dy: *const T,
    pub(super) x: *const T,
    /// Elements that may be read from the first one on, of both.
    pub(super) readable: usize,
    pub(super) moments: &'a [Moments],
}

impl<T: Sixteen> Beside<'_, T> {
    /// Take the share of all rows in the gradients by gamma and beta, and leave their means.
    ///
    /// Two rows at once, where they are alike, add to the sums together: those of all columns are more than the
    /// first-level cache has room for.
    ///
    /// # Safety
    /// `dy` and `x` have as many rows as there are moments, which are theirs.
    #[inline(always)]
    pub(super) unsafe fn means<S: Token>(
        &self,
        simd: S,
        parameters: &Parameters,
        sums: &mut Gradients,
        means: &mut Vec<Means>,
    ) {
        let mut row = 0;
        while row < self.moments.len() {
            let centre = self.moments[row].centre;
            let pair = self
                .moments
                .get(row + 1)
                .is_some_and(|next| next.centre == centre);
            simd.outline(
                #[inline(always)]
                || {
                    // SAFETY: promised by the caller.
                    unsafe {
                        match (centre, pair) {
                            (Centre::Zero, true) => {
                                self.of::<S, ZERO, 2>(simd, parameters, row, sums, means);
                            }
                            (Centre::Near, true) => {
                                self.of::<S, NEAR, 2>(simd, parameters, row, sums, means);
                            }
                            (Centre::Far, true) => {
                                self.of::<S, FAR, 2>(simd, parameters, row, sums, means);
                            }
                            (Centre::Zero, false) => {
                                self.of::<S, ZERO, 1>(simd, parameters, row, sums, means);
                            }
                            (Centre::Near, false) => {
                                self.of::<S, NEAR, 1>(simd, parameters, row, sums, means);
                            }
                            (Centre::Far, false) => {
                                self.of::<S, FAR, 1>(simd, parameters, row, sums, means);
                            }
                        }
                    }
                },
            );
            row += 1 + usize::from(pair);
        }
    }

    /// # Safety
    /// As for [`Self::means`], of `N` rows.
    #[inline(always)]
    unsafe fn of<S: Token, const CENTRE: u8, const N: usize>(
        &self,
        simd: S,
        parameters: &Parameters,
        row: usize,
        sums: &mut Gradients,
        means: &mut Vec<Means>,
    ) {
        let columns = parameters.columns;
        let gamma = parameters.gamma.lanes();
        let [[gamma_sums, gamma_errors], [beta_sums, beta_errors]] = sums.slots();
        let mut gradient = [Sum::<S, 2>::new(simd); N];
        let mut product = [Sum::<S, 2>::new(simd); N];
        let moments = &self.moments[row..row + N];
        for_each_vector(
            columns,
            #[inline(always)]
            |at, _, n| {
                // SAFETY: the rows' elements, or those that may be read behind them, which then do not count;
                // the others have whole vectors.
                unsafe {
                    let gamma = gamma.load(simd, at);
                    for k in 0..N {
                        let start = (row + k) * columns + at;
                        let (x, dy) = if start + LANES <= self.readable {
                            (
                                T::load(simd, self.x.add(start)),
                                T::load(simd, self.dy.add(start)),
                            )
                        } else {
                            (
                                T::load_first(simd, self.x.add(start), n),
                                T::load_first(simd, self.dy.add(start), n),
                            )
                        };
                        let (x, dy) = (first(simd, x, n), first(simd, dy, n));
                        let y = moments[k].normalise::<S, CENTRE>(simd, x);
                        let g = multiply(dy, gamma);
                        let slots = [gamma_sums.add(at), gamma_errors.add(at)];
                        add_products::<S, T>(simd, slots, dy, y);
                        if CENTRE != ZERO {
                            let slots = [beta_sums.add(at), beta_errors.add(at)];
                            add_terms::<S, T>(simd, slots, dy);
                            gradient[k].add::<T>(0, g[0]);
                            gradient[k].add::<T>(1, g[1]);
                        }
                        product[k].add_product::<T>(0, g[0], y[0]);
                        product[k].add_product::<T>(1, g[1], y[1]);
                    }
                }
            },
        );
        for k in 0..N {
            let (gradient, gradient_low) = gradient[k].total::<T>();
            let (product, low) = product[k].total::<T>();
            means.push(Means {
                moments: moments[k],
                gradient: (gradient + gradient_low) * parameters.one_over_columns,
                product: (product + low) * parameters.one_over_columns,
            });
        }
    }
}

/// The gradient by a row.
///
/// # Safety
/// `dy`, `x` and `out` have as many elements as there are columns; `out` is exactly one of them or apart.
#[inline(always)]
pub(super) unsafe fn write_gradient<S: Token, T: Sixteen, O: Sixteen>(
    simd: S,
    parameters: &Parameters,
    means: Means,
    from: [*const T; 2],
    out: *mut O,
) {
    let finite = (means.moments.is_finite() && means.gradient.is_finite())
        && (means.product.is_finite() && parameters.finite);
    // SAFETY: promised by the caller.
    unsafe {
        // What is finite makes no NaN, unless it overflows.
        if !finite || T::EXACT || means.moments.centre == Centre::Far {
            write::<S, T, O, true, FAR>(simd, parameters, means, from, out);
        } else {
            write::<S, T, O, false, NEAR>(simd, parameters, means, from, out);
        }
    }
}

/// # Safety
/// As for [`write_gradient`].
#[inline(always)]
unsafe fn write<S: Token, T: Sixteen, O: Sixteen, const CANONICAL: bool, const CENTRE: u8>(
    simd: S,
    parameters: &Parameters,
    means: Means,
    [dy, x]: [*const T; 2],
    out: *mut O,
) {
    let columns = parameters.columns;
    let moments = means.moments;
    // dx = scale g - scale product y - scale mean, where y = (x - mean) scale.
    let slope = -(moments.scale * means.product) * moments.scale;
    let shift = -(moments.scale * means.gradient);
    let shift = if CENTRE == NEAR {
        shift - slope * moments.mean
    } else {
        shift
    };
    let gamma = parameters.gamma.lanes();
    let (scale, slope, shift) = (
        f64x8::splat(simd, moments.scale),
        f64x8::splat(simd, slope),
        f64x8::splat(simd, shift),
    );
    let (mean, low) = (
        f64x8::splat(simd, moments.mean),
        f64x8::splat(simd, moments.low),
    );
    // The last elements are read before `out`, which may be `x` or `dy`, has been written where they overlap.
    // SAFETY: elements of the row.
    let (last_x, last_dy) = unsafe { (load_last(simd, x, columns), load_last(simd, dy, columns)) };
    for_each_sixteen(
        columns,
        #[inline(always)]
        |at| {
            // SAFETY: the row's elements; gamma has whole vectors.
            unsafe {
                let (x, dy) = if at.is_whole() {
                    (T::load_at(simd, x, at), T::load_at(simd, dy, at))
                } else {
                    (last_x, last_dy)
                };
                let g = multiply(dy, gamma.load(simd, at.start));
                let dx = zip(
                    g,
                    x,
                    #[inline(always)]
                    |g, x| {
                        let x = if CENTRE == NEAR { x } else { (x - mean) - low };
                        let dx = x.fma(slope, g.fma(scale, shift));
                        if CANONICAL {
                            canonical_nan(simd, dx)
                        } else {
                            dx
                        }
                    },
                );
                O::store_at(dx, out, at);
            }
        },
    );
}
