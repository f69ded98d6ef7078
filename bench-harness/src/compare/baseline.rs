//! `--baseline`: a saved run that the one to be measured is compared with.

use super::args::BaselineArgs;
use super::document::{ComparedFigure, ComparedRuns};
use super::gate::{self, Gate};
use super::make::{Controls, Named, compare_runs};
use super::{CompareError, idle_controls, rows};
use crate::report::document::Report;
use crate::report::printable::printable;
use crate::report::saved;
use crate::scenario::Plan;
use crate::stats::saves::Figure;

/// A saved run, read and checked before anything is measured.
#[derive(Debug)]
pub struct Baseline {
    name: String,
    report: Report,
    controls: Controls,
    gates: Vec<Gate>,
}

impl Baseline {
    /// Reads it, if there is one, and checks that the plan has rows of it.
    ///
    /// # Errors
    /// One sentence with the file and the remedy.
    pub fn open(args: &BaselineArgs, plan: &Plan) -> Result<Option<Self>, CompareError> {
        let Some(file) = &args.baseline else {
            return Ok(None);
        };
        let baseline = Self {
            name: printable(&file.display().to_string()),
            report: saved::load(file).map_err(CompareError::File)?,
            controls: Controls::from(&args.controls),
            gates: args.fail_if.clone(),
        };
        baseline.check(plan).map_err(CompareError::Usage)?;
        Ok(Some(baseline))
    }

    fn check(&self, plan: &Plan) -> Result<(), String> {
        if let Some(pattern) = self.controls.idle(&self.report) {
            return Err(idle_controls(&pattern, &self.name));
        }
        // With itself it has all the figures that any run can have in common with it.
        let itself = Named {
            name: &self.name,
            report: &self.report,
        };
        let runs = compare_runs(itself, itself, &self.controls)?;
        let is_planned = |one: &&ComparedFigure| {
            let mut entries = plan.entries.iter();
            entries.any(|entry| rows::is_planned(&one.place, one.figure, entry))
        };
        let planned: Vec<&ComparedFigure> = runs.figures.iter().filter(is_planned).collect();
        // A row that is saturated may keep its rate in the run to be measured.
        let is_saturated_planned = runs.saturated.iter().any(|row| {
            let mut entries = plan.entries.iter();
            entries.any(|entry| rows::is_planned(&row.place, Figure::PacedP50, entry))
        });
        let command = plan.design.command();
        if planned.is_empty() && !is_saturated_planned {
            return Err(format!(
                "--baseline {} has none of the rows that `{command}` would measure; measure the contenders and sizes that it has",
                self.name
            ));
        }
        match gate::idle(&self.gates, &planned, &[]) {
            None => Ok(()),
            Some(gate) => Err(format!(
                "--fail-if '{gate}' is about no figure in question that both {} has and `{command}` would measure, so it could never fail; choose another figure",
                self.name
            )),
        }
    }

    /// Compares a run with it.
    ///
    /// # Errors
    /// One sentence when they have nothing in common.
    pub fn compare(&self, report: &Report) -> Result<ComparedRuns, String> {
        let before = Named {
            name: &self.name,
            report: &self.report,
        };
        let after = Named {
            name: "this run",
            report,
        };
        let mut runs = compare_runs(before, after, &self.controls)?;
        super::check_gates(&self.gates, &runs)?;
        gate::apply(&self.gates, &mut runs);
        Ok(runs)
    }
}
