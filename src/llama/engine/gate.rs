//! Lets only so many lanes of an engine compute at once: as many as there are threads for.

use std::sync::{Condvar, Mutex, PoisonError};

/// What lanes pass before they compute.
pub struct Gate {
    /// How many may pass.
    free: Mutex<u32>,
    all: u32,
    changed: Condvar,
}

/// Dropping it lets others pass.
pub struct Pass<'a> {
    gate: &'a Gate,
    taken: u32,
}

impl Gate {
    /// One that lets `all` pass, at least 1.
    pub fn new(all: u32) -> Self {
        let all = all.max(1);
        Gate { free: Mutex::new(all), all, changed: Condvar::new() }
    }

    /// Waits for a turn.
    pub fn pass(&self) -> Pass<'_> {
        self.take(1)
    }

    /// Waits until nobody computes, and keeps it so.
    pub fn alone(&self) -> Pass<'_> {
        self.take(self.all)
    }

    fn take(&self, taken: u32) -> Pass<'_> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let enough = self.changed.wait_while(free, |free| *free < taken);
        *enough.unwrap_or_else(PoisonError::into_inner) -= taken;
        Pass { gate: self, taken }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        *self.gate.free.lock().unwrap_or_else(PoisonError::into_inner) += self.taken;
        self.gate.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn no_more_pass_than_may() {
        let gate = Gate::new(2);
        let (inside, most, alone) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let (gate, inside, most, alone) = (&gate, &inside, &most, &alone);
                scope.spawn(move || {
                    for round in 0..500 {
                        let is_alone = (worker + round) % 7 == 0;
                        let _turn = if is_alone { gate.alone() } else { gate.pass() };
                        let others = inside.fetch_add(1, Ordering::SeqCst);
                        most.fetch_max(others + 1, Ordering::SeqCst);
                        std::thread::yield_now();
                        if is_alone {
                            alone.fetch_add(others, Ordering::SeqCst);
                            alone.fetch_add(inside.load(Ordering::SeqCst) - 1, Ordering::SeqCst);
                        }
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!((most.into_inner(), alone.into_inner()), (2, 0));
    }
}
