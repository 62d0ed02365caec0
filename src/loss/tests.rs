//! The framework and the elementwise losses against textbook formulas in `f64`, on every level.

use super::{
    Argument, Batch, BinaryCrossentropy, Found, Loss, LossError, MeanSquaredError, Reduction,
    Refusal, Request, Totals,
};
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
    (f64::from(got) - exact).abs() / ulp(exact)
}

/// The distance between the f32 around `x`.
fn ulp(x: f64) -> f64 {
    2.0_f64.powf(x.abs().log2().floor().max(-126.0) - 23.0)
}

/// `log(1 + e^x)`.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + core_math::log1p(core_math::exp(-x.abs()))
}

fn sigmoid(x: f64) -> f64 {
    let e = core_math::exp(-x.abs());
    if x > 0.0 {
        1.0 / (1.0 + e)
    } else {
        e / (1.0 + e)
    }
}

/// `y` times a factor that may be infinite.
fn term(y: f64, factor: f64) -> f64 {
    if y == 0.0 { 0.0 } else { y * factor }
}

#[test]
fn binary_crossentropy_from_logits_is_the_textbook_formula() {
    let y = labels(20_000);
    // Blocks that have no logit far out are computed by a form of their own.
    let near = logits(10_000).into_iter().map(|x| x / 10.0);
    let x: Vec<f32> = logits(10_000).into_iter().chain(near).collect();
    let loss = BinaryCrossentropy {
        from_logits: true,
        ..Default::default()
    };
    let (values, gradient, _) = evaluate::<f32>(
        &loss,
        Level::available()[0],
        &batch(&y, &x, None),
        Reduction::Sum,
    )
    .unwrap();
    for i in 0..x.len() {
        let (x, y) = (f64::from(x[i]), f64::from(y[i]));
        let exact = term(y, softplus(-x)) + term(1.0 - y, softplus(x));
        let error = ulp_error(values[i], exact);
        let bound = if y == 0.0 || y == 1.0 { 1.2 } else { 1.5 };
        assert!(error <= bound, "{y} {x}: {} {exact}: {error}", values[i]);
        let slope = (1.0 - y) * sigmoid(x) - y * sigmoid(-x);
        let error = if y == 0.0 || y == 1.0 {
            ulp_error(gradient[i], slope)
        } else {
            (f64::from(gradient[i]) - slope).abs() * 2.0_f64.powi(24)
        };
        assert!(error <= 1.5, "{y} {x}: {} {slope}: {error}", gradient[i]);
    }
}

#[test]
fn a_logit_far_out_changes_nothing_about_its_neighbours() {
    let y = labels(1000);
    let near: Vec<f32> = logits(1000).into_iter().map(|x| x % 14.0).collect();
    let mut mixed = near.clone();
    let far = [
        (3, 40.0),
        (300, f32::NAN),
        (511, f32::INFINITY),
        (990, -100.0),
    ];
    for (i, x) in far {
        mixed[i] = x;
    }
    let loss = BinaryCrossentropy {
        from_logits: true,
        ..Default::default()
    };
    for level in Level::available() {
        let [(a, da, _), (b, db, _)] = [&near, &mixed]
            .map(|x| evaluate::<f32>(&loss, level, &batch(&y, x, None), Reduction::Sum).unwrap());
        for i in (0..1000).filter(|i| far.iter().all(|(at, _)| i != at)) {
            assert_eq!(a[i].to_bits(), b[i].to_bits(), "{} {}", y[i], near[i]);
            assert_eq!(da[i].to_bits(), db[i].to_bits(), "{} {}", y[i], near[i]);
        }
    }
}

#[test]
fn labels_keep_the_digits_that_single_precision_lacks() {
    let (n, level) = (5000, Level::available()[0]);
    let x = logits(n);
    let mut y = uniform(n, 8);
    for hard in y.iter_mut().step_by(3) {
        *hard = hard.round();
    }
    let loss = BinaryCrossentropy {
        from_logits: true,
        ..Default::default()
    };
    let wide = Batch {
        y_true: Operand::from_slice(&y),
        ..batch(&x, &x, None)
    };
    let (values, gradient, _) = evaluate::<f32>(&loss, level, &wide, Reduction::Sum).unwrap();
    for i in 0..n {
        let (x, y) = (f64::from(x[i]), y[i]);
        let exact = term(y, softplus(-x)) + term(1.0 - y, softplus(x));
        let bound = if y == 0.0 || y == 1.0 { 1.2 } else { 0.51 };
        assert!(
            ulp_error(values[i], exact) <= bound,
            "{y} {x} {}",
            values[i]
        );
        let slope = (1.0 - y) * sigmoid(x) - y * sigmoid(-x);
        assert!((f64::from(gradient[i]) - slope).abs() <= 2.0_f64.powi(-24));
    }
    let mut outside = y.clone();
    outside[4321] = 1.0 + 1e-12;
    let wide = Batch {
        y_true: Operand::from_slice(&outside),
        ..wide
    };
    let error = evaluate::<f32>(&loss, level, &wide, Reduction::Sum).unwrap_err();
    let LossError::Refused(refusal) = error else {
        panic!("{error:?}");
    };
    assert_eq!(
        (refusal.argument, refusal.position),
        (Argument::YTrue, 4321)
    );
}

#[test]
fn binary_crossentropy_of_probabilities_is_the_textbook_formula() {
    let n = 20_000;
    let y = labels(n);
    let mut p: Vec<f32> = uniform(n, 3).iter().map(|&u| u as f32).collect();
    for (i, &value) in [0.0, 1.0, 1e-30, 1.0 - f32::EPSILON, 1e-7]
        .iter()
        .enumerate()
    {
        p[3 * i..3 * i + 3].fill(value);
    }
    let (smoothing, positive) = (0.1, 2.5);
    for (loss, epsilon, s, weight) in [
        (BinaryCrossentropy::default(), 0.0, 0.0, 1.0),
        (
            BinaryCrossentropy {
                label_smoothing: smoothing,
                pos_weight: Some(vec![positive]),
                epsilon: 1e-3,
                ..Default::default()
            },
            1e-3,
            smoothing,
            positive,
        ),
    ] {
        let mut batch = batch(&y, &p, None);
        let weights = vec![weight; n];
        batch.parameter = loss
            .pos_weight
            .as_ref()
            .map(|_| Operand::from_slice(&weights));
        let level = Level::available()[0];
        let (values, gradient, _) = evaluate::<f32>(&loss, level, &batch, Reduction::Sum).unwrap();
        for i in 0..n {
            let y = f64::from(y[i]);
            let (a, b) = (
                weight * ((1.0 - s) * y + s / 2.0),
                (1.0 - s) * (1.0 - y) + s / 2.0,
            );
            let given = f64::from(p[i]);
            let inside = given.clamp(epsilon, 1.0 - epsilon);
            let exact = term(a, -core_math::log(inside)) + term(b, -core_math::log1p(-inside));
            let error = ulp_error(values[i], exact);
            // In f32 a soft label adds two rounded logarithms, one of which may be a binade above the sum:
            // twice half an ulp, and half a one.
            let bound = if loss.epsilon != 0.0 {
                0.53
            } else if y == y.round() {
                0.58 // of log1p
            } else {
                1.5
            };
            assert!(
                error <= bound,
                "{y} {given}: {} {exact}: {error}",
                values[i]
            );
            let slope = if inside == given {
                term(b, 1.0 / (1.0 - given)) - term(a, 1.0 / given)
            } else {
                0.0
            };
            // The contract: 2 ULP, of the larger term where two cancel.
            let larger = term(b, 1.0 / (1.0 - given)).max(term(a, 1.0 / given));
            let size = 2.0 * ulp(larger);
            let error = f64::from(gradient[i]) - slope;
            assert!(
                f64::from(gradient[i]) == slope || error.abs() <= size,
                "{y} {given}: {} {slope}",
                gradient[i]
            );
        }
    }
}

#[test]
fn perfect_and_hopeless_predictions() {
    let y = [1.0_f64, 0.0, 1.0, 0.0, 0.5, f64::NAN, 1.0];
    let p = [1.0_f64, 0.0, 0.0, 1.0, f64::NAN, 0.5, f64::NAN];
    let x = p.map(|p| {
        if p.is_nan() {
            p
        } else {
            (p - 0.5) * f64::INFINITY
        }
    });
    for (from_logits, y_pred) in [(false, p), (true, x)] {
        let loss = BinaryCrossentropy {
            from_logits,
            ..Default::default()
        };
        for level in Level::available() {
            let (values, ..) =
                evaluate::<f64>(&loss, level, &batch(&y, &y_pred, None), Reduction::Sum).unwrap();
            let bits: Vec<u64> = values.iter().map(|value| value.to_bits()).collect();
            let nan = f64::NAN;
            let expected = [0.0, 0.0, f64::INFINITY, f64::INFINITY, nan, nan, nan];
            assert_eq!(bits, expected.map(f64::to_bits), "{level:?} {from_logits}");
        }
    }
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
    let losses: [&dyn Loss; 3] = [
        &BinaryCrossentropy {
            from_logits: true,
            ..Default::default()
        },
        &BinaryCrossentropy {
            from_logits: true,
            label_smoothing: 0.2,
            ..Default::default()
        },
        &MeanSquaredError::default(),
    ];
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
    let loss = BinaryCrossentropy {
        from_logits: true,
        ..Default::default()
    };
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
fn the_first_bad_value_is_named_and_nothing_written() {
    let n = 200_000;
    let mut p: Vec<f64> = uniform(n, 7);
    let y = vec![1.0; n];
    for position in [70_001, 70_000, 199_999] {
        p[position] = 1.5;
    }
    let level = Level::available()[0];
    for threads in [1, 4] {
        set_num_threads(threads);
        let mut gradient = vec![7.0; n];
        let request = Request::ValueAndGradient {
            values: None,
            gradient: target(&mut gradient),
            reduction: Reduction::Mean,
            keep_if_refused: true,
        };
        let error = BinaryCrossentropy::default()
            .evaluate(level, &batch(&y, &p, None), request, &|| true)
            .unwrap_err();
        let refusal = Refusal {
            argument: Argument::YPred,
            position: 70_000,
            found: Found::OutsideUnitInterval(1.5),
        };
        assert_eq!(error, LossError::Refused(refusal));
        assert!(gradient.iter().all(|&g| g == 7.0));
    }
    set_num_threads(2);
    let mut weights = vec![1.0; n];
    weights[123_456] = -0.5;
    let error = MeanSquaredError::default()
        .evaluate(
            level,
            &batch(&y, &p, Some(&weights)),
            Request::Value { values: None },
            &|| true,
        )
        .unwrap_err();
    let refusal = Refusal {
        argument: Argument::SampleWeight,
        position: 123_456,
        found: Found::Negative(-0.5),
    };
    assert_eq!(error, LossError::Refused(refusal));
}

#[test]
fn a_hessian_is_the_slope_of_the_gradient() {
    let y = [0.0_f64, 1.0, 0.3];
    let at = [-2.0_f64, 0.7, 3.1];
    let level = Level::available()[0];
    let derivatives = |loss: &dyn Loss, p: &[f64]| {
        let (mut gradient, mut hessian) = ([0.0; 3], [0.0; 3]);
        let request = Request::GradientHessian {
            gradient: target(&mut gradient),
            hessian: target(&mut hessian),
        };
        loss.evaluate(
            level,
            &batch(&y, p, Some(&[1.0, 2.0, 0.5])),
            request,
            &|| true,
        )
        .unwrap();
        (gradient, hessian)
    };
    let probabilities = [0.2, 0.6, 0.9];
    let logistic = BinaryCrossentropy {
        from_logits: true,
        ..Default::default()
    };
    let cases: [(&dyn Loss, [f64; 3]); 3] = [
        (&MeanSquaredError::default(), at),
        (&logistic, at),
        (&BinaryCrossentropy::default(), probabilities),
    ];
    for (loss, at) in cases {
        let step = 1e-4;
        let above = derivatives(loss, &at.map(|p| p + step)).0;
        let below = derivatives(loss, &at.map(|p| p - step)).0;
        let hessian = derivatives(loss, &at).1;
        for i in 0..3 {
            let slope = (above[i] - below[i]) / (2.0 * step);
            assert!((hessian[i] / slope - 1.0).abs() < 1e-5, "{}", loss.name());
        }
    }
}

#[test]
fn the_caller_can_stop() {
    // One number, repeated for longer than any machine needs until it asks.
    let zero = [0.0_f64];
    // SAFETY: every element is the one in `zero`, which outlives the operand.
    let zeros = || unsafe {
        Operand::new(
            zero.as_ptr().cast(),
            Dtype::Float64,
            false,
            &[1 << 34],
            &[0],
        )
    };
    let endless = Batch {
        y_true: zeros(),
        y_pred: zeros(),
        ..batch(&zero, &zero, None)
    };
    let level = Level::available().pop().unwrap();
    let loss = BinaryCrossentropy {
        from_logits: true,
        ..Default::default()
    };
    let error = loss
        .evaluate(level, &endless, Request::Value { values: None }, &|| false)
        .unwrap_err();
    assert_eq!(error, LossError::Interrupted);
}
