//! The environment that `transformers` gives a chat template, and the limits of ours.

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error as Failure, ErrorKind, UndefinedBehavior, Value};

use super::{guard, python};
use crate::error::{Error, Result};

/// The name of the one template of an environment.
const NAME: &str = "chat";

/// Work and memory of one rendering: an instruction costs one, 64 bytes that are made cost one. The longest
/// conversation, copied ten times over, takes some 330,000.
const FUEL: u64 = 500_000;

/// Stack for compiling and rendering. Nothing bounds how deep an expression or a value nests but the length of the
/// source and the fuel, and both are dropped, compared and printed recursively. Lists in lists for all the fuel are some
/// 210,000 deep, and printing them takes some 100 MB in a debug build. Only what is used is real memory.
const STACK_BYTES: usize = 512 << 20;

/// What `strftime_now` tells unless set otherwise: 26 July 2024, 00:00 UTC.
const DEFAULT_CLOCK: i64 = 1_721_952_000;

/// Runs `work` where deep recursion is harmless.
///
/// # Errors
/// Kind `Engine`: no thread could be started, or `work` panicked.
pub fn deep<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("chat-template".into()).stack_size(STACK_BYTES);
        let thread = thread.spawn_scoped(scope, work).map_err(|error| {
            Error::engine(format!("cannot start a thread for the chat template: {error}"))
        })?;
        thread.join().map_err(|_| Error::engine("the chat template ended its thread"))
    })
}

/// Compiles a guarded source.
///
/// # Errors
/// It is no template.
pub fn compile(source: String) -> Result<Environment<'static>, Failure> {
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment.set_fuel(Some(FUEL));
    // Debug information would copy the context into each error.
    environment.set_debug(false);
    environment.set_unknown_method_callback(python::method);
    environment.remove_global("debug");
    environment.remove_filter("pprint");
    environment.add_filter("tojson", python::tojson);
    environment.add_filter("trim", python::trim);
    environment.add_test("iterable", python::is_iterable);
    environment.add_filter(guard::KEEP, guard::keep);
    environment.add_function("raise_exception", raise_exception);
    set_clock(&mut environment, DEFAULT_CLOCK);
    environment.add_template_owned(NAME, source)?;
    Ok(environment)
}

/// Makes `strftime_now` tell `seconds` since 1970, UTC; from year 1 to 9999, as in Python.
pub fn set_clock(environment: &mut Environment<'static>, seconds: i64) {
    let seconds = seconds.clamp(-62_135_596_800, 253_402_300_799);
    environment.add_function("strftime_now", move |format: &str| python::strftime(format, seconds));
}

/// Renders the template.
///
/// # Errors
/// The template fails, raises, or runs out of fuel.
pub fn render(environment: &Environment<'static>, context: Value) -> Result<String, Failure> {
    environment.get_template(NAME)?.render(context)
}

/// What a template said through `raise_exception`.
#[derive(Debug)]
struct Raised;

impl std::fmt::Display for Raised {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("raised by the template")
    }
}

impl std::error::Error for Raised {}

fn raise_exception(message: &str) -> Result<Value, Failure> {
    Err(Failure::new(ErrorKind::InvalidOperation, message.to_owned()).with_source(Raised))
}

/// Whether the template itself refused, through `raise_exception`.
pub fn is_raised(error: &Failure) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if error.is::<Raised>() {
            return true;
        }
        next = error.source();
    }
    false
}
