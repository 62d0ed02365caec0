//! Every elementwise loss on every level: the formulas are tested against an oracle in Python.

use super::super::{Batch, Definition, LOSSES, Labels, Reduction, Request};
use crate::driver::operand::{Operand, OperandMut};
use crate::dtype::Real;
use crate::level::Level;

/// Values that every domain allows: labels 0 and 1, predictions between them.
fn operands(n: usize) -> (Vec<f64>, Vec<f64>) {
    let y_true = (0..n).map(|i| f64::from(u8::from(i % 3 == 0))).collect();
    let y_pred = (0..n)
        .map(|i| match i % 7 {
            0 => 0.0,
            1 => 1.0,
            k => (i as f64 * 0.618_033_988_749_894_8).fract() * 10.0_f64.powi(-3 * (k as i32 - 2)),
        })
        .collect();
    (y_true, y_pred)
}

fn results<T: Real>(definition: &Definition, level: Level, double: bool) -> [Vec<u64>; 3] {
    let n = 4099;
    let (y_true, y_pred) = operands(n);
    let y_pred: Vec<T> = y_pred.into_iter().map(T::nearest).collect();
    let mut outputs = [(); 3].map(|()| vec![T::default(); n]);
    let loss = (definition.new)(&(definition.defaults)()).unwrap();
    let batch = Batch {
        y_true: Operand::from_slice(&y_true),
        y_pred: Operand::from_slice(&y_pred),
        // A variance, for the loss that takes one.
        parameter: loss.operand().map(|_| Operand::from_slice(&y_true)),
        sample_weight: None,
        classes: 1,
        double,
    };
    let [values, gradient, hessian] = outputs.each_mut().map(|output| {
        let (data, strides) = (output.as_mut_ptr().cast(), [size_of::<T>() as isize]);
        // SAFETY: the elements of a vector that nothing else uses meanwhile.
        unsafe { OperandMut::new(data, T::DTYPE, false, &[n], &strides) }
    });
    let request = Request::ValueAndGradient {
        values: Some(values),
        gradient: gradient.clone(),
        reduction: Reduction::Sum,
        keep_if_refused: true,
    };
    loss.evaluate(level, &batch, request, &|| true).unwrap();
    let request = Request::GradientHessian { gradient, hessian };
    loss.evaluate(level, &batch, request, &|| true).unwrap();
    outputs.map(|output| {
        let bits = |value: T| {
            let value: f64 = value.into();
            value.to_bits()
        };
        output.into_iter().map(bits).collect()
    })
}

#[test]
fn every_level_gives_the_same_bits() {
    let elementwise = LOSSES.iter().filter(|definition| {
        let loss = (definition.new)(&(definition.defaults)()).unwrap();
        loss.labels() == Labels::Elements
    });
    let mut count = 0;
    for definition in elementwise {
        count += 1;
        let levels = Level::available();
        let [first, rest @ ..] = &levels[..] else {
            unreachable!("there is a level")
        };
        let (single, double) = (
            results::<f32>(definition, *first, false),
            results::<f64>(definition, *first, true),
        );
        for &level in rest {
            let name = definition.name;
            assert!(results::<f32>(definition, level, false) == single, "{name}");
            assert!(results::<f64>(definition, level, true) == double, "{name}");
        }
    }
    assert!(count >= 15);
}
