//! How well the student's steps follow the teacher's.

use super::params::Params;
use super::{Entry, Group, Reward, all};
use crate::error::{Error, Result};
use crate::trace::Outcome;

pub(super) const STRUCTURE: Entry = Entry {
    name: "structure",
    aliases: &["structure_reward", "gsrm"],
    help: "how well the steps follow the best-matching teacher's; in [0, 1], the plain sum in reference mode",
    range: (0.0, 1.0),
    relative: false,
    build: |table| {
        Params::new("structure", table, &[])?;
        Ok(Box::new(StructureReward))
    },
};

/// The alignment's total, or why there is no alignment.
struct StructureReward;

impl Reward for StructureReward {
    fn name(&self) -> &'static str {
        STRUCTURE.name
    }

    fn score(&self, group: &Group<'_>) -> Result<Vec<Outcome>> {
        if group.structure.is_empty() {
            return all(group, Outcome::skipped("the structure was not looked at"));
        }
        let (found, students) = (group.structure.len(), group.sample.students.len());
        if found != students {
            let id = &group.sample.id;
            return Err(Error::engine(format!(
                "sample {id:?} has {students} students but {found} alignments"
            )));
        }
        let outcome = |structure: &super::Structure| match structure {
            Ok(alignment) => Outcome::Scored(alignment.total),
            Err(why) => Outcome::Skipped(why.clone()),
        };
        Ok(group.structure.iter().map(outcome).collect())
    }
}
