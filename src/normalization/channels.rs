//! An array as samples of channels, in the order in which it lies in memory.
//!
//! Statistics of a channel are sums over its samples. Where the samples of a channel lie side by side
//! they are summed along; where the channels of a sample do, sample by sample for many channels at once.
//! Both add the same terms in the same order. Samples are cut into chunks of a fixed length, the pieces
//! of work for threads; how the chunks' sums come together does not depend on the order they come in.

use super::sums::{PHASES, Phases, Total, Twofold, accumulate, add_row, is_narrow, normalise};
use crate::driver::operand::{BLOCK, Operand, OperandMut};
use crate::driver::rows::for_each_row_range;
use crate::driver::threads::Interrupted;
use crate::lanes::Token;
use crate::level::{Level, OnLevel};
use crate::reduction::exact::ExactSum;
use std::ops::Range;

/// Samples of a chunk.
const CHUNK: usize = BLOCK;

/// Channels that are summed side by side: enough for whole streams of memory, few enough for their sums to
/// stay in the second-level cache.
const TILE: usize = 512;

/// How an array is seen. All operands of a call have their axes in this order.
#[derive(Clone, Copy, Debug)]
pub struct Channels {
    /// The SIMD level.
    pub level: Level,
    /// Number of samples of each channel.
    pub samples: usize,
    /// Number of channels.
    pub channels: usize,
    /// Whether operands have the channels as their last axis, else as their first.
    pub last: bool,
}

/// For each channel: what is taken from its elements, and what the difference is multiplied with.
#[derive(Clone, Debug, Default)]
pub(super) struct Moments {
    pub(super) mean: Vec<f64>,
    pub(super) mean_low: Vec<f64>,
    pub(super) scale: Vec<f64>,
}

impl Moments {
    /// 0 and 1.
    pub(super) fn identity(channels: usize) -> Self {
        Self {
            mean: vec![0.0; channels],
            mean_low: vec![0.0; channels],
            scale: vec![1.0; channels],
        }
    }
}

/// Terms that are summed: of an element, its gradient, and the deviation `x - mean` and scale.
pub(super) trait Terms<const N: usize>: Sync {
    fn of(x: f64, dy: f64, deviation: f64, scale: f64) -> [f64; N];
}

/// What is written for an element.
pub(super) trait Map: Sync {
    /// From `dy`, `x - mean` and the channel's coefficients.
    fn of(dy: f64, deviation: f64, coefficients: [f64; 4]) -> f64;
}

/// `x - mean`, the mean in two parts.
#[inline(always)]
fn deviation(x: f64, mean: f64, mean_low: f64) -> f64 {
    (x - mean) - mean_low
}

impl Channels {
    fn chunks(&self) -> usize {
        self.samples.div_ceil(CHUNK)
    }

    fn tiles(&self) -> usize {
        self.channels.div_ceil(TILE)
    }

    /// Call `work(state, chunk, tile)` for all pieces, on several threads where there is enough to do.
    fn for_each_piece<State: Send>(
        &self,
        keep_going: &dyn Fn() -> bool,
        init: impl Fn() -> State + Sync,
        work: impl Fn(&mut State, Range<usize>, Range<usize>) + Sync,
    ) -> Result<Vec<State>, Interrupted> {
        let tiles = self.tiles();
        let pieces = self.chunks() * tiles;
        let size = (self.samples * self.channels).div_ceil(pieces.max(1));
        for_each_row_range(pieces, size, keep_going, init, |state, pieces| {
            for piece in pieces {
                let (chunk, tile) = (piece / tiles * CHUNK, piece % tiles * TILE);
                let samples = chunk..self.samples.min(chunk + CHUNK);
                let channels = tile..self.channels.min(tile + TILE);
                work(state, samples, channels);
            }
        })
    }

    /// The sums of `N` terms over the samples of each channel, each divided by `n`, in two parts.
    pub(super) fn sums<const N: usize, T: Terms<N>>(
        &self,
        x: &Operand<'_>,
        dy: Option<&Operand<'_>>,
        moments: &Moments,
        n: f64,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<[Vec<(f64, f64)>; N], Interrupted> {
        if self.chunks() <= 1 {
            self.totals::<N, T, Twofold>(x, dy, moments, n, keep_going)
        } else {
            self.totals::<N, T, ExactSum>(x, dy, moments, n, keep_going)
        }
    }

    fn totals<const N: usize, T: Terms<N>, Sum: Total>(
        &self,
        x: &Operand<'_>,
        dy: Option<&Operand<'_>>,
        moments: &Moments,
        n: f64,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<[Vec<(f64, f64)>; N], Interrupted> {
        let init = || SumState::<N, Sum> {
            totals: std::array::from_fn(|_| vec![Sum::default(); self.channels]),
            scratch: Scratch::default(),
        };
        let states = self.for_each_piece(keep_going, init, |state, samples, channels| {
            self.level.dispatch(SumPiece::<N, T, Sum> {
                view: self,
                x,
                dy,
                moments,
                state,
                samples,
                channels,
                terms: std::marker::PhantomData,
            });
        })?;
        let mut all = states.into_iter().map(|state| state.totals);
        let mut totals = all.next().unwrap_or_else(|| init().totals);
        for other in all {
            for (total, other) in totals.iter_mut().flatten().zip(other.iter().flatten()) {
                total.merge(other);
            }
        }
        Ok(totals.map(|totals| totals.iter().map(|total| total.over(n)).collect()))
    }

    /// Write a function of each element to `out`.
    pub(super) fn map<M: Map>(
        &self,
        x: &Operand<'_>,
        dy: Option<&Operand<'_>>,
        moments: &Moments,
        coefficients: &[Vec<f64>; 4],
        out: &OperandMut<'_>,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<(), Interrupted> {
        self.for_each_piece(
            keep_going,
            Scratch::default,
            |scratch, samples, channels| {
                self.level.dispatch(MapPiece::<M> {
                    view: self,
                    x,
                    dy,
                    moments,
                    coefficients,
                    out,
                    scratch,
                    samples,
                    channels,
                    map: std::marker::PhantomData,
                });
            },
        )?;
        Ok(())
    }

    /// Runs of elements that follow each other in the operands, of samples of a tile of channels, each
    /// at most a block: `visit(position, samples, channels)`, of which one is a single one or, where a
    /// sample fits into a block whole, several samples of all channels.
    #[inline(always)]
    fn runs(
        &self,
        samples: Range<usize>,
        channels: Range<usize>,
        mut visit: impl FnMut(usize, Range<usize>, Range<usize>),
    ) {
        if self.last {
            let whole = channels.len() == self.channels;
            let together = if whole { BLOCK / self.channels } else { 1 };
            for first in samples.clone().step_by(together.max(1)) {
                let end = samples.end.min(first + together.max(1));
                let position = first * self.channels + channels.start;
                visit(position, first..end, channels.clone());
            }
        } else {
            for channel in channels {
                let position = channel * self.samples + samples.start;
                visit(position, samples.clone(), channel..channel + 1);
            }
        }
    }
}

/// Blocks of a thread.
#[derive(Default)]
struct Scratch {
    x: Vec<f64>,
    dy: Vec<f64>,
    /// Sums and errors of a tile: for each sum and phase, those of all channels.
    sums: Vec<f64>,
}

impl Scratch {
    fn reserve(&mut self) {
        self.x.resize(BLOCK, 0.0);
        self.dy.resize(BLOCK, 0.0);
    }
}

struct SumState<const N: usize, Sum> {
    totals: [Vec<Sum>; N],
    scratch: Scratch,
}

struct SumPiece<'a, const N: usize, T, Sum> {
    view: &'a Channels,
    x: &'a Operand<'a>,
    dy: Option<&'a Operand<'a>>,
    moments: &'a Moments,
    state: &'a mut SumState<N, Sum>,
    samples: Range<usize>,
    channels: Range<usize>,
    terms: std::marker::PhantomData<T>,
}

impl<const N: usize, T: Terms<N>, Sum: Total> OnLevel for SumPiece<'_, N, T, Sum> {
    type Output = ();

    fn run<S: Token>(self, simd: S) {
        if is_narrow(self.x.dtype()) && self.dy.is_none_or(|dy| is_narrow(dy.dtype())) {
            self.sum::<S, false>(simd);
        } else {
            self.sum::<S, true>(simd);
        }
    }
}

impl<const N: usize, T: Terms<N>, Sum: Total> SumPiece<'_, N, T, Sum> {
    #[inline(always)]
    fn sum<S: Token, const EXACT: bool>(self, simd: S) {
        let SumState { totals, scratch } = self.state;
        scratch.reserve();
        let moments = self.moments;
        let begin = self.samples.start;
        let tile = self.channels.clone();
        let width = tile.len();
        let Scratch { x, dy, sums } = scratch;
        if self.view.last {
            sums.clear();
            sums.resize(2 * N * PHASES * width, 0.0);
        }
        self.view.runs(
            self.samples,
            self.channels,
            |position, samples, channels| {
                let n = samples.len() * channels.len();
                let x = self.x.block(simd, position, n, x);
                let dy = match self.dy {
                    Some(operand) => operand.block(simd, position, n, dy),
                    None => x,
                };
                simd.vectorize(
                    #[inline(always)]
                    || {
                        if self.view.last {
                            for (i, sample) in samples.enumerate() {
                                let row = i * width..(i + 1) * width;
                                let phase = (sample - begin) % PHASES;
                                let (x, dy) = (&x[row.clone()], &dy[row]);
                                add_across::<EXACT, N, T>(sums, phase, x, dy, moments, tile.start);
                            }
                        } else {
                            let channel = channels.start;
                            let (mean, low) = (moments.mean[channel], moments.mean_low[channel]);
                            let scale = moments.scale[channel];
                            let mut phases = [Phases::default(); N];
                            add_row::<EXACT, N>(&mut phases, x, dy, |x, dy| {
                                T::of(x, dy, deviation(x, mean, low), scale)
                            });
                            for (totals, phases) in totals.iter_mut().zip(&phases) {
                                let (high, low) = phases.total();
                                totals[channel].add(high, low);
                            }
                        }
                    },
                );
            },
        );
        if self.view.last {
            for (totals, sums) in totals.iter_mut().zip(sums.chunks_mut(2 * PHASES * width)) {
                simd.vectorize(
                    #[inline(always)]
                    || fold_across(sums, width),
                );
                let (sum, error) = sums.split_at(width);
                for ((total, &sum), &error) in totals[tile.clone()].iter_mut().zip(sum).zip(error) {
                    let (high, low) = normalise(sum, error);
                    total.add(high, low);
                }
            }
        }
    }
}

/// The phases of many channels added in halves, as `Phases::total` does; the totals are left in the first.
#[inline(always)]
fn fold_across(sums: &mut [f64], width: usize) {
    for half in [4, 2, 1] {
        let (first, second) = sums.split_at_mut(2 * half * width);
        let pairs = first
            .chunks_exact_mut(2 * width)
            .zip(second.chunks_exact(2 * width));
        for (into, from) in pairs {
            let (sum, error) = into.split_at_mut(width);
            let (other, other_error) = from.split_at(width);
            for c in 0..width {
                error[c] += other_error[c];
                accumulate::<true>(&mut sum[c], &mut error[c], other[c]);
            }
        }
    }
}

/// Add the terms of a sample to the sums of its phase, channel by channel.
#[inline(always)]
fn add_across<const EXACT: bool, const N: usize, T: Terms<N>>(
    sums: &mut [f64],
    phase: usize,
    x: &[f64],
    dy: &[f64],
    moments: &Moments,
    tile: usize,
) {
    let width = x.len();
    let dy = &dy[..width];
    let mean = &moments.mean[tile..][..width];
    let mean_low = &moments.mean_low[tile..][..width];
    let scale = &moments.scale[tile..][..width];
    for (j, sums) in sums.chunks_mut(2 * PHASES * width).enumerate() {
        let (sum, error) = sums[2 * phase * width..][..2 * width].split_at_mut(width);
        for c in 0..width {
            let deviation = deviation(x[c], mean[c], mean_low[c]);
            let term = T::of(x[c], dy[c], deviation, scale[c])[j];
            accumulate::<EXACT>(&mut sum[c], &mut error[c], term);
        }
    }
}

struct MapPiece<'a, M> {
    view: &'a Channels,
    x: &'a Operand<'a>,
    dy: Option<&'a Operand<'a>>,
    moments: &'a Moments,
    coefficients: &'a [Vec<f64>; 4],
    out: &'a OperandMut<'a>,
    scratch: &'a mut Scratch,
    samples: Range<usize>,
    channels: Range<usize>,
    map: std::marker::PhantomData<M>,
}

impl<M: Map> OnLevel for MapPiece<'_, M> {
    type Output = ();

    fn run<S: Token>(self, simd: S) {
        self.scratch.reserve();
        let Scratch { x, dy, .. } = self.scratch;
        let (moments, coefficients) = (self.moments, self.coefficients);
        let tile = self.channels.start;
        let width = self.channels.len();
        self.view.runs(
            self.samples,
            self.channels,
            |position, samples, channels| {
                let n = samples.len() * channels.len();
                self.x.read(simd, position, &mut x[..n]);
                if let Some(operand) = self.dy {
                    operand.read(simd, position, &mut dy[..n]);
                }
                let (x, dy) = (&mut x[..n], &dy[..n]);
                simd.vectorize(
                    #[inline(always)]
                    || {
                        if self.view.last {
                            let mean = &moments.mean[tile..][..width];
                            let low = &moments.mean_low[tile..][..width];
                            let of = coefficients.each_ref().map(|of| &of[tile..][..width]);
                            let rows = x.chunks_exact_mut(width).zip(dy.chunks_exact(width));
                            for (x, dy) in rows {
                                let (x, dy) = (&mut x[..width], &dy[..width]);
                                for c in 0..width {
                                    let of = [of[0][c], of[1][c], of[2][c], of[3][c]];
                                    x[c] = M::of(dy[c], deviation(x[c], mean[c], low[c]), of);
                                }
                            }
                        } else {
                            let channel = channels.start;
                            let (mean, low) = (moments.mean[channel], moments.mean_low[channel]);
                            let of = coefficients.each_ref().map(|of| of[channel]);
                            for (x, &dy) in x.iter_mut().zip(dy) {
                                *x = M::of(dy, deviation(*x, mean, low), of);
                            }
                        }
                    },
                );
                // SAFETY: the pieces of threads have no element in common, and the block has been read.
                unsafe { self.out.write(simd, position, x) };
            },
        );
    }
}
