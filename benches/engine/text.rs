//! Texts for prompts and traces: words and sums, with the line breaks that reasoning has.

use rlkd::seed::{Seed, Stream};

const WORDS: &str = "the number of eggs in each tray first we need to find how many are left after half was sold then \
    multiply by price and subtract what it cost so total is more than expected let me check that again because there \
    were two kinds apples students hours distance speed ratio percent remaining together altogether therefore answer";

/// About `chars` characters of reasoning; another text for each `number`.
pub fn trace(chars: usize, number: u64) -> String {
    let stream = &mut Seed(3).stream("trace", number);
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    let mut text = String::new();
    while text.len() < chars {
        sentence(&words, stream, &mut text);
    }
    text
}

fn sentence(words: &[&str], stream: &mut Stream, text: &mut String) {
    for _ in 0..6 + stream.below(12) {
        if stream.below(9) == 0 {
            let (one, other) = (1 + stream.below(90), 1 + stream.below(90));
            text.push_str(&format!("{one} * {other} = {} ", one * other));
        } else {
            text.push_str(words[stream.below(words.len() as u64) as usize]);
            text.push(' ');
        }
    }
    text.pop();
    text.push_str(if stream.below(4) == 0 { ".\n\n" } else { ". " });
}
