//! `rlkd annotate` against a real local server: our engine behind HTTP, busy at times, wrong at times, and killed.
#![cfg(all(feature = "llama", feature = "cli"))]

mod command;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use command::{Room, samples};
use rlkd::gguf::random::{Spec, write};
use rlkd::grammar::{Limits, find};
use rlkd::llama::engine::{Engine, Request};
use rlkd::llama::model::Model;
use rlkd::llama::settings::Settings;
use serde_json::{Value, json};

const KEY: &str = "sk-secret-0123456789";

/// What the server does with a request, by its number.
type Manner = fn(u64) -> Reply;

enum Reply {
    /// Steps under the grammar.
    Steps,
    /// A text that has no form.
    Chat,
    Status(u16),
}

struct Server {
    address: String,
    asked: Arc<AtomicU64>,
    bodies: Arc<Mutex<Vec<Value>>>,
}

/// Starts a server with a random model of its own.
fn serve(room: &Room, manner: Manner) -> Server {
    let path = room.path("server.gguf");
    write(&path, &Spec { vocabulary: 512, embedding: 64, heads: 1, ..Spec::default() }).expect("a model");
    let settings = Settings { context: 4096, parallel: 2, threads: 1, ..Settings::default() };
    let engine = Engine::start(Model::load(&path, &settings).expect("a model")).expect("an engine");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}/v1", listener.local_addr().expect("an address"));
    let server = Server { address, asked: Arc::default(), bodies: Arc::default() };
    let (asked, bodies) = (Arc::clone(&server.asked), Arc::clone(&server.bodies));
    let engine = Arc::new(engine);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (engine, bodies) = (Arc::clone(&engine), Arc::clone(&bodies));
            let number = asked.fetch_add(1, Ordering::SeqCst);
            std::thread::spawn(move || answer(stream, &engine, &bodies, manner(number)));
        }
    });
    server
}

fn answer(stream: TcpStream, engine: &Engine, bodies: &Mutex<Vec<Value>>, reply: Reply) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let (mut length, mut key, mut line) = (0, false, String::new());
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let lower = line.to_ascii_lowercase();
        if let Some(count) = lower.strip_prefix("content-length:") {
            length = count.trim().parse().ok()?;
        }
        key |= line.trim() == format!("authorization: Bearer {KEY}")
            || line.trim() == format!("Authorization: Bearer {KEY}");
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body: Value = serde_json::from_slice(&body).ok()?;
    let (status, text) = match reply {
        _ if !key => (401, format!("{{\"error\": \"wrong key, not {KEY}\"}}")),
        Reply::Status(status) => (status, json!({"error": format!("busy, {KEY}")}).to_string()),
        Reply::Chat => (200, chat("I would rather talk about the weather.", 100, 7)),
        Reply::Steps => {
            let limits =
                Limits { max_steps: 1, max_part_chars: 40, max_sub_problem_chars: 40, ..Limits::default() };
            let constraint = find("steps").ok()?.constraint(&limits, "");
            let said = body["messages"].as_array()?.last()?["content"].as_str()?;
            let prompt = engine.model().tokenize(&said[..said.len().min(400)]);
            let prompt_tokens = prompt.len();
            let request = Request {
                constraint: Some(Arc::new(constraint)),
                max_tokens: 400,
                ..Request::greedy(prompt)
            };
            let found = engine.generate(vec![request]).remove(0).ok()?.remove(0);
            (200, chat(&engine.model().text(&found.tokens), prompt_tokens, found.tokens.len()))
        }
    };
    bodies.lock().ok()?.push(body);
    let mut stream = stream;
    let head = format!(
        "HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nRetry-After: 0\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        text.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(text.as_bytes()).ok()
}

fn chat(text: &str, prompt_tokens: usize, completion_tokens: usize) -> String {
    json!({
        "choices": [{"message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens},
    })
    .to_string()
}

fn arguments(server: &Server, more: &str) -> Vec<String> {
    let text = format!(
        "annotate in.jsonl --endpoint {} --model local -o out.jsonl --parallel 2 --retries 2 --wait-ms 1 --traces teacher {more}",
        server.address
    );
    text.split_whitespace().map(str::to_owned).collect()
}

/// Solutions that mark their calculations need no model.
#[test]
fn marked_solutions_are_labelled() {
    let room = Room::new();
    room.write(
        "solved.jsonl",
        "{\"question\": \"How many?\", \"answer\": \"He has 3*2=<<3*2=6>>6 pens.\\n#### 6\"}\n{\"question\": \"q\", \"answer\": \"None.\\n#### 1\"}\n",
    );
    let ran = room.run("annotate solved.jsonl --marked -o labelled.jsonl").ended(3);
    assert!(
        ran.err.contains("solved.jsonl:2") && ran.err.contains("1 solutions labelled, 1 without"),
        "{}",
        ran.err
    );
    let labelled = command::records(&room.read("labelled.jsonl"));
    assert_eq!(labelled.len(), 1);
    assert_eq!(labelled[0]["steps"][0]["sub_problem"], "He has how many pens?");
    room.run("annotate solved.jsonl -o other.jsonl").ended(2);
    room.run("annotate solved.jsonl --marked --model x -o other.jsonl").ended(2);
}

fn run(room: &Room, server: &Server, more: &str) -> command::Ran {
    let output = room.command(&arguments(server, more)).env("OPENAI_API_KEY", KEY).output().expect("started");
    command::Ran {
        code: output.status.code(),
        out: output.stdout,
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[test]
fn traces_are_labelled_and_learnt_from() {
    let room = Room::new();
    room.write("in.jsonl", samples(6));
    // Busy twice, then a talker, then as it should be.
    let server = serve(&room, |number| match number {
        0 => Reply::Status(503),
        1 => Reply::Status(429),
        4 => Reply::Chat,
        _ => Reply::Steps,
    });
    let ran = run(&room, &server, "").ended(0);
    assert!(
        ran.err.contains("7 traces labelled, 0 failed; 1 answers did not keep to the form"),
        "{}",
        ran.err
    );
    let labels = command::records(&room.read("out.jsonl"));
    assert_eq!(labels.len(), 7);
    assert_eq!(labels[0]["id"], "p0:teacher-0");
    assert!(
        labels.iter().all(|label| label["steps"][0]["answer"].as_str().is_some_and(|text| !text.is_empty()))
    );
    let bodies = server.bodies.lock().expect("bodies");
    assert!(bodies[0]["messages"][0]["content"].as_str().is_some_and(|text| text.contains("Sub-problem")));
    assert_eq!(bodies[0]["model"], "local");
    drop(bodies);
    assert!(!ran.err.contains(KEY) && !String::from_utf8_lossy(&room.read("out.jsonl")).contains(KEY));
    // A GSRM learns from them.
    #[cfg(feature = "train")]
    {
        room.write(
            "run.toml",
            "init = \"random\"\nfull = true\noutput_dir = \"out\"\ntrain = [\"out.jsonl\"]\nvalidation_split = 0.0\nmax_steps = 1\n\
             [random]\nvocabulary = 600\nembedding = 64\nlayers = 1\nheads = 1\nkv_heads = 1\nfeed_forward = 64\n",
        );
        let ran = room.run("sft run.toml").ended(0);
        assert!(ran.err.contains("7 examples to learn from"), "{}", ran.err);
    }
}

#[test]
fn what_does_not_keep_to_the_form_is_no_label() {
    let room = Room::new();
    room.write("in.jsonl", samples(2));
    let server = serve(&room, |_| Reply::Chat);
    let ran = run(&room, &server, "--attempts 1").ended(3);
    assert!(ran.err.contains("0 traces labelled, 3 failed; 6 answers"), "{}", ran.err);
    let lines = command::records(&room.read("out.jsonl"));
    assert!(
        lines.iter().all(|line| line["error"].as_str().is_some_and(|text| text.contains("kept to the form")))
    );
    // The second answer to the same trace is a warmer one.
    let bodies = server.bodies.lock().expect("bodies");
    let warmth: Vec<f64> = bodies.iter().filter_map(|body| body["temperature"].as_f64()).collect();
    assert_eq!(warmth.iter().filter(|t| **t == 0.0).count(), 3);
    assert_eq!(warmth.iter().filter(|t| **t > 0.0).count(), 3);
}

#[test]
fn endpoints_that_refuse_end_the_run_and_never_show_the_key() {
    let room = Room::new();
    room.write("in.jsonl", samples(3));
    let server = serve(&room, |_| Reply::Status(500));
    let ran = run(&room, &server, "").ended(1);
    assert!(ran.err.contains("after 3 tries") && ran.err.contains("***"), "{}", ran.err);
    assert!(!ran.err.contains(KEY), "{}", ran.err);
    let ran = room.bash(&format!("OPENAI_API_KEY=wrong $RLKD {}", arguments(&server, "").join(" "))).ended(1);
    assert!(ran.err.contains("refuses the key") && ran.err.contains("--key-env"), "{}", ran.err);
    let asked = server.asked.load(Ordering::SeqCst);
    assert!(asked <= 12, "{asked}: a refused key is not tried again");
    room.run("annotate in.jsonl --endpoint host --model m -o out.jsonl")
        .failed(&["http://127.0.0.1:8080/v1"]);
    room.run("annotate in.jsonl --endpoint http://u:p@host/v1 --model m -o out.jsonl").failed(&["--key-env"]);
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    room.run(&format!(
        "annotate in.jsonl --endpoint http://{nobody}/v1 --model m -o out.jsonl --retries 1 --wait-ms 1"
    ))
    .failed(&["does not answer after 2 tries", "goes on"]);
}

#[test]
fn a_run_stops_at_its_budget_and_goes_on() {
    let room = Room::new();
    room.write("in.jsonl", samples(40));
    let server = serve(&room, |_| Reply::Steps);
    let ran = run(&room, &server, "--budget-tokens 2000").ended(3);
    assert!(ran.err.contains("stopped at --budget-tokens"), "{}", ran.err);
    let first = server.asked.load(Ordering::SeqCst);
    assert!(!room.path("out.jsonl").exists() && first < 40);
    // Killed on the way, then to the end.
    let mut child = room
        .command(&arguments(&server, ""))
        .env("OPENAI_API_KEY", KEY)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    let begun = Instant::now();
    while server.asked.load(Ordering::SeqCst) < first + 12 && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(2));
    }
    let _ = child.kill();
    let _ = child.wait();
    run(&room, &server, "").ended(0);
    let labels = command::records(&room.read("out.jsonl"));
    let ids: Vec<&str> = labels.iter().filter_map(|label| label["id"].as_str()).collect();
    let mut whole: Vec<String> = Vec::new();
    for number in 0..40u64 {
        for at in 0..command::sample(number)["teacher"].as_array().map_or(0, Vec::len) {
            whole.push(format!("p{number}:teacher-{at}"));
        }
    }
    assert_eq!(ids, whole);
    // No more than a chunk was asked twice.
    assert!(
        server.asked.load(Ordering::SeqCst) <= whole.len() as u64 + 12,
        "{}",
        server.asked.load(Ordering::SeqCst)
    );
}
