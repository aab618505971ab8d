//! `rlkd tree`.

use std::io::Write;

use rlkd::align::tree::{Crowd, Followed, Variety};
use rlkd::dataset::{Mapping, Source, parse};
use rlkd::files::write_with;
use rlkd::report::tree::{View, json, svg, text};
use rlkd::run::{RunConfig, refuse_overwriting};
use rlkd::score::tree::Grown;
use rlkd::trace::{Sample, Trace};
use rlkd::{Error, Result};

use super::args::TreeArgs;
#[cfg(feature = "llama")]
use super::score::model_config;
use super::{ALL_SCORED, Done, SOME_SKIPPED, show};

/// Ids that an error names.
const SHOWN: usize = 3;

/// Shows the tree of a sample.
pub fn tree(args: &TreeArgs) -> Done {
    if let Some(path) = &args.svg {
        refuse_overwriting(path, [&args.file])?;
    }
    let (sample, bad) = sample(args)?;
    let of = match args.of.as_deref() {
        Some(of) => of,
        None if sample.teachers.is_empty() => "students",
        None => "teachers",
    };
    let (teachers, students) = (sample.teachers.as_slice(), sample.students.as_slice());
    let makers = if of == "students" { students } else { teachers };
    if makers.is_empty() {
        return Err(Error::data(format!(
            "{:?} has no {of}: --map {of}=COLUMN says where they are, --of whose tree is shown",
            sample.id
        )));
    }
    let mut config = RunConfig::default();
    #[cfg(feature = "llama")]
    model_config(&args.model, &mut config.llama)?;
    config.judge = args.judge.clone().unwrap_or(config.judge);
    config.decomposer = args.decomposer.clone().unwrap_or(config.decomposer);
    config.judge_model.clone_from(&args.judge_model);
    config.store.clone_from(&args.store);
    let settings = config.settings();
    let (mut decomposer, mut judge) = (settings.decomposer()?, settings.judge()?);
    let mut grow = |sides: [&[Trace]; 2]| {
        Grown::new(&sample, sides, decomposer.as_mut(), judge.as_mut(), settings.options)
    };
    let along = if of == "students" { &[] } else { students };
    let grown = grow([makers, along])?;
    let students = if along.is_empty() { None } else { Some(Variety::of(&grow([along, &[]])?.tree)) };
    let followed: Vec<Followed> = grown.followed.iter().flatten().cloned().collect();
    let crowd = (!along.is_empty()).then(|| Crowd::new(&grown.tree, &followed));
    let unscored = grown.unscored();
    let view = View {
        id: &sample.id,
        problem: &sample.problem,
        of,
        tree: &grown.tree,
        crowd: crowd.as_ref(),
        students: students.as_ref(),
        unscored: &unscored,
    };
    if let Some(path) = &args.svg {
        let drawing = svg(&view);
        write_with(path, |out| {
            out.write_all(drawing.as_bytes()).map_err(|error| Error::io("write", path, error))
        })?;
    }
    let shown = if args.json {
        serde_json::to_string(&json(&view)).map_err(|error| Error::engine(error.to_string()))? + "\n"
    } else {
        text(&view, show::width(), show::color())
    };
    show::print(shown.as_bytes())?;
    if let Some((count, first)) = &bad {
        show::say(&format!("{count} bad {}: {first}\n", if *count == 1 { "record" } else { "records" }));
    }
    let complete =
        bad.is_none() && unscored.is_empty() && grown.tree.paths().iter().all(std::result::Result::is_ok);
    Ok(if complete { ALL_SCORED } else { SOME_SKIPPED })
}

/// The sample that is asked for, else the first, and how many records could not be read, with the first reason. Lines with
/// the same id are one sample: their traces are put together.
fn sample(args: &TreeArgs) -> Result<(Sample, Option<(usize, Error)>)> {
    let mut mapping = Mapping::new(&args.preset, &args.map)?.without_students();
    let mut source = Source::open(std::slice::from_ref(&args.file))?;
    mapping.detect(&mut source)?;
    let mut wanted = args.id.clone();
    let mut found: Option<Sample> = None;
    let mut bad: Option<(usize, Error)> = None;
    let mut ids: Vec<String> = Vec::new();
    while let Some(record) = source.next_record()? {
        let sample = match parse(&record, &mapping) {
            Ok(sample) => sample,
            Err(error) => {
                bad.get_or_insert((0, error)).0 += 1;
                continue;
            }
        };
        if ids.len() < SHOWN && !ids.contains(&sample.id) {
            ids.push(sample.id.clone());
        }
        if *wanted.get_or_insert_with(|| sample.id.clone()) != sample.id {
            continue;
        }
        match &mut found {
            None => found = Some(sample),
            Some(found) => {
                // A file with a line for each student repeats its teachers; one with a line for each teacher does not.
                let repeats = !sample.students.is_empty();
                let known = |teacher: &Trace, found: &Sample| {
                    found.teachers.iter().any(|known| known.text == teacher.text)
                };
                for teacher in sample.teachers {
                    if !repeats || !known(&teacher, found) {
                        found.teachers.push(teacher);
                    }
                }
                found.students.extend(sample.students);
            }
        }
    }
    let file = args.file.display();
    match (found, bad, ids.is_empty()) {
        (Some(found), bad, _) => Ok((found, bad)),
        (None, Some((_, error)), true) => Err(error),
        (None, None, true) => Err(Error::data(format!("there is no sample in {file}"))),
        (None, _, false) => Err(Error::data(format!(
            "there is no sample with the id {:?} in {file}, which has {}: --map id=COLUMN takes ids from another column",
            wanted.unwrap_or_default(),
            ids.iter().map(|id| format!("{id:?}")).collect::<Vec<_>>().join(", ")
        ))),
    }
}
