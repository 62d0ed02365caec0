//! The framework and the elementwise losses against textbook formulas in `f64`, on every level.

use super::{Batch, Loss, LossError, MeanSquaredError, Reduction, Request, Totals};
use crate::driver::operand::{Operand, OperandMut};
use crate::driver::threads::set_num_threads;
use crate::dtype::{Dtype, Real};
use crate::level::Level;

/// An operand to write a slice through.
fn target<T: Real>(slice: &mut [T]) -> OperandMut<'_> {
    // SAFETY: the elements are those of an exclusively borrowed slice.
    unsafe {
        OperandMut::new(
            slice.as_mut_ptr().cast(),
            T::DTYPE,
            false,
            &[slice.len()],
            &[size_of::<T>() as isize],
        )
    }
}

fn batch<'a, T: Real>(y_true: &'a [T], y_pred: &'a [T], weights: Option<&'a [f64]>) -> Batch<'a> {
    Batch {
        y_true: Operand::from_slice(y_true),
        y_pred: Operand::from_slice(y_pred),
        parameter: None,
        sample_weight: weights.map(Operand::from_slice),
        classes: 1,
        double: T::DTYPE == Dtype::Float64,
    }
}

/// Values, gradient and totals.
fn evaluate<T: Real>(
    loss: &dyn Loss,
    level: Level,
    batch: &Batch<'_>,
    reduction: Reduction,
) -> Result<(Vec<T>, Vec<T>, Totals), LossError> {
    let n = batch.y_pred.len();
    let (mut values, mut gradient) = (vec![T::default(); n], vec![T::default(); n]);
    let request = Request::ValueAndGradient {
        values: Some(target(&mut values)),
        gradient: target(&mut gradient),
        reduction,
        keep_if_refused: false,
    };
    let totals = loss.evaluate(level, batch, request, &|| true)?;
    Ok((values, gradient, totals))
}

/// Numbers that look random: a multiplicative congruential generator (Lehmer; Steele and Vigna's factor).
fn uniform(n: usize, seed: u64) -> Vec<f64> {
    let mut state = u128::from(seed) * 2 + 1;
    (0..n)
        .map(|_| {
            state = state.wrapping_mul(0xda94_2042_e4dd_58b5);
            ((state >> 75) as f64) * 2.0_f64.powi(-53)
        })
        .collect()
}

fn logits(n: usize) -> Vec<f32> {
    let mut x: Vec<f32> = uniform(n, 1)
        .iter()
        .map(|u| ((u - 0.5) * 260.0) as f32)
        .collect();
    let special = [
        0.0, -0.0, 1e-30, -1e-30, 88.7, -88.7, 103.9, -103.9, 200.0, -200.0, 3e38, -3e38,
    ];
    for (i, &value) in special.iter().enumerate() {
        x[3 * i] = value;
        x[3 * i + 1] = value;
        x[3 * i + 2] = value;
    }
    x
}

fn labels(n: usize) -> Vec<f32> {
    let soft = uniform(n, 2);
    (0..n)
        .map(|i| match i % 3 {
            0 => 0.0,
            1 => 1.0,
            _ => soft[i] as f32,
        })
        .collect()
}

/// Error in ULPs of the `f32`, infinite for NaN and overflow that should not be.
fn ulp_error(got: f32, exact: f64) -> f64 {
    if f64::from(got) == exact || (got.is_nan() && exact.is_nan()) {
        return 0.0;
    }
    let ulp = 2.0_f64.powf(exact.abs().log2().floor().max(-126.0) - 23.0);
    (f64::from(got) - exact).abs() / ulp
}

#[test]
fn mean_squared_error_is_rounded_once() {
    let n = 10_000;
    let to_f32 = |values: Vec<f64>| -> Vec<f32> {
        values
            .iter()
            .enumerate()
            .map(|(i, u)| ((u - 0.3) * 2.0_f64.powi((i % 40) as i32 - 20)) as f32)
            .collect()
    };
    let (y, p) = (to_f32(uniform(n, 4)), to_f32(uniform(n, 5)));
    let level = Level::available()[0];
    let (values, gradient, totals) = evaluate::<f32>(
        &MeanSquaredError::default(),
        level,
        &batch(&y, &p, None),
        Reduction::Mean,
    )
    .unwrap();
    for i in 0..n {
        let difference = f64::from(p[i]) - f64::from(y[i]);
        assert!(ulp_error(values[i], difference * difference) <= 0.505);
        assert!(ulp_error(gradient[i], 2.0 * difference / n as f64) <= 2.0);
    }
    let huge = [3e38_f32, f32::INFINITY, f32::NEG_INFINITY];
    let (values, ..) = evaluate::<f32>(
        &MeanSquaredError::default(),
        level,
        &batch(&[-3e38, 0.0, f32::INFINITY], &huge, None),
        Reduction::Mean,
    )
    .unwrap();
    assert_eq!(values, [f32::INFINITY; 3]);
    assert_eq!(totals.count, n as u64);
    assert_eq!(totals.weight.to_f64(), n as f64);
}

#[test]
fn results_do_not_depend_on_level_threads_or_layout() {
    let n = 100_003;
    let (x, y) = (
        logits(n),
        labels(n).iter().map(|y| f64::from(*y)).collect::<Vec<_>>(),
    );
    let weights = uniform(n, 6);
    let reversed: Vec<f32> = x.iter().rev().copied().collect();
    let last = reversed.as_ptr().wrapping_add(n - 1).cast();
    // SAFETY: the elements of `reversed`, backwards.
    let backwards = unsafe { Operand::new(last, Dtype::Float32, false, &[n], &[-4]) };
    let losses: [&dyn Loss; 1] = [&MeanSquaredError::default()];
    for loss in losses {
        let mut results = Vec::new();
        for level in Level::available() {
            for (threads, strided) in [(1, false), (3, true)] {
                set_num_threads(threads);
                let batch = Batch {
                    y_true: Operand::from_slice(&y),
                    y_pred: if strided {
                        backwards.clone()
                    } else {
                        Operand::from_slice(&x)
                    },
                    parameter: None,
                    sample_weight: Some(Operand::from_slice(&weights)),
                    classes: 1,
                    double: false,
                };
                results.push(evaluate::<f32>(loss, level, &batch, Reduction::Mean).unwrap());
            }
        }
        set_num_threads(2);
        let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        let (values, gradient, totals) = &results[0];
        for (other_values, other_gradient, other_totals) in &results[1..] {
            assert!(bits(values) == bits(other_values), "{}", loss.name());
            assert!(bits(gradient) == bits(other_gradient), "{}", loss.name());
            assert_eq!(totals, other_totals);
        }
    }
}

#[test]
fn the_gradient_may_take_the_place_of_the_predictions() {
    let n = 5000;
    let (mut x, y) = (logits(n), labels(n));
    let loss = MeanSquaredError::default();
    let level = Level::available()[0];
    let (_, expected, _) =
        evaluate::<f32>(&loss, level, &batch(&y, &x, None), Reduction::Mean).unwrap();
    let address = x.as_mut_ptr();
    let batch = Batch {
        // SAFETY: the elements of `x`, which are the gradient's, too.
        y_pred: unsafe { Operand::new(address.cast(), Dtype::Float32, false, &[n], &[4]) },
        ..batch(&y, &y, None)
    };
    let request = Request::ValueAndGradient {
        values: None,
        // SAFETY: the very same elements as `y_pred`.
        gradient: unsafe { OperandMut::new(address.cast(), Dtype::Float32, false, &[n], &[4]) },
        reduction: Reduction::Mean,
        keep_if_refused: true,
    };
    loss.evaluate(level, &batch, request, &|| true).unwrap();
    assert_eq!(x, expected);
}

#[test]
fn the_caller_can_stop() {
    let n = 3_000_000;
    let zeros = vec![0.0_f64; n];
    let stop = || {
        std::thread::sleep(std::time::Duration::from_millis(60));
        false
    };
    let level = Level::available().pop().unwrap();
    let loss = MeanSquaredError::default();
    let error = loss
        .evaluate(
            level,
            &batch(&zeros, &zeros, None),
            Request::Value { values: None },
            &stop,
        )
        .unwrap_err();
    assert_eq!(error, LossError::Interrupted);
}
