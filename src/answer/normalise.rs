//! One spelling for what LaTeX, Markdown and people spell differently.

/// Stands on both sides of what was inside `\text{…}` and its kin, until a unit has been looked for.
pub(super) const MARK: char = '\u{1}';

/// The text with wrappers, sizing, spacing commands, currency signs, degrees and Markdown taken off, with
/// single spaces, without a trailing period. [`MARK`]s show where LaTeX text was. One pass, and a handful of
/// replacements: linear time.
pub(super) fn normalise(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    // For each open brace: whether it belongs to a wrapper, and is not to be written.
    let mut open: Vec<Brace> = Vec::new();
    let mut rest = raw;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\\' => rest = command(rest, &mut out, &mut open),
            '{' => {
                open.push(Brace::Kept);
                out.push('{');
            }
            '}' => match open.pop() {
                Some(Brace::Text) => out.push(MARK),
                Some(Brace::Dropped) => {}
                Some(Brace::Kept) | None => out.push('}'),
            },
            '$' | '€' | '£' | '¥' | '`' | '°' | MARK => {}
            '*' if rest.starts_with('*') && !is_power(&out, rest) => rest = &rest[1..],
            '−' => out.push('-'),
            '×' | '⋅' | '·' => out.push('*'),
            '÷' => out.push('/'),
            '²' => out.push_str("^2"),
            '³' => out.push_str("^3"),
            'π' => out.push_str("\\pi "),
            '∞' => out.push_str("\\infty "),
            '≤' => out.push_str("\\leq "),
            '≥' => out.push_str("\\geq "),
            '~' => out.push(' '),
            '“' | '”' => out.push('"'),
            '’' => out.push('\''),
            _ if c.is_whitespace() => out.push(' '),
            _ => out.push(c),
        }
    }
    let out = out.replace("^{\\circ}", "").replace("^\\circ", "").replace("{,}", ",");
    let out = braced_fractions(&out);
    trimmed(&single_spaces(&out)).to_owned()
}

/// What becomes of a closing brace.
enum Brace {
    Kept,
    Dropped,
    Text,
}

/// `2**3` in a programming language.
fn is_power(before: &str, rest: &str) -> bool {
    before.ends_with(|c: char| c.is_alphanumeric() || c == ')')
        && rest[1..].starts_with(|c: char| c.is_ascii_digit())
}

/// Writes what the command after a backslash becomes, and returns what follows it.
fn command<'a>(rest: &'a str, out: &mut String, open: &mut Vec<Brace>) -> &'a str {
    let length = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
    if length == 0 {
        let Some(c) = rest.chars().next() else { return rest };
        match c {
            // A thin space stands between the digits of one number.
            '!' | ',' | '(' | ')' | '[' | ']' | '$' => {}
            ';' | ':' | '>' | ' ' | '\\' | '\n' => out.push(' '),
            '%' | '#' | '&' | '_' => out.push(c),
            _ => {
                out.push('\\');
                out.push(c);
            }
        }
        return &rest[c.len_utf8()..];
    }
    let (name, after) = rest.split_at(length);
    let wrapped = |open: &mut Vec<Brace>, brace| match after.trim_start().strip_prefix('{') {
        Some(inside) => {
            open.push(brace);
            inside
        }
        None => after,
    };
    match name {
        "text" | "textbf" | "textit" | "textrm" | "textsf" | "texttt" | "mbox" | "mathrm" | "rm" => {
            let inside = wrapped(open, Brace::Text);
            if inside.len() != after.len() {
                out.push(MARK);
            }
            return inside;
        }
        "mathbf" | "mathit" | "mathsf" | "mathbb" | "mathcal" | "boldsymbol" | "operatorname" | "boxed"
        | "fbox" | "ensuremath" => return wrapped(open, Brace::Dropped),
        "left" | "right" | "big" | "Big" | "bigl" | "bigr" | "Bigl" | "Bigr" | "displaystyle" | "limits" => {}
        "quad" | "qquad" | "space" => out.push(' '),
        "dfrac" | "tfrac" | "cfrac" | "frac" => out.push_str("\\frac"),
        "times" | "cdot" => out.push('*'),
        "div" => out.push('/'),
        "lt" => out.push('<'),
        "gt" => out.push('>'),
        "le" => out.push_str("\\leq "),
        "ge" => out.push_str("\\geq "),
        "ne" => out.push_str("\\neq "),
        "degree" | "degrees" => {}
        "percent" => out.push('%'),
        _ => {
            out.push('\\');
            out.push_str(name);
            // "\pi x" is not "\pix".
            if name != "circ" && name != "frac" && after.starts_with(|c: char| c == ' ') {
                out.push(' ');
            }
        }
    }
    after
}

/// `\frac12` and `\frac1{2}` with their braces, and no space before an argument.
fn braced_fractions(text: &str) -> String {
    const FRAC: &str = "\\frac";
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(FRAC) {
        out.push_str(&rest[..at + FRAC.len()]);
        rest = argument(rest[at + FRAC.len()..].trim_start(), &mut out);
        rest = argument(rest, &mut out);
    }
    out.push_str(rest);
    out
}

/// Copies one argument of `\frac`: a digit gets braces, a group without inner braces is copied as it is,
/// and anything else is left for the caller.
fn argument<'a>(rest: &'a str, out: &mut String) -> &'a str {
    let trimmed = rest.trim_start();
    if trimmed.starts_with(|c: char| c.is_ascii_digit()) {
        out.push('{');
        out.push_str(&trimmed[..1]);
        out.push('}');
        return &trimmed[1..];
    }
    let Some(inner) = trimmed.strip_prefix('{') else { return rest };
    match inner.find(['{', '}', '\\']) {
        Some(end) if inner.as_bytes()[end] == b'}' => {
            out.push_str(&trimmed[..end + 2]);
            &inner[end + 1..]
        }
        _ => rest,
    }
}

fn single_spaces(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

/// Without the punctuation of a sentence at the end, quotes at both ends, and braces around the whole.
fn trimmed(text: &str) -> &str {
    let mut text = text;
    loop {
        let before = text.len();
        text = text.trim_matches([' ', '"']).trim_end_matches(['.', ',', ';', ':', '\\']);
        let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
        if let Some(inner) = inner.filter(|inner| !inner.contains(['{', '}'])) {
            text = inner;
        }
        if text.len() == before {
            return text;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_fall_together() {
        for (raw, expected) in [
            ("$\\dfrac{1}{2}$", "\\frac{1}{2}"),
            ("\\frac12", "\\frac{1}{2}"),
            ("\\frac 1 {2}", "\\frac{1}{2}"),
            ("\\left( 3,\\, 4 \\right)", "( 3, 4 )"),
            ("90^\\circ.", "90"),
            ("90^{\\circ}", "90"),
            ("\\$1{,}200", "1,200"),
            ("**12**", "12"),
            ("2**3", "2**3"),
            ("50\\%", "50%"),
            ("\\text{Yes}", "\u{1}Yes\u{1}"),
            ("\\boxed{\\mathbf{x}}", "x"),
            ("{5}", "5"),
            ("\\( 2 \\pi r \\)", "2 \\pi r"),
            ("5 \u{a0} cm²", "5 cm^2"),
            ("\\", ""),
            ("}", "}"),
        ] {
            assert_eq!(normalise(raw), expected, "{raw:?}");
        }
    }
}
