//! Final answers: what is the same, what is not, and what cannot be said.

use proptest::prelude::*;
use rlkd::answer::{Check, Reason, Rules, Side, Verdict, check, reading, verify};

fn verdict(gold: &str, prediction: &str) -> Verdict {
    verify(gold, prediction, &Rules::default())
}

#[track_caller]
fn same(a: &str, b: &str) {
    assert!(verdict(a, b).is_equal(), "{a:?} = {b:?}: {}", verdict(a, b));
    assert!(verdict(b, a).is_equal(), "{b:?} = {a:?}: {}", verdict(b, a));
}

#[track_caller]
fn different(a: &str, b: &str) {
    for (a, b) in [(a, b), (b, a)] {
        let found = verdict(a, b);
        assert!(!found.is_equal(), "{a:?} != {b:?}: {found}");
    }
}

#[test]
fn numbers_in_many_spellings() {
    for (a, b) in [
        ("7", "007"),
        ("72", "72."),
        ("1200", "$1,200"),
        ("1200", "1 200.00"),
        ("1,200", "\\$1200 \\text{ per week}"),
        ("11111111100", "11,\\! 111,\\! 111,\\! 100"),
        ("14916", "14{,}916"),
        ("0.5", "1/2"),
        ("0.5", ".5"),
        ("0.5", "\\frac{1}{2}"),
        ("0.5", "½"),
        ("-0.5", "\\frac{-1}{2}"),
        ("-0.5", "-\\dfrac12"),
        ("2.5", "2\\frac{1}{2}"),
        ("2.5", "2 1/2"),
        ("2.5", "2½"),
        ("-2.5", "-2 1/2"),
        ("1/3", "2/6"),
        ("\\frac{63}{400}", "\\dfrac{63}{400}"),
        ("1/6", "0.1\\overline{6}"),
        ("50%", "0.5"),
        ("50%", "50"),
        ("50\\%", "50 percent"),
        ("40/900", "4 4/9%"),
        ("1500", "1.5e3"),
        ("1500", "1.5 \\times 10^{3}"),
        ("0.0015", "1.5 × 10^-3"),
        ("0.0015", "1.5 \\cdot 10⁻³"),
        ("1000", "10^3"),
        ("0", "-0.00"),
        ("18", "18 dollars"),
        ("18", "18\\text{ m}"),
        ("18", "18 cm^2"),
        ("72", "72 km/h"),
        ("90", "90^\\circ"),
        ("90^{\\circ}", "90 degrees"),
        ("1 km", "1000 m"),
        ("2 hours", "120 \\text{ minutes}"),
        ("5", "(5)"),
        ("5", "x = 5"),
        ("x=5", "x = 5.0"),
        ("11", "x = 5 + 6 = 11"),
        ("40", "520 - 480 = 40"),
        ("\\frac{\\sqrt{3}}{3} \\approx 0.577", "\\frac{\\sqrt{3}}{3}"),
        ("2041_{5}", "2041_5"),
        ("2041_{5}", "271"),
        ("1/12", "0.0833333333333333"),
        ("100!", "100 \\cdot 99!"),
        ("\\binom{5}{2}", "10"),
        ("7", "\\lfloor 7.9 \\rfloor"),
        ("4", "\\gcd(12, 8)"),
        ("5050", "\\sum_{k=1}^{100} k"),
    ] {
        same(a, b);
    }
    let long = "123456789012345678901234567890123456789012345678901";
    same(long, &format!("{long}.0"));
    different(long, &long.replace("901", "902"));
}

#[test]
fn other_numbers() {
    for (a, b) in [
        ("64/400", "63/400"),
        ("48", "4,8"),
        ("100", "1"),
        ("50", "0.5"),
        ("5", "-5"),
        ("5.001", "5"),
        ("1.325e-27", "1.323e-27"),
        ("0.264", "0.265"),
        ("9007199254740993", "9007199254740992"),
        ("10^{1000000}", "10^{1000000}+1"),
        ("40/9", "4 4/9%"),
        // What is 0 or 1 modulo the primes that are worked with, and nowhere else.
        ("0", "2305843009213693921 \\cdot 2305843009213693693 \\cdot 10^{20000}"),
        ("1", "2^{2305843009213693920 \\cdot 2305843009213693692}"),
        ("1", "x^{2305843009213693920 \\cdot 2305843009213693692}"),
        ("11", "11 6/6"),
        ("12", "11 6/6"),
        ("32349", "32, 349"),
        ("5 kg", "5 m"),
        ("1 km", "1 m"),
        ("2041_5", "2041_6"),
        ("\\sqrt{2}", "1.414"),
        ("\\pi", "3.14"),
    ] {
        different(a, b);
    }
}

#[test]
fn functions_of_all_kinds() {
    for (a, b) in [
        ("x^2 + 2*x + 1", "(x+1)^2"),
        ("x^2 + 1", "1+x^2"),
        ("\\frac{x+2}{7}", "\\frac{x}{7}+\\frac{2}{7}"),
        ("2\\pi", "$2 \\pi$"),
        ("2\\pi", "2π"),
        ("\\frac{9}{4}\\pi", "\\frac94\\pi"),
        ("100p^{\\frac{1}{2}}", "100\\sqrt{p}"),
        ("5\\sqrt{10}", "\\sqrt{250}"),
        ("\\sqrt{3+2\\sqrt{2}}", "1+\\sqrt{2}"),
        ("\\frac{1}{1+\\sqrt{2}}", "\\sqrt2 - 1"),
        ("\\tan^2(y)+1", "\\sec^2(y)"),
        ("\\sin 30^\\circ", "1/2"),
        ("2 \\sin b \\cos a", "\\sin(a+b) - \\sin(a-b)"),
        ("\\frac{1}{2}(\\exp{a*t}+\\exp{-a*t})", "\\cosh(at)"),
        ("-\\tau\\ln\\Delta", "\\tau\\ln(1/\\Delta)"),
        ("\\log_2 8", "3"),
        ("\\ln 8", "3 \\ln 2"),
        ("e^{i\\pi}", "-1"),
        ("\\sqrt{-4}", "2i"),
        ("\\frac{1}{1+i}", "\\frac{1-i}{2}"),
        ("\\sqrt[3]{-8}", "-2"),
        ("\\frac{1}{3\\sqrt[3]{x}^2}", "\\frac{1}{3x^{2/3}}"),
        ("|x|", "\\sqrt{x^2}"),
        ("\\arctan 1", "\\pi/4"),
        ("y = x^2+2x+1", "2x+ 1+x^2"),
        ("f(x) = 2x", "y = 2x"),
        ("2x+4y-3=0", "y=-\\frac{1}{2}x+\\frac{3}{4}"),
        ("34x+45y-20z+100=0", "-34x-45y+20z-100=0"),
        ("x < 1", "-x > -1"),
        ("x \\geq 5", "5 \\leq x"),
        ("x \\neq 3", "x != 3"),
        ("\\begin{pmatrix}1 & 0 \\\\ 0 & 1\\end{pmatrix}", "\\begin{bmatrix}1&0\\\\0&1\\\\\\end{bmatrix}"),
        ("2\\begin{pmatrix}1 \\\\ 2\\end{pmatrix}", "\\begin{pmatrix}2 \\\\ 4\\end{pmatrix}"),
    ] {
        same(a, b);
    }
    for (a, b) in [
        ("x^3+2x+1", "x^2+2x+1"),
        ("(a+5)(b+2)", "(+5)(b+2)"),
        ("x", "\\sqrt{x^2}"),
        ("\\lfloor\\sqrt{n-1}\\rfloor", "\\lfloor\\sqrt{n}\\rfloor"),
        ("\\max(x, 30)", "30"),
        ("2\\cos(t+\\pi/3)", "2\\cos(t-\\frac{2\\pi}{3})"),
        ("1-\\frac{1}{e}", "1+\\frac{1}{e}"),
        ("e^{i\\pi}", "1"),
        ("5", "5x"),
        ("n", "N"),
        ("x = 5", "y = 5"),
        ("7 = 11a+c", "11a+c"),
        ("a+3z = 0", "0"),
        ("x < 1", "x > -1"),
        ("x < 1", "x \\leq 1"),
        ("2x+4y-3=0", "2x+4y-4=0"),
        ("\\sum_{k=0}^{n-1} F_k F_{n-k-1}", "\\sum_{k=0}^{n-2} F_k F_{n-k-2}"),
        ("\\begin{pmatrix}1 & 2 \\\\ 3 & 4\\end{pmatrix}", "\\begin{pmatrix}1 & 2 \\\\ 3 & 5\\end{pmatrix}"),
    ] {
        different(a, b);
    }
    // √5 to fifty digits, and the same with another last one.
    let root = "2.23606797749978969640917366873127623544061835961152";
    let near = Rules { float_rounding: None, ..Rules::default() };
    assert!(!verify(root, "\\sqrt5", &near).is_equal());
    assert!(verdict(root, "\\sqrt5").is_equal());
}

#[test]
fn sets_tuples_and_intervals() {
    for (a, b) in [
        ("(3, 4)", "\\left(3,4\\right)"),
        ("1,2,3", "\\{3, 1, 2\\}"),
        ("1, 2 and 3", "{1,2,3}"),
        ("-12;-11;-10", "\\{-12, -11, -10\\}"),
        ("(11,7)or(7,11)", "(7,11),\\ (11,7)"),
        ("1 \\pm \\sqrt{19}", "1+\\sqrt{19}, 1-\\sqrt{19}"),
        ("\\pm 3", "3, -3"),
        ("AB=4,CD=5", "4, 5"),
        ("p=5,q=2;p=7,q=2", "(5,2),(7,2)"),
        ("(p,q,r)=(3,2,7)", "(3,2,7)"),
        ("S_{MBCN}:S=7:32", "7:32"),
        ("1:2:3", "2:4:6"),
        ("[0,1)", "\\left[0, 1\\right)"),
        ("(-\\infty,-3]\\cup[2,\\infty)", "[2, ∞) ∪ (-∞, -3]"),
        ("(-\\infty,1)\\cup(1,\\infty)", "\\mathbb{R}\\setminus\\{1\\}"),
        ("\\emptyset", "\\{\\}"),
        ("-2,-2", "-2"),
    ] {
        same(a, b);
    }
    for (a, b) in [
        ("(3, 4)", "(4, 3)"),
        ("(3,1)", "\\{1,3\\}"),
        ("[2,\\infty)", "(2,\\infty)"),
        ("[0,9)", "[0,1)"),
        ("1", "-[0,1)"),
        ("\\sqrt{67}", "\\sqrt{67},-\\sqrt{85}"),
        ("(312,123,231)", "(312,123,321,231)"),
        ("12:00", "1:00"),
        ("1 \\pm \\sqrt{19}", "1+\\sqrt{19}"),
    ] {
        different(a, b);
    }
    // Inequalities for sets: for gold ones always, for predictions where it is allowed.
    assert!(verdict("-793 < a < 10", "(-793, 10)").is_equal());
    assert!(
        verdict("1\\leq|z|\\leq \\frac{3}{2}", "z \\in [-\\frac{3}{2}, -1] \\cup [1, \\frac{3}{2}]")
            .is_equal()
    );
    let allowed = Rules { allow_set_relation_comp: true, ..Rules::default() };
    assert!(!verdict("x \\in [-2,7]", "-2 \\le x \\le 7").is_equal());
    assert!(verify("x \\in [-2,7]", "-2 \\le x \\le 7", &allowed).is_equal());
    assert!(!verify("x \\in [-2,7)", "-2 \\le x \\le 7", &allowed).is_equal());
}

#[test]
fn where_names_mean_nothing() {
    let loose = Rules { strict: false, ..Rules::default() };
    for (gold, prediction, is_same) in [
        ("x+1", "y+1", true),
        ("x+2y", "a+2b", true),
        ("x+2y", "2a+b", false),
        ("a+2b", "2d+c", false),
        ("x+y", "a", false),
        ("\\{1,2\\}", "(2,1)", true),
        ("\\{1,2\\}", "(2,2)", false),
        ("(1,2)", "(2,1)", false),
        ("x = 5", "y = 5", true),
    ] {
        assert_eq!(verify(gold, prediction, &loose).is_equal(), is_same, "{gold} {prediction}");
        assert!(verify(gold, gold, &loose).is_equal());
        // What is the same with names is so without.
        assert!(verify("x - 2y", "-2y + x", &loose).is_equal());
        if is_same {
            assert!(!verdict(gold, prediction).is_equal(), "{gold} {prediction}");
        }
    }
}

#[test]
fn what_was_read_is_told_in_sympys_syntax() {
    for (text, expected) in [
        ("\\frac{x^2-1}{2}", "(x**2 - 1)/2"),
        ("-\\frac12x", "-1/2*x"),
        ("2^{-3}", "2**(-3)"),
        ("-2^2", "-2**2"),
        ("(-2)^2", "(-2)**2"),
        ("a/(bc)", "a/(b*c)"),
        ("a - (b - c)", "a - (b - c)"),
        ("0.25", "1/4"),
        ("0.25^2", "(1/4)**2"),
        ("\\sqrt[3]{x}", "real_root(x, 3)"),
        ("\\log_2 8", "log(8, 2)"),
        ("[0, \\infty)", "Interval(0, oo, False, True)"),
        ("\\{1,2\\} \\cup \\{3\\}", "Union(FiniteSet(1, 2), FiniteSet(3))"),
        ("\\sum_{k=1}^{n} k", "Sum(k, (k, 1, n))"),
        ("x \\le 3", "x <= 3"),
        ("30^\\circ", "30*degree"),
        ("50\\%", "50*percent"),
        ("\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", "Matrix([[1, 2], [3, 4]])"),
        ("E_k", "E_k"),
    ] {
        assert_eq!(reading(text).as_deref(), Ok(expected), "{text}");
    }
    assert_eq!(reading("\\frac{1}{"), Err(9));
    // No longer than a page, whatever is read.
    for text in ["/3".repeat(250), "+x".repeat(30_000), "10^{1000000}".into()] {
        assert!(reading(&format!("5{text}")).is_ok_and(|read| read.len() < 20_000));
    }
}

#[test]
fn words_and_choices() {
    for (a, b) in [
        ("\\text{Yes}", "yes"),
        ("\\text{odd}", "odd"),
        ("\\text{Evelyn}", "Evelyn"),
        ("no solution", "No solution."),
        ("B", "(B)"),
        ("B", "B) 42"),
        ("\\text{(B)}", "B"),
        ("\\textbf{A}", "A"),
        ("f'", "f'"),
    ] {
        same(a, b);
    }
    for (a, b) in
        [("\\text{oddd}", "odd"), ("B", "C) 42"), ("B) 7", "B) 8"), ("None", "0"), ("\\mathrm{E}*2", "E")]
    {
        different(a, b);
    }
}

#[test]
fn a_gold_that_cannot_be_read_is_a_skip_and_never_a_zero() {
    let prose = "because every side of the figure is as long as the one that lies across from it";
    for gold in ["", " $$ ", ".", "unparseable_latex", "no_answer", prose, "\\frac{1}{", "3 + * 4"] {
        let found = verdict(gold, "5");
        assert!(matches!(found, Verdict::Unparsable { which: Side::Gold, .. }), "{gold:?}: {found}");
        assert_eq!(check(gold, "\\boxed{5}").outcome().value(), None, "{gold:?}");
    }
    let deep = "(".repeat(200) + "1" + &")".repeat(200);
    assert!(matches!(verdict("\\frac{1}{", &deep), Verdict::Unparsable { which: Side::Gold, .. }));
    let found = verdict("5", "5 + * 4");
    assert_eq!(found, Verdict::Different(Reason::Unreadable(4)), "{found}");
    let kept = Rules { unparsable_is_different: false, ..Rules::default() };
    let found = verify("5", "5 + * 4", &kept);
    assert!(matches!(found, Verdict::Unparsable { which: Side::Prediction, at: 4 }), "{found}");
    assert_eq!(check("5", "\\boxed{5 + * 4}"), Check::Wrong);
}

/// What would take for ever or all memory: an answer, or that it is too complex.
#[test]
fn hostile_answers_cost_no_more_than_the_budget() {
    let deep = "{".repeat(100_000) + "1" + &"}".repeat(100_000);
    let unknowns: String = (0..5_000).map(|n| format!("x_{{{n}}}+")).collect::<String>() + "1";
    let matrix = format!("\\begin{{pmatrix}}{}\\end{{pmatrix}}", "1&".repeat(20_000) + "1");
    // What nests without brackets.
    let rows = ["!", "/3", "^\\circ", "\\%", "\\cup[3,4]", "\\pm 2", "\\bmod 7"]
        .map(|part| format!("5{}", part.repeat(9_000)));
    let cases = [
        deep.as_str(),
        "9^{9^{9^9}}",
        "100000!",
        "1000000000!",
        "10^{1000000}",
        "1e1000000",
        "e^{e^{e^{e^{e}}}}",
        "\\sin(10^{100})",
        "\\binom{10^{50}}{10^{40}}",
        "\\sum_{k=1}^{1000000000} k^{k}",
        "2^{2^{2^{2^{2^{2}}}}}",
        "\\sqrt{\\sqrt{\\sqrt{\\sqrt{2}}}}^{1000000}",
        unknowns.as_str(),
        matrix.as_str(),
        "\u{0}\u{1}\u{2}\u{7f}5",
        "((((((((((",
        "))))))))",
        "1/0",
        "0/0",
        "\\frac{1}{x-x}",
        rows[0].as_str(),
        rows[1].as_str(),
        rows[2].as_str(),
        rows[3].as_str(),
        rows[4].as_str(),
        rows[5].as_str(),
        rows[6].as_str(),
    ];
    for text in cases {
        for other in ["1", "10^{1000000}+1", "x^2+1"] {
            let found = verdict(text, other);
            assert!(!found.is_equal(), "{:?} = {other:?}: {found}", &text[..text.len().min(40)]);
            verdict(other, text);
        }
        let found = verdict(text, text);
        assert!(found.is_equal() || matches!(found, Verdict::Unparsable { .. }), "{found}");
    }
    // A million entries, and ten megabytes.
    let million = format!("\\begin{{pmatrix}}{}1\\end{{pmatrix}}", "1&".repeat(1_000_000));
    assert!(matches!(verdict(&million, "1"), Verdict::TooComplex { .. }));
    assert_eq!(check("1", &format!("\\boxed{{{million}}}")), Check::Wrong);
    let long = "1+".repeat(5 << 20) + "1";
    assert!(matches!(verdict(&long, "1"), Verdict::TooComplex { .. }));
    assert!(verdict(&long, &long).is_equal());
    assert_eq!(check("7", &long), Check::Wrong);
    #[cfg(target_os = "linux")]
    {
        let status = std::fs::read_to_string("/proc/self/status").expect("a status");
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB")?.trim().parse().ok());
        let peak: u64 = peak.expect("the most memory that was resident");
        assert!(peak < 256 << 10, "{peak} kB");
    }
}

/// A random expression of numbers and variables.
fn expression() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![(0i64..50).prop_map(Tree::Number), "[xyz]".prop_map(Tree::Variable),];
    leaf.prop_recursive(4, 24, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Tree::Sum(a.into(), b.into())),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Tree::Difference(a.into(), b.into())),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Tree::Product(a.into(), b.into())),
            (inner.clone(), 1i64..20).prop_map(|(a, b)| Tree::Quotient(a.into(), Tree::Number(b).into())),
            (inner, 0i64..4).prop_map(|(a, n)| Tree::Power(a.into(), n)),
        ]
    })
}

#[derive(Clone, Debug)]
enum Tree {
    Number(i64),
    Variable(String),
    Sum(Box<Tree>, Box<Tree>),
    Difference(Box<Tree>, Box<Tree>),
    Product(Box<Tree>, Box<Tree>),
    Quotient(Box<Tree>, Box<Tree>),
    Power(Box<Tree>, i64),
}

impl Tree {
    /// In LaTeX, summands and factors as they are.
    fn latex(&self) -> String {
        match self {
            Tree::Number(n) => n.to_string(),
            Tree::Variable(name) => name.clone(),
            Tree::Sum(a, b) => format!("\\left({} + {}\\right)", a.latex(), b.latex()),
            Tree::Difference(a, b) => format!("\\left({} - {}\\right)", a.latex(), b.latex()),
            Tree::Product(a, b) => format!("{} \\cdot {}", a.latex(), b.latex()),
            Tree::Quotient(a, b) => format!("\\frac{{{}}}{{{}}}", a.latex(), b.latex()),
            Tree::Power(a, n) => format!("{{\\left({}\\right)}}^{{{n}}}", a.latex()),
        }
    }

    /// In plain text, summands and factors the other way round.
    fn plain(&self) -> String {
        match self {
            Tree::Number(n) => n.to_string(),
            Tree::Variable(name) => name.clone(),
            Tree::Sum(a, b) => format!("({}+{})", b.plain(), a.plain()),
            Tree::Difference(a, b) => format!("(-({})+{})", b.plain(), a.plain()),
            Tree::Product(a, b) => format!("({})*({})", b.plain(), a.plain()),
            Tree::Quotient(a, b) => format!("({})/({})", a.plain(), b.plain()),
            Tree::Power(a, n) => format!("({})**{n}", a.plain()),
        }
    }

    fn value(&self, at: &[f64; 3]) -> f64 {
        match self {
            Tree::Number(n) => *n as f64,
            Tree::Variable(name) => at[(name.as_bytes()[0] - b'x') as usize],
            Tree::Sum(a, b) => a.value(at) + b.value(at),
            Tree::Difference(a, b) => a.value(at) - b.value(at),
            Tree::Product(a, b) => a.value(at) * b.value(at),
            Tree::Quotient(a, b) => a.value(at) / b.value(at),
            Tree::Power(a, n) => a.value(at).powi(*n as i32),
        }
    }

    /// With its first number changed.
    fn changed(&self) -> Option<Tree> {
        let both = |a: &Tree, b: &Tree, new: fn(Box<Tree>, Box<Tree>) -> Tree| match a.changed() {
            Some(other) => Some(new(other.into(), b.clone().into())),
            None => b.changed().map(|other| new(a.clone().into(), other.into())),
        };
        match self {
            Tree::Number(n) => Some(Tree::Number(n + 1)),
            Tree::Variable(_) => None,
            Tree::Sum(a, b) => both(a, b, Tree::Sum),
            Tree::Difference(a, b) => both(a, b, Tree::Difference),
            Tree::Product(a, b) => both(a, b, Tree::Product),
            Tree::Quotient(a, b) => both(a, b, Tree::Quotient),
            Tree::Power(a, n) => a.changed().map(|other| Tree::Power(other.into(), *n)),
        }
    }
}

proptest! {
    #[test]
    fn symmetric_and_reflexive(a in "[-0-9a-cA-C ./,%\\\\{}()$=x^]{0,12}", b in "[-0-9a-cA-C ./,%\\\\{}()$=x^]{0,12}") {
        let reads = |text: &str| !matches!(verdict(text, "1"), Verdict::Unparsable { which: Side::Gold, .. });
        if reads(&a) {
            prop_assert!(verdict(&a, &a).is_equal());
            if reads(&b) {
                prop_assert_eq!(verdict(&a, &b).is_equal(), verdict(&b, &a).is_equal());
            }
        }
    }

    #[test]
    fn integers_are_equal_only_to_themselves(a in any::<i64>(), b in any::<i64>()) {
        prop_assert_eq!(verdict(&a.to_string(), &b.to_string()).is_equal(), a == b);
    }

    #[test]
    fn fractions_survive_scaling(a in -9999i64..9999, b in 1i64..9999, k in 1i64..9999) {
        let scaled = format!("\\frac{{{}}}{{{}}}", a * k, b * k);
        let fraction = format!("{a}/{b}");
        let other = format!("{}/{}", a * k + 1, b * k);
        prop_assert!(verdict(&fraction, &scaled).is_equal());
        prop_assert!(!verdict(&other, &scaled).is_equal());
    }

    #[test]
    fn wrappers_and_white_space_mean_nothing(tree in expression(), spaces in 0usize..3) {
        let text = tree.latex();
        let wrapped = format!("${}\\boxed{{\\displaystyle {text}}}$.", " ".repeat(spaces));
        prop_assert!(verdict(&text, &wrapped).is_equal(), "{} {}", text, verdict(&text, &wrapped));
    }

    #[test]
    fn trees_printed_two_ways_are_the_same(tree in expression()) {
        let (a, b) = (tree.latex(), tree.plain());
        prop_assert!(verdict(&a, &b).is_equal(), "{a} = {b}: {}", verdict(&a, &b));
    }

    #[test]
    fn one_number_changed_is_another_tree(tree in expression()) {
        let Some(other) = tree.changed() else { return Ok(()) };
        // Different values somewhere mean different trees; the same everywhere, the same tree.
        let points = [[0.37, 1.91, 2.63], [1.37, 0.41, 3.17], [2.71, 1.13, 0.59]];
        let apart = points.iter().any(|at| {
            let (a, b) = (tree.value(at), other.value(at));
            (a - b).abs() > 1e-6 * (1.0 + a.abs().max(b.abs()))
        });
        let alike = points.iter().all(|at| {
            let (a, b) = (tree.value(at), other.value(at));
            (a - b).abs() < 1e-11 * (1.0 + a.abs().max(b.abs()))
        });
        let found = verdict(&tree.latex(), &other.plain());
        if apart {
            prop_assert!(!found.is_equal(), "{} = {}: {found}", tree.latex(), other.plain());
        } else if alike {
            prop_assert!(found.is_equal(), "{} = {}: {found}", tree.latex(), other.plain());
        }
    }
}
