//! A step of AdamW (Loshchilov and Hutter, 2019) over the numbers of a tensor.

use rayon::prelude::*;

use super::PART;

/// What a step is taken with. Names and defaults as in PyTorch.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Learning rate of this step.
    pub lr: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// Decay of the weights, times the learning rate.
    pub weight_decay: f32,
    /// Which step this is, from 1.
    pub number: u64,
    /// What gradients are multiplied by first: the clip by their norm.
    pub scale: f32,
}

/// Takes the step.
pub fn step(weights: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32], with: &Step) {
    let power = |beta: f32| (1.0 - f64::from(beta).powf(with.number as f64)) as f32;
    let (first_bias, second_bias) = (power(with.beta1), power(with.beta2).sqrt());
    let size = with.lr / first_bias;
    let decay = 1.0 - with.lr * with.weight_decay;
    (weights.par_chunks_mut(PART).zip(gradient.par_chunks(PART)))
        .zip(first.par_chunks_mut(PART).zip(second.par_chunks_mut(PART)))
        .for_each(|((weights, gradient), (first, second))| {
            for at in 0..weights.len() {
                let g = gradient[at] * with.scale;
                first[at] = with.beta1 * first[at] + (1.0 - with.beta1) * g;
                second[at] = with.beta2 * second[at] + (1.0 - with.beta2) * g * g;
                let root = second[at].sqrt() / second_bias + with.epsilon;
                weights[at] = weights[at] * decay - size * first[at] / root;
            }
        });
}
