//! An answer as a row of tokens: LaTeX, plain text and Unicode spelled alike.
//!
//! What only changes the look is dropped here: sizes, spacing, colours, fonts, `$`. Linear in the length.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::answer) enum Tok<'a> {
    /// Digits, perhaps with a point, separators of thousands or an exponent: as written.
    Number(&'a str),
    /// Letters without a backslash, as many as stand together.
    Word(&'a str),
    /// A command of LaTeX that is known, without its backslash.
    Command(&'static str),
    /// One that is not.
    Unknown(&'a str),
    /// What stands in `\text{…}` and its kin.
    Text(&'a str),
    /// `(`, `[` or `{` for a group, `S` for `\{`, `<` for `\langle`, `f` and `c` for floor and ceiling.
    Open(char),
    /// The same for the other end, with `)`, `]`, `}`.
    Close(char),
    /// `|`, which opens and closes.
    Bar,
    /// One of `+ - * / ^ _ = < > , ; : ! ' % & ~ ° ±`, and `≤ ≥ ≠ ≈ ≡ ∈ ∉ ⊂ ⊆ ⊃ ⊇ ∪ ∩ ∖ → ∓`.
    Op(char),
    /// A superscript or subscript digit, or ½ and its kin as `1/2`.
    Raised(&'static str),
    Lowered(&'static str),
    Vulgar(&'static str),
    /// `$` with a backslash, €, £, ¥: which.
    Currency(&'static str),
    /// `\\`.
    Row,
}

/// A token and where it begins.
#[derive(Clone, Copy, Debug)]
pub(in crate::answer) struct Token<'a> {
    pub tok: Tok<'a>,
    pub at: usize,
    /// Whether white space stands in front.
    pub spaced: bool,
    /// Whether a new line does.
    pub fresh: bool,
}

/// Commands that are known, and what they are read as. Sorted, for the search of prefixes.
const COMMANDS: &[(&str, Meaning)] = &[
    ("Alpha", Meaning::Own),
    ("Beta", Meaning::Own),
    ("Big", Meaning::Nothing),
    ("Bigg", Meaning::Nothing),
    ("Biggl", Meaning::Nothing),
    ("Biggr", Meaning::Nothing),
    ("Bigl", Meaning::Nothing),
    ("Bigr", Meaning::Nothing),
    ("Delta", Meaning::Own),
    ("Gamma", Meaning::Own),
    ("Im", Meaning::Own),
    ("Lambda", Meaning::Own),
    ("Leftrightarrow", Meaning::Op('⇔')),
    ("Longrightarrow", Meaning::Op('→')),
    ("Omega", Meaning::Own),
    ("Phi", Meaning::Own),
    ("Pi", Meaning::Own),
    ("Psi", Meaning::Own),
    ("Re", Meaning::Own),
    ("Rightarrow", Meaning::Op('→')),
    ("Sigma", Meaning::Own),
    ("Theta", Meaning::Own),
    ("Xi", Meaning::Own),
    ("alpha", Meaning::Own),
    ("angle", Meaning::Own),
    ("approx", Meaning::Op('≈')),
    ("arccos", Meaning::Own),
    ("arccot", Meaning::Own),
    ("arcsin", Meaning::Own),
    ("arctan", Meaning::Own),
    ("arg", Meaning::Own),
    ("ast", Meaning::Op('*')),
    ("bar", Meaning::Own),
    ("begin", Meaning::Own),
    ("beta", Meaning::Own),
    ("bf", Meaning::Nothing),
    ("big", Meaning::Nothing),
    ("bigcap", Meaning::Op('∩')),
    ("bigcup", Meaning::Op('∪')),
    ("bigg", Meaning::Nothing),
    ("biggl", Meaning::Nothing),
    ("biggr", Meaning::Nothing),
    ("bigl", Meaning::Nothing),
    ("bigr", Meaning::Nothing),
    ("binom", Meaning::Own),
    ("bmod", Meaning::Same("mod")),
    ("boldsymbol", Meaning::Nothing),
    ("boxed", Meaning::Part),
    ("bullet", Meaning::Op('*')),
    ("cap", Meaning::Op('∩')),
    ("cdot", Meaning::Op('*')),
    ("cdots", Meaning::Same("dots")),
    ("ceil", Meaning::Own),
    ("cfrac", Meaning::Same("frac")),
    ("chi", Meaning::Own),
    ("choose", Meaning::Own),
    ("circ", Meaning::Op('°')),
    ("cong", Meaning::Op('≅')),
    ("cos", Meaning::Own),
    ("cosh", Meaning::Own),
    ("cot", Meaning::Own),
    ("coth", Meaning::Own),
    ("csc", Meaning::Own),
    ("cup", Meaning::Op('∪')),
    ("ddot", Meaning::Own),
    ("deg", Meaning::Op('°')),
    ("degree", Meaning::Op('°')),
    ("degrees", Meaning::Op('°')),
    ("delta", Meaning::Own),
    ("det", Meaning::Own),
    ("dfrac", Meaning::Same("frac")),
    ("displaystyle", Meaning::Nothing),
    ("div", Meaning::Op('/')),
    ("dot", Meaning::Own),
    ("dots", Meaning::Own),
    ("dotsc", Meaning::Same("dots")),
    ("ell", Meaning::Own),
    ("emptyset", Meaning::Own),
    ("end", Meaning::Own),
    ("ensuremath", Meaning::Nothing),
    ("epsilon", Meaning::Own),
    ("equiv", Meaning::Op('≡')),
    ("eta", Meaning::Own),
    ("exp", Meaning::Own),
    ("exponentialE", Meaning::Same("e")),
    ("fbox", Meaning::Part),
    ("floor", Meaning::Own),
    ("frac", Meaning::Own),
    ("gamma", Meaning::Own),
    ("gcd", Meaning::Own),
    ("ge", Meaning::Op('≥')),
    ("geq", Meaning::Op('≥')),
    ("geqslant", Meaning::Op('≥')),
    ("gets", Meaning::Op('=')),
    ("gt", Meaning::Op('>')),
    ("hat", Meaning::Own),
    ("hbar", Meaning::Own),
    ("hline", Meaning::Nothing),
    ("imath", Meaning::Same("i")),
    ("implies", Meaning::Op('→')),
    ("in", Meaning::Op('∈')),
    ("inf", Meaning::Own),
    ("infty", Meaning::Own),
    ("int", Meaning::Own),
    ("iota", Meaning::Own),
    ("kappa", Meaning::Own),
    ("lambda", Meaning::Own),
    ("land", Meaning::Op('&')),
    ("langle", Meaning::Open('<')),
    ("lbrace", Meaning::Open('S')),
    ("lceil", Meaning::Open('c')),
    ("lcm", Meaning::Own),
    ("ldots", Meaning::Same("dots")),
    ("le", Meaning::Op('≤')),
    ("left", Meaning::Nothing),
    ("leq", Meaning::Op('≤')),
    ("leqslant", Meaning::Op('≤')),
    ("lfloor", Meaning::Open('f')),
    ("lg", Meaning::Own),
    ("lim", Meaning::Own),
    ("limits", Meaning::Nothing),
    ("ln", Meaning::Own),
    ("log", Meaning::Own),
    ("lor", Meaning::Own),
    ("lt", Meaning::Op('<')),
    ("lvert", Meaning::Bar),
    ("mathbb", Meaning::Own),
    ("mathbf", Meaning::Nothing),
    ("mathcal", Meaning::Nothing),
    ("mathit", Meaning::Nothing),
    ("mathrm", Meaning::Text),
    ("mathsf", Meaning::Nothing),
    ("max", Meaning::Own),
    ("mbox", Meaning::Text),
    ("mid", Meaning::Bar),
    ("min", Meaning::Own),
    ("mod", Meaning::Own),
    ("mp", Meaning::Op('∓')),
    ("mu", Meaning::Own),
    ("nabla", Meaning::Own),
    ("ne", Meaning::Op('≠')),
    ("neg", Meaning::Own),
    ("neq", Meaning::Op('≠')),
    ("nolimits", Meaning::Nothing),
    ("notin", Meaning::Op('∉')),
    ("nu", Meaning::Own),
    ("omega", Meaning::Own),
    ("operatorname", Meaning::Text),
    ("overline", Meaning::Own),
    ("overrightarrow", Meaning::Same("vec")),
    ("partial", Meaning::Own),
    ("percent", Meaning::Op('%')),
    ("phi", Meaning::Own),
    ("pi", Meaning::Own),
    ("pm", Meaning::Op('±')),
    ("pmod", Meaning::Own),
    ("prime", Meaning::Op('\'')),
    ("prod", Meaning::Own),
    ("psi", Meaning::Own),
    ("qquad", Meaning::Space),
    ("quad", Meaning::Space),
    ("rangle", Meaning::Close('<')),
    ("rbrace", Meaning::Close('S')),
    ("rceil", Meaning::Close('c')),
    ("rfloor", Meaning::Close('f')),
    ("rho", Meaning::Own),
    ("right", Meaning::Nothing),
    ("rightarrow", Meaning::Op('→')),
    ("rm", Meaning::Nothing),
    ("rvert", Meaning::Bar),
    ("sec", Meaning::Own),
    ("setminus", Meaning::Op('∖')),
    ("sigma", Meaning::Own),
    ("sim", Meaning::Op('∼')),
    ("simeq", Meaning::Op('≈')),
    ("sin", Meaning::Own),
    ("sinh", Meaning::Own),
    ("space", Meaning::Space),
    ("sqrt", Meaning::Own),
    ("sube", Meaning::Op('⊆')),
    ("subset", Meaning::Op('⊂')),
    ("subseteq", Meaning::Op('⊆')),
    ("sum", Meaning::Own),
    ("sup", Meaning::Own),
    ("supset", Meaning::Op('⊃')),
    ("supseteq", Meaning::Op('⊇')),
    ("tan", Meaning::Own),
    ("tanh", Meaning::Own),
    ("tau", Meaning::Own),
    ("tbinom", Meaning::Same("binom")),
    ("text", Meaning::Text),
    ("textbf", Meaning::Text),
    ("textit", Meaning::Text),
    ("textnormal", Meaning::Text),
    ("textrm", Meaning::Text),
    ("textsf", Meaning::Text),
    ("texttt", Meaning::Text),
    ("textstyle", Meaning::Nothing),
    ("tfrac", Meaning::Same("frac")),
    ("theta", Meaning::Own),
    ("tilde", Meaning::Own),
    ("times", Meaning::Op('*')),
    ("to", Meaning::Op('→')),
    ("top", Meaning::Own),
    ("triangle", Meaning::Own),
    ("upsilon", Meaning::Own),
    ("varepsilon", Meaning::Own),
    ("variable", Meaning::Own),
    ("varnothing", Meaning::Same("emptyset")),
    ("varphi", Meaning::Own),
    ("vartheta", Meaning::Own),
    ("vec", Meaning::Own),
    ("vee", Meaning::Own),
    ("vert", Meaning::Bar),
    ("wedge", Meaning::Own),
    ("widehat", Meaning::Same("hat")),
    ("widetilde", Meaning::Same("tilde")),
    ("xi", Meaning::Own),
    ("zeta", Meaning::Own),
];

#[derive(Clone, Copy)]
enum Meaning {
    Own,
    Same(&'static str),
    Op(char),
    Open(char),
    Close(char),
    Bar,
    Text,
    Space,
    /// Of several boxes, each is one part of the answer.
    Part,
    Nothing,
}

fn command(name: &str) -> Option<(&'static str, Meaning)> {
    COMMANDS.binary_search_by(|(known, _)| (*known).cmp(name)).ok().map(|at| COMMANDS[at])
}

/// What is known of the command that `letters` begins with, and how many of them are its own: all, or as many as
/// possible ("\pic" where white space was lost is π c).
fn known(letters: &str) -> Option<(&'static str, Meaning, usize)> {
    // No command is longer.
    let most = letters.len().min(14);
    (2..=most).rev().find_map(|length| {
        let (name, meaning) = command(letters.get(..length)?)?;
        Some((name, meaning, length))
    })
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    spaced: bool,
    fresh: bool,
    /// Open brackets, outside of which thousands may be separated.
    depth: u32,
    /// Open environments, inside of which `\\` ends a row.
    environments: u32,
    /// Where nothing but the marks at the end of a sentence follows.
    end: usize,
    /// Whether there is one dollar sign only.
    single: bool,
    out: Vec<Token<'a>>,
}

/// The tokens of `text`.
pub(in crate::answer) fn lex(text: &str) -> Vec<Token<'_>> {
    let mut lexer = Lexer {
        text,
        at: 0,
        spaced: false,
        fresh: false,
        depth: 0,
        environments: 0,
        end: text.trim_end_matches(['.', ' ', '$', '\n', '}', ')']).len(),
        single: text.bytes().filter(|byte| *byte == b'$').take(2).count() == 1,
        out: Vec::with_capacity(text.len().min(64)),
    };
    while lexer.at < text.len() {
        lexer.next();
    }
    lexer.out
}

impl<'a> Lexer<'a> {
    fn push(&mut self, at: usize, tok: Tok<'a>) {
        match tok {
            Tok::Open('{') => {}
            Tok::Open(_) => self.depth += 1,
            Tok::Close('}') => {}
            Tok::Close(_) => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        self.out.push(Token { tok, at, spaced: self.spaced, fresh: self.fresh });
        (self.spaced, self.fresh) = (false, false);
    }

    fn next(&mut self) {
        let (start, rest) = (self.at, &self.text[self.at..]);
        let Some(c) = rest.chars().next() else { return };
        self.at += c.len_utf8();
        let tok = match c {
            '0'..='9' => return self.number(start),
            '.' if rest[1..].starts_with(|c: char| c.is_ascii_digit())
                && !self
                    .out
                    .last()
                    .is_some_and(|last| matches!(last.tok, Tok::Number(_)) && !self.spaced) =>
            {
                return self.number(start);
            }
            'a'..='z' | 'A'..='Z' => {
                let length = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
                self.at = start + length;
                Tok::Word(&rest[..length])
            }
            '\\' => return self.backslash(start),
            // Alone in front of a number it is money, and else the edge of a formula.
            '$' if self.single && rest[1..].starts_with(|c: char| c.is_ascii_digit() || c == '.') => {
                Tok::Currency("$")
            }
            '$' | '`' | '"' | '“' | '”' | '\u{200b}' | '\u{feff}' => return,
            '\n' | '\r' => {
                (self.spaced, self.fresh) = (true, true);
                return;
            }
            // What an escape in a programming language made of \frac, \text and \times.
            '\u{c}' if rest[1..].starts_with("rac") => {
                self.at = start + 4;
                Tok::Command("frac")
            }
            '\t' if rest[1..].starts_with("imes") => {
                self.at = start + 5;
                Tok::Op('*')
            }
            '\t' if rest[1..].starts_with("ext{") => {
                self.at = start + 4;
                return self.wrapped(start, "text");
            }
            c if c.is_whitespace() || c == '~' => {
                self.spaced = true;
                return;
            }
            '(' | '[' | '{' => Tok::Open(c),
            ')' | ']' | '}' => Tok::Close(c),
            '⌊' => Tok::Open('f'),
            '⌋' => Tok::Close('f'),
            '⌈' => Tok::Open('c'),
            '⌉' => Tok::Close('c'),
            '⟨' => Tok::Open('<'),
            '⟩' => Tok::Close('<'),
            '|' | '∣' => Tok::Bar,
            '*' if rest[1..].starts_with('*') => {
                // A power in a programming language, or Markdown.
                let is_power =
                    rest[2..].trim_start().starts_with(|c: char| c.is_alphanumeric() || c == '(' || c == '-')
                        && self.out.last().is_some_and(|last| {
                            matches!(last.tok, Tok::Number(_) | Tok::Word(_) | Tok::Close(_)) && !self.spaced
                        });
                self.at += 1;
                if !is_power {
                    return;
                }
                Tok::Op('^')
            }
            // 5!=120, but x != 5.
            '!' if rest[1..].starts_with('=')
                && !self.spaced
                && self.text[..start].ends_with(|c: char| c.is_ascii_digit() || c == ')') =>
            {
                Tok::Op('!')
            }
            '<' | '>' | '!' | '=' | ':' if rest[1..].starts_with('=') => {
                self.at += 1;
                match c {
                    '<' => Tok::Op('≤'),
                    '>' => Tok::Op('≥'),
                    '!' => Tok::Op('≠'),
                    _ => Tok::Op('='),
                }
            }
            '+' if rest[1..].starts_with("/-") => {
                self.at += 2;
                Tok::Op('±')
            }
            '+' | '-' | '*' | '/' | '^' | '_' | '=' | '<' | '>' | ',' | ';' | ':' | '!' | '\'' | '%'
            | '&' | '°' | '±' | '∓' | '≠' | '≈' | '≡' | '∈' | '∉' | '⊂' | '⊆' | '⊃' | '⊇' | '∪' | '∩' => {
                Tok::Op(c)
            }
            '≤' | '⩽' => Tok::Op('≤'),
            '≥' | '⩾' => Tok::Op('≥'),
            '∖' => Tok::Op('∖'),
            '−' | '–' | '—' | '﹣' | '－' => Tok::Op('-'),
            '×' | '·' | '⋅' | '∙' | '∗' | '•' => Tok::Op('*'),
            '÷' | '∕' | '⁄' => Tok::Op('/'),
            '′' | '’' => Tok::Op('\''),
            '，' => Tok::Op(','),
            '；' => Tok::Op(';'),
            '：' | '∶' => Tok::Op(':'),
            '（' => Tok::Open('('),
            '）' => Tok::Close(')'),
            '＝' => Tok::Op('='),
            '％' => Tok::Op('%'),
            '＋' => Tok::Op('+'),
            'º' => Tok::Op('°'),
            '→' | '⇒' => Tok::Op('→'),
            '€' => Tok::Currency("€"),
            '£' => Tok::Currency("£"),
            '¥' => Tok::Currency("¥"),
            '√' => Tok::Command("sqrt"),
            '∞' => Tok::Command("infty"),
            '∅' => Tok::Command("emptyset"),
            'π' => Tok::Command("pi"),
            '∑' => Tok::Command("sum"),
            '∏' => Tok::Command("prod"),
            '∫' => Tok::Command("int"),
            '∂' => Tok::Command("partial"),
            '∠' => Tok::Command("angle"),
            '…' => Tok::Command("dots"),
            'ℝ' => Tok::Text("R"),
            'ℤ' => Tok::Text("Z"),
            'ℕ' => Tok::Text("N"),
            'ℚ' => Tok::Text("Q"),
            'ℂ' => Tok::Text("C"),
            _ => match raised(c).or_else(|| vulgar(c)).or_else(|| greek(c)) {
                Some(tok) => tok,
                None if c.is_alphabetic() => {
                    let length = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
                    self.at = start + length;
                    Tok::Word(&rest[..length])
                }
                // "." at the end of a sentence, and whatever else has no meaning.
                None => {
                    return if c == '.' {
                        self.dots(start)
                    } else {
                        self.push(start, Tok::Unknown(&rest[..c.len_utf8()]))
                    };
                }
            },
        };
        self.push(start, tok);
    }

    fn dots(&mut self, start: usize) {
        if self.text[start..].starts_with("...") {
            self.at = start + 3;
            self.push(start, Tok::Command("dots"));
        } else if self.at >= self.end {
            // The end of a sentence.
        } else {
            self.push(start, Tok::Unknown("."));
        }
    }

    /// A number that begins here, with its separators.
    fn number(&mut self, start: usize) {
        let bytes = self.text.as_bytes();
        let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let first = digits(start);
        let mut end = start + first;
        // Thousands: by a comma or a space outside of brackets, by "{,}" and ",\!" anywhere.
        let is_script = self.out.last().is_some_and(|last| matches!(last.tok, Tok::Op('_' | '^')));
        if (1..=3).contains(&first) && bytes[start] != b'0' {
            let mut style = None;
            while let Some((length, this)) = separator(&self.text[end..]) {
                let loose = matches!(this, b',' | b' ');
                let group = digits(end + length);
                let may_be = group == 3 && style.is_none_or(|style| style == this);
                if !may_be || loose && (self.depth > 0 || is_script) {
                    break;
                }
                style = Some(this);
                end += length + 3;
            }
            // 2 113/124 is a mixed number.
            if style == Some(b' ') && bytes.get(end) == Some(&b'/') {
                end = start + first;
            }
        }
        if bytes.get(end) == Some(&b'.') {
            let part = digits(end + 1);
            // "1.2.3" is no number, "5." ends a sentence, "0.33..." goes on.
            let next = bytes.get(end + 1 + part);
            if part > 0 || repeats(&self.text[end + 1..]) {
                end += 1 + part;
            } else if next != Some(&b'.')
                && first > 0
                && next.is_none_or(|next| !next.is_ascii_alphanumeric())
                // "1. Compute the sum" begins a list.
                && !self.text[end + 1..].trim_start_matches(' ').starts_with(char::is_alphabetic)
            {
                end += 1;
                self.at = end;
                let text = &self.text[start..end - 1];
                return self.push(start, Tok::Number(text));
            }
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            let power = bytes
                .get(end + 1 + sign..)
                .map_or(0, |rest| rest.iter().take_while(|byte| byte.is_ascii_digit()).count());
            let after = bytes.get(end + 1 + sign + power);
            if power > 0 && !after.is_some_and(|next| next.is_ascii_alphabetic()) {
                end += 1 + sign + power;
            }
        }
        self.at = end;
        self.push(start, Tok::Number(&self.text[start..end]));
        // 1.5 x 10^3
        let rest = self.text[end..].trim_start_matches(' ');
        if let Some(power) = rest.strip_prefix('x').map(|rest| rest.trim_start_matches(' '))
            && ["10^", "10**", "10⁻", "10²", "10³"].iter().any(|ten| power.starts_with(ten))
        {
            self.at = self.text.len() - power.len();
            self.push(self.at - 1, Tok::Op('*'));
        }
    }

    fn backslash(&mut self, start: usize) {
        let rest = &self.text[start + 1..];
        let length = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        if length == 0 {
            let Some(c) = rest.chars().next() else { return };
            self.at = start + 1 + c.len_utf8();
            return match c {
                '!' | ',' | '(' | ')' | '[' | ']' | '/' | '"' | '-' => self.spaced |= c == ',',
                ';' | ':' | '>' | ' ' | '\n' | '~' => self.spaced = true,
                '{' => self.push(start, Tok::Open('S')),
                '}' => self.push(start, Tok::Close('S')),
                '|' => self.push(start, Tok::Bar),
                '$' => self.push(start, Tok::Currency("$")),
                '%' | '&' | '_' => self.push(start, Tok::Op(c)),
                '\\' => {
                    // "\\frac" in a text that was escaped twice.
                    let letters = rest[1..].bytes().take_while(u8::is_ascii_alphabetic).count();
                    if self.environments == 0 && letters > 0 && known(&rest[1..1 + letters]).is_some() {
                        self.at = start + 1;
                        return;
                    }
                    self.push(start, Tok::Row);
                }
                _ => self.push(start, Tok::Unknown(&self.text[start..self.at])),
            };
        }
        let letters = &rest[..length];
        let Some((name, meaning, length)) = known(letters) else {
            self.at = start + 1 + length;
            return self.push(start, Tok::Unknown(&self.text[start..self.at]));
        };
        self.at = start + 1 + length;
        match meaning {
            Meaning::Own => {
                match name {
                    "begin" => self.environments += 1,
                    "end" => self.environments = self.environments.saturating_sub(1),
                    _ => {}
                }
                self.push(start, Tok::Command(name));
            }
            Meaning::Same(other) => self.push(start, Tok::Command(other)),
            Meaning::Op(c) => self.push(start, Tok::Op(c)),
            Meaning::Open(c) => self.push(start, Tok::Open(c)),
            Meaning::Close(c) => self.push(start, Tok::Close(c)),
            Meaning::Bar => self.push(start, Tok::Bar),
            Meaning::Space => self.spaced = true,
            Meaning::Part => {
                if self.out.last().is_some_and(|last| last.tok == Tok::Close('}')) {
                    self.push(start, Tok::Op(','));
                }
            }
            Meaning::Text => self.wrapped(start, name),
            Meaning::Nothing => {
                // "\left." and "\right." have no bracket.
                if matches!(name, "left" | "right") && self.text[self.at..].starts_with('.') {
                    self.at += 1;
                }
            }
        }
    }

    /// What stands in braces behind `\text` and its kin.
    fn wrapped(&mut self, start: usize, name: &str) {
        let rest = &self.text[self.at..];
        let gap = rest.len() - rest.trim_start().len();
        let Some(inner) = rest[gap..].strip_prefix('{') else { return };
        let mut depth = 0;
        // Longer ones are no words; and many inside of each other would take time.
        let end = inner.bytes().take(LONGEST_TEXT).position(|byte| {
            match byte {
                b'{' => depth += 1,
                b'}' if depth == 0 => return true,
                b'}' => depth -= 1,
                _ => {}
            }
            false
        });
        let Some(end) = end else { return };
        let content = inner[..end].trim_matches([' ', '~', '\n']);
        let from = self.at + gap + 1;
        let is_plain = |c: char| c.is_alphabetic() || matches!(c, ' ' | '.' | '-' | '\'' | '/');
        let letters = content.chars().filter(|c| c.is_alphabetic()).count();
        // A letter or a formula in upright type, or a name of a function, is what it would be without.
        let upright = matches!(name, "operatorname" | "mathrm");
        let known = command(content).filter(|(_, meaning)| upright && matches!(meaning, Meaning::Own));
        // A letter behind a number is a unit.
        let after_number = self.out.last().is_some_and(|last| matches!(last.tok, Tok::Number(_)));
        if let Some((name, _)) = known {
            self.at = from + end + 1;
            self.push(start, Tok::Command(name));
        } else if name == "operatorname" && content.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            self.at = from + end + 1;
            self.push(start, Tok::Word(content));
        } else if content.is_empty() {
            self.spaced = true;
            self.at = from + end + 1;
        } else if !content.chars().all(is_plain) && !content.contains(' ')
            || letters < 2 && !content.starts_with('-') && !(after_number && letters == 1)
        {
            // Its braces stay as a group.
            self.at = from - 1;
        } else {
            self.at = from + end + 1;
            self.push(start, Tok::Text(content));
        }
    }
}

/// Words in `\text{…}`, in bytes.
const LONGEST_TEXT: usize = 512;

/// Whether the digits of a repeating decimal follow its point at once: `0.\overline{3}`, `0.(3)`.
fn repeats(rest: &str) -> bool {
    let rest = match rest.strip_prefix('(') {
        Some(inner) => {
            let digits = inner.bytes().take_while(u8::is_ascii_digit).count();
            return digits > 0 && inner[digits..].starts_with(')');
        }
        None => rest,
    };
    ["\\overline", "\\bar", "\\dot"].iter().any(|command| {
        rest.strip_prefix(command)
            .is_some_and(|rest| rest.trim_start_matches(['{', ' ']).starts_with(|c: char| c.is_ascii_digit()))
    })
}

/// A separator of thousands at the start of `text`: its length, and its style.
fn separator(text: &str) -> Option<(usize, u8)> {
    let bytes = text.as_bytes();
    match bytes.first()? {
        b',' if text[1..].starts_with("\\!") => {
            let space = text[3..].len() - text[3..].trim_start_matches(' ').len();
            Some((3 + space, b'!'))
        }
        b',' => Some((1, b',')),
        b'{' if text.starts_with("{,}") => Some((3, b'{')),
        b' ' if text.starts_with(" {,}") => Some((4, b'{')),
        b' ' if text.starts_with(" {, }") => Some((5, b'{')),
        b'{' if text.starts_with("{, }") => Some((4, b'{')),
        b' ' => Some((1, b' ')),
        b'\\' if text.starts_with("\\,") => Some((2, b' ')),
        b'~' => Some((1, b' ')),
        _ if text.starts_with('\u{202f}') || text.starts_with('\u{2009}') => Some((3, b' ')),
        _ if text.starts_with('\u{a0}') => Some((2, b' ')),
        _ => None,
    }
}

fn raised(c: char) -> Option<Tok<'static>> {
    const SUPER: &str = "⁰¹²³⁴⁵⁶⁷⁸⁹";
    const SUB: &str = "₀₁₂₃₄₅₆₇₈₉";
    const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    if c == '⁻' {
        return Some(Tok::Raised("-"));
    }
    let find = |row: &str| row.chars().position(|known| known == c);
    find(SUPER).map(|at| Tok::Raised(DIGITS[at])).or_else(|| find(SUB).map(|at| Tok::Lowered(DIGITS[at])))
}

fn vulgar(c: char) -> Option<Tok<'static>> {
    let parts = match c {
        '½' => "1/2",
        '⅓' => "1/3",
        '⅔' => "2/3",
        '¼' => "1/4",
        '¾' => "3/4",
        '⅕' => "1/5",
        '⅖' => "2/5",
        '⅗' => "3/5",
        '⅘' => "4/5",
        '⅙' => "1/6",
        '⅚' => "5/6",
        '⅐' => "1/7",
        '⅛' => "1/8",
        '⅜' => "3/8",
        '⅝' => "5/8",
        '⅞' => "7/8",
        '⅑' => "1/9",
        '⅒' => "1/10",
        _ => return None,
    };
    Some(Tok::Vulgar(parts))
}

fn greek(c: char) -> Option<Tok<'static>> {
    let name = match c {
        'α' => "alpha",
        'β' => "beta",
        'γ' => "gamma",
        'δ' => "delta",
        'ε' => "epsilon",
        'ζ' => "zeta",
        'η' => "eta",
        'θ' => "theta",
        'ι' => "iota",
        'κ' => "kappa",
        'λ' => "lambda",
        'μ' | 'µ' => "mu",
        'ν' => "nu",
        'ξ' => "xi",
        'ρ' => "rho",
        'σ' => "sigma",
        'τ' => "tau",
        'υ' => "upsilon",
        'φ' => "phi",
        'χ' => "chi",
        'ψ' => "psi",
        'ω' => "omega",
        'Γ' => "Gamma",
        'Δ' => "Delta",
        'Θ' => "Theta",
        'Λ' => "Lambda",
        'Ξ' => "Xi",
        'Φ' => "Phi",
        'Ψ' => "Psi",
        'Ω' => "Omega",
        'Σ' => "Sigma",
        _ => return None,
    };
    Some(Tok::Command(name))
}
