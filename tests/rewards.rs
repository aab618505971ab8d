//! The rewards: our own cases, the suite that every reward must pass, and open-r1's cases where they lie at hand.

use std::path::PathBuf;

use proptest::prelude::*;
use rlkd::align::Alignment;
use rlkd::reward::{
    Entry, Group, Mix, MixConfig, PartColumn, REWARDS, Reward, Scaling, Structure, find, mix,
};
use rlkd::trace::{Outcome, Sample, Trace, Why};
use rlkd::validate::SUITES;

fn sample(answer: Option<&str>, students: &[&str]) -> Sample {
    Sample {
        id: "case".into(),
        answer: answer.map(str::to_owned),
        students: students.iter().map(|text| Trace::new(*text)).collect(),
        ..Sample::default()
    }
}

fn build(name: &str, params: &str) -> Box<dyn Reward> {
    (find(name).unwrap().build)(&params.parse().unwrap()).unwrap()
}

fn score(reward: &dyn Reward, sample: &Sample) -> Vec<Outcome> {
    reward.score(&Group { sample, structure: &[] }).unwrap()
}

fn values(name: &str, params: &str, gold: Option<&str>, students: &[&str]) -> Vec<Option<f64>> {
    score(&*build(name, params), &sample(gold, students)).iter().map(Outcome::value).collect()
}

#[test]
fn names_and_aliases_are_unique() {
    let mut names: Vec<&str> =
        REWARDS.iter().flat_map(|entry| entry.aliases.iter().copied().chain([entry.name])).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
    assert!(find("lenght").err().unwrap().to_string().contains("did you mean \"length\"?"));
    assert!(find("zzzzzzzzzz").err().unwrap().to_string().contains("there are structure, accuracy"));
}

/// Texts that rewards must live with.
fn hard_texts() -> Vec<String> {
    let mut texts: Vec<String> = [
        "",
        " ",
        "\n",
        "<think>\n\n</think>\n<answer>\n\\boxed{7}\n</answer>",
        "The answer is 7.",
        "Step 1: First, a\n- b\n* c",
        "\u{0}\u{1}\u{1c}\u{feff}\u{200d}",
        "τὸ δ᾽ ἑπτά ７ 七 🦀🦀🦀 İ ẞ ß",
        "\\boxed{\\boxed{\\boxed{",
        "}}}}{{{{<answer></answer>",
        "<answer><answer><answer></think></think>",
        "```python\n```",
    ]
    .map(str::to_owned)
    .to_vec();
    for unit in [
        "word ",
        "\\boxed{",
        "}",
        "<answer>",
        "answer is ",
        "####\n",
        "9",
        "1,",
        "-",
        "$",
        "{\\frac",
        "<think>\n\n</think>\n",
    ] {
        texts.push(unit.repeat(200_000 / unit.len()));
    }
    texts
}

fn structures(count: usize) -> Vec<Structure> {
    let structure = |index: usize| match index % 3 {
        0 => Err(Why("no steps".into())),
        part => Ok(Alignment { total: 1.0 / part as f64, ..Alignment::default() }),
    };
    (0..count).map(structure).collect()
}

/// What every reward promises.
fn shared_suite(entry: &Entry) {
    let reward = (entry.build)(&toml::Table::new()).unwrap();
    assert_eq!(reward.name(), entry.name);
    assert!(!entry.help.is_empty());
    let refusal = (entry.build)(&toml::toml! { no_such_parameter = 1 }).err().unwrap().to_string();
    assert!(refusal.contains("no_such_parameter") && refusal.contains(entry.name), "{refusal}");

    let texts = hard_texts();
    let borrowed: Vec<&str> = texts.iter().map(String::as_str).collect();
    for gold in [None, Some(""), Some("7"), Some("\\frac{1}{2}"), Some("{\\text{")] {
        let whole = sample(gold, &borrowed);
        let structure = structures(texts.len());
        let outcomes = reward.score(&Group { sample: &whole, structure: &structure }).unwrap();
        assert_eq!(outcomes.len(), texts.len());
        for (outcome, text) in outcomes.iter().zip(&texts) {
            let (least, most) = entry.range;
            let start: String = text.chars().take(20).collect();
            match outcome {
                Outcome::Scored(value) => {
                    assert!((least..=most).contains(value), "{}: {value} for {start:?}", entry.name)
                }
                Outcome::Skipped(why) => assert!(!why.0.is_empty()),
            }
        }
        // Again, the same; the other way round, the same the other way round.
        assert_eq!(reward.score(&Group { sample: &whole, structure: &structure }).unwrap(), outcomes);
        let reversed: Vec<&str> = borrowed.iter().rev().copied().collect();
        let reversed_structure: Vec<Structure> = structure.iter().rev().cloned().collect();
        let group = Group { sample: &sample(gold, &reversed), structure: &reversed_structure };
        let mut backwards = reward.score(&group).unwrap();
        backwards.reverse();
        assert_eq!(backwards, outcomes, "{}", entry.name);
        // One student at a time: the same, unless the reward compares students.
        for (index, text) in borrowed.iter().enumerate() {
            let alone = reward
                .score(&Group { sample: &sample(gold, &[text]), structure: &structure[index..=index] })
                .unwrap();
            assert_eq!(alone.len(), 1);
            assert!(entry.relative || alone[0] == outcomes[index], "{}", entry.name);
        }
    }
    let nobody = sample(Some("7"), &[]);
    assert_eq!(reward.score(&Group { sample: &nobody, structure: &[] }).unwrap(), []);
}

#[test]
fn every_reward_passes_the_shared_suite() {
    for entry in REWARDS {
        shared_suite(entry);
    }
}

#[test]
fn structure_is_the_total_or_the_reason() {
    let reward = build("structure", "");
    let sample = sample(None, &["a", "b", "c"]);
    let structure = structures(3);
    let outcomes = reward.score(&Group { sample: &sample, structure: &structure }).unwrap();
    assert_eq!(outcomes, [Outcome::skipped("no steps"), Outcome::Scored(1.0), Outcome::Scored(0.5)]);
    let none = reward.score(&Group { sample: &sample, structure: &[] }).unwrap();
    assert!(none.iter().all(|outcome| outcome.value().is_none()));
    assert!(reward.score(&Group { sample: &sample, structure: &structure[..2] }).is_err());
    // In reference mode the total is a plain sum, and is passed on as it is.
    let summed = vec![Ok(Alignment { total: 6.0, ..Alignment::default() }); 3];
    assert_eq!(
        reward.score(&Group { sample: &sample, structure: &summed }).unwrap()[0],
        Outcome::Scored(6.0)
    );
}

#[test]
fn accuracy_is_skipped_where_there_is_no_gold_to_read() {
    let students = ["<think>5?</think>\\boxed{12}", "It makes 12 plums.", "No idea."];
    assert_eq!(values("accuracy", "", Some("12"), &students), [Some(1.0), Some(1.0), Some(0.0)]);
    assert_eq!(
        values("accuracy", "last_number = false", Some("12"), &students),
        [Some(1.0), Some(0.0), Some(0.0)]
    );
    assert_eq!(values("accuracy", "", None, &students), [None; 3]);
    assert_eq!(values("accuracy", "", Some(" "), &students), [None; 3]);
    let why = score(&*build("accuracy", ""), &sample(None, &["x"]));
    assert_eq!(why, [Outcome::skipped("no gold answer")]);
}

#[test]
fn forms_are_matched_as_python_matches_them() {
    let good = "<think>\nadd them\n</think>\n<answer>\n9 plums\n</answer>";
    for (text, format, tags) in [
        (good.to_owned(), 1.0, 1.0),
        // `$` is the end of any line, and nothing is asked of what follows it.
        (format!("{good}\nand so on"), 1.0, 1.0),
        (format!("{good} and so on"), 0.0, 1.0),
        // `^` is not: re.match begins at the start of the text.
        (format!("Well.\n{good}"), 0.0, 1.0),
        (good.replace("add them\n", ""), 0.0, 1.0),
        (good.replace("add them", ""), 1.0, 1.0),
        (format!("{good}\n{good}"), 1.0, 0.0),
        (good.replace("\n9 plums\n", "9 plums"), 0.0, 0.5),
        (good.replace('\n', "\r\n"), 0.0, 0.25),
    ] {
        assert_eq!(values("format", "", None, &[&text]), [Some(format)], "format of {text:?}");
        assert_eq!(values("tag_count", "", None, &[&text]), [Some(tags)], "tags of {text:?}");
    }
    let code = "<think>\nloop\n</think>\n<answer>\nHere:\n```c++\nint x;\n```\n</answer>";
    assert_eq!(values("code_format", "language = \"c++\"", None, &[code, good]), [Some(1.0), Some(0.0)]);
    assert_eq!(values("code_format", "", None, &[code]), [Some(0.0)]);
}

#[test]
fn steps_are_counted_up_to_three() {
    let third = Some(1.0 / 3.0);
    let cases = [
        ("1. one\n2. two", third), // without MULTILINE only the first line counts
        ("step 1: no", Some(0.0)),
        ("Step ٣: yes", third), // \d is any Unicode digit, in Python and here
        ("\n- a\n* b", Some(2.0 / 3.0)),
        ("First, Second, Next, Finally, \n-", Some(1.0)),
    ];
    for (text, expected) in cases {
        assert_eq!(values("reasoning_steps", "", None, &[text]), [expected], "{text:?}");
    }
}

#[test]
fn length_compares_the_students_of_a_problem() {
    let length = |gold, students: &[&str]| values("length", "", gold, students);
    let students = ["\\boxed{4}", "\\boxed{4} abcdef", "\\boxed{5} abc", "\\boxed{5}abcdef"];
    assert_eq!(length(Some("4"), &students[..2]), [Some(0.5), Some(-0.5)]);
    let all = length(Some("4"), &students);
    assert_eq!(all[0], Some(0.5));
    assert_eq!(all[3], Some(0.5 - 6.0 / 7.0));
    assert!(all[2] < Some(0.0), "4 of 7 characters more: below 0 for right and wrong alike");
    // Wrong and shortest is 0, not 0.5.
    assert_eq!(length(Some("4"), &["\\boxed{5}", "\\boxed{4} ab"]), [Some(0.0), Some(-0.5)]);
    // Characters, not bytes: these are equally long.
    assert_eq!(length(Some("4"), &["\\boxed{4} é", "\\boxed{4} e"]), [Some(0.0), Some(0.0)]);
    // With a gold that nobody can read, nobody is wrong.
    assert_eq!(length(Some("no_answer"), &["\\boxed{5}", "\\boxed{5} ab"]), [Some(0.5), Some(-0.5)]);
    assert_eq!(length(None, &students), [None; 4]);
}

#[test]
fn cosine_wants_right_answers_short_and_wrong_ones_long() {
    let cosine = |params, gold, text: &str| values("cosine", params, gold, &[text])[0];
    let near =
        |value: Option<f64>, expected: f64| assert!((value.unwrap() - expected).abs() < 1e-12, "{value:?}");
    near(cosine("max_len = 9", Some("4"), "\\boxed{4}"), 0.5);
    near(cosine("max_len = 18", Some("4"), "\\boxed{4}"), 0.75);
    near(cosine("max_len = 9", Some("4"), "\\boxed{5}"), -0.5);
    near(cosine("max_len = 9\nmin_value_correct = 0.2", Some("4"), "\\boxed{4}"), 0.2);
    // Not clamped: at twice the length the cosine is back where it began.
    near(cosine("max_len = 4.5", Some("4"), "\\boxed{4}"), 1.0);
    near(cosine("", Some("4"), ""), -1.0);
    assert_eq!(cosine("", Some(""), "\\boxed{4}"), None);
    assert_eq!(cosine("", None, "\\boxed{4}"), None);
    for params in ["max_len = 0", "max_len = -1", "max_len = nan", "max_len = \"9\"", "min_value_wrong = inf"]
    {
        assert!((find("cosine").unwrap().build)(&params.parse().unwrap()).is_err(), "{params}");
    }
}

#[test]
fn repetition_is_counted_in_words_as_python_splits_them() {
    let repetition = |params, text: &str| values("repetition_penalty", params, None, &[text])[0];
    assert_eq!(repetition("ngram_size = 1", "go Go\u{1c}gO\u{a0}go"), Some(-0.75));
    assert_eq!(repetition("ngram_size = 2\nmax_penalty = -3.0", "a b a b a"), Some(-1.5));
    assert_eq!(repetition("", "to be or not to be"), Some(0.0));
    assert_eq!(repetition("max_penalty = 0", "a a a a a"), Some(0.0));
    let build = find("repetition_penalty").unwrap().build;
    let refusal = |params: &str| build(&params.parse().unwrap()).err().unwrap().to_string();
    assert!(refusal("max_penalty = 0.5").contains("max_penalty should not be positive"));
    assert!(refusal("ngram_size = 0").contains("a whole number from 1 on, not 0"));
    assert!(refusal("ngram_sise = 2").contains("did you mean \"ngram_size\"?"));
}

#[test]
fn the_default_mix_is_the_released_recipe() {
    let mix = Mix::new(&MixConfig::default()).unwrap();
    let good = "<think>\nadd\n</think>\n<answer>\n\\boxed{9}\n</answer>";
    let sample = sample(Some("9"), &[good, "8"]);
    let structure = [Ok(Alignment { total: 6.0, ..Alignment::default() }), Ok(Alignment::default())];
    let mixed = mix.score(&Group { sample: &sample, structure: &structure }).unwrap();
    assert_eq!(mixed[0].reward, Some(15.0 + 10.0 + 10.0 + 90.0));
    assert_eq!(mixed[1].reward, Some(0.0));
    let names: Vec<_> = mixed[0].parts.iter().map(|part| (part.name, part.weight)).collect();
    assert_eq!(names, [("accuracy", 15.0), ("format", 10.0), ("structure", 15.0), ("tag_count", 10.0)]);

    // One student without steps: no total for that one, and the others keep theirs.
    let structure = [Ok(Alignment { total: 6.0, ..Alignment::default() }), Err(Why("no steps".into()))];
    let mixed = mix.score(&Group { sample: &sample, structure: &structure }).unwrap();
    assert_eq!((mixed[0].reward, mixed[1].reward), (Some(125.0), None));
    // No structure at all, no gold: left out for everybody.
    let mut sample = sample;
    sample.answer = None;
    let mixed = mix.score(&Group { sample: &sample, structure: &[] }).unwrap();
    assert_eq!((mixed[0].reward, mixed[1].reward), (Some(20.0), Some(0.0)));

    // What is not finite is a skip with its reason.
    let structure = [Ok(Alignment { total: f64::NAN, ..Alignment::default() }), Ok(Alignment::default())];
    let mixed = mix.score(&Group { sample: &sample, structure: &structure }).unwrap();
    assert_eq!(mixed[0].parts[2].outcome, Outcome::skipped("not a finite number"));
    assert_eq!((mixed[0].reward, mixed[1].reward), (None, Some(0.0)));
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![4 => (-100.0..100.0).prop_map(Outcome::Scored), 1 => Just(Outcome::skipped("not known"))]
}

type Table = Vec<(f64, Vec<Outcome>)>;

fn table() -> impl Strategy<Value = Table> {
    (1usize..6).prop_flat_map(|students| {
        proptest::collection::vec((-20.0..20.0, proptest::collection::vec(outcome(), students)), 1..5)
    })
}

fn totals(table: &Table, scaling: Scaling) -> Vec<Option<f64>> {
    let parts: Vec<_> =
        table.iter().map(|(weight, outcomes)| PartColumn { weight: *weight, outcomes }).collect();
    mix(&parts, scaling)
}

const SCALINGS: [Scaling; 2] = [Scaling::Sum, Scaling::NormalizeThenSum];

proptest! {
    #[test]
    fn mixing_is_linear_in_the_weights(table in table(), factor in -8i32..8) {
        // A power of two scales without rounding, so the totals must agree to the bit.
        let factor = 2f64.powi(factor);
        let scaled: Table = table.iter().map(|(weight, outcomes)| (weight * factor, outcomes.clone())).collect();
        for scaling in SCALINGS {
            let expected: Vec<_> = totals(&table, scaling).iter().map(|total| total.map(|total| total * factor)).collect();
            prop_assert_eq!(totals(&scaled, scaling), expected);
        }
    }

    #[test]
    fn skipping_a_part_for_all_leaves_the_others(table in table(), which in any::<prop::sample::Index>()) {
        let which = which.index(table.len());
        let mut skipped = table.clone();
        skipped[which].1.fill(Outcome::skipped("for all"));
        let mut without = table.clone();
        without.remove(which);
        for scaling in SCALINGS {
            let expected = if without.is_empty() { vec![None; table[0].1.len()] } else { totals(&without, scaling) };
            prop_assert_eq!(totals(&skipped, scaling), expected);
        }
    }

    #[test]
    fn the_order_of_students_does_not_matter(table in table(), by in 0usize..6) {
        let mut turned = table.clone();
        for (_, outcomes) in &mut turned {
            let by = by % outcomes.len();
            outcomes.rotate_left(by);
        }
        for scaling in SCALINGS {
            let mut expected = totals(&table, scaling);
            let by = by % expected.len();
            expected.rotate_left(by);
            prop_assert_eq!(totals(&turned, scaling), expected);
        }
    }

    #[test]
    fn normalised_parts_have_mean_zero(values in proptest::collection::vec(-100.0..100.0, 2..8)) {
        let outcomes: Vec<_> = values.into_iter().map(Outcome::Scored).collect();
        let sum: f64 = totals(&vec![(1.0, outcomes)], Scaling::NormalizeThenSum).into_iter().flatten().sum();
        prop_assert!(sum.abs() < 1e-9);
    }
}

#[test]
fn open_r1_agrees() {
    let data = std::env::var_os("RLKD_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    if !data.join("open_r1_reward_cases.jsonl").is_file() {
        println!("skipped: no open_r1_reward_cases.jsonl in {}", data.display());
        return;
    }
    let suite = SUITES.iter().find(|suite| suite.name == "rewards").unwrap();
    let report = (suite.run)(&data, &Default::default()).unwrap();
    println!("open-r1 cases: {} of {}", report.passed, report.n);
    assert!(report.n > 0);
    assert_eq!(report.notes, Vec::<String>::new());
    assert_eq!(report.passed, report.n);
}

#[test]
fn a_bad_case_file_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let suite = SUITES.iter().find(|suite| suite.name == "rewards").unwrap();
    assert!(
        (suite.run)(folder.path(), &Default::default()).err().unwrap().to_string().contains("cannot open")
    );
    let file = folder.path().join("open_r1_reward_cases.jsonl");
    let good = r#"{"reward":"format","params":{},"completions":["x"],"expected":[1.0]}"#;
    std::fs::write(&file, format!("{good}\n\n{{\"reward\":1}}\n")).unwrap();
    assert!(
        (suite.run)(folder.path(), &Default::default())
            .err()
            .unwrap()
            .to_string()
            .contains("jsonl:3: not a record of this suite")
    );
    std::fs::write(&file, good).unwrap();
    let report = (suite.run)(folder.path(), &Default::default()).unwrap();
    assert_eq!((report.n, report.passed, report.failed, report.notes.len()), (1, 0, 1, 1));
    assert_eq!((report.figures["cases"], report.figures["passed"]), (1.0, 0.0));
}
