//! The tree as indented text.
//!
//! What all go through stands at the margin. Where they part, each way is indented, up to the node at which all ways have
//! met again (the immediate post-dominator of the choice). A node stands once; where another way comes to it, it is
//! named by its number.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr;

use super::{View, students};
use crate::align::tree::{Tree, Variety};
use crate::report::escape::{line, plain, prefix};
use crate::report::terminal::{fit, wrap};
use crate::report::words::number;

/// Nothing is laid out narrower than this.
const NARROWEST: usize = 40;
/// Prose is not set wider than this.
const PROSE: usize = 100;
/// Ways within ways are not indented further than this many: a line must have room for words.
const DEEPEST: usize = 12;
/// Bytes of the problem that are shown.
const MOST_PROBLEM: usize = 2000;

const BOLD: &str = "1";
const DIM: &str = "2";
const YELLOW: &str = "33";
const CYAN: &str = "36";

/// The tree, then the figures of the group.
///
/// `width` is in terminal columns (at least 40 are used); with `color`, SGR sequences are used. Every line ends with a
/// line feed. Texts of traces are cut to fit, and nothing in them reaches the terminal as a control character.
pub fn text(view: &View<'_>, width: usize, color: bool) -> String {
    let mut page = Page {
        view,
        width: width.max(NARROWEST),
        color,
        out: String::new(),
        shown: BTreeSet::new(),
        meets: meets(view.tree),
    };
    page.head();
    if view.tree.is_empty() {
        let why = view.tree.why_empty().map_or(String::new(), |why| line(prefix(&why.0, MOST_PROBLEM)));
        page.put("", &format!("There is no tree: {why}."), YELLOW);
    } else {
        page.passing(None, "");
        page.ways(None, None, 0);
    }
    page.out.push('\n');
    page.figures();
    page.out
}

/// For each node, the node at which all ways from it have met again, `None` for the end; last, that of the beginning.
fn meets(tree: &Tree) -> Vec<Option<u32>> {
    let mut meets: Vec<Option<u32>> = vec![None; tree.nodes().len() + 1];
    // How many meeting points lie between a node and the end.
    let mut depth = vec![0usize; tree.nodes().len() + 1];
    let backwards = tree.order().iter().rev().copied().map(Some).chain([None]);
    for node in backwards {
        let mut common: Option<Option<u32>> = None;
        for edge in tree.next(node) {
            common = Some(match common {
                None => edge.to,
                Some(mut one) => {
                    let mut other = edge.to;
                    while one != other {
                        let deep = |node: Option<u32>| node.map_or(0, |node| depth[node as usize] + 1);
                        // The one further from the end moves on; two that are as far differ, so neither is the end.
                        if deep(one) >= deep(other) {
                            one = one.and_then(|node| meets[node as usize]);
                        } else {
                            other = other.and_then(|node| meets[node as usize]);
                        }
                    }
                    one
                }
            });
        }
        let at = node.map_or(tree.nodes().len(), |node| node as usize);
        meets[at] = common.flatten();
        depth[at] = meets[at].map_or(0, |meet| depth[meet as usize] + 1);
    }
    meets
}

struct Page<'a> {
    view: &'a View<'a>,
    width: usize,
    color: bool,
    out: String,
    shown: BTreeSet<u32>,
    meets: Vec<Option<u32>>,
}

impl Page<'_> {
    /// A line: the indentation as it is, then words in a colour.
    fn put(&mut self, indent: &str, words: &str, code: &str) {
        let words = words.trim_end();
        if self.color && !code.is_empty() && !words.is_empty() {
            let _ = writeln!(self.out, "{indent}\x1b[{code}m{words}\x1b[0m");
        } else {
            let _ = writeln!(self.out, "{}", format!("{indent}{words}").trim_end());
        }
    }

    fn head(&mut self) {
        let view = self.view;
        self.put("", &line(prefix(view.id, MOST_PROBLEM)), BOLD);
        if !view.problem.is_empty() {
            for words in wrap(&plain(prefix(view.problem, MOST_PROBLEM)), self.width.min(PROSE)) {
                self.put("", &words, "");
            }
        }
        self.out.push('\n');
        let left_out: Vec<(usize, String)> = view
            .tree
            .paths()
            .iter()
            .enumerate()
            .filter_map(|(at, path)| Some((at, line(prefix(&path.as_ref().err()?.0, MOST_PROBLEM)))))
            .collect();
        let mut words =
            format!("{} in the tree", view.makers((view.tree.paths().len() - left_out.len()) as u32));
        if let Some(crowd) = view.crowd {
            let _ = write!(words, ", {} along it", students(crowd.students as u32));
        }
        self.put("", &words, DIM);
        for (at, why) in left_out {
            self.put("", &format!("{} {at} is left out: {why}", view.one()), YELLOW);
        }
        for (why, count) in view.unscored {
            let why = line(prefix(why, MOST_PROBLEM));
            self.put("", &format!("{} not scored: {why}", students(*count as u32)), YELLOW);
        }
        self.out.push('\n');
    }

    /// All that comes after a node, up to another.
    fn ways(&mut self, from: Option<u32>, until: Option<u32>, level: usize) {
        let tree = self.view.tree;
        let mut from = from;
        loop {
            let edges = tree.next(from);
            let meet = match edges {
                [only] => only.to,
                _ => self.meets[from.map_or(tree.nodes().len(), |node| node as usize)],
            };
            if edges.len() > 1 {
                for edge in edges {
                    self.way(from, edge.to, edge.teachers.len() as u32, meet, level + 1);
                }
            }
            match meet {
                Some(node) if meet != until => {
                    if !self.node(node, level) {
                        return;
                    }
                    from = meet;
                }
                _ => return,
            }
        }
    }

    /// One way of several.
    fn way(&mut self, from: Option<u32>, to: Option<u32>, makers: u32, meet: Option<u32>, level: usize) {
        let mut words = self.view.makers(makers);
        if self.view.crowd.is_some() {
            let _ = write!(words, ", {}", students(self.view.moved(from, to)));
        }
        match to {
            None => words += ": the end",
            Some(node) if to == meet || self.shown.contains(&node) => {
                let _ = write!(words, ": on to [{node}]");
            }
            Some(_) => {}
        }
        let indent = indent(level - 1);
        self.put(&format!("{indent}├─ "), &words, CYAN);
        if let Some(node) = to
            && to != meet
            && self.node(node, level)
        {
            self.ways(to, meet, level);
        }
    }

    /// A node; false if it was shown before.
    fn node(&mut self, node: u32, level: usize) -> bool {
        let indent = indent(level);
        if !self.shown.insert(node) {
            return false;
        }
        let mut takers = self.view.members(node).to_string();
        if let Some(passing) = self.view.crowd.and_then(|crowd| crowd.nodes.get(node as usize)) {
            let _ = write!(takers, " · {}", passing.taken);
        }
        let [asked, answer] = self.view.words(node);
        let words = match (asked.is_empty(), answer.is_empty()) {
            (false, false) => format!("[{node}] {asked} → {answer}"),
            (true, _) => format!("[{node}] {answer}"),
            (_, true) => format!("[{node}] {asked}"),
        };
        let room = self.width.saturating_sub(indent.width() + takers.width() + 2).max(16);
        self.put(&indent, &format!("{}  {takers}", fit(&words, room)), "");
        self.passing(Some(node), &indent);
        true
    }

    /// What students do at a node besides going on.
    fn passing(&mut self, node: Option<u32>, indent: &str) {
        let Some(crowd) = self.view.crowd else { return };
        let passing = node.map_or(crowd.start, |node| crowd.nodes[node as usize]);
        let mut said = Vec::new();
        if passing.slips > 0 {
            said.push(format!("{} with another answer", passing.slips));
        }
        if passing.left > 0 {
            let place = if node.is_none() { "before the first node" } else { "here" };
            said.push(match passing.left {
                1 => format!("1 student leaves {place} and never comes back"),
                more => format!("{} leave {place} and never come back", students(more)),
            });
        }
        if passing.stopped > 0 {
            let does = if passing.stopped == 1 { "stops" } else { "stop" };
            said.push(format!("{} {does} here", students(passing.stopped)));
        }
        if !said.is_empty() {
            let deeper = if node.is_none() { "" } else { "    " };
            let code = if passing.left > 0 { YELLOW } else { DIM };
            self.put(&format!("{indent}{deeper}"), &said.join("; "), code);
        }
    }

    fn figures(&mut self) {
        let view = self.view;
        self.variety(view.of, &Variety::of(view.tree));
        if let Some(variety) = view.students {
            self.variety("students", variety);
        }
        let Some(crowd) = view.crowd else { return };
        match crowd.agreement() {
            Some(agreement) => {
                let met = crowd.choices.iter().filter(|choice| choice.agreement.is_some()).count();
                let choices = if met == 1 { "choice" } else { "choices" };
                self.put(
                    "",
                    &format!("agreement with the {} at {met} {choices}: {}", view.of, number(agreement)),
                    "",
                );
            }
            None => self.put("", "no student comes to a choice", ""),
        }
        for choice in crowd.choices.iter().filter(|choice| choice.ways.len() > 1) {
            let Some(agreement) = choice.agreement else { continue };
            let place = choice.node.map_or("at the beginning".to_owned(), |node| format!("after [{node}]"));
            let ways: Vec<String> = choice
                .ways
                .iter()
                .map(|way| {
                    let to = way.to.map_or("the end".to_owned(), |node| format!("[{node}]"));
                    format!("{to} {} · {}", way.teachers, way.students)
                })
                .collect();
            let mut words = format!("{place}: {}", ways.join(", "));
            if choice.elsewhere > 0 {
                let _ = write!(words, ", elsewhere {}", choice.elsewhere);
            }
            let _ = write!(words, "; agreement {}", number(agreement));
            for words in wrap(&words, self.width.saturating_sub(2)) {
                self.put("  ", &words, DIM);
            }
        }
    }

    fn variety(&mut self, of: &str, variety: &Variety) {
        let branches = if variety.branches == 1 { "branch" } else { "branches" };
        let words = format!(
            "{of}: {} with steps, {} different {branches}, entropy {} bits, diversity {}",
            variety.paths,
            variety.branches,
            number(variety.entropy),
            number(variety.diversity)
        );
        self.put("", &words, "");
        let depths: Vec<String> = variety.branching.iter().map(|ways| number(*ways)).collect();
        let words = format!("branching by depth: {}", depths.join(" "));
        for words in wrap(&words, self.width.saturating_sub(2)) {
            self.put("  ", &words, DIM);
        }
    }
}

fn indent(level: usize) -> String {
    "│  ".repeat(level.min(DEEPEST))
}
