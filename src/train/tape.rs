//! A trace of operations, and the way back along it.

use std::sync::Arc;

use candle_core::{Result, bail};

use super::ops::{Op, Saved, Value, run, run_back, run_in_place};

/// A tensor on a tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot(usize);

struct Node {
    value: Value,
    /// Whether its gradient is asked for, or one of what it was made of.
    wanted: bool,
    made: Option<Made>,
}

struct Made {
    op: Arc<dyn Op>,
    inputs: Vec<Slot>,
    saved: Saved,
}

/// Operations in the order in which they were applied. Dropping it frees what they kept.
#[derive(Default)]
pub struct Tape {
    nodes: Vec<Node>,
}

impl Tape {
    /// Puts a tensor on the tape; with `wanted`, [`Self::backward`] returns its gradient.
    pub fn leaf(&mut self, value: Value, wanted: bool) -> Slot {
        self.push(Node { value, wanted, made: None })
    }

    fn push(&mut self, node: Node) -> Slot {
        self.nodes.push(node);
        Slot(self.nodes.len() - 1)
    }

    /// Applies an operation.
    ///
    /// # Errors
    /// The inputs do not go together, or candle fails.
    pub fn apply(&mut self, op: impl Op + 'static, inputs: &[Slot]) -> Result<Slot> {
        let values: Vec<&Value> = inputs.iter().map(|slot| self.value(*slot)).collect();
        let (value, saved) = run(&op, &values)?;
        Ok(self.made(op, inputs, value, saved))
    }

    fn made(&mut self, op: impl Op + 'static, inputs: &[Slot], value: Value, saved: Saved) -> Slot {
        let wanted = inputs.iter().any(|slot| self.nodes[slot.0].wanted);
        let made = wanted.then(|| Made { op: Arc::new(op), inputs: inputs.to_vec(), saved });
        self.push(Node { value, wanted, made })
    }

    /// Applies an operation where its first input lies, which is used up: no other operation may read it, and that
    /// which made it must not need it on the way back. (Operations of candle's leave it.)
    ///
    /// # Errors
    /// As [`Self::apply`], and operations that cannot.
    pub fn apply_in_place(&mut self, op: impl Op + 'static, inputs: &[Slot]) -> Result<Slot> {
        let Some((first, others)) = inputs.split_first() else { bail!("{} of nothing", op.name()) };
        if !self.value(*first).is_here() {
            return self.apply(op, inputs);
        }
        let spent = Value::spent(self.value(*first).dims());
        let own = std::mem::replace(&mut self.nodes[first.0].value, spent);
        let others: Vec<&Value> = others.iter().map(|slot| self.value(*slot)).collect();
        let value = run_in_place(&op, own, &others)?;
        Ok(self.made(op, inputs, value, Saved::default()))
    }

    /// The tensor in a slot.
    pub fn value(&self, slot: Slot) -> &Value {
        &self.nodes[slot.0].value
    }

    /// The gradients of the leaves for which they are wanted, from that of `end`; `None` where nothing leads to one.
    /// What operations kept is let go as it is used.
    ///
    /// # Errors
    /// A gradient of another shape than the tensor's, or candle fails.
    pub fn backward(mut self, end: Slot, gradient: Value) -> Result<Vec<(Slot, Option<Value>)>> {
        if gradient.dims() != self.value(end).dims() {
            bail!("a gradient of {:?} for a tensor of {:?}", gradient.dims(), self.value(end).dims());
        }
        let mut gradients: Vec<Option<Value>> = vec![None; self.nodes.len()];
        gradients[end.0] = Some(gradient);
        let mut leaves = Vec::new();
        while let Some(mut node) = self.nodes.pop() {
            let slot = Slot(self.nodes.len());
            let own = gradients[slot.0].take();
            let Some(made) = node.made else {
                if node.wanted {
                    leaves.push((slot, own));
                }
                continue;
            };
            let Some(dout) = own else { continue };
            if !made.op.reads_output() && node.value.is_here() {
                node.value = Value::spent(node.value.dims());
            }
            let values: Vec<&Value> = made.inputs.iter().map(|slot| self.value(*slot)).collect();
            let wanted: Vec<bool> = made.inputs.iter().map(|slot| self.nodes[slot.0].wanted).collect();
            let found = run_back(&*made.op, &values, &node.value, &made.saved, &dout, &wanted)?;
            for ((slot, found), wanted) in made.inputs.iter().zip(found).zip(wanted) {
                let Some(found) = found.filter(|_| wanted) else { continue };
                match &mut gradients[slot.0] {
                    Some(sum) => sum.add(&found)?,
                    empty => *empty = Some(found),
                }
            }
        }
        leaves.reverse();
        Ok(leaves)
    }
}
