//! `rlkd verify`.

use rlkd::answer::{self, Options, Rules, Side, Verdict};
use rlkd::dataset::read_records;
use rlkd::{Error, Result};
use serde_json::{Map, Value};

use super::args::VerifyArgs;
use super::{ALL_SCORED, Done, SOME_SKIPPED, show};

/// The two answers of a single pair are not the same.
const NOT_EQUAL: u8 = 4;

/// Compares one pair, or the pairs of files.
pub fn verify(args: &VerifyArgs) -> Done {
    let rules = Rules {
        float_rounding: (args.float_rounding > 0).then_some(args.float_rounding),
        allow_set_relation_comp: args.allow_set_relation_comp,
        budget: args.budget,
    };
    match &args.pair[..] {
        [gold, prediction] if args.files.is_empty() => one(args, gold, prediction, &rules),
        [] if !args.files.is_empty() => pairs(args, &rules),
        _ => super::usage("give a gold answer and a prediction, or files of pairs with --file"),
    }
}

fn decide(args: &VerifyArgs, gold: &str, prediction: &str, rules: &Rules) -> Verdict {
    if args.texts {
        answer::verify_texts(gold, prediction, Options::default(), rules)
    } else {
        answer::verify(gold, prediction, rules)
    }
}

fn one(args: &VerifyArgs, gold: &str, prediction: &str, rules: &Rules) -> Done {
    let verdict = decide(args, gold, prediction, rules);
    let text = match (args.json, args.explain) {
        (true, _) => Value::Object(told(&verdict)).to_string(),
        (false, true) => verdict.to_string(),
        (false, false) => name(&verdict).to_owned(),
    };
    show::print(format!("{text}\n").as_bytes())?;
    Ok(match verdict {
        Verdict::Equal(_) => ALL_SCORED,
        Verdict::Different(_) => NOT_EQUAL,
        Verdict::Unparsable { .. } | Verdict::TooComplex { .. } => SOME_SKIPPED,
    })
}

/// One line for each record: the two answers and the verdict.
fn pairs(args: &VerifyArgs, rules: &Rules) -> Done {
    const CHUNK: usize = 1 << 16;
    let (mut count, mut equal, mut undecided) = (0u64, 0u64, 0u64);
    let mut ready = String::new();
    for file in &args.files {
        for (number, record) in (1u64..).zip(read_records::<Map<String, Value>>(file)?) {
            let record = record?;
            let answer = |column: &str| -> Result<String> {
                let value = record.get(column).ok_or_else(|| {
                    let had: Vec<&str> = record.keys().map(String::as_str).collect();
                    Error::data(format!(
                        "{}: record {number} has no {column:?}; it has {}. Say which with --gold and --pred",
                        file.display(),
                        had.join(", ")
                    ))
                })?;
                Ok(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
            };
            let (gold, prediction) = (answer(&args.gold)?, answer(&args.pred)?);
            let verdict = decide(args, &gold, &prediction, rules);
            count += 1;
            equal += u64::from(verdict.is_equal());
            undecided +=
                u64::from(matches!(verdict, Verdict::Unparsable { .. } | Verdict::TooComplex { .. }));
            let mut line = Map::new();
            line.insert("gold".into(), gold.into());
            line.insert("pred".into(), prediction.into());
            line.extend(told(&verdict));
            ready += &Value::Object(line).to_string();
            ready.push('\n');
            if ready.len() > CHUNK {
                show::print(std::mem::take(&mut ready).as_bytes())?;
            }
        }
    }
    show::print(ready.as_bytes())?;
    let different = count - equal - undecided;
    show::say(&format!("{count} pairs: {equal} equal, {different} different, {undecided} not decided\n"));
    Ok(if undecided > 0 { SOME_SKIPPED } else { ALL_SCORED })
}

fn name(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Equal(_) => "equal",
        Verdict::Different(_) => "different",
        Verdict::Unparsable { .. } => "unparsable",
        Verdict::TooComplex { .. } => "too_complex",
    }
}

fn told(verdict: &Verdict) -> Map<String, Value> {
    let mut line = Map::new();
    line.insert("verdict".into(), name(verdict).into());
    match verdict {
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
