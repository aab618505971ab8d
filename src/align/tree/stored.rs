//! The graph in a record: its steps and the paths. All else follows from them.

use serde::{Deserialize, Serialize};

use super::{Path, Tree};
use crate::align::MAX_STEPS;
use crate::trace::{StepList, Why};

/// The form of a [`Tree`] in JSON.
#[derive(Serialize, Deserialize)]
pub(super) struct Stored {
    /// A step for each node.
    steps: StepList,
    /// A teacher each.
    paths: Vec<Teacher>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "a path needs `nodes` and `steps`, or `left_out`")]
enum Teacher {
    Path(Path),
    LeftOut { left_out: Why },
}

impl From<Tree> for Stored {
    fn from(tree: Tree) -> Self {
        let teacher = |path| match path {
            Ok(path) => Teacher::Path(path),
            Err(left_out) => Teacher::LeftOut { left_out },
        };
        Stored { steps: tree.steps, paths: tree.paths.into_iter().map(teacher).collect() }
    }
}

impl TryFrom<Stored> for Tree {
    type Error = String;

    /// Lays the paths again, one after the other. Records are read from files that anybody may have written: what makes no
    /// graph is refused.
    fn try_from(stored: Stored) -> Result<Self, String> {
        let mut tree = Tree { steps: stored.steps, ..Tree::default() };
        let all = tree.steps.steps.len();
        if all > MAX_STEPS {
            return Err(format!("a tree of {all} nodes: {MAX_STEPS} at most"));
        }
        for (teacher, path) in stored.paths.into_iter().enumerate() {
            match path {
                Teacher::LeftOut { left_out } => tree.leave_out(left_out),
                Teacher::Path(path) => {
                    let why = |what: &str| format!("the path of teacher {teacher} in a tree {what}");
                    if path.nodes.is_empty() || path.nodes.len() != path.steps.len() {
                        return Err(why("needs a step for each of its nodes, and one at least"));
                    }
                    if !path.steps.is_sorted_by(|one, next| one < next) {
                        return Err(why("goes back in the teacher's steps"));
                    }
                    let mut place = vec![0; tree.nodes.len()];
                    tree.order.iter().enumerate().for_each(|(at, node)| place[*node as usize] = at + 1);
                    let (mut new, mut last) = (tree.nodes.len(), 0);
                    for node in path.nodes.iter().map(|node| *node as usize) {
                        match place.get(node) {
                            Some(at) if *at > last => last = *at,
                            Some(_) => return Err(why("goes in a circle")),
                            None if node == new && new < all => new += 1,
                            None => return Err(why("has nodes that are out of turn")),
                        }
                    }
                    tree.lay(path);
                }
            }
        }
        if tree.nodes.len() != all {
            return Err("a tree has nodes that no path takes".into());
        }
        Ok(tree)
    }
}
