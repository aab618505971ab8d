//! `rlkd calibrate`.

use rlkd::files;
#[cfg(feature = "llama")]
use rlkd::grammar::Question;
#[cfg(feature = "llama")]
use rlkd::judge::calibrate::LabelledPair;
use rlkd::judge::calibrate::fit;
use rlkd::judge::lexical::Provenance;
#[cfg(feature = "llama")]
use rlkd::judge::scale::Scale;
#[cfg(feature = "llama")]
use rlkd::llama::judge::{self, Pair};
use rlkd::validate::matcher::read_pairs;
use rlkd::{Error, Result};
use xxhash_rust::xxh3::xxh3_64;

use super::args::CalibrateArgs;
use super::{ALL_SCORED, Done, show};

/// Fits the lexical judge and writes its model.
pub fn calibrate(args: &CalibrateArgs) -> Done {
    let mut pairs = read_pairs(&args.pairs)?;
    pairs.truncate(args.pairs_used.unwrap_or(usize::MAX));
    #[cfg(feature = "llama")]
    if args.judge != "lexical" {
        return calibrate_model(args, &pairs);
    }
    let name = args.pairs.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let data = format!("{name}, xxh3 {:016x}", hash(args)?);
    let used = args.pairs_used.map_or(String::new(), |count| format!(" --pairs-used {count}"));
    let model = fit(&pairs, &format!("rlkd calibrate {name}{used}"), &data)?;
    let text = serde_json::to_string_pretty(&model).map_err(|error| Error::engine(error.to_string()))?;
    files::write(&args.output, format!("{text}\n").as_bytes())?;
    told(&model.provenance, args)
}

/// Fits the scale of a judge that runs a language model, and writes it.
#[cfg(feature = "llama")]
fn calibrate_model(args: &CalibrateArgs, pairs: &[LabelledPair]) -> Done {
    let mut config = rlkd::llama::Config::default();
    super::score::model_config(&args.model, &mut config)?;
    let file = args.pairs.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let provenance = Provenance {
        command: format!(
            "rlkd calibrate {file} --judge {} ({} pairs, asked without their problem)",
            args.judge,
            pairs.len()
        ),
        data: format!("{file}, xxh3 {:016x}", hash(args)?),
        split: "by problem: number % 3 == 0 held out".into(),
        ..Provenance::default()
    };
    let asked: Vec<Pair<'_>> = pairs
        .iter()
        .map(|pair| Pair {
            question: Question::SubProblem,
            problem: "",
            teacher: &pair.teacher.0,
            student: &pair.student.0,
        })
        .collect();
    let (judge, scores) = judge::scores(&config, &args.judge, &asked)?;
    let same: Vec<bool> = pairs.iter().map(|pair| pair.same).collect();
    let held_out: Vec<bool> = pairs.iter().map(LabelledPair::is_held_out).collect();
    let scale = Scale::fit(&judge, &scores, &same, &held_out, provenance)?;
    let text = serde_json::to_string_pretty(&scale).map_err(|error| Error::engine(error.to_string()))?;
    files::write(&args.output, format!("{text}\n").as_bytes())?;
    told(&scale.provenance, args)
}

fn told(from: &Provenance, args: &CalibrateArgs) -> Done {
    let said = format!(
        "fitted on {} pairs; on the held-out problems: AUC {:.4}, calibration error {:.4}\n{}\n",
        from.pairs,
        from.held_out_auc,
        from.held_out_ece,
        args.output.display()
    );
    show::print(said.as_bytes())?;
    Ok(ALL_SCORED)
}

fn hash(args: &CalibrateArgs) -> Result<u64> {
    let bytes = std::fs::read(&args.pairs).map_err(|error| Error::io("read", &args.pairs, error))?;
    Ok(xxh3_64(&bytes))
}
