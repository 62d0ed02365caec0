//! A call's work on its own thread and on those workers of the pool that come in time.
//!
//! To wake a sleeping thread takes some 50 us on a virtual machine, as long as half a call on 200,000
//! elements, and longer where other processes hold the cores. So nobody waits for a worker that has not begun when the
//! caller is through: it finds the door closed. And a worker stays awake for a moment after its work, as
//! the caller does before it sleeps until the last worker is out; both give way to any thread that can run.
//!
//! Linux may wake a worker on the caller's CPU while another is idle, and leaves both there, as threads that ran just
//! now are not moved: every second turn of a benchmark on two CPUs took the time of one. So such a worker moves.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// How long threads wait awake.
const AWAKE: Duration = Duration::from_micros(200);

/// The door is closed: [`Call::inside`] counts the workers in its other bits.
const CLOSED: usize = 1 << (usize::BITS - 1);

/// What the workers of a call share. It outlives the call, for those that come late.
struct Call {
    /// What a worker does: borrowed from the caller, valid for a worker that has entered until it leaves.
    work: *const (dyn Fn() + Sync),
    inside: AtomicUsize,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    caller: Thread,
    cpu: Cpu,
}

// SAFETY: `work` points to what is `Sync`, and is followed only between `enter` and `leave`.
unsafe impl Send for Call {}
// SAFETY: as above; the other fields are `Sync` themselves.
unsafe impl Sync for Call {}

impl Call {
    fn enter(&self) -> bool {
        let open = self.inside.fetch_add(1, Ordering::Acquire) & CLOSED == 0;
        if !open {
            self.leave();
        }
        open
    }

    /// What this worker did is seen by the caller when it has waited.
    fn leave(&self) {
        if self.inside.fetch_sub(1, Ordering::Release) == CLOSED + 1 {
            self.caller.unpark();
        }
    }

    fn run_on_worker(&self) {
        if !self.enter() {
            return;
        }
        // SAFETY: this worker is inside, so `Door::drop` has yet to return, and the borrow of `work` outlives it.
        let work = unsafe { &*self.work };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
            *self.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
        }
        self.leave();
    }
}

/// Closes on leaving, by a panic too, and waits until every worker is out.
struct Door<'a>(&'a Call);

impl Drop for Door<'_> {
    fn drop(&mut self) {
        self.0.inside.fetch_or(CLOSED, Ordering::Relaxed);
        let out = || self.0.inside.load(Ordering::Acquire) == CLOSED;
        wait_awake(out);
        while !out() {
            std::thread::park();
        }
    }
}

/// Do `here` on this thread, while up to `workers` of the pool do `work` beside it.
///
/// A panic of either is the caller's, when the others are through.
pub(super) fn fork_join<R>(
    pool: &rayon_core::ThreadPool,
    workers: usize,
    work: &(dyn Fn() + Sync),
    here: impl FnOnce() -> R,
) -> R {
    #[expect(clippy::transmute_ptr_to_ptr, reason = "a cast may not lengthen it")]
    let call = Arc::new(Call {
        // SAFETY: only the lifetime changes. The pointer is followed by workers that are inside, and `Door`
        // keeps this function, which borrows `work`, from returning or unwinding while one is.
        work: unsafe {
            std::mem::transmute::<*const (dyn Fn() + Sync + '_), *const (dyn Fn() + Sync)>(work)
        },
        inside: AtomicUsize::new(0),
        panic: Mutex::new(None),
        caller: std::thread::current(),
        cpu: Cpu::current(),
    });
    let door = Door(&call);
    for _ in 0..workers {
        let call = Arc::clone(&call);
        pool.spawn(move || {
            call.cpu.leave();
            call.run_on_worker();
            drop(call);
            look_for_more();
        });
    }
    let result = here();
    drop(door);
    let panic = call
        .panic
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    match panic {
        Some(panic) => resume_unwind(panic),
        None => result,
    }
}

/// The CPU that a thread runs on, where the system tells.
#[derive(Clone, Copy)]
struct Cpu(#[cfg(target_os = "linux")] libc::c_int);

#[cfg(target_os = "linux")]
impl Cpu {
    #[inline]
    fn current() -> Self {
        // SAFETY: asks for a number, -1 if there is none.
        Self(unsafe { libc::sched_getcpu() })
    }

    /// Move this thread to another CPU that it may use, if it is on this one.
    fn leave(self) {
        if self.0 < 0 || Self::current().0 != self.0 {
            return;
        }
        let size = size_of::<libc::cpu_set_t>();
        // SAFETY: a set of CPUs is an array of integers; 0 is this thread; the set is as large as is said, and has the
        // CPU, since it is among those that the system has put there.
        unsafe {
            let mut allowed: libc::cpu_set_t = std::mem::zeroed();
            if libc::sched_getaffinity(0, size, &raw mut allowed) != 0 {
                return;
            }
            let mut others = allowed;
            libc::CPU_CLR(self.0.cast_unsigned() as usize, &mut others);
            // Refused if no other is left. Afterwards all are allowed again, and it stays where it is.
            if libc::sched_setaffinity(0, size, &raw const others) == 0 {
                libc::sched_setaffinity(0, size, &raw const allowed);
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
impl Cpu {
    fn current() -> Self {
        Self()
    }

    fn leave(self) {}
}

/// Give way to other threads until it is `done` or [`AWAKE`] is over.
fn wait_awake(done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() && start.elapsed() < AWAKE {
        std::thread::yield_now();
    }
}

/// Keep this worker awake for [`AWAKE`] after its last work.
fn look_for_more() {
    thread_local!(static LOOKING: Cell<bool> = const { Cell::new(false) });
    // What is found is done from within the loop: it has one already.
    if LOOKING.replace(true) {
        return;
    }
    let found = || rayon_core::yield_now() == Some(rayon_core::Yield::Executed);
    let mut start = Instant::now();
    while start.elapsed() < AWAKE {
        if found() {
            start = Instant::now();
        } else {
            std::thread::yield_now();
        }
    }
    LOOKING.set(false);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    fn pool(workers: usize) -> rayon_core::ThreadPool {
        rayon_core::ThreadPoolBuilder::new()
            .num_threads(workers)
            .build()
            .unwrap()
    }

    #[test]
    fn workers_join_in() {
        let together = Barrier::new(4);
        let wait = || {
            together.wait();
        };
        fork_join(&pool(3), 3, &wait, wait);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_leaves_a_cpu_and_may_come_back() {
        let allowed = || {
            // SAFETY: as in `Cpu::leave`.
            unsafe {
                let mut set: libc::cpu_set_t = std::mem::zeroed();
                libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set);
                (0..1024).filter(|&cpu| libc::CPU_ISSET(cpu, &set)).count()
            }
        };
        let before = allowed();
        for _ in 0..100 {
            Cpu::current().leave();
        }
        assert_eq!(allowed(), before);
    }

    #[test]
    fn nobody_waits_for_a_worker_that_does_not_come() {
        let pool = pool(1);
        let (begun, done) = (Barrier::new(2), Barrier::new(2));
        pool.in_place_scope(|scope| {
            scope.spawn(|_| {
                begun.wait();
                done.wait();
            });
            begun.wait();
            let work = || panic!("the only worker is not free");
            assert_eq!(fork_join(&pool, 1, &work, || 7), 7);
            done.wait();
        });
    }

    #[test]
    fn a_panic_is_the_callers_and_the_pool_goes_on() {
        let pool = pool(1);
        let met = Barrier::new(2);
        let on_worker = || {
            met.wait();
            panic!("on a worker");
        };
        let on_caller = || {
            met.wait();
        };
        for _ in 0..3 {
            let call = || fork_join(&pool, 1, &on_worker, on_caller);
            let panic = catch_unwind(AssertUnwindSafe(call)).unwrap_err();
            assert_eq!(panic.downcast_ref(), Some(&"on a worker"));
        }
        let met = Barrier::new(2);
        let (inside, out) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let slow = || {
            inside.fetch_add(1, Ordering::Relaxed);
            met.wait();
            std::thread::sleep(Duration::from_millis(20));
            out.fetch_add(1, Ordering::Relaxed);
        };
        let here = || {
            met.wait();
            panic!("on the caller");
        };
        let call = || fork_join(&pool, 1, &slow, here);
        assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
        assert_eq!(out.load(Ordering::Relaxed), inside.load(Ordering::Relaxed));
    }
}
