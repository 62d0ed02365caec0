//! The exact accumulator against big integers, on every SIMD level of the machine.
//!
//! The long test: `cargo test --release --lib exact:: -- --ignored`.

mod encoding;
mod quotient;
mod reference;
mod slices;
mod specials;

use actloss_rs::lanes::Token;
use actloss_rs::level::{Level, OnLevel};
use actloss_rs::reduction::exact::ExactSum;

/// A slice summed on a level, from a given state on.
struct AddSlice<'a, T> {
    sum: &'a mut ExactSum,
    values: &'a [T],
}

impl OnLevel for AddSlice<'_, f32> {
    type Output = ();
    fn run<S: Token>(self, simd: S) {
        self.sum.add_f32_slice(simd, self.values);
    }
}

impl OnLevel for AddSlice<'_, f64> {
    type Output = ();
    fn run<S: Token>(self, simd: S) {
        self.sum.add_f64_slice(simd, self.values);
    }
}

fn sum_f32(level: Level, values: &[f32]) -> ExactSum {
    let mut sum = ExactSum::new();
    level.dispatch(AddSlice {
        sum: &mut sum,
        values,
    });
    sum
}

fn sum_f64(level: Level, values: &[f64]) -> ExactSum {
    let mut sum = ExactSum::new();
    level.dispatch(AddSlice {
        sum: &mut sum,
        values,
    });
    sum
}

fn one_by_one(values: &[f64]) -> ExactSum {
    let mut sum = ExactSum::new();
    for &value in values {
        sum.add(value);
    }
    sum
}
