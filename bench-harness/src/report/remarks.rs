//! What the report says about the whole run in plain sentences: the noise, the verdicts, and what a kind of measurement can't see.

use super::document::{Figures, Report, Times, Versus};
use super::numbers::{bytes, figure, percent, time, whole};
use super::rows::{section_name, sections};
use crate::stats::noise::{Figure, Waiting};
use crate::stats::{Comparison, Verdict};
use crate::transport::{Class, WaitMode};

/// A latency at a fixed rate is called far above the round trip's when it is so many times as long,
const FAR_ABOVE: f64 = 10.0;
/// and at least so much longer, in nanoseconds: less than that is the price of sleeping between messages.
const FAR_ABOVE_NS: u64 = 1_000_000;
/// So many examples are named.
const EXAMPLES_MAX: usize = 3;
/// So many short links are named; of more, those that hold the least and the most.
const SHORT_LINKS_MAX: usize = 8;

impl Report {
    /// All remarks, in the order of the table.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = self.on_verdicts();
        remarks.extend(self.on_noise());
        remarks.extend(self.on_pooled_percentiles());
        remarks.extend(self.on_disturbances());
        remarks.extend(self.on_longer_windows());
        remarks.extend(self.on_short_links());
        remarks.extend(self.on_plants());
        remarks.extend(self.on_stalls());
        remarks
    }

    /// How many are faster and slower than the reference, by section: rows of different ones aren't ranked together.
    fn on_verdicts(&self) -> Vec<String> {
        let reference = &self.settings.reference;
        let of_section = |section: (Class, WaitMode)| {
            let rows = self.results.iter();
            let rows: Vec<&Figures> = rows
                .filter(|row| (row.class, row.wait) == section)
                .collect();
            let told = verdicts(&rows);
            let name = section_name(section);
            (!told.is_empty())
                .then(|| format!("Compared with {reference}, {name}: {}.", told.join("; ")))
        };
        sections().filter_map(of_section).collect()
    }

    /// How far equal things differed, and whether that was inside the floor.
    fn on_noise(&self) -> Vec<String> {
        let of = |waiting| {
            let noises = || {
                let all = self.noise.iter();
                all.filter(|noise| noise.kind.waiting == waiting)
            };
            let mut parts = Vec::new();
            for noise in noises() {
                let what = match noise.kind.figure {
                    Figure::Stream => "streams",
                    Figure::RoundTrip => "round trips",
                    Figure::Paced => "latency at a fixed rate",
                };
                let held = match (noise.floor.is_settled(), noise.holds_its_own) {
                    (false, _) => "beside a floor of",
                    (true, true) => "inside the floor of",
                    (true, false) => "OUTSIDE the floor of",
                };
                parts.push(format!(
                    "{what} by {}, {held} {}",
                    percent((noise.floor.ratio - 1.0).abs()),
                    percent(noise.floor.half_width)
                ));
            }
            let name = noises().next()?;
            let unsettled = noises().find(|noise| !noise.floor.is_settled());
            let too_few = unsettled.map_or_else(String::new, |noise| {
                format!(
                    " {} rounds are too few to say whether that is inside; six are the least.",
                    noise.floor.rounds
                )
            });
            let what = match waiting {
                Waiting::Spins => "spins",
                Waiting::Sleeps => "may sleep",
            };
            Some(format!(
                "Noise: {}, which {what}, was entered twice and differed from itself: {}.{too_few} No difference smaller than the noise \
                 is called one.",
                name.contender,
                parts.join("; ")
            ))
        };
        [Waiting::Spins, Waiting::Sleeps]
            .into_iter()
            .filter_map(of)
            .collect()
    }

    /// Which percentiles are no medians over the rounds.
    fn on_pooled_percentiles(&self) -> Option<String> {
        let is_pooled = |row: &Figures, name: &str| {
            let times = [&row.round_trip_ns, &row.paced_ns.times];
            times
                .iter()
                .any(|times| times.pooled.iter().any(|pooled| pooled == name))
        };
        let told = ["p50", "p90", "p99", "p99_9", "p99_99"].map(|name| {
            let rows = self.results.iter().filter(|row| is_pooled(row, name));
            let count = rows.count();
            (count > 0).then(|| format!("{} in {count}", name.replace('_', ".")))
        });
        let told: Vec<String> = told.into_iter().flatten().collect();
        (!told.is_empty()).then(|| {
            format!(
                "Percentiles are medians over the rounds. Where a round has too few samples for one it is that of all rounds' samples together: {} of {} rows.",
                told.join(", "),
                self.results.len()
            )
        })
    }

    fn on_disturbances(&self) -> Option<String> {
        let quietness = &self.quietness;
        let repeated = match quietness.repeated_sessions {
            0 => "none of them could be measured once more in time".to_owned(),
            count if count == quietness.disturbed_sessions => {
                "all were measured once more, and both count".to_owned()
            }
            count => format!("{count} of them were measured once more, and both count"),
        };
        (quietness.disturbed_sessions > 0).then(|| {
            format!(
                "{} sessions lost a core to other work or to the hypervisor and are marked; {repeated}.",
                quietness.disturbed_sessions
            )
        })
    }

    /// Over which links that hold fewer messages than they were asked to the streams went.
    fn on_short_links(&self) -> Option<String> {
        let mut links = self.short_links();
        links.sort_by_key(|link| link.held);
        let (least, most) = (links.first()?, links.last()?);
        let told = if links.len() > SHORT_LINKS_MAX {
            format!(
                "{} links hold fewer messages than they were asked to, from {} to {} (JSON and CSV have all)",
                links.len(),
                least.told(),
                most.told()
            )
        } else {
            let told: Vec<String> = links.iter().map(ShortLink::told).collect();
            format!(
                "some links hold fewer messages than they were asked to: {}",
                told.join("; ")
            )
        };
        Some(format!(
            "Streams: {told}. The system or the mechanism allows no more, and a sender runs ahead less there. Round trips don't depend on it."
        ))
    }

    /// One for each contender and size.
    fn short_links(&self) -> Vec<ShortLink> {
        let has_several = self.settings.sizes.len() > 1;
        let mut links: Vec<ShortLink> = Vec::new();
        let streams = |row: &&Figures| row.stream.ns_per_message.is_some() && row.has_link();
        for row in self.results.iter().filter(streams) {
            let (Some(held), Some(asked)) = (row.capacity, row.capacity_asked) else {
                continue;
            };
            let name = if has_several {
                format!("{}, {},", row.full_name(), bytes(row.size_bytes))
            } else {
                row.full_name()
            };
            match links.iter_mut().find(|link| link.name == name) {
                Some(link) => link.held = link.held.min(held),
                None if held < asked => links.push(ShortLink { name, held, asked }),
                None => {}
            }
        }
        links
    }

    /// What went wrong on purpose.
    fn on_plants(&self) -> Vec<String> {
        let settings = &self.settings;
        let mut remarks = Vec::new();
        if settings.planted_stall_ns > 0 {
            remarks.push(format!(
                "PLANTED: each receiver did nothing for {} once in each window (--plant-stall).",
                time(settings.planted_stall_ns as f64)
            ));
        }
        if settings.planted_delay_ns > 0 {
            remarks.push(format!(
                "PLANTED: each send took {} longer (--plant-delay).",
                time(settings.planted_delay_ns as f64)
            ));
        }
        remarks
    }

    /// What closed loops don't show.
    fn on_stalls(&self) -> Option<String> {
        let measured = |times: &Times| times.samples > 0;
        let has_trips = self.results.iter().any(|row| measured(&row.round_trip_ns));
        let has_paced = self
            .results
            .iter()
            .any(|row| row.paced_ns.rate_per_second.is_some());
        match (has_trips, has_paced) {
            (true, true) => self.on_hidden_stalls(),
            (true, false) => Some(self.on_closed_loop()),
            _ => None,
        }
    }

    /// A closed loop alone.
    fn on_closed_loop(&self) -> String {
        let trips = self.results.iter().map(|row| (row, &row.round_trip_ns));
        let longest = trips
            .filter_map(|(row, times)| Some((row, times, times.max?)))
            .max_by_key(|&(.., max)| max);
        let example = longest.map_or_else(String::new, |(row, times, max)| {
            format!(
                " The longest here, {} of {}, is one sample of {}.",
                time(max as f64),
                row.full_name(),
                whole(Some(times.samples))
            )
        });
        format!(
            "Round trips are a closed loop: the next message waits for the answer, so a stall delays one sample, however many messages would \
             have been due meanwhile.{example} What they would have waited is shown by the command paced."
        )
    }

    /// Rows whose latency at a fixed rate is far above that of their round trips.
    fn on_hidden_stalls(&self) -> Option<String> {
        let mut found: Vec<(f64, String)> = self
            .results
            .iter()
            .filter(|row| !row.is_twin)
            .filter_map(hidden_stall)
            .collect();
        found.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        let both = |row: &&Figures| row.round_trip_ns.samples > 0 && row.paced_ns.times.samples > 0;
        let all = self
            .results
            .iter()
            .filter(|row| !row.is_twin)
            .filter(both)
            .count();
        let count = found.len();
        let examples: Vec<String> = found
            .into_iter()
            .take(EXAMPLES_MAX)
            .map(|(_, example)| example)
            .collect();
        (count > 0).then(|| {
            format!(
                "A closed loop hides stalls: of {all} contenders measured both ways {count} had a tail at a fixed rate far above that of their \
                 round trips, where a stall delays one sample and not all the messages that were due: {}.",
                examples.join("; ")
            )
        })
    }
}

/// A link that holds fewer messages than it was asked to.
struct ShortLink {
    name: String,
    held: usize,
    asked: usize,
}

impl ShortLink {
    /// As in `unix-dgram/park 278 of 1,024`.
    fn told(&self) -> String {
        let [held, asked] = [self.held, self.asked].map(|count| whole(Some(count as u64)));
        format!("{} {held} of {asked}", self.name)
    }
}

/// How many of those rows are faster and slower than the reference, for each figure.
fn verdicts(rows: &[&Figures]) -> Vec<String> {
    type Of = fn(&Versus) -> Option<&Comparison>;
    let figures: [(&str, Of); 3] = [
        ("in streams", |versus| versus.stream.as_ref()),
        ("in round trips", |versus| versus.round_trip.as_ref()),
        ("at a fixed rate", |versus| versus.paced.as_ref()),
    ];
    let of_figure = |(what, of): (&str, Of)| {
        let all = rows.iter().filter_map(|row| of(&row.versus_reference));
        let verdicts: Vec<Verdict> = all.map(|comparison| comparison.verdict).collect();
        let count = |(verdict, words): (Verdict, &str)| {
            let count = verdicts.iter().filter(|&&other| other == verdict).count();
            (count > 0).then(|| format!("{count} {words}"))
        };
        let counted: Vec<String> = [
            (Verdict::Faster, "faster"),
            (Verdict::Slower, "slower"),
            (
                Verdict::NoDetectableDifference,
                "without a detectable difference",
            ),
            (Verdict::TooFewRounds, "with too few rounds to tell"),
        ]
        .into_iter()
        .filter_map(count)
        .collect();
        (!counted.is_empty()).then(|| format!("{what} {}", counted.join(", ")))
    };
    figures.into_iter().filter_map(of_figure).collect()
}

/// A percentile at which a row's latency at a fixed rate is far above that of its round trips: how many times, and in words. Of several the one that
/// is commonly asked for, p99.
fn hidden_stall(row: &Figures) -> Option<(f64, String)> {
    let (open, closed) = (&row.paced_ns.times, &row.round_trip_ns);
    let shares = [
        ("p99", open.p99, closed.p99),
        ("p99.9", open.p99_9, closed.p99_9),
        ("p90", open.p90, closed.p90),
        ("p50", open.p50, closed.p50),
    ];
    let far = shares.into_iter().find_map(|(name, open, closed)| {
        let (open, closed) = (open?, closed?);
        let times = open as f64 / closed.max(1) as f64;
        let is_far = times > FAR_ABOVE && open > closed + FAR_ABOVE_NS;
        is_far.then_some((name, open, closed, times))
    });
    let (name, open, closed, times) = far?;
    let text = format!(
        "{} {name} {} against {} ({} times)",
        row.full_name(),
        time(open as f64),
        time(closed as f64),
        figure(Some(times))
    );
    Some((times, text))
}
