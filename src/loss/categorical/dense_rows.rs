//! Samples of many classes with dense labels: each by itself, their logarithms together.
//!
//! The sums are those of `labels.rs`, to the bit: of a vector of 16 `f32` the lower half is added before the upper,
//! as if they were two vectors of eight. Rows that are long are gone through once: while a block's exponentials are
//! made the next one comes from memory, and labels are added up while the block is in the first-level cache.
//!
//! Nothing is asked of a single label. If none has a sign and the lanes' sums are at most 1, all are from 0 to 1;
//! if the sums of products are finite, no label of 0 met an infinite logit. Only blocks of which this is not so are looked
//! at again. On AVX-512 that leaves 13 operations of the two ports that compute for 16 classes of `f32`, 8 of them the
//! conversions to `f64`; with each label compared and its logit selected there were 21. They take 8 cycles, as each sum
//! has two additions of 4 cycles, one after the other: a label costs 0.17 ns beside 0.33 of its exponential, whether products
//! are fused into their sums or not. Only sums in more lanes, and so other bits, would take less.

use super::labels::{LANES, LabelSums, LaneSum};
use super::pass::{Pass, Summed, Worker};
use super::pending::{PlainSums, Values};
use crate::driver::layout::Ahead;
use crate::driver::operand::Operand;
use crate::driver::rows::{Row, for_each_vector, load, read_block};
use crate::dtype::Real;
use crate::lanes::{Lanes, Token, prefetch};
use crate::reduction::batch_statistics::BatchStatistics;
use crate::reduction::row_statistics::{InverseTemperature, RowSums, add_blocks};
use crate::reduction::row_sums::RowReal;
use crate::reduction::rows_side_by_side::{TOGETHER, statistics_of_rows};
use fearless_simd::f64x8;
use fearless_simd::prelude::*;

/// Rows of at most so many elements have their exponentials first, all of them: what is done once a row then is done in
/// lanes.
const SHORT: usize = 512;

/// Rows whose lanes' sums are added up together: as many as there are lanes of `f64`.
const ROWS: usize = 8;

/// Whether elements are as good as `T`s.
pub(super) fn holds<T: Real>(operand: &Operand<'_>) -> bool {
    let dtype = operand.dtype();
    dtype == T::DTYPE || dtype.size() < size_of::<T>()
}

impl<S: Token> Pass<'_, S> {
    /// Evaluate `n` samples from `first` on, without derivatives; `false`, and nothing done, if labels are of more digits
    /// than logits, or samples have something unusual to them: a refusal or an infinite logit.
    pub(super) fn dense_by_rows<T: Summed>(
        &self,
        worker: &mut Worker<T>,
        (first, n): (usize, usize),
        values: &mut Values,
    ) -> bool {
        let (simd, batch) = (self.simd, self.batch);
        if !(holds::<T>(&batch.y_pred) && holds::<T>(&batch.y_true)) {
            return false;
        }
        let mut statistics = BatchStatistics::default();
        let mut sums = PlainSums::default();
        let state = (&mut statistics, &mut sums);
        // Labels take errors along where logits do.
        let usual = if T::HALVES == 1 {
            self.reduce_rows::<T, true>(worker, (first, n), state)
        } else {
            self.reduce_rows::<T, false>(worker, (first, n), state)
        };
        if !usual {
            return false;
        }
        worker.totals.count += n as u64;
        let options = (&self.settings, self.classes);
        PlainSums::losses::<S, T>(simd, options, &statistics, (&sums, None), n, values);
        true
    }

    /// What `labels::sum_row` gives of a row of logits, if nothing is unusual and no more is asked than of a plain loss.
    pub(super) fn sum_labels<T: Summed>(
        &self,
        worker: &mut Worker<T>,
        row: Row,
    ) -> Option<LabelSums> {
        let (settings, batch) = (&self.settings, self.batch);
        let plain = !settings.sparse
            && settings.from_logits
            && settings.label_smoothing == 0.0
            && settings.class_weight.is_none();
        if !(plain && holds::<T>(&batch.y_pred) && holds::<T>(&batch.y_true)) {
            return None;
        }
        if T::HALVES == 1 {
            self.sum_row::<T, true>(worker, row)
        } else {
            self.sum_row::<T, false>(worker, row)
        }
    }

    #[inline(never)]
    fn sum_row<T: Summed, const COMPENSATE: bool>(
        &self,
        worker: &mut Worker<T>,
        row: Row,
    ) -> Option<LabelSums> {
        let simd = self.simd;
        let (y_true, y_pred) = (&self.batch.y_true, &self.batch.y_pred);
        let (of_labels, of_logits) = (&mut worker.labels.0.x, &mut worker.scratch.x);
        simd.vectorize(
            #[inline(always)]
            || {
                let mut sums = Sums::<S, COMPENSATE>::zero(simd);
                for (first, n) in row.blocks() {
                    let y = read_block(simd, y_true, row.start + first, n, of_labels);
                    let z = read_block(simd, y_pred, row.start + first, n, of_logits);
                    // SAFETY: of each there are `n` elements.
                    if !unsafe { sums.add((y, z), n, n) } {
                        return None;
                    }
                }
                let (labels, products) = (sums.labels.total(), sums.products.total());
                // Then no class with a label has an infinite logit.
                products.high.is_finite().then_some(LabelSums {
                    labels,
                    products,
                    besides_infinity: labels.high != 0.0,
                    ..LabelSums::default()
                })
            },
        )
    }

    /// Make the statistics of logits and the sums of labels and of their products with logits; false for something unusual.
    #[inline(never)]
    fn reduce_rows<T: Summed, const COMPENSATE: bool>(
        &self,
        worker: &mut Worker<T>,
        (first, n): (usize, usize),
        (statistics, sums): (&mut BatchStatistics<TOGETHER>, &mut PlainSums),
    ) -> bool {
        let (simd, classes) = (self.simd, self.classes);
        let (y_true, y_pred) = (&self.batch.y_true, &self.batch.y_pred);
        assert!(classes >= T::Vector::<S>::LEN);
        let short = classes <= SHORT;
        let scratch = &mut worker.scratch;
        if short {
            statistics_of_rows(simd, y_pred, (first, n), classes, scratch, statistics);
        }
        let (of_labels, of_logits) = (&mut worker.labels.0.x, &mut scratch.x);
        simd.vectorize(
            #[inline(always)]
            || {
                for begin in (0..n).step_by(ROWS) {
                    let rows = ROWS.min(n - begin);
                    let start = (first + begin) * classes;
                    let mut row_sums = [Sums::<S, COMPENSATE>::zero(simd); ROWS];
                    if short {
                        let size = rows * classes;
                        let y = read_block(simd, y_true, start, size, of_labels);
                        let z = read_block(simd, y_pred, start, size, of_logits);
                        for (i, sums) in row_sums[..rows].iter_mut().enumerate() {
                            let (y, z) = (y.wrapping_add(i * classes), z.wrapping_add(i * classes));
                            // SAFETY: of each there are `rows` times `classes` elements.
                            if !unsafe { sums.add((y, z), classes, ROWS * classes) } {
                                return false;
                            }
                        }
                    } else {
                        for (i, sums) in row_sums[..rows].iter_mut().enumerate() {
                            let row = Row::of(first + begin + i, classes);
                            let mut exponentials =
                                RowSums::<S, T>::new(simd, InverseTemperature::ONE);
                            for (at, n) in row.blocks() {
                                let start = row.start + at;
                                let y = read_block(simd, y_true, start, n, of_labels);
                                let z = read_block(simd, y_pred, start, n, of_logits);
                                let asked = [(y_pred, z), (y_true, y)].map(
                                    #[inline(always)]
                                    |(operand, here)| {
                                        let source = operand.ahead(start, n);
                                        source.map_or(Ahead::of(here), |source| source.after(n))
                                    },
                                );
                                let of_row = std::slice::from_mut(&mut exponentials);
                                // SAFETY: of each there are `n` elements.
                                let usual = unsafe {
                                    add_blocks::<S, T, true>(simd, of_row, z, &asked, n, None);
                                    sums.add((y, z), n, 0)
                                };
                                if !usual {
                                    return false;
                                }
                            }
                            statistics.set(begin + i, &exponentials.finish());
                        }
                    }
                    let mut parts = [row_sums[0].labels; ROWS];
                    for (part, sums) in parts.iter_mut().zip(&row_sums) {
                        *part = sums.labels;
                    }
                    let of_labels = LaneSum::totals(simd, &parts);
                    for (part, sums) in parts.iter_mut().zip(&row_sums) {
                        *part = sums.products;
                    }
                    sums.put(begin, [of_labels, LaneSum::totals(simd, &parts)]);
                }
                !statistics.maximum[..n].contains(&f64::INFINITY)
            },
        )
    }
}

impl<S: Token> Pass<'_, S> {
    /// Whether a row of logits has labels that are as good as `T`s and all from 0 to 1.
    pub(super) fn has_plain_labels<T: RowReal>(&self, row: Row, buffer: &mut Vec<T>) -> bool {
        let (simd, y_true) = (self.simd, &self.batch.y_true);
        let plain = !self.settings.sparse && self.settings.from_logits;
        plain
            && holds::<T>(y_true)
            && row.blocks().all(|(first, n)| {
                let labels = read_block(simd, y_true, row.start + first, n, buffer);
                // SAFETY: there are `n` labels.
                unsafe { are_labels(simd, labels, n) }
            })
    }
}

/// The sums of a row's labels and of their products with logits.
#[derive(Clone, Copy)]
struct Sums<S: Token, const COMPENSATE: bool> {
    simd: S,
    labels: LaneSum<S, COMPENSATE>,
    products: LaneSum<S, COMPENSATE>,
}

impl<S: Token, const COMPENSATE: bool> Sums<S, COMPENSATE> {
    /// Of no classes.
    #[inline(always)]
    fn zero(simd: S) -> Self {
        let zero = LaneSum::zero(simd);
        Self {
            simd,
            labels: zero,
            products: zero,
        }
    }

    /// Add the next `n` labels and their products with logits, unless one is outside `[0, 1]`; meanwhile ask for the labels
    /// that are `ahead` of these.
    ///
    /// # Safety
    /// Both can be read.
    #[inline(always)]
    unsafe fn add<T: RowReal>(
        &mut self,
        (labels, logits): (*const T, *const T),
        n: usize,
        ahead: usize,
    ) -> bool {
        let simd = self.simd;
        let place = ((labels, logits), n);
        // SAFETY: passed on.
        unsafe {
            let (sums, signed) = self.with::<T, false>(place, ahead);
            let one = f64x8::splat(simd, 1.0);
            let at_most_one = sums.labels.sum().simd_le(one).all_true();
            if (signed || !at_most_one) && !are_labels(simd, labels, n) {
                return false;
            }
            *self = if sums.products.sum().is_finite().all_true() {
                sums
            } else {
                self.with_labelled(place)
            };
        }
        true
    }

    /// With `n` more labels and products, and whether a label has a sign. `SELECT` leaves out the products of labels that
    /// are 0.
    ///
    /// # Safety
    /// Both can be read.
    #[inline(always)]
    unsafe fn with<T: RowReal, const SELECT: bool>(
        mut self,
        ((labels, logits), n): ((*const T, *const T), usize),
        ahead: usize,
    ) -> (Self, bool) {
        let (simd, lanes) = (self.simd, T::Vector::<S>::LEN);
        let zero = T::Vector::<S>::lit(simd, 0.0);
        let mut bits = zero;
        let mut at = 0;
        while at + lanes <= n {
            prefetch(labels.wrapping_add(at + ahead));
            // SAFETY: there are `lanes` elements from `at` on.
            let (y, z) = unsafe {
                (
                    load::<S, T>(simd, labels.add(at)),
                    load(simd, logits.add(at)),
                )
            };
            bits = with_bits(bits, y);
            self.add_vector::<T, SELECT>(y, z, 0);
            at += lanes;
        }
        // What is left comes eight at a time, the last of which end with the block, if there are as many.
        if n >= lanes {
            while at < n {
                let end = n.min(at + LANES);
                // SAFETY: there are `lanes` elements before `end`.
                let (y, z) = unsafe {
                    let first = end - lanes;
                    (
                        load::<S, T>(simd, labels.add(first)),
                        load(simd, logits.add(first)),
                    )
                };
                let valid = !0 << (lanes - (end - at));
                let valid = <T::Vector<S> as SimdBase<S>>::Mask::from_bitmask(simd, valid);
                let (y, z) = (valid.select(y, zero), valid.select(z, zero));
                bits = with_bits(bits, y);
                self.add_vector::<T, SELECT>(y, z, T::HALVES - 1);
                at = end;
            }
        } else {
            let (mut y, mut z) = (zero, zero);
            for i in 0..n {
                let lane = if i < LANES { i } else { i + lanes - n };
                // SAFETY: there are `n` elements.
                unsafe {
                    y.as_mut_slice()[lane] = *labels.add(i);
                    z.as_mut_slice()[lane] = *logits.add(i);
                }
            }
            bits = with_bits(bits, y);
            self.add_vector::<T, SELECT>(y, z, 0);
        }
        (self, is_signed(simd, bits))
    }

    /// Add those of a vector, from one of its halves on.
    #[inline(always)]
    fn add_vector<T: RowReal, const SELECT: bool>(
        &mut self,
        y: T::Vector<S>,
        z: T::Vector<S>,
        first_half: usize,
    ) {
        let simd = self.simd;
        let zero = T::Vector::<S>::lit(simd, 0.0);
        let z = if SELECT {
            y.simd_eq(zero).select(zero, z)
        } else {
            z
        };
        let (y, z) = (T::widen(simd, y), T::widen(simd, z));
        for half in first_half..T::HALVES {
            self.labels.add(y[half], f64x8::splat(simd, 0.0));
            self.products.add_exact_product(y[half], z[half]);
        }
    }

    /// [`Sums::with`], where a label of 0 may meet an infinite logit.
    ///
    /// # Safety
    /// As there.
    #[cold]
    #[inline(never)]
    unsafe fn with_labelled<T: RowReal>(self, place: ((*const T, *const T), usize)) -> Self {
        self.simd.vectorize(
            #[inline(always)]
            // SAFETY: passed on.
            || unsafe { self.with::<T, true>(place, 0).0 },
        )
    }
}

/// The bits of either.
#[inline(always)]
fn with_bits<S: Token, V: Lanes<S>>(a: V, b: V) -> V {
    V::from_bits(a.to_bits() | b.to_bits())
}

/// Whether a lane has a sign.
#[inline(always)]
fn is_signed<S: Token, V: Lanes<S>>(simd: S, x: V) -> bool {
    let one = V::lit(simd, 1.0);
    one.copysign(x).simd_lt(V::lit(simd, 0.0)).any_true()
}

/// Whether none of `n` labels is outside `[0, 1]`.
///
/// # Safety
/// They can be read.
#[inline(never)]
unsafe fn are_labels<S: Token, T: RowReal>(simd: S, labels: *const T, n: usize) -> bool {
    simd.vectorize(
        #[inline(always)]
        || {
            let (zero, one) = (
                T::Vector::<S>::lit(simd, 0.0),
                T::Vector::<S>::lit(simd, 1.0),
            );
            let mut outside = zero.simd_gt(one);
            // SAFETY: passed on; nothing is written.
            unsafe {
                for_each_vector::<S, T, 1>(
                    simd,
                    [labels],
                    None,
                    n,
                    T::default(),
                    #[inline(always)]
                    |[y], _| {
                        outside |= y.simd_lt(zero) | y.simd_gt(one);
                        y
                    },
                );
            }
            !outside.any_true()
        },
    )
}
