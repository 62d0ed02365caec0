//! The rank of each sample's label among its scores: accuracy and top-k of any k, in one pass.
//!
//! The rank is the number of classes ahead of the label: those of a larger score, those of an equal score
//! and a smaller id, as `argmax` picks the first, and those whose score is NaN. A label that is NaN is
//! behind all. The label is right where the rank is 0, and among the k largest where it is below k.

use super::LossError;
use crate::driver::floating_point::FloatingPointGuard;
use crate::driver::operand::{BLOCK, Operand};
use crate::driver::threads::parallel;
use crate::dtype::{Dtype, Real};
use crate::lanes::Token;
use crate::level::{Level, OnLevel};
use fearless_simd::prelude::*;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

/// The rank of a label that is no class id, such as an ignored one.
pub const NO_RANK: u32 = u32::MAX;

/// Scores that a thread takes at a time, at least.
const GRAIN: usize = 1 << 15;

/// Write the rank of each label among its row of scores.
///
/// `scores` are rows of `classes`, one for each of the labels.
///
/// # Errors
/// `keep_going` said no; some ranks are then not written.
///
/// # Panics
/// If the lengths do not fit.
pub fn label_ranks(
    level: Level,
    labels: &Operand<'_>,
    scores: &Operand<'_>,
    classes: usize,
    ranks: &[AtomicU32],
    keep_going: &dyn Fn() -> bool,
) -> Result<(), LossError> {
    assert_eq!(labels.len(), ranks.len());
    assert_eq!(labels.len() * classes, scores.len());
    level.dispatch(Ranking {
        labels,
        scores,
        classes,
        ranks,
        keep_going,
    })
}

struct Ranking<'a> {
    labels: &'a Operand<'a>,
    scores: &'a Operand<'a>,
    classes: usize,
    ranks: &'a [AtomicU32],
    keep_going: &'a dyn Fn() -> bool,
}

impl OnLevel for Ranking<'_> {
    type Output = Result<(), LossError>;

    fn run<S: Token>(self, simd: S) -> Self::Output {
        // As for losses: 16-bit floats are exact in f32, integers are compared as f64.
        match self.scores.dtype() {
            Dtype::Float16 | Dtype::BFloat16 | Dtype::Float32 => self.run_as::<S, f32>(simd),
            _ => self.run_as::<S, f64>(simd),
        }
    }
}

impl Ranking<'_> {
    fn run_as<S: Token, T: Real>(self, simd: S) -> Result<(), LossError> {
        let (labels, scores, classes, ranks) = (self.labels, self.scores, self.classes, self.ranks);
        let rows_at_once = (BLOCK / classes.max(1)).max(1);
        let work = |(buffer, ids): &mut (Vec<T>, Vec<i64>), rows: Range<usize>| {
            for first in rows.clone().step_by(rows_at_once) {
                let n = rows_at_once.min(rows.end - first);
                labels.read_class_ids(simd, first, &mut ids[..n]);
                let block = scores.block(simd, first * classes, n * classes, buffer);
                let (ids, ranks) = (&ids[..n], &ranks[first..first + n]);
                simd.vectorize(
                    #[inline(always)]
                    || rank_rows::<S, T>(simd, block, classes, ids, ranks),
                );
            }
        };
        let init = || {
            let buffer = vec![T::default(); rows_at_once * classes];
            (buffer, vec![0_i64; rows_at_once])
        };
        let grain = (GRAIN / classes.max(1))
            .max(1)
            .next_multiple_of(rows_at_once);
        let _environment = FloatingPointGuard::new();
        parallel(ranks.len(), grain, self.keep_going, init, work)
            .map(drop)
            .map_err(|_| LossError::Interrupted)
    }
}

#[inline(always)]
fn rank_rows<S: Token, T: Real>(
    simd: S,
    block: &[T],
    classes: usize,
    ids: &[i64],
    ranks: &[AtomicU32],
) {
    for (row, (&id, rank)) in ids.iter().zip(ranks).enumerate() {
        let label = usize::try_from(id).unwrap_or(usize::MAX);
        let found = if label < classes {
            rank_of::<S, T>(simd, &block[row * classes..], classes, label)
        } else {
            NO_RANK
        };
        rank.store(found, Ordering::Relaxed);
    }
}

/// The rank of `label` in the first `classes` of these scores; what lies after them is read but not counted.
#[inline(always)]
fn rank_of<S: Token, T: Real>(simd: S, scores: &[T], classes: usize, label: usize) -> u32 {
    let lanes = T::Vector::<S>::LEN;
    let score = scores[label];
    let of_label = T::Vector::<S>::splat(simd, score);
    let mut ahead = 0;
    for start in (0..classes).step_by(lanes) {
        let vector = if let Some(full) = scores.get(start..start + lanes) {
            T::Vector::<S>::from_slice(simd, full)
        } else {
            let mut padded = of_label;
            let rest = &scores[start..];
            padded.as_mut_slice()[..rest.len()].copy_from_slice(rest);
            padded
        };
        let not_less = !vector.simd_lt(of_label).to_bitmask();
        let not_less_or_equal = !vector.simd_le(of_label).to_bitmask();
        let counted = first_bits(classes - start);
        let before = first_bits(label.saturating_sub(start)) & counted;
        let ahead_here = (not_less & before) | (not_less_or_equal & counted & !before);
        ahead += (ahead_here & first_bits(lanes)).count_ones();
    }
    ahead
}

/// The mask of the first `n` lanes.
#[inline(always)]
fn first_bits(n: usize) -> u64 {
    if n < 64 { (1 << n) - 1 } else { u64::MAX }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// By the definition, one class after the other.
    fn expected(row: &[f64], label: i64) -> u32 {
        let Some(&score) = usize::try_from(label).ok().and_then(|id| row.get(id)) else {
            return NO_RANK;
        };
        let is_ahead = |(class, &other): (usize, &f64)| {
            other.is_nan()
                || score.is_nan()
                || other > score
                || (other == score && (class as i64) < label)
        };
        row.iter()
            .enumerate()
            .filter(|&each| is_ahead(each))
            .count() as u32
    }

    proptest! {
        #[test]
        fn ranks_are_as_defined(
            classes in prop_oneof![1_usize..40, Just(1023), Just(1500)],
            rows in 1_usize..120,
            seed in any::<u64>(),
        ) {
            let rows = rows.min(1 + 20_000 / classes);
            let mut state = seed | 1;
            let mut next = |n: u64| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 33) % n
            };
            // Few values, so that there are ties; now and then NaN.
            let scores: Vec<f64> = (0..rows * classes)
                .map(|_| match next(40) {
                    0 => f64::NAN,
                    1 => f64::INFINITY,
                    score => score as f64,
                })
                .collect();
            let narrow: Vec<f32> = scores.iter().map(|&score| score as f32).collect();
            let labels: Vec<f64> = (0..rows).map(|_| next(classes as u64 + 2) as f64 - 1.0).collect();
            for level in Level::available() {
                for scores_as in [Operand::from_slice(&scores), Operand::from_slice(&narrow)] {
                    let ranks: Vec<AtomicU32> = (0..rows).map(|_| AtomicU32::new(7)).collect();
                    let of_labels = Operand::from_slice(&labels);
                    label_ranks(level, &of_labels, &scores_as, classes, &ranks, &|| true).unwrap();
                    for (row, rank) in ranks.into_iter().enumerate() {
                        let of_row = &scores[row * classes..][..classes];
                        prop_assert_eq!(rank.into_inner(), expected(of_row, labels[row] as i64));
                    }
                }
            }
        }
    }
}
