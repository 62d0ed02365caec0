//! The SIMD level: detected once, lowered by `ACTLOSS_SIMD` for tests.

use crate::lanes::Token;
use fearless_simd::Level as Detected;
use std::sync::OnceLock;

/// A SIMD level this machine can run, chosen at run time.
#[derive(Clone, Copy, Debug)]
pub enum Level {
    /// AVX-512 as of Ice Lake and Zen 4.
    #[cfg(all(target_arch = "x86_64", feature = "avx512"))]
    Avx512(fearless_simd::x86::Avx512),
    /// AVX2 with FMA: every x86-64 CPU since 2013 to 2015.
    #[cfg(all(target_arch = "x86_64", feature = "avx2"))]
    Avx2(fearless_simd::x86::Avx2),
    /// The x86-64 baseline.
    #[cfg(all(target_arch = "x86_64", feature = "sse2"))]
    Sse2(fearless_simd::x86::Sse2),
    /// The 64-bit Arm baseline.
    #[cfg(target_arch = "aarch64")]
    Neon(fearless_simd::aarch64::Neon),
    /// Plain arrays, for architectures that none of the others serves. Elsewhere only for tests (feature
    /// `scalar`): sixteen scalar operations for each vector one, which take an optimising compiler an hour.
    #[cfg(any(
        feature = "scalar",
        not(any(target_arch = "x86_64", target_arch = "aarch64"))
    ))]
    Scalar(fearless_simd::Fallback),
}

static CURRENT: OnceLock<Level> = OnceLock::new();

/// A computation that is compiled once for every level; see [`Level::dispatch`].
pub trait OnLevel {
    /// What the computation returns.
    type Output;

    /// Run it on the level of the token.
    fn run<S: Token>(self, simd: S) -> Self::Output;
}

impl Level {
    /// The levels of this machine, the fastest first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let mut levels = Vec::new();
        #[cfg(all(
            target_arch = "x86_64",
            any(feature = "avx512", feature = "avx2", feature = "sse2")
        ))]
        {
            let detected = Detected::new();
            #[cfg(feature = "avx512")]
            levels.extend(detected.as_avx512().map(Self::Avx512));
            #[cfg(feature = "avx2")]
            levels.extend(detected.as_avx2().map(Self::Avx2));
            #[cfg(feature = "sse2")]
            levels.extend(detected.as_sse2().map(Self::Sse2));
        }
        #[cfg(target_arch = "aarch64")]
        levels.extend(Detected::new().as_neon().map(Self::Neon));
        #[cfg(any(
            feature = "scalar",
            not(any(target_arch = "x86_64", target_arch = "aarch64"))
        ))]
        if let Detected::Fallback(simd) = Detected::fallback() {
            levels.push(Self::Scalar(simd));
        }
        levels
    }

    /// The name that `ACTLOSS_SIMD` takes.
    #[must_use]
    pub fn name(self) -> &'static str {
        struct Name;
        impl OnLevel for Name {
            type Output = &'static str;
            fn run<S: Token>(self, _: S) -> &'static str {
                S::NAME
            }
        }
        self.dispatch(Name)
    }

    /// The level called `request`, or the fastest one for an empty request.
    ///
    /// # Errors
    /// A message that lists the levels of this machine, when `request` is not among them.
    pub fn choose(request: &str) -> Result<Self, String> {
        let levels = Self::available();
        if levels.is_empty() {
            return Err("this build has no SIMD level that this machine can run".into());
        }
        if request.is_empty() {
            return Ok(levels[0]);
        }
        let names: Vec<_> = levels.iter().map(|level| level.name()).collect();
        match names.iter().position(|name| *name == request) {
            Some(found) => Ok(levels[found]),
            None => Err(format!(
                "ACTLOSS_SIMD={request:?} is not available on this machine; choose one of: {}",
                names.join(", ")
            )),
        }
    }

    /// The level in use: the fastest one, or what `ACTLOSS_SIMD` named. Chosen once, since NumPy caches
    /// what it is given.
    ///
    /// # Errors
    /// As [`Level::choose`], for the value of `ACTLOSS_SIMD`.
    pub fn try_current() -> Result<Self, String> {
        if let Some(level) = CURRENT.get() {
            return Ok(*level);
        }
        let level = Self::choose(&std::env::var("ACTLOSS_SIMD").unwrap_or_default())?;
        Ok(*CURRENT.get_or_init(|| level))
    }

    /// As [`Level::try_current`], for code that runs after the choice has been made.
    ///
    /// # Panics
    /// If `ACTLOSS_SIMD` names no level of this machine.
    #[inline]
    pub fn current() -> Self {
        match CURRENT.get() {
            Some(level) => *level,
            None => Self::try_current().unwrap_or_else(|message| panic!("{message}")),
        }
    }

    /// Run `computation` with this level's token.
    #[inline]
    pub fn dispatch<T: OnLevel>(self, computation: T) -> T::Output {
        match self {
            #[cfg(all(target_arch = "x86_64", feature = "avx512"))]
            Self::Avx512(simd) => computation.run(simd),
            #[cfg(all(target_arch = "x86_64", feature = "avx2"))]
            Self::Avx2(simd) => computation.run(simd),
            #[cfg(all(target_arch = "x86_64", feature = "sse2"))]
            Self::Sse2(simd) => computation.run(simd),
            #[cfg(target_arch = "aarch64")]
            Self::Neon(simd) => computation.run(simd),
            #[cfg(any(
                feature = "scalar",
                not(any(target_arch = "x86_64", target_arch = "aarch64"))
            ))]
            Self::Scalar(simd) => computation.run(simd),
        }
    }
}
