//! A prefix tree over the bytes of tokens.

/// No token.
const NONE: u32 = u32::MAX;

/// A prefix tree; the children of a node lie side by side, in the order of their bytes.
pub(super) struct Trie {
    nodes: Vec<Node>,
    /// For each token the next one with the same bytes.
    same: Vec<u32>,
}

#[derive(Clone, Copy)]
struct Node {
    first: u32,
    token: u32,
    children: u16,
    byte: u8,
}

/// A node of a [`Trie`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct NodeId(u32);

impl Trie {
    pub(super) const ROOT: NodeId = NodeId(0);

    /// A tree of those tokens that `keep` names; tokens without bytes are left out.
    pub(super) fn new(tokens: &[&[u8]], keep: impl Fn(usize) -> bool) -> Self {
        let mut order: Vec<u32> =
            (0..tokens.len()).filter(|&id| !tokens[id].is_empty() && keep(id)).map(|id| id as u32).collect();
        order.sort_unstable_by_key(|&id| (tokens[id as usize], id));
        let mut same = vec![NONE; tokens.len()];
        let mut nodes = vec![Node { first: 0, token: NONE, children: 0, byte: 0 }];
        // What still has to be laid out: a node, the range of `order` under it, its depth.
        let mut work = std::collections::VecDeque::from([(0usize, 0usize, order.len(), 0usize)]);
        while let Some((node, mut from, to, depth)) = work.pop_front() {
            let mut last = NONE;
            while from < to && tokens[order[from] as usize].len() == depth {
                match last {
                    NONE => nodes[node].token = order[from],
                    last => same[last as usize] = order[from],
                }
                last = order[from];
                from += 1;
            }
            nodes[node].first = nodes.len() as u32;
            while from < to {
                let byte = tokens[order[from] as usize][depth];
                let end = from + order[from..to].partition_point(|&id| tokens[id as usize][depth] == byte);
                work.push_back((nodes.len(), from, end, depth + 1));
                nodes.push(Node { first: 0, token: NONE, children: 0, byte });
                nodes[node].children += 1;
                from = end;
            }
        }
        Trie { nodes, same }
    }

    fn children_of(&self, node: NodeId) -> &[Node] {
        let Node { first, children, .. } = self.nodes[node.0 as usize];
        &self.nodes[first as usize..first as usize + children as usize]
    }

    /// The bytes that may follow, each with its node.
    pub(super) fn children(&self, node: NodeId) -> impl Iterator<Item = (u8, NodeId)> + '_ {
        let first = self.nodes[node.0 as usize].first;
        self.children_of(node)
            .iter()
            .enumerate()
            .map(move |(at, child)| (child.byte, NodeId(first + at as u32)))
    }

    /// The node behind `byte`.
    pub(super) fn child(&self, node: NodeId, byte: u8) -> Option<NodeId> {
        let at = self.children_of(node).binary_search_by_key(&byte, |child| child.byte).ok()?;
        Some(NodeId(self.nodes[node.0 as usize].first + at as u32))
    }

    /// Sets the bits of the tokens that end here.
    pub(super) fn allow(&self, node: NodeId, mask: &mut [u32]) {
        let mut token = self.nodes[node.0 as usize].token;
        while token != NONE {
            mask[token as usize / 32] |= 1 << (token % 32);
            token = self.same[token as usize];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_found_by_their_bytes() {
        let tokens: Vec<&[u8]> = vec![b"a", b"ab", b"", b"b", b"ab", b"abc", b"\xff"];
        let trie = Trie::new(&tokens, |id| id != 5);
        let walk = |bytes: &[u8]| bytes.iter().try_fold(Trie::ROOT, |node, &byte| trie.child(node, byte));
        for (bytes, expected) in [
            (&b"a"[..], Some(0b1)),
            (b"ab", Some(0b1_0010)),
            (b"abc", None),
            (b"\xff", Some(0b100_0000)),
            (b"", Some(0)),
        ] {
            let found = walk(bytes).map(|node| {
                let mut mask = [0];
                trie.allow(node, &mut mask);
                mask[0]
            });
            assert_eq!(found, expected, "{bytes:?}");
        }
        assert_eq!(trie.children(Trie::ROOT).map(|(byte, _)| byte).collect::<Vec<_>>(), b"ab\xff");
    }
}
