//! The norm of arrays, and arrays clipped by it.

#![allow(
    clippy::needless_pass_by_value,
    clippy::doc_markdown,
    reason = "a Python function owns its arguments, and its docstring is not Markdown"
)]

use super::super::arrays::{Array, float64};
use super::super::axis::{Output, apart, result_dtype};
use super::{input, interruptible};
use crate::level::Level;
use crate::normalization::norm;
use numpy::PyUntypedArray;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyList;

fn inputs<'py>(arrays: &Bound<'py, PyAny>) -> PyResult<Vec<Array<'py>>> {
    if arrays.cast::<PyUntypedArray>().is_ok() {
        return Err(PyTypeError::new_err(
            "arrays must be a sequence of arrays, got one array",
        ));
    }
    (arrays.try_iter()?.enumerate())
        .map(|(index, array)| input(&array?, &format!("arrays[{index}]")))
        .collect()
}

fn norm_of(py: Python<'_>, arrays: &[Array<'_>]) -> PyResult<f64> {
    // SAFETY: the arrays' own layouts; they outlive the call.
    let operand = |array: &Array<'_>| unsafe { array.operand(array.shape(), array.strides()) };
    let operands: Vec<_> = arrays.iter().map(operand).collect();
    interruptible(py, |keep_going| {
        norm::global_norm(Level::current(), &operands, keep_going)
    })
}

/// The Euclidean norm of all elements of all arrays, to within an ULP of float64.
///
/// Args:
///     arrays: Any number of arrays, of any shapes and dtypes.
///
/// Squares are summed exactly, so the norm depends neither on the order nor on the number of threads.
///
/// See also: clip_by_global_norm.
#[pyfunction]
#[pyo3(signature = (arrays, /))]
pub(super) fn global_norm<'py>(arrays: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = arrays.py();
    float64(py, norm_of(py, &inputs(arrays)?)?)
}

/// The arrays times max_norm / norm, where their global norm is larger than max_norm; and the norm.
///
/// Args:
///     arrays: Gradients, of any shapes and dtypes.
///     max_norm: The largest norm the result may have.
///     out: Arrays to write to, as many; the arrays themselves are allowed.
///
/// Returns:
///     A list of arrays, and their norm before. Where the norm is not finite, all elements are NaN.
///
/// See also: global_norm.
#[pyfunction]
#[pyo3(signature = (arrays, max_norm, *, out=None))]
pub(super) fn clip_by_global_norm<'py>(
    arrays: &Bound<'py, PyAny>,
    max_norm: f64,
    out: Option<Vec<Bound<'py, PyAny>>>,
) -> PyResult<(Bound<'py, PyList>, Bound<'py, PyAny>)> {
    let py = arrays.py();
    if !(max_norm > 0.0 && max_norm.is_finite()) {
        return Err(PyValueError::new_err(format!(
            "max_norm must be finite and above 0, got {max_norm:?}"
        )));
    }
    let arrays = inputs(arrays)?;
    if out.as_ref().is_some_and(|out| out.len() != arrays.len()) {
        return Err(PyValueError::new_err(
            "out has not as many arrays as arrays",
        ));
    }
    let mut outputs = Vec::with_capacity(arrays.len());
    for (index, array) in arrays.iter().enumerate() {
        let out = out.as_ref().map(|out| &out[index]);
        outputs.push(Output::new(
            py,
            out,
            array.shape(),
            result_dtype(array.dtype),
        )?);
    }
    let norm = norm_of(py, &arrays)?;
    let factor = if norm.is_finite() {
        (max_norm / norm).min(1.0)
    } else {
        f64::NAN
    };
    let result = PyList::empty(py);
    for (array, output) in arrays.iter().zip(outputs) {
        let source = apart(array, &output.array, true)?;
        let target = &output.array;
        // SAFETY: the arrays' own layouts; they live to the end, apart or the very same.
        let (operand, written) = unsafe {
            (
                source.operand(source.shape(), source.strides()),
                target.operand_mut(target.shape(), target.strides()),
            )
        };
        interruptible(py, |keep_going| {
            norm::scale(Level::current(), &operand, factor, &written, keep_going)
        })?;
        result.append(output.into_result()?)?;
    }
    Ok((result, float64(py, norm)?))
}
