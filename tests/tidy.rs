//! The house rules that a program can check.

use std::fs;
use std::path::{Path, PathBuf};

/// The modules from top to bottom: each uses those before it and none behind it.
const ORDER: [&str; 26] = [
    "error",
    "words",
    "files",
    "shape",
    "random",
    "arrays",
    "samples",
    "labels",
    "batches",
    "initializers",
    "regularizers",
    "kernels",
    "layers",
    "graph",
    "model",
    "exchange",
    "losses",
    "metrics",
    "optimizers",
    "callbacks",
    "training",
    "report",
    "preprocessing",
    "datasets",
    "models",
    "prelude",
];

/// Modules for tests, which may look anywhere.
const TESTS_ONLY: [&str; 3] = ["kernels/guarded.rs", "layers/check.rs", "layers/keras.rs"];

/// The most lines a file may have.
const LONGEST: usize = 500;

/// What has no place in finished code.
const UNFINISHED: [&str; 5] = ["TODO", "FIXME", "unimplemented!", "todo!(", "#[ignore"];

/// Rust files under these folders, as paths from the root of the crate, with their text.
fn sources(folders: &[&str]) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pending: Vec<PathBuf> = folders.iter().map(|folder| root.join(folder)).collect();
    let mut files = Vec::new();
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            files.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
    files.sort();
    files
}

/// Everything that is written in Rust, but for this file, which quotes what it forbids.
fn all() -> Vec<(String, String)> {
    let mut files = sources(&["src", "tests", "examples", "benches"]);
    files.retain(|(file, _)| file != "tests/tidy.rs");
    files
}

/// Fails with all findings at once, each as `file:line: what`.
#[track_caller]
fn none(findings: Vec<String>) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

/// The lines of a file with their numbers, up to its unit tests.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines()).take_while(|(_, line)| !line.starts_with("mod tests {"))
}

/// The modules of this crate that a line names: `crate::graph::Node`, `crate::{graph, model}`.
fn named(line: &str) -> Vec<&str> {
    let word = |text: &'_ str| text.find(|c: char| !c.is_alphanumeric() && c != '_');
    line.split("crate::")
        .skip(1)
        .flat_map(|rest| match rest.strip_prefix('{') {
            Some(list) => list.split(',').map(str::trim).collect(),
            None => vec![rest],
        })
        .map(|rest| &rest[..word(rest).unwrap_or(rest.len())])
        .filter(|name| name.starts_with(|c: char| c.is_lowercase()))
        .collect()
}

#[test]
fn modules_look_down_only() {
    let place = |module: &str| ORDER.iter().position(|&known| known == module);
    let mut findings = Vec::new();
    for (file, text) in sources(&["src"]) {
        let inside = file.strip_prefix("src/").unwrap();
        let own = inside.split(['/', '.']).next().unwrap();
        if own == "lib" || TESTS_ONLY.contains(&inside) {
            continue;
        }
        let Some(own_place) = place(own) else {
            findings.push(format!("{file}: `{own}` has no place in the order of modules"));
            continue;
        };
        for (number, line) in code(&text).filter(|(_, line)| !line.trim().starts_with("//")) {
            for used in named(line) {
                match place(used) {
                    Some(place) if place <= own_place => {}
                    Some(_) => findings.push(format!("{file}:{number}: `{own}` uses `{used}`")),
                    None => findings.push(format!("{file}:{number}: `{used}` is not in the order")),
                }
            }
        }
    }
    none(findings);
}

#[test]
fn no_file_is_long() {
    let long = all().into_iter().filter(|(_, text)| text.lines().count() > LONGEST);
    none(long.map(|(file, text)| format!("{file}: {} lines", text.lines().count())).collect());
}

#[test]
fn unsafe_code_is_in_the_kernels_and_argued() {
    let mut findings = Vec::new();
    for (file, text) in sources(&["src", "examples", "benches"]) {
        let lines: Vec<&str> = text.lines().collect();
        for (i, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap_or(line);
            if !["unsafe {", "unsafe impl", "unsafe fn"].iter().any(|what| code.contains(what)) {
                continue;
            }
            if !file.starts_with("src/kernels/") {
                findings.push(format!("{file}:{}: unsafe outside the kernels", i + 1));
            }
            // The argument stands above the statement that the block is part of.
            let above = &lines[i.saturating_sub(8)..i];
            if !above.iter().any(|line| line.contains("// SAFETY:") || line.contains("# Safety")) {
                findings.push(format!("{file}:{}: unsafe without a SAFETY comment", i + 1));
            }
        }
    }
    none(findings);
}

#[test]
fn nothing_is_unfinished() {
    let mut findings = Vec::new();
    for (file, text) in all() {
        for (number, line) in (1..).zip(text.lines()) {
            findings.extend(
                UNFINISHED
                    .iter()
                    .filter(|what| line.contains(**what))
                    .map(|what| format!("{file}:{number}: {what}")),
            );
        }
    }
    none(findings);
}

#[test]
fn every_example_in_the_docs_is_compiled() {
    let mut findings = Vec::new();
    for (file, text) in all() {
        for (number, line) in (1..).zip(text.lines()) {
            let comment = line.trim_start().strip_prefix("//").unwrap_or("");
            let fence = comment.split_once("```").map_or("", |(_, language)| language);
            if fence.split(',').any(|word| word.trim() == "ignore") {
                findings.push(format!("{file}:{number}: ```{fence}"));
            }
        }
    }
    none(findings);
}

/// Doc, struct, `new` and setters, `impl Layer`, tests.
#[test]
fn layers_are_written_in_one_order() {
    const PARTS: [&str; 5] = ["/// ", "#[derive(", "pub", "impl Layer for ", "mod tests {"];
    let mut findings = Vec::new();
    let mut layers = 0;
    for (file, text) in sources(&["src/layers"]) {
        if !text.contains("\nimpl Layer for ") || file.ends_with("/check.rs") {
            continue;
        }
        layers += 1;
        let places = PARTS.map(|part| text.lines().position(|line| line.starts_with(part)));
        let found: Vec<usize> = places.into_iter().flatten().collect();
        if !found.is_sorted() || places[..4].contains(&None) {
            findings.push(format!("{file}: {PARTS:?} begin at lines {places:?} (counted from 0)"));
        }
    }
    assert!(layers >= 10, "found only {layers} layers");
    none(findings);
}

/// The table from Keras' names to ours names nothing that is not there.
#[test]
fn the_table_of_keras_names_is_true() {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let mut known = std::collections::HashSet::new();
    for (_, text) in sources(&["src"]) {
        for line in text.lines() {
            // What is behind a keyword, a field, or the variant of an enum.
            for keyword in ["fn ", "struct ", "enum ", "trait ", "mod ", "pub ", "    "] {
                if let Some((before, rest)) = line.split_once(keyword) {
                    let name = rest.split(|c| !word(c)).next().unwrap_or("");
                    let variant = name.starts_with(|c: char| c.is_uppercase());
                    if keyword != "    " || (before.is_empty() && variant) {
                        known.insert(name.to_string());
                    }
                }
            }
        }
    }
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/keras.md");
    let mut findings = Vec::new();
    let mut names = 0;
    for (number, line) in (1..).zip(fs::read_to_string(table).unwrap().lines()) {
        let ours = line.strip_prefix('|').and_then(|cells| cells.split('|').nth(1)).unwrap_or("");
        for code in ours.split('`').skip(1).step_by(2) {
            for name in code.split(|c| !word(c)).filter(|name| !name.is_empty()) {
                names += 1;
                if !known.contains(name) {
                    findings.push(format!("docs/keras.md:{number}: there is no `{name}`"));
                }
            }
        }
    }
    assert!(names > 150, "only {names} names found");
    none(findings);
}
