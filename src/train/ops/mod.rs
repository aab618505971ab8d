//! Operations that gradients go through, each forward and backward: on a processor loops of ours over slices
//! ([`super::cpu`]), elsewhere the same thing composed of candle's own differentiable operations.
//!
//! candle's fused operations have no way back and stop gradients without a word, and its products compute gradients of
//! matrices that nobody trains. These do neither. [`apply`] makes any of them with one to three inputs an operation of
//! candle; the trainer puts them on a [`super::tape::Tape`], which takes any number of inputs and moves gradients
//! where candle's own way back adds each to a tensor of zeros.

mod attention;
mod embedding;
mod norm;
mod projection;
mod rope;
mod simple;
mod value;

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, DType, Device, Layout, Shape, Tensor, Var, bail,
};

use crate::train::cpu::buffer::Buffer;
use crate::train::cpu::gemm::Precision;

pub use crate::train::cpu::attention::{Heads, Span, spans};
pub use crate::train::cpu::linear::{LowRank, Weight};
pub use crate::train::cpu::rope::{Angles, Layout as RopeLayout};
pub use attention::Attention;
pub use embedding::Embedding;
pub use norm::{HeadNorm, RmsNorm};
pub use projection::{Adapter, Base, Bias, Part, Projection};
pub use rope::Rope;
pub use simple::{Add, SwiGlu};
pub use value::Value;
use value::slice;
pub(in crate::train) use value::with_slices;

type Result<T> = candle_core::Result<T>;

/// What an operation's forward pass keeps for its way back, beside inputs and output.
pub type Saved = Buffer;

/// The gradient of an input.
pub enum Back {
    /// Numbers.
    Own(Buffer),
    /// That of the output.
    Same,
}

impl From<Buffer> for Back {
    fn from(numbers: Buffer) -> Self {
        Back::Own(numbers)
    }
}

/// A differentiable operation.
pub trait Op: Send + Sync {
    /// Its name, for messages.
    fn name(&self) -> &'static str;

    /// The shape of the output.
    ///
    /// # Errors
    /// Inputs of these shapes do not go together.
    fn shape(&self, inputs: &[&[usize]]) -> Result<Vec<usize>>;

    /// Computes the output, each number of which has to be written.
    fn forward(&self, inputs: &[&[f32]], out: &mut [f32]) -> Saved;

    /// Whether the way back reads the output; if not, its memory is let go before.
    fn reads_output(&self) -> bool {
        false
    }

    /// Makes the output of the first input where it lies; then the way back sees nothing of that input.
    ///
    /// # Errors
    /// This operation cannot.
    fn forward_in_place(&self, _first: &mut [f32], _others: &[&[f32]]) -> Result<()> {
        bail!("{} cannot be done in place", self.name())
    }

    /// The gradients of the inputs that are `wanted`, from that of the output; `None` for the others.
    fn backward(
        &self,
        inputs: &[&[f32]],
        out: &[f32],
        saved: &Saved,
        dout: &[f32],
        wanted: &[bool],
    ) -> Vec<Option<Back>>;

    /// The same of candle's own differentiable operations, in any type of numbers: what runs on other devices than
    /// processors, and what the loops are held against in `f64`.
    ///
    /// # Errors
    /// candle's.
    fn composed(&self, inputs: &[Tensor]) -> Result<Tensor>;

    /// The way back of [`Self::composed`] where candle's own would keep too much; `None` leaves it to candle.
    ///
    /// # Errors
    /// candle's.
    fn composed_back(&self, _inputs: &[Tensor], _dout: &Tensor) -> Result<Option<Vec<Option<Tensor>>>> {
        Ok(None)
    }
}

/// Runs an operation forward, without a trace for candle's own way back.
///
/// # Errors
/// The inputs do not go together, or candle fails.
pub(super) fn run(op: &dyn Op, inputs: &[&Value]) -> Result<(Value, Saved)> {
    if !inputs.iter().all(|value| value.is_here()) {
        return Ok((op.composed(&on_device(inputs)?)?.detach().into(), Saved::default()));
    }
    let shapes: Vec<&[usize]> = inputs.iter().map(|value| value.dims()).collect();
    let shape = op.shape(&shapes)?;
    let mut out = Buffer::any(shape.iter().product());
    let saved = with_slices(inputs, |slices| Ok(op.forward(slices, &mut out)))?;
    Ok((Value::new(shape, out), saved))
}

/// Runs an operation over the memory of its first input, which nobody may need any more.
///
/// # Errors
/// The inputs do not go together, or candle fails.
pub(super) fn run_in_place(op: &dyn Op, mut first: Value, others: &[&Value]) -> Result<Value> {
    let shapes: Vec<&[usize]> =
        [&first].into_iter().chain(others.iter().copied()).map(|value| value.dims()).collect();
    if op.shape(&shapes)? != first.dims() {
        bail!("{} cannot be done in place: the shapes differ", op.name());
    }
    let numbers = first.numbers_mut()?;
    with_slices(others, |slices| op.forward_in_place(numbers, slices))?;
    Ok(first)
}

/// Tensors that our loops do not work on, cut off from how they were made.
fn on_device(values: &[&Value]) -> Result<Vec<Tensor>> {
    values.iter().map(|value| Ok(value.tensor(&Device::Cpu)?.detach())).collect()
}

/// Runs an operation backward.
///
/// # Errors
/// candle fails.
pub(super) fn run_back(
    op: &dyn Op,
    inputs: &[&Value],
    out: &Value,
    saved: &Saved,
    dout: &Value,
    wanted: &[bool],
) -> Result<Vec<Option<Value>>> {
    if !dout.is_here() {
        let dout = dout.tensor(&Device::Cpu)?;
        let found = composed_back(op, &on_device(inputs)?, &dout, wanted)?;
        return Ok(found.into_iter().map(|gradient| gradient.map(Value::from)).collect());
    }
    let all: Vec<&Value> = inputs.iter().copied().chain([out, dout]).collect();
    let gradients = with_slices(&all, |slices| {
        let (inputs, ends) = slices.split_at(inputs.len());
        Ok(op.backward(inputs, ends[0], saved, ends[1], wanted))
    })?;
    let value = |(gradient, input): (Option<Back>, &&Value)| {
        gradient.map(|gradient| match gradient {
            Back::Own(numbers) => Value::new(input.dims(), numbers),
            Back::Same => dout.clone(),
        })
    };
    Ok(gradients.into_iter().zip(inputs).map(value).collect())
}

/// A product of candle's, of numbers rounded to bf16 if that is asked for. On a processor the rounded numbers are multiplied as
/// they are otherwise; on a GPU the result is rounded too. In candle's way back gradients are rounded as well, which the loops
/// do to one side only.
pub(in crate::train) fn matmul(precision: Precision, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    // Of more than matrices, candle takes no turned ones.
    let ready = |x: &Tensor| if x.rank() == 2 { Ok(x.clone()) } else { x.contiguous() };
    let (a, b) = (ready(a)?, ready(b)?);
    if precision == Precision::F32 {
        return a.matmul(&b);
    }
    let (own, there) = (a.dtype(), DType::BF16);
    if a.device().is_cpu() {
        let rounded = |x: &Tensor| x.to_dtype(there)?.to_dtype(own);
        return rounded(&a)?.matmul(&rounded(&b)?);
    }
    a.to_dtype(there)?.matmul(&b.to_dtype(there)?)?.to_dtype(own)
}

/// Backward through the composed form, by candle.
fn composed_back(
    op: &dyn Op,
    inputs: &[Tensor],
    dout: &Tensor,
    wanted: &[bool],
) -> Result<Vec<Option<Tensor>>> {
    if let Some(own) = op.composed_back(inputs, dout)? {
        return Ok(own);
    }
    let inputs: Vec<(Tensor, bool)> = inputs
        .iter()
        .zip(wanted)
        .map(|(tensor, wanted)| {
            Ok((
                if *wanted { Var::from_tensor(&tensor.detach())?.into_inner() } else { tensor.detach() },
                *wanted,
            ))
        })
        .collect::<Result<_>>()?;
    let own: Vec<Tensor> = inputs.iter().map(|(tensor, _)| tensor.clone()).collect();
    let gradients = (op.composed(&own)? * dout.detach())?.sum_all()?.backward()?;
    Ok(inputs
        .iter()
        .map(|(tensor, wanted)| wanted.then(|| gradients.get(tensor).cloned()).flatten())
        .collect())
}

/// Applies an operation with one to three inputs as an operation of candle, so that candle's own way back goes through
/// it.
///
/// # Errors
/// Another number of inputs, inputs that do not go together, or candle fails.
pub fn apply(op: impl Op + 'static, inputs: &[&Tensor]) -> Result<Tensor> {
    if !inputs.iter().all(|tensor| tensor.device().is_cpu()) {
        let own: Vec<Tensor> = inputs.iter().map(|tensor| (*tensor).clone()).collect();
        return op.composed(&own);
    }
    let custom = Custom { op: Arc::new(op), saved: Mutex::default() };
    match inputs {
        [one] => one.apply_op1(custom),
        [one, two] => one.apply_op2(two, custom),
        [one, two, three] => one.apply_op3(two, three, custom),
        more => bail!("candle's operations have one to three inputs, not {}", more.len()),
    }
}

/// An operation of ours as one of candle's, which is applied once.
struct Custom {
    op: Arc<dyn Op>,
    saved: Mutex<Saved>,
}

impl Custom {
    fn forward(&self, inputs: &[(&CpuStorage, &Layout)]) -> Result<(CpuStorage, Shape)> {
        let shapes: Vec<&[usize]> = inputs.iter().map(|(_, layout)| layout.dims()).collect();
        let shape = self.op.shape(&shapes)?;
        let slices =
            inputs.iter().map(|(storage, layout)| slice(storage, layout)).collect::<Result<Vec<_>>>()?;
        let mut out = Buffer::any(shape.iter().product());
        *self.saved.lock().unwrap_or_else(PoisonError::into_inner) = self.op.forward(&slices, &mut out);
        Ok((CpuStorage::F32(out.into_vec()), shape.into()))
    }

    fn backward(&self, inputs: &[&Tensor], out: &Tensor, dout: &Tensor) -> Result<Vec<Option<Tensor>>> {
        let wanted: Vec<bool> = inputs.iter().map(|tensor| tensor.track_op()).collect();
        let saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        let inputs: Vec<Value> = inputs.iter().map(|tensor| Value::from((*tensor).clone())).collect();
        let (out, dout) = (out.clone().into(), dout.contiguous()?.into());
        let found = run_back(&*self.op, &inputs.iter().collect::<Vec<_>>(), &out, &saved, &dout, &wanted)?;
        let tensor =
            |gradient: Option<Value>| gradient.map(|gradient| gradient.tensor(&Device::Cpu)).transpose();
        found.into_iter().map(tensor).collect()
    }
}

impl CustomOp1 for Custom {
    fn name(&self) -> &'static str {
        self.op.name()
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout) -> Result<(CpuStorage, Shape)> {
        self.forward(&[(s1, l1)])
    }

    fn bwd(&self, one: &Tensor, out: &Tensor, dout: &Tensor) -> Result<Option<Tensor>> {
        Ok(self.backward(&[one], out, dout)?.remove(0))
    }
}

impl CustomOp2 for Custom {
    fn name(&self) -> &'static str {
        self.op.name()
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.forward(&[(s1, l1), (s2, l2)])
    }

    fn bwd(
        &self,
        one: &Tensor,
        two: &Tensor,
        out: &Tensor,
        dout: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let mut all = self.backward(&[one, two], out, dout)?.into_iter();
        Ok((all.next().flatten(), all.next().flatten()))
    }
}

impl CustomOp3 for Custom {
    fn name(&self) -> &'static str {
        self.op.name()
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.forward(&[(s1, l1), (s2, l2), (s3, l3)])
    }

    fn bwd(
        &self,
        one: &Tensor,
        two: &Tensor,
        three: &Tensor,
        out: &Tensor,
        dout: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let mut all = self.backward(&[one, two, three], out, dout)?.into_iter();
        Ok((all.next().flatten(), all.next().flatten(), all.next().flatten()))
    }
}
