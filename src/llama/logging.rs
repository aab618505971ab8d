//! What the program tells about its work, on standard error, and llama.cpp's own log among it.
//!
//! The variable `RLKD_LOG` says what is told: a list of levels (`off`, `error`, `warn`, `info`, `debug`, `trace`), for
//! everything (`info`) or for the targets whose names begin so (`rlkd=debug,llama=info`), as `EnvFilter` of
//! `tracing-subscriber` reads it. `llama` and `ggml` both mean llama.cpp with its tensor library, whose log comes
//! under one target. Without the variable there are rlkd's own warnings and errors, and nothing of llama.cpp.

use std::io;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::Directive;
use tracing_subscriber::fmt::time::uptime;

use crate::{Error, Result};

/// The variable that says what is told.
pub const VARIABLE: &str = "RLKD_LOG";

/// What is told without the variable.
const DEFAULT: &str = "rlkd=warn";
/// The target under which [`llama_cpp_2`] forwards llama.cpp's and ggml's log.
const FORWARDED: &str = "llama-cpp-2";

/// Sends what is told to standard error, without colour, from now on and for the whole process. For programs, once,
/// at their start; where a subscriber of `tracing` is installed already, that one stays.
///
/// # Errors
/// A part of [`VARIABLE`] that is wrong, told by name. What is right of it counts nonetheless.
pub fn init() -> Result<()> {
    let text = std::env::var_os(VARIABLE).unwrap_or_default();
    let text = text.to_string_lossy();
    let (filter, mistakes) = filter(&text);
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // A lone warning needs no time, a log does.
    let installed = if text.trim().is_empty() {
        log.without_time().try_init()
    } else {
        log.with_timer(uptime()).try_init()
    };
    // The one error that there can be: another subscriber is installed.
    drop(installed);
    if mistakes.is_empty() {
        Ok(())
    } else {
        Err(Error::config(format!("{VARIABLE}: {}", mistakes.join("; "))))
    }
}

/// Sends the log of llama.cpp and ggml to `tracing` instead of standard error. Must be called before the backend is
/// initialised, and after the subscriber was installed: if nobody then wants even its errors, the log is switched off
/// at its source for good. Further calls change nothing.
pub fn route() {
    let wanted = tracing::enabled!(target: FORWARDED, tracing::Level::ERROR);
    llama_cpp_2::send_logs_to_tracing(llama_cpp_2::LogOptions::default().with_logs_enabled(wanted));
}

/// The filter that `text` describes, and its mistakes in words.
fn filter(text: &str) -> (EnvFilter, Vec<String>) {
    let mut directives = Vec::new();
    let mut mistakes = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        match directive(part) {
            Ok(directive) => directives.push(directive),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    if directives.is_empty() {
        directives.extend(DEFAULT.parse::<Directive>());
    }
    let none = EnvFilter::builder().with_default_directive(LevelFilter::OFF.into()).parse_lossy("");
    (directives.into_iter().fold(none, EnvFilter::add_directive), mistakes)
}

/// One part of the variable, or what is wrong with it.
fn directive(part: &str) -> Result<Directive, String> {
    const LEVELS: &str = "off, error, warn, info, debug, trace";
    if let Ok(level) = part.parse::<LevelFilter>() {
        return Ok(level.into());
    }
    // Where a level is forgotten, `EnvFilter` takes a level with a slip in it for a target.
    let Some((target, level)) = part.rsplit_once('=') else {
        return Err(format!("`{part}` is no level ({LEVELS}); for what it names, write `{part}=debug`"));
    };
    let (target, level) = (target.trim(), level.trim());
    // An empty level would be taken for `error`.
    if level.is_empty() || level.parse::<LevelFilter>().is_err() {
        return Err(format!("`{level}` in `{part}` is no level ({LEVELS})"));
    }
    let target = match target {
        // Not by their common prefix: the binding's own target, `llama_cpp_2`, warns of llama.cpp's progress dots.
        "llama" | "llama.cpp" | "ggml" => FORWARDED,
        other => other,
    };
    format!("{target}={level}").parse().map_err(|_| format!("`{part}` is not of the form `target=level`"))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("a page").extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The words of the events that `text` lets through.
    fn told(text: &str) -> (String, Vec<String>) {
        let page = Page::default();
        let writer = page.clone();
        let (filter, mistakes) = filter(text);
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(move || writer.clone());
        tracing::subscriber::with_default(
            log.without_time().with_target(false).with_level(false).finish(),
            || {
                tracing::error!(target: "rlkd::llama", "our-error");
                tracing::warn!(target: "rlkd", "our-warning");
                tracing::info!(target: "rlkd::llama::engine", "our-note");
                tracing::error!(target: "llama-cpp-2", "its-error");
                tracing::info!(target: "llama-cpp-2", "its-note");
                tracing::warn!(target: "llama_cpp_2::log", "binding");
                tracing::error!(target: "other", "other");
            },
        );
        let bytes = page.0.lock().expect("a page").clone();
        let words = String::from_utf8(bytes).expect("text").split_whitespace().collect::<Vec<_>>().join(" ");
        (words, mistakes)
    }

    #[test]
    fn what_is_told() {
        for (text, expected) in [
            ("", "our-error our-warning"),
            (" , ", "our-error our-warning"),
            ("rlkd=info", "our-error our-warning our-note"),
            ("llama=error", "its-error"),
            ("rlkd=error,llama=info", "our-error its-error its-note"),
            ("ggml=info", "its-error its-note"),
            ("llama.cpp=WARN", "its-error"),
            ("warn", "our-error our-warning its-error binding other"),
            ("info, llama = off", "our-error our-warning our-note binding other"),
            ("off", ""),
            ("rlkd::llama::engine=info", "our-note"),
        ] {
            assert_eq!(told(text), (expected.to_owned(), vec![]), "{text:?}");
        }
    }

    #[test]
    fn mistakes_are_named_and_the_rest_counts() {
        for (text, expected, mistake) in [
            ("inof", "our-error our-warning", "`inof` is no level (off, error, warn, info, debug, trace)"),
            ("rlkd", "our-error our-warning", "write `rlkd=debug`"),
            ("rlkd=loud", "our-error our-warning", "`loud` in `rlkd=loud` is no level"),
            ("llama=error,rlkd=", "its-error", "`` in `rlkd=` is no level"),
            ("?x=info,llama=error", "its-error", "`?x=info` is not of the form `target=level`"),
        ] {
            let (words, mistakes) = told(text);
            assert_eq!((&*words, mistakes.len()), (expected, 1), "{text:?}: {mistakes:?}");
            assert!(mistakes[0].contains(mistake), "{mistakes:?}");
        }
    }
}
