//! Samples of few classes with dense labels, several at once: a distribution for each, logits, and no option that
//! is more than a factor.
//!
//! The results are those of the samples by themselves, to the bit: the sums over a row are those of `labels.rs`,
//! lane after lane, and the gradient is that of `logits.rs` in its general form.
//!
//! What binds, of ten classes of `f32` on AVX-512, 20 ns a sample: exponentials and their sums 4.5, both transpositions 3,
//! labels' sums and checks 2.5, folding them 2.5, logarithm and loss 3.5; the rest is many small steps.

use super::labels::{LANES, LaneSum, outside};
use super::pass::{Pass, Plan, Summed, Worker};
use super::pending::{PlainSums, Values};
use crate::driver::kernel::canonical_nan;
use crate::driver::operand::{BLOCK, Operand, OperandMut};
use crate::lanes::{Lanes, Token};
use crate::loss::twofold::TwofoldLanes;
use crate::math::twofold::two_sum;
use crate::reduction::batch_statistics::{BatchStatistics, eight};
use crate::reduction::row_exponential::unscale;
use crate::reduction::row_probabilities::Scratch;
use crate::reduction::row_statistics::{InverseTemperature, inverse_of_sum};
use crate::reduction::row_sums::RowReal;
use crate::reduction::rows_side_by_side::{Statistics, TOGETHER};
use crate::reduction::tile::{Tile, next_in_lane, read_tile, read_tiles, side_by_side, together};
use fearless_simd::f64x8;
use fearless_simd::prelude::*;

/// Labels beside a tile of logits, as they are or, of another type, as `f64`.
enum LabelTile<T> {
    Same(Tile<T>),
    Wide([Tile<f64>; 2]),
}

impl<T: RowReal> LabelTile<T> {
    #[inline(always)]
    fn read<S: Token>(
        simd: S,
        y_true: &Operand<'_>,
        (first, n): (usize, usize),
        classes: usize,
        (same, wide): (&mut Scratch<T>, &mut Scratch<f64>),
    ) -> Self {
        if y_true.as_slice::<T>(first * classes, 1).is_some() {
            return Self::Same(read_tile(simd, y_true, (first, n), classes, same));
        }
        let (tiles, count) = read_tiles(simd, y_true, (first, n), classes, wide);
        Self::Wide([tiles[0], tiles[1.min(count - 1)]])
    }

    /// The labels of a class.
    #[inline(always)]
    fn get<S: Token>(&self, simd: S, class: usize) -> [f64x8<S>; 2] {
        match self {
            Self::Same(tile) => T::widen(simd, tile.get(simd, class)),
            Self::Wide([low, high]) => [low.get(simd, class), high.get(simd, class)],
        }
    }
}

/// The sums of labels and of their products with logits, of eight samples.
#[derive(Clone, Copy)]
struct Sums<S: Token, const COMPENSATE: bool> {
    labels: LaneSum<S, COMPENSATE>,
    products: LaneSum<S, COMPENSATE>,
}

impl<S: Token, const COMPENSATE: bool> Sums<S, COMPENSATE> {
    #[inline(always)]
    fn zero(simd: S) -> Self {
        Self {
            labels: LaneSum::zero(simd),
            products: LaneSum::zero(simd),
        }
    }

    #[inline(always)]
    fn add(&mut self, simd: S, y: f64x8<S>, z: f64x8<S>) {
        let zero = f64x8::splat(simd, 0.0);
        self.labels.add(y, zero);
        self.products
            .add_product(y, y.simd_eq(zero).select(zero, z));
    }
}

/// Both sums of samples, of which those of each lane are given; `None` for a label that is refused.
#[inline(always)]
fn sum_labels<S: Token, T: RowReal, const COMPENSATE: bool>(
    simd: S,
    tile: &Tile<T>,
    labels: &LabelTile<T>,
) -> Option<[[TwofoldLanes<S>; 2]; 2]> {
    let n = tile.columns;
    let zero = f64x8::splat(simd, 0.0);
    let mut refused = outside(simd, zero);
    let mut of_lanes = [[Sums::<S, COMPENSATE>::zero(simd); 2]; LANES];
    for (lane, sums) in of_lanes.iter_mut().enumerate() {
        let mut class = lane;
        while class < n {
            let z = T::widen(simd, tile.get(simd, class));
            let y = labels.get(simd, class);
            for half in 0..T::HALVES {
                refused |= outside(simd, y[half]);
                sums[half].add(simd, y[half], z[half]);
            }
            class = next_in_lane(lane, class, n, LANES);
        }
    }
    if refused.any_true() {
        return None;
    }
    let mut totals = [[TwofoldLanes {
        high: zero,
        low: zero,
    }; 2]; 2];
    for half in 0..T::HALVES {
        let mut parts = [totals[0]; LANES];
        for (parts, sums) in parts.iter_mut().zip(&of_lanes) {
            *parts = [sums[half].labels.lanes(), sums[half].products.lanes()];
        }
        for distance in [4, 2, 1] {
            for i in 0..distance {
                let [labels, products] = parts[i + distance];
                parts[i] = [parts[i][0].plus(labels), parts[i][1].plus(products)];
            }
        }
        totals[half] = parts[0];
    }
    Some(totals)
}

/// The least label, other than 0, whose digits all have places in an `f64` up to 2: those of an `f32` end with 2^-52.
const LEAST: f64 = 1.0 / (1_u64 << 29) as f64;

/// [`sum_labels`] of `f32`, to the bit, if there is no need for more; `None` if there may be.
///
/// Labels that are 0 or at least [`LEAST`], with a sum below 2, add up without an error, in any order. And where a sum
/// of products is finite, all before it were: one that was not leaves a NaN. So folding need not ask.
#[inline(always)]
fn sum_plain_labels<S: Token, T: RowReal>(
    simd: S,
    tile: &Tile<T>,
    labels: &Tile<T>,
) -> Option<[[TwofoldLanes<S>; 2]; 2]> {
    let n = tile.columns;
    let zero = f64x8::splat(simd, 0.0);
    let none = T::Vector::<S>::lit(simd, 0.0);
    let least = T::Vector::<S>::lit(simd, LEAST);
    let one = T::Vector::<S>::lit(simd, 1.0);
    let mut plain = none.simd_eq(none);
    let mut of_labels = [zero; 2];
    let mut products = [[zero; 2]; LANES];
    for (lane, slot) in products.iter_mut().enumerate().take(n) {
        let mut sums = [zero; 2];
        let mut class = lane;
        while class < n {
            let y = labels.get(simd, class);
            let is_zero = y.simd_eq(none);
            plain &= is_zero | (y.simd_ge(least) & y.simd_le(one));
            let z = T::widen(simd, is_zero.select(none, tile.get(simd, class)));
            let y = T::widen(simd, y);
            for half in 0..2 {
                of_labels[half] += y[half];
                sums[half] += y[half] * z[half];
            }
            class = next_in_lane(lane, class, n, LANES);
        }
        *slot = sums;
    }
    let two = f64x8::splat(simd, 2.0);
    let exact = of_labels[0].simd_lt(two) & of_labels[1].simd_lt(two);
    let products = [fold_finite(&products, 0), fold_finite(&products, 1)];
    let finite = products[0].high.is_finite() & products[1].high.is_finite();
    if !plain.all_true() || !(exact & finite).all_true() {
        return None;
    }
    let mut totals = [products; 2];
    for half in 0..2 {
        let labels = TwofoldLanes {
            high: of_labels[half],
            low: zero,
        };
        totals[half] = [labels, products[half]];
    }
    Some(totals)
}

/// The sum of lanes' sums, of one half of the samples, in the order of `labels::fold`, and to its bits if it is finite.
#[inline(always)]
fn fold_finite<S: Token>(sums: &[[f64x8<S>; 2]; LANES], half: usize) -> TwofoldLanes<S> {
    let none = f64x8::splat(sums[0][half].token(), 0.0);
    let mut parts = [TwofoldLanes {
        high: none,
        low: none,
    }; 4];
    for i in 0..4 {
        (parts[i].high, parts[i].low) = two_sum(sums[i][half], sums[i + 4][half]);
    }
    for distance in [2, 1] {
        for i in 0..distance {
            parts[i] = parts[i].plus_finite(parts[i + distance]);
        }
    }
    parts[0]
}

impl<S: Token> Pass<'_, S> {
    /// Whether a batch may be for [`Pass::dense_side_by_side`].
    pub(super) fn is_dense_side_by_side<T: Summed>(
        &self,
        plan: &Plan<'_>,
        (first, n): (usize, usize),
    ) -> bool {
        let settings = &self.settings;
        let in_place = |out: &OperandMut<'_>| {
            let (start, n) = (first * self.classes, n * self.classes);
            out.as_mut_ptr::<T>(start, n).is_some()
        };
        !settings.sparse
            && settings.from_logits
            && settings.label_smoothing == 0.0
            && settings.inverse_temperature == InverseTemperature::ONE
            && settings.class_weight.is_none()
            && plan.hessian.is_none()
            && plan
                .gradient
                .as_ref()
                .is_none_or(|out| settings.z_loss == 0.0 && in_place(out))
            && (together(n, self.classes) || self.classes > BLOCK)
    }

    /// Evaluate `n` samples from `first` on, the `offset`-th of the range; `false`, and nothing done, if they have
    /// something unusual to them: a refusal or an infinite logit.
    #[inline(never)]
    pub(super) fn dense_side_by_side<T: Summed>(
        &self,
        worker: &mut Worker<T>,
        plan: &Plan<'_>,
        (offset, first, n): (usize, usize, usize),
        values: &mut Values,
    ) -> bool {
        let (simd, classes) = (self.simd, self.classes);
        if worker.weights[offset..offset + n]
            .iter()
            .any(|&weight| weight < 0.0)
        {
            return false;
        }
        // Rows longer than a block are summed block by block.
        if classes > BLOCK || !side_by_side::<S, T>(&self.batch.y_pred, (first, n), classes) {
            let wanted = plan.gradient.is_none();
            return wanted && self.dense_by_rows(worker, (first, n), values);
        }
        let mut all = BatchStatistics::default();
        let mut all_sums = PlainSums::default();
        let usual = simd.vectorize(
            #[inline(always)]
            || {
                for begin in (0..n).step_by(T::Vector::<S>::LEN) {
                    let (tile, labels) = self.tiles(worker, (first + begin, n - begin));
                    let statistics = Statistics::<S, T>::new::<false, true>(simd, &tile);
                    let infinity = T::Vector::<S>::lit(simd, f64::INFINITY);
                    if statistics.maximum.simd_eq(infinity).any_true() {
                        return false;
                    }
                    statistics.write(simd, begin, &mut all);
                    let plain = match &labels {
                        LabelTile::Same(labels) if T::HALVES == 2 => {
                            sum_plain_labels(simd, &tile, labels)
                        }
                        _ => None,
                    };
                    let sums = if plain.is_some() {
                        plain
                    } else if self.batch.double {
                        sum_labels::<S, T, true>(simd, &tile, &labels)
                    } else {
                        sum_labels::<S, T, false>(simd, &tile, &labels)
                    };
                    let Some(sums) = sums else {
                        return false;
                    };
                    for (half, sums) in sums.into_iter().enumerate().take(T::HALVES) {
                        all_sums.put(begin + 8 * half, sums);
                    }
                }
                true
            },
        );
        if !usual {
            return false;
        }
        worker.totals.count += n as u64;
        if let Some(gradient) = &plan.gradient {
            let mut factors = [0.0; TOGETHER];
            for (factor, &weight) in factors.iter_mut().zip(&worker.weights[offset..offset + n]) {
                *factor = weight * plan.scale;
            }
            simd.vectorize(
                #[inline(always)]
                || {
                    for begin in (0..n).step_by(T::Vector::<S>::LEN) {
                        let (tile, labels) = self.tiles(worker, (first + begin, n - begin));
                        let shares = &all_sums.labels.0[begin..];
                        differentiate(simd, &tile, &labels, (shares, &factors[begin..]));
                        tile.write(simd, gradient, &mut worker.scratch.result);
                    }
                },
            );
        }
        let options = (&self.settings, classes);
        PlainSums::losses::<S, T>(simd, options, &all, (&all_sums, None), n, values);
        true
    }

    /// Logits and labels of as many of `n` samples from `first` on as there are lanes.
    #[inline(always)]
    fn tiles<T: Summed>(
        &self,
        worker: &mut Worker<T>,
        (first, n): (usize, usize),
    ) -> (Tile<T>, LabelTile<T>) {
        let (simd, classes) = (self.simd, self.classes);
        let place = (first, n.min(T::Vector::<S>::LEN));
        let (same, wide) = &mut worker.labels;
        let labels = LabelTile::read(simd, &self.batch.y_true, place, classes, (same, wide));
        let logits = read_tile(
            simd,
            &self.batch.y_pred,
            place,
            classes,
            &mut worker.scratch,
        );
        (logits, labels)
    }
}

/// Make the gradient of a tile of logits: `factor (p share - y)`, see `logits.rs`.
#[inline(always)]
fn differentiate<S: Token, T: RowReal>(
    simd: S,
    tile: &Tile<T>,
    labels: &LabelTile<T>,
    (shares, factors): (&[f64], &[f64]),
) {
    let statistics = Statistics::<S, T>::new::<true, true>(simd, tile);
    let zero = f64x8::splat(simd, 0.0);
    let undo = f64x8::splat(simd, unscale(T::Vector::<S>::PRECISION));
    let peak = T::widen(simd, statistics.peak);
    let [
        mut share,
        mut others,
        mut inverse,
        mut probability,
        mut factor,
    ] = [[zero; 2]; 5];
    for half in 0..T::HALVES {
        share[half] = eight(simd, shares, 8 * half);
        factor[half] = eight(simd, factors, 8 * half);
        let (ties, unit) = (statistics.ties[half], statistics.unit[half]);
        let rest = (statistics.rest[half], statistics.rest_low[half]);
        others[half] = statistics.others(simd, half);
        let of_sum = inverse_of_sum(simd, ties * unit, rest).0;
        inverse[half] = of_sum * unit;
        probability[half] = of_sum * undo;
    }
    let bad = statistics.without_probabilities(simd);
    let nan = T::Vector::<S>::lit(simd, f64::NAN);
    for class in 0..tile.columns {
        let e = T::widen(simd, tile.get(simd, class));
        let y = labels.get(simd, class);
        let mut slope = [zero; 2];
        for half in 0..T::HALVES {
            let (e, y, share) = (e[half], y[half] + zero, share[half]);
            let below = Lanes::fma(e * probability[half], share, -y);
            let at_maximum = ((share - y) - y * others[half]) * inverse[half];
            slope[half] = e.simd_eq(peak[half]).select(at_maximum, below) * factor[half];
        }
        let slope = canonical_nan(simd, T::narrow(slope));
        tile.set(class, bad.select(nan, slope));
    }
}
