//! Fetches the four files of a dataset over plain HTTP: checksums, not the connection, say what
//! is genuine.

use std::fs;
use std::io::{self, BufRead, BufReader, Cursor, Read, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use flate2::bufread::GzDecoder;
use indicatif::{ProgressBar, ProgressStyle};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::Collection;
use super::four_files::{NAMES, missing};
use super::idx::GZIP_MAGIC;

/// How long a mirror may stay silent: a live one answers within one or two seconds.
const SILENCE: Duration = Duration::from_secs(10);

/// Seconds that one file may take altogether, which bounds a mirror that trickles: 26 MB in an hour
/// are 7 kB/s.
const WHOLE_FILE: u64 = 3600;

/// The greatest decompressed file: 60,000 images and the header. Nothing longer is fetched.
const LONGEST: u64 = 60_000 * 28 * 28 + 16;

/// The unit of reading, hashing and writing: one system call each is cheap at this size.
const CHUNK: usize = 64 << 10;

/// Fetches those of the four files that are not in the directory, which is made if need be.
///
/// The first mirror is asked for every file, the next for what is still missing.
pub(super) fn fetch(collection: &Collection, directory: &Path) -> Result<(), String> {
    fetch_patiently(collection, directory, SILENCE)
}

fn fetch_patiently(
    collection: &Collection,
    directory: &Path,
    silence: Duration,
) -> Result<(), String> {
    fs::create_dir_all(directory).map_err(|error| {
        format!("the directory {} cannot be made: {error}", directory.display())
    })?;
    let mut faults = Vec::new();
    for mirror in collection.mirrors {
        let fetched = missing(directory).into_iter().try_for_each(|name| {
            let place = NAMES.iter().position(|&other| other == name).expect("one of the four");
            let url = format!("{mirror}/{name}.gz");
            let bar = progress_bar(collection.title, name);
            let result =
                fetch_file(&url, collection.checksums[place], &directory.join(name), silence, &bar);
            bar.finish_and_clear();
            result.map_err(|fault| format!("{url}: {fault}"))
        });
        match fetched {
            Ok(()) => return Ok(()),
            Err(fault) => faults.push(fault),
        }
    }
    Err(format!("it could not be downloaded ({})", faults.join("; ")))
}

/// Seen on a terminal only.
fn progress_bar(title: &str, name: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {bytes}/{total_bytes} [{bar:30}] {eta}");
    ProgressBar::no_length()
        .with_style(style.expect("a correct template").progress_chars("=>."))
        .with_message(format!("{title}: {name}"))
}

/// Fetches one file to `path`, decompressed; nothing appears there before its checksum is right.
fn fetch_file(
    url: &str,
    checksum: &str,
    path: &Path,
    silence: Duration,
    bar: &ProgressBar,
) -> Result<(), String> {
    let cannot_write = |error: io::Error| format!("{} cannot be written: {error}", path.display());
    let directory = path.parent().expect("a file in the cache directory");
    let mut file = NamedTempFile::new_in(directory).map_err(cannot_write)?;
    let mut body = BufReader::with_capacity(CHUNK, Body::get(url, silence, bar.clone()));
    // Some servers decompress on the way.
    let gzipped = body.fill_buf().map_err(|e| e.to_string())?.starts_with(&GZIP_MAGIC);
    let content: &mut dyn Read = if gzipped { &mut GzDecoder::new(body) } else { &mut body };
    let mut content = content.take(LONGEST + 1);

    let mut hash = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        let n = content.read(&mut chunk).map_err(|error| error.to_string())?;
        if n == 0 {
            break;
        }
        hash.update(&chunk[..n]);
        file.write_all(&chunk[..n]).map_err(cannot_write)?;
    }
    let found = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    if found != checksum {
        return Err(format!("its SHA-256 is {found}; wanted {checksum}"));
    }
    file.persist(path).map_err(|error| cannot_write(error.error))?;
    Ok(())
}

/// The body of an answer, read by a thread of its own so that silence can be noticed: the
/// client's own time-out is one for the whole file.
struct Body {
    chunks: Receiver<io::Result<Vec<u8>>>,
    current: Cursor<Vec<u8>>,
    silence: Duration,
    bar: ProgressBar,
}

impl Body {
    fn get(url: &str, silence: Duration, bar: ProgressBar) -> Self {
        // A few chunks ahead keep both threads busy; more would only hold memory.
        let (sender, chunks) = sync_channel(4);
        let (url, thread_bar) = (url.to_owned(), bar.clone());
        thread::spawn(move || {
            if let Err(error) = send_body(&url, &sender, &thread_bar) {
                // Nobody may be listening any more.
                let _ = sender.send(Err(error));
            }
        });
        Self { chunks, current: Cursor::default(), silence, bar }
    }
}

impl Read for Body {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.current.fill_buf()?.is_empty() {
            self.current = match self.chunks.recv_timeout(self.silence) {
                Ok(chunk) => Cursor::new(chunk?),
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
                Err(RecvTimeoutError::Timeout) => {
                    let message = format!("was silent for {:?}", self.silence);
                    return Err(io::Error::new(io::ErrorKind::TimedOut, message));
                }
            };
            self.bar.inc(self.current.get_ref().len() as u64);
        }
        self.current.read(out)
    }
}

/// Sends the body in chunks, or returns why it did not come.
fn send_body(
    url: &str,
    chunks: &SyncSender<io::Result<Vec<u8>>>,
    bar: &ProgressBar,
) -> io::Result<()> {
    let mut answer =
        minreq::get(url).with_timeout(WHOLE_FILE).send_lazy().map_err(io::Error::other)?;
    if answer.status_code != 200 {
        let status = format!("answered {} {}", answer.status_code, answer.reason_phrase);
        return Err(io::Error::other(status));
    }
    let length = |(name, value): &(String, String)| {
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<u64>().ok())?
    };
    let promised = answer.headers.iter().find_map(length);
    if let Some(promised) = promised {
        bar.set_length(promised);
    }
    let mut received = 0;
    loop {
        let mut chunk = vec![0; CHUNK];
        let n = answer.read(&mut chunk)?;
        received += n as u64;
        match promised {
            _ if n > 0 => {}
            Some(promised) if received < promised => {
                let message = format!("was cut off after {received} of {promised} bytes");
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
            }
            _ => return Ok(()),
        }
        chunk.truncate(n);
        if chunks.send(Ok(chunk)).is_err() {
            return Ok(()); // The reader gave up.
        }
    }
}
