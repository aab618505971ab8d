//! `rlkd validate`.

use rlkd::Error;
use rlkd::score::{Detail, Settings};
use rlkd::validate::{SUITES, Suite, SuiteReport};

use super::args::ValidateArgs;
use super::{ALL_SCORED, Done, show};

/// Runs one suite, or all. The exit code says that they ran, not how good the figures are.
pub fn validate(args: &ValidateArgs) -> Done {
    let all = args.suite == "all";
    let mut settings =
        Settings { decomposer: args.decomposer.clone().unwrap_or_default(), ..Settings::default() };
    #[cfg(feature = "llama")]
    super::score::model_config(&args.model, &mut settings.llama)?;
    settings.detail = Detail::Score;
    let has = |suite: &Suite| suite.files.iter().any(|file| args.data.join(file).exists());
    let none = !SUITES.iter().any(has);
    for suite in SUITES.iter().filter(|suite| all || args.suite == suite.name) {
        // Where nothing is there, the first says what is missing.
        if all && !none && !has(suite) {
            show::say(&format!(
                "{}: left out, {} has no {}\n",
                suite.name,
                args.data.display(),
                suite.files[0]
            ));
            continue;
        }
        let report = (suite.run)(&args.data, &settings)?;
        let text = if args.json {
            serde_json::to_string(&report).map_err(|error| Error::engine(error.to_string()))? + "\n"
        } else {
            in_words(&report)
        };
        show::print(text.as_bytes())?;
    }
    Ok(ALL_SCORED)
}

fn in_words(report: &SuiteReport) -> String {
    let mut text = format!("{}: {} cases", report.suite, report.n);
    if report.passed + report.failed > 0 {
        text += &format!(", {} passed, {} failed", report.passed, report.failed);
    }
    text.push('\n');
    for note in &report.notes {
        text += &format!("  {note}\n");
    }
    for (name, value) in &report.figures {
        text += &format!("  {name:<48} {value:.6}\n");
    }
    text
}
