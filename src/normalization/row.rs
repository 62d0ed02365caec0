//! One row: its moments, and the row normalised.
//!
//! Of `f32` the moments are first taken of the values as they are, in one pass and in `f64`, in which squares are
//! exact: mean square less squared mean. Where more than [`CANCELLED`] bits of that cancel, as for values far
//! from 0, and for `f64` always, the squares are taken again of deviations from the mean in two parts. The
//! result is a second pass over a row that is in cache. What binds both for `f32` is arithmetic: some ten
//! instructions for eight elements, two thirds of them conversions.

use super::lane_sums::Sum;
use super::sixteen::{Aligned, LANES, Pair, Sixteen, for_each_sixteen, load_last, multiply_add};
use super::sums::divide;
use crate::driver::kernel::canonical_nan;
use crate::lanes::{LINE, Lanes, Token, prefetch};
use fearless_simd::f64x8;
use fearless_simd::prelude::*;

/// What all rows of a call have in common.
pub(super) struct Parameters {
    pub(super) columns: usize,
    pub(super) centred: bool,
    pub(super) epsilon: f64,
    pub(super) one_over_columns: f64,
    /// A factor and a summand for each column, or for all.
    pub(super) gamma: Coefficients,
    pub(super) beta: Coefficients,
    /// Whether they are all finite.
    pub(super) finite: bool,
}

impl Parameters {
    pub(super) fn new(
        columns: usize,
        [gamma, beta]: [&[f64]; 2],
        centred: bool,
        epsilon: f64,
    ) -> Self {
        Self {
            columns,
            centred,
            epsilon,
            one_over_columns: 1.0 / columns as f64,
            gamma: Coefficients::new(gamma),
            beta: Coefficients::new(beta),
            finite: gamma.iter().chain(beta).all(|value| value.is_finite()),
        }
    }
}

/// A number for each column, or one for all, which of long rows saves reading more than the row itself.
pub(super) struct Coefficients {
    values: Aligned,
    /// Which bits of a column's index count: all, or none.
    mask: usize,
}

impl Coefficients {
    fn new(values: &[f64]) -> Self {
        match values {
            [one] => Self {
                values: Aligned::of(&[*one; LANES]),
                mask: 0,
            },
            _ => Self {
                values: Aligned::of(values),
                mask: usize::MAX,
            },
        }
    }

    /// That of one of the first columns.
    #[inline(always)]
    pub(super) fn of_column(&self, column: usize) -> f64 {
        debug_assert!(column < LANES);
        self.values.as_slice()[column]
    }

    /// Where they are.
    #[inline(always)]
    pub(super) fn lanes(&self) -> CoefficientLanes {
        CoefficientLanes {
            first: self.values.as_slice().as_ptr(),
            mask: self.mask,
        }
    }
}

/// The place of [`Coefficients`].
#[derive(Clone, Copy)]
pub(super) struct CoefficientLanes {
    first: *const f64,
    mask: usize,
}

impl CoefficientLanes {
    /// Those of sixteen columns.
    ///
    /// # Safety
    /// The coefficients live; there are as many columns from this one on, or it is a multiple of sixteen.
    #[inline(always)]
    pub(super) unsafe fn load<S: Token>(self, simd: S, column: usize) -> Pair<S> {
        // SAFETY: promised by the caller; there are whole vectors of coefficients.
        unsafe { f64::load(simd, self.first.add(column & self.mask)) }
    }
}

/// Columns from which on rows are asked for early, and results streamed.
const FAR_AHEAD: usize = 2048;

/// Where the results of rows go, and what is read after them.
#[derive(Clone, Copy)]
pub(super) struct Ways {
    /// Whether results go past the caches.
    pub(super) streamed: bool,
    /// Elements by which memory is asked for what will be read: the same of the next group of rows.
    pub(super) ahead: usize,
}

/// Bits of a mean square that may cancel: of 53 more than enough remain for an `f32`, after all errors of sums.
const CANCELLED: i32 = 8;

/// What a row is normalised with.
#[derive(Clone, Copy)]
pub(super) struct Moments {
    pub(super) mean: f64,
    /// What is missing to the mean.
    pub(super) low: f64,
    pub(super) scale: f64,
    /// How close the mean is to 0.
    pub(super) centre: Centre,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Centre {
    /// It is not subtracted.
    Zero,
    /// So close that `x * scale - mean * scale` is as good as anything.
    Near,
    /// `(x - mean) * scale`, the mean in two parts.
    Far,
}

/// As a constant for each [`Centre`], for loops without a branch.
pub(super) const ZERO: u8 = 0;
pub(super) const NEAR: u8 = 1;
pub(super) const FAR: u8 = 2;

impl Moments {
    /// # Safety
    /// `x` has as many elements as there are columns.
    #[inline(always)]
    pub(super) unsafe fn of<S: Token, T: Sixteen>(
        simd: S,
        parameters: &Parameters,
        x: *const T,
    ) -> Self {
        let (columns, epsilon) = (parameters.columns, parameters.epsilon);
        let n = columns as f64;
        let mut sum = Sum::<S, 4>::new(simd);
        let mut squares = Sum::<S, 4>::new(simd);
        // SAFETY: promised by the caller.
        unsafe {
            for_each_eight(
                simd,
                (x, columns),
                #[inline(always)]
                |x| x,
                #[inline(always)]
                |k, x| {
                    sum.add::<T>(k, x);
                    squares.add_product::<T>(k, x, x);
                },
            );
        }
        let (square, rest) = squares.total::<T>();
        if !parameters.centred {
            // Where errors are carried along, those of a product matter. Divisions behind each other take as long as half the
            // elements of a row of a hundred.
            let square = if T::EXACT {
                let (square, low) = divide(square, rest, n);
                square + low
            } else {
                square * parameters.one_over_columns
            };
            return Self {
                mean: 0.0,
                low: 0.0,
                scale: 1.0 / (square + epsilon).sqrt(),
                centre: Centre::Zero,
            };
        }
        let (high, rest) = sum.total::<T>();
        let mean = high * parameters.one_over_columns;
        let deviation = square - high * mean;
        if !T::EXACT && square <= f64::from(1 << CANCELLED) * deviation {
            return Self {
                mean,
                low: 0.0,
                scale: 1.0 / (deviation * parameters.one_over_columns + epsilon).sqrt(),
                centre: Centre::Near,
            };
        }
        let (mean, low) = divide(high, rest, n);
        let (mean_lanes, low_lanes) = (f64x8::splat(simd, mean), f64x8::splat(simd, low));
        let mut squares = Sum::<S, 4>::new(simd);
        // SAFETY: promised by the caller.
        unsafe {
            for_each_eight(
                simd,
                (x, columns),
                #[inline(always)]
                |x| (x - mean_lanes) - low_lanes,
                #[inline(always)]
                |k, deviation| squares.add_product::<T>(k, deviation, deviation),
            );
        }
        let (high, rest) = squares.total::<T>();
        let (variance, rest) = divide(high, rest, n);
        Self {
            mean,
            low,
            scale: 1.0 / (variance + rest + epsilon).sqrt(),
            centre: Centre::Far,
        }
    }

    pub(super) fn is_finite(&self) -> bool {
        self.mean.is_finite() && self.scale.is_finite()
    }

    #[inline(always)]
    pub(super) fn normalise<S: Token, const CENTRE: u8>(self, simd: S, x: Pair<S>) -> Pair<S> {
        // Not `map`, which may be left a function of its own, compiled for the baseline CPU.
        [
            self.normalise_eight::<S, CENTRE>(simd, x[0]),
            self.normalise_eight::<S, CENTRE>(simd, x[1]),
        ]
    }

    #[inline(always)]
    fn normalise_eight<S: Token, const CENTRE: u8>(self, simd: S, x: f64x8<S>) -> f64x8<S> {
        let scale = f64x8::splat(simd, self.scale);
        let (mean, low) = (f64x8::splat(simd, self.mean), f64x8::splat(simd, self.low));
        match CENTRE {
            ZERO => x * scale,
            NEAR => x.fma(scale, f64x8::splat(simd, -(self.mean * self.scale))),
            _ => ((x - mean) - low) * scale,
        }
    }
}

/// Call `add(k, of(x))` for each eight elements `x` of a row, whose terms go to vector `k` of four; with zeros in
/// place of terms that the vector before had.
///
/// # Safety
/// The row's elements are readable.
#[inline(always)]
unsafe fn for_each_eight<S: Token, T: Sixteen>(
    simd: S,
    (row, columns): (*const T, usize),
    of: impl Fn(f64x8<S>) -> f64x8<S>,
    mut add: impl FnMut(usize, f64x8<S>),
) {
    for_each_sixteen(
        columns,
        #[inline(always)]
        |at| {
            // SAFETY: promised by the caller.
            let [low, high] = unsafe { T::load_at(simd, row, at) };
            // Not `map`: see `Moments::normalise`.
            let terms = [of(low), of(high)];
            for (k, term) in at.new_only(simd, terms).into_iter().enumerate() {
                add(at.vector + k, term);
            }
        },
    );
}

/// A row normalised by its moments.
///
/// # Safety
/// `x` and `out` have as many elements as there are columns; `out` is exactly `x` or apart from it.
#[inline(always)]
pub(super) unsafe fn row_normalised<S: Token, T: Sixteen, O: Sixteen>(
    simd: S,
    parameters: &Parameters,
    moments: Moments,
    (x, out): (*const T, *mut O),
    ways: Ways,
) {
    // SAFETY: promised by the caller.
    unsafe {
        // What is finite makes no NaN, unless it overflows.
        let clean = moments.is_finite() && parameters.finite && !T::EXACT;
        match (moments.centre, clean) {
            (Centre::Zero, true) => {
                write_row::<S, T, O, false, ZERO>(simd, parameters, moments, (x, out), ways);
            }
            (Centre::Near, true) => {
                write_row::<S, T, O, false, NEAR>(simd, parameters, moments, (x, out), ways);
            }
            (Centre::Zero, false) => {
                write_row::<S, T, O, true, ZERO>(simd, parameters, moments, (x, out), ways);
            }
            (Centre::Near, false) | (Centre::Far, _) => {
                write_row::<S, T, O, true, FAR>(simd, parameters, moments, (x, out), ways);
            }
        }
    }
}

/// How the elements of a row are normalised.
#[derive(Clone, Copy)]
struct Affine {
    moments: Moments,
    gamma: CoefficientLanes,
    beta: CoefficientLanes,
}

impl Affine {
    /// Sixteen elements from a column on.
    ///
    /// # Safety
    /// As for [`CoefficientLanes::load`].
    #[inline(always)]
    unsafe fn of<S: Token, const CANONICAL: bool, const CENTRE: u8>(
        self,
        simd: S,
        x: Pair<S>,
        column: usize,
    ) -> Pair<S> {
        simd.outline(
            #[inline(always)]
            move || {
                let y = self.moments.normalise::<S, CENTRE>(simd, x);
                // SAFETY: promised by the caller.
                let (gamma, beta) =
                    unsafe { (self.gamma.load(simd, column), self.beta.load(simd, column)) };
                let y = multiply_add(y, gamma, beta);
                if CANONICAL {
                    [canonical_nan(simd, y[0]), canonical_nan(simd, y[1])]
                } else {
                    y
                }
            },
        )
    }
}

/// # Safety
/// As for [`row_normalised`].
#[inline(always)]
unsafe fn write_row<S: Token, T: Sixteen, O: Sixteen, const CANONICAL: bool, const CENTRE: u8>(
    simd: S,
    parameters: &Parameters,
    moments: Moments,
    (x, out): (*const T, *mut O),
    ways: Ways,
) {
    let columns = parameters.columns;
    let streamed = ways.streamed && columns >= FAR_AHEAD;
    let map = Affine {
        moments,
        gamma: parameters.gamma.lanes(),
        beta: parameters.beta.lanes(),
    };
    // The last elements are read before `out`, which may be `x`, has been written where they overlap.
    // SAFETY: elements of the row.
    let last = unsafe { load_last(simd, x, columns) };
    // Whole lines are streamed; the elements before and behind them may be written twice, not being in place.
    let mut at = if streamed {
        out.align_offset(LINE).min(LANES)
    } else {
        0
    };
    // SAFETY: elements of the row.
    unsafe {
        if at > 0 {
            let y = map.of::<S, CANONICAL, CENTRE>(simd, T::load(simd, x), 0);
            O::store(y, out);
        }
        // A short row's next ones are asked for by the CPU itself.
        if columns < FAR_AHEAD {
            while at + LANES <= columns {
                let y = map.of::<S, CANONICAL, CENTRE>(simd, T::load(simd, x.add(at)), at);
                O::store(y, out.add(at));
                at += LANES;
            }
        } else {
            while at + LANES <= columns {
                prefetch(x.wrapping_add(at + ways.ahead));
                let y = map.of::<S, CANONICAL, CENTRE>(simd, T::load(simd, x.add(at)), at);
                O::put(y, out.add(at), streamed);
                at += LANES;
            }
        }
        if at == columns {
            return;
        }
        let start = columns.saturating_sub(LANES);
        let y = map.of::<S, CANONICAL, CENTRE>(simd, last, start);
        if columns < LANES {
            O::store_first(y, out, columns);
        } else {
            O::store(y, out.add(start));
        }
    }
}
