//! Threads: our own pool, safe after `fork`, bounded by `set_num_threads`.
//!
//! The global rayon pool hangs in a forked child, whose worker threads do not exist. Ours sits behind
//! an atomic pointer that a `pthread_atfork` handler clears in the child; the next use builds a new
//! pool. No lock is held at any time, so none can be left locked by a fork. Replaced pools are leaked:
//! a call in another thread may still be running on them, and they are idle threads, a few at most.

use super::floating_point::FloatingPointGuard;
use super::fork_join::fork_join;
use std::ops::Range;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

/// How often the caller is asked whether to go on: Ctrl-C must be answered within half a second.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The caller asked to stop; part of the work is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupted;

static POOL: AtomicPtr<rayon_core::ThreadPool> = AtomicPtr::new(null_mut());
static NUM_THREADS: AtomicUsize = AtomicUsize::new(0);

/// Threads that a call may use, the calling thread included.
#[must_use]
pub fn num_threads() -> usize {
    match NUM_THREADS.load(Ordering::Relaxed) {
        0 => {
            let threads = default_num_threads();
            // Whoever was first has set it; both found the same number.
            let _ = NUM_THREADS.compare_exchange(0, threads, Ordering::Relaxed, Ordering::Relaxed);
            NUM_THREADS.load(Ordering::Relaxed)
        }
        threads => threads,
    }
}

/// The CPUs this process may use, by affinity and cgroup quota.
#[must_use]
pub fn default_num_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Let a call use `threads` threads, at least 1.
pub fn set_num_threads(threads: usize) {
    NUM_THREADS.store(threads.max(1), Ordering::Relaxed);
}

/// A pool with at least `workers` threads, or `None` if the system gives no more threads.
fn pool(workers: usize) -> Option<&'static rayon_core::ThreadPool> {
    static AT_FORK: Once = Once::new();
    let current = POOL.load(Ordering::Acquire);
    // SAFETY: pools are leaked, never freed, so a non-null pointer is valid for ever.
    if let Some(pool) = unsafe { current.as_ref() }
        && pool.current_num_threads() >= workers
    {
        return Some(pool);
    }
    #[cfg(unix)]
    AT_FORK.call_once(|| {
        extern "C" fn forget_pool() {
            POOL.store(null_mut(), Ordering::Release);
        }
        // SAFETY: the handler only stores to an atomic, which is allowed in a forked child.
        unsafe { libc::pthread_atfork(None, None, Some(forget_pool)) };
    });
    let built = rayon_core::ThreadPoolBuilder::new()
        .num_threads(workers)
        .thread_name(|index| format!("actloss-{index}"))
        .build()
        .ok()?;
    let built: &'static _ = Box::leak(Box::new(built));
    POOL.store(std::ptr::from_ref(built).cast_mut(), Ordering::Release);
    Some(built)
}

/// Work through `0..n` in pieces of at most `grain` on as many threads as allowed.
///
/// Each thread that joins in makes a state with `init` and passes it to `work` with each piece it takes; the states
/// come back in no particular order. `keep_going` is asked now and then, on the calling thread only.
///
/// # Errors
/// [`Interrupted`] when `keep_going` said no.
pub fn parallel<State: Send>(
    n: usize,
    grain: usize,
    keep_going: &dyn Fn() -> bool,
    init: impl Fn() -> State + Sync,
    work: impl Fn(&mut State, Range<usize>) + Sync,
) -> Result<Vec<State>, Interrupted> {
    let states = Mutex::new(Vec::new());
    share_out(n, grain, keep_going, &|next| {
        let mut state = init();
        while let Some(piece) = next() {
            work(&mut state, piece);
        }
        states
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(state);
    })?;
    Ok(states.into_inner().unwrap_or_else(PoisonError::into_inner))
}

type NextPiece<'a> = dyn FnMut() -> Option<Range<usize>> + 'a;

/// Run `thread` on each thread that joins in; it is given what hands it the next piece.
///
/// A function of its own, not generic: one copy for all kernels on all levels.
fn share_out(
    n: usize,
    grain: usize,
    keep_going: &dyn Fn() -> bool,
    thread: &(dyn Fn(&mut NextPiece<'_>) + Sync),
) -> Result<(), Interrupted> {
    let pieces = n.div_ceil(grain.max(1));
    let taken = AtomicUsize::new(0);
    let stopped = AtomicBool::new(false);
    let take_pieces = |poll: Option<&dyn Fn() -> bool>| {
        let _environment = FloatingPointGuard::new();
        let mut polled = Instant::now();
        thread(&mut || {
            if let Some(keep_going) = poll
                && polled.elapsed() >= POLL_INTERVAL
            {
                polled = Instant::now();
                if !keep_going() {
                    stopped.store(true, Ordering::Relaxed);
                }
            }
            let piece = taken.fetch_add(1, Ordering::Relaxed);
            (piece < pieces && !stopped.load(Ordering::Relaxed))
                .then(|| piece * grain..n.min((piece + 1) * grain))
        });
    };

    let helpers = num_threads().min(pieces).saturating_sub(1);
    let pool = if helpers == 0 { None } else { pool(helpers) };
    match pool {
        None => take_pieces(Some(keep_going)),
        Some(pool) => {
            let here = || take_pieces(Some(keep_going));
            fork_join(pool, helpers, &|| take_pieces(None), here);
        }
    }
    if stopped.into_inner() {
        Err(Interrupted)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_is_done_once() {
        for n in [0, 1, 99, 100, 101, 12345] {
            let states = parallel(
                n,
                100,
                &|| true,
                || 0_u64,
                |sum, range| {
                    *sum += range.map(|i| i as u64 + 1).sum::<u64>();
                },
            )
            .unwrap();
            let n = n as u64;
            assert_eq!(states.iter().sum::<u64>(), n * (n + 1) / 2);
        }
    }

    #[test]
    fn the_caller_can_stop() {
        let result = parallel(
            10_000,
            1,
            &|| false,
            || (),
            |(), _| {
                std::thread::sleep(Duration::from_millis(1));
            },
        );
        assert_eq!(result, Err(Interrupted));
    }
}
