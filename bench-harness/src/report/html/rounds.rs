//! The rounds over time: whether the machine stayed the same while it was measured.

use maud::Markup;

use super::super::document::{Figures, Report, WindowFigures, WindowKind};
use super::axis::Axis;
use super::chart::{Series, Style, lines};
use super::plots::Group;
use crate::stats::median;

impl Report {
    /// Every window of every row, relative to the median of its row; disturbed ones are marked.
    pub(super) fn rounds_over_time(&self) -> Group {
        let kinds = [
            ("Streams", &[WindowKind::Drained, WindowKind::Working][..]),
            ("Round trips", &[WindowKind::RoundTrip]),
            ("At a fixed rate", &[WindowKind::Paced]),
        ];
        let charts = kinds
            .into_iter()
            .filter_map(|(title, kinds)| self.over_time(title, kinds));
        Group {
            title: "The rounds over time",
            note: "Each dot is a window: its time relative to the median of its contender. A machine that changes meanwhile lifts or lowers them all. \
                   Disturbed windows lost a core to other work or to the hypervisor; they count as well.",
            charts: charts.collect(),
        }
    }

    fn over_time(&self, title: &str, kinds: &[WindowKind]) -> Option<Markup> {
        let (mut quiet, mut disturbed) = (Vec::new(), Vec::new());
        for row in &self.results {
            for &kind in kinds {
                for (window, ratio) in relative(row, kind) {
                    let list = if window.disturbance.is_some() {
                        &mut disturbed
                    } else {
                        &mut quiet
                    };
                    list.push((window.began_ns as f64 / 1e9, ratio));
                }
            }
        }
        let all = || quiet.iter().chain(&disturbed);
        all().next()?;
        let x = Axis::from_zero(
            "seconds from the beginning",
            all().map(|p| p.0).fold(0.0, f64::max),
        );
        let show = |ratio: f64| format!("{}x", (ratio * 100.0).round() / 100.0);
        let y = Axis::log("time relative to the median", all().map(|p| p.1), show);
        let series = |name: &str, style, points: Vec<(f64, f64)>| Series {
            name: format!("{name} ({})", points.len()),
            style,
            has_line: false,
            has_marks: true,
            points,
        };
        let series = [
            series("windows", Style::Crowd, quiet.clone()),
            series("disturbed", Style::Alert, disturbed.clone()),
        ];
        let shown: Vec<Series> = series
            .into_iter()
            .filter(|one| !one.points.is_empty())
            .collect();
        Some(lines(title, &x, &y, &shown))
    }
}

/// The windows of a kind, each with what it took relative to the median of all of them.
fn relative(row: &Figures, kind: WindowKind) -> Vec<(&WindowFigures, f64)> {
    // Of messages by the clock the rate is given, and only the latency tells.
    let value = |window: &WindowFigures| match kind {
        WindowKind::Drained | WindowKind::Working => Some(window.ns_each),
        WindowKind::RoundTrip | WindowKind::Paced => window.times_ns?.p50.map(|ns| ns as f64),
    };
    let windows = row.windows.iter().filter(|window| window.kind == kind);
    let values: Vec<(&WindowFigures, f64)> = windows
        .filter_map(|window| Some((window, value(window)?)))
        .collect();
    let all: Vec<f64> = values.iter().map(|&(_, value)| value).collect();
    match median(&all) {
        Some(middle) if middle > 0.0 => values
            .into_iter()
            .map(|(window, value)| (window, value / middle))
            .collect(),
        _ => Vec::new(),
    }
}
