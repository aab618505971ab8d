//! The decoders that are trained: Qwen2, Qwen3 and Llama, forward and backward.
//!
//! A layer is a tape of its own. What leaves it is kept; what happens inside is kept too, or computed once more on
//! the way back (`recompute`, gradient checkpointing), in memory for one layer.

mod composed;
mod exchange;
pub mod shape;
pub mod weights;

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::cpu::buffer::Buffer;
use super::cpu::gemm::Precision;
use super::cpu::head::{self, Gradients as HeadGradients, Last, Output, Slope, Token};
use super::lora::{LoraConfig, MODULES};
use super::ops::{
    Adapter as Low, Add, Angles, Attention, Base, Bias, Embedding, HeadNorm, Part, Projection, RmsNorm, Rope,
    Span, SwiGlu, Value, spans, with_slices,
};
use super::tape::{Slot, Tape};
use crate::error::{Error, Result};
use crate::seed::{Seed, mix};
use exchange::LENGTHS;
pub use weights::Weights;

/// What of a model is trained.
#[derive(Clone, Debug, PartialEq)]
pub enum Trained {
    /// An adapter beside its matrices.
    Lora(LoraConfig),
    /// Every weight.
    All,
}

/// A tensor that is trained.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// As in the model file, with `.lora_a`, `.lora_b` or `.lora_magnitude_vector` behind it for an adapter's.
    pub name: String,
    /// Its numbers.
    pub value: Tensor,
    /// Whether the optimiser's decay applies: matrices, not biases, norms and lengths of rows.
    pub decays: bool,
}

/// Gradients, by parameter; `None` where none has come.
pub type Gradients = Vec<Option<Value>>;

/// Texts that lie one behind the other, without padding.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Texts {
    /// Tokens of all texts.
    pub tokens: Vec<u32>,
    /// Where each text begins, and at the end the number of tokens.
    pub starts: Vec<usize>,
    /// Of each text the one before it that it goes on from, as if all of that stood in front of it; empty if none does. That
    /// one goes on from none itself.
    /// What texts share is computed once.
    pub parents: Vec<Option<usize>>,
}

impl Texts {
    /// Texts, one behind the other.
    pub fn pack<'a>(texts: impl IntoIterator<Item = &'a [u32]>) -> Self {
        let mut packed = Texts { starts: vec![0], ..Texts::default() };
        for text in texts {
            packed.tokens.extend_from_slice(text);
            packed.starts.push(packed.tokens.len());
        }
        packed
    }

    /// Texts that all go on from `prefix`, which lies before them.
    pub fn pack_behind<'a>(prefix: &'a [u32], texts: impl IntoIterator<Item = &'a [u32]>) -> Self {
        let mut packed = Self::pack([prefix].into_iter().chain(texts));
        packed.parents =
            std::iter::once(None).chain(std::iter::repeat_n(Some(0), packed.starts.len() - 2)).collect();
        packed
    }

    /// The texts as attention sees them.
    fn spans(&self) -> Arc<[Span]> {
        let mut spans: Vec<Span> = spans(&self.starts).to_vec();
        for (at, parent) in self.parents.iter().enumerate() {
            if let Some(parent) = *parent {
                spans[at].prefix = (spans[parent].first, spans[parent].length);
            }
        }
        spans.into()
    }

    /// The place of each token in its text, and what stands in front of that.
    fn positions(&self) -> Arc<[u32]> {
        let places = |span: &Span| span.prefix.1 as u32..(span.prefix.1 + span.length) as u32;
        self.spans().iter().flat_map(places).collect()
    }

    fn longest(&self) -> usize {
        self.spans().iter().map(|span| span.prefix.1 + span.length).max().unwrap_or(0)
    }
}

/// A token whose probability is asked for: that of `token` in the place behind row `row`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The row of the token before it.
    pub row: usize,
    /// The token.
    pub token: u32,
}

/// A model and what of it is trained.
pub struct Model {
    weights: Weights,
    trained: Trained,
    parameters: Vec<Parameter>,
    places: BTreeMap<String, usize>,
    angles: Arc<Angles>,
    /// Whether layers are computed once more on the way back.
    pub recompute: bool,
    /// How numbers go into products of matrices.
    pub precision: Precision,
    /// Where and in which type of numbers candle's operations are used instead of our loops.
    elsewhere: Option<(Device, DType)>,
    /// The lowest layer of which something is trained: gradients go no further down. 0 if the embedding is trained.
    lowest: usize,
}

/// What a pass through the layers left.
struct Passed {
    /// The input of each layer, and the output of the last.
    states: Vec<Value>,
    /// The tapes, if they were kept.
    layers: Vec<Layer>,
}

/// One layer on its tape.
struct Layer {
    tape: Tape,
    input: Slot,
    output: Slot,
    /// The parameters that it has, by slot.
    parameters: Vec<(Slot, usize)>,
}

impl Model {
    /// Makes `trained` of a model trainable: adapters are drawn by `seed`, weights are unpacked.
    ///
    /// # Errors
    /// A configuration that makes no sense.
    pub fn new(mut weights: Weights, trained: Trained, seed: Seed) -> Result<Self> {
        let mut parameters = Vec::new();
        let mut add = |name: String, numbers: Vec<f32>, shape: &[usize]| -> Result<()> {
            let value = Tensor::from_vec(numbers, shape, &Device::Cpu)?;
            parameters.push(Parameter { name, value, decays: shape.len() > 1 });
            Ok(())
        };
        match &trained {
            Trained::Lora(config) => {
                config.check()?;
                for layer in 0..weights.shape.layers {
                    for (module, name) in MODULES {
                        if !config.covers(layer, module) {
                            continue;
                        }
                        let name = format!("blk.{layer}.{name}.weight");
                        let matrix = weights.matrix(&name)?;
                        let (rows, columns) = (matrix.rows, matrix.columns);
                        let a = config.draw_a(seed, &name, columns);
                        add(format!("{name}.lora_a"), a, &[config.r, columns])?;
                        add(format!("{name}.lora_b"), vec![0.0; rows * config.r], &[rows, config.r])?;
                        if config.use_dora {
                            let lengths =
                                matrix.squares().iter().map(|square| square.sqrt() as f32).collect();
                            add(format!("{name}.{LENGTHS}"), lengths, &[rows])?;
                        }
                    }
                }
                if parameters.is_empty() {
                    return Err(Error::config(format!(
                        "target_modules covers none of the {} layers: nothing would be trained",
                        weights.shape.layers
                    )));
                }
            }
            Trained::All => {
                let names: Vec<(String, Vec<usize>)> =
                    weights.names().map(|(name, shape)| (name.to_owned(), shape)).collect();
                for (name, shape) in names.into_iter().filter(|(name, _)| name != "rope_freqs.weight") {
                    let numbers = weights.numbers(&name).unwrap_or_default();
                    weights.let_go(&name);
                    add(name, numbers, &shape)?;
                }
            }
        }
        let layer_of = |one: &Parameter| -> usize {
            let layer = one.name.strip_prefix("blk.").and_then(|rest| rest.split('.').next()?.parse().ok());
            layer.unwrap_or(if one.name == "token_embd.weight" { 0 } else { usize::MAX })
        };
        let lowest = parameters.iter().map(layer_of).min().unwrap_or(0);
        let places = parameters.iter().enumerate().map(|(at, one)| (one.name.clone(), at)).collect();
        let angles = weights.shape.rope.angles(0);
        Ok(Model {
            weights,
            trained,
            parameters,
            places,
            angles,
            recompute: false,
            precision: Precision::F32,
            elsewhere: None,
            lowest,
        })
    }

    /// Moves what is trained to a device, or to another type of numbers: there, operations are composed of candle's own.
    ///
    /// # Errors
    /// candle's.
    pub fn to(mut self, device: &Device, dtype: DType) -> Result<Self> {
        for one in &mut self.parameters {
            one.value = one.value.to_device(device)?.to_dtype(dtype)?;
        }
        let ours = device.is_cpu() && dtype == DType::F32;
        self.elsewhere = (!ours).then(|| (device.clone(), dtype));
        Ok(self)
    }

    /// What is trained.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The same, to change it.
    pub fn parameters_mut(&mut self) -> &mut [Parameter] {
        &mut self.parameters
    }

    /// The weights as they were read.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// What of the model is trained.
    pub fn trained(&self) -> &Trained {
        &self.trained
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.places.get(name).copied()
    }

    /// The log-probability of each target and the entropy there, with logits divided by `temperature`.
    ///
    /// # Errors
    /// Tokens that are not in the vocabulary, rows that are not in the texts.
    pub fn log_probabilities(
        &mut self,
        texts: &Texts,
        targets: &[Target],
        temperature: f32,
    ) -> Result<Vec<Token>> {
        self.check(texts, targets)?;
        Buffer::next_step();
        let passed = self.forward(texts, None, false)?;
        let (tape, _, last) = self.last_norm(&passed, targets, &mut Vec::new())?;
        let tokens: Vec<u32> = targets.iter().map(|target| target.token).collect();
        if self.elsewhere.is_some() {
            return Ok(self.composed_head(tape.value(last), &tokens, temperature, None)?.tokens);
        }
        let found = self.with_output(&[tape.value(last)], |output, slices| {
            Ok(head::forward(slices[0], output, &tokens, 1.0 / temperature))
        })?;
        Ok(found)
    }

    /// The same, and on the way adds to `gradients` those of what `slope` asks of each target, which it is called with
    /// by number. `dropout` is the seed of what adapters do not see in this step.
    ///
    /// # Errors
    /// As [`Self::log_probabilities`].
    pub fn loss(
        &mut self,
        texts: &Texts,
        targets: &[Target],
        temperature: f32,
        dropout: Seed,
        slope: impl Fn(usize, Token) -> Slope + Sync,
        gradients: &mut Gradients,
    ) -> Result<Vec<Token>> {
        self.check(texts, targets)?;
        Buffer::next_step();
        gradients.resize(self.parameters.len(), None);
        let mut passed = self.forward(texts, Some(dropout), !self.recompute)?;
        let mut own = Vec::new();
        let (tape, input, last) = self.last_norm(&passed, targets, &mut own)?;
        let tokens: Vec<u32> = targets.iter().map(|target| target.token).collect();
        let place = self.place(self.output_name());
        let width = self.weights.shape.width;
        let (found, dhidden, dweight) = if self.elsewhere.is_some() {
            let slope: &dyn Fn(usize, Token) -> Slope = &slope;
            let done = self.composed_head(tape.value(last), &tokens, temperature, Some(slope))?;
            (done.tokens, done.hidden, done.weight)
        } else {
            // What was found before is added to where it lies: this is the largest matrix.
            let mut before = place.map(|at| self.begun(gradients, at));
            let dweight = before.as_mut().map(Value::numbers_mut).transpose()?;
            let mut dhidden = Buffer::any(targets.len() * width);
            let found = self.with_output(&[tape.value(last)], |output, slices| {
                let weight = dweight.map(|numbers| &mut **numbers);
                let gradients = HeadGradients { hidden: &mut dhidden, weight };
                Ok(head::loss(slices[0], output, &tokens, 1.0 / temperature, slope, gradients))
            })?;
            (found, Value::new([targets.len(), width], dhidden), before)
        };
        if let (Some(at), Some(dweight)) = (place, dweight) {
            add_gradient(gradients, at, dweight)?;
        }
        let mut back = None;
        for (slot, gradient) in tape.backward(last, dhidden)? {
            match own.iter().find(|(own, _)| *own == slot) {
                Some((_, at)) => add_found(gradients, *at, gradient)?,
                None if slot == input => back = gradient,
                None => {}
            }
        }
        // From the rows that were asked for to all rows.
        let Some(rows) = back else { return Ok(found) };
        let mut dstate = match &self.elsewhere {
            None => spread(&rows, targets, texts.tokens.len(), width)?,
            Some(_) => composed::spread(&rows, targets, texts.tokens.len())?,
        };
        for number in (0..self.weights.shape.layers).rev() {
            passed.states.pop();
            let layer = match passed.layers.pop() {
                Some(layer) => layer,
                None => self.layer(number, &passed.states[number], texts, Some(dropout))?,
            };
            let mut back = None;
            for (slot, gradient) in layer.tape.backward(layer.output, dstate)? {
                match layer.parameters.iter().find(|(own, _)| *own == slot) {
                    Some((_, at)) => add_found(gradients, *at, gradient)?,
                    None if slot == layer.input => back = gradient,
                    None => {}
                }
            }
            let Some(next) = back else { return Ok(found) };
            dstate = next;
        }
        let Some(at) = self.place("token_embd.weight") else { return Ok(found) };
        if self.elsewhere.is_none() {
            let mut sum = self.begun(gradients, at);
            let numbers = sum.numbers_mut()?;
            with_slices(&[&dstate], |slices| {
                for (row, token) in slices[0].chunks_exact(width).zip(&texts.tokens) {
                    let to = &mut numbers[*token as usize * width..][..width];
                    to.iter_mut().zip(row).for_each(|(to, more)| *to += more);
                }
                Ok(())
            })?;
            gradients[at] = Some(sum);
        } else {
            let mut tape = Tape::default();
            let matrix = tape.leaf(self.parameters[at].value.clone().into(), true);
            let rows = tape.apply(self.embedding(texts), &[matrix])?;
            for (_, gradient) in tape.backward(rows, dstate)? {
                add_found(gradients, at, gradient)?;
            }
        }
        Ok(found)
    }

    /// The gradient of a parameter as far as it is known, taken out.
    fn begun(&self, gradients: &mut Gradients, at: usize) -> Value {
        let zeros = || {
            let value = &self.parameters[at].value;
            Value::new(value.dims(), Buffer::zeros(value.elem_count()))
        };
        gradients[at].take().unwrap_or_else(zeros)
    }

    fn check(&mut self, texts: &Texts, targets: &[Target]) -> Result<()> {
        let vocabulary = self.weights.shape.vocabulary;
        let all = texts.tokens.iter().chain(targets.iter().map(|target| &target.token));
        if let Some(token) = all.into_iter().find(|token| **token as usize >= vocabulary) {
            return Err(Error::data(format!("there is no token {token} in a vocabulary of {vocabulary}")));
        }
        let ends = texts.starts.last() == Some(&texts.tokens.len());
        if !ends || texts.starts.first() != Some(&0) || !texts.starts.is_sorted() {
            return Err(Error::data("the texts do not begin and end where their tokens do"));
        }
        // A parent is a text before that begins by itself.
        let known = |(at, parent): (usize, &Option<usize>)| {
            parent.is_none_or(|parent| parent < at && texts.parents[parent].is_none())
        };
        let count = texts.starts.len() - 1;
        if ![0, count].contains(&texts.parents.len()) || !texts.parents.iter().enumerate().all(known) {
            return Err(Error::data("texts that go on from none that lies before them and begins by itself"));
        }
        if let Some(target) = targets.iter().find(|target| target.row >= texts.tokens.len()) {
            return Err(Error::data(format!("a target in row {} of {}", target.row, texts.tokens.len())));
        }
        if self.angles.positions() < texts.longest() {
            self.angles = self.weights.shape.rope.angles(texts.longest().next_power_of_two());
        }
        Ok(())
    }

    fn embedding(&self, texts: &Texts) -> Embedding {
        Embedding { tokens: texts.tokens.as_slice().into(), width: self.weights.shape.width }
    }

    fn output_name(&self) -> &'static str {
        if self.weights.matrix("output.weight").is_ok() { "output.weight" } else { "token_embd.weight" }
    }

    /// Calls `work` with the output matrix and the numbers of tensors.
    fn with_output<T>(
        &self,
        tensors: &[&Value],
        work: impl FnOnce(Output<'_>, &[&[f32]]) -> candle_core::Result<T>,
    ) -> Result<T> {
        let name = self.output_name();
        let done = match self.place(name) {
            None => {
                let weight = self.weights.matrix(name)?;
                let matrix = Last::Frozen(weight);
                with_slices(tensors, |slices| work(Output { matrix, precision: self.precision }, slices))
            }
            Some(at) => {
                let matrix = self.parameters[at].value.clone().into();
                let all: Vec<&Value> = [&matrix].into_iter().chain(tensors.iter().copied()).collect();
                let columns = self.weights.shape.width;
                with_slices(&all, |slices| {
                    let matrix = Last::Trained(slices[0], columns);
                    work(Output { matrix, precision: self.precision }, &slices[1..])
                })
            }
        };
        Ok(done?)
    }

    /// Runs the layers. With `keep`, the tapes of those that gradients go through stay.
    fn forward(&self, texts: &Texts, dropout: Option<Seed>, keep: bool) -> Result<Passed> {
        let width = self.weights.shape.width;
        let first = match self.place("token_embd.weight") {
            Some(at) => {
                let mut tape = Tape::default();
                let matrix = tape.leaf(self.parameters[at].value.clone().into(), false);
                let rows = tape.apply(self.embedding(texts), &[matrix])?;
                tape.value(rows).clone()
            }
            None => {
                let matrix = self.weights.matrix("token_embd.weight")?;
                let mut rows = Buffer::any(texts.tokens.len() * width);
                for (row, token) in rows.chunks_exact_mut(width).zip(&texts.tokens) {
                    matrix.unpack(*token as usize, row);
                }
                self.numbers([texts.tokens.len(), width], rows)?
            }
        };
        let mut passed = Passed { states: vec![first], layers: Vec::new() };
        for number in 0..self.weights.shape.layers {
            let layer = self.layer(number, &passed.states[number], texts, dropout)?;
            passed.states.push(layer.tape.value(layer.output).clone());
            let goes_back = dropout.is_some() && number >= self.lowest;
            if keep && goes_back {
                passed.layers.push(layer);
            } else if !goes_back {
                passed.states[number] = Value::spent(&[]);
            }
        }
        Ok(passed)
    }

    /// The last norm, of the rows that are asked for.
    fn last_norm(
        &self,
        passed: &Passed,
        targets: &[Target],
        parameters: &mut Vec<(Slot, usize)>,
    ) -> Result<(Tape, Slot, Slot)> {
        let width = self.weights.shape.width;
        let last = passed.states.last().ok_or_else(|| Error::engine("a model without layers"))?;
        let picked = |slices: &[&[f32]]| {
            let mut rows = Buffer::any(targets.len() * width);
            for (row, target) in rows.chunks_exact_mut(width).zip(targets) {
                row.copy_from_slice(&slices[0][target.row * width..(target.row + 1) * width]);
            }
            Ok(Value::new([targets.len(), width], rows))
        };
        let rows = match &self.elsewhere {
            None => with_slices(&[last], picked)?,
            Some(_) => composed::pick(last, targets)?,
        };
        let mut tape = Tape::default();
        let input = tape.leaf(rows, true);
        let norm = self.norm(&mut tape, "output_norm.weight", input, parameters)?;
        Ok((tape, input, norm))
    }

    /// Numbers, where the model is.
    fn numbers(&self, shape: impl Into<Vec<usize>>, numbers: Buffer) -> Result<Value> {
        let here = Value::new(shape, numbers);
        match &self.elsewhere {
            None => Ok(here),
            Some((device, dtype)) => Ok(here.tensor(device)?.to_dtype(*dtype)?.into()),
        }
    }

    /// A vector of the model: trained, or as it is.
    fn vector(&self, tape: &mut Tape, name: &str, parameters: &mut Vec<(Slot, usize)>) -> Result<Slot> {
        if let Some(at) = self.place(name) {
            let slot = tape.leaf(self.parameters[at].value.clone().into(), true);
            parameters.push((slot, at));
            return Ok(slot);
        }
        let vector = self
            .weights
            .vector(name)
            .ok_or_else(|| Error::data(format!("the model has no vector {name:?}")))?;
        Ok(tape.leaf(self.numbers([vector.len()], Buffer::copy(vector))?, false))
    }

    fn norm(
        &self,
        tape: &mut Tape,
        name: &str,
        x: Slot,
        parameters: &mut Vec<(Slot, usize)>,
    ) -> Result<Slot> {
        let weight = self.vector(tape, name, parameters)?;
        Ok(tape.apply(RmsNorm { epsilon: self.weights.shape.epsilon }, &[x, weight])?)
    }

    /// One layer, from its input.
    fn layer(&self, number: usize, input: &Value, texts: &Texts, dropout: Option<Seed>) -> Result<Layer> {
        let shape = &self.weights.shape;
        let mut tape = Tape::default();
        let wanted = number > self.lowest || self.place("token_embd.weight").is_some();
        let mut parameters = Vec::new();
        let own = |name: &str| format!("blk.{number}.{name}");
        let x = tape.leaf(input.clone(), wanted);
        let t = &mut tape;
        let p = &mut parameters;
        let normed = self.norm(t, &own("attn_norm.weight"), x, p)?;
        let mut qkv = self.projection(t, number, &["attn_q", "attn_k", "attn_v"], normed, dropout, p)?;
        if self.weights.vector(&own("attn_q_norm.weight")).is_some() {
            let q = self.vector(t, &own("attn_q_norm.weight"), p)?;
            let k = self.vector(t, &own("attn_k_norm.weight"), p)?;
            qkv = t.apply(HeadNorm { heads: shape.heads, epsilon: shape.epsilon }, &[qkv, q, k])?;
        }
        let rope = Rope {
            heads: shape.heads,
            layout: shape.rope.layout,
            angles: Arc::clone(&self.angles),
            positions: texts.positions(),
        };
        let turned = t.apply_in_place(rope, &[qkv])?;
        let (heads, precision) = (shape.heads, self.precision);
        let attention = Attention { heads, texts: texts.spans(), precision };
        let seen = t.apply(attention, &[turned])?;
        let out = self.projection(t, number, &["attn_output"], seen, dropout, p)?;
        let middle = t.apply_in_place(Add, &[out, x])?;
        let normed = self.norm(t, &own("ffn_norm.weight"), middle, p)?;
        let gates = self.projection(t, number, &["ffn_gate", "ffn_up"], normed, dropout, p)?;
        let inner = t.apply(SwiGlu { width: shape.feed_forward }, &[gates])?;
        let down = self.projection(t, number, &["ffn_down"], inner, dropout, p)?;
        let output = t.apply_in_place(Add, &[down, middle])?;
        Ok(Layer { tape, input: x, output, parameters })
    }

    /// The product with matrices that read the same.
    fn projection(
        &self,
        tape: &mut Tape,
        layer: usize,
        names: &[&str],
        x: Slot,
        dropout: Option<Seed>,
        parameters: &mut Vec<(Slot, usize)>,
    ) -> Result<Slot> {
        let mut inputs = vec![x];
        let mut parts = Vec::new();
        let mut columns = 0;
        let mut share = 0.0;
        for name in names {
            let mut trained = |name: &str| {
                let at = self.place(name)?;
                let slot = tape.leaf(self.parameters[at].value.clone().into(), true);
                parameters.push((slot, at));
                inputs.push(slot);
                Some(at)
            };
            let (matrix, bias) = (format!("blk.{layer}.{name}.weight"), format!("blk.{layer}.{name}.bias"));
            let weight = self.weights.matrix(&matrix)?;
            columns = weight.columns;
            let base = if trained(&matrix).is_some() { Base::Trained } else { Base::Frozen(weight.clone()) };
            let bias = match self.weights.vector(&bias) {
                None => Bias::None,
                Some(_) if trained(&bias).is_some() => Bias::Trained,
                Some(vector) => Bias::Frozen(Arc::clone(vector)),
            };
            let adapter = match &self.trained {
                Trained::Lora(config) if trained(&format!("{matrix}.lora_a")).is_some() => {
                    trained(&format!("{matrix}.lora_b"));
                    share = config.lora_dropout;
                    trained(&format!("{matrix}.{LENGTHS}"));
                    Some(Low { rank: config.r, scale: config.scale(), dora: config.use_dora })
                }
                _ => None,
            };
            parts.push(Part { rows: weight.rows, base, bias, adapter });
        }
        let seed = |seed: Seed| mix(seed.stream(names[0], layer as u64).next_u64());
        let dropout = dropout.map(|own| (share, seed(own)));
        Ok(tape.apply(Projection { columns, parts, dropout, precision: self.precision }, &inputs)?)
    }
}

fn add_found(gradients: &mut Gradients, at: usize, found: Option<Value>) -> Result<()> {
    found.map_or(Ok(()), |found| add_gradient(gradients, at, found))
}

fn add_gradient(gradients: &mut Gradients, at: usize, found: Value) -> Result<()> {
    match &mut gradients[at] {
        Some(sum) => sum.add(&found)?,
        empty => *empty = Some(found),
    }
    Ok(())
}

/// Adds rows up where their targets are, in as many rows as there are tokens.
fn spread(rows: &Value, targets: &[Target], tokens: usize, width: usize) -> Result<Value> {
    let mut all = Buffer::zeros(tokens * width);
    with_slices(&[rows], |slices| {
        for (row, target) in slices[0].chunks_exact(width).zip(targets) {
            let to = &mut all[target.row * width..(target.row + 1) * width];
            to.iter_mut().zip(row).for_each(|(to, more)| *to += more);
        }
        Ok(())
    })?;
    Ok(Value::new([tokens, width], all))
}
