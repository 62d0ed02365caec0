//! `batch_norm`, `layer_norm`, `rms_norm`, their gradients and `clip_by_global_norm` for Python.

mod channels;
mod norm;
mod parameter;
mod rows;

use super::arrays::{Array, tuple};
use super::loss_call::no_signal;
use crate::driver::threads::Interrupted;
use numpy::PyUntypedArray;
use pyo3::exceptions::{PyKeyboardInterrupt, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;
use std::cell::RefCell;

/// An argument as an array. A mask has no meaning here, so it is refused.
pub(in crate::python) fn input<'py>(
    object: &Bound<'py, PyAny>,
    argument: &str,
) -> PyResult<Array<'py>> {
    static MASKED_ARRAY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    if let Ok(array) = object.cast_exact::<PyUntypedArray>() {
        return Array::of(array.clone(), argument, false);
    }
    let masked = MASKED_ARRAY.import(object.py(), "numpy.ma", "MaskedArray")?;
    if object.is_instance(masked)? {
        return Err(PyTypeError::new_err(format!(
            "{argument} is a masked array, whose mask would be ignored; pass {argument}.compressed() or \
             {argument}.filled(...)"
        )));
    }
    Array::new(object, argument)
}

/// Without the GIL; a signal raises what its handler raises.
pub(in crate::python) fn interruptible<T: Send>(
    py: Python<'_>,
    kernel: impl FnOnce(&dyn Fn() -> bool) -> Result<T, Interrupted> + Send,
) -> PyResult<T> {
    let (result, interrupt) = py.detach(|| {
        let interrupt = RefCell::new(None);
        let result = kernel(&|| no_signal(&interrupt));
        (result, interrupt.into_inner())
    });
    result.map_err(|Interrupted| interrupt.unwrap_or_else(|| PyKeyboardInterrupt::new_err(())))
}

fn check_epsilon(epsilon: f64) -> PyResult<()> {
    if epsilon >= 0.0 && epsilon.is_finite() {
        return Ok(());
    }
    Err(PyValueError::new_err(format!(
        "epsilon must be finite and not negative, got {epsilon:?}"
    )))
}

fn gradient_and_input<'py>(
    dy: &Bound<'py, PyAny>,
    x: &Bound<'py, PyAny>,
) -> PyResult<(Array<'py>, Array<'py>)> {
    let (dy, x) = (input(dy, "dy")?, input(x, "x")?);
    if dy.shape() != x.shape() {
        return Err(PyValueError::new_err(format!(
            "dy has shape {}, but x has shape {}",
            tuple(dy.shape()),
            tuple(x.shape())
        )));
    }
    Ok((dy, x))
}

/// Add the dictionaries `normalizations` and `backward_normalizations`, by name.
pub(in crate::python) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let forward = PyDict::new(py);
    forward.set_item(
        "batch_norm",
        wrap_pyfunction!(channels::batch_norm, module)?,
    )?;
    forward.set_item("layer_norm", wrap_pyfunction!(rows::layer_norm, module)?)?;
    forward.set_item("rms_norm", wrap_pyfunction!(rows::rms_norm, module)?)?;
    forward.set_item("global_norm", wrap_pyfunction!(norm::global_norm, module)?)?;
    forward.set_item(
        "clip_by_global_norm",
        wrap_pyfunction!(norm::clip_by_global_norm, module)?,
    )?;
    let backward = PyDict::new(py);
    backward.set_item(
        "batch_norm",
        wrap_pyfunction!(channels::batch_norm_backward, module)?,
    )?;
    backward.set_item(
        "layer_norm",
        wrap_pyfunction!(rows::layer_norm_backward, module)?,
    )?;
    backward.set_item(
        "rms_norm",
        wrap_pyfunction!(rows::rms_norm_backward, module)?,
    )?;
    module.add("normalizations", forward)?;
    module.add("backward_normalizations", backward)
}
