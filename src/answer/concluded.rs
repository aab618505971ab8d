//! Which number of a sentence is the answer, for who knows the problem: "she saves $34 by leaving her $60 plan" answers 34
//! where the problem states the 60.

use super::extract::{Extracted, How, behind_joint, is_another, number_at, speaks_against};
use super::stated::is_prose;
use crate::text::numbers::{self, Number};
use crate::text::sentences;
use crate::trace::Span;

/// Numbers of a sentence that are looked at.
const MOST: usize = 16;
/// How far a sentence reaches in front of its last number, in bytes.
const FAR: usize = 2000;

/// The number that an answer is about, where it is a sentence of several numbers and nothing tells which: the one that the
/// problem does not state.
///
/// - Of a last sentence that nothing marks, the last number is the answer unless the problem states it. Then the sentence is
///   read without a clause before its comma that begins with "After", "Since" and the like, up to the first aside ("if", "to",
///   "for") behind a number that the problem does not state. There it is the first such number behind the last verb ("is",
///   "has", "cost", "="), or else the first number behind that.
/// - An answer that is said to be one counts if it has no such verb, and exactly one such number; or if it begins with its
///   number and lists no others.
///
/// `None` where the answer is what stands there; or it is not sure, or denied, or another value is made of it.
pub(super) fn concluded<'a>(problem: &str, text: &'a str, found: &Extracted<'a>) -> Option<&'a str> {
    let sentence = match found.how {
        How::LastNumber => sentence(text, found.span),
        How::Statement | How::Tag if is_prose(found.text) => found.span,
        _ => return None,
    };
    let sentence = sentence.of(text);
    if speaks_against(sentence) {
        return None;
    }
    let (mut stated, mut own) = (Vec::new(), Vec::new());
    numbers::scan(problem, &mut stated);
    let is_new = |number: &Number| !stated.iter().any(|other| numbers::same(number.value, other.value));
    if found.how == How::LastNumber {
        numbers::scan(found.text, &mut own);
        if !matches!(own[..], [only] if !is_new(&only)) {
            return None;
        }
        own.clear();
    }
    // Without marks of lists and labels: "3. Therefore", "Step 7: so".
    numbers::scan(sentence, &mut own);
    own.retain(|number| number.span.of(sentence).starts_with(|c: char| c.is_ascii_digit()));
    own.truncate(MOST);
    let number = if found.how == How::LastNumber {
        let from = behind_opening(sentence);
        let to = own.iter().find(|number| number.span.start as usize >= from && is_new(number));
        let to = to.map_or(sentence.len(), |number| before_aside(sentence, number.span.end as usize));
        own.retain(|number| number.span.start as usize >= from && number.span.end as usize <= to);
        let behind = |at: usize| own.iter().filter(move |number| number.span.start as usize >= at);
        let verb = verb(&sentence[..to]).filter(|at| behind(*at).next().is_some()).unwrap_or(0);
        behind(verb).find(|number| is_new(number)).or_else(|| behind(verb).next())?
    } else {
        let mut new = own.iter().filter(|number| is_new(number));
        let one = new.next().or_else(|| own.first().filter(|first| begins(sentence, first)))?;
        let (start, end) = (one.span.start as usize, one.span.end as usize);
        let alone = new.all(|other| numbers::same(other.value, one.value));
        let is_open = verb(sentence).is_none() || begins(sentence, one);
        if !alone || !is_open || is_another(&sentence[..start], &sentence[end..]) {
            return None;
        }
        one
    };
    let number = number_at(sentence, number.span.start as usize)?.text;
    (number != found.text).then_some(number)
}

/// Behind the last verb or "=".
fn verb(text: &str) -> Option<usize> {
    behind_joint(text).max(text.rfind('=').map(|at| at + 1))
}

/// Whether the sentence begins with the number, and what it counts is no list: "5 cars drove in the first 15 minutes".
fn begins(sentence: &str, number: &Number) -> bool {
    let behind = &sentence[number.span.end as usize..];
    let next = behind.find(|c: char| c.is_ascii_digit()).map_or(behind, |at| &behind[..at]);
    let is_list =
        next.contains([',', ';', '+', '*', '/', '=']) || next.contains(" and ") || next.contains(" or ");
    !is_list && sentence[..number.span.start as usize].trim_matches(['$', '*', ' ']).is_empty()
}

/// Where what the sentence says ends, behind a number that it says: "she eats 48 grams | if her target is 2,000".
fn before_aside(sentence: &str, from: usize) -> usize {
    const ASIDES: [&str; 12] = [
        " to ",
        " if ",
        " when ",
        " after ",
        " before ",
        " because ",
        " since ",
        " so that ",
        " for ",
        " in ",
        " at ",
        " by ",
    ];
    let behind = &sentence[from..];
    ASIDES.iter().filter_map(|word| behind.find(word)).min().map_or(sentence.len(), |at| from + at)
}

/// Behind the comma of a clause that leads up to what the sentence says: "After 5 months, she has".
fn behind_opening(sentence: &str) -> usize {
    const OPENINGS: [&str; 12] =
        ["after", "at", "by", "comparing", "for", "from", "given", "if", "in", "since", "when", "with"];
    let first =
        sentence.split(|c: char| !c.is_alphabetic()).find(|word| !word.is_empty()).unwrap_or_default();
    let opens = OPENINGS.iter().any(|word| first.eq_ignore_ascii_case(word));
    let comma = sentence.find(", ").map(|at| at + 2);
    comma.filter(|at| opens && sentence[*at..].contains(|c: char| c.is_ascii_digit())).unwrap_or(0)
}

/// The sentence of a number.
fn sentence(text: &str, number: Span) -> Span {
    let mut from = (number.start as usize).saturating_sub(FAR);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let mut found = Vec::new();
    sentences::split(text, Span::new(from, text.len()), &mut found);
    let own =
        found.iter().map(|one| one.span).find(|span| span.start <= number.start && number.end <= span.end);
    own.unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use crate::answer::{Check, Options, check, check_on};

    fn right(problem: &str, gold: &str, text: &str) -> bool {
        check_on(problem, gold, text, Options::default()) == Check::Right
    }

    #[test]
    fn what_the_problem_states_is_no_answer_where_there_is_another() {
        for (problem, gold, text) in [
            (
                "Her plan costs $60, two new ones $13 each.",
                "34",
                "So she saves $34 by leaving her $60 plan and taking two new ones.",
            ),
            ("She puts 40 stars in rows of 5.", "8", "So, there are 8 rows of 5 stars in all."),
            ("There is a 20% discount on $165.", "132", "So the order cost $132.00 after the 20% discount."),
            (
                "The fast car took 8 hours for the 480 miles.",
                "16",
                "Answer: The slow car took 16 hours to cover the same 480 miles.",
            ),
            ("He has 3 bags of 4.", "12", "So he has 3 * 4 = 12 marbles."),
            (
                "Of 20 cars 5 drove in 15 minutes.",
                "5",
                "Answer: 5 cars drove through it in the first 15 minutes.",
            ),
            (
                "20 friends eat 4 slices of 8.",
                "10",
                "So he needs to order 10 pizzas to ensure that his 20 friends can have 4 slices.",
            ),
            ("The target is 2000.", "48", "Therefore, you can eat 48 grams if your target is 2000."),
            (
                "A tabloid has 32 pages.",
                "8",
                "Therefore, 8 pieces of paper would be used in a 32-page tabloid.",
            ),
            ("She has $10 and 3 cats.", "3", "So she has $10 - $7 = $3 left."),
            ("There are 30 trees.", "30", "3. Therefore, they pick a total of 30 apples."),
            ("He saves 2 dollars.", "25", "Step 4: Mark needs to save his money for 25 days."),
        ] {
            assert!(right(problem, gold, text), "{text}");
        }
        // What the texts say without the problem.
        assert_eq!(check("34", "So she saves $34 by leaving her $60 plan."), Check::Wrong);
        assert_eq!(
            check_on(" ", "60", "So she saves $34 by leaving her $60 plan.", Options::default()),
            Check::Right
        );
    }

    /// What was read rightly without the problem is read so with it.
    #[test]
    fn a_number_that_the_problem_does_not_state_stays() {
        let problem = "She starts with $60 and saves for 25 days.";
        for (gold, text) in [
            ("0.5", "So her share of it is 50%."),
            ("3/2", "So she uses 1 1/2 cups."),
            ("20000", "So she earned 20 thousand dollars."),
            ("5000", "So it is 5e3 m."),
            ("2:30", "So she arrives at 2:30."),
            ("60", "After 5 months she has 60 dollars."),
            ("25", "In 2021, the number of cats rose to 25."),
            ("25", "The number in 2021 was 25."),
            ("60", "Since x = 15, the total for all of them comes to 60 dollars."),
            ("70", "Since 3 * 20 = 60, she pays 70 with the fee."),
        ] {
            assert!(right(problem, gold, text), "{text}");
            assert!(right("", gold, text), "{text}");
        }
    }

    /// An answer that is denied, multiplied or bounded is none, whatever the problem states.
    #[test]
    fn another_value_is_no_answer() {
        for (gold, text) in [
            ("25", "The answer is twice 25 bags for her"),
            ("9", "The answer is the square root of 9 bags"),
            ("50", "The answer is that she never has 50 bags"),
            ("50", "<answer>She does not have 50 bags</answer>"),
            ("16", "Answer: 16 fewer than 20 bags are hers"),
            ("60", "The answer is at least 60 things"),
            ("60", "The answer is between 60 and 70 things"),
            ("60", "The answer is 60 minus 5 things"),
            ("60", "The answer is the 60 things plus the 12 things together"),
            ("60", "<answer>60 things, 61 things, 62 things</answer>"),
            ("5", "<answer>5 bags, 12 bags</answer>"),
            ("5", "Answer: 5 bags and 12 more"),
            ("5", "Answer: 5 more than 12 bags"),
        ] {
            assert!(!right("Ann has 5 bags of 12.", gold, text), "{text}");
        }
    }

    #[test]
    fn one_number_counts_and_no_other() {
        let problem = "Ann has 5 bags of 12 and gives 10 away.";
        for (gold, text) in [
            // Neither the one before nor what the problem states.
            ("60", "She had 60 and has 50 left."),
            ("10", "She has 50 left after 10 went away."),
            // What an "=" gives.
            ("60", "So 60 - 10 = 50."),
            // What is marked is the answer, whatever stands behind it.
            ("50", "\\boxed{60}. She has 50 left."),
            // Not sure, or said to be wrong.
            ("50", "Answer: 50 or 60 of her 5 bags"),
            ("50", "The answer is that 50 is wrong for 12 bags"),
        ] {
            assert!(!right(problem, gold, text), "{text}");
        }
        // All of them are in the problem: the first, but behind the verb.
        assert!(right(problem, "5", "So she takes 5 of the 12."));
        assert!(right(problem, "12", "So what the 5 bags hold is 12."));
        assert!(right(problem, "50", "It is 50"));
        assert!(right(problem, "50%", "She keeps 50% of the 12."));
        assert!(right(problem, "-2", "5 * 2 - 12 = -2 bags"));
    }
}
