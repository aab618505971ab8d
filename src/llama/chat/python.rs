//! What templates expect of Python: methods of strings, `json.dumps`, `strftime`.

use minijinja::value::{Kwargs, Tuple, ValueKind, from_args};
use minijinja::{Error as Failure, ErrorKind, State, Value};

/// Deepest value that is written as JSON.
const MOST_DEPTH: usize = 64;
/// Widest indentation of JSON.
const MOST_INDENT: usize = 16;

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Failure {
    Failure::new(ErrorKind::InvalidOperation, message)
}

/// `str.isspace` of Python: Unicode white space, and the four separators of ASCII.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

/// The test `iterable`: what has `__iter__`, as an undefined value has in Jinja and `None` has not.
pub fn is_iterable(value: &Value) -> bool {
    use ValueKind::{Bytes, Iterable, Map, Seq, String, Undefined};
    matches!(value.kind(), Undefined | String | Bytes | Seq | Map | Iterable)
}

/// The filter `trim`: `str.strip`.
pub fn trim(text: &str, characters: Option<&str>) -> String {
    strip(text, characters, true, true).to_owned()
}

fn strip<'a>(text: &'a str, characters: Option<&str>, start: bool, end: bool) -> &'a str {
    let goes = |c: char| characters.map_or_else(|| is_space(c), |set| set.contains(c));
    let text = if start { text.trim_start_matches(goes) } else { text };
    if end { text.trim_end_matches(goes) } else { text }
}

/// Methods of values: those that `minijinja-contrib` lacks or that differ from Python's there, then the rest of it.
pub fn method(state: &mut State, value: &Value, name: &str, arguments: &[Value]) -> Result<Value, Failure> {
    let Some(text) = value.as_str() else {
        return minijinja_contrib::pycompat::unknown_method_callback(state, value, name, arguments);
    };
    match name {
        "strip" | "lstrip" | "rstrip" => {
            let (characters,): (Option<&str>,) = from_args(arguments)?;
            Ok(Value::from(strip(text, characters, name != "rstrip", name != "lstrip")))
        }
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(arguments)?;
            Ok(Value::from(text.strip_prefix(prefix).unwrap_or(text)))
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(arguments)?;
            Ok(Value::from(text.strip_suffix(suffix).unwrap_or(text)))
        }
        "partition" | "rpartition" => {
            let (separator,): (&str,) = from_args(arguments)?;
            if separator.is_empty() {
                return Err(invalid("empty separator"));
            }
            let first = name == "partition";
            let parts = match if first { text.split_once(separator) } else { text.rsplit_once(separator) } {
                Some((before, after)) => [before, separator, after],
                None if first => [text, "", ""],
                None => ["", "", text],
            };
            Ok(Value::from(Tuple::from(parts.map(Value::from))))
        }
        "rsplit" => {
            let (separator, most): (&str, Option<usize>) = from_args(arguments)?;
            if separator.is_empty() {
                return Err(invalid("empty separator"));
            }
            let most = most.unwrap_or(usize::MAX).saturating_add(1);
            let mut parts: Vec<Value> = text.rsplitn(most, separator).map(Value::from).collect();
            parts.reverse();
            Ok(Value::from(parts))
        }
        _ => minijinja_contrib::pycompat::unknown_method_callback(state, value, name, arguments),
    }
}

/// The filter `tojson` as `transformers` has it: `json.dumps(value, ensure_ascii=False, indent, separators, sort_keys)`.
pub fn tojson(state: &State, value: &Value, options: Kwargs) -> Result<Value, Failure> {
    let indent = match options.get::<Option<Value>>("indent")? {
        None => None,
        Some(value) if value.is_none() => None,
        Some(value) => match (value.as_str(), usize::try_from(value.clone())) {
            (Some(text), _) if text.len() <= MOST_INDENT => Some(text.to_owned()),
            (None, Ok(width)) if width <= MOST_INDENT => Some(" ".repeat(width)),
            _ => return Err(invalid(format!("the indentation of JSON is at most {MOST_INDENT} wide"))),
        },
    };
    let separators = options.get::<Option<Value>>("separators")?.filter(|value| !value.is_none());
    let (item, key) = match separators {
        Some(pair) => {
            let part = |at| {
                let part = pair.get_item_by_index(at)?;
                part.as_str().map(str::to_owned).ok_or_else(|| invalid("separators are two texts"))
            };
            (part(0)?, part(1)?)
        }
        None => (if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned()),
    };
    let ascii = options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false);
    let sorted = options.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    options.assert_all_used()?;
    let mut json = Json { state, indent, item, key, ascii, sorted, out: String::new() };
    json.value(value, 0)?;
    Ok(Value::from(json.out))
}

struct Json<'a> {
    state: &'a State<'a, 'a>,
    indent: Option<String>,
    item: String,
    key: String,
    ascii: bool,
    sorted: bool,
    out: String,
}

impl Json<'_> {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Failure> {
        // Many small values are made into much text: what is written is paid for as it grows.
        self.state.consume_fuel(1 + (depth / 4) as u64)?;
        if depth > MOST_DEPTH {
            return Err(invalid(format!("JSON nests {MOST_DEPTH} deep at most")));
        }
        match value.kind() {
            ValueKind::None => self.out.push_str("null"),
            ValueKind::Bool => self.out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number if value.is_integer() => self.out.push_str(&value.to_string()),
            ValueKind::Number => self.out.push_str(&float(f64::try_from(value.clone())?)),
            ValueKind::String => self.text(value.as_str().unwrap_or_default())?,
            ValueKind::Seq | ValueKind::Iterable => {
                let items = value.try_iter()?.checked().collect::<Result<Vec<_>, _>>()?;
                self.block('[', ']', items, depth, |json, item| json.value(&item, depth + 1))?;
            }
            ValueKind::Map => {
                let mut pairs = Vec::new();
                for key in value.try_iter()?.checked() {
                    let key = key?;
                    let name = match key.kind() {
                        ValueKind::String => key.as_str().unwrap_or_default().to_owned(),
                        ValueKind::None => "null".into(),
                        ValueKind::Bool => key.is_true().to_string(),
                        ValueKind::Number => key.to_string(),
                        kind => return Err(invalid(format!("a {kind} cannot be a key of JSON"))),
                    };
                    pairs.push((name, value.get_item(&key)?));
                }
                if self.sorted {
                    pairs.sort_by(|a, b| a.0.cmp(&b.0));
                }
                self.block('{', '}', pairs, depth, |json, (name, item)| {
                    json.text(&name)?;
                    let key = std::mem::take(&mut json.key);
                    json.out.push_str(&key);
                    json.key = key;
                    json.value(&item, depth + 1)
                })?;
            }
            kind => return Err(invalid(format!("a value of type {kind} cannot be written as JSON"))),
        }
        Ok(())
    }

    fn block<T>(
        &mut self,
        open: char,
        close: char,
        items: Vec<T>,
        depth: usize,
        mut write: impl FnMut(&mut Self, T) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.out.push(open);
        let filled = !items.is_empty();
        for (at, item) in items.into_iter().enumerate() {
            if at > 0 {
                self.out.push_str(&self.item);
            }
            self.line(depth + 1);
            write(self, item)?;
        }
        if filled {
            self.line(depth);
        }
        self.out.push(close);
        Ok(())
    }

    /// A new line, where the JSON is indented.
    fn line(&mut self, depth: usize) {
        if let Some(indent) = &self.indent {
            self.out.push('\n');
            (0..depth).for_each(|_| self.out.push_str(indent));
        }
    }

    fn text(&mut self, text: &str) -> Result<(), Failure> {
        self.state.consume_fuel((text.len() / 16) as u64)?;
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\x08' => self.out.push_str("\\b"),
                '\x0c' => self.out.push_str("\\f"),
                c if c < ' ' || (self.ascii && !(' '..='~').contains(&c)) => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        self.out.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                c => self.out.push(c),
            }
        }
        self.out.push('"');
        Ok(())
    }
}

/// `float.__repr__` of Python, with the names that its `json` gives what is no number.
fn float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.into();
    }
    // Both languages write the shortest digits that read back as the same number; the form differs.
    let scientific = format!("{value:e}");
    let exponent =
        scientific.split_once('e').and_then(|(_, exponent)| exponent.parse::<i32>().ok()).unwrap_or(0);
    if (-4..16).contains(&exponent) {
        return format!("{value:?}");
    }
    let digits = scientific.split_once('e').map_or(scientific.as_str(), |(digits, _)| digits);
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// `strftime` of a time in seconds since 1970, UTC, with English names.
///
/// # Errors
/// A directive that templates do not use.
pub fn strftime(format: &str, seconds: i64) -> Result<String, Failure> {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = date(days);
    let weekday = DAYS[(days + 4).rem_euclid(7) as usize];
    let month_name = MONTHS[month as usize - 1];
    let (hour, minute) = (second / 3600, second / 60 % 60);
    let hour12 = (hour + 11) % 12 + 1;
    let mut out = String::new();
    let mut characters = format.chars();
    while let Some(c) = characters.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let (plain, directive) = match characters.next() {
            Some('-') => (true, characters.next()),
            other => (false, other),
        };
        let two = |number: i64| if plain { number.to_string() } else { format!("{number:02}") };
        let piece = match directive {
            Some('Y') => format!("{year:04}"),
            Some('y') => two(year.rem_euclid(100)),
            Some('m') => two(month),
            Some('d') => two(day),
            Some('H') => two(hour),
            Some('I') => two(hour12),
            Some('M') => two(minute),
            Some('S') => two(second % 60),
            Some('j') => {
                let number = days - first_day(year) + 1;
                if plain { number.to_string() } else { format!("{number:03}") }
            }
            Some('B') => month_name.into(),
            Some('b') => month_name[..3].into(),
            Some('A') => weekday.into(),
            Some('a') => weekday[..3].into(),
            Some('p') => if hour < 12 { "AM" } else { "PM" }.into(),
            Some('F') => format!("{year:04}-{month:02}-{day:02}"),
            Some('T') => format!("{hour:02}:{minute:02}:{:02}", second % 60),
            Some('Z' | 'z') => String::new(),
            Some('%') => "%".into(),
            other => {
                let name = other.map_or(String::new(), String::from);
                return Err(invalid(format!("strftime_now: the directive %{name} is not supported")));
            }
        };
        out += &piece;
    }
    Ok(out)
}

/// Days from 1970 to the first of January of `year`.
fn first_day(year: i64) -> i64 {
    let before = year - 1;
    365 * (year - 1970) + before.div_euclid(4) - before.div_euclid(100) + before.div_euclid(400) - 477
}

/// Year, month and day of a number of days since 1970, in the Gregorian calendar.
fn date(days: i64) -> (i64, i64, i64) {
    let mut year = 1970 + days.div_euclid(366);
    while first_day(year + 1) <= days {
        year += 1;
    }
    let mut day = days - first_day(year) + 1;
    let leap = first_day(year + 1) - first_day(year) == 366;
    let lengths = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in lengths {
        if day <= length {
            break;
        }
        (day, month) = (day - length, month + 1);
    }
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        // From `date -u -d @SECONDS`.
        for (seconds, expected) in [
            (0, "Thu 01 Jan 1970 00:00:00 001"),
            (951_782_400, "Tue 29 Feb 2000 00:00:00 060"),
            (1_721_952_000, "Fri 26 Jul 2024 00:00:00 208"),
            (1_735_689_599, "Tue 31 Dec 2024 23:59:59 366"),
            (4_107_542_399, "Sun 28 Feb 2100 23:59:59 059"),
            (-1, "Wed 31 Dec 1969 23:59:59 365"),
        ] {
            assert_eq!(strftime("%a %d %b %Y %H:%M:%S %j", seconds).expect("a date"), expected);
        }
        assert_eq!(
            strftime("%-d %B %y, %-I:%M %p %%", 1_721_999_100).expect("a date"),
            "26 July 24, 1:05 PM %"
        );
        assert!(strftime("%Q", 0).is_err() && strftime("%", 0).is_err());
    }

    #[test]
    fn floats_are_written_as_in_python() {
        for (value, expected) in [
            (0.0, "0.0"),
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (0.0001, "0.0001"),
            (0.000_01, "1e-05"),
            (-2.5e-7, "-2.5e-07"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(float(value), expected);
        }
    }
}
