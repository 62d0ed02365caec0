//! `_core.array_statistics`, behind `actloss_rs.diagnostics.statistics`.

use super::arrays::Array;
use super::axes::{Axes, Split};
use super::normalization::{input, interruptible};
use crate::diagnostics::{self, Request, Statistics};
use crate::level::Level;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Statistics of an array in one pass, as a dictionary.
#[pyfunction]
#[pyo3(signature = (x, unit_axis, low, high, magnitudes, /))]
fn array_statistics<'py>(
    x: &Bound<'py, PyAny>,
    unit_axis: Option<isize>,
    low: f64,
    high: f64,
    magnitudes: bool,
) -> PyResult<Bound<'py, PyDict>> {
    let py = x.py();
    let x = input(x, "x")?;
    let (shape, strides, units) = by_unit(&x, unit_axis)?;
    // SAFETY: the array's own layout, permuted; it outlives the call.
    let operand = unsafe { x.operand(&shape, &strides) };
    let request = Request {
        level: Level::current(),
        units,
        bounds: (low, high),
        magnitudes,
    };
    let found = interruptible(py, |keep_going| {
        diagnostics::statistics(&request, &operand, keep_going)
    })?;
    dictionary(py, &found)
}

/// Shape and strides with the axis of the units last, and the number of units; without an axis, one.
fn by_unit(x: &Array<'_>, axis: Option<isize>) -> PyResult<(Vec<usize>, Vec<isize>, usize)> {
    let (shape, strides) = (x.shape(), x.strides());
    let Some(axis) = axis.filter(|_| !shape.is_empty()) else {
        return Ok((shape.to_vec(), strides.to_vec(), 1));
    };
    let split = Split::new(x.object.py(), &Axes::One(axis), shape.len())?;
    Ok((
        split.order(shape).into_owned(),
        split.order(strides).into_owned(),
        split.columns(shape),
    ))
}

fn dictionary<'py>(py: Python<'py>, found: &Statistics) -> PyResult<Bound<'py, PyDict>> {
    let result = PyDict::new(py);
    result.set_item("count", found.count)?;
    result.set_item("zeros", found.zeros)?;
    result.set_item("nan", found.nan)?;
    result.set_item("infinite", found.infinite)?;
    result.set_item("saturated", found.saturated)?;
    result.set_item("units", found.units)?;
    result.set_item("live_units", found.live_units)?;
    result.set_item("min", found.min)?;
    result.set_item("max", found.max)?;
    result.set_item("mean", found.mean)?;
    result.set_item("rms", found.rms)?;
    if let Some(magnitudes) = &found.magnitudes {
        result.set_item("magnitudes", magnitudes.counts().to_vec())?;
    }
    Ok(result)
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(array_statistics, module)?)
}
