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

/// Free memory by its room, in numbers.
static SHELF: Mutex<BTreeMap<usize, Vec<Vec<f32>>>> = Mutex::new(BTreeMap::new());

fn with_shelf<T>(work: impl FnOnce(&mut BTreeMap<usize, Vec<Vec<f32>>>) -> T) -> T {
    work(&mut SHELF.lock().unwrap_or_else(PoisonError::into_inner))
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

    /// Gives the memory that nobody uses back to the system.
    pub fn clear_shelf() {
        with_shelf(BTreeMap::clear);
    }
}

/// How much room to make, so that texts of nearly the same length share it.
fn room(count: usize) -> usize {
    if count < LEAST { count } else { count.next_multiple_of((count.next_power_of_two() / 32).max(1)) }
}

fn take(count: usize) -> Option<Vec<f32>> {
    if count < LEAST {
        return None;
    }
    with_shelf(|shelf| {
        let (&size, free) = shelf.range_mut(count..=room(count)).next()?;
        let found = free.pop();
        if free.is_empty() {
            shelf.remove(&size);
        }
        found
    })
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let room = self.0.capacity();
        if (LEAST..=MOST).contains(&room) {
            let numbers = std::mem::take(&mut self.0);
            with_shelf(|shelf| shelf.entry(room).or_default().push(numbers));
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
        let count = 70_001;
        let mut first = Buffer::any(count);
        first.fill(7.0);
        let place = first.as_ptr();
        drop(first);
        let second = Buffer::zeros(count - 1);
        assert_eq!(second.as_ptr(), place);
        assert_eq!(second.len(), count - 1);
        assert!(second.iter().all(|x| *x == 0.0));
        let third = Buffer::any(count);
        assert_ne!(third.as_ptr(), place);
        assert_eq!(Buffer::copy(&[1.0, 2.0])[..], [1.0, 2.0]);
        assert_eq!(Buffer::any(0).len(), 0);
    }
}
