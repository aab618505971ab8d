//! Answers that look alike and are not, answers that do not look alike and are, and texts that hedge: what a policy
//! that is rewarded for right answers could find.

use rlkd::answer::{Check, Options, Rules, check, of_completion, verify};

fn is_same(gold: &str, prediction: &str) -> bool {
    verify(gold, prediction, &Rules::default()).is_equal()
}

#[test]
fn other_answers_are_different() {
    for (a, b) in [
        ("0.\\overline{3}", "0.\\overline{4}"),
        ("0.\\overline{3}", "0"),
        ("3.\\overline{6}", "3"),
        ("23", "2 3"),
        ("123", "1 2 3"),
        ("-12", "-1 2"),
        ("1/23", "1/2 3"),
        ("48", "4$8"),
        ("44", "4\\right4"),
        ("5", "5 squared"),
        ("5", "5 million"),
        ("5", "5 over 3"),
        ("5", "5 out of 7"),
        ("3", "3 halves"),
        ("5 million", "5 billion"),
        ("\\$1.2 \\text{ million}", "\\$1.2 \\text{ billion}"),
        ("4 PM", "4 AM"),
        ("30 north", "30 south"),
        ("60 \\text{ km/h}", "60 \\text{ mph}"),
        ("5 \\text{ km/h}", "5 \\text{ m/s}"),
        ("2400 \\mbox{ cm}^2", "2400 \\mbox{ cm}^8"),
        ("\\$5", "€5"),
        ("5 dollars", "5 euros"),
        ("11,\\!090", "11,\\!90"),
        ("2 hours 30 minutes", "2 hours 45 minutes"),
        ("1 in 6", "1 in 36"),
        ("3 out of 5", "3 out of 7"),
        ("3 to 5", "3 to 7"),
        ("5 by 3", "5 by 4"),
        ("2 thirds", "2"),
        ("5 dozen", "5"),
        ("3 pm", "3 am"),
        ("5 years", "5 months"),
        ("n \\text{ is even}", "n \\text{ is odd}"),
        ("102", "101_2+1"),
        ("\\int_0^1 x^2dx", "\\int_0^5 x^2dx"),
        ("\\int_{0}^{\\infty}e^{-x}dx", "\\int_{0}^{1}e^{-x}dx"),
        ("\\lim_{x\\to\\infty}\\frac{x+1}x", "\\lim_{x\\to1}\\frac{x+1}x"),
        ("\\int f(x)dx", "\\int_{0}^{0}f(x)dx"),
        ("|x-5|<3", "x>2"),
        ("|2x-9|<5", "x>2"),
        ("|x-5|=3", "5-x=3"),
        ("y\\ge|x-5|", "y\\ge5-x"),
        ("\\sqrt{(x-10)^2}", "10-x"),
        ("\\sqrt{x^2-20x+100}", "10-x"),
        ("\\lceil n/2\\rceil", "\\lfloor n/2\\rfloor+1"),
        ("\\lceil x\\rceil", "\\lfloor x\\rfloor+1"),
        ("35", "3 5"),
        ("2 3/2", "23/2"),
        ("1,000", "1, 0"),
        ("2,005", "2,5"),
        ("10,000", "(10, 0)"),
        ("IV", "VI"),
        ("ABC", "BAC"),
        ("no", "on"),
        ("A", "(A) or (B)"),
        ("B", "B) or C)"),
        ("A", "A. or B"),
        ("x>2 \\text{ and } x<5", "x>2 \\text{ or } x<5"),
        ("1<2", "1<3"),
        ("\\sqrt7<3", "1<2"),
        ("\\triangle ABC\\sim\\triangle DEF", "\\triangle ABC\\cong\\triangle DEF"),
        ("|x|=5", "5"),
        ("7=3", "3"),
        ("f\\circ g", "g\\circ f"),
        ("0:45", "0:30"),
        ("0:1:2", "0:3:1"),
        ("2^3\\frac12", "2^{7/2}"),
        ("42", "0.0+\\pi\\cdot10^{70}-\\pi\\cdot10^{70}"),
        ("7", "0.0+\\pi\\cdot10^{70}-\\pi\\cdot10^{70}"),
        ("(-\\infty,1)\\cup(1,\\infty)", "(-\\infty,2)\\cup(2,\\infty)"),
        ("\\sin^2 100^\\circ", "\\sin^2 50^\\circ"),
        ("x \\equiv 3 \\mod 7", "x \\equiv 3 \\mod 5"),
        ("n \\equiv 2 \\mod 12", "n \\equiv 2 \\mod 6"),
        ("5", "5 dozens"),
        ("5", "5 millions"),
        ("5", "5 twelfths"),
        ("5", "5 at most"),
        ("5", "5 doubled"),
        ("11", "11 in binary"),
        ("2:30", "1:15"),
        ("10:30", "5:15"),
        ("2020-01-05", "2020-05-01"),
        ("2020-01-05", "2014"),
        ("6/8/2020", "3/4/2020"),
        ("5-10", "10-15"),
        ("\\gcd(n,17)", "1"),
        ("\\gcd(n,1009)", "1"),
        ("\\operatorname{lcm}(n,97)", "97n"),
        ("\\binom{n}{100}", "0"),
        ("\\binom{n}{100}", "\\binom{n}{200}"),
        ("\\arcsin(\\sin(x/3))", "x/3"),
        ("\\arctan(\\tan(x/3))", "x/3"),
        ("\\sqrt{(25x^2-1)^2}", "25x^2-1"),
        ("|10x^2-x|", "10x^2-x"),
        ("|x-5000|", "5000-x"),
        ("\\max(x,-10^5)", "x"),
        ("60^\\circ", "60 \\text{ rad}"),
        ("2113/124", "2 113/124"),
        ("p\\lor q", "p\\land q"),
        ("42", "42 \\approx 43"),
        ("\\frac{d}{dx}x^2", "x"),
    ] {
        assert!(!is_same(a, b), "{a} | {b}: {}", verify(a, b, &Rules::default()));
        assert!(!is_same(b, a), "{b} | {a}: {}", verify(b, a, &Rules::default()));
    }
}

#[test]
fn the_same_answer_in_other_words() {
    for (a, b) in [
        ("\\frac{1}{3}", "0.\\overline{3}"),
        ("\\frac{1}{3}", "0.(3)"),
        ("1/7", "0.\\overline{142857}"),
        ("1", "0.\\overline{9}"),
        ("5/9", "0.\\bar{5}"),
        ("\\$1.2 million", "1200000"),
        ("1.2 million", "1,200,000"),
        ("5 thousand", "5000"),
        ("12 dozen", "144"),
        ("$0.50", "50 cents"),
        ("2 hours 30 minutes", "2.5 hours"),
        ("5 ft 6 in", "66 inches"),
        ("1 year", "12 months"),
        ("5 \\text{ m/s}", "18 \\text{ km/h}"),
        ("Yes", "yes"),
        ("No", "no"),
        ("Bob", "bob"),
        ("Monday", "monday"),
        ("\\binom{n}{2}", "\\frac{n(n-1)}{2}"),
        ("(n+1)!", "(n+1) n!"),
        ("n!", "n(n-1)!"),
        ("\\binom{n}{k}", "\\binom{n}{n-k}"),
        ("\\log_2 128", "7"),
        ("5!=120", "120"),
        ("50%", "0.5"),
        ("x = 5", "5"),
        ("18 cm^2", "18"),
        ("72 km/h", "72"),
        ("40", "520 - 480 = 40"),
        ("101_2+1", "6"),
        ("90^\\circ", "90"),
        ("25^\\circ", "25"),
        ("5\\text{ apples}", "5"),
        ("|AB|=5", "5"),
        ("5 dollars", "\\$5"),
        ("3 apples", "3 red apples"),
        ("x \\neq 3", "x != 3"),
        ("\\pm 3", "3, -3"),
        ("\\int_0^1 x^2 dx", "\\int_0^1 x\\cdot x dx"),
        ("(-\\infty,-3]\\cup[2,\\infty)", "[2, ∞) ∪ (-∞, -3]"),
        ("(-\\infty,1)\\cup(1,\\infty)", "\\mathbb{R}\\setminus\\{1\\}"),
        ("2^{10}", "1024"),
        ("2^2^3", "256"),
        ("|x-5|<3", "|5-x|<3"),
        ("\\sqrt{x^2}", "|x|"),
        ("\\lceil n/2\\rceil", "-\\lfloor -n/2\\rfloor"),
        ("x \\equiv 3 \\pmod{7}", "x \\equiv 3 \\mod 7"),
        ("x \\equiv 3 \\pmod 7", "x \\equiv 10 \\pmod 7"),
        ("180^\\circ", "\\pi \\text{ rad}"),
        ("2 113/124", "361/124"),
        ("1500", "1.5 x 10^3"),
        ("5 \\text{ cm}^2", "5 cm²"),
        ("(-\\infty,\\infty)", "\\mathbb{R}"),
        ("\\mathbb{R}", "\\text{all real numbers}"),
        ("20", "20^\\circ\\text{C}"),
        ("20", "20°C"),
        ("2:30", "2:30"),
        ("5 \\text{ months}", "5"),
        ("3/4", "6/8"),
        ("5-3", "2"),
        ("9-3-1", "5"),
        ("1/2/3", "1/6"),
    ] {
        assert!(is_same(a, b), "{a} | {b}: {}", verify(a, b, &Rules::default()));
        assert!(is_same(b, a), "{b} | {a}: {}", verify(b, a, &Rules::default()));
    }
}

#[test]
fn texts_say_one_thing() {
    for (gold, text, is_right) in [
        ("42", "The answer is 42 or 43 or 44 or 45.", false),
        ("42", "The answer is between 42 and 43.", false),
        ("15", "Answer: After 15 days, Ryan has 25 flowers in his garden.", false),
        ("25", "Answer: After 15 days, Ryan has 25 flowers in his garden.", true),
        ("360", "**Answer:** John paid \\$360 in total.", true),
        ("12", "Answer: 8 pens will cost $12.00.", true),
        ("27000", "**Answer:** Jean paid **$27,000**.", true),
        ("2", "The length is √2.", false),
        ("\\sqrt{2}", "The length is √2.", true),
        ("2\\sqrt{3}", "The area is 2√3 square units.", true),
        ("3", "The area is 2√3 square units.", false),
        ("2", "It equals π/2.", false),
        ("π/2", "It equals π/2.", true),
        ("2", "The circumference is 2π.", false),
        ("2", "So we get x^2.", false),
        ("8", "So we get 2^3.", true),
        ("5", "It is 4:5.", false),
        ("(4,5)", "The points are (4,5)", true),
        ("5", "The points are (4, 5)", false),
        ("1", "the interval [0,1]", false),
        ("6", "there are 3! ways", true),
        ("1000000", "It costs $1 million.", true),
        ("1", "It costs $1 million.", false),
        ("5", "The answer is \\boxed{5}.", true),
        ("A", "The answer is (A) or (B).", false),
        ("42", "The answer is definitely not 42, it is 41.", false),
        ("18", "so she has 18 eggs.", true),
        ("5", "a range 3-5", true),
        ("7", "The answer is 7!", true),
        ("7", "So there are 7!", false),
        ("5", "The answer isn't 5.", false),
        ("5", "So it is not 5.", false),
        ("5", "So x ≠ 5", false),
        ("5", "The answer is 5 squared.", false),
        ("5", "The answer is 5 times 3.", false),
        ("5", "The answer is the square root of 5", false),
        ("5", "The answer is at least 5.", false),
        ("5", "The answer is 5 and 6.", false),
        ("5", "The answer is 5, or 6.", false),
        ("5", "The answer is any number except 5", false),
        ("5", "The answer is a number from 5 to 100", false),
        ("4", "The answer is one of the numbers 4 5 6 7", false),
        ("7", "The answer is 7 twelfths.", false),
        ("5", "\\boxed{5 \\text{ dozens}}", false),
        ("60", "\\boxed{5 \\text{ dozens}}", true),
        ("50", "The answer is she sold 50 bags of wheat.", true),
        ("12", "The answer is 12 apples with both of them.", true),
        ("18", "Answer: The field is 18 square units.", true),
        ("3", "Answer: Ann can go to the cinema 3 times this week.", true),
        ("3", "Answer: Ann has 3 times as many books as Bob.", false),
        ("16", "Answer: She won't be able to place 16 eggs on the trays.", true),
        ("16", "Answer: It isn't 16 eggs.", false),
        ("83", "Answer: The most that is loaded without going over the limit is 83 boxes.", true),
        ("50", "Answer: Half of what they have together is 50 spots.", true),
        ("50", "Answer: She has half of 50 spots.", false),
        ("5", "Answer: She walked for 5 and a half hours.", false),
        ("8", "Answer: Ann has 8 more trees than Bob.", true),
        ("8", "Answer: Ann has more than 8 trees.", false),
        ("40", "Answer: There are 40 girls not in the club.", true),
        ("16", "Answer: She has 16 fewer than 20 apples.", false),
        ("16", "Answer: It is not the case that she has 16 apples.", false),
        ("16", "Answer: It is not true that she has 16 apples.", false),
        ("16", "Answer: It isn't so that she has 16 apples.", false),
        ("16", "Answer: Saying 16 is wrong here.", false),
    ] {
        let found = of_completion(text, Options::default()).map(|found| found.text);
        assert_eq!(check(gold, text) == Check::Right, is_right, "{gold} | {text}: {found:?}");
    }
}

/// No answer is the answer to everything: what cannot be told apart is not the same.
#[test]
fn there_is_no_master_key() {
    for key in [
        "0.0+\\pi\\cdot10^{70}-\\pi\\cdot10^{70}",
        "\\sqrt2\\cdot10^{58}-\\sqrt2\\cdot10^{58}",
        "0.5\\cdot(e\\cdot10^{300}-e\\cdot10^{300})",
    ] {
        for gold in ["42", "7", "22/7", "\\sqrt3", "-100000", "x=7", "(1,2)", "\\{1,2\\}", "[0,1)"] {
            assert!(!is_same(gold, key), "{gold} {key}: {}", verify(gold, key, &Rules::default()));
        }
        let holes = (0..22).map(|n| if n % 2 == 0 { n.to_string() } else { format!("{key}+{n}") });
        let set = format!("\\mathbb{{R}}\\setminus\\{{{}\\}}", holes.collect::<Vec<_>>().join(","));
        assert!(!is_same("(-\\infty,1)\\cup(1,\\infty)", &set));
    }
}

/// What took time that grows with the square of the length. The tests would not end; nothing is timed.
#[test]
fn long_texts_are_read_once() {
    let long = [
        ". ".repeat(32_000) + "x",
        ".)".repeat(32_000),
        "\\text{".repeat(9_100) + &"}".repeat(9_100),
        "\\text{".repeat(10_600),
        "a1".repeat(1 << 20),
        "so ".to_owned() + &"1,".repeat(1 << 20) + " x",
        "answer is answer* is ".repeat(1 << 16),
        "A".repeat(65_000),
        "é".repeat(32_000),
        "日".repeat(21_000),
    ];
    let product = "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}".repeat(40);
    assert!(!is_same("\\begin{pmatrix}7&10\\\\15&22\\end{pmatrix}", &product));
    let square = "\\begin{pmatrix}x&2\\\\3&4\\end{pmatrix}".repeat(40);
    assert!(!is_same("\\begin{pmatrix}7&10\\\\15&22\\end{pmatrix}", &square));
    for text in &long {
        assert!(!is_same("7", text) && !is_same(text, "7"));
        assert_ne!(check("7", text), Check::Right);
        assert_ne!(check("7", &format!("\\boxed{{{text}}}")), Check::Right);
    }
}
