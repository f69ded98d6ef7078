//! The proof that the models see the orderings: every tagged operation is weakened in turn, in a copy of the workspace, and
//! one of the models in its row of the ledger must fail on it. So must the models of each planted fault.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::faults;
use crate::tidy::edges::{self, Mutant, Row};
use crate::{Failure, cargo, loom_flags, workspace};

/// The members whose operations are tagged.
const MEMBERS: [(&str, &str); 2] = [("semaphore", "shm-semaphore"), ("ringbuf", "shm-ringbuf")];
const LEDGER: &str = "docs/memory-ordering.md";
/// A weakened protocol may well run for ever under a model that explores it: that counts as caught.
const TIME_MAX: Duration = Duration::from_secs(300);

/// What no model can see, and why.
const UNSEEN: [(&str, &str); 1] = [(
    "bias_record.release",
    "under loom the light fence before it is a full one, which orders as much",
)];

/// How a model ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Passed,
    Failed,
    /// It went on for so long that the weakened protocol can't have ended well.
    Endless,
}

/// Weakens every tagged operation, or those of the edges whose names contain `edge`, and plants the faults (whose descriptions contain it).
///
/// # Errors
/// Lists the mutants that no model caught, and what could not be tried.
pub fn run(edge: Option<&str>) -> Result<(), Failure> {
    let root = workspace();
    let copy = root.join("target/mutants/workspace");
    let (rows, wrong) = edges::ledger(LEDGER, &read(&root.join(LEDGER))?);
    if let Some(wrong) = wrong.first() {
        return Err(Failure::new(wrong.to_string()));
    }
    make_copy(&root, &copy)?;
    let wanted = |name: &str| edge.is_none_or(|part| name.contains(part));
    let rows: Vec<Row> = rows.into_iter().filter(|row| wanted(&row.edge)).collect();
    for row in &rows {
        for model in &row.models {
            if run_model(&copy, model)? != Verdict::Passed {
                let message = format!("{}::{} fails as it is, unweakened", model.0, model.1);
                return Err(Failure::new(message));
            }
        }
    }
    let mut survivors = Vec::new();
    for candidate in candidates(&root, &rows, &wanted)? {
        let path = &candidate.path;
        let source = read(&root.join(path))?;
        fs::write(copy.join(path), &candidate.source).map_err(|error| io(path, &error))?;
        let caught = try_candidate(&copy, &candidate);
        fs::write(copy.join(path), &source).map_err(|error| io(path, &error))?;
        if !caught? {
            survivors.push(candidate.title);
        }
    }
    if survivors.is_empty() {
        eprintln!("\n==> every mutant was caught");
        return Ok(());
    }
    let list = survivors.join("\n  ");
    Err(Failure::new(format!(
        "{} mutants were not caught:\n  {list}",
        survivors.len()
    )))
}

fn describe(mutant: &Mutant) -> String {
    let site = &mutant.site;
    format!(
        "{}.{} at {}:{}: {}",
        site.edge, site.side, site.path, site.line, mutant.changed
    )
}

/// A changed source that a model must fail on.
struct Candidate {
    title: String,
    path: String,
    source: String,
    models: Vec<(String, String)>,
}

/// The weakened orderings of the rows, and the planted faults whose models or descriptions are wanted.
fn candidates(
    root: &Path,
    rows: &[Row],
    wanted: &impl Fn(&str) -> bool,
) -> Result<Vec<Candidate>, Failure> {
    let mut candidates = Vec::new();
    for (path, source) in tagged_sources(root)? {
        for mutant in edges::mutants(&path, &source) {
            let name = format!("{}.{}", mutant.site.edge, mutant.site.side);
            if let Some(row) = rows.iter().find(|row| row.edge == mutant.site.edge) {
                if let Some((_, why)) = UNSEEN.iter().find(|(unseen, _)| *unseen == name) {
                    eprintln!("\n==> {name} is not tried: {why}");
                    continue;
                }
                candidates.push(Candidate {
                    title: describe(&mutant),
                    path: path.clone(),
                    source: mutant.source,
                    models: row.models.clone(),
                });
            }
        }
    }
    for fault in faults::all().filter(|fault| wanted(fault.what)) {
        let planted = fault.plant(&read(&root.join(fault.path))?);
        let source = planted
            .ok_or_else(|| Failure::new(format!("{}: no place for it any more", fault.what)))?;
        let owned = |(file, function): &(&str, &str)| ((*file).into(), (*function).into());
        candidates.push(Candidate {
            title: fault.what.into(),
            path: fault.path.into(),
            source,
            models: fault.models.iter().map(owned).collect(),
        });
    }
    Ok(candidates)
}

/// Whether one of its models fails on the candidate that stands in the copy.
fn try_candidate(copy: &Path, candidate: &Candidate) -> Result<bool, Failure> {
    eprintln!("\n==> {}", candidate.title);
    for model in &candidate.models {
        let verdict = run_model(copy, model)?;
        let (file, function) = model;
        match verdict {
            Verdict::Passed => eprintln!("    {file}::{function} does not see it"),
            Verdict::Failed => eprintln!("    caught by {file}::{function}"),
            Verdict::Endless => eprintln!("    caught by {file}::{function}, which did not end"),
        }
        if verdict != Verdict::Passed {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Builds and runs one model in the copy.
fn run_model(copy: &Path, (file, function): &(String, String)) -> Result<Verdict, Failure> {
    let member = MEMBERS
        .iter()
        .find(|(folder, _)| copy.join(folder).join("tests").join(file).exists());
    let Some((_, package)) = member else {
        return Err(Failure::new(format!("no member has a model file {file}")));
    };
    let target = file.trim_end_matches(".rs");
    let command = || {
        let mut command = cargo();
        command.current_dir(copy).env("RUSTFLAGS", loom_flags());
        command.env("CARGO_TARGET_DIR", workspace().join("target/mutants/build"));
        command.args([
            "test",
            "--quiet",
            "--release",
            "-p",
            package,
            "--test",
            target,
        ]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    };
    // What does not compile is no weaker protocol.
    let built = command().arg("--no-run").stderr(Stdio::inherit()).status();
    if !built.is_ok_and(|status| status.success()) {
        return Err(Failure::new(format!(
            "{target} does not compile in {}",
            copy.display()
        )));
    }
    // A name that matches no test would pass, whatever is wrong.
    let listed = command()
        .args(["--", "--exact", function, "--list"])
        .stdout(Stdio::piped())
        .output();
    let expected = format!("{function}: test");
    if !listed.is_ok_and(|list| String::from_utf8_lossy(&list.stdout).contains(&expected)) {
        return Err(Failure::new(format!("{target} has no test {function}")));
    }
    let mut run = command();
    run.args(["--", "--exact", function]);
    wait(&mut run)
}

fn wait(command: &mut Command) -> Result<Verdict, Failure> {
    let start = Instant::now();
    let mut child = command
        .spawn()
        .map_err(|error| Failure::new(format!("can't start: {error}")))?;
    loop {
        let ended = child
            .try_wait()
            .map_err(|error| Failure::new(format!("can't wait: {error}")))?;
        if let Some(status) = ended {
            return Ok(if status.success() {
                Verdict::Passed
            } else {
                Verdict::Failed
            });
        }
        if start.elapsed() > TIME_MAX {
            // It may end at this very moment.
            let _ = child.kill();
            let _ = child.wait();
            return Ok(Verdict::Endless);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The sources with tagged operations, by their paths from the top.
fn tagged_sources(root: &Path) -> Result<Vec<(String, String)>, Failure> {
    let mut sources = Vec::new();
    for (member, _) in MEMBERS {
        for file in files_below(&root.join(member).join("src"))? {
            let source = read(&file)?;
            if source.contains("edge:") {
                let path = file.strip_prefix(root).unwrap_or(&file);
                sources.push((path.to_string_lossy().into_owned(), source));
            }
        }
    }
    sources.sort();
    Ok(sources)
}

/// Copies all that the build of the workspace needs.
fn make_copy(root: &Path, copy: &Path) -> Result<(), Failure> {
    if copy.exists() {
        fs::remove_dir_all(copy).map_err(|error| io(&copy.to_string_lossy(), &error))?;
    }
    for file in files_below(root)? {
        let to = copy.join(file.strip_prefix(root).unwrap_or(&file));
        let parent = to.parent().unwrap_or(copy);
        fs::create_dir_all(parent)
            .and_then(|()| fs::copy(&file, &to))
            .map_err(|error| io(&to.to_string_lossy(), &error))?;
    }
    Ok(())
}

/// The files below a folder, without what git and cargo keep there.
fn files_below(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries =
            fs::read_dir(&folder).map_err(|error| io(&folder.to_string_lossy(), &error))?;
        for entry in entries {
            let path = entry
                .map_err(|error| io(&folder.to_string_lossy(), &error))?
                .path();
            let name = path.file_name().unwrap_or_default();
            if name == "target" || name == ".git" {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    Ok(files)
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| io(&path.to_string_lossy(), &error))
}

fn io(path: &str, error: &std::io::Error) -> Failure {
    Failure::new(format!("{path}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tagged_operation_of_the_workspace_has_a_mutant() {
        for (path, source) in tagged_sources(&workspace()).unwrap() {
            let (sites, _) = edges::sites(&path, &source);
            let mutants = edges::mutants(&path, &source);
            assert_eq!(sites.len(), mutants.len(), "{path}");
            assert!(
                mutants.iter().all(|mutant| mutant.source != source),
                "{path}"
            );
        }
    }
}
