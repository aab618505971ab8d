//! Rotary position embedding (Su et al., 2021) of the first heads of each row.

use super::by_rows;

/// Which two numbers of a head are turned together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A number and the one half a head further: Qwen, and Llama as `transformers` has it ("NeoX").
    Halves,
    /// Neighbours: Llama in GGUF files, whose rows were put in that order.
    Pairs,
}

/// Cosines and sines by position.
#[derive(Clone, Debug)]
pub struct Angles {
    /// Pairs of a head that are turned; the numbers behind them stay.
    pub pairs: usize,
    /// `pairs` cosines a position.
    pub cos: Vec<f32>,
    /// `pairs` sines a position.
    pub sin: Vec<f32>,
}

impl Angles {
    /// The angles of positions 0 to `positions` − 1: position · `frequencies[pair]`, with cosines and sines times
    /// `magnitude`.
    pub fn new(frequencies: &[f64], magnitude: f64, positions: usize) -> Self {
        let angle = |at: usize| (at / frequencies.len()) as f64 * frequencies[at % frequencies.len()];
        let all = 0..positions * frequencies.len();
        Angles {
            pairs: frequencies.len(),
            cos: all.clone().map(|at| (angle(at).cos() * magnitude) as f32).collect(),
            sin: all.map(|at| (angle(at).sin() * magnitude) as f32).collect(),
        }
    }

    /// Positions that there are angles for.
    pub fn positions(&self) -> usize {
        self.cos.len() / self.pairs.max(1)
    }
}

/// How rows are laid out: `heads` heads that are turned, then others up to `width` numbers.
#[derive(Clone, Copy, Debug)]
pub struct Rows {
    /// Heads that are turned.
    pub heads: usize,
    /// Numbers of a head.
    pub head: usize,
    /// Numbers of a row.
    pub width: usize,
}

/// Turns each row of `x` by the angles of its position; backwards, by their opposites, which is the gradient.
pub fn turn(x: &mut [f32], rows: Rows, layout: Layout, angles: &Angles, positions: &[u32], back: bool) {
    let Rows { heads, head, width } = rows;
    let sign = if back { -1.0 } else { 1.0 };
    by_rows(x, width, |first, x| {
        for (row, out) in x.chunks_exact_mut(width).enumerate() {
            let at = first + row;
            let from = positions[at] as usize * angles.pairs;
            let cos = &angles.cos[from..from + angles.pairs];
            let sin = &angles.sin[from..from + angles.pairs];
            for out in out[..heads * head].chunks_exact_mut(head) {
                match layout {
                    Layout::Halves => {
                        let (low, high) = out[..2 * angles.pairs].split_at_mut(angles.pairs);
                        for at in 0..angles.pairs {
                            let (a, b, sin) = (low[at], high[at], sign * sin[at]);
                            low[at] = a * cos[at] - b * sin;
                            high[at] = a * sin + b * cos[at];
                        }
                    }
                    Layout::Pairs => {
                        for (at, pair) in out.as_chunks_mut::<2>().0.iter_mut().take(angles.pairs).enumerate()
                        {
                            let ([a, b], sin) = (*pair, sign * sin[at]);
                            *pair = [a * cos[at] - b * sin, a * sin + b * cos[at]];
                        }
                    }
                }
            }
        }
    });
}
