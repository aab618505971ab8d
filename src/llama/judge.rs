//! Models as judges: `llm` asks for yes or no and compares how likely the two are; `embedding` compares vectors.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::embed::Embedder;
use super::engine::{Cancel, Engine};
use super::gsrm::{common, render};
use super::model::Model;
use super::sample::log_sum_exp;
use super::shared;
use crate::error::{Error, Result};
use crate::grammar::{self, Limits, Question};
use crate::judge::scale::Scale;
use crate::judge::{Ask, Aspect, Judge, Round, check_ask};
use crate::trace::{Step, StepList};

/// Asks a model "are these the same?" and compares the log-probabilities of yes and no, with the two texts in either
/// order. Nothing is sampled.
pub struct Llm {
    engine: Arc<Engine>,
    scale: Scale,
    /// First tokens of the spellings of yes and of no.
    yes: Vec<u32>,
    no: Vec<u32>,
    /// The tokens that every prompt of a question begins with.
    beginnings: Vec<(Question, Vec<u32>)>,
}

/// One question about two texts.
#[derive(Clone, Copy, Debug)]
pub struct Pair<'a> {
    /// What is asked.
    pub question: Question,
    /// The problem that both are about; may be empty.
    pub problem: &'a str,
    /// The teacher's text.
    pub teacher: &'a str,
    /// The student's.
    pub student: &'a str,
}

/// Pairs that are asked about at once.
const MOST_AT_ONCE: usize = 2048;
/// Characters of a text that a judge looks at, and of the problem: more is not what a step is about, and a prompt that
/// does not fit would fail all that are asked with it.
const MOST_CHARS: usize = 2000;

/// Spellings that a model may begin its answer with.
const YES: [&str; 6] = ["yes", "Yes", "YES", " yes", " Yes", " YES"];
const NO: [&str; 6] = ["no", "No", "NO", " no", " No", " NO"];

impl Llm {
    /// A judge on a running engine; `scale` is the text of a file that `rlkd calibrate` wrote. Without one the
    /// log-odds of the model itself are taken, which is not calibrated.
    ///
    /// # Errors
    /// A scale that is not for this model; a vocabulary in which yes and no begin with the same token.
    pub fn new(engine: Arc<Engine>, scale: Option<&str>) -> Result<Self> {
        let first = |spellings: [&str; 6]| -> Vec<u32> {
            let mut tokens: Vec<u32> = spellings
                .iter()
                .filter_map(|text| {
                    let tokens = engine.model().tokenize(text);
                    // A space of its own says nothing about the word behind it.
                    let spelled = engine.model().bytes(tokens.get(..1)?);
                    (!spelled.trim_ascii().is_empty()).then(|| tokens[0])
                })
                .collect();
            tokens.sort_unstable();
            tokens.dedup();
            tokens
        };
        let (mut yes, mut no) = (first(YES), first(NO));
        let both: Vec<u32> = yes.iter().copied().filter(|token| no.contains(token)).collect();
        yes.retain(|token| !both.contains(token));
        no.retain(|token| !both.contains(token));
        if yes.is_empty() || no.is_empty() {
            return Err(Error::config(
                "in this model's vocabulary yes and no begin alike: take another model",
            ));
        }
        let beginning = |question: Question| {
            let pair = |text| Pair { question, problem: text, teacher: text, student: text };
            let mut tokens = prompt(engine.model(), &pair("0"))?;
            tokens.truncate(common(&tokens, &prompt(engine.model(), &pair("~"))?));
            Ok((question, tokens))
        };
        let beginnings = Question::ALL.into_iter().map(beginning).collect::<Result<_>>()?;
        let mut judge = Llm { engine, scale: Scale::plain(1.0, 0.0), yes, no, beginnings };
        if let Some(text) = scale {
            judge.scale = Scale::from_json(text, &judge.id_without_scale())?;
        }
        Ok(judge)
    }

    fn id_without_scale(&self) -> String {
        let model = self.engine.model();
        let form = grammar::find("verdict").map(|grammar| grammar.fingerprint(&Limits::default()));
        let form = form.unwrap_or_default();
        format!("llm-1({},{form})", model.numerics())
    }

    /// For each pair, the log-odds of yes, the mean of both orders.
    ///
    /// # Errors
    /// A prompt that is too long, or the engine has stopped.
    pub fn scores(&self, pairs: &[Pair<'_>]) -> Result<Vec<f64>> {
        let mut scores = vec![0.0; pairs.len()];
        let tokens: Vec<u32> = self.yes.iter().chain(&self.no).copied().collect();
        // Question by question, so that each beginning is computed once; in parts, so that memory stays bounded.
        for (question, beginning) in &self.beginnings {
            let asked: Vec<usize> = (0..pairs.len()).filter(|&at| pairs[at].question == *question).collect();
            for part in asked.chunks(MOST_AT_ONCE) {
                let mut prompts = Vec::with_capacity(2 * part.len());
                for &at in part {
                    let pair = pairs[at];
                    for pair in [pair, Pair { teacher: pair.student, student: pair.teacher, ..pair }] {
                        let prompt = prompt(self.engine.model(), &pair)?;
                        let shared = common(beginning, &prompt);
                        prompts.push((prompt, shared));
                    }
                }
                let found = self.engine.compare(prompts, &tokens, &Cancel::default());
                let odds = found.into_iter().map(|values| values.map(|values| self.odds(&values)));
                let odds: Vec<f64> = odds.collect::<Result<_>>()?;
                for (&at, both) in part.iter().zip(odds.chunks_exact(2)) {
                    scores[at] = f64::midpoint(both[0], both[1]);
                }
            }
        }
        Ok(scores)
    }

    fn odds(&self, logprobs: &[f32]) -> f64 {
        let (yes, no) = logprobs.split_at(self.yes.len());
        // Without a number there is no evidence for that side.
        let sum = |values| {
            log_sum_exp(values).map_or(f64::NEG_INFINITY, |(largest, rest)| f64::from(largest) + rest)
        };
        sum(yes) - sum(no)
    }
}

impl Judge for Llm {
    fn id(&self) -> String {
        self.scale.id(&self.id_without_scale())
    }

    fn judge(&mut self, rounds: &mut [Round<'_>]) -> Result<()> {
        answer(rounds, &self.scale, |pairs| self.scores(pairs))
    }
}

/// The scores that the judge of this name (`llm` or `embedding`) gives pairs, before any scale, and its id without one:
/// what a scale is fitted on.
///
/// # Errors
/// Another name; the model cannot be loaded or run.
pub fn scores(config: &super::Config, name: &str, pairs: &[Pair<'_>]) -> Result<(String, Vec<f64>)> {
    let path = config.judge_file()?;
    match name {
        "llm" => {
            let judge = Llm::new(shared::engine(&path, &config.engine)?, None)?;
            Ok((judge.id_without_scale(), judge.scores(pairs)?))
        }
        "embedding" => {
            let (model, embedder) = shared::embedder(&path, &config.engine)?;
            let judge = Embedding::new(model, embedder, None)?;
            Ok((judge.id_without_scale(), judge.scores(pairs)?))
        }
        other => Err(Error::config(format!("{other:?} is no judge with a scale: llm or embedding"))),
    }
}

/// Asks all questions of all rounds at once and puts the scores on the scale.
fn answer(
    rounds: &mut [Round<'_>],
    scale: &Scale,
    scores: impl FnOnce(&[Pair<'_>]) -> Result<Vec<f64>>,
) -> Result<()> {
    let mut pairs = Vec::new();
    for round in rounds.iter() {
        for &ask in round.asks {
            check_ask(round, ask)?;
            pairs.push(pair(round, ask));
        }
    }
    let mut scores = scores(&pairs)?.into_iter();
    for round in rounds {
        round.verdicts.clear();
        round.verdicts.extend(scores.by_ref().take(round.asks.len()).map(|score| scale.verdict(score)));
    }
    Ok(())
}

fn prompt(model: &Model, pair: &Pair<'_>) -> Result<Vec<u32>> {
    let [problem, teacher, student] = [pair.problem, pair.teacher, pair.student].map(|text| {
        let end = text.char_indices().nth(MOST_CHARS).map_or(text.len(), |(at, _)| at);
        model.quote(&text[..end])
    });
    let messages = pair.question.messages(&problem, &teacher, &student);
    Ok(model.tokenize_prompt(&render(model, &messages, Some(false))?))
}

fn pair<'a>(round: &Round<'a>, ask: Ask) -> Pair<'a> {
    let part = |list: &'a StepList, step: &Step| {
        let span = match ask.aspect {
            Aspect::MetaReasoning => step.meta,
            Aspect::SubProblem => step.sub_problem,
            Aspect::Answer => step.answer,
        };
        // A step that does not say what it asks is known by its whole text.
        if span.is_empty() { step.span().of(&list.text) } else { span.of(&list.text) }
    };
    Pair {
        question: match ask.aspect {
            Aspect::MetaReasoning => Question::Thought,
            Aspect::SubProblem => Question::SubProblem,
            Aspect::Answer => Question::Answer,
        },
        problem: round.problem,
        teacher: part(round.teacher, &round.teacher.steps[ask.teacher as usize]),
        student: part(round.student, &round.student.steps[ask.student as usize]),
    }
}

/// Compares the directions of two texts' vectors.
pub struct Embedding {
    embedder: Arc<Embedder>,
    model: Arc<Model>,
    scale: Scale,
}

impl Embedding {
    /// A judge over an embedder; `scale` as in [`Llm::new`]. Without one a cosine of 0.8 is as likely yes as no, and
    /// each tenth more or less is one unit of log-odds: hidden states of language models all point much the same
    /// way, so an unfitted scale is a guess and `rlkd calibrate --judge embedding` should replace it.
    ///
    /// # Errors
    /// A scale that is not for this model.
    pub fn new(model: Arc<Model>, embedder: Arc<Embedder>, scale: Option<&str>) -> Result<Self> {
        let mut judge = Embedding { embedder, model, scale: Scale::plain(10.0, -8.0) };
        if let Some(text) = scale {
            judge.scale = Scale::from_json(text, &judge.id_without_scale())?;
        }
        Ok(judge)
    }

    fn id_without_scale(&self) -> String {
        format!("embedding-1({})", self.model.numerics())
    }

    /// For each pair, the cosine of the angle between its two texts' vectors.
    ///
    /// # Errors
    /// The model cannot be run.
    pub fn scores(&self, pairs: &[Pair<'_>]) -> Result<Vec<f64>> {
        // Each text once, however many questions are asked about it.
        let mut index: BTreeMap<&str, usize> = BTreeMap::new();
        let mut texts = Vec::new();
        for text in pairs.iter().flat_map(|pair| [pair.teacher, pair.student]) {
            index.entry(text).or_insert_with(|| {
                texts.push(text.to_owned());
                texts.len() - 1
            });
        }
        let vectors = self.embedder.embed(texts)?;
        let cosine = |pair: &Pair<'_>| {
            let (one, other) = (&vectors[index[pair.teacher]], &vectors[index[pair.student]]);
            one.iter().zip(other).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        };
        Ok(pairs.iter().map(cosine).collect())
    }
}

impl Judge for Embedding {
    fn id(&self) -> String {
        self.scale.id(&self.id_without_scale())
    }

    fn judge(&mut self, rounds: &mut [Round<'_>]) -> Result<()> {
        answer(rounds, &self.scale, |pairs| self.scores(pairs))
    }
}
