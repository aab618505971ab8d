//! Models: fetched from a hub on this machine, found, checked, planned.

#![cfg(feature = "llama")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rlkd::gguf;
use rlkd::models::digest;
use rlkd::models::fetch::{Hub, Stage, fetch};
use rlkd::models::plan::{Demand, memory, plan};
use rlkd::models::source::{Shelf, Source};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What the hub of a test does.
#[derive(Default)]
struct Behaviour {
    /// The files that it has, by their path with the repository.
    files: Mutex<BTreeMap<String, Vec<u8>>>,
    /// The token that it wants.
    token: Option<&'static str>,
    /// What it says that the file's SHA-256 is, if not the truth.
    etag: Mutex<Option<String>>,
    /// Bodies end after so many bytes; 0 for never.
    cut_after: AtomicUsize,
    /// Whether it leaves `Range` aside, as some proxies do.
    ignores_range: AtomicBool,
    /// Whether it sends everyone elsewhere, and does not say where.
    leads_nowhere: AtomicBool,
    /// Bytes of files that it has sent.
    sent: AtomicU64,
    /// Requests that came.
    requests: AtomicU64,
}

/// A hub on the loopback interface, with the headers that the real one gives.
struct TestHub {
    behaviour: Arc<Behaviour>,
    address: String,
}

impl TestHub {
    fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let behaviour = Arc::new(behaviour);
        let shared = Arc::clone(&behaviour);
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || answer(stream, &shared));
            }
        });
        TestHub { behaviour, address }
    }

    fn with(path: &str, bytes: &[u8]) -> Self {
        let behaviour = Behaviour::default();
        behaviour.files.lock().expect("a lock").insert(path.into(), bytes.into());
        Self::start(behaviour)
    }

    fn hub(&self) -> Hub {
        Hub { endpoint: format!("http://{}", self.address), token: None }
    }

    fn sent(&self) -> u64 {
        self.behaviour.sent.load(Ordering::SeqCst)
    }
}

fn answer(mut stream: TcpStream, behaviour: &Behaviour) {
    let mut reader = BufReader::new(stream.try_clone().expect("a stream"));
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 || line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    if lines.is_empty() {
        return;
    }
    behaviour.requests.fetch_add(1, Ordering::SeqCst);
    let header = |name: &str| {
        lines.iter().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    let mut send = |status: &str, headers: &str, body: &[u8]| {
        let length = body.len();
        let head =
            format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n");
        let _ = stream.write_all(head.as_bytes());
        let cut = behaviour.cut_after.load(Ordering::SeqCst);
        let body = if cut > 0 && cut < length { &body[..cut] } else { body };
        let _ = stream.write_all(body).and_then(|()| stream.flush());
        behaviour.sent.fetch_add(body.len() as u64, Ordering::SeqCst);
    };
    let wanted = behaviour.token.map(|token| format!("Bearer {token}"));
    if wanted.is_some() && header("authorization") != wanted {
        return send("401 Unauthorized", "", b"");
    }
    // GET /owner/repo/resolve/revision/path
    let target = lines[0].split(' ').nth(1).unwrap_or_default().trim_start_matches('/');
    let parts: Vec<&str> = target.splitn(5, '/').collect();
    let [owner, name, "resolve", _, path] = parts.as_slice() else { return send("400 Bad Request", "", b"") };
    let files = behaviour.files.lock().expect("a lock");
    let Some(bytes) = files.get(&format!("{owner}/{name}/{path}")) else {
        return send("404 Not Found", "", b"");
    };
    let etag = behaviour.etag.lock().expect("a lock").clone().unwrap_or_else(|| sha256(bytes));
    let headers = format!("X-Repo-Commit: {COMMIT}\r\nX-Linked-Etag: \"{etag}\"\r\nETag: \"other\"\r\n");
    let range = header("range").and_then(|range| {
        let (from, to) = range.strip_prefix("bytes=")?.split_once('-')?;
        let last = bytes.len().checked_sub(1)?;
        let to = if to.is_empty() { last } else { to.parse::<usize>().ok()?.min(last) };
        Some((from.parse::<usize>().ok()?, to))
    });
    if behaviour.leads_nowhere.load(Ordering::SeqCst) {
        return send("302 Found", &headers, b"");
    }
    let asks_only = range == Some((0, 0));
    match range {
        Some((from, _)) if from >= bytes.len() => send("416 Range Not Satisfiable", &headers, b""),
        Some((from, to)) if asks_only || !behaviour.ignores_range.load(Ordering::SeqCst) => {
            let headers = format!("{headers}Content-Range: bytes {from}-{to}/{}\r\n", bytes.len());
            send("206 Partial Content", &headers, &bytes[from..=to]);
            if asks_only {
                behaviour.sent.fetch_sub(1, Ordering::SeqCst);
            }
        }
        _ => send("200 OK", &headers, bytes),
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes that a cut or a shift changes.
fn content(length: usize) -> Vec<u8> {
    (0..length as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

struct Room {
    folder: TempDir,
    shelf: Shelf,
}

impl Room {
    fn new(manifests: &[(&str, String)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let models = folder.path().join("models");
        std::fs::create_dir(&models).expect("a folder");
        for (name, text) in manifests {
            std::fs::write(models.join(name), text).expect("written");
        }
        let shelf = Shelf::new(models, folder.path().join("hub")).expect("a shelf");
        Room { folder, shelf }
    }

    fn fetch(&self, hub: &TestHub, model: &str) -> rlkd::Result<PathBuf> {
        fetch(&self.shelf, &hub.hub(), &model.parse()?, &mut |_| ())
    }

    /// Every file below the folder but locks, with its path.
    fn files(&self) -> Vec<String> {
        fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
                if entry.file_type().expect("a type").is_dir() {
                    walk(&entry.path(), found);
                } else {
                    found.push(entry.path());
                }
            }
        }
        let mut found = Vec::new();
        walk(self.folder.path(), &mut found);
        let mut names: Vec<String> = found
            .iter()
            .map(|path| path.strip_prefix(self.folder.path()).expect("below").to_string_lossy().into_owned())
            .filter(|name| !name.ends_with(".lock"))
            .collect();
        names.sort();
        names
    }
}

fn manifest(bytes: &[u8]) -> String {
    let (size, sha256) = (bytes.len(), sha256(bytes));
    format!(
        "name = \"mine\"\nfile = \"mine.gguf\"\nsize = {size}\nsha256 = \"{sha256}\"\nlicence = \"MIT\"\n\
         source = \"hf:owner/repo/sub/m.gguf\"\n"
    )
}

const FILE: &str = "hf:owner/repo/sub/m.gguf";

#[test]
fn a_file_is_fetched_checked_and_found_again() {
    let bytes = content(300_000);
    let hub = TestHub::with("owner/repo/sub/m.gguf", &bytes);
    let room = Room::new(&[("mine.toml", manifest(&bytes))]);
    for model in [FILE, "mine"] {
        let error = room.shelf.locate(&model.parse().expect("a source")).expect_err("not here yet");
        assert!(error.to_string().contains(&format!("rlkd models fetch {model}")), "{error}");
    }
    assert_eq!(hub.behaviour.requests.load(Ordering::SeqCst), 0, "nothing is asked unless told to");
    let mut stages = Vec::new();
    let source: Source = FILE.parse().expect("a source");
    let path = fetch(&room.shelf, &hub.hub(), &source, &mut |stage| stages.push(stage)).expect("fetched");
    assert_eq!(std::fs::read(&path).expect("read"), bytes);
    let size = bytes.len() as u64;
    assert_eq!(hub.sent(), size);
    assert!(
        stages.contains(&Stage::Download(size, size)) && stages.last() == Some(&Stage::Check(size, size))
    );
    // The cache is as huggingface_hub has it, and nothing else is left.
    let blob = format!("hub/models--owner--repo/blobs/{}", sha256(&bytes));
    let snapshot = format!("hub/models--owner--repo/snapshots/{COMMIT}/sub/m.gguf");
    assert_eq!(
        room.files(),
        [blob.as_str(), "hub/models--owner--repo/refs/main", &snapshot, "models/mine.toml"]
    );
    let reference = std::fs::read_to_string(room.folder.path().join("hub/models--owner--repo/refs/main"));
    assert_eq!(reference.expect("read"), COMMIT);
    // From now on the hub is not asked.
    let requests = hub.behaviour.requests.load(Ordering::SeqCst);
    for model in [FILE, "mine", &format!("{FILE}@{COMMIT}")] {
        assert_eq!(room.shelf.locate(&model.parse().expect("a source")).expect("here"), path);
        assert_eq!(room.fetch(&hub, model).expect("here"), path);
    }
    assert_eq!(hub.behaviour.requests.load(Ordering::SeqCst), requests);
}

#[test]
fn a_transfer_that_breaks_goes_on_where_it_stopped() {
    let bytes = content(500_000);
    let hub = TestHub::with("owner/repo/sub/m.gguf", &bytes);
    let room = Room::new(&[]);
    hub.behaviour.cut_after.store(200_000, Ordering::SeqCst);
    let error = room.fetch(&hub, FILE).expect_err("cut").to_string();
    assert!(error.contains("200000 bytes are there") && error.contains(".part"), "{error}");
    assert!(
        room.shelf.cached(&"hf:owner/repo/sub/m.gguf".parse().expect("a file")).is_none(),
        "half is not there"
    );
    assert_eq!(hub.sent(), 200_000);
    // The rest in two pieces: no byte comes twice.
    let error = room.fetch(&hub, FILE).expect_err("cut again").to_string();
    assert!(error.contains("400000 bytes are there"), "{error}");
    let path = room.fetch(&hub, FILE).expect("the rest");
    assert_eq!(std::fs::read(path).expect("read"), bytes);
    assert_eq!(hub.sent(), bytes.len() as u64);
}

#[test]
fn a_whole_file_that_was_not_checked_yet_is_checked_and_not_fetched_again() {
    let bytes = content(10_000);
    let hub = TestHub::with("owner/repo/sub/m.gguf", &bytes);
    let room = Room::new(&[]);
    let blobs = room.folder.path().join("hub/.rlkd-partial/models--owner--repo/blobs");
    std::fs::create_dir_all(&blobs).expect("a folder");
    std::fs::write(blobs.join(sha256(&bytes)), &bytes).expect("written");
    let path = room.fetch(&hub, FILE).expect("checked");
    assert_eq!(std::fs::read(path).expect("read"), bytes);
    assert_eq!(hub.sent(), 0);
}

#[test]
fn a_part_that_is_the_whole_file_is_checked_and_not_fetched_again() {
    let bytes = content(10_000);
    let hub = TestHub::with("owner/repo/sub/m.gguf", &bytes);
    let room = Room::new(&[]);
    let blobs = room.folder.path().join("hub/.rlkd-partial/models--owner--repo/blobs");
    std::fs::create_dir_all(&blobs).expect("a folder");
    std::fs::write(blobs.join(format!("{}.part", sha256(&bytes))), &bytes).expect("written");
    let path = room.fetch(&hub, FILE).expect("checked");
    assert_eq!(std::fs::read(path).expect("read"), bytes);
    assert_eq!(hub.sent(), 0);
}

#[cfg(unix)]
#[test]
fn a_file_of_the_cache_that_has_no_name_yet_is_checked_and_not_fetched_again() {
    let bytes = content(10_000);
    let hub = TestHub::with("owner/repo/sub/m.gguf", &bytes);
    for (there, sent) in [(&bytes[..], 0), (&bytes[..9_000], bytes.len() as u64)] {
        let room = Room::new(&[]);
        let blobs = room.folder.path().join("hub/models--owner--repo/blobs");
        std::fs::create_dir_all(&blobs).expect("a folder");
        std::fs::write(blobs.join(sha256(&bytes)), there).expect("written");
        let path = room.fetch(&hub, FILE).expect("checked");
        assert_eq!(std::fs::read(path).expect("read"), bytes);
        assert_eq!(hub.sent(), sent);
        assert_eq!(room.files().len(), 3, "{:?}", room.files());
    }
    // As long as the file, and another.
    let room = Room::new(&[]);
    let blobs = room.folder.path().join("hub/models--owner--repo/blobs");
    std::fs::create_dir_all(&blobs).expect("a folder");
    std::fs::write(blobs.join(sha256(&bytes)), vec![0; bytes.len()]).expect("written");
    let error = room.fetch(&hub, FILE).expect_err("another file").to_string();
    assert!(error.contains("remove it"), "{error}");
}

#[test]
fn a_hub_that_leads_nowhere_is_an_error() {
    let hub = TestHub::with("owner/repo/sub/m.gguf", &content(10));
    hub.behaviour.leads_nowhere.store(true, Ordering::SeqCst);
    let error = Room::new(&[]).fetch(&hub, FILE).expect_err("nowhere");
    assert_eq!(error.kind(), rlkd::error::ErrorKind::Io);
    assert!(error.to_string().contains("cannot be asked"), "{error}");
}

#[test]
fn what_another_fetch_of_the_repository_has_begun_stays() {
    let bytes = content(10_000);
    let hub = TestHub::with("owner/repo/sub/m.gguf", &bytes);
    let room = Room::new(&[]);
    let snapshot = room.folder.path().join("hub/.rlkd-partial/models--owner--repo/snapshots").join(COMMIT);
    std::fs::create_dir_all(&snapshot).expect("a folder");
    std::fs::write(snapshot.join("other.gguf"), "other").expect("written");
    room.fetch(&hub, FILE).expect("fetched");
    assert!(snapshot.join("other.gguf").exists() && !snapshot.join("sub/m.gguf").exists());
}

#[test]
fn a_model_that_is_not_made_as_its_manifest_says_gets_no_name() {
    let known = Room::new(&[]).shelf.manifest("tiny-random-qwen2").expect("a manifest").clone();
    let text = manifest(&[]).replace("size = 0", &format!("size = {}", known.size));
    let room = Room::new(&[("mine.toml", text.replace("hf:owner/repo/sub/m.gguf", "random"))]);
    let hub = TestHub::start(Behaviour::default());
    for _ in 0..2 {
        let error = room.fetch(&hub, "mine").expect_err("another file").to_string();
        assert!(error.contains("not the file that was meant") && error.contains(&known.sha256), "{error}");
        assert!(room.shelf.locate(&"mine".parse().expect("a source")).is_err(), "it is not used");
    }
}

#[test]
fn what_is_not_the_file_is_kept_aside_and_told() {
    let bytes = content(50_000);
    let hub = TestHub::with("owner/repo/sub/m.gguf", &bytes);
    *hub.behaviour.etag.lock().expect("a lock") = Some("ab".repeat(32));
    let room = Room::new(&[]);
    for _ in 0..2 {
        let error = room.fetch(&hub, FILE).expect_err("another file");
        let text = error.to_string();
        for part in [&sha256(&bytes), &"ab".repeat(32), "It is kept here", "remove it"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let kept = error.place().expect("a place").file.clone();
        assert_eq!(std::fs::read(kept).expect("kept"), bytes);
        assert!(room.shelf.locate(&FILE.parse().expect("a source")).is_err(), "it is not used");
    }
    assert_eq!(hub.sent(), bytes.len() as u64, "it was fetched once");
    // A manifest that names another file: nothing is fetched.
    let other = Room::new(&[("mine.toml", manifest(&content(50_001)))]);
    let error = other.fetch(&hub, "mine").expect_err("another file").to_string();
    assert!(error.contains("nothing was fetched"), "{error}");
    assert_eq!(hub.sent(), bytes.len() as u64);
    // A hub that says no SHA-256, and one whose word would lead out of the folder.
    for (etag, part) in
        [("0123456789012345678901234567890123456789", "no SHA-256"), ("../../../evil", "no proper etag")]
    {
        *hub.behaviour.etag.lock().expect("a lock") = Some(etag.into());
        let error = Room::new(&[]).fetch(&hub, FILE).expect_err(etag).to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_server_that_begins_anew_does_not_spoil_the_file() {
    let bytes = content(400_000);
    let hub = TestHub::with("owner/repo/sub/m.gguf", &bytes);
    let room = Room::new(&[]);
    hub.behaviour.cut_after.store(100_000, Ordering::SeqCst);
    room.fetch(&hub, FILE).expect_err("cut");
    hub.behaviour.cut_after.store(0, Ordering::SeqCst);
    hub.behaviour.ignores_range.store(true, Ordering::SeqCst);
    let error = room.fetch(&hub, FILE).expect_err("longer than the file");
    assert!(error.to_string().contains("size 500000") && error.to_string().contains("remove it"), "{error}");
    std::fs::remove_file(&error.place().expect("a place").file).expect("removed, as it says");
    let path = room.fetch(&hub, FILE).expect("from the beginning");
    assert_eq!(std::fs::read(path).expect("read"), bytes);
}

#[test]
fn refusals_say_what_to_do() {
    let hub = TestHub::with("owner/repo/sub/m.gguf", &content(10));
    let room = Room::new(&[]);
    let error = room.fetch(&hub, "hf:owner/repo/other.gguf").expect_err("not there").to_string();
    assert!(error.contains("404") && error.contains("check owner, repository, path and revision"), "{error}");
    let closed = TestHub::start(Behaviour { token: Some("secret"), ..Behaviour::default() });
    closed.behaviour.files.lock().expect("a lock").insert("owner/repo/sub/m.gguf".into(), content(10));
    let error = room.fetch(&closed, FILE).expect_err("closed").to_string();
    assert!(error.contains("Set HF_TOKEN"), "{error}");
    let attempt = |token: &str| {
        let hub = Hub { token: Some(token.into()), ..closed.hub() };
        fetch(&room.shelf, &hub, &FILE.parse().expect("a source"), &mut |_| ())
    };
    let error = attempt("wrong").expect_err("closed").to_string();
    assert!(error.contains("another token") && !error.contains("wrong"), "{error}");
    assert_eq!(std::fs::read(attempt("secret").expect("open")).expect("read"), content(10));
    let nobody = Hub { endpoint: "http://127.0.0.1:1".into(), token: None };
    let file = "hf:owner/repo/new.gguf".parse().expect("a source");
    let error = fetch(&room.shelf, &nobody, &file, &mut |_| ()).expect_err("nobody there").to_string();
    assert!(error.contains("http://127.0.0.1:1") && error.contains("cannot be asked"), "{error}");
}

#[test]
fn what_cannot_be_fetched_is_told() {
    let local = manifest(&content(10)).replace("hf:owner/repo/sub/m.gguf", "local");
    let room = Room::new(&[("mine.toml", local)]);
    let hub = TestHub::start(Behaviour::default());
    let error = room.fetch(&hub, "mine").expect_err("not there").to_string();
    assert!(error.contains("put the file at") && error.contains("mine.gguf"), "{error}");
    let path = room.shelf.folder.join("mine.gguf");
    std::fs::write(&path, content(10)).expect("written");
    assert_eq!(room.fetch(&hub, "mine").expect("there"), path);
    std::fs::write(&path, content(9)).expect("written");
    let error = room.fetch(&hub, "mine").expect_err("cut").to_string();
    assert!(error.contains("has 9 bytes and its manifest says 10"), "{error}");
    let error = room.fetch(&hub, "mne").expect_err("unknown").to_string();
    assert!(error.contains("did you mean \"mine\"?"), "{error}");
    assert!(room.fetch(&hub, "./gone.gguf").is_err());
    assert_eq!(hub.behaviour.requests.load(Ordering::SeqCst), 0);
}

#[test]
fn the_random_model_of_the_manifest_is_made_and_planned() {
    let room = Room::new(&[]);
    let hub = TestHub::start(Behaviour::default());
    let path = room.fetch(&hub, "tiny-random-qwen2").expect("made");
    let known = room.shelf.manifest("tiny-random-qwen2").expect("a manifest");
    assert_eq!(digest::sha256(&path, |_| ()).expect("read"), known.sha256);
    assert_eq!(room.shelf.locate(&"tiny-random-qwen2".parse().expect("a source")).expect("here"), path);
    let facts = gguf::check(&path).expect("a model");
    let plan = plan(&facts, &Demand { parallel: 4, ..Demand::default() });
    // 2 layers, keys and values of one head of 64, 2 bytes each, 4,096 tokens, 4 sequences.
    assert_eq!(plan.kv_cache, 2 * 2 * 64 * 2 * 4_096 * 4);
    assert_eq!(plan.weights, facts.tensor_bytes.total());
    assert!(plan.weights < known.size && plan.weights * 11 > known.size * 10);
    let memory = memory().expect("this system says");
    assert!(0 < memory.available && memory.available <= memory.total);
    assert!(plan.check(memory.available).is_ok());
}
