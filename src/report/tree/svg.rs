//! The tree as a drawing: nodes from the top down, the ways between them as wide as many take them.
//!
//! The drawing stands alone: no script, no font and no picture from elsewhere, its colours for light and dark in itself.
//! A node stands below all that lead to it. The first maker's path is the leftmost column, and what others add stands
//! in the first column that has room.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{View, students};
use crate::report::escape::{html, line, prefix, to_html};
use crate::report::terminal::fit;
use crate::report::words::{count, number};

/// Nodes that are drawn; of larger trees those that most take.
const MOST_NODES: usize = 240;
/// Width and height of a node, and the distance from one to the next, in pixels of the drawing's own size.
const BOX: [f64; 2] = [216.0, 58.0];
const PITCH: [f64; 2] = [252.0, 104.0];
/// Room around the drawing.
const MARGIN: f64 = 24.0;
/// Where the first row begins: below the heading and the mark of the beginning.
const TOP: f64 = 112.0;
/// Columns of text that fit into a node: a letter of 12 pixels is some 7 wide.
const LETTERS: usize = 28;
/// The width of a way that all take.
const WIDEST: f64 = 9.0;
/// Bytes of a text in the tip of a node.
const MOST_TIP: usize = 400;

const STYLE: &str = "\
svg{color-scheme:light dark;background:#fff;font:12px system-ui,-apple-system,\"Segoe UI\",Roboto,sans-serif}\
.box{fill:#fff;stroke:#9aa1ab;stroke-width:1.2}.shared{fill:#edf2fc;stroke:#2456b8}\
text{fill:#1b1d21}.quiet{fill:#5c6168}.head{font-size:15px;font-weight:600}.mono{font-variant-numeric:tabular-nums}\
.way{fill:none;stroke:#c3c8d0}.walked{fill:none;stroke:#2456b8;stroke-opacity:.75}\
.left{fill:#b3261e;font-weight:600}.stop{fill:#fff;stroke:#9aa1ab}\
@media(prefers-color-scheme:dark){svg{background:#131417}.box{fill:#1a1c20;stroke:#5c626b}.shared{fill:#1c2740;stroke:#8fb4ff}\
text{fill:#e7e7e4}.quiet{fill:#a3a8b0}.way{stroke:#41464e}.walked{stroke:#8fb4ff}.left{fill:#ff9d94}.stop{fill:#131417;stroke:#5c626b}}";

/// Where a node stands: column and row.
type Place = (usize, usize);

/// The drawing, an SVG file's text.
pub fn svg(view: &View<'_>) -> String {
    draw(view, ("", &format!("<style>{STYLE}</style>")))
}

/// The drawing as a part of a page, which has the styles of its own.
pub(in crate::report) fn drawing(view: &View<'_>) -> String {
    draw(view, (" class=\"tree\"", ""))
}

fn draw(view: &View<'_>, (class, style): (&str, &str)) -> String {
    let tree = view.tree;
    let drawn = chosen(view);
    let places = places(view, &drawn);
    let rows = places.values().map(|place| place.1 + 1).max().unwrap_or(0);
    let columns = places.values().map(|place| place.0 + 1).max().unwrap_or(1).max(3);
    let width = 2.0 * MARGIN + PITCH[0] * columns as f64;
    let height = TOP + PITCH[1] * rows as f64 + 2.0 * MARGIN;
    let id = line(prefix(view.id, MOST_TIP));
    let mut out = String::with_capacity(8192 + 1024 * drawn.len());
    let _ = write!(
        out,
        "<svg{class} xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" \
         role=\"img\" aria-label=\"The tree of the {} of {}\">{style}\
         <text class=\"head\" x=\"{MARGIN}\" y=\"34\">{}</text>",
        to_html(view.of),
        to_html(&id),
        to_html(fit(&id, 80).trim_end()),
    );
    for (at, words) in summary(view, drawn.len()).iter().enumerate() {
        let y = 54 + 18 * at;
        let _ = write!(out, "<text class=\"quiet\" x=\"{MARGIN}\" y=\"{y}\">{}</text>", to_html(words));
    }
    let end = (0, rows);
    let begin = [top((0, 0))[0], TOP - 24.0];
    for from in std::iter::once(None).chain(drawn.iter().copied().map(Some)) {
        let (start, row) = match from {
            None => (begin, 0),
            Some(node) => places.get(&node).map_or((begin, 0), |place| (bottom(*place), place.1 + 1)),
        };
        for edge in tree.next(from) {
            let target = edge.to.map_or(Some(end), |node| places.get(&node).copied());
            let Some(target) = target else { continue };
            let passed = target.1.saturating_sub(row);
            way(&mut out, view, (start, top(target)), passed, (from, edge.to), edge.teachers.len() as u32);
        }
    }
    for (point, name) in [(begin, "the beginning"), (top(end), "the end")] {
        let [x, y] = point;
        let _ = write!(
            out,
            "<circle class=\"stop\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"6\"><title>{name}</title></circle>"
        );
    }
    if let Some(crowd) = view.crowd {
        left(&mut out, crowd.start.left, [begin[0] + 14.0, begin[1] + 4.0]);
    }
    for node in &drawn {
        if let Some(place) = places.get(node) {
            block(&mut out, view, *node, *place);
        }
    }
    out.push_str("</svg>\n");
    out
}

/// What stands below the heading.
fn summary(view: &View<'_>, drawn: usize) -> Vec<String> {
    let tree = view.tree;
    let mut words = view.makers(tree.paths().iter().flatten().count() as u32);
    let mut key = format!("in a node: {} that take it", view.of);
    if let Some(crowd) = view.crowd {
        let _ = write!(words, ", {}", students(crowd.students as u32));
        if let Some(agreement) = crowd.agreement() {
            let _ = write!(words, ", agreement at choices {}", number(agreement));
        }
        key += " · students that take it; − students that leave there and never come back";
    }
    if drawn < tree.nodes().len() {
        let all = count(tree.nodes().len() as u64);
        let _ = write!(words, "; the {drawn} of {all} nodes that most take");
    }
    vec![words, key]
}

/// The nodes that are drawn, in the order of the tree.
fn chosen(view: &View<'_>) -> Vec<u32> {
    let order = view.tree.order();
    if order.len() <= MOST_NODES {
        return order.to_vec();
    }
    let taken = |node: u32| {
        let students = view.crowd.and_then(|crowd| crowd.nodes.get(node as usize)).map_or(0, |one| one.taken);
        view.members(node) + students
    };
    let mut nodes: Vec<u32> = order.to_vec();
    nodes.sort_by_key(|node| (std::cmp::Reverse(taken(*node)), *node));
    nodes.truncate(MOST_NODES);
    nodes.sort_unstable();
    order.iter().copied().filter(|node| nodes.binary_search(node).is_ok()).collect()
}

/// Where each node stands.
fn places(view: &View<'_>, drawn: &[u32]) -> BTreeMap<u32, Place> {
    // The row: one below the lowest that leads to it.
    let mut rows: BTreeMap<u32, usize> = drawn.iter().map(|node| (*node, 0)).collect();
    for node in drawn {
        let row = rows.get(node).copied().unwrap_or(0);
        for to in view.tree.next(Some(*node)).iter().filter_map(|edge| edge.to) {
            if let Some(below) = rows.get_mut(&to) {
                *below = (*below).max(row + 1);
            }
        }
    }
    // The column: for each maker in turn, what it adds stands in the first that is free from its first row to its last.
    let mut places: BTreeMap<u32, Place> = BTreeMap::new();
    let mut taken: Vec<Vec<bool>> = Vec::new();
    let deepest = rows.values().max().map_or(0, |row| row + 1);
    for path in view.tree.paths().iter().flatten() {
        let added: Vec<(u32, Option<usize>)> = path
            .nodes
            .iter()
            .map(|node| (*node, rows.get(node).copied().filter(|_| !places.contains_key(node))))
            .collect();
        for run in added.chunk_by(|one, next| one.1.is_some() && next.1.is_some()) {
            let (Some((_, Some(first))), Some((_, Some(last)))) = (run.first(), run.last()) else { continue };
            let free = |column: &Vec<bool>| column[*first..=*last].iter().all(|taken| !taken);
            let column = taken.iter().position(free).unwrap_or_else(|| {
                taken.push(vec![false; deepest]);
                taken.len() - 1
            });
            taken[column][*first..=*last].fill(true);
            places.extend(run.iter().filter_map(|(node, row)| Some((*node, (column, (*row)?)))));
        }
    }
    places
}

/// The middle of the upper edge of a node.
fn top((column, row): Place) -> [f64; 2] {
    [MARGIN + PITCH[0] * column as f64 + BOX[0] / 2.0, TOP + PITCH[1] * row as f64]
}

/// The middle of its lower edge.
fn bottom(place: Place) -> [f64; 2] {
    let [x, y] = top(place);
    [x, y + BOX[1]]
}

/// A way from one node to another, past `passed` rows between them.
fn way(
    out: &mut String,
    view: &View<'_>,
    ([x, y], [to_x, to_y]): ([f64; 2], [f64; 2]),
    passed: usize,
    (from, to): (Option<u32>, Option<u32>),
    makers: u32,
) {
    let all = view.tree.paths().iter().flatten().count().max(1) as f64;
    let walked = view.moved(from, to);
    let line = if passed > 0 {
        // Beside the nodes between, to the right of them: the curve comes as far as three quarters of the way.
        let past = x.max(to_x) + PITCH[0] * 0.5 / 0.75;
        let [bend, back] = [y + PITCH[1] * 0.5, to_y - PITCH[1] * 0.5];
        format!("M{x:.1} {y:.1}C{past:.1} {bend:.1} {past:.1} {back:.1} {to_x:.1} {to_y:.1}")
    } else {
        let middle = f64::midpoint(y, to_y);
        format!("M{x:.1} {y:.1}C{x:.1} {middle:.1} {to_x:.1} {middle:.1} {to_x:.1} {to_y:.1}")
    };
    let wide = (WIDEST * f64::from(makers) / all).max(1.5);
    let mut said = view.makers(makers);
    if view.crowd.is_some() {
        let _ = write!(said, ", {}", students(walked));
    }
    let _ = write!(
        out,
        "<path class=\"way\" stroke-width=\"{wide:.1}\" d=\"{line}\"><title>{}</title></path>",
        to_html(&said)
    );
    if walked > 0 {
        let all = view.crowd.map_or(1, |crowd| crowd.students).max(1) as f64;
        let wide = (WIDEST * 0.6 * f64::from(walked) / all).max(1.0);
        let _ = write!(out, "<path class=\"walked\" stroke-width=\"{wide:.1}\" d=\"{line}\"/>");
    }
}

fn block(out: &mut String, view: &View<'_>, node: u32, place: Place) {
    let [x, y] = top(place);
    let edge = x - BOX[0] / 2.0;
    let [asked, answer] = view.words(node);
    let members = view.members(node);
    let passing = view.crowd.and_then(|crowd| crowd.nodes.get(node as usize));
    let _ = write!(out, "<g><title>[{node}] ");
    html(out, prefix(&asked, MOST_TIP));
    out.push_str(" → ");
    html(out, prefix(&answer, MOST_TIP));
    let _ = write!(out, "\n{}", to_html(&view.makers(members)));
    if let Some(one) = passing {
        let _ = write!(
            out,
            ", {}: {} with another answer, {} leave here and never come back, {} stop here",
            students(one.taken),
            one.slips,
            one.left,
            one.stopped
        );
    }
    let class = if members > 1 { "box shared" } else { "box" };
    let takers = passing.map_or(members.to_string(), |one| format!("{members} · {}", one.taken));
    let (inner, right, first) = (edge + 10.0, edge + BOX[0] - 10.0, y + 17.0);
    let _ = write!(
        out,
        "</title><rect class=\"{class}\" x=\"{edge:.1}\" y=\"{y:.1}\" width=\"{}\" height=\"{}\" rx=\"8\"/>\
         <text class=\"quiet mono\" x=\"{inner:.1}\" y=\"{first:.1}\">[{node}]</text>\
         <text class=\"quiet mono\" text-anchor=\"end\" x=\"{right:.1}\" y=\"{first:.1}\">{takers}</text>",
        BOX[0], BOX[1],
    );
    for (text, class, down) in [(&asked, "asked", 34.0), (&answer, "quiet", 50.0)] {
        let _ = write!(out, "<text class=\"{class}\" x=\"{inner:.1}\" y=\"{:.1}\">", y + down);
        html(out, fit(text, LETTERS).trim_end());
        out.push_str("</text>");
    }
    left(out, passing.map_or(0, |one| one.left), [edge + BOX[0] + 5.0, y + 34.0]);
    out.push_str("</g>");
}

/// The mark of students that leave.
fn left(out: &mut String, number: u32, [x, y]: [f64; 2]) {
    if number > 0 {
        let _ = write!(
            out,
            "<text class=\"left mono\" x=\"{x:.1}\" y=\"{y:.1}\">−{number}<title>{} from here and never come back</title></text>",
            if number == 1 { "1 student goes away".into() } else { format!("{number} students go away") }
        );
    }
}
