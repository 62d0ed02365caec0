//! `batch_norm`, `layer_norm`, `rms_norm`, their gradients and `clip_by_global_norm` for Python.

#![allow(
    clippy::needless_pass_by_value,
    clippy::doc_markdown,
    clippy::too_many_arguments,
    reason = "a Python function owns its arguments, and its docstring is not Markdown"
)]

use super::arrays::{Array, float64, tuple};
use super::axes::{Axes, Split};
use super::axis::{Output, apart, result_dtype};
use super::loss_call::no_signal;
use crate::driver::floating_point::FloatingPointGuard;
use crate::driver::operand::{Operand, OperandMut};
use crate::driver::threads::Interrupted;
use crate::dtype::Dtype;
use crate::level::Level;
use crate::normalization::batch::{self, Statistics};
use crate::normalization::rows::Rows;
use crate::normalization::{Channels, norm};
use numpy::PyUntypedArray;
use pyo3::exceptions::{PyKeyboardInterrupt, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList};
use std::cell::RefCell;

/// An argument as an array. A mask has no meaning here, so it is refused.
pub(super) fn input<'py>(object: &Bound<'py, PyAny>, argument: &str) -> PyResult<Array<'py>> {
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

/// A parameter for each channel or column, as `f64`; `fill` for one that is not given.
struct Parameter<'py> {
    array: Option<Array<'py>>,
    values: Vec<f64>,
}

impl<'py> Parameter<'py> {
    fn new(
        object: Option<&Bound<'py, PyAny>>,
        name: &str,
        shape: &[usize],
        fill: f64,
    ) -> PyResult<Self> {
        let len = shape.iter().product();
        let Some(object) = object else {
            return Ok(Self {
                array: None,
                values: vec![fill; len],
            });
        };
        let array = input(object, name)?;
        if array.shape() != shape {
            return Err(PyValueError::new_err(format!(
                "{name} has shape {}, but x asks for {}",
                tuple(array.shape()),
                tuple(shape)
            )));
        }
        let _environment = FloatingPointGuard::new();
        let mut values = vec![0.0; len];
        // SAFETY: the array's own layout; it outlives the call.
        let operand = unsafe { array.operand(array.shape(), array.strides()) };
        operand.read(fearless_simd::Fallback::new(), 0, &mut values);
        Ok(Self {
            array: Some(array),
            values,
        })
    }

    /// A gradient by this parameter: of its type, or of `x`'s where it was not given.
    fn gradient(
        &self,
        py: Python<'py>,
        shape: &[usize],
        dtype: Dtype,
        values: &[f64],
    ) -> PyResult<Bound<'py, PyAny>> {
        let dtype = self
            .array
            .as_ref()
            .map_or(dtype, |array| result_dtype(array.dtype));
        let array = Array::empty(py, shape, dtype)?;
        write(&array, values);
        array.into_scalar_or_array()
    }
}

/// Write numbers to an array of as many elements.
fn write(array: &Array<'_>, values: &[f64]) {
    let _environment = FloatingPointGuard::new();
    // SAFETY: a writable array in its own layout, which only this thread, holding the GIL, knows of or may
    // write.
    unsafe {
        array.operand_mut(array.shape(), array.strides()).write(
            fearless_simd::Fallback::new(),
            0,
            values,
        );
    }
}

/// Without the GIL; a signal raises what its handler raises.
pub(super) fn interruptible<T: Send>(
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

/// The axis of the channels, and how the operands see it.
struct ChannelAxis {
    axis: usize,
    shape: Vec<usize>,
    view: Channels,
}

impl ChannelAxis {
    fn new(x: &Array<'_>, axis: isize) -> PyResult<Self> {
        let shape = x.shape().to_vec();
        if shape.is_empty() {
            return Err(PyValueError::new_err(
                "x has no axes; batch_norm needs one of channels and one of samples",
            ));
        }
        // The channels: what a split by this one axis reduces.
        let split = Split::new(x.object.py(), &Axes::One(axis), shape.len())?;
        let axes: Vec<usize> = (0..shape.len()).collect();
        let axis = split.order(&axes)[shape.len() - 1];
        let channels = shape[axis];
        let samples = (0..shape.len())
            .filter(|&other| other != axis)
            .map(|other| shape[other])
            .product();
        // Along the channels where those lie closest together, whatever the order of the axes.
        let stride = x.strides()[axis].unsigned_abs();
        let last = channels > 1
            && (x.strides().iter().zip(&shape))
                .filter(|&(_, &size)| size > 1)
                .all(|(other, _)| stride <= other.unsigned_abs());
        Ok(Self {
            axis,
            shape,
            view: Channels {
                level: Level::current(),
                samples,
                channels,
                last,
            },
        })
    }

    /// A shape or strides in the order of the view.
    fn order<T: Copy>(&self, of_axes: &[T]) -> Vec<T> {
        let others = (0..of_axes.len()).filter(|&axis| axis != self.axis);
        let mut order: Vec<_> = others.map(|axis| of_axes[axis]).collect();
        let at = if self.view.last { order.len() } else { 0 };
        order.insert(at, of_axes[self.axis]);
        order
    }

    /// # Safety
    /// As for [`Array::operand`].
    unsafe fn operand<'a>(&self, array: &Array<'_>) -> Operand<'a> {
        // SAFETY: the array's own layout, permuted.
        unsafe { array.operand(&self.order(array.shape()), &self.order(array.strides())) }
    }

    /// # Safety
    /// As for [`Array::operand_mut`].
    unsafe fn operand_mut<'a>(&self, array: &Array<'_>) -> OperandMut<'a> {
        // SAFETY: the array's own layout, permuted.
        unsafe { array.operand_mut(&self.order(array.shape()), &self.order(array.strides())) }
    }

    /// The statistics to normalise with when not those of the batch.
    fn given<'py>(
        &self,
        mean: Option<&Bound<'py, PyAny>>,
        variance: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Statistics> {
        if mean.is_none() || variance.is_none() {
            return Err(PyValueError::new_err(
                "without training=True, running_mean and running_var are needed",
            ));
        }
        let channels = [self.view.channels];
        Ok(Statistics::given(
            Parameter::new(mean, "running_mean", &channels, 0.0)?.values,
            Parameter::new(variance, "running_var", &channels, 1.0)?.values,
        ))
    }

    fn check_training(&self) -> PyResult<()> {
        if self.view.samples == 1 {
            return Err(PyValueError::new_err(format!(
                "x has shape {}: with one value a channel its variance is 0; training needs more",
                tuple(&self.shape)
            )));
        }
        Ok(())
    }
}

/// An array that is updated in place.
fn running<'py>(
    object: Option<&Bound<'py, PyAny>>,
    name: &str,
    channels: usize,
) -> PyResult<Option<(Array<'py>, Vec<f64>)>> {
    let Some(object) = object else {
        return Ok(None);
    };
    let array = Array::writable(object).map_err(|error| {
        let message = error.value(object.py()).to_string();
        let message = message.strip_prefix("out").unwrap_or(&message);
        PyTypeError::new_err(format!("{name}{message}; it is updated in place"))
    })?;
    if !array.dtype.is_float() {
        return Err(PyTypeError::new_err(format!(
            "{name} has dtype {}; it is updated in place, so it must be floating",
            array.dtype.name()
        )));
    }
    let values = Parameter::new(Some(object), name, &[channels], 0.0)?.values;
    Ok(Some((array, values)))
}

/// Batch normalisation: each channel to mean 0 and variance 1, times gamma, plus beta.
///
/// Args:
///     x: Array of floats, with samples along all axes but one; integers are taken as float64.
///     gamma: A factor for each channel; None is 1.
///     beta: A summand for each channel; None is 0.
///     running_mean: Mean of each channel. With training, updated in place, if given.
///     running_var: Variance of each channel, likewise; the unbiased one, as in PyTorch.
///     training: Normalise by the mean and the biased variance of x itself, else by the running ones.
///     momentum: The share of the new batch: running = (1 - momentum) * running + momentum * batch, as in
///         PyTorch. Keras counts the other way round: its momentum is 1 minus this one.
///     epsilon: Added to the variance.
///     axis: The axis of the channels.
///     out: Array to write to; it may be x.
///
/// The variance is summed from deviations from the mean, in float64: any offset of x is harmless.
///
/// See also: layer_norm, rms_norm, backward.batch_norm.
#[pyfunction]
#[pyo3(
    signature = (
        x, gamma=None, beta=None, *, running_mean=None, running_var=None, training=false, momentum=0.1,
        epsilon=1e-5, axis=-1, out=None
    ),
    text_signature = "(x, gamma=None, beta=None, *, running_mean=None, running_var=None, training=False, \
                      momentum=0.1, epsilon=1e-05, axis=-1, out=None)"
)]
fn batch_norm<'py>(
    x: &Bound<'py, PyAny>,
    gamma: Option<&Bound<'py, PyAny>>,
    beta: Option<&Bound<'py, PyAny>>,
    running_mean: Option<&Bound<'py, PyAny>>,
    running_var: Option<&Bound<'py, PyAny>>,
    training: bool,
    momentum: f64,
    epsilon: f64,
    axis: isize,
    out: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = x.py();
    check_epsilon(epsilon)?;
    if !(0.0..=1.0).contains(&momentum) {
        return Err(PyValueError::new_err(format!(
            "momentum must be in [0, 1], got {momentum:?}"
        )));
    }
    let x = input(x, "x")?;
    let channels = ChannelAxis::new(&x, axis)?;
    let view = channels.view;
    let gamma = Parameter::new(gamma, "gamma", &[view.channels], 1.0)?;
    let beta = Parameter::new(beta, "beta", &[view.channels], 0.0)?;
    let output = Output::new(py, out, x.shape(), result_dtype(x.dtype))?;
    let source = apart(&x, &output.array, true)?;
    // SAFETY: the arrays live to the end; `output` is writable and apart from `source`, or exactly it.
    let (operand, result) = unsafe {
        (
            channels.operand(&source),
            channels.operand_mut(&output.array),
        )
    };
    let parameters = (&gamma.values[..], &beta.values[..]);
    if training {
        channels.check_training()?;
        let mean = running(running_mean, "running_mean", view.channels)?;
        let variance = running(running_var, "running_var", view.channels)?;
        let statistics = interruptible(py, |keep_going| {
            batch::normalise(
                &view, &operand, None, parameters, epsilon, &result, keep_going,
            )
        })?;
        if view.samples > 0 {
            let n = view.samples as f64;
            for (running, batch, factor) in [
                (mean, &statistics.mean, 1.0),
                (variance, &statistics.variance, n / (n - 1.0)),
            ] {
                if let Some((array, mut values)) = running {
                    let _environment = FloatingPointGuard::new();
                    for (value, batch) in values.iter_mut().zip(batch) {
                        *value = (1.0 - momentum) * *value + momentum * (batch * factor);
                    }
                    write(&array, &values);
                }
            }
        }
    } else {
        let statistics = channels.given(running_mean, running_var)?;
        interruptible(py, |keep_going| {
            batch::normalise(
                &view,
                &operand,
                Some(&statistics),
                parameters,
                epsilon,
                &result,
                keep_going,
            )
        })?;
    }
    output.into_result()
}

/// The gradients of batch_norm: (dx, dgamma, dbeta), by x, gamma and beta.
///
/// Args:
///     dy: Upstream gradient, of x's shape.
///     x: The input of batch_norm.
///     gamma: As for batch_norm; dgamma and dbeta are of its dtype, or of x's without it.
///     running_mean, running_var: As for batch_norm without training.
///     training: Whether the statistics were those of x, through which the gradient then goes too. They
///         are taken again: nothing has to be kept from the forward pass but x.
///     epsilon, axis: As for batch_norm.
///     out: Array to write dx to; it may be dy or x.
#[pyfunction(name = "batch_norm")]
#[pyo3(
    signature = (
        dy, x, gamma=None, *, running_mean=None, running_var=None, training=false, epsilon=1e-5, axis=-1,
        out=None
    ),
    text_signature = "(dy, x, gamma=None, *, running_mean=None, running_var=None, training=False, \
                      epsilon=1e-05, axis=-1, out=None)"
)]
fn batch_norm_backward<'py>(
    dy: &Bound<'py, PyAny>,
    x: &Bound<'py, PyAny>,
    gamma: Option<&Bound<'py, PyAny>>,
    running_mean: Option<&Bound<'py, PyAny>>,
    running_var: Option<&Bound<'py, PyAny>>,
    training: bool,
    epsilon: f64,
    axis: isize,
    out: Option<&Bound<'py, PyAny>>,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    let py = dy.py();
    check_epsilon(epsilon)?;
    let (dy, x) = gradient_and_input(dy, x)?;
    let channels = ChannelAxis::new(&x, axis)?;
    let view = channels.view;
    let gamma = Parameter::new(gamma, "gamma", &[view.channels], 1.0)?;
    let given = if training {
        channels.check_training()?;
        None
    } else {
        Some(channels.given(running_mean, running_var)?)
    };
    let dtype = result_dtype(x.dtype);
    let output = Output::new(py, out, x.shape(), dtype)?;
    let dy = apart(&dy, &output.array, true)?;
    let source = apart(&x, &output.array, true)?;
    // SAFETY: the arrays live to the end; `output` is writable and apart from the others, or exactly one.
    let (gradient, operand, result) = unsafe {
        (
            channels.operand(&dy),
            channels.operand(&source),
            channels.operand_mut(&output.array),
        )
    };
    let (gamma_gradient, beta_gradient) = interruptible(py, |keep_going| {
        batch::gradient(
            &view,
            &gradient,
            &operand,
            given.as_ref(),
            &gamma.values,
            epsilon,
            &result,
            keep_going,
        )
    })?;
    let shape = [view.channels];
    Ok((
        output.into_result()?,
        gamma.gradient(py, &shape, dtype, &gamma_gradient)?,
        gamma.gradient(py, &shape, dtype, &beta_gradient)?,
    ))
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

/// The rows along some axes, with their parameters.
struct RowCall<'py> {
    x: Array<'py>,
    split: Split,
    columns: Vec<usize>,
    gamma: Parameter<'py>,
    beta: Parameter<'py>,
    centred: bool,
    epsilon: f64,
}

impl<'py> RowCall<'py> {
    fn new(
        x: Array<'py>,
        gamma: Option<&Bound<'py, PyAny>>,
        beta: Option<&Bound<'py, PyAny>>,
        axes: &Axes,
        centred: bool,
        epsilon: f64,
    ) -> PyResult<Self> {
        check_epsilon(epsilon)?;
        let shape = x.shape();
        let split = Split::new(x.object.py(), axes, shape.len())?;
        let kept = split.kept(shape).len();
        let columns = split.order(shape)[kept..].to_vec();
        Ok(Self {
            gamma: Parameter::new(gamma, "gamma", &columns, 1.0)?,
            beta: Parameter::new(beta, "beta", &columns, 0.0)?,
            x,
            split,
            columns,
            centred,
            epsilon,
        })
    }

    fn rows(&self) -> Rows<'_> {
        let columns: usize = self.columns.iter().product();
        let elements: usize = self.x.shape().iter().product();
        Rows {
            level: Level::current(),
            rows: elements.checked_div(columns).unwrap_or(0),
            columns,
            centred: self.centred,
            epsilon: self.epsilon,
            gamma: &self.gamma.values,
            beta: &self.beta.values,
        }
    }

    /// # Safety
    /// As for [`Array::operand`].
    unsafe fn operand<'a>(&self, array: &Array<'_>) -> Operand<'a> {
        let (shape, strides) = (array.shape(), array.strides());
        // SAFETY: the array's own layout, permuted.
        unsafe { array.operand(&self.split.order(shape), &self.split.order(strides)) }
    }

    /// # Safety
    /// As for [`Array::operand_mut`].
    unsafe fn operand_mut<'a>(&self, array: &Array<'_>) -> OperandMut<'a> {
        let (shape, strides) = (array.shape(), array.strides());
        // SAFETY: the array's own layout, permuted.
        unsafe { array.operand_mut(&self.split.order(shape), &self.split.order(strides)) }
    }

    fn forward(&self, out: Option<&Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>> {
        let py = self.x.object.py();
        let output = Output::new(py, out, self.x.shape(), result_dtype(self.x.dtype))?;
        let source = apart(&self.x, &output.array, true)?;
        // SAFETY: the arrays live to the end; `output` is writable and apart from `source`, or exactly it.
        let (operand, result) = unsafe { (self.operand(&source), self.operand_mut(&output.array)) };
        let rows = self.rows();
        interruptible(py, |keep_going| {
            rows.normalised(&operand, &result, keep_going)
        })?;
        output.into_result()
    }

    fn backward(
        &self,
        dy: &Array<'py>,
        out: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<[Bound<'py, PyAny>; 3]> {
        let py = self.x.object.py();
        let dtype = result_dtype(self.x.dtype);
        let output = Output::new(py, out, self.x.shape(), dtype)?;
        let dy = apart(dy, &output.array, true)?;
        let source = apart(&self.x, &output.array, true)?;
        // SAFETY: the arrays live to the end; `output` is writable and apart from the others, or exactly one.
        let (gradient, operand, result) = unsafe {
            (
                self.operand(&dy),
                self.operand(&source),
                self.operand_mut(&output.array),
            )
        };
        let rows = self.rows();
        let (gamma, beta) = interruptible(py, |keep_going| {
            rows.gradient(&gradient, &operand, &result, keep_going)
        })?;
        Ok([
            output.into_result()?,
            self.gamma.gradient(py, &self.columns, dtype, &gamma)?,
            self.gamma.gradient(py, &self.columns, dtype, &beta)?,
        ])
    }
}

/// Layer normalisation: each row to mean 0 and variance 1, times gamma, plus beta.
///
/// Args:
///     x: Array of floats; integers are taken as float64.
///     gamma: A factor for each element of a row; None is 1.
///     beta: A summand for each element of a row; None is 0.
///     axis: The axis, or the tuple of axes, that a row extends over; None is all.
///     epsilon: Added to the variance, which is the biased one.
///     out: Array to write to; it may be x.
///
/// See also: rms_norm, batch_norm, backward.layer_norm.
#[pyfunction]
#[pyo3(
    signature = (x, gamma=None, beta=None, axis=Axes::One(-1), *, epsilon=1e-5, out=None),
    text_signature = "(x, gamma=None, beta=None, axis=-1, *, epsilon=1e-05, out=None)"
)]
fn layer_norm<'py>(
    x: &Bound<'py, PyAny>,
    gamma: Option<&Bound<'py, PyAny>>,
    beta: Option<&Bound<'py, PyAny>>,
    axis: Axes,
    epsilon: f64,
    out: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    RowCall::new(input(x, "x")?, gamma, beta, &axis, true, epsilon)?.forward(out)
}

/// RMS normalisation: each row over its root mean square, times gamma.
///
/// Args:
///     x: Array of floats; integers are taken as float64.
///     gamma: A factor for each element of a row; None is 1.
///     axis: The axis, or the tuple of axes, that a row extends over; None is all.
///     epsilon: Added to the mean square.
///     out: Array to write to; it may be x.
///
/// See also: layer_norm, backward.rms_norm.
#[pyfunction]
#[pyo3(
    signature = (x, gamma=None, axis=Axes::One(-1), *, epsilon=1e-6, out=None),
    text_signature = "(x, gamma=None, axis=-1, *, epsilon=1e-06, out=None)"
)]
fn rms_norm<'py>(
    x: &Bound<'py, PyAny>,
    gamma: Option<&Bound<'py, PyAny>>,
    axis: Axes,
    epsilon: f64,
    out: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    RowCall::new(input(x, "x")?, gamma, None, &axis, false, epsilon)?.forward(out)
}

/// The gradients of layer_norm: (dx, dgamma, dbeta), by x, gamma and beta.
///
/// Args:
///     dy: Upstream gradient, of x's shape.
///     x: The input of layer_norm.
///     gamma, axis, epsilon: As for layer_norm; dgamma and dbeta are of gamma's dtype, or of x's.
///     out: Array to write dx to; it may be dy or x.
#[pyfunction(name = "layer_norm")]
#[pyo3(
    signature = (dy, x, gamma=None, axis=Axes::One(-1), *, epsilon=1e-5, out=None),
    text_signature = "(dy, x, gamma=None, axis=-1, *, epsilon=1e-05, out=None)"
)]
fn layer_norm_backward<'py>(
    dy: &Bound<'py, PyAny>,
    x: &Bound<'py, PyAny>,
    gamma: Option<&Bound<'py, PyAny>>,
    axis: Axes,
    epsilon: f64,
    out: Option<&Bound<'py, PyAny>>,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    let (dy, x) = gradient_and_input(dy, x)?;
    let [dx, gamma, beta] =
        RowCall::new(x, gamma, None, &axis, true, epsilon)?.backward(&dy, out)?;
    Ok((dx, gamma, beta))
}

/// The gradients of rms_norm: (dx, dgamma), by x and gamma.
///
/// Args:
///     dy: Upstream gradient, of x's shape.
///     x: The input of rms_norm.
///     gamma, axis, epsilon: As for rms_norm; dgamma is of gamma's dtype, or of x's without it.
///     out: Array to write dx to; it may be dy or x.
#[pyfunction(name = "rms_norm")]
#[pyo3(
    signature = (dy, x, gamma=None, axis=Axes::One(-1), *, epsilon=1e-6, out=None),
    text_signature = "(dy, x, gamma=None, axis=-1, *, epsilon=1e-06, out=None)"
)]
fn rms_norm_backward<'py>(
    dy: &Bound<'py, PyAny>,
    x: &Bound<'py, PyAny>,
    gamma: Option<&Bound<'py, PyAny>>,
    axis: Axes,
    epsilon: f64,
    out: Option<&Bound<'py, PyAny>>,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    let (dy, x) = gradient_and_input(dy, x)?;
    let [dx, gamma, _] = RowCall::new(x, gamma, None, &axis, false, epsilon)?.backward(&dy, out)?;
    Ok((dx, gamma))
}

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
fn global_norm<'py>(arrays: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
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
fn clip_by_global_norm<'py>(
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

/// Add the dictionaries `normalizations` and `backward_normalizations`, by name.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let forward = PyDict::new(py);
    forward.set_item("batch_norm", wrap_pyfunction!(batch_norm, module)?)?;
    forward.set_item("layer_norm", wrap_pyfunction!(layer_norm, module)?)?;
    forward.set_item("rms_norm", wrap_pyfunction!(rms_norm, module)?)?;
    forward.set_item("global_norm", wrap_pyfunction!(global_norm, module)?)?;
    forward.set_item(
        "clip_by_global_norm",
        wrap_pyfunction!(clip_by_global_norm, module)?,
    )?;
    let backward = PyDict::new(py);
    backward.set_item("batch_norm", wrap_pyfunction!(batch_norm_backward, module)?)?;
    backward.set_item("layer_norm", wrap_pyfunction!(layer_norm_backward, module)?)?;
    backward.set_item("rms_norm", wrap_pyfunction!(rms_norm_backward, module)?)?;
    module.add("normalizations", forward)?;
    module.add("backward_normalizations", backward)
}
