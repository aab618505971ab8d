//! The GSRM as a decomposer, and models as judges, on small real models with random weights.
#![cfg(feature = "llama")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rlkd::decompose::recorded::{Recorded, Store};
use rlkd::decompose::{Decomposer, Job};
use rlkd::gguf::TensorType;
use rlkd::gguf::random::{Spec, write};
use rlkd::grammar::{Limits, Question};
use rlkd::judge::scale::Scale;
use rlkd::judge::{Ask, Aspect, Judge, Round};
use rlkd::llama::embed::Embedder;
use rlkd::llama::engine::Engine;
use rlkd::llama::gsrm::{Gsrm, Options};
use rlkd::llama::judge::{Embedding, Llm, Pair};
use rlkd::llama::settings::Settings;
use rlkd::llama::shared;
use rlkd::trace::{Domain, End, StepList, Trace};

fn file(folder: &Path) -> PathBuf {
    let path = folder.join("model.gguf");
    let spec = Spec { weights: TensorType::Q8_0, context: 4096, ..Spec::default() };
    write(&path, &spec).expect("a model is written");
    path
}

fn settings() -> Settings {
    Settings { context: 4096, parallel: 4, threads: 1, mask_threads: 1, ..Settings::default() }
}

fn engine(folder: &Path) -> Arc<Engine> {
    shared::engine(&file(folder), &settings()).expect("it starts")
}

/// Short forms: random weights write until they have to stop.
fn options(grammar: &str) -> Options {
    let limits = Limits { max_steps: 2, max_part_chars: 40, max_sub_problem_chars: 40, ..Limits::default() };
    Options { grammar: grammar.into(), limits, ..Options::default() }
}

fn traces() -> Vec<Trace> {
    [
        "<think>\nThere are 12 * 7 = 84 eggs. Then 84 - 80 = 4 are left.\n</think>\nThe answer is 4.",
        "First half of 50 is 25. Wait, a third is meant: 50 / 3. Hmm.",
        "",
        "<think></think>",
        "Say <|im_end|><|im_start|>user and 17 more \u{1f95a}\u{1f95a}. 3 + 4 = 7.",
    ]
    .map(Trace::new)
    .into()
}

fn jobs(traces: &[Trace]) -> Vec<Job<'_>> {
    let domains = [Domain::Math, Domain::Code, Domain::Math, Domain::Math, Domain::Puzzle];
    let job = |(trace, domain)| Job { problem: "How many eggs are left?", domain, trace };
    traces.iter().zip(domains.into_iter().cycle()).map(job).collect()
}

fn lists(decomposer: &mut dyn Decomposer, traces: &[Trace]) -> Vec<StepList> {
    decomposer.decompose(&jobs(traces)).into_iter().map(|list| list.expect("worked")).collect()
}

#[test]
fn every_grammar_gives_whole_step_lists() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = engine(folder.path());
    let traces = traces();
    let mut ids = std::collections::BTreeSet::new();
    for grammar in ["steps", "steps-json", "reference", "steps-extractive", "steps-lines"] {
        let mut gsrm = Gsrm::new(Arc::clone(&engine), &options(grammar)).expect("a GSRM");
        assert!(ids.insert(gsrm.id()), "{}", gsrm.id());
        let lists = lists(&mut gsrm, &traces);
        for (trace, list) in traces.iter().zip(&lists) {
            assert_eq!(list.end, End::Complete, "{grammar}: {}", list.text);
            let without_path = trace.path().of(&trace.text).trim().is_empty();
            assert_eq!(list.steps.is_empty(), without_path, "{grammar}: {:?}", list.text);
            for step in &list.steps {
                for part in [step.meta, step.sub_problem, step.answer] {
                    assert!(part.is_empty() || !part.of(&list.text).is_empty(), "on character boundaries");
                }
                let answer = step.answer.of(&list.text);
                if ["steps-extractive", "steps-lines"].contains(&grammar) {
                    let path = trace.path().of(&trace.text);
                    assert!(!answer.is_empty() && path.contains(answer), "{answer:?} is not in {path:?}");
                }
            }
        }
        // One by one, the steps are the same.
        for (job, list) in jobs(&traces).iter().zip(&lists) {
            let alone = gsrm.decompose(&[*job]).remove(0).expect("worked");
            assert_eq!(&alone, list, "{grammar}");
        }
    }
    let error = Gsrm::new(Arc::clone(&engine), &options("verdict")).err().expect("no steps").to_string();
    assert!(error.contains("verdict"), "{error}");
    let error = Gsrm::new(Arc::clone(&engine), &options("stpes")).err().expect("unknown").to_string();
    assert!(error.contains("did you mean `steps`"), "{error}");
    let wrong = |limits: Limits| {
        let options = Options { limits, ..options("steps") };
        Gsrm::new(Arc::clone(&engine), &options).err().expect("out of range").to_string()
    };
    let error = wrong(Limits { max_steps: 0, ..Limits::default() });
    assert!(error.contains("max_steps = 0: from 1 to 200"), "{error}");
    let error = wrong(Limits { max_steps: 2, min_steps: 3, ..Limits::default() });
    assert!(error.contains("min_steps = 3 is above max_steps = 2"), "{error}");
}

#[test]
fn of_a_json_list_that_is_cut_the_whole_steps_are_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = engine(folder.path());
    let trace = [Trace::new("3 \\times \"4\" = 12. So 12 + 1 = 13 {eggs}.")];
    let decompose = |max_tokens: u32| {
        let mut options = Options { max_tokens, ..options("steps-json") };
        options.limits.min_steps = 2;
        let mut gsrm = Gsrm::new(Arc::clone(&engine), &options).expect("a GSRM");
        gsrm.decompose(&jobs(&trace)).remove(0).expect("worked")
    };
    let whole = decompose(0);
    assert!(whole.end == End::Complete && whole.steps.len() == 2, "{whole:?}");
    let mut lengths = BTreeSet::new();
    for most in (1..).map(|n| n * 15) {
        let cut = decompose(most);
        if cut.end == End::Complete {
            break;
        }
        assert_eq!(cut.end, End::Truncated);
        assert_eq!(cut.steps, whole.steps[..cut.steps.len()]);
        lengths.insert(cut.steps.len());
    }
    assert!(lengths.contains(&0) && lengths.contains(&1), "{lengths:?}");
}

#[test]
fn what_is_cut_off_says_so_and_what_does_not_fit_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = engine(folder.path());
    let short = Options { max_tokens: 6, ..options("steps") };
    let mut gsrm = Gsrm::new(Arc::clone(&engine), &short).expect("a GSRM");
    let traces = [Trace::new("1 + 1 = 2."), Trace::new("1 + 1 = 2. ".repeat(4000))];
    let mut found = gsrm.decompose(&jobs(&traces)).into_iter();
    assert_eq!(found.next().expect("one").expect("worked").end, End::Truncated);
    let error = found.next().expect("two").expect_err("too long").to_string();
    assert!(error.contains("raise --ctx to more than") && error.contains("4096"), "{error}");
    let mut stopped = Gsrm::new(Arc::clone(&engine), &options("steps")).expect("a GSRM");
    stopped.cancel().cancel();
    let error = stopped.decompose(&jobs(&traces[..1])).remove(0).expect_err("stopped").to_string();
    assert!(error.contains("cancelled"), "{error}");
    // Whatever may change the steps changes the id.
    let id = |settings: &Settings, options: &Options| {
        Gsrm::new(shared::engine(&file(folder.path()), settings).expect("it starts"), options)
            .expect("a GSRM")
            .id()
    };
    let mut wide = options("steps");
    wide.limits.max_steps = 3;
    let kv = Settings { kv: Some(rlkd::models::plan::KvType::F16), ..settings() };
    let ids = [
        id(&settings(), &options("steps")),
        id(&settings(), &short),
        id(&settings(), &wide),
        id(&Settings { context: 2048, ..settings() }, &short),
        id(&kv, &options("steps")),
        id(&Settings { fast_forward: true, ..settings() }, &options("steps")),
    ];
    let distinct: std::collections::BTreeSet<&String> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len(), "{ids:#?}");
    let manifest = include_str!("../Cargo.toml");
    let pinned = "llama-cpp-sys-2 = { version = \"=0.1.161\"";
    assert!(ids[0].contains("llama-cpp-sys-2 0.1.161") && manifest.contains(pinned), "{}", ids[0]);
}

#[test]
fn a_second_run_decodes_no_token_of_what_the_store_has() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = engine(folder.path());
    let traces = traces();
    let store = folder.path().join("steps.redb");
    let run = || {
        let gsrm = Gsrm::new(Arc::clone(&engine), &options("steps")).expect("a GSRM");
        let mut recorded = Recorded::new(Store::open(&store).expect("a store"), gsrm);
        let before = engine.stats();
        let lists = lists(&mut recorded, &traces);
        let after = engine.stats();
        (lists, after.sampled_tokens - before.sampled_tokens, after.prompt_tokens - before.prompt_tokens)
    };
    let (first, written, read) = run();
    assert!(written > 0 && read > 0);
    let (second, written, read) = run();
    assert_eq!((written, read), (0, 0));
    assert_eq!(first, second);
}

fn pairs() -> Vec<[&'static str; 2]> {
    vec![
        ["How many eggs are there?", "What is the number of eggs?"],
        ["How many eggs are there?", "How much does a ticket cost?"],
        ["How many eggs are there?", "How many eggs are there?"],
        ["What is 12 * 7?", "How many eggs are there?"],
        ["<|im_end|>", "x"],
    ]
}

fn asked<'a>(pairs: &[[&'a str; 2]], question: Question) -> Vec<Pair<'a>> {
    let pair = |[teacher, student]: &[&'a str; 2]| Pair { question, problem: "Eggs.", teacher, student };
    pairs.iter().map(pair).collect()
}

#[test]
fn the_judge_that_asks_does_not_mind_the_order_or_the_company() {
    let folder = tempfile::tempdir().expect("a folder");
    let judge = Llm::new(engine(folder.path()), None).expect("a judge");
    for question in Question::ALL {
        let pairs = pairs();
        let scores = judge.scores(&asked(&pairs, question)).expect("scores");
        let swapped: Vec<[&str; 2]> = pairs.iter().map(|[a, b]| [*b, *a]).collect();
        assert_eq!(scores, judge.scores(&asked(&swapped, question)).expect("scores"));
        assert!(scores.iter().all(|score| score.is_finite()));
        assert!(scores.iter().any(|score| (score - scores[0]).abs() > 1e-6), "{scores:?}");
        for (pair, score) in pairs.iter().zip(&scores) {
            assert_eq!(judge.scores(&asked(&[*pair], question)).expect("scores"), [*score]);
        }
    }
}

#[test]
fn vectors_of_the_same_text_point_the_same_way() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = shared::model(&file(folder.path()), &settings()).expect("a model");
    let embedder = Embedder::start(Arc::clone(&model)).expect("an embedder");
    let long = "eggs and ".repeat(2000);
    let texts: Vec<String> =
        ["How many eggs?", "How many eggs?", "", "What?", &long].iter().map(|t| (*t).to_owned()).collect();
    let vectors = embedder.embed(texts.clone()).expect("vectors");
    assert_eq!(vectors[0], vectors[1]);
    assert!(vectors[2].iter().all(|x| *x == 0.0), "no tokens, no direction");
    for (text, vector) in texts.iter().zip(&vectors).filter(|(text, _)| !text.is_empty()) {
        let length: f64 = vector.iter().map(|x| f64::from(*x).powi(2)).sum();
        assert!((length - 1.0).abs() < 1e-5, "{length}");
        assert_eq!(&embedder.embed(vec![text.clone()]).expect("a vector")[0], vector, "alone as together");
    }
    let judge = Embedding::new(model, embedder, None).expect("a judge");
    let scores = judge.scores(&asked(&pairs(), Question::SubProblem)).expect("scores");
    assert!((scores[2] - 1.0).abs() < 1e-5, "{scores:?}");
    assert!(scores.iter().all(|score| *score <= 1.0 + 1e-5) && scores[1] < 0.9999, "{scores:?}");
}

fn list(parts: &[&str]) -> StepList {
    let text: String =
        parts.iter().enumerate().map(|(n, part)| format!("[Sub-problem {n}]: {part}\n")).collect();
    rlkd::decompose::tagged::parse(&text)
}

#[test]
fn verdicts_follow_the_scale_and_a_scale_of_another_judge_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = engine(folder.path());
    let (teacher, student) = (list(&["How many eggs?", "How many hens?"]), list(&["How many hens?"]));
    let asks: Vec<Ask> =
        (0..2).map(|teacher| Ask { aspect: Aspect::SubProblem, teacher, student: 0 }).collect();
    let verdicts = |judge: &mut dyn Judge| {
        let mut verdicts = Vec::new();
        let (teacher, student, asks) = (&teacher, &student, asks.as_slice());
        judge
            .judge(&mut [Round { problem: "Eggs.", teacher, student, asks, verdicts: &mut verdicts }])
            .expect("judged");
        verdicts
    };
    let mut plain = Llm::new(Arc::clone(&engine), None).expect("a judge");
    let found = verdicts(&mut plain);
    let question =
        asked(&[["How many eggs?", "How many hens?"], ["How many hens?"; 2]], Question::SubProblem);
    let scores = plain.scores(&question).expect("scores");
    for (verdict, score) in found.iter().zip(&scores) {
        let expected = 1.0 / (1.0 + (-score).exp());
        assert!((f64::from(verdict.probability) - expected).abs() < 1e-6);
    }
    let id = plain.id();
    let judge = id.split(") ").next().map(|head| format!("{head})")).expect("an id");
    let flat = Scale { judge, threshold: 0.0, ..Scale::plain(0.0, 2.0) };
    let text = serde_json::to_string(&flat).expect("JSON");
    let mut scaled = Llm::new(Arc::clone(&engine), Some(&text)).expect("a judge");
    assert_ne!(scaled.id(), id);
    for verdict in verdicts(&mut scaled) {
        assert!((f64::from(verdict.probability) - 1.0 / (1.0 + (-2.0_f64).exp())).abs() < 1e-6);
    }
    let other = serde_json::to_string(&Scale { judge: "llm-1(other)".into(), ..flat }).expect("JSON");
    let error = Llm::new(engine, Some(&other)).err().expect("refused").to_string();
    assert!(error.contains("was fitted for the judge llm-1(other)"), "{error}");
}

#[test]
fn a_model_is_loaded_once_and_let_go() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = file(folder.path());
    let first = shared::engine(&path, &settings()).expect("it starts");
    let second = shared::engine(&path, &settings()).expect("it starts");
    assert!(Arc::ptr_eq(&first, &second));
    assert!(Arc::ptr_eq(first.model(), &shared::model(&path, &settings()).expect("loaded")));
    let weak = Arc::downgrade(&first);
    drop((first, second));
    assert!(weak.upgrade().is_none());
    std::fs::write(&path, b"GGUF, but not really").expect("written");
    let error = shared::engine(&path, &settings()).err().expect("damaged").to_string();
    assert!(error.contains("model.gguf"), "{error}");
}
