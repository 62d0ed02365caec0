//! 16-bit floats: their bits, and how they widen and round.
//!
//! They widen exactly on load and are rounded once, to nearest even, on store. The conversions are branch-free
//! scalar code: inside a `vectorize` context the compiler turns a loop of them into the level's own
//! instructions, and their result is defined bit by bit on every CPU. A run of `float16` is converted by the
//! level's instruction for it, to the same bits.

use super::{Real, Storage};
use crate::lanes::Token;

/// IEEE binary16, as its bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct F16(pub u16);

/// bfloat16, the upper half of a binary32, as its bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Bf16(pub u16);

/// Round to the nearest multiple of the destination's spacing, ties to even, with one rounding: adding
/// and subtracting 1.5 * 2^52 spacings leaves no room for the bits below.
#[inline(always)]
fn round_to_precision(value: f64, precision: u64, min_exponent: i64) -> f64 {
    // Beyond 2^129 everything is infinity in both 16-bit formats; the clamp keeps the spacing finite.
    const LIMIT: f64 = f64::from_bits((1023 + 130) << 52);
    let clamped = value.clamp(-LIMIT, LIMIT);
    let exponent_bits = clamped.to_bits() & 0x7ff0_0000_0000_0000;
    let smallest = ((1023 + min_exponent) as u64) << 52;
    let exponent_bits = exponent_bits.max(smallest);
    let magic = exponent_bits + ((53 - precision) << 52) + (1 << 51);
    let magic = f64::from_bits(magic);
    (clamped + magic) - magic
}

impl Storage for F16 {
    #[inline(always)]
    fn swap_bytes(self) -> Self {
        Self(self.0.swap_bytes())
    }
    #[inline(always)]
    fn to_f32(self) -> f32 {
        let magnitude = u32::from(self.0 & 0x7fff);
        let sign = u32::from(self.0 & 0x8000) << 16;
        let normal = (magnitude << 13) + (112 << 23);
        // 0.5 + h * 2^-24 is exact: subnormals are multiples of 2^-24, the spacing of floats at 0.5.
        let subnormal = (f32::from_bits(0x3f00_0000 | magnitude) - 0.5).to_bits();
        // NaN is quiet afterwards.
        let quiet = u32::from(magnitude > 0x7c00) << 22;
        let special = 0x7f80_0000 | quiet | (magnitude << 13);
        let finite = if magnitude < 0x0400 {
            subnormal
        } else {
            normal
        };
        let bits = if magnitude >= 0x7c00 { special } else { finite };
        f32::from_bits(sign | bits)
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self.to_f32())
    }
    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        let magnitude = value.to_bits() & 0x7fff_ffff;
        let sign = value.to_bits() >> 16 & 0x8000;
        // To nearest even on the bits, a carry going into the exponent; adding 0.5 rounds to a multiple of the least
        // subnormal, 2^-24.
        let half = 0x0fff + (magnitude >> 13 & 1);
        let normal = magnitude.wrapping_sub(112 << 23).wrapping_add(half) >> 13;
        let subnormal = (f32::from_bits(magnitude) + 0.5).to_bits() & 0x007f_ffff;
        let finite = if magnitude < 0x3880_0000 {
            subnormal
        } else {
            normal
        };
        // From 65520 on, which is half way between the largest number and what would follow.
        let bits = if magnitude >= 0x477f_f000 {
            0x7c00
        } else {
            finite
        };
        let bits = if value.is_nan() { 0x7e00 } else { bits | sign };
        Self(bits as u16)
    }
    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        let rounded = round_to_precision(value, 11, -14) as f32;
        let magnitude = rounded.to_bits() & 0x7fff_ffff;
        let sign = (value.to_bits() >> 48) as u32 & 0x8000;
        let normal = magnitude.wrapping_sub(112 << 23) >> 13;
        let subnormal = (f32::from_bits(magnitude) + 0.5).to_bits() & 0x007f_ffff;
        let finite = if magnitude < 0x3880_0000 {
            subnormal
        } else {
            normal
        };
        let bits = if magnitude >= 0x4780_0000 {
            0x7c00
        } else {
            finite
        };
        let bits = if value.is_nan() { 0x7e00 } else { bits | sign };
        Self(bits as u16)
    }
    #[inline(always)]
    unsafe fn read_run<S: Token, T: Real>(simd: S, source: *const Self, target: &mut [T]) {
        // SAFETY: promised by the caller.
        unsafe { T::read_halves(simd, source, target) }
    }
    #[inline(always)]
    unsafe fn write_run<S: Token, T: Real>(simd: S, source: &[T], target: *mut Self) {
        // SAFETY: promised by the caller.
        unsafe { T::write_halves(simd, source, target) }
    }
    #[inline(always)]
    fn to_i64(self) -> i64 {
        self.to_f32() as i64
    }
}

impl Storage for Bf16 {
    #[inline(always)]
    fn swap_bytes(self) -> Self {
        Self(self.0.swap_bytes())
    }
    #[inline(always)]
    fn to_f32(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self.to_f32())
    }
    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        // Round to nearest even on the bits: exact for finite values, and overflow carries to infinity.
        let bits = value.to_bits();
        let rounded = (bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16) as u16;
        Self(if value.is_nan() { 0x7fc0 } else { rounded })
    }
    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        let rounded = round_to_precision(value, 8, -126) as f32;
        // The sign of a result that rounds to zero is lost by the magic addition.
        let signed =
            (rounded.to_bits() & 0x7fff_ffff) | ((value.to_bits() >> 32) as u32 & 0x8000_0000);
        Self(if value.is_nan() {
            0x7fc0
        } else {
            (signed >> 16) as u16
        })
    }
    #[inline(always)]
    fn to_i64(self) -> i64 {
        self.to_f32() as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_bit_floats_widen_like_the_half_crate() {
        for bits in 0..=u16::MAX {
            let (ours, theirs) = (F16(bits).to_f32(), half::f16::from_bits(bits).to_f32());
            assert!(
                ours == theirs || (ours.is_nan() && theirs.is_nan()),
                "{bits:#x}"
            );
            let (ours, theirs) = (Bf16(bits).to_f32(), half::bf16::from_bits(bits).to_f32());
            assert!(
                ours == theirs || (ours.is_nan() && theirs.is_nan()),
                "{bits:#x}"
            );
        }
    }

    /// Neighbouring 16-bit values `a < b` fix the rounding of everything between them: the midpoint
    /// goes to the even one, anything nearer to one side goes there.
    fn check_between<E: Storage + PartialEq + std::fmt::Debug>(
        a: E,
        b: E,
        even: E,
        limit: Option<f64>,
    ) {
        let low = a.to_f64();
        let high = limit.unwrap_or_else(|| b.to_f64());
        let middle = f64::midpoint(low, high);
        assert_eq!(E::from_f64(middle), even);
        assert_eq!(E::from_f64(middle.next_down()), a, "{middle:e}");
        assert_eq!(E::from_f64(middle.next_up()), b, "{middle:e}");
        assert_eq!(E::from_f64(low), a);
        assert_eq!(E::from_f64(-low).to_f64(), -low);
        let middle = middle as f32;
        assert_eq!(E::from_f32(middle), even);
        assert_eq!(E::from_f32(middle.next_down()), a, "{middle:e}");
        assert_eq!(E::from_f32(middle.next_up()), b, "{middle:e}");
        assert_eq!(E::from_f32(-low as f32).to_f64(), -low);
    }

    #[test]
    fn narrowing_rounds_once_to_nearest_even() {
        for bits in 0..0x7c00_u16 {
            let overflow = (bits == 0x7bff).then_some(65536.0);
            let even = if bits % 2 == 0 { bits } else { bits + 1 };
            check_between(F16(bits), F16(bits + 1), F16(even), overflow);
        }
        for bits in 0..0x7f80_u16 {
            let overflow = (bits == 0x7f7f).then(|| 2.0_f64.powi(128));
            let even = if bits % 2 == 0 { bits } else { bits + 1 };
            check_between(Bf16(bits), Bf16(bits + 1), Bf16(even), overflow);
        }
        assert_eq!(F16::from_f64(f64::NAN), F16(0x7e00));
        assert_eq!(F16::from_f32(f32::NAN), F16(0x7e00));
        assert_eq!(F16::from_f32(f32::NEG_INFINITY), F16(0xfc00));
        assert_eq!(F16::from_f32(f32::MAX), F16(0x7c00));
        assert_eq!(F16::from_f32(-1e-30), F16(0x8000));
        assert_eq!(F16::from_f64(-f64::INFINITY), F16(0xfc00));
        assert_eq!(F16::from_f64(-1e-300), F16(0x8000));
        assert_eq!(Bf16::from_f64(-1e-300), Bf16(0x8000));
        assert_eq!(Bf16::from_f64(f64::MAX), Bf16(0x7f80));
        assert_eq!(Bf16::from_f32(-0.0), Bf16(0x8000));
        assert_eq!(Bf16::from_f32(f32::MAX), Bf16(0x7f80));
    }
}
