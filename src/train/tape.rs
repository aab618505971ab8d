//! A trace of operations, and the way back along it.

use std::sync::Arc;

use candle_core::{Result, Tensor, bail};

use super::ops::{Op, Saved, run, run_back};

/// A tensor on a tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot(usize);

struct Node {
    value: Tensor,
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
    pub fn leaf(&mut self, value: Tensor, wanted: bool) -> Slot {
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
        let values: Vec<&Tensor> = inputs.iter().map(|slot| self.value(*slot)).collect();
        let (value, saved) = run(&op, &values)?;
        let wanted = inputs.iter().any(|slot| self.nodes[slot.0].wanted);
        let made = wanted.then(|| Made { op: Arc::new(op), inputs: inputs.to_vec(), saved });
        Ok(self.push(Node { value, wanted, made }))
    }

    /// The tensor in a slot.
    pub fn value(&self, slot: Slot) -> &Tensor {
        &self.nodes[slot.0].value
    }

    /// The gradients of the leaves for which they are wanted, from that of `end`; `None` where nothing leads to one.
    /// What operations kept is let go as it is used.
    ///
    /// # Errors
    /// A gradient of another shape than the tensor's, or candle fails.
    pub fn backward(mut self, end: Slot, gradient: Tensor) -> Result<Vec<(Slot, Option<Tensor>)>> {
        if gradient.shape() != self.value(end).shape() {
            bail!("a gradient of {:?} for a tensor of {:?}", gradient.shape(), self.value(end).shape());
        }
        let mut gradients: Vec<Option<Tensor>> = vec![None; self.nodes.len()];
        gradients[end.0] = Some(gradient);
        let mut leaves = Vec::new();
        while let Some(node) = self.nodes.pop() {
            let slot = Slot(self.nodes.len());
            let own = gradients[slot.0].take();
            let Some(made) = node.made else {
                if node.wanted {
                    leaves.push((slot, own));
                }
                continue;
            };
            let Some(dout) = own else { continue };
            let values: Vec<&Tensor> = made.inputs.iter().map(|slot| self.value(*slot)).collect();
            let wanted: Vec<bool> = made.inputs.iter().map(|slot| self.nodes[slot.0].wanted).collect();
            let found = run_back(&*made.op, &values, &node.value, &made.saved, &dout, &wanted)?;
            for ((slot, found), wanted) in made.inputs.iter().zip(found).zip(wanted) {
                let Some(found) = found.filter(|_| wanted) else { continue };
                let place = &mut gradients[slot.0];
                *place = Some(match place.take() {
                    Some(sum) => (sum + found)?,
                    None => found,
                });
            }
        }
        leaves.reverse();
        Ok(leaves)
    }
}
