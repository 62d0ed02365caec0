//! The bytes of an exact sum: for checkpoints, pickles and messages between workers.
//!
//! One state has one encoding, of fixed length: `ALSUM`, a version, a reserved zero, the class, the
//! fixed-point limbs (little-endian; zero unless the class is finite), and a checksum of all that.

use super::fixed_point::{FixedPoint, LIMBS};
use super::{Class, ExactSum};
use std::fmt;

/// Bytes of an encoded [`ExactSum`].
pub const ENCODED_LEN: usize = PREFIX.len() + 1 + 8 * LIMBS + 8;

/// Magic, format version 1, reserved.
const PREFIX: [u8; 7] = *b"ALSUM\x01\x00";

/// The bytes are not those of an [`ExactSum`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidEncoding(&'static str);

impl fmt::Display for InvalidEncoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not an encoded exact sum: {}", self.0)
    }
}

impl std::error::Error for InvalidEncoding {}

impl ExactSum {
    /// The canonical encoding: equal sums have equal bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; ENCODED_LEN] {
        let class = match self.class {
            Class::Finite => 0,
            Class::Infinite { negative: false } => 1,
            Class::Infinite { negative: true } => 2,
            Class::NaN => 3,
        };
        let mut bytes = [0; ENCODED_LEN];
        let (content, checksum) = bytes.split_at_mut(ENCODED_LEN - 8);
        let (prefix, rest) = content.split_at_mut(PREFIX.len());
        prefix.copy_from_slice(&PREFIX);
        rest[0] = class;
        if self.class == Class::Finite {
            for (chunk, limb) in rest[1..].chunks_exact_mut(8).zip(&self.finite.0) {
                chunk.copy_from_slice(&limb.to_le_bytes());
            }
        }
        checksum.copy_from_slice(&fnv1a(content).to_le_bytes());
        bytes
    }

    /// The sum that [`ExactSum::to_bytes`] encoded.
    ///
    /// # Errors
    /// When the bytes are anything but such an encoding, unchanged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidEncoding> {
        let bytes: &[u8; ENCODED_LEN] = bytes
            .try_into()
            .map_err(|_| InvalidEncoding("wrong length"))?;
        let Some(rest) = bytes.strip_prefix(&PREFIX) else {
            return Err(InvalidEncoding("unknown format or version"));
        };
        let (content, checksum) = bytes.split_at(ENCODED_LEN - 8);
        if checksum != fnv1a(content).to_le_bytes() {
            return Err(InvalidEncoding("the checksum does not match"));
        }
        let class = match rest[0] {
            0 => Class::Finite,
            1 => Class::Infinite { negative: false },
            2 => Class::Infinite { negative: true },
            3 => Class::NaN,
            _ => return Err(InvalidEncoding("unknown class")),
        };
        let mut finite = FixedPoint::ZERO;
        for (limb, chunk) in finite.0.iter_mut().zip(rest[1..].as_chunks().0) {
            *limb = u64::from_le_bytes(*chunk);
        }
        if class != Class::Finite && !finite.is_zero() {
            return Err(InvalidEncoding("limbs beside an infinity or NaN"));
        }
        // Room for 2^62 more additions must be left: no state of 2^62 additions exceeds 2^1086.
        let top = finite.0[LIMBS - 1] as i64;
        if top >> 48 != top >> 63 {
            return Err(InvalidEncoding("the sum is too large"));
        }
        Ok(Self { class, finite })
    }
}

/// The 64-bit FNV-1a hash (Fowler, Noll and Vo), against accidental corruption.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
