//! Scored records written by hand, and many made from them.

use std::collections::BTreeMap;

use rlkd::align::{Alignment, Mode, Pair};
use rlkd::score::{Explained, Part, Scored};
use rlkd::seed::Seed;
use rlkd::trace::{Span, Step, StepKind, StepList, Why};

/// Why, what is asked, what comes out, kind: `p`rogress, `v`erify, `b`acktrack.
type Words<'a> = (&'a str, &'a str, &'a str, char);

/// A step list over `text`: each part is found after the one before it.
pub fn list(text: &str, steps: &[Words<'_>]) -> StepList {
    let mut at = 0;
    let mut find = |part: &str| {
        if part.is_empty() {
            return Span::empty_at(at);
        }
        let start = at + text[at..].find(part).unwrap_or_else(|| panic!("{part:?} is not in the text"));
        at = start + part.len();
        Span::new(start, at)
    };
    let steps = steps
        .iter()
        .map(|(why, ask, get, kind)| Step {
            meta: find(why),
            sub_problem: find(ask),
            answer: find(get),
            kind: match kind {
                'v' => StepKind::Verify,
                'b' => StepKind::Backtrack,
                _ => StepKind::Progress,
            },
        })
        .collect();
    StepList { text: text.to_owned(), steps, ..StepList::default() }
}

/// The ordered alignment of two lists with the given pairs `(teacher, student, same sub-problem, same answer)`.
pub fn ordered(teacher: &StepList, student: &StepList, pairs: &[(u32, u32, f32, f32)]) -> Alignment {
    let pairs: Vec<Pair> = pairs
        .iter()
        .map(|(teacher, student, sub_problem, answer)| Pair {
            teacher: *teacher,
            student: *student,
            credit: if *answer >= 0.5 { 1.0 } else { 0.5 },
            meta_reasoning: None,
            sub_problem: Some(*sub_problem),
            answer: Some(*answer),
            runner_up: None,
        })
        .collect();
    let free = |list: &StepList, used: Vec<u32>| -> Vec<u32> {
        list.progress().map(|i| i as u32).filter(|i| !used.contains(i)).collect()
    };
    let skipped = free(teacher, pairs.iter().map(|pair| pair.teacher).collect());
    let extra = free(student, pairs.iter().map(|pair| pair.student).collect());
    let n = (pairs.len() + skipped.len()) as f64;
    let points: f64 = pairs.iter().map(|pair| f64::from(pair.credit)).sum();
    let costs = (0.1 * extra.len() as f64).min(0.25);
    let total = if points == n { 1.0 - costs / n } else { points / n };
    Alignment { mode: Mode::Ordered, total, pairs, skipped, extra, split: Vec::new() }
}

/// A record with the usual weights; a `None` part is skipped.
pub fn record(
    id: &str,
    student: u32,
    problem: &str,
    outcome: [Option<f64>; 3],
    traces: Option<(StepList, StepList, Alignment)>,
) -> Scored {
    let structure = traces.as_ref().map(|(_, _, alignment)| alignment.total);
    let part = |value: Option<f64>, weight, why: &str| Part {
        value,
        weight,
        skipped: value.is_none().then(|| Why(why.to_owned())),
    };
    let parts: BTreeMap<String, Part> = [
        ("accuracy".to_owned(), part(outcome[0], 15.0, "the gold answer is not a number")),
        ("format".to_owned(), part(outcome[1], 10.0, "no completion")),
        ("tag_count".to_owned(), part(outcome[2], 10.0, "no completion")),
        ("structure".to_owned(), part(structure, 15.0, "the trace has no steps")),
    ]
    .into();
    let whole = parts.values().all(|part| part.value.is_some());
    let reward = whole.then(|| parts.values().filter_map(|part| Some(part.value? * part.weight)).sum());
    let structure = traces.map(|(teacher, student, alignment)| Explained {
        teacher: 0,
        alignment,
        teacher_steps: Some(teacher),
        student_steps: Some(student),
    });
    Scored {
        id: id.to_owned(),
        student,
        reward,
        parts,
        structure,
        tree: None,
        problem: Some(problem.to_owned()),
    }
}

const ORCHARD: &str = "A cider press turns 9 kg of apples into 5 litres of juice. An orchard picks 270 kg a day for 4 days and sells a tenth of the apples fresh. How many litres of juice does it press?";

const ORCHARD_TEACHER: &str = "<think>
The juice depends on how many kilograms reach the press, so the whole harvest comes first. How much is picked in all? 270 × 4 = 1080 kg.

Not all of it is pressed: a tenth is sold fresh. How much is left for the press? A tenth of 1080 is 108, so 1080 − 108 = 972 kg.

The press works in batches of 9 kg. How many batches is that? 972 / 9 = 108 batches.

Let me check: 108 × 9 = 972. Yes.

Each batch gives 5 litres. How much juice is that in all? 108 × 5 = 540 litres.
</think>
The orchard presses **540 litres**.";

/// A good student: two steps well matched, one with another answer, one skipped, one extra, one abandoned.
pub fn orchard() -> Scored {
    let teacher = list(
        ORCHARD_TEACHER,
        &[
            (
                "The juice depends on how many kilograms reach the press, so the whole harvest comes first.",
                "How much is picked in all?",
                "270 × 4 = 1080 kg.",
                'p',
            ),
            (
                "Not all of it is pressed: a tenth is sold fresh.",
                "How much is left for the press?",
                "A tenth of 1080 is 108, so 1080 − 108 = 972 kg.",
                'p',
            ),
            (
                "The press works in batches of 9 kg.",
                "How many batches is that?",
                "972 / 9 = 108 batches.",
                'p',
            ),
            ("", "Let me check:", "108 × 9 = 972. Yes.", 'v'),
            ("Each batch gives 5 litres.", "How much juice is that in all?", "108 × 5 = 540 litres.", 'p'),
        ],
    );
    let student = list(
        "<think>
Okay, so a press, 9 kg in and 5 litres out.

First I want the total weight. Four days at 270 kg a day is 270 × 4 = 1080 kg.

Maybe I should do it per day instead: 270 / 9 = 30 batches a day.

Wait, no. The fresh apples have to come off first, so that does not help.

The part that is sold fresh: 1080 / 10 = 108 kg, and what stays is 1080 − 108 = 982 kg.

Also, the crates hold about 20 kg, so that would be 54 crates, which is a lot of crates.

Now the juice: each 9 kg gives 5 litres, so 982 / 9 × 5 ≈ 545.6 litres.
</think>
About 545.6 litres.",
        &[
            ("First I want the total weight.", "Four days at 270 kg a day is", "270 × 4 = 1080 kg.", 'p'),
            ("", "Maybe I should do it per day instead:", "270 / 9 = 30 batches a day.", 'b'),
            ("", "Wait, no. The fresh apples have to come off first, so that does not help.", "", 'b'),
            (
                "",
                "The part that is sold fresh:",
                "1080 / 10 = 108 kg, and what stays is 1080 − 108 = 982 kg.",
                'p',
            ),
            (
                "Also, the crates hold about 20 kg,",
                "so that would be",
                "54 crates, which is a lot of crates.",
                'p',
            ),
            ("Now the juice: each 9 kg gives 5 litres,", "so", "982 / 9 × 5 ≈ 545.6 litres.", 'p'),
        ],
    );
    let alignment = ordered(&teacher, &student, &[(0, 0, 0.97, 1.0), (1, 3, 0.91, 0.08), (4, 5, 0.86, 0.11)]);
    record(
        "orchard-juice",
        0,
        ORCHARD,
        [Some(0.0), Some(1.0), Some(1.0)],
        Some((teacher, student, alignment)),
    )
}

/// The same problem, solved as the teacher does.
pub fn orchard_right() -> Scored {
    let steps: [Words<'_>; 4] = [
        (
            "The juice depends on how many kilograms reach the press, so the whole harvest comes first.",
            "How much is picked in all?",
            "270 × 4 = 1080 kg.",
            'p',
        ),
        (
            "Not all of it is pressed: a tenth is sold fresh.",
            "How much is left for the press?",
            "A tenth of 1080 is 108, so 1080 − 108 = 972 kg.",
            'p',
        ),
        ("The press works in batches of 9 kg.", "How many batches is that?", "972 / 9 = 108 batches.", 'p'),
        ("Each batch gives 5 litres.", "How much juice is that in all?", "108 × 5 = 540 litres.", 'p'),
    ];
    let teacher = list(ORCHARD_TEACHER, &steps);
    let student = list(
        "[Sub-problem 1] How much is picked over the four days?\n[Answer 1] 4 × 270 kg = 1080 kg\n[Sub-problem 2] What remains after the fresh sale?\n[Answer 2] nine tenths, 972 kg\n[Sub-problem 3] How many times can the press be filled?\n[Answer 3] 972 / 9 = 108 times\n[Sub-problem 4] What volume is that?\n[Answer 4] 108 × 5 l = 540 l",
        &[
            ("", "How much is picked over the four days?", "4 × 270 kg = 1080 kg", 'p'),
            ("", "What remains after the fresh sale?", "nine tenths, 972 kg", 'p'),
            ("", "How many times can the press be filled?", "972 / 9 = 108 times", 'p'),
            ("", "What volume is that?", "108 × 5 l = 540 l", 'p'),
        ],
    );
    let pairs = [(0, 0, 0.98, 1.0), (1, 1, 0.94, 1.0), (2, 2, 0.89, 1.0), (3, 3, 0.93, 1.0)];
    let alignment = ordered(&teacher, &student, &pairs);
    record(
        "orchard-juice",
        1,
        ORCHARD,
        [Some(1.0), Some(1.0), Some(1.0)],
        Some((teacher, student, alignment)),
    )
}

/// A programming problem with code in the traces.
pub fn runs() -> Scored {
    let teacher = list(
        "We need the longest run of equal characters. What has to be remembered while reading? The current character, its run and the best run so far.\n\nfn longest(s: &str) -> usize {\n    let (mut best, mut run, mut last) = (0, 0, None);\n    for c in s.chars() {\n        run = if Some(c) == last { run + 1 } else { 1 };\n        best = best.max(run);\n        last = Some(c);\n    }\n    best\n}\n\nWhat of the empty string? best stays 0, which is right.",
        &[
            (
                "We need the longest run of equal characters.",
                "What has to be remembered while reading?",
                "The current character, its run and the best run so far.",
                'p',
            ),
            (
                "",
                "fn longest(s: &str) -> usize {",
                "    let (mut best, mut run, mut last) = (0, 0, None);\n    for c in s.chars() {\n        run = if Some(c) == last { run + 1 } else { 1 };\n        best = best.max(run);\n        last = Some(c);\n    }\n    best\n}",
                'p',
            ),
            ("", "What of the empty string?", "best stays 0, which is right.", 'v'),
        ],
    );
    let student = list(
        "I sort the characters, then equal ones are neighbours. Sorted, the longest block is the answer: \"abab\" gives 2.",
        &[
            ("", "I sort the characters,", "then equal ones are neighbours.", 'p'),
            ("", "Sorted, the longest block is the answer:", "\"abab\" gives 2.", 'p'),
        ],
    );
    let alignment = ordered(&teacher, &student, &[]);
    record(
        "longest-run",
        0,
        "Write `longest(s)`: the length of the longest run of one character in the string s. Time O(n), space O(1).",
        [Some(0.0), Some(0.0), Some(0.75)],
        Some((teacher, student, alignment)),
    )
}

/// A trace without steps: skipped, with no alignment.
pub fn unscored() -> Scored {
    record(
        "knights-and-knaves",
        2,
        "A says: \"B lies.\" B says: \"We are both knights.\" Who is what?",
        [None, Some(0.0), Some(0.25)],
        None,
    )
}

/// What an attacker would put into every text of a record.
pub const HOSTILE: &str = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'`&lt;{{style}}]]>--><!--\u{0}\u{1b}[2J\u{1b}]0;x\u{7}\u{9b}31m\u{202e}evil\u{2066}\u{200b}\u{feff}\r\rend";

/// A record in which every text is hostile and every index wrong somewhere.
pub fn hostile() -> Scored {
    let text = format!("{HOSTILE} question {HOSTILE} answer ");
    let middle = text.find(" question").unwrap_or(0);
    let step = |a: usize, b: usize, c: usize| Step {
        meta: Span::new(0, a),
        sub_problem: Span::new(a, b),
        answer: Span::new(b, c),
        kind: StepKind::Progress,
    };
    let steps = vec![
        step(3, middle, text.len()),
        // Overlaps, lies outside, and cuts a character in two.
        step(3, 9, 12),
        Step { answer: Span::new(9_000_000, 9_000_001), ..Step::default() },
        Step { answer: Span { start: 9, end: 3 }, ..Step::default() },
        Step { answer: Span::new(text.find('\u{202e}').unwrap_or(0) + 1, text.len() - 1), ..Step::default() },
    ];
    let list = StepList { text, steps, ..StepList::default() };
    let pair = |teacher, student, credit| Pair {
        teacher,
        student,
        credit,
        meta_reasoning: Some(f32::NAN),
        sub_problem: Some(2.0),
        answer: None,
        runner_up: None,
    };
    let alignment = Alignment {
        mode: Mode::Ordered,
        total: f64::NAN,
        pairs: vec![
            pair(0, 0, 1.0),
            pair(0, 0, 0.5),
            pair(77, 1, 0.5),
            pair(u32::MAX, u32::MAX, f32::INFINITY),
        ],
        skipped: vec![1, 2, 3, 99],
        extra: vec![u32::MAX, 4],
        split: Vec::new(),
    };
    let mut record = record(
        HOSTILE,
        u32::MAX,
        HOSTILE,
        [Some(f64::INFINITY), Some(-1e300), None],
        Some((list.clone(), list, alignment)),
    );
    let part = Part { value: None, weight: f64::NAN, skipped: Some(Why(HOSTILE.to_owned())) };
    record.parts.insert(HOSTILE.to_owned(), part);
    record
}

/// The hand-written records.
pub fn written() -> Vec<Scored> {
    vec![orchard(), orchard_right(), runs(), unscored()]
}

/// `n` records over about `n / 4` problems, made from the written ones by seeded draws.
pub fn many(n: u32) -> Vec<Scored> {
    const THINGS: [&str; 6] = ["barrels", "tiles", "tickets", "lamps", "jars", "ropes"];
    (0..n)
        .map(|i| {
            let mut draw = Seed(5).stream("sample", u64::from(i));
            let mut record = match i % 7 {
                6 => runs(),
                2 => orchard_right(),
                _ => orchard(),
            };
            let (group, thing) = (i / 4, THINGS[(i / 4) as usize % THINGS.len()]);
            record.id = format!("{thing}-{group:04}");
            record.student = i % 4;
            record.problem =
                Some(format!("({thing}, variant {group}) {}", record.problem.unwrap_or_default()));
            let mut total = 0.0;
            if let Some(explained) = &mut record.structure
                && let (Some(teacher), Some(student)) = (&explained.teacher_steps, &explained.student_steps)
            {
                // Some of the pairs are lost and some come out with another answer.
                let mut pairs = Vec::new();
                for pair in &explained.alignment.pairs {
                    let same = pair.credit == 1.0 && draw.below(4) > 0;
                    if draw.below(5) > 0 {
                        let sub_problem = 0.6 + 0.4 * draw.next_f64() as f32;
                        pairs.push((pair.teacher, pair.student, sub_problem, f32::from(u8::from(same))));
                    }
                }
                explained.alignment = ordered(teacher, student, &pairs);
                explained.teacher = draw.below(3) as u32;
                total = explained.alignment.total;
            }
            let right = draw.next_f64() < 0.3 + total * 0.6;
            let tags = draw.below(5) as f64 / 4.0;
            let mut set = |name: &str, value: Option<f64>| {
                if let Some(part) = record.parts.get_mut(name) {
                    part.value = value;
                    part.skipped = value.is_none().then(|| Why("the gold answer is not a number".into()));
                }
            };
            set("accuracy", (draw.below(40) != 0).then_some(f64::from(u8::from(right))));
            set("format", Some(f64::from(u8::from(tags == 1.0))));
            set("tag_count", Some(tags));
            set("structure", Some(total));
            let whole = record.parts.values().all(|part| part.value.is_some());
            let sum = record.parts.values().filter_map(|part| Some(part.value? * part.weight)).sum();
            record.reward = whole.then_some(sum);
            record
        })
        .collect()
}
