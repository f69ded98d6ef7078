//! A ring under siege: its producers and consumers are killed, stopped and replaced at random instants, over and over, and others come and go. In the end a judgement of
//! the whole course shows that nothing was lost, doubled, reordered or made up, and the ring takes as much as it ever did.

use std::time::{Duration, Instant};

use integration_tests::children::{Peer, patience};
use integration_tests::crowd::ledger::Ledger;
use integration_tests::crowd::verdict::{Notes, Policy, Summary};
use integration_tests::crowd::{Receiver, Sender};
use integration_tests::forms::{Form, WaitWay};
use integration_tests::names::{Folder, Name};
use integration_tests::pattern::{Pattern, id_of};
use integration_tests::traffic::{Ending, RecvWay, SendWay};
use integration_tests::{ring_peer, short_or_long, watchdog, with_form};
use nix::sys::signal::Signal;
use shm_ringbuf::{Config, Message, Redelivery, multi};

/// Of each side, at the least.
const MEMBERS: usize = 4;
/// Of each side, with those who have joined.
const MEMBERS_MAX: usize = 6;
/// Few, so that they are taken again and again.
const SEATS: usize = 2 * MEMBERS_MAX + 4;
/// Bytes that a message takes at least.
const CELL: usize = 64;
/// Notes that a ledger has room for.
const ROOM: usize = 1 << 20;
/// Producers rest when there is no more room than this, and a little more.
const ROOM_MIN: usize = 50_000;
/// So many messages show that a stream goes on.
const SIGN_OF_LIFE: usize = 20;

/// What a siege is like.
#[derive(Clone, Copy)]
struct Plan {
    form: Form,
    wait: WaitWay,
    /// In messages or cells, as the form has it.
    capacity: usize,
    policy: Policy,
    /// Consumers receive only in ways that show a message before they release it.
    shown_before: bool,
    with_stops: bool,
}

const WORDS: Plan = Plan {
    form: Form::Word,
    wait: WaitWay::SpinPark,
    capacity: 64,
    policy: Policy::Mark,
    shown_before: true,
    with_stops: true,
};

/// A process at the ring.
struct Member {
    peer: Peer,
    actor: u32,
    ready: bool,
    stopped: bool,
}

impl Member {
    fn wait_until_ready(&mut self) {
        if !self.ready && !self.stopped {
            self.peer.expect("ready");
            self.ready = true;
        }
    }

    /// It may have said before that it was ready, but nothing of a failure.
    fn kill(&mut self) {
        self.peer.kill();
        while let Some(line) = self.peer.line() {
            assert_eq!(line, "ready");
        }
    }

    fn go_on(&mut self) {
        self.peer.signal(Signal::SIGCONT);
        self.stopped = false;
    }
}

/// The sides, as places of an array.
const PRODUCERS: usize = 0;
const CONSUMERS: usize = 1;

struct Siege {
    plan: Plan,
    name: Name,
    folder: Folder,
    ledger: Ledger,
    members: [Vec<Member>; 2],
    len_max: usize,
    actors: u32,
    random: fastrand::Rng,
    kills: usize,
    stops: usize,
}

impl Siege {
    fn new(plan: Plan, seed: u64) -> Self {
        let (name, folder) = (Name::new("crowd-siege"), Folder::new("crowd-siege"));
        let capacity = match plan.form {
            Form::Bytes => plan.capacity * CELL,
            _ => plan.capacity,
        };
        let config = Config::mpmc()
            .capacity(capacity)
            .cell(CELL)
            .wait(plan.wait.into())
            .participants(SEATS)
            .redelivery(match plan.policy {
                Policy::Mark => Redelivery::Mark,
                Policy::Drop => Redelivery::Drop,
            });
        let longest = plan.form.create_multi(&config, name.as_str()).unwrap();
        let ledger = Ledger::create(folder.entry("ledger").as_ref(), ROOM);
        Self {
            plan,
            name,
            folder,
            ledger,
            members: [Vec::new(), Vec::new()],
            len_max: longest.clamp(8, 500),
            actors: 0,
            random: fastrand::Rng::with_seed(seed),
            kills: 0,
            stops: 0,
        }
    }

    /// A new process on a side.
    fn join(&mut self, side: usize) {
        let actor = self.actors;
        self.actors += 1;
        let role = ["crowd-producer", "crowd-consumer"][side];
        let more = match side {
            CONSUMERS if self.plan.shown_before => " --shown-before",
            _ => "",
        };
        let line = format!(
            "{role} --name {} --form {} --ledger {} --actor {actor} --seed 7 --len-max {} --pauses 200 --stay{more}",
            self.name,
            self.plan.form.argument(),
            self.folder.entry("ledger"),
            self.len_max,
        );
        let arguments: Vec<&str> = line.split(' ').collect();
        let mut peer = Peer::start(ring_peer!(), &arguments);
        peer.say("go");
        self.members[side].push(Member {
            peer,
            actor,
            ready: false,
            stopped: false,
        });
    }

    fn kill(&mut self, side: usize) {
        let at = self.random.usize(..self.members[side].len());
        let mut member = self.members[side].swap_remove(at);
        member.kill();
        self.ledger.actor(member.actor).was_killed();
        self.kills += 1;
        if self.members[side].len() < MEMBERS {
            self.join(side);
        }
    }

    /// Unless it would be the last but one who runs.
    fn stop(&mut self, side: usize) {
        let members = &mut self.members[side];
        let member = self.random.usize(..members.len());
        let running = members.iter().filter(|member| !member.stopped).count();
        if running > 2 && !members[member].stopped {
            members[member].peer.signal(Signal::SIGSTOP);
            members[member].stopped = true;
            self.stops += 1;
        }
    }

    fn go_on(&mut self, side: usize) {
        let members = &mut self.members[side];
        let member = self.random.usize(..members.len());
        if members[member].stopped {
            members[member].go_on();
        }
    }

    /// One who has joined leaves in good order.
    fn leave(&mut self, side: usize) {
        let stands_by = |member: &Member| member.ready && !member.stopped;
        if self.members[side].len() <= MEMBERS {
            self.join(side);
        } else if let Some(at) = self.members[side].iter().position(stands_by) {
            let mut member = self.members[side].swap_remove(at);
            member.peer.say("leave");
            assert_sound_end(side, member.peer);
        }
    }

    fn blow(&mut self) {
        let side = self.random.usize(..2);
        let blows = if self.plan.with_stops { 16 } else { 8 };
        match self.random.u8(..blows) {
            0..=4 => self.kill(side),
            5 => {
                self.kill(PRODUCERS);
                self.kill(CONSUMERS);
            }
            6 if self.members[side].len() < MEMBERS_MAX => self.join(side),
            6 | 7 => self.leave(side),
            8..=12 => self.stop(side),
            _ => self.go_on(side),
        }
    }

    /// How many may be stopped so that the others surely have cells left: a stopped process keeps what it claims or holds.
    fn stopped_max(&self) -> usize {
        match self.plan.form {
            Form::Bytes => self.plan.capacity / 64,
            _ => self.plan.capacity / 16,
        }
    }

    /// Whoever is not stopped gets on with the others.
    fn assert_goes_on(&mut self) {
        let stopped_max = self.stopped_max();
        let stopped = self.members.iter_mut().flatten();
        let stopped = stopped.filter(|member| member.stopped);
        stopped.skip(stopped_max).for_each(Member::go_on);
        let members = self.members.iter_mut().flatten();
        members.for_each(Member::wait_until_ready);
        let before = self.ledger.delivered();
        let end = Instant::now() + patience();
        while self.ledger.delivered() < before + SIGN_OF_LIFE && self.ledger.room() > ROOM_MIN {
            assert!(
                Instant::now() < end,
                "nothing goes on after {} kills and {} stops",
                self.kills,
                self.stops
            );
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    fn run(&mut self, blows: usize) {
        for _ in 0..MEMBERS {
            self.join(CONSUMERS);
            self.join(PRODUCERS);
        }
        for number in 0..blows {
            // Now and then the blow falls while they start.
            if self.random.u8(..8) != 0 {
                let members = self.members.iter_mut().flatten();
                members.for_each(Member::wait_until_ready);
            }
            let pause = self.random.u64(..3000);
            std::thread::sleep(Duration::from_micros(pause));
            self.blow();
            if number % 16 == 15 {
                self.assert_goes_on();
            }
        }
        let stopped = self.members.iter_mut().flatten();
        let stopped = stopped.filter(|member| member.stopped);
        stopped.for_each(Member::go_on);
        self.assert_goes_on();
        for side in [PRODUCERS, CONSUMERS] {
            for member in &mut self.members[side] {
                member.wait_until_ready();
                member.peer.close_stdin();
            }
            for member in self.members[side].drain(..) {
                assert_sound_end(side, member.peer);
            }
        }
    }

    fn judge(&self, seed: u64) -> Summary {
        match Notes::from(&self.ledger).judge(self.plan.policy) {
            Ok(summary) => summary,
            Err(faults) => {
                let shown = &faults[..faults.len().min(20)];
                panic!("seed {seed}: {} faults, as {shown:?}", faults.len());
            }
        }
    }
}

fn assert_sound_end(side: usize, mut peer: Peer) {
    let mut last = None;
    while let Some(line) = peer.line() {
        last = Some(line);
    }
    let last = last.unwrap_or_default();
    let is_sound = match side {
        PRODUCERS => last.starts_with("sent "),
        _ => last.starts_with("received "),
    };
    assert!(is_sound, "{last}");
    peer.finish();
}

/// The ring is empty, has ended, and takes and gives as much as a new one. Says how many messages were dropped.
fn assert_whole<M: Message + ?Sized>(name: &Name, capacity: usize) -> u64
where
    multi::Producer<M>: Sender,
    multi::Consumer<M>: Receiver,
{
    const PATIENCE: Duration = Duration::from_secs(20);
    let ring = multi::Ring::<M>::open(name.as_str()).unwrap();
    let mut consumer = ring.consumer().unwrap();
    let found = consumer.receive_messages(RecvWay::TryGuard, 1, PATIENCE, &mut |_| ());
    let has_ended = matches!(found, Err(Ending::Disconnected | Ending::OwnerDied));
    assert!(has_ended, "all was received, but {found:?}");
    let mut producer = ring.producer().unwrap();
    let pattern = Pattern::new(1, 8..=8);
    let mut next = 0;
    for lap in 0..3 {
        let first = next;
        loop {
            let sent = producer.send_messages(SendWay::Try, &pattern, &[next], PATIENCE);
            match sent {
                Ok(sent) => next += sent as u64,
                Err(Ending::Full) => break,
                Err(other) => panic!("{other} in lap {lap}"),
            }
        }
        assert_eq!((next - first) as usize, capacity, "in lap {lap}");
        for expected in first..next {
            let show = &mut |shown: integration_tests::crowd::Shown<'_>| {
                assert_eq!(id_of(shown.bytes), expected, "in lap {lap}");
                assert!(!shown.mark.unwrap().redelivered);
            };
            let got = consumer.receive_messages(RecvWay::TryGuard, 1, PATIENCE, show);
            assert_eq!(got, Ok(1), "in lap {lap}");
        }
        let found = consumer.receive_messages(RecvWay::TryGuard, 1, PATIENCE, &mut |_| ());
        assert_eq!(found, Err(Ending::Empty), "in lap {lap}");
    }
    ring.dropped().unwrap()
}

fn besiege(plan: Plan) {
    for part in 0..short_or_long(1, 120) {
        let seed = fastrand::u64(..);
        eprintln!("part {part}: seed {seed}");
        let mut siege = Siege::new(plan, seed);
        siege.run(short_or_long(60, 250));
        let summary = siege.judge(seed);
        let (kills, stops) = (siege.kills, siege.stops);
        eprintln!("{kills} kills, {stops} stops: {summary:?}");
        assert!(summary.received > 200, "{summary:?} is no stream");
        let dropped = with_form!(plan.form, assert_whole(&siege.name, plan.capacity));
        let may_be_dropped = match plan.policy {
            Policy::Mark => 0..=0,
            Policy::Drop => {
                let Summary {
                    missing,
                    unseen,
                    doubtful,
                    never_came,
                    ..
                } = summary;
                missing.saturating_sub(unseen)..=missing + doubtful + never_came
            }
        };
        assert!(
            may_be_dropped.contains(&dropped),
            "{dropped} dropped, not {may_be_dropped:?}, seed {seed}"
        );
    }
}

macro_rules! sieges {
    ($($test:ident: $plan:expr;)*) => {
        $(
            #[test]
            fn $test() {
                let _watchdog = watchdog!(240);
                besiege($plan);
            }
        )*
    };
}

sieges! {
    a_crowd_at_a_ring_of_words_survives_kills: Plan { with_stops: false, ..WORDS };
    a_crowd_at_a_ring_of_words_survives_every_blow: WORDS;
    a_crowd_at_a_large_ring_of_words_survives_every_blow: Plan { capacity: 4096, ..WORDS };
    a_crowd_at_a_tiny_ring_survives_every_blow: Plan { capacity: 2, ..WORDS };
    a_crowd_at_a_ring_of_one_word_survives_every_blow: Plan { capacity: 1, wait: WaitWay::Park, ..WORDS };
    a_crowd_that_receives_in_every_way_survives_every_blow: Plan { shown_before: false, ..WORDS };
    a_crowd_at_a_ring_that_drops_survives_every_blow: Plan { policy: Policy::Drop, ..WORDS };
    a_crowd_at_a_ring_of_lines_survives_every_blow: Plan { form: Form::Line, wait: WaitWay::Park, ..WORDS };
    a_crowd_at_a_ring_of_bytes_survives_kills: Plan { form: Form::Bytes, with_stops: false, ..WORDS };
    a_crowd_at_a_ring_of_bytes_survives_every_blow: Plan { form: Form::Bytes, capacity: 256, wait: WaitWay::Park, ..WORDS };
    a_crowd_at_a_ring_of_bytes_that_drops_survives_every_blow: Plan { form: Form::Bytes, policy: Policy::Drop, capacity: 1024, ..WORDS };
    a_crowd_that_receives_bytes_in_every_way_survives_every_blow: Plan { form: Form::Bytes, shown_before: false, ..WORDS };
    a_spinning_crowd_survives_every_blow: Plan { wait: WaitWay::Spin, ..WORDS };
}
