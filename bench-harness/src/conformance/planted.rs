//! Transports that are wrong in one way each, to see that the question for it finds out.

use std::io;
use std::time::Instant;

use super::{Failure, Question, ask};
use crate::transport::framing::{FrameReader, FrameWriter};
use crate::transport::pipe::Pipe;
use crate::transport::{
    Class, Link, LinkError, LinkShape, Promises, Receiver, Sender, Ticket, Transport, alarm,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    LosesOne,
    SendsOneTwice,
    ChangesAByte,
    GivesUpAtOnce,
    HidesTheEnd,
    CutsWhatIsTooLong,
    HoldsLessThanItSays,
    KnowsNoLimit,
    Panics,
}

/// A pipe that does almost everything right.
struct Planted(Fault);

struct Tx(FrameWriter, Fault, usize, usize);

struct Rx(FrameReader, Fault);

impl Transport for Planted {
    type Tx = Tx;
    type Rx = Rx;

    fn promises(&self) -> Promises {
        Pipe.promises()
    }

    fn create(&self, shape: &LinkShape) -> Result<Link, LinkError> {
        let known = LinkShape {
            message_len_max: if self.0 == Fault::KnowsNoLimit {
                shape.message_len_max.min(1 << 20)
            } else {
                shape.message_len_max
            },
            ..*shape
        };
        let mut link = Pipe.create(&known)?;
        if self.0 == Fault::HoldsLessThanItSays {
            link.ticket.capacity += 1;
        }
        Ok(link)
    }

    fn sender(&self, ticket: &Ticket) -> io::Result<Tx> {
        Ok(Tx(Pipe.sender(ticket)?, self.0, 0, ticket.message_len_max))
    }

    fn receiver(&self, ticket: &Ticket) -> io::Result<Rx> {
        Ok(Rx(Pipe.receiver(ticket)?, self.0))
    }
}

impl Sender for Tx {
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        self.2 += 1;
        let is_turn = self.2 == 8;
        match self.1 {
            Fault::LosesOne if is_turn => Ok(()),
            Fault::SendsOneTwice if is_turn => {
                self.0.send(message)?;
                self.0.send(message)
            }
            Fault::ChangesAByte if message.len() > 2 => {
                let mut changed = message.to_vec();
                changed[2] ^= 1;
                self.0.send(&changed)
            }
            Fault::CutsWhatIsTooLong => self.0.send(&message[..message.len().min(self.3)]),
            _ => self.0.send(message),
        }
    }

    fn begin_window(&mut self, deadline: Instant) {
        self.0.begin_window(deadline);
    }
}

impl Receiver for Rx {
    fn recv(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.1 {
            Fault::GivesUpAtOnce => Err(alarm::timed_out()),
            Fault::Panics => panic!("out of luck"),
            Fault::HidesTheEnd => self.0.recv(buffer).map_err(|_| alarm::timed_out()),
            _ => self.0.recv(buffer),
        }
    }

    fn begin_window(&mut self, deadline: Instant) {
        self.0.begin_window(deadline);
    }
}

#[test]
fn each_planted_fault_is_found_by_the_question_for_it() {
    for (fault, question, part) in [
        (Fault::LosesOne, Question::CarriesShortOnes, "message 7"),
        (
            Fault::SendsOneTwice,
            Question::CarriesShortOnes,
            "message 8",
        ),
        (
            Fault::SendsOneTwice,
            Question::CarriesEverySize,
            "message 8",
        ),
        (
            Fault::ChangesAByte,
            Question::CarriesEverySize,
            "differs at byte 2",
        ),
        (
            Fault::GivesUpAtOnce,
            Question::TimesOutWhileEmpty,
            "before its deadline",
        ),
        (
            Fault::HidesTheEnd,
            Question::TellsTheEndOfTheSender,
            "told: Always",
        ),
        (
            Fault::CutsWhatIsTooLong,
            Question::RefusesWhatIsTooLong,
            "65 B where 64 B",
        ),
        (
            Fault::HoldsLessThanItSays,
            Question::HoldsItsCapacity,
            "that a link holds",
        ),
        (
            Fault::KnowsNoLimit,
            Question::RefusesWhatIsTooLong,
            "8589934592 B was made",
        ),
        (Fault::Panics, Question::CarriesEmptyOnes, "out of luck"),
    ] {
        let Failure { problem, .. } = ask(&Planted(fault), Class::Stream, question).unwrap_err();
        assert!(problem.contains(part), "{fault:?}: {problem}");
    }
}
