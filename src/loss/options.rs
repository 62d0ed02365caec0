//! The options of a loss: declared once, next to its formula, and read by name or position from there.
//!
//! A loss is the struct of its options. What calls it (the Python functions, a metric's saved state)
//! hands over plain values in the order of the declaration, and gets them back the same way, so an
//! option is nowhere repeated in Rust.

use std::fmt;

/// The value of an option, as a caller gives it and as a metric saves it; displayed as in Python.
#[derive(Clone, Debug, PartialEq)]
pub enum OptionValue {
    /// Not given.
    None,
    /// A flag.
    Bool(bool),
    /// An integer, such as a class id or an axis.
    Int(i64),
    /// A real number.
    Float(f64),
    /// One number for each class or label.
    Floats(Vec<f64>),
}

impl fmt::Display for OptionValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Bool(true) => f.write_str("True"),
            Self::Bool(false) => f.write_str("False"),
            Self::Int(integer) => write!(f, "{integer}"),
            Self::Float(number) => f.write_str(&python_float(*number)),
            Self::Floats(numbers) => {
                let numbers: Vec<_> = numbers.iter().copied().map(python_float).collect();
                write!(f, "[{}]", numbers.join(", "))
            }
        }
    }
}

/// A number as Python writes it.
fn python_float(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    let text = format!("{number:?}");
    let Some((digits, exponent)) = text.split_once('e') else {
        return text;
    };
    let (sign, size) = exponent
        .strip_prefix('-')
        .map_or(('+', exponent), |size| ('-', size));
    format!("{digits}e{sign}{size:0>2}")
}

/// An option that is not what the loss can work with.
#[derive(Clone, Debug, PartialEq)]
pub struct OptionError {
    /// Its name.
    pub name: &'static str,
    /// What is wrong, to be read after the name: "must be ..., got ...".
    pub message: String,
    /// Whether the type is wrong, not the value.
    pub wrong_type: bool,
}

impl OptionError {
    /// A value that is out of range.
    #[must_use]
    pub fn value(name: &'static str, message: String) -> Self {
        Self {
            name,
            message,
            wrong_type: false,
        }
    }
}

/// A type that an option may have.
pub trait OptionType: Sized {
    /// What it is called in an error message.
    const EXPECTED: &'static str;

    /// From a value of a suitable kind.
    fn from_value(value: &OptionValue) -> Option<Self>;

    /// The value, for [`OptionType::from_value`].
    fn to_value(&self) -> OptionValue;
}

impl OptionType for bool {
    const EXPECTED: &'static str = "a bool";

    fn from_value(value: &OptionValue) -> Option<Self> {
        match value {
            OptionValue::Bool(flag) => Some(*flag),
            _ => None,
        }
    }
    fn to_value(&self) -> OptionValue {
        OptionValue::Bool(*self)
    }
}

impl OptionType for i64 {
    const EXPECTED: &'static str = "an integer";

    fn from_value(value: &OptionValue) -> Option<Self> {
        match value {
            OptionValue::Int(integer) => Some(*integer),
            _ => None,
        }
    }
    fn to_value(&self) -> OptionValue {
        OptionValue::Int(*self)
    }
}

impl OptionType for f64 {
    const EXPECTED: &'static str = "a number";

    fn from_value(value: &OptionValue) -> Option<Self> {
        match value {
            OptionValue::Float(number) => Some(*number),
            OptionValue::Int(integer) => Some(*integer as f64),
            _ => None,
        }
    }
    fn to_value(&self) -> OptionValue {
        OptionValue::Float(*self)
    }
}

impl OptionType for Vec<f64> {
    const EXPECTED: &'static str = "a number or a one-dimensional array of numbers";

    fn from_value(value: &OptionValue) -> Option<Self> {
        match value {
            OptionValue::Floats(numbers) => Some(numbers.clone()),
            number => f64::from_value(number).map(|number| vec![number]),
        }
    }
    fn to_value(&self) -> OptionValue {
        OptionValue::Floats(self.clone())
    }
}

/// One number for each class, or one for all.
#[derive(Clone, Debug)]
pub struct ForEachClass(Vec<f64>);

impl ForEachClass {
    /// The numbers; a single one is for all classes.
    #[must_use]
    pub fn numbers(&self) -> &[f64] {
        &self.0
    }
}

impl From<f64> for ForEachClass {
    fn from(number: f64) -> Self {
        Self(vec![number])
    }
}

impl OptionType for ForEachClass {
    const EXPECTED: &'static str = Vec::<f64>::EXPECTED;

    fn from_value(value: &OptionValue) -> Option<Self> {
        Vec::from_value(value).map(Self)
    }
    fn to_value(&self) -> OptionValue {
        match self.0[..] {
            [number] => OptionValue::Float(number),
            _ => OptionValue::Floats(self.0.clone()),
        }
    }
}

impl<T: OptionType> OptionType for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn from_value(value: &OptionValue) -> Option<Self> {
        match value {
            OptionValue::None => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
    fn to_value(&self) -> OptionValue {
        self.as_ref().map_or(OptionValue::None, T::to_value)
    }
}

/// A loss as the struct of its options; made by [`define_loss!`].
pub trait Options: Default + Send + Sync + 'static {
    /// The name of the loss: that of the Python function.
    const NAME: &'static str;

    /// The names of the options, in the order of the values below.
    const OPTIONS: &'static [&'static str];

    /// The loss with these options, unchecked.
    ///
    /// # Errors
    /// When there are not as many values as options, or one has the wrong type.
    fn from_values(values: &[OptionValue]) -> Result<Self, OptionError>;

    /// The options.
    fn to_values(&self) -> Vec<OptionValue>;
}

/// Declare a loss: its name, and its options with their types and default values.
macro_rules! define_loss {
    (
        $name:literal:
        $(#[$attribute:meta])*
        pub struct $Loss:ident {
            $( $(#[$option_attribute:meta])* $option:ident: $type:ty = $default:expr, )*
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Debug)]
        pub struct $Loss {
            $( $(#[$option_attribute])* pub $option: $type, )*
        }

        impl Default for $Loss {
            fn default() -> Self {
                Self { $( $option: $default, )* }
            }
        }

        impl $crate::loss::Options for $Loss {
            const NAME: &'static str = $name;
            const OPTIONS: &'static [&'static str] = &[$( stringify!($option) ),*];

            fn from_values(
                values: &[$crate::loss::OptionValue],
            ) -> Result<Self, $crate::loss::OptionError> {
                let mut values = values.iter();
                let loss = Self {
                    $( $option: $crate::loss::options::read(stringify!($option), values.next())?, )*
                };
                match values.next() {
                    None => Ok(loss),
                    Some(_) => Err($crate::loss::options::too_many(Self::NAME)),
                }
            }

            fn to_values(&self) -> Vec<$crate::loss::OptionValue> {
                vec![$( $crate::loss::OptionType::to_value(&self.$option) ),*]
            }
        }
    };
}
pub(crate) use define_loss;

/// One option of [`Options::from_values`].
pub(crate) fn read<T: OptionType>(
    name: &'static str,
    value: Option<&OptionValue>,
) -> Result<T, OptionError> {
    value.and_then(T::from_value).ok_or_else(|| OptionError {
        name,
        message: format!(
            "must be {}, got {}",
            T::EXPECTED,
            value.unwrap_or(&OptionValue::None)
        ),
        wrong_type: true,
    })
}

/// More values than options.
pub(crate) fn too_many(loss: &'static str) -> OptionError {
    OptionError {
        name: loss,
        message: "has fewer options than it was given values".to_owned(),
        wrong_type: true,
    }
}

/// Check that an option lies in `[low, high]`; NaN does not.
///
/// # Errors
/// When it does not.
pub fn check_range(name: &'static str, value: f64, low: f64, high: f64) -> Result<(), OptionError> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    let value = python_float(value);
    let message = match (low, high) {
        (low, f64::INFINITY) => format!("must be at least {low:?}, got {value}"),
        _ => format!("must be in [{low:?}, {high:?}], got {value}"),
    };
    Err(OptionError::value(name, message))
}

/// Check that an option is greater than 0; NaN is not.
///
/// # Errors
/// When it is not.
pub fn check_positive(name: &'static str, value: f64) -> Result<(), OptionError> {
    if value > 0.0 {
        return Ok(());
    }
    let message = format!("must be greater than 0, got {}", python_float(value));
    Err(OptionError::value(name, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_look_as_in_python() {
        let shown = [1e-6, -2.5e-300, 1e16, 0.0001, 100.0, f64::INFINITY].map(python_float);
        let expected = ["1e-06", "-2.5e-300", "1e+16", "0.0001", "100.0", "inf"];
        assert_eq!(shown, expected);
        assert_eq!(python_float(f64::NAN), "nan");
    }
}
