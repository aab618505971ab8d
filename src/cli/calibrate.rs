//! `rlkd calibrate`.

use std::io::Write;

use rlkd::judge::calibrate::fit;
use rlkd::validate::matcher::read_pairs;
use rlkd::{Error, Result};
use xxhash_rust::xxh3::xxh3_64;

use super::args::CalibrateArgs;
use super::report::write_whole;
use super::{ALL_SCORED, Done, show};

/// Fits the lexical judge and writes its model.
pub fn calibrate(args: &CalibrateArgs) -> Done {
    let pairs = read_pairs(&args.pairs)?;
    let name = args.pairs.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let data = format!("{name}, xxh3 {:016x}", hash(args)?);
    let model = fit(&pairs, &format!("rlkd calibrate {name}"), &data)?;
    let text = serde_json::to_string_pretty(&model).map_err(|error| Error::engine(error.to_string()))?;
    write_whole(&args.output, |out| writeln!(out, "{text}"))?;
    let held_out = &model.provenance;
    let said = format!(
        "fitted on {} pairs; on the held-out problems: AUC {:.4}, calibration error {:.4}\n{}\n",
        held_out.pairs,
        held_out.held_out_auc,
        held_out.held_out_ece,
        args.output.display()
    );
    show::print(said.as_bytes())?;
    Ok(ALL_SCORED)
}

fn hash(args: &CalibrateArgs) -> Result<u64> {
    let bytes = std::fs::read(&args.pairs).map_err(|error| Error::io("read", &args.pairs, error))?;
    Ok(xxh3_64(&bytes))
}
