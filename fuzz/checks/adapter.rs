//! Any bytes as an adapter, in either format, or as its configuration: reading never panics; what passes the check is
//! whole, and the same after it was written for `peft` and read again.

use std::io::Cursor;

use rlkd::train::adapter::{Adapter, gguf, peft};
use rlkd::train::cpu::attention::Heads;
use rlkd::train::cpu::rope::Layout;
use rlkd::train::lora::LoraConfig;
use rlkd::train::model::shape::{Rotation, Shape};

/// The model that adapters are held against: tiny, and of the family whose rows are put in another order.
pub fn shape() -> Shape {
    Shape {
        architecture: "llama".into(),
        layers: 1,
        width: 8,
        heads: Heads { queries: 2, keys: 1, size: 4 },
        feed_forward: 8,
        vocabulary: 300,
        context: 64,
        epsilon: 1e-5,
        rope: Rotation { layout: Layout::Pairs, frequencies: vec![1.0, 0.1], magnitude: 1.0 },
    }
}

/// Checks one input, whose first byte says what it is; panics where something does not hold.
pub fn check(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    let shape = shape();
    let config = || LoraConfig { r: 1, lora_alpha: 2.0, ..LoraConfig::default() };
    match kind % 4 {
        0 => whole(gguf::read(Cursor::new(bytes)), &shape),
        1 => whole(peft::parse(bytes, config(), &shape), &shape),
        3 => whole(peft::parse(bytes, LoraConfig { use_dora: true, ..config() }, &shape), &shape),
        _ => match peft::parse_config(bytes) {
            Ok(config) => assert!(config.r > 0),
            Err(error) => assert!(!error.message().is_empty()),
        },
    }
}

fn whole(read: rlkd::Result<Adapter>, shape: &Shape) {
    let adapter = match read.and_then(|adapter| adapter.check(shape).map(|()| adapter)) {
        Ok(adapter) => adapter,
        Err(error) => return assert!(!error.message().is_empty()),
    };
    for pair in adapter.pairs.values() {
        assert_eq!((pair.a.len(), pair.b.len()), (pair.rank * pair.columns, pair.rows * pair.rank));
        assert!(pair.norm() >= 0.0);
    }
    let bytes = peft::bytes_of(&adapter, shape).expect("it can be written");
    let again = peft::parse(&bytes, adapter.config.clone(), shape).expect("it reads again");
    for ((name, own), (other, read)) in adapter.pairs.iter().zip(&again.pairs) {
        assert_eq!((name, &own.a, &own.b, &own.lengths), (other, &read.a, &read.b, &read.lengths));
    }
    assert_eq!(adapter.pairs.len(), again.pairs.len());
    peft::parse_config(peft::config_of(&adapter, shape, "base").to_string().as_bytes()).ok();
}
