//! Memory for the numbers of a step, used again by the next one.
//!
//! A step asks for the same sizes as the one before it. Memory that goes back to the system in between has to be
//! cleared by it, page by page, which took a fifth of a small model's step; so it is kept on a shelf.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

/// Below it, the allocator is as good.
const LEAST: usize = 1 << 12;

/// Above it, clearing is small beside what is done with so many numbers, and the memory would be missed: 64 MiB.
const MOST: usize = 1 << 24;

/// Numbers whose memory is used again. It has room for a sixteenth more than it holds, at most.
#[derive(Debug, Default, PartialEq)]
pub struct Buffer(Vec<f32>);

/// Free memory.
struct Shelf {
    /// By its room, in numbers: the step that used it last, and the memory.
    free: BTreeMap<usize, Vec<(u64, Vec<f32>)>>,
    /// The step that is under way.
    step: u64,
}

static SHELF: Mutex<Shelf> = Mutex::new(Shelf { free: BTreeMap::new(), step: 0 });

fn with_shelf<T>(work: impl FnOnce(&mut Shelf) -> T) -> T {
    work(&mut SHELF.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Shelf {
    fn take(&mut self, count: usize) -> Option<Vec<f32>> {
        let (&size, free) = self.free.range_mut(count..=room(count)).next()?;
        let found = free.pop();
        if free.is_empty() {
            self.free.remove(&size);
        }
        found.map(|(_, memory)| memory)
    }

    /// Lets go memory that an earlier step used and this one has not asked for, until it makes up for `count` numbers:
    /// texts of another length ask for other sizes.
    fn make_up_for(&mut self, mut count: usize) {
        let step = self.step;
        while count > 0 {
            let old = |(_, free): &(&usize, &Vec<(u64, Vec<f32>)>)| free.iter().any(|(used, _)| *used < step);
            let Some(size) = self.free.iter().rev().find(old).map(|(size, _)| *size) else { return };
            let Some(free) = self.free.get_mut(&size) else { return };
            if let Some(at) = free.iter().position(|(used, _)| *used < step) {
                free.swap_remove(at);
                count = count.saturating_sub(size);
            }
            if free.is_empty() {
                self.free.remove(&size);
            }
        }
    }
}

impl Buffer {
    /// `count` numbers that are to be overwritten: they are what was left there. (Where assertions are on, they are
    /// no numbers, so that what forgets one is found.)
    pub fn any(count: usize) -> Self {
        let mut numbers = take(count).unwrap_or_else(|| Vec::with_capacity(room(count)));
        numbers.truncate(count);
        numbers.resize(count, 0.0);
        if cfg!(debug_assertions) {
            numbers.fill(f32::NAN);
        }
        Buffer(numbers)
    }

    /// `count` numbers that are 0.
    pub fn zeros(count: usize) -> Self {
        match take(count) {
            Some(mut numbers) => {
                numbers.clear();
                numbers.resize(count, 0.0);
                Buffer(numbers)
            }
            // The system's memory is 0, and pages that are never read are never there.
            None => {
                let mut numbers = vec![0.0; room(count)];
                numbers.truncate(count);
                Buffer(numbers)
            }
        }
    }

    /// A copy.
    pub fn copy(numbers: &[f32]) -> Self {
        let mut own = Buffer::any(numbers.len());
        own.copy_from_slice(numbers);
        own
    }

    /// The numbers, for good.
    pub fn into_vec(mut self) -> Vec<f32> {
        std::mem::take(&mut self.0)
    }

    /// Says that a step begins: what the last one used may go where this one asks for other sizes.
    pub fn next_step() {
        with_shelf(|shelf| shelf.step += 1);
    }
}

/// How much room is made for so many numbers: one of sixteen sizes between two powers of two, so that texts of nearly
/// the same length share it. What lies behind the numbers is never touched, so it takes no memory.
fn room(count: usize) -> usize {
    if count < LEAST { count } else { count.next_multiple_of(count.next_power_of_two() / 32) }
}

fn take(count: usize) -> Option<Vec<f32>> {
    if !(LEAST..=MOST).contains(&count) {
        return None;
    }
    with_shelf(|shelf| {
        let found = shelf.take(count);
        if found.is_none() {
            shelf.make_up_for(count);
        }
        found
    })
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let room = self.0.capacity();
        if (LEAST..=MOST).contains(&room) {
            let numbers = std::mem::take(&mut self.0);
            with_shelf(|shelf| {
                let step = shelf.step;
                shelf.free.entry(room).or_default().push((step, numbers));
            });
        }
    }
}

impl From<Vec<f32>> for Buffer {
    fn from(numbers: Vec<f32>) -> Self {
        Buffer(numbers)
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_and_zeros_are_zeros() {
        // Of a size that no other test asks for.
        let count = 70_003;
        let mut first = Buffer::any(count);
        first.fill(7.0);
        let place = first.as_ptr();
        drop(first);
        Buffer::next_step();
        let second = Buffer::zeros(count - 1);
        assert_eq!(second.as_ptr(), place);
        assert_eq!(second.len(), count - 1);
        assert!(second.iter().all(|x| *x == 0.0));
        let third = Buffer::any(count);
        assert_ne!(third.as_ptr(), place);
        assert_eq!(Buffer::copy(&[1.0, 2.0])[..], [1.0, 2.0]);
        assert_eq!(Buffer::any(0).len(), 0);
    }

    #[test]
    fn memory_of_other_sizes_is_let_go_for_new() {
        let mut shelf = Shelf { free: BTreeMap::new(), step: 2 };
        let mut lay = |step: u64, size: usize| {
            shelf.free.entry(size).or_default().push((step, Vec::with_capacity(size)))
        };
        for (step, size) in [(1, 9000), (1, 5000), (2, 9500), (2, 5000)] {
            lay(step, size);
        }
        shelf.make_up_for(100);
        let left =
            |shelf: &Shelf| shelf.free.iter().map(|(size, free)| (*size, free.len())).collect::<Vec<_>>();
        // The largest that is old.
        assert_eq!(left(&shelf), [(5000, 2), (9500, 1)]);
        shelf.make_up_for(1 << 20);
        assert_eq!(left(&shelf), [(5000, 1), (9500, 1)], "what this step used stays");
        assert!(shelf.take(9400).is_some() && shelf.take(4000).is_none());
    }
}
