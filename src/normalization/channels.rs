//! An array as samples of channels, in the order in which it lies in memory.
//!
//! It is summed (`channel_sums.rs`) and mapped (`channel_maps.rs`) in chunks of samples and tiles of channels, the
//! pieces of work for threads; or, where a thread has channels enough that stay in its cache from one pass to the
//! next, in parts of the channels, all passes over one after all over another. Neither changes a sum: those of
//! chunks, whose length is a matter of the number of samples alone, are added in order.

use super::sixteen::Aligned;
use crate::driver::rows::for_each_row_range;
use crate::driver::threads::{Interrupted, num_threads};
use crate::level::Level;
use std::ops::Range;

/// Samples of a chunk at least, and chunks at most: each leaves two numbers for each channel and sum.
const CHUNK: usize = 256;
const CHUNKS: usize = 8;

/// Channels of a piece of work, where samples lie side by side.
const TILE: usize = 32;

/// Where the channels of a sample lie side by side, how many of them are a piece of work, if there are more than
/// twice as many; and how many are worked through at most before the next pass over them.
const WIDE: usize = 256;
const WIDEST: usize = 1024;

/// Parts of the channels that a thread takes at a time, at most: what it asks for ahead is then mostly its own.
const RUN: usize = 8;

/// Elements that lie side by side from which on it is better to read them in place.
pub(super) const LONG: usize = 128;

/// Elements of some channels that stay in the second-level cache.
const CACHED: usize = 1 << 17;

/// Elements at a time, few enough to stay in the first-level cache beside the sums of as many.
pub(super) const SEGMENT: usize = 1024;

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

/// Some of the channels, or all: what is summed and mapped, and so how means and coefficients are counted.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) of: Channels,
    pub(super) channels: Range<usize>,
    /// Whether this thread does all of it.
    pub(super) alone: bool,
}

impl Channels {
    /// All channels.
    pub(super) fn whole(&self) -> View {
        View {
            of: *self,
            channels: 0..self.channels,
            alone: false,
        }
    }

    /// Call `work` for parts of the channels whose elements stay in the second-level cache from one pass to the next, if there are
    /// such and enough of them for all threads; else for all channels. Results come in order.
    pub(super) fn for_each_part<Part: Send>(
        &self,
        keep_going: &dyn Fn() -> bool,
        work: impl Fn(&View, &dyn Fn() -> bool) -> Result<Part, Interrupted> + Sync,
    ) -> Result<Vec<Part>, Interrupted> {
        let width = (CACHED / self.samples.max(1)).max(1);
        let width = if self.last {
            width.clamp(WIDE, WIDEST).next_multiple_of(WIDE)
        } else {
            width
        };
        let parts = self.channels.div_ceil(width);
        let are_small = width * self.samples <= 2 * CACHED && (self.is_wide() || !self.last);
        if parts < num_threads() || !are_small {
            return Ok(vec![work(&self.whole(), keep_going)?]);
        }
        let size = width * self.samples;
        let run = (parts / (4 * num_threads())).clamp(1, RUN);
        let runs = parts.div_ceil(run);
        let states = for_each_row_range(runs, run * size, keep_going, Vec::new, |done, runs| {
            for part in runs.start * run..parts.min(runs.end * run) {
                let first = part * width;
                let view = View {
                    of: *self,
                    channels: first..self.channels.min(first + width),
                    alone: true,
                };
                done.push((part, work(&view, &|| true)));
            }
        })?;
        let mut done: Vec<_> = states.into_iter().flatten().collect();
        done.sort_unstable_by_key(|(part, _)| *part);
        done.into_iter().map(|(_, result)| result).collect()
    }

    pub(super) fn is_wide(&self) -> bool {
        self.channels > 2 * WIDE
    }

    /// Samples of a chunk: a matter of their number alone.
    fn chunk(&self) -> usize {
        (self.samples.div_ceil(CHUNKS))
            .next_multiple_of(CHUNK)
            .max(CHUNK)
    }
}

impl View {
    /// Call `work(state, chunk, channels)` for all pieces, on several threads where there is enough to do.
    pub(super) fn for_each_piece<State: Send>(
        &self,
        keep_going: &dyn Fn() -> bool,
        init: impl Fn() -> State + Sync,
        work: impl Fn(&mut State, usize, Range<usize>) + Sync,
    ) -> Result<Vec<State>, Interrupted> {
        let Channels { samples, last, .. } = self.of;
        let channels = self.channels.len();
        let width = match last {
            true if self.of.is_wide() => WIDE,
            true => channels,
            false => TILE,
        };
        let tiles = channels.div_ceil(width.max(1));
        let pieces = samples.div_ceil(self.of.chunk()) * tiles;
        let size = (samples * channels).div_ceil(pieces.max(1));
        self.for_each(pieces, size, keep_going, init, |state, piece| {
            let first = piece % tiles * width;
            work(state, piece / tiles, first..channels.min(first + width));
        })
    }

    /// Call `work(state, piece)` for all pieces of a size.
    pub(super) fn for_each<State: Send>(
        &self,
        pieces: usize,
        size: usize,
        keep_going: &dyn Fn() -> bool,
        init: impl Fn() -> State + Sync,
        work: impl Fn(&mut State, usize) + Sync,
    ) -> Result<Vec<State>, Interrupted> {
        if self.alone {
            let mut state = init();
            (0..pieces).for_each(|piece| work(&mut state, piece));
            return Ok(vec![state]);
        }
        for_each_row_range(pieces, size, keep_going, init, |state, pieces| {
            pieces.for_each(|piece| work(state, piece));
        })
    }

    /// The samples of a chunk.
    pub(super) fn samples_of(&self, chunk: usize) -> Range<usize> {
        let first = chunk * self.of.chunk();
        first..self.of.samples.min(first + self.of.chunk())
    }
}

/// What a thread works in.
pub(super) struct Buffers<T, O> {
    pub(super) x: Vec<T>,
    pub(super) dy: Vec<T>,
    pub(super) out: Vec<O>,
    pub(super) sums: Aligned,
}

impl<T, O> Default for Buffers<T, O> {
    fn default() -> Self {
        Self {
            x: Vec::new(),
            dy: Vec::new(),
            out: Vec::new(),
            sums: Aligned::default(),
        }
    }
}
