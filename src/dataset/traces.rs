//! What a JSON value says of traces: text, step list, chat, or several of these.

use serde_json::{Map, Value, json};

use super::render::render_steps;
use crate::error::{Error, Result};
use crate::trace::Trace;

const META: [&str; 4] = ["meta_reasoning", "meta", "think", "sub_think"];
const SUB_PROBLEM: [&str; 5] = ["sub_problem", "query", "question", "sub_question", "q"];
const ANSWER: [&str; 2] = ["answer", "a"];

/// Reads traces: `null` is none; a string, an object or a step list or chat (an array of objects of
/// one of those kinds) is one; any other array is several.
///
/// # Errors
/// Anything else, with the index of the trace that cannot be read.
pub fn traces(value: &Value) -> Result<Vec<Trace>> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(items) if items.is_empty() => Ok(Vec::new()),
        Value::Array(items) if !is_steps(items) && !is_chat(items) => {
            let one = |(at, item)| {
                trace(item)
                    .map_err(|e| Error::data(format!("trace {at} of {}: {}", items.len(), e.message())))
            };
            items.iter().enumerate().map(one).collect()
        }
        _ => Ok(vec![trace(value)?]),
    }
}

/// Reads one trace.
///
/// # Errors
/// The value is no string, step list, chat, or object with `text` or `steps`.
pub fn trace(value: &Value) -> Result<Trace> {
    match value {
        Value::String(text) => Ok(Trace::new(text)),
        Value::Array(items) if is_chat(items) => chat(items).map(Trace::new),
        Value::Array(items) if is_steps(items) => steps(items).map(Trace::new),
        Value::Object(object) => {
            let origin = ["origin", "model"].iter().find_map(|key| object.get(*key)).and_then(Value::as_str);
            let text = match (object.get("text"), object.get("steps")) {
                (Some(Value::String(text)), _) => text.clone(),
                (Some(_), _) => return Err(Error::data("the `text` of a trace is not a string")),
                (None, Some(Value::Array(items))) if items.is_empty() => String::new(),
                (None, Some(Value::Array(items))) => steps(items)?,
                (None, Some(_)) => return Err(Error::data("the `steps` of a trace are not a list")),
                (None, None) if is_message(object) => chat(std::slice::from_ref(value))?,
                (None, None) if is_step(object) => steps(std::slice::from_ref(value))?,
                (None, None) => {
                    let message =
                        format!("an object is a trace if it has `text` or `steps`; {}", has(object));
                    return Err(Error::data(message));
                }
            };
            Ok(Trace { origin: origin.map(str::to_string), text })
        }
        Value::Array(items) if items.is_empty() => Ok(Trace::default()),
        _ => Err(Error::data(format!(
            "a trace is a string, a list of steps, a chat, or an object with `text` or `steps`; this is {}",
            kind(value)
        ))),
    }
}

/// A trace whose steps are the lines given, each an answer without a question.
pub(super) fn answers_only<'a>(lines: impl IntoIterator<Item = &'a str>) -> Trace {
    Trace::new(render_steps(lines.into_iter().map(|line| ["", "", line])))
}

/// "the record has `a`, `b`".
pub(super) fn has(object: &Map<String, Value>) -> String {
    // A record with thousands of keys would drown the message.
    let mut keys: Vec<String> = object.keys().take(24).map(|key| format!("`{key}`")).collect();
    if object.len() > keys.len() {
        keys.push("…".to_string());
    }
    if keys.is_empty() { "it is empty".to_string() } else { format!("it has {}", keys.join(", ")) }
}

pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn is_steps(items: &[Value]) -> bool {
    items.iter().all(|item| item.as_object().is_some_and(is_step)) && !items.is_empty()
}

fn is_step(object: &Map<String, Value>) -> bool {
    let part = |keys: &[&str]| keys.iter().any(|key| object.contains_key(*key));
    !["text", "steps", "role"].iter().any(|key| object.contains_key(*key))
        && (part(&META) || part(&SUB_PROBLEM) || part(&ANSWER))
}

pub(super) fn is_chat(items: &[Value]) -> bool {
    !items.is_empty() && items.iter().all(|item| item.as_object().is_some_and(is_message))
}

fn is_message(object: &Map<String, Value>) -> bool {
    object.get("role").is_some_and(Value::is_string) && !object.contains_key("text")
}

/// The assistant's turns.
fn chat(messages: &[Value]) -> Result<String> {
    said(messages, "assistant")?.ok_or_else(|| Error::data("the chat has no assistant turn"))
}

/// What `role` says in a chat, turns joined by a blank line; `None` if it says nothing.
/// A message's `reasoning_content` stands before its content in `<think>` tags.
pub(super) fn said(messages: &[Value], role: &str) -> Result<Option<String>> {
    let mut turns = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        if message.get("role").and_then(Value::as_str) != Some(role) {
            continue;
        }
        let content = match message.get("content") {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Array(parts)) => parts.iter().filter_map(|part| part.get("text")?.as_str()).collect(),
            None | Some(Value::Null) => String::new(),
            Some(other) => {
                let message = format!("the content of message {at} is {}, not a string", kind(other));
                return Err(Error::data(message));
            }
        };
        turns.push(match message.get("reasoning_content").and_then(Value::as_str) {
            Some(thinking) if !thinking.trim().is_empty() => with_thinking(thinking, &content),
            _ => content,
        });
    }
    Ok(if turns.is_empty() { None } else { Some(turns.join("\n\n")) })
}

/// A completion whose thinking and answer were stored apart.
pub(super) fn with_thinking(thinking: &str, rest: &str) -> String {
    format!("<think>\n{}\n</think>\n{}", thinking.trim(), rest.trim())
}

/// Steps as tagged text. The tagged form cannot say that a step verifies or was abandoned: a list
/// with such a step stays JSON, under canonical keys.
fn steps(items: &[Value]) -> Result<String> {
    let mut rows = Vec::with_capacity(items.len());
    let mut kinds = Vec::with_capacity(items.len());
    for (at, item) in items.iter().enumerate() {
        let wrong = |what: String| Error::data(format!("step {at}: {what}"));
        let object = match item {
            Value::Object(object) if is_step(object) => object,
            Value::Object(object) => {
                return Err(wrong(format!(
                    "a step has `meta_reasoning`, `sub_problem` or `answer`; {}",
                    has(object)
                )));
            }
            other => return Err(wrong(format!("a step is an object, this is {}", kind(other)))),
        };
        let part = |keys: &[&str]| match keys.iter().find_map(|key| object.get(*key)) {
            None | Some(Value::Null) => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.trim().to_string()),
            Some(number @ Value::Number(_)) => Ok(number.to_string()),
            Some(other) => Err(wrong(format!("`{}` is {}, not a string", keys[0], kind(other)))),
        };
        rows.push([part(&META)?, part(&SUB_PROBLEM)?, part(&ANSWER)?]);
        kinds.push(match object.get("kind") {
            None | Some(Value::Null) => "progress",
            Some(Value::String(name)) => match name.as_str() {
                "progress" => "progress",
                "verify" => "verify",
                "backtrack" => "backtrack",
                other => {
                    return Err(wrong(format!("kind `{other}` is not one of progress, verify, backtrack")));
                }
            },
            Some(other) => return Err(wrong(format!("`kind` is {}, not a string", kind(other)))),
        });
    }
    if kinds.iter().all(|kind| *kind == "progress") {
        return Ok(render_steps(rows.iter().map(|row| [row[0].as_str(), &row[1], &row[2]])));
    }
    let list = rows.iter().zip(&kinds).map(|([meta, sub_problem, answer], kind)| {
        json!({"meta_reasoning": meta, "sub_problem": sub_problem, "answer": answer, "kind": kind})
    });
    Ok(Value::Array(list.collect()).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn texts(value: Value) -> Vec<String> {
        traces(&value).unwrap_or_else(|e| panic!("{value}: {e}")).into_iter().map(|t| t.text).collect()
    }

    #[test]
    fn one_or_several() {
        let step = json!({"q": "what", "a": 4});
        let tagged = "[Sub-problem 1]: what\n[Answer 1]: 4\n\n";
        let message = json!({"role": "assistant", "content": "yes"});
        for (value, expected) in [
            (json!(null), vec![]),
            (json!([]), vec![]),
            (json!("a"), vec!["a"]),
            (json!(["a", "b"]), vec!["a", "b"]),
            (
                json!([step, step]),
                vec!["[Sub-problem 1]: what\n[Answer 1]: 4\n\n[Sub-problem 2]: what\n[Answer 2]: 4\n\n"],
            ),
            (json!([[step], "b"]), vec![tagged, "b"]),
            (json!({"steps": [step]}), vec![tagged]),
            (json!([{"steps": [step]}, {"text": "b", "model": "m"}]), vec![tagged, "b"]),
            (json!([message]), vec!["yes"]),
            (
                json!([[{"role": "user", "content": "?"}, message, message], [message]]),
                vec!["yes\n\nyes", "yes"],
            ),
            (
                json!({"role": "assistant", "reasoning_content": "hm", "content": "so"}),
                vec!["<think>\nhm\n</think>\nso"],
            ),
            (json!([{"role": "assistant", "content": [{"type": "text", "text": "x"}]}]), vec!["x"]),
            (
                json!([{"meta": "m", "answer": 27.0, "sub_problem": null}]),
                vec!["[Meta-reasoning 1]: m\n[Answer 1]: 27.0\n\n"],
            ),
        ] {
            assert_eq!(texts(value.clone()), expected, "{value}");
        }
    }

    #[test]
    fn kinds_are_kept() {
        let value = json!([{"q": "a", "kind": "backtrack"}, {"q": "b", "kind": "progress"}]);
        let text = texts(value).remove(0);
        let back: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(back[0]["kind"], "backtrack");
        assert_eq!(traces(&back).expect("steps")[0].text, text);
    }

    #[test]
    fn origins_are_read() {
        let read =
            traces(&json!([{"text": "a", "model": "m"}, {"text": "b", "origin": "o"}])).expect("traces");
        assert_eq!(read[0].origin.as_deref(), Some("m"));
        assert_eq!(read[1].origin.as_deref(), Some("o"));
    }

    #[test]
    fn what_is_no_trace_is_named() {
        for (value, message) in [
            (
                json!(7),
                "a trace is a string, a list of steps, a chat, or an object with `text` or `steps`; this is a number",
            ),
            (
                json!(["a", null]),
                "trace 1 of 2: a trace is a string, a list of steps, a chat, or an object with `text` or `steps`; this is null",
            ),
            (json!({"b": 1}), "an object is a trace if it has `text` or `steps`; it has `b`"),
            (json!([{"role": "user", "content": "x"}]), "the chat has no assistant turn"),
            (json!([{"q": []}]), "step 0: `sub_problem` is a list, not a string"),
            (
                json!([{"q": "a", "kind": "odd"}]),
                "step 0: kind `odd` is not one of progress, verify, backtrack",
            ),
            (
                json!({"steps": [{"x": 1}]}),
                "step 0: a step has `meta_reasoning`, `sub_problem` or `answer`; it has `x`",
            ),
            (json!({"text": 1}), "the `text` of a trace is not a string"),
        ] {
            assert_eq!(traces(&value).expect_err("wrong").message(), message, "{value}");
        }
    }
}
