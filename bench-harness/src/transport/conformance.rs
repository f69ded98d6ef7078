//! What every mechanism of the kernel must do, asked of each one in the table.
//!
//! The two ends live in two threads of this process, with descriptors of their own, so that dropping one end is what the
//! death of its process would be.

mod contender;

use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::kernel::for_each_kernel_contender;
use super::{Class, LinkError, LinkShape, Receiver, Sender, Transport, names};
use crate::fan::Fan;
use contender::{Contender, Watchdog, begin, begin_receiving, begin_sending, isolated};

/// What a window may take that is expected to end by itself.
const AMPLE: Duration = Duration::from_secs(60);

/// A window that is expected to time out.
const SHORT: Duration = Duration::from_millis(25);

/// The message with this number: its length and all its bytes follow from the number.
fn message(number: usize, len_max: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(number as u64);
    let len = match number % 5 {
        0 => len_max,
        1 => random.usize(0..=len_max.min(3)),
        _ => random.usize(0..=len_max),
    };
    let mut bytes = vec![0; len];
    random.fill(&mut bytes);
    bytes
}

/// Sends `count` messages through a small link and compares every byte of what comes out.
fn delivers<T: Transport>(
    it: &Contender<'_, T>,
    message_len_max: usize,
    capacity: usize,
    count: usize,
) {
    let Some((_link, sender_ticket, receiver_ticket)) = it.open(message_len_max, capacity) else {
        return;
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut sender = it.transport.sender(&sender_ticket).unwrap();
            begin_sending(AMPLE, &mut sender);
            for number in 0..count {
                let sent = sender.send(&message(number, message_len_max));
                sent.unwrap_or_else(|error| panic!("{} send {number}: {error}", it.name));
            }
        });
        scope.spawn(|| {
            let mut receiver = it.transport.receiver(&receiver_ticket).unwrap();
            begin_receiving(AMPLE, &mut receiver);
            let mut buffer = vec![0; message_len_max];
            for number in 0..count {
                let len = receiver
                    .recv(&mut buffer)
                    .unwrap_or_else(|error| panic!("{} receive {number}: {error}", it.name));
                if it.class == Class::Notify {
                    assert_eq!(len, 0, "{}", it.name);
                } else {
                    let expected = message(number, message_len_max);
                    assert!(
                        buffer[..len] == expected[..],
                        "{}: message {number} differs",
                        it.name
                    );
                }
            }
            if it.ends_in_wakes() {
                return;
            }
            // Not one more than was sent.
            begin_receiving(SHORT, &mut receiver);
            let error = receiver.recv(&mut buffer).expect_err(it.name);
            let kinds = [io::ErrorKind::TimedOut, io::ErrorKind::UnexpectedEof];
            assert!(kinds.contains(&error.kind()), "{}: {error}", it.name);
        });
    });
}

/// The ways to notify that hold no more than a few.
const BOUNDED: [&str; 3] = ["signal", "semaphore-owned", "sem-sysv-undo"];

/// Fills the link to what its ticket says, and no further, then empties it.
fn holds_its_capacity<T: Transport>(it: &Contender<'_, T>) {
    const LEN: usize = 100;
    let Some((_link, sender_ticket, receiver_ticket)) = it.open(LEN, 16) else {
        return;
    };
    let is_counter = it.class == Class::Notify && !BOUNDED.contains(&it.name);
    if is_counter {
        assert!(sender_ticket.capacity > 1000, "{}", it.name);
        return;
    }
    isolated(|| {
        let mut sender = it.transport.sender(&sender_ticket).unwrap();
        let mut receiver = it.transport.receiver(&receiver_ticket).unwrap();
        let mut capacity = sender_ticket.capacity;
        assert!(capacity > 0, "{}", it.name);
        // TCP moves bytes between its two buffers, and its packets differ from one connection to the next.
        let is_exact = it.name != "tcp-loopback";
        if !is_exact {
            capacity = capacity.div_ceil(2);
        }
        begin(AMPLE, &mut sender, &mut receiver);
        for number in 0..capacity {
            let sent = sender.send(&[number as u8; LEN]);
            sent.unwrap_or_else(|error| {
                panic!("{} holds {number} of {capacity}: {error}", it.name)
            });
        }
        if is_exact {
            begin(SHORT, &mut sender, &mut receiver);
            let error = sender.send(&[0; LEN]).expect_err(it.name);
            assert_eq!(
                error.kind(),
                io::ErrorKind::TimedOut,
                "{}: {error}",
                it.name
            );
        }
        begin(AMPLE, &mut sender, &mut receiver);
        let mut buffer = [0; LEN];
        for number in 0..capacity {
            let len = receiver.recv(&mut buffer).unwrap();
            if it.class != Class::Notify {
                assert_eq!(buffer[..len], [number as u8; LEN], "{}", it.name);
            }
        }
    });
}

fn times_out_while_empty<T: Transport>(it: &Contender<'_, T>) {
    let Some((_link, sender_ticket, receiver_ticket)) = it.open(64, 4) else {
        return;
    };
    isolated(|| {
        let mut sender = it.transport.sender(&sender_ticket).unwrap();
        let mut receiver = it.transport.receiver(&receiver_ticket).unwrap();
        let mut buffer = [0; 64];
        for _ in 0..2 {
            let deadline = begin(SHORT, &mut sender, &mut receiver);
            let error = receiver.recv(&mut buffer).expect_err(it.name);
            assert_eq!(
                error.kind(),
                io::ErrorKind::TimedOut,
                "{}: {error}",
                it.name
            );
            assert!(Instant::now() >= deadline, "{} gave up early", it.name);
            // The link is as good as before.
            begin(AMPLE, &mut sender, &mut receiver);
            sender.send(b"after a timeout").expect(it.name);
            receiver.recv(&mut buffer).expect(it.name);
        }
    });
}

fn tells_that_the_sender_is_gone<T: Transport>(it: &Contender<'_, T>) {
    let Some((_link, sender_ticket, receiver_ticket)) = it.open(64, 8) else {
        return;
    };
    isolated(|| {
        let mut sender = it.transport.sender(&sender_ticket).unwrap();
        let mut receiver = it.transport.receiver(&receiver_ticket).unwrap();
        begin(AMPLE, &mut sender, &mut receiver);
        let mut buffer = [0; 64];
        let mut messages = vec![&b"one"[..], b"", b"three", b""];
        // A limit of the user may have left less room than was asked for.
        messages.truncate(sender_ticket.capacity);
        for sent in &messages {
            sender.send(sent).unwrap();
        }
        drop(sender);
        for sent in messages {
            let len = receiver.recv(&mut buffer).unwrap();
            if it.class != Class::Notify {
                assert_eq!(&buffer[..len], sent, "{}", it.name);
            }
        }
        if it.ends_in_wakes() {
            begin_receiving(AMPLE, &mut receiver);
            receiver.recv(&mut buffer).unwrap();
            return;
        }
        let window = if it.tells_receiver() { AMPLE } else { SHORT };
        begin_receiving(window, &mut receiver);
        let error = receiver.recv(&mut buffer).expect_err(it.name);
        let told = error.kind() == io::ErrorKind::UnexpectedEof;
        // Over UDP an acknowledgement may find out that nobody is there any more.
        if it.name != "udp-loopback" {
            assert_eq!(told, it.tells_receiver(), "{}: {error}", it.name);
        }
        assert!(
            told || error.kind() == io::ErrorKind::TimedOut,
            "{}: {error}",
            it.name
        );
    });
}

fn tells_that_the_receiver_is_gone<T: Transport>(it: &Contender<'_, T>) {
    if !it.tells_sender() {
        return;
    }
    let Some((_link, sender_ticket, receiver_ticket)) = it.open(64, 8) else {
        return;
    };
    isolated(|| {
        let mut sender = it.transport.sender(&sender_ticket).unwrap();
        drop(it.transport.receiver(&receiver_ticket).unwrap());
        begin_sending(AMPLE, &mut sender);
        let error = (0..100_000)
            .find_map(|_| sender.send(&[7; 64]).err())
            .expect(it.name);
        assert_eq!(
            error.kind(),
            io::ErrorKind::BrokenPipe,
            "{}: {error}",
            it.name
        );
    });
}

fn refuses_what_is_too_long<T: Transport>(it: &Contender<'_, T>) {
    if it.class == Class::Notify {
        return;
    }
    if let Some((_link, sender_ticket, receiver_ticket)) = it.open(64, 4) {
        isolated(|| {
            let mut sender = it.transport.sender(&sender_ticket).unwrap();
            let mut receiver = it.transport.receiver(&receiver_ticket).unwrap();
            begin(AMPLE, &mut sender, &mut receiver);
            let error = sender.send(&[0; 65]).expect_err(it.name);
            assert_eq!(
                error.kind(),
                io::ErrorKind::InvalidInput,
                "{}: {error}",
                it.name
            );
            // Nothing of it went out.
            sender.send(b"short").unwrap();
            let mut buffer = [0; 64];
            assert_eq!(receiver.recv(&mut buffer).unwrap(), 5, "{}", it.name);
            sender.send(&[0; 64]).unwrap();
            let error = receiver.recv(&mut buffer[..63]).expect_err(it.name);
            assert_eq!(
                error.kind(),
                io::ErrorKind::InvalidInput,
                "{}: {error}",
                it.name
            );
        });
    }
    // Those that share memory are limited by the memory alone.
    let limited = [
        "unix-dgram",
        "unix-seqpacket",
        "sysv-mq",
        "posix-mq",
        "udp-loopback",
    ];
    if it.class == Class::Stream || limited.contains(&it.name) {
        let shape = LinkShape {
            message_len_max: 1 << 33,
            variable_len: false,
            capacity: 1,
            fan: Fan::PAIR,
        };
        match it.transport.create(&shape) {
            Err(LinkError::Unavailable(reason)) => {
                assert!(reason.contains("8589934592 B"), "{}: {reason}", it.name);
            }
            other => panic!("{}: {other:?}", it.name),
        }
    }
}

fn leaves_nothing_behind<T: Transport>(it: &Contender<'_, T>) {
    let Some((link, sender_ticket, receiver_ticket)) = it.open(64, 4) else {
        return;
    };
    let numbers: Vec<String> = link
        .ticket
        .text
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    isolated(|| {
        let mut sender = it.transport.sender(&sender_ticket).unwrap();
        let _receiver = it.transport.receiver(&receiver_ticket).unwrap();
        begin_sending(AMPLE, &mut sender);
        sender.send(b"never taken").unwrap();
        // Names are gone while the link is in use already.
        assert_no_names(it.name);
    });
    drop(link);
    let tables: &[&str] = match it.name {
        "sysv-mq" => &["msg"],
        "sem-sysv" | "sem-sysv-undo" => &["sem"],
        "sysv-shm-sem" => &["sem", "shm"],
        _ => &[],
    };
    assert_eq!(numbers.len(), tables.len(), "{}: {numbers:?}", it.name);
    for (number, table) in numbers.iter().zip(tables) {
        let table = std::fs::read_to_string(format!("/proc/sysvipc/{table}")).unwrap();
        let exists = table
            .lines()
            .any(|line| line.split_whitespace().nth(1) == Some(number));
        assert!(!exists, "{}: {number} is left in\n{table}", it.name);
    }
}

/// Nothing with a name of this process is left; other tests have theirs only for a moment.
fn assert_no_names(contender: &str) {
    let temporary = std::env::temp_dir();
    for folder in [Path::new("/dev/shm"), Path::new("/dev/mqueue"), &temporary] {
        let ours = || -> Vec<_> {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            let files = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
            files
                .filter(|file| file.starts_with(&names::prefix()))
                .collect()
        };
        let mut seen = ours();
        let begun = Instant::now();
        while !seen.is_empty() && begun.elapsed() < Duration::from_secs(10) {
            thread::sleep(Duration::from_millis(1));
            let now = ours();
            seen.retain(|file| now.contains(file));
        }
        assert!(
            seen.is_empty(),
            "{contender}: {seen:?} in {}",
            folder.display()
        );
    }
}

/// What is asked of every contender.
#[derive(Clone, Copy)]
enum Question {
    Delivers {
        message_len_max: usize,
        capacity: usize,
        count: usize,
    },
    HoldsItsCapacity,
    TimesOutWhileEmpty,
    TellsThatTheSenderIsGone,
    TellsThatTheReceiverIsGone,
    RefusesWhatIsTooLong,
    LeavesNothingBehind,
}

fn conforms<T: Transport>(it: &Contender<'_, T>, question: Question) {
    match question {
        Question::Delivers {
            message_len_max,
            capacity,
            count,
        } => {
            delivers(it, message_len_max, capacity, count);
        }
        Question::HoldsItsCapacity => holds_its_capacity(it),
        Question::TimesOutWhileEmpty => times_out_while_empty(it),
        Question::TellsThatTheSenderIsGone => tells_that_the_sender_is_gone(it),
        Question::TellsThatTheReceiverIsGone => tells_that_the_receiver_is_gone(it),
        Question::RefusesWhatIsTooLong => refuses_what_is_too_long(it),
        Question::LeavesNothingBehind => leaves_nothing_behind(it),
    }
}

fn ask_every_contender(test: &'static str, question: Question) {
    let _watchdog = Watchdog::new(test);
    macro_rules! ask {
        ($(($name:literal, $class:ident, $wait:ident, $transport:path)),* $(,)?) => {
            $(
                let it = Contender { name: $name, class: Class::$class, transport: &$transport };
                conforms(&it, question);
            )*
        };
    }
    for_each_kernel_contender!(ask);
}

macro_rules! tests {
    ($($test:ident: $question:expr;)*) => {
        $(
            #[test]
            fn $test() {
                ask_every_contender(stringify!($test), $question);
            }
        )*
    };
}

tests! {
    short_messages_of_varying_length_arrive_whole_and_in_order:
        Question::Delivers { message_len_max: 64, capacity: 8, count: 2000 };
    messages_over_a_page_arrive_whole_and_in_order:
        Question::Delivers { message_len_max: 5000, capacity: 3, count: 500 };
    long_messages_arrive_whole_and_in_order:
        Question::Delivers { message_len_max: 150_000, capacity: 2, count: 60 };
    empty_messages_are_messages:
        Question::Delivers { message_len_max: 0, capacity: 4, count: 50 };
    link_of_one_message_delivers_them_all:
        Question::Delivers { message_len_max: 33, capacity: 1, count: 200 };
    link_holds_what_its_ticket_says: Question::HoldsItsCapacity;
    empty_link_times_out_at_the_deadline_and_goes_on: Question::TimesOutWhileEmpty;
    end_of_the_sender_is_told_after_its_last_message: Question::TellsThatTheSenderIsGone;
    end_of_the_receiver_is_told_to_the_sender: Question::TellsThatTheReceiverIsGone;
    message_that_is_too_long_is_refused_with_its_length: Question::RefusesWhatIsTooLong;
    link_leaves_nothing_behind: Question::LeavesNothingBehind;
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
    let names: Vec<_> = super::kernel::names()
        .into_iter()
        .map(|(name, ..)| name)
        .collect();
    assert_eq!(names, published);
}
