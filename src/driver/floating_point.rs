//! The floating-point environment of a kernel: round to nearest, subnormals kept, nothing trapped.
//!
//! Other libraries leave flush-to-zero on in the threads they touch, which would change results; and
//! SIMD code raises flags for lanes that are thrown away, which NumPy would report as warnings. The
//! guard sets the environment that kernels are written for, and puts back the caller's control word
//! and flags when it is dropped (but for the inexact flag, which any arithmetic raises).

use std::arch::asm;

/// While this lives, the thread has the default floating-point environment.
#[derive(Debug)]
pub struct FloatingPointGuard {
    saved: Saved,
}

#[cfg(target_arch = "x86_64")]
type Saved = u32;

#[cfg(target_arch = "x86_64")]
impl FloatingPointGuard {
    /// All exceptions masked, round to nearest even, no flush-to-zero.
    const DEFAULT: u32 = 0x1f80;

    /// The flags.
    const FLAGS: u32 = 0x3f;

    /// Those that say nothing: a result was rounded, an operand was subnormal.
    const IDLE_FLAGS: u32 = 0x22;

    /// Save the thread's environment and set the default one. Loading the register takes longer than a
    /// short call's arithmetic, so it is done where it is needed only.
    #[inline]
    #[must_use]
    pub fn new() -> Self {
        let saved = Self::read();
        if saved & !Self::FLAGS != Self::DEFAULT {
            Self::load(Self::DEFAULT);
        }
        Self { saved }
    }

    #[inline]
    fn read() -> u32 {
        let mut control: u32 = 0;
        // SAFETY: STMXCSR stores 32 bits to the given valid address.
        unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut control, options(nostack)) };
        control
    }

    #[inline]
    fn load(control: u32) {
        // SAFETY: LDMXCSR reads 32 bits from a valid address; the value has no reserved bit set, being
        // the default or one that was read from the register.
        unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const control, options(nostack)) };
    }
}

#[cfg(target_arch = "x86_64")]
impl Drop for FloatingPointGuard {
    #[inline]
    fn drop(&mut self) {
        if (Self::read() ^ self.saved) & !Self::IDLE_FLAGS != 0 {
            Self::load(self.saved);
        }
    }
}

#[cfg(target_arch = "aarch64")]
type Saved = (u64, u64);

#[cfg(target_arch = "aarch64")]
impl FloatingPointGuard {
    /// Save the thread's environment and set the default one.
    #[inline]
    #[must_use]
    pub fn new() -> Self {
        let (control, status): (u64, u64);
        // SAFETY: FPCR and FPSR are readable and writable in user mode; FPCR = 0 is round to nearest,
        // nothing flushed, nothing trapped.
        unsafe {
            asm!("mrs {}, fpcr", out(reg) control, options(nostack));
            asm!("mrs {}, fpsr", out(reg) status, options(nostack));
            if control != 0 {
                asm!("msr fpcr, {}", in(reg) 0_u64, options(nostack));
            }
        }
        Self {
            saved: (control, status),
        }
    }
}

#[cfg(target_arch = "aarch64")]
impl Drop for FloatingPointGuard {
    #[inline]
    fn drop(&mut self) {
        let (control, status) = self.saved;
        // SAFETY: puts back values that were read from these registers.
        unsafe {
            if control != 0 {
                asm!("msr fpcr, {}", in(reg) control, options(nostack));
            }
            asm!("msr fpsr, {}", in(reg) status, options(nostack));
        }
    }
}

impl Default for FloatingPointGuard {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use std::hint::black_box;

    #[test]
    fn flush_to_zero_is_lifted_and_put_back() {
        let tiny = black_box(f32::MIN_POSITIVE);
        let outer = FloatingPointGuard::new();
        FloatingPointGuard::load(FloatingPointGuard::DEFAULT | 0x8040);
        assert_eq!(black_box(tiny * black_box(0.5)), 0.0);
        {
            let _guard = FloatingPointGuard::new();
            assert!(black_box(tiny * black_box(0.5)) > 0.0);
        }
        assert_eq!(black_box(tiny * black_box(0.5)), 0.0);
        drop(outer);
        assert!(black_box(tiny * black_box(0.5)) > 0.0);
    }
}
