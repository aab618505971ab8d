//! The yes/no questions about two notes.

use super::template::fill;
use super::{Message, Role};

/// What is asked of two notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    /// Is it the same thought about what to do next?
    Thought,
    /// Is it the same sub-problem?
    SubProblem,
    /// Is it the same answer?
    Answer,
}

impl Question {
    /// Every question.
    pub const ALL: [Question; 3] = [Question::Thought, Question::SubProblem, Question::Answer];

    /// The file of the question, and two worked pairs: one that agrees, and one that does not though it looks alike.
    fn texts(self) -> (&'static str, [[&'static str; 2]; 2]) {
        match self {
            Question::Thought => (
                include_str!("../../grammars/verdict/same-thought.md"),
                [
                    [
                        "The price is per kilo but the weight is in grams, so one has to be converted.",
                        "Units differ; bring the weight to kilos before multiplying.",
                    ],
                    [
                        "The price is per kilo but the weight is in grams, so one has to be converted.",
                        "The price is per kilo, so multiply it by the number of bags.",
                    ],
                ],
            ),
            Question::SubProblem => (
                include_str!("../../grammars/verdict/same-sub-problem.md"),
                [
                    [
                        "How many kilos do the 6 bags of 250 g weigh together?",
                        "What is the total weight of all the bags?",
                    ],
                    [
                        "How many kilos do the 6 bags of 250 g weigh together?",
                        "What do the 6 bags of 250 g cost?",
                    ],
                ],
            ),
            Question::Answer => (
                include_str!("../../grammars/verdict/same-answer.md"),
                [
                    ["6 * 250 g = 1500 g = 1.5 kg", "The bags weigh 1,500 grams in all."],
                    ["6 * 250 g = 1500 g = 1.5 kg", "6 * 250 g = 1500 g = 15 kg"],
                ],
            ),
        }
    }

    fn ask(self, problem: &str, first: &str, second: &str) -> Message {
        let problem = match problem.trim() {
            "" => String::new(),
            problem => format!("Problem:\n{problem}\n\n"),
        };
        let values = [("problem", problem.as_str()), ("first", first.trim()), ("second", second.trim())];
        Message { role: Role::User, content: fill(self.texts().0.trim_end(), &values) }
    }

    /// The messages that come before every such question, whatever it is about.
    pub fn shared_messages(self) -> Vec<Message> {
        let system = include_str!("../../grammars/verdict/system.md").trim_end().to_string();
        let mut messages = vec![Message { role: Role::System, content: system }];
        for ([first, second], reply) in self.texts().1.into_iter().zip(["yes", "no"]) {
            messages.push(self.ask("", first, second));
            messages.push(Message { role: Role::Assistant, content: reply.into() });
        }
        messages
    }

    /// The whole conversation: is this aspect of the teacher's note the same as of the student's? `problem` may be
    /// empty. To take the order of the two out of the verdict, ask again with the notes exchanged.
    pub fn messages(self, problem: &str, teacher: &str, student: &str) -> Vec<Message> {
        let mut messages = self.shared_messages();
        messages.push(self.ask(problem, teacher, student));
        messages
    }
}
