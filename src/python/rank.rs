//! `_core.label_ranks`, behind accuracy and top-k.

use super::arrays::Array;
use super::loss_call::no_signal;
use crate::dtype::Dtype;
use crate::level::Level;
use crate::loss::rank;
use pyo3::exceptions::{PyKeyboardInterrupt, PyValueError};
use pyo3::prelude::*;
use std::cell::RefCell;
use std::sync::atomic::AtomicU32;

/// The number of classes ahead of each label, the classes along the last axis of ``scores``.
///
/// Ahead is a larger score, an equal one of a smaller id, and NaN; a label that is no class id has the rank
/// 2**32 - 1.
#[pyfunction]
#[pyo3(signature = (labels, scores, /))]
fn label_ranks<'py>(
    py: Python<'py>,
    labels: &Bound<'py, PyAny>,
    scores: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let labels = Array::new(labels, "labels")?;
    let scores = Array::new(scores, "scores")?;
    let [leading @ .., classes] = scores.shape() else {
        return Err(PyValueError::new_err("scores has no axis of classes"));
    };
    if labels.shape() != leading || labels.dtype.is_float() {
        return Err(PyValueError::new_err(
            "labels holds one class id for each row of scores",
        ));
    }
    let ranks = Array::empty(py, leading, Dtype::UInt32)?;
    // SAFETY: the arrays' own layouts; they outlive the call.
    let (of_labels, of_scores) = unsafe {
        (
            labels.operand(labels.shape(), labels.strides()),
            scores.operand(scores.shape(), scores.strides()),
        )
    };
    // SAFETY: a new array in C order of as many u32, aligned, which nobody else knows of; every bit pattern
    // is a valid AtomicU32.
    let target =
        unsafe { std::slice::from_raw_parts(ranks.data().cast::<AtomicU32>(), of_labels.len()) };
    let (result, interrupt) = py.detach(|| {
        let interrupt = RefCell::new(None);
        let keep_going = || no_signal(&interrupt);
        let level = Level::current();
        let result =
            rank::label_ranks(level, &of_labels, &of_scores, *classes, target, &keep_going);
        (result, interrupt.into_inner())
    });
    match interrupt {
        Some(error) => Err(error),
        // Without a signal nothing can go wrong.
        None => result
            .map(|()| ranks.object.into_any())
            .map_err(|_| PyKeyboardInterrupt::new_err(())),
    }
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(label_ranks, module)?)
}
