//! Every loss with its default options, from probabilities and from logits: values, totals, gradient,
//! Hessian, with weights.

use super::rows::target;
use super::{Digest, Digests, Random};
use actloss_rs::driver::operand::Operand;
use actloss_rs::dtype::{Dtype, Real};
use actloss_rs::level::Level;
use actloss_rs::loss::{Batch, Definition, LOSSES, Labels, Loss, OptionValue, Reduction, Request};

/// Losses whose labels are signs: -1 or 0, and 1.
const HARD_LABELS: [&str; 3] = ["hinge", "squared_hinge", "soft_margin"];

const CLASSES: [usize; 4] = [2, 10, 100, 1003];

pub(super) fn digests(level: Level, found: &mut Digests) {
    for definition in LOSSES {
        let mut variants = vec![(definition.defaults)()];
        if let Some(at) = definition
            .options
            .iter()
            .position(|name| *name == "from_logits")
        {
            let mut from_logits = variants[0].clone();
            from_logits[at] = OptionValue::Bool(true);
            variants.push(from_logits);
        }
        for (variant, values) in variants.iter().enumerate() {
            let logits = variant == 1;
            let loss = (definition.new)(values).expect("the default options");
            of_type::<f32>(level, definition, &*loss, logits, "float32", found);
            of_type::<f64>(level, definition, &*loss, logits, "float64", found);
        }
    }
}

fn of_type<T: Real>(
    level: Level,
    definition: &Definition,
    loss: &dyn Loss,
    logits: bool,
    name: &str,
    found: &mut Digests,
) {
    for classes in CLASSES {
        let samples = (3000 / classes).max(3);
        let n = samples * classes;
        let elements = loss.labels() == Labels::Elements;
        let mut random = Random(3);
        let y_pred: Vec<T> = (0..n)
            .map(|_| {
                if logits {
                    random.logit(9.0)
                } else {
                    random.uniform()
                }
            })
            .map(T::from_f64)
            .collect();
        let hard = HARD_LABELS.contains(&definition.name);
        let label = |u: f64| if hard { u.round() } else { u };
        let y_true: Vec<T> = (0..n)
            .map(|_| T::from_f64(label(random.uniform())))
            .collect();
        let parameter: Vec<T> = (0..n).map(|_| T::from_f64(random.uniform())).collect();
        let ids: Vec<f64> = (0..samples)
            .map(|_| (random.uniform() * classes as f64).floor())
            .collect();
        let count = if elements { n } else { samples };
        let weights: Vec<f64> = (0..count).map(|_| random.uniform()).collect();
        let batch = Batch {
            y_true: match loss.labels() {
                Labels::ClassIds => Operand::from_slice(&ids),
                _ => Operand::from_slice(&y_true),
            },
            y_pred: Operand::from_slice(&y_pred),
            parameter: loss.operand().map(|_| Operand::from_slice(&parameter)),
            sample_weight: Some(Operand::from_slice(&weights)),
            classes: if elements { 1 } else { classes },
            double: T::DTYPE == Dtype::Float64,
        };
        let new = |n: usize| vec![T::default(); n];
        let (mut values, mut gradient) = (new(count), new(n));
        let request = Request::ValueAndGradient {
            values: Some(target(&mut values)),
            gradient: target(&mut gradient),
            reduction: Reduction::Mean,
            keep_if_refused: false,
        };
        let totals = loss.evaluate(level, &batch, request, &|| true);
        let totals = totals.unwrap_or_else(|error| panic!("{}: {error:?}", definition.name));
        let (mut slope, mut hessian) = (new(n), new(n));
        if loss.has_hessian() {
            let request = Request::GradientHessian {
                gradient: target(&mut slope),
                hessian: target(&mut hessian),
            };
            let result = loss.evaluate(level, &batch, request, &|| true);
            result.unwrap_or_else(|error| panic!("{}: {error:?}", definition.name));
        }
        let mut digest = Digest::default();
        for number in [&values, &gradient, &slope, &hessian].into_iter().flatten() {
            digest.add(number.to_f64());
        }
        for reduction in [Reduction::Sum, Reduction::Mean, Reduction::SumOverBatchSize] {
            digest.add(totals.reduce(reduction));
        }
        let logits = if logits { " logits" } else { "" };
        found.insert(
            format!("{}{logits} {classes} {name}", definition.name),
            digest.finish(),
        );
    }
}
