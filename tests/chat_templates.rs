//! Chat templates: the same bytes as `transformers`, and no template that harms the host.

#![cfg(feature = "llama")]

use std::path::{Path, PathBuf};

use rlkd::grammar::{Message, Role};
use rlkd::llama::chat::{ChatTemplate, MOST_TEMPLATE_BYTES, RenderOptions};
use serde_json::Value;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/chat").join(name)
}

fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).expect("JSON")
}

fn message(role: &str, content: &str) -> Message {
    let role = match role {
        "system" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        _ => panic!("{role}"),
    };
    Message { role, content: content.into() }
}

fn conversation(all: &Value, name: &str) -> Vec<Message> {
    let found =
        all.as_array().and_then(|all| all.iter().find(|c| c["name"] == name)).expect("a conversation");
    let turns = found["messages"].as_array().expect("messages").iter();
    turns
        .map(|m| message(m["role"].as_str().expect("a role"), m["content"].as_str().expect("a text")))
        .collect()
}

/// Compares every case of a file that render.py wrote; returns how many there were, and where ours differs.
fn compare(renderings: &Value, sources: impl Fn(&Value) -> String) -> (usize, Vec<String>) {
    let conversations = read(&golden("conversations.json"));
    let (mut count, mut differences) = (0, Vec::new());
    for template in renderings["templates"].as_array().expect("templates") {
        let name = template["name"].as_str().expect("a name");
        let text = |key: &str| template[key].as_str().expect(key);
        let compiled = match ChatTemplate::new(&sources(template), text("bos"), text("eos")) {
            Ok(compiled) => compiled,
            Err(error) => {
                differences.push(format!("{name}: {error}"));
                continue;
            }
        };
        for case in template["cases"].as_array().expect("cases") {
            count += 1;
            let options = RenderOptions {
                add_generation_prompt: case["add_generation_prompt"].as_bool().expect("a flag"),
                thinking: case["enable_thinking"].as_bool(),
            };
            let named = case["conversation"].as_str().expect("a name");
            let ours = compiled.render(&conversation(&conversations, named), &options);
            let expected = case["text"].as_str().or(case["folded"].as_str());
            let same = match (&ours, expected) {
                (Ok(ours), Some(expected)) => ours == expected,
                (Err(error), None) => {
                    case["raised"] == false
                        || error.to_string().contains(case["error"].as_str().expect("an error"))
                }
                _ => false,
            };
            if !same {
                let theirs = expected.map_or_else(|| case["error"].to_string(), |text| format!("{text:?}"));
                differences
                    .push(format!("{name}, {named}, {options:?}:\n  ours   {ours:?}\n  theirs {theirs}"));
            }
        }
    }
    (count, differences)
}

#[test]
fn renderings_are_those_of_transformers() {
    let source = |template: &Value| {
        let file = format!("templates/{}.jinja", template["name"].as_str().expect("a name"));
        std::fs::read_to_string(golden(&file)).expect("a template")
    };
    let (count, differences) = compare(&read(&golden("renderings.json")), source);
    // 5 templates, 16 conversations, with and without a generation prompt, thinking on, off and not stated.
    assert_eq!(count, 5 * 16 * 2 * 3);
    assert!(differences.is_empty(), "{} of {count} differ:\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn other_templates_render_alike_where_they_are_at_hand() {
    let Some(path) = std::env::var_os("RLKD_CHAT_RENDERINGS") else {
        eprintln!("skipped: RLKD_CHAT_RENDERINGS names no file that tests/golden/chat/render.py wrote");
        return;
    };
    let (count, differences) = compare(&read(Path::new(&path)), |template| {
        template["source"].as_str().expect("a source").to_owned()
    });
    eprintln!("{count} renderings compared");
    assert!(differences.is_empty(), "{} of {count} differ:\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn the_template_of_models_without_one_is_chatml() {
    let renderings = read(&golden("renderings.json"));
    let conversations = read(&golden("conversations.json"));
    let templates = renderings["templates"].as_array().expect("templates");
    let chatml = templates.iter().find(|template| template["name"] == "chatml").expect("chatml");
    for case in chatml["cases"].as_array().expect("cases") {
        let messages = conversation(&conversations, case["conversation"].as_str().expect("a name"));
        let add_generation_prompt = case["add_generation_prompt"].as_bool().expect("a flag");
        let options = RenderOptions { add_generation_prompt, ..RenderOptions::default() };
        assert_eq!(ChatTemplate::chatml().render(&messages, &options).expect("rendered"), case["text"]);
    }
}

#[track_caller]
fn render(source: &str) -> String {
    let messages = [message("user", "hi")];
    let template = ChatTemplate::new(source, "<s>", "</s>").expect(source);
    template.render(&messages, &RenderOptions::default()).expect(source)
}

#[test]
fn the_environment_is_that_of_transformers() {
    // Each expectation from transformers 5.24.0 with jinja2 3.1.6.
    for (source, expected) in [
        (
            "{{ bos_token }}|{{ eos_token }}|{{ tools is none }}|{{ pad_token is defined }}",
            "<s>|</s>|True|False",
        ),
        (
            "{{ none }} {{ true }} {{ 1.0 }} {{ ['a', none, {'b': 1}] }}",
            "None True 1.0 ['a', None, {'b': 1}]",
        ),
        (
            "{{ 'a' ~ none ~ true }} {{ [none, false] | join('-') }} {{ none | string }} {{ true | lower }} {{ 1 == 2 }}",
            "aNoneTrue None-False None true False",
        ),
        ("a\n  {% if true %}\n  b\n  {% endif %}\nc\n", "a\n  b\nc"),
        (
            "{% for i in range(9) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 4 %}{% break %}{% endif %}{{ i }}{% endfor %}",
            "013",
        ),
        ("{{ strftime_now('%d %b %Y') }}", "26 Jul 2024"),
        (
            "{{ {'b': 'ü<&>\\'', 'a': [1, 2.5, none, true]} | tojson }}",
            "{\"b\": \"ü<&>'\", \"a\": [1, 2.5, null, true]}",
        ),
        (
            "{{ {'a': [1, {}], 'b': []} | tojson(indent=2) }}",
            "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}",
        ),
        ("{{ ['é🙂'] | tojson(ensure_ascii=true) }}", "[\"\\u00e9\\ud83d\\ude42\"]"),
        ("{{ {'b': 1, 'a': 2} | tojson(sort_keys=true, separators=(',', ':')) }}", "{\"a\":2,\"b\":1}"),
        ("{{ undefined_name }}|{{ messages[0].no }}|{% for x in nothing %}x{% endfor %}|", "|||"),
        (
            "{{ ' a '.strip() }}{{ 'xay'.strip('xy') }}{{ 'a-b-c'.split('-')[-1] }}{{ 'ab'.removeprefix('a') }}",
            "aacb",
        ),
        ("{{ 'a,b,c'.rsplit(',', 1) }} {{ 'k=v'.partition('=') }}", "['a,b', 'c'] ('k', '=', 'v')"),
        ("{{ {'a': 1}.items() | list }} {{ {'a': 1}.get('b', 2) }}", "[('a', 1)] 2"),
        ("{{ messages[::-1][0]['content'] }} {{ 'content' in messages[0] }}", "hi True"),
        (
            "{% set n = namespace(a=1) %}{% for i in [1, 2] %}{% set n.a = n.a + i %}{% endfor %}{{ n.a }}",
            "4",
        ),
        (
            "{% set n = namespace(l=[]) %}{% for i in [1, 2] %}{% set n.l = n.l + [{'i': (i, 'x')}] %}{% endfor %}{{ n.l }}",
            "[{'i': (1, 'x')}, {'i': (2, 'x')}]",
        ),
        ("{% generation %}{% set a = 1 %}x{% endgeneration %}{{ a }}", "x"),
        ("{% macro m(a) %}<{{ a }}{{ caller() }}>{% endmacro %}{% call m('b') %}c{% endcall %}", "<bc>"),
        ("a\r\nb{{ 'c\r\nd' }}", "a\nbc\nd"),
    ] {
        assert_eq!(render(source), expected, "{source}");
    }
}

#[test]
fn a_refused_system_text_goes_to_the_first_user_turn() {
    let source = "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('System role not supported') }}\
                  {% endif %}[{{ m.role }}:{{ m.content }}]{% endfor %}";
    let template = ChatTemplate::new(source, "", "").expect("a template");
    let render = |turns: &[(&str, &str)]| {
        let messages: Vec<Message> = turns.iter().map(|(role, content)| message(role, content)).collect();
        template.render(&messages, &RenderOptions::default()).expect("rendered")
    };
    assert_eq!(render(&[("system", "s"), ("user", "u"), ("user", "v")]), "[user:s\n\nu][user:v]");
    assert_eq!(render(&[("system", "s")]), "[user:s]");
    assert_eq!(render(&[("user", "u")]), "[user:u]");
    let never =
        ChatTemplate::new("x\n{{ raise_exception('no ' ~ messages|length) }}", "", "").expect("a template");
    for turns in [vec![message("user", "u")], vec![message("system", "s"), message("user", "u")]] {
        let error = never.render(&turns, &RenderOptions::default()).expect_err("refused");
        let expected = format!("line 2: invalid operation: no {}", turns.len());
        assert!(error.to_string().contains(&expected), "{error}");
    }
}

#[test]
fn the_date_is_the_one_that_was_set() {
    let template = ChatTemplate::new("{{ strftime_now('%Y-%m-%d') }}", "", "").expect("a template");
    let other = template.clone().with_clock(951_782_400);
    let render = |template: &ChatTemplate| template.render(&[], &RenderOptions::default()).expect("rendered");
    assert_eq!((render(&template), render(&other)), ("2024-07-26".into(), "2000-02-29".into()));
    let endless = template.with_clock(i64::MAX);
    assert_eq!(render(&endless), "9999-12-31");
}

#[test]
fn wrong_templates_are_errors_that_name_the_line() {
    for (source, parts) in [
        ("a\nb {% if %}", ["line 2", "syntax error"]),
        ("{{ 'open }}", ["line 1", "end of string"]),
        ("\n\n{% endfor %}", ["line 3", "syntax error"]),
        ("{% unknown %}", ["line 1", "unknown"]),
    ] {
        let error = ChatTemplate::new(source, "", "").expect_err(source).to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{source}: {error}");
    }
    let error = ChatTemplate::new(&"a".repeat(MOST_TEMPLATE_BYTES + 1), "", "").expect_err("too long");
    assert!(error.to_string().contains("65537 bytes"), "{error}");
    for (source, part) in [
        ("{{ messages.append(1) }}", "append"),
        ("{% include 'other' %}", "other"),
        ("{{ messages | nofilter }}", "nofilter"),
        ("{{ nothing.a.b }}", "undefined"),
    ] {
        let rendered = ChatTemplate::new(source, "", "")
            .and_then(|template| template.render(&[message("user", "u")], &RenderOptions::default()));
        let error = rendered.expect_err(source).to_string();
        assert!(error.contains(part), "{source}: {error}");
    }
}

/// Sources of the full length, or of the full length of a tag, that nest as deep as it allows, in ways that a compiler recurses on.
fn deep_sources() -> Vec<String> {
    let fill = |open: &str, unit: &str, close: &str| {
        let room = MOST_TEMPLATE_BYTES - open.len() - close.len();
        let lines = unit.repeat(10_000 / unit.len()) + "\n";
        format!("{open}{}{close}", lines.repeat(room / lines.len()))
    };
    let mut sources: Vec<String> = [
        ("{{ ", "-", "1 }}"),
        ("{{ ", "not ", "1 }}"),
        ("{{ 1", "+0", " }}"),
        ("{{ 1", "~0", " }}"),
        ("{{ 1", "**1", " }}"),
        ("{{ 1", " or 0", " }}"),
        ("{{ 1", "<1", " }}"),
        ("{{ 1", " if 1 else 1", " }}"),
        ("{{ x", ".a", " }}"),
        ("{{ x", "[0]", " }}"),
        ("{{ x", "()", " }}"),
        ("{{ x", "|list", " }}"),
        ("{{ x", " is x", " }}"),
        ("{% if 0 %}", "{% elif 0 %}", "{% endif %}"),
        ("{{ ", "(", " }}"),
        ("{{ ", "[", " }}"),
        ("{{ ", "{1:", " }}"),
        ("", "{% if 1 %}", ""),
        ("", "{% for x in [1] %}", ""),
        ("", "{% set x %}", ""),
        ("", "{% macro x() %}", ""),
        ("", "{% raw %}", ""),
        ("", "{#", ""),
        ("{% set ", "(", "%}"),
        ("{% set n.a = ", "(", "%}"),
        ("{% set n.a = ", "1,", "%}"),
    ]
    .map(|(open, unit, close)| fill(open, unit, close))
    .into();
    // In tags that are just short enough to be compiled.
    for (open, unit, close) in
        [("{{ ", "-", "1 }}"), ("{{ 1", "~0", " }}"), ("{{ 1", "+0", " }}"), ("{{ 1", " if 1 else 1", " }}")]
    {
        let tag = format!("{open}{}{close}\n", unit.repeat(4_000 / unit.len()));
        sources.push(tag.repeat(MOST_TEMPLATE_BYTES / tag.len()));
    }
    for (open, unit, close) in
        [("{{ {1:{1:1}}[1]", "~0", " }}"), ("{{ '}}'", "~0", " }}"), ("{{ '\\'}}'", "~0", " }}")]
    {
        sources.push(fill(open, unit, close));
    }
    // A line that is longer than columns are counted.
    sources.push("{{".to_owned() + &" ".repeat(65_000) + "'");
    sources
}

/// A value that would contain itself, were what a namespace holds no copy.
const SELF_CONTAINED: &[&str] = &[
    "{% set n = namespace() %}{% set n.n = n %}{{ n }}",
    "{% set n = namespace() %}{% set n.n = n %}{{ n | tojson }}",
    "{% set n = namespace() %}{% set n.n = [n] %}{{ n == n.n }}{{ '' ~ n }}{{ n | string }}",
    "{% set n = namespace(x=[]) %}{% set l = {'a': n} %}{% set n.x = l %}{{ l }}{{ l == n }}{{ [l]|unique|list }}",
    "{% macro m(x) %}{{ x }}{% endmacro %}{% set n = namespace(x=m) %}{% set n.x = [m, n] %}{{ n }}",
];

/// What would be endless, endlessly deep, or larger than memory.
const HOSTILE: &[&str] = &[
    "{# {% set n.a = ' #}{% set n = namespace() %}{% set n.n = n %}{{ n }}{# ' %} #}",
    // A list in a list in a list.
    "{% set n = namespace(x=[]) %}{% for i in range(99999) %}{% set n.x = [n.x] %}{% endfor %}{{ n.x }}",
    "{% set n = namespace(x={}) %}{% for i in range(99999) %}{% set n.x = {'a': n.x} %}{% endfor %}{{ n.x }}",
    "{% set n = namespace(x=0) %}{% for i in range(99999) %}{% set n.x = namespace(x=n.x) %}{% endfor %}{{ n.x }}",
    "{% macro f(x) %}{% set x=[[[[[[[[x]]]]]]]] %}{% set x=[[[[[[[[x]]]]]]]] %}{{ f(x) }}{% endmacro %}{{ f(1) }}",
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "{% for i in [[1]] recursive %}{{ loop([i]) }}{% endfor %}",
    "{% include 'chat' %}",
    "{% extends 'chat' %}",
    // More than memory holds.
    "{% set n = namespace(x='aaaaaaaaaaaaaaaa') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "{% set n = namespace(x=[1, 2]) %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}{{ n.x|length }}",
    "{{ 'a' * 99999999999 }}",
    "{{ [1] * 99999999999 }}",
    "{{ ('a' * 90000) | replace('a', 'a' * 90000) }}",
    "{{ ('a' * 90000).replace('a', 'a' * 90000) }}",
    "{{ ('a' * 90000).join(range(90000)) }}",
    "{{ '%999999999s' | format('a') }}",
    "{{ '{:999999999}'.format('a') }}",
    "{{ 'a\nb' | indent(9999999999) }}",
    "{{ [[1]] | tojson(indent=1000000000) }}",
    "{{ [1] | batch(100000000, 1) | list }}",
    "{{ 10 ** 10 ** 10 ** 10 }}",
    "{{ range(99999999999) | list }}",
    // For ever.
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
    "{% set n = namespace(x=[1]) %}{% for i in range(99999) %}{% set n.x = n.x | chain([1]) %}{% endfor %}{{ n.x }}",
];

/// Lists in lists, as many as the fuel allows, that are then dropped, and before that printed and compared.
fn deep_values() -> Vec<String> {
    let nest = format!("{{% set x={}x{} %}}\n", "[".repeat(30), "]".repeat(30));
    let body = nest.repeat((MOST_TEMPLATE_BYTES - 1000) / nest.len());
    ["{{ x }}", "{{ x == [x] }}", "{{ [x, [x]] | sort }}", "{{ {x: 1} | tojson }}"]
        .iter()
        .flat_map(|last| [4, 7, 20].map(|times| (last, times)))
        .map(|(last, times)| {
            format!(
                "{{% macro f(x, times) %}}{body}{{% if times %}}{{{{ f(x, times - 1) }}}}{{% else %}}{last}{{% endif %}}\
                 {{% endmacro %}}{{{{ f(1, {times}) }}}}"
            )
        })
        .collect()
}

#[test]
fn hostile_templates_end_in_an_error() {
    // On a stack as small as a worker thread has.
    let work = || {
        let attempt = |source: &str| {
            ChatTemplate::new(source, "", "")
                .and_then(|template| template.render(&[message("user", "u")], &RenderOptions::default()))
        };
        for source in deep_sources() {
            let start = std::time::Instant::now();
            // Some are templates, if odd ones.
            let outcome = attempt(&source);
            let head: String = source.chars().take(20).collect();
            assert!(start.elapsed().as_secs() < 20, "{head}: {:?}", start.elapsed());
            if let Ok(text) = outcome {
                assert!(text.len() <= source.len(), "{head}");
            }
        }
        let deep = deep_values().iter().filter(|source| attempt(source).is_ok()).count();
        assert!(
            (4..12).contains(&deep),
            "{deep}: the values are not as deep as the fuel allows, or not deeper"
        );
        for source in HOSTILE {
            let start = std::time::Instant::now();
            let outcome = attempt(source);
            assert!(start.elapsed().as_secs() < 20, "{source}: {:?}", start.elapsed());
            assert!(outcome.is_err(), "{source}: {outcome:?}");
        }
        for source in SELF_CONTAINED {
            let text = attempt(source).expect(source);
            assert!(text.len() < 200, "{source}: {text}");
        }
    };
    std::thread::Builder::new().stack_size(1 << 20).spawn(work).expect("a thread").join().expect("no panic");
}

#[test]
fn long_conversations_are_rendered_or_refused() {
    let template = ChatTemplate::chatml();
    let turns = |bytes: usize| -> Vec<Message> {
        (0..400)
            .map(|i| message(if i % 2 == 0 { "user" } else { "assistant" }, &"ä".repeat(bytes / 800)))
            .collect()
    };
    let text = template.render(&turns(2_000_000), &RenderOptions::default()).expect("rendered");
    assert_eq!(text.matches("<|im_start|>").count(), 401);
    let error = template.render(&turns(2_400_000), &RenderOptions::default()).expect_err("too long");
    assert!(error.to_string().contains("2400000 bytes"), "{error}");
}

#[test]
fn templates_are_shared_between_threads() {
    fn shared<T: Clone + Send + Sync + 'static>(_: &T) {}
    let template = ChatTemplate::chatml();
    shared(&template);
    let expected = template.render(&[message("user", "u")], &RenderOptions::default()).expect("rendered");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..20 {
                    let text = template.render(&[message("user", "u")], &RenderOptions::default());
                    assert_eq!(text.expect("rendered"), expected);
                }
            });
        }
    });
}
