//! The graph of several teachers against slow ones, and what must hold of every graph.
#[path = "oracle/tree.rs"]
mod slow;

use proptest::prelude::*;
use rlkd::align::tree::{Crowd, Followed, Tree, Variety, Walker};
use rlkd::align::{Alignment, MAX_STEPS, Mode, Next, Options};
use rlkd::judge::Verdict;
use rlkd::trace::{Span, Step, StepKind, StepList};
use serde_json::Value;
use slow::{Judge, best_branch, check, exact, follow, grow, most_joined, near, ordered, paths, walk};

/// A step list from lines such as "question|answer"; `?` in front marks verification.
fn list(lines: &[&str]) -> StepList {
    let mut list = StepList::default();
    for line in lines {
        let (kind, line) = match line.strip_prefix('?') {
            Some(line) => (StepKind::Verify, line),
            None => (StepKind::Progress, *line),
        };
        let mut spans = line.split('|').map(|part| {
            let start = list.text.len();
            list.text.push_str(part);
            Span::new(start, list.text.len())
        });
        let [sub_problem, answer] = [(); 2].map(|()| spans.next().unwrap_or_default());
        list.steps.push(Step { sub_problem, answer, kind, ..Step::default() });
    }
    list
}

#[test]
fn teachers_that_agree_share_nodes_and_part_where_they_choose() {
    let teachers = [
        list(&["total|432", "sold|276", "?check|1", "left|156", "bags|26"]),
        list(&["total|432", "left at noon|200", "left|156", "bags|26"]),
        list(&["total|432", "sold|276", "left|156", "bags|26"]),
        list(&["total|432", "sold|270", "left|162"]),
    ];
    let tree = grow(Options::default(), &teachers, exact);
    check(&tree, &teachers);
    let nodes: Vec<Vec<u32>> = tree.paths().iter().flatten().map(|path| path.nodes.clone()).collect();
    assert_eq!(nodes, [vec![0, 1, 2, 3], vec![0, 4, 2, 3], vec![0, 1, 2, 3], vec![0, 5, 6]]);
    assert_eq!(tree.nodes()[2].members, [(0, 3), (1, 2), (2, 2)]);
    let ways: Vec<(Option<u32>, usize)> =
        tree.next(Some(0)).iter().map(|edge| (edge.to, edge.teachers.len())).collect();
    assert_eq!(ways, [(Some(1), 2), (Some(4), 1), (Some(5), 1)]);

    let variety = Variety::of(&tree);
    assert_eq!((variety.paths, variety.branches), (4, 3));
    assert_eq!(variety.branching, [1.0, 3.0, 1.0, 1.0]);
    // Shares of 1/2, 1/4 and 1/4.
    assert!((variety.entropy - 1.5).abs() < 1e-12, "{}", variety.entropy);
    // Jaccard's distances of the six pairs: 1 - 3/5 twice, 0, and 1 - 1/6 three times.
    assert!((variety.diversity - (2.0 * 0.4 + 3.0 * 5.0 / 6.0) / 6.0).abs() < 1e-12, "{}", variety.diversity);

    let students = [
        // The second teacher's way, with a slip at the end.
        list(&["total|432", "left at noon|200", "left|156", "bags|25"]),
        // Leaves after the total and never comes back.
        list(&["total|432", "x|1", "y|2"]),
        // Stops early.
        list(&["total|432", "sold|276"]),
        // Never comes to it.
        list(&["z|3"]),
    ];
    let followed: Vec<Followed> =
        students.iter().filter_map(|one| follow(Options::default(), &tree, one, exact)).collect();
    assert_eq!(followed.iter().map(|one| one.teacher).collect::<Vec<_>>(), [1, 3, 0, 0]);
    let crowd = Crowd::new(&tree, &followed);
    assert_eq!(crowd.students, 4);
    let at = |node: usize| {
        let passing = crowd.nodes[node];
        [passing.taken, passing.slips, passing.left, passing.stopped]
    };
    assert_eq!(at(0), [3, 0, 1, 0]);
    assert_eq!(at(3), [1, 1, 0, 0]);
    assert_eq!(at(1), [1, 0, 0, 1]);
    assert_eq!(at(5), [0, 0, 0, 0]);
    assert_eq!((crowd.start.taken, crowd.start.left, crowd.start.stopped), (4, 1, 0));
    let choice = &crowd.choices[0];
    assert_eq!((choice.node, choice.elsewhere, choice.students()), (Some(0), 1, 3));
    let ways: Vec<u32> = choice.ways.iter().map(|way| way.students).collect();
    assert_eq!(ways, [1, 1, 0]);
    // The smaller shares: a third beside a half, a quarter beside a third, nothing beside a quarter.
    let near = |share: Option<f64>| share.is_some_and(|share| (share - 7.0 / 12.0).abs() < 1e-12);
    assert!(near(choice.agreement) && near(crowd.agreement()), "{choice:?}");
}

#[test]
fn graphs_without_steps_say_why() {
    let none = list(&["?a|b"]);
    let tree = grow(Options::default(), &[none.clone(), StepList::default()], exact);
    assert!(tree.is_empty());
    assert_eq!(tree.paths().iter().filter(|path| path.is_err()).count(), 2);
    let mut walker = Walker::default();
    walk(&mut walker, &tree, &list(&["a|b"]), exact);
    let why = walker.follow(&tree).expect("answered").expect_err("no teacher");
    assert_eq!(why.0, "the teacher has no steps");
    let one = grow(Options::default(), &[none, list(&["a|b"])], exact);
    check(&one, &[list(&["?a|b"]), list(&["a|b"])]);
    assert_eq!(
        follow(Options::default(), &one, &list(&["a|b"]), exact).map(|f| (f.teacher, f.alignment.total)),
        Some((1, 1.0))
    );
    assert_eq!(
        follow(Options::default(), &one, &StepList::default(), exact).map(|f| f.alignment.total),
        Some(0.0)
    );
    assert_eq!(Variety::of(&Tree::default()), Variety::default());
}

/// Long teachers without a step in common: the graph stays bounded, and students can still be scored.
#[test]
fn a_graph_stays_bounded() {
    let long = |from: u32, count: usize| {
        let step = |at: u32| Step {
            sub_problem: Span::new(0, 1),
            answer: Span { start: from + at, end: from + at + 1 },
            ..Step::default()
        };
        StepList {
            text: "x".repeat(8 * MAX_STEPS),
            steps: (0..count as u32).map(step).collect(),
            ..StepList::default()
        }
    };
    let no: Judge = |_, _, _| Verdict::NO;
    let teachers = [long(0, 2000), long(2000, 2000), long(4000, 40)];
    let (mut tree, mut walker) = (Tree::default(), Walker::default());
    let mut outcomes = Vec::new();
    for teacher in &teachers {
        walk(&mut walker, &tree, teacher, no);
        outcomes.push(walker.join(&mut tree, teacher).expect("answered").is_ok());
    }
    assert_eq!(outcomes, [true, false, true]);
    assert_eq!((tree.nodes().len(), tree.paths().len()), (2040, 3));
    assert!(follow(Options::default(), &tree, &long(1, 2000), no).is_some());
    assert!(matches!(Walker::default().start(&tree, &long(0, MAX_STEPS + 1)), Next::Unscorable(_)));
}

#[test]
fn a_walk_belongs_to_its_graph() {
    let teachers = [list(&["a|b"]), list(&["c|d"])];
    let (one, two) =
        (grow(Options::default(), &teachers[..1], exact), grow(Options::default(), &teachers, exact));
    let mut walker = Walker::default();
    assert!(walker.follow(&one).is_err(), "not started");
    walk(&mut walker, &one, &teachers[1], exact);
    assert!(walker.follow(&two).is_err());
    assert!(walker.join(&mut one.clone(), &StepList::default()).is_err(), "another list");
    assert!(walker.follow(&one).is_ok());
}

fn lists(most: usize) -> impl Strategy<Value = Vec<StepList>> {
    let line =
        ("[?]{0,1}", "[a-d]", "[uvw]").prop_filter_map("mostly progress", |(kind, question, answer)| {
            (kind.is_empty() || question == "a").then(|| format!("{kind}{question}|{answer}"))
        });
    let one = prop::collection::vec(line, 0..=5)
        .prop_map(|lines| list(&lines.iter().map(String::as_str).collect::<Vec<_>>()));
    prop::collection::vec(one, 1..=most)
}

fn options() -> impl Strategy<Value = Options> {
    (0u8..=4, 0u8..=4).prop_map(|(extra, half)| Options {
        extra_cost: f32::from(extra) / 4.0,
        half_credit: f32::from(half) / 4.0,
        soft: false,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_graph_holds_its_teachers(teachers in lists(4), transitive in any::<bool>()) {
        let judge = if transitive { exact } else { near };
        check(&grow(Options::default(), &teachers, judge), &teachers);
    }

    /// A teacher joins along the path that takes the most of its steps: all paths, all alignments.
    #[test]
    fn no_path_is_joined_by_more_steps(teachers in lists(4), transitive in any::<bool>()) {
        let judge = if transitive { exact } else { near };
        let (last, before) = teachers.split_last().expect("one at least");
        let (old, new) = (grow(Options::default(), before, judge), grow(Options::default(), &teachers, judge));
        let joined = last.progress().count() - (new.nodes().len() - old.nodes().len());
        let most = paths(&old, None).iter().map(|path| most_joined(&old, path, last, judge)).max();
        prop_assert_eq!(joined, most.unwrap_or(0));
    }

    /// In JSON it is the same tree, and what is changed in it is refused or makes another tree that holds.
    #[test]
    fn a_tree_comes_back(teachers in lists(5), transitive in any::<bool>(), change in (any::<usize>(), any::<usize>(), 0..40u32)) {
        let judge = if transitive { exact } else { near };
        let tree = grow(Options::default(), &teachers, judge);
        let mut json = serde_json::to_value(&tree).expect("JSON");
        prop_assert_eq!(&serde_json::from_value::<Tree>(json.clone()).expect("a tree"), &tree);
        let paths = json["paths"].as_array_mut().expect("paths");
        let one = change.0 % paths.len();
        for part in ["nodes", "steps"] {
            let Some(list) = paths[one].get_mut(part).and_then(Value::as_array_mut) else { continue };
            let at = change.1 % list.len();
            list[at] = change.2.into();
        }
        if let Ok(other) = serde_json::from_value::<Tree>(json) {
            let place = |node: &u32| other.order().iter().position(|one| one == node);
            for path in other.paths().iter().flatten() {
                prop_assert!(path.nodes.is_sorted_by_key(place) && path.steps.is_sorted());
            }
            Crowd::new(&other, &[]);
        }
    }

    /// One teacher: the rule `ordered`, to the bit, pairs and ties included.
    #[test]
    fn one_teacher_is_ordered(teachers in lists(1), students in lists(1), options in options(), transitive in any::<bool>()) {
        let judge = if transitive { exact } else { near };
        let tree = grow(options, &teachers, judge);
        let found = follow(options, &tree, &students[0], judge);
        let expected = ordered(options, &teachers[0], &students[0], judge);
        prop_assert_eq!(found.map(|f| f.alignment), expected.map(|a| Alignment { mode: Mode::Tree, ..a }));
    }

    /// Several teachers: the best of the branches, each a teacher of `ordered`.
    #[test]
    fn the_best_branch_is_found(teachers in lists(4), students in lists(1), options in options(), transitive in any::<bool>()) {
        let judge = if transitive { exact } else { near };
        let tree = grow(options, &teachers, judge);
        let found = follow(options, &tree, &students[0], judge).map(|f| (f.teacher, f.alignment));
        prop_assert_eq!(found, best_branch(options, &tree, &students[0], judge));
    }

    /// A judge that compares texts: sharing nodes changes no score, so the tree is the best of separate alignments.
    #[test]
    fn with_a_transitive_judge_it_is_the_best_teacher(teachers in lists(4), students in lists(1), options in options()) {
        let tree = grow(options, &teachers, exact);
        let found = follow(options, &tree, &students[0], exact).map(|f| f.alignment.total);
        let totals = teachers.iter().filter_map(|one| ordered(options, one, &students[0], exact)).map(|a| a.total);
        prop_assert_eq!(found, totals.max_by(f64::total_cmp));
    }

    #[test]
    fn figures_stay_in_their_ranges(teachers in lists(5), students in lists(5)) {
        let tree = grow(Options::default(), &teachers, near);
        let variety = Variety::of(&tree);
        prop_assert!((0.0..=1.0).contains(&variety.diversity));
        prop_assert!(variety.branches <= variety.paths && variety.branching.iter().all(|ways| *ways >= 1.0));
        let most = bits(variety.paths);
        prop_assert!((0.0..=most + 1e-12).contains(&variety.entropy), "{} {most}", variety.entropy);
        let followed: Vec<Followed> =
            students.iter().filter_map(|one| follow(Options::default(), &tree, one, near)).collect();
        let crowd = Crowd::new(&tree, &followed);
        let ends = |one: &rlkd::align::tree::Passing| one.left + one.stopped;
        prop_assert!(crowd.nodes.iter().chain([&crowd.start]).all(|one| ends(one) <= one.taken && one.slips <= one.taken));
        for choice in &crowd.choices {
            let taken = choice.node.map_or(crowd.start.taken, |node| crowd.nodes[node as usize].taken);
            prop_assert!(choice.students() == taken && choice.ways.len() > 1);
            prop_assert!(choice.agreement.is_none_or(|share| (0.0..=1.0 + 1e-12).contains(&share)));
        }
    }
}

fn bits(number: usize) -> f64 {
    (number.max(1) as f64).log2()
}

#[test]
fn what_makes_no_tree_is_refused() {
    let step = |n: usize| {
        format!(r#"{{"meta_reasoning":[0,0],"sub_problem":[0,{n}],"answer":[0,0],"kind":"progress"}}"#)
    };
    let tree = |nodes: usize, paths: &str| {
        let steps: Vec<String> = (0..nodes).map(step).collect();
        let text = format!(r#"{{"steps":{{"text":"abc","steps":[{}]}},"paths":[{paths}]}}"#, steps.join(","));
        serde_json::from_str::<Tree>(&text).map_err(|error| error.to_string())
    };
    let good = r#"{"nodes":[0,1],"steps":[0,1]}"#;
    assert_eq!(tree(2, good).map(|tree| tree.nodes().len()), Ok(2));
    assert!(tree(0, "").is_ok_and(|tree| tree.is_empty()));
    for (nodes, paths, why) in [
        (3, good.to_owned(), "no path takes"),
        (1, good.to_owned(), "out of turn"),
        (2, format!(r#"{good},{{"nodes":[1,0],"steps":[0,1]}}"#), "in a circle"),
        (2, format!(r#"{good},{{"nodes":[1,1],"steps":[0,1]}}"#), "in a circle"),
        (2, r#"{"nodes":[0,1],"steps":[1,0]}"#.to_owned(), "goes back"),
        (2, r#"{"nodes":[0,1],"steps":[1]}"#.to_owned(), "a step for each"),
        (0, r#"{"nodes":[],"steps":[]}"#.to_owned(), "one at least"),
        (MAX_STEPS + 1, good.to_owned(), "2048 at most"),
    ] {
        let error = tree(nodes, &paths).expect_err(why);
        assert!(error.contains(why), "{error}");
    }
}

/// The views for people, of any graph.
#[cfg(feature = "report")]
mod shown {
    use rlkd::report::tree::{View, json, svg, text};

    use super::*;

    fn view<'a>(tree: &'a Tree, crowd: Option<&'a Crowd>) -> View<'a> {
        View { id: "id", problem: "", of: "teachers", tree, crowd, students: None, unscored: &[] }
    }

    /// Elements are closed in the order in which they were opened, and text holds no mark-up.
    fn well_formed(drawing: &str) {
        let mut open = Vec::new();
        for piece in drawing.split('<').skip(1) {
            let (tag, text) = piece.split_once('>').expect("a tag that ends");
            assert!(!text.contains('>'), "{text}");
            match tag.strip_prefix('/') {
                Some(name) => assert_eq!(open.pop(), Some(name)),
                None if tag.ends_with('/') => {}
                None => open.push(tag.split(' ').next().expect("a name")),
            }
        }
        assert!(open.is_empty(), "{open:?}");
    }

    /// Each node stands once, and each way of a choice has its line.
    fn check_views(tree: &Tree, crowd: Option<&Crowd>) {
        let edges = |node: Option<u32>| tree.next(node).len();
        let places = || tree.order().iter().copied().map(Some).chain([None]);
        let shown = text(&view(tree, crowd), 100, false);
        let stands = |node: u32| {
            let start = format!("[{node}] ");
            shown.lines().filter(|line| line.trim_start_matches(['│', ' ']).starts_with(&start)).count()
        };
        assert!(tree.order().iter().all(|node| stands(*node) == 1), "{shown}");
        let ways: usize = places().map(edges).filter(|ways| *ways > 1).sum();
        assert_eq!(shown.lines().filter(|line| line.contains("├─ ")).count(), ways, "{shown}");
        let colored = text(&view(tree, crowd), 100, true);
        let plain: String = colored
            .split('\x1b')
            .map(|piece| {
                piece.split_once('m').map_or(
                    piece,
                    |(code, rest)| {
                        if code.starts_with('[') { rest } else { piece }
                    },
                )
            })
            .collect();
        assert_eq!(plain, shown, "colour changes nothing else");

        let drawing = svg(&view(tree, crowd));
        well_formed(&drawing);
        assert_eq!(drawing.matches("<rect").count(), tree.nodes().len());
        assert_eq!(drawing.matches("class=\"way\"").count(), places().map(edges).sum::<usize>());
        let record = json(&view(tree, crowd));
        assert_eq!(record["nodes"].as_array().map(Vec::len), Some(tree.nodes().len()));
    }

    /// Choices within choices that meet only at the end: as many as there are teachers.
    #[test]
    fn deep_choices_are_shown() {
        let names: Vec<String> = (0..120).map(|at| format!("q{at}|a{at}")).collect();
        let teachers: Vec<StepList> = (0..119)
            .map(|own| {
                let mut lines: Vec<&str> = names[..=own].iter().map(String::as_str).collect();
                let other = format!("own{own}|x");
                lines.push(&other);
                list(&lines)
            })
            .rev()
            .collect();
        let tree = grow(Options::default(), &teachers, exact);
        assert_eq!(tree.nodes().len(), 238);
        check_views(&tree, None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_node_stands_once(teachers in lists(5), students in lists(4), transitive in any::<bool>()) {
            let judge = if transitive { exact } else { near };
            let tree = grow(Options::default(), &teachers, judge);
            let followed: Vec<Followed> =
                students.iter().filter_map(|one| follow(Options::default(), &tree, one, judge)).collect();
            if !tree.is_empty() {
                check_views(&tree, Some(&Crowd::new(&tree, &followed)));
            }
        }
    }
}
