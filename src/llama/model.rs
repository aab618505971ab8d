//! A model file, loaded once and shared.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use aho_corasick::{AhoCorasick, MatchKind};
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::token_type::LlamaTokenAttr;
use llama_cpp_2::{LlamaBackendDeviceType, list_llama_ggml_backend_devices};

use super::chat::ChatTemplate;
use super::constraint::{Token, Vocabulary};
use super::logging;
use super::settings::{Machine, Resolved, Settings};
use crate::error::{Error, Place, Result};
use crate::gguf::{Facts, check};
use crate::grammar::Message;
use crate::models::plan;
use crate::tokens::Tokenizer;

/// Characters that mark text which must not be read as control tokens; from the private use area.
const QUOTE: [char; 2] = ['\u{f8f0}', '\u{f8f1}'];

/// Pre-tokenizers (`tokenizer.ggml.pre`) for which llama.cpp has code of its own. The others go through `std::regex`,
/// which recurses for each character of a match: a long word overflows the stack, and that ends the program.
const WITHOUT_REGEX: [&str; 6] = ["deepseek-r1-qwen", "gpt-2", "llama-bpe", "llama-v3", "llama3", "qwen2"];
/// Bytes of a text that go through `std::regex` at once: few enough for a thread's stack (tests/pretokenizers.rs).
const REGEX_BYTES: usize = 1 << 10;

/// The pinned llama.cpp, whose kernels shape logits as well.
const LLAMA_CPP: &str = "llama-cpp-sys-2 0.1.161";

/// What this machine has to give.
fn machine(backend: &LlamaBackend) -> Machine {
    let devices = list_llama_ggml_backend_devices();
    let gpus = devices.iter().filter(|device| device.device_type == LlamaBackendDeviceType::Gpu);
    let free: Vec<u64> = gpus.map(|device| device.memory_free as u64).collect();
    Machine {
        memory: plan::memory().map_or(u64::MAX, |memory| memory.available),
        gpu_memory: (backend.supports_gpu_offload() && !free.is_empty()).then(|| free.iter().sum()),
        cores: std::thread::available_parallelism().map_or(1, usize::from) as u32,
    }
}

/// The one llama.cpp of the process.
pub(super) fn backend() -> Result<&'static LlamaBackend> {
    static BACKEND: OnceLock<std::result::Result<LlamaBackend, String>> = OnceLock::new();
    BACKEND
        .get_or_init(|| {
            logging::route();
            LlamaBackend::init().map_err(|error| error.to_string())
        })
        .as_ref()
        .map_err(|error| Error::engine(format!("llama.cpp does not start: {error}")))
}

/// A model with its tokenizer and chat template. Threads share it; each context has its own memory.
pub struct Model {
    inner: LlamaModel,
    path: PathBuf,
    facts: Facts,
    resolved: Resolved,
    fingerprint: String,
    template: ChatTemplate,
    /// Tokens that end an output.
    end: Vec<u32>,
    /// The texts of the control tokens, for [`Model::tokenize_prompt`].
    control: Option<AhoCorasick>,
    /// The texts of tokens such as `</think>` that are no control tokens and mean something all the same, and what
    /// stands for them in a quoted text.
    marks: Option<(AhoCorasick, Vec<String>)>,
    vocabulary: OnceLock<Vocabulary>,
}

impl Model {
    /// Loads a GGUF file that [`check()`] has passed.
    ///
    /// # Errors
    /// The file is damaged or is none that llama.cpp runs; it does not fit into the memory, with what to lower.
    pub fn load(path: &Path, settings: &Settings) -> Result<Arc<Self>> {
        Self::open(path, settings, true)
    }

    /// Loads the tokenizer and the chat template of a file, without its weights.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_tokenizer(path: &Path, settings: &Settings) -> Result<Arc<Self>> {
        Self::open(path, settings, false)
    }

    fn open(path: &Path, settings: &Settings, weights: bool) -> Result<Arc<Self>> {
        let facts = check(path)?;
        if !settings.trust && !facts.checked_in_full {
            return Err(Error::config(format!(
                "a file of this kind ({}) is checked in general only, and a damaged one could end the program: say \
                 --trust-model if you know where it comes from (checked in full: llama, qwen2 and qwen3 without experts)",
                facts.architecture
            ))
            .at(Place::file(path)));
        }
        let backend = backend()?;
        let machine = if weights { machine(backend) } else { Machine::endless() };
        let resolved =
            settings.resolve(&facts, machine).map_err(|error| error.at_if_missing(Place::file(path)))?;
        let trained = facts.context_length;
        if u64::from(settings.context) > trained {
            tracing::warn!(
                "sequences may hold {} tokens, but the model was trained for {trained}: lower --ctx, or see what it \
                 writes beyond that",
                settings.context
            );
        }
        let params =
            LlamaModelParams::default().with_n_gpu_layers(resolved.gpu_layers).with_vocab_only(!weights);
        let failed = |what: String| Error::engine(what).at(Place::file(path));
        let inner = LlamaModel::load_from_file(backend, path, &params).map_err(|error| {
            failed(format!("llama.cpp cannot load this model ({error}); RLKD_LOG=llama=info says more"))
        })?;
        let vocab = inner.vocab();
        let text_of = |token: LlamaToken| {
            String::from_utf8_lossy(&vocab.token_to_piece(token, true, None)).into_owned()
        };
        let end: Vec<u32> = vocab
            .tokens()
            .filter(|token| vocab.is_eog(*token))
            .map(|token| token.0.cast_unsigned())
            .collect();
        if end.is_empty() {
            return Err(failed("the vocabulary has no token that ends an output".into()));
        }
        // Where a byte-level vocabulary names no first token, llama.cpp makes up the one with the number 11.
        let has_first = facts.tokenizer_model.as_deref() != Some("gpt2")
            || inner.meta_val_str("tokenizer.ggml.bos_token_id").is_ok();
        let name = |token: LlamaToken| if token.0 < 0 { String::new() } else { text_of(token) };
        let first = if has_first { name(vocab.bos()) } else { String::new() };
        let template = match &facts.chat_template {
            Some(source) => ChatTemplate::new(source, &first, &name(vocab.eos()))
                .map_err(|error| error.at_if_missing(Place::file(path)))?,
            None => ChatTemplate::chatml(),
        };
        let texts = |of: &dyn Fn(LlamaToken) -> bool| -> Vec<String> {
            let texts = vocab.tokens().filter(|token| of(*token)).map(text_of);
            texts.filter(|text| !text.is_empty()).collect()
        };
        let control = search(&texts(&|token| vocab.is_control(token))).map_err(failed)?;
        let user_defined = |token| vocab.attr(token).contains(LlamaTokenAttr::UserDefined);
        let marks: Vec<String> = texts(&user_defined).into_iter().filter(|text| is_markup(text)).collect();
        let broken = marks.iter().map(|text| format!("<\u{2060}{}", &text[1..])).collect();
        let marks = search(&marks).map_err(failed)?.map(|search| (search, broken));
        let fingerprint = fingerprint(path)?;
        Ok(Arc::new(Model {
            path: path.to_path_buf(),
            facts,
            resolved,
            fingerprint,
            template,
            end,
            control,
            marks,
            vocabulary: OnceLock::new(),
            inner,
        }))
    }

    pub(super) fn inner(&self) -> &LlamaModel {
        &self.inner
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What its header says.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// How it is run.
    pub fn resolved(&self) -> &Resolved {
        &self.resolved
    }

    /// 128-bit xxh3 of the whole file, in hexadecimal.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// What of the model and of how it is run shapes its logits.
    pub fn numerics(&self) -> String {
        let Resolved { kv, flash_attention, gpu_layers, settings, .. } = &self.resolved;
        let forward = if settings.fast_forward { " forward" } else { "" };
        let kv = kv.name();
        format!("{LLAMA_CPP} {} {kv} {flash_attention:?} {gpu_layers}{forward}", self.fingerprint)
    }

    /// The model's own chat template, or ChatML where it has none.
    pub fn template(&self) -> &ChatTemplate {
        &self.template
    }

    /// Ids of the tokens that end an output.
    pub fn end(&self) -> &[u32] {
        &self.end
    }

    /// Number of tokens in the vocabulary.
    pub fn vocabulary_size(&self) -> usize {
        self.inner.n_vocab().max(0) as usize
    }

    /// The tokens of a plain text. What looks like a control token is text.
    pub fn tokenize(&self, text: &str) -> Vec<u32> {
        self.tokens(text, false)
    }

    /// The tokens of a rendered prompt: control tokens are read as such, but not inside what [`Model::quote`] marked.
    pub fn tokenize_prompt(&self, prompt: &str) -> Vec<u32> {
        let mut tokens = Vec::new();
        let mut rest = prompt;
        let mut quoted = false;
        loop {
            let (now, later) = match rest.find(QUOTE[usize::from(quoted)]) {
                Some(at) => (&rest[..at], Some(&rest[at + QUOTE[0].len_utf8()..])),
                None => (rest, None),
            };
            if !now.is_empty() {
                tokens.extend(self.tokens(now, !quoted));
            }
            match later {
                Some(later) => (rest, quoted) = (later, !quoted),
                None => break,
            }
        }
        // Most templates write the first token themselves.
        let first = self.inner.vocab().bos().0;
        let wanted = self.inner.vocab().should_add_bos() && first >= 0;
        if wanted && tokens.first() != Some(&first.cast_unsigned()) {
            tokens.insert(0, first.cast_unsigned());
        }
        tokens
    }

    /// Marks what looks like a control token in a text that goes into a prompt, so that it stays text.
    pub fn quote(&self, text: &str) -> String {
        let plain = if text.contains(QUOTE) { text.replace(QUOTE, "\u{fffd}") } else { text.to_owned() };
        // llama.cpp tells these apart even in plain text, so they are broken up.
        let plain = match &self.marks {
            Some((marks, broken)) => marks.replace_all(&plain, broken),
            None => plain,
        };
        let Some(control) = &self.control else { return plain };
        let mut out = String::with_capacity(plain.len());
        let mut from = 0;
        for found in control.find_iter(&plain) {
            out.push_str(&plain[from..found.start()]);
            out.push(QUOTE[0]);
            out.push_str(&plain[found.range()]);
            out.push(QUOTE[1]);
            from = found.end();
        }
        out.push_str(&plain[from..]);
        out
    }

    /// Never with the tokens that a vocabulary wants at the beginning or the end of a text: a prompt goes on.
    fn tokens(&self, text: &str, special: bool) -> Vec<u32> {
        let tokenize = |text: &str| -> Vec<u32> {
            let tokens = self.inner.vocab().tokenize(text.as_bytes(), false, special);
            tokens.into_iter().map(|token| token.0.cast_unsigned()).collect()
        };
        let bytewise = self.facts.tokenizer_model.as_deref() == Some("gpt2");
        let pre = self.facts.tokenizer_pre.as_deref().unwrap_or_default();
        if !bytewise || WITHOUT_REGEX.contains(&pre) {
            return tokenize(text);
        }
        let mut tokens = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(self.piece(rest));
            tokens.extend(tokenize(now));
            rest = later;
        }
        tokens
    }

    /// How much of a text to tokenize at once: up to a space behind a word that lies within the bound, where there is
    /// one. Most pre-tokenizers begin a new piece there anyway. Never into a control token.
    fn piece(&self, text: &str) -> usize {
        if text.len() <= REGEX_BYTES {
            return text.len();
        }
        let end = (0..=REGEX_BYTES).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(text.len());
        let bytes = text.as_bytes();
        let space = (1..end).rev().find(|&at| bytes[at] == b' ' && !bytes[at - 1].is_ascii_whitespace());
        let cut = space.unwrap_or(end);
        let Some(control) = &self.control else { return cut };
        let inside =
            control.find_iter(text).take_while(|found| found.start() < cut).find(|found| found.end() > cut);
        inside.map_or(cut, |found| if found.start() > 0 { found.start() } else { found.end() })
    }

    /// The bytes that tokens stand for; control tokens stand for nothing.
    pub fn bytes(&self, tokens: &[u32]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let vocab = self.inner.vocab();
        for &token in tokens {
            if (token as usize) < self.vocabulary_size() {
                bytes.extend(vocab.token_to_piece(LlamaToken(token.cast_signed()), false, None));
            }
        }
        bytes
    }

    /// The text that tokens stand for, without a character that is cut in the middle at the end.
    pub fn text(&self, tokens: &[u32]) -> String {
        let bytes = self.bytes(tokens);
        let whole = match std::str::from_utf8(&bytes) {
            Err(error) if error.error_len().is_none() => &bytes[..error.valid_up_to()],
            _ => &bytes,
        };
        String::from_utf8_lossy(whole).into_owned()
    }

    /// The vocabulary as the grammars see it; built at the first call.
    ///
    /// # Errors
    /// The vocabulary cannot be used with grammars.
    pub fn vocabulary(self: &Arc<Self>) -> Result<&Vocabulary> {
        if let Some(vocabulary) = self.vocabulary.get() {
            return Ok(vocabulary);
        }
        let vocab = self.inner.vocab();
        let token = |token: LlamaToken| {
            let bytes = vocab.token_to_piece(token, false, None);
            if bytes.is_empty() {
                Token { bytes: vocab.token_to_piece(token, true, None), special: true }
            } else {
                let markup = vocab.attr(token).contains(LlamaTokenAttr::UserDefined)
                    && std::str::from_utf8(&bytes).is_ok_and(is_markup);
                Token { special: vocab.is_control(token) || markup, bytes }
            }
        };
        let tokens = vocab.tokens().map(token).collect();
        let tokenize = self.resolved.settings.fast_forward.then(|| {
            let model = Arc::downgrade(self);
            let tokenize = move |bytes: &[u8]| match (model.upgrade(), std::str::from_utf8(bytes)) {
                (Some(model), Ok(text)) => model.tokenize(text),
                _ => Vec::new(),
            };
            Box::new(tokenize) as Box<dyn Fn(&[u8]) -> Vec<u32> + Send + Sync>
        });
        let made = Vocabulary::new(tokens, &self.end, tokenize)
            .map_err(|error| error.at_if_missing(Place::file(&self.path)))?;
        Ok(self.vocabulary.get_or_init(|| made))
    }
}

impl Tokenizer for Model {
    fn prompt(&self, messages: &[Message], thinking: Option<bool>) -> Result<Vec<u32>> {
        let mut prompt = super::gsrm::render(self, messages, thinking)?;
        // Some templates open the thought themselves; an answer that is learnt from has it too.
        if thinking.is_none()
            && let Some(rest) = prompt.trim_end().strip_suffix("<think>")
        {
            prompt.truncate(rest.len());
        }
        Ok(self.tokenize_prompt(&prompt))
    }

    fn quote(&self, text: &str) -> String {
        Model::quote(self, text)
    }

    fn answer(&self, text: &str) -> Vec<u32> {
        self.tokenize(text)
    }

    fn end(&self) -> u32 {
        let eos = self.inner.vocab().eos().0.cast_unsigned();
        // Loading has seen to it that there is one.
        if self.end.contains(&eos) { eos } else { self.end.first().copied().unwrap_or(eos) }
    }

    fn size(&self) -> usize {
        self.vocabulary_size()
    }

    fn fingerprint(&self) -> &str {
        Model::fingerprint(self)
    }
}

/// A search for any of `texts`; none for none.
fn search(texts: &[String]) -> std::result::Result<Option<AhoCorasick>, String> {
    if texts.is_empty() {
        return Ok(None);
    }
    let made = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(texts);
    made.map(Some).map_err(|error| format!("the special tokens cannot be searched for: {error}"))
}

/// Whether a text looks like a mark of the model's own form: `</think>`, `<tool_call>`.
fn is_markup(text: &str) -> bool {
    text.len() > 2 && text.starts_with('<') && text.ends_with('>')
}

/// Hash of a file. Reading it whole also warms the cache that the loader maps.
fn fingerprint(path: &Path) -> Result<String> {
    use std::io::Read;
    let failed = |error| Error::io("read the model", path, error);
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let mut hash = xxhash_rust::xxh3::Xxh3::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => return Ok(format!("{:032x}", hash.digest128())),
            read => hash.update(&buffer[..read]),
        }
    }
}
