//! The proof that the models see the orderings: every tagged operation is weakened in turn, in a copy of the workspace, and
//! one of the models in its row of the ledger must fail on it. So must the models of each planted fault.

use std::collections::BTreeSet;
use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
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
    let (rows, wrong) = edges::ledger(LEDGER, &read(&root.join(LEDGER))?);
    if let Some(wrong) = wrong.first() {
        return Err(Failure::new(wrong.to_string()));
    }
    let wanted = |name: &str| edge.is_none_or(|part| name.contains(part));
    let rows: Vec<Row> = rows.into_iter().filter(|row| wanted(&row.edge)).collect();
    let models: BTreeSet<&Model> = rows.iter().flat_map(|row| &row.models).collect();
    let models: Vec<&Model> = models.into_iter().collect();
    let candidates = candidates(&root, &rows, &wanted)?;
    let workshops = workshops(&root)?;
    let unsound = in_all(&workshops, &models, |workshop, model| {
        let passes = workshop.run_model(model)? == Verdict::Passed;
        Ok((!passes).then(|| format!("{}::{} fails as it is, unweakened", model.0, model.1)))
    })?;
    if let Some(unsound) = unsound.into_iter().next() {
        return Err(Failure::new(unsound));
    }
    let survivors = in_all(&workshops, &candidates, |workshop, candidate| {
        let is_caught = workshop.try_candidate(&root, candidate)?;
        Ok((!is_caught).then(|| candidate.title.clone()))
    })?;
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

/// A file of models, and one in it.
type Model = (String, String);

/// A changed source that a model must fail on.
struct Candidate {
    title: String,
    path: String,
    source: String,
    models: Vec<Model>,
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

/// A copy of the workspace, with a build of its own: one for each processor.
struct Workshop {
    copy: PathBuf,
    build: PathBuf,
}

fn workshops(root: &Path) -> Result<Vec<Workshop>, Failure> {
    let count = thread::available_parallelism().map_or(1, NonZero::get);
    let make = |number: usize| {
        let folder = root.join(format!("target/mutants/{number}"));
        let copy = folder.join("workspace");
        make_copy(root, &copy)?;
        let build = folder.join("build");
        Ok(Workshop { copy, build })
    };
    (0..count).map(make).collect()
}

/// Does the work on all items, each in the workshop that is free next, and collects what it says. The first failure ends it.
fn in_all<T: Sync, R: Send>(
    workshops: &[Workshop],
    items: &[T],
    work: impl Fn(&Workshop, &T) -> Result<Option<R>, Failure> + Sync,
) -> Result<Vec<R>, Failure> {
    let next = AtomicUsize::new(0);
    let in_one = |workshop: &Workshop| {
        let mut said = Vec::new();
        // Relaxed: whoever joins the threads sees what they did; here each only has to get another number.
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            let result = work(workshop, item).inspect_err(|_| {
                // Relaxed: as above; the others stop as soon as they see it.
                next.store(items.len(), Ordering::Relaxed);
            });
            said.extend(result?);
        }
        Ok(said)
    };
    let mut said = Vec::new();
    thread::scope(|scope| {
        let start = |workshop| scope.spawn(move || in_one(workshop));
        let threads: Vec<_> = workshops.iter().map(start).collect();
        for thread in threads {
            let result = thread.join().map_err(|_| Failure::new("a thread panicked"));
            said.extend(result??);
        }
        Ok(said)
    })
}

impl Workshop {
    /// Whether one of its models fails on the candidate.
    fn try_candidate(&self, root: &Path, candidate: &Candidate) -> Result<bool, Failure> {
        let path = self.copy.join(&candidate.path);
        fs::write(&path, &candidate.source).map_err(|error| io(&candidate.path, &error))?;
        let tried = self.try_models(candidate);
        let source = read(&root.join(&candidate.path))?;
        fs::write(&path, source).map_err(|error| io(&candidate.path, &error))?;
        tried
    }

    fn try_models(&self, candidate: &Candidate) -> Result<bool, Failure> {
        let mut report = vec![format!("\n==> {}", candidate.title)];
        let mut is_caught = false;
        for model in &candidate.models {
            let verdict = self.run_model(model)?;
            is_caught = verdict != Verdict::Passed;
            let (file, function) = model;
            report.push(match verdict {
                Verdict::Passed => format!("    {file}::{function} does not see it"),
                Verdict::Failed => format!("    caught by {file}::{function}"),
                Verdict::Endless => format!("    caught by {file}::{function}, which did not end"),
            });
            if is_caught {
                break;
            }
        }
        // In one piece, since others report too.
        eprintln!("{}", report.join("\n"));
        Ok(is_caught)
    }

    /// Builds and runs one model.
    fn run_model(&self, (file, function): &Model) -> Result<Verdict, Failure> {
        let copy = &self.copy;
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
            command.env("CARGO_TARGET_DIR", &self.build);
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
