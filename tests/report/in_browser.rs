//! The page of pictures in Chromium, if there is one: every section is there, nothing is wider than the
//! screen, no text of a drawing is cut off, the console is silent.
//!
//! `REPORT_SCREENSHOTS=DIR` keeps what the browser shows, to be looked at.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use convnet::prelude::*;
use convnet::report::Report;
use ndarray::{Array1, Array4};
use serde_json::{Value, json};

use crate::SECTIONS;

/// A browser that is spoken to through pipes, each message ended by a zero: the DevTools protocol.
struct Browser {
    process: Child,
    replies: BufReader<std::process::ChildStdout>,
    session: Option<String>,
    last: u64,
    events: Vec<Value>,
}

impl Browser {
    fn start(profile: &Path) -> Option<Self> {
        let names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
        let found = |name: &&&str| {
            let version = Command::new(name).arg("--version").stderr(Stdio::null()).output();
            version.is_ok_and(|version| version.status.success())
        };
        let name = names.iter().find(found)?;
        // The browser reads from its third file and writes to its fourth.
        let script = format!(
            "exec {name} --headless --no-sandbox --disable-gpu --hide-scrollbars \
             --no-first-run --disable-dev-shm-usage --user-data-dir='{}' --remote-debugging-pipe \
             about:blank 3<&0 4>&1 </dev/null >/dev/null 2>&1",
            profile.display()
        );
        let mut process = Command::new("sh")
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let replies = BufReader::new(process.stdout.take()?);
        let mut browser = Self { process, replies, session: None, last: 0, events: Vec::new() };
        let target = browser.ask("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = browser.ask("Target.attachToTarget", attach);
        browser.session = session["sessionId"].as_str().map(String::from);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.ask(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    /// Sends a command and waits for its result.
    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.last += 1;
        let mut message = json!({"id": self.last, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        let input = self.process.stdin.as_mut().unwrap();
        input.write_all(message.to_string().as_bytes()).unwrap();
        input.write_all(&[0]).unwrap();
        loop {
            let message = self.message();
            if message["id"] == self.last {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }

    fn message(&mut self) -> Value {
        let mut bytes = Vec::new();
        self.replies.read_until(0, &mut bytes).unwrap();
        assert_eq!(bytes.pop(), Some(0), "the browser has gone");
        serde_json::from_slice(&bytes).unwrap()
    }

    /// Opens a file on a screen of this width, light or dark.
    fn open(&mut self, path: &Path, width: usize, scheme: &str) {
        let screen =
            json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600});
        self.ask("Emulation.setDeviceMetricsOverride", screen);
        let scheme = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.ask("Emulation.setEmulatedMedia", json!({"features": scheme}));
        self.events.clear();
        self.ask("Page.navigate", json!({"url": format!("file://{}", path.display())}));
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let message = self.message();
            self.events.push(message);
        }
    }

    /// The value of an expression, of the debugger: the page itself runs nothing.
    fn value(&mut self, expression: &str) -> Value {
        let result = json!({"expression": expression, "returnByValue": true});
        let answer = self.ask("Runtime.evaluate", result);
        assert!(answer.get("exceptionDetails").is_none(), "{answer}");
        answer["result"]["value"].clone()
    }

    /// What was written to the console, and what was asked of the network.
    fn noise(&self) -> Vec<&Value> {
        let noisy = ["Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown"];
        self.events
            .iter()
            .filter(|event| {
                let url = event["params"]["request"]["url"].as_str().unwrap_or("");
                let elsewhere = !url.starts_with("file:") && !url.starts_with("data:");
                noisy.iter().any(|name| event["method"] == *name)
                    || event["method"] == "Network.requestWillBeSent" && elsewhere
            })
            .collect()
    }

    /// What the browser shows, from top to bottom, for people to look at.
    fn keep(&mut self, folder: &Path, name: &str) {
        use base64::Engine as _;
        let decode = |answer: &Value| {
            let data = answer["data"].as_str().unwrap();
            base64::engine::general_purpose::STANDARD.decode(data).unwrap()
        };
        for section in SECTIONS.into_iter().chain(["header"]) {
            let mut clip = self.value(&format!("({BOX})('{section}')"));
            clip["scale"] = 1.into();
            let shot = json!({"captureBeyondViewport": true, "format": "png", "clip": clip});
            let shot = decode(&self.ask("Page.captureScreenshot", shot));
            fs::write(folder.join(format!("{name}-{section}.png")), shot).unwrap();
        }
        let print = json!({"printBackground": false, "preferCSSPageSize": true});
        let paper = decode(&self.ask("Page.printToPDF", print));
        assert!(paper.starts_with(b"%PDF"));
        fs::write(folder.join(format!("{name}.pdf")), paper).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What lies outside the window without a box round it that scrolls, cells of tables too narrow for words, and
/// texts of drawings that reach beyond their drawing.
const OVERFLOWS: &str = r#"(() => {
    const found = [];
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth > width) found.push("the page is wider than the screen");
    for (const element of document.body.querySelectorAll("*")) {
        if (element.closest(".scroll") || element.closest("svg")) continue;
        const box = element.getBoundingClientRect();
        if (box.width && (box.right > width + 0.5 || box.left < -0.5)) found.push(element.outerHTML.slice(0, 120));
    }
    for (const cell of document.querySelectorAll("th, td")) {
        if (cell.getBoundingClientRect().height > 80) found.push("squeezed: " + cell.textContent);
    }
    for (const svg of document.querySelectorAll("svg")) {
        const outer = svg.getBoundingClientRect();
        if (!outer.width) continue;
        for (const text of svg.querySelectorAll("text")) {
            const box = text.getBoundingClientRect();
            if (box.left < outer.left - 1 || box.right > outer.right + 1 || box.top < outer.top - 1
                || box.bottom > outer.bottom + 1) found.push("cut off: " + text.textContent.trim());
        }
    }
    return found;
})()"#;

/// The box of the head of the page, or of a section.
const BOX: &str = r#"id => {
    const box = (document.getElementById(id) || document.querySelector(id)).getBoundingClientRect();
    return {x: box.x, y: box.y + scrollY, width: box.width, height: box.height};
}"#;

/// Sections with something in them.
const SEEN: &str = r#"[...document.querySelectorAll("section")]
    .filter(section => section.getBoundingClientRect().height > 60).map(section => section.id)"#;

/// A report of a real training in a folder: images of stripes, of classes that have awkward names.
fn trained(folder: &Path) -> PathBuf {
    let stripes = |n: usize, y: usize, x: usize| {
        let along = [y, x, x + y, x * y][n % 4];
        f32::from((along + n / 4) % 4 < 2) + ((n * 31 + y * 17 + x * 7) % 11) as f32 / 16.0
    };
    let images = Array4::from_shape_fn((400, 16, 16, 1), |(n, y, x, _)| stripes(n, y, x));
    let labels = Array1::from_shape_fn(400, |n| n as u8 % 4);
    let image = Input::new([16, 16, 1]);
    let class = models::lenet5(&image, 4).unwrap();
    let model = Model::new(&image, &class).unwrap();
    let mut model = model.compile(Adam::new(2e-4), SparseCategoricalCrossentropy, [Accuracy]);
    let mut stopping = EarlyStopping::new(Monitor::ValLoss).restore_best_weights(true);
    let long =
        "a name of a class that is far too long to be shown in any picture as it is ".repeat(3);
    let mut report = Report::new(folder)
        .title("Stripes")
        .classes(["level", "<script>alert('upright')</script>", &long, "斜め"])
        .samples(&images, &labels);
    let fit = Fit::new().epochs(4).validation_split(0.2).verbose(Verbose::Silent);
    model.fit(&images, &labels, fit.callback(&mut stopping).callback(&mut report)).unwrap();
    report.early_stopping(&stopping);
    report.write(&model).unwrap();
    folder.join("report.html")
}

/// A model with branches and more columns than a screen has.
fn branching(folder: &Path) -> PathBuf {
    let image = Input::new([16, 16, 3]);
    let conv = || Conv2D::new(8, 3).padding(Same).activation(Relu);
    let stem =
        image.apply(conv().name("a_name_of_a_layer_that_is_much_too_long_for_any_card")).unwrap();
    let branches: Vec<_> = (0..4).map(|_| stem.apply(conv()).unwrap()).collect();
    let deep = branches[0].apply(conv()).unwrap().apply(BatchNormalization::new()).unwrap();
    let all = [&stem, &deep, &branches[1], &branches[2], &branches[3]];
    let y = all.apply(Concatenate::new()).unwrap().apply(GlobalAveragePooling2D::new()).unwrap();
    let y = y.apply(Dense::new(100).activation(Softmax)).unwrap();
    let model = Model::new(&image, &y).unwrap();
    let x = Array4::from_shape_fn((200, 16, 16, 3), |(n, y, x, c)| ((n + y * x + c) % 7) as f32);
    let labels = Array1::from_shape_fn(200, |n| n as u8 % 100);
    Report::new(folder).samples(&x, &labels).write(&model).unwrap();
    folder.join("report.html")
}

#[test]
fn every_section_is_seen_and_nothing_overflows() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut browser) = Browser::start(&folder.path().join("profile")) else {
        eprintln!("SKIPPED: there is no Chromium; apt-get install chromium");
        return;
    };
    let mut pages = vec![
        ("chain", trained(&folder.path().join("chain"))),
        ("branches", branching(&folder.path().join("branches"))),
    ];
    let given = std::env::var_os("REPORT_PAGE").map(PathBuf::from);
    pages.extend(given.map(|page| ("given", page)));
    for (name, path) in pages {
        for (width, scheme) in
            [(390, "light"), (390, "dark"), (820, "light"), (1440, "dark"), (1440, "light")]
        {
            browser.open(&path, width, scheme);
            let at = format!("{name} at {width}, {scheme}");
            assert_eq!(browser.value(SEEN), json!(SECTIONS), "{at}");
            assert_eq!(browser.value(OVERFLOWS), json!([]), "{at}");
            assert_eq!(browser.value("document.scripts.length"), 0, "{at}");
            let broken = "[...document.images].filter(image => !image.naturalWidth).length";
            assert_eq!(browser.value(broken), 0, "{at}");
            let noise: &[&Value] = &[];
            assert_eq!(browser.noise(), noise, "{at}");
            if let Some(shots) = std::env::var_os("REPORT_SCREENSHOTS") {
                fs::create_dir_all(&shots).unwrap();
                browser.keep(Path::new(&shots), &format!("{name}-{width}-{scheme}"));
            }
        }
    }
}
