//! `rlkd models`.

use std::path::Path;

use rlkd::error::Place;
use rlkd::gguf::random::{self, Architecture, Spec};
use rlkd::gguf::{Facts, TensorType, check};
use rlkd::models::digest;
use rlkd::models::manifest::{Manifest, Origin};
use rlkd::models::plan::in_words;
use rlkd::models::source::{Shelf, Source};
use rlkd::{Error, Result};
use serde_json::{Value, json};

use super::args::{CheckArgs, ModelsCommand, RandomArgs};
use super::{ALL_SCORED, Done, show};

/// Runs one of the commands.
pub fn models(command: &ModelsCommand) -> Done {
    match command {
        ModelsCommand::List { json } => list(*json),
        ModelsCommand::Check(args) => check_file(args),
        #[cfg(feature = "llama")]
        ModelsCommand::Fetch(args) => fetch(args),
        ModelsCommand::Random(args) => make(args),
    }
}

fn list(json: bool) -> Done {
    let shelf = Shelf::from_env()?;
    let mut text = String::new();
    for manifest in &shelf.manifests {
        let path = shelf.file_of(manifest);
        if json {
            let mut value =
                serde_json::to_value(manifest).map_err(|error| Error::engine(error.to_string()))?;
            value["path"] = path.map_or(Value::Null, |path| path.to_string_lossy().into());
            text += &format!("{value}\n");
        } else {
            let size = in_words(manifest.size);
            let own = manifest.source == Origin::BuiltIn && manifest.weights().is_ok();
            let absent = if own { "in the program" } else { "not here" };
            let place = path.map_or(absent.to_owned(), |path| path.display().to_string());
            let tags = match manifest.tags.as_slice() {
                [] => String::new(),
                tags => format!("  ({})", tags.join(", ")),
            };
            text += &format!("{:<24} {size:>10}  {}  {place}{tags}\n", manifest.name, manifest.licence);
        }
    }
    show::print(text.as_bytes())?;
    Ok(ALL_SCORED)
}

fn check_file(args: &CheckArgs) -> Done {
    let shelf = Shelf::from_env()?;
    let source: Source = args.model.parse()?;
    let path = shelf.locate(&source)?;
    let name = match (&args.manifest, &source) {
        (Some(name), _) | (None, Source::Name(name)) => Some(name),
        _ => None,
    };
    let manifest = name.map(|name| shelf.manifest(name)).transpose()?;
    let facts = check(&path)?;
    let sha256 = match manifest.is_some() || args.sha256 {
        true => Some(digest::sha256(&path, |_| ())?),
        false => None,
    };
    if let (Some(manifest), Some(sha256)) = (manifest, &sha256) {
        is_the_one(&path, manifest, sha256)?;
    }
    let text = match args.json {
        true => format!("{}\n", as_json(&path, &facts, manifest, sha256.as_deref())),
        false => as_table(&path, &facts, manifest, sha256.as_deref()),
    };
    show::print(text.as_bytes())?;
    Ok(ALL_SCORED)
}

fn is_the_one(path: &Path, manifest: &Manifest, sha256: &str) -> Result<()> {
    if sha256 == manifest.sha256 {
        return Ok(());
    }
    let message = format!(
        "a model, but not {}: its SHA-256 is {sha256}, the manifest says {}; move it away and fetch it again",
        manifest.name, manifest.sha256
    );
    Err(Error::data(message).at(Place::file(path)))
}

/// What a person wants to know of a model, in order.
fn rows(facts: &Facts) -> Vec<(&'static str, Value)> {
    vec![
        ("architecture", json!(facts.architecture)),
        ("name", json!(facts.name)),
        ("parameters", json!(facts.parameters)),
        ("weights", json!(facts.weights.name())),
        ("tensor_bytes", json!(facts.tensor_bytes.total())),
        ("context_length", json!(facts.context_length)),
        ("embedding_length", json!(facts.embedding_length)),
        ("layers", json!(facts.block_count)),
        ("heads", json!(facts.head_count)),
        ("heads_kv", json!(facts.head_count_kv)),
        ("key_length", json!(facts.key_length)),
        ("value_length", json!(facts.value_length)),
        ("feed_forward_length", json!(facts.feed_forward_length)),
        ("vocabulary", json!(facts.vocabulary)),
        ("tokenizer", json!(facts.tokenizer_model)),
        ("tokenizer_pre", json!(facts.tokenizer_pre)),
        ("gsrm_grammar", json!(facts.gsrm_grammar)),
        ("gsrm_prompt", json!(facts.gsrm_prompt)),
        ("chat_template_bytes", json!(facts.chat_template.as_ref().map(String::len))),
    ]
}

fn as_json(path: &Path, facts: &Facts, manifest: Option<&Manifest>, sha256: Option<&str>) -> Value {
    let mut value = json!({"path": path.to_string_lossy(), "manifest": manifest.map(|known| &known.name), "sha256": sha256});
    for (name, fact) in rows(facts) {
        value[name] = fact;
    }
    value
}

fn as_table(path: &Path, facts: &Facts, manifest: Option<&Manifest>, sha256: Option<&str>) -> String {
    let mut text = format!("{}\n", path.display());
    for (name, fact) in rows(facts) {
        let fact = match (&fact, name) {
            (Value::Null, _) => "none".to_owned(),
            (Value::String(text), _) => printable(text),
            (fact, "tensor_bytes") => format!("{fact} ({})", in_words(fact.as_u64().unwrap_or(0))),
            (fact, _) => fact.to_string(),
        };
        text += &format!("  {:<20} {fact}\n", name.replace('_', " "));
    }
    if let Some(sha256) = sha256 {
        let known =
            manifest.map_or(String::new(), |manifest| format!(", as the manifest of {} says", manifest.name));
        text += &format!("  {:<20} {sha256}{known}\n", "sha256");
    }
    text
}

/// A text of a file, for a terminal: without control characters.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(feature = "llama")]
fn fetch(args: &super::args::FetchArgs) -> Done {
    use std::io::IsTerminal;

    use indicatif::{ProgressBar, ProgressStyle};
    use rlkd::models::fetch::{Hub, Stage, fetch};

    let shelf = Shelf::from_env()?;
    let hub = Hub::from_env(&shelf);
    let bar = (!args.quiet && std::io::stderr().is_terminal()).then(|| {
        let line = "{msg} {bar:30} {percent:>3}% {binary_bytes_per_sec} ETA {eta}";
        let style = ProgressStyle::with_template(line).unwrap_or_else(|_| ProgressStyle::default_bar());
        ProgressBar::new(0).with_style(style)
    });
    let fetched = fetch(&shelf, &hub, &args.model.parse()?, &mut |stage| {
        let Some(bar) = &bar else { return };
        let (message, done, total) = match stage {
            Stage::Download(done, total) => ("fetching", done, total),
            Stage::Check(done, total) => ("checking", done, total),
        };
        bar.set_message(message);
        bar.set_length(total);
        bar.set_position(done);
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    show::print(format!("{}\n", fetched?.display()).as_bytes())?;
    Ok(ALL_SCORED)
}

fn make(args: &RandomArgs) -> Done {
    let magic = std::fs::File::open(&args.output).and_then(|mut file| {
        let mut magic = [0; 4];
        std::io::Read::read_exact(&mut file, &mut magic).map(|()| magic)
    });
    if args.output.exists() && !magic.is_ok_and(|magic| &magic == b"GGUF") {
        return Err(
            Error::config("this file is there and is no model: name another").at(Place::file(&args.output))
        );
    }
    let Some(architecture) = Architecture::ALL.into_iter().find(|family| family.name() == args.architecture)
    else {
        super::usage(&format!("{}: no such architecture", args.architecture));
    };
    let mut spec = Spec { architecture, tied: args.tied, seed: args.seed, ..Spec::default() };
    if let Some(name) = &args.weights {
        // The names are spelt as ggml has them, with capitals; nobody types them so.
        let Some(kind) = TensorType::all().find(|kind| kind.name().eq_ignore_ascii_case(name)) else {
            super::usage(&format!("--weights {name}: no type of weights"));
        };
        spec.weights = kind;
    }
    for (setting, asked) in [
        (&mut spec.vocabulary, args.vocabulary),
        (&mut spec.embedding, args.embedding),
        (&mut spec.layers, args.layers),
        (&mut spec.heads, args.heads),
        (&mut spec.kv_heads, args.kv_heads),
        (&mut spec.head_size, args.head_size),
        (&mut spec.feed_forward, args.feed_forward),
        (&mut spec.context, args.context),
    ] {
        *setting = asked.unwrap_or(*setting);
    }
    random::write(&args.output, &spec)?;
    show::print(format!("{}\n", args.output.display()).as_bytes())?;
    Ok(ALL_SCORED)
}
