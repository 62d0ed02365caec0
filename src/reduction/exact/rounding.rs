//! The one rounding of an exact sum or quotient.

/// The leading bits of an exact number.
#[derive(Clone, Copy)]
pub(super) struct Leading {
    pub(super) negative: bool,
    /// The first 64 bits of the magnitude; the very first is set.
    pub(super) bits: u64,
    /// Is any bit set beyond those 64?
    pub(super) inexact: bool,
    /// The first bit counts `2^exponent`.
    pub(super) exponent: i32,
}

/// The float64 nearest to a nonzero number, ties to even, overflow to infinity.
pub(super) fn round_to_nearest(number: Leading) -> f64 {
    let Leading {
        negative,
        bits,
        inexact,
        exponent,
    } = number;
    let sign = u64::from(negative) << 63;
    if exponent > 1023 {
        return f64::from_bits(sign | f64::INFINITY.to_bits());
    }
    if exponent < -1075 {
        // Below half of the smallest subnormal.
        return f64::from_bits(sign);
    }
    // A float64 keeps 53 bits, a subnormal fewer: those down to 2^-1074.
    let dropped = 64 - (exponent + 1075).min(53) as u32;
    let integer = (u128::from(bits) >> dropped) as u64;
    // The part below the last kept bit, as a fraction of 2^64, against one half.
    let remainder = (u128::from(bits) << (64 - dropped)) as u64;
    let half = 1 << 63;
    let up = remainder > half || (remainder == half && (inexact || integer % 2 == 1));
    // Biased exponent less one, because the leading bit of `integer`, added, makes up for it: 0 for a
    // subnormal without that bit. A carry out of the fraction moves to the next exponent, or infinity.
    let biased = (exponent + 1022).max(0) as u64;
    f64::from_bits(sign | ((biased << 52) + integer + u64::from(up)))
}
