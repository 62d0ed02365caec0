//! The full sweep: every `float32` through every activation, and the report `docs/accuracy.md`.
//!
//! `cargo run --release --example accuracy [-- [--stride N] [NAME ...]]`: all activations, or the
//! named ones, whose rows in the report are then renewed. Derivatives, which promise 2 ULP, are measured on
//! every 61st `float32`. With `--stride` both are measured on every `N`th and the rows are only printed.
//! The peers' columns come from `docs/accuracy-peers.tsv`, which `scripts/peer_accuracy.py` writes.

#![allow(
    unreachable_pub,
    dead_code,
    reason = "modules shared with the test, which uses the rest"
)]

#[path = "../tests/accuracy/format.rs"]
mod format;
#[path = "../tests/accuracy/formulas.rs"]
mod formulas;
#[path = "../tests/accuracy/real.rs"]
mod real;
#[path = "../tests/accuracy/subject.rs"]
mod subject;
#[path = "../tests/accuracy/sweep.rs"]
mod sweep;
#[path = "../tests/accuracy/wide.rs"]
mod wide;

use actloss_rs::activation::{ACTIVATIONS, Definition};
use actloss_rs::dtype::{Bf16, F16};
use actloss_rs::level::Level;
use formulas::{FORMULAS, Formula};
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use subject::Quantity;
use sweep::{Number, Tally, float64_sample, measure};

/// Inputs a thread takes at a time.
const CHUNK: u64 = 1 << 20;

/// Derivatives are measured on every so manieth `float32`: a prime, so that no bit stays fixed.
const DERIVATIVE_STRIDE: usize = 61;

const REPORT: &str = "docs/accuracy.md";

const QUANTITIES: [Quantity; 2] = [Quantity::Value, Quantity::Derivative];
const PEERS: [&str; 4] = ["PyTorch", "JAX", "NumPy", "SciPy"];

fn main() -> std::io::Result<()> {
    let mut names: Vec<String> = std::env::args().skip(1).collect();
    let mut stride = None;
    if names.first().is_some_and(|option| option == "--stride") {
        let value = names.get(1).and_then(|value| value.parse().ok());
        stride = Some(value.expect("a number after --stride"));
        names.drain(..2);
    }
    let unknown = |name: &&String| !ACTIVATIONS.iter().any(|a| a.name == **name);
    if let Some(name) = names.iter().find(unknown) {
        return Err(std::io::Error::other(format!(
            "no activation is called {name}"
        )));
    }
    let chosen = |a: &&Definition| names.is_empty() || names.iter().any(|name| name == a.name);
    let activations: Vec<_> = ACTIVATIONS.iter().filter(chosen).collect();
    let level = Level::available()[0];

    let inputs = activations.len() as u64 * 2 * (1 << 32);
    let style = "{msg:28} {bar:40} {percent}%  {elapsed} so far, {eta} left";
    let style = ProgressStyle::with_template(style).expect("a valid template");
    let progress = ProgressBar::new(inputs).with_style(style);

    let peers = peers();
    let mut rows = earlier_rows();
    for activation in activations {
        let formula = FORMULAS
            .iter()
            .find(|formula| formula.name == activation.name);
        let formula = formula.expect("a formula: the test checks that");
        for quantity in QUANTITIES {
            let name = match quantity {
                Quantity::Value => activation.name.to_string(),
                Quantity::Derivative => format!("{} (derivative)", activation.name),
            };
            progress.set_message(name.clone());
            let stride = stride.unwrap_or(match quantity {
                Quantity::Value => 1,
                Quantity::Derivative => DERIVATIVE_STRIDE,
            });
            let single = float32s(level, activation, formula, quantity, stride, &progress);
            let double = measure::<f64>(level, activation, formula, quantity, float64_sample(64));
            let half = measure::<F16>(level, activation, formula, quantity, 0..=F16::LAST);
            let brain = measure::<Bf16>(level, activation, formula, quantity, 0..=Bf16::LAST);
            let row = row(&name, &[single, double, half, brain], &peers);
            progress.suspend(|| print!("{row}"));
            rows.insert(name, row);
        }
        // After each function: an interrupted sweep goes on with those that are missing.
        if stride.is_none() {
            std::fs::write(REPORT, report(level, &rows))?;
        }
    }
    progress.finish();
    Ok(())
}

/// The rows of the report as it stands, by function.
fn earlier_rows() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(REPORT).unwrap_or_default();
    let rows = text.lines().filter(|line| line.starts_with("| "));
    rows.filter_map(|row| {
        let name = row[2..].split(" |").next()?;
        Some((name.to_string(), format!("{row}\n")))
    })
    .collect()
}

/// The report: its heading, and the rows in the order of the definitions.
fn report(level: Level, rows: &BTreeMap<String, String>) -> String {
    let names = ACTIVATIONS
        .iter()
        .flat_map(|a| [a.name.to_string(), format!("{} (derivative)", a.name)]);
    let rows = names.filter_map(|name| rows.get(&name).cloned());
    heading(level) + &rows.collect::<String>()
}

/// All 2^32 inputs, or every `stride`th, on all cores.
fn float32s(
    level: Level,
    activation: &Definition,
    formula: &Formula,
    quantity: Quantity,
    stride: usize,
    progress: &ProgressBar,
) -> Tally {
    let next = AtomicU64::new(0);
    let total = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, Into::into) {
            scope.spawn(|| {
                loop {
                    let first = next.fetch_add(CHUNK, Ordering::Relaxed);
                    if first > f32::LAST {
                        break;
                    }
                    let bits = (first..first + CHUNK).step_by(stride);
                    let tally = measure::<f32>(level, activation, formula, quantity, bits);
                    let mut total = total.lock().expect("no thread panics");
                    *total = total.merge(tally);
                    progress.inc(CHUNK);
                }
            });
        }
    });
    total.into_inner().expect("no thread panics")
}

fn heading(level: Level) -> String {
    let mut text = format!(
        "# Accuracy\n\n\
         The largest error over **every** `float32` (all 2^32; derivatives one in {DERIVATIVE_STRIDE}), every `float16`\n\
         and `bfloat16`, and a sample of `float64` that covers every exponent, in units of the last\n\
         place of the exact result; where it is; and the share of results that are not the nearest\n\
         number. Derivatives that are a difference of two terms are measured in ulps of the larger. The\n\
         oracle is the textbook formula in `f64` over CORE-MATH, and in double-double where that cannot\n\
         decide. Undecided are ties to 88 bits, as `x / 2` is for half of the subnormal `x`.\n\
         Parameters have their default values. The peers were measured on a sample of\n\
         `float32`; in brackets, where that is much less, among normal numbers only.\n\n\
         Written by `make accuracy` on {}, on a CPU that calls itself {}, on the level {}; all\n\
         levels give the same bits.\n\n\
         | function | float32 max ULP | at | misrounded | undecided | float64 max ULP | at \
         | float16 misrounded | bfloat16 misrounded |",
        today(),
        cpu(),
        level.name()
    );
    for peer in PEERS {
        let _ = write!(text, " {peer} float32 |");
    }
    text + "\n|---|" + &"---|".repeat(8 + PEERS.len()) + "\n"
}

/// The date, as the system's `date` gives it.
fn today() -> String {
    let output = std::process::Command::new("date").arg("+%F").output();
    output.map_or_else(
        |_| "an unknown date".to_string(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_string(),
    )
}

/// The name of the CPU, where Linux gives it.
fn cpu() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split(':').nth(1)?.trim().to_string())
    };
    match (field("model name"), field("model\t")) {
        (Some(name), Some(model)) => format!("{name}, model {model}"),
        _ => std::env::consts::ARCH.to_string(),
    }
}

fn row(name: &str, tallies: &[Tally; 4], peers: &BTreeMap<(String, String), [f64; 2]>) -> String {
    let [single, double, half, brain] = tallies;
    let mut row = format!(
        "| {name} | {} | {:e} | {} | {} | {} | {:e} | {} | {} |",
        ulps(single.worst),
        single.at as f32,
        share(single),
        single.undecided,
        ulps(double.worst),
        double.at,
        half.wrong,
        brain.wrong,
    );
    for peer in PEERS {
        let error = peers.get(&(peer.to_string(), name.to_string()));
        let cell = error.map_or_else(String::new, |&[all, normal]| {
            if all > 2.0 * normal {
                format!("{} ({})", ulps(all), ulps(normal))
            } else {
                ulps(all)
            }
        });
        let _ = write!(row, " {cell} |");
    }
    row + "\n"
}

fn ulps(error: f64) -> String {
    if error < 1e4 {
        format!("{error:.3}")
    } else {
        format!("{error:.1e}")
    }
}

fn share(tally: &Tally) -> String {
    match tally.wrong {
        0 => "none".to_string(),
        wrong if wrong < 1000 => wrong.to_string(),
        wrong => format!("{:.1e}", wrong as f64 / tally.count as f64),
    }
}

/// The peers' largest errors, by peer and function: over all, and among normal numbers.
fn peers() -> BTreeMap<(String, String), [f64; 2]> {
    let table = std::fs::read_to_string("docs/accuracy-peers.tsv").unwrap_or_default();
    let rows = table.lines().filter(|row| !row.starts_with('#'));
    rows.filter_map(|row| {
        let mut cells = row.split('\t');
        let key = (cells.next()?.to_string(), cells.next()?.to_string());
        let mut number = || cells.next()?.parse().ok();
        Some((key, [number()?, number()?]))
    })
    .collect()
}
