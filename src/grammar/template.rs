//! Filling the places of a text: `{{name}}`, and lines that are repeated for every step.

/// Replaces every `{{name}}` that `values` knows. What is put in is not looked at again, so a trace that contains
/// `{{path}}` stays as it is; an unknown place stays too.
pub(super) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(open) = rest.find("{{") {
        let (before, from) = rest.split_at(open);
        out.push_str(before);
        let found = from[2..].find("}}").and_then(|close| {
            let name = &from[2..2 + close];
            let value = values.iter().find(|(known, _)| *known == name)?.1;
            Some((value, close + 4))
        });
        match found {
            Some((value, len)) => {
                out.push_str(value);
                rest = &from[len..];
            }
            None => {
                out.push_str("{{");
                rest = &from[2..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// Writes the lines between `%each step` and `%end` once for every step from 1 to `most`: `{{n}}` is its number and
/// `{{next}}` what may follow it. From step `fewest` on the list may end, with `last` (which may be empty).
pub(super) fn unroll(template: &str, fewest: u32, most: u32, last: &str) -> String {
    let mut out = String::with_capacity(template.len());
    let mut block: Option<String> = None;
    for line in template.split_inclusive('\n') {
        match (line.trim_end(), &mut block) {
            ("%each step", _) => block = Some(String::new()),
            ("%end", Some(lines)) => {
                for n in 1..=most {
                    let next = match (n < most, n < fewest, last.is_empty()) {
                        (true, true, _) => format!("GAP step_{}", n + 1),
                        (true, false, true) => format!("(GAP step_{})?", n + 1),
                        (true, false, false) => format!("(GAP step_{} | {last})?", n + 1),
                        (false, _, true) => String::new(),
                        (false, _, false) => format!("({last})?"),
                    };
                    out.push_str(&fill(lines, &[("n", &n.to_string()), ("next", &next)]));
                }
                block = None;
            }
            (_, Some(lines)) => lines.push_str(line),
            (_, None) => out.push_str(line),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_once() {
        for (template, expected) in [
            ("a {{x}} b", "a {{y}} b"),
            ("{{x}}{{y}}", "{{y}}Y"),
            ("{{z}} {{", "{{z}} {{"),
            ("{{{x}}}", "{{{x}}}"),
            ("{0,{{y}}}", "{0,Y}"),
            ("", ""),
        ] {
            assert_eq!(fill(template, &[("x", "{{y}}"), ("y", "Y")]), expected, "{template:?}");
        }
    }

    #[test]
    fn steps_are_unrolled() {
        let template = "start: step_1\n%each step\nstep_{{n}}: \"{{n}}\" {{next}}\n%end\nGAP: \"g\"\n";
        assert_eq!(
            unroll(template, 2, 3, "LAST"),
            "start: step_1\nstep_1: \"1\" GAP step_2\nstep_2: \"2\" (GAP step_3 | LAST)?\n\
             step_3: \"3\" (LAST)?\nGAP: \"g\"\n"
        );
        assert_eq!(unroll(template, 1, 1, ""), "start: step_1\nstep_1: \"1\" \nGAP: \"g\"\n");
    }
}
