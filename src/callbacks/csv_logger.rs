use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::state::{cut_back, lacks};
use super::{Callback, Logs, State, Training};
use crate::error::{Error, Result};
use crate::files::cannot_write;

/// Writes a line of numbers to a file after every epoch. Keras: `CSVLogger`.
///
/// The columns are `epoch`, counted from 0, and the numbers of the first epoch in the order of their
/// names; a later epoch without one of them has `NA` there. A training that goes on from a backup goes
/// on in the file where it was when the backup was made.
///
/// # Errors
/// `fit` ends with an error if the file cannot be written, or if lines would be appended to a file
/// with other columns.
///
/// ```
/// # use convnet::prelude::*;
/// # use ndarray::{Array1, Array2};
/// # let input = Input::new(2);
/// # let output = input.apply(Dense::new(2).activation(Softmax))?;
/// # let model = Model::new(&input, &output)?;
/// # let mut model = model.compile(SGD::new(0.0), SparseCategoricalCrossentropy, [Accuracy]);
/// # let (x, y) = (Array2::<f32>::zeros((8, 2)), Array1::<u8>::zeros(8));
/// let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("log.csv");
/// let fit = Fit::new().epochs(2).callback(CSVLogger::new(&path)).verbose(Verbose::Silent);
/// model.fit(&x, &y, fit)?;
/// let written = std::fs::read_to_string(&path).unwrap();
/// let lines: Vec<&str> = written.lines().collect();
/// assert_eq!(lines[0], "epoch,accuracy,loss");
/// assert!(lines[2].starts_with("1,1,0.69"));
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Debug)]
pub struct CSVLogger {
    path: PathBuf,
    separator: char,
    append: bool,
    file: Option<File>,
    /// How many bytes it has.
    length: u64,
    /// The columns, once the first epoch has said what they are.
    columns: Vec<String>,
}

/// Columns with one of these are quoted, whatever the separator.
const QUOTED: [char; 3] = ['"', '\n', '\r'];

impl CSVLogger {
    /// Writes to this file, over one that is there.
    pub fn new(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref().to_path_buf();
        Self { path, separator: ',', append: false, file: None, length: 0, columns: Vec::new() }
    }

    /// What stands between two columns; a comma.
    pub fn separator(self, separator: char) -> Self {
        Self { separator, ..self }
    }

    /// Whether lines are added to a file that is there; `false`.
    pub fn append(self, append: bool) -> Self {
        Self { append, ..self }
    }

    fn cannot_write(&self, error: &std::io::Error) -> Error {
        cannot_write("csv logger", &self.path, error)
    }

    /// A line of these columns.
    fn line<'c>(&self, columns: impl Iterator<Item = &'c str>) -> String {
        let quoted = |column: &str| {
            if column.contains(QUOTED) || column.contains(self.separator) {
                format!("\"{}\"", column.replace('"', "\"\""))
            } else {
                column.to_string()
            }
        };
        let columns: Vec<String> = columns.map(quoted).collect();
        columns.join(&self.separator.to_string()) + "\n"
    }

    /// The line that says what the columns are; none if it stands in the file already.
    fn header(&mut self, logs: &Logs) -> Result<String> {
        self.columns = logs.iter().map(|(name, _)| name.to_string()).collect();
        self.columns.sort();
        let names = std::iter::once("epoch").chain(self.columns.iter().map(String::as_str));
        let header = self.line(names);
        let mut there = Vec::new();
        if let (true, Some(file)) = (self.append, &mut self.file) {
            let length = header.len() as u64;
            let read = file.rewind().and_then(|()| file.take(length).read_to_end(&mut there));
            read.map_err(|error| self.cannot_write(&error))?;
        }
        if there.is_empty() {
            Ok(header)
        } else if there == header.as_bytes() {
            Ok(String::new())
        } else {
            Err(Error::training(format!(
                "csv logger: {} does not begin with the columns {}; append to a file with the same \
                 columns, or write to another",
                self.path.display(),
                header.trim_end()
            )))
        }
    }
}

impl Callback for CSVLogger {
    fn on_train_begin(&mut self, training: &mut Training<'_>) -> Result<()> {
        if QUOTED.contains(&self.separator) {
            return Err(Error::training(format!(
                "csv logger: the separator is {:?}, which columns are quoted for; give another",
                self.separator
            )));
        }
        let mut options = OpenOptions::new();
        options.read(true).create(true);
        // What is appended goes to the end wherever was read before.
        let options = match self.append || training.is_resumed() {
            true => options.append(true),
            false => options.write(true).truncate(true),
        };
        let file = options.open(&self.path).map_err(|error| self.cannot_write(&error))?;
        self.length = file.metadata().map_err(|error| self.cannot_write(&error))?.len();
        self.file = Some(file);
        self.columns.clear();
        Ok(())
    }

    fn on_epoch_end(
        &mut self,
        epoch: usize,
        logs: &mut Logs,
        _training: &mut Training<'_>,
    ) -> Result<()> {
        let mut lines = if self.columns.is_empty() { self.header(logs)? } else { String::new() };
        let value = |name: &String| logs.get(name).map_or("NA".to_string(), |v| v.to_string());
        let columns: Vec<String> =
            std::iter::once(epoch.to_string()).chain(self.columns.iter().map(value)).collect();
        lines += &self.line(columns.iter().map(String::as_str));
        let written = match &mut self.file {
            Some(file) => file.write_all(lines.as_bytes()),
            None => Ok(()),
        };
        self.length += lines.len() as u64;
        written.map_err(|error| self.cannot_write(&error))
    }

    fn on_train_end(&mut self, _training: &mut Training<'_>) -> Result<()> {
        self.file = None;
        Ok(())
    }

    fn state(&self) -> State {
        let columns = serde_json::to_string(&self.columns).ok();
        State::new().number("length", self.length as f64).text("columns", columns)
    }

    fn set_state(&mut self, state: &State, _training: &Training<'_>) -> Result<(), String> {
        let length = state.get_count("length").ok_or_else(|| lacks("length"))? as u64;
        let columns = state.get_text("columns").ok_or_else(|| lacks("columns"))?;
        self.columns = serde_json::from_str(columns).map_err(|error| error.to_string())?;
        if let Some(file) = &self.file {
            cut_back(file, &self.path, length)?;
        }
        self.length = length;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::fit_with;
    use super::*;

    #[test]
    fn names_with_separators_quotes_and_lines_stay_one_column() {
        let logger = CSVLogger::new("log.csv");
        let names = ["a,b", "c;d", "\"e\"", "f\ng", "h\r", "i j", ""];
        let line = logger.line(names.into_iter());
        assert_eq!(line, "\"a,b\",c;d,\"\"\"e\"\"\",\"f\ng\",\"h\r\",i j,\n");
        let line = logger.separator(';').line(["a,b", "c;d"].into_iter());
        assert_eq!(line, "a,b;\"c;d\"\n");
    }

    #[test]
    fn a_lent_one_leaves_no_file_open_after_training() {
        let folder = tempfile::tempdir().unwrap();
        let mut logger = CSVLogger::new(folder.path().join("log.csv"));
        fit_with(&mut logger);
        assert!(logger.file.is_none());
    }
}
