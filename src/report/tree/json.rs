//! The tree as one JSON object.

use serde_json::{Value, json};

use super::View;
use crate::align::tree::{Edge, Variety};

/// The tree and its figures. Nodes are named by their place in `nodes`; `null` as a node is the beginning, or the end where
/// a way leads to it.
pub fn json(view: &View<'_>) -> Value {
    let tree = view.tree;
    let steps = tree.steps();
    let ways = |edges: &[Edge]| -> Value {
        edges.iter().map(|edge| json!({"to": edge.to, "taken_by": edge.teachers})).collect()
    };
    let nodes: Vec<Value> = (0u32..)
        .zip(tree.nodes())
        .map(|(at, node)| {
            let step = &steps.steps[at as usize];
            let mut record = json!({
                "meta_reasoning": step.meta.of(&steps.text),
                "sub_problem": step.sub_problem.of(&steps.text),
                "answer": step.answer.of(&steps.text),
                "members": node.members,
                "next": ways(&node.next),
            });
            if let Some(passing) = view.crowd.and_then(|crowd| crowd.nodes.get(at as usize)) {
                record["students"] = json!(passing);
            }
            record
        })
        .collect();
    let paths: Vec<Value> = tree
        .paths()
        .iter()
        .map(|path| match path {
            Ok(path) => json!({"nodes": path.nodes, "steps": path.steps}),
            Err(why) => json!({"left_out": why}),
        })
        .collect();
    let mut record = json!({
        "id": view.id,
        "of": view.of,
        "start": ways(tree.next(None)),
        "nodes": nodes,
        "order": tree.order(),
        "paths": paths,
        "variety": Variety::of(tree),
    });
    if let Some(crowd) = view.crowd {
        let unscored: Vec<Value> =
            view.unscored.iter().map(|(why, count)| json!({"why": why, "students": count})).collect();
        record["students"] = json!({
            "scored": crowd.students,
            "unscored": unscored,
            "start": crowd.start,
            "choices": crowd.choices,
            "agreement": crowd.agreement(),
            "variety": view.students,
        });
    }
    record
}
