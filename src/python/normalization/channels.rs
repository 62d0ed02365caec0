//! Batch normalisation and its gradient.

#![allow(
    clippy::needless_pass_by_value,
    clippy::doc_markdown,
    clippy::too_many_arguments,
    reason = "a Python function owns its arguments, and its docstring is not Markdown"
)]

use super::super::arrays::{Array, tuple};
use super::super::axes::{Axes, Split};
use super::super::axis::{Output, apart, result_dtype};
use super::parameter::{Parameter, write};
use super::{check_epsilon, gradient_and_input, input, interruptible};
use crate::driver::floating_point::FloatingPointGuard;
use crate::driver::operand::{Operand, OperandMut};
use crate::level::Level;
use crate::normalization::Channels;
use crate::normalization::batch::{self, Statistics};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

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
pub(super) fn batch_norm<'py>(
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
        let (batch_mean, batch_variance) = interruptible(py, |keep_going| {
            batch::normalise(
                &view, &operand, None, parameters, epsilon, &result, keep_going,
            )
        })?;
        if view.samples > 0 {
            let n = view.samples as f64;
            for (running, batch, factor) in [
                (mean, &batch_mean, 1.0),
                (variance, &batch_variance, n / (n - 1.0)),
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
pub(super) fn batch_norm_backward<'py>(
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
