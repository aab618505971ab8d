//! A store of step lists in front of another decomposer.
//!
//! The store is one file, an embedded database (redb: every commit is on the disk, a kill at any
//! moment leaves the last commit). It is open only while a batch is looked up or added, so that
//! several processes share it: who finds it taken waits and tries again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redb::{Builder, DatabaseError, ReadableDatabase, StorageError, TableDefinition, TableError};
use xxhash_rust::xxh3::Xxh3;

use super::packed::{pack, unpack};
use super::{Decomposer, Job};
use crate::error::{Error, Place, Result};
use crate::trace::StepList;

/// Fingerprint of the decomposer and 128-bit hash of the job, to a packed step list.
const STEPS: TableDefinition<'static, (&str, u128), &[u8]> = TableDefinition::new("steps-1");

/// A batch is small, and the operating system caches the file.
const CACHE: usize = 16 << 20;

/// The hash of a job: xxh3 of its problem, domain and trace text.
fn key(job: &Job<'_>) -> u128 {
    let mut hash = Xxh3::new();
    for part in [job.problem.as_bytes(), &[job.domain as u8], job.trace.text.as_bytes()] {
        // With its length, so that no two jobs run together to the same bytes.
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.digest128()
}

/// A file of step lists. Clones share the file and the counters; threads and processes may share it.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    patience: Duration,
    /// The threads of this process queue here and not at the file's lock.
    turn: Mutex<()>,
    hits: AtomicU64,
    misses: AtomicU64,
}

enum Fault {
    Missing,
    Busy,
    NeedsRepair,
    Other(String),
}

impl Store {
    /// The store in the file `path`, which is created with the first entry.
    ///
    /// # Errors
    /// The file is there and is no store, or is damaged, or stays taken for half a minute.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        Self::with_patience(path, Duration::from_secs(30))
    }

    /// [`Self::open`], waiting up to `patience` while another process has the file.
    ///
    /// # Errors
    /// As there.
    pub fn with_patience(path: impl Into<PathBuf>, patience: Duration) -> Result<Self> {
        let inner = Inner {
            path: path.into(),
            patience,
            turn: Mutex::new(()),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        };
        // Before any work is done that could not be kept.
        let folder = inner.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if folder.is_some_and(|folder| !folder.is_dir()) {
            let message = "the folder of the store does not exist: make it first";
            return Err(Error::store(message).at(Place::file(&inner.path)));
        }
        let store = Store { inner: Arc::new(inner) };
        store.len()?;
        Ok(store)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// How many jobs were found by this store and its clones since it was opened.
    pub fn hits(&self) -> u64 {
        self.inner.hits.load(Ordering::Relaxed)
    }

    /// How many were not.
    pub fn misses(&self) -> u64 {
        self.inner.misses.load(Ordering::Relaxed)
    }

    /// The number of entries.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn len(&self) -> Result<u64> {
        use redb::ReadableTableMetadata;
        let count = self.read(|table| table.len().map_err(|e| Fault::Other(e.to_string())))?;
        Ok(count.unwrap_or(0))
    }

    /// Whether there is no entry.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// The stored steps of each job, `None` where there are none, as the decomposer `fingerprint`
    /// ([`Decomposer::id`]) gave them.
    ///
    /// # Errors
    /// The file is damaged, cannot be read, or stays taken too long. Kind `Store`.
    pub fn get(&self, fingerprint: &str, jobs: &[Job<'_>]) -> Result<Vec<Option<StepList>>> {
        let packed: Vec<Option<Vec<u8>>> = self
            .read(|table| {
                let one = |job| match table.get((fingerprint, key(job))) {
                    Ok(found) => Ok(found.map(|value| value.value().to_vec())),
                    Err(e) => Err(fault(e)),
                };
                jobs.iter().map(one).collect()
            })?
            .unwrap_or_else(|| vec![None; jobs.len()]);
        let mut out = Vec::with_capacity(jobs.len());
        for (job, packed) in jobs.iter().zip(packed) {
            let list = match packed {
                None => None,
                Some(packed) => Some(
                    unpack(&packed, &job.trace.text)
                        .ok_or_else(|| self.damaged("an entry does not fit its trace"))?,
                ),
            };
            let counter = if list.is_some() { &self.inner.hits } else { &self.inner.misses };
            counter.fetch_add(1, Ordering::Relaxed);
            out.push(list);
        }
        Ok(out)
    }

    /// Stores the steps of jobs, all of them or, if it fails or the process is killed, none.
    ///
    /// # Errors
    /// As [`Self::get`], and a full disk.
    pub fn put<'j>(
        &self,
        fingerprint: &str,
        entries: impl IntoIterator<Item = (Job<'j>, &'j StepList)>,
    ) -> Result<()> {
        let packed: Vec<(u128, Vec<u8>)> =
            entries.into_iter().map(|(job, list)| (key(&job), pack(list, &job.trace.text))).collect();
        if packed.is_empty() {
            return Ok(());
        }
        self.attempt(|path| {
            let database = builder().create(path).map_err(open_fault)?;
            let other = |e: redb::Error| fault_of(e);
            let transaction = database.begin_write().map_err(|e| other(e.into()))?;
            {
                let mut table = transaction.open_table(STEPS).map_err(|e| other(e.into()))?;
                for (key, value) in &packed {
                    table.insert((fingerprint, *key), value.as_slice()).map_err(fault)?;
                }
            }
            transaction.commit().map_err(|e| other(e.into()))?;
            database.close().map_err(open_fault)
        })
    }

    /// Reads the table; `None` while there is none.
    fn read<T>(
        &self,
        read: impl Fn(&redb::ReadOnlyTable<(&'static str, u128), &'static [u8]>) -> Result<T, Fault>,
    ) -> Result<Option<T>> {
        let within = |database: &dyn Fn() -> Result<redb::ReadTransaction, Fault>| {
            let transaction = database()?;
            match transaction.open_table(STEPS) {
                Ok(table) => read(&table).map(Some),
                Err(TableError::TableDoesNotExist(_)) => Ok(None),
                Err(e) => Err(fault_of(e.into())),
            }
        };
        self.attempt(|path| match std::fs::metadata(path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Fault::Other(e.to_string())),
            // Made by a process that has not yet written to it.
            Ok(facts) if facts.len() == 0 => Ok(None),
            Ok(_) => match builder().open_read_only(path).map_err(open_fault) {
                Ok(database) => within(&|| database.begin_read().map_err(|e| fault_of(e.into()))),
                // Its last writer was killed: opening it for writing repairs it.
                Err(Fault::NeedsRepair) => {
                    let database = builder().open(path).map_err(open_fault)?;
                    within(&|| database.begin_read().map_err(|e| fault_of(e.into())))
                }
                Err(fault) => Err(fault),
            },
        })
    }

    /// Tries until the file is free or patience ends. redb panics on some damaged files.
    fn attempt<T>(&self, work: impl Fn(&Path) -> Result<T, Fault>) -> Result<T> {
        let path = self.inner.path.as_path();
        let start = Instant::now();
        let mut pause = Duration::from_micros(200);
        loop {
            let turn = self.inner.turn.lock().unwrap_or_else(PoisonError::into_inner);
            let done = catch_unwind(AssertUnwindSafe(|| work(path)));
            drop(turn);
            match done {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(Fault::Busy)) if start.elapsed() < self.inner.patience => {
                    std::thread::sleep(pause);
                    pause = (pause * 3 / 2).min(Duration::from_millis(20));
                }
                Ok(Err(Fault::Busy)) => {
                    let message = format!(
                        "another process has held the store for more than {:.1} s: wait for it, or name another \
                         store",
                        self.inner.patience.as_secs_f64()
                    );
                    return Err(Error::store(message).at(Place::file(path)));
                }
                Ok(Err(Fault::Missing)) => {
                    let message = "the folder of the store does not exist";
                    return Err(Error::store(message).at(Place::file(path)));
                }
                Ok(Err(Fault::NeedsRepair)) => return Err(self.damaged("it cannot be repaired")),
                Ok(Err(Fault::Other(message))) => {
                    return Err(Error::store(message).at(Place::file(path)));
                }
                Err(_) => return Err(self.damaged("its content contradicts itself")),
            }
        }
    }

    fn damaged(&self, what: &str) -> Error {
        let message = format!(
            "the store is damaged ({what}): delete the file, and its entries are made anew when they are \
             needed"
        );
        Error::store(message).at(Place::file(&self.inner.path))
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE);
    builder
}

fn open_fault(error: DatabaseError) -> Fault {
    match error {
        DatabaseError::DatabaseAlreadyOpen => Fault::Busy,
        DatabaseError::RepairAborted => Fault::NeedsRepair,
        DatabaseError::Storage(error) => fault(error),
        other => Fault::Other(format!("cannot open the store: {other}")),
    }
}

fn fault(error: StorageError) -> Fault {
    match error {
        StorageError::Io(e) if e.kind() == std::io::ErrorKind::NotFound => Fault::Missing,
        StorageError::Io(e) if e.kind() == std::io::ErrorKind::InvalidData => Fault::Other(
            "this file is not a store of steps, or is damaged: name another file, or delete it".into(),
        ),
        StorageError::Io(e) => Fault::Other(format!("cannot read or write the store: {e}")),
        other => Fault::Other(format!(
            "the store is damaged ({other}): delete the file, and its entries are made anew when they are needed"
        )),
    }
}

fn fault_of(error: redb::Error) -> Fault {
    match error {
        redb::Error::Io(e) => fault(StorageError::Io(e)),
        other => Fault::Other(format!(
            "the store cannot be used ({other}): if this stays so, delete the file, and its entries are made anew"
        )),
    }
}

/// Looks into a [`Store`] first and asks another decomposer for the rest.
#[derive(Debug)]
pub struct Recorded<D> {
    store: Store,
    inner: D,
}

impl<D: Decomposer> Recorded<D> {
    /// Puts `store` in front of `inner`.
    pub fn new(store: Store, inner: D) -> Self {
        Recorded { store, inner }
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }
}

impl<D: Decomposer> Decomposer for Recorded<D> {
    /// That of the decomposer behind the store.
    fn id(&self) -> String {
        self.inner.id()
    }

    /// What is missing is asked for in one batch, each job once, and stored if it succeeded. A store
    /// that fails is an error of each job.
    fn decompose(&mut self, jobs: &[Job<'_>]) -> Vec<Result<StepList>> {
        let fingerprint = self.inner.id();
        let found = match self.store.get(&fingerprint, jobs) {
            Ok(found) => found,
            Err(error) => return jobs.iter().map(|_| Err(again(&error))).collect(),
        };
        let mut out: Vec<Option<Result<StepList>>> = found.into_iter().map(|list| list.map(Ok)).collect();
        // Which jobs each asked job stands for: the same trace may stand in a batch more than once.
        let mut asked: Vec<(Job<'_>, Vec<usize>)> = Vec::new();
        let mut places = std::collections::HashMap::new();
        for (index, job) in jobs.iter().enumerate().filter(|(index, _)| out[*index].is_none()) {
            let place = *places.entry(key(job)).or_insert_with(|| {
                asked.push((*job, Vec::new()));
                asked.len() - 1
            });
            asked[place].1.push(index);
        }
        if !asked.is_empty() {
            let missing: Vec<Job<'_>> = asked.iter().map(|(job, _)| *job).collect();
            let results = self.inner.decompose(&missing);
            let good =
                missing.iter().zip(&results).filter_map(|(job, list)| Some((*job, list.as_ref().ok()?)));
            let stored = self.store.put(&fingerprint, good);
            for ((_, indices), result) in asked.iter().zip(results) {
                for index in indices {
                    out[*index] = Some(match (&stored, &result) {
                        (Err(error), _) | (_, Err(error)) => Err(again(error)),
                        (Ok(()), Ok(list)) => Ok(list.clone()),
                    });
                }
            }
        }
        let unanswered = || Err(Error::engine("the decomposer left a job without an answer"));
        out.into_iter().map(|result| result.unwrap_or_else(unanswered)).collect()
    }
}

/// The same error once more: errors cannot be copied with their sources.
fn again(error: &Error) -> Error {
    let copy = Error::new(error.kind(), error.message());
    match error.place() {
        Some(place) => copy.at(place.clone()),
        None => copy,
    }
}
