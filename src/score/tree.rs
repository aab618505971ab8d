//! The structure rule `tree`: one graph for a sample's teachers, built once, and all students along it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Best, MOST_QUESTIONS, Scorer, Steps, readable, unless_store_failed};
use crate::align::tree::{Followed, Tree, Variety, Walker};
use crate::align::{Next, Options};
use crate::decompose::{Decomposer, Job};
use crate::error::Result;
use crate::judge::{Judge, Round, Verdict};
use crate::trace::{Sample, StepList, Trace, Why};

/// A list of steps to take along the graph of a sample.
#[derive(Clone, Copy)]
struct Walk<'a> {
    sample: usize,
    /// Which of the sample's teachers or students it is.
    trace: usize,
    list: &'a StepList,
}

/// What lists of steps are, or why there is none.
type List = std::result::Result<StepList, Why>;

impl Scorer {
    /// For each sample and each student: the alignment with the branch that it follows best, and whose path that is.
    pub(super) fn align_trees(&mut self, samples: &[&Sample], steps: &[Steps]) -> Result<(Vec<Tree>, Best)> {
        let mut trees = vec![Tree::default(); samples.len()];
        // Of each sample one teacher: the next one is asked about the graph that this one has joined.
        for trace in 0..steps.iter().map(|steps| steps.teachers.len()).max().unwrap_or(0) {
            let mut walks = Vec::new();
            for (sample, steps) in steps.iter().enumerate() {
                match steps.teachers.get(trace) {
                    Some(Ok(list)) => walks.push(Walk { sample, trace, list }),
                    Some(Err(why)) => trees[sample].leave_out(unreadable(why)),
                    None => {}
                }
            }
            self.walk(samples, &mut trees, &walks, |tree, walk, walker| match walker {
                Ok(walker) => walker.join(tree, walk.list).map(|_| ()),
                Err(why) => {
                    tree.leave_out(Why(format!("the teacher's trace: {why}")));
                    Ok(())
                }
            })?;
        }
        let mut found: Best = steps
            .iter()
            .zip(&trees)
            .map(|(steps, tree)| {
                let why = |student: &List| match student {
                    Err(why) => why.clone(),
                    Ok(_) => tree.why_empty().unwrap_or_else(|| Why(String::new())),
                };
                steps.students.iter().map(|student| (Err(why(student)), 0)).collect()
            })
            .collect();
        let mut walks = Vec::new();
        for (sample, steps) in steps.iter().enumerate().filter(|(sample, _)| !trees[*sample].is_empty()) {
            let lists = steps.students.iter().enumerate();
            walks.extend(
                lists.filter_map(|(trace, list)| Some(Walk { sample, trace, list: list.as_ref().ok()? })),
            );
        }
        self.walk(samples, &mut trees, &walks, |tree, walk, walker| {
            found[walk.sample][walk.trace] = match walker {
                Ok(walker) => match walker.follow(tree)? {
                    Ok(Followed { teacher, alignment }) => (Ok(alignment), teacher as usize),
                    Err(why) => (Err(why), 0),
                },
                Err(why) => (Err(Why(format!("the student's trace: {why}"))), 0),
            };
            Ok(())
        })?;
        Ok((trees, found))
    }

    /// The graph of a sample's teachers with its students along it.
    ///
    /// # Errors
    /// As [`Grown::new`].
    pub fn grow(&mut self, sample: &Sample) -> Result<Grown> {
        let sides = [sample.teachers.as_slice(), &sample.students];
        Grown::new(sample, sides, self.decomposer.as_mut(), self.judge.as_mut(), self.options)
    }

    /// How differently the lists of a group go: they are joined as teachers are.
    ///
    /// # Errors
    /// If the judge fails.
    pub fn variety<'a>(
        &mut self,
        problem: &str,
        lists: impl IntoIterator<Item = &'a StepList>,
    ) -> Result<Variety> {
        let (mut walker, mut tree) = (Walker::new(self.options), Tree::default());
        for list in lists {
            join(&mut walker, self.judge.as_mut(), problem, &mut tree, list)?;
        }
        Ok(Variety::of(&tree))
    }

    /// Takes lists along the graphs of their samples, as many at once as there is room for, and hands each on when its
    /// questions are answered, or with the reason why nothing was asked.
    fn walk(
        &mut self,
        samples: &[&Sample],
        trees: &mut [Tree],
        walks: &[Walk<'_>],
        mut then: impl FnMut(&mut Tree, &Walk<'_>, std::result::Result<&mut Walker, &'static str>) -> Result<()>,
    ) -> Result<()> {
        let mut rest = walks;
        while !rest.is_empty() {
            let mut sum = 0;
            let questions = |walk: &Walk<'_>| trees[walk.sample].nodes().len() * walk.list.steps.len();
            let fits = |walk: &&Walk<'_>| {
                sum += questions(walk);
                sum <= MOST_QUESTIONS
            };
            let (now, later) = rest.split_at(rest.iter().take_while(fits).count().max(1));
            let large = now.iter().map(questions).sum::<usize>() > MOST_QUESTIONS / 4;
            if self.walkers.len() < now.len() {
                self.walkers.resize_with(now.len(), || (Walker::new(self.options), Vec::new()));
            }
            let mut next: Vec<Next> = now
                .iter()
                .zip(&mut self.walkers)
                .map(|(walk, (walker, _))| walker.start(&trees[walk.sample], walk.list))
                .collect();
            while next.contains(&Next::Ask) {
                let mut rounds = Vec::new();
                for ((walk, next), (walker, verdicts)) in now.iter().zip(&next).zip(&mut self.walkers) {
                    if *next == Next::Ask {
                        let (problem, teacher) = (&samples[walk.sample].problem, trees[walk.sample].steps());
                        rounds.push(Round {
                            problem,
                            teacher,
                            student: walk.list,
                            asks: walker.asks(),
                            verdicts,
                        });
                    }
                }
                self.judge.judge(&mut rounds)?;
                for (next, (walker, verdicts)) in next.iter_mut().zip(&mut self.walkers) {
                    if *next == Next::Ask {
                        *next = walker.answer(verdicts)?;
                    }
                }
            }
            for ((walk, next), (walker, _)) in now.iter().zip(next).zip(&mut self.walkers) {
                let walker = match next {
                    Next::Unscorable(why) => Err(why),
                    Next::Done | Next::Ask => Ok(walker),
                };
                then(&mut trees[walk.sample], walk, walker)?;
            }
            // A few large walks fill the memory that thousands of small ones share.
            if large {
                self.walkers.clear();
            }
            rest = later;
        }
        Ok(())
    }
}

fn unreadable(why: &Why) -> Why {
    Why(format!("the teacher's trace: {}", why.0))
}

/// Takes one list along a graph, to the end of its questions; `Err` says why nothing was asked.
fn walk_one(
    walker: &mut Walker,
    judge: &mut dyn Judge,
    problem: &str,
    tree: &Tree,
    list: &StepList,
) -> Result<std::result::Result<(), Why>> {
    let mut verdicts: Vec<Verdict> = Vec::new();
    let mut next = walker.start(tree, list);
    loop {
        match next {
            Next::Done => return Ok(Ok(())),
            Next::Unscorable(why) => return Ok(Err(Why(why.into()))),
            Next::Ask => {
                let (teacher, asks) = (tree.steps(), walker.asks());
                let round = Round { problem, teacher, student: list, asks, verdicts: &mut verdicts };
                judge.judge(&mut [round])?;
                next = walker.answer(&verdicts)?;
            }
        }
    }
}

/// Adds a teacher to a graph. One that cannot join is left out, which [`Tree::paths`] tells.
///
/// # Errors
/// If the judge fails.
pub fn join(
    walker: &mut Walker,
    judge: &mut dyn Judge,
    problem: &str,
    tree: &mut Tree,
    teacher: &StepList,
) -> Result<()> {
    match walk_one(walker, judge, problem, tree, teacher)? {
        Ok(()) => walker.join(tree, teacher).map(|_| ()),
        Err(why) => {
            tree.leave_out(why);
            Ok(())
        }
    }
}

/// Scores a student along a graph.
///
/// # Errors
/// If the judge fails. A student that cannot be scored is an inner `Err` with the reason.
pub fn follow(
    walker: &mut Walker,
    judge: &mut dyn Judge,
    problem: &str,
    tree: &Tree,
    student: &StepList,
) -> Result<std::result::Result<Followed, Why>> {
    match walk_one(walker, judge, problem, tree, student)? {
        Ok(()) => walker.follow(tree),
        Err(why) => Ok(Err(why)),
    }
}

/// The graph of a group of traces, and other traces along it.
#[derive(Clone, Debug, Default)]
pub struct Grown {
    /// The graph.
    pub tree: Tree,
    /// The steps of each trace that was to join it, or why there are none.
    pub lists: Vec<std::result::Result<StepList, Why>>,
    /// The steps of each trace along it, likewise.
    pub along: Vec<std::result::Result<StepList, Why>>,
    /// The way of each trace that was scored, or why it was not.
    pub followed: Vec<std::result::Result<Followed, Why>>,
}

impl Grown {
    /// Decomposes `teachers` and `students`, joins the ones and scores the others.
    ///
    /// # Errors
    /// If the judge or the store fails. What is wrong with one trace is told in its place.
    pub fn new(
        sample: &Sample,
        [teachers, students]: [&[Trace]; 2],
        decomposer: &mut dyn Decomposer,
        judge: &mut dyn Judge,
        options: Options,
    ) -> Result<Self> {
        options.check()?;
        let job = |trace| Job { problem: &sample.problem, domain: sample.domain, trace };
        let jobs: Vec<Job<'_>> = teachers.iter().chain(students).map(job).collect();
        let mut decomposed = decomposer.decompose(&jobs);
        unless_store_failed(&mut decomposed)?;
        let mut decomposed = decomposed.into_iter();
        let mut take =
            |traces: &[Trace]| -> Vec<List> { traces.iter().map(|_| readable(decomposed.next())).collect() };
        let (lists, along) = (take(teachers), take(students));
        let mut grown = Grown { lists, along, ..Grown::default() };
        let mut walker = Walker::new(options);
        for list in &grown.lists {
            match list {
                Ok(list) => join(&mut walker, judge, &sample.problem, &mut grown.tree, list)?,
                Err(why) => grown.tree.leave_out(why.clone()),
            }
        }
        for list in &grown.along {
            grown.followed.push(match list {
                Ok(list) => follow(&mut walker, judge, &sample.problem, &grown.tree, list)?,
                Err(why) => Err(why.clone()),
            });
        }
        Ok(grown)
    }

    /// Reasons why traces were not scored, with how many it is.
    pub fn unscored(&self) -> Vec<(String, usize)> {
        let mut unscored: BTreeMap<&str, usize> = BTreeMap::new();
        for why in self.followed.iter().filter_map(|followed| followed.as_ref().err()) {
            *unscored.entry(&why.0).or_default() += 1;
        }
        unscored.into_iter().map(|(why, traces)| (why.to_owned(), traces)).collect()
    }
}

/// A problem at a point of a training run: the tree of its teachers, and a group of completions along it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// Optimiser steps that the student had taken.
    pub step: u64,
    /// The sample's id.
    pub id: String,
    /// The problem.
    pub problem: String,
    /// The tree.
    pub tree: Tree,
    /// The completions that were scored.
    pub followed: Vec<Followed>,
    /// Reasons why others were not, with how many it is.
    pub unscored: Vec<(String, usize)>,
    /// How differently the completions go.
    pub variety: Variety,
}

impl Snapshot {
    /// Puts together what was found.
    pub fn new(step: u64, sample: &Sample, grown: Grown, variety: Variety) -> Self {
        Snapshot {
            step,
            id: sample.id.clone(),
            problem: sample.problem.clone(),
            unscored: grown.unscored(),
            tree: grown.tree,
            followed: grown.followed.into_iter().flatten().collect(),
            variety,
        }
    }
}
