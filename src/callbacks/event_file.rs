//! Files of events, as TensorBoard reads them: records with checksums, each a protocol buffer.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crc::{CRC_32_ISCSI, Crc};
use prost::Message;

use super::state::cut_back;

/// `tensorflow/core/util/event.proto`, what of it is used here.
#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

/// `tensorboard/compat/proto/summary.proto`.
#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

/// A file of events that is being written.
#[derive(Debug)]
pub(super) struct EventFile {
    file: File,
    name: String,
    length: u64,
}

/// What is in the name of every file of events; whatever has it is read.
const MARK: &str = "tfevents";

impl EventFile {
    /// A new file in this folder, which is made if it is not there.
    pub(super) fn new(folder: &Path) -> io::Result<Self> {
        static FILES: AtomicU64 = AtomicU64::new(0);
        std::fs::create_dir_all(folder)?;
        // The time, the process and a count make it another one each time.
        let name = format!(
            "events.out.{MARK}.{:010}.{}.{}.v2",
            now() as u64,
            std::process::id(),
            FILES.fetch_add(1, Ordering::Relaxed)
        );
        let file = OpenOptions::new().write(true).create_new(true).open(folder.join(&name))?;
        let mut events = Self { file, name, length: 0 };
        let file_version = Some("brain.Event:2".to_string());
        events.write(&Event { wall_time: now(), step: 0, file_version, summary: None })?;
        Ok(events)
    }

    /// The file of this name in the folder, as it was when it had so many bytes. The name comes from a
    /// backup, so it has to be one of a file of events.
    pub(super) fn resume(folder: &Path, name: &str, length: u64) -> Result<Self, String> {
        if name.contains(['/', '\\']) || !name.contains(MARK) {
            return Err(format!("`{name}` is no name of a file of events"));
        }
        let path = folder.join(name);
        let file = OpenOptions::new().append(true).open(&path);
        let file = file.map_err(|error| {
            format!("{} cannot be opened: {error}; put it back", path.display())
        })?;
        cut_back(&file, &path, length)?;
        Ok(Self { file, name: name.to_string(), length })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// How many bytes it has.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Adds numbers, each under its tag, at this step.
    pub(super) fn scalars(&mut self, step: usize, scalars: Vec<(String, f64)>) -> io::Result<()> {
        let value = |(tag, value)| Value { tag, simple_value: Some(value as f32) };
        let summary = Some(Summary { value: scalars.into_iter().map(value).collect() });
        self.write(&Event { wall_time: now(), step: step as i64, file_version: None, summary })
    }

    /// Length, checksum of the length, event, checksum of the event.
    fn write(&mut self, event: &Event) -> io::Result<()> {
        let event = event.encode_to_vec();
        let length = (event.len() as u64).to_le_bytes();
        let sums = [&length[..], &event].map(|bytes| checksum(bytes).to_le_bytes());
        let record = [&length[..], &sums[0], &event, &sums[1]].concat();
        self.length += record.len() as u64;
        self.file.write_all(&record)
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// CRC-32C, turned and shifted so that a checksum of checksums is not one of nothing.
fn checksum(bytes: &[u8]) -> u32 {
    const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);
    CRC.checksum(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The events of a file, whose lengths and checksums must be right.
    fn events(mut bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        while !bytes.is_empty() {
            let (length, rest) = bytes.split_first_chunk::<8>().unwrap();
            let (sum, rest) = rest.split_first_chunk::<4>().unwrap();
            assert_eq!(u32::from_le_bytes(*sum), checksum(length));
            let (event, rest) = rest.split_at(u64::from_le_bytes(*length) as usize);
            let (sum, rest) = rest.split_first_chunk::<4>().unwrap();
            assert_eq!(u32::from_le_bytes(*sum), checksum(event));
            events.push(Event::decode(event).unwrap());
            bytes = rest;
        }
        events
    }

    /// The check value of CRC-32C, masked as TensorFlow does: 0xe3069283.
    #[test]
    fn checksums_are_tensorflows() {
        let crc: u32 = 0xe306_9283;
        let masked = crc.rotate_right(15).wrapping_add(0xa282_ead8);
        assert_eq!(checksum(b"123456789"), masked);
    }

    /// The bytes of an event as Python's package writes it.
    #[test]
    fn events_are_encoded_as_tensorboard_encodes_them() {
        let value = Value { tag: "epoch_loss".to_string(), simple_value: Some(0.5) };
        let summary = Some(Summary { value: vec![value] });
        let event = Event { wall_time: 2.0, step: 3, file_version: None, summary };
        let expected =
            b"\x09\0\0\0\0\0\0\0\x40\x10\x03\x2a\x13\x0a\x11\x0a\x0aepoch_loss\x15\0\0\0\x3f";
        assert_eq!(event.encode_to_vec(), expected);
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = EventFile::new(folder.path()).unwrap();
        for step in 0..2 {
            let scalars = [("epoch_loss", 0.5), ("epoch_accuracy", 0.25)];
            let scalars = scalars.map(|(tag, value)| (tag.to_string(), value - step as f64));
            file.scalars(step, scalars.to_vec()).unwrap();
        }
        let entry = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap();
        assert!(entry.file_name().to_str().unwrap().contains("tfevents"));
        let events = events(&std::fs::read(entry.path()).unwrap());
        assert_eq!(events.len(), 3);
        assert!(events[0].wall_time > 1.7e9, "seconds since 1970");
        assert_eq!(events[0].file_version.as_deref(), Some("brain.Event:2"));
        assert_eq!(events[2].step, 1);
        let values = &events[2].summary.as_ref().unwrap().value;
        let values: Vec<_> = values.iter().map(|v| (v.tag.as_str(), v.simple_value)).collect();
        assert_eq!(values, [("epoch_loss", Some(-0.5)), ("epoch_accuracy", Some(-0.75))]);
    }

    #[test]
    fn a_file_of_another_folder_or_another_kind_is_not_gone_on_with() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["../events.out.tfevents.1", "..\\events.out.tfevents.1", "notes.txt"] {
            let why = EventFile::resume(folder.path(), name, 0).unwrap_err();
            assert_eq!(why, format!("`{name}` is no name of a file of events"));
        }
    }
}
