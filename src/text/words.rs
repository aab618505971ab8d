//! Normalised words.

use xxhash_rust::xxh3::xxh3_64;

/// A text with a capital in front.
pub fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// Calls `each` with every word of `text`, lower-cased and stripped of a plural or verb ending.
/// Digits are no words ([`super::numbers`] reads them), nor are LaTeX commands.
pub fn each_word(text: &str, buffer: &mut String, mut each: impl FnMut(&str)) {
    let mut rest = text;
    let mut offset = 0;
    while let Some(start) = rest.find(char::is_alphabetic) {
        let word = &rest[start..];
        let end = word.find(|c: char| !(c.is_alphabetic() || c == '\'' || c == '’')).unwrap_or(word.len());
        let is_command = text.as_bytes().get((offset + start).wrapping_sub(1)) == Some(&b'\\');
        if !is_command {
            buffer.clear();
            lower_into(&word[..end], buffer);
            let stem = stem(buffer.trim_end_matches(['\'', '’']));
            if !stem.is_empty() {
                each(stem);
            }
        }
        offset += start + end;
        rest = &word[end..];
    }
}

fn lower_into(word: &str, buffer: &mut String) {
    if word.is_ascii() {
        buffer.push_str(word);
        buffer.make_ascii_lowercase();
    } else {
        buffer.extend(word.chars().flat_map(char::to_lowercase));
    }
}

/// Cuts the commonest English endings; crude on purpose, since both sides are cut alike.
fn stem(word: &str) -> &str {
    let word = word.strip_suffix("'s").or_else(|| word.strip_suffix("’s")).unwrap_or(word);
    for ending in ["ing", "ed", "es", "s"] {
        if let Some(cut) = word.strip_suffix(ending).filter(|cut| cut.len() >= 3) {
            return cut;
        }
    }
    word
}

/// A 32-bit name for a word. Two of 10,000 words share one with a chance of about 1 %; a shared name
/// only blurs one overlap.
pub fn hash(word: &str) -> u32 {
    xxh3_64(word.as_bytes()) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        each_word(text, &mut String::new(), |w| found.push(w.to_owned()));
        found
    }

    #[test]
    fn words_are_lowered_and_cut() {
        assert_eq!(words("Janet's ducks laid 16 eggs"), ["janet", "duck", "laid", "egg"]);
        assert_eq!(words("\\frac{Total}{eaten}"), ["total", "eaten"]);
        assert_eq!(words("ÉCOLE écoles 'quoted'"), ["école", "écol", "quot"]);
        assert_eq!(words("x2 + y"), ["x", "y"]);
        assert_eq!(words(""), [""; 0]);
    }
}
