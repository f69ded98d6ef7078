//! A receiver behind a claim that nobody finishes, in a ring with much patience: it does not wait for longer than it was told to, and not for ever.

use std::time::{Duration, Instant};

use integration_tests::watchdog;
use shm_ringbuf::{Config, Multi, RecvError, multi};

/// Longer than any test takes.
const PATIENCE: Duration = Duration::from_secs(60);
const BRIEF: Duration = Duration::from_millis(1);
/// Brief calls in a row: on a busy machine many of them are held up by others, but not all.
const CALLS: u32 = 30;
/// What the quickest of them may take. All the looks that an attempt may take behind a claim need longer than that.
const QUICKEST_MAX: Duration = Duration::from_millis(15);
/// Cells of the largest claim.
const CELLS_MAX: usize = 1024;
const CELL: usize = 64;
/// Claims that lie one behind the other.
const CLAIMS: usize = 63;

fn patient(capacity: usize) -> Config<Multi> {
    Config::mpmc().capacity(capacity).patience(PATIENCE)
}

/// Makes the same call again and again, behind a claim that is open and before a message.
fn assert_brief<T: std::fmt::Debug + PartialEq>(mut call: impl FnMut() -> Result<T, RecvError>) {
    let took = (0..CALLS).map(|_| {
        let start = Instant::now();
        assert_eq!(call(), Err(RecvError::TimedOut));
        start.elapsed()
    });
    let quickest = took.min().unwrap();
    assert!(quickest < QUICKEST_MAX, "{quickest:?}");
}

#[test]
fn a_receiver_of_words_behind_an_unfinished_claim_keeps_its_deadline() {
    let _watchdog = watchdog!(60);
    let ring = patient(8).anonymous::<u64>().unwrap();
    let (mut stopped, mut other) = (ring.producer().unwrap(), ring.producer().unwrap());
    let mut rx = ring.consumer().unwrap();
    let claim = stopped.claim().unwrap();
    other.try_send(1).unwrap();
    assert_brief(|| rx.recv_timeout(BRIEF));
    assert_brief(|| rx.recv_deadline(Instant::now() + BRIEF));
    assert_brief(|| rx.recv_timeout(Duration::ZERO));
    assert_brief(|| rx.recv_ref_timeout(BRIEF).map(|guard| guard.read()));
    assert_brief(|| rx.recv_up_to_timeout(&mut [0; 4], BRIEF));
    drop(claim);
    assert_eq!(rx.recv(), Ok(1));
}

#[test]
fn a_receiver_of_bytes_behind_an_unfinished_claim_keeps_its_deadline() {
    let _watchdog = watchdog!(60);
    let ring = patient(4096).anonymous::<[u8]>().unwrap();
    let (mut stopped, mut other) = (ring.producer().unwrap(), ring.producer().unwrap());
    let mut rx = ring.consumer().unwrap();
    let claim = stopped.claim(200).unwrap();
    other.try_send(&[1]).unwrap();
    let mut buffer = [0; 8];
    assert_brief(|| rx.recv_timeout(&mut buffer, BRIEF));
    assert_brief(|| rx.recv_ref_timeout(BRIEF).map(|guard| guard.len()));
    drop(claim);
    assert_eq!(rx.recv(&mut buffer), Ok(1));
}

/// The moment at which a call was to end that was kept from running for a second.
fn long_ago() -> Instant {
    Instant::now().checked_sub(Duration::from_secs(1)).unwrap()
}

#[test]
fn a_call_that_comes_late_is_patient_before_it_says_that_nothing_came() {
    let _watchdog = watchdog!(60);
    let patience = Duration::from_millis(1);
    let config = Config::mpmc().patience(patience);
    let words = config.clone().capacity(8).anonymous::<u64>().unwrap();
    let (mut stopped, mut other) = (words.producer().unwrap(), words.producer().unwrap());
    let mut rx = words.consumer().unwrap();
    let mut claim = stopped.claim().unwrap();
    claim.write(2);
    other.try_send(1).unwrap();
    assert_eq!(rx.recv_deadline(long_ago()), Ok(1));
    claim.commit().unwrap();
    assert_eq!(rx.recv_deadline(long_ago()), Ok(2));
    assert_eq!(rx.recv_deadline(long_ago()), Err(RecvError::TimedOut));

    let bytes = config.capacity(4096).anonymous::<[u8]>().unwrap();
    let (mut stopped, mut other) = (bytes.producer().unwrap(), bytes.producer().unwrap());
    let mut rx = bytes.consumer().unwrap();
    let claim = stopped.claim(200).unwrap();
    other.try_send(&[1]).unwrap();
    let mut buffer = [0; 8];
    assert_eq!(rx.recv_deadline(&mut buffer, long_ago()), Ok(1));
    drop(claim);
}

#[test]
fn a_call_that_comes_late_is_not_patient_for_ever() {
    let _watchdog = watchdog!(60);
    let ring = patient(8).anonymous::<u64>().unwrap();
    let (mut stopped, mut other) = (ring.producer().unwrap(), ring.producer().unwrap());
    let mut rx = ring.consumer().unwrap();
    let claim = stopped.claim().unwrap();
    other.try_send(1).unwrap();
    assert_eq!(rx.recv_deadline(long_ago()), Err(RecvError::TimedOut));
    drop(claim);
    assert_eq!(rx.recv_deadline(long_ago()), Ok(1));
}

#[test]
fn a_batch_that_has_something_does_not_stay_behind_an_unfinished_claim() {
    let _watchdog = watchdog!(120);
    let mut quickest = Duration::MAX;
    for round in 0..CALLS {
        let ring = patient(8).participants(4).anonymous::<u64>().unwrap();
        let (mut stopped, mut other) = (ring.producer().unwrap(), ring.producer().unwrap());
        let mut rx = ring.consumer().unwrap();
        other.try_send(1).unwrap();
        let claim = stopped.claim().unwrap();
        other.try_send(2).unwrap();
        let start = Instant::now();
        let mut got = [0; 4];
        let count = match round % 2 {
            0 => rx.try_recv_up_to(&mut got),
            _ => rx.recv_up_to_timeout(&mut got, BRIEF),
        };
        quickest = quickest.min(start.elapsed());
        assert_eq!((count, got), (Ok(1), [1, 0, 0, 0]));
        drop(claim);
        assert_eq!(rx.try_recv(), Ok(2));
    }
    assert!(quickest < QUICKEST_MAX, "{quickest:?}");
}

#[test]
fn an_attempt_behind_many_unfinished_claims_comes_to_an_end() {
    let _watchdog = watchdog!(120);
    let config = patient((CLAIMS + 1) * CELLS_MAX * CELL).cell(CELL);
    let ring = config.anonymous::<[u8]>().unwrap();
    let mut stopped: Vec<multi::Producer<[u8]>> =
        (0..CLAIMS).map(|_| ring.producer().unwrap()).collect();
    let (mut other, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let claims: Vec<_> = stopped
        .iter_mut()
        .map(|tx| tx.try_claim(CELLS_MAX * CELL).unwrap())
        .collect();
    other.try_send(&[1]).unwrap();
    let mut buffer = [0; 8];
    let start = Instant::now();
    assert_eq!(rx.try_recv(&mut buffer), Err(RecvError::Empty));
    let took = start.elapsed();
    // A search of all cells at each look would take minutes.
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert!(!rx.is_empty(), "it is there all the same");
    drop(claims);
    assert_eq!(rx.recv(&mut buffer), Ok(1));
}
