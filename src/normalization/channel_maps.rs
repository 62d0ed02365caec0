//! A function of each element and its channel's coefficients.
//!
//! Where the channels of a sample lie side by side, coefficients are repeated for as many samples as make whole
//! vectors, so that the array is worked through as it lies in memory.

use super::channels::{Buffers, Channels, LONG, SEGMENT, View};
use super::sixteen::{Aligned, LANES, Operands, Pair, Sixteen, is_streamed};
use crate::driver::operand::OperandMut;
use crate::driver::rows::{Target, read_block};
use crate::driver::threads::Interrupted;
use crate::lanes::{LINE, Token, fence_streamed, map_array, prefetch};
use crate::level::OnLevel;
use fearless_simd::f64x8;
use fearless_simd::prelude::*;
use std::marker::PhantomData;
use std::ops::Range;

/// Samples of a piece of work, of many channels each.
const SAMPLES: usize = 64;

/// Elements by which memory is asked for what will be read, and for the place of results.
const AHEAD: usize = 512;

/// Samples by which it is asked for that place, of some of many channels: these lie pages apart, where a CPU guesses
/// nothing, and stores took half the time of a call.
const SAMPLES_AHEAD: usize = 2;

/// What is written for an element.
pub(super) trait Map<const N: usize>: Sync {
    /// Whether it is of the element, and of its gradient.
    const VALUE: bool;
    const GRADIENT: bool;

    /// From an element, its gradient and the channel's coefficients.
    fn of<S: Token>(x: f64x8<S>, dy: f64x8<S>, coefficients: [f64x8<S>; N]) -> f64x8<S>;
}

impl View {
    /// Write a function of each element to `out`.
    pub(super) fn map<const N: usize, T: Sixteen, O: Sixteen, M: Map<N>>(
        &self,
        operands: Operands<'_>,
        coefficients: &[Vec<f64>; N],
        out: &OperandMut<'_>,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<(), Interrupted> {
        let Channels { samples, last, .. } = self.of;
        let channels = self.channels.len();
        if channels == 0 {
            return Ok(());
        }
        // As many samples as are whole vectors and make a segment; or one of many channels.
        let whole = LANES >> channels.trailing_zeros().min(LANES.trailing_zeros());
        let (together, ring) = if !last {
            (0, 0)
        } else if self.of.is_wide() {
            (SAMPLES, 1)
        } else {
            let samples = whole * (SEGMENT / (whole * channels)).max(1);
            (samples, samples)
        };
        let rings = (coefficients.each_ref()).map(|values| Aligned::of(&values.repeat(ring)));
        // Of parts, the pieces of lines at each sample cost more than streaming spares: 512 x 32000 took 2.0 times as long.
        let streamed = is_streamed::<O>(operands, out) && !(self.alone && last);
        let work = |buffers: &mut Buffers<T, O>, samples: Range<usize>, channels: Range<usize>| {
            self.of.level.dispatch(MapPiece::<N, T, O, M> {
                view: self,
                operands,
                coefficients,
                rings: &rings,
                out,
                buffers,
                samples,
                channels,
                streamed,
                map: PhantomData,
            });
        };
        if last {
            let (pieces, size) = (samples.div_ceil(together), together * channels);
            self.for_each(
                pieces,
                size,
                keep_going,
                Buffers::default,
                |buffers, piece| {
                    let first = piece * together;
                    work(buffers, first..samples.min(first + together), 0..channels);
                },
            )?;
        } else {
            self.for_each_piece(keep_going, Buffers::default, |buffers, chunk, channels| {
                work(buffers, self.samples_of(chunk), channels);
            })?;
        }
        Ok(())
    }
}

struct MapPiece<'a, const N: usize, T, O, M> {
    view: &'a View,
    operands: Operands<'a>,
    coefficients: &'a [Vec<f64>; N],
    rings: &'a [Aligned; N],
    out: &'a OperandMut<'a>,
    buffers: &'a mut Buffers<T, O>,
    samples: Range<usize>,
    channels: Range<usize>,
    streamed: bool,
    map: PhantomData<M>,
}

impl<const N: usize, T: Sixteen, O: Sixteen, M: Map<N>> OnLevel for MapPiece<'_, N, T, O, M> {
    type Output = ();

    fn run<S: Token>(mut self, simd: S) {
        let View {
            of, channels: part, ..
        } = self.view;
        if !of.last {
            for channel in self.channels.clone() {
                let coefficients = self.coefficients.each_ref().map(|of| of[channel]);
                let first = (part.start + channel) * of.samples;
                let (mut position, end) = (first + self.samples.start, first + self.samples.end);
                while position < end {
                    let n = self.in_place(position, SEGMENT.min(end - position));
                    self.write(
                        simd,
                        position,
                        n,
                        #[inline(always)]
                        move |_| {
                            map_array(
                                coefficients,
                                #[inline(always)]
                                |of| [f64x8::splat(simd, of); 2],
                            )
                        },
                    );
                    position += n;
                }
            }
            return;
        }
        let all_rings = self.rings.each_ref().map(|ring| ring.as_slice().as_ptr());
        // Of many channels sample by sample, with those of each once in the ring.
        let (lines, elements) = if of.is_wide() {
            (self.samples.clone(), part.len())
        } else {
            let first = self.samples.start;
            (first..first + 1, self.samples.len() * part.len())
        };
        for line in lines {
            let position = line * of.channels + part.start;
            for start in (0..elements).step_by(SEGMENT) {
                let rings = all_rings.map(|ring| ring.wrapping_add(start));
                self.write(
                    simd,
                    position + start,
                    SEGMENT.min(elements - start),
                    #[inline(always)]
                    move |at| {
                        map_array(
                            rings,
                            #[inline(always)]
                            // SAFETY: a ring has whole vectors.
                            |ring| unsafe { f64::load(simd, ring.add(at)) },
                        )
                    },
                );
            }
        }
        if self.streamed {
            fence_streamed();
        }
    }
}

impl<const N: usize, T: Sixteen, O: Sixteen, M: Map<N>> MapPiece<'_, N, T, O, M> {
    /// How many of the `n` elements from a position on to write: where all lie in place for long enough, those,
    /// else all, through buffers.
    #[inline(always)]
    fn in_place(&self, position: usize, n: usize) -> usize {
        let Operands { x, dy } = self.operands;
        let run = x.run::<T>(position).min(self.out.run::<O>(position));
        let run = dy.map_or(run, |dy| run.min(dy.run::<T>(position)));
        if run >= LONG { run.min(n) } else { n }
    }

    /// Write `n` elements from a position on.
    #[inline(always)]
    fn write<S: Token>(
        &mut self,
        simd: S,
        position: usize,
        n: usize,
        coefficients: impl Fn(usize) -> [Pair<S>; N],
    ) {
        let x = read_block(simd, self.operands.x, position, n, &mut self.buffers.x);
        let dy = match self.operands.dy {
            Some(dy) => read_block(simd, dy, position, n, &mut self.buffers.dy),
            None => x,
        };
        let target = Target::new(self.out, position, n, &mut self.buffers.out);
        let out = target.pointer;
        let streamed = self.streamed && n >= 2 * LANES;
        // A part of the channels is in cache from the sums on; to ask for the next part's elements here makes the lines
        // of this one's wait (256 x 32000: 6.1 ms, without 5.4 ms), and they are another thread's, may be.
        let ahead = [
            if self.view.alone { 0 } else { AHEAD },
            if self.view.alone && self.view.of.last {
                SAMPLES_AHEAD * self.view.of.channels
            } else {
                AHEAD
            },
        ];
        simd.vectorize(
            #[inline(always)]
            move || {
                let sixteen = |at: usize, streamed: bool| Block {
                    x: x.wrapping_add(at),
                    dy: dy.wrapping_add(at),
                    out: out.wrapping_add(at),
                    ahead,
                    streamed,
                };
                let mut at = 0;
                if streamed {
                    // Whole lines begin with these; what is not in place may be written twice.
                    at = out.align_offset(LINE).min(LANES);
                    // SAFETY: elements of the block.
                    unsafe { sixteen(0, false).map::<S, N, M>(simd, coefficients(0)) };
                }
                while at + LANES <= n {
                    // SAFETY: elements of the block.
                    unsafe { sixteen(at, streamed).map::<S, N, M>(simd, coefficients(at)) };
                    at += LANES;
                }
                if streamed {
                    let last = n - LANES;
                    // SAFETY: elements of the block.
                    unsafe { sixteen(last, false).map::<S, N, M>(simd, coefficients(last)) };
                } else if at < n {
                    // SAFETY: elements of the block.
                    unsafe {
                        let x = T::load_first(simd, x.add(at), n - at);
                        let dy = T::load_first(simd, dy.add(at), n - at);
                        let of = coefficients(at);
                        O::store_first(map_both::<S, N, M>(x, dy, of), out.add(at), n - at);
                    }
                }
            },
        );
        // SAFETY: all elements have been written; threads have different ones.
        unsafe { target.finish(simd, self.out, position, n) };
    }
}

/// Sixteen elements, and where their results go.
struct Block<T, O> {
    x: *const T,
    dy: *const T,
    out: *mut O,
    /// By how many elements what is read, and the place of results, are asked for.
    ahead: [usize; 2],
    streamed: bool,
}

impl<T: Sixteen, O: Sixteen> Block<T, O> {
    /// # Safety
    /// What is mapped is readable, and `out` writable without references to it.
    #[inline(always)]
    unsafe fn map<S: Token, const N: usize, M: Map<N>>(self, simd: S, of: [Pair<S>; N]) {
        let mut operands = [[f64x8::splat(simd, 0.0); 2]; 2];
        // SAFETY: promised by the caller.
        unsafe {
            if M::VALUE {
                prefetch(self.x.wrapping_add(self.ahead[0]));
                operands[0] = T::load(simd, self.x);
            }
            if M::GRADIENT {
                prefetch(self.dy.wrapping_add(self.ahead[0]));
                operands[1] = T::load(simd, self.dy);
            }
            if !self.streamed {
                prefetch(self.out.wrapping_add(self.ahead[1]));
            }
            let y = map_both::<S, N, M>(operands[0], operands[1], of);
            O::put(y, self.out, self.streamed);
        }
    }
}

#[inline(always)]
fn map_both<S: Token, const N: usize, M: Map<N>>(
    x: Pair<S>,
    dy: Pair<S>,
    of: [Pair<S>; N],
) -> Pair<S> {
    let mut halves = [[x[0]; N]; 2];
    for (k, of) in of.into_iter().enumerate() {
        halves[0][k] = of[0];
        halves[1][k] = of[1];
    }
    [M::of(x[0], dy[0], halves[0]), M::of(x[1], dy[1], halves[1])]
}
