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
    if content.limit() == 0 {
        return Err(format!("is longer than {LONGEST} bytes, decompressed"));
    }
    let found = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    if found != checksum {
        return Err(format!("its SHA-256 is {found}; wanted {checksum}"));
    }
    file.persist(path).map_err(|error| cannot_write(error.error))?;
    Ok(())
}

/// The body of an answer, read by a thread of its own so that silence can be noticed: the
/// client's own time-out is one for the whole file. A thread left waiting for a silent mirror ends
/// with that time-out.
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::net::{TcpListener, TcpStream};

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use tempfile::{TempDir, tempdir};

    /// What a server on loopback does with each request.
    #[derive(Clone, Copy, PartialEq)]
    enum Server {
        Serves,
        Chunked,
        Decompresses,
        HasOtherContent,
        NeverEnds,
        CutsOff,
        HasNothing,
        Stalls,
        IsDown,
    }
    use Server::*;

    /// Of the four files; long enough for several chunks.
    fn content(name: &str) -> Vec<u8> {
        (0..200_000_u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).chain(name.bytes()).collect()
    }

    fn gzipped(content: &[u8]) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(content).unwrap();
        gzip.finish().unwrap()
    }

    /// Starts the server; its thread ends with the test's process.
    fn start(server: Server) -> &'static str {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/data", listener.local_addr().unwrap());
        if server != IsDown {
            thread::spawn(move || {
                for stream in listener.incoming() {
                    // A client may hang up early.
                    let _ = stream.and_then(|stream| answer(server, stream));
                }
            });
        }
        url.leak()
    }

    fn answer(server: Server, mut stream: TcpStream) -> io::Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let request = lines.next().expect("a request")?;
        lines.find(|line| line.as_ref().is_ok_and(String::is_empty));
        let file = request.strip_prefix("GET /data/").unwrap().split(' ').next().unwrap();
        let name = file.strip_suffix(".gz").expect("a gzipped file");
        let body = match server {
            HasOtherContent => gzipped(b"other content"),
            Decompresses => content(name),
            NeverEnds => gzipped(&vec![0; LONGEST as usize + (1 << 20)]),
            _ => gzipped(&content(name)),
        };
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        match server {
            HasNothing => stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
            Chunked => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
                for chunk in body.chunks(1000) {
                    write!(stream, "{:x}\r\n", chunk.len())?;
                    stream.write_all(chunk)?;
                    stream.write_all(b"\r\n")?;
                }
                stream.write_all(b"0\r\n\r\n")
            }
            CutsOff | Stalls => {
                stream.write_all(head.as_bytes())?;
                stream.write_all(&body[..body.len() / 2])?;
                if server == Stalls {
                    thread::sleep(Duration::from_secs(60));
                }
                Ok(())
            }
            _ => {
                stream.write_all(head.as_bytes())?;
                stream.write_all(&body)
            }
        }
    }

    /// Fetches into a new directory from these servers.
    fn fetch_from(servers: &[Server]) -> (TempDir, Result<(), String>) {
        let directory = tempdir().unwrap();
        let mirrors: Vec<&str> = servers.iter().map(|&server| start(server)).collect();
        let hex = |name: &str| {
            Sha256::digest(content(name)).iter().map(|byte| format!("{byte:02x}")).collect()
        };
        let checksums = NAMES.map(|name| -> &str { String::leak(hex(name)) });
        let collection = Collection {
            title: "Clothes",
            variable: "CLOTHES_DIR",
            folder: "clothes",
            system: "",
            advice: "",
            mirrors: mirrors.leak(),
            checksums,
        };
        let below = directory.path().join("not/made/yet");
        // Long enough that a busy machine's live server never seems silent.
        let silence = Duration::from_secs(if servers.contains(&Stalls) { 1 } else { 30 });
        let result = fetch_patiently(&collection, &below, silence);
        (directory, result)
    }

    #[track_caller]
    fn succeeds(servers: &[Server]) {
        let (directory, result) = fetch_from(servers);
        assert_eq!(result, Ok(()));
        for name in NAMES {
            let path = directory.path().join("not/made/yet").join(name);
            assert!(fs::read(path).unwrap() == content(name), "{name}");
        }
    }

    /// Asserts that nothing is left behind and that the sentence has the file's address and words.
    #[track_caller]
    fn fails(server: Server, words: &str) {
        let (directory, result) = fetch_from(&[server]);
        let error = result.unwrap_err();
        assert!(error.contains("/data/train-images-idx3-ubyte.gz: "), "{error}");
        assert!(error.contains(words), "{error}\nwanted: {words}");
        let left = fs::read_dir(directory.path().join("not/made/yet")).unwrap();
        assert_eq!(left.count(), 0);
    }

    #[test]
    fn success() {
        succeeds(&[Serves]);
        succeeds(&[Chunked]);
        succeeds(&[Decompresses]);
    }

    #[test]
    fn wrong_checksum() {
        fails(HasOtherContent, "its SHA-256 is ");
    }

    #[test]
    fn too_long() {
        fails(NeverEnds, "is longer than 47040016 bytes");
    }

    #[test]
    fn cut_off_half_way() {
        fails(CutsOff, "was cut off after ");
    }

    #[test]
    fn not_found() {
        fails(HasNothing, "answered 404 Not Found");
    }

    #[test]
    fn stalled() {
        fails(Stalls, "was silent for 1s");
    }

    #[test]
    fn no_network() {
        fails(IsDown, "refused");
    }

    #[test]
    fn the_next_mirror_serves_when_one_fails() {
        for broken in [IsDown, HasNothing, CutsOff, HasOtherContent, Stalls] {
            succeeds(&[broken, Serves]);
        }
    }

    #[test]
    fn every_mirror_that_failed_is_named() {
        let error = fetch_from(&[HasNothing, CutsOff, IsDown]).1.unwrap_err();
        assert_eq!(error.matches("http://127.0.0.1:").count(), 3, "{error}");
    }

    #[test]
    fn a_cache_that_is_no_directory() {
        let directory = tempdir().unwrap();
        let file = directory.path().join("file");
        File::create(&file).unwrap();
        let collection = Collection {
            title: "Clothes",
            variable: "CLOTHES_DIR",
            folder: "clothes",
            system: "",
            advice: "",
            mirrors: &[],
            checksums: [""; 4],
        };
        let error = fetch(&collection, &file.join("below")).unwrap_err();
        assert!(error.contains("cannot be made: "), "{error}");
    }
}
