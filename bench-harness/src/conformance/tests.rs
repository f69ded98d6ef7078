//! Every contender is asked every question.

use std::sync::{Mutex, PoisonError};

use super::*;
use crate::transport::WaitMode;
use crate::transport::registry::contenders;

/// Held while both ends of a link spin: several such pairs on few cores keep each other from getting anywhere.
static SPINNING: Mutex<()> = Mutex::new(());

fn ask_every_contender(question: Question) {
    let mut asked = 0;
    for contender in contenders() {
        let name = contender.full_name();
        let is_spinning = contender.wait == WaitMode::Spin;
        let _alone = is_spinning.then(|| SPINNING.lock().unwrap_or_else(PoisonError::into_inner));
        match contender.mechanism.ask(contender.class, question) {
            Ok(Answer::Unavailable(reason)) => eprintln!("NOT TESTED {name}: {reason}"),
            Ok(Answer::Yes) => asked += 1,
            Ok(Answer::NotPromised) => {}
            Err(failure) => panic!("{name}: {failure}"),
        }
    }
    assert!(asked > 0, "nobody could be asked whether it {question}");
}

macro_rules! tests {
    ($($test:ident: $question:ident;)*) => {
        $(
            #[test]
            fn $test() {
                ask_every_contender(Question::$question);
            }
        )*
    };
}

tests! {
    messages_of_every_size_arrive_whole_and_in_order: CarriesEverySize;
    short_messages_of_varying_length_arrive_whole_and_in_order: CarriesShortOnes;
    messages_over_a_page_arrive_whole_and_in_order: CarriesLongOnes;
    very_long_messages_arrive_whole_and_in_order: CarriesVeryLongOnes;
    empty_messages_are_messages: CarriesEmptyOnes;
    link_of_one_message_delivers_them_all: CarriesThroughOnePlace;
    link_holds_what_its_ticket_says: HoldsItsCapacity;
    empty_link_times_out_at_the_deadline_and_goes_on: TimesOutWhileEmpty;
    full_link_times_out_at_the_deadline_and_goes_on: TimesOutWhileFull;
    end_of_the_sender_is_told_after_its_last_message: TellsTheEndOfTheSender;
    end_of_the_receiver_is_told_to_the_sender: TellsTheEndOfTheReceiver;
    message_that_is_too_long_is_refused_with_its_length: RefusesWhatIsTooLong;
    link_leaves_nothing_behind: LeavesNothingBehind;
}

#[test]
fn contenders_have_the_names_of_the_published_results() {
    let published = [
        "pipe",
        "fifo",
        "unix-stream",
        "socketpair",
        "tcp-loopback",
        "unix-dgram",
        "unix-seqpacket",
        "sysv-mq",
        "posix-mq",
        "sysv-shm-sem",
        "posix-shm-sem",
        "mmap-file",
        "udp-loopback",
        "semaphore",
        "semaphore-named",
        "semaphore-owned",
        "event-count",
        "sem-posix",
        "sem-sysv",
        "sem-sysv-undo",
        "mutex-condvar",
        "eventfd",
        "signal",
    ];
    let names: Vec<_> = crate::transport::kernel::names()
        .into_iter()
        .map(|(name, ..)| name)
        .collect();
    assert_eq!(names, published);
}
