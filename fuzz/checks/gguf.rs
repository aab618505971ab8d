//! Any bytes as a model file: reading them never panics and keeps no more than they are; what was read and written
//! reads the same; what passes the check has its tensors inside the file, none over another, and passes again with the
//! same facts after it was written anew.

use std::io::Cursor;

use rlkd::gguf::check::check_head;
use rlkd::gguf::{Array, Gguf, Tensor, TensorType, Value, head};

/// Checks one input; panics where something does not hold.
pub fn check(data: &[u8]) {
    let file = match Gguf::read(Cursor::new(data)) {
        Ok(file) => file,
        Err(error) => return assert!(!error.message().is_empty()),
    };
    assert_eq!(file.file_length, data.len() as u64);
    assert!(file.alignment.is_power_of_two());
    assert!(held(&file) <= data.len(), "{} bytes are held of {}", held(&file), data.len());

    let plan: Vec<(String, Vec<u64>, TensorType)> =
        file.tensors.iter().map(|tensor| (tensor.name.clone(), tensor.shape.clone(), tensor.kind)).collect();
    let written = head(&file.metadata, &plan);
    if let Ok((bytes, placed)) = &written {
        let again = Gguf::read(Cursor::new(bytes)).expect("what was written reads");
        assert!(same(&file, &again));
        assert_eq!(&again.tensors, placed);
    }

    let Ok(facts) = check_head(&file) else { return };
    let mut places: Vec<(u64, u64)> = file
        .tensors
        .iter()
        .map(|tensor| {
            let start = file.data_offset + tensor.offset;
            (start, start + tensor.bytes().expect("a size"))
        })
        .collect();
    places.sort_unstable();
    assert!(places.iter().all(|&(start, end)| start < end && end <= data.len() as u64));
    assert!(places.windows(2).all(|pair| pair[0].1 <= pair[1].0));
    let numbers: u64 = file.tensors.iter().filter_map(Tensor::numbers).sum();
    assert_eq!(facts.parameters, numbers);
    assert_eq!(facts.tensor_bytes.total(), places.iter().map(|(start, end)| end - start).sum::<u64>());

    let (mut bytes, _) = written.expect("what passes can be written");
    for (start, end) in file.tensors.iter().map(|tensor| file.data_offset + tensor.offset).zip(&file.tensors)
    {
        let end = start + end.bytes().expect("a size");
        bytes.extend_from_slice(&data[start as usize..end as usize]);
        bytes.resize(bytes.len().next_multiple_of(file.alignment as usize), 0);
    }
    let again = Gguf::read(Cursor::new(&bytes)).expect("it reads again");
    assert_eq!(check_head(&again).expect("it passes again"), facts);
}

/// Bytes of what was read: keys, values, names, sizes.
fn held(file: &Gguf) -> usize {
    let value = |value: &Value| match value {
        Value::String(text) => text.len(),
        Value::Array(Array::String(list)) => list.len() * 8 + list.iter().map(str::len).sum::<usize>(),
        Value::Array(Array::U8(_) | Array::I8(_) | Array::Bool(_)) => array(value, 1),
        Value::Array(Array::U16(_) | Array::I16(_)) => array(value, 2),
        Value::Array(Array::U32(_) | Array::I32(_) | Array::F32(_)) => array(value, 4),
        Value::Array(_) => array(value, 8),
        _ => 1,
    };
    let metadata: usize = file.metadata.iter().map(|(key, entry)| key.len() + value(entry)).sum();
    metadata + file.tensors.iter().map(|tensor| tensor.name.len() + tensor.shape.len() * 8).sum::<usize>()
}

fn array(value: &Value, item: usize) -> usize {
    match value {
        Value::Array(list) => list.len() * item,
        _ => 0,
    }
}

/// Whether two heads say the same, but for where tensors lie. Floats are compared as text, in which a value that is no
/// number equals itself.
fn same(one: &Gguf, two: &Gguf) -> bool {
    let plain = |tensor: &Tensor| (tensor.name.clone(), tensor.shape.clone(), tensor.kind);
    format!("{:?}", one.metadata) == format!("{:?}", two.metadata)
        && one.tensors.iter().map(plain).eq(two.tensors.iter().map(plain))
}
