//! Reading TOML run files; an unknown key is an error that names the nearest known one.
//!
//! The types that are read say what they know (`#[serde(deny_unknown_fields)]`); this module turns
//! what serde says of a wrong file into an error with its place and a suggestion.

use std::path::Path;

use serde::de::DeserializeOwned;

use crate::error::{Error, Place, Result};

/// Reads a TOML file.
///
/// # Errors
/// The file cannot be read (kind `Io`), or its content is not a `T` (kind `Config`, with file and line).
pub fn load_toml<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = std::fs::read(path).map_err(|e| Error::io("read the run file", path, e))?;
    let text = std::str::from_utf8(&bytes).map_err(|e| {
        let before = &bytes[..e.valid_up_to()];
        Error::config("the run file is not UTF-8: save it as UTF-8").at(place_of(before, path))
    })?;
    parse_toml(text, &Place::file(path))
}

/// Reads TOML text; `place` names where the text came from.
///
/// # Errors
/// Kind `Config`, with the file of `place` and the line in `text`.
pub fn parse_toml<T: DeserializeOwned>(text: &str, place: &Place) -> Result<T> {
    toml::from_str(text).map_err(|error| {
        let at = match error.span() {
            Some(span) => place_of(&text.as_bytes()[..span.start.min(text.len())], &place.file),
            None => place.clone(),
        };
        Error::config(with_suggestion(error.message())).at(at)
    })
}

/// The place just after `before`, the part of a file that was read without fault.
fn place_of(before: &[u8], file: &Path) -> Place {
    let line = before.iter().filter(|&&b| b == b'\n').count() as u64 + 1;
    let column = before.len() - before.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
    Place { byte: Some(column as u64), ..Place::line(file, line) }
}

/// Adds the nearest known name to serde's "unknown field `x`, expected one of `a`, `b`".
fn with_suggestion(message: &str) -> String {
    let message = message.trim();
    let kinds = [("unknown field ", "key"), ("unknown variant ", "value")];
    let Some((rest, kind)) = kinds.iter().find_map(|(head, kind)| Some((message.strip_prefix(head)?, kind)))
    else {
        return message.to_string();
    };
    let mut quoted = rest.split('`').skip(1).step_by(2);
    let unknown = quoted.next().unwrap_or_default();
    let known: Vec<&str> = quoted.collect();
    let list = known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match nearest(unknown, known.iter().copied()) {
        Some(name) => format!("unknown {kind} `{unknown}`: did you mean `{name}`? Known here: {list}"),
        None if known.is_empty() => format!("unknown {kind} `{unknown}`: nothing may stand here"),
        None => format!("unknown {kind} `{unknown}`. Known here: {list}"),
    }
}

/// The name of `known` that is most like `name`, if any is like it at all.
///
/// Likeness is the Damerau-Levenshtein similarity without regard to case, or that one name begins
/// with the other. Below 0.4 a suggestion would mislead more than it helps.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let likeness = |candidate: &str| {
        let candidate = candidate.to_lowercase();
        let prefix = name.len() >= 3
            && candidate.len() >= 3
            && (candidate.starts_with(&name) || name.starts_with(&candidate));
        strsim::normalized_damerau_levenshtein(&name, &candidate).max(if prefix { 0.7 } else { 0.0 })
    };
    let mut best: Option<(f64, &str)> = None;
    for candidate in known {
        let value = likeness(candidate);
        if value >= 0.4 && best.is_none_or(|(top, _)| value > top) {
            best = Some((value, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Run {
        #[allow(dead_code)]
        threads: Option<u32>,
        #[allow(dead_code)]
        judge: Option<Judge>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Judge {
        #[allow(dead_code)]
        threshold: Option<f64>,
        #[allow(dead_code)]
        name: Option<Name>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Name {
        Exact,
        Lexical,
    }

    #[test]
    fn errors_name_place_and_nearest_key() {
        for (text, expected) in [
            (
                "thraeds = 2\n",
                "run.toml:1: byte 0: unknown key `thraeds`: did you mean `threads`? Known here: `threads`, `judge`",
            ),
            (
                "threads = 2\n[judge]\n\nthreshhold = 0.5\n",
                "run.toml:4: byte 0: unknown key `threshhold`: did you mean `threshold`? Known here: `threshold`, `name`",
            ),
            (
                "judge = { nme = \"exact\" }\n",
                "run.toml:1: byte 10: unknown key `nme`: did you mean `name`? Known here: `threshold`, `name`",
            ),
            (
                "[judge]\nname = \"lexcal\"\n",
                "run.toml:2: byte 7: unknown value `lexcal`: did you mean `lexical`? Known here: `exact`, `lexical`",
            ),
            (
                "zzzzzzzzzzzz = 1\n",
                "run.toml:1: byte 0: unknown key `zzzzzzzzzzzz`. Known here: `threads`, `judge`",
            ),
            ("threads = \"two\"\n", "run.toml:1: byte 10: invalid type: string \"two\", expected u32"),
        ] {
            let error = parse_toml::<Run>(text, &Place::file("run.toml")).expect_err(text);
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn broken_toml_names_its_line() {
        let error = parse_toml::<Run>("threads = 1\n[judge\n", &Place::file("run.toml")).expect_err("broken");
        assert_eq!(error.place().map(|p| p.line), Some(2), "{error}");
    }

    #[test]
    fn files_are_read_and_missing_ones_named() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let path = folder.path().join("run.toml");
        let error = load_toml::<Run>(&path).expect_err("missing");
        assert!(error.to_string().contains("run.toml: cannot read the run file"), "{error}");
        std::fs::write(&path, b"threads = 3\n\xff = 1\n").expect("written");
        let error = load_toml::<Run>(&path).expect_err("not UTF-8");
        assert_eq!(error.place().map(|p| p.line), Some(2));
        std::fs::write(&path, "threads = 3\n[judge]\nname = \"exact\"\n").expect("written");
        let run: Run = load_toml(&path).expect("a run file");
        assert_eq!(run.threads, Some(3));
    }

    #[test]
    fn the_nearest_name_is_found_or_none() {
        assert_eq!(nearest("generatons", ["generations", "problem"]), Some("generations"));
        assert_eq!(nearest("gsm8k-trace", ["gsm8k", "gsm8k-traces"]), Some("gsm8k-traces"));
        assert_eq!(nearest("q", ["problem"]), None);
        assert_eq!(nearest("x", []), None);
    }
}
