//! The HTML report and the terminal views, on records written for this purpose.
#![cfg(feature = "report")]

#[path = "report/samples.rs"]
mod samples;

use rlkd::report::html::{Builder, Options};
use rlkd::report::terminal;
use rlkd::score::Scored;
use rlkd::trace::End;
use samples::{HOSTILE, hostile, many, orchard, orchard_right, runs, unscored, written};
use unicode_width::UnicodeWidthStr;

fn builder(records: &[Scored], options: Options) -> Builder {
    let mut builder = Builder::new(options);
    records.iter().for_each(|record| builder.push(record));
    builder.push_error(Some("ropes-0001"), "expected `,` or `}`", "scored.jsonl:17: byte 5");
    builder
}

fn page(records: &[Scored], shown: usize) -> String {
    builder(records, Options { shown, ..Options::default() }).finish("Samples")
}

fn count(text: &str, part: &str) -> usize {
    text.matches(part).count()
}

/// The page without its own script and style sheet: what is made from data, and the template.
fn made_from_data(page: &str) -> String {
    let (before, rest) = page.split_once("<style>").unwrap();
    let (_, rest) = rest.split_once("</style>").unwrap();
    let (middle, rest) = rest.rsplit_once("<script>").unwrap();
    let (_, after) = rest.split_once("</script>").unwrap();
    [before, middle, after].concat()
}

#[test]
fn the_page_is_written_as_it_is_returned() {
    let mut records = written();
    records.extend(many(400));
    // Left for a look at it: target/tmp/report.html.
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("report.html");
    let mut file = std::fs::File::create(&path).unwrap();
    builder(&records, Options::default()).write_to("Samples", &mut file).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), page(&records, 200));
    assert_eq!(page(&records, 200), page(&records, 200));
    println!("{}", path.display());
}

#[test]
fn a_failing_writer_is_an_error() {
    let mut small = [0u8; 1000];
    let result = builder(&written(), Options::default()).write_to("Samples", &mut small.as_mut_slice());
    assert_eq!(result.unwrap_err().kind(), std::io::ErrorKind::WriteZero);
}

#[test]
fn the_page_holds_totals_distributions_and_every_pair() {
    let page = page(&written(), 200);
    for (name, value) in
        [("Records", "5"), ("Problems", "3"), ("Scored", "3"), ("Skipped", "1"), ("Errors", "1")]
    {
        let at = page.find(&format!("<dt>{name}</dt>")).unwrap();
        assert!(page[at..].split_once("</dd>").unwrap().0.ends_with(&format!(">{value}")), "{name}");
    }
    assert_eq!(count(&page, "<svg class=\"plot\""), 5, "the total and four parts");
    assert!(page.contains("Histogram of accuracy: 3 values from 0.00 to 1.00, mean 0.33, median 0.00"));
    assert_eq!(count(&page, "<article class=\"pair\""), 4);
    assert!(page.contains("Showing <b>4</b> of <b>4</b> scored traces.</p>"));
    assert!(page.contains("<code>scored.jsonl:17: byte 5</code>"));
    assert!(page.contains("accuracy: the gold answer is not a number"));
}

#[test]
fn steps_are_marked_and_pairs_share_a_number() {
    let page = page(&[orchard()], 200);
    let body = made_from_data(&page);
    for number in 1..=3 {
        assert_eq!(count(&body, &format!("data-pair=\"{number}\"")), 2, "pair {number} stands on both sides");
    }
    let steps = |class: &str| count(&body, &format!("<div class=\"step {class}"));
    assert_eq!((steps("matched"), steps("skipped"), steps("extra"), steps("aside")), (6, 1, 1, 3));
    assert!(body.contains("data-credit=\"1.00\" data-problem=\"0.97\" data-answer=\"1.00\""));
    assert!(body.contains("data-credit=\"0.50\" data-problem=\"0.91\" data-answer=\"0.08\""));
    // The whole text is there, not the steps alone.
    assert!(body.contains("Okay, so a press, 9 kg in and 5 litres out."));
    assert!(body.contains("&lt;think&gt;") && body.contains("The orchard presses **540 litres**."));
}

#[test]
fn hostile_text_stays_text() {
    let mut builder = Builder::default();
    for record in [hostile(), orchard(), hostile()] {
        builder.push(&record);
    }
    builder.push_error(Some(HOSTILE), HOSTILE, HOSTILE);
    let page = builder.finish(HOSTILE);
    std::fs::write(std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("hostile.html"), &page).unwrap();
    assert_eq!((count(&page, "<script"), count(&page, "</script")), (1, 1));
    assert_eq!((count(&page, "<style"), count(&page, "</style")), (1, 1));
    let body = made_from_data(&page);
    for bad in ["<img", "<!--", "onerror=alert(2)>", "{{style}}]]>"] {
        assert!(!body.contains(bad), "{bad}");
    }
    // What stood in quotes stayed in them: outside of escapes, each tag's quotes are even in number.
    for tag in body.split('<').skip(1).filter_map(|rest| rest.split_once('>')) {
        assert_eq!(count(tag.0, "\"") % 2, 0, "<{}>", tag.0);
    }
    let unseen = |c: char| {
        (c.is_control() && c != '\n' && c != '\t') || "\u{202e}\u{2066}\u{200b}\u{feff}".contains(c)
    };
    assert_eq!(page.chars().find(|c| unseen(*c)), None);
    assert!(body.contains("[U+202E]evil[U+2066]"), "shown, not dropped");
    // Each of the hostile texts is there, escaped.
    assert!(count(&body, "&lt;/script&gt;&lt;script&gt;alert(1)") >= 10);
}

#[test]
fn nothing_outside_the_page_is_named() {
    let page = page(&written(), 200);
    for word in
        ["http:", "https:", "//cdn", "@import", "url(", "src=", "<link", " style=\"", " onclick", "eval("]
    {
        assert!(!page.contains(word), "{word}");
    }
    let policy =
        page.split_once("Content-Security-Policy\" content=\"").unwrap().1.split_once('"').unwrap().0;
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
}

#[test]
fn no_more_than_asked_for_are_shown() {
    let records = many(1000);
    for shown in [0, 1, 7, 60, 200] {
        let page = page(&records, shown);
        assert_eq!(count(&page, "<article class=\"pair\""), shown);
        assert_eq!(count(&page, "<tr data-n="), shown);
        assert!(page.contains(&format!("Showing <b>{shown}</b> of <b>1,000</b>")), "{shown}");
    }
    let all = page(&records, 1000);
    assert_eq!(count(&all, "<article class=\"pair\""), 1000);
}

#[test]
fn the_page_says_why_a_trace_is_shown() {
    let records = many(3000);
    let page = page(&records, 60);
    for reason in ["lowest", "highest", "median", "most skipped", "not scored", "drawn"] {
        assert!(page.contains(&format!("<span class=\"tag\">{reason}</span>")), "{reason}");
    }
    // Chance comes from the ids alone.
    assert_eq!(page, self::page(&records, 60));
}

#[test]
fn long_texts_are_cut_and_the_page_says_so() {
    let mut record = orchard();
    record.problem = Some("é".repeat(1000));
    let options = Options { trace_bytes: 401, ..Options::default() };
    let page = builder(&[record], options).finish("Samples");
    assert!(page.contains(&format!("{}<p class=\"note\">… 1,900 more bytes are not shown.", "é".repeat(50))));
    assert_eq!(count(&page, "more bytes are not shown"), 3);
    assert!(!page.contains("The orchard presses"));
}

#[test]
fn an_empty_run_is_a_page_too() {
    let page = Builder::default().finish("Nothing");
    assert!(page.contains("There are no scored traces.") && page.ends_with("</html>\n"));
}

/// Compares with a file under `tests/golden/report`; with `RLKD_BLESS=1` it writes the file.
fn golden(name: &str, text: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/report").join(name);
    if std::env::var_os("RLKD_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
    assert!(text == expected, "{} differs; set RLKD_BLESS=1 to accept:\n{text}", path.display());
}

#[test]
fn the_terminal_shows_what_it_showed_before() {
    for width in [60, 100, 140] {
        for (color, suffix) in [(false, "txt"), (true, "ansi")] {
            let shown: Vec<String> =
                [orchard(), runs(), unscored()].iter().map(|r| terminal::explain(r, width, color)).collect();
            golden(&format!("explain-{width}.{suffix}"), &shown.join("\n=====\n"));
        }
    }
}

/// The text without its colours.
fn plain(text: &str) -> String {
    let mut pieces = text.split("\u{1b}[");
    let mut out = pieces.next().unwrap_or("").to_owned();
    for piece in pieces {
        let (code, rest) = piece.split_once('m').expect("only colours are set");
        assert!(code.bytes().all(|b| b.is_ascii_digit() || b == b';'), "{code:?}");
        out.push_str(rest);
    }
    out
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let mut wide = orchard_right();
    wide.problem = Some("里程表 👩\u{200d}🔬 ".repeat(30));
    let mut ended = orchard();
    let mut bare = orchard();
    if let (Some(ended), Some(bare)) = (&mut ended.structure, &mut bare.structure) {
        ended.teacher_steps.as_mut().unwrap().end = End::Truncated;
        ended.student_steps.as_mut().unwrap().end = End::Malformed { at: 123_456_789 };
        (bare.teacher_steps, bare.student_steps) = (None, None);
    }
    for record in [orchard(), orchard_right(), runs(), unscored(), hostile(), wide, ended, bare] {
        for width in [40, 41, 60, 79, 80, 81, 100, 140, 300] {
            let text = terminal::explain(&record, width, false);
            for line in text.lines() {
                assert!(line.width() <= width, "{width}: {line:?}");
            }
            let colored = plain(&terminal::explain(&record, width, true));
            let trimmed = |text: &str| text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
            assert_eq!(trimmed(&colored), trimmed(&text), "colour changes nothing else");
        }
    }
}

#[test]
fn the_terminal_is_not_steered_by_data() {
    for text in [terminal::explain(&hostile(), 100, false), {
        let mut row = terminal::Row::new(HOSTILE);
        row.push(&hostile());
        terminal::table(&[row.clone(), row], 100, false)
    }] {
        assert_eq!(text.chars().find(|c| c.is_control() && *c != '\n'), None, "{text:?}");
        assert!(!text.contains('\u{202e}'));
    }
    // With colour, the only escape sequences are our own.
    plain(&terminal::explain(&hostile(), 100, true));
}
