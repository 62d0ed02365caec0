//! Each loss of a row against its textbook formula in plain `f64`, on every level, to the same bits.

use crate::driver::operand::{Operand, OperandMut};
use crate::dtype::{Dtype, Real};
use crate::level::Level;
use crate::loss::{
    Batch, CategoricalFocalCrossentropy, CategoricalHinge, CosineSimilarity, Dice, KlDivergence,
    Labels, Loss, MultiMargin, Reduction, Request, Tversky,
};

type Textbook = fn(&[f64], &[f64]) -> f64;

fn sum(terms: impl Iterator<Item = f64>) -> f64 {
    terms.sum()
}

fn pairs<'a>(y: &'a [f64], x: &'a [f64]) -> impl Iterator<Item = (f64, f64)> + 'a {
    y.iter().copied().zip(x.iter().copied())
}

fn softmax(z: &[f64]) -> Vec<f64> {
    let maximum = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total = sum(z.iter().map(|z| (z - maximum).exp()));
    z.iter().map(|z| (z - maximum).exp() / total).collect()
}

fn divergence(y: &[f64], p: &[f64]) -> f64 {
    sum(pairs(y, p).map(|(y, p)| if y > 0.0 { y * (y / p).ln() } else { 0.0 }))
}

fn focal(y: &[f64], p: &[f64]) -> f64 {
    sum(pairs(y, p).map(|(y, p)| -0.25 * y * (1.0 - p).powi(2) * p.ln()))
}

fn hinge(y: &[f64], x: &[f64]) -> f64 {
    let wrong = pairs(y, x).map(|(y, x)| (1.0 - y) * x);
    let right = sum(pairs(y, x).map(|(y, x)| y * x));
    (wrong.fold(f64::NEG_INFINITY, f64::max) - right + 1.0).max(0.0)
}

fn margins(y: &[f64], x: &[f64]) -> f64 {
    let target = sum(pairs(y, x).map(|(y, x)| y * x));
    let others = pairs(y, x).filter(|(y, _)| *y == 0.0);
    sum(others.map(|(_, x)| (0.5 + x - target).max(0.0).powi(2))) / y.len() as f64
}

fn cosine(y: &[f64], x: &[f64]) -> f64 {
    let product = |a, b| sum(pairs(a, b).map(|(a, b)| a * b));
    -product(y, x) / (product(y, y) * product(x, x)).sqrt()
}

fn overlap(y: &[f64], p: &[f64], (alpha, beta, smooth): (f64, f64, f64)) -> f64 {
    let common = sum(pairs(y, p).map(|(y, p)| y * p)) + smooth;
    let missed = sum(pairs(y, p).map(|(y, p)| y * (1.0 - p)));
    let added = sum(pairs(y, p).map(|(y, p)| (1.0 - y) * p));
    1.0 - common / (common + alpha * missed + beta * added)
}

/// The losses with some options, and whether predictions are logits or scores.
fn losses() -> Vec<(Box<dyn Loss>, bool, Textbook)> {
    vec![
        (Box::new(KlDivergence::default()), false, divergence),
        (
            Box::new(KlDivergence {
                from_logits: true,
                ..Default::default()
            }),
            true,
            |y, z| divergence(y, &softmax(z)),
        ),
        (
            Box::new(CategoricalFocalCrossentropy::default()),
            false,
            focal,
        ),
        (
            Box::new(CategoricalFocalCrossentropy {
                from_logits: true,
                ..Default::default()
            }),
            true,
            |y, z| focal(y, &softmax(z)),
        ),
        (Box::new(CategoricalHinge::default()), true, hinge),
        (
            Box::new(MultiMargin {
                p: 2,
                margin: 0.5,
                ..Default::default()
            }),
            true,
            margins,
        ),
        (Box::new(CosineSimilarity::default()), true, cosine),
        (Box::new(Dice { smooth: 1.0 }), false, |y, p| {
            overlap(y, p, (0.5, 0.5, 0.5))
        }),
        (
            Box::new(Tversky {
                alpha: 0.3,
                beta: 0.7,
                smooth: 0.0,
            }),
            false,
            |y, p| overlap(y, p, (0.3, 0.7, 0.0)),
        ),
    ]
}

/// Numbers that look random, from 0 to 1.
fn uniform(n: usize, seed: u64) -> Vec<f64> {
    let mut state = u128::from(seed) * 2 + 1;
    let mut next = || {
        state = state.wrapping_mul(0x0da9_42042e4dd58b5);
        (state >> 75) as f64 / (1_u64 << 53) as f64
    };
    (0..n + 8).map(|_| next()).skip(8).collect()
}

/// Labels, ids and predictions of rows, as `T`s.
fn rows<T: Real>(samples: usize, columns: usize, scores: bool) -> (Vec<T>, Vec<i64>, Vec<T>) {
    let n = samples * columns;
    let ids: Vec<i64> = uniform(samples, columns as u64)
        .iter()
        .map(|u| (u * columns as f64) as i64)
        .collect();
    let (mut y, mut x) = (uniform(n, 1), uniform(n, 2));
    for (row, (y, x)) in y.chunks_mut(columns).zip(x.chunks_mut(columns)).enumerate() {
        let total: f64 = y.iter().sum();
        let sparse = row % 2 == 0;
        for (i, y) in y.iter_mut().enumerate() {
            let one_hot = f64::from(u8::from(i as i64 == ids[row]));
            *y = if sparse { one_hot } else { *y / total };
        }
        let total: f64 = x.iter().sum();
        for x in x {
            *x = if scores { 12.0 * *x - 6.0 } else { *x / total };
        }
    }
    let as_type = |values: Vec<f64>| values.into_iter().map(T::nearest).collect();
    (as_type(y), ids, as_type(x))
}

fn target<T: Real>(slice: &mut [T]) -> OperandMut<'_> {
    let strides = [size_of::<T>() as isize];
    let data = slice.as_mut_ptr().cast();
    // SAFETY: the elements are those of an exclusively borrowed slice.
    unsafe { OperandMut::new(data, T::DTYPE, false, &[slice.len()], &strides) }
}

fn check<T: Real>(samples: usize, columns: usize) {
    for (loss, scores, textbook) in losses() {
        let (y, ids, x) = rows::<T>(samples, columns, scores);
        let classes = loss.labels() == Labels::ClassIds;
        let one_hot: Vec<T> = (0..samples * columns)
            .map(|i| {
                T::nearest(f64::from(u8::from(
                    (i % columns) as i64 == ids[i / columns],
                )))
            })
            .collect();
        let labels = if classes { &one_hot } else { &y };
        let batch = Batch {
            y_true: if classes {
                let strides = [size_of::<i64>() as isize];
                let data = ids.as_ptr().cast();
                // SAFETY: the elements of a vector that outlives the batch.
                unsafe { Operand::new(data, Dtype::Int64, false, &[samples], &strides) }
            } else {
                Operand::from_slice(&y)
            },
            y_pred: Operand::from_slice(&x),
            parameter: None,
            sample_weight: None,
            classes: columns,
            double: T::DTYPE == Dtype::Float64,
        };
        let mut first: Option<(Vec<T>, Vec<T>)> = None;
        for level in Level::available() {
            let mut values = vec![T::default(); samples];
            let mut gradient = vec![T::default(); samples * columns];
            let request = Request::ValueAndGradient {
                values: Some(target(&mut values)),
                gradient: target(&mut gradient),
                reduction: Reduction::Sum,
                keep_if_refused: false,
            };
            let totals = loss.evaluate(level, &batch, request, &|| true).unwrap();
            assert_eq!(totals.count, samples as u64);
            let (values_before, gradient_before) =
                first.get_or_insert_with(|| (values.clone(), gradient.clone()));
            assert_eq!(values_before, &values, "{} on {level:?}", loss.name());
            assert_eq!(gradient_before, &gradient, "{} on {level:?}", loss.name());
        }
        let (values, gradient) = first.unwrap();
        let wide = |row: &[T]| -> Vec<f64> { row.iter().map(|&value| value.into()).collect() };
        let eps = if T::DTYPE == Dtype::Float64 {
            1e-13
        } else {
            1e-6
        };
        for (sample, value) in values.iter().enumerate() {
            let row = sample * columns..(sample + 1) * columns;
            let (y, mut x) = (wide(&labels[row.clone()]), wide(&x[row.clone()]));
            let (expected, got) = (textbook(&y, &x), (*value).into());
            assert!(
                (got - expected).abs() <= eps * (1.0 + expected.abs()),
                "{}: {got} instead of {expected}",
                loss.name()
            );
            // The slope, by a central difference.
            for i in (0..columns).step_by(1 + columns / 5) {
                let (at, step) = (x[i], 1e-6 * (0.001 + x[i].abs()));
                x[i] = at + step;
                let above = textbook(&y, &x);
                x[i] = at - step;
                let slope = (above - textbook(&y, &x)) / (2.0 * step);
                x[i] = at;
                let got: f64 = gradient[row.start + i].into();
                assert!(
                    (got - slope).abs() <= 1e-4 * (1.0 + slope.abs()),
                    "{}: slope {got} instead of {slope}",
                    loss.name()
                );
            }
        }
    }
}

#[test]
fn rows_are_the_textbook_formula_on_every_level() {
    for columns in [1, 2, 7, 8, 9, 33, 1030] {
        check::<f32>(6, columns);
        check::<f64>(6, columns);
    }
}
