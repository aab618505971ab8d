//! How much work a comparison may be. Counted in steps and never in seconds, so that verdicts are the same everywhere.

/// Steps that are left. A step is about a hundred nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    left: u64,
}

/// There are none left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spent;

impl Budget {
    pub fn new(all: u64) -> Self {
        Budget { left: all }
    }

    /// Takes steps; an error, from then on, once there are too few.
    pub fn spend(&mut self, steps: u64) -> Result<(), Spent> {
        if steps > self.left {
            self.left = 0;
            return Err(Spent);
        }
        self.left -= steps;
        Ok(())
    }

    pub fn is_spent(&self) -> bool {
        self.left == 0
    }
}
