//! `rlkd tree` and `--structure tree`, from end to end.

#![cfg(feature = "cli")]

mod command;

use command::{Room, examples, samples};
use serde_json::{Value, json};

/// A trace of tagged steps, from pairs of question and answer.
fn steps(pairs: &[[&str; 2]]) -> Value {
    pairs.iter().map(|[question, answer]| json!({"sub_problem": question, "answer": answer})).collect()
}

const TOTAL: [&str; 2] = ["How many rolls are there in total?", "18 * 24 = 432"];
const SOLD: [&str; 2] = ["How many rolls are sold in the morning?", "432 - 156 = 276"];
const PRICE: [&str; 2] = ["What does a bag cost with ribbon and card?", "3 + 2 = 5"];
const LEFT: [&str; 2] = ["How many rolls are left for the evening?", "156 - 6 = 150"];
const BAGS: [&str; 2] = ["How many bags of 6 rolls can be filled?", "150 / 6 = 25"];
const WRONG: [&str; 2] = ["How many bags of 6 rolls can be filled?", "150 / 6 = 24"];
const CHAIR: [&str; 2] = ["Which chair stands next to Anna's window?", "the 71st"];

/// Three teachers, of whom one goes another way, and four students.
fn bakery() -> Value {
    json!({"id": "bakery", "problem": "How many bags?", "answer": "25",
        "teacher": [steps(&[TOTAL, SOLD, LEFT, BAGS]), steps(&[TOTAL, PRICE, LEFT, BAGS]), steps(&[TOTAL, SOLD, LEFT, BAGS])],
        "students": [steps(&[TOTAL, PRICE, LEFT, BAGS]), steps(&[TOTAL, SOLD, LEFT, WRONG]), steps(&[TOTAL, CHAIR]),
            steps(&[TOTAL])]})
}

const SHOWN: &str = "\
bakery
How many bags?

3 teachers in the tree, 4 students along it

[0] How many rolls are there in total? → 18 * 24 = 432                                         3 · 4
    1 student leaves here and never comes back; 1 student stops here
├─ 2 teachers, 1 student
│  [1] How many rolls are sold in the morning? → 432 - 156 = 276                               2 · 1
├─ 1 teacher, 1 student
│  [4] What does a bag cost with ribbon and card? → 3 + 2 = 5                                  1 · 1
[2] How many rolls are left for the evening? → 156 - 6 = 150                                   3 · 2
[3] How many bags of 6 rolls can be filled? → 150 / 6 = 25                                     3 · 2
    1 with another answer

teachers: 3 with steps, 2 different branches, entropy 0.92 bits, diversity 0.27
  branching by depth: 1.00 2.00 1.00 1.00
students: 4 with steps, 4 different branches, entropy 2.00 bits, diversity 0.71
  branching by depth: 1.00 3.00 1.00 2.00
agreement with the teachers at 1 choice: 0.50
  after [0]: [1] 2 · 1, [4] 1 · 1, elsewhere 2; agreement 0.50
";

#[test]
fn the_tree_is_shown_drawn_and_written() {
    let room = Room::new();
    room.write("in.jsonl", format!("{}{}\n", samples(2), bakery()));
    let ran = room.run("tree in.jsonl --id bakery --svg tree.svg").ended(0);
    assert_eq!(ran.text(), SHOWN);
    let drawing = String::from_utf8(room.read("tree.svg")).expect("UTF-8");
    assert!(
        drawing.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\"") && drawing.ends_with("</svg>\n")
    );
    assert_eq!(drawing.matches("<rect").count(), 5);
    // Each edge once, and once more where students go: 0, 1, 4 and 2 lead on; one starts and one ends.
    assert_eq!(drawing.matches("class=\"way\"").count(), 7);
    assert_eq!(drawing.matches("class=\"left mono\"").count(), 1);
    for part in ["prefers-color-scheme:dark", "156 - 6 = 150", "1 student goes away from here"] {
        assert!(drawing.contains(part), "{part}");
    }
    assert!(!drawing.contains("href") && !drawing.contains("script") && !drawing.contains("url("));

    let record: Value =
        serde_json::from_str(room.run("tree in.jsonl --id bakery --json").ended(0).text()).expect("JSON");
    assert_eq!(record["nodes"][4]["sub_problem"], PRICE[0]);
    assert_eq!(record["nodes"][0]["members"], json!([[0, 0], [1, 0], [2, 0]]));
    assert_eq!(
        record["nodes"][0]["next"],
        json!([{"to": 1, "taken_by": [0, 2]}, {"to": 4, "taken_by": [1]}])
    );
    assert_eq!(record["nodes"][3]["students"], json!({"taken": 2, "slips": 1, "left": 0, "stopped": 0}));
    assert_eq!(record["paths"][1]["nodes"], json!([0, 4, 2, 3]));
    assert_eq!(record["variety"]["branches"], 2);
    assert_eq!(record["students"]["agreement"], 0.5);
    // The students' own tree.
    let own = room.run("tree in.jsonl --id bakery --of students --json").ended(0);
    let own: Value = serde_json::from_str(own.text()).expect("JSON");
    assert_eq!(own["variety"], record["students"]["variety"]);
    assert!(own.get("students").is_none());
    // The first sample, where none is named; another judge counts.
    assert!(room.run("tree in.jsonl").ended(0).text().starts_with("p0\n"));
    assert!(
        room.run("tree in.jsonl --id bakery --judge exact").ended(0).out != room.run("tree in.jsonl").out
    );
}

#[test]
fn lines_of_one_problem_are_put_together() {
    let room = Room::new();
    let bakery = bakery();
    let lines: Vec<String> = (0..3)
        .map(|at| json!({"number": 7, "q": "How many bags?", "way": bakery["teacher"][at]}).to_string())
        .collect();
    room.write("ways.jsonl", lines.join("\n"));
    let shown = room.run("tree ways.jsonl --map id=number,problem=q,teacher=way").ended(0);
    // The first and the third say the same, and are two.
    assert!(shown.text().contains("3 teachers in the tree\n"), "{}", shown.text());
    let repeated: Vec<String> = (0..3)
        .map(|at| {
            json!({"id": 7, "teacher": bakery["teacher"][0], "students": bakery["students"][at]}).to_string()
        })
        .collect();
    room.write("repeated.jsonl", repeated.join("\n"));
    let shown = room.run("tree repeated.jsonl").ended(0);
    assert!(shown.text().contains("1 teacher in the tree, 3 students along it\n"), "{}", shown.text());
    let own: Vec<String> = (0..3)
        .map(|at| json!({"number": 7, "q": "How many bags?", "way": bakery["students"][at]}).to_string())
        .collect();
    room.write("own.jsonl", own.join("\n"));
    let shown = room.run("tree own.jsonl --map id=number,problem=q,students=way").ended(0);
    assert!(shown.text().contains("3 students in the tree\n"), "{}", shown.text());
    room.run("tree ways.jsonl --map id=number,teacher=way --id 8").failed(&[
        "\"8\"",
        "ways.jsonl",
        "\"7\"",
        "--map id=",
    ]);
    room.run("tree ways.jsonl --map id=number,teacher=way --of students")
        .failed(&["has no students", "--map students="]);
    room.run("tree gone.jsonl").failed(&["gone.jsonl"]);
    room.write("empty.jsonl", "");
    room.run("tree empty.jsonl").failed(&["no sample in empty.jsonl"]);
    room.run("tree ways.jsonl --map id=number,teacher=way --svg ways.jsonl")
        .failed(&["ways.jsonl", "name another"]);
    room.write("bad.jsonl", "{\"id\": 1\n");
    room.run("tree bad.jsonl").failed(&["bad.jsonl:1"]);
}

/// What `rlkd report` draws of scored records is what `rlkd tree` draws of the sample.
#[test]
fn the_report_draws_the_trees() {
    let room = Room::new();
    room.write("in.jsonl", format!("{}{}\n", samples(3), bakery()));
    room.run("score in.jsonl --structure tree -o scored.jsonl").ended(3);
    let page = |room: &Room, options: &str| {
        room.run(&format!("report {options} -o page.html")).ended(0);
        String::from_utf8(room.read("page.html")).expect("UTF-8")
    };
    let all = page(&room, "scored.jsonl");
    assert_eq!(all.matches("<svg class=\"tree\"").count(), 4);
    room.run("tree in.jsonl --id bakery --svg tree.svg").ended(0);
    let drawing = String::from_utf8(room.read("tree.svg")).expect("UTF-8");
    let (_, inner) = drawing.split_once("</style>").expect("a style");
    assert!(all.contains(inner.trim_end()), "the same drawing");
    // The policy of the page allows one style sheet, its own.
    assert_eq!(all.matches("<style>").count(), 1);
    // One student of the bakery leaves; nobody else does so often.
    let one = page(&room, "scored.jsonl --trees 1");
    assert!(one.contains("the 1 of 4 problems") && one.contains("1 student goes away from here"));
    assert!(!page(&room, "scored.jsonl --trees 0").contains("<svg class=\"tree\""));
    room.run("score in.jsonl --structure tree --detail score -o numbers.jsonl").ended(3);
    assert!(!page(&room, "numbers.jsonl").contains("<svg class=\"tree\""));
    // Records whose tree is lost, or that of another problem, are told and not drawn along it.
    let scored = String::from_utf8(room.read("scored.jsonl")).expect("UTF-8");
    let lines: Vec<Value> = scored.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let write = |name: &str, lines: &[Value]| {
        room.write(name, lines.iter().map(|line| format!("{line}\n")).collect::<String>());
    };
    let rest: Vec<Value> = lines.iter().filter(|line| line["student"] != 0).cloned().collect();
    write("rest.jsonl", &rest);
    let lost = page(&room, "rest.jsonl");
    assert!(lost.contains("along a tree that is not there") && !lost.contains("<svg class=\"tree\""));
    let mut foreign: Vec<Value> = lines.iter().filter(|line| line["id"] == "bakery").cloned().collect();
    foreign[0]["tree"] = lines[0]["tree"].clone();
    foreign[1]["structure"]["teacher"] = 77.into();
    write("foreign.jsonl", &foreign);
    assert!(page(&room, "foreign.jsonl").contains("not in it: <bdi>it was scored along another tree"));
    // Records that anybody may have written.
    let records = room.run("score in.jsonl --structure tree -q").ended(3).records();
    let at =
        records.iter().position(|record| record["tree"]["paths"][1]["nodes"][1] == 4).expect("the bakery");
    for (what, value, why) in [
        ("nodes", json!([0, 4, 0, 3]), "in a circle"),
        ("nodes", json!([0, 9, 2, 3]), "out of turn"),
        ("steps", json!([0, 3, 2, 5]), "goes back"),
    ] {
        let mut changed = records.clone();
        changed[at]["tree"]["paths"][1][what] = value;
        let lines: Vec<String> = changed.iter().map(|record| format!("{record}\n")).collect();
        room.write("changed.jsonl", lines.concat());
        room.run("report changed.jsonl -o page.html").failed(&[&format!("changed.jsonl:{}", at + 1), why]);
    }
}

#[test]
fn hostile_samples_are_shown_or_refused() {
    let room = Room::new();
    let long = |from: usize, count: usize| -> String {
        (from..from + count)
            .map(|n| format!("[Sub-problem {n}]: thing {n}\n[Answer {n}]: {n} + {n} = {}\n\n", n + n))
            .collect()
    };
    let record = json!({"id": "\u{1b}[31m</text><script>alert(1)</script>", "problem": "\u{1b}]0;title\u{7}p\u{202e}",
        "teacher": [long(0, 2000), "", "nothing to see", long(9000, 2000), steps(&[["\u{1b}[2J<b>&\u{9b}", "\u{0}1 + 1 = 2"]])],
        "students": [long(0, 1990), "", long(0, 2100)]});
    room.write("in.jsonl", format!("{record}\n"));
    let ran = room.run("tree in.jsonl --svg tree.svg --judge exact").ended(3);
    let text = ran.text();
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()) && !text.contains('\u{202e}'));
    assert!(text.contains("teacher 1 is left out: the teacher has no steps"), "{}", &text[..400]);
    assert!(text.contains(
        "teacher 3 is left out: with it, the tree of the teachers would have more than 2048 nodes"
    ));
    assert!(text.contains("1 student not scored: it has more than 2048 steps"));
    assert!(text.lines().all(|line| line.chars().count() <= 160), "lines fit");
    let drawing = String::from_utf8(room.read("tree.svg")).expect("UTF-8");
    assert!(!drawing.contains("<script") && !drawing.contains("<b>") && drawing.contains("the 240 of"));
    assert!(
        drawing.chars().all(|c| c == '\n' || !c.is_control()) && drawing.len() < 600_000,
        "{}",
        drawing.len()
    );
    // Nobody has a step.
    room.write(
        "none.jsonl",
        "{\"id\": \"none\", \"problem\": \"p\", \"teacher\": [\"\", \"\"], \"students\": [\"1 + 1 = 2\"]}\n",
    );
    let none = room.run("tree none.jsonl --svg none.svg").ended(3);
    assert!(none.text().contains("There is no tree: the teacher has no steps."), "{}", none.text());
    assert!(room.read("none.svg").ends_with(b"</svg>\n"));
    assert_eq!(room.run("tree none.jsonl --json").ended(3).records()[0]["nodes"], json!([]));
}

/// The rule of the tree in `score`: with one teacher it is `ordered`; with several, the record says whose path it is.
#[test]
fn scores_by_the_tree_are_explained() {
    let room = Room::new();
    room.write("in.jsonl", examples() + &samples(40));
    let scores = |structure_rule: &str| -> Vec<Value> {
        let mut records =
            room.run(&format!("score in.jsonl --structure {structure_rule} -q")).ended(3).records();
        for record in &mut records {
            if let Some(structure) = record.get_mut("structure") {
                structure["mode"] = Value::Null;
            }
            // Of one student of each sample, and of no other rule.
            let graph = record.as_object_mut().expect("a record").remove("tree");
            let first = record["student"] == 0 && record.get("structure").is_some();
            assert!(graph.is_some() == (structure_rule == "tree" && first), "{record}");
        }
        records
    };
    let (tree, ordered) = (scores("tree"), scores("ordered"));
    assert!(tree.len() > 50 && tree.len() == ordered.len());
    // The judge is asked about the first wording only, so several teachers may differ.
    let alone = |record: &&(Value, Value)| {
        record.0["structure"]["teacher"] == 0 && record.1["structure"]["teacher"] == 0
    };
    let pairs: Vec<(Value, Value)> = tree.into_iter().zip(ordered).collect();
    let same = pairs.iter().filter(alone).filter(|(one, other)| one == other).count();
    assert!(same > 40, "{same}");
    room.write("bakery.jsonl", format!("{}\n", bakery()));
    let scored =
        room.run("score bakery.jsonl --structure tree --weights structure=1 -o scored.jsonl").ended(0);
    assert!(scored.err.contains("4 students scored"), "{}", scored.err);
    let records: Vec<Value> = String::from_utf8(room.read("scored.jsonl"))
        .expect("UTF-8")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let found: Vec<(Value, Value)> =
        records.iter().map(|one| (one["structure"]["teacher"].clone(), one["reward"].clone())).collect();
    assert_eq!(found[..2], [(json!(1), json!(1.0)), (json!(0), json!(0.875))]);
    assert_eq!(records[0]["structure"]["mode"], "tree");
    let shown = room.run("explain scored.jsonl --id bakery --student 1").ended(0);
    assert!(
        shown.text().contains("(3 + 0.5) / 4 = 0.88") && shown.text().contains("150 / 6 = 24"),
        "{}",
        shown.text()
    );
    room.run("report scored.jsonl -o page.html").ended(0);
    // As many at once as one by one, whatever the threads.
    let wide = room.run("score in.jsonl --structure tree --threads 4 -q").ended(3);
    assert!(wide.out == room.run("score in.jsonl --structure tree --threads 1 -q").ended(3).out);
    let gone = json!({"id": "g", "problem": "p", "teacher": [""], "students": ["1 + 1 = 2"]});
    room.write("gone.jsonl", format!("{gone}\n"));
    let skipped = room.run("score gone.jsonl --structure tree --weights structure=1 -q").ended(3).records();
    assert_eq!(skipped[0]["parts"]["structure"]["skipped"], "the teacher has no steps");
}
