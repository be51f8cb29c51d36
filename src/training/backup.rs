//! A training in the middle of its way, in a file.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::callbacks::Callbacks;
use super::compiled::CompiledModel;
use super::fit::Task;
use super::history::History;
use super::tallies::Tallies;
use crate::callbacks::{State, Training, backup_file};
use crate::error::{Error, Result};
use crate::files::{Tensor, Tensors, cannot_write, versioned, write_tensors};
use crate::kernels::buffer::Buffer;
use crate::optimizers::LearningRate;

/// Under which name all but the weights stands in the file's metadata.
const KEY: &str = "convnet_backup";

/// The version of what is written, and the only one that is read.
const VERSION: u64 = 1;

/// How far a training has come: so many whole epochs, counted from 0, and batches of the next one.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Place {
    pub(super) epoch: usize,
    pub(super) batch: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { epoch, batch } = self;
        match batch {
            0 => write!(f, "epoch {epoch}"),
            _ => write!(f, "batch {batch} of epoch {} (counted from 1)", epoch + 1),
        }
    }
}

/// A number bit for bit, which JSON has no NaN for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(transparent)]
struct Bits(u64);

impl From<f64> for Bits {
    fn from(number: f64) -> Self {
        Self(number.to_bits())
    }
}

impl From<Bits> for f64 {
    fn from(Bits(bits): Bits) -> Self {
        f64::from_bits(bits)
    }
}

/// All of a training but what is made of floats for each weight.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    version: u64,
    /// What has to be the same where training goes on.
    settings: Map<String, Value>,
    place: Place,
    stopped: bool,
    iterations: u64,
    /// If it followed no schedule.
    learning_rate: Option<Bits>,
    callbacks: Vec<SavedState>,
    history: BTreeMap<String, Vec<Bits>>,
    /// Of the batches of an epoch that has not come to its end.
    tallies: Option<Vec<Bits>>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedState {
    numbers: BTreeMap<String, Bits>,
    texts: BTreeMap<String, String>,
    weights: Vec<String>,
}

/// A backup that belongs to a training.
#[derive(Debug)]
pub(super) struct Backup {
    path: PathBuf,
    file: Tensors<File>,
    manifest: Manifest,
}

/// What has to be the same where training goes on.
pub(super) fn settings(
    compiled: &CompiledModel,
    task: &Task<'_>,
    callbacks: &Callbacks<'_>,
) -> Map<String, Value> {
    let validation = task.validation.as_ref().map_or(0, |(_, indices)| indices.len());
    let numbers: Vec<&String> = callbacks.plan.metrics.iter().map(|(name, _)| name).collect();
    let names = callbacks.list.iter().map(|callback| short(callback.class_name()));
    let settings = json!({
        "optimizer": compiled.optimizer.name(),
        "samples": task.train.len(),
        "validation_samples": validation,
        "batch_size": task.batch_size,
        "gradient_accumulation_steps": task.gradient_accumulation_steps,
        "initial_epoch": task.epochs.start,
        "shuffle": task.shuffle,
        "seed": task.seed,
        "class_weight": task.class_weight,
        "metrics": numbers,
        "callbacks": names.collect::<Vec<_>>(),
    });
    match settings {
        Value::Object(settings) => settings,
        _ => unreachable!("it was written as an object"),
    }
}

impl Backup {
    /// Writes a backup to a folder, which is made if it is not there.
    pub(super) fn write(
        folder: &Path,
        compiled: &CompiledModel,
        task: &Task<'_>,
        callbacks: &Callbacks<'_>,
        place: Place,
        tallies: Option<&mut Tallies>,
    ) -> Result<()> {
        let tallies = tallies.map(|tallies| {
            let mut numbers = Vec::new();
            let kept = tallies.each_number(&mut |number| numbers.push(Bits::from(*number)));
            kept.map(|()| numbers)
        });
        let tallies = tallies.transpose().map_err(|why| {
            Error::training(format!("fit: no backup can be made in the middle of an epoch: {why}"))
        })?;
        let states: Vec<State> = callbacks.list.iter().map(|callback| callback.state()).collect();
        let history = callbacks.history.history.iter();
        let common = compiled.optimizer.common();
        let manifest = Manifest {
            version: VERSION,
            settings: callbacks.settings.clone(),
            place,
            stopped: callbacks.wishes.stop,
            iterations: compiled.optimizer.iterations(),
            learning_rate: match common.learning_rate() {
                LearningRate::Constant(rate) => Some((*rate).into()),
                LearningRate::Schedule(_) => None,
            },
            callbacks: states.iter().map(SavedState::from).collect(),
            history: history
                .map(|(key, values)| (key.clone(), values.iter().map(|&v| v.into()).collect()))
                .collect(),
            tallies,
        };
        let mut tensors: Vec<(String, Tensor<'_>)> = compiled.model.tensors("model/").collect();
        for (i, state) in states.iter().enumerate() {
            for (name, weights) in &state.weights {
                let prefix = format!("callback.{i}/{name}/");
                tensors.extend(compiled.model.tensors_of(weights, &prefix));
            }
        }
        let slots = compiled.slots.iter().enumerate();
        let mut of_the_trained: Vec<(String, &[f32])> =
            slots.map(|(i, slot)| (format!("slot.{i}"), &**slot)).collect();
        if !place.ends_a_step(task) && compiled.accumulated.len() == compiled.network.trainable_len
        {
            of_the_trained.push(("gradient".to_string(), &compiled.accumulated));
        }
        for (what, floats) in of_the_trained {
            for (name, spec, place) in compiled.network.named_trained() {
                tensors.push((format!("{what}/{name}"), Tensor::new(&spec.shape, &floats[place])));
            }
        }
        let path = backup_file(folder);
        let text = serde_json::to_string(&manifest);
        let text = text.map_err(|error| cannot_write("fit", &path, &error))?;
        std::fs::create_dir_all(folder).map_err(|error| cannot_write("fit", &path, &error))?;
        write_tensors("fit", &path, tensors, HashMap::from([(KEY.to_string(), text)]))
    }

    /// Reads what is known of a backup before its weights, and refuses one of another training.
    pub(super) fn open(
        folder: &Path,
        compiled: &CompiledModel,
        task: &Task<'_>,
        callbacks: &Callbacks<'_>,
    ) -> Result<Self> {
        let path = backup_file(folder);
        if matches!(path.try_exists(), Ok(false)) {
            let why = "is not there; give the folder of a backup, or start anew";
            return Err(refused(&path, why));
        }
        let opened = Tensors::open(&path).and_then(|file| {
            let manifest = Manifest::of(&file)?;
            manifest.check(task, callbacks)?;
            let infos = file.infos();
            let own = infos
                .iter()
                .filter_map(|(name, info)| Some((name.strip_prefix("model/")?.to_string(), *info)));
            compiled.network.compare(&own.collect()).strictly()?;
            Ok((file, manifest))
        });
        match opened {
            Ok((file, manifest)) => Ok(Self { path, file, manifest }),
            Err(why) => Err(refused(&path, &why)),
        }
    }

    pub(super) fn place(&self) -> Place {
        self.manifest.place
    }

    /// Whether training had been stopped, at the end of an epoch.
    pub(super) fn is_over(&self) -> bool {
        self.manifest.stopped && self.manifest.place.batch == 0
    }

    /// The history of the epochs before.
    pub(super) fn history(&self, task: &Task<'_>) -> History {
        let history = self.manifest.history.iter();
        History {
            epoch: (task.epochs.start..self.manifest.place.epoch).collect(),
            history: history
                .map(|(key, values)| (key.clone(), values.iter().map(|&v| v.into()).collect()))
                .collect(),
        }
    }

    /// Puts everything but the tallies back to what it was.
    pub(super) fn restore(
        &mut self,
        compiled: &mut CompiledModel,
        task: &Task<'_>,
        callbacks: &mut Callbacks<'_>,
    ) -> Result<()> {
        self.try_restore(compiled, task, callbacks).map_err(|why| refused(&self.path, &why))
    }

    fn try_restore(
        &mut self,
        compiled: &mut CompiledModel,
        task: &Task<'_>,
        callbacks: &mut Callbacks<'_>,
    ) -> Result<(), String> {
        let Self { file, manifest, .. } = self;
        let names = compiled.model.network.weight_names();
        let weights = compiled.model.read(file, "model/", &names)?;
        compiled.model.restore(&weights);

        let mut read_trained = |what: &str, floats: &mut [f32]| {
            compiled.network.named_trained().try_for_each(|(name, _, place)| {
                file.read(&format!("{what}/{name}"), &mut floats[place])
            })
        };
        for (i, slot) in compiled.slots.iter_mut().enumerate() {
            read_trained(&format!("slot.{i}"), slot)?;
        }
        if !manifest.place.ends_a_step(task) && !manifest.stopped {
            compiled.accumulated = Buffer::zeros(compiled.network.trainable_len);
            read_trained("gradient", &mut compiled.accumulated)?;
        }
        let rate = manifest.learning_rate.map(f64::from);
        compiled.optimizer.common_mut().resume(manifest.iterations, rate)?;

        callbacks.wishes.stop = manifest.stopped;
        let Callbacks { list, plan, wishes, .. } = callbacks;
        for (i, (callback, saved)) in list.iter_mut().zip(&manifest.callbacks).enumerate() {
            let mut state = State {
                numbers: saved.numbers.iter().map(|(k, &n)| (k.clone(), n.into())).collect(),
                texts: saved.texts.clone(),
                weights: BTreeMap::new(),
            };
            for name in &saved.weights {
                let weights =
                    compiled.model.read(file, &format!("callback.{i}/{name}/"), &names)?;
                state.weights.insert(name.clone(), weights);
            }
            let (model, optimizer) = (&mut compiled.model, &mut *compiled.optimizer);
            let training = Training { model, optimizer, plan, wishes };
            let name = short(callback.class_name());
            callback
                .set_state(&state, &training)
                .map_err(|why| format!("does not suit {name}: {why}"))?;
        }
        Ok(())
    }

    /// Puts the tallies of a half epoch back to what they were.
    pub(super) fn restore_tallies(&self, tallies: &mut Tallies) -> Result<()> {
        let saved = self.manifest.tallies.as_deref().unwrap_or_default();
        let mut numbers = saved.iter();
        let mut complete = true;
        let restored = tallies.each_number(&mut |number| match numbers.next() {
            Some(&saved) => *number = saved.into(),
            None => complete = false,
        });
        match restored {
            Ok(()) if complete && numbers.next().is_none() => Ok(()),
            Ok(()) => Err(refused(&self.path, "has tallies of other metrics")),
            Err(why) => Err(refused(&self.path, &format!("is of the middle of an epoch: {why}"))),
        }
    }
}

/// The name of a type without its modules and parameters.
fn short(name: &str) -> &str {
    let name = name.split('<').next().unwrap_or_default();
    name.rsplit("::").next().unwrap_or_default()
}

fn refused(path: &Path, why: &str) -> Error {
    Error::file(format!("fit: the backup {} {why}", path.display()))
}

impl Place {
    /// Whether the optimizer has moved the weights after the batch before this place.
    fn ends_a_step(self, task: &Task<'_>) -> bool {
        self.batch == 0 || task.turn(self.batch - 1).last
    }
}

impl From<&State> for SavedState {
    fn from(state: &State) -> Self {
        Self {
            numbers: state.numbers.iter().map(|(name, &n)| (name.clone(), n.into())).collect(),
            texts: state.texts.clone(),
            weights: state.weights.keys().cloned().collect(),
        }
    }
}

impl Manifest {
    fn of(file: &Tensors<File>) -> Result<Self, String> {
        let text = file.text(KEY).ok_or("holds no training; give the folder of a backup")?;
        versioned(text, VERSION, |error| format!("cannot be read: {error}; start anew"))
    }

    /// Refuses what was written by another training, or by none.
    fn check(&self, task: &Task<'_>, callbacks: &Callbacks<'_>) -> Result<(), String> {
        for (key, ours) in &callbacks.settings {
            let theirs = self.settings.get(key).unwrap_or(&Value::Null);
            if theirs != ours {
                return Err(format!(
                    "is of another training: its {key} is {theirs}, here it is {ours}; resume with \
                     what it was made with"
                ));
            }
        }
        let Place { epoch, batch } = self.place;
        let (start, end) = (task.epochs.start, task.epochs.end);
        if epoch > end || (epoch == end && batch > 0) {
            return Err(format!(
                "was made after {}, and training is to end before epoch {end} (counted from 0); give \
                 more epochs",
                self.place
            ));
        }
        let epochs = epoch.checked_sub(start);
        let longest = self.history.values().map(Vec::len).max().unwrap_or(0);
        let fits = epochs.is_some_and(|epochs| longest <= epochs);
        if !fits || batch > callbacks.plan.steps || self.tallies.is_some() != (batch > 0) {
            return Err("contradicts itself; start anew".to_string());
        }
        Ok(())
    }
}
