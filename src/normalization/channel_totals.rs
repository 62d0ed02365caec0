//! What is done once a channel: totals of sums, moments, coefficients.
//!
//! Where samples are few that is as much as all their elements, so it is written in loops over slices of plain `f64`
//! arithmetic, without branches, which the compiler turns into vectors on the level.

use super::sums::{add, canonical, divide, normalise};
use crate::lanes::Token;
use crate::level::{Level, OnLevel};
use std::ops::Range;

/// Bits of a mean square that may cancel: of 53 more than enough remain for an `f32`, after all errors of sums.
const CANCELLED: i32 = 8;

/// A loop over channels, compiled for the level: the fused operations of a division are calls elsewhere.
struct OnLanes<F>(F);

impl<F: FnOnce()> OnLevel for OnLanes<F> {
    type Output = ();

    fn run<S: Token>(self, simd: S) {
        simd.vectorize(
            #[inline(always)]
            || (self.0)(),
        );
    }
}

/// The sums of a piece: high parts of all its channels, term by term, then low parts.
pub(super) struct Piece {
    pub(super) chunk: usize,
    pub(super) channels: Range<usize>,
    pub(super) sums: Vec<f64>,
}

/// Sums of all channels, term by term, in two parts.
pub(super) struct Totals {
    channels: usize,
    high: Vec<f64>,
    low: Vec<f64>,
}

impl Totals {
    /// Of pieces, those of the same channels added in the order of their chunks.
    pub(super) fn of(
        level: Level,
        mut pieces: Vec<Piece>,
        (terms, channels): (usize, usize),
    ) -> Self {
        pieces.sort_unstable_by_key(|piece| piece.chunk);
        let mut high = vec![0.0; terms * channels];
        let mut low = high.clone();
        level.dispatch(OnLanes(
            #[inline(always)]
            || {
                for piece in &pieces {
                    let width = piece.channels.len();
                    for term in 0..terms {
                        let from = |part: usize| &piece.sums[(part * terms + term) * width..];
                        let first = term * channels + piece.channels.start;
                        let (sum, error) = (&from(0)[..width], &from(1)[..width]);
                        let (high, low) = (&mut high[first..], &mut low[first..]);
                        let (high, low) = (&mut high[..width], &mut low[..width]);
                        for k in 0..width {
                            add(&mut high[k], &mut low[k], sum[k]);
                            low[k] += error[k];
                        }
                    }
                }
                for (high, low) in high.iter_mut().zip(&mut low) {
                    (*high, *low) = normalise(*high, *low);
                }
            },
        ));
        Self {
            channels,
            high,
            low,
        }
    }

    /// High and low parts of a term's sums.
    pub(super) fn term(&self, term: usize) -> [&[f64]; 2] {
        let range = term * self.channels..(term + 1) * self.channels;
        [&self.high[range.clone()], &self.low[range]]
    }

    /// Both parts of a term's sums together.
    pub(super) fn rounded(&self, term: usize) -> Vec<f64> {
        let [high, low] = self.term(term);
        high.iter().zip(low).map(|(high, low)| high + low).collect()
    }
}

/// Mean and variance of each channel.
#[derive(Clone, Debug, Default)]
pub struct Statistics {
    /// The mean.
    pub mean: Vec<f64>,
    /// What is missing to the mean.
    pub(super) mean_low: Vec<f64>,
    /// The variance: of a batch the biased one, the mean of the squared deviations.
    pub variance: Vec<f64>,
    /// Whether `x * scale - mean * scale` is as good as `(x - mean) * scale`.
    pub(super) near: Vec<bool>,
}

impl Statistics {
    /// Statistics that were gathered before.
    #[must_use]
    pub fn given(mean: Vec<f64>, variance: Vec<f64>) -> Self {
        Self {
            mean_low: vec![0.0; mean.len()],
            near: vec![false; mean.len()],
            mean,
            variance,
        }
    }

    /// Those of some channels.
    pub(super) fn part(&self, channels: Range<usize>) -> Self {
        Self {
            mean: self.mean[channels.clone()].to_vec(),
            mean_low: self.mean_low[channels.clone()].to_vec(),
            variance: self.variance[channels.clone()].to_vec(),
            near: self.near[channels].to_vec(),
        }
    }

    /// From sums of `samples` values and, where there are any, of their squares.
    pub(super) fn of_sums(level: Level, samples: usize, sums: &Totals, squares: bool) -> Self {
        let (n, channels) = (samples as f64, sums.channels);
        let [mut mean, mut mean_low, mut variance] =
            [0.0, 0.0, f64::NAN].map(|of| vec![of; channels]);
        let mut near = vec![false; channels];
        level.dispatch(OnLanes(
            #[inline(always)]
            || {
                let (high, low) = (&mut mean[..channels], &mut mean_low[..channels]);
                let [sum, rest] = sums.term(0).map(|of| &of[..channels]);
                for c in 0..channels {
                    (high[c], low[c]) = divide(sum[c], rest[c], n);
                }
                if squares {
                    let (variance, near) = (&mut variance[..channels], &mut near[..channels]);
                    let [sum, rest] = sums.term(1).map(|of| &of[..channels]);
                    for c in 0..channels {
                        let (square, rest) = divide(sum[c], rest[c], n);
                        variance[c] = (square - high[c] * high[c]) + rest;
                        near[c] = square <= f64::from(1 << CANCELLED) * variance[c];
                    }
                }
            },
        ));
        Self {
            mean,
            mean_low,
            variance,
            near,
        }
    }

    /// Take the variance of channels that are not near 0 from their squared deviations.
    pub(super) fn deviate(&mut self, level: Level, samples: usize, squares: &Totals) {
        let n = samples as f64;
        let [sum, rest] = squares.term(0);
        level.dispatch(OnLanes(
            #[inline(always)]
            || {
                let known = self.variance.iter_mut().zip(&self.near);
                for ((variance, near), (sum, rest)) in known.zip(sum.iter().zip(rest)) {
                    let (square, rest) = divide(*sum, *rest, n);
                    *variance = if *near { *variance } else { square + rest };
                }
            },
        ));
    }

    /// One NaN for all.
    pub(super) fn canonical(mut self) -> Self {
        for values in [&mut self.mean, &mut self.variance] {
            for value in values {
                *value = canonical(*value);
            }
        }
        self
    }

    /// `1 / sqrt(variance + epsilon)`.
    pub(super) fn scale(&self, epsilon: f64) -> Vec<f64> {
        let scale = |variance| 1.0 / f64::sqrt(variance + epsilon);
        self.variance.iter().copied().map(scale).collect()
    }

    /// `summand - mean * factor` where the mean is not taken from the elements themselves.
    pub(super) fn shift(&self, summand: &mut [f64], factor: &[f64]) {
        let means = self.mean.iter().zip(&self.near);
        for ((summand, factor), (mean, near)) in summand.iter_mut().zip(factor).zip(means) {
            let shifted = *summand - mean * factor;
            *summand = if *near { shifted } else { *summand };
        }
    }

    /// What to take from the elements, high and low parts: 0 where that is in the summand already.
    pub(super) fn centres(&self) -> [Vec<f64>; 2] {
        [&self.mean, &self.mean_low].map(|parts| {
            let part = |(part, near): (&f64, &bool)| if *near { 0.0 } else { *part };
            parts.iter().zip(&self.near).map(part).collect()
        })
    }
}

/// Whether there is neither NaN nor infinity; all are looked at, since there hardly ever is.
pub(super) fn all_finite(values: &[&[f64]]) -> bool {
    let finite = |values: &&[f64]| {
        values
            .iter()
            .fold(true, |all, value| all & value.is_finite())
    };
    values.iter().all(finite)
}

pub(super) fn product(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a * b).collect()
}
