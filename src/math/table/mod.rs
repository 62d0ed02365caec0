//! `f32` functions as piecewise polynomials whose coefficients are looked up in registers.
//!
//! Dividing, and carrying what each operation rounds off, is most of the work in a compensated
//! `f32` kernel. Here is neither. The range of `a = |x|` is cut into 16 pieces, and on each
//!
//! ```text
//! y = c0 + r (c1 + r (c2 + ...)),   r = a - b,
//! ```
//!
//! where `b`, `c0`, `c1`, ... are each one permutation of a register by the number of the piece. Only
//! the last FMA rounds at the size of the result. That the tables' own errors do not matter is won
//! beforehand: the expansion points `b` were searched until `c0`, `c1` and `c2` are almost floats, and
//! they lie off the middle of their pieces, so that `r` is small where `y` is. See
//! `scripts/fit_register_tables.py`, which made every table here; their errors are stated there.
//!
//! The piece's number comes from one addition: the low bits of `a + 1.5 * 2^23` (pieces of equal width)
//! or the upper bits of `scale a + offset` (four pieces an octave). Bits above the fourth need no masking.
//!
//! Whatever a function does far out, where its result is a constant, an exponential or subnormal, is
//! the business of its general form. The driver uses the common form, which knows nothing of that, for
//! each block of inputs that are all below a bound.
//!
//! Cost. On AVX-512 all tables of a function stay in registers through the loop, and nothing is limiting
//! but the number of vector operations, two a cycle (one port also takes all the permutations): 12
//! for 16 lanes in `exp`, 22 in `sigmoid`, 23 in `softplus`, 24 in `silu`, 26 in `tanh`, 34 in `gelu`, 53 in `gelu_tanh`, and 2 more
//! to look at the block. On Sapphire Rapids two of 512 bits, most of them floating-point, take 1.07 cycles of the clock
//! that it has without them, and what then comes of all that is 0.9 of two a cycle. The general
//! forms compute the far tail for every lane: 40 operations in `sigmoid`, 50 in `silu`, 41 in `gelu`, so inputs of which
//! every block has some far out, like N(0, 10), take 1.8, 1.9 and 1.3 times as long. AVX2 needs two
//! permutations, on its one port for them, and two bitwise operations for eight lanes, and has too few registers for the
//! tables: twice the 16 lanes' permutations are the floor there, 0.9 of the measured time. Where the pieces of equal
//! width of all 16 lanes are among the first eight, to 7, the common form takes one permutation and nothing else: for
//! N(0, 1) and N(0, 2) `sigmoid` and `silu` are 1.6 to 1.7 times as fast as without that, `softplus` 1.5. For N(0, 3),
//! where a fifth of the vectors have a lane beyond, what is saved goes into mispredicted branches. The other functions'
//! first eight pieces end too early.
//!
//! Tried for `sigmoid` and `silu`: the far lanes through the last piece, its polynomial that of `e^-a` over a power of
//! two and the square subtracted within. Counted by hand 33 and 37 operations, yet on AVX-512 with N(0, 10) only 0.99
//! and 1.07 to 1.09 times as fast, for a reason not found; and in a simulation of every float to -90 `silu` was off by
//! 1.014 ULP at -23.99 (`sigmoid`, to -86, by 0.94).
//!
//! oneDNN's `gelu`, whose error is absolute, takes 32 operations: ours, 0.8 to 0.9 as fast, would have to do with 30. Of
//! 49 there were once, the rest went with a step of 12 bits in the exponent (n step is exact, so `a^2` needs no low
//! part), pieces in which degree 5 is enough, and powers that are not scaled. A choice of two tables, 32 pieces of
//! degree 4, would be two fewer, but on AVX2 more by far; looking up the power in memory was no faster, and two vectors
//! in turns, instruction by instruction, were a twentieth. For N(0, 10) it is 0.7 as fast: a fifth of the lanes of every
//! vector are far out or subnormal, which takes seven operations more for all of them.

mod exp;
mod exponential;
mod gelu;
mod gelu_tanh;
mod sigmoid;
mod silu;
mod softplus;
mod tanh;
#[cfg(test)]
mod tests;

pub use exp::{EXP_COMMON, exp, exp_common};
pub use gelu::{GELU_COMMON, gelu, gelu_common};
pub use gelu_tanh::{GELU_TANH_COMMON, gelu_tanh, gelu_tanh_common};
pub use sigmoid::{
    SIGMOID_COMMON, sigmoid, sigmoid_common, sigmoid_of_negative, sigmoid_of_negative_common,
};
pub use silu::{SILU_COMMON, silu, silu_common};
pub use softplus::{
    SOFTPLUS_COMMON, softplus, softplus_and_share, softplus_and_share_common, softplus_common,
};
pub use tanh::tanh;

use crate::lanes::{Lanes, Token};
use fearless_simd::prelude::*;
use fearless_simd::{f32x16, mask32x16, u32x16};

type Table = [f32; 16];

/// A polynomial for each of 16 pieces.
struct Piecewise<const TERMS: usize> {
    /// The expansion points `b`.
    points: Table,
    /// `c0`, `c1`, ...: a table each.
    coefficients: [Table; TERMS],
}

/// Of a function.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Common,
    General,
}

/// The number of each lane's piece.
#[derive(Clone, Copy)]
struct Pieces<S: Token> {
    numbers: u32x16<S>,
    /// Whether all are among the first eight.
    first_eight: bool,
}

impl<S: Token> Pieces<S> {
    /// Of pieces that may be any.
    #[inline(always)]
    fn any(numbers: u32x16<S>) -> Self {
        Self {
            numbers,
            first_eight: false,
        }
    }

    /// `part` of these pieces, in a form of its own for the first eight where that is faster: AVX2 looks up in eight
    /// with one operation, in 16 with four. A function's general form does not ask: it has lanes far out.
    #[inline(always)]
    fn each<R>(simd: S, form: Form, numbers: u32x16<S>, part: impl Fn(Self) -> R) -> R {
        if form == Form::Common && simd.prefers_lower_half(numbers) {
            part(Self {
                numbers,
                first_eight: true,
            })
        } else {
            part(Self::any(numbers))
        }
    }

    #[inline(always)]
    fn look_up(self, simd: S, table: &Table) -> f32x16<S> {
        if self.first_eight {
            simd.lookup_eight_f32(*table.first_chunk().expect("a table of 16"), self.numbers)
        } else {
            look_up(simd, table, self.numbers)
        }
    }
}

impl<const TERMS: usize> Piecewise<TERMS> {
    /// `r = a - b`, exact but for the smallest `a`.
    #[inline(always)]
    fn offset<S: Token>(&self, simd: S, a: f32x16<S>, pieces: Pieces<S>) -> f32x16<S> {
        a - pieces.look_up(simd, &self.points)
    }

    /// `c0`.
    #[inline(always)]
    fn constant<S: Token>(&self, simd: S, pieces: Pieces<S>) -> f32x16<S> {
        pieces.look_up(simd, &self.coefficients[0])
    }

    /// `c1 + r (c2 + ...)`.
    #[inline(always)]
    fn slope<S: Token>(&self, simd: S, r: f32x16<S>, pieces: Pieces<S>) -> f32x16<S> {
        let mut q = pieces.look_up(simd, &self.coefficients[TERMS - 1]);
        for table in self.coefficients[1..TERMS - 1].iter().rev() {
            q = q.fma(r, pieces.look_up(simd, table));
        }
        q
    }
}

#[inline(always)]
fn look_up<S: Token>(simd: S, table: &Table, piece: u32x16<S>) -> f32x16<S> {
    simd.lookup_f32(f32x16::load_array_ref(simd, table), piece)
}

#[inline(always)]
fn splat<S: Token>(simd: S, value: f32) -> f32x16<S> {
    f32x16::splat(simd, value)
}

/// 1.5 * 2^23: adding it rounds to an integer, whose low bits it then ends with.
const MAGIC: f32 = 12582912.0;

/// Four pieces an octave of `w = scale a + offset`, which is from 1 to 16: narrow where `a` is small.
struct Logarithmic<S: Token> {
    w: f32x16<S>,
    /// Counted from 12 as the tables are.
    pieces: Pieces<S>,
}

impl<S: Token> Logarithmic<S> {
    #[inline(always)]
    fn new(w: f32x16<S>) -> Self {
        Self {
            w,
            pieces: Pieces::any(w.to_bits() >> 21),
        }
    }

    // Both test what the number is made of, not `a`: `w` is rounded.

    /// Whether the lane is in the first piece.
    #[inline(always)]
    fn first(&self, simd: S) -> mask32x16<S> {
        self.w.simd_lt(splat(simd, 1.25))
    }

    /// Whether the lane is in one of the first two pieces.
    #[inline(always)]
    fn first_two(&self, simd: S) -> mask32x16<S> {
        self.w.simd_lt(splat(simd, 1.5))
    }
}

/// With the scale 1 the second piece ends at 0.3855 and pieces are 0.25, 0.5, 1 and 2 wide.
const OFFSET: f32 = 1.1145;
