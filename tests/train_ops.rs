//! The operations of the trainer: gradients beside central differences in `f64`, and results beside their slow twins made
//! of candle's own operations.
#![cfg(feature = "train")]

use std::sync::Arc;

use candle_core::{DType, Device, Tensor, Var};
use rlkd::gguf::TensorType;
use rlkd::gguf::quantise::quantise;
use rlkd::seed::Seed;
use rlkd::train::cpu::gemm::Precision;
use rlkd::train::cpu::head::{self, Gradients, Last, Output, Slope, Token};
use rlkd::train::cpu::rope::Layout;
use rlkd::train::ops::{
    Adapter, Add, Angles, Attention, Base, Bias, Embedding, HeadNorm, Heads, LowRank, Op, Part, Projection,
    RmsNorm, Rope, Span, SwiGlu, Value, Weight, apply, spans,
};
use rlkd::train::tape::Tape;

fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut stream = Seed(seed).stream("numbers", count as u64);
    (0..count).map(|_| (stream.next_f64() * 2.0 - 1.0) as f32).collect()
}

fn tensor(shape: &[usize], seed: u64) -> Tensor {
    Tensor::from_vec(numbers(shape.iter().product(), seed), shape, &Device::Cpu).expect("a tensor")
}

fn largest(one: &Tensor, other: &Tensor) -> f32 {
    let flat = |t: &Tensor| t.flatten_all().expect("flat").to_vec1::<f32>().expect("numbers");
    assert_eq!(one.shape(), other.shape());
    flat(one).iter().zip(flat(other)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// A loss that asks something else of every number.
fn asked(shape: &[usize]) -> Tensor {
    tensor(shape, 77)
}

fn loss(out: &Tensor) -> Tensor {
    (out * asked(out.dims())).and_then(|product| product.sum_all()).expect("a loss")
}

/// Checks an operation: its output and its gradients, through candle's own way back, are those of the composed form;
/// and its gradients are central differences of that form in `f64`.
fn check(op: impl Op + Clone + 'static, inputs: &[Tensor]) {
    let vars: Vec<Var> = inputs.iter().map(|tensor| Var::from_tensor(tensor).expect("a variable")).collect();
    let own: Vec<&Tensor> = vars.iter().map(Var::as_tensor).collect();
    let ours = apply(op.clone(), &own).expect("forward");
    let found = loss(&ours).backward().expect("backward");
    let found: Vec<Tensor> = vars.iter().map(|var| found.get(var).expect("a gradient").clone()).collect();
    compare(&op, inputs, &ours.detach(), &found, &[]);
}

/// The same on a tape, for any number of inputs; but for central differences of those of which a part counts as
/// constant.
fn check_on_tape(op: impl Op + Clone + 'static, inputs: &[Tensor], constant: &[usize]) {
    let mut tape = Tape::default();
    let slots: Vec<_> = inputs.iter().map(|tensor| tape.leaf(tensor.clone().into(), true)).collect();
    let out = tape.apply(op.clone(), &slots).expect("forward");
    let ours = tape.value(out).tensor(&Device::Cpu).expect("a tensor");
    let found = tape.backward(out, asked(ours.dims()).into()).expect("backward");
    let tensor = |value: Option<Value>| value.expect("a gradient").tensor(&Device::Cpu).expect("a tensor");
    let found: Vec<Tensor> = found.into_iter().map(|(_, value)| tensor(value)).collect();
    compare(&op, inputs, &ours, &found, constant);
}

fn compare(op: &dyn Op, inputs: &[Tensor], ours: &Tensor, found: &[Tensor], constant: &[usize]) {
    let name = op.name();
    let vars: Vec<Var> = inputs.iter().map(|tensor| Var::from_tensor(tensor).expect("a variable")).collect();
    let all: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let twin = op.composed(&all).expect("composed");
    assert!(largest(ours, &twin) < 1e-5, "{name}: {}", largest(ours, &twin));
    let expected = loss(&twin).backward().expect("backward");
    assert_eq!(found.len(), vars.len());
    for (at, (var, found)) in vars.iter().zip(found).enumerate() {
        let expected = expected.get(var).expect("twin");
        let size =
            expected.abs().and_then(|x| x.max_all()).and_then(|x| x.to_scalar::<f32>()).expect("a size");
        let worst = largest(found, expected);
        assert!(worst <= 1e-5 * size.max(1.0), "{name}, input {at}: {worst} of {size}");
        assert!(size > 0.0, "{name}, input {at}: a gradient of nothing but 0");
        if constant.contains(&at) {
            continue;
        }

        // Number by number: f(x + h) − f(x − h) over 2h, all of it in f64.
        let wide = |tensor: &Tensor| tensor.to_dtype(DType::F64).expect("f64");
        let inputs: Vec<Tensor> = all.iter().map(|tensor| wide(&tensor.detach())).collect();
        let value = |inputs: &[Tensor]| {
            let out = op.composed(inputs).expect("composed");
            let sum =
                (&out * wide(&asked(out.dims()))).and_then(|product| product.sum_all()).expect("a loss");
            sum.to_scalar::<f64>().expect("a number")
        };
        let found = found.flatten_all().and_then(|flat| flat.to_vec1::<f32>()).expect("numbers");
        let numbers = inputs[at].flatten_all().and_then(|flat| flat.to_vec1::<f64>()).expect("numbers");
        for number in (0..numbers.len()).step_by(numbers.len().div_ceil(60)) {
            let step = 1e-5;
            let moved = |by: f64| {
                let (mut numbers, mut inputs) = (numbers.clone(), inputs.clone());
                numbers[number] += by;
                inputs[at] = Tensor::from_vec(numbers, inputs[at].shape(), &Device::Cpu).expect("a tensor");
                value(&inputs)
            };
            let difference = (moved(step) - moved(-step)) / (2.0 * step);
            let slope = f64::from(found[number]);
            assert!(
                (difference - slope).abs() < 1e-5 * f64::from(size.max(1.0)),
                "{name}, input {at}, number {number}: {difference} and {slope}"
            );
        }
    }
    // What runs on other devices has a way back of its own for some: it is that of the differences too, for the loops are.
    let wide: Vec<Tensor> = inputs.iter().map(|tensor| tensor.to_dtype(DType::F64).expect("f64")).collect();
    let dout = asked(ours.dims()).to_dtype(DType::F64).expect("f64");
    if let Some(own) = op.composed_back(&wide, &dout).expect("worked") {
        for (found, own) in found.iter().zip(own) {
            let own = own.expect("a gradient").to_dtype(DType::F32).expect("f32");
            assert!(largest(&own, found) < 1e-5, "{name}: {}", largest(&own, found));
        }
    }
}

#[test]
fn norms() {
    for rows in [1, 3, 70] {
        check(RmsNorm { epsilon: 1e-5 }, &[tensor(&[rows, 33], 1), tensor(&[33], 2)]);
    }
    let heads = Heads { queries: 4, keys: 2, size: 8 };
    check(
        HeadNorm { heads, epsilon: 1e-6 },
        &[tensor(&[5, heads.width()], 3), tensor(&[8], 4), tensor(&[8], 5)],
    );
}

#[test]
fn gates_and_sums() {
    check(SwiGlu { width: 19 }, &[(tensor(&[7, 38], 1) * 6.0).expect("wide")]);
    check(Add, &[tensor(&[7, 5], 1), tensor(&[7, 5], 2)]);
    check(Embedding { tokens: [2, 0, 2, 5].into(), width: 3 }, &[tensor(&[6, 3], 1)]);
}

#[test]
fn rotations() {
    let heads = Heads { queries: 3, keys: 1, size: 12 };
    for layout in [Layout::Halves, Layout::Pairs] {
        for pairs in [6, 4] {
            let frequencies: Vec<f64> = (0..pairs).map(|pair| 100f64.powf(-(pair as f64) / 6.0)).collect();
            let angles = Arc::new(Angles::new(&frequencies, 1.1, 9));
            let rope = Rope { heads, layout, angles, positions: [0, 1, 2, 0, 8].into() };
            check(rope, &[tensor(&[5, heads.width()], 1)]);
        }
    }
}

#[test]
fn attention_of_texts_and_groups() {
    for (queries, keys, size) in [(4, 2, 8), (3, 3, 5), (6, 1, 16)] {
        let heads = Heads { queries, keys, size };
        for starts in [vec![0, 1], vec![0, 5, 5, 9], vec![0, 70, 73]] {
            let rows = starts[starts.len() - 1];
            let attention = Attention { heads, texts: spans(&starts), precision: Precision::F32 };
            // With one row nothing depends on queries and keys, so that gradients of some numbers are 0.
            check(attention, &[(tensor(&[rows, heads.width()], 1) * 2.0).expect("wide")]);
        }
        // Texts that go on from the first, from the one before it, and from nothing.
        let span = |first, length, prefix| Span { first, length, prefix };
        let texts = [
            span(0, 4, (0, 0)),
            span(4, 3, (0, 4)),
            span(7, 0, (0, 4)),
            span(7, 66, (0, 4)),
            span(73, 2, (0, 0)),
            span(75, 2, (73, 2)),
        ];
        let attention = Attention { heads, texts: texts.into(), precision: Precision::F32 };
        check(attention, &[(tensor(&[77, heads.width()], 1) * 2.0).expect("wide")]);
    }
}

#[test]
fn projections_with_adapters() {
    let frozen = |rows: usize, columns: usize, seed: u64| {
        Base::Frozen(Weight::dense(numbers(rows * columns, seed).into(), rows, columns))
    };
    let adapter = |rank| Some(Adapter { rank, scale: 0.5, dora: false });
    let part = |base, rows, adapter| Part { rows, base, bias: Bias::None, adapter };
    // One matrix: x, A and B.
    let one = Projection {
        columns: 10,
        parts: vec![part(frozen(7, 10, 1), 7, adapter(3))],
        dropout: None,
        precision: Precision::F32,
    };
    check(one.clone(), &[tensor(&[6, 10], 2), tensor(&[3, 10], 3), tensor(&[7, 3], 4)]);
    check(
        Projection { dropout: Some((0.4, 9)), ..one },
        &[tensor(&[6, 10], 2), tensor(&[3, 10], 3), tensor(&[7, 3], 4)],
    );
    // Trained matrix and bias.
    let parts = vec![Part { rows: 4, base: Base::Trained, bias: Bias::Trained, adapter: None }];
    let trained = Projection { columns: 5, parts, dropout: None, precision: Precision::F32 };
    check(trained, &[tensor(&[6, 5], 2), tensor(&[4, 5], 3), tensor(&[4], 4)]);
    // Several matrices side by side, one of them with an adapter.
    let bias = Bias::Frozen(numbers(3, 8).into());
    let parts = vec![
        part(frozen(2, 5, 1), 2, None),
        Part { rows: 3, base: frozen(3, 5, 2), bias, adapter: adapter(2) },
    ];
    let several = Projection { columns: 5, parts, dropout: None, precision: Precision::F32 };
    check(several, &[tensor(&[6, 5], 2), tensor(&[2, 5], 3), tensor(&[3, 2], 4)]);
    // Rows with lengths of their own, of one of several matrices and of all; the lengths before count as constants.
    let dora = |rank| Some(Adapter { rank, scale: 0.5, dora: true });
    let parts = vec![
        part(frozen(2, 5, 1), 2, adapter(1)),
        Part { rows: 3, base: frozen(3, 5, 2), bias: Bias::Frozen(numbers(3, 8).into()), adapter: dora(2) },
    ];
    let several = Projection { columns: 5, parts, dropout: None, precision: Precision::F32 };
    let inputs = [&[6, 5][..], &[1, 5], &[2, 1], &[2, 5], &[3, 2], &[3]];
    let inputs: Vec<Tensor> = inputs.iter().zip(20..).map(|(shape, seed)| tensor(shape, seed)).collect();
    check_on_tape(several, &inputs, &[3, 4]);
    let one = Projection {
        columns: 10,
        parts: vec![part(frozen(7, 10, 1), 7, dora(3))],
        dropout: None,
        precision: Precision::F32,
    };
    check_on_tape(
        one,
        &[tensor(&[6, 10], 2), tensor(&[3, 10], 3), tensor(&[7, 3], 4), tensor(&[7], 5)],
        &[1, 2],
    );
    // Stored in few bits, in more than one panel.
    let (rows, columns) = (2000, 640);
    for kind in [TensorType::Q8_0, TensorType::Q4_0, TensorType::F16, TensorType::BF16] {
        let mut bytes = Vec::new();
        quantise(kind, &numbers(rows * columns, 1), &mut bytes);
        let weight = Weight::packed(kind, bytes.into(), rows, columns);
        let op = Projection::frozen(weight);
        let x = Var::from_tensor(&tensor(&[3, columns], 2)).expect("a variable");
        let ours = apply(op.clone(), &[&x]).expect("forward");
        let twin = op.composed(&[x.as_tensor().clone()]).expect("composed");
        assert!(largest(&ours, &twin) < 1e-4);
        let gradient = |out: &Tensor| {
            let loss = (out * tensor(out.dims(), 5)).and_then(|out| out.sum_all()).expect("a loss");
            loss.backward().expect("backward").get(&x).expect("a gradient").clone()
        };
        assert!(largest(&gradient(&ours), &gradient(&twin)) < 1e-3);
    }
}

#[test]
fn shapes_that_do_not_go_together_are_errors() {
    let refused = |op: Box<dyn Op>, shapes: &[&[usize]]| {
        let error = op.shape(shapes).expect_err("refused").to_string();
        assert!(error.contains(op.name()), "{error}");
    };
    let heads = Heads { queries: 4, keys: 2, size: 8 };
    refused(Box::new(RmsNorm { epsilon: 0.0 }), &[&[2, 3], &[4]]);
    refused(Box::new(SwiGlu { width: 3 }), &[&[2, 5]]);
    refused(Box::new(HeadNorm { heads, epsilon: 0.0 }), &[&[2, 63], &[8], &[8]]);
    refused(Box::new(Attention { heads, texts: spans(&[0, 3]), precision: Precision::F32 }), &[&[4, 64]]);
    let span = |first, length, prefix| Span { first, length, prefix };
    for texts in [
        [span(0, 1, (0, 0)), span(2, 2, (0, 0))],
        [span(0, 2, (0, 0)), span(2, 2, (1, 2))],
        [span(0, 2, (1, 2)), span(2, 2, (0, 0))],
    ] {
        refused(Box::new(Attention { heads, texts: texts.into(), precision: Precision::F32 }), &[&[4, 64]]);
    }
    refused(Box::new(Embedding { tokens: [7].into(), width: 3 }), &[&[7, 3]]);
}

#[test]
fn numbers_are_unpacked_as_candle_unpacks_them() {
    use candle_core::quantized::{GgmlDType, QTensor};
    let numbers = tensor(&[6, 512], 1);
    for (theirs, ours) in [
        (GgmlDType::F16, TensorType::F16),
        (GgmlDType::BF16, TensorType::BF16),
        (GgmlDType::Q4_0, TensorType::Q4_0),
        (GgmlDType::Q8_0, TensorType::Q8_0),
        (GgmlDType::Q4K, TensorType::Q4_K),
        (GgmlDType::Q5K, TensorType::Q5_K),
        (GgmlDType::Q6K, TensorType::Q6_K),
    ] {
        let packed = QTensor::quantize(&numbers, theirs).expect("quantized");
        let expected = packed.dequantize(&Device::Cpu).expect("unpacked");
        let bytes = packed.data().expect("bytes");
        let found =
            Weight::packed(ours, bytes.as_ref().into(), 6, 512).tensor(&Device::Cpu).expect("unpacked");
        let worst = largest(&found, &expected);
        assert!(worst < 1e-6, "{}: {worst}", ours.name());
        // And it is the tensor that was packed.
        assert!(largest(&found, &numbers) < 0.2, "{}", ours.name());
    }
}

/// What is rounded to bf16.
fn rounded(tensor: &Tensor) -> Tensor {
    tensor.to_dtype(DType::BF16).and_then(|tensor| tensor.to_dtype(DType::F64)).expect("rounded")
}

/// An output and the gradients of all inputs, on a tape.
fn on_tape(op: impl Op + 'static, inputs: &[Tensor], dout: &Tensor) -> Vec<Tensor> {
    let mut tape = Tape::default();
    let slots: Vec<_> = inputs.iter().map(|tensor| tape.leaf(tensor.clone().into(), true)).collect();
    let out = tape.apply(op, &slots).expect("forward");
    let mut all = vec![tape.value(out).tensor(&Device::Cpu).expect("a tensor")];
    let found = tape.backward(out, dout.clone().into()).expect("backward");
    all.extend(
        found.into_iter().map(|(_, value)| value.expect("one").tensor(&Device::Cpu).expect("a tensor")),
    );
    all
}

/// Products of bf16 are products of numbers that were rounded to it, forward and backward; of frozen matrices as of trained
/// ones, over several panels, with an adapter beneath.
#[test]
fn products_of_bf16_are_those_of_rounded_numbers() {
    let f64s = |tensor: &Tensor| tensor.to_dtype(DType::F64).expect("f64");
    let times = |a: &Tensor, b: &Tensor| a.matmul(b).expect("a product");
    let turned = |tensor: &Tensor| tensor.t().and_then(|turned| turned.contiguous()).expect("turned");
    let near = |found: &Tensor, expected: &Tensor, what: &str| {
        let expected = expected.to_dtype(DType::F32).expect("f32");
        let size = expected.abs().and_then(|x| x.max_all()).and_then(|x| x.to_scalar::<f32>()).expect("size");
        let worst = largest(found, &expected) / size;
        assert!(worst < 1e-5, "{what}: {worst}");
    };
    let (rows, columns, tokens) = (2_000, 640, 70);
    let (x, dout) = (tensor(&[tokens, columns], 2), tensor(&[tokens, rows], 5));
    let mut bytes = Vec::new();
    quantise(TensorType::Q8_0, &numbers(rows * columns, 1), &mut bytes);
    let low = LowRank { a: numbers(2 * columns, 11), b: numbers(rows * 2, 12), rank: 2, scale: 0.5 };
    let packed = Weight::packed(TensorType::Q8_0, bytes.into(), rows, columns);
    let plain = packed.tensor(&Device::Cpu).expect("numbers");
    let product = times(
        &Tensor::from_slice(&low.b, (rows, 2), &Device::Cpu).expect("B"),
        &Tensor::from_slice(&low.a, (2, columns), &Device::Cpu).expect("A"),
    );
    let sum = (&plain + (product * 0.5).expect("scaled")).expect("a sum");
    let packed = packed.on_top_of(Arc::new(low));
    // A part of what lies on top of something.
    let mut part = vec![0.0; 5 * columns];
    packed.unpack(1_777, &mut part);
    let part = Tensor::from_vec(part, (5, columns), &Device::Cpu).expect("rows");
    assert!(largest(&part, &sum.narrow(0, 1_777, 5).expect("rows")) < 1e-5);
    // The last bit of what is rounded could be another one.
    let mut sum = vec![0.0; rows * columns];
    packed.unpack(0, &mut sum);
    let dense = Weight::dense(sum.clone().into(), rows, columns);
    let matrix = Tensor::from_vec(sum, (rows, columns), &Device::Cpu).expect("a tensor");
    for precision in [Precision::F32, Precision::Bf16] {
        let own = |tensor: &Tensor| if precision == Precision::F32 { f64s(tensor) } else { rounded(tensor) };
        let expected = times(&own(&x), &turned(&own(&matrix)));
        let dx = times(&own(&dout), &own(&matrix));
        for (what, weight) in [("packed", &packed), ("dense", &dense)] {
            let op = Projection { precision, ..Projection::frozen(weight.clone()) };
            let found = on_tape(op, std::slice::from_ref(&x), &dout);
            near(&found[0], &expected, what);
            near(&found[1], &dx, what);
        }
        let parts = vec![Part { rows, base: Base::Trained, bias: Bias::None, adapter: None }];
        let op = Projection { columns, parts, dropout: None, precision };
        let found = on_tape(op, &[x.clone(), matrix.clone()], &dout);
        near(&found[0], &expected, "trained");
        near(&found[1], &dx, "trained");
        near(&found[2], &times(&turned(&own(&dout)), &own(&x)), "trained");
    }
}

/// Attention and the loss round too, which changes a little and not much; over several panels of the last matrix.
#[test]
fn attention_and_the_loss_round_as_well() {
    let apart = |one: &Tensor, other: &Tensor| {
        let size = other.abs().and_then(|x| x.max_all()).and_then(|x| x.to_scalar::<f32>()).expect("size");
        largest(one, other) / size
    };
    let heads = Heads { queries: 4, keys: 2, size: 64 };
    let texts = spans(&[0, 150, 190]);
    let x = tensor(&[190, heads.width()], 3);
    let dout = tensor(&[190, heads.out()], 4);
    let found = [Precision::F32, Precision::Bf16].map(|precision| {
        on_tape(Attention { heads, texts: Arc::clone(&texts), precision }, std::slice::from_ref(&x), &dout)
    });
    for (own, exact) in found[1].iter().zip(&found[0]) {
        assert!((1e-5..2e-2).contains(&apart(own, exact)), "{}", apart(own, exact));
    }
    let (vocabulary, width, tokens) = (3_000, 512, 40);
    let matrix = numbers(vocabulary * width, 1);
    let hidden = numbers(tokens * width, 2);
    let targets: Vec<u32> = (0..tokens as u32).map(|at| at * 71 % vocabulary as u32).collect();
    let weight = Weight::dense(matrix.clone().into(), vocabulary, width);
    let run = |matrix: Last<'_>, precision: Precision| {
        let (mut dhidden, mut dweight) = (vec![0.0; hidden.len()], vec![0.0; vocabulary * width]);
        let gradients = Gradients { hidden: &mut dhidden, weight: Some(&mut dweight) };
        let slope = |_: usize, _: Token| Slope { logprob: -1.0, entropy: 0.1 };
        let found = head::loss(&hidden, Output { matrix, precision }, &targets, 0.2, slope, gradients);
        let tensor = |numbers: Vec<f32>| {
            let count = numbers.len();
            Tensor::from_vec(numbers, count, &Device::Cpu).expect("a tensor")
        };
        let logprobs: Vec<f32> = found.iter().map(|token| token.logprob as f32).collect();
        [tensor(logprobs), tensor(dhidden), tensor(dweight)]
    };
    let exact = run(Last::Trained(&matrix, width), Precision::F32);
    let own = run(Last::Trained(&matrix, width), Precision::Bf16);
    let frozen = run(Last::Frozen(&weight), Precision::Bf16);
    for ((own, exact), frozen) in own.iter().zip(&exact).zip(&frozen) {
        assert!((1e-6..2e-2).contains(&apart(own, exact)), "{}", apart(own, exact));
        assert_eq!(largest(own, frozen), 0.0);
    }
}

/// Rows of nothing but 0 have no direction that a length could be given to: they stay 0, here and elsewhere.
#[test]
fn rows_of_zeros_stay_zeros_with_lengths() {
    let mut matrix = numbers(3 * 4, 1);
    matrix[4..8].fill(0.0);
    let base = Base::Frozen(Weight::dense(matrix.into(), 3, 4));
    let adapter = Some(Adapter { rank: 1, scale: 1.0, dora: true });
    let parts = vec![Part { rows: 3, base, bias: Bias::None, adapter }];
    let op = Projection { columns: 4, parts, dropout: None, precision: Precision::F32 };
    let inputs = [
        tensor(&[2, 4], 2),
        tensor(&[1, 4], 3),
        tensor(&[3, 1], 4).zeros_like().expect("zeros"),
        tensor(&[3], 5),
    ];
    let found = on_tape(op.clone(), &inputs, &tensor(&[2, 3], 6));
    let all = |tensor: &Tensor| tensor.flatten_all().and_then(|flat| flat.to_vec1::<f32>()).expect("numbers");
    assert!(found.iter().all(|tensor| all(tensor).iter().all(|x| x.is_finite())));
    let twin = op.composed(&inputs).expect("composed");
    assert!(largest(&found[0], &twin) < 1e-6 && all(&twin)[1] == 0.0);
}
