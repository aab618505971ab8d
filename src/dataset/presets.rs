//! The shapes of data sets that circulate, one entry each.
//!
//! To add one: an entry in [`PRESETS`], above every entry whose keys it also has, and a case in
//! `tests/dataset_presets.rs`.

use serde_json::Value;

use super::traces::{answers_only, kind, traces, with_thinking};
use crate::error::{Error, Result};
use crate::trace::{Domain, Trace};

/// A named shape: which column of a record is what.
#[derive(Debug)]
pub struct Preset {
    /// Its name, for `--preset`.
    pub name: &'static str,
    /// What has this shape, in a line.
    pub about: &'static str,
    /// How it is told by its keys: each group needs one of its paths.
    pub keys: &'static [&'static [&'static str]],
    /// The parts of the id, joined by `:`; parts that a record lacks are left out.
    pub id: &'static [&'static str],
    /// The problem: the first of these paths that is there.
    pub problem: &'static [&'static str],
    /// The problem of records that have it in several parts.
    pub question: Option<fn(&Value) -> Option<String>>,
    /// The domain: the first of these paths that is there.
    pub domain: &'static [&'static str],
    /// The domain of records that state none.
    pub default_domain: Domain,
    /// The gold answer.
    pub answer: Answer,
    /// The teacher's traces.
    pub teachers: Traces,
    /// The students' traces.
    pub students: Traces,
}

/// Where a preset finds the gold answer.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// At the first of these paths that is there.
    At(&'static [&'static str]),
    /// By a function.
    By(fn(&Value) -> Option<String>),
}

/// Where a preset finds traces.
#[derive(Clone, Copy, Debug)]
pub enum Traces {
    /// Such records hold none; `--map` may name a column.
    Nowhere,
    /// At the first of these paths that is there, in any of the native forms.
    At(&'static [&'static str]),
    /// By a function.
    By(fn(&Value) -> Result<Vec<Trace>>),
}

const NATIVE: Preset = Preset {
    name: "native",
    about: "rlkd's own records: id, domain, problem, teacher, students, answer",
    keys: &[&["students", "student"]],
    id: &["id"],
    problem: &["problem"],
    question: None,
    domain: &["domain"],
    default_domain: Domain::Other,
    answer: Answer::At(&["answer"]),
    teachers: Traces::At(&["teacher", "teachers"]),
    students: Traces::At(&["students", "student"]),
};

/// Every preset, in the order in which they are tried on a record. `native` comes first and is also
/// what is taken when none fits.
#[rustfmt::skip]
pub static PRESETS: &[Preset] = &[
    NATIVE,
    Preset {
        name: "openr1-math", about: "OpenR1-Math: teachers are the generations verified correct (all, if none), students all generations",
        keys: &[&["problem"], &["generations"]], id: &["uuid", "id"], problem: &["problem"], default_domain: Domain::Math,
        answer: Answer::At(&["answer"]), teachers: Traces::By(verified_generations), students: Traces::At(&["generations"]), ..NATIVE
    },
    Preset {
        name: "openthoughts", about: "OpenThoughts: the teacher is deepseek_reasoning in <think> tags and then deepseek_solution",
        keys: &[&["deepseek_reasoning"], &["deepseek_solution"]], teachers: Traces::By(deepseek),
        answer: Answer::At(&["ground_truth_solution"]), students: Traces::Nowhere, ..NATIVE
    },
    Preset {
        name: "trl", about: "TRL: prompt and completion(s), plain or conversational; solution, answer or ground_truth is gold",
        keys: &[&["prompt"], &["completion", "completions"]], problem: &["prompt"],
        answer: Answer::At(&["solution", "answer", "ground_truth"]), students: Traces::At(&["completions", "completion"]), ..NATIVE
    },
    Preset {
        name: "gsm8k-traces", about: "GSM8K solutions by models: question, gold (human solution), text (the student)",
        keys: &[&["question"], &["gold"], &["text"]], id: &["gsm8k_test_id", "model", "blob"], problem: &["question"],
        default_domain: Domain::Math, answer: Answer::By(gold_answer), teachers: Traces::By(gold_steps), students: Traces::By(text_by_model), ..NATIVE
    },
    Preset {
        name: "socratic", about: "GSM8K gold steps: question, steps of q and a (the teacher)",
        keys: &[&["gsm8k_test_id"], &["steps"]], id: &["gsm8k_test_id", "question_generator", "answerer"], problem: &["question"],
        default_domain: Domain::Math, answer: Answer::At(&["final_text"]), teachers: Traces::At(&["steps"]), students: Traces::Nowhere, ..NATIVE
    },
    Preset {
        name: "r1-general", about: "R1 traces of puzzles: problem.question, problem.answer (the teacher), solution (the student)",
        keys: &[&["problem.question"], &["problem.answer"], &["solution"]], id: &["problem_id", "seed"], problem: &["problem.question"],
        default_domain: Domain::Puzzle, answer: Answer::At(&[]), teachers: Traces::At(&["problem.answer"]), students: Traces::By(after_prompt), ..NATIVE
    },
    Preset {
        name: "r1-math", about: "R1 traces of MATH problems: problem.problem, problem.gt_solution (the teacher), solution (the student)",
        keys: &[&["problem.problem"], &["problem.gt_solution"], &["solution"]], id: &["problem_id", "seed"], problem: &["problem.problem"],
        default_domain: Domain::Math, answer: Answer::At(&["problem.gt_answer"]), teachers: Traces::At(&["problem.gt_solution"]), students: Traces::By(after_prompt), ..NATIVE
    },
    Preset {
        name: "perturbation", about: "solutions made worse: reference_steps (the teacher), hypothesis_steps (the student)",
        keys: &[&["reference_steps"], &["hypothesis_steps"]], problem: &["question"], default_domain: Domain::Math,
        answer: Answer::At(&["ground_truth_answer"]), teachers: Traces::By(reference_steps), students: Traces::By(hypothesis_steps), ..NATIVE
    },
    Preset {
        name: "prmbench", about: "PRMBench: original_process (the teacher), modified_process (the student)",
        keys: &[&["original_process"], &["modified_process"]], id: &["classification", "idx"], problem: &["original_question", "question"],
        default_domain: Domain::Math, answer: Answer::At(&["ground_truth"]), teachers: Traces::By(original_process), students: Traces::By(modified_process), ..NATIVE
    },
    Preset {
        name: "olympiadbench", about: "OlympiadBench: context and question, final_answer (a list), solution (the teacher)",
        keys: &[&["question"], &["final_answer"]], problem: &[], question: Some(with_context), default_domain: Domain::Math,
        answer: Answer::By(final_answers), teachers: Traces::At(&["solution"]), students: Traces::Nowhere, ..NATIVE
    },
    Preset {
        name: "gpqa", about: "GPQA: Question, Correct Answer, Incorrect Answer 1 to 3, in an order that depends on the question",
        keys: &[&["Question"], &["Correct Answer"]], id: &["Record ID"], problem: &[], question: Some(with_choices), default_domain: Domain::Science,
        answer: Answer::By(choice), teachers: Traces::At(&["Explanation"]), students: Traces::Nowhere, ..NATIVE
    },
    Preset {
        name: "svamp", about: "SVAMP: Body and Question, Answer",
        keys: &[&["Body"], &["Question"], &["Answer"]], id: &["ID"], problem: &[], question: Some(body_and_question), default_domain: Domain::Math,
        answer: Answer::At(&["Answer"]), teachers: Traces::Nowhere, students: Traces::Nowhere, ..NATIVE
    },
    Preset {
        name: "benchmark", about: "AIME, AMC, MATH-500 and the like: problem, answer; solution, if any, is the teacher's",
        keys: &[&["problem"], &["answer"], &["solution", "url", "unique_id", "subject"]], id: &["unique_id", "id"], default_domain: Domain::Math,
        teachers: Traces::At(&["teacher", "teachers", "solution"]), students: Traces::Nowhere, ..NATIVE
    },
    Preset {
        name: "gsm8k", about: "GSM8K: question, answer (human solution with #### and the result: the teacher)",
        keys: &[&["question"], &["answer"]], problem: &["question"], default_domain: Domain::Math,
        answer: Answer::By(solution_answer), teachers: Traces::By(solution_steps), students: Traces::Nowhere, ..NATIVE
    },
];

fn text<'v>(record: &'v Value, key: &str) -> Result<Option<&'v str>> {
    match record.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(Error::data(format!("`{key}` is {}, not a string", kind(other)))),
    }
}

fn with_context(record: &Value) -> Option<String> {
    let part =
        |key: &str| record.get(key).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
    let question = part("question")?;
    Some(part("context").map_or(question.to_owned(), |context| format!("{context}\n\n{question}")))
}

fn final_answers(record: &Value) -> Option<String> {
    let all: Option<Vec<&str>> = record.get("final_answer")?.as_array()?.iter().map(Value::as_str).collect();
    all.filter(|all| !all.is_empty()).map(|all| all.join(", "))
}

fn body_and_question(record: &Value) -> Option<String> {
    let body = record.get("Body")?.as_str()?.trim();
    let stop = if body.ends_with(['.', '!', '?', ',']) { "" } else { "." };
    Some(format!("{body}{stop} {}", record.get("Question")?.as_str()?.trim()))
}

/// The choices of a GPQA question in an order that depends on the question alone, and the place of the right one.
fn choices(record: &Value) -> Option<(Vec<&str>, usize)> {
    let keys = ["Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3"];
    let all: Vec<&str> = keys.iter().map_while(|key| record.get(key)?.as_str()).map(str::trim).collect();
    let mut order: Vec<usize> = (0..all.len()).collect();
    let question = record.get("Question")?.as_str()?;
    crate::seed::Seed(xxhash_rust::xxh3::xxh3_64(question.as_bytes()))
        .stream("choices", 0)
        .shuffle(&mut order);
    let right = order.iter().position(|at| *at == 0)?;
    Some((order.into_iter().map(|at| all[at]).collect(), right))
}

fn with_choices(record: &Value) -> Option<String> {
    let (all, _) = choices(record)?;
    let lines: Vec<String> =
        all.iter().zip('A'..).map(|(choice, letter)| format!("{letter}) {choice}")).collect();
    Some(format!("{}\n\n{}", record.get("Question")?.as_str()?.trim(), lines.join("\n")))
}

fn choice(record: &Value) -> Option<String> {
    let (_, right) = choices(record)?;
    Some(char::from(b'A' + right as u8).to_string())
}

fn verified_generations(record: &Value) -> Result<Vec<Trace>> {
    let all = traces(record.get("generations").unwrap_or(&Value::Null))?;
    let marks =
        record.get("correctness_math_verify").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let correct: Vec<Trace> = all
        .iter()
        .zip(marks)
        .filter(|(_, mark)| **mark == Value::Bool(true))
        .map(|(t, _)| t.clone())
        .collect();
    Ok(if correct.is_empty() { all } else { correct })
}

fn deepseek(record: &Value) -> Result<Vec<Trace>> {
    let reasoning = text(record, "deepseek_reasoning")?.unwrap_or_default();
    let solution = text(record, "deepseek_solution")?.unwrap_or_default();
    Ok(vec![Trace::new(with_thinking(reasoning, solution))])
}

fn text_by_model(record: &Value) -> Result<Vec<Trace>> {
    let origin = text(record, "model")?.map(str::to_string);
    Ok(text(record, "text")?.map(|text| Trace { origin, text: text.to_string() }).into_iter().collect())
}

/// A human GSM8K solution: a step a line, without the `<<48/2=24>>` marks, up to `####`.
fn human_steps(solution: &str) -> Trace {
    let before = solution.split("####").next().unwrap_or_default();
    let lines: Vec<String> = before.lines().map(without_marks).collect();
    answers_only(lines.iter().map(String::as_str))
}

fn without_marks(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, (_, after))) =
        rest.split_once("<<").and_then(|(before, mark)| Some((before, mark.split_once(">>")?)))
    {
        out.push_str(before);
        rest = after;
    }
    out.push_str(rest);
    out
}

fn human_answer(solution: &str) -> Option<String> {
    let (_, answer) = solution.rsplit_once("####")?;
    let answer = answer.trim();
    (!answer.is_empty()).then(|| answer.to_string())
}

fn gold_steps(record: &Value) -> Result<Vec<Trace>> {
    Ok(text(record, "gold")?.map(human_steps).into_iter().collect())
}

fn gold_answer(record: &Value) -> Option<String> {
    record.get("gold")?.as_str().and_then(human_answer)
}

fn solution_steps(record: &Value) -> Result<Vec<Trace>> {
    Ok(text(record, "answer")?.map(human_steps).into_iter().collect())
}

fn solution_answer(record: &Value) -> Option<String> {
    record.get("answer")?.as_str().and_then(human_answer)
}

/// The student's own words: what follows the prompt that stands before `<think>`.
fn after_prompt(record: &Value) -> Result<Vec<Trace>> {
    let own = |text: &str| Trace::new(&text[text.find("<think>").unwrap_or(0)..]);
    Ok(text(record, "solution")?.map(own).into_iter().collect())
}

fn lines_of(record: &Value, key: &str) -> Result<Vec<Trace>> {
    let Some(value) = record.get(key) else { return Ok(Vec::new()) };
    let lines: Option<Vec<&str>> =
        value.as_array().and_then(|items| items.iter().map(Value::as_str).collect());
    match lines {
        Some(lines) => Ok(vec![answers_only(lines)]),
        None => Err(Error::data(format!("`{key}` is not a list of strings"))),
    }
}

fn reference_steps(record: &Value) -> Result<Vec<Trace>> {
    lines_of(record, "reference_steps")
}

fn hypothesis_steps(record: &Value) -> Result<Vec<Trace>> {
    lines_of(record, "hypothesis_steps")
}

fn original_process(record: &Value) -> Result<Vec<Trace>> {
    lines_of(record, "original_process")
}

fn modified_process(record: &Value) -> Result<Vec<Trace>> {
    lines_of(record, "modified_process")
}
