//! AdamW, the clip by the norm of all gradients, and learning rates over time.

use candle_core::{CpuStorage, DType, InplaceOp1, Layout, Tensor, bail};
use serde::{Deserialize, Serialize};

use super::cpu::adamw::{self, Step};
use super::cpu::buffer::Buffer;
use super::cpu::dot;
use super::model::{Gradients, Parameter};
use super::ops::{Value, with_slices};
use crate::error::{Error, Result};

/// How the optimiser works. Names and defaults as in `transformers`' `TrainingArguments`, but the learning rate is
/// that of adapters, and there is a
/// warm-up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimConfig {
    /// The highest learning rate.
    pub learning_rate: f32,
    /// How it goes on from there.
    pub lr_scheduler_type: Schedule,
    /// Share of all steps in which it rises from 0; `constant` does without.
    pub warmup_ratio: f64,
    /// Decay of the first moment.
    pub adam_beta1: f32,
    /// Decay of the second moment.
    pub adam_beta2: f32,
    /// Added to the root of the second moment.
    pub adam_epsilon: f32,
    /// Decay of matrices, times the learning rate.
    pub weight_decay: f32,
    /// Most that the norm of all gradients may be; 0 does not clip.
    pub max_grad_norm: f32,
}

impl Default for OptimConfig {
    fn default() -> Self {
        OptimConfig {
            learning_rate: 2e-4,
            lr_scheduler_type: Schedule::Linear,
            warmup_ratio: 0.03,
            adam_beta1: 0.9,
            adam_beta2: 0.999,
            adam_epsilon: 1e-8,
            weight_decay: 0.0,
            max_grad_norm: 1.0,
        }
    }
}

/// How the learning rate goes on after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// It stays, from the first step on.
    Constant,
    /// It rises, and stays.
    ConstantWithWarmup,
    /// It falls to 0 in a line.
    Linear,
    /// It falls to 0 along half a cosine.
    Cosine,
}

impl OptimConfig {
    /// Whether the values make sense.
    ///
    /// # Errors
    /// Kind `Config`, naming the value.
    pub fn check(&self) -> Result<()> {
        for (name, value, fits, range) in [
            ("learning_rate", self.learning_rate, self.learning_rate > 0.0, "above 0"),
            (
                "warmup_ratio",
                self.warmup_ratio as f32,
                (0.0..=1.0).contains(&self.warmup_ratio),
                "from 0 to 1",
            ),
            ("adam_beta1", self.adam_beta1, (0.0..1.0).contains(&self.adam_beta1), "from 0 to below 1"),
            ("adam_beta2", self.adam_beta2, (0.0..1.0).contains(&self.adam_beta2), "from 0 to below 1"),
            ("adam_epsilon", self.adam_epsilon, self.adam_epsilon > 0.0, "above 0"),
            ("weight_decay", self.weight_decay, self.weight_decay >= 0.0, "0 or above"),
            ("max_grad_norm", self.max_grad_norm, self.max_grad_norm >= 0.0, "0 or above"),
        ] {
            if !fits || !value.is_finite() {
                return Err(Error::config(format!("{name} = {value}: a number {range}")));
            }
        }
        Ok(())
    }

    /// The learning rate of step `number`, from 0, of `all`.
    pub fn learning_rate_at(&self, number: u64, all: u64) -> f32 {
        let constant = self.lr_scheduler_type == Schedule::Constant;
        let warmup = if constant { 0.0 } else { (self.warmup_ratio * all as f64).ceil() };
        let at = number as f64;
        let share = if at < warmup {
            at / warmup.max(1.0)
        } else {
            let rest = (all as f64 - at).max(0.0) / (all as f64 - warmup).max(1.0);
            match self.lr_scheduler_type {
                Schedule::Constant | Schedule::ConstantWithWarmup => 1.0,
                Schedule::Linear => rest,
                Schedule::Cosine => 0.5 * (1.0 + ((1.0 - rest) * std::f64::consts::PI).cos()),
            }
        };
        (f64::from(self.learning_rate) * share) as f32
    }
}

/// The moments of each parameter, and how often it was changed.
#[derive(Clone, Debug, Default)]
pub struct AdamW {
    /// Steps taken.
    pub steps: u64,
    /// First moments, by parameter, in its shape and where it is.
    pub first: Vec<Value>,
    /// Second moments, likewise.
    pub second: Vec<Value>,
}

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stepped {
    /// The norm of all gradients before it was clipped.
    pub grad_norm: f32,
    /// Whether it was taken: not if the norm is no number.
    pub taken: bool,
}

impl AdamW {
    /// An optimiser that has not seen these parameters yet.
    ///
    /// # Errors
    /// candle's.
    pub fn new(parameters: &[Parameter]) -> Result<Self> {
        let zeros = |one: &Parameter| -> Result<Value> {
            let ours = Value::from(one.value.clone()).is_here();
            Ok(if ours {
                Value::new(one.value.dims(), vec![0.0; one.value.elem_count()].into())
            } else {
                one.value.zeros_like()?.into()
            })
        };
        let all = || parameters.iter().map(zeros).collect::<Result<Vec<_>>>();
        Ok(AdamW { steps: 0, first: all()?, second: all()? })
    }

    /// Changes the parameters by their gradients.
    ///
    /// # Errors
    /// A parameter has no gradient: then nothing leads to it, and it would never learn. Nothing is changed then, nor if
    /// a gradient is no number, which is no error.
    pub fn step(
        &mut self,
        parameters: &mut [Parameter],
        gradients: &Gradients,
        config: &OptimConfig,
        lr: f32,
    ) -> Result<Stepped> {
        let sizes = |moments: &[Value]| {
            moments.len() == parameters.len()
                && moments.iter().zip(&*parameters).all(|(own, one)| own.dims() == one.value.dims())
        };
        if gradients.len() != parameters.len() || !sizes(&self.first) || !sizes(&self.second) {
            return Err(Error::engine("an optimiser of other parameters, or no gradients at all"));
        }
        let all: Vec<&Value> = parameters
            .iter()
            .zip(gradients)
            .map(|(one, gradient)| {
                gradient.as_ref().ok_or_else(|| {
                    Error::engine(format!("no gradient reaches {:?}: it would never learn", one.name))
                })
            })
            .collect::<Result<_>>()?;
        let mut squares = 0.0;
        for gradient in &all {
            squares += sum_of_squares(gradient)?;
        }
        let grad_norm = squares.sqrt() as f32;
        if !grad_norm.is_finite() {
            return Ok(Stepped { grad_norm, taken: false });
        }
        self.steps += 1;
        let clips = config.max_grad_norm > 0.0 && grad_norm > config.max_grad_norm;
        // As in PyTorch.
        let scale = if clips { config.max_grad_norm / (grad_norm + 1e-6) } else { 1.0 };
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((one, gradient), (first, second)) in parameters.iter_mut().zip(&all).zip(moments) {
            let step = Step {
                lr,
                beta1: config.adam_beta1,
                beta2: config.adam_beta2,
                epsilon: config.adam_epsilon,
                weight_decay: if one.decays { config.weight_decay } else { 0.0 },
                number: self.steps,
                scale,
            };
            if let (Value::Candle(m), Value::Candle(v)) = (&mut *first, &mut *second) {
                let gradient = gradient.tensor(one.value.device())?;
                (one.value, *m, *v) = composed(&one.value, &gradient, m, v, &step)?;
                continue;
            }
            // No tape may see the change.
            one.value = one.value.copy()?;
            let (first, second) = (first.numbers_mut()?, second.numbers_mut()?);
            with_slices(&[gradient], |slices| {
                let change = Change(std::cell::RefCell::new((first, second)), slices[0], step);
                one.value.inplace_op1(&change)
            })?;
        }
        Ok(Stepped { grad_norm, taken: true })
    }
}

fn sum_of_squares(gradient: &Value) -> candle_core::Result<f64> {
    if let Value::Candle(tensor) = gradient
        && !gradient.is_here()
    {
        return tensor.sqr()?.sum_all()?.to_dtype(DType::F64)?.to_scalar();
    }
    // In parts, so that long sums stay exact.
    with_slices(&[gradient], |slices| Ok(slices[0].chunks(4096).map(|part| f64::from(dot(part, part))).sum()))
}

/// The step of candle's operations: weights and both moments.
fn composed(
    weights: &Tensor,
    gradient: &Tensor,
    first: &Tensor,
    second: &Tensor,
    with: &Step,
) -> candle_core::Result<(Tensor, Tensor, Tensor)> {
    let of = |number: f32| f64::from(number);
    let gradient = (gradient * of(with.scale))?;
    let first = ((first * of(with.beta1))? + (&gradient * (1.0 - of(with.beta1)))?)?;
    let second = ((second * of(with.beta2))? + (gradient.sqr()? * (1.0 - of(with.beta2)))?)?;
    let bias = |beta: f32| 1.0 - of(beta).powf(with.number as f64);
    let root = ((second.sqrt()? / bias(with.beta2).sqrt())? + of(with.epsilon))?;
    let change = ((&first / root)? * (of(with.lr) / bias(with.beta1)))?;
    let weights = ((weights * (1.0 - of(with.lr) * of(with.weight_decay)))? - change)?;
    Ok((weights.detach(), first.detach(), second.detach()))
}

type Moments<'a> = std::cell::RefCell<(&'a mut Buffer, &'a mut Buffer)>;

/// A step over the numbers of one tensor.
struct Change<'a>(Moments<'a>, &'a [f32], Step);

impl InplaceOp1 for Change<'_> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let (CpuStorage::F32(weights), Some((from, to))) = (storage, layout.contiguous_offsets()) else {
            bail!("adamw of something else than numbers of f32 without holes");
        };
        let mut moments = self.0.borrow_mut();
        let (first, second) = &mut *moments;
        adamw::step(&mut weights[from..to], self.1, first, second, &self.2);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn learning_rates_rise_and_fall() {
        let config = |kind| OptimConfig {
            learning_rate: 1.0,
            lr_scheduler_type: kind,
            warmup_ratio: 0.1,
            ..OptimConfig::default()
        };
        assert_eq!(config(Schedule::Constant).learning_rate_at(0, 100), 1.0);
        for (kind, at_55) in
            [(Schedule::ConstantWithWarmup, 1.0), (Schedule::Linear, 0.5), (Schedule::Cosine, 0.5)]
        {
            let at = |step| config(kind).learning_rate_at(step, 100);
            assert_eq!((at(0), at(5), at(10)), (0.0, 0.5, 1.0), "{kind:?}");
            assert!((at(55) - at_55).abs() < 1e-6, "{kind:?}");
            assert!(at(99) > 0.0 && at(99) <= at(90), "{kind:?}");
        }
        assert_eq!(config(Schedule::Linear).learning_rate_at(0, 0), 1.0 * 0.0);
    }
}
