//! The trees of a report: for the problems at which most students leave their teachers' ways.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::escape::{prefix, to_html};
use super::html::short;
use super::tree::{View, drawing};
use super::words::{count, plural};
use crate::align::Mode;
use crate::align::tree::{Crowd, Followed, Tree};
use crate::score::{Explained, Scored};

/// Students of a problem that are followed.
const MOST_STUDENTS: usize = 4096;
/// Trees that stand open.
const OPEN: usize = 2;
/// Bytes of a problem that are shown.
const MOST_PROBLEM: usize = 600;

/// Takes records one by one and keeps at most some trees.
#[derive(Debug)]
pub(super) struct Branches {
    most: usize,
    seen: u64,
    /// Traces that were scored along a tree that is not there.
    without: u64,
    now: Option<Group>,
    kept: BTreeMap<(Reverse<u32>, u64), (Group, Crowd)>,
}

/// A problem with its students.
#[derive(Debug, Default)]
struct Group {
    id: String,
    problem: String,
    tree: Tree,
    followed: Vec<Followed>,
    unscored: BTreeMap<String, usize>,
}

/// Whether an alignment can be one along this tree: with a teacher that has a path, and with steps of that path.
fn is_of(found: &Explained, tree: &Tree) -> bool {
    let Some(Ok(path)) = tree.paths().get(found.teacher as usize) else { return false };
    let teacher =
        found.alignment.pairs.iter().map(|pair| pair.teacher).chain(found.alignment.skipped.iter().copied());
    teacher.clone().count() >= path.steps.len()
        && teacher.into_iter().all(|step| path.steps.binary_search(&step).is_ok())
}

impl Branches {
    /// At most `most` trees.
    pub fn new(most: usize) -> Self {
        Branches { most, seen: 0, without: 0, now: None, kept: BTreeMap::new() }
    }

    /// Takes a record. The first of a problem has the tree, and the others follow it.
    pub fn push(&mut self, record: &Scored) {
        if self.most == 0 {
            return;
        }
        let (tree, id) = (record.tree.as_deref(), short(&record.id));
        if tree.is_some() || self.now.as_ref().is_some_and(|group| group.id != id) {
            self.close();
            self.now = tree.map(|tree| Group {
                id: id.to_owned(),
                problem: prefix(record.problem.as_deref().unwrap_or_default(), MOST_PROBLEM).to_owned(),
                tree: tree.clone(),
                ..Group::default()
            });
        }
        let along = record.structure.as_ref().is_some_and(|found| found.alignment.mode == Mode::Tree);
        let Some(group) = &mut self.now else {
            self.without += u64::from(along);
            return;
        };
        match &record.structure {
            Some(found) if !is_of(found, &group.tree) => {
                *group.unscored.entry("it was scored along another tree".into()).or_default() += 1;
            }
            Some(found) if group.followed.len() < MOST_STUDENTS => {
                group.followed.push(Followed { teacher: found.teacher, alignment: found.alignment.clone() });
            }
            Some(_) => {
                *group.unscored.entry(format!("beyond the first {MOST_STUDENTS}")).or_default() += 1;
            }
            None => {
                let why = record.parts.get("structure").and_then(|part| part.skipped.as_ref());
                let why = why.map_or("no reason given", |why| short(&why.0));
                *group.unscored.entry(why.to_owned()).or_default() += 1;
            }
        }
    }

    /// The problem is over: it is kept if more students left in it than in others.
    fn close(&mut self) {
        let Some(mut group) = self.now.take() else { return };
        let crowd = Crowd::new(&group.tree, &group.followed);
        group.followed = Vec::new();
        let left = crowd.start.left + crowd.nodes.iter().map(|node| node.left).sum::<u32>();
        self.kept.insert((Reverse(left), self.seen), (group, crowd));
        self.seen += 1;
        if self.kept.len() > self.most {
            self.kept.pop_last();
        }
    }

    /// The section of the page; empty without trees.
    pub fn section(mut self) -> String {
        self.close();
        let lost = if self.without == 0 {
            String::new()
        } else {
            format!(
                "<p class=\"note\">{} along a tree that is not there: the first record of a problem holds it, and the others have to \
                 come right behind it; or the detail was <code>score</code>.</p>",
                plural(self.without as usize, "trace")
            )
        };
        if self.kept.is_empty() && lost.is_empty() {
            return String::new();
        }
        let mut out = String::from(
            "<section aria-labelledby=\"h-trees\"><h2 id=\"h-trees\">Trees</h2><p class=\"note\">",
        );
        let shown = self.kept.len() as u64;
        let _ = if shown == 0 {
            Ok(())
        } else if shown == self.seen {
            write!(out, "The teachers of each problem as one tree, and where its students go.")
        } else {
            write!(
                out,
                "The teachers of a problem as one tree, and where its students go: the {} of {} problems at which most students leave and never come back.",
                count(shown),
                count(self.seen)
            )
        };
        out.push_str("</p>");
        out.push_str(&lost);
        for (at, (group, crowd)) in self.kept.values().enumerate() {
            let unscored: Vec<(String, usize)> =
                group.unscored.iter().map(|(why, students)| (why.clone(), *students)).collect();
            let view = View {
                id: &group.id,
                problem: &group.problem,
                of: "teachers",
                tree: &group.tree,
                crowd: Some(crowd),
                students: None,
                unscored: &unscored,
            };
            let open = if at < OPEN { " open" } else { "" };
            let _ = write!(
                out,
                "<details class=\"card grown\"{open}><summary><bdi>{}</bdi></summary><p class=\"note\"><bdi>{}</bdi></p><div class=\"scroll\" tabindex=\"0\">{}</div>",
                to_html(&group.id),
                to_html(&group.problem),
                drawing(&view)
            );
            for (why, students) in &unscored {
                let _ = write!(
                    out,
                    "<p class=\"note\">{} not in it: <bdi>{}</bdi></p>",
                    plural(*students, "student"),
                    to_html(why)
                );
            }
            out.push_str("</details>");
        }
        out + "</section>"
    }
}
