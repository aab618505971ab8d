//! `rlkd verify`.

use std::collections::BTreeMap;
use std::path::Path;

use rlkd::answer::{
    self, ExtractionMode, FallbackMode, Options, Reason, Rules, Side, Strings, Verdict, reading,
};
use rlkd::dataset::read_records;
use rlkd::report::plain;
use rlkd::{Error, Result};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::args::VerifyArgs;
use super::{ALL_SCORED, Done, SOME_SKIPPED, show};

/// The two answers of a single pair are not the same.
const NOT_EQUAL: u8 = 4;

/// Compares one pair, or the pairs of files.
pub fn verify(args: &VerifyArgs) -> Done {
    let rules = Rules {
        float_rounding: (args.float_rounding > 0).then_some(args.float_rounding),
        strict: args.strict,
        allow_set_relation_comp: args.allow_set_relation_comp,
        unparsable_is_different: !args.keep_unparsable,
        budget: args.budget,
    };
    match (&args.gold_answer, &args.answer) {
        (Some(gold), Some(prediction)) => one(args, gold, prediction, &rules),
        (None, None) if !args.files.is_empty() => pairs(args, &rules),
        _ => super::usage("give a gold answer and a prediction, or files of pairs with --file"),
    }
}

/// A verdict, and the two answers as they were found.
struct Decided<'a> {
    verdict: Verdict,
    gold: &'a str,
    prediction: &'a str,
}

fn decide<'a>(args: &VerifyArgs, gold: &'a str, prediction: &'a str, rules: &Rules) -> Decided<'a> {
    if !args.strings.is_empty() {
        return one_of(args, gold, prediction);
    }
    if !args.texts {
        return Decided { verdict: answer::verify(gold, prediction, rules), gold, prediction };
    }
    let options = Options {
        try_extract_without_anchor: args.try_extract_without_anchor,
        boxed_match_priority: args.boxed_match_priority,
        extraction_mode: match args.extraction_mode.as_str() {
            "any_match" => ExtractionMode::AnyMatch,
            _ => ExtractionMode::FirstMatch,
        },
        fallback_mode: match args.fallback_mode.as_str() {
            "no_fallback" => FallbackMode::NoFallback,
            _ => FallbackMode::FirstMatch,
        },
        malformed_operators: args.malformed_operators,
    };
    Decided {
        verdict: answer::verify_texts(gold, prediction, options, rules),
        gold: answer::extract_gold(gold).map_or("", |found| found.text),
        prediction: answer::of_completion(prediction, options).map_or("", |found| found.text),
    }
}

/// The verdict where an answer is one of a few strings.
fn one_of<'a>(args: &VerifyArgs, gold: &'a str, prediction: &'a str) -> Decided<'a> {
    let strings = Strings {
        strings: args.strings.iter().map(|string| string.trim().to_owned()).collect(),
        try_extract_without_anchor: args.try_extract_without_anchor,
        lowercase: args.lowercase,
    };
    let found = [gold, prediction].map(|text| strings.extract(text).map(|found| found.text));
    let verdict = match found {
        [None, _] => Verdict::Unparsable { which: Side::Gold, at: 0 },
        [_, None] => Verdict::Different(Reason::NoAnswer),
        [Some(a), Some(b)] if strings.compared(a) == strings.compared(b) => Verdict::Equal(Reason::Choice),
        _ => Verdict::Different(Reason::OtherWords),
    };
    Decided { verdict, gold: found[0].unwrap_or(""), prediction: found[1].unwrap_or("") }
}

fn one(args: &VerifyArgs, gold: &str, prediction: &str, rules: &Rules) -> Done {
    let decided = decide(args, gold, prediction, rules);
    let text = match (args.json, args.explain) {
        (true, _) => Value::Object(told(args, &decided)).to_string(),
        (false, true) => plain(&explained(&decided)),
        (false, false) => name(&decided.verdict).to_owned(),
    };
    show::print(format!("{text}\n").as_bytes())?;
    Ok(match decided.verdict {
        Verdict::Equal(_) => ALL_SCORED,
        Verdict::Different(_) => NOT_EQUAL,
        Verdict::Unparsable { .. } | Verdict::TooComplex { .. } => SOME_SKIPPED,
    })
}

/// One line for each record: the two answers and the verdict.
fn pairs(args: &VerifyArgs, rules: &Rules) -> Done {
    const CHUNK: usize = 1 << 16;
    let (mut count, mut equal, mut undecided, mut bad) = (0u64, 0u64, 0u64, 0u64);
    let mut first = None;
    let mut ready = String::new();
    for file in &args.files {
        for record in read_records::<BTreeMap<String, Box<RawValue>>>(file)? {
            count += 1;
            let answers = record.and_then(|record| {
                Ok([column(&record, &args.gold, file, count)?, column(&record, &args.pred, file, count)?])
            });
            let [gold, prediction] = match answers {
                Ok(answers) => answers,
                // As for a bad record elsewhere: told in its place, and on with the next.
                Err(error) => {
                    bad += 1;
                    first.get_or_insert_with(|| error.to_string());
                    ready += &serde_json::json!({ "record": count, "error": error.to_string() }).to_string();
                    ready.push('\n');
                    continue;
                }
            };
            let decided = decide(args, &gold, &prediction, rules);
            let (told, verdict) = (told(args, &decided), decided.verdict);
            equal += u64::from(verdict.is_equal());
            undecided +=
                u64::from(matches!(verdict, Verdict::Unparsable { .. } | Verdict::TooComplex { .. }));
            let mut line = Map::new();
            line.insert("record".into(), count.into());
            line.insert("gold".into(), gold.into());
            line.insert("pred".into(), prediction.into());
            line.extend(told);
            ready += &Value::Object(line).to_string();
            ready.push('\n');
            if ready.len() > CHUNK {
                show::print(std::mem::take(&mut ready).as_bytes())?;
            }
        }
    }
    show::print(ready.as_bytes())?;
    // Not one record of the right form: it is not the file that was meant.
    if let Some(first) = first.filter(|_| bad == count) {
        return Err(Error::data(first));
    }
    let different = count - equal - undecided - bad;
    let told =
        if bad > 0 { format!(", {bad} bad records: see \"error\" in their lines") } else { String::new() };
    show::say(&format!(
        "{count} pairs: {equal} equal, {different} different, {undecided} not decided{told}\n"
    ));
    Ok(if undecided + bad > 0 { SOME_SKIPPED } else { ALL_SCORED })
}

/// An answer of a record: a text, or a number as it is written; nothing for null.
fn column(record: &BTreeMap<String, Box<RawValue>>, name: &str, file: &Path, at: u64) -> Result<String> {
    let place = || format!("{}: record {at}", file.display());
    let Some(value) = record.get(name) else {
        let had: Vec<&str> = record.keys().map(String::as_str).collect();
        return Err(Error::data(format!(
            "{} has no {name:?}; it has {}. Say which with --gold and --pred",
            place(),
            had.join(", ")
        )));
    };
    let raw = value.get();
    match raw.as_bytes().first() {
        Some(b'"') => serde_json::from_str(raw)
            .map_err(|error| Error::data(format!("{}: {name:?} is no text: {error}", place()))),
        Some(b'[' | b'{') => {
            Err(Error::data(format!("{}: {name:?} is a list or an object: give a text or a number", place())))
        }
        Some(b'n') => Ok(String::new()),
        _ => Ok(raw.to_owned()),
    }
}

fn name(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Equal(_) => "equal",
        Verdict::Different(_) => "different",
        Verdict::Unparsable { .. } => "unparsable",
        Verdict::TooComplex { .. } => "too_complex",
    }
}

/// The verdict, and how each of the answers was read.
fn explained(decided: &Decided<'_>) -> String {
    let side = |answer: &str| match reading(answer) {
        Ok(read) => format!("{answer}\n    read as {read}"),
        Err(at) => format!("{answer}\n    not read from byte {at} on"),
    };
    format!("{}\ngold: {}\nprediction: {}", decided.verdict, side(decided.gold), side(decided.prediction))
}

fn told(args: &VerifyArgs, decided: &Decided<'_>) -> Map<String, Value> {
    let mut line = Map::new();
    line.insert("verdict".into(), name(&decided.verdict).into());
    if args.explain {
        for (key, answer) in [("gold_read", decided.gold), ("pred_read", decided.prediction)] {
            line.insert(key.into(), reading(answer).ok().map_or(Value::Null, Value::String));
        }
    }
    match &decided.verdict {
        Verdict::Equal(reason) | Verdict::Different(reason) => {
            line.insert("reason".into(), reason.words().into());
        }
        Verdict::Unparsable { which, at } => {
            let which = if *which == Side::Gold { "gold" } else { "pred" };
            line.insert("which".into(), which.into());
            line.insert("at".into(), (*at).into());
        }
        Verdict::TooComplex { budget } => {
            line.insert("budget".into(), (*budget).into());
        }
    }
    line
}
