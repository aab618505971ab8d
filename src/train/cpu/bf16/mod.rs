//! Products of matrices whose numbers are rounded to bf16 on their way in, with sums in `f32`.
//!
//! Both sides are packed into tiles first: sixteen rows (of the right side: columns) by thirty-two numbers of the inner
//! side, which the matrix unit of Intel's processors (AMX) and AVX-512 read as they lie. A number of the output is summed
//! in the same order however many threads there are.

mod pack;
mod unit;

use std::cell::RefCell;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

pub(super) use pack::{Side, Source};
pub use unit::Unit;
use unit::{Block, Ready};

/// Rows, or columns, of a tile.
const SIDE: usize = 16;
/// Numbers of the inner side in a tile, two in a word.
pub const DEPTH: usize = 2 * SIDE;
/// Tiles of the inner side that are summed up before the next rows come: with so many, two strips of either side stay in
/// the nearest cache. (Of 8, 16, 32 and 64 the fastest.)
const STEPS: usize = 8;
/// Rows and columns of the output that are summed up at a time: what they need stays in the second cache.
const ROWS: usize = 128;
const COLUMNS: usize = 256;
/// Strips that are packed together: where neighbours of the outer side lie together, so many tiles read whole lines of the
/// cache one after the other.
const GROUP: usize = 4;
/// Memory that is kept for the next sides: more are never there at once, but for many threads.
const KEPT: usize = 16;

/// Sixteen by sixteen words of two neighbours on the inner side, the first one low.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Tile([[u32; SIDE]; SIDE]);

impl Tile {
    const ZERO: Tile = Tile([[0; SIDE]; SIDE]);
}

/// One side of a product, rounded and in tiles.
pub(super) struct Packed {
    /// Strip by strip; there may be more behind them.
    tiles: Vec<Tile>,
    outer: usize,
    inner: usize,
}

/// Memory of sides that are no more.
static FREE: Mutex<Vec<Vec<Tile>>> = Mutex::new(Vec::new());

/// Memory for at least so many tiles: the smallest that is enough, or in place of the largest that is there. So a few grow to
/// what the largest sides need, whatever sizes come.
fn memory(count: usize) -> Vec<Tile> {
    let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
    let sizes = || free.iter().map(Vec::len).enumerate();
    let enough = sizes().filter(|(_, size)| *size >= count).min_by_key(|(_, size)| *size);
    if let Some((at, _)) = enough {
        return free.swap_remove(at);
    }
    if let Some((at, _)) = sizes().max_by_key(|(_, size)| *size) {
        free.swap_remove(at);
    }
    drop(free);
    vec![Tile::ZERO; count]
}

impl Drop for Packed {
    fn drop(&mut self) {
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < KEPT {
            free.push(std::mem::take(&mut self.tiles));
        }
    }
}

impl Packed {
    /// Packs a side, on all threads or on one.
    pub(super) fn new(source: Source<'_>, side: Side, on_all: bool) -> Self {
        let (outer, inner) = (source.outer(), source.inner());
        let steps = inner.div_ceil(DEPTH);
        // Strips go together by twos.
        let strips = outer.div_ceil(2 * SIDE) * 2;
        let mut tiles = memory(strips * steps);
        let group = |(group, tiles): (usize, &mut [Tile])| {
            let strips = group * GROUP..group * GROUP + tiles.len() / steps;
            for step in 0..steps {
                for strip in strips.clone() {
                    let tile = &mut tiles[(strip - strips.start) * steps + step];
                    source.fill(side, (strip * SIDE, step * DEPTH), tile);
                }
            }
        };
        if steps > 0 {
            let tiles = &mut tiles[..strips * steps];
            if on_all {
                tiles.par_chunks_mut(GROUP * steps).enumerate().for_each(group);
            } else {
                tiles.chunks_mut(GROUP * steps).enumerate().for_each(group);
            }
        }
        Packed { tiles, outer, inner }
    }

    /// Places of the output.
    pub(super) fn outer(&self) -> usize {
        self.outer
    }

    /// Numbers that are summed.
    pub(super) fn inner(&self) -> usize {
        self.inner
    }

    /// The tiles of two strips, from one step to another.
    fn strips(&self, first: usize, from: usize, to: usize) -> [&[Tile]; 2] {
        let steps = self.inner.div_ceil(DEPTH);
        [first, first + 1].map(|strip| &self.tiles[strip * steps + from..strip * steps + to])
    }
}

/// What is to be done with a product.
#[derive(Clone, Copy, Debug)]
pub(super) struct How {
    /// What it is multiplied by.
    pub(super) scale: f32,
    /// Add it to what is there.
    pub(super) add: bool,
    /// On all threads, or on one.
    pub(super) on_all: bool,
    /// What computes it.
    pub(super) unit: Unit,
}

/// Puts left · right into `out`, whose rows lie `stride` numbers apart; of the left side, the numbers from `from` on, a
/// multiple of [`DEPTH`]. Threads get 32 rows or more each. Panics if the sizes do not go together, or the processor does not
/// have the unit.
pub(super) fn product(
    out: &mut [f32],
    stride: usize,
    (left, from): (&Packed, usize),
    right: &Packed,
    how: How,
) {
    let (rows, columns) = (left.outer, right.outer);
    assert!(from + right.inner <= left.inner && from.is_multiple_of(DEPTH), "sides that do not go together");
    assert!(rows < 2 || columns <= stride, "rows that overlap");
    if rows == 0 || columns == 0 {
        return;
    }
    // However rows are cut, each number is summed in the same order.
    let mut at_once = ROWS;
    while how.on_all && at_once > 2 * SIDE && rows.div_ceil(at_once) < 2 * rayon::current_num_threads() {
        at_once /= 2;
    }
    let out = &mut out[..(rows - 1) * stride + columns];
    let work = |(part, out): (usize, &mut [f32])| {
        SUMS.with_borrow_mut(|sums| {
            let (first, count) = (part * at_once, at_once.min(rows - part * at_once));
            Rows { first, count, out, stride }.product(sums, (left, from / DEPTH), right, how);
        });
    };
    // A single row may be shorter than the stride.
    let part = at_once * stride.max(columns);
    if how.on_all {
        out.par_chunks_mut(part).enumerate().for_each(work);
    } else {
        out.chunks_mut(part).enumerate().for_each(work);
    }
}

thread_local! {
    /// Memory for sums.
    static SUMS: RefCell<Vec<Block>> = const { RefCell::new(Vec::new()) };
}

/// Some rows of an output.
struct Rows<'a> {
    first: usize,
    count: usize,
    out: &'a mut [f32],
    stride: usize,
}

impl Rows<'_> {
    fn product(self, sums: &mut Vec<Block>, (left, begin): (&Packed, usize), right: &Packed, how: How) {
        // What the left side has behind the last number meets zeros of the right side. (Panels but the last are whole tiles,
        // so that nothing is there that is no number.)
        let (columns, steps) = (right.outer, right.inner.div_ceil(DEPTH));
        let (row_blocks, all) = (self.count.div_ceil(2 * SIDE), columns.div_ceil(2 * SIDE));
        sums.resize(row_blocks * (COLUMNS / (2 * SIDE)), Block::ZERO);
        if steps == 0 {
            sums.fill(Block::ZERO);
        }
        let unit = Ready::new(how.unit);
        for from in (0..all).step_by(COLUMNS / (2 * SIDE)) {
            let blocks = (COLUMNS / (2 * SIDE)).min(all - from);
            for step in (0..steps).step_by(STEPS) {
                let to = (step + STEPS).min(steps);
                for row in 0..row_blocks {
                    let left = left.strips(self.first / SIDE + 2 * row, begin + step, begin + to);
                    for column in 0..blocks {
                        let right = right.strips(2 * (from + column), step, to);
                        unit.multiply(&mut sums[row * blocks + column], step == 0, left, right);
                    }
                }
            }
            for row in 0..self.count {
                let own = &sums[row / (2 * SIDE) * blocks..][..blocks];
                let place = row * self.stride + from * 2 * SIDE;
                let count = (blocks * 2 * SIDE).min(columns - from * 2 * SIDE);
                let to = self.out[place..place + count].chunks_mut(2 * SIDE);
                for (to, Block(sums)) in to.zip(own) {
                    let sums = &sums[row % (2 * SIDE)];
                    if how.add {
                        to.iter_mut().zip(sums).for_each(|(to, sum)| *to += how.scale * sum);
                    } else {
                        to.iter_mut().zip(sums).for_each(|(to, sum)| *to = how.scale * sum);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|at| ((at * 7919 + seed * 104_729) % 1000) as f32 / 500.0 - 1.0).collect()
    }

    fn rounded(x: f32) -> f64 {
        half::bf16::from_f32(x).to_f64()
    }

    #[test]
    fn every_unit_multiplies() {
        println!("{:?}", Unit::all());
        for (rows, inner, columns) in
            [(1, 1, 1), (37, 70, 50), (130, 600, 300), (64, 64, 32), (5, 0, 3), (0, 4, 4)]
        {
            let (a, b) = (numbers(rows * inner, 1), numbers(inner * columns, 2));
            let turned = |from: &[f32], rows: usize, columns: usize| -> Vec<f32> {
                (0..from.len()).map(|at| from[(at % rows) * columns + at / rows]).collect()
            };
            let (a_turned, b_turned) = (turned(&a, rows.max(1), inner), turned(&b, inner.max(1), columns));
            for unit in Unit::all() {
                let mut first: Option<Vec<f32>> = None;
                for (on_all, turned) in [(false, false), (true, false), (false, true)] {
                    let side = Source::new;
                    let (left, right) = if turned {
                        (
                            side(&a_turned, (rows, 1), (inner, rows)),
                            side(&b_turned, (columns, inner), (inner, 1)),
                        )
                    } else {
                        (side(&a, (rows, inner), (inner, 1)), side(&b, (columns, 1), (inner, columns)))
                    };
                    let (left, right) =
                        (Packed::new(left, Side::Left, on_all), Packed::new(right, Side::Right, on_all));
                    // Written between columns that must stay.
                    let stride = columns + 3;
                    let mut out = vec![5.0; rows * stride];
                    let how = How { scale: 0.5, add: false, on_all, unit };
                    product(&mut out, stride, (&left, 0), &right, how);
                    product(&mut out, stride, (&left, 0), &right, How { add: true, ..how });
                    for (at, found) in out.iter().enumerate() {
                        let (row, column) = (at / stride, at % stride);
                        let expected = if column < columns {
                            (0..inner)
                                .map(|i| rounded(a[row * inner + i]) * rounded(b[i * columns + column]))
                                .sum()
                        } else {
                            5.0
                        };
                        let off = (f64::from(*found) - expected).abs();
                        assert!(off < 1e-4, "{unit:?}, {rows} {inner} {columns}: {found}, {expected}");
                    }
                    // The same from some inner number on.
                    if inner > DEPTH {
                        let rest = if turned {
                            side(&b_turned[DEPTH..], (columns, inner), (inner - DEPTH, 1))
                        } else {
                            side(&b[DEPTH * columns..], (columns, 1), (inner - DEPTH, columns))
                        };
                        let right = Packed::new(rest, Side::Right, on_all);
                        let mut out = vec![5.0; rows * stride];
                        product(&mut out, stride, (&left, DEPTH), &right, How { scale: 1.0, ..how });
                        for (at, found) in out.iter().enumerate().filter(|(at, _)| at % stride < columns) {
                            let (row, column) = (at / stride, at % stride);
                            let of =
                                |i: usize| rounded(a[row * inner + i]) * rounded(b[i * columns + column]);
                            let expected: f64 = (DEPTH..inner).map(of).sum();
                            assert!((f64::from(*found) - expected).abs() < 1e-4);
                        }
                    }
                    // The same bits however it is packed and on however many threads.
                    assert!(first.get_or_insert_with(|| out.clone()) == &out, "{unit:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_number_stays_none() {
        for unit in Unit::all() {
            for at in [0, 33, 69] {
                let mut a = numbers(70, 1);
                a[at] = f32::NAN;
                let b = numbers(70, 2);
                fn side(data: &[f32]) -> Source<'_> {
                    Source::new(data, (1, 70), (70, 1))
                }
                let left = Packed::new(side(&a), Side::Left, false);
                let right = Packed::new(side(&b), Side::Right, false);
                let mut out = [0.0];
                product(&mut out, 1, (&left, 0), &right, How { scale: 1.0, add: false, on_all: false, unit });
                assert!(out[0].is_nan(), "{unit:?}");
            }
        }
    }
}
