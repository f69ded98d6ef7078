//! What was measured, round by round, before any figure is made of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::entry::Entry;
use crate::job::{Lateness, RunKind, RunReport, SideReport};
use crate::measure::integrity::Tally;
use crate::measure::latency::Distribution;
use crate::measure::usage::Usage;
use crate::stats::median;

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It was measured.
    Ok,
    /// It can't be had on this machine.
    Unavailable,
    /// It went wrong.
    Failed,
    /// It can't keep the rate that was asked for.
    Saturated,
    /// It was interrupted before its first round ended. In the report this has failed.
    #[serde(skip)]
    Unmeasured,
}

/// A contender at a size, over all rounds.
#[derive(Debug, Clone)]
pub struct Row {
    /// Which.
    pub entry: Entry,
    /// What became of it.
    pub status: Status,
    /// Why, if it isn't `Ok`.
    pub reason: Option<String>,
    /// How many messages a link really held.
    pub capacity: Option<usize>,
    /// What became of all its messages, in and out of the windows.
    pub tally: Tally,
    /// Its rounds.
    pub rounds: Vec<Round>,
}

impl Row {
    /// Before the first round.
    pub fn new(entry: Entry) -> Self {
        Self {
            entry,
            status: Status::Unmeasured,
            reason: None,
            capacity: None,
            tally: Tally::default(),
            rounds: Vec::new(),
        }
    }

    /// No figure is told of a row that went wrong, whatever it had before.
    pub fn give_up(&mut self, status: Status, reason: String) {
        self.status = status;
        self.reason = Some(reason);
        self.rounds.clear();
    }

    /// Messages a second that are due, if they come by the clock.
    pub fn rate(&self) -> Option<u64> {
        self.entry.wanted.paced.map(|pace| pace.rate_per_second)
    }

    /// The shares by which its paced windows missed the rate, and whether the session was disturbed.
    fn shares_behind(&self) -> Vec<(f64, bool)> {
        let share = |round: &Round| {
            let lateness = round.paced.as_ref()?.lateness?;
            let share = lateness.late_ns as f64 / lateness.planned_ns.max(1) as f64;
            Some((share, round.disturbance.is_some()))
        };
        self.rounds.iter().filter_map(share).collect()
    }

    /// The share by which it missed the rate, as the median of its windows: one that was disturbed doesn't decide it.
    pub fn share_behind(&self) -> Option<f64> {
        let shares: Vec<f64> = self
            .shares_behind()
            .iter()
            .map(|&(share, _)| share)
            .collect();
        median(&shares)
    }

    /// Whether it missed the rate that was asked for by more than a hundredth, or was not asked to keep it since it had missed a lower one.
    pub fn is_saturated(&self) -> bool {
        const SHARE_MAX: f64 = 0.01;
        let is_behind = self.share_behind().is_some_and(|share| share > SHARE_MAX);
        is_behind || self.status == Status::Saturated
    }

    /// Whether it is certain to be saturated: it missed the rate by more than a tenth in every window that nobody disturbed, and these are two at
    /// least; or by more than half in the only one; or it took more than three times as long as there was in all of them, whoever disturbed it.
    pub fn is_far_behind(&self) -> bool {
        const SHARE_OF_SEVERAL: f64 = 0.1;
        const SHARE_OF_ONE: f64 = 0.5;
        const SHARE_OF_DISTURBED: f64 = 2.0;
        let shares = self.shares_behind();
        let quiet = shares.iter().filter(|(_, is_disturbed)| !is_disturbed);
        let quiet: Vec<f64> = quiet.map(|&(share, _)| share).collect();
        let share_min = if quiet.len() > 1 {
            SHARE_OF_SEVERAL
        } else {
            SHARE_OF_ONE
        };
        let is_hopeless = !shares.is_empty() && shares.iter().all(|&(s, _)| s > SHARE_OF_DISTURBED);
        is_hopeless || !quiet.is_empty() && quiet.iter().all(|&share| share > share_min)
    }

    /// Whether a further round makes sense.
    pub fn is_alive(&self) -> bool {
        matches!(self.status, Status::Ok | Status::Unmeasured)
    }
}

/// One session of a row: a round, or its repetition.
#[derive(Debug, Clone, Default)]
pub struct Round {
    /// The number of the round, from 1.
    pub number: u32,
    /// When it began, from the beginning of the campaign.
    pub began_ns: u64,
    /// The stream with the receiver drained at full speed.
    pub drained: Option<Window>,
    /// The stream with a receiver that works a little.
    pub working: Option<Window>,
    /// The round trip.
    pub exchanges: Option<Window>,
    /// The way there, by the clock.
    pub paced: Option<Window>,
    /// What disturbed it, in a few words.
    pub disturbance: Option<String>,
}

/// One window of all processes.
#[derive(Debug, Clone, Default)]
pub struct Window {
    /// Messages; in a round trip, exchanges.
    pub count: u64,
    /// How many there were beside these while the cost was counted.
    pub beside: u64,
    /// From the first send to the last verified message.
    pub elapsed_ns: u64,
    /// What it cost those who sent, or who began the exchanges.
    pub sender: Usage,
    /// What it cost those who received, or who answered.
    pub receiver: Usage,
    /// The times of the exchanges, or of the way there.
    pub times: Option<Distribution>,
    /// Whether it kept the rate, if it had one to keep.
    pub lateness: Option<Lateness>,
}

impl Window {
    /// Time for one message or one exchange.
    pub fn ns_each(&self) -> f64 {
        self.elapsed_ns as f64 / self.count.max(1) as f64
    }

    /// What it cost all processes together.
    pub fn usage(&self) -> Usage {
        let mut usage = self.sender;
        usage += self.receiver;
        usage
    }

    /// The window of the leader, with what it cost the others as well. The first ones send.
    fn of(producers: usize, runs: &[&RunReport]) -> Self {
        let sum = |runs: &[&RunReport]| {
            let mut parts = runs.iter().map(|run| run.usage);
            let mut sum = parts.next().unwrap_or_default();
            parts.for_each(|part| sum += part);
            sum
        };
        let (senders, receivers) = runs.split_at(producers.min(runs.len()));
        Self {
            count: runs.first().map_or(0, |leader| leader.messages),
            beside: runs.first().map_or(0, |leader| leader.beside),
            elapsed_ns: runs.first().map_or(0, |leader| leader.elapsed_ns),
            sender: sum(senders),
            receiver: sum(receivers),
            times: runs.iter().find_map(|run| run.times.clone()),
            lateness: runs.iter().find_map(|run| run.lateness),
        }
    }

    /// What took the cores away from it meanwhile, if it was more than a hundredth of its time.
    fn disturbance(&self) -> Option<String> {
        const SHARE_MAX: f64 = 0.01;
        let of_side = |who: &str, usage: &Usage| {
            let switches = usage.involuntary_switches;
            let share = usage
                .queued_ns
                .map(|ns| ns as f64 / self.elapsed_ns.max(1) as f64);
            // A process that was never taken off its core may still have waited for it: after each sleep.
            let is_disturbed = switches > 0 && share.is_none_or(|share| share > SHARE_MAX);
            is_disturbed.then(|| {
                let share = share.map_or_else(String::new, |share| {
                    format!(" and waited {:.1} % of the time", 100.0 * share)
                });
                format!("the {who} was taken off its core {switches} times{share}")
            })
        };
        of_side("sender", &self.sender).or_else(|| of_side("receiver", &self.receiver))
    }
}

impl Round {
    /// The windows of a session, given what its processes say, those who send first. Processes that share cores take them from each other:
    /// that is no disturbance.
    pub fn of(number: u32, producers: usize, reports: &[SideReport], is_crowded: bool) -> Self {
        let mut round = Self {
            number,
            ..Self::default()
        };
        let Some(leader) = reports.first() else {
            return round;
        };
        for (index, run) in leader.runs.iter().enumerate() {
            if !run.is_final {
                continue;
            }
            let runs: Vec<&RunReport> = reports
                .iter()
                .filter_map(|report| report.runs.get(index))
                .collect();
            let window = Some(Window::of(producers, &runs));
            match run.kind {
                RunKind::Drained => round.drained = window,
                RunKind::Working => round.working = window,
                RunKind::RoundTrip => round.exchanges = window,
                RunKind::Paced => round.paced = window,
                RunKind::Integrity => {}
            }
        }
        if !is_crowded {
            let disturbance = round.windows().find_map(Window::disturbance);
            round.disturbance = disturbance;
        }
        round
    }

    /// All its windows.
    pub fn windows(&self) -> impl Iterator<Item = &Window> {
        [&self.drained, &self.working, &self.exchanges, &self.paced]
            .into_iter()
            .flatten()
    }
}

/// How quiet the measured cores were.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
pub struct Quietness {
    /// How long all windows together lasted.
    pub windows_ns: u64,
    /// How often a side was taken off its core inside a window.
    pub involuntary_switches: u64,
    /// The share of the spinning windows during which both sides ran at least: none if there was no such window.
    pub ran_together_share: Option<f64>,
    /// Time that a hypervisor took from the two cores during the sessions, to the hundredth of a second.
    pub stolen_ns: u64,
    /// Sessions in which the measured processes lost their cores to somebody else.
    pub disturbed_sessions: u32,
    /// Those of them that were run once more. Both count.
    pub repeated_sessions: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Wanted;
    use crate::fan::Fan;
    use crate::transport::registry::find;

    /// A row whose windows missed the rate by so many thousandths; the mark says whether somebody disturbed them.
    fn row(windows: &[(u64, bool)]) -> Row {
        let pipe = find("pipe/park").unwrap();
        let mut row = Row::new(Entry::new(pipe, 64, Fan::PAIR, Wanted::default()));
        row.rounds = windows
            .iter()
            .map(|&(late_ns, is_disturbed)| Round {
                paced: Some(Window {
                    lateness: Some(Lateness {
                        planned_ns: 1_000,
                        late_ns,
                    }),
                    ..Window::default()
                }),
                disturbance: is_disturbed.then(|| "somebody".to_owned()),
                ..Round::default()
            })
            .collect();
        row
    }

    #[test]
    fn one_bad_window_is_no_saturation_but_the_most_of_them_are() {
        assert!(!row(&[(0, false), (900, false), (2, false)]).is_saturated());
        assert!(row(&[(20, false), (0, false), (12, false)]).is_saturated());
        assert!(!row(&[]).is_saturated());
    }

    #[test]
    fn higher_rates_are_given_up_only_when_it_is_certain() {
        for (windows, is_certain) in [
            (&[][..], false),
            (&[(400, false)], false),
            (&[(600, false)], true),
            // What somebody disturbed says little.
            (&[(1_500, true)], false),
            (&[(2_500, true)], true),
            (&[(2_500, true), (1_500, true)], false),
            (&[(5_000, true), (0, false)], false),
            (&[(200, false), (150, false)], true),
            (&[(600, false), (90, false)], false),
            (&[(600, false), (90, true)], true),
        ] {
            assert_eq!(row(windows).is_far_behind(), is_certain, "{windows:?}");
        }
    }
}
