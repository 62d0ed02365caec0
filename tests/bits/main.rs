//! The same bits as announced: a digest of what every function returns, on every SIMD level of this
//! machine, against `digests.txt`, which is the same file for every machine.
//!
//! A change of bits is a deliberate act: `BITS=write cargo test --lib bits::` writes the file anew, and the
//! change log says so.

mod gated;
mod losses;
mod normalizations;
mod rows;

use super::accuracy::subject::{Quantity, evaluate};
use actloss_rs::activation::ACTIVATIONS;
use actloss_rs::dtype::{Bf16, Dtype, F16, Storage};
use actloss_rs::level::Level;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Digests by what they are of.
type Digests = BTreeMap<String, u64>;

const ANNOUNCED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bits/digests.txt");

/// FNV-1a of the numbers' bits, every NaN alike: its sign and payload are no promise.
pub(super) struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    /// Add a number.
    pub(super) fn add(&mut self, number: f64) {
        let bits = if number.is_nan() {
            f64::NAN.to_bits()
        } else {
            number.to_bits()
        };
        for byte in bits.to_le_bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    /// The digest of all that was added.
    pub(super) fn finish(self) -> u64 {
        self.0
    }
}

/// Numbers from 0 to 1 that look random, in exact arithmetic (`SplitMix64`).
pub(super) struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    pub(super) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to 1.
    pub(super) fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A logit: bell-shaped, up to 3 `scale` in size.
    pub(super) fn logit(&mut self, scale: f64) -> f64 {
        (0..6).map(|_| self.uniform() - 0.5).sum::<f64>() * scale
    }
}

/// Inputs of a type: any bit patterns, and numbers where functions bend.
fn sample<T: Storage>(from_bits: fn(u64) -> T) -> Vec<T> {
    let mut random = Random(1);
    let mut x: Vec<T> = (0..6000).map(|_| from_bits(random.bits())).collect();
    x.extend((0..9000).map(|i| T::from_f64(random.logit([0.5, 4.0, 40.0][i % 3]))));
    x
}

fn activations<T: Storage>(level: Level, dtype: Dtype, name: &str, x: &[T], found: &mut Digests) {
    for activation in ACTIVATIONS {
        for (quantity, prefix) in [(Quantity::Value, ""), (Quantity::Derivative, "backward.")] {
            let mut digest = Digest::default();
            for y in evaluate(level, activation, quantity, dtype, x) {
                digest.add(y.to_f64());
            }
            found.insert(
                format!("{prefix}{} {name}", activation.name),
                digest.finish(),
            );
        }
    }
}

fn elements<T: Storage>(level: Level, dtype: Dtype, name: &str, x: &[T], found: &mut Digests) {
    activations(level, dtype, name, x, found);
    gated::digests(level, dtype, name, x, found);
}

fn digests(level: Level) -> Digests {
    let mut found = Digests::new();
    let f64s = sample(f64::from_bits);
    elements(level, Dtype::Float64, "float64", &f64s, &mut found);
    let f32s = sample(|bits| f32::from_bits(bits as u32));
    elements(level, Dtype::Float32, "float32", &f32s, &mut found);
    let halves = sample(|bits| F16(bits as u16));
    elements(level, Dtype::Float16, "float16", &halves, &mut found);
    let brains = sample(|bits| Bf16(bits as u16));
    elements(level, Dtype::BFloat16, "bfloat16", &brains, &mut found);
    rows::digests(level, &mut found);
    losses::digests(level, &mut found);
    normalizations::digests(level, &mut found);
    found
}

fn announced() -> Digests {
    let text = std::fs::read_to_string(ANNOUNCED).expect("tests/bits/digests.txt");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let entry = |line: &str| {
        let (name, digest) = line.rsplit_once(' ')?;
        Some((
            name.trim_end().to_string(),
            u64::from_str_radix(digest, 16).ok()?,
        ))
    };
    lines
        .map(|line| entry(line).expect("a name and a digest"))
        .collect()
}

fn write(found: &Digests) {
    let mut text = String::from(
        "# Digests of what every function returns for the inputs of `tests/bits/`: the same on every machine.\n\
         # Written by `BITS=write cargo test --lib bits::`. To change one is to change results: say so in the\n\
         # change log.\n",
    );
    for (name, digest) in found {
        writeln!(text, "{name} {digest:016x}").expect("a string grows");
    }
    std::fs::write(ANNOUNCED, text).expect("tests/bits/digests.txt can be written");
}

#[test]
fn bits_are_those_that_were_announced() {
    let levels = Level::available();
    if std::env::var("BITS").is_ok_and(|value| value == "write") {
        write(&digests(levels[0]));
    }
    let announced = announced();
    for level in levels {
        let found = digests(level);
        let names = announced.keys().chain(found.keys());
        let mut changed: Vec<_> = names
            .filter(|name| announced.get(*name) != found.get(*name))
            .collect();
        changed.dedup();
        assert!(
            changed.is_empty(),
            "on {} these differ from tests/bits/digests.txt, or are new: {changed:#?}\nIf that is meant: \
             BITS=write cargo test --lib bits::",
            level.name(),
        );
    }
}
