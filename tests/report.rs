//! The HTML report and the terminal views, on records written for this purpose.
#![cfg(feature = "report")]

#[path = "report/samples.rs"]
mod samples;

use rlkd::report::html::{Builder, Options};
use samples::{hostile, many, written};

fn page(records: &[rlkd::score::Scored], options: Options) -> String {
    let mut builder = Builder::new(options);
    records.iter().for_each(|record| builder.push(record));
    builder.push_error(Some("ropes-0001"), "expected `,` or `}`", "scored.jsonl:17: byte 5");
    builder.finish("Samples")
}

#[test]
fn the_page_is_written_as_it_is_returned() {
    let mut records = written();
    records.extend(many(400));
    let expected = page(&records, Options::default());
    let mut builder = Builder::default();
    records.iter().for_each(|record| builder.push(record));
    builder.push_error(Some("ropes-0001"), "expected `,` or `}`", "scored.jsonl:17: byte 5");
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("report.html");
    let mut file = std::fs::File::create(&path).unwrap();
    builder.write_to("Samples", &mut file).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
    println!("{}", path.display());
}
