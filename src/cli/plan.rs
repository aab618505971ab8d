//! `rlkd plan`.

use rlkd::Result;
use rlkd::gguf::check;
use rlkd::models::plan::{Demand, KvType, PREFIXES, Plan, in_words, lanes, plan as plan_memory};
use rlkd::models::source::Shelf;
use serde_json::json;

use super::args::PlanArgs;
use super::{ALL_SCORED, Done, show, usage};

/// Prints the plan; fails if it does not fit.
pub fn plan(args: &PlanArgs) -> Done {
    let available = match &args.memory {
        Some(text) => Some(size(text).unwrap_or_else(|| {
            usage(&format!(
                "--memory {text}: a number of bytes, or one with KiB, MiB, GiB or TiB, such as 24GiB"
            ))
        })),
        None => here(),
    };
    #[cfg(feature = "train")]
    if let Some(run) = &args.run {
        #[cfg(feature = "llama")]
        if is_by_rewards(run)? {
            return by_rewards(run, available, args.json);
        }
        return training(run, available, args.json);
    }
    let name = args.model.as_deref().unwrap_or_default();
    let facts = check(&Shelf::from_env()?.locate(&name.parse()?)?)?;
    let on_gpu = args.gpu_layers > 0;
    let kv = args.kv.as_deref().and_then(KvType::from_name);
    let kv = kv.unwrap_or(if on_gpu { KvType::F16 } else { KvType::F32 });
    let demand = Demand {
        context: args.ctx,
        parallel: args.parallel,
        prefixes: PREFIXES,
        lanes: if on_gpu { 1 } else { lanes(facts.tensor_bytes.total(), args.parallel) },
        batch: args.batch,
        micro_batch: args.micro_batch,
        kv,
        gpu_layers: args.gpu_layers,
        // A run on a processor does without, unless a quantized KV cache needs it.
        flash_attention: on_gpu || !matches!(kv, KvType::F32 | KvType::F16),
    };
    let plan = plan_memory(&facts, &demand);
    let fits = available.map_or(Ok(()), |available| plan.check(available));
    let text =
        if args.json { as_json(&plan, available, &fits) } else { as_table(&plan, args, &demand, available) };
    show::print(text.as_bytes())?;
    if u64::from(args.ctx) > facts.context_length {
        show::say(&format!(
            "warning: the model was trained for {} tokens, not {}\n",
            facts.context_length, args.ctx
        ));
    }
    fits.map(|()| ALL_SCORED)
}

/// The facts of a run's model, if the run's adapters go with it.
#[cfg(feature = "train")]
fn fitting(config: &rlkd::train::sft::SftConfig) -> Result<rlkd::gguf::Facts> {
    let (_, facts, shape) = super::adapter::model(&config.model)?;
    rlkd::train::setup::Adapters::load(
        &config.frozen_adapters,
        config.adapter.as_ref(),
        &config.lora,
        &shape,
    )?;
    Ok(facts)
}

/// Whether a run file is one of `rlkd train`.
#[cfg(all(feature = "train", feature = "llama"))]
fn is_by_rewards(run: &std::path::Path) -> Result<bool> {
    let table: toml::Table = rlkd::config::load_toml(run)?;
    Ok(["reward", "grpo", "engine", "num_generations", "max_completion_length"]
        .iter()
        .any(|key| table.contains_key(*key)))
}

/// Tokens of a prompt, where nothing says how many.
#[cfg(all(feature = "train", feature = "llama"))]
const PROMPT: usize = 1024;

/// The plan of a run of `rlkd train`: the trainer and the sampler, which both hold the weights.
#[cfg(all(feature = "train", feature = "llama"))]
fn by_rewards(run: &std::path::Path, available: Option<u64>, json: bool) -> Done {
    use rlkd::distill::RlkdConfig;
    use rlkd::error::Place;
    use rlkd::train::memory;
    use rlkd::train::sft::SftConfig;

    let mut config: RlkdConfig = rlkd::config::load_toml(run)?;
    if config.output_dir.as_os_str().is_empty() {
        config.output_dir = ".".into();
    }
    config.check().map_err(|error| error.at_if_missing(Place::file(run)))?;
    let longest = match config.engine.context {
        0 => PROMPT + config.max_completion_length,
        own => own as usize,
    };
    let trainer = SftConfig {
        model: config.model.clone(),
        output_dir: config.output_dir.clone(),
        train: config.train.clone(),
        frozen_adapters: config.frozen_adapters.clone(),
        adapter: config.adapter.clone(),
        lora: config.lora.clone(),
        max_length: longest,
        micro_batch_tokens: config.micro_batch_tokens,
        per_device_train_batch_size: config.prompts() * config.num_generations,
        gradient_checkpointing: config.gradient_checkpointing,
        bf16: config.bf16,
        ..SftConfig::default()
    };
    let facts = fitting(&trainer)?;
    let memory = memory::plan(&trainer, Some(&facts))?;
    let generations = config.num_generations as u32;
    let parallel = match config.engine.parallel {
        0 => (config.prompts() as u32 * generations).min(128),
        own => own,
    };
    let prefixes = match config.engine.prefixes {
        0 => (parallel.div_ceil(generations) + 1).min(32),
        own => own,
    };
    let gpu_layers = config.engine.gpu_layers.unwrap_or(0);
    let kv = config.engine.kv.unwrap_or(if gpu_layers > 0 { KvType::F16 } else { KvType::F32 });
    let demand = Demand {
        context: longest as u32,
        parallel,
        prefixes,
        lanes: match config.engine.lanes {
            0 if gpu_layers > 0 || config.prompts() < rlkd::distill::LEAST_PROMPTS => 1,
            0 => lanes(facts.tensor_bytes.total(), parallel),
            own => own.min(parallel),
        },
        batch: 512,
        micro_batch: 512,
        kv,
        gpu_layers,
        flash_attention: gpu_layers > 0 || !matches!(kv, KvType::F32 | KvType::F16),
    };
    let sampler = plan_memory(&facts, &demand);
    let beside = beside(&config.reward, available)?;
    let total = memory.total
        + sampler.total
        + beside.iter().filter_map(|(_, bytes)| bytes.as_ref().ok()).sum::<u64>();
    let fits = available.is_none_or(|available| total <= available);
    if json {
        let value = json!({
            "trainer": memory,
            "sampler": {"weights": sampler.weights, "kv_cache": sampler.kv_cache, "logits": sampler.logits, "compute": sampler.compute, "total": sampler.total},
            "beside": beside.iter().map(|(name, bytes)| json!({"name": name, "total": bytes.as_ref().ok(), "error": bytes.as_ref().err()})).collect::<Vec<_>>(),
            "total": total,
            "available": available,
            "fits": available.map(|_| fits),
        });
        show::print(format!("{value}\n").as_bytes())?;
    } else {
        let mut text = String::new();
        let mut row = |name: &str, bytes: u64, note: &str| {
            text += format!("{name:<10} {:>10}  {note}", in_words(bytes)).trim_end();
            text.push('\n');
        };
        row(
            "trainer",
            memory.total,
            &format!(
                "of which weights {}, in parts of {} tokens",
                in_words(memory.weights),
                config.micro_batch_tokens
            ),
        );
        row(
            "sampler",
            sampler.total,
            &format!(
                "of which weights {}, KV cache {} ({parallel} + {prefixes}) x {longest} tokens, {}",
                in_words(sampler.weights),
                in_words(sampler.kv_cache),
                kv.name()
            ),
        );
        for (name, bytes) in &beside {
            match bytes {
                Ok(bytes) => row(name, *bytes, "of [reward.llama]"),
                Err(why) => row(name, 0, &format!("not counted: {why}")),
            }
        }
        row("total", total, "all are there all the time");
        if let Some(available) = available {
            row("available", available, "");
        }
        show::print(text.as_bytes())?;
    }
    match available.filter(|_| !fits) {
        None => Ok(ALL_SCORED),
        Some(available) => Err(rlkd::Error::config(format!(
            "the run needs {} and {} are there: lower micro_batch_tokens, engine.parallel or engine.context, or take engine.kv = \"f16\"{}",
            in_words(total),
            in_words(available),
            if beside.is_empty() {
                ""
            } else {
                "; for the models of the rewards, reward.llama.engine.context or parallel"
            }
        ))),
    }
}

/// What a model takes in bytes, or why that is not known.
#[cfg(all(feature = "train", feature = "llama"))]
type Beside = std::result::Result<u64, String>;

/// What the models of a run's rewards take, by role.
#[cfg(all(feature = "train", feature = "llama"))]
fn beside(
    reward: &rlkd::distill::RewardConfig,
    available: Option<u64>,
) -> Result<Vec<(&'static str, Beside)>> {
    use rlkd::llama::settings::Machine;
    use rlkd::llama::{DECOMPOSERS, JUDGES};

    let decomposes = DECOMPOSERS.iter().any(|entry| entry.name == reward.decomposer);
    let judges = JUDGES.iter().any(|entry| entry.name == reward.judge);
    // A plan looks at what is here.
    let llama = rlkd::llama::Config { fetch: false, ..reward.llama.clone() };
    let roles =
        [("gsrm", decomposes.then(|| llama.model_file())), ("judge", judges.then(|| llama.judge_file()))];
    let on_gpu = llama.engine.gpu_layers.is_some_and(|layers| layers > 0);
    let of = |memory: u64| Machine { memory, gpu_memory: on_gpu.then_some(memory), cores: 1 };
    let (memory, endless) = (available.unwrap_or(u64::MAX), of(u64::MAX));
    let mut seen = Vec::new();
    let mut plans = Vec::new();
    for (role, file) in roles.into_iter().filter_map(|(role, file)| Some((role, file?))) {
        let file = match file {
            Ok(file) => file,
            Err(error) => {
                plans.push((role, Err(error.to_string())));
                continue;
            }
        };
        // However it is spelt.
        let file = file.canonicalize().unwrap_or(file);
        // A judge that asks shares the engine of a decomposer on the same model; one that embeds has a context of its own.
        let runs = (file, role == "judge" && reward.judge == "embedding");
        if !seen.contains(&runs) {
            let facts = check(&runs.0)?;
            let engine = &llama.engine;
            // What does not fit is counted all the same, and the whole is refused.
            let machine =
                of(memory.saturating_sub(plans.iter().filter_map(|(_, plan)| plan.as_ref().ok()).sum()));
            let plan = engine.resolve(&facts, machine).or_else(|_| engine.resolve(&facts, endless))?.plan;
            // Weights are shared.
            let shared = seen.iter().any(|(file, _)| *file == runs.0);
            let total = plan.total - if shared { plan.weights } else { 0 };
            plans.push((role, Ok(total)));
            seen.push(runs);
        }
    }
    Ok(plans)
}

/// The plan of a training run.
#[cfg(feature = "train")]
fn training(run: &std::path::Path, available: Option<u64>, json: bool) -> Done {
    use rlkd::error::Place;
    use rlkd::train::memory;
    use rlkd::train::sft::{Init, SftConfig};

    let mut config: SftConfig = rlkd::config::load_toml(run)?;
    // Nothing is written.
    if config.output_dir.as_os_str().is_empty() {
        config.output_dir = ".".into();
    }
    config.check().map_err(|error| error.at_if_missing(Place::file(run)))?;
    let facts = match config.init {
        Init::Model => Some(fitting(&config)?),
        Init::Random => None,
    };
    if let Some(path) =
        config.train.iter().chain(&config.validation).find(|path| path.as_os_str() != "-" && !path.exists())
    {
        return Err(rlkd::Error::config("no such file, and the run wants to read it").at(Place::file(path)));
    }
    let memory = memory::plan(&config, facts.as_ref())?;
    let fits = available.is_none_or(|available| memory.total <= available);
    if json {
        let mut value =
            serde_json::to_value(memory).map_err(|error| rlkd::Error::engine(error.to_string()))?;
        value["available"] = available.into();
        value["fits"] = available.map(|_| fits).into();
        show::print(format!("{value}\n").as_bytes())?;
    } else {
        let mut text = String::new();
        let mut row = |name: &str, bytes: u64, note: &str| {
            text += format!("{name:<10} {:>10}  {note}", in_words(bytes)).trim_end();
            text.push('\n');
        };
        row("weights", memory.weights, "as the file stores them");
        row("trained", memory.trained, if config.full { "all weights" } else { "the adapter" });
        row("gradients", memory.gradients, "");
        row("optimizer", memory.optimizer, "two moments");
        row("states", memory.states, "what leaves each layer");
        let note = if config.gradient_checkpointing {
            "of one layer at a time"
        } else {
            "gradient_checkpointing = true takes less"
        };
        row("layers", memory.layers, note);
        row("logits", memory.logits, "of some tokens at a time");
        row("program", memory.program, "");
        row(
            "total",
            memory.total,
            "most at any time: layers and logits take turns where layers are recomputed",
        );
        if let Some(available) = available {
            row("available", available, "");
        }
        show::print(text.as_bytes())?;
    }
    match available.filter(|_| !fits) {
        None => Ok(ALL_SCORED),
        Some(available) => Err(rlkd::Error::config(format!(
            "the run needs {} and {} are there: lower micro_batch_tokens or max_length, take gradient_checkpointing = true, \
             or a smaller r",
            in_words(memory.total),
            in_words(available)
        ))),
    }
}

fn as_json(plan: &Plan, available: Option<u64>, fits: &Result<()>) -> String {
    let largest = |of: fn(&Plan, u64) -> Option<u32>| available.and_then(|available| of(plan, available));
    let value = json!({
        "weights": plan.weights,
        "kv_cache": plan.kv_cache,
        "logits": plan.logits,
        "compute": plan.compute,
        "total": plan.total,
        "without_flash_attention": plan.without_flash_attention,
        "device": plan.device,
        "available": available,
        "fits": available.map(|_| fits.is_ok()),
        "largest_context": largest(Plan::largest_context),
        "largest_parallel": largest(Plan::largest_parallel),
    });
    format!("{value}\n")
}

fn as_table(plan: &Plan, args: &PlanArgs, demand: &Demand, available: Option<u64>) -> String {
    let mut text = String::new();
    let mut row = |name: &str, bytes: u64, note: &str| {
        text += format!("{name:<10} {:>10}  {note}", in_words(bytes)).trim_end();
        text.push('\n');
    };
    row("weights", plan.weights, "");
    row(
        "KV cache",
        plan.kv_cache,
        &format!("({} + {PREFIXES}) x {} tokens, {}", args.parallel, args.ctx, demand.kv.name()),
    );
    row("logits", plan.logits, "");
    let scores = in_words(plan.without_flash_attention);
    let note = match demand.flash_attention {
        true => format!("without flash attention {scores} more"),
        false => format!("with flash attention {scores} less"),
    };
    row("compute", plan.compute, &note);
    row("total", plan.total, "");
    if plan.device > 0 {
        row("on the GPU", plan.device, &format!("with {} layers there", args.gpu_layers));
    }
    let Some(available) = available else { return text };
    row("available", available, "");
    let context =
        plan.largest_context(available).map(|most| format!("{most} tokens for {} sequences", args.parallel));
    let parallel =
        plan.largest_parallel(available).map(|most| format!("{most} sequences of {} tokens", args.ctx));
    let most: Vec<String> = context.into_iter().chain(parallel).collect();
    if !most.is_empty() {
        text += &format!("most that fits: {}\n", most.join(", or "));
    }
    text
}

/// What this machine has to give, in bytes, where that is known.
fn here() -> Option<u64> {
    #[cfg(feature = "llama")]
    return rlkd::models::plan::memory().map(|memory| memory.available);
    #[cfg(not(feature = "llama"))]
    return None;
}

/// A size as people write it: `24GiB`, `24G`, `512 MiB`, `1000000`. Units are powers of 1,024.
fn size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..digits].parse().ok()?;
    let unit = text[digits..].trim().to_ascii_lowercase();
    let power = match unit.as_str() {
        "" | "b" => 0,
        "k" | "kib" => 1,
        "m" | "mib" => 2,
        "g" | "gib" => 3,
        "t" | "tib" => 4,
        _ => return None,
    };
    let bytes = number * f64::from(1024).powi(power);
    (bytes.is_finite() && bytes < u64::MAX as f64).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("1000", Some(1_000)),
            ("24GiB", Some(24 << 30)),
            ("1.5 g", Some(3 << 29)),
            ("512 MiB", Some(512 << 20)),
            ("0", Some(0)),
            ("", None),
            ("GiB", None),
            ("24GB!", None),
            ("-1", None),
            ("1e9", None),
            ("99999999999999999999T", None),
        ] {
            assert_eq!(size(text), bytes, "{text}");
        }
    }
}
