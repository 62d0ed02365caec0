//! The decision that goes with a binary loss: yes where the probability is above a threshold.

use super::call::{Argument, Found, LossError, Refusal};
use crate::driver::floating_point::FloatingPointGuard;
use crate::driver::operand::{BLOCK, Operand};
use crate::lanes::Token;
use crate::level::{Level, OnLevel};
use crate::math::log::log;
use fearless_simd::prelude::*;
use fearless_simd::{Fallback, f64x8};
use std::mem::MaybeUninit;

/// Blocks between two questions whether to go on.
const BLOCKS_PER_POLL: usize = 1 << 12;

/// The logit that belongs to a probability: `log(t / (1 - t))`.
#[must_use]
pub fn logit(probability: f64) -> f64 {
    let odds = f64x8::splat(Fallback::new(), probability / (1.0 - probability));
    log(Fallback::new(), odds).as_slice()[0]
}

/// Whether each element is above `threshold`, as exact numbers compare.
///
/// # Errors
/// The first NaN is refused; or `keep_going` said no. `decisions` are then partly written.
///
/// # Panics
/// If there are not as many decisions as predictions.
pub fn predict_binary(
    level: Level,
    y_pred: &Operand<'_>,
    threshold: f64,
    decisions: &mut [MaybeUninit<bool>],
    keep_going: &dyn Fn() -> bool,
) -> Result<(), LossError> {
    assert_eq!(y_pred.len(), decisions.len());
    let _environment = FloatingPointGuard::new();
    level.dispatch(Decision {
        y_pred,
        threshold,
        decisions,
        keep_going,
    })
}

struct Decision<'a> {
    y_pred: &'a Operand<'a>,
    threshold: f64,
    decisions: &'a mut [MaybeUninit<bool>],
    keep_going: &'a dyn Fn() -> bool,
}

impl OnLevel for Decision<'_> {
    type Output = Result<(), LossError>;

    fn run<S: Token>(self, simd: S) -> Self::Output {
        let mut buffer = [0.0_f64; BLOCK];
        for (index, block) in self.decisions.chunks_mut(BLOCK).enumerate() {
            if index % BLOCKS_PER_POLL == BLOCKS_PER_POLL - 1 && !(self.keep_going)() {
                return Err(LossError::Interrupted);
            }
            let start = index * BLOCK;
            let predictions = self.y_pred.block(simd, start, block.len(), &mut buffer);
            let missing = simd.vectorize(
                #[inline(always)]
                || {
                    let mut missing = 0_u32;
                    for (decision, &prediction) in block.iter_mut().zip(predictions) {
                        missing += u32::from(prediction.is_nan());
                        decision.write(prediction > self.threshold);
                    }
                    missing
                },
            );
            if missing > 0 {
                let first = predictions.iter().position(|p| p.is_nan()).unwrap_or(0);
                return Err(LossError::Refused(Refusal {
                    argument: Argument::YPred,
                    position: start + first,
                    found: Found::NotANumber,
                }));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_not_reached_but_passed() {
        let n = 3 * BLOCK + 5;
        let p: Vec<f32> = (0..n).map(|i| (i % 5) as f32 / 4.0).collect();
        for level in Level::available() {
            let mut decisions = vec![MaybeUninit::new(false); n];
            let y_pred = Operand::from_slice(&p);
            predict_binary(level, &y_pred, 0.5, &mut decisions, &|| true).unwrap();
            for (i, decision) in decisions.iter().enumerate() {
                // SAFETY: initialised above.
                assert_eq!(unsafe { decision.assume_init() }, i % 5 > 2);
            }
        }
    }

    #[test]
    fn nan_is_no_decision() {
        let mut p = vec![0.25_f64; 2 * BLOCK];
        p[BLOCK + 7] = f64::NAN;
        let mut decisions = vec![MaybeUninit::new(false); p.len()];
        let level = Level::available()[0];
        let error = predict_binary(
            level,
            &Operand::from_slice(&p),
            0.5,
            &mut decisions,
            &|| true,
        );
        assert_eq!(
            error,
            Err(LossError::Refused(Refusal {
                argument: Argument::YPred,
                position: BLOCK + 7,
                found: Found::NotANumber,
            }))
        );
    }

    #[test]
    fn logits_of_probabilities() {
        assert_eq!(logit(0.5), 0.0);
        assert_eq!(logit(0.0), f64::NEG_INFINITY);
        assert_eq!(logit(1.0), f64::INFINITY);
        // log 3, correctly rounded.
        assert_eq!(logit(0.75), 1.0986122886681098);
    }
}
