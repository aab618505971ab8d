//! `rlkd adapter` and `rlkd export`.

use std::io::IsTerminal;
use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};
use rlkd::error::Place;
use rlkd::gguf::{Facts, Gguf, TensorType, check};
use rlkd::models::plan::in_words;
use rlkd::models::source::Shelf;
use rlkd::train::adapter::merge::{self, Export, TYPES};
use rlkd::train::adapter::{Adapter, Format};
use rlkd::train::model::shape::Shape;
use rlkd::{Error, Result, files};
use serde_json::json;

use super::args::{AdapterCommand, AdapterInfoArgs, ConvertArgs, ExportArgs, MergeArgs};
use super::{ALL_SCORED, Done, show};

/// Runs one of the commands.
pub fn adapter(command: &AdapterCommand) -> Done {
    match command {
        AdapterCommand::Info(args) => info(args),
        AdapterCommand::Convert(args) => convert(args),
        AdapterCommand::Merge(args) => merge(args),
    }
}

/// The file of a model, what is known of it, and its sizes.
pub(super) fn model(name: &str) -> Result<(std::path::PathBuf, Facts, Shape)> {
    let path = Shelf::from_env()?.locate(&name.parse()?)?;
    let facts = check(&path)?;
    let head = Gguf::open(&path)?;
    let shape = Shape::of(&head, &facts, None).map_err(|error| error.at_if_missing(Place::file(&path)))?;
    Ok((path, facts, shape))
}

fn info(args: &AdapterInfoArgs) -> Done {
    let (.., shape) = model(&args.model)?;
    let adapter = Adapter::load(&args.adapter, &shape)?;
    let format = match Format::of(&args.adapter) {
        Format::Peft => "peft",
        Format::Gguf => "gguf",
    };
    // What B · A adds to each matrix, beside nothing else: how far it has moved.
    let norms: Vec<(&String, f64)> = adapter.pairs.iter().map(|(name, pair)| (name, pair.norm())).collect();
    let config = &adapter.config;
    let text = if args.json {
        let norms: serde_json::Map<_, _> =
            norms.iter().map(|(name, norm)| ((*name).clone(), json!(norm))).collect();
        let value = json!({
            "format": format, "architecture": adapter.architecture, "r": config.r, "lora_alpha": config.lora_alpha,
            "use_rslora": config.use_rslora, "use_dora": config.use_dora, "modules": adapter.modules(), "layers": adapter.layers(),
            "parameters": adapter.parameters(), "norms": norms,
        });
        format!("{value}\n")
    } else {
        let layers = adapter.layers();
        let mut text = String::new();
        let mut row = |name: &str, value: String| text += &format!("{name:<13} {value}\n");
        row("format", format.into());
        row("architecture", adapter.architecture.clone());
        row("r", config.r.to_string());
        row(
            "lora_alpha",
            format!("{}{}", config.lora_alpha, if config.use_rslora { " (rsLoRA)" } else { "" }),
        );
        if config.use_dora {
            row(
                "use_dora",
                "rows have lengths of their own: not for llama.cpp, but `rlkd export` merges it".into(),
            );
        }
        row("modules", adapter.modules().join(", "));
        row("layers", format!("{} of {}", layers.len(), shape.layers));
        row("parameters", adapter.parameters().to_string());
        for module in adapter.modules() {
            let own = rlkd::train::lora::MODULES
                .iter()
                .find(|(name, _)| *name == module)
                .map_or("", |(_, gguf)| gguf);
            let of =
                norms.iter().filter(|(name, _)| name.contains(&format!(".{own}."))).map(|(_, norm)| norm);
            let (count, sum, most) =
                of.fold((0, 0.0, 0.0f64), |(n, sum, most), norm| (n + 1, sum + norm, most.max(*norm)));
            row(
                module,
                format!("norm of scale·B·A: mean {:.4}, most {most:.4}", sum / f64::from(count.max(1))),
            );
        }
        text
    };
    show::print(text.as_bytes())?;
    Ok(ALL_SCORED)
}

fn convert(args: &ConvertArgs) -> Done {
    let (.., shape) = model(&args.model)?;
    if files::same(&args.output, &args.adapter) {
        return Err(Error::config("the output is the adapter itself: name another file or folder"));
    }
    let adapter = Adapter::load(&args.adapter, &shape)?;
    adapter
        .save(&args.output, &shape, &args.model)
        .map_err(|error| error.at_if_missing(Place::file(&args.adapter)))?;
    show::print(format!("{}\n", args.output.display()).as_bytes())?;
    Ok(ALL_SCORED)
}

fn merge(args: &MergeArgs) -> Done {
    let sign = if args.undo { -1.0 } else { 1.0 };
    write(&args.model, &args.adapter, sign, args.kind.as_deref(), &args.output, args.quiet)
}

/// Writes a model in another type.
pub fn export(args: &ExportArgs) -> Done {
    write(&args.model, &args.adapter, 1.0, args.kind.as_deref(), &args.output, args.quiet)
}

fn write(name: &str, adapters: &[String], sign: f32, kind: Option<&str>, output: &Path, quiet: bool) -> Done {
    let (path, _, shape) = model(name)?;
    let kind = kind.map(kind_of).transpose()?;
    let mut loaded = Vec::new();
    for text in adapters {
        let (path, factor) = factor_of(text)?;
        loaded.push((Adapter::load(Path::new(path), &shape)?, factor * sign));
    }
    // What lengths of rows belong to is the sum so far.
    let dora = loaded.iter().rposition(|(adapter, _)| adapter.config.use_dora);
    if !quiet && dora.is_some_and(|at| at + 1 < loaded.len()) {
        show::say(
            "note: adapters are added in the order given, and one with use_dora belongs behind those that it was trained on\n",
        );
    }
    let export =
        Export { adapters: loaded.iter().map(|(adapter, factor)| (adapter, *factor)).collect(), kind };
    let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
        let style = ProgressStyle::with_template("{bar:30} {percent:>3}% {binary_bytes_per_sec} ETA {eta}");
        ProgressBar::no_length().with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
    });
    let done = merge::export(&path, output, &export, |done, all| {
        if let Some(bar) = &bar {
            bar.set_length(all);
            bar.set_position(done);
        }
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let done = done?;
    if !quiet {
        let size = std::fs::metadata(output).map_or(0, |about| about.len());
        show::say(&format!(
            "{} tensors with the adapter in them, {} stored in another type, {} copied; {}\n",
            done.merged,
            done.stored_anew,
            done.copied,
            in_words(size)
        ));
        if done.fell_back > 0 {
            show::say(&format!(
                "{} matrices have rows that are no whole blocks of {}: they became q8_0 or f16\n",
                done.fell_back,
                kind.map_or("", TensorType::name)
            ));
        }
    }
    show::print(format!("{}\n", output.display()).as_bytes())?;
    Ok(ALL_SCORED)
}

fn kind_of(text: &str) -> Result<TensorType> {
    let wanted = text.to_ascii_uppercase();
    TYPES.into_iter().find(|kind| kind.name() == wanted).ok_or_else(|| {
        let names: Vec<String> = TYPES.iter().map(|kind| kind.name().to_ascii_lowercase()).collect();
        Error::config(format!("--type {text}: models are written as {}", names.join(", ")))
    })
}

/// An adapter and what it is multiplied by: `PATH` or `PATH@0.5`.
fn factor_of(text: &str) -> Result<(&str, f32)> {
    let Some((path, factor)) = text.rsplit_once('@').filter(|_| !Path::new(text).exists()) else {
        return Ok((text, 1.0));
    };
    match factor.parse::<f32>() {
        Ok(factor) if factor.is_finite() => Ok((path, factor)),
        _ => {
            Err(Error::config(format!("{text}: no such adapter, and {factor:?} is no factor, such as @0.5")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::factor_of;

    #[test]
    fn factors_stand_behind_the_path() {
        let of = |text| factor_of(text).expect("a factor");
        assert_eq!(of("a/b.gguf"), ("a/b.gguf", 1.0));
        assert_eq!(of("a/b.gguf@0.5"), ("a/b.gguf", 0.5));
        assert_eq!(of("a@-1"), ("a", -1.0));
        for wrong in ["a@nan", "a@", "a@b/c", "a@1e99"] {
            assert!(factor_of(wrong).expect_err(wrong).to_string().contains("no factor"));
        }
    }
}
