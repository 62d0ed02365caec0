//! `to_bytes` and `from_bytes`.

use super::one_by_one;
use super::reference::Random;
use actloss_rs::reduction::exact::{ENCODED_LEN, ExactSum};

const CONTENT: usize = ENCODED_LEN - 8;

/// The format's checksum, so that a test can forge one: FNV-1a over the content.
fn with_checksum(mut bytes: [u8; ENCODED_LEN]) -> [u8; ENCODED_LEN] {
    let mut hash = 14_695_981_039_346_656_037_u64;
    for &byte in &bytes[..CONTENT] {
        hash = (hash ^ u64::from(byte)).wrapping_mul(1_099_511_628_211);
    }
    bytes[CONTENT..].copy_from_slice(&hash.to_le_bytes());
    bytes
}

#[test]
fn round_trip() {
    let mut random = Random(3);
    for _ in 0..1000 {
        let values: Vec<f64> = (0..random.below(20))
            .map(|_| f64::from_bits(random.bits()))
            .collect();
        let sum = one_by_one(&values);
        let bytes = sum.to_bytes();
        let read = ExactSum::from_bytes(&bytes).expect("own bytes");
        assert_eq!(read, sum);
        assert_eq!(read.to_f64().to_bits(), sum.to_f64().to_bits());
        assert_eq!(read.to_bytes(), bytes);
        assert_eq!(with_checksum(bytes), bytes);
    }
    for special in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 0.0] {
        let sum = one_by_one(&[1.0, special]);
        assert_eq!(ExactSum::from_bytes(&sum.to_bytes()), Ok(sum));
    }
}

#[test]
fn a_read_state_goes_on() {
    let first = [0.1, 1e300, -7e-310];
    let second = [2.5, -1e300];
    let mut sum = ExactSum::from_bytes(&one_by_one(&first).to_bytes()).expect("own bytes");
    sum.merge(&one_by_one(&second));
    assert_eq!(sum, one_by_one(&[&first[..], &second[..]].concat()));
}

#[test]
fn every_flipped_bit_is_noticed() {
    for sum in [
        one_by_one(&[1.25, -3e-200]),
        one_by_one(&[f64::NAN]),
        ExactSum::new(),
    ] {
        let bytes = sum.to_bytes();
        for bit in 0..8 * ENCODED_LEN {
            let mut corrupt = bytes;
            corrupt[bit / 8] ^= 1 << (bit % 8);
            assert!(ExactSum::from_bytes(&corrupt).is_err(), "bit {bit}");
        }
    }
}

#[test]
fn wrong_lengths_and_foreign_bytes_are_refused() {
    let bytes = one_by_one(&[1.25]).to_bytes();
    for length in 0..ENCODED_LEN {
        assert!(ExactSum::from_bytes(&bytes[..length]).is_err());
    }
    assert!(ExactSum::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
    assert!(ExactSum::from_bytes(&[0; ENCODED_LEN]).is_err());
    let message = ExactSum::from_bytes(b"abc")
        .expect_err("too short")
        .to_string();
    assert_eq!(message, "not an encoded exact sum: wrong length");
}

/// With a right checksum: what no sum can hold is refused all the same.
#[test]
fn impossible_states_are_refused() {
    let bytes = one_by_one(&[1.25]).to_bytes();
    let forge = |at: usize, byte: u8| {
        let mut forged = bytes;
        forged[at] = byte;
        ExactSum::from_bytes(&with_checksum(forged))
    };
    assert!(forge(8, 1).is_ok(), "2^-1074 more");
    assert!(forge(0, b'B').is_err(), "magic");
    assert!(forge(5, 2).is_err(), "version");
    assert!(forge(6, 1).is_err(), "reserved");
    for class in 1..=255 {
        assert!(forge(7, class).is_err(), "limbs beside class {class}");
    }
    // 2^1086 is the bound, in limb 33.
    let top = 8 + 33 * 8;
    assert!(forge(top + 5, 0xff).is_ok());
    assert!(forge(top + 6, 0x01).is_err());
    assert!(forge(top + 7, 0x80).is_err());
}
