//! The argument `axis`, and what it makes of shapes and strides.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::borrow::Cow;

/// The argument `axis`.
pub(super) enum Axes {
    All,
    One(isize),
    Several(Vec<isize>),
}

impl<'py> FromPyObject<'_, 'py> for Axes {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if object.is_none() {
            Ok(Self::All)
        } else if let Ok(axes) = object.cast::<PyTuple>() {
            axes.iter()
                .map(|axis| axis.extract())
                .collect::<PyResult<_>>()
                .map(Self::Several)
        } else {
            object.extract().map(Self::One)
        }
    }
}

/// The axes of an array, those that are kept before those that are reduced.
pub(super) enum Split {
    /// The last so many are reduced, so that they are in order.
    Trailing(usize),
    /// These are kept and these are reduced, each in order.
    Any(Vec<usize>, Vec<usize>),
}

impl Split {
    pub(super) fn new(py: Python<'_>, axes: &Axes, dimensions: usize) -> PyResult<Self> {
        match axes {
            Axes::All => Ok(Self::Trailing(dimensions)),
            // As in NumPy's own reductions of a number.
            Axes::One(-1 | 0) if dimensions == 0 => Ok(Self::Trailing(0)),
            &Axes::One(axis) => {
                let index = index(py, axis, dimensions)?;
                if index + 1 == dimensions {
                    return Ok(Self::Trailing(1));
                }
                let kept = (0..dimensions).filter(|&other| other != index);
                Ok(Self::Any(kept.collect(), vec![index]))
            }
            Axes::Several(axes) => {
                let mut is_reduced = vec![false; dimensions];
                for &axis in axes {
                    let slot = &mut is_reduced[index(py, axis, dimensions)?];
                    if std::mem::replace(slot, true) {
                        return Err(PyValueError::new_err("duplicate value in 'axis'"));
                    }
                }
                let (reduced, kept) = (0..dimensions).partition(|&axis| is_reduced[axis]);
                Ok(Self::Any(kept, reduced))
            }
        }
    }

    /// A shape or strides with the reduced axes last.
    pub(super) fn order<'a, T: Copy>(&self, of_axes: &'a [T]) -> Cow<'a, [T]> {
        match self {
            Self::Trailing(_) => Cow::Borrowed(of_axes),
            Self::Any(kept, reduced) => {
                let axes = kept.iter().chain(reduced);
                Cow::Owned(axes.map(|&axis| of_axes[axis]).collect())
            }
        }
    }

    /// A shape or strides without the reduced axes.
    pub(super) fn kept<'a, T: Copy>(&self, of_axes: &'a [T]) -> Cow<'a, [T]> {
        match self {
            Self::Trailing(reduced) => Cow::Borrowed(&of_axes[..of_axes.len() - reduced]),
            Self::Any(kept, _) => Cow::Owned(kept.iter().map(|&axis| of_axes[axis]).collect()),
        }
    }

    /// Elements of a row.
    pub(super) fn columns(&self, shape: &[usize]) -> usize {
        match self {
            Self::Trailing(reduced) => shape[shape.len() - reduced..].iter().product(),
            Self::Any(_, reduced) => reduced.iter().map(|&axis| shape[axis]).product(),
        }
    }

    /// The shape of a reduction, with the reduced axes of length 1 or without them.
    pub(super) fn reduce<'a>(&self, shape: &'a [usize], keepdims: bool) -> Cow<'a, [usize]> {
        if !keepdims {
            return self.kept(shape);
        }
        let mut result = shape.to_vec();
        match self {
            Self::Trailing(reduced) => result[shape.len() - reduced..].fill(1),
            Self::Any(_, reduced) => reduced.iter().for_each(|&axis| result[axis] = 1),
        }
        Cow::Owned(result)
    }
}

/// An axis that may be counted from the end.
fn index(py: Python<'_>, axis: isize, dimensions: usize) -> PyResult<usize> {
    let index = if axis < 0 {
        axis.checked_add_unsigned(dimensions)
    } else {
        Some(axis)
    };
    index
        .and_then(|index| usize::try_from(index).ok())
        .filter(|&index| index < dimensions)
        .ok_or_else(|| axis_error(py, axis, dimensions))
}

#[cold]
fn axis_error(py: Python<'_>, axis: isize, dimensions: usize) -> PyErr {
    let error = py
        .import("numpy.exceptions")
        .and_then(|module| module.getattr("AxisError"))
        .and_then(|error| error.call1((axis, dimensions)));
    match error {
        Ok(error) => PyErr::from_value(error),
        Err(error) => error,
    }
}
