//! Solutions that mark their calculations, as those of GSM8K: `48/2 = <<48/2=24>>24 clips`. Each line with a calculation is a step.

use super::{Labelled, Parts};
use crate::text::words::capitalized;
use crate::trace::Domain;

/// The steps of a solution; none if no calculation is marked.
///
/// A step's answer is its line, word for word, without marks. Its sub-problem is the same with the calculation left out: "Natalia sold
/// how many clips in May?"
pub fn marked(id: &str, problem: &str, solution: &str) -> Option<Labelled> {
    let mut steps = Vec::new();
    let mut lines = Vec::new();
    for line in solution.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("####")) {
        let (text, marks) = plain(line)?;
        let computed = marks.iter().any(|mark| mark.computed);
        if let (true, Some(first), Some(last)) = (computed, marks.first(), marks.last()) {
            let from = begin(&text, first.at);
            steps.push(Parts {
                meta_reasoning: String::new(),
                sub_problem: question(&text[..from], &text[last.end..], &text[from..last.end]),
                answer: text.clone(),
            });
        }
        lines.push(text);
    }
    (!steps.is_empty()).then(|| Labelled {
        id: id.into(),
        domain: Domain::Math,
        problem: problem.into(),
        trace: lines.join("\n"),
        steps,
    })
}

/// Where a mark stood, where the result behind it ends, and whether something is computed in it.
struct Mark {
    at: usize,
    end: usize,
    computed: bool,
}

/// A line without its marks, and these. `None` if one is not closed.
fn plain(line: &str) -> Option<(String, Vec<Mark>)> {
    let (mut text, mut marks) = (String::new(), Vec::new());
    let mut rest = line;
    while let Some(at) = rest.find("<<") {
        let end = at + rest[at..].find(">>")?;
        text += &rest[..at];
        let mark = &rest[at + 2..end];
        let (expression, _) = mark.rsplit_once('=')?;
        let computed = expression.trim_start_matches('-').contains(['+', '-', '*', '/']);
        rest = &rest[end + 2..];
        let result = rest.find(|c: char| !(c.is_ascii_digit() || ",./$%".contains(c))).unwrap_or(rest.len());
        let result = rest[..result].trim_end_matches(['.', ',']).len();
        marks.push(Mark { at: text.len(), end: text.len() + result, computed });
    }
    text += rest;
    Some((text, marks))
}

/// Where the calculation begins that ends at `end`.
fn begin(text: &str, end: usize) -> usize {
    let sign = |c: char| c.is_ascii_digit() || " .,+-*/=()$%xX×÷".contains(c);
    let from = text[..end]
        .rfind(|c| !sign(c))
        .map_or(0, |at| at + text[at..].chars().next().map_or(1, char::len_utf8));
    // "box 5 * 3": the x belongs to the word; and a sentence may have ended before.
    let inside = &text[from..end];
    let lead = inside.find(|c: char| c.is_ascii_digit() || c == '(' || c == '$').unwrap_or(inside.len());
    from + lead
}

/// The question that a line answers.
fn question(before: &str, after: &str, calculation: &str) -> String {
    let money = calculation.contains('$') || before.trim_end().ends_with('$');
    let much = if money { "how much" } else { "how many" };
    let before = before.trim().trim_end_matches(['$', '=', ':']).trim();
    let after = after.trim().trim_end_matches('.').trim();
    if before.is_empty() && after.is_empty() {
        return format!("What is {}?", calculation.split('=').next().unwrap_or_default().trim());
    }
    let text =
        [before, much, after].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
    format!("{}?", capitalized(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_steps() {
        let solution = "Nina baked 24/2 = <<24/2=12>>12 rolls in the morning.\nThat is a lot.\nShe earned 12 x $3 = $<<12*3=36>>36.\n\
                        So 12+36=<<12+36=48>>48\n#### 48";
        let labelled = marked("a", "How many?", solution).expect("steps");
        let steps: Vec<(&str, &str)> =
            labelled.steps.iter().map(|step| (step.sub_problem.as_str(), step.answer.as_str())).collect();
        assert_eq!(
            steps,
            [
                ("Nina baked how many rolls in the morning?", "Nina baked 24/2 = 12 rolls in the morning."),
                ("She earned how much?", "She earned 12 x $3 = $36."),
                ("So how many?", "So 12+36=48"),
            ]
        );
        assert!(labelled.trace.contains("That is a lot.") && !labelled.trace.contains("<<"));
        assert!(!labelled.trace.contains("####"));
        assert_eq!(marked("b", "", "It is 5.\n#### 5"), None);
        assert_eq!(marked("c", "", "It is <<5=5>>5."), None);
        assert_eq!(marked("d", "", "It is <<5+5="), None);
        let bare = marked("e", "", "1956 + 978 = $<<1956+978=2934>>2934").expect("a step");
        assert_eq!(bare.steps[0].sub_problem, "What is 1956 + 978?");
    }
}
