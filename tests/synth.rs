//! The test bed: what is said to be known of a problem is true, and found again by other means.

#[cfg(feature = "cli")]
mod command;

use std::collections::{BTreeMap, BTreeSet};

use rlkd::dataset::Labelled;
use rlkd::synth::agreement::agreement;
use rlkd::synth::graph::{Graph, Rule, value_of};
use rlkd::synth::student::Kind;
use rlkd::synth::words::{Split, Style};
use rlkd::synth::{Problem, Record, SynthConfig};

fn config() -> SynthConfig {
    SynthConfig {
        steps: [1, 7],
        depth: [1, 5],
        distractors: [0, 3],
        students: 6,
        teachers: 2,
        ..SynthConfig::default()
    }
}

/// Problems of every split.
fn problems(count: u64) -> impl Iterator<Item = (SynthConfig, Problem)> {
    Split::ALL.into_iter().flat_map(move |split| {
        let config = SynthConfig { split, ..config() };
        (0..count).map(move |index| (config.clone(), Problem::new(&config, index).expect("a problem")))
    })
}

/// Every order of some items.
fn permutations(items: &[usize]) -> Vec<Vec<usize>> {
    if items.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for at in 0..items.len() {
        let mut rest = items.to_vec();
        let first = rest.remove(at);
        all.extend(permutations(&rest).into_iter().map(|order| [vec![first], order].concat()));
    }
    all
}

fn is_valid(graph: &Graph, order: &[usize]) -> bool {
    let stated = |at: usize| graph.quantities[at].rule == Rule::Given;
    order.iter().enumerate().all(|(place, at)| {
        graph.quantities[*at]
            .rule
            .needs()
            .into_iter()
            .all(|need| stated(need) || order[..place].contains(&need))
    })
}

#[test]
fn graphs_are_what_was_asked_for() {
    let mut sizes = BTreeSet::new();
    for (config, problem) in problems(150) {
        let graph = &problem.graph;
        let own = graph.sub_problems();
        sizes.insert((own.len(), graph.depth()));
        assert!((config.steps[0]..=config.steps[1]).contains(&own.len()));
        assert!(
            graph.depth() <= config.depth[1]
                && graph.depth() >= if own.len() > 4 { 3 } else { own.len().min(2) }
        );
        let idle = graph.quantities.iter().filter(|quantity| !quantity.needed).count();
        assert!(idle <= config.distractors[1]);
        let values: Vec<u64> = graph.quantities.iter().map(|quantity| quantity.value).collect();
        for (at, quantity) in graph.quantities.iter().enumerate() {
            assert!(quantity.rule.needs().iter().all(|need| *need < at));
            match quantity.rule {
                Rule::Given => assert!((config.numbers[0]..=config.numbers[1]).contains(&quantity.value)),
                rule => assert_eq!(value_of(rule, &values), Some(quantity.value)),
            }
        }
        // What is needed is what the asked one leads to, and nothing else.
        let mut needed = BTreeSet::from([graph.asked]);
        for at in (0..=graph.asked).rev().filter(|at| graph.quantities[*at].needed) {
            needed.extend(graph.quantities[at].rule.needs());
        }
        let said: BTreeSet<usize> = (0..values.len()).filter(|at| graph.quantities[*at].needed).collect();
        assert_eq!(needed, said);
    }
    assert!(sizes.len() > 12, "{sizes:?}");
}

/// The orders are those of all permutations that find nothing before what it needs.
#[test]
fn orders_are_all_that_are_valid() {
    let mut most = 0;
    for (_, problem) in problems(40) {
        let graph = &problem.graph;
        let own = graph.sub_problems();
        // Nothing follows from less than it is said to follow from.
        for quantity in &graph.quantities {
            if let Rule::Difference(a, b) = quantity.rule {
                assert!(
                    !graph.quantities[a].rule.needs().contains(&b)
                        && !graph.quantities[b].rule.needs().contains(&a)
                );
            }
        }
        if own.len() > 6 {
            continue;
        }
        let valid: BTreeSet<Vec<usize>> =
            permutations(&own).into_iter().filter(|order| is_valid(graph, order)).collect();
        let found = graph.orders(usize::MAX);
        assert_eq!(found.len(), valid.len());
        assert_eq!(graph.count_orders(), valid.len() as u64);
        assert_eq!(found.iter().cloned().collect::<BTreeSet<_>>(), valid);
        assert_eq!(graph.orders(1).len(), 1);
        most = most.max(found.len());
    }
    assert!(most >= 6, "some problems can be solved in several orders: {most}");
}

/// A teacher's trace is right by its own words, in a valid order, and says its steps.
#[test]
fn teachers_agree_with_the_truth() {
    let (mut checks, mut orders) = (0, BTreeMap::<String, BTreeSet<Vec<usize>>>::new());
    for (config, problem) in problems(100) {
        let record = problem.record(&config);
        for number in 0..config.teachers {
            let written = problem.teacher(number);
            assert_eq!(written.text, record.teacher[number]);
            assert!(is_valid(&problem.graph, &written.order));
            orders.entry(record.id.clone()).or_default().insert(written.order.clone());
            let found = agreement(&record.synth, &written.text);
            assert_eq!(found.score(), 1.0, "{}", written.text);
            let claimed: Vec<usize> = found.claims.iter().map(|(at, _)| *at).collect();
            assert_eq!(claimed, written.order);
            assert!(written.text.ends_with(&format!("\\boxed{{{}}}.", record.answer)));
            assert_eq!(written.steps.len(), written.order.len());
            for (step, at) in written.steps.iter().zip(&written.order) {
                assert!(written.text.contains(&step.answer) && written.text.contains(&step.meta_reasoning));
                assert_eq!(step.sub_problem, record.synth.quantities[*at].sub_problem);
                let computation = &record.synth.quantities[*at].computation;
                assert!(step.answer.contains(computation));
                // "3 * 14 = 42" is so.
                let (left, right) = computation.split_once(" = ").expect("an equation");
                let parts: Vec<&str> = left.split(' ').collect();
                let numbers: Vec<i64> =
                    parts.iter().step_by(2).map(|x| x.parse().expect("a number")).collect();
                let value = match parts[1] {
                    "+" => numbers.iter().sum(),
                    "-" => numbers[0] - numbers[1],
                    "*" => numbers[0] * numbers[1],
                    _ => numbers[0] / numbers[1],
                };
                assert_eq!(value.to_string(), right);
                checks += 1;
            }
        }
    }
    assert!(checks > 1000);
    assert!(orders.values().any(|orders| orders.len() > 1), "teachers take different orders");
}

/// Equations such as "3 * 14 = 42" in the sentences that lead to a claim, which are not so.
fn false_equations(text: &str) -> usize {
    let words: Vec<&str> = text.split_whitespace().collect();
    let number = |word: &str| word.trim_end_matches(['.', ';', ',']).parse::<i64>().ok();
    let mut wrong = 0;
    for at in 2..words.len().saturating_sub(2) {
        let (Some(right), "=") = (number(words[at + 1]), words[at]) else { continue };
        let Some(last) = number(words[at - 1]) else { continue };
        let mut terms = vec![last];
        let mut operators = Vec::new();
        let mut from = at - 1;
        while from >= 2 && ["+", "-", "*", "/"].contains(&words[from - 1]) {
            operators.insert(0, words[from - 1]);
            terms.insert(0, number(words[from - 2]).expect("a number"));
            from -= 2;
        }
        let value =
            terms[1..].iter().zip(&operators).fold(terms[0], |left, (right, operator)| match *operator {
                "+" => left + right,
                "-" => left - right,
                "*" => left * right,
                _ => left / right,
            });
        // Checks go back over the step, and are as false as it is.
        let sentence = words[..from].iter().rposition(|word| word.ends_with('.')).map_or(0, |end| end + 1);
        let check = ["Let", "Check:", "Verifying:", "To", "Going", "The"];
        let is_check = check.contains(&words[sentence]) && !words[sentence..at].contains(&"They");
        wrong += usize::from(!operators.is_empty() && value != right && !is_check);
    }
    wrong
}

/// Students are as good as their labels say, and each kind is what it is called.
#[test]
fn students_are_spoilt_as_they_are_labelled() {
    let mut sums = BTreeMap::<String, (f64, u32)>::new();
    for (config, problem) in problems(100) {
        let record = problem.record(&config);
        let own = problem.graph.sub_problems().len();
        let idle = record.synth.quantities.iter().any(|one| !one.needed && !one.needs.is_empty());
        for ((text, label), kind) in record.students.iter().zip(&record.synth.students).zip(Kind::ALL) {
            assert_eq!(label.kind, kind);
            assert_eq!(label.agreement, agreement(&record.synth, text).score());
            assert_eq!(label.right, text.ends_with(&format!("\\boxed{{{}}}.", record.answer)));
            match kind {
                Kind::Complete => assert_eq!((label.agreement, label.right), (1.0, true)),
                Kind::Slip => {
                    assert!(label.agreement < 1.0 && !label.right, "{text}");
                    assert_eq!(false_equations(text), 1, "{text}");
                }
                Kind::Jump => assert!(label.right && (label.agreement < 1.0) == (own > 1), "{text}"),
                Kind::Detour => assert!(label.right && (label.agreement < 1.0) == idle, "{text}"),
                Kind::Backwards => assert!(label.right && (label.agreement < 1.0) == (own > 1), "{text}"),
                Kind::Guess => assert_eq!((label.agreement, label.right), (0.0, false)),
            }
            let sum = sums.entry(format!("{kind:?}")).or_default();
            *sum = (sum.0 + label.agreement, sum.1 + 1);
        }
    }
    println!("{sums:?}");
}

/// The same number of a seed is the same problem; another seed, split or number is another one.
#[test]
fn problems_are_drawn_by_seed_and_number() {
    let record =
        |config: &SynthConfig, index: u64| Problem::new(config, index).expect("a problem").record(config);
    let base = config();
    assert_eq!(record(&base, 5), record(&base, 5));
    let more = SynthConfig { students: 1, teachers: 5, ..base.clone() };
    assert_eq!(record(&base, 5).problem, record(&more, 5).problem);
    assert_eq!(record(&base, 5).teacher[..2], record(&more, 5).teacher[..2]);
    let others = [
        record(&SynthConfig { seed: 1, ..base.clone() }, 5),
        record(&SynthConfig { split: Split::Test, ..base.clone() }, 5),
        record(&base, 6),
    ];
    let mut texts: BTreeSet<String> = others.into_iter().map(|record| record.problem).collect();
    texts.insert(record(&base, 5).problem);
    assert_eq!(texts.len(), 4);
    // Of a thousand, hardly two are the same.
    let many: BTreeSet<String> =
        (0..1000).map(|index| Problem::new(&base, index).expect("a problem").text).collect();
    assert!(many.len() > 990, "{}", many.len());
    for style in Style::ALL {
        let config = SynthConfig { styles: vec![style], ..base.clone() };
        Problem::new(&config, 0).expect("a problem");
    }
}

#[test]
fn claims_are_read_with_care() {
    let config = SynthConfig { steps: [2, 2], depth: [2, 2], distractors: [0, 0], ..config() };
    let known = Problem::new(&config, 0).expect("a problem").known();
    let steps: Vec<_> = known.quantities.iter().filter(|one| !one.needs.is_empty()).collect();
    let (first, last) = (steps[0], steps[1]);
    let score = |text: &str| agreement(&known, text).score();
    let both = format!("So {} are {}. Then {} = {}.", first.name, first.value, last.name, last.value);
    assert_eq!(score(&both), 1.0);
    assert_eq!(score(&both.to_uppercase()), 1.0);
    assert_eq!(score(""), 0.0);
    // Corrected later: where it came first, with the value that it has in the end.
    let again = format!("{} are {}. {both}", first.name, first.value + 1);
    assert_eq!(score(&again), 1.0);
    let spoilt = format!("{both} No, {} are {}.", first.name, first.value + 1);
    assert_eq!(score(&spoilt), 0.0, "what follows from it is wrong too");
    // Numbers that go on are no claims.
    for more in [".5", " * 2 = 9", " + 1"] {
        assert_eq!(score(&format!("{} are {}{more}", first.name, first.value)), 0.0, "{more}");
    }
    for more in [".", ",", " = 2 * 9", " - that was easy", " + more"] {
        assert!(score(&format!("{} equals {}{more}", first.name, first.value)) > 0.0, "{more}");
    }
    // Another name that ends the same.
    assert_eq!(score(&both.replace(&first.name, &format!("Mc{}", first.name))), 0.0);
    assert_eq!(score(&format!("{} are many", last.name)), 0.0);
}

/// The decomposer for these traces finds every step of a teacher, and of students what they claim.
#[test]
fn the_bed_is_read_by_its_own_phrases() {
    use rlkd::decompose::bed::Bed;
    use rlkd::decompose::{Decomposer, Job};
    use rlkd::trace::{Domain, Trace};

    let mut checked = 0;
    for split in Split::ALL {
        for index in 0..40 {
            let config = SynthConfig { split, invented: 0.3, ..config() };
            let problem = Problem::new(&config, index).expect("a problem");
            let (known, written) = (problem.known(), problem.teacher(0));
            let trace = Trace::new(written.text.clone());
            let job = Job { problem: &problem.text, domain: Domain::Math, trace: &trace };
            let list = Bed::default().decompose(&[job]).remove(0).expect("steps");
            let names: Vec<&str> = list.steps.iter().map(|step| step.sub_problem.of(&list.text)).collect();
            let wanted: Vec<&str> =
                written.order.iter().map(|at| known.quantities[*at].name.as_str()).collect();
            assert_eq!(names, wanted, "{}", written.text);
            for (step, at) in list.steps.iter().zip(&written.order) {
                let answer = step.answer.of(&list.text);
                let truth = &known.quantities[*at];
                assert!(
                    answer.contains(&truth.computation) && answer.ends_with(&format!("{}.", truth.value)),
                    "{answer}"
                );
                checked += 1;
            }
        }
    }
    assert!(checked > 300);
}

/// Invented words change words only; spoilt teachers are students.
#[test]
fn words_are_invented_and_teachers_spoilt() {
    let invented = SynthConfig { invented: 1.0, ..config() };
    let mut things = std::collections::BTreeSet::new();
    for index in 0..60 {
        let (one, other) = (
            Problem::new(&config(), index).expect("a problem"),
            Problem::new(&invented, index).expect("a problem"),
        );
        assert_eq!(one.graph, other.graph);
        let (known, new) = (one.known(), other.known());
        for (known, new) in known.quantities.iter().zip(&new.quantities) {
            assert!(known.name != new.name && known.value == new.value, "{} {}", known.name, new.name);
        }
        assert_eq!(agreement(&new, &other.teacher(0).text).score(), 1.0);
        things.insert(other.words.things().to_owned());
    }
    assert!(things.len() > 50, "{things:?}");
    let teachers = |spoilt: f64| -> Vec<f64> {
        let config = SynthConfig { spoilt, ..config() };
        let one = |index| {
            let record = Problem::new(&config, index).expect("a problem").record(&config);
            agreement(&record.synth, &record.teacher[0]).score()
        };
        (0..200).map(one).collect()
    };
    assert!(teachers(0.0).iter().all(|score| *score == 1.0));
    let perfect = |all: Vec<f64>| all.iter().filter(|score| **score == 1.0).count();
    // One kind in six is complete, and some others are where there is nothing to spoil.
    assert!((15..80).contains(&perfect(teachers(1.0))), "{}", perfect(teachers(1.0)));
    assert!((100..150).contains(&perfect(teachers(0.5))), "{}", perfect(teachers(0.5)));
    for (config, expected) in [
        (SynthConfig { spoilt: 1.5, ..config() }, "spoilt = 1.5"),
        (SynthConfig { invented: -0.1, ..config() }, "invented = -0.1"),
    ] {
        assert!(Problem::new(&config, 0).expect_err("refused").to_string().contains(expected));
    }
}

#[test]
fn values_that_make_no_sense_are_named() {
    for (config, expected) in [
        (SynthConfig { steps: [0, 3], ..config() }, "steps = [0, 3]"),
        (SynthConfig { steps: [4, 3], ..config() }, "steps = [4, 3]"),
        (SynthConfig { steps: [2, 40], ..config() }, "within 1 to 8"),
        (SynthConfig { steps: [2, 5], depth: [4, 5], ..config() }, "depth begins with 4"),
        (SynthConfig { numbers: [10, 12], ..config() }, "numbers = [10, 12]"),
        (SynthConfig { teachers: 0, ..config() }, "teachers = 0"),
        (SynthConfig { students: 7, ..config() }, "students = 7"),
    ] {
        let error = Problem::new(&config, 0).expect_err("refused").to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// What is written is what the other commands read.
#[test]
fn records_are_read_again() {
    for (config, problem) in problems(3) {
        let record = problem.record(&config);
        let text = serde_json::to_string(&record).expect("JSON");
        assert_eq!(serde_json::from_str::<Record>(&text).expect("a record"), record);
        let labelled = problem.labelled(0, false);
        let text = serde_json::to_string(&labelled).expect("JSON");
        assert_eq!(serde_json::from_str::<Labelled>(&text).expect("a labelled trace"), labelled);
        assert_eq!(labelled.trace, record.teacher[0]);
        // In brief, only the answers differ: they are what the sentences compute.
        let brief = problem.labelled(0, true);
        assert_eq!(brief.trace, labelled.trace);
        for ((short, long), at) in brief.steps.iter().zip(&labelled.steps).zip(problem.teacher(0).order) {
            assert_eq!(short.answer, record.synth.quantities[at].computation);
            assert!(long.answer.len() > short.answer.len() && long.answer.contains(&short.answer));
            assert_eq!(short.sub_problem, long.sub_problem);
        }
    }
}

/// The command writes what the others read, and nothing half.
#[cfg(feature = "cli")]
#[test]
fn a_bed_is_written_scored_and_measured() {
    let room = command::Room::new();
    room.run("synth --count 12 --students 6 --labels steps.jsonl -o synth.jsonl").ended(0);
    let bed = room.read("synth.jsonl");
    let piped = room.run("synth --count 12 --students 6").ended(0);
    assert!(piped.text().as_bytes() == bed, "the same on the standard output");
    let some = room.run("synth --count 2 --first 5 --students 6").ended(0);
    assert_eq!(some.text().lines().next(), piped.text().lines().nth(5));
    assert_eq!(room.read("steps.jsonl").iter().filter(|byte| **byte == b'\n').count(), 12);
    room.run("score synth.jsonl -o scored.jsonl").ended(0);
    let scored = room.read("scored.jsonl");
    assert_eq!(scored.iter().filter(|byte| **byte == b'\n').count(), 72);
    let report = room.run("validate synth --data . --json").ended(0).records().remove(0);
    assert_eq!(report["n"], 72);
    assert_eq!(report["figures"]["agreement/complete"], 1.0);
    assert!(report["figures"]["within_ordered"].as_f64() > Some(0.6), "{report}");
    let all = room.run("validate all --data .").ended(0);
    assert!(all.err.contains("ranking: left out") && all.text().contains("synth: 72 cases"), "{}", all.err);
    // Where nothing is there, the first suite says what it misses.
    std::fs::create_dir(room.path("empty")).expect("a folder");
    room.run("validate all --data empty").failed(&["reference_reward_golden.jsonl"]);
    room.run("synth --count 2 -o nowhere/bed.jsonl").failed(&["nowhere"]);
    room.run("synth --steps 5..2").failed(&["steps = [5, 2]"]);
    room.run("synth --numbers many").failed(&["--numbers", "2..5"]);
    room.run("synth --labels same.jsonl -o same.jsonl").failed(&["same file"]);
    room.run("synth --labels ./new.jsonl -o new.jsonl").failed(&["same file"]);
    assert!(!room.path("new.jsonl").exists());
    room.run("synth --first 18446744073709551615 --count 2").failed(&["--first"]);
    // Without labels nothing can be measured.
    room.run("synth --count 2 -o synth.jsonl").ended(0);
    room.run("validate synth --data .").failed(&["synth.jsonl:1", "--students 6"]);
}
