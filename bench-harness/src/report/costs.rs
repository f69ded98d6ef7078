//! What a window cost, and for how many messages that was paid.

use super::document::{Figures, WindowFigures, WindowKind};
use crate::measure::usage::{Usage, Used};

/// Exchanges to warm up, where the results don't tell: in the versions that wrote these there were always so many.
const WARM_UP: u64 = 8;

impl Figures {
    /// The messages that were sent while the cost of one of its windows was counted. An exchange is two.
    pub(crate) fn messages_paid(&self, window: &WindowFigures) -> u64 {
        let is_pair = (self.producers, self.consumers) == (1, 1);
        let (each, beside_of_old) = match window.kind {
            WindowKind::RoundTrip => (2, WARM_UP),
            // Each consumer is told the end by a message.
            _ if !is_pair => (1, self.consumers.into()),
            _ => (1, 0),
        };
        let made = window.count + window.beside.unwrap_or(beside_of_old);
        (each * made).max(1)
    }
}

impl WindowFigures {
    /// What the sender used for the messages: none of paced ones if nobody knows how much of it was waiting until they were due. So it is
    /// in older results, of a program of the user's, and where the sender slept.
    pub(crate) fn sender_paid(&self) -> Option<Used> {
        let all = used(&self.sender);
        if self.kind != WindowKind::Paced {
            return Some(all);
        }
        let waiting = self.sender.waiting?;
        Some(Used {
            cpu_ns: all.cpu_ns.saturating_sub(waiting.cpu_ns),
            switches: all.switches.saturating_sub(waiting.switches),
        })
    }

    /// What the receiver used: it waits for the messages as its contender does.
    pub(crate) fn receiver_paid(&self) -> Used {
        used(&self.receiver)
    }

    /// What both used for the messages.
    pub(crate) fn paid(&self) -> Option<Used> {
        let mut both = self.sender_paid()?;
        both += self.receiver_paid();
        Some(both)
    }
}

fn used(usage: &Usage) -> Used {
    Used {
        cpu_ns: usage.cpu_ns,
        switches: usage.switches(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{Entry, Wanted};
    use crate::fan::Fan;
    use crate::report::figures::{figures, set_costs};
    use crate::results::{Round, Row, Status, Window};
    use crate::transport::registry::find;

    fn window(count: u64, beside: u64) -> Window {
        let usage = Usage {
            cpu_ns: 1_000,
            ..Usage::default()
        };
        Window {
            count,
            beside,
            elapsed_ns: 100,
            sender: usage,
            receiver: usage,
            ..Window::default()
        }
    }

    fn row(fan: Fan, round: Round) -> Figures {
        let pipe = find("pipe/park").unwrap();
        let mut row = Row::new(Entry::new(pipe, 64, fan, Wanted::default()));
        row.status = Status::Ok;
        row.rounds.push(round);
        figures(&[row], None, "pipe/park", 1).0.remove(0)
    }

    fn assert_costs(mut row: Figures, cpu_ns: f64) {
        assert_eq!(row.cpu_ns_per_message, Some(cpu_ns));
        row.windows[0].beside = None;
        row.cpu_ns_per_message = None;
        set_costs(&mut row);
        assert_eq!(row.cpu_ns_per_message, Some(cpu_ns), "as an older one");
    }

    #[test]
    fn the_exchanges_of_the_warm_up_are_paid_as_well() {
        let round = Round {
            exchanges: Some(window(2, 8)),
            ..Round::default()
        };
        assert_costs(row(Fan::PAIR, round), 100.0);
    }

    #[test]
    fn the_messages_that_tell_the_end_are_paid_as_well() {
        let round = Round {
            drained: Some(window(2, 3)),
            ..Round::default()
        };
        let fan = Fan {
            producers: 1,
            consumers: 3,
        };
        assert_costs(row(fan, round), 400.0);
        let round = Round {
            drained: Some(window(2, 0)),
            ..Round::default()
        };
        assert_costs(row(Fan::PAIR, round), 1_000.0);
    }

    /// The sender's time on the processor, the receiver's and that of both, and the switches of both, for each of 10 paced messages.
    fn paced_costs(waiting: Option<Used>) -> [Option<f64>; 4] {
        let mut paced = window(10, 0);
        paced.sender.waiting = waiting;
        paced.sender.involuntary_switches = 6;
        paced.sender.system_calls = Some(10);
        paced.receiver.system_calls = Some(20);
        let round = Round {
            paced: Some(paced),
            ..Round::default()
        };
        let row = row(Fan::PAIR, round);
        assert_eq!(row.system_calls_per_message, Some(3.0));
        [
            row.cost.sender.cpu_ns_per_message,
            row.cost.receiver.cpu_ns_per_message,
            row.cpu_ns_per_message,
            row.context_switches_per_message,
        ]
    }

    #[test]
    fn waiting_for_the_moments_of_messages_is_no_cost_of_them() {
        let waiting = Used {
            cpu_ns: 900,
            switches: 4,
        };
        assert_eq!(
            paced_costs(Some(waiting)),
            [Some(10.0), Some(100.0), Some(110.0), Some(0.2)]
        );
    }

    #[test]
    fn where_nobody_knows_of_the_waiting_only_the_receiver_has_a_cost() {
        assert_eq!(paced_costs(None), [None, Some(100.0), None, None]);
    }
}
