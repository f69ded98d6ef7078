//! What a check says.

use std::fmt;

use serde::Serialize;

use super::facts::Unknown;
use super::script::Step;

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Makes figures noisier or slower, or takes something from a contender.
    Warn,
    /// Makes figures meaningless, or keeps contenders from running.
    Fail,
    /// What would have to be known can't be read here.
    CannotTell,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "OK",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
            Self::CannotTell => "cannot tell",
        })
    }
}

/// What one check found.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// The check.
    pub name: &'static str,
    /// How grave it is.
    pub verdict: Verdict,
    /// What was found, with its unit; for [`Verdict::CannotTell`] what could not be read.
    pub value: String,
    /// What it does to figures: measured, or known. None when all is well.
    pub effect: Option<String>,
    /// What to do about it, in one line. None when all is well.
    pub remedy: Option<String>,
    /// Single objects that the finding is about, such as leftovers by their names.
    pub objects: Vec<String>,
    /// What an administrator might run.
    #[serde(skip)]
    pub(super) steps: Vec<Step>,
}

impl Finding {
    /// All is well.
    pub(super) fn ok(name: &'static str, value: impl Into<String>) -> Self {
        Self {
            name,
            verdict: Verdict::Ok,
            value: value.into(),
            effect: None,
            remedy: None,
            objects: Vec::new(),
            steps: Vec::new(),
        }
    }

    /// Something is not as it should be, but figures can be had.
    pub(super) fn warn(
        name: &'static str,
        value: impl Into<String>,
        effect: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            verdict: Verdict::Warn,
            effect: Some(effect.into()),
            remedy: Some(remedy.into()),
            ..Self::ok(name, value)
        }
    }

    /// Figures would mean nothing, or can't be had.
    pub(super) fn fail(
        name: &'static str,
        value: impl Into<String>,
        effect: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            verdict: Verdict::Fail,
            ..Self::warn(name, value, effect, remedy)
        }
    }

    /// The result of a check, or why there is none.
    pub(super) fn of(name: &'static str, checked: Result<Self, Unknown>) -> Self {
        checked.unwrap_or_else(|unknown| Self {
            verdict: Verdict::CannotTell,
            ..Self::ok(name, unknown.to_string())
        })
    }

    /// The same, with what an administrator might run.
    pub(super) fn with_steps(mut self, steps: impl IntoIterator<Item = Step>) -> Self {
        self.steps.extend(steps);
        self
    }
}
