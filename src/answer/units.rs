//! Units of measure that are converted. Others are words: the same as long as one has all those of the other.

use dashu_ratio::RBig;

/// What a unit measures, and how many of the smallest one it is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Unit {
    pub measures: String,
    pub factor: RBig,
}

/// Names, what they measure, numerator and denominator of the factor.
const UNITS: &[(&[&str], &str, u64, u64)] = &[
    (&["nm", "nanometer", "nanometre"], "length", 1, 1_000_000_000),
    (&["mm", "millimeter", "millimetre"], "length", 1, 1_000),
    (&["cm", "centimeter", "centimetre"], "length", 1, 100),
    (&["dm", "decimeter", "decimetre"], "length", 1, 10),
    (&["m", "meter", "metre"], "length", 1, 1),
    (&["km", "kilometer", "kilometre"], "length", 1_000, 1),
    (&["in", "inch", "inches"], "length", 254, 10_000),
    (&["ft", "foot", "feet"], "length", 3_048, 10_000),
    (&["yd", "yard"], "length", 9_144, 10_000),
    (&["mi", "mile"], "length", 1_609_344, 1_000),
    (&["mg", "milligram"], "mass", 1, 1_000),
    (&["g", "gram"], "mass", 1, 1),
    (&["kg", "kilogram"], "mass", 1_000, 1),
    (&["oz", "ounce"], "mass", 28_349_523_125, 1_000_000_000),
    (&["lb", "lbs", "pound"], "mass", 45_359_237, 100_000),
    (&["ms", "millisecond"], "time", 1, 1_000),
    (&["s", "sec", "second"], "time", 1, 1),
    (&["min", "minute"], "time", 60, 1),
    (&["h", "hr", "hour"], "time", 3_600, 1),
    (&["day"], "time", 86_400, 1),
    (&["month"], "months", 1, 1),
    (&["year", "yr"], "months", 12, 1),
    (&["week"], "time", 604_800, 1),
    (&["ml", "milliliter", "millilitre"], "volume", 1, 1_000),
    (&["cl", "centiliter", "centilitre"], "volume", 1, 100),
    (&["l", "liter", "litre"], "volume", 1, 1),
    (&["gallon", "gal"], "gallons", 1, 1),
    (&["quart", "qt"], "gallons", 1, 4),
    (&["pint", "pt"], "gallons", 1, 8),
    (&["mph"], "length/time", 1_609_344, 3_600_000),
    (&["kph", "kmh"], "length/time", 1_000, 3_600),
    (&["€", "euro", "eur"], "euros", 1, 1),
    (&["£", "gbp"], "pounds", 1, 1),
    (&["cent", "¢"], "dollars", 1, 100),
    (&["$", "dollar", "usd"], "dollars", 1, 1),
];

/// Reads a unit: one of the table, in the singular or plural, squared or cubed.
pub(super) fn read(text: &str) -> Option<Unit> {
    let text = text.trim().trim_end_matches('.');
    if let Some((top, bottom)) = text.split_once('/').or_else(|| text.split_once(" per ")) {
        let (top, bottom) = (read(top)?, read(bottom)?);
        let measures = format!("{}/{}", top.measures, bottom.measures);
        return Some(Unit { measures, factor: top.factor / bottom.factor });
    }
    let (name, power) = match text.rsplit_once('^') {
        Some((name, "2")) => (name, 2),
        Some((name, "3")) => (name, 3),
        Some(_) => return None,
        None => match text.split_once(' ') {
            Some(("square" | "sq", name)) => (name, 2),
            Some(("cubic", name)) => (name, 3),
            _ => (text, 1),
        },
    };
    let name = name.trim().to_lowercase();
    let find = |name: &str| UNITS.iter().find(|(names, ..)| names.contains(&name));
    let (_, measures, top, bottom) =
        find(&name).or_else(|| find(name.strip_suffix("es")?)).or_else(|| find(name.strip_suffix('s')?))?;
    let factor = RBig::from_parts((*top).into(), (*bottom).into()).pow(power);
    let measures = match (*measures, power) {
        (measures, 1) => measures,
        ("length", 2) => "area",
        // A litre is a cubic decimetre.
        ("length", _) => {
            return Some(Unit { measures: "volume".into(), factor: factor * RBig::from(1_000u32) });
        }
        _ => return None,
    };
    Some(Unit { measures: measures.into(), factor })
}

/// Whether two units that are not known are other words: each has one that the other lacks.
pub(super) fn are_other_words(a: &str, b: &str) -> bool {
    fn words(unit: &str) -> Vec<String> {
        let parts = unit.split(|c: char| c.is_whitespace() || matches!(c, '.' | ',' | '/' | '-' | '{' | '}'));
        let plain = |word: &str| {
            let word = word.to_lowercase();
            let word = word.strip_suffix("es").or_else(|| word.strip_suffix('s')).unwrap_or(&word);
            if word == "$" { "dollar".to_owned() } else { word.trim_end_matches('e').to_owned() }
        };
        parts.filter(|word| !word.is_empty()).map(plain).collect()
    }
    let (a, b) = (words(a), words(b));
    a.iter().any(|word| !b.contains(word)) && b.iter().any(|word| !a.contains(word))
}
