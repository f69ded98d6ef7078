//! The questions themselves.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::content::{Room, carries, carries_every_size, compare, message, send};
use super::ends::{
    AMPLE, Asked, FILLING, Opened, OrWrong, SHORT, Subject, begin, begin_receiving, begin_sending,
    ensure, isolated, wrong,
};
use super::{Answer, Question};
use crate::fan::Fan;
use crate::transport::{Carries, Holds, LinkError, LinkShape, Receiver, Told, Transport, names};

/// More messages than any link holds that is asked for so few.
const ENDLESS: u32 = 100_000;

/// Asks one.
pub(super) fn ask<T: Transport>(it: &Subject<'_, T>, question: Question) -> Asked<Answer> {
    let is_made_for_one_length = it.promises.carries != Carries::AnyLength;
    match question {
        Question::CarriesEverySize => carries_every_size(it),
        Question::CarriesShortOnes => carries(it, 64, 8, 600),
        Question::CarriesThroughOnePlace => carries(it, 33, 1, 200),
        _ if is_made_for_one_length && question.is_about_lengths() => Ok(Answer::NotPromised),
        Question::CarriesLongOnes => carries(it, 5000, 3, 200),
        Question::CarriesVeryLongOnes => carries(it, 150_000, 2, 60),
        Question::CarriesEmptyOnes => carries(it, 0, 4, 50),
        Question::HoldsItsCapacity => holds_its_capacity(it),
        Question::TimesOutWhileEmpty => times_out_while_empty(it),
        Question::TimesOutWhileFull => times_out_while_full(it),
        Question::TellsTheEndOfTheSender => tells_the_end_of_the_sender(it),
        Question::TellsTheEndOfTheReceiver => tells_the_end_of_the_receiver(it),
        Question::RefusesWhatIsTooLong => refuses_what_is_too_long(it),
        Question::LeavesNothingBehind => leaves_nothing_behind(it),
    }
}

impl Question {
    fn is_about_lengths(self) -> bool {
        matches!(
            self,
            Self::CarriesLongOnes | Self::CarriesVeryLongOnes | Self::CarriesEmptyOnes
        )
    }
}

/// Fills a link to what its ticket says, as far as that is promised.
fn filled<T: Transport>(it: &Subject<'_, T>, opened: &Opened, sender: &mut T::Tx) -> Asked<usize> {
    let told = opened.sender.capacity;
    let count = match it.promises.holds {
        Holds::Exactly => told,
        Holds::AboutHalf | Holds::Countless => told.div_ceil(2),
    };
    let len = opened.sender.message_len_max;
    for number in 0..count {
        let sent = send(sender, &message(number, len, false));
        sent.or_wrong(|| format!("sending message {number} of the {told} that a link holds"))?;
    }
    Ok(count)
}

fn emptied<T: Transport>(
    it: &Subject<'_, T>,
    opened: &Opened,
    receiver: &mut T::Rx,
    count: usize,
) -> Asked {
    let len_max = opened.sender.message_len_max;
    let mut room = Room::new(len_max);
    for number in 0..count {
        let len = receiver.recv(room.bytes());
        let len = len.or_wrong(|| format!("receiving message {number} of {count}"))?;
        compare(
            it,
            &room.bytes()[..len],
            &message(number, len_max, false),
            number,
        )?;
    }
    Ok(())
}

fn holds_its_capacity<T: Transport>(it: &Subject<'_, T>) -> Asked<Answer> {
    const COUNTLESS_MIN: usize = 1000;
    let (opened, _link) = it.open(it.len(100), 16)?;
    if it.promises.holds == Holds::Countless {
        let told = opened.sender.capacity;
        ensure(told > COUNTLESS_MIN, || {
            format!("it promised to count without end, and its ticket says {told}")
        })?;
        return Ok(Answer::Yes);
    }
    isolated(|| {
        let (mut sender, mut receiver) = (it.sender(&opened)?, it.receiver(&opened)?);
        begin(FILLING, &mut sender, &mut receiver)?;
        let count = filled(it, &opened, &mut sender)?;
        if it.promises.holds == Holds::Exactly {
            begin(SHORT, &mut sender, &mut receiver)?;
            let more = send(&mut sender, &vec![0; opened.sender.message_len_max]);
            ensure(more.is_err(), || {
                format!("it took one more message than the {count} of its ticket")
            })?;
        }
        begin(AMPLE, &mut sender, &mut receiver)?;
        emptied(it, &opened, &mut receiver, count)
    })?;
    Ok(Answer::Yes)
}

/// Whether this is a call that ended at its deadline, and not before.
fn timed_out<V>(result: io::Result<V>, deadline: Instant, what: &str) -> Asked {
    match result {
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            ensure(Instant::now() >= deadline, || {
                format!("{what} gave up before its deadline")
            })
        }
        Err(error) => wrong(format!("{what} should have timed out, and said: {error}")),
        Ok(_) => wrong(format!("{what} should have timed out, and returned")),
    }
}

/// How late a call may come back that has timed out; not a speed, but what tells a deadline from none.
const LATE_MAX: Duration = Duration::from_secs(20);

fn times_out_while_empty<T: Transport>(it: &Subject<'_, T>) -> Asked<Answer> {
    let (opened, _link) = it.open(it.len(64), 4)?;
    isolated(|| {
        let (mut sender, mut receiver) = (it.sender(&opened)?, it.receiver(&opened)?);
        let mut room = Room::new(opened.sender.message_len_max);
        for turn in 0..2 {
            let deadline = begin(SHORT, &mut sender, &mut receiver)?;
            timed_out(receiver.recv(room.bytes()), deadline, "receiving")?;
            ensure(deadline.elapsed() < LATE_MAX, || {
                "receiving ended long after its deadline".to_owned()
            })?;
            // The link is as good as before.
            begin(AMPLE, &mut sender, &mut receiver)?;
            let sent = message(turn, it.len(15), false);
            send(&mut sender, &sent).or_wrong(|| "sending after a timeout".to_owned())?;
            let len = receiver.recv(room.bytes());
            let len = len.or_wrong(|| "receiving after a timeout".to_owned())?;
            compare(it, &room.bytes()[..len], &sent, turn)?;
        }
        Ok(())
    })?;
    Ok(Answer::Yes)
}

fn times_out_while_full<T: Transport>(it: &Subject<'_, T>) -> Asked<Answer> {
    if it.promises.holds == Holds::Countless {
        return Ok(Answer::NotPromised);
    }
    let (opened, _link) = it.open(it.len(100), 4)?;
    isolated(|| {
        let (mut sender, mut receiver) = (it.sender(&opened)?, it.receiver(&opened)?);
        begin(FILLING, &mut sender, &mut receiver)?;
        let mut count = filled(it, &opened, &mut sender)?;
        let len = opened.sender.message_len_max;
        let deadline = begin(SHORT, &mut sender, &mut receiver)?;
        let refused = (0..ENDLESS).find_map(|_| {
            let result = send(&mut sender, &message(count, len, false));
            count += usize::from(result.is_ok());
            result.err()
        });
        let result = refused.map_or(Ok(()), Err);
        timed_out(result, deadline, "sending into a full link")?;
        ensure(deadline.elapsed() < LATE_MAX, || {
            "sending ended long after its deadline".to_owned()
        })?;
        // Nothing was lost, and what was refused is not there.
        begin(AMPLE, &mut sender, &mut receiver)?;
        emptied(it, &opened, &mut receiver, count)?;
        match send(&mut sender, &message(count, len, false)) {
            // The deadline may have cut a message in two, of which the receiver has the first half.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(error) => wrong(format!("sending after a timeout failed: {error}")),
            Ok(()) => {
                let mut room = Room::new(len);
                let got = receiver.recv(room.bytes());
                let got = got.or_wrong(|| "receiving after a timeout".to_owned())?;
                compare(it, &room.bytes()[..got], &message(count, len, false), count)
            }
        }
    })?;
    Ok(Answer::Yes)
}

fn tells_the_end_of_the_sender<T: Transport>(it: &Subject<'_, T>) -> Asked<Answer> {
    let (opened, _link) = it.open(it.len(64), 8)?;
    let len_max = opened.sender.message_len_max;
    // A limit of the user may have left less room than was asked for.
    let count = opened.sender.capacity.div_ceil(2).min(4);
    let varies = it.promises.carries == Carries::AnyLength;
    isolated(|| {
        let (mut sender, mut receiver) = (it.sender(&opened)?, it.receiver(&opened)?);
        begin(AMPLE, &mut sender, &mut receiver)?;
        for number in 0..count {
            let sent = send(&mut sender, &message(number, len_max, varies));
            sent.or_wrong(|| format!("sending message {number} of {count}"))?;
        }
        drop(sender);
        let mut room = Room::new(len_max);
        for number in 0..count {
            let len = receiver.recv(room.bytes());
            let len =
                len.or_wrong(|| format!("receiving message {number} of a sender that is gone"))?;
            compare(
                it,
                &room.bytes()[..len],
                &message(number, len_max, varies),
                number,
            )?;
        }
        let told = it.promises.end_of_sender;
        let window = if told == Told::Always { AMPLE } else { SHORT };
        begin_receiving(window, &mut receiver)?;
        let result = receiver.recv(room.bytes()).map_err(|error| error.kind());
        let is_right = match told {
            Told::Always => result == Err(io::ErrorKind::UnexpectedEof),
            Told::Never => result == Err(io::ErrorKind::TimedOut),
            Told::Maybe => [io::ErrorKind::UnexpectedEof, io::ErrorKind::TimedOut]
                .map(Err)
                .contains(&result),
            Told::AsMessages => result.is_ok(),
        };
        ensure(is_right, || {
            format!("the end of the sender is told: {told:?}; and the receiver got {result:?}")
        })
    })?;
    Ok(Answer::Yes)
}

fn tells_the_end_of_the_receiver<T: Transport>(it: &Subject<'_, T>) -> Asked<Answer> {
    if it.promises.end_of_receiver != Told::Always {
        return Ok(Answer::NotPromised);
    }
    let (opened, _link) = it.open(it.len(64), 8)?;
    let len = opened.sender.message_len_max;
    isolated(|| {
        let mut sender = it.sender(&opened)?;
        drop(it.receiver(&opened)?);
        begin_sending(AMPLE, &mut sender)?;
        let told = (0..ENDLESS).find_map(|_| send(&mut sender, &vec![7; len]).err());
        match told {
            Some(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Some(error) => wrong(format!("the end of the receiver was told as: {error}")),
            None => wrong(format!(
                "{ENDLESS} messages went to a receiver that is gone"
            )),
        }
    })?;
    Ok(Answer::Yes)
}

fn refuses_what_is_too_long<T: Transport>(it: &Subject<'_, T>) -> Asked<Answer> {
    if !it.has_content() {
        return Ok(Answer::NotPromised);
    }
    refuses_over_the_agreed_length(it)?;
    let shape = LinkShape {
        message_len_max: 1 << 33,
        variable_len: false,
        capacity: 1,
        fan: Fan::PAIR,
    };
    if it.promises.limits_length {
        match it.transport.create(&shape) {
            Err(LinkError::Unavailable(reason)) => ensure(reason.contains("8589934592"), || {
                format!(
                    "the reason why 8589934592 B are too long does not have the number: {reason}"
                )
            })?,
            Err(LinkError::Failed(error)) => {
                return wrong(format!(
                    "8589934592 B should be unavailable, and failed: {error}"
                ));
            }
            Ok(_) => return wrong("a link for messages of 8589934592 B was made"),
        }
    }
    Ok(Answer::Yes)
}

fn refuses_over_the_agreed_length<T: Transport>(it: &Subject<'_, T>) -> Asked {
    let (opened, _link) = it.open(it.len(64), 4)?;
    let len = opened.sender.message_len_max;
    let is_refused = |result: io::Result<()>, what: &str| match result {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        Err(error) => wrong(format!(
            "{what} was not refused as invalid input, but: {error}"
        )),
        Ok(()) => wrong(format!("{what} was not refused")),
    };
    isolated(|| {
        let (mut sender, mut receiver) = (it.sender(&opened)?, it.receiver(&opened)?);
        begin(AMPLE, &mut sender, &mut receiver)?;
        is_refused(
            send(&mut sender, &vec![0; len + 1]),
            &format!("a message of {} B where {len} B were agreed", len + 1),
        )?;
        // Nothing of it went out.
        let whole = message(0, len, false);
        send(&mut sender, &whole).or_wrong(|| "sending after a refusal".to_owned())?;
        let mut room = Room::new(len);
        let got = receiver.recv(room.bytes());
        let got = got.or_wrong(|| "receiving after a refusal".to_owned())?;
        compare(it, &room.bytes()[..got], &whole, 0)?;
        send(&mut sender, &whole).or_wrong(|| "sending once more".to_owned())?;
        let short = &mut room.bytes()[..len - 1];
        is_refused(
            receiver.recv(short).map(drop),
            &format!("a buffer of {} B for a message of {len} B", len - 1),
        )
    })
}

fn leaves_nothing_behind<T: Transport>(it: &Subject<'_, T>) -> Asked<Answer> {
    let (opened, link) = it.open(it.len(64), 4)?;
    let len = opened.sender.message_len_max;
    let text = opened.sender.text.clone();
    let numbers: Vec<&str> = text.split_whitespace().collect();
    isolated(|| {
        let mut sender = it.sender(&opened)?;
        let _receiver = it.receiver(&opened)?;
        begin_sending(AMPLE, &mut sender)?;
        send(&mut sender, &message(0, len, false)).or_wrong(|| "sending".to_owned())?;
        // Names are gone while the link is in use already.
        no_names()?;
        ensure(
            !it.promises.keeps_a_folder || Path::new(&text).is_dir(),
            || format!("it promised to keep the folder {text:?}, which is not there"),
        )
    })?;
    drop(link);
    ensure(
        !it.promises.keeps_a_folder || !Path::new(&text).exists(),
        || format!("the folder {text} is left"),
    )?;
    let tables = it.promises.system_v;
    if tables.is_empty() {
        return Ok(Answer::Yes);
    }
    ensure(numbers.len() == tables.len(), || {
        format!("the ticket has the identifiers {numbers:?}, and {tables:?} were promised")
    })?;
    for (number, table) in numbers.into_iter().zip(tables) {
        let path = format!("/proc/sysvipc/{table}");
        let lines = std::fs::read_to_string(&path).or_wrong(|| format!("reading {path}"))?;
        let is_left = lines
            .lines()
            .any(|line| line.split_whitespace().nth(1) == Some(number));
        ensure(!is_left, || format!("{number} is left in {path}"))?;
    }
    Ok(Answer::Yes)
}

/// Nothing with a name of this process is left; other threads have theirs only for a moment.
fn no_names() -> Asked {
    let temporary = std::env::temp_dir();
    for folder in [Path::new("/dev/shm"), Path::new("/dev/mqueue"), &temporary] {
        let ours = || -> HashSet<OsString> {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            let files = entries.map(|entry| entry.file_name());
            files
                .filter(|file| file.to_string_lossy().starts_with(&names::prefix()))
                .collect()
        };
        let mut seen = ours();
        let begun = Instant::now();
        while !seen.is_empty() && begun.elapsed() < Duration::from_secs(10) {
            thread::sleep(Duration::from_millis(1));
            let now = ours();
            seen.retain(|file| now.contains(file));
        }
        ensure(seen.is_empty(), || {
            format!(
                "{seen:?} are in {} while the link is in use",
                folder.display()
            )
        })?;
    }
    Ok(())
}
