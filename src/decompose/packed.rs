//! Step lists as few bytes.
//!
//! Form 1: the byte 1; a byte that is 1 if the list's own text follows (length, bytes) and 0 if it is
//! the trace's; how it ended (0 complete, 1 truncated, 2 malformed and the place); the number of
//! steps; for each step its kind and, for its three parts, the start after the last end seen and the
//! length. Numbers are LEB128; differences are zigzag, since parts need not be in order.

use crate::trace::{End, Span, Step, StepKind, StepList};

const FORM: u8 = 1;

/// Packs `list`, which was made from `trace`.
pub(super) fn pack(list: &StepList, trace: &str) -> Vec<u8> {
    let mut out = vec![FORM];
    if list.text == trace {
        out.push(0);
    } else {
        out.push(1);
        number(&mut out, list.text.len() as u64);
        out.extend_from_slice(list.text.as_bytes());
    }
    match list.end {
        End::Complete => out.push(0),
        End::Truncated => out.push(1),
        End::Malformed { at } => {
            out.push(2);
            number(&mut out, u64::from(at));
        }
    }
    number(&mut out, list.steps.len() as u64);
    let mut last = 0i64;
    for step in &list.steps {
        out.push(match step.kind {
            StepKind::Progress => 0,
            StepKind::Verify => 1,
            StepKind::Backtrack => 2,
            StepKind::Restate => 3,
        });
        for part in [step.meta, step.sub_problem, step.answer] {
            let forward = i64::from(part.start) - last;
            number(&mut out, (forward << 1 ^ forward >> 63) as u64);
            let length = i64::from(part.end) - i64::from(part.start);
            number(&mut out, length.max(0) as u64);
            last = i64::from(part.start.max(part.end));
        }
    }
    out
}

/// Unpacks a list that was made from `trace`; `None` if the bytes are not one, or a span does not
/// lie in the text on character boundaries.
pub(super) fn unpack(bytes: &[u8], trace: &str) -> Option<StepList> {
    let mut input = Input(bytes);
    if input.byte()? != FORM {
        return None;
    }
    let text = match input.byte()? {
        0 => trace.to_string(),
        1 => {
            let length = usize::try_from(input.number()?).ok()?;
            String::from_utf8(input.bytes(length)?.to_vec()).ok()?
        }
        _ => return None,
    };
    let end = match input.byte()? {
        0 => End::Complete,
        1 => End::Truncated,
        2 => End::Malformed { at: u32::try_from(input.number()?).ok()? },
        _ => return None,
    };
    let count = usize::try_from(input.number()?).ok()?;
    // A step takes seven bytes at least.
    if count > input.0.len() / 7 {
        return None;
    }
    let mut steps = Vec::with_capacity(count);
    let mut last = 0i64;
    for _ in 0..count {
        let kind = match input.byte()? {
            0 => StepKind::Progress,
            1 => StepKind::Verify,
            2 => StepKind::Backtrack,
            3 => StepKind::Restate,
            _ => return None,
        };
        let mut part = || -> Option<Span> {
            let zigzag = input.number()?;
            let start = last.checked_add((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))?;
            let end = start.checked_add(i64::try_from(input.number()?).ok()?)?;
            last = end;
            let (start, end) = (usize::try_from(start).ok()?, usize::try_from(end).ok()?);
            (end <= u32::MAX as usize && text.get(start..end).is_some()).then(|| Span::new(start, end))
        };
        let (meta, sub_problem, answer) = (part()?, part()?, part()?);
        steps.push(Step { meta, sub_problem, answer, kind });
    }
    input.0.is_empty().then_some(StepList { text, steps, end })
}

fn number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn number(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn list() -> impl Strategy<Value = StepList> {
        let text = "[a-z\u{e4}\u{1F600}\n]{0,40}";
        let kinds = prop_oneof![Just(StepKind::Progress), Just(StepKind::Verify), Just(StepKind::Backtrack)];
        let end = prop_oneof![
            Just(End::Complete),
            Just(End::Truncated),
            any::<u32>().prop_map(|at| End::Malformed { at })
        ];
        (text, prop::collection::vec((kinds, prop::array::uniform6(0usize..41)), 0..6), end).prop_map(
            |(text, steps, end)| {
                let cut = |a: usize, b: usize| {
                    let fit = |at: usize| {
                        (0..=at.min(text.len())).rfind(|&at| text.is_char_boundary(at)).unwrap_or(0)
                    };
                    Span::new(fit(a.min(b)), fit(a.max(b)))
                };
                let steps = steps
                    .into_iter()
                    .map(|(kind, [a, b, c, d, e, f])| Step {
                        meta: cut(a, b),
                        sub_problem: cut(c, d),
                        answer: cut(e, f),
                        kind,
                    })
                    .collect();
                StepList { text, steps, end }
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_back(list in list(), other in "[a-z]{0,9}") {
            for trace in [list.text.as_str(), other.as_str()] {
                prop_assert_eq!(unpack(&pack(&list, trace), trace), Some(list.clone()));
            }
        }

        #[test]
        fn any_bytes_are_a_list_or_none(list in list(), at in any::<usize>(), byte in any::<u8>(), noise in any::<Vec<u8>>()) {
            let mut packed = pack(&list, "");
            let at = at % packed.len();
            packed[at] = byte;
            for bytes in [&packed[..], &packed[..at], &noise] {
                if let Some(list) = unpack(bytes, "a\u{e4}b") {
                    for step in &list.steps {
                        for span in [step.meta, step.sub_problem, step.answer] {
                            prop_assert!(list.text.get(span.start as usize..span.end as usize).is_some());
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_text_of_the_trace_is_not_stored_twice() {
        let text = "x".repeat(10_000);
        let list = StepList { text: text.clone(), ..StepList::default() };
        assert_eq!(pack(&list, &text).len(), 4);
    }
}
