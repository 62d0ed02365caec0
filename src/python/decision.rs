//! `_core.above_threshold`, behind `predict_binary`.

use super::arrays::Array;
use super::loss_call::no_signal;
use super::loss_error::{Context, loss_error};
use crate::dtype::Dtype;
use crate::level::Level;
use crate::loss::{LossError, decision};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::cell::RefCell;
use std::mem::MaybeUninit;

/// Whether each element of ``y_pred`` is above the threshold.
#[pyfunction]
#[pyo3(signature = (y_pred, threshold, from_logits, /))]
fn above_threshold<'py>(
    py: Python<'py>,
    y_pred: &Bound<'py, PyAny>,
    threshold: f64,
    from_logits: bool,
) -> PyResult<Bound<'py, PyAny>> {
    if !(0.0..=1.0).contains(&threshold) {
        return Err(PyValueError::new_err(format!(
            "threshold must be a probability in [0, 1], got {threshold:?}"
        )));
    }
    let y_pred = Array::new(y_pred, "y_pred")?;
    let threshold = if from_logits {
        decision::logit(threshold)
    } else {
        threshold
    };
    let decisions = Array::empty(py, y_pred.shape(), Dtype::Bool)?;
    // SAFETY: the array's own layout; it outlives the call.
    let operand = unsafe { y_pred.operand(y_pred.shape(), y_pred.strides()) };
    // SAFETY: a new array in C order of as many bytes, which nobody else knows of.
    let target = unsafe {
        std::slice::from_raw_parts_mut(decisions.data().cast::<MaybeUninit<bool>>(), operand.len())
    };
    let (result, interrupt) = py.detach(|| {
        let interrupt = RefCell::new(None);
        let keep_going = || no_signal(&interrupt);
        let level = Level::current();
        let result = decision::predict_binary(level, &operand, threshold, target, &keep_going);
        (result, interrupt.into_inner())
    });
    match (result, interrupt) {
        (Ok(()), _) => Ok(decisions.object.into_any()),
        (Err(LossError::Interrupted), Some(error)) => Err(error),
        (Err(error), _) => Err(loss_error(
            error,
            &Context {
                y_true: &y_pred,
                y_pred: &y_pred,
                prediction: "y_pred",
                sample_weight: None,
                operand: None,
                samples: y_pred.shape(),
                takes_logits: true,
                axis: None,
            },
        )),
    }
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(above_threshold, module)?)
}
