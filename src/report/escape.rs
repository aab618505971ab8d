//! Text from records, made safe to show.

use std::borrow::Cow;

/// What to show instead of a character that is invisible, moves the cursor or reorders text;
/// `None` if it can be shown as it is.
fn stand_in(c: char) -> Option<Cow<'static, str>> {
    let code = c as u32;
    match code {
        0x09 | 0x0a => None,
        // The control pictures: U+2400 and following.
        0x00..=0x1f => char::from_u32(0x2400 + code).map(|c| Cow::Owned(c.to_string())),
        0x7f => Some(Cow::Borrowed("\u{2421}")),
        // C1 controls, which terminals obey; soft hyphen; marks and overrides of direction; zero-width and
        // invisible characters but for the joiners that emoji and scripts need; separators; tags.
        0x80..=0x9f
        | 0xad
        | 0x61c
        | 0x180e
        | 0x200b
        | 0x200e..=0x200f
        | 0x2028..=0x202e
        | 0x2060..=0x206f
        | 0xfeff
        | 0xfff9..=0xfffb
        | 0xe0000..=0xe0fff => Some(Cow::Owned(format!("[U+{code:04X}]"))),
        _ => None,
    }
}

/// Calls `put` with each character or its stand-in; a carriage return before a line feed is dropped.
fn each(text: &str, mut put: impl FnMut(Result<char, &str>)) {
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c == '\r' && rest.peek() == Some(&'\n') {
            continue;
        }
        match stand_in(c) {
            None => put(Ok(c)),
            Some(shown) => put(Err(&shown)),
        }
    }
}

/// Appends `text` to `out`, fit for HTML text and for quoted attributes.
pub(super) fn html(out: &mut String, text: &str) {
    each(text, |c| match c {
        Ok('&') => out.push_str("&amp;"),
        Ok('<') => out.push_str("&lt;"),
        Ok('>') => out.push_str("&gt;"),
        Ok('"') => out.push_str("&quot;"),
        Ok('\'') => out.push_str("&#39;"),
        Ok(c) => out.push(c),
        Err(shown) => out.push_str(shown),
    });
}

/// `text` as [`html`] writes it.
pub(super) fn to_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 16);
    html(&mut out, text);
    out
}

/// `text` fit for a terminal: line feeds stay, tabs become spaces.
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    each(text, |c| match c {
        Ok('\t') => out.push_str("    "),
        Ok(c) => out.push(c),
        Err(shown) => out.push_str(shown),
    });
    out
}

/// `text` fit for one line of a terminal.
pub(super) fn line(text: &str) -> String {
    plain(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The first `most` bytes of `text`, or a little less: up to a character boundary.
pub(super) fn prefix(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_and_controls_become_harmless() {
        for (text, expected) in [
            ("a<b>&\"'", "a&lt;b&gt;&amp;&quot;&#39;"),
            ("</script>", "&lt;/script&gt;"),
            ("a\r\nb\rc", "a\nb\u{240d}c"),
            ("\u{0}\u{1b}[31m\u{7f}", "\u{2400}\u{241b}[31m\u{2421}"),
            ("\u{9b}31m", "[U+009B]31m"),
            ("x\u{202e}y\u{2066}", "x[U+202E]y[U+2066]"),
            ("é 中 👩\u{200d}🔬", "é 中 👩\u{200d}🔬"),
        ] {
            assert_eq!(to_html(text), expected, "{text:?}");
        }
        assert_eq!(line(" a\tb\n\u{1b} c "), "a b \u{241b} c");
    }
}
