//! What comes of comparing two saved runs: the fields of its JSON format. A missing figure is `null`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rows::Place;
use crate::stats::saves::{Figure, Role};
use crate::stats::{Comparison, Verdict};

/// The name of the format.
pub const SCHEMA: &str = "ipc-bench-harness-comparison/1";

/// What `compare --output json` prints.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Document {
    /// The name of the format.
    pub schema: String,
    /// One for each file after the first, which all of them are compared with.
    pub comparisons: Vec<ComparedRuns>,
}

/// Two runs, figure by figure.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ComparedRuns {
    /// The run that is compared with.
    pub before: Run,
    /// The run in question.
    pub after: Run,
    /// What it comes to, in a sentence or two.
    pub summary: Vec<String>,
    /// What the reader ought to know.
    pub warnings: Vec<String>,
    /// How much slower the machine was, by the limits: that is divided out of the ratios below.
    pub drift: Vec<LimitDrift>,
    /// Rows that only one of the runs has, and why.
    pub alone: Vec<String>,
    /// What `--fail-if` forbids and was found, a sentence for each.
    pub forbidden: Vec<String>,
    /// What exceeds a threshold of `--fail-if` and is no failure, as it can't be told from chance and noise.
    pub undetectable: Vec<String>,
    /// Rows that couldn't keep their rate in one of the runs or in both. They have no paced figures below.
    #[serde(default)]
    pub saturated: Vec<SaturatedRow>,
    /// The figures that both runs have.
    pub figures: Vec<ComparedFigure>,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// Where it came from: a file, or `this run`.
    pub name: String,
    /// The command that measured.
    pub command: String,
    /// When it began, in seconds since 1970 (UTC).
    pub began_unix_s: u64,
    /// The version of the harness.
    pub harness_version: String,
    /// The kernel.
    pub kernel: String,
    /// How often each row was measured.
    pub rounds_completed: u32,
    /// Whether it was interrupted.
    pub incomplete: bool,
}

/// A limit of the hardware in both runs.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct LimitDrift {
    /// Which.
    #[serde(flatten)]
    pub place: Place,
    /// The figure that it has.
    pub figure: Figure,
    /// Its time in the run before, in nanoseconds.
    pub before_ns: f64,
    /// Its time in the run after.
    pub after_ns: f64,
    /// How many times as long.
    pub ratio: f64,
}

/// A row that couldn't keep its rate in one of the runs or in both, with the same pace.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SaturatedRow {
    /// Which row.
    #[serde(flatten)]
    pub place: Place,
    /// Whether it may have changed, or is a control that can't have.
    pub role: Role,
    /// In which of the runs.
    pub saturated_in: SaturatedIn,
    /// The share by which the rate was missed in the run before; none if the row was given up, or the run didn't tell.
    pub share_behind_before: Option<f64>,
    /// The same in the run after.
    pub share_behind_after: Option<f64>,
    /// Why the row was given up in the run in which it is saturated, if it was: the later one, if in both.
    pub given_up: Option<String>,
}

/// The run in which a row couldn't keep its rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SaturatedIn {
    /// In the run before, and no longer: it is better.
    Before,
    /// In the run after, and not before: it is worse.
    After,
    /// In both.
    Both,
}

impl SaturatedIn {
    /// What stands for a verdict in comma-separated values.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Before => "saturated before",
            Self::After => "saturated after",
            Self::Both => "saturated in both",
        }
    }
}

/// A figure of a row.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ComparedFigure {
    /// Which row.
    #[serde(flatten)]
    pub place: Place,
    /// Which figure.
    pub figure: Figure,
    /// Whether it may have changed, or is a control that can't have.
    pub role: Role,
    /// Its time in the run before: the median of the windows, in nanoseconds. Drift isn't taken from it.
    pub before_ns: f64,
    /// Its time in the run after.
    pub after_ns: f64,
    /// How much slower the machine was, by the rows that can't have changed. It is divided out of the ratio; none if there was no such row.
    pub drift: Option<f64>,
    /// In how many states of the machine its rounds were compared, each state for itself: more than one where the times of a limit fall into
    /// clearly different levels.
    pub states: u32,
    /// How it differs. The ratio is above one if it takes longer.
    #[serde(flatten)]
    pub comparison: Comparison,
}

impl ComparedFigure {
    /// By which share it takes longer; below zero if it is faster.
    pub fn change(&self) -> Option<f64> {
        self.comparison.ratio.map(|ratio| ratio - 1.0)
    }

    /// The ratio; one where nothing could be compared.
    pub(crate) fn ratio_or_one(&self) -> f64 {
        self.comparison.ratio.unwrap_or(1.0)
    }

    /// How far the ratio is from one, on a logarithmic scale.
    pub(crate) fn distance(&self) -> f64 {
        self.ratio_or_one().max(f64::MIN_POSITIVE).ln().abs()
    }

    /// Whether it is slower or faster.
    pub fn differs(&self) -> bool {
        matches!(self.comparison.verdict, Verdict::Slower | Verdict::Faster)
    }

    /// The row and the figure, as in `pipe/park 64 B stream`.
    pub fn name(&self) -> String {
        format!("{} {}", self.place, self.figure)
    }
}

impl ComparedRuns {
    /// The figures of a role with a verdict.
    pub fn with(&self, role: Role, verdict: Verdict) -> impl Iterator<Item = &ComparedFigure> {
        let figures = self.figures.iter();
        figures.filter(move |one| one.role == role && one.comparison.verdict == verdict)
    }

    /// The figures of a role.
    pub fn of_role(&self, role: Role) -> impl Iterator<Item = &ComparedFigure> {
        self.figures.iter().filter(move |one| one.role == role)
    }
}
