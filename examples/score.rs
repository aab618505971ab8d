//! Compares a student's reasoning with a teacher's, and says why it gets what it gets.
//!
//! `cargo run --release --example score`

use rlkd::align::{Aligner, Mode, Next};
use rlkd::decompose::rules::Rules;
use rlkd::judge::lexical::Lexical;
use rlkd::judge::{Judge, Round};
use rlkd::trace::Trace;

fn main() -> rlkd::Result<()> {
    let problem = "A farm packs 18 trays of 24 eggs and sells 5/6 of the eggs. How many are left?";
    let mut rules = Rules::new();
    let mut steps = |text: &str| rules.steps(problem, &Trace::new(text));
    let teacher = steps(
        "First the number of eggs: 18 * 24 = 432.\n\nNext the eggs sold: 432 * 5 / 6 = 360.\n\nSo 432 - 360 = 72 are left.",
    );
    let student = steps(
        "There are 18 * 24 = 432 eggs.\n\nThe eggs sold are 432 * 5 / 6 = 350.\n\nThe eggs left are 432 - 350 = 82.",
    );

    let (mut aligner, mut judge) = (Aligner::new(Mode::Ordered, Default::default()), Lexical::default());
    let (mut next, mut verdicts) = (aligner.start(&teacher, &student), Vec::new());
    while next == Next::Ask {
        let (teacher, student, asks) = (&teacher, &student, aligner.asks());
        judge.judge(&mut [Round { problem, teacher, student, asks, verdicts: &mut verdicts }])?;
        next = aligner.answer(&verdicts)?;
    }
    if let Next::Unscorable(why) = next {
        println!("no structure reward: {why}");
        return Ok(());
    }

    let found = aligner.alignment();
    println!("structure reward {:.2}", found.total);
    for pair in &found.pairs {
        let answer = student.steps[pair.student as usize].answer.of(&student.text);
        println!("  {:.1} for step {} (teacher's {}): {answer}", pair.credit, pair.student, pair.teacher);
    }
    println!("  teacher steps skipped: {:?}, student steps extra: {:?}", found.skipped, found.extra);
    Ok(())
}
