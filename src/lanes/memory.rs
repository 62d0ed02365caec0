//! Ways to memory that leave the numbers as they are: lines asked for early, results past the caches.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m256, __m512, _mm256_stream_ps, _mm512_stream_ps};

/// Bytes that go to memory together.
pub const LINE: usize = 64;

/// A line of memory, which is what a vector of lanes fills.
///
/// An ordinary store to memory that is in no cache first reads the line it overwrites: a third of all
/// traffic of a function of one array. A streaming store does not, where the level has one. It may be
/// overtaken by later stores, up to the next [`fence_streamed`].
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Line(pub(super) [f32; LINE / 4]);

#[cfg(target_arch = "x86_64")]
fearless_simd::kernel!(
    #[inline(always)]
    pub(super) fn stream_avx512(token: Avx512, lanes: __m512, target: &mut Line) {
        // SAFETY: a line is writable and aligned.
        unsafe { _mm512_stream_ps(target.0.as_mut_ptr(), lanes) }
    }
);

#[cfg(target_arch = "x86_64")]
fearless_simd::kernel!(
    #[inline(always)]
    pub(super) fn stream_avx2(token: Avx2, low: __m256, high: __m256, target: &mut Line) {
        let target = target.0.as_mut_ptr();
        // SAFETY: a line is writable and aligned, and so are its halves.
        unsafe {
            _mm256_stream_ps(target, low);
            _mm256_stream_ps(target.add(8), high);
        }
    }
);

/// Let no later store overtake the streamed ones.
#[inline]
pub fn fence_streamed() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE is there on every x86-64.
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
}

/// Ask for the line at an address, of whatever memory, which is about to be read.
#[inline(always)]
pub fn prefetch<T>(address: *const T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: SSE is there on every x86-64, and a prefetch cannot fault.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = address;
}

/// As [`prefetch`], for what will be read when the first-level cache has had other lines: into the second-level one.
#[inline(always)]
pub fn prefetch_early<T>(address: *const T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: as above.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T1>(address.cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = address;
}
