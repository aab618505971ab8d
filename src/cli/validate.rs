//! `rlkd validate`.

use rlkd::Error;
use rlkd::validate::{SUITES, SuiteReport};

use super::args::ValidateArgs;
use super::{ALL_SCORED, Done, show};

/// Runs one suite, or all. The exit code says that they ran, not how good the figures are.
pub fn validate(args: &ValidateArgs) -> Done {
    for suite in SUITES.iter().filter(|suite| args.suite == "all" || args.suite == suite.name) {
        let report = (suite.run)(&args.data)?;
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
