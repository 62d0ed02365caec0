//! NumPy arrays as operands: what is accepted, its element type and layout, results, overlap.
//!
//! Nothing is copied: an exact `ndarray` is used where it lies, whatever its strides, alignment and byte
//! order; anything else goes through `np.asarray` once.

use crate::driver::operand::{Operand, OperandMut};
use crate::dtype::Dtype;
use numpy::npyffi::{
    _PyArray_GET_ITEM_DATA, NPY_ARRAY_WRITEABLE, NPY_TYPES, PY_ARRAY_API, npy_intp,
};
use numpy::{PyArrayDescr, PyArrayDescrMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyFloat, PyInt};
use std::ffi::{c_int, c_long};
use std::sync::atomic::{AtomicI32, Ordering};

static ASARRAY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static SHARES_MEMORY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static MASKED_ARRAY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// `np.asarray(object)`.
pub(super) fn asarray<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    ASARRAY
        .import(object.py(), "numpy", "asarray")?
        .call1((object,))
}

/// An argument as an array.
#[derive(Clone)]
pub(super) struct Array<'py> {
    pub(super) object: Bound<'py, PyUntypedArray>,
    pub(super) dtype: Dtype,
    /// Whether the bytes are in the other order.
    pub(super) swapped: bool,
    /// Whether this was a Python scalar, which takes no part in type promotion (NEP 50).
    pub(super) weak: bool,
}

impl<'py> Array<'py> {
    /// The array that `object` is or converts to; `argument` is its name in errors.
    pub(super) fn new(object: &Bound<'py, PyAny>, argument: &str) -> PyResult<Self> {
        if let Ok(array) = object.cast_exact::<PyUntypedArray>() {
            return Self::of(array.clone(), argument, false);
        }
        refuse_masked(object, argument)?;
        refuse_dask(object, argument)?;
        Self::converted(object, argument)
    }

    /// What `np.asarray` makes of `object`.
    pub(super) fn converted(object: &Bound<'py, PyAny>, argument: &str) -> PyResult<Self> {
        let weak = object.is_exact_instance_of::<PyFloat>()
            || object.is_exact_instance_of::<PyInt>()
            || object.is_exact_instance_of::<PyBool>();
        let array = asarray(object)?;
        Self::of(array.cast_into::<PyUntypedArray>()?, argument, weak)
    }

    /// An array; `weak` if it is made of a Python scalar.
    pub(super) fn of(
        array: Bound<'py, PyUntypedArray>,
        argument: &str,
        weak: bool,
    ) -> PyResult<Self> {
        let descriptor = array.dtype();
        let Some(dtype) = dtype_of(&descriptor)? else {
            return Err(PyTypeError::new_err(format!(
                "{argument} has dtype {descriptor}; expected float16, bfloat16, float32, float64, \
                 integers or bool"
            )));
        };
        Ok(Self {
            swapped: descriptor.is_native_byteorder() == Some(false),
            object: array,
            dtype,
            weak,
        })
    }

    /// An `out` argument: an array that can be written.
    pub(super) fn writable(object: &Bound<'py, PyAny>) -> PyResult<Self> {
        refuse_masked(object, "out")?;
        let Ok(array) = object.cast::<PyUntypedArray>() else {
            return Err(PyTypeError::new_err(format!(
                "out must be a NumPy array, got {}",
                object.get_type().name()?
            )));
        };
        let out = Self::of(array.clone(), "out", false)?;
        if out.flags() & NPY_ARRAY_WRITEABLE == 0 {
            return Err(PyValueError::new_err("out is read-only"));
        }
        if out.overlaps_itself() {
            return Err(PyValueError::new_err(
                "out has elements that share memory, as a broadcast view does",
            ));
        }
        Ok(out)
    }

    /// A copy, in the same order of axes.
    pub(super) fn copy(&self) -> PyResult<Self> {
        let copy = self.object.call_method1("copy", ("K",))?;
        Self::of(copy.cast_into::<PyUntypedArray>()?, "", self.weak)
    }

    /// The array, or the NumPy scalar that stands for one without axes.
    pub(super) fn into_scalar_or_array(self) -> PyResult<Bound<'py, PyAny>> {
        if !self.shape().is_empty() {
            return Ok(self.object.into_any());
        }
        let py = self.object.py();
        let array = self.object.into_any().into_ptr().cast();
        // SAFETY: PyArray_Return takes over the reference to the array and returns a new one.
        unsafe { Bound::from_owned_ptr_or_err(py, PY_ARRAY_API.PyArray_Return(py, array)) }
    }

    pub(super) fn shape(&self) -> &[usize] {
        self.object.shape()
    }

    pub(super) fn strides(&self) -> &[isize] {
        self.object.strides()
    }

    pub(super) fn data(&self) -> *mut u8 {
        // SAFETY: the pointer is to a live array object.
        unsafe {
            (*_PyArray_GET_ITEM_DATA(self.object.as_array_ptr()))
                .data
                .cast()
        }
    }

    fn flags(&self) -> c_int {
        // SAFETY: the pointer is to a live array object.
        unsafe { (*_PyArray_GET_ITEM_DATA(self.object.as_array_ptr())).flags }
    }

    /// The elements with these axes: a permutation of the array's own, or more with stride 0.
    ///
    /// # Safety
    /// `shape` and `strides` describe elements of this array only, and the array outlives `'a`, unwritten
    /// but for an [`OperandMut`] with the very same elements.
    pub(super) unsafe fn operand<'a>(&self, shape: &[usize], strides: &[isize]) -> Operand<'a> {
        // SAFETY: NumPy's arrays describe valid memory; the rest is the caller's promise.
        unsafe { Operand::new(self.data(), self.dtype, self.swapped, shape, strides) }
    }

    /// As [`Array::operand`], to write to.
    ///
    /// # Safety
    /// The array is writable, without overlapping elements, outlives `'a`, and shares memory with no other
    /// operand but one that is exactly itself.
    pub(super) unsafe fn operand_mut<'a>(
        &self,
        shape: &[usize],
        strides: &[isize],
    ) -> OperandMut<'a> {
        // SAFETY: as above.
        unsafe { OperandMut::new(self.data(), self.dtype, self.swapped, shape, strides) }
    }

    /// A new array in C order.
    pub(super) fn empty(py: Python<'py>, shape: &[usize], dtype: Dtype) -> PyResult<Self> {
        // SAFETY: sizes of an array fit into npy_intp, which has the layout of usize; the descriptor is a
        // new reference, which NumPy takes over, or null, which it reports.
        let array = unsafe {
            let descriptor = PY_ARRAY_API.PyArray_DescrFromType(py, type_number(dtype));
            let array = PY_ARRAY_API.PyArray_Empty(
                py,
                shape.len() as c_int,
                shape.as_ptr().cast::<npy_intp>().cast_mut(),
                descriptor,
                0,
            );
            Bound::from_owned_ptr_or_err(py, array)?
        };
        Ok(Self {
            object: array.cast_into::<PyUntypedArray>()?,
            dtype,
            swapped: false,
            weak: false,
        })
    }

    /// The element at `index`, as Python writes it.
    pub(super) fn item(&self, index: &[usize]) -> String {
        let index = pyo3::types::PyTuple::new(self.object.py(), index);
        index
            .and_then(|index| self.object.get_item(index))
            .and_then(|item| Ok(item.str()?.to_string()))
            .unwrap_or_else(|_| "?".to_owned())
    }

    /// Whether `other` has the very same elements.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        self.data() == other.data()
            && self.dtype == other.dtype
            && self.swapped == other.swapped
            && self.shape() == other.shape()
            && self
                .shape()
                .iter()
                .zip(self.strides().iter().zip(other.strides()))
                .all(|(&size, (a, b))| size <= 1 || a == b)
    }

    /// The addresses from the first byte to beyond the last; None of an empty array.
    fn extent(&self) -> Option<(usize, usize)> {
        let (mut low, mut high) = (self.data() as isize, self.data() as isize);
        for (&size, &stride) in self.shape().iter().zip(self.strides()) {
            let reach = (size as isize).checked_sub(1).filter(|&last| last >= 0)? * stride;
            if reach < 0 {
                low += reach;
            } else {
                high += reach;
            }
        }
        Some((low as usize, high as usize + self.dtype.size()))
    }

    /// Whether the two arrays have a byte in common.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let (Some((low, high)), Some((other_low, other_high))) = (self.extent(), other.extent())
        else {
            return false;
        };
        if high <= other_low || other_high <= low {
            return false;
        }
        // Views may interleave without touching: NumPy solves that, or finds it too hard.
        SHARES_MEMORY
            .import(self.object.py(), "numpy", "shares_memory")
            .and_then(|shares| {
                shares
                    .call1((&self.object, &other.object, 1_000_000))?
                    .extract()
            })
            .unwrap_or(true)
    }

    /// Whether two elements may share memory: not if each stride steps over all that smaller ones reach.
    fn overlaps_itself(&self) -> bool {
        let mut axes: Vec<_> = (self.shape().iter().zip(self.strides()))
            .filter(|&(&size, _)| size > 1)
            .map(|(&size, &stride)| (stride.unsigned_abs(), size))
            .collect();
        axes.sort_unstable();
        let mut reach = self.dtype.size();
        self.object.len() > 1
            && axes.iter().any(|&(stride, size)| {
                let overlaps = stride < reach;
                reach += (size - 1) * stride;
                overlaps
            })
    }
}

/// A `np.float64`.
pub(super) fn float64(py: Python<'_>, value: f64) -> PyResult<Bound<'_, PyAny>> {
    // SAFETY: NumPy copies one float64 from the address of `value`; the descriptor is a new reference,
    // which it does not take over.
    unsafe {
        let descriptor = PY_ARRAY_API.PyArray_DescrFromType(py, NPY_TYPES::NPY_DOUBLE as c_int);
        let _owner = Bound::from_owned_ptr_or_err(py, descriptor.cast())?;
        let scalar = PY_ARRAY_API.PyArray_Scalar(
            py,
            (&raw const value).cast_mut().cast(),
            descriptor,
            std::ptr::null_mut(),
        );
        Bound::from_owned_ptr_or_err(py, scalar)
    }
}

/// A shape as Python writes it.
pub(super) fn tuple(numbers: &[usize]) -> String {
    match numbers {
        [number] => format!("({number},)"),
        numbers => format!("({})", joined(numbers)),
    }
}

/// Numbers, separated by commas.
pub(super) fn joined(numbers: &[usize]) -> String {
    let numbers: Vec<_> = numbers.iter().map(usize::to_string).collect();
    numbers.join(", ")
}

fn refuse_masked(object: &Bound<'_, PyAny>, argument: &str) -> PyResult<()> {
    let masked = MASKED_ARRAY.import(object.py(), "numpy.ma", "MaskedArray")?;
    if object.is_instance(masked)? {
        return Err(PyTypeError::new_err(format!(
            "{argument} is a masked array, and a loss would ignore its mask; give masked elements \
             sample_weight 0, or pass {argument}.compressed()"
        )));
    }
    Ok(())
}

/// Dask arrays, and xarray's that hold one, would be loaded into memory whole.
fn refuse_dask(object: &Bound<'_, PyAny>, argument: &str) -> PyResult<()> {
    let module = object.get_type().module()?;
    let module = module.to_cow()?;
    let lazy = match module.split('.').next() {
        Some("dask" | "dask_expr") => true,
        Some("xarray") => object
            .getattr("chunks")
            .is_ok_and(|chunks| !chunks.is_none() && chunks.is_truthy().unwrap_or(true)),
        _ => false,
    };
    if lazy {
        return Err(PyTypeError::new_err(format!(
            "{argument} is a Dask collection; use actloss_rs.dask.evaluate, which does not load it whole"
        )));
    }
    Ok(())
}

/// The type number that `ml_dtypes` was given for bfloat16, once one has been seen.
static BFLOAT16: AtomicI32 = AtomicI32::new(-1);

/// The element type of a descriptor, if it is one of ours.
fn dtype_of(descriptor: &Bound<'_, PyArrayDescr>) -> PyResult<Option<Dtype>> {
    const BOOL: c_int = NPY_TYPES::NPY_BOOL as c_int;
    const BYTE: c_int = NPY_TYPES::NPY_BYTE as c_int;
    const UBYTE: c_int = NPY_TYPES::NPY_UBYTE as c_int;
    const SHORT: c_int = NPY_TYPES::NPY_SHORT as c_int;
    const USHORT: c_int = NPY_TYPES::NPY_USHORT as c_int;
    const INT: c_int = NPY_TYPES::NPY_INT as c_int;
    const UINT: c_int = NPY_TYPES::NPY_UINT as c_int;
    const LONG: c_int = NPY_TYPES::NPY_LONG as c_int;
    const ULONG: c_int = NPY_TYPES::NPY_ULONG as c_int;
    const LONGLONG: c_int = NPY_TYPES::NPY_LONGLONG as c_int;
    const ULONGLONG: c_int = NPY_TYPES::NPY_ULONGLONG as c_int;
    const HALF: c_int = NPY_TYPES::NPY_HALF as c_int;
    const FLOAT: c_int = NPY_TYPES::NPY_FLOAT as c_int;
    const DOUBLE: c_int = NPY_TYPES::NPY_DOUBLE as c_int;
    const LONG_IS_64: bool = size_of::<c_long>() == 8;
    let number = descriptor.num();
    Ok(Some(match number {
        FLOAT => Dtype::Float32,
        DOUBLE => Dtype::Float64,
        HALF => Dtype::Float16,
        BOOL => Dtype::Bool,
        BYTE => Dtype::Int8,
        UBYTE => Dtype::UInt8,
        SHORT => Dtype::Int16,
        USHORT => Dtype::UInt16,
        LONG if LONG_IS_64 => Dtype::Int64,
        ULONG if LONG_IS_64 => Dtype::UInt64,
        INT | LONG => Dtype::Int32,
        UINT | ULONG => Dtype::UInt32,
        LONGLONG => Dtype::Int64,
        ULONGLONG => Dtype::UInt64,
        number if number == BFLOAT16.load(Ordering::Relaxed) => Dtype::BFloat16,
        // Types of other packages are numbered from 256 on.
        number if number >= 256 && descriptor.itemsize() == 2 => {
            let scalar = descriptor.typeobj();
            if scalar.name()? != "bfloat16" || !scalar.module()?.to_cow()?.contains("ml_dtypes") {
                return Ok(None);
            }
            BFLOAT16.store(number, Ordering::Relaxed);
            Dtype::BFloat16
        }
        _ => return Ok(None),
    }))
}

/// NumPy's number of a type that results have.
fn type_number(dtype: Dtype) -> c_int {
    let number = match dtype {
        Dtype::Bool => NPY_TYPES::NPY_BOOL,
        Dtype::UInt32 => NPY_TYPES::NPY_UINT,
        Dtype::Float16 => NPY_TYPES::NPY_HALF,
        Dtype::Float32 => NPY_TYPES::NPY_FLOAT,
        Dtype::Float64 => NPY_TYPES::NPY_DOUBLE,
        Dtype::BFloat16 => return BFLOAT16.load(Ordering::Relaxed),
        _ => unreachable!("no result is of type {dtype:?}"),
    };
    number as c_int
}
