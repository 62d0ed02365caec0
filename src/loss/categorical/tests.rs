//! Cross-entropy against the textbook formula in `f64`, dense labels against sparse ones, on every level.

mod dense_labels;

use super::{CategoricalCrossentropy, SparseCategoricalCrossentropy};
use crate::driver::operand::{Operand, OperandMut};
use crate::dtype::{Dtype, Real};
use crate::level::Level;
use crate::loss::{
    Argument, Batch, Found, Loss, LossError, OptionError, Reduction, Refusal, Request, Totals,
};

const CLASSES: [usize; 9] = [1, 2, 3, 10, 16, 17, 100, 1025, 2100];
const SAMPLES: usize = 19;

struct Case<T> {
    classes: usize,
    ids: Vec<i64>,
    one_hot: Vec<f64>,
    soft: Vec<f64>,
    logits: Vec<T>,
    probabilities: Vec<T>,
    weights: Vec<f64>,
    class_weight: Vec<f64>,
}

fn case<T: Real>(classes: usize) -> Case<T> {
    let mut state = classes as u64;
    let mut uniform = move || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let n = SAMPLES * classes;
    let ids: Vec<i64> = (0..SAMPLES)
        .map(|_| (uniform() * classes as f64) as i64)
        .collect();
    let mut one_hot = vec![0.0; n];
    let mut logits: Vec<f64> = (0..n)
        .map(|_| (uniform() + uniform() + uniform() - 1.5) * 6.0)
        .collect();
    for (i, &id) in ids.iter().enumerate() {
        one_hot[i * classes + id as usize] = 1.0;
        // Some rows are sure of their target.
        logits[i * classes + id as usize] += f64::from(i as u32 % 4) * 20.0;
    }
    let mut soft: Vec<f64> = (0..n).map(|_| uniform()).collect();
    let mut probabilities: Vec<f64> = (0..n).map(|_| 0.001 + uniform()).collect();
    for rows in [&mut soft, &mut probabilities] {
        for row in rows.chunks_mut(classes) {
            let sum: f64 = row.iter().sum();
            for y in row {
                *y /= sum;
            }
        }
    }
    Case {
        classes,
        ids,
        one_hot,
        soft,
        logits: logits.into_iter().map(T::nearest).collect(),
        probabilities: probabilities.into_iter().map(T::nearest).collect(),
        weights: (0..SAMPLES).map(|_| uniform()).collect(),
        class_weight: (0..classes).map(|_| 0.5 + uniform()).collect(),
    }
}

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

fn ids_operand(ids: &[i64]) -> Operand<'_> {
    // SAFETY: the elements of a borrowed slice.
    unsafe { Operand::new(ids.as_ptr().cast(), Dtype::Int64, false, &[ids.len()], &[8]) }
}

fn batch<'a, T: Real>(case: &'a Case<T>, y_true: Operand<'a>, y_pred: &'a [T]) -> Batch<'a> {
    Batch {
        y_true,
        y_pred: Operand::from_slice(y_pred),
        parameter: None,
        sample_weight: Some(Operand::from_slice(&case.weights)),
        classes: case.classes,
        double: T::DTYPE == Dtype::Float64,
    }
}

/// Values, gradient, totals.
type Evaluated<T> = (Vec<T>, Vec<T>, Totals);

fn evaluate<T: Real>(
    loss: &dyn Loss,
    level: Level,
    batch: &Batch<'_>,
    reduction: Reduction,
) -> Evaluated<T> {
    let mut values = vec![T::default(); batch.samples()];
    let mut gradient = vec![T::default(); batch.y_pred.len()];
    let request = Request::ValueAndGradient {
        values: Some(target(&mut values)),
        gradient: target(&mut gradient),
        reduction,
        keep_if_refused: false,
    };
    let totals = loss.evaluate(level, batch, request, &|| true).unwrap();
    let mut alone = vec![T::default(); batch.samples()];
    let request = Request::Value {
        values: Some(target(&mut alone)),
    };
    let again = loss.evaluate(level, batch, request, &|| true).unwrap();
    assert!(again == totals && alone == values);
    (values, gradient, totals)
}

/// Loss, gradient and second derivative of a sample, without weight.
fn textbook(y: &[f64], x: &[f64], from_logits: bool, s: f64, z_loss: f64) -> [Vec<f64>; 3] {
    let classes = y.len() as f64;
    let mass = (1.0 - s) * y.iter().sum::<f64>() + s;
    let y: Vec<f64> = y.iter().map(|y| (1.0 - s) * y + s / classes).collect();
    if !from_logits {
        let term = |y: f64, v: f64| if y == 0.0 { 0.0 } else { y * v };
        let pairs = || y.iter().zip(x);
        return [
            vec![pairs().map(|(&y, p)| term(y, -p.ln())).sum()],
            pairs().map(|(&y, p)| term(y, -1.0 / p)).collect(),
            pairs().map(|(&y, p)| term(y, 1.0 / (p * p))).collect(),
        ];
    }
    let maximum = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let others: f64 = x
        .iter()
        .map(|z| (z - maximum).exp())
        .filter(|e| *e < 1.0)
        .sum();
    let ties = x.iter().filter(|&&z| z == maximum).count() as f64;
    let log_sum = ((ties - 1.0) + others).ln_1p();
    let below: f64 = y.iter().zip(x).map(|(y, z)| y * (maximum - z)).sum();
    let of_row = maximum + log_sum;
    let p: Vec<f64> = x
        .iter()
        .map(|z| (z - maximum).exp() / (ties + others))
        .collect();
    let share = mass + 2.0 * z_loss * of_row;
    [
        vec![below + mass * log_sum + z_loss * of_row * of_row],
        y.iter().zip(&p).map(|(y, p)| p * share - y).collect(),
        p.iter()
            .map(|p| p * (share * (1.0 - p) + 2.0 * z_loss * p))
            .collect(),
    ]
}

fn check<T: Real>(ulp: f64) {
    let levels = Level::available();
    for classes in CLASSES {
        let case = case::<T>(classes);
        for (from_logits, label_smoothing, z_loss) in [
            (true, 0.0, 0.0),
            (true, 0.1, 0.0),
            (true, 0.0, 0.01),
            (false, 0.0, 0.0),
            (false, 0.2, 0.0),
        ] {
            let dense = CategoricalCrossentropy {
                from_logits,
                label_smoothing,
                z_loss,
                class_weight: Some(case.class_weight.clone()),
                ..Default::default()
            };
            let sparse = SparseCategoricalCrossentropy {
                from_logits,
                label_smoothing,
                z_loss,
                class_weight: Some(case.class_weight.clone()),
                ..Default::default()
            };
            let y_pred = if from_logits {
                &case.logits
            } else {
                &case.probabilities
            };
            let soft = batch(&case, Operand::from_slice(&case.soft), y_pred);
            let one_hot = batch(&case, Operand::from_slice(&case.one_hot), y_pred);
            let ids = batch(&case, ids_operand(&case.ids), y_pred);
            let mut first: Option<[Evaluated<T>; 3]> = None;
            for &level in &levels {
                let results = [
                    evaluate::<T>(&dense, level, &soft, Reduction::Mean),
                    evaluate::<T>(&dense, level, &one_hot, Reduction::Mean),
                    evaluate::<T>(&sparse, level, &ids, Reduction::Mean),
                ];
                for i in 0..SAMPLES {
                    let (a, b): (f64, f64) = (results[1].0[i].into(), results[2].0[i].into());
                    let case = (classes, from_logits, label_smoothing, z_loss);
                    assert!(
                        a == b,
                        "{case:?}, {}, sample {i}: {a:e} {b:e}",
                        level.name()
                    );
                }
                assert!(results[1].2 == results[2].2);
                match &first {
                    None => first = Some(results),
                    Some(first) => assert!(*first == results, "{}", level.name()),
                }
            }
            let results = first.unwrap();
            for ((values, gradient, totals), labels) in
                results
                    .iter()
                    .zip([&case.soft, &case.one_hot, &case.one_hot])
            {
                let divisor = totals.weight.to_f64();
                for (i, value) in values.iter().enumerate() {
                    let got: f64 = (*value).into();
                    let row = i * classes..(i + 1) * classes;
                    let (y, x) = (&labels[row.clone()], &y_pred[row.clone()]);
                    let x: Vec<f64> = x.iter().map(|&x| x.into()).collect();
                    let weight = case.weights[i]
                        * y.iter()
                            .zip(&case.class_weight)
                            .map(|(y, w)| y * w)
                            .sum::<f64>();
                    let [value, slope, _] = textbook(y, &x, from_logits, label_smoothing, z_loss);
                    let value = weight * value[0];
                    assert!(
                        (got - value).abs() <= ulp * value.abs().max(1e-300),
                        "{classes} {from_logits} {label_smoothing} {z_loss}: {got:e} {value:e}"
                    );
                    for (got, slope) in gradient[row].iter().zip(slope) {
                        let got: f64 = (*got).into();
                        let (got, scale) = (got * divisor, weight * slope.abs().max(1.0));
                        assert!(
                            (got - weight * slope).abs() <= 3.0 * ulp * scale,
                            "{classes} {from_logits} {label_smoothing}: {got} {}",
                            weight * slope
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn agrees_with_the_textbook_and_between_forms_of_labels_and_levels() {
    check::<f32>(0.55 * f64::from(f32::EPSILON));
    check::<f64>(1e-14);
}

#[test]
fn hessians_are_second_derivatives() {
    for (from_logits, label_smoothing, z_loss) in [
        (true, 0.0, 0.0),
        (true, 0.1, 0.02),
        (false, 0.0, 0.0),
        (false, 0.3, 0.0),
    ] {
        let case = case::<f64>(17);
        let y_pred = if from_logits {
            &case.logits
        } else {
            &case.probabilities
        };
        let sparse = SparseCategoricalCrossentropy {
            from_logits,
            label_smoothing,
            z_loss,
            ..Default::default()
        };
        let ids = batch(&case, ids_operand(&case.ids), y_pred);
        let n = y_pred.len();
        let (mut gradient, mut hessian) = (vec![0.0; n], vec![0.0; n]);
        let request = Request::GradientHessian {
            gradient: target(&mut gradient),
            hessian: target(&mut hessian),
        };
        let level = Level::current();
        let totals = sparse.evaluate(level, &ids, request, &|| true).unwrap();
        assert!(totals == Totals::new());
        for i in 0..SAMPLES {
            let row = i * 17..(i + 1) * 17;
            let [_, slope, bend] = textbook(
                &case.one_hot[row.clone()],
                &y_pred[row.clone()],
                from_logits,
                label_smoothing,
                z_loss,
            );
            for (j, at) in row.enumerate() {
                let weight = case.weights[i];
                let close = |got: f64, expected: f64| {
                    (got - weight * expected).abs() <= 1e-14 * expected.abs().max(1.0)
                };
                assert!(close(gradient[at], slope[j]) && close(hessian[at], bend[j]));
            }
        }
    }
}

#[test]
fn a_confident_row_has_the_digits_of_its_loss_and_gradient() {
    let case = Case {
        classes: 3,
        weights: vec![1.0],
        ids: vec![0],
        logits: vec![40.0_f32, 0.0, 0.0],
        ..case(3)
    };
    let sparse = SparseCategoricalCrossentropy {
        from_logits: true,
        ..Default::default()
    };
    let ids = batch(&case, ids_operand(&case.ids), &case.logits);
    let expected = (2.0 * (-40.0_f64).exp()) as f32;
    for level in Level::available() {
        let (values, gradient, _) = evaluate::<f32>(&sparse, level, &ids, Reduction::Sum);
        assert_eq!(values[0], expected);
        assert_eq!(gradient[0], -expected);
        assert_eq!(gradient[1], gradient[2]);
    }
}

#[test]
fn gradients_may_take_the_place_of_the_predictions() {
    for classes in CLASSES {
        for from_logits in [true, false] {
            let case = case::<f32>(classes);
            let y_pred = if from_logits {
                &case.logits
            } else {
                &case.probabilities
            };
            let dense = CategoricalCrossentropy {
                from_logits,
                label_smoothing: 0.05,
                ..Default::default()
            };
            let sparse = SparseCategoricalCrossentropy {
                from_logits,
                ignore_class: Some(case.ids[3]),
                ..Default::default()
            };
            for (loss, y_true) in [
                (&dense as &dyn Loss, Operand::from_slice(&case.soft)),
                (&sparse, ids_operand(&case.ids)),
            ] {
                let apart = batch(&case, y_true, y_pred);
                let expected = evaluate::<f32>(loss, Level::current(), &apart, Reduction::Sum).1;
                let mut place = y_pred.clone();
                let pointer = place.as_mut_ptr();
                let (shape, strides) = ([place.len()], [4]);
                // SAFETY: both describe the elements of `place`, which outlives them.
                let (source, gradient) = unsafe {
                    (
                        Operand::new(pointer.cast(), Dtype::Float32, false, &shape, &strides),
                        OperandMut::new(pointer.cast(), Dtype::Float32, false, &shape, &strides),
                    )
                };
                let request = Request::ValueAndGradient {
                    values: None,
                    gradient,
                    reduction: Reduction::Sum,
                    keep_if_refused: true,
                };
                let same = Batch {
                    y_pred: source,
                    ..apart
                };
                loss.evaluate(Level::current(), &same, request, &|| true)
                    .unwrap();
                assert!(place == expected, "{classes}");
            }
        }
    }
}

#[test]
fn what_is_refused_is_found_and_what_is_ignored_is_not_read() {
    let base = case::<f64>(4);
    let level = Level::current();
    let sparse = SparseCategoricalCrossentropy {
        ignore_class: Some(-1),
        ..Default::default()
    };
    let run = |loss: &dyn Loss, batch: &Batch<'_>| {
        let request = Request::Value { values: None };
        loss.evaluate(level, batch, request, &|| true)
    };
    let refused = |argument, position, found| {
        Err(LossError::Refused(Refusal {
            argument,
            position,
            found,
        }))
    };

    let mut ids = base.ids.clone();
    let mut probabilities = base.probabilities.clone();
    ids[2] = -1;
    probabilities[9] = 7.0;
    let totals = run(&sparse, &batch(&base, ids_operand(&ids), &probabilities)).unwrap();
    assert_eq!(totals.count, SAMPLES as u64 - 1);
    ids[5] = 4;
    let found = Found::ClassId { id: 4, classes: 4 };
    let result = run(&sparse, &batch(&base, ids_operand(&ids), &probabilities));
    assert_eq!(result, refused(Argument::YTrue, 5, found));

    probabilities[22] = 1.5;
    let result = run(
        &sparse,
        &batch(&base, ids_operand(&base.ids), &probabilities),
    );
    let found = Found::OutsideUnitInterval(7.0);
    assert_eq!(result, refused(Argument::YPred, 9, found));

    let dense = CategoricalCrossentropy::default();
    let mut soft = base.soft.clone();
    soft[11] = -0.25;
    let result = run(
        &dense,
        &batch(&base, Operand::from_slice(&soft), &base.probabilities),
    );
    let found = Found::OutsideUnitInterval(-0.25);
    assert_eq!(result, refused(Argument::YTrue, 11, found));

    let mut negative = case::<f64>(4);
    negative.weights[4] = -1.0;
    let result = run(
        &sparse,
        &batch(&negative, ids_operand(&base.ids), &base.probabilities),
    );
    let found = Found::Negative(-1.0);
    assert_eq!(result, refused(Argument::SampleWeight, 4, found));

    let weighted = SparseCategoricalCrossentropy {
        class_weight: Some(vec![1.0; 3]),
        ..Default::default()
    };
    let result = run(
        &weighted,
        &batch(&base, ids_operand(&base.ids), &base.probabilities),
    );
    assert!(matches!(
        result,
        Err(LossError::Option(OptionError {
            name: "class_weight",
            ..
        }))
    ));
}

#[test]
fn limits_at_infinity() {
    let (inf, nan) = (f32::INFINITY, f32::NAN);
    let rows: [([f32; 3], f32); 8] = [
        ([inf, 0.0, 1.0], 0.0),
        ([0.0, inf, 1.0], inf),
        ([-inf, 0.0, 1.0], inf),
        ([0.0, -inf, -inf], 0.0),
        ([inf, inf, 0.0], nan),
        ([-inf, -inf, -inf], nan),
        ([0.0, nan, 1.0], nan),
        ([3e38, -3e38, -3e38], 0.0),
    ];
    let logits: Vec<f32> = rows.iter().flat_map(|row| row.0).collect();
    let ids = vec![0_i64; rows.len()];
    let one_hot: Vec<f64> = [1.0, 0.0, 0.0].repeat(rows.len());
    let case = Case {
        weights: vec![1.0; rows.len()],
        ..case::<f32>(3)
    };
    let sparse = SparseCategoricalCrossentropy {
        from_logits: true,
        ..Default::default()
    };
    let dense = CategoricalCrossentropy {
        from_logits: true,
        ..Default::default()
    };
    for level in Level::available() {
        for (loss, y_true) in [
            (&sparse as &dyn Loss, ids_operand(&ids)),
            (&dense, Operand::from_slice(&one_hot)),
        ] {
            let batch = batch(&case, y_true, &logits);
            let mut values = vec![0.0_f32; rows.len()];
            let request = Request::Value {
                values: Some(target(&mut values)),
            };
            loss.evaluate(level, &batch, request, &|| true).unwrap();
            for (got, (row, expected)) in values.iter().zip(rows) {
                assert!(
                    *got == expected || got.is_nan() && expected.is_nan(),
                    "{row:?}: {got}"
                );
            }
        }
    }
}
