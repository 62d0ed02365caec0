//! Rows against references that share nothing with them: sums in double-double arithmetic from
//! exponentials by Taylor series. Every check runs on every SIMD level of the machine.

use super::softmax::*;
use crate::driver::operand::{Operand, OperandMut};
use crate::dtype::{Bf16, Dtype, Storage};
use crate::level::Level;

const LENGTHS: [usize; 15] = [
    1, 2, 3, 8, 9, 15, 16, 17, 33, 100, 1000, 1023, 1024, 1025, 5000,
];

/// Numbers with the spread of logits, from a linear congruential generator.
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn logit(&mut self) -> f64 {
        (0..6).map(|_| self.uniform() - 0.5).sum::<f64>() * 5.0
    }
}

/// An unevaluated sum with twice the precision of `f64`.
#[derive(Clone, Copy, Debug)]
struct Double(f64, f64);

impl Double {
    fn sum(a: f64, b: f64) -> Self {
        let s = a + b;
        let t = s - a;
        Self(s, (a - (s - t)) + (b - t))
    }
    fn plus(self, other: Self) -> Self {
        let s = Self::sum(self.0, other.0);
        Self::sum(s.0, s.1 + (self.1 + other.1))
    }
    fn times(self, other: Self) -> Self {
        let p = self.0 * other.0;
        let e = self.0.mul_add(other.0, -p);
        Self::sum(p, e + (self.0 * other.1 + self.1 * other.0))
    }
    fn over(self, other: Self) -> Self {
        let q = self.0 / other.0;
        let rest = self.plus(other.times(Self(-q, 0.0)));
        let second = rest.0 / other.0;
        Self::sum(q, second)
    }
    fn negative(self) -> Self {
        Self(-self.0, -self.1)
    }
    fn exp(self) -> Self {
        if self.0 < -1400.0 {
            return Self(0.0, 0.0);
        }
        let k = (self.0 / std::f64::consts::LN_2).round();
        let ln2 = Self(std::f64::consts::LN_2, 2.3190468138462996e-17);
        let r = self
            .plus(ln2.times(Self(-k, 0.0)))
            .times(Self(1.0 / 256.0, 0.0));
        let (mut term, mut sum) = (Self(1.0, 0.0), Self(1.0, 0.0));
        for i in 1..14 {
            term = term.times(r).over(Self(f64::from(i), 0.0));
            sum = sum.plus(term);
        }
        for _ in 0..8 {
            sum = sum.times(sum);
        }
        let half = 2.0_f64.powi((k / 2.0) as i32);
        let other = 2.0_f64.powi((k - (k / 2.0).trunc()) as i32);
        Self(sum.0 * half * other, sum.1 * half * other)
    }
    /// `log(1 + self)` for a number >= 0, by Newton's method from `f64`.
    fn ln_1p(self) -> Self {
        if self.0 < 1e-17 {
            return self;
        }
        let y = Self(self.0.ln_1p(), 0.0);
        // y + (1 + x) e^-y - 1, and once more to converge to double-double precision.
        let step = |y: Self| {
            let e = y.negative().exp();
            let ratio = self.plus(Self(1.0, 0.0)).times(e);
            y.plus(ratio.plus(Self(-1.0, 0.0)))
        };
        step(step(y))
    }
    fn f64(self) -> f64 {
        self.0 + self.1
    }
}

/// A row's probabilities, log-probabilities and logsumexp.
struct Reference {
    softmax: Vec<Double>,
    log_softmax: Vec<Double>,
    logsumexp: Double,
    maximum: f64,
}

impl Reference {
    fn new(z: &[f64]) -> Self {
        let maximum = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let differences: Vec<_> = z.iter().map(|&z| Double::sum(z, -maximum)).collect();
        let exponentials: Vec<_> = differences.iter().map(|d| d.exp()).collect();
        let ties = z.iter().filter(|&&z| z == maximum).count() as f64;
        let rest = differences
            .iter()
            .zip(&exponentials)
            .filter(|(d, _)| d.0 < 0.0)
            .fold(Double(0.0, 0.0), |sum, (_, e)| sum.plus(*e));
        let log_sum = rest.plus(Double(ties - 1.0, 0.0)).ln_1p();
        let total = rest.plus(Double(ties, 0.0));
        Self {
            softmax: exponentials.iter().map(|e| e.over(total)).collect(),
            log_softmax: differences
                .iter()
                .map(|d| d.plus(log_sum.negative()))
                .collect(),
            logsumexp: log_sum.plus(Double(maximum, 0.0)),
            maximum,
        }
    }
}

/// A compute type for tests.
trait Float: crate::dtype::Real + std::fmt::Display {
    const EPSILON: f64;
    const LEAST: f64;
    fn bits(self) -> u64;
}
impl Float for f32 {
    const EPSILON: f64 = f32::EPSILON as f64;
    const LEAST: f64 = f32::MIN_POSITIVE as f64;
    fn bits(self) -> u64 {
        u64::from(self.to_bits())
    }
}
impl Float for f64 {
    const EPSILON: f64 = f64::EPSILON;
    const LEAST: f64 = f64::MIN_POSITIVE;
    fn bits(self) -> u64 {
        self.to_bits()
    }
}

/// The distance of `got` from `expected` in units of the last place at `scale`.
fn ulps<T: Float>(got: T, expected: Double, scale: f64) -> f64 {
    let exponent = scale.abs().max(T::LEAST).log2().floor();
    let unit = 2.0_f64.powf(exponent) * T::EPSILON;
    let got: f64 = got.into();
    (expected.plus(Double(-got, 0.0)).f64() / unit).abs()
}

fn slice_mut<T: Float>(slice: &mut [T]) -> OperandMut<'_> {
    // SAFETY: exclusively borrowed for the operand's lifetime.
    unsafe {
        OperandMut::new(
            slice.as_mut_ptr().cast(),
            T::DTYPE,
            false,
            &[slice.len()],
            &[size_of::<T>() as isize],
        )
    }
}

fn call<T: Float>(level: Level, columns: usize) -> Rows {
    Rows {
        level,
        columns,
        double: T::DTYPE == Dtype::Float64,
    }
}

fn unary<T: Float>(
    f: fn(Rows, &Operand<'_>, &OperandMut<'_>),
    level: Level,
    x: &[T],
    columns: usize,
    len: usize,
) -> Vec<T> {
    let mut out = vec![T::default(); len];
    f(
        call::<T>(level, columns),
        &Operand::from_slice(x),
        &slice_mut(&mut out),
    );
    out
}

/// Rows of every kind: ordinary, wide, confident, with ties, huge, nearly equal.
fn rows<T: Float>(columns: usize) -> Vec<T> {
    let mut random = Random(columns as u64);
    let mut x = Vec::new();
    for kind in 0..8 {
        for j in 0..columns {
            let z = random.logit();
            x.push(T::nearest(match kind {
                0 => z,
                1 => z * 30.0,
                2 => z - if j == columns / 2 { -40.0 } else { 0.0 },
                3 => z.round(),
                4 => z * 1e30,
                5 => 1000.0 + z * 0.01,
                6 => z * 0.1 + j as f64 * 0.01,
                _ => z * 0.1 - if j == columns - 1 { -100.0 } else { 3.0 },
            }));
        }
    }
    x
}

fn check_values<T: Float>(bounds: [f64; 3]) {
    let levels = Level::available();
    let mut worst = [0.0_f64; 3];
    for columns in LENGTHS {
        let x: Vec<T> = rows(columns);
        let count = x.len() / columns;
        let results: Vec<_> = levels
            .iter()
            .map(|&level| {
                (
                    unary(softmax, level, &x, columns, x.len()),
                    unary(log_softmax, level, &x, columns, x.len()),
                    unary(logsumexp, level, &x, columns, count),
                )
            })
            .collect();
        for (level, other) in levels.iter().zip(&results) {
            assert!(
                *other == results[0],
                "{} differs for {columns}",
                level.name()
            );
        }
        let (probabilities, log_probabilities, log_sums) = &results[0];
        for (r, z) in x.chunks(columns).enumerate() {
            let z: Vec<f64> = z.iter().map(|&z| z.into()).collect();
            let reference = Reference::new(&z);
            for j in 0..columns {
                let (p, l) = (reference.softmax[j], reference.log_softmax[j]);
                let i = r * columns + j;
                worst[0] = worst[0].max(ulps(probabilities[i], p, p.0));
                worst[1] = worst[1].max(ulps(log_probabilities[i], l, l.0));
            }
            let sum = reference.logsumexp;
            let scale = sum.0.abs().max(reference.maximum.abs());
            worst[2] = worst[2].max(ulps(log_sums[r], sum, scale));
        }
    }
    println!("{}: {worst:?}", T::DTYPE.name());
    for (worst, bound) in worst.iter().zip(bounds) {
        assert!(*worst <= bound, "{worst} ULP");
    }
}

#[test]
fn values_are_accurate_and_the_same_on_all_levels() {
    check_values::<f32>([1.6, 1.25, 0.6]);
    check_values::<f64>([2.0, 2.0, 1.5]);
}

#[test]
fn confident_rows_keep_their_digits() {
    for level in Level::available() {
        let y = unary(log_softmax, level, &[40.0_f32, 0.0, 0.0], 3, 3);
        assert_eq!(y[0], (-2.0 * (-40.0_f64).exp()) as f32);
        // A thousand exponentials, each less than half the least f32.
        let mut x = [0.0_f32; 1000];
        x[7] = 105.0;
        let y = unary(log_softmax, level, &x, 1000, 1000);
        assert_eq!(y[7], (-999.0 * (-105.0_f64).exp()) as f32);
        let mut x = vec![0.0_f64; 3000];
        x[2999] = 740.0;
        let y = unary(log_softmax, level, &x, 3000, 3000);
        let expected = 2999.0 * (-740.0_f64 + 2.0_f64.ln() * 60.0).exp() * 2.0_f64.powi(-60);
        assert!((y[2999] + expected).abs() <= 1e-13 * expected);
        assert_eq!(
            unary(log_softmax, level, &[1.0_f64, f64::NEG_INFINITY], 2, 2)[0],
            0.0
        );
    }
}

fn check_special<T: Float>() {
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    // The NaN with neither sign nor payload, as bits.
    let is_nan = |y: T| y.bits() == T::nearest(f64::NAN).bits();
    for level in Level::available() {
        for columns in [1, 2, 5, 16, 40, 1030, 2500] {
            let at = columns / 3;
            for fill in [0.5, -inf] {
                let mut x = vec![T::nearest(fill); columns];
                x[at] = T::nearest(inf);
                let y = unary(softmax, level, &x, columns, columns);
                let log = unary(log_softmax, level, &x, columns, columns);
                for j in 0..columns {
                    assert_eq!(y[j].into(), if j == at { 1.0 } else { 0.0 });
                    assert_eq!(log[j].into(), if j == at { 0.0 } else { -inf });
                }
                assert_eq!(unary(logsumexp, level, &x, columns, 1)[0].into(), inf);
            }
            let nothing = vec![T::nearest(-inf); columns];
            let mut with_nan = vec![T::nearest(1.0); columns];
            with_nan[columns - 1] = T::nearest(-nan);
            let mut both = with_nan.clone();
            both[0] = T::nearest(inf);
            let mut early = nothing.clone();
            early[0] = T::nearest(nan);
            let mut rows = vec![nothing.clone(), with_nan, early];
            if columns > 1 {
                rows.push(both.clone());
                both[columns - 1] = T::nearest(inf);
                rows.push(both);
            }
            for x in rows {
                let sum = unary(logsumexp, level, &x, columns, 1)[0];
                let first: f64 = x[0].into();
                let last: f64 = x[columns - 1].into();
                if first == -inf && !last.is_nan() {
                    assert_eq!(sum.into(), -inf);
                } else if first == inf && last == inf {
                    assert_eq!(sum.into(), inf);
                } else {
                    assert!(is_nan(sum));
                }
                let y = unary(softmax, level, &x, columns, columns);
                assert!(y.into_iter().all(is_nan), "{columns}");
                let y = unary(log_softmax, level, &x, columns, columns);
                assert!(y.into_iter().all(is_nan));
            }
        }
    }
}

#[test]
fn special_values_take_the_limit() {
    check_special::<f32>();
    check_special::<f64>();
}

#[test]
fn empty_rows() {
    let mut out = [5.0_f32; 3];
    let nothing: [f32; 0] = [];
    logsumexp(
        call::<f32>(Level::current(), 0),
        &Operand::from_slice(&nothing),
        &slice_mut(&mut out),
    );
    assert_eq!(out, [f32::NEG_INFINITY; 3]);
    assert!(unary::<f64>(softmax, Level::current(), &[], 7, 0).is_empty());
}

fn check_backward<T: Float>(bound: f64) {
    let levels = Level::available();
    let mut worst = [0.0_f64; 3];
    for columns in LENGTHS {
        let x: Vec<T> = rows::<T>(columns);
        let count = x.len() / columns;
        let mut random = Random(3);
        let dy: Vec<T> = x.iter().map(|_| T::nearest(random.logit())).collect();
        let y = unary(softmax, levels[0], &x, columns, x.len());
        let results: Vec<_> = levels
            .iter()
            .map(|&level| {
                let mut a = vec![T::default(); x.len()];
                let (dy_all, y, x) = (
                    Operand::from_slice(&dy),
                    Operand::from_slice(&y),
                    Operand::from_slice(&x),
                );
                softmax_backward(call::<T>(level, columns), &dy_all, &y, &slice_mut(&mut a));
                let mut b = a.clone();
                log_softmax_backward(call::<T>(level, columns), &dy_all, &x, &slice_mut(&mut b));
                let mut c = a.clone();
                let one_each = Operand::from_slice(&dy[..count]);
                logsumexp_backward(call::<T>(level, columns), &one_each, &x, &slice_mut(&mut c));
                (a, b, c)
            })
            .collect();
        assert!(
            results.iter().all(|result| *result == results[0]),
            "{columns}"
        );
        let (a, b, c) = &results[0];
        for (r, z) in x.chunks(columns).enumerate() {
            let z: Vec<f64> = z.iter().map(|&z| z.into()).collect();
            let p = Reference::new(&z).softmax;
            let zero = Double(0.0, 0.0);
            let place = r * columns..(r + 1) * columns;
            let double = |values: &[T]| -> Vec<Double> {
                values[place.clone()]
                    .iter()
                    .map(|&v| Double(v.into(), 0.0))
                    .collect()
            };
            let (dys, ys) = (double(&dy), double(&y));
            let dot = dys
                .iter()
                .zip(&ys)
                .fold(zero, |sum, (a, b)| sum.plus(a.times(*b)));
            let sum = dys.iter().fold(zero, |sum, dy| sum.plus(*dy));
            let one = Double(dy[r].into(), 0.0);
            for (j, i) in place.enumerate() {
                let expected = ys[j].times(dys[j].plus(dot.negative()));
                // Where dy - dot cancels, the error is that of the dot product in f64.
                let scale = expected
                    .0
                    .abs()
                    .max((ys[j].0 * dot.0).abs() * 2.0_f64.powi(-20));
                let got = ulps(a[i], expected, scale);
                worst[0] = worst[0].max(got);
                let product = p[j].times(sum);
                let expected = dys[j].plus(product.negative());
                let scale = expected.0.abs().max(product.0.abs());
                let got = ulps(b[i], expected, scale);
                worst[1] = worst[1].max(got);
                let expected = one.times(p[j]);
                worst[2] = worst[2].max(ulps(c[i], expected, expected.0));
            }
        }
    }
    println!("{} backward: {worst:?}", T::DTYPE.name());
    assert!(worst.iter().all(|worst| *worst <= bound), "{worst:?} ULP");
}

#[test]
fn gradients_are_accurate_and_the_same_on_all_levels() {
    check_backward::<f32>(2.0);
    check_backward::<f64>(2.5);
}

/// Softmax and log-softmax of rows along the first axis of a transposed, reversed array.
#[test]
fn layouts_and_element_types_give_the_same_bits() {
    let level = Level::current();
    for columns in [3, 16, 50, 1025, 5000, 300_000] {
        let count = if columns > 10_000 { 1 } else { 7 };
        let mut random = Random(9);
        // Numbers that all four types have.
        let x: Vec<f32> = (0..columns * count)
            .map(|_| Bf16::from_f64(random.logit() * 2.0).to_f32())
            .collect();
        for f in [softmax, log_softmax] {
            let expected = unary(f, level, &x, columns, x.len());

            let mut in_place = x.clone();
            let pointer = in_place.as_mut_ptr();
            let (shape, strides) = ([x.len()], [4]);
            // SAFETY: both describe the elements of `in_place`, which outlives them.
            let (source, target) = unsafe {
                (
                    Operand::new(pointer.cast(), Dtype::Float32, false, &shape, &strides),
                    OperandMut::new(pointer.cast(), Dtype::Float32, false, &shape, &strides),
                )
            };
            f(call::<f32>(level, columns), &source, &target);
            assert!(in_place == expected, "in place, {columns}");

            // Element (r, j) at [columns - 1 - j][r], byte-swapped, unaligned; the result too.
            let stride = count * 4;
            let place = |r: usize, j: usize| 1 + (columns - 1 - j) * stride + r * 4;
            let mut bytes = vec![0_u8; x.len() * 4 + 1];
            for (i, value) in x.iter().enumerate() {
                let at = place(i / columns, i % columns);
                bytes[at..at + 4].copy_from_slice(&value.to_bits().swap_bytes().to_ne_bytes());
            }
            let mut result = vec![0_u8; bytes.len()];
            let shape = [count, columns];
            let strides = [4, -(stride as isize)];
            let first = place(0, 0);
            // SAFETY: the shape and strides describe the elements laid out above.
            let (source, target) = unsafe {
                (
                    Operand::new(
                        bytes.as_ptr().add(first),
                        Dtype::Float32,
                        true,
                        &shape,
                        &strides,
                    ),
                    OperandMut::new(
                        result.as_mut_ptr().add(first),
                        Dtype::Float32,
                        true,
                        &shape,
                        &strides,
                    ),
                )
            };
            f(call::<f32>(level, columns), &source, &target);
            for (i, value) in expected.iter().enumerate() {
                let at = place(i / columns, i % columns);
                let got = u32::from_ne_bytes(result[at..at + 4].try_into().unwrap()).swap_bytes();
                assert_eq!(got, value.to_bits(), "strided, {columns}");
            }

            let narrow: Vec<u16> = x.iter().map(|&v| Bf16::from_f32(v).0).collect();
            let mut result = vec![0_u16; x.len()];
            let (shape, strides) = ([x.len()], [2]);
            // SAFETY: the elements of `narrow` and `result`, borrowed for the call.
            let (source, target) = unsafe {
                (
                    Operand::new(
                        narrow.as_ptr().cast(),
                        Dtype::BFloat16,
                        false,
                        &shape,
                        &strides,
                    ),
                    OperandMut::new(
                        result.as_mut_ptr().cast(),
                        Dtype::BFloat16,
                        false,
                        &shape,
                        &strides,
                    ),
                )
            };
            f(call::<f32>(level, columns), &source, &target);
            let rounded: Vec<u16> = expected.iter().map(|&v| Bf16::from_f32(v).0).collect();
            assert!(result == rounded, "bfloat16, {columns}");
        }
    }
}
