//! The Python extension module `actloss_rs._core`: the one part that knows Python and NumPy.

mod arrays;
mod axes;
mod axis;
mod axis_functions;
mod decision;
mod diagnostics;
mod gufunc;
mod loss_call;
mod loss_error;
mod loss_metric;
mod losses;
mod normalization;
mod rank;
mod threads;
mod ufunc;

use crate::level::Level;
use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;

/// The native part of `actloss_rs`. Private: import from `actloss_rs`.
#[pymodule(name = "_core", gil_used = false)]
fn core_module(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let level = Level::try_current().map_err(PyImportError::new_err)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("SIMD_LEVEL", level.name())?;
    axis_functions::register(module)?;
    threads::register(module)?;
    ufunc::register(module)?;
    gufunc::register(module)?;
    losses::register(module)?;
    decision::register(module)?;
    rank::register(module)?;
    normalization::register(module)?;
    diagnostics::register(module)?;
    Ok(())
}
