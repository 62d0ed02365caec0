//! `softmax`, `softmin`, `sparsemax`, `log_softmax`, `logsumexp` and their derivatives as Python functions.

#![allow(
    clippy::needless_pass_by_value,
    clippy::doc_markdown,
    reason = "a Python function owns its arguments, and its docstring is not Markdown"
)]

use super::axes::Axes;
use super::axis::{binary, unary};
use crate::reduction::{softmax, sparsemax};
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict};

/// The probabilities e^x / sum(e^x) along an axis.
///
/// Args:
///     x: Array of floats; integers are taken as float64.
///     axis: An axis, a tuple of axes, or None for all of them.
///     out: Array to write to; it may be x.
///
/// +inf alone in its row has probability 1. A row of -inf, or with NaN, is NaN. At most 1.7 ULP.
///
/// See also: log_softmax, logsumexp, backward.softmax.
#[pyfunction(name = "softmax")]
#[pyo3(signature = (x, axis=Axes::One(-1), *, out=None), text_signature = "(x, axis=-1, *, out=None)")]
fn softmax_of<'py>(
    x: &Bound<'py, PyAny>,
    axis: Axes,
    out: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    unary("softmax", softmax::softmax, x, &axis, out, None)
}

/// softmax of -x: the probabilities e^-x / sum(e^-x) along an axis.
///
/// Args:
///     x: Array of floats; integers are taken as float64.
///     axis: An axis, a tuple of axes, or None for all of them.
///     out: Array to write to; it may be x.
///
/// See also: softmax, backward.softmin.
#[pyfunction(name = "softmin")]
#[pyo3(signature = (x, axis=Axes::One(-1), *, out=None), text_signature = "(x, axis=-1, *, out=None)")]
fn softmin_of<'py>(
    x: &Bound<'py, PyAny>,
    axis: Axes,
    out: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    unary("softmin", softmax::softmin, x, &axis, out, None)
}

/// The probabilities nearest to x along an axis, many of them exactly 0: max(x - t, 0), with the t for
/// which they sum to 1.
///
/// Args:
///     x: Array of floats; integers are taken as float64.
///     axis: An axis, a tuple of axes, or None for all of them.
///     out: Array to write to; it may be x.
///
/// +inf alone in its row has probability 1. A row of -inf, or with NaN, is NaN. Rounded once.
///
/// Martins and Astudillo, From softmax to sparsemax, 2016 (arXiv:1602.02068).
///
/// See also: softmax, backward.sparsemax.
#[pyfunction(name = "sparsemax")]
#[pyo3(signature = (x, axis=Axes::One(-1), *, out=None), text_signature = "(x, axis=-1, *, out=None)")]
fn sparsemax_of<'py>(
    x: &Bound<'py, PyAny>,
    axis: Axes,
    out: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    unary("sparsemax", sparsemax::sparsemax, x, &axis, out, None)
}

/// The logarithm of softmax, x - logsumexp(x), along an axis.
///
/// Args:
///     x: Array of floats; integers are taken as float64.
///     axis: An axis, a tuple of axes, or None for all of them.
///     out: Array to write to; it may be x.
///
/// Accurate to the last digit or two where it is close to 0, too.
///
/// See also: softmax, logsumexp, backward.log_softmax.
#[pyfunction]
#[pyo3(signature = (x, axis=Axes::One(-1), *, out=None), text_signature = "(x, axis=-1, *, out=None)")]
fn log_softmax<'py>(
    x: &Bound<'py, PyAny>,
    axis: Axes,
    out: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    unary("log_softmax", softmax::log_softmax, x, &axis, out, None)
}

/// log(sum(e^x)) along an axis.
///
/// Args:
///     x: Array of floats; integers are taken as float64.
///     axis: An axis, a tuple of axes, or None for all of them.
///     keepdims: Keep the reduced axes with length 1.
///     out: Array to write to.
///
/// -inf of no elements, or of -inf only.
///
/// See also: softmax, log_softmax, backward.logsumexp.
#[pyfunction]
#[pyo3(
    signature = (x, axis=Axes::One(-1), keepdims=false, *, out=None),
    text_signature = "(x, axis=-1, keepdims=False, *, out=None)"
)]
fn logsumexp<'py>(
    x: &Bound<'py, PyAny>,
    axis: Axes,
    keepdims: bool,
    out: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    unary(
        "logsumexp",
        softmax::logsumexp,
        x,
        &axis,
        out,
        Some(keepdims),
    )
}

/// The gradient of softmax with respect to its input: y * (dy - sum(dy * y)).
///
/// Args:
///     dy: Upstream gradient.
///     y: The output of softmax.
///     axis: The axis or axes that softmax was taken along.
///     out: Array to write to; it may be dy or y.
#[pyfunction(name = "softmax")]
#[pyo3(
    signature = (dy, y, axis=Axes::One(-1), *, out=None),
    text_signature = "(dy, y, axis=-1, *, out=None)"
)]
fn softmax_backward<'py>(
    dy: &Bound<'py, PyAny>,
    y: &Bound<'py, PyAny>,
    axis: Axes,
    out: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    binary(softmax::softmax_backward, dy, ("y", y), &axis, out, false)
}

/// The gradient of softmin with respect to its input: -y * (dy - sum(dy * y)).
///
/// Args:
///     dy: Upstream gradient.
///     y: The output of softmin.
///     axis: The axis or axes that softmin was taken along.
///     out: Array to write to; it may be dy or y.
#[pyfunction(name = "softmin")]
#[pyo3(
    signature = (dy, y, axis=Axes::One(-1), *, out=None),
    text_signature = "(dy, y, axis=-1, *, out=None)"
)]
fn softmin_backward<'py>(
    dy: &Bound<'py, PyAny>,
    y: &Bound<'py, PyAny>,
    axis: Axes,
    out: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    binary(softmax::softmin_backward, dy, ("y", y), &axis, out, false)
}

/// The gradient of sparsemax with respect to its input: where y is positive dy - mean(dy there), else 0.
///
/// Args:
///     dy: Upstream gradient.
///     y: The output of sparsemax.
///     axis: The axis or axes that sparsemax was taken along.
///     out: Array to write to; it may be dy or y.
#[pyfunction(name = "sparsemax")]
#[pyo3(
    signature = (dy, y, axis=Axes::One(-1), *, out=None),
    text_signature = "(dy, y, axis=-1, *, out=None)"
)]
fn sparsemax_backward<'py>(
    dy: &Bound<'py, PyAny>,
    y: &Bound<'py, PyAny>,
    axis: Axes,
    out: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    binary(
        sparsemax::sparsemax_backward,
        dy,
        ("y", y),
        &axis,
        out,
        false,
    )
}

/// The gradient of log_softmax with respect to x: dy - softmax(x) * sum(dy).
///
/// Args:
///     dy: Upstream gradient.
///     x: The input of log_softmax.
///     axis: The axis or axes that log_softmax was taken along.
///     out: Array to write to; it may be dy or x.
#[pyfunction(name = "log_softmax")]
#[pyo3(
    signature = (dy, x, axis=Axes::One(-1), *, out=None),
    text_signature = "(dy, x, axis=-1, *, out=None)"
)]
fn log_softmax_backward<'py>(
    dy: &Bound<'py, PyAny>,
    x: &Bound<'py, PyAny>,
    axis: Axes,
    out: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    binary(
        softmax::log_softmax_backward,
        dy,
        ("x", x),
        &axis,
        out,
        false,
    )
}

/// The gradient of logsumexp with respect to x: dy * softmax(x).
///
/// Args:
///     dy: Upstream gradient, of the shape of logsumexp's result with or without keepdims.
///     x: The input of logsumexp.
///     axis: The axis or axes that logsumexp was taken along.
///     out: Array to write to; it may be x.
#[pyfunction(name = "logsumexp")]
#[pyo3(
    signature = (dy, x, axis=Axes::One(-1), *, out=None),
    text_signature = "(dy, x, axis=-1, *, out=None)"
)]
fn logsumexp_backward<'py>(
    dy: &Bound<'py, PyAny>,
    x: &Bound<'py, PyAny>,
    axis: Axes,
    out: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    binary(softmax::logsumexp_backward, dy, ("x", x), &axis, out, true)
}

/// Add the dictionaries `axis_functions` and `backward_axis_functions`, by name.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let dictionary = |functions: &[Bound<'_, PyCFunction>]| {
        let dictionary = PyDict::new(module.py());
        for function in functions {
            dictionary.set_item(function.getattr("__name__")?, function)?;
        }
        PyResult::Ok(dictionary)
    };
    let forward = dictionary(&[
        wrap_pyfunction!(softmax_of, module)?,
        wrap_pyfunction!(softmin_of, module)?,
        wrap_pyfunction!(sparsemax_of, module)?,
        wrap_pyfunction!(log_softmax, module)?,
        wrap_pyfunction!(logsumexp, module)?,
    ])?;
    let backward = dictionary(&[
        wrap_pyfunction!(softmax_backward, module)?,
        wrap_pyfunction!(softmin_backward, module)?,
        wrap_pyfunction!(sparsemax_backward, module)?,
        wrap_pyfunction!(log_softmax_backward, module)?,
        wrap_pyfunction!(logsumexp_backward, module)?,
    ])?;
    module.add("axis_functions", forward)?;
    module.add("backward_axis_functions", backward)
}
