//! From a model's score to a probability: a logistic curve with two parameters (Platt, 1999), fitted on labelled
//! pairs.

use serde::{Deserialize, Serialize};

use super::Verdict;
use super::calibrate::{auc, best_threshold, calibration_error, logistic, round, sigmoid};
use super::lexical::Provenance;
use crate::error::{Error, Result};

/// The format of [`Scale`] files that this version reads and writes.
pub const FORMAT: &str = "rlkd-scale-1";

/// The curve of one judge: what `rlkd calibrate --judge llm` writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// Always [`FORMAT`].
    pub format: String,
    /// The judge that it was fitted for ([`super::Judge::id`] without the scale); empty: any.
    pub judge: String,
    /// Where it comes from.
    pub provenance: Provenance,
    /// Log-odds per unit of the score.
    pub slope: f64,
    /// Log-odds at a score of 0.
    pub bias: f64,
    /// The verdict is yes from this probability on.
    pub threshold: f32,
}

impl Scale {
    /// A curve that was not fitted.
    pub fn plain(slope: f64, bias: f64) -> Self {
        Scale {
            format: FORMAT.into(),
            judge: String::new(),
            provenance: Provenance::default(),
            slope,
            bias,
            threshold: 0.5,
        }
    }

    /// Reads a file's text; `judge` is the judge that it is for.
    ///
    /// # Errors
    /// Not a scale, another format, a scale of another judge, numbers that cannot be used.
    pub fn from_json(text: &str, judge: &str) -> Result<Self> {
        let scale: Scale = serde_json::from_str(text).map_err(|error| {
            Error::config(format!(
                "not the scale of a judge: {error}; make one with `rlkd calibrate --judge …`"
            ))
        })?;
        if scale.format != FORMAT {
            return Err(Error::config(format!(
                "a scale of format {:?}; this version reads {FORMAT:?}; fit it again with `rlkd calibrate --judge …`",
                scale.format
            )));
        }
        if !(scale.slope.is_finite() && scale.bias.is_finite() && (0.0..=1.0).contains(&scale.threshold)) {
            return Err(Error::config("a scale without a usable slope, bias or threshold"));
        }
        if !scale.judge.is_empty() && scale.judge != judge {
            return Err(Error::config(format!(
                "this scale was fitted for the judge {}, and the judge is {judge}: fit one for it with \
                 `rlkd calibrate --judge …`",
                scale.judge
            )));
        }
        Ok(scale)
    }

    /// Fits the curve on the scores that are not held out, and measures it on the others.
    ///
    /// # Errors
    /// Fewer than two pairs of either label on either side; a score that is not finite.
    pub fn fit(
        judge: &str,
        scores: &[f64],
        same: &[bool],
        held_out: &[bool],
        from: Provenance,
    ) -> Result<Self> {
        if scores.iter().any(|score| !score.is_finite()) {
            return Err(Error::engine("the judge gave a score that is not finite"));
        }
        let side = |wanted: bool| -> (Vec<f64>, Vec<bool>) {
            let chosen = held_out.iter().zip(scores.iter().zip(same)).filter(|(held, _)| **held == wanted);
            chosen.map(|(_, (score, same))| (*score, *same)).unzip()
        };
        let (fitted, tested) = (side(false), side(true));
        for (_, labels) in [&fitted, &tested] {
            let same = labels.iter().filter(|same| **same).count();
            if same < 2 || labels.len() - same < 2 {
                return Err(Error::data(
                    "too few pairs: both labels are needed twice on both sides of the split by problem",
                ));
            }
        }
        let rows: Vec<Vec<f64>> = fitted.0.iter().map(|score| vec![*score]).collect();
        let solution = logistic(&rows, &fitted.1);
        let mut scale = Scale {
            judge: judge.into(),
            slope: round(solution[1]),
            bias: round(solution[0]),
            ..Scale::plain(0.0, 0.0)
        };
        let curve = |scores: &[f64], scale: &Scale| -> Vec<f64> {
            scores.iter().map(|score| scale.probability(*score)).collect()
        };
        scale.threshold = best_threshold(&curve(&fitted.0, &scale), &fitted.1);
        let tested_curve = curve(&tested.0, &scale);
        scale.provenance = Provenance {
            pairs: fitted.0.len(),
            held_out_auc: round(auc(&tested_curve, &tested.1)),
            held_out_ece: round(calibration_error(&tested_curve, &tested.1)),
            ..from
        };
        Ok(scale)
    }

    /// The id of `judge` with this scale.
    pub fn id(&self, judge: &str) -> String {
        format!("{judge} {} {} {}", self.slope, self.bias, self.threshold)
    }

    /// The probability at a score.
    pub fn probability(&self, score: f64) -> f64 {
        sigmoid(self.slope * score + self.bias)
    }

    /// The verdict at a score.
    pub fn verdict(&self, score: f64) -> Verdict {
        Verdict::from_probability(self.probability(score) as f32, self.threshold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fitted_curve_gives_back_the_odds_that_the_pairs_were_made_with() {
        let (mut scores, mut same, mut held) = (Vec::new(), Vec::new(), Vec::new());
        for score in [-2.0, -1.0, 0.0, 1.0, 2.0] {
            // log-odds 1.5 · score - 0.5, as exact proportions
            let yes = (1000.0 / (1.0 + (-(1.5 * score - 0.5_f64)).exp())).round() as usize;
            for number in 0..2000 {
                scores.push(score);
                same.push(number / 2 < yes);
                held.push(number % 2 == 0);
            }
        }
        let scale = Scale::fit("j", &scores, &same, &held, Provenance::default()).expect("fitted");
        assert!((scale.slope - 1.5).abs() < 0.02 && (scale.bias + 0.5).abs() < 0.02, "{scale:?}");
        assert!(scale.provenance.held_out_ece < 0.01, "{scale:?}");
        assert_eq!(scale.provenance.pairs, 5000);
        let text = serde_json::to_string(&scale).expect("JSON");
        assert_eq!(Scale::from_json(&text, "j").expect("read"), scale);
    }

    #[test]
    fn a_scale_that_does_not_fit_is_refused() {
        let scale = Scale { judge: "llm-1(a)".into(), ..Scale::plain(1.0, 0.0) };
        let text = serde_json::to_string(&scale).expect("JSON");
        for (text, judge, expected) in [
            ("{}", "j", "not the scale"),
            (text.as_str(), "llm-1(b)", "was fitted for the judge llm-1(a)"),
            (&text.replace(FORMAT, "rlkd-scale-9"), "llm-1(a)", "format \"rlkd-scale-9\""),
            (&text.replace("0.5", "1.5"), "llm-1(a)", "usable"),
        ] {
            let error = Scale::from_json(text, judge).expect_err(text).to_string();
            assert!(error.contains(expected), "{error}");
        }
        let few = Scale::fit("j", &[0.0; 4], &[true; 4], &[true, true, false, false], Provenance::default());
        assert!(few.expect_err("one label").to_string().contains("too few pairs"));
    }
}
