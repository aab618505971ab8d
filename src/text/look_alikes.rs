//! Letters of other scripts that look like Latin ones.
//!
//! A word that mixes scripts is written to be read by people and not by programs. Read as what it looks like, it says what
//! it says. Words that are wholly of another script are left alone where the text has letters of it that look like no
//! Latin one: then it is a text in that script. The table holds the letters of Cyrillic, Greek and the full-width forms
//! that the Unicode data file `confusables.txt` maps to a single Latin letter or digit.

/// The Latin letter or digit that a letter looks like; `None` for all others.
fn latin(letter: char) -> Option<char> {
    Some(match letter {
        'а' | 'α' => 'a',
        'А' | 'Α' => 'A',
        'В' | 'Β' => 'B',
        'с' | 'ϲ' => 'c',
        'С' | 'Ϲ' => 'C',
        'ԁ' => 'd',
        'е' => 'e',
        'Е' | 'Ε' => 'E',
        'һ' => 'h',
        'Н' | 'Η' => 'H',
        'і' | 'ι' => 'i',
        'І' | 'Ι' => 'I',
        'ј' => 'j',
        'Ј' => 'J',
        'К' | 'Κ' => 'K',
        'ӏ' => 'l',
        'М' | 'Μ' => 'M',
        'Ν' => 'N',
        'о' | 'ο' => 'o',
        'О' | 'Ο' => 'O',
        'р' | 'ρ' => 'p',
        'Р' | 'Ρ' => 'P',
        'ԛ' => 'q',
        'ѕ' => 's',
        'Ѕ' => 'S',
        'Т' | 'Τ' => 'T',
        'ѵ' | 'ν' => 'v',
        'ԝ' => 'w',
        'х' => 'x',
        'Х' | 'Χ' => 'X',
        'у' => 'y',
        'У' | 'Υ' => 'Y',
        'Ζ' => 'Z',
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(letter as u32 - 0xff01 + 0x21)?,
        _ => return None,
    })
}

/// Whether a letter is of Cyrillic or Greek.
fn is_foreign(letter: char) -> bool {
    letter.is_alphabetic() && matches!(letter, '\u{370}'..='\u{52f}')
}

/// The text with look-alikes as what they look like; `None` if there is nothing to change, as in almost every text.
pub fn fold(text: &str) -> Option<String> {
    if text.is_ascii() || !text.chars().any(|letter| latin(letter).is_some()) {
        return None;
    }
    let is_own_script = text.chars().any(|letter| is_foreign(letter) && latin(letter).is_none());
    let mut out = String::with_capacity(text.len());
    let mut changed = false;
    let mut push = |word: &str| {
        let mixed = word.contains(|letter: char| letter.is_ascii_alphabetic());
        if word.contains(|letter| latin(letter).is_some())
            && (mixed || !is_own_script || !word.contains(is_foreign))
        {
            out.extend(word.chars().map(|letter| latin(letter).unwrap_or(letter)));
            changed = true;
        } else {
            out.push_str(word);
        }
    };
    let mut from = 0;
    for (at, letter) in text.char_indices() {
        if !letter.is_alphanumeric() {
            push(&text[from..at]);
            from = at + letter.len_utf8();
            push(&text[at..from]);
        }
    }
    push(&text[from..]);
    changed.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_look() {
        for (text, folded) in [
            ("Wаit, nо", Some("Wait, no")),
            ("а сар", Some("a cap")),
            ("３ ＋ ４ ＝ ７", Some("3 + 4 = 7")),
            ("Это хорошо: 3 + 4 = 7", None),
            ("Это хорошо, аnd this", Some("Это хорошо, and this")),
            ("plain", None),
            ("2πr and α", None),
            ("é, ñ, 数", None),
            ("", None),
        ] {
            assert_eq!(fold(text).as_deref(), folded, "{text:?}");
        }
    }
}
