//! What quantities are called, and the sentences of problems. Nothing of one split occurs in another.

use serde::{Deserialize, Serialize};

use super::graph::{Graph, Rule};
use crate::seed::Stream;
use crate::text::words::capitalized;

/// Which names, things and sentences are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// To learn from.
    #[default]
    Train,
    /// To choose by.
    Validation,
    /// To report.
    Test,
}

impl Split {
    /// All splits.
    pub const ALL: [Split; 3] = [Split::Train, Split::Validation, Split::Test];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Validation => "validation",
            Split::Test => "test",
        }
    }

    fn of<T: Copy>(self, [train, validation, test]: [T; 3]) -> T {
        match self {
            Split::Train => train,
            Split::Validation => validation,
            Split::Test => test,
        }
    }
}

/// What quantities are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Style {
    /// People who own things: `Lena's stamps`.
    People,
    /// Towns that have things: `Oakford's bridges`.
    Towns,
    /// Boxes with things in them: `the red box's marbles`.
    Boxes,
}

impl Style {
    /// All styles.
    pub const ALL: [Style; 3] = [Style::People, Style::Towns, Style::Boxes];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Style::People => "people",
            Style::Towns => "towns",
            Style::Boxes => "boxes",
        }
    }

    fn vocabulary(self) -> &'static Vocabulary {
        match self {
            Style::People => &PEOPLE,
            Style::Towns => &TOWNS,
            Style::Boxes => &BOXES,
        }
    }
}

/// The words of a style, by split.
struct Vocabulary {
    owners: [&'static [&'static str]; 3],
    things: [&'static [&'static str]; 3],
    sentences: [&'static Sentences; 3],
}

/// Sentences: `{o}` is who has the quantity, `{t}` the things, `{n}` a number, `{a}`, `{b}`, `{c}` the owners of what it
/// follows from, `{few}` a word such as "three", `{share}` one such as "a third".
struct Sentences {
    given: &'static [&'static str],
    more: &'static [&'static str],
    fewer: &'static [&'static str],
    times: &'static [&'static str],
    share: &'static [&'static str],
    both: &'static [&'static str],
    three: &'static [&'static str],
    difference: &'static [&'static str],
    ask: &'static [&'static str],
}

static PEOPLE: Vocabulary = Vocabulary {
    owners: [
        &[
            "Ada", "Ben", "Clara", "Dan", "Ella", "Finn", "Greta", "Hugo", "Ida", "Jonas", "Kira", "Leo",
            "Mona", "Nils", "Olga", "Paul", "Quinn", "Rosa", "Sam", "Tess", "Uma", "Vera", "Will", "Yara",
            "Zoe", "Anton", "Bella", "Carl", "Dora", "Emil", "Frida", "Gus", "Hanna", "Ivan", "Jule", "Karl",
        ],
        &[
            "Amir", "Bruno", "Celia", "David", "Esther", "Felix", "Gina", "Henry", "Iris", "Jakob", "Kai",
            "Lucia", "Malik", "Nora", "Oscar", "Petra", "Ravi", "Sofia",
        ],
        &[
            "Aisha", "Boris", "Chloe", "Dmitri", "Elena", "Fatima", "Georg", "Hilda", "Igor", "Jana", "Kofi",
            "Liam", "Mei", "Nadia", "Omar", "Priya", "Rafael", "Sven",
        ],
    ],
    things: [
        &[
            "stamps", "marbles", "cards", "shells", "pencils", "coins", "stickers", "beads", "books",
            "apples", "ribbons", "keys",
        ],
        &["buttons", "postcards", "acorns", "crayons", "tickets", "badges"],
        &["pebbles", "feathers", "magnets", "candles", "puzzles", "notebooks"],
    ],
    sentences: [
        &Sentences {
            given: &["{o} has {n} {t}.", "{o} owns {n} {t}."],
            more: &["{o} has {n} more {t} than {a}.", "{o} has {n} {t} more than {a} has."],
            fewer: &["{o} has {n} fewer {t} than {a}.", "{o} has {n} {t} fewer than {a} has."],
            times: &["{o} has {few} times as many {t} as {a}."],
            share: &["{o} has {share} as many {t} as {a}."],
            both: &["{o} has as many {t} as {a} and {b} together."],
            three: &["{o} has as many {t} as {a}, {b} and {c} together."],
            difference: &[
                "The difference between the {t} of {a} and those of {b} is the number that {o} has.",
            ],
            ask: &["How many {t} does {o} have?"],
        },
        &Sentences {
            given: &["In {o}'s drawer there are {n} {t}."],
            more: &["{o} owns {n} {t} more than {a} does."],
            fewer: &["{o} owns {n} {t} less than {a} does."],
            times: &["{o} owns {few} times the number of {t} that {a} owns."],
            share: &["{o} owns {share} of the number of {t} that {a} owns."],
            both: &["{o} owns the same number of {t} as {a} plus {b}."],
            three: &["{o} owns the same number of {t} as {a} plus {b} plus {c}."],
            difference: &["{o} owns the number of {t} by which {a} is ahead of {b}."],
            ask: &["What number of {t} does {o} own?"],
        },
        &Sentences {
            given: &["{o} collected {n} {t}.", "There are {n} {t} in {o}'s bag."],
            more: &["{o} collected {n} more {t} than {a} did."],
            fewer: &["{o} collected {n} fewer {t} than {a} did."],
            times: &["For every one of the {t} that {a} collected, {o} collected {few}."],
            share: &["{o} collected only {share} of what {a} collected in {t}."],
            both: &["Putting the {t} of {a} and {b} in one pile makes as many as {o} collected."],
            three: &["Putting the {t} of {a}, {b} and {c} in one pile makes as many as {o} collected."],
            difference: &["{o} collected exactly the {t} that {b} lacks to catch up with {a}."],
            ask: &["Find how many {t} {o} collected."],
        },
    ],
};

static TOWNS: Vocabulary = Vocabulary {
    owners: [
        &[
            "Oakford",
            "Millbrook",
            "Ashton",
            "Redhill",
            "Stonebury",
            "Northgate",
            "Fairview",
            "Lakeside",
            "Elmwood",
            "Greenfield",
            "Westport",
            "Hillcrest",
            "Riverton",
            "Kingsley",
            "Brookside",
            "Maplewood",
            "Sandford",
            "Whitby",
            "Highfield",
            "Norwood",
            "Pinehurst",
            "Clifton",
        ],
        &[
            "Harrow", "Dunmore", "Langford", "Selby", "Thornton", "Wexford", "Bramley", "Carlow", "Denby",
            "Everton", "Farnham", "Garston", "Holbeck", "Ilford", "Jarrow", "Kelso", "Linton", "Marlow",
        ],
        &[
            "Arbroath",
            "Belford",
            "Corbridge",
            "Duxford",
            "Ellon",
            "Falkirk",
            "Glenrock",
            "Hexham",
            "Invergow",
            "Jedburgh",
            "Kirkby",
            "Lanark",
            "Moffat",
            "Newburn",
            "Otley",
            "Peebles",
            "Ripon",
            "Settle",
        ],
    ],
    things: [
        &["bridges", "parks", "shops", "buses", "schools", "lamps", "benches", "trees", "wells", "farms"],
        &["towers", "gardens", "statues", "bakeries", "trams", "playgrounds"],
        &["fountains", "museums", "windmills", "cafes", "ferries", "libraries"],
    ],
    sentences: [
        &Sentences {
            given: &["{o} has {n} {t}.", "There are {n} {t} in {o}."],
            more: &["{o} has {n} more {t} than {a}.", "In {o} there are {n} more {t} than in {a}."],
            fewer: &["{o} has {n} fewer {t} than {a}.", "In {o} there are {n} fewer {t} than in {a}."],
            times: &["{o} has {few} times as many {t} as {a}."],
            share: &["{o} has {share} as many {t} as {a}."],
            both: &["{o} has as many {t} as {a} and {b} together."],
            three: &["{o} has as many {t} as {a}, {b} and {c} together."],
            difference: &[
                "The difference between the {t} of {a} and those of {b} is the number that {o} has.",
            ],
            ask: &["How many {t} are there in {o}?"],
        },
        &Sentences {
            given: &["The map shows {n} {t} for {o}."],
            more: &["The map shows {n} {t} more for {o} than for {a}."],
            fewer: &["The map shows {n} {t} less for {o} than for {a}."],
            times: &["The map shows {few} times the number of {t} for {o} that it shows for {a}."],
            share: &["The map shows {share} of the number of {t} for {o} that it shows for {a}."],
            both: &["The number of {t} for {o} on the map is that of {a} plus that of {b}."],
            three: &[
                "The number of {t} for {o} on the map is that of {a} plus that of {b} plus that of {c}.",
            ],
            difference: &["The number of {t} for {o} on the map is how far {a} is ahead of {b}."],
            ask: &["What number of {t} does the map show for {o}?"],
        },
        &Sentences {
            given: &["{o} counts {n} {t}."],
            more: &["{o} counts {n} {t} above the number that {a} counts."],
            fewer: &["{o} falls {n} {t} short of the number that {a} counts."],
            times: &["For each of the {t} of {a}, {o} counts {few}."],
            share: &["{o} counts just {share} of the {t} of {a}."],
            both: &["If {a} and {b} merged, they would count as many {t} as {o}."],
            three: &["If {a}, {b} and {c} merged, they would count as many {t} as {o}."],
            difference: &["{o} counts exactly the {t} that {b} lacks to draw level with {a}."],
            ask: &["Find the number of {t} that {o} counts."],
        },
    ],
};

static BOXES: Vocabulary = Vocabulary {
    owners: [
        &[
            "the red box",
            "the blue box",
            "the green box",
            "the yellow box",
            "the white box",
            "the black box",
            "the brown box",
            "the pink box",
            "the grey box",
            "the purple box",
            "the orange box",
            "the silver box",
            "the golden box",
            "the striped box",
            "the round box",
            "the square box",
            "the tall box",
            "the small box",
        ],
        &[
            "the oak chest",
            "the pine chest",
            "the cedar chest",
            "the birch chest",
            "the iron chest",
            "the brass chest",
            "the stone chest",
            "the glass chest",
            "the old chest",
            "the new chest",
            "the wide chest",
            "the flat chest",
            "the heavy chest",
            "the light chest",
            "the plain chest",
            "the carved chest",
            "the narrow chest",
            "the deep chest",
        ],
        &[
            "the first crate",
            "the second crate",
            "the third crate",
            "the fourth crate",
            "the fifth crate",
            "the sixth crate",
            "the seventh crate",
            "the eighth crate",
            "the ninth crate",
            "the tenth crate",
            "the left crate",
            "the right crate",
            "the upper crate",
            "the lower crate",
            "the front crate",
            "the rear crate",
            "the outer crate",
            "the inner crate",
        ],
    ],
    things: [
        &["screws", "nails", "bolts", "balls", "spoons", "cups", "plates", "bricks", "bulbs", "ropes"],
        &["tiles", "jars", "hooks", "brushes", "wheels", "springs"],
        &["bottles", "lenses", "gears", "corks", "wires", "hinges"],
    ],
    sentences: [
        &Sentences {
            given: &["{O} holds {n} {t}.", "There are {n} {t} in {o}."],
            more: &["{O} holds {n} more {t} than {a}.", "In {o} there are {n} more {t} than in {a}."],
            fewer: &["{O} holds {n} fewer {t} than {a}.", "In {o} there are {n} fewer {t} than in {a}."],
            times: &["{O} holds {few} times as many {t} as {a}."],
            share: &["{O} holds {share} as many {t} as {a}."],
            both: &["{O} holds as many {t} as {a} and {b} together."],
            three: &["{O} holds as many {t} as {a}, {b} and {c} together."],
            difference: &["The difference between the {t} in {a} and those in {b} is the number in {o}."],
            ask: &["How many {t} are in {o}?"],
        },
        &Sentences {
            given: &["Inside {o} lie {n} {t}."],
            more: &["Inside {o} lie {n} {t} more than inside {a}."],
            fewer: &["Inside {o} lie {n} {t} less than inside {a}."],
            times: &["Inside {o} lies {few} times the number of {t} inside {a}."],
            share: &["Inside {o} lies {share} of the number of {t} inside {a}."],
            both: &["The number of {t} inside {o} is that inside {a} plus that inside {b}."],
            three: &[
                "The number of {t} inside {o} is that inside {a} plus that inside {b} plus that inside {c}.",
            ],
            difference: &["The number of {t} inside {o} is how far {a} is ahead of {b}."],
            ask: &["What number of {t} lies inside {o}?"],
        },
        &Sentences {
            given: &["{O} was packed with {n} {t}."],
            more: &["When {o} was packed, {n} {t} more went in than into {a}."],
            fewer: &["When {o} was packed, {n} {t} less went in than into {a}."],
            times: &["For each of the {t} of {a}, {few} went into {o}."],
            share: &["Just {share} of the number of {t} packed into {a} went into {o}."],
            both: &["{O} was packed with as many {t} as went into {a} and {b} combined."],
            three: &["{O} was packed with as many {t} as went into {a}, {b} and {c} combined."],
            difference: &["{O} was packed with exactly the {t} that {b} lacks to match {a}."],
            ask: &["Find how many {t} were packed into {o}."],
        },
    ],
};

/// The words of one problem.
#[derive(Clone, Debug)]
pub struct Words {
    split: Split,
    style: Style,
    owners: Vec<String>,
    things: String,
}

/// Parts of invented words.
const ONSETS: [&str; 20] =
    ["b", "br", "d", "dr", "f", "g", "gl", "h", "k", "l", "m", "n", "p", "r", "s", "st", "t", "tr", "v", "z"];
const VOWELS: [&str; 7] = ["a", "e", "i", "o", "u", "ai", "ou"];
const CODAS: [&str; 8] = ["", "", "l", "m", "n", "r", "k", "nd"];

/// A word that nobody has seen, of so many syllables.
fn invented(syllables: u64, stream: &mut Stream) -> String {
    (0..syllables)
        .map(|_| [stream.pick(&ONSETS), stream.pick(&VOWELS), stream.pick(&CODAS)].concat())
        .collect()
}

impl Words {
    /// A name for each of `count` quantities, and what they are quantities of.
    pub(super) fn draw(split: Split, style: Style, count: usize, stream: &mut Stream) -> Self {
        let vocabulary = style.vocabulary();
        let mut owners = split.of(vocabulary.owners).to_vec();
        stream.shuffle(&mut owners);
        owners.truncate(count);
        let owners = owners.into_iter().map(str::to_owned).collect();
        Words { split, style, owners, things: stream.pick(split.of(vocabulary.things)).into() }
    }

    /// The same with words that were made up for the problem.
    pub(super) fn invent(mut self, stream: &mut Stream) -> Self {
        let mut new: Vec<String> = Vec::new();
        while new.len() <= self.owners.len() {
            let word = invented(1 + stream.below(3), stream);
            // "Bra's" would stand in "Dabra's".
            if word.len() > 2 && !new.iter().any(|known| known.contains(&word) || word.contains(known)) {
                new.push(word);
            }
        }
        self.things = format!("{}s", new.pop().unwrap_or_default());
        let name = |word: String| match self.style {
            Style::People | Style::Towns => capitalized(&word),
            Style::Boxes => format!("the {word} box"),
        };
        self.owners = new.into_iter().map(name).collect();
        self
    }

    /// The split that they are of.
    pub fn split(&self) -> Split {
        self.split
    }

    /// Who has a quantity.
    pub fn owner(&self, number: usize) -> &str {
        &self.owners[number]
    }

    /// What the quantities are quantities of.
    pub fn things(&self) -> &str {
        &self.things
    }

    /// What a quantity is called: `Lena's stamps`.
    pub fn phrase(&self, number: usize) -> String {
        format!("{}'s {}", self.owners[number], self.things)
    }

    fn sentences(&self) -> &'static Sentences {
        self.split.of(self.style.vocabulary().sentences)
    }

    /// The question for a quantity.
    pub fn question(&self, number: usize) -> String {
        self.filled(self.sentences().ask[0], number, Rule::Given, 0)
    }

    fn filled(&self, sentence: &str, number: usize, rule: Rule, value: u64) -> String {
        let n = match rule {
            Rule::More(_, n) | Rule::Fewer(_, n) | Rule::Times(_, n) | Rule::Share(_, n) => n,
            _ => value,
        };
        let few = ["two", "three", "four", "five"];
        let shares = ["half", "a third", "a quarter", "a fifth"];
        let word = |words: [&'static str; 4]| words[(n.clamp(2, 5) - 2) as usize];
        let mut text =
            sentence.replace("{O}", &capitalized(&self.owners[number])).replace("{o}", &self.owners[number]);
        for (name, need) in ["{a}", "{b}", "{c}"].iter().zip(rule.needs()) {
            text = text.replace(name, &self.owners[need]);
        }
        let text = text.replace("{t}", &self.things).replace("{n}", &n.to_string());
        let text = text.replace("{few}", word(few)).replace("{share}", word(shares));
        capitalized(&text)
    }

    /// The sentence that states a quantity.
    fn sentence(&self, number: usize, rule: Rule, value: u64, stream: &mut Stream) -> String {
        let own = self.sentences();
        let from = match rule {
            Rule::Given => own.given,
            Rule::More(..) => own.more,
            Rule::Fewer(..) => own.fewer,
            Rule::Times(..) => own.times,
            Rule::Share(..) => own.share,
            Rule::Both(..) => own.both,
            Rule::Three(..) => own.three,
            Rule::Difference(..) => own.difference,
        };
        self.filled(stream.pick(from), number, rule, value)
    }

    /// The text of a problem.
    pub(super) fn problem(&self, graph: &Graph, shuffled: bool, stream: &mut Stream) -> String {
        let quantities = graph.quantities.iter().enumerate();
        let mut sentences: Vec<String> = quantities
            .map(|(number, quantity)| self.sentence(number, quantity.rule, quantity.value, stream))
            .collect();
        if shuffled {
            stream.shuffle(&mut sentences);
        }
        sentences.push(self.filled(stream.pick(self.sentences().ask), graph.asked, Rule::Given, 0));
        sentences.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::{MOST_DISTRACTORS, MOST_STEPS};
    use super::*;

    /// Nothing of one split is in another; and there are names enough for the largest problem.
    #[test]
    fn splits_share_no_words() {
        let mut owners = BTreeSet::new();
        let mut sentences = BTreeSet::new();
        for style in Style::ALL {
            let vocabulary = style.vocabulary();
            let mut things = BTreeSet::new();
            for split in Split::ALL {
                let own = split.of(vocabulary.owners);
                // What is stated: at most one more than half of the steps.
                assert!(
                    own.len() >= MOST_STEPS + 1 + MOST_STEPS / 2 + MOST_DISTRACTORS,
                    "{style:?} {split:?}"
                );
                assert!(own.iter().all(|owner| owners.insert(*owner)), "{style:?} {split:?}");
                assert!(split.of(vocabulary.things).iter().all(|thing| things.insert(*thing)));
                let all = split.of(vocabulary.sentences);
                let all = [
                    all.given,
                    all.more,
                    all.fewer,
                    all.times,
                    all.share,
                    all.both,
                    all.three,
                    all.difference,
                    all.ask,
                ];
                for sentence in all.into_iter().flatten() {
                    let new = sentences.insert((style as u8, *sentence));
                    assert!(new, "{style:?} {split:?}: {sentence}");
                }
            }
        }
    }

    #[test]
    fn sentences_say_what_a_rule_is() {
        let words = Words {
            split: Split::Train,
            style: Style::Boxes,
            owners: ["the red box", "the blue box", "the tall box"].map(str::to_owned).into(),
            things: "nails".into(),
        };
        assert_eq!(words.filled("{O} holds {n} {t}.", 0, Rule::Given, 14), "The red box holds 14 nails.");
        let text = words.filled("{O} holds {share} as many {t} as {a}.", 1, Rule::Share(2, 4), 7);
        assert_eq!(text, "The blue box holds a quarter as many nails as the tall box.");
        let text = words.filled(
            "The difference between the {t} in {a} and those in {b} is the number in {o}.",
            0,
            Rule::Difference(2, 1),
            7,
        );
        assert_eq!(
            text,
            "The difference between the nails in the tall box and those in the blue box is the number in the red box."
        );
        assert_eq!(words.question(2), "How many nails are in the tall box?");
    }
}
