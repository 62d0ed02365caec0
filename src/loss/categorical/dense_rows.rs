//! Samples of many classes with dense labels, of the type of the logits: each by itself, their logarithms together.
//!
//! The sums are those of `labels.rs`, to the bit: of a vector of 16 `f32` the lower half is added before the upper,
//! as if they were two vectors of eight. What is asked of labels, to be from 0 to 1, is asked in `f32`.

use super::labels::{LANES, LaneSum};
use super::pass::{Pass, Summed, Worker};
use super::pending::{PlainSums, Values};
use crate::driver::rows::load;
use crate::lanes::{Lanes, Token, prefetch};
use crate::reduction::batch_statistics::BatchStatistics;
use crate::reduction::row_sums::RowReal;
use crate::reduction::rows_side_by_side::statistics_of_rows;
use fearless_simd::f64x8;
use fearless_simd::prelude::*;

impl<S: Token> Pass<'_, S> {
    /// Evaluate `n` samples from `first` on, without derivatives; `None`, and nothing done, if labels have another
    /// type or place than logits, or samples something unusual to them: a refusal or an infinite logit.
    pub(super) fn dense_by_rows<T: Summed>(
        &self,
        worker: &mut Worker<T>,
        (first, n): (usize, usize),
    ) -> Option<Values> {
        let (simd, classes) = (self.simd, self.classes);
        let (start, elements) = (first * classes, n * classes);
        let logits = self.batch.y_pred.as_slice::<T>(start, elements)?;
        let labels = self.batch.y_true.as_slice::<T>(start, elements)?;
        let mut statistics = BatchStatistics::default();
        let mut sums = PlainSums::default();
        let (y_pred, scratch) = (&self.batch.y_pred, &mut worker.scratch);
        let place = (first, n);
        statistics_of_rows(simd, y_pred, place, classes, scratch, &mut statistics);
        if statistics.maximum[..n].contains(&f64::INFINITY) {
            return None;
        }
        let eight = ROWS * classes;
        let rows = labels.chunks(eight).zip(logits.chunks(eight));
        for (i, rows) in rows.enumerate() {
            let place = (ROWS * i, &mut sums);
            let usual = if self.batch.double {
                sum_labels::<S, T, true>(simd, rows, classes, place)
            } else {
                sum_labels::<S, T, false>(simd, rows, classes, place)
            };
            if !usual {
                return None;
            }
        }
        worker.totals.count += n as u64;
        let mut values = Values::default();
        let options = (&self.settings, classes);
        PlainSums::losses::<S, T>(simd, options, &statistics, (&sums, None), n, &mut values);
        Some(values)
    }
}

/// Rows whose lanes' sums are added up together: as many as there are lanes of `f64`.
const ROWS: usize = 8;

/// Make `sums` from `first` on those of the labels of at most eight rows, and of their products with logits, unless a label is
/// outside `[0, 1]`. A row has more elements than a vector has lanes.
#[inline(never)]
fn sum_labels<S: Token, T: RowReal, const COMPENSATE: bool>(
    simd: S,
    (labels, logits): (&[T], &[T]),
    classes: usize,
    (first, sums): (usize, &mut PlainSums),
) -> bool {
    simd.vectorize(
        #[inline(always)]
        || {
            assert!(classes >= T::Vector::<S>::LEN);
            let zero = T::Vector::<S>::lit(simd, 0.0);
            let none = LaneSum::<S, COMPENSATE>::zero(simd);
            let (mut of_labels, mut of_products) = ([none; ROWS], [none; ROWS]);
            // The largest label, and the largest of their opposites.
            let mut range = [zero; 2];
            let rows = labels
                .chunks_exact(classes)
                .zip(logits.chunks_exact(classes));
            for (i, row) in rows.enumerate().take(ROWS) {
                let of_row = (&mut of_labels[i], &mut of_products[i]);
                sum_row::<S, T, COMPENSATE>(simd, row, of_row, &mut range);
            }
            let one = T::Vector::<S>::lit(simd, 1.0);
            if (range[0].simd_gt(one) | range[1].simd_gt(zero)).any_true() {
                return false;
            }
            let of_labels = LaneSum::totals(simd, &of_labels);
            let of_products = LaneSum::totals(simd, &of_products);
            sums.put(first, [of_labels, of_products]);
            true
        },
    )
}

/// Add up a row's labels, and their products with logits.
#[inline(always)]
fn sum_row<S: Token, T: RowReal, const COMPENSATE: bool>(
    simd: S,
    (labels, logits): (&[T], &[T]),
    (of_labels, of_products): (&mut LaneSum<S, COMPENSATE>, &mut LaneSum<S, COMPENSATE>),
    range: &mut [T::Vector<S>; 2],
) {
    let (lanes, n) = (T::Vector::<S>::LEN, labels.len());
    let zero = T::Vector::<S>::lit(simd, 0.0);
    let zeros = f64x8::splat(simd, 0.0);
    let [mut largest, mut opposite] = *range;
    let (mut sum, mut products) = (*of_labels, *of_products);
    let mut at = 0;
    while at < n {
        let whole = at + lanes <= n;
        // What is left comes eight at a time, in the upper half of vectors that end with it; the last eight end
        // with the row.
        let end = if whole { at + lanes } else { n.min(at + LANES) };
        // SAFETY: both rows have `n >= lanes` elements, and at least `lanes` before `end`.
        let (y, z) = unsafe {
            let (y, z) = (labels.as_ptr(), logits.as_ptr());
            let first = end - lanes;
            // The labels of the next rows; their logits are read before.
            prefetch(y.wrapping_add(ROWS * n + first));
            (
                load::<S, T>(simd, y.add(first)),
                load::<S, T>(simd, z.add(first)),
            )
        };
        largest = largest.larger(y);
        opposite = opposite.larger(-y);
        let z = y.simd_eq(zero).select(zero, z);
        let (y, z) = (T::widen(simd, y), T::widen(simd, z));
        if whole {
            for half in 0..T::HALVES {
                sum.add(y[half], zeros);
                products.add_product(y[half], z[half]);
            }
        } else {
            let valid = 0xff << (LANES - (end - at)) & 0xff;
            let valid = <f64x8<S> as SimdBase<S>>::Mask::from_bitmask(simd, valid);
            let last = T::HALVES - 1;
            let (y, z) = (valid.select(y[last], zeros), valid.select(z[last], zeros));
            sum.add(y, zeros);
            products.add_product(y, z);
        }
        at = end;
    }
    *range = [largest, opposite];
    (*of_labels, *of_products) = (sum, products);
}
