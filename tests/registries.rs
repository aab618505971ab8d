//! Every entry of every registry keeps the promises that all of its kind make.

use std::collections::BTreeSet;

use rlkd::dataset::{Mapping, PRESETS, Source, parse};
use rlkd::decompose::{DECOMPOSERS, Job};
use rlkd::grammar::GRAMMARS;
use rlkd::judge::{Ask, Aspect, JUDGES, Judge, Round, Verdict};
use rlkd::reward::{Group, REWARDS};
use rlkd::score;
use rlkd::trace::{Domain, Outcome, Sample, StepList, Trace};
use rlkd::validate::SUITES;

/// Names are whole, unlike each other, and each has a line of help.
#[track_caller]
fn check_names(registry: &str, entries: &[(&str, &str)]) {
    let mut names = BTreeSet::new();
    for (name, help) in entries {
        assert!(!name.is_empty() && *name != "all" && *name != "auto-detect", "{registry}: {name:?}");
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        assert!(name.chars().all(is_plain), "{registry}: {name:?} cannot be typed everywhere");
        assert!(names.insert(name.to_owned()), "{registry}: {name:?} twice");
        assert!(help.trim().len() >= 10 && !help.contains('\n'), "{registry}: {name}: help {help:?}");
    }
    assert!(!names.is_empty());
}

#[test]
fn names_are_unique_and_explained() {
    check_names("rewards", &REWARDS.iter().map(|e| (e.name, e.help)).collect::<Vec<_>>());
    // Those that run a language model as well, where this build has it.
    check_names("judges", &score::judges().collect::<Vec<_>>());
    check_names("decomposers", &score::decomposers().collect::<Vec<_>>());
    let count = if cfg!(feature = "llama") { [1, 2] } else { [0, 0] };
    assert_eq!(score::decomposers().count(), DECOMPOSERS.len() + count[0]);
    assert_eq!(score::judges().count(), JUDGES.len() + count[1]);
    check_names("grammars", &GRAMMARS.iter().map(|e| (e.name, e.summary)).collect::<Vec<_>>());
    check_names("presets", &PRESETS.iter().map(|e| (e.name, e.about)).collect::<Vec<_>>());
    check_names("suites", &SUITES.iter().map(|e| (e.name, e.summary)).collect::<Vec<_>>());
    let names = REWARDS.iter().flat_map(|e| e.aliases.iter().chain([&e.name]));
    let unique: BTreeSet<&str> = names.clone().copied().collect();
    assert_eq!(unique.len(), names.count(), "a reward's alias is another's name");
    for entry in REWARDS {
        for name in entry.aliases.iter().chain([&entry.name]) {
            assert_eq!(rlkd::reward::find(name).expect("known").name, entry.name);
        }
    }
}

/// Texts as they come, and texts that nobody should send.
fn texts() -> Vec<String> {
    let mut texts: Vec<String> = [
        "",
        " \n\t\u{a0}\u{2028} ",
        "<think>\nThe farm has 18 * 24 = 432 eggs.\n\nSold are 432 * 5 / 6 = 360. Wait, that is wrong.\n\nSo 72 are left.\n</think>\n\\boxed{72}",
        "[Meta-reasoning 1]: first the total\n[Sub-problem 1]: How many eggs?\n[Answer 1]: 18 * 24 = 432\n\n[Sub-problem 2]: How many are left?\n[Answer 2]: 432 / 6 = 72\n\n",
        "<think>\nFirst, Ann's pens. They are 3 times Bob's pens, so 3 * 4 = 12. So Ann's pens are 12.\n\nNext, Cid's pens. Maybe 12 + 4 = 16? Hmm, no, let me read that again. They are 2 more than Ann's pens, so 12 + 2 = 14. That means Cid's pens are 14. Check: 14 - 2 = 12, as it should be.\n\nFinally, Dot's pens. They are Ann's pens and Cid's pens together. That gives 12 + 14 = 26. Therefore Dot's pens are 26.\n\nThen, Eli's pens. They are 1 fewer than Dot's pens, so 26 - 1 = 25. So Eli's pens are 25.\n</think>",
        "[sub-think 1] a [Query 1] b [Answer 1] c [sub-think 2]",
        "[{\"q\": \"2+2?\", \"a\": 4}, {\"q\": \"and 3\", \"a\": \"7\", \"kind\": \"verify\"}]",
        "[{\"q\": \"cut o",
        "[Answer 1]: [Answer 1]: [Answer 99999999999999999999999]: x",
        "</think></think><think>",
        "<think>",
        "1e999 - -1e-999 = inf = NaN = 0/0 = 1/0. \\frac{\\frac{\\frac{1}{2}}{3}}{",
        "\\boxed{\\boxed{\\boxed{",
        "e\u{301}\u{200d}\u{1f469}\u{200d}\u{1f680} \u{202e}= 4\u{ff15} \u{663}\u{664} = 34 \u{0} \u{feff}",
        "\u{2460}.\u{2461}。これは3個です。\n\n十二 ÷ 三 = 四。",
        "Let me check. Let me check. Wait. No. Hmm. Alternatively, wait.",
        "a\r\n\r\nb\r\n\r\nc = 3\r\n",
        ". . . ! ? ; : , = + - * / ( ) [ ] { } < > | \\ \" ' ` ~ @ # $ % ^ & _",
    ]
    .map(str::to_owned)
    .into();
    texts.push("(".repeat(20_000));
    texts.push("1 + ".repeat(5_000) + "1 = 5001");
    texts.push("[Sub-problem 1]: x [Answer 1]: 1\n".repeat(500));
    texts.push("So 2 + 3 = 5 apples. ".repeat(800));
    texts.push("9".repeat(20_000));
    texts.push("[".repeat(3_000));
    texts
}

#[test]
fn decomposers_give_ordered_steps_on_character_boundaries() {
    let traces: Vec<Trace> = texts().into_iter().map(Trace::new).collect();
    let jobs: Vec<Job<'_>> = traces
        .iter()
        .map(|trace| Job { problem: "How many eggs are left?", domain: Domain::default(), trace })
        .collect();
    for entry in DECOMPOSERS {
        let name = entry.name;
        let mut decomposer = (entry.build)();
        assert!(!decomposer.id().is_empty());
        assert_eq!(decomposer.id(), (entry.build)().id(), "{name}: an id that changes");
        let batch = decomposer.decompose(&jobs);
        assert_eq!(batch.len(), jobs.len(), "{name}: one result for each job");
        let mut found = 0;
        for (job, list) in jobs.iter().zip(&batch) {
            let shown: String = job.trace.text.chars().take(60).collect();
            let Ok(list) = list else { continue };
            check_spans(list, &format!("{name}: {shown:?}"));
            found += list.steps.len();
        }
        assert!(found > 3, "{name}: {found} steps in all");
        let as_text = |lists: &[rlkd::Result<StepList>]| format!("{lists:?}");
        assert!(as_text(&decomposer.decompose(&jobs)) == as_text(&batch), "{name}: not deterministic");
        let alone: Vec<_> = jobs.iter().flat_map(|job| (entry.build)().decompose(&[*job])).collect();
        assert!(as_text(&alone) == as_text(&batch), "{name}: depends on the batch");
        assert!(decomposer.decompose(&[]).is_empty());
    }
    let ids: BTreeSet<String> = DECOMPOSERS.iter().map(|entry| (entry.build)().id()).collect();
    assert_eq!(ids.len(), DECOMPOSERS.len(), "ids key the store: {ids:?}");
}

#[track_caller]
fn check_spans(list: &StepList, what: &str) {
    let mut at = 0;
    for step in &list.steps {
        for span in [step.meta, step.sub_problem, step.answer].into_iter().filter(|span| !span.is_empty()) {
            let (start, end) = (span.start as usize, span.end as usize);
            assert!(list.text.get(start..end).is_some(), "{what}: {span:?} is off the text");
            assert!(start >= at, "{what}: {span:?} begins before {at}");
            at = end;
        }
    }
}

fn steps(text: &str) -> StepList {
    rlkd::decompose::tagged::parse(text)
}

/// Each judge with what it needs to be made.
fn judges() -> Vec<(&'static str, Box<dyn Judge>)> {
    let recording = "{\"aspect\":\"sub_problem\",\"teacher\":\"How many eggs?\",\"student\":\"How many eggs?\",\"reply\":\"yes\"}\n\
                     {\"aspect\":\"answer\",\"teacher\":\"18 * 24 = 432\",\"student\":\"18 * 24 = 431\",\"reply\":\"no\",\"probability\":0.125}\n";
    let make = |entry: &rlkd::judge::Entry| {
        let model = (entry.name == "recorded").then_some(recording);
        (entry.name, (entry.build)(model).unwrap_or_else(|error| panic!("{}: {error}", entry.name)))
    };
    JUDGES.iter().map(make).collect()
}

fn ask_all(judge: &mut dyn Judge, pairs: &[(&StepList, &StepList)]) -> Vec<Vec<Verdict>> {
    let asks: Vec<Vec<Ask>> = pairs.iter().map(|(teacher, student)| all_asks(teacher, student)).collect();
    let mut verdicts: Vec<Vec<Verdict>> = vec![vec![Verdict::YES; 3]; pairs.len()];
    let mut rounds: Vec<Round<'_>> = pairs
        .iter()
        .zip(&asks)
        .zip(&mut verdicts)
        .map(|((&(teacher, student), asks), verdicts)| Round {
            problem: "",
            teacher,
            student,
            asks,
            verdicts,
        })
        .collect();
    judge.judge(&mut rounds).expect("verdicts");
    verdicts
}

/// At most a hundred asks of each aspect.
fn all_asks(teacher: &StepList, student: &StepList) -> Vec<Ask> {
    let mut asks = Vec::new();
    for aspect in [Aspect::MetaReasoning, Aspect::SubProblem, Aspect::Answer] {
        for teacher in 0..teacher.steps.len().min(10) as u32 {
            asks.extend((0..student.steps.len().min(10) as u32).map(|student| Ask {
                aspect,
                teacher,
                student,
            }));
        }
    }
    asks
}

#[test]
fn judges_are_deterministic_and_do_not_see_the_batch() {
    let mut lists: Vec<StepList> = texts().iter().map(|text| steps(text)).collect();
    lists
        .extend(texts().iter().map(|text| rlkd::decompose::rules::Rules::new().steps("", &Trace::new(text))));
    lists.push(steps(
        "[Sub-problem 1]: How many eggs?\n[Answer 1]: 18 * 24 = 431\n[Sub-problem 2]: \u{1f469}\n[Answer 2]: NaN",
    ));
    lists.retain(|list| !list.steps.is_empty());
    assert!(lists.len() > 8, "{}", lists.len());
    let pairs: Vec<(&StepList, &StepList)> =
        lists.iter().flat_map(|teacher| lists.iter().map(move |student| (teacher, student))).collect();
    for (name, mut judge) in judges() {
        assert!(!judge.id().is_empty());
        let together = ask_all(&mut *judge, &pairs);
        assert!(together == ask_all(&mut *judge, &pairs), "{name}: not deterministic");
        for ((pair, verdicts), number) in pairs.iter().zip(&together).zip(0..) {
            assert_eq!(verdicts.len(), all_asks(pair.0, pair.1).len(), "{name}: one verdict for each ask");
            for verdict in verdicts {
                assert!((0.0..=1.0).contains(&verdict.probability), "{name}: {verdict:?}");
            }
            if number % 7 == 0 {
                assert!(ask_all(&mut *judge, &[*pair])[0] == *verdicts, "{name}: depends on the batch");
            }
        }
        if name != "recorded" {
            // A recording says what was recorded, also of what is the same.
            for list in &lists {
                let verdicts = &ask_all(&mut *judge, &[(list, list)])[0];
                for (ask, verdict) in all_asks(list, list).iter().zip(verdicts) {
                    let same = ask.teacher == ask.student;
                    assert!(!same || verdict.says_yes(), "{name}: {ask:?} of itself: {verdict:?}");
                }
            }
        }
        let list = &lists[0];
        let outside = [Ask { aspect: Aspect::Answer, teacher: 9999, student: 0 }];
        let mut verdicts = Vec::new();
        let (teacher, student) = (list, list);
        let round = Round { problem: "", teacher, student, asks: &outside, verdicts: &mut verdicts };
        assert!(judge.judge(&mut [round]).is_err(), "{name}: an ask outside the lists");
        judge.judge(&mut []).expect("nothing to do");
    }
    let ids: BTreeSet<String> = judges().iter().map(|(_, judge)| judge.id()).collect();
    assert_eq!(ids.len(), JUDGES.len(), "{ids:?}");
    for entry in JUDGES {
        let error = (entry.build)(Some("this is no model")).err().map(|error| error.to_string());
        assert!(error.is_some_and(|error| error.len() > 20), "{}: a wrong model file", entry.name);
    }
}

#[test]
fn rewards_value_any_text_or_say_why_not() {
    let students: Vec<Trace> = texts().into_iter().map(Trace::new).collect();
    for answer in [Some("72"), Some(""), Some("\\frac{"), None] {
        let sample = Sample {
            id: "a".into(),
            problem: "How many eggs?".into(),
            teachers: vec![Trace::new("18 * 24 = 432")],
            students: students.clone(),
            answer: answer.map(str::to_owned),
            ..Sample::default()
        };
        for entry in REWARDS {
            let reward = (entry.build)(&toml::Table::new()).expect("defaults");
            assert_eq!(reward.name(), entry.name);
            let group = Group { sample: &sample, structure: &[] };
            let outcomes = reward.score(&group).expect("outcomes");
            assert_eq!(outcomes.len(), students.len(), "{}: one outcome for each student", entry.name);
            for outcome in &outcomes {
                match outcome {
                    Outcome::Scored(value) => {
                        assert!(value.is_finite(), "{}: {value}", entry.name);
                        let (least, greatest) = entry.range;
                        assert!((least..=greatest).contains(value), "{}: {value}", entry.name);
                    }
                    Outcome::Skipped(why) => assert!(!why.0.is_empty(), "{}", entry.name),
                }
            }
            assert_eq!(reward.score(&group).expect("again"), outcomes, "{}", entry.name);
            let mut unknown = toml::Table::new();
            unknown.insert("no_such_parameter".into(), 1.into());
            assert!((entry.build)(&unknown).is_err(), "{}: an unknown parameter", entry.name);
        }
    }
}

#[test]
fn presets_read_any_record_or_say_what_is_wrong() {
    let records = [
        "{}",
        "null",
        "[]",
        "7",
        "\"text\"",
        "{\"id\": {}, \"problem\": [], \"teacher\": 3, \"students\": {\"a\": [[[]]]}}",
        "{\"id\": null, \"question\": null, \"messages\": [{\"role\": 3}], \"generations\": [null], \"students\": [\"s\"]}",
        "{\"problem\": \"p\", \"teacher\": \"t\", \"students\": [\"s\", \"u\"], \"answer\": 1e400}",
        "{\"prompt\": [], \"completions\": [[]], \"chosen\": [], \"rejected\": {}, \"steps\": [1], \"answer\": []}",
        "{\"id\": \"\u{0}\u{1f469}\", \"problem\": \"\", \"students\": \"\"}",
    ];
    for preset in PRESETS {
        let mapping = Mapping::new::<&str>(preset.name, &[]).expect(preset.name);
        let mut columns = vec![Some(mapping.clone())];
        columns.push(Mapping::new(preset.name, &["students=students", "problem=problem"]).ok());
        for mapping in columns.into_iter().flatten() {
            let source = Source::from_reader("any", std::io::Cursor::new(records.join("\n")));
            let mut count = 0;
            for record in source {
                let record = record.expect("memory");
                count += 1;
                if let Err(error) = parse(&record, &mapping) {
                    assert_eq!(error.place().map(|place| place.line), Some(record.place.line));
                    assert!(error.message().len() > 10, "{}: {error}", preset.name);
                }
            }
            assert_eq!(count, records.len());
        }
    }
    let name = PRESETS[0].name;
    let error = Mapping::new::<&str>(&format!("{name}x"), &[]).expect_err("unknown").to_string();
    assert!(error.contains(name), "{error}");
}

#[test]
fn suites_name_the_file_that_is_missing_or_wrong() {
    for suite in SUITES {
        assert!(!suite.files.is_empty());
        let folder = tempfile::tempdir().expect("a folder");
        let error = (suite.run)(folder.path(), &Default::default()).expect_err("no files").to_string();
        assert!(suite.files.iter().any(|file| error.contains(file)), "{}: {error}", suite.name);
        for file in suite.files {
            std::fs::write(folder.path().join(file), "\n{\"what\": \u{1f469}\n").expect("written");
        }
        let error = (suite.run)(folder.path(), &Default::default()).expect_err("no records").to_string();
        assert!(suite.files.iter().any(|f| error.contains(&format!("{f}:2"))), "{}: {error}", suite.name);
        let (path, place) = (folder.path().display().to_string(), error.contains("/"));
        assert!(error.contains(&path) && place, "{}: {error}", suite.name);
    }
}
