use super::backup::{Backup, Place};
use super::compiled::CompiledModel;
use super::fit::Task;
use super::history::History;
use super::tallies::Tallies;
use crate::callbacks::{Callback, Plan, Training, Wishes};
use crate::error::{Error, ErrorKind, Result};

/// The callbacks of a training and what they share.
pub(super) struct Callbacks<'a> {
    pub(super) list: Vec<Box<dyn Callback + 'a>>,
    pub(super) plan: Plan,
    /// What a backup has to agree with.
    pub(super) settings: serde_json::Map<String, serde_json::Value>,
    pub(super) wishes: Wishes,
    pub(super) history: History,
}

impl Callbacks<'_> {
    /// Whether a callback takes a loss that is not finite for the end of training; all are asked.
    pub(super) fn accept(
        &mut self,
        compiled: &mut CompiledModel,
        batch: usize,
        loss: f64,
    ) -> Result<bool> {
        let mut accepted = false;
        self.call(compiled, |callback, training| {
            accepted |= callback.on_invalid_loss(batch, loss, training)?;
            Ok(())
        })?;
        self.wishes.stop |= accepted;
        Ok(accepted)
    }

    /// Tells all that training begins; what comes after one that refuses has no part in it.
    pub(super) fn begin(&mut self, compiled: &mut CompiledModel) -> Result<()> {
        let mut told = 0;
        let begun = self.call(compiled, |callback, training| {
            told += 1;
            callback.on_train_begin(training)
        });
        if begun.is_err() {
            self.list.truncate(told);
        }
        begun
    }

    /// Tells all that training has ended, whatever one of them says; the first error comes out.
    pub(super) fn end(&mut self, compiled: &mut CompiledModel) -> Result<()> {
        let mut ended = Ok(());
        self.call(compiled, |callback, training| {
            let told = callback.on_train_end(training);
            if ended.is_ok() {
                ended = told;
            }
            Ok(())
        })?;
        ended
    }

    /// Calls all, in order; the first error ends it.
    pub(super) fn call(
        &mut self,
        compiled: &mut CompiledModel,
        mut moment: impl FnMut(&mut dyn Callback, &mut Training<'_>) -> Result<()>,
    ) -> Result<()> {
        let Self { list, plan, wishes, .. } = self;
        let (model, optimizer) = (&mut compiled.model, &mut *compiled.optimizer);
        let mut training = Training { model, optimizer, plan, wishes };
        list.iter_mut().try_for_each(|callback| moment(&mut **callback, &mut training))
    }

    /// After the end of a batch or an epoch: makes the backup that a callback wished for, and ends
    /// training if one wished that.
    pub(super) fn end_of_moment(
        &mut self,
        compiled: &mut CompiledModel,
        task: &Task<'_>,
        place: Place,
        tallies: Option<&mut Tallies>,
    ) -> Result<()> {
        if let Some(folder) = self.wishes.back_up.take() {
            Backup::write(&folder, compiled, task, self, place, tallies)?;
        }
        if self.wishes.interrupt {
            return Err(Error::new(
                ErrorKind::Interrupted,
                format!("fit: interrupted after {place}; with a backup it can be resumed"),
            ));
        }
        Ok(())
    }
}
