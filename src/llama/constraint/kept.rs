//! The last few things that were made of a text, each made once however many threads ask for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Where a thing goes when it is made. Its lock is held while it is being made.
type Place<T> = Arc<Mutex<Option<T>>>;

/// Things by the texts that they are made of.
pub(super) struct Kept<T> {
    most: usize,
    /// Latest asked for last.
    places: Mutex<Vec<(String, Place<T>)>>,
}

impl<T> Kept<T> {
    /// Keeps at most so many things.
    pub(super) fn new(most: usize) -> Self {
        Kept { most, places: Mutex::new(Vec::new()) }
    }

    /// A copy of what `make` makes of `text`. Who asks while it is being made waits for it; nobody waits for another
    /// text.
    ///
    /// # Errors
    /// Those of `make`. They are not kept: who waited tries it again.
    pub(super) fn get<E>(
        &self,
        text: &str,
        copy: impl Fn(&T) -> T,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let place = self.place(text);
        let mut kept = locked(&place);
        if let Some(thing) = &*kept {
            return Ok(copy(thing));
        }
        match make() {
            Ok(thing) => {
                *kept = Some(copy(&thing));
                Ok(thing)
            }
            Err(error) => {
                locked(&self.places).retain(|(_, other)| !Arc::ptr_eq(other, &place));
                Err(error)
            }
        }
    }

    /// The place of a text, which makes room for it if it has none.
    fn place(&self, text: &str) -> Place<T> {
        let mut places = locked(&self.places);
        let entry = match places.iter().position(|(other, _)| other == text) {
            Some(at) => places.remove(at),
            None => (text.to_string(), Place::default()),
        };
        let place = entry.1.clone();
        if places.len() >= self.most {
            places.remove(0);
        }
        places.push(entry);
        place
    }

    /// The texts whose things are kept or being made.
    #[cfg(test)]
    pub(super) fn texts(&self) -> Vec<String> {
        locked(&self.places).iter().map(|(text, _)| text.clone()).collect()
    }
}

/// A thing is put in whole or not at all, so a thread that panicked leaves nothing broken behind.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn threads_that_start_together_make_a_thing_once() {
        let (kept, made, start) = (Kept::new(8), AtomicUsize::new(0), Barrier::new(8));
        let make = || {
            std::thread::sleep(Duration::from_millis(50));
            Ok::<_, ()>(made.fetch_add(1, Ordering::SeqCst) + 7)
        };
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    assert_eq!(kept.get("a", |thing| *thing, make), Ok(7));
                });
            }
        });
        assert_eq!(made.into_inner(), 1);
        assert_eq!(kept.texts(), ["a"]);
    }

    #[test]
    fn the_last_few_are_kept_and_failures_are_not() {
        let kept = Kept::new(2);
        let get = |text: &str, made: Result<u32, &'static str>| kept.get(text, |thing| *thing, || made);
        assert_eq!(get("a", Err("no")), Err("no"));
        assert_eq!(kept.texts(), [""; 0]);
        assert_eq!(get("a", Ok(1)), Ok(1));
        assert_eq!(get("b", Ok(2)), Ok(2));
        assert_eq!(get("a", Ok(9)), Ok(1));
        assert_eq!(get("c", Ok(3)), Ok(3));
        assert_eq!(kept.texts(), ["a", "c"]);
        assert_eq!(get("b", Ok(4)), Ok(4));
    }
}
