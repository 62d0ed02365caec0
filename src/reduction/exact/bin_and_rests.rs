//! Exact sums of `f32` values that span few binades: one bin, and what its grid cuts off.
//!
//! A bin of at least `2^23` steps of `2^g` takes of a value `v` what a whole number of steps holds. That part,
//! `(bin + v) - bin`, and the rest of `v` are exact as long as the bin keeps to its binade. The rest, half a step
//! or less, is added to a sum in `f64`, and that is exact too if every value is a multiple of `2^-47` steps: a lane
//! sees 128 rests, no more than `2^6` steps and so `2^53` such multiples. Nine operations for 16 values,
//! where three grids of `f32` and integer sums take thirteen, and bins of `f64` twenty.
//!
//! Values that are never negative only raise the bin: that it ends in its binade tells that it never left. Others
//! are looked at for their greatest magnitude.

use super::ExactSum;
use super::bins::{self, BLOCK, STEP};
use crate::lanes::{Lanes, Token};
use fearless_simd::prelude::*;
use fearless_simd::{f32x16, f64x8, u32x16};

/// A bin holds fewer steps than 2 to this, beside those that it starts with.
const BIN_BITS: i32 = 23;

/// How far below a step the last bit of a rest may lie.
const REST_BITS: i32 = 47;

/// Vectors of values that a lane's rests may come from: half a step each, summed in the 53 bits of an `f64`.
const _: () = assert!(BLOCK / STEP == 1 << (53 - REST_BITS + 1));

/// Vectors after which a rest is read again.
const DELAY: usize = 8;

/// Where the values of a block lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// A step is 2 to this.
    grid: i32,
    /// Blocks in a row that no window holds.
    refused: u32,
    /// Blocks for which it is not worth trying, as the last one was such.
    pause: u32,
}

impl Window {
    /// For values of ordinary losses: below 64 each if they have signs, of 128 on average if they have none.
    pub const ORDINARY: Self = Self::new(-9);

    const fn new(grid: i32) -> Self {
        Self {
            grid,
            refused: 0,
            pause: 0,
        }
    }

    /// Whether to try and sum the next block.
    #[inline]
    pub fn invites(&mut self) -> bool {
        let invites = self.pause == 0;
        self.pause = self.pause.saturating_sub(1);
        invites
    }

    /// After a block that no window holds: twice as long a pause as after the one before it.
    fn refuse(&mut self) {
        self.refused = (self.refused + 1).min(5);
        self.pause = 1 << self.refused;
    }

    /// For lanes whose sums, in a bin, are below `2^(exponent + 1)`, if bins and rests are normal numbers there.
    fn of_lane_sums(exponent: i32) -> Option<Self> {
        let grid = exponent + 1 - BIN_BITS;
        (-100..=100).contains(&grid).then_some(Self::new(grid))
    }

    /// For values whose greatest magnitude, as bits, this is: added up, with any signs, they leave no lane's bin.
    fn of_greatest(greatest: u32) -> Option<Self> {
        // Of a bin that may shrink only half is used.
        Self::of_lane_sums(exponent(greatest) + 1 + (BLOCK / STEP).ilog2() as i32)
    }

    /// Whether rests of values are summed exactly whose least magnitude, less one, as bits, this is.
    fn resolves(self, least_less_one: u32) -> bool {
        // Zeros alone.
        least_less_one == u32::MAX || exponent(least_less_one + 1) - 23 >= self.grid - REST_BITS
    }

    /// `2^23` steps.
    fn full(self) -> f32 {
        f32::from_bits(((self.grid + BIN_BITS + 127) as u32) << 23)
    }
}

/// The exponent of a magnitude given as bits; subnormal numbers have that of the least normal one.
fn exponent(bits: u32) -> i32 {
    (bits >> 23).max(1) as i32 - 127
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

/// Add a block of values of any sign, if it fits into the window; otherwise only move that to where it may.
#[inline(always)]
fn add_block<S: Token>(sum: &mut ExactSum, simd: S, block: &[f32], window: &mut Window) -> bool {
    let (steps, tail) = bins::steps(block);
    let mut bin = BinAndRests::new(simd, *window, 1.5);
    let mut greatest = u32x16::splat(simd, 0);
    for step in steps {
        bin.add_and_compare(simd, step, &mut greatest);
    }
    bin.add_and_compare(simd, &tail, &mut greatest);
    let (greatest, least_less_one) = (greatest.reduce_max(), bin.least_less_one.reduce_min());
    if greatest == 0 {
        return true;
    }
    // None for NaN and infinities.
    let Some(needed) = Window::of_greatest(greatest) else {
        return false;
    };
    let fits = needed.grid <= window.grid && window.resolves(least_less_one);
    if fits {
        bin.finish(simd).add_to(sum);
    }
    // A bit more, for the next block.
    let roomy = Window::new(needed.grid + 1);
    if roomy.resolves(least_less_one) {
        *window = roomy;
    }
    fits
}

/// A sum beside a loop that computes the values, which are never negative: it is assumed that they fit into a window,
/// and known in the end whether they did.
pub struct Assumed<S: Token>(BinAndRests<S>);

impl<S: Token> Assumed<S> {
    /// Begin a block.
    #[inline(always)]
    pub fn new(simd: S, window: Window) -> Self {
        Self(BinAndRests::new(simd, window, 1.0))
    }

    /// Add values that are not negative, or NaN.
    #[inline(always)]
    pub fn add(&mut self, simd: S, values: f32x16<S>) {
        self.0.add(simd, values, values.to_bits());
    }

    /// Add the sum of up to [`BLOCK`] values to `sum`, if they did fit; NaN and infinity never do. The window is
    /// moved to where these values fit, and so will likely the next block's.
    #[inline(always)]
    pub fn finish(self, simd: S, sum: &mut ExactSum, window: &mut Window) -> bool {
        let least_less_one = self.0.least_less_one.reduce_min();
        let filled = self.0.bin - self.0.start;
        let fits = filled.simd_lt(self.0.start).all_true() && window.resolves(least_less_one);
        let totals = self.0.finish(simd);
        if fits {
            totals.add_to(sum);
        }
        match totals.window() {
            Some(found) if found.resolves(least_less_one) => *window = found,
            _ if fits => {}
            _ => window.refuse(),
        }
        fits
    }
}

/// The sum of up to [`BLOCK`] values, and as many zeros.
struct BinAndRests<S: Token> {
    start: f32x16<S>,
    bin: f32x16<S>,
    /// See [`Lanes::add_by_multiplier`].
    one: f32x16<S>,
    least_less_one: u32x16<S>,
    /// The rests of the last vectors. They are widened on the way from memory: in registers that is two operations more
    /// for 16 values. So late, because a store must have ended before its bytes are read in other pieces.
    waiting: [[f32; STEP]; DELAY],
    vectors: usize,
    rests: [f64x8<S>; 2],
}

impl<S: Token> BinAndRests<S> {
    /// An empty bin, `filled` times `2^23` steps.
    #[inline(always)]
    fn new(simd: S, window: Window, filled: f32) -> Self {
        let start = f32x16::splat(simd, filled * window.full());
        Self {
            start,
            bin: start,
            one: f32x16::splat(simd, std::hint::black_box(1.0)),
            least_less_one: u32x16::splat(simd, u32::MAX),
            waiting: [[0.0; STEP]; DELAY],
            vectors: 0,
            rests: [f64x8::splat(simd, 0.0); 2],
        }
    }

    /// Add values, whose magnitudes have these bits.
    #[inline(always)]
    fn add(&mut self, simd: S, values: f32x16<S>, magnitudes: u32x16<S>) {
        // Less one, a zero becomes the largest integer: the minimum is that of the other values.
        self.least_less_one = self.least_less_one.min(magnitudes - 1);
        let bin = values.add_by_multiplier(self.one, self.bin);
        let rest = values - bin.add_by_multiplier(self.one, -self.bin);
        self.bin = bin;
        let waiting = &mut self.waiting[self.vectors % DELAY];
        self.vectors += 1;
        let (low, high) = f32x16::load_array_ref(simd, waiting).widen();
        self.rests[0] += low;
        self.rests[1] += high;
        rest.store_array(waiting);
    }

    /// Add values of any sign, and take them into the greatest magnitude.
    #[inline(always)]
    fn add_and_compare(&mut self, simd: S, values: &[f32; STEP], greatest: &mut u32x16<S>) {
        let values = f32x16::load_array_ref(simd, values);
        let magnitudes = values.abs().to_bits();
        *greatest = greatest.max(magnitudes);
        self.add(simd, values, magnitudes);
    }

    /// The total of all lanes; what that is of values that did not fit, means nothing.
    #[inline(always)]
    fn finish(mut self, simd: S) -> Totals {
        for waiting in &self.waiting {
            let (low, high) = f32x16::load_array_ref(simd, waiting).widen();
            self.rests[0] += low;
            self.rests[1] += high;
        }
        let (low, high) = (self.bin - self.start).widen();
        // What is a multiple of 2^-15 steps, and what is below: both fit into an `f64`, however they are added.
        let split = f64x8::splat(simd, 1.5 * f64::from(self.start.as_slice()[0]));
        let split = split * f64x8::splat(simd, bins::power_of_two(52 - 15 - BIN_BITS));
        let coarse = self.rests.map(
            #[inline(always)]
            |rests| (rests + split) - split,
        );
        let fine = (self.rests[0] - coarse[0]) + (self.rests[1] - coarse[1]);
        Totals {
            coarse: total((low + high) + (coarse[0] + coarse[1])),
            fine: total(fine),
        }
    }
}

/// A sum of lanes, in two parts that are exact.
#[derive(Clone, Copy)]
struct Totals {
    coarse: f64,
    fine: f64,
}

impl Totals {
    /// Out of line, to leave the vector code its registers.
    #[inline(never)]
    fn add_to(self, sum: &mut ExactSum) {
        sum.finite.add_float(self.coarse);
        sum.finite.add_float(self.fine);
    }

    /// Where lanes with about this sum fit: eight times their mean. None for zero, infinity and NaN.
    fn window(self) -> Option<Window> {
        let exponent = (self.coarse.to_bits() >> 52) as i32 - 1023;
        Window::of_lane_sums(exponent - STEP.ilog2() as i32 + 3)
    }
}

#[inline(always)]
fn total<S: Token>(lanes: f64x8<S>) -> f64 {
    let [a, b, c, d, e, f, g, h] = lanes.to_array();
    ((a + b) + (c + d)) + ((e + f) + (g + h))
}
