//! The budgets: data, in `budgets.txt`.

use super::subject::Quantity;

/// The largest errors allowed of one function, in ulps.
#[derive(Clone, Debug)]
pub struct Budget {
    /// The activation.
    pub name: &'static str,
    ulps: [f64; 4],
}

impl Budget {
    /// The budget of a quantity in `float32` or `float64`.
    pub fn ulps(&self, quantity: Quantity, precision: i64) -> f64 {
        self.ulps[2 * usize::from(quantity == Quantity::Derivative) + usize::from(precision == 53)]
    }
}

/// All rows of the table.
pub fn budgets() -> Vec<Budget> {
    let rows = include_str!("budgets.txt").lines();
    rows.filter(|row| !row.starts_with('#') && !row.is_empty())
        .map(|row| {
            let mut words = row.split_whitespace();
            let name = words.next().expect("a name");
            let ulps: Vec<f64> = words.map(|word| word.parse().expect("a number")).collect();
            Budget {
                name,
                ulps: ulps.try_into().expect("four budgets"),
            }
        })
        .collect()
}
