//! What an expression is worth: exactly, modulo a prime, and between two ends at points.

pub(super) mod exact;
pub(super) mod interval;
pub(super) mod narrow;
pub(super) mod points;
pub(super) mod residue;
pub(super) mod wide;
