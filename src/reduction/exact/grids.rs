//! Exact sums of `f32` values in integer lanes, for blocks that span few binades.
//!
//! `v + M` with `M = 1.5 * 2^(g + 23)` is `v` rounded to a multiple of `2^g`, and its bits, less those of
//! `M`, are that multiple: an integer addition sums it without error. What rounding cut off, `v - ((v +
//! M) - M)`, is exact, and the next grid's, 23 bits below. Three grids take every value that is a
//! multiple of the last one's step: ten operations for 16 values, half of what `f64` bins take, which
//! must widen the values first and fill twice the registers.

use super::ExactSum;
use super::bins::{self, BLOCK, STEP};
use crate::lanes::Token;
use fearless_simd::prelude::*;
use fearless_simd::{f32x16, u32x16};

/// Bits of a multiple on the first grid, without its sign: `M` is 1.5 * 2^23 steps, and stays in its binade.
const FIRST_BITS: i32 = 22;

/// How far one grid lies below the last: a remainder is at most half a step.
const GRID_BITS: i32 = 23;

const GRIDS: usize = 3;

/// The size of the values of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Every magnitude is below `2^(largest + 1)`.
    largest: i32,
}

impl Window {
    /// For values of ordinary losses.
    pub const ORDINARY: Self = Self { largest: 6 };

    /// For values below `2^(largest + 1)` that are multiples of `2^lowest_bit`, if all grids are normal
    /// numbers and take those.
    pub(super) fn of(largest: i32, lowest_bit: i32) -> Option<Self> {
        let window = Self { largest };
        let fits = (-82..=124).contains(&largest) && lowest_bit >= window.exponent(GRIDS - 1);
        fits.then_some(window)
    }

    /// The same, of a block whose greatest and least magnitude these are, as bits.
    pub(super) fn of_magnitudes(greatest: u32, least: u32) -> Option<Self> {
        let exponent = |bits: u32| (bits >> 23).max(1) as i32 - 127;
        Self::of(exponent(greatest), exponent(least) - 23)
    }

    /// A window for those values and others.
    fn with_room(self) -> Self {
        Self {
            largest: (self.largest + 2).min(124),
        }
    }

    /// Whether it holds all values of that other one.
    fn holds(self, greatest: u32, least: u32) -> bool {
        let exponent = |bits: u32| (bits >> 23).max(1) as i32 - 127;
        exponent(greatest) <= self.largest && Self::of(self.largest, exponent(least) - 23).is_some()
    }

    /// The step of a grid is 2 to this.
    fn exponent(self, grid: usize) -> i32 {
        self.largest + 1 - FIRST_BITS - GRID_BITS * grid as i32
    }
}

/// The sums of up to [`BLOCK`] values and as many zeros on the grids of a window.
pub(super) struct Grids<S: Token> {
    window: Window,
    magic: [f32x16<S>; GRIDS],
    sums: [u32x16<S>; GRIDS],
}

/// Vectors that a lane's 32 bits can sum.
const _: () = assert!(2 * BLOCK / STEP < 1 << (31 - FIRST_BITS));

impl<S: Token> Grids<S> {
    #[inline(always)]
    pub(super) fn new(simd: S, window: Window) -> Self {
        Self {
            window,
            magic: magic(window).map(
                #[inline(always)]
                |magic| f32x16::splat(simd, magic),
            ),
            sums: [u32x16::splat(simd, 0); GRIDS],
        }
    }

    /// Add values that the window holds.
    #[inline(always)]
    pub(super) fn add(&mut self, values: f32x16<S>) {
        let mut rest = values;
        for grid in 0..GRIDS {
            let shifted = rest + self.magic[grid];
            self.sums[grid] += shifted.to_bits();
            // After the last one nothing remains.
            rest -= shifted - self.magic[grid];
        }
    }

    /// Add what `vectors` calls of [`Grids::add`] have gathered to `sum`.
    #[inline(always)]
    pub(super) fn finish(self, sum: &mut ExactSum, vectors: usize) {
        // Here, where it is compiled for the level: a few instructions for each grid.
        let mut totals = [0; GRIDS];
        for ((total, sums), magic) in totals.iter_mut().zip(self.sums).zip(self.magic) {
            let of_magic = magic.to_bits() * (vectors as u32);
            for lane in (sums - of_magic).to_array() {
                *total += i64::from(lane as i32);
            }
        }
        add_totals(sum, self.window, totals);
    }
}

/// Add a slice, block by block, each assumed to be about as large as the one before.
#[inline(always)]
pub(super) fn add_slice<S: Token>(sum: &mut ExactSum, simd: S, values: &[f32]) {
    simd.vectorize(
        #[inline(always)]
        || {
            let mut window = Window::ORDINARY;
            for block in values.chunks(BLOCK) {
                let assumed = window;
                let mut fits = add_block(sum, simd, block, &mut window);
                if !fits && window != assumed {
                    fits = add_block(sum, simd, block, &mut window);
                }
                if !fits {
                    bins::add_block(sum, simd, block);
                }
            }
        },
    );
}

/// Add a block, if it fits into the window; see [`Assumed::finish`].
#[inline(always)]
fn add_block<S: Token>(sum: &mut ExactSum, simd: S, block: &[f32], window: &mut Window) -> bool {
    let (steps, tail) = bins::steps(block);
    let mut assumed = Assumed::new(simd, *window);
    for step in steps {
        assumed.add(f32x16::load_array_ref(simd, step));
    }
    assumed.add(f32x16::load_array_ref(simd, &tail));
    assumed.finish(sum, window, steps.len() + 1)
}

/// `M` of each grid.
fn magic(window: Window) -> [f32; GRIDS] {
    std::array::from_fn(|grid| {
        let exponent = window.exponent(grid) + GRID_BITS;
        f32::from_bits((((exponent + 127) as u32) << 23) | (1 << 22))
    })
}

/// Out of line, to leave the vector code its registers.
#[inline(never)]
fn add_totals(sum: &mut ExactSum, window: Window, totals: [i64; GRIDS]) {
    for (grid, total) in totals.into_iter().enumerate() {
        let step = f64::from_bits(((window.exponent(grid) + 1023) as u64) << 52);
        sum.finite.add_float(total as f64 * step);
    }
}

/// A sum beside a loop that computes the values: it is assumed that they fit into a window, and known in the
/// end whether they did.
pub struct Assumed<S: Token> {
    grids: Grids<S>,
    greatest: u32x16<S>,
    least_less_one: u32x16<S>,
}

impl<S: Token> Assumed<S> {
    /// Begin a block.
    #[inline(always)]
    pub fn new(simd: S, window: Window) -> Self {
        Self {
            grids: Grids::new(simd, window),
            greatest: u32x16::splat(simd, 0),
            least_less_one: u32x16::splat(simd, u32::MAX),
        }
    }

    /// Add values.
    #[inline(always)]
    pub fn add(&mut self, values: f32x16<S>) {
        self.add_of_size(values, values.abs());
    }

    /// Add values that are not negative, or do not fit.
    #[inline(always)]
    pub fn add_not_negative(&mut self, values: f32x16<S>) {
        self.add_of_size(values, values);
    }

    #[inline(always)]
    fn add_of_size(&mut self, values: f32x16<S>, size: f32x16<S>) {
        let bits = size.to_bits();
        self.greatest = self.greatest.max(bits);
        // Less one, a zero becomes the largest integer: the minimum is that of the other values.
        self.least_less_one = self.least_less_one.min(bits - 1);
        self.grids.add(values);
    }

    /// Add the sum of `vectors` vectors to `sum`, if they did fit; NaN and infinity never do. The window is
    /// moved to where these values fit, and so will likely the next block's.
    #[inline(always)]
    pub fn finish(self, sum: &mut ExactSum, window: &mut Window, vectors: usize) -> bool {
        let (greatest, least) = (self.greatest.reduce_max(), self.least_less_one.reduce_min());
        let fits = greatest == 0 || self.grids.window.holds(greatest, least.wrapping_add(1));
        if fits {
            self.grids.finish(sum, vectors);
        }
        if greatest != 0
            && let Some(found) = Window::of_magnitudes(greatest, least.wrapping_add(1))
        {
            *window = found.with_room();
        }
        fits
    }
}
