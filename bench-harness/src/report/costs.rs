//! For how many messages the cost of a window was paid.

use super::document::{Figures, WindowFigures, WindowKind};

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{Entry, Wanted};
    use crate::fan::Fan;
    use crate::measure::usage::Usage;
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
}
