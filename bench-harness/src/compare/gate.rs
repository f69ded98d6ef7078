//! `--fail-if`: what may not have become slower, and by how much.

use std::fmt;
use std::str::FromStr;

use super::document::{ComparedFigure, ComparedRuns, SaturatedIn, SaturatedRow};
use super::rows::FIGURES;
use crate::report::numbers::figure;
use crate::stats::Verdict;
use crate::stats::saves::{Figure, Role};

/// The largest threshold: a million times as long.
const PERCENT_MAX: f64 = 1e8;

/// A figure, or any, and by how much longer it may take.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    /// None stands for all.
    figure: Option<Figure>,
    /// As a share.
    threshold: f64,
}

impl FromStr for Gate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FORM: &str = "a threshold looks like 'p99>+10%'";
        let (name, limit) = text
            .split_once('>')
            .ok_or_else(|| format!("there is no '>' in it; {FORM}"))?;
        let limit = limit.trim();
        let number = limit.strip_suffix('%').ok_or_else(|| {
            format!("{limit:?} is no share in per cent, as it doesn't end with '%'; {FORM}")
        })?;
        let number = number.trim().trim_start_matches('+').trim();
        let percent: f64 = number
            .parse()
            .map_err(|_| format!("{number:?} is no number; {FORM}"))?;
        if !(0.0..=PERCENT_MAX).contains(&percent) {
            return Err(format!(
                "{number} % is out of range; a threshold is from 0 to {PERCENT_MAX} %, and what got faster never fails"
            ));
        }
        Ok(Self {
            figure: figure_of(name.trim())?,
            threshold: percent / 100.0,
        })
    }
}

fn figure_of(name: &str) -> Result<Option<Figure>, String> {
    if name == "any" {
        return Ok(None);
    }
    let found = FIGURES.into_iter().find(|figure| figure.as_str() == name);
    found.map(Some).ok_or_else(|| {
        let names: Vec<&str> = FIGURES.iter().map(|figure| figure.as_str()).collect();
        format!("{name:?} is no figure; choose {} or any", names.join(", "))
    })
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.figure.map_or("any", Figure::as_str);
        write!(f, "{name}>+{}%", 100.0 * self.threshold)
    }
}

impl Gate {
    /// Whether it is about that figure.
    fn is_about(&self, of: &ComparedFigure) -> bool {
        of.role == Role::Question && self.figure.is_none_or(|figure| figure == of.figure)
    }

    /// Whether it is about a row that has no paced figure any longer, as it can't keep its rate.
    fn forbids(&self, row: &SaturatedRow) -> bool {
        let is_paced = |figure| matches!(figure, Figure::PacedP50 | Figure::PacedP99);
        row.role == Role::Question
            && row.saturated_in == SaturatedIn::After
            && self.figure.is_none_or(is_paced)
    }

    fn is_exceeded(&self, by: &ComparedFigure) -> bool {
        by.change().is_some_and(|change| change > self.threshold)
    }
}

/// The first gate that is about none of the figures and forbids none of the saturated rows: it would never fail, whatever happened.
pub(super) fn idle<'a>(
    gates: &'a [Gate],
    figures: &[&ComparedFigure],
    saturated: &[SaturatedRow],
) -> Option<&'a Gate> {
    let is_idle = |gate: &&Gate| {
        !figures.iter().any(|figure| gate.is_about(figure))
            && !saturated.iter().any(|row| gate.forbids(row))
    };
    gates.iter().find(is_idle)
}

/// Notes what the gates forbid. Only what is detectably slower fails, or saturated now; what exceeds a threshold otherwise is noted
/// as such.
pub(super) fn apply(gates: &[Gate], runs: &mut ComparedRuns) {
    let name = &runs.before.name;
    let exceeded = runs.figures.iter().filter_map(|figure| {
        let mut about = gates.iter().filter(|gate| gate.is_about(figure));
        Some((about.find(|gate| gate.is_exceeded(figure))?, figure))
    });
    let (mut forbidden, mut undetectable) = (saturations(gates, runs), Vec::new());
    for (gate, figure) in exceeded {
        let what = format!(
            "{} took {} as long as in {name}",
            figure.name(),
            times(figure)
        );
        if figure.comparison.verdict == Verdict::Slower {
            forbidden.push(format!("{what}, which --fail-if '{gate}' forbids"));
        } else {
            let verdict = figure.comparison.verdict;
            undetectable.push(format!(
                "{what}, beyond '{gate}', but that is no failure: {verdict}"
            ));
        }
    }
    runs.forbidden = forbidden;
    runs.undetectable = undetectable;
}

/// The rows that kept their rate before and are saturated now, with all gates that are about them.
fn saturations(gates: &[Gate], runs: &ComparedRuns) -> Vec<String> {
    let told = runs.saturated.iter().filter_map(|row| {
        let about = gates.iter().filter(|gate| gate.forbids(row));
        let about: Vec<String> = about.map(|gate| format!("--fail-if '{gate}'")).collect();
        let verb = if about.len() == 1 {
            "forbids"
        } else {
            "forbid"
        };
        let what = row.regression(&runs.before.name, &runs.after.name);
        (!about.is_empty()).then(|| format!("{what}, which {} {verb}", about.join(" and ")))
    });
    told.collect()
}

fn times(of: &ComparedFigure) -> String {
    format!("{} times", figure(of.comparison.ratio))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_a_figure_and_a_share() {
        for (text, shown) in [
            ("p99>+10%", "p99>+10%"),
            ("p99 > +10 %", "p99>+10%"),
            ("stream>2.5%", "stream>+2.5%"),
            (" paced.p50 >+ 0%", "paced.p50>+0%"),
            ("any>+100%", "any>+100%"),
            ("cpu>+5%", "cpu>+5%"),
        ] {
            let gate: Gate = text.parse().unwrap();
            assert_eq!(gate.to_string(), shown, "{text}");
        }
    }

    #[test]
    fn what_is_no_threshold_is_refused_with_the_remedy() {
        for (text, part) in [
            ("p99", "no '>'"),
            ("p99>10", "doesn't end with '%'"),
            ("p99>+x%", "\"x\" is no number"),
            ("p99>+%", "is no number"),
            ("p99>-5%", "what got faster never fails"),
            ("p99>+NaN%", "out of range"),
            (
                "p98>+5%",
                "choose stream, p50, p99, paced.p50, paced.p99, cpu or any",
            ),
            (">+5%", "is no figure"),
        ] {
            let problem = text.parse::<Gate>().unwrap_err();
            assert!(problem.contains(part), "{text}: {problem}");
        }
    }
}
