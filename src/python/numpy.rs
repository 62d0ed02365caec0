//! NumPy's C API: the few parts that are used, as NumPy 2 defines them.
//!
//! Declared here since bindings of the whole API bring in matrices and their products: a quarter of the time that
//! all dependencies take to compile. What is written down, places in two tables of pointers and the
//! first fields of two structures, is fixed for as long as NumPy's binary interface has the version that is checked.

use pyo3::PyTypeInfo;
use pyo3::exceptions::PyImportError;
use pyo3::ffi::{PyObject, PyTypeObject};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{DerefToPyAny, PyCapsule};
use std::cell::UnsafeCell;
use std::ffi::{c_char, c_int, c_uint, c_void};

/// NumPy's numbers of element types.
pub(super) mod type_number {
    use std::ffi::c_int;

    pub(in crate::python) const BOOL: c_int = 0;
    pub(in crate::python) const BYTE: c_int = 1;
    pub(in crate::python) const UBYTE: c_int = 2;
    pub(in crate::python) const SHORT: c_int = 3;
    pub(in crate::python) const USHORT: c_int = 4;
    pub(in crate::python) const INT: c_int = 5;
    pub(in crate::python) const UINT: c_int = 6;
    pub(in crate::python) const LONG: c_int = 7;
    pub(in crate::python) const ULONG: c_int = 8;
    pub(in crate::python) const LONGLONG: c_int = 9;
    pub(in crate::python) const ULONGLONG: c_int = 10;
    pub(in crate::python) const FLOAT: c_int = 11;
    pub(in crate::python) const DOUBLE: c_int = 12;
    pub(in crate::python) const HALF: c_int = 23;
    /// Types of other packages are numbered from here on.
    pub(in crate::python) const FIRST_FOREIGN: c_int = 256;
}

/// A loop of a ufunc: operands, sizes, strides, and the data it was registered with.
pub(super) type LoopFunction =
    unsafe extern "C" fn(*mut *mut c_char, *mut isize, *mut isize, *mut c_void);

/// The functions, under NumPy's names.
#[allow(non_snake_case)]
pub(super) struct Api {
    PyArray_Type: *mut PyTypeObject,
    /// Gives a new reference.
    pub(super) PyArray_DescrFromType: unsafe extern "C" fn(c_int) -> *mut PyObject,
    /// Of the number of axes, the shape, a descriptor, which it takes over, and whether in Fortran's order.
    pub(super) PyArray_Empty:
        unsafe extern "C" fn(c_int, *const isize, *mut PyObject, c_int) -> *mut PyObject,
    /// Of an element, its descriptor, and the array that owns it, or null.
    pub(super) PyArray_Scalar:
        unsafe extern "C" fn(*const c_void, *mut PyObject, *mut PyObject) -> *mut PyObject,
    /// Takes over an array and gives it or a scalar.
    pub(super) PyArray_Return: unsafe extern "C" fn(*mut PyObject) -> *mut PyObject,
    /// Of the loops, their data and types, the numbers of loops, inputs and outputs, the identity, name, doc, a
    /// number without meaning, and the signature of a gufunc, or null.
    pub(super) PyUFunc_FromFuncAndDataAndSignature: unsafe extern "C" fn(
        *const LoopFunction,
        *const *mut c_void,
        *const c_char,
        c_int,
        c_int,
        c_int,
        c_int,
        *const c_char,
        *const c_char,
        c_int,
        *const c_char,
    ) -> *mut PyObject,
    /// Of a ufunc, the number of a foreign type, the loop, the types of its operands, and the loop's data.
    pub(super) PyUFunc_RegisterLoopForType: unsafe extern "C" fn(
        *mut PyObject,
        c_int,
        LoopFunction,
        *const c_int,
        *mut c_void,
    ) -> c_int,
}

// SAFETY: addresses of functions and of a static type object.
unsafe impl Send for Api {}
// SAFETY: as above; none of them is ever written.
unsafe impl Sync for Api {}

impl Api {
    /// The functions of the NumPy that is installed; only the first call can fail.
    pub(super) fn get(py: Python<'_>) -> PyResult<&'static Self> {
        static API: PyOnceLock<Api> = PyOnceLock::new();
        API.get_or_try_init(py, || Self::load(py))
    }

    fn load(py: Python<'_>) -> PyResult<Self> {
        const VERSION: c_uint = 0x0200_0000;
        let table = |module: &str, name: &str| -> PyResult<*const *const c_void> {
            let capsule = py.import(module)?.getattr(name)?.cast_into::<PyCapsule>()?;
            let table = capsule.pointer_checked(None)?;
            // The table lives as long as its capsule: for ever.
            std::mem::forget(capsule);
            Ok(table.as_ptr().cast_const().cast())
        };
        let array = table("numpy._core._multiarray_umath", "_ARRAY_API")?;
        let ufunc = table("numpy._core._multiarray_umath", "_UFUNC_API")?;
        // SAFETY: NumPy's headers give these places in its tables, and these types, to what is read; the place of
        // the version is that in all versions.
        unsafe {
            let version: unsafe extern "C" fn() -> c_uint = entry(array, 0);
            let version = version();
            if version != VERSION {
                return Err(PyImportError::new_err(format!(
                    "actloss_rs needs NumPy's binary interface {VERSION:#x}, this NumPy has {version:#x}"
                )));
            }
            Ok(Self {
                PyArray_Type: entry(array, 2),
                PyArray_DescrFromType: entry(array, 45),
                PyArray_Scalar: entry(array, 60),
                PyArray_Return: entry(array, 76),
                PyArray_Empty: entry(array, 184),
                PyUFunc_RegisterLoopForType: entry(ufunc, 2),
                PyUFunc_FromFuncAndDataAndSignature: entry(ufunc, 31),
            })
        }
    }
}

/// # Safety
/// The table has an entry of this type at this place.
unsafe fn entry<T>(table: *const *const c_void, place: usize) -> T {
    // SAFETY: the caller's promise.
    unsafe { table.add(place).cast::<T>().read() }
}

/// Python's `numpy.ndarray`.
#[repr(transparent)]
pub(super) struct NdArray(PyAny);

impl DerefToPyAny for NdArray {}

// SAFETY: the type object of arrays.
unsafe impl PyTypeInfo for NdArray {
    fn type_object_raw(py: Python<'_>) -> *mut PyTypeObject {
        Api::get(py)
            .expect("NumPy was found at import")
            .PyArray_Type
    }
}

/// What an array object begins with.
#[repr(C)]
pub(super) struct ArrayObject {
    head: UnsafeCell<PyObject>,
    pub(super) data: *mut u8,
    axes: c_int,
    shape: *const usize,
    strides: *const isize,
    base: *mut PyObject,
    descriptor: *const Descriptor,
    flags: c_int,
}

/// What the descriptor of an element type begins with.
#[repr(C)]
pub(super) struct Descriptor {
    head: UnsafeCell<PyObject>,
    scalar: *mut PyTypeObject,
    kind: c_char,
    character: c_char,
    byte_order: c_char,
    unused: c_char,
    pub(super) type_number: c_int,
    flags: u64,
    pub(super) size: isize,
}

impl ArrayObject {
    pub(super) fn of<'a>(array: &'a Bound<'_, NdArray>) -> &'a Self {
        // SAFETY: an array object, which lives as long as the reference to it.
        unsafe { &*array.as_ptr().cast() }
    }

    pub(super) fn shape(&self) -> &[usize] {
        // SAFETY: an array has as many sizes as axes; none of them is negative.
        unsafe { slice_of(self.shape, self.axes) }
    }

    /// In bytes.
    pub(super) fn strides(&self) -> &[isize] {
        // SAFETY: an array has as many strides as axes.
        unsafe { slice_of(self.strides, self.axes) }
    }

    pub(super) fn is_writable(&self) -> bool {
        const WRITEABLE: c_int = 0x0400;
        self.flags & WRITEABLE != 0
    }

    pub(super) fn descriptor(&self) -> &Descriptor {
        // SAFETY: an array holds a reference to its descriptor.
        unsafe { &*self.descriptor }
    }
}

impl Descriptor {
    /// Whether elements are stored in the byte order of other machines.
    pub(super) fn is_swapped(&self) -> bool {
        let other = if cfg!(target_endian = "little") {
            b'>'
        } else {
            b'<'
        };
        self.byte_order as u8 == other
    }
}

/// # Safety
/// `first` points to `len` elements, if there are any.
unsafe fn slice_of<'a, T>(first: *const T, len: c_int) -> &'a [T] {
    match usize::try_from(len) {
        // SAFETY: the caller's promise.
        Ok(len) if len > 0 => unsafe { std::slice::from_raw_parts(first, len) },
        _ => &[],
    }
}
