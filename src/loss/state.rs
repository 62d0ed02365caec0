//! The state of a metric as bytes: the loss, its options, and the exact totals.
//!
//! Magic and version, then fields of little-endian numbers and length-prefixed strings, then a checksum:
//! bytes from elsewhere, cut off or changed are refused. Options go by name, so a loss that gains an
//! option still reads what was saved before, with the option's default value.

use super::options::OptionValue;
use super::{Definition, Loss, Reduction, Totals};
use crate::reduction::exact::{ENCODED_LEN, ExactSum};

const MAGIC: &[u8; 14] = b"actloss metric";
const VERSION: u8 = 1;
const CHECKSUM_LEN: usize = 8;

/// The bytes of a metric: of equal states, equal bytes.
#[must_use]
pub fn encode(loss: &dyn Loss, reduction: Reduction, totals: &Totals) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.push(VERSION);
    put_text(&mut bytes, loss.name());
    put_text(&mut bytes, reduction.name());
    let values = loss.options();
    bytes.push(values.len() as u8);
    for (name, value) in loss.option_names().iter().zip(&values) {
        put_text(&mut bytes, name);
        put_value(&mut bytes, value);
    }
    bytes.extend(totals.count.to_le_bytes());
    bytes.extend(totals.sum.to_bytes());
    bytes.extend(totals.weight.to_bytes());
    bytes.extend(checksum(&bytes).to_le_bytes());
    bytes
}

/// The metric of these bytes.
///
/// # Errors
/// What is wrong with them.
pub fn decode(bytes: &[u8]) -> Result<(Box<dyn Loss>, Reduction, Totals), String> {
    let Some((content, sum)) = bytes.split_last_chunk::<CHECKSUM_LEN>() else {
        return Err("these bytes are not a metric".to_owned());
    };
    let Some(content_after_magic) = content.strip_prefix(MAGIC) else {
        return Err("these bytes are not a metric".to_owned());
    };
    if checksum(content) != u64::from_le_bytes(*sum) {
        return Err("the bytes of this metric are damaged".to_owned());
    }
    let mut reader = Reader(content_after_magic);
    match reader.byte()? {
        VERSION => {}
        version => {
            return Err(format!(
                "these bytes are a metric of format {version}, this version reads {VERSION}"
            ));
        }
    }
    let name = reader.text()?;
    let definition = Definition::find(&name)
        .ok_or_else(|| format!("these bytes are of a loss unknown here: {name:?}"))?;
    let reduction = reader.text()?;
    let reduction = Reduction::from_name(&reduction)
        .filter(|&reduction| reduction != Reduction::None)
        .ok_or_else(|| format!("these bytes have an unknown reduction: {reduction:?}"))?;
    let mut values = (definition.defaults)();
    for _ in 0..reader.byte()? {
        let option = reader.text()?;
        let value = reader.value()?;
        let index = definition.options.iter().position(|known| *known == option);
        let index =
            index.ok_or_else(|| format!("these bytes have an unknown option: {option:?}"))?;
        values[index] = value;
    }
    let loss = (definition.new)(&values).map_err(|error| {
        format!(
            "these bytes have a wrong option: {} {}",
            error.name, error.message
        )
    })?;
    let totals = Totals {
        count: u64::from_le_bytes(reader.array()?),
        sum: reader.exact_sum()?,
        weight: reader.exact_sum()?,
    };
    if reader.0.is_empty() {
        Ok((loss, reduction, totals))
    } else {
        Err("the bytes of this metric are followed by others".to_owned())
    }
}

/// FNV-1a, 64 bits: any changed byte changes it.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.push(text.len() as u8);
    bytes.extend(text.as_bytes());
}

fn put_value(bytes: &mut Vec<u8>, value: &OptionValue) {
    match value {
        OptionValue::None => bytes.push(0),
        OptionValue::Bool(flag) => bytes.extend([1, u8::from(*flag)]),
        OptionValue::Int(integer) => {
            bytes.push(2);
            bytes.extend(integer.to_le_bytes());
        }
        OptionValue::Float(number) => {
            bytes.push(3);
            bytes.extend(number.to_le_bytes());
        }
        OptionValue::Floats(numbers) => {
            bytes.push(4);
            bytes.extend((numbers.len() as u64).to_le_bytes());
            bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        }
    }
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self
            .0
            .split_at_checked(n)
            .ok_or("the bytes of this metric are cut off")?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn byte(&mut self) -> Result<u8, String> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn text(&mut self) -> Result<String, String> {
        let length = self.byte()?;
        let text = self.take(length.into())?.to_vec();
        String::from_utf8(text).map_err(|_| "the bytes of this metric have no text".to_owned())
    }

    fn value(&mut self) -> Result<OptionValue, String> {
        Ok(match self.byte()? {
            0 => OptionValue::None,
            1 => OptionValue::Bool(self.byte()? != 0),
            2 => OptionValue::Int(i64::from_le_bytes(self.array()?)),
            3 => OptionValue::Float(f64::from_le_bytes(self.array()?)),
            4 => {
                let count = u64::from_le_bytes(self.array()?);
                let size = usize::try_from(count)
                    .ok()
                    .and_then(|count| count.checked_mul(size_of::<f64>()));
                let numbers = self.take(size.unwrap_or(usize::MAX))?.as_chunks().0;
                OptionValue::Floats(numbers.iter().map(|n| f64::from_le_bytes(*n)).collect())
            }
            kind => {
                return Err(format!(
                    "the bytes of this metric have an option of kind {kind}"
                ));
            }
        })
    }

    fn exact_sum(&mut self) -> Result<ExactSum, String> {
        ExactSum::from_bytes(self.take(ENCODED_LEN)?)
            .map_err(|error| format!("the bytes of this metric have a wrong sum: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::MeanSquaredError;

    fn state() -> (Totals, Vec<u8>) {
        let mut totals = Totals {
            count: 3,
            ..Totals::new()
        };
        totals.sum.add(0.1);
        totals.weight.add(1e300);
        let bytes = encode(&MeanSquaredError::default(), Reduction::Mean, &totals);
        (totals, bytes)
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let (totals, bytes) = state();
        let (loss, reduction, decoded) = decode(&bytes).unwrap();
        assert_eq!(loss.name(), "mean_squared_error");
        assert_eq!(reduction, Reduction::Mean);
        assert_eq!(decoded, totals);
    }

    #[test]
    fn any_damage_is_noticed() {
        let (_, bytes) = state();
        for end in 0..bytes.len() {
            assert!(decode(&bytes[..end]).is_err());
        }
        for index in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[index] ^= 1 << bit;
                assert!(decode(&damaged).is_err());
            }
        }
        assert!(decode(&[&bytes[..], b"more"].concat()).is_err());
    }
}
