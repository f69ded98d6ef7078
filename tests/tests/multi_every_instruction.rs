//! A producer or a consumer of a ring of several that is killed, or stopped, at every instruction of what it does.
//!
//! An instruction that does not change the segment leaves to the others what the one before it left. So the victim meets its fate after each one that does, and
//! here and there in between: at a few places in the short form, at a thousand in the long one.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use integration_tests::children::Peer;
use integration_tests::crowd::numbered::{EARLIER, Numbered};
use integration_tests::forms::Form;
use integration_tests::names::Name;
use integration_tests::stepper::{Step, Stepper, stay_on_one_processor};
use integration_tests::{long, ring_peer, short_or_long, skip_aloud, watchdog};
use memmap2::{MmapOptions, MmapRaw};
use shm_ringbuf::{Config, RecvError, Role, SendError, multi};

/// How long the others may need for what they are promised: a generous multiple of 100 ms.
const PROMISED: Duration = Duration::from_secs(10);
/// For a message that may never come.
const A_WHILE: Duration = Duration::from_millis(5);
/// Places of the short form.
const PLACES_MAX: usize = 6;
/// Places beside those where the segment changes.
const SAMPLES: usize = 2;
const SAMPLES_LONG: usize = 1000;
const HEADER_LEN: usize = 4096;
/// Of three cells each, where they are bytes.
const MESSAGES: usize = 21;
/// Sent before the victim comes, so that there is a lap behind them.
const BEFORE: u8 = 30;
/// In the ring when the victim begins.
const WAITING: [u8; 3] = [0, 1, 2];
/// Sent while the victim is stopped.
const MEANWHILE: std::ops::Range<u8> = 10..40;
const VICTIMS: [u8; 3] = [100, 101, 102];

/// A victim's operation.
#[derive(Clone, Copy, Debug)]
struct Scene {
    /// As the peer calls it.
    what: &'static str,
    form: Form,
    /// What it sends.
    sends: &'static [u8],
    /// It receives a message, and may have released it without having said so.
    takes: bool,
    /// It has a message in hand at the end.
    keeps: bool,
}

impl Scene {
    fn of(what: &'static str, form: Form) -> Self {
        Self {
            what,
            form,
            sends: match what {
                "send" | "claim" => &VICTIMS[..1],
                "batch" => &VICTIMS,
                _ => &[],
            },
            takes: matches!(what, "recv" | "guard"),
            keeps: matches!(what, "take" | "close-consumer"),
        }
    }
}

/// Where in the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// After so many changes of the segment.
    Change(usize),
    /// After so many instructions.
    Instruction(usize),
}

impl Place {
    /// Behind every operation.
    const END: Self = Self::Change(usize::MAX);
}

/// What becomes of the victim there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Killed,
    /// Others get on meanwhile, and then it goes on as well.
    Stopped,
}

/// How long an operation was, if it came to its end.
#[derive(Clone, Copy, Debug)]
struct Length {
    changes: usize,
    instructions: usize,
}

/// A ring with us as a producer and a consumer.
struct Stage<M: Numbered + ?Sized> {
    scene: Scene,
    name: Name,
    map: MmapRaw,
    ring: multi::Ring<M>,
    tx: multi::Producer<M>,
    rx: multi::Consumer<M>,
}

impl<M: Numbered + ?Sized> Stage<M> {
    fn new(scene: Scene) -> Self {
        let name = Name::new("every-instruction");
        let capacity = match scene.form {
            Form::Bytes => 64 * 64,
            _ => MESSAGES,
        };
        let config = Config::mpmc().capacity(capacity).cell(64).participants(4);
        let ring = config.create::<M>(name.as_str()).unwrap();
        let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
        for number in 0..BEFORE {
            M::put(&mut tx, number).unwrap();
            assert_eq!(M::get(&mut rx), Ok(number));
        }
        let file = File::options().read(true).write(true).open(name.file());
        Self {
            scene,
            map: MmapOptions::new().map_raw(&file.unwrap()).unwrap(),
            name,
            ring,
            tx,
            rx,
        }
    }

    /// A victim that is ready to begin, and the messages that wait.
    fn start_victim(&mut self) -> Peer {
        let Scene { what, form, .. } = self.scene;
        let is_consumer = matches!(what, "recv" | "guard" | "take" | "close-consumer");
        if is_consumer {
            M::put(&mut self.tx, EARLIER).unwrap();
            if what == "close-consumer" {
                M::put(&mut self.tx, WAITING[0]).unwrap();
            }
        }
        let arguments = ["step-multi", self.name.as_str(), form.argument(), what];
        let mut peer = Peer::start(ring_peer!(), &arguments);
        peer.expect("ready");
        let is_producer = !is_consumer && !what.starts_with("join");
        if is_producer {
            assert_eq!(M::get(&mut self.rx), Ok(EARLIER));
        }
        for number in &WAITING[usize::from(what == "close-consumer")..] {
            M::put(&mut self.tx, *number).unwrap();
        }
        peer
    }

    /// All behind the header, which does not change. The victim must not run meanwhile.
    #[expect(unsafe_code, reason = "the memory of a process that is stopped")]
    fn is_changed(&self, since: &mut [u8]) -> bool {
        let start = self.map.as_mut_ptr().wrapping_add(HEADER_LEN);
        // SAFETY: inside the mapping, as long as it is mapped, and nobody writes meanwhile.
        let now = unsafe { std::slice::from_raw_parts(start, since.len()) };
        let is_changed = *since != *now;
        if is_changed {
            since.copy_from_slice(now);
        }
        is_changed
    }

    /// Takes the victim to a place, or to its end if that comes before.
    fn come_to(&self, place: Place, stepper: &mut Stepper<'_>) -> Option<Length> {
        let (mut changes, mut instructions) = (0, 0);
        let mut bytes = vec![0; self.map.len() - HEADER_LEN];
        self.is_changed(&mut bytes);
        while place != Place::Change(changes) && place != Place::Instruction(instructions) {
            match stepper.step() {
                Step::Done => instructions += 1,
                Step::Asleep => {}
                Step::Mark => {
                    return Some(Length {
                        changes,
                        instructions,
                    });
                }
            }
            changes += usize::from(self.is_changed(&mut bytes));
        }
        None
    }

    /// Receives all there is until nothing more comes, each with its mark.
    fn drain(&mut self, least: usize) -> Vec<(u8, bool)> {
        self.drain_until(least, A_WHILE)
    }

    fn drain_until(&mut self, least: usize, patience: Duration) -> Vec<(u8, bool)> {
        let mut got = Vec::new();
        let end = Instant::now() + PROMISED;
        loop {
            let patience = if got.len() < least {
                PROMISED
            } else {
                patience
            };
            match M::get_ref(&mut self.rx, patience) {
                Ok(guard) => {
                    let number = M::number(&guard).expect("a whole message");
                    got.push((number, guard.redelivered()));
                }
                Err(RecvError::TimedOut | RecvError::OwnerDied | RecvError::Disconnected) => break,
                Err(other) => panic!("{other:?} after {got:?}"),
            }
            assert!(Instant::now() < end, "no end of it: {got:?}");
        }
        got
    }

    /// The ring takes and gives what it should, twice.
    fn assert_whole(&mut self) {
        let capacity = match self.scene.form {
            Form::Bytes => MESSAGES,
            _ => self.ring.capacity(),
        };
        for lap in 0..2 {
            let (mut count, mut refusals) = (0_u8, 0);
            // Now and then it looks for what the dead have left.
            while refusals < 200 {
                match M::put(&mut self.tx, count) {
                    Ok(()) => (count, refusals) = (count + 1, 0),
                    Err(SendError::Full(())) => refusals += 1,
                    Err(other) => panic!("{other:?} in lap {lap}"),
                }
            }
            assert_eq!(usize::from(count), capacity, "in lap {lap}");
            let expected: Vec<(u8, bool)> = (0..count).map(|number| (number, false)).collect();
            let got = self.drain_until(capacity, Duration::ZERO);
            assert_eq!(got, expected, "in lap {lap}");
        }
    }

    /// What is left after the victim's death.
    fn assert_survives(&mut self) {
        let scene = self.scene;
        let may_lack = usize::from(scene.takes);
        let got = self.drain(WAITING.len() - may_lack);
        let (ours, theirs): (Vec<_>, Vec<_>) =
            got.iter().copied().partition(|(number, _)| *number < 100);
        assert!(theirs.iter().all(|(_, again)| !again), "{got:?}");
        let theirs: Vec<u8> = theirs.into_iter().map(|(number, _)| number).collect();
        assert!(theirs.is_empty() || theirs == scene.sends, "{got:?}");
        let lacks_first = !ours.iter().any(|(number, _)| *number == 0);
        assert!(!lacks_first || scene.takes, "{got:?}");
        let expected = &WAITING[usize::from(lacks_first)..];
        let mut numbers: Vec<u8> = ours.iter().map(|(number, _)| *number).collect();
        let in_order = numbers == expected;
        let first_came_late = ours.iter().position(|(number, _)| *number == 0) > Some(0);
        let first_is_marked = ours.contains(&(0, true));
        assert!(in_order || first_came_late && first_is_marked, "{got:?}");
        numbers.sort_unstable();
        assert_eq!(numbers, expected, "{got:?}");
        let marked = ours.iter().filter(|(_, again)| *again).count();
        let may_be_marked = usize::from(scene.takes || scene.keeps);
        assert!(marked <= may_be_marked, "{got:?}");
        self.assert_whole();
    }

    /// Others get on while the victim is stopped.
    fn pass_by(&mut self) -> Vec<(u8, bool)> {
        let mut got = Vec::new();
        for number in MEANWHILE {
            let end = Instant::now() + PROMISED;
            loop {
                match M::put(&mut self.tx, number) {
                    Ok(()) => break,
                    Err(SendError::Full(())) => {}
                    Err(other) => panic!("{other:?}"),
                }
                assert!(Instant::now() < end, "no room for {number}");
                got.extend(self.drain_until(1, Duration::ZERO));
            }
            if number % 3 == 0 {
                got.extend(self.drain_until(1, Duration::ZERO));
            }
        }
        got.extend(self.drain(0));
        got
    }

    /// What was received in the end, by us and by the victim.
    fn assert_exactly_once(&mut self, mut got: Vec<(u8, bool)>, victim: &mut Peer) {
        let said = victim.line().unwrap_or_default();
        let nothing = ["failed: Full", "failed: Empty", "failed: TimedOut"];
        let failed = nothing.iter().any(|kind| said.starts_with(kind));
        let received = said.strip_prefix("done ").map(|n| n.parse().unwrap());
        assert!(said == "done" || received.is_some() || failed, "{said}");
        victim.close_stdin();
        assert!(victim.wait().success());
        let least = if failed { 0 } else { self.scene.sends.len() };
        let there = got.iter().filter(|(number, _)| *number >= 100).count();
        got.extend(self.drain(least - there.min(least)));
        if !self.scene.keeps {
            assert!(got.iter().all(|(_, again)| !again), "{said}: {got:?}");
            got.extend(received.map(|number| (number, false)));
        }
        let mut numbers: Vec<u8> = got.iter().map(|(number, _)| *number).collect();
        numbers.sort_unstable();
        let mut expected: Vec<u8> = WAITING.into_iter().chain(MEANWHILE).collect();
        if !failed {
            expected.extend(self.scene.sends);
        }
        assert_eq!(numbers, expected, "{said}: {got:?}");
        self.assert_whole();
    }
}

/// Plays a scene. Says how long the operation was if the place is behind its end.
fn play<M: Numbered + ?Sized>(scene: Scene, place: Place, fate: Fate) -> Option<Length> {
    let mut stage = Stage::<M>::new(scene);
    let mut victim = stage.start_victim();
    let mut stepper = Stepper::seize(&mut victim).expect("it was asked before");
    stepper.say_and_run_to_mark("go");
    let length = stage.come_to(place, &mut stepper);
    if fate == Fate::Killed && length.is_none() {
        stepper.kill();
        stage.assert_survives();
        return None;
    }
    let got = stage.pass_by();
    stepper.let_go();
    stage.assert_exactly_once(got, &mut victim);
    let living = stage.ring.participants().unwrap();
    let living = living.iter().filter(|one| one.pid == std::process::id());
    let mut roles: Vec<Role> = living.map(|one| one.role).collect();
    roles.dedup();
    assert_eq!(roles.len(), 2, "we alone are left");
    length
}

/// Plays a scene at every place that matters.
fn play_everywhere<M: Numbered + ?Sized>(scene: Scene) {
    if !may_trace::<M>(scene) {
        return;
    }
    stay_on_one_processor();
    let length = play::<M>(scene, Place::END, Fate::Stopped).expect("nothing is behind the end");
    eprintln!("{scene:?}: {length:?}");
    assert!(length.changes > 0, "it does something");
    let apart = length
        .instructions
        .div_ceil(short_or_long(SAMPLES, SAMPLES_LONG));
    let samples = (0..length.instructions).step_by(apart);
    let changes = (1..=length.changes).map(Place::Change);
    let places: Vec<Place> = changes.chain(samples.map(Place::Instruction)).collect();
    // In the short form a few of them, others each time, and one fate for each.
    let apart = places.len().div_ceil(short_or_long(PLACES_MAX, usize::MAX));
    let turn = fastrand::usize(..apart);
    for (number, place) in places.into_iter().enumerate().skip(turn).step_by(apart) {
        let fates = [Fate::Killed, Fate::Stopped];
        let only = (number / apart + turn) % 2;
        for fate in short_or_long(&fates[only..=only], &fates) {
            let fate = *fate;
            let played = catch_unwind(AssertUnwindSafe(|| play::<M>(scene, place, fate)));
            if let Err(panic) = played {
                eprintln!("{}: {fate:?} at {place:?} of {length:?}", scene.what);
                resume_unwind(panic);
            }
        }
    }
}

/// Whether the system lets us trace a child.
fn may_trace<M: Numbered + ?Sized>(scene: Scene) -> bool {
    let mut stage = Stage::<M>::new(scene);
    let mut victim = stage.start_victim();
    let answer = Stepper::seize(&mut victim).map(drop);
    if let Err(error) = answer {
        skip_aloud("every instruction", &format!("no tracing here: {error}"));
    }
    answer.is_ok()
}

macro_rules! scenes {
    ($($words:ident, $bytes:ident: $what:literal;)*) => {
        $(
            #[test]
            fn $words() {
                let _watchdog = watchdog!(120);
                play_everywhere::<u64>(Scene::of($what, Form::Word));
            }

            #[test]
            fn $bytes() {
                let _watchdog = watchdog!(120);
                // What has no message in it is the same in the other form.
                if long() || !$what.starts_with("join") {
                    play_everywhere::<[u8]>(Scene::of($what, Form::Bytes));
                }
            }
        )*
    };
}

scenes! {
    a_word_is_sent_or_not, a_message_is_sent_or_not: "send";
    a_word_is_written_in_place_or_not, a_message_is_written_in_place_or_not: "claim";
    a_word_that_is_given_up_leaves_nothing, a_message_that_is_given_up_leaves_nothing: "give-up";
    a_batch_of_words_goes_whole_or_not_at_all, a_batch_of_messages_goes_whole_or_not_at_all: "batch";
    a_word_is_received_once, a_message_is_received_once: "recv";
    a_word_is_read_in_place_and_released_once, a_message_is_read_in_place_and_released_once: "guard";
    a_word_that_is_taken_comes_again, a_message_that_is_taken_comes_again: "take";
    a_new_producer_of_words_harms_nothing, a_new_producer_of_messages_harms_nothing: "join-producer";
    a_new_consumer_of_words_harms_nothing, a_new_consumer_of_messages_harms_nothing: "join-consumer";
    a_producer_of_words_leaves_nothing_behind, a_producer_of_messages_leaves_nothing_behind: "close-producer";
    a_consumer_of_words_gives_back_what_it_had, a_consumer_of_messages_gives_back_what_it_had: "close-consumer";
}
