//! Dense labels of the logits' type, whose rows have sums of their own, against those of other types.

use super::{Case, batch, case, evaluate, textbook};
use crate::driver::operand::Operand;
use crate::dtype::Real;
use crate::level::Level;
use crate::loss::Reduction;
use crate::loss::categorical::CategoricalCrossentropy;

/// Labels that the sums of a row by itself have to look at again: beside infinite logits, signed zeros, more than 1 in all.
fn unusual<T: Real>(base: &mut Case<T>) {
    let classes = base.classes;
    for (i, (labels, logits)) in base
        .soft
        .chunks_mut(classes)
        .zip(base.logits.chunks_mut(classes))
        .enumerate()
    {
        let last = classes - 1 - i;
        match i % 5 {
            0 => (labels[last], logits[last]) = (0.0, T::nearest(f64::NEG_INFINITY)),
            1 => labels[last] = -0.0,
            2 => labels.iter_mut().for_each(|y| *y = 1.0 - *y),
            3 => logits[last] = T::nearest(f64::NEG_INFINITY),
            _ => {}
        }
        for y in labels {
            *y = T::nearest(*y).into();
        }
    }
}

#[test]
fn labels_of_the_logits_type_give_the_bits_of_others_and_of_the_gradient() {
    fn check<T: Real>(classes: usize) {
        let mut base = case::<T>(classes);
        unusual(&mut base);
        let same: Vec<T> = base.soft.iter().map(|&y| T::nearest(y)).collect();
        for (level, label_smoothing) in Level::available()
            .into_iter()
            .flat_map(|l| [(l, 0.1), (l, 0.0)])
        {
            let loss = CategoricalCrossentropy {
                from_logits: true,
                label_smoothing,
                ..Default::default()
            };
            let run = |y_true| {
                let batch = batch(&base, y_true, &base.logits);
                evaluate::<T>(&loss, level, &batch, Reduction::Mean)
            };
            let (values, gradient, _) = run(Operand::from_slice(&same));
            let (others, other_gradient, _) = run(Operand::from_slice(&base.soft));
            assert!(values == others && gradient == other_gradient, "{classes}");
            if label_smoothing > 0.0 {
                continue;
            }
            for (i, value) in values.iter().enumerate() {
                let row = i * classes..(i + 1) * classes;
                let logits = &base.logits[row.clone()];
                let logits: Vec<f64> = logits.iter().map(|&z| z.into()).collect();
                let labels = base.soft[row].iter().zip(&logits);
                // A label of 0 has no part, whatever its logit.
                let (y, z): (Vec<f64>, Vec<f64>) = labels
                    .map(|(&y, &z)| (y, if y == 0.0 { z.max(-1e4) } else { z }))
                    .unzip();
                let expected = base.weights[i] * textbook(&y, &z, true, 0.0, 0.0)[0][0];
                let value: f64 = (*value).into();
                let close =
                    (value / expected - 1.0).abs() < if size_of::<T>() == 4 { 1e-7 } else { 1e-13 };
                assert!(close || value == expected, "{classes}: {value} {expected}");
            }
        }
    }
    for classes in [20, 100, 600, 1025, 1034, 2064] {
        check::<f32>(classes);
        check::<f64>(classes);
    }
}
