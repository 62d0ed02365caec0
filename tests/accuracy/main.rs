//! Is every activation as accurate as its budget says, on a sample that covers every exponent?
//!
//! The oracle is a textbook formula in wider arithmetic; see `formulas.rs`. `make accuracy` runs the
//! same code over every `float32`.

#![allow(unreachable_pub, reason = "modules shared with `examples/accuracy.rs`")]

mod budgets;
mod format;
mod formulas;
mod real;
pub(super) mod subject;
mod sweep;
mod wide;

use actloss_rs::activation::{ACTIVATIONS, Definition};
use actloss_rs::dtype::{Bf16, F16};
use actloss_rs::level::Level;
use budgets::{Budget, budgets};
use format::{FLOAT32, FLOAT64, Rounding};
use formulas::{FORMULAS, Formula};
use real::Real;
use subject::{Quantity, evaluate};
use sweep::{Number, Tally, float64_sample, measure};
use wide::Wide;

/// Steps through every 4093rd `float32`: a prime, so that no bit stays fixed.
const STRIDE: usize = 4093;

/// Zeros, infinities, NaN and the ends of the range, which a stride may miss.
const SPECIAL_FLOAT32: [f32; 9] = [
    0.0,
    -0.0,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
    f32::MAX,
    f32::MIN,
    f32::MIN_POSITIVE,
    -f32::MIN_POSITIVE,
];

fn fastest() -> Level {
    Level::available()[0]
}

fn formula(name: &str) -> &'static Formula {
    let found = FORMULAS.iter().find(|formula| formula.name == name);
    found.unwrap_or_else(|| panic!("{name} has no formula in formulas.rs"))
}

fn budget(name: &str) -> Budget {
    let found = budgets().into_iter().find(|budget| budget.name == name);
    found.unwrap_or_else(|| panic!("{name} has no budget in budgets.txt"))
}

/// Calls `check` for each activation and quantity, on all cores, and lists every complaint.
fn for_each(check: impl Fn(&Definition, Quantity) -> Result<(), String> + Sync) {
    let work: Vec<_> = ACTIVATIONS
        .iter()
        .flat_map(|a| [(a, Quantity::Value), (a, Quantity::Derivative)])
        .collect();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let complaints = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, Into::into) {
            scope.spawn(|| {
                while let Some((activation, quantity)) =
                    work.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
                {
                    if let Err(complaint) = check(activation, *quantity) {
                        complaints.lock().unwrap().push(complaint);
                    }
                }
            });
        }
    });
    let mut complaints = complaints.into_inner().unwrap();
    complaints.sort();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

fn within_budget<N: Number>(
    activation: &Definition,
    quantity: Quantity,
    bits: impl Iterator<Item = u64>,
) -> Result<(), String> {
    let Tally { worst, at, .. } = measure::<N>(
        fastest(),
        activation,
        formula(activation.name),
        quantity,
        bits,
    );
    let allowed = budget(activation.name).ulps(quantity, N::FORMAT.precision);
    let message = || {
        let (name, format) = (activation.name, N::FORMAT.name);
        format!("{name} ({quantity:?}, {format}): {worst:.4} ulp at {at:e}, budget {allowed}")
    };
    println!("{}", message());
    if worst <= allowed {
        Ok(())
    } else {
        Err(message())
    }
}

fn correctly_rounded<N: Number>(activation: &Definition, quantity: Quantity) -> Result<(), String> {
    let tally = measure::<N>(
        fastest(),
        activation,
        formula(activation.name),
        quantity,
        0..=N::LAST,
    );
    let message = || {
        let (name, format) = (activation.name, N::FORMAT.name);
        let Tally {
            wrong,
            undecided,
            worst,
            at,
            ..
        } = tally;
        format!(
            "{name} ({quantity:?}, {format}): {wrong} wrong, {undecided} undecided, {worst:.4} ulp at {at:e}"
        )
    };
    // Undecided is what is a tie to 88 bits, as x/2 (1 + x sqrt(2/pi)) of a subnormal bfloat16 x is.
    if tally.wrong == 0 && tally.worst <= 0.5 + 1e-12 {
        Ok(())
    } else {
        Err(message())
    }
}

#[test]
fn every_activation_has_a_formula_and_a_budget() {
    for activation in ACTIVATIONS {
        let _ = (formula(activation.name), budget(activation.name));
    }
}

#[test]
fn float32_is_within_budget() {
    for_each(|activation, quantity| {
        let special = SPECIAL_FLOAT32.map(|x| u64::from(x.to_bits()));
        let bits = (0..=f32::LAST).step_by(STRIDE).chain(special);
        within_budget::<f32>(activation, quantity, bits)
    });
}

#[test]
fn float64_is_within_budget() {
    for_each(|activation, quantity| within_budget::<f64>(activation, quantity, float64_sample(8)));
}

#[test]
fn every_float16_is_correctly_rounded() {
    for_each(correctly_rounded::<F16>);
}

#[test]
fn every_bfloat16_is_correctly_rounded() {
    for_each(correctly_rounded::<Bf16>);
}

/// The quick arithmetic against the wide one, for every formula, within the bound it claims.
#[test]
fn both_arithmetics_of_the_oracle_agree() {
    let parameters = [1.0, 0.5];
    let wide_parameters = parameters.map(Wide::from);
    let close = |name: &str, x: f32, quick: f64, wide: Wide, scale: Wide| {
        let off = (wide - quick).abs();
        // Below the last place of the least float32, relative errors no longer matter.
        let bound = scale.abs() * f64::ERROR + 2.0_f64.powi(-200);
        assert!(
            !quick.is_finite() || off <= bound,
            "{name} at {x:e}: {quick:e}, {wide:?}"
        );
    };
    for formula in FORMULAS {
        for x in (0..=u32::MAX)
            .step_by(262_139)
            .map(f32::from_bits)
            .filter(|x| x.is_finite())
        {
            let (quick, wide) = (f64::from(x), Wide::from(f64::from(x)));
            let n = formula.parameters;
            let value = (formula.value.1)(wide, &wide_parameters[..n]);
            close(
                formula.name,
                x,
                (formula.value.0)(quick, &parameters[..n]),
                value,
                value,
            );
            let quick = (formula.derivative.0)(quick, &parameters[..n]);
            let (a, b) = (formula.derivative.1)(wide, &wide_parameters[..n]);
            let scale = if a.abs() > b.abs() { a } else { b };
            close(formula.name, x, quick.0 + quick.1, a + b, scale);
        }
    }
}

/// The wide arithmetic against CORE-MATH: rounded to `f64` it must be the same number.
#[test]
fn the_wide_arithmetic_rounds_as_core_math_does() {
    type Pair = (&'static str, fn(Wide) -> Wide, fn(f64) -> f64);
    let functions: [Pair; 6] = [
        ("exp", Wide::exp, core_math::exp),
        ("expm1", Wide::expm1, core_math::expm1),
        ("log1p", Wide::log1p, core_math::log1p),
        ("tanh", Wide::tanh, core_math::tanh),
        ("erf", Wide::erf, core_math::erf),
        ("erfc", Wide::erfc, core_math::erfc),
    ];
    for x in float64_sample(4)
        .map(f64::from_bits)
        .filter(|x| x.is_finite())
    {
        for (name, wide, reference) in functions {
            let (ours, theirs) = (wide(x.into()).parts(), reference(x));
            let distance = FLOAT64.distance(theirs, ours, ours, Wide::ERROR);
            assert_ne!(
                distance.rounding,
                Rounding::Wrong,
                "{name}({x:e}): {ours:?}, {theirs:e}"
            );
        }
    }
}

/// The quick measure of an error against the careful one, where it gives one.
#[test]
fn the_plain_distance_is_the_general_one() {
    let mut plain = 0;
    for exact in float64_sample(40).map(f64::from_bits) {
        let nearest = exact as f32;
        for steps in -3..=3_i32 {
            let result = f64::from(f32::from_bits(nearest.to_bits().wrapping_add_signed(steps)));
            let Some(found) = FLOAT32.plain_distance(result, exact, f64::ERROR) else {
                continue;
            };
            let expected = FLOAT32.distance(result, exact.parts(), exact.parts(), f64::ERROR);
            assert_eq!(
                found.rounding, expected.rounding,
                "{result:e} for {exact:e}"
            );
            assert_eq!(found.ulps, expected.ulps, "{result:e} for {exact:e}");
            plain += 1;
        }
    }
    assert!(plain > 100_000, "{plain}");
}

/// The derivatives of the textbook against its values, by central differences in wide arithmetic.
#[test]
fn derivatives_of_the_formulas_are_their_slopes() {
    let parameters = [1.0, 0.5].map(Wide::from);
    let h = 2.0_f64.powi(-30);
    for formula in FORMULAS {
        let parameters = &parameters[..formula.parameters];
        for i in -4000..4000 {
            // Off every kink, which lie at multiples of 1/8.
            let x = Wide::from(f64::from(i) / 512.0 + 0.0003);
            let rise = (formula.value.1)(x + h, parameters) - (formula.value.1)(x - h, parameters);
            let (a, b) = (formula.derivative.1)(x, parameters);
            let (slope, derivative) = (rise / (2.0 * h), a + b);
            let scale = a.abs() + b.abs() + (formula.value.1)(x, parameters).abs();
            let close = slope.parts().hi.is_nan() || (slope - derivative).abs() <= scale * 1e-11;
            assert!(
                close,
                "{} at {x:?}: {derivative:?}, slope {slope:?}",
                formula.name
            );
        }
    }
}

/// The same bits on every SIMD level, for every activation and type.
#[test]
fn every_level_gives_the_same_bits() {
    fn check<N: Number>(
        activation: &Definition,
        quantity: Quantity,
        bits: impl Iterator<Item = u64>,
    ) -> Result<(), String> {
        let x: Vec<N> = bits.map(N::from_bits).collect();
        let on = |level| evaluate(level, activation, quantity, N::DTYPE, &x);
        let expected = on(fastest());
        for level in Level::available() {
            let pairs = expected.iter().zip(on(level));
            // As f64, which holds every bit of a finite number, and NaN is the driver's business.
            let differs = |(a, b): (&N, N)| a.to_f64().to_bits() != b.to_f64().to_bits();
            if let Some(at) = pairs.map(differs).position(|differs| differs) {
                let (name, level) = (activation.name, level.name());
                return Err(format!(
                    "{name} ({quantity:?}) on {level} at {:e}",
                    x[at].to_f64()
                ));
            }
        }
        Ok(())
    }
    for_each(|activation, quantity| {
        check::<f32>(activation, quantity, (0..=f32::LAST).step_by(65_521))?;
        check::<f64>(activation, quantity, float64_sample(2))?;
        check::<F16>(activation, quantity, (0..=F16::LAST).step_by(3))?;
        check::<Bf16>(activation, quantity, (0..=Bf16::LAST).step_by(3))
    });
}

/// An element's result does not depend on how many follow: the last ones go through a padded vector.
#[test]
fn every_length_gives_the_same_bits() {
    fn check<N: Number>(activation: &Definition, quantity: Quantity) -> Result<(), String> {
        let x: Vec<N> = (-20..20).map(|i| N::from_f64(f64::from(i) / 3.0)).collect();
        let bits = |y: Vec<N>| {
            y.into_iter()
                .map(|y| y.to_f64().to_bits())
                .collect::<Vec<_>>()
        };
        let whole = bits(evaluate(fastest(), activation, quantity, N::DTYPE, &x));
        for n in 0..x.len() {
            let part = evaluate(fastest(), activation, quantity, N::DTYPE, &x[..n]);
            if bits(part) != whole[..n] {
                return Err(format!(
                    "{} ({quantity:?}) of {n} elements",
                    activation.name
                ));
            }
        }
        Ok(())
    }
    for_each(|activation, quantity| {
        check::<f32>(activation, quantity)?;
        check::<f64>(activation, quantity)?;
        check::<F16>(activation, quantity)
    });
}

/// Functions that are about linear in `x` at 0 keep its sign there.
#[test]
fn zero_keeps_its_sign() {
    const THROUGH_ZERO: &[&str] = &[
        "expm1",
        "log1p",
        "erf",
        "tanh",
        "silu",
        "mish",
        "gelu",
        "gelu_tanh",
        "elu",
        "celu",
        "selu",
        "softsign",
        "leaky_relu",
        "tanh_shrink",
        "hard_swish",
        "hard_tanh",
    ];
    for activation in ACTIVATIONS
        .iter()
        .filter(|a| THROUGH_ZERO.contains(&a.name))
    {
        for zero in [0.0, -0.0_f64] {
            let y = evaluate(fastest(), activation, Quantity::Value, f64::DTYPE, &[zero])[0];
            assert_eq!(y.to_bits(), zero.to_bits(), "{} of {zero}", activation.name);
            let y = evaluate(
                fastest(),
                activation,
                Quantity::Value,
                f32::DTYPE,
                &[zero as f32],
            )[0];
            assert_eq!(
                y.to_bits(),
                (zero as f32).to_bits(),
                "{} of {zero}",
                activation.name
            );
        }
    }
}
