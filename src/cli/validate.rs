//! `rlkd validate`.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::Instant;

use rlkd::files::{target, write_with};
use rlkd::report::aligned;
use rlkd::report::suites::{Ran, page};
use rlkd::run::refuse_overwriting;
use rlkd::score::{Detail, Settings};
use rlkd::validate::{SUITES, Suite, SuiteReport};
use rlkd::{Error, Result};

use super::args::ValidateArgs;
use super::{ALL_SCORED, Done, FAILED, show};

/// Runs one suite, or all. The exit code says that they ran, not how good the figures are.
pub fn validate(args: &ValidateArgs) -> Done {
    let all = args.suite == "all";
    let mut settings =
        Settings { decomposer: args.decomposer.clone().unwrap_or_default(), ..Settings::default() };
    #[cfg(feature = "llama")]
    super::score::model_config(&args.model, &mut settings.llama)?;
    settings.detail = Detail::Score;
    if let Some(path) = &args.html {
        writable(path, &args.data)?;
    }
    let has = |suite: &Suite| suite.files.iter().any(|file| args.data.join(file).exists());
    let none = !SUITES.iter().any(has);
    let (mut ran, mut left_out, mut code) = (Vec::new(), Vec::new(), ALL_SCORED);
    for suite in SUITES.iter().filter(|suite| all || args.suite == suite.name) {
        // Where nothing is there, the first says what is missing.
        if all && !none && !has(suite) {
            let why = format!("{} has no {}", args.data.display(), suite.files[0]);
            show::say(&format!("{}: left out, {why}\n", suite.name));
            left_out.push((suite.name.to_owned(), why));
            continue;
        }
        match timed(suite, &args.data, &settings) {
            Ok(report) => {
                let text = if args.json { json(&report)? } else { aligned::suite(suite, &report) };
                show::print(text.as_bytes())?;
                ran.push(Ran { suite, report });
            }
            // The other suites are worth running, too.
            Err(error) if all && !none => {
                show::say(&format!("{}: left out, {error}\n", suite.name));
                left_out.push((suite.name.to_owned(), error.to_string()));
                code = FAILED;
            }
            Err(error) => return Err(error),
        }
    }
    if let Some(path) = &args.html {
        let title = format!("{} on {}", args.suite, args.data.display());
        let page = page(&title, &command(), &ran, &left_out);
        write_with(path, |out| {
            out.write_all(page.as_bytes()).map_err(|error| Error::io("write", path, error))
        })?;
        show::say(&format!("{}\n", path.display()));
    }
    Ok(code)
}

/// Refuses early what could not be written in the end.
fn writable(path: &Path, data: &Path) -> Result<()> {
    let files: Vec<_> = SUITES.iter().flat_map(|suite| suite.files).map(|file| data.join(file)).collect();
    refuse_overwriting(path, &files)?;
    let (path, _) = target(path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::metadata(folder).map(|_| ()).map_err(|error| Error::io("write", &path, error))
}

/// Runs a suite; where somebody looks, a line says which one and how long it took.
fn timed(suite: &Suite, data: &Path, settings: &Settings) -> Result<SuiteReport> {
    let looks = std::io::stderr().is_terminal();
    let begin = Instant::now();
    if looks {
        show::say(&format!("{} … ", suite.name));
    }
    let report = (suite.run)(data, settings).and_then(|report| match report.n {
        // Figures of nothing would look like bars that are met.
        0 => Err(Error::data(format!("no case of the suite {} is in {}", suite.name, data.display()))),
        _ => Ok(report),
    });
    if looks {
        show::say(&format!("{:.1} s\n", begin.elapsed().as_secs_f64()));
    }
    report
}

fn json(report: &SuiteReport) -> Result<String> {
    Ok(serde_json::to_string(report).map_err(|error| Error::engine(error.to_string()))? + "\n")
}

/// What was typed, as a shell takes it.
fn command() -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    let quoted = |word: String| {
        if !word.is_empty() && word.chars().all(plain) {
            word
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    };
    let words = std::env::args_os().skip(1).map(|word| quoted(word.to_string_lossy().into_owned()));
    std::iter::once("rlkd".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}
