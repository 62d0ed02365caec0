//! Sums over the samples of channels.
//!
//! They are taken in sixteen lanes: sample `i` of a chunk is in lane `i % 16`. Where the samples of a channel lie
//! side by side, the lanes are those of vectors. Where the channels of a sample do, the sums of sixteen samples'
//! channels form a ring, as long as sixteen samples, to which the array is added as it lies in memory, whatever
//! the number of channels. Of many channels, thirty-two at a time are summed lane by lane in registers: their ring
//! would be larger than the array itself where samples are few. All add the same terms in the same order.

use super::channel_grid::{BESIDE, Grid};
use super::channel_terms::{Mean, Terms};
use super::channel_totals::{Piece, Totals};
use super::channels::{Buffers, LONG, SEGMENT, View};
use super::lane_sums::{Sum, add_products};
use super::sixteen::{Aligned, LANES, Operands, Sixteen, first};
use super::sums::{add, normalise};
use crate::driver::operand::Operand;
use crate::driver::rows::{read_block, reserve};
use crate::driver::threads::Interrupted;
use crate::lanes::Token;
use crate::level::OnLevel;
use crate::math::twofold::two_sum;
use fearless_simd::f64x8;
use fearless_simd::prelude::*;
use std::marker::PhantomData;
use std::ops::Range;

/// Samples that are summed without carrying errors along.
const SHORT: usize = 1024;

/// Means of channels, high and low parts.
#[derive(Clone, Copy)]
pub(super) struct Means<'a> {
    pub(super) high: &'a [f64],
    pub(super) low: &'a [f64],
}

impl Means<'_> {
    /// For terms that need none.
    pub(super) const NONE: Self = Self {
        high: &[],
        low: &[],
    };
}

impl View {
    /// The sums of `N` terms over the samples of each channel, in two parts.
    pub(super) fn sums<const N: usize, T: Sixteen, Of: Terms<N>>(
        &self,
        operands: Operands<'_>,
        means: Means<'_>,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<Totals, Interrupted> {
        let samples = if self.of.is_wide() { 1 } else { LANES };
        let ring = |values: &[f64]| Aligned::of(&values.repeat(samples));
        let rings = if Of::MEAN && self.of.last {
            [ring(means.high), ring(means.low)]
        } else {
            Default::default()
        };
        let init = || (Buffers::<T, T>::default(), Vec::new());
        let states =
            self.for_each_piece(keep_going, init, |(buffers, done), chunk, channels| {
                let sums = self.of.level.dispatch(SumPiece::<N, T, Of> {
                    view: self,
                    operands,
                    means,
                    rings: &rings,
                    buffers,
                    samples: self.samples_of(chunk),
                    channels: channels.clone(),
                    terms: PhantomData,
                });
                done.push(Piece {
                    chunk,
                    channels,
                    sums,
                });
            })?;
        let pieces = states.into_iter().flat_map(|(_, done)| done).collect();
        Ok(Totals::of(self.of.level, pieces, (N, self.channels.len())))
    }
}

/// Samples that are summed at a time.
fn short(samples: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let end = samples.end;
    samples
        .step_by(SHORT)
        .map(move |start| start..end.min(start + SHORT))
}

struct SumPiece<'a, const N: usize, T, Of> {
    view: &'a View,
    operands: Operands<'a>,
    means: Means<'a>,
    rings: &'a [Aligned; 2],
    buffers: &'a mut Buffers<T, T>,
    samples: Range<usize>,
    channels: Range<usize>,
    terms: PhantomData<Of>,
}

impl<const N: usize, T: Sixteen, Of: Terms<N>> OnLevel for SumPiece<'_, N, T, Of> {
    type Output = Vec<f64>;

    fn run<S: Token>(mut self, simd: S) -> Vec<f64> {
        let width = self.channels.len();
        let mut totals = vec![0.0; 2 * N * width];
        if self.view.of.is_wide() && self.view.of.last {
            for samples in short(self.samples.clone()) {
                self.beside(simd, samples, &mut totals);
            }
        } else if self.view.of.last {
            for samples in short(self.samples.clone()) {
                self.along_memory(simd, samples, &mut totals);
            }
        } else {
            for channel in 0..width {
                for samples in short(self.samples.clone()) {
                    self.along_samples(simd, channel, samples, &mut totals);
                }
            }
        }
        totals
    }
}

impl<const N: usize, T: Sixteen, Of: Terms<N>> SumPiece<'_, N, T, Of> {
    /// Elements from a position on.
    #[inline(always)]
    fn read<S: Token>(&mut self, simd: S, position: usize, n: usize) -> (*const T, *const T) {
        let x = read_block(simd, self.operands.x, position, n, &mut self.buffers.x);
        let dy = match self.operands.dy {
            Some(dy) if Of::GRADIENT => read_block(simd, dy, position, n, &mut self.buffers.dy),
            _ => x,
        };
        (x, dy)
    }

    /// Sum samples of a channel, which lie side by side.
    #[inline(always)]
    fn along_samples<S: Token>(
        &mut self,
        simd: S,
        index: usize,
        samples: Range<usize>,
        totals: &mut [f64],
    ) {
        let width = self.channels.len();
        let channel = self.channels.start + index;
        let first = (self.view.channels.start + channel) * self.view.of.samples;
        let mut mean = Mean {
            high: f64x8::splat(simd, 0.0),
            low: f64x8::splat(simd, 0.0),
        };
        if Of::MEAN {
            mean.high = f64x8::splat(simd, self.means.high[channel]);
            mean.low = f64x8::splat(simd, self.means.low[channel]);
        }
        let mut sums = [Sum::<S, 2>::new(simd); N];
        let (mut position, end) = (first + samples.start, first + samples.end);
        while position < end {
            let n = self.in_place(position, end - position);
            let from = self.read(simd, position, n);
            sums = simd.vectorize(
                #[inline(always)]
                // SAFETY: elements of the block.
                move || unsafe { add_samples::<S, T, N, Of>(simd, sums, from, n, mean) },
            );
            position += n;
        }
        let (high, low) = totals.split_at_mut(N * width);
        simd.vectorize(
            #[inline(always)]
            || {
                for (j, sum) in sums.into_iter().enumerate() {
                    let (sum, error) = sum.total::<T>();
                    let slot = j * width + index;
                    add(&mut high[slot], &mut low[slot], sum);
                    low[slot] += error;
                }
            },
        );
    }

    /// How many of the `n` elements from a position on to read: where they lie in place for long enough, whole
    /// vectors of those, else all, through a buffer.
    #[inline(always)]
    fn in_place(&self, position: usize, n: usize) -> usize {
        let Operands { x, dy } = self.operands;
        let run = x.run::<T>(position);
        let run = match dy {
            Some(dy) if Of::GRADIENT => run.min(dy.run::<T>(position)),
            _ => run,
        };
        if run < n && run >= LONG {
            run - run % LANES
        } else {
            n
        }
    }

    /// Sum samples whose channels lie side by side: as a ring of sixteen samples.
    #[inline(always)]
    fn along_memory<S: Token>(&mut self, simd: S, samples: Range<usize>, totals: &mut [f64]) {
        let (all, width) = (self.view.of.channels, self.channels.len());
        let ring = LANES * width;
        let len = N * ring * if T::EXACT { 2 } else { 1 };
        let mut buffer = std::mem::take(&mut self.buffers.sums);
        let sums = buffer.reserve(len);
        buffer.as_mut_slice()[..len].fill(0.0);
        let means = self.rings.each_ref().map(|ring| ring.as_slice().as_ptr());
        // Part by part of a long ring, so that its sums stay in the first-level cache; some short ones at a time.
        let end = samples.end * all;
        let together = if ring > SEGMENT {
            SEGMENT
        } else {
            SEGMENT / ring * ring
        };
        for part in (0..ring).step_by(together) {
            let n = together.min(if ring > SEGMENT {
                ring - part
            } else {
                together
            });
            let means = means.map(|mean| mean.wrapping_add(part));
            let sums = sums.wrapping_add(part);
            let starts = (samples.start * all + part..end).step_by(ring.max(together));
            for start in starts {
                let n = n.min(end - start);
                let (x, dy) = self.read(simd, start, n);
                simd.vectorize(
                    #[inline(always)]
                    move || {
                        for from in (0..n).step_by(ring) {
                            let n = ring.min(n - from);
                            // SAFETY: elements of the block.
                            unsafe {
                                let from = (x.add(from), dy.add(from), n);
                                add_to_ring::<S, T, N, Of>(simd, from, means, (sums, ring));
                            }
                        }
                    },
                );
            }
        }
        simd.vectorize(
            #[inline(always)]
            || {
                let (high, low) = totals.split_at_mut(N * width);
                let sums = buffer.as_mut_slice()[..len].chunks_exact_mut(len / N);
                for (j, sums) in sums.enumerate() {
                    let (sums, errors) = sums.split_at_mut(ring);
                    fold_ring::<T>(sums, errors);
                    for c in 0..width {
                        let (sum, error) = if T::EXACT {
                            normalise(sums[c], errors[c])
                        } else {
                            (sums[c], 0.0)
                        };
                        let slot = j * width + c;
                        add(&mut high[slot], &mut low[slot], sum);
                        low[slot] += error;
                    }
                }
            },
        );
        self.buffers.sums = buffer;
    }
}

impl<const N: usize, T: Sixteen, Of: Terms<N>> SumPiece<'_, N, T, Of> {
    /// Sum samples of many channels, some of these at a time.
    #[inline(always)]
    fn beside<S: Token>(&mut self, simd: S, samples: Range<usize>, totals: &mut [f64]) {
        let (all, width) = (self.view.of.channels, self.channels.len());
        let count = samples.len();
        let position = samples.start * all + self.view.channels.start + self.channels.start;
        let (from, stride) = self.grid(simd, position, count);
        let means = (self.rings.each_ref())
            .map(|ring| ring.as_slice().as_ptr().wrapping_add(self.channels.start));
        let (high, low) = totals.split_at_mut(N * width);
        simd.vectorize(
            #[inline(always)]
            || {
                for first in (0..width).step_by(BESIDE) {
                    let n = BESIDE.min(width - first);
                    let from = (from.0.wrapping_add(first), from.1.wrapping_add(first));
                    let grid = Grid {
                        from,
                        stride,
                        count,
                    };
                    let means = means.map(|mean| mean.wrapping_add(first));
                    // SAFETY: elements and means of these channels.
                    let sums: [Sum<S, 4>; N] = unsafe {
                        if n == BESIDE {
                            grid.sums::<S, N, Of, true>(simd, means, n)
                        } else {
                            grid.sums::<S, N, Of, false>(simd, means, n)
                        }
                    };
                    for (j, sums) in sums.iter().enumerate() {
                        for k in 0..n.div_ceil(8) {
                            let slot = j * width + first + 8 * k;
                            if !T::EXACT && n == BESIDE {
                                let term = sums.vector(k);
                                let (high, low) = (&mut high[slot..], &mut low[slot..]);
                                let sum = f64x8::from_slice(simd, &high[..8]);
                                let errors = f64x8::from_slice(simd, &low[..8]);
                                let (sum, lost) = two_sum(sum, term);
                                sum.store_slice(&mut high[..8]);
                                (errors + lost).store_slice(&mut low[..8]);
                                continue;
                            }
                            let [sums, errors] = sums.lanes(k);
                            let lanes = sums.into_iter().zip(errors).take(n - 8 * k);
                            let slots = high[slot..].iter_mut().zip(&mut low[slot..]);
                            for ((sum, error), (high, low)) in lanes.zip(slots) {
                                let (sum, error) = if T::EXACT {
                                    normalise(sum, error)
                                } else {
                                    (sum, 0.0)
                                };
                                add(high, low, sum);
                                *low += error;
                            }
                        }
                    }
                }
            },
        );
    }

    /// The channels of `count` samples from a position on, and elements from a sample to the next: in place, or
    /// through buffers.
    #[inline(always)]
    fn grid<S: Token>(
        &mut self,
        simd: S,
        position: usize,
        count: usize,
    ) -> ((*const T, *const T), usize) {
        let (all, width) = (self.view.of.channels, self.channels.len());
        let Operands { x, dy } = self.operands;
        let dy = dy.filter(|_| Of::GRADIENT);
        let n = count.saturating_sub(1) * all + width;
        let in_place = |of: &Operand<'_>| of.as_slice::<T>(position, n).map(<[T]>::as_ptr);
        match (in_place(x), dy.map(in_place)) {
            (Some(x), None) => return ((x, x), all),
            (Some(x), Some(Some(dy))) => return ((x, dy), all),
            _ => {}
        }
        let read = |of: &Operand<'_>, buffer: &mut Vec<T>| {
            let buffer = reserve(buffer, count * width);
            for (row, slots) in buffer.chunks_exact_mut(width).enumerate() {
                of.read(simd, position + row * all, slots);
            }
            buffer.as_ptr()
        };
        let x = read(x, &mut self.buffers.x);
        let dy = dy.map_or(x, |dy| read(dy, &mut self.buffers.dy));
        ((x, dy), width)
    }
}

/// Add the terms of `n` samples.
///
/// # Safety
/// They are readable.
#[inline(always)]
unsafe fn add_samples<S: Token, T: Sixteen, const N: usize, Of: Terms<N>>(
    simd: S,
    mut sums: [Sum<S, 2>; N],
    from: (*const T, *const T),
    n: usize,
    mean: Mean<S>,
) -> [Sum<S, 2>; N] {
    let mut at = 0;
    while at + LANES <= n {
        // SAFETY: promised by the caller.
        let terms = unsafe { terms_at::<S, T, N, Of>(simd, from, at, LANES, [mean; 2]) };
        for (sum, [(a, b), (c, d)]) in sums.iter_mut().zip(terms) {
            sum.add_product::<T>(0, a, b);
            sum.add_product::<T>(1, c, d);
        }
        at += LANES;
    }
    if at < n {
        // SAFETY: promised by the caller.
        let terms = unsafe { terms_at::<S, T, N, Of>(simd, from, at, n - at, [mean; 2]) };
        for (sum, [(a, b), (c, d)]) in sums.iter_mut().zip(terms) {
            sum.add_product::<T>(0, a, b);
            sum.add_product::<T>(1, c, d);
        }
    }
    sums
}

/// The terms of sixteen elements, or of the first `n` and zeros.
///
/// # Safety
/// They are readable.
#[inline(always)]
pub(super) unsafe fn terms_at<S: Token, T: Sixteen, const N: usize, Of: Terms<N>>(
    simd: S,
    (x, dy): (*const T, *const T),
    at: usize,
    n: usize,
    mean: [Mean<S>; 2],
) -> [[(f64x8<S>, f64x8<S>); 2]; N] {
    let one = f64x8::splat(simd, 1.0);
    // SAFETY: promised by the caller.
    unsafe {
        let x = T::load_upto(simd, x.add(at), n);
        let dy = if Of::GRADIENT {
            T::load_upto(simd, dy.add(at), n)
        } else {
            x
        };
        let low = Of::of(one, x[0], dy[0], mean[0]);
        let high = Of::of(one, x[1], dy[1], mean[1]);
        let mut terms = [[(one, one); 2]; N];
        for (j, terms) in terms.iter_mut().enumerate() {
            let [a, c] = first(simd, [low[j].0, high[j].0], n);
            *terms = [(a, low[j].1), (c, high[j].1)];
        }
        terms
    }
}

/// Add the terms of `n` elements to the sums, and errors, of the same part of the ring.
///
/// # Safety
/// The elements are readable, and so are the means where there are any; sums are of a ring of this length each, and
/// errors behind them.
#[inline(always)]
unsafe fn add_to_ring<S: Token, T: Sixteen, const N: usize, Of: Terms<N>>(
    simd: S,
    (x, dy, n): (*const T, *const T, usize),
    means: [*const f64; 2],
    (sums, ring): (*mut f64, usize),
) {
    let mut at = 0;
    // SAFETY: promised by the caller.
    unsafe {
        while at + LANES <= n {
            add_terms::<S, T, N, Of>(simd, (x, dy), means, (sums, ring), at, LANES);
            at += LANES;
        }
        if at < n {
            add_terms::<S, T, N, Of>(simd, (x, dy), means, (sums, ring), at, n - at);
        }
    }
}

/// Of sixteen elements from `at` on, or of the first `n`.
///
/// # Safety
/// As for [`add_to_ring`].
#[inline(always)]
unsafe fn add_terms<S: Token, T: Sixteen, const N: usize, Of: Terms<N>>(
    simd: S,
    from: (*const T, *const T),
    means: [*const f64; 2],
    (sums, ring): (*mut f64, usize),
    at: usize,
    n: usize,
) {
    let zero = f64x8::splat(simd, 0.0);
    let mut high = [zero; 2];
    let mut low = [zero; 2];
    // SAFETY: promised by the caller; a ring has whole vectors.
    unsafe {
        if Of::MEAN {
            high = f64::load(simd, means[0].add(at));
            low = f64::load(simd, means[1].add(at));
        }
        let mean = |k: usize| Mean {
            high: high[k],
            low: low[k],
        };
        let terms = terms_at::<S, T, N, Of>(simd, from, at, n, [mean(0), mean(1)]);
        for (j, [(a, b), (c, d)]) in terms.into_iter().enumerate() {
            let slot = sums.add(if T::EXACT { 2 * j } else { j } * ring + at);
            add_products::<S, T>(simd, [slot, slot.wrapping_add(ring)], [a, c], [b, d]);
        }
    }
}

/// Add the lanes of a ring in halves, as [`Sum::total`] does; the totals are left in the first.
#[inline(always)]
fn fold_ring<T: Sixteen>(sums: &mut [f64], errors: &mut [f64]) {
    let mut half = sums.len() / 2;
    for _ in 0..LANES.trailing_zeros() {
        let (into, from) = sums[..2 * half].split_at_mut(half);
        if T::EXACT {
            let (error, other) = errors[..2 * half].split_at_mut(half);
            for k in 0..half {
                error[k] += other[k];
                add(&mut into[k], &mut error[k], from[k]);
            }
        } else {
            for k in 0..half {
                into[k] += from[k];
            }
        }
        half /= 2;
    }
}
