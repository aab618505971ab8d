//! The tokens that came before, counted over a window.

use std::collections::VecDeque;

use super::settings::Sampling;

/// How often each token came among the last ones.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// The most tokens that it holds; 0: no limit, and nothing ever leaves.
    limit: usize,
    last: VecDeque<u32>,
    /// By token, ascending. A few hundred entries at most are moved for a new one, which costs less than hashing.
    counts: Vec<(u32, u32)>,
}

impl Window {
    pub fn new(limit: usize) -> Self {
        Window { limit, ..Self::default() }
    }

    pub fn push(&mut self, token: u32) {
        if self.limit > 0 {
            if self.last.len() == self.limit
                && let Some(oldest) = self.last.pop_front()
                && let Ok(at) = self.counts.binary_search_by_key(&oldest, |entry| entry.0)
            {
                self.counts[at].1 -= 1;
                if self.counts[at].1 == 0 {
                    self.counts.remove(at);
                }
            }
            self.last.push_back(token);
        }
        match self.counts.binary_search_by_key(&token, |entry| entry.0) {
            Ok(at) => self.counts[at].1 = self.counts[at].1.saturating_add(1),
            Err(at) => self.counts.insert(at, (token, 1)),
        }
    }

    /// Each token that came, ascending, with how often.
    pub fn counts(&self) -> &[(u32, u32)] {
        &self.counts
    }
}

/// `logit` of a token that came `count` times before.
pub fn penalised(logit: f32, count: u32, sampling: &Sampling) -> f32 {
    if count == 0 {
        return logit;
    }
    let repeated = if sampling.repetition_penalty == 1.0 {
        logit
    } else if logit < 0.0 {
        logit * sampling.repetition_penalty
    } else {
        logit / sampling.repetition_penalty
    };
    repeated - (count as f32 * sampling.frequency_penalty + sampling.presence_penalty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_forgets_its_oldest_token() {
        let mut window = Window::new(3);
        for token in [5, 5, 2, 9, 5] {
            window.push(token);
        }
        assert_eq!(window.counts(), [(2, 1), (5, 1), (9, 1)]);
        window.push(5);
        assert_eq!(window.counts(), [(5, 2), (9, 1)]);
    }

    #[test]
    fn a_window_without_limit_forgets_nothing() {
        let mut window = Window::new(0);
        (0..1000).for_each(|at| window.push(at % 7));
        assert_eq!(window.counts().len(), 7);
        assert_eq!(window.counts()[6], (6, 142));
    }

    #[test]
    fn penalties_by_hand() {
        let mut sampling = Sampling { repetition_penalty: 2.0, ..Sampling::default() };
        assert_eq!(penalised(3.0, 1, &sampling), 1.5);
        assert_eq!(penalised(-3.0, 4, &sampling), -6.0);
        assert_eq!(penalised(-3.0, 0, &sampling), -3.0);
        sampling.frequency_penalty = 0.5;
        sampling.presence_penalty = 0.25;
        assert_eq!(penalised(3.0, 2, &sampling), 0.25);
        assert_eq!(penalised(f32::NEG_INFINITY, 2, &sampling), f32::NEG_INFINITY);
    }
}
