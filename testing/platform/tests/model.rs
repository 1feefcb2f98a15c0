//! Every way through an upgrade that a bound of steps allows, breadth first: once over the machine alone, with its
//! timers to the millisecond and every row of the table, and once over the whole agent, with every answer that an
//! application can give inside an event.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use quecota_core::image::{Image, Piece, PlanRequirements};
use quecota_core::ota::table::{EXHAUSTED, TABLE};
use quecota_core::ota::{Effect, Failure, Following, Input, Offer, OtaEvent, Row, State, Timer};
use quecota_core::platform::Range;
use quecota_core::text::Text;
use quecota_core::wire::message::ComponentKind;
use test_platform::report;

/// What the application was told of the present upgrade. 10700, then 10701, then 10703, then 10704, then the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
enum Heard {
    #[default]
    Nothing,
    Plan,
    Start,
    Staged,
    Updating,
}

impl Heard {
    /// What is heard after this code. `None`: it is out of order.
    fn and(self, code: i32) -> Option<Self> {
        use Heard::*;
        match (code, self) {
            // Again while nobody answered, and for another version after a failed download.
            (10700, Nothing | Plan | Start | Staged) => Some(Plan),
            (10707, Plan) => Some(Plan),
            (10701, Plan | Start | Staged) => Some(Start),
            (10702, Start | Staged) => Some(Start),
            (10703, Start) => Some(Staged),
            (10704, Staged) => Some(Updating),
            (10705 | 10706, Plan | Start | Staged | Updating) => Some(Nothing),
            _ => None,
        }
    }
}

mod machine {
    use super::*;

    const SIZE: u32 = 3;
    /// Bytes of a piece of an MCU's image, or of a file of a module's package.
    const ROOM: u32 = 2;
    const TARGET: &str = "2";
    /// With fewer failures to its end than the library's, so that every state can be walked.
    type Machine = quecota_core::ota::Machine<3, 2>;
    /// Steps of the clock alone that end any upgrade: a day of asking for the plan every ten minutes, and some.
    const CLOCK_STEPS: usize = 200;

    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Step {
        /// 0x0111 for this target; of so many plans, 0: no list.
        Plan(&'static str, u8),
        FirmwareInfo,
        BadFirmwareInfo,
        Head,
        FetchFailed,
        /// The staging area cannot take the byte that came, and never will.
        DiskFull,
        RangeEnded,
        /// One byte; with the last one the digests match, or do not.
        Byte(Digests),
        /// Nothing that counts comes, though no stall either, until the fetch has taken too long.
        Trickle,
        Action(u8),
        Read,
        Version(&'static str),
        /// The next deadline comes; the platform's apply then takes an image, or does not.
        Clock(Apply),
        Subscribed(Runs),
        Reboot,
        Cancel,
        MoreTime,
        Allowed,
        RestartedTooOften,
    }

    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Digests {
        Match,
        Differ,
    }

    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Apply {
        Takes,
        Refuses,
        /// The application holds the image back.
        Held,
    }

    /// What the module runs after a reboot.
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Runs {
        Target,
        Other,
    }

    const STEPS: &[Step] = &[
        Step::Plan(TARGET, 0),
        Step::Plan(TARGET, 2),
        Step::Plan("3", 0),
        Step::FirmwareInfo,
        Step::BadFirmwareInfo,
        Step::Head,
        Step::FetchFailed,
        Step::DiskFull,
        Step::RangeEnded,
        Step::Byte(Digests::Match),
        Step::Byte(Digests::Differ),
        Step::Trickle,
        Step::Action(0),
        Step::Action(1),
        Step::Action(2),
        Step::Action(3),
        Step::Read,
        Step::Version("1"),
        Step::Version(TARGET),
        Step::Version("9"),
        Step::Clock(Apply::Takes),
        Step::Clock(Apply::Refuses),
        Step::Clock(Apply::Held),
        Step::Subscribed(Runs::Target),
        Step::Subscribed(Runs::Other),
        Step::Reboot,
        Step::Cancel,
        Step::MoreTime,
        Step::Allowed,
        Step::RestartedTooOften,
    ];

    /// The machine, and as much of the agent around it as its inputs need.
    #[derive(Clone, Copy)]
    struct Node {
        machine: Machine,
        now: u32,
        heard: Heard,
        /// Bytes of the image that are staged or were taken.
        staged: u32,
        piece: Piece,
        /// What the fetch under way asked for.
        fetch: Option<Range>,
        applied: bool,
        kind: ComponentKind,
    }

    /// What a walk finds out.
    #[derive(Default)]
    pub(super) struct Findings {
        pub(super) rows: HashSet<*const Row>,
        pub(super) transitions: HashSet<(u8, u8, String)>,
    }

    impl Node {
        fn new(kind: ComponentKind) -> Self {
            let machine = Machine::new();
            Node {
                machine,
                now: 1_000,
                heard: Heard::Nothing,
                staged: 0,
                piece: Piece::default(),
                fetch: None,
                applied: false,
                kind,
            }
        }

        /// Running timers with the time that is left, in the order in which they come.
        fn timers(&self) -> Vec<(Timer, u32)> {
            let (mut machine, mut now) = (self.machine, self.now);
            let mut timers = Vec::new();
            while let Some(left) = machine.left(now) {
                now = now.wrapping_add(left);
                timers.push((machine.take_due(now).unwrap(), now.wrapping_sub(self.now)));
            }
            timers
        }

        /// Two nodes with the same key have the same future: all of the machine, its deadlines as time that is left.
        fn key(&self) -> u64 {
            let all = format!("{:?}", self.machine);
            let (all, _) = all.split_once("timers: ").unwrap();
            let download = format!("{:?} {:?}", self.piece, self.fetch);
            let mut hasher = DefaultHasher::new();
            (all, download, format!("{:?}", self.timers()), self.heard, self.staged, self.applied)
                .hash(&mut hasher);
            hasher.finish()
        }

        /// `None`: the agent does not give this input now.
        fn step(mut self, step: Step, findings: &mut Findings) -> Option<Result<Self, String>> {
            let downloads = matches!(self.machine.state(), State::DownloadStart | State::Downloading);
            let (input, apply) = match step {
                Step::Plan(target, listed) => (self.offer(target, listed)?, Apply::Takes),
                Step::FirmwareInfo => {
                    if !self.machine.awaits_url() {
                        return None;
                    }
                    if self.machine.image().size == 0 {
                        self.machine.set_image(Image { size: SIZE, ..*self.machine.image() });
                        self.restart();
                    }
                    (Input::FirmwareInfo, Apply::Takes)
                }
                Step::BadFirmwareInfo if self.machine.awaits_url() => (Input::BadFirmwareInfo, Apply::Takes),
                Step::Head if self.fetch.is_some() => (Input::Head, Apply::Takes),
                Step::FetchFailed if downloads => (Input::FetchFailed, Apply::Takes),
                Step::DiskFull if downloads => (Input::NoRoom, Apply::Takes),
                Step::RangeEnded if downloads => (Input::RangeEnded, Apply::Takes),
                Step::Byte(digests) if self.machine.state() == State::Downloading => {
                    self.staged += 1;
                    self.machine.progress(self.staged, self.now);
                    match self.complete(digests) {
                        Some(input) => (input, Apply::Takes),
                        None if digests == Digests::Match => return Some(Ok(self)),
                        None => return None,
                    }
                }
                Step::Trickle => {
                    let (_, left) = self.timers().into_iter().find(|(timer, _)| *timer == Timer::Overall)?;
                    self.now = self.now.wrapping_add(left);
                    while self.machine.take_due(self.now)? != Timer::Overall {}
                    (Input::Expired(Timer::Overall), Apply::Takes)
                }
                Step::Action(action) => (self.machine.action(action, self.following()).ok()??, Apply::Takes),
                Step::Read if self.machine.state() == State::Downloaded => {
                    self.machine.restart(Timer::Read, self.now);
                    return Some(Ok(self));
                }
                Step::Version(version) => (self.machine.version("C", version, Some("1"))?, Apply::Takes),
                Step::Clock(apply) => {
                    let left = self.machine.left(self.now)?;
                    self.now = self.now.wrapping_add(left);
                    match self.machine.take_due(self.now)? {
                        // Like any first subscribe, with what the module then runs: both are tried there.
                        Timer::Verdict => (Input::ModuleIsOther, apply),
                        Timer::ApplyDelay if apply == Apply::Held => (Input::ApplyHeld, Apply::Takes),
                        timer if apply == Apply::Takes || timer == Timer::ApplyDelay => {
                            (Input::Expired(timer), apply)
                        }
                        _ => return None,
                    }
                }
                Step::Subscribed(runs) => {
                    let judged = self.machine.awaits_verdict();
                    let input = match runs {
                        Runs::Target if judged || self.machine.is_module_offered_again() => {
                            Input::ModuleIsTarget
                        }
                        Runs::Other if judged => Input::ModuleIsOther,
                        _ => return None,
                    };
                    (input, Apply::Takes)
                }
                Step::Reboot => return Some(Ok(self.reboot())),
                Step::Cancel if !self.applied => {
                    self.machine.drop_awaited();
                    (Input::Cancel, Apply::Takes)
                }
                Step::MoreTime => (self.machine.more_time(30 * 60_000).ok()?, Apply::Takes),
                Step::Allowed if self.machine.is_held() => (Input::ApplyAllowed, Apply::Takes),
                Step::RestartedTooOften => (Input::RestartedTooOften, Apply::Takes),
                _ => return None,
            };
            self.take(input, apply, findings)
        }

        /// As the agent does with a plan.
        fn offer(&mut self, target: &str, listed: u8) -> Option<Input> {
            let image = Image {
                component: Text::of("C").unwrap(),
                kind: self.kind,
                target: Text::of(target).unwrap(),
                size: 0,
                announced: Default::default(),
            };
            let source = Text::of("1").unwrap();
            let offer = Offer { image, source, requirements: PlanRequirements::default() };
            let is_same_image = self.machine.image().is_of(&image);
            let input = self.machine.take_offer(&offer, listed)?;
            if input == Input::Plan && !is_same_image {
                self.clear();
            }
            Some(input)
        }

        fn restart(&mut self) {
            self.staged = 0;
            self.piece = self.piece_at(0);
        }

        fn piece_at(&self, start: u32) -> Piece {
            Piece { start, length: self.machine.image().size.saturating_sub(start).min(ROOM) }
        }

        fn end_of_piece(&self) -> u32 {
            self.piece.start + self.piece.length
        }

        fn following(&self) -> Following {
            let is_last = self.end_of_piece() >= self.machine.image().size;
            if is_last { Following::Nothing } else { Following::Pieces }
        }

        fn clear(&mut self) {
            self.staged = 0;
            self.applied = false;
            self.machine.clear_image();
            self.piece = Piece::default();
        }

        fn complete(&self, digests: Digests) -> Option<Input> {
            match self.following() {
                _ if self.staged < self.end_of_piece() => None,
                Following::Pieces => Some(Input::PieceStaged),
                Following::Nothing if digests == Digests::Match => Some(Input::ImageStaged),
                Following::Nothing => Some(Input::ImageCorrupt),
            }
        }

        fn reboot(mut self) -> Self {
            let before = self.machine.state();
            let state = match before {
                State::Updating if self.kind == ComponentKind::Module && !self.applied => State::PlanReceived,
                State::Updating => State::Updating,
                State::DownloadError => State::DownloadError,
                State::PlanReceived if self.machine.image().size == 0 => State::NoPlan,
                State::NoPlan => State::NoPlan,
                _ => State::PlanReceived,
            };
            let offer = *self.machine.offer();
            let (listed, remaining) = (self.machine.listed(), self.machine.remaining());
            self.machine = Machine::new();
            self.machine.restore(&offer);
            self.fetch = None;
            // Of a list, when the one before has ended.
            let is_between = before == State::NoPlan && remaining > 0;
            if state == State::NoPlan {
                self.clear();
            }
            if is_between {
                self.machine.recover(state, listed, remaining, self.now);
            } else if state != State::NoPlan {
                if self.piece.start > 0 && self.kind == ComponentKind::Mcu {
                    self.restart();
                }
                self.machine.recover(state, listed, remaining, self.now);
            }
            self.heard = match state {
                State::NoPlan if is_between => Heard::Plan,
                State::PlanReceived | State::DownloadError => Heard::Plan,
                State::Updating => Heard::Updating,
                _ => Heard::Nothing,
            };
            self
        }

        /// Takes an input and what follows at once, and checks what came of it.
        fn take(
            mut self,
            input: Input,
            apply: Apply,
            findings: &mut Findings,
        ) -> Option<Result<Self, String>> {
            let before = self.machine.state();
            // What it was the last time makes no difference, and no states of its own.
            let is_corrupt = input == Input::ImageCorrupt;
            self.machine.set_failure(if is_corrupt { Failure::WrongDigest } else { Failure::NoAnswer });
            let row = self.machine.take(input, self.now)?;
            self.machine.set_failure(Failure::NoAnswer);
            findings.rows.insert(row);
            let (from, to) = (before.number(), row.to.number());
            findings.transitions.insert((from, to, format!("{input:?}")));
            let wrong = |what: &str| Some(Err(format!("{input:?} in {before:?}: {what}")));
            let mut reported = Vec::new();
            let mut next = None;
            for effect in row.effects {
                match effect {
                    Effect::Report(state) => reported.push(*state),
                    Effect::EmitEvent(event) => {
                        let code = self.code(*event);
                        match self.heard.and(code) {
                            Some(heard) => self.heard = heard,
                            None => return wrong(&format!("{code} after {:?}", self.heard)),
                        }
                    }
                    Effect::Fetch => {
                        let start = self.staged.max(self.piece.start);
                        let length = self.end_of_piece().saturating_sub(start);
                        self.fetch = Some(Range { start, length });
                        self.machine.start_fetch(length);
                        // Both verdicts are tried where the bytes come; what is staged as a whole was judged.
                        next = self.complete(Digests::Match);
                    }
                    Effect::NextPiece => self.piece = self.piece_at(self.end_of_piece()),
                    Effect::EraseStaging => self.restart(),
                    Effect::Apply => {
                        self.applied = true;
                        match apply {
                            Apply::Takes => self.machine.wait_for_module(60_000, self.now),
                            Apply::Refuses | Apply::Held => next = Some(Input::ApplyRefused),
                        }
                    }
                    Effect::ClearUpgrade => self.clear(),
                    Effect::CancelFetch => self.fetch = None,
                    _ => {}
                }
            }
            if row.to != before && reported.last() != Some(&row.to) {
                return wrong("the new state is not the last one reported");
            }
            if row.to != before && reported.contains(&before) {
                return wrong("a state is reported that was left");
            }
            let state = self.machine.state();
            let ended = [State::Refused, State::UpdateSuccess, State::UpdateError].contains(&row.to);
            if ended && self.machine.listed() > 0 && self.machine.remaining() > 0 {
                // 10700 of the next component was told with that of the first.
                self.heard = Heard::Plan;
            }
            if state != if ended { State::NoPlan } else { row.to } {
                return wrong("the machine is not where the row says");
            }
            match next {
                Some(input) => self.take(input, apply, findings).or(Some(Ok(self))),
                None => Some(Ok(self)),
            }
        }

        fn code(&mut self, event: OtaEvent) -> i32 {
            match event {
                OtaEvent::Plans | OtaEvent::Recovered => 10700,
                OtaEvent::Start if self.machine.announce() => 10702,
                OtaEvent::Start => 10701,
                OtaEvent::Downloading => 10702,
                OtaEvent::Downloaded => 10703,
                OtaEvent::Updating => 10704,
                OtaEvent::Success => 10705,
                OtaEvent::Failure => 10706,
                OtaEvent::Answer => 10707,
            }
        }

        /// States in which nothing has to come: without a plan, and before the application's answer.
        fn rests(&self) -> bool {
            matches!(self.machine.state(), State::NoPlan | State::PlanReceived)
        }
    }

    /// Whether the clock alone brings this node to rest.
    fn is_left_by_the_clock(mut node: Node) -> Result<(), String> {
        for _ in 0..CLOCK_STEPS {
            if node.rests() {
                return Ok(());
            }
            if node.machine.left(node.now).is_none() {
                return Err(format!("{:?} of {:?} has no deadline", node.machine.state(), node.kind));
            }
            if let Some(next) = node.step(Step::Clock(Apply::Takes), &mut Findings::default()) {
                node = next?;
            } else {
                // Due, and no row takes it: the timer is off now, and another must be there.
                node.now = node.now.wrapping_add(node.machine.left(node.now).unwrap());
                node.machine.take_due(node.now);
            }
        }
        Err(format!("{:?} of {:?} is not left by the clock", node.machine.state(), node.kind))
    }

    /// Every node that can be reached: states, steps, and what was found.
    pub(super) fn walk() -> Result<(usize, usize, Findings), String> {
        let mut findings = Findings::default();
        let mut seen = HashSet::new();
        let mut queue = VecDeque::new();
        let mut steps = 0;
        for kind in [ComponentKind::Module, ComponentKind::Mcu] {
            let start = Node::new(kind);
            queue.push_back((start, Vec::new()));
        }
        while let Some((node, path)) = queue.pop_front() {
            for step in STEPS {
                let mut path: Vec<Step> = path.clone();
                path.push(*step);
                let at = |what| format!("{what}, after {path:?}");
                let Some(next) = node.step(*step, &mut findings) else { continue };
                let next = next.map_err(at)?;
                steps += 1;
                if seen.insert((next.key(), next.kind as u8)) {
                    is_left_by_the_clock(next).map_err(at)?;
                    queue.push_back((next, path));
                }
            }
        }
        Ok((seen.len(), steps, findings))
    }
}

#[test]
fn every_row_is_taken_and_no_state_is_a_trap() {
    let (nodes, steps, findings) = machine::walk().unwrap_or_else(|wrong| panic!("{wrong}"));
    for row in TABLE.iter().chain([&EXHAUSTED]) {
        assert!(findings.rows.contains(&(row as *const Row)), "never taken: {row:?}");
    }
    report::line(format_args!(
        "model of the machine: {nodes} states, {steps} steps, {} transitions, all {} rows, 0 violations",
        findings.transitions.len(),
        TABLE.len() + 1
    ));
    assert!(nodes > 1_000, "{nodes} states: is it the machine?");
}

mod agent {
    use std::cell::Cell;
    use std::rc::Rc;

    use quecota_core::agent::{FetchEnd, FetchHead, Flow};
    use quecota_core::wire::message::{Downlink, Plan, PlanNotify, Plans, Records};
    use test_platform::harness::{Harness, Serve, plan};

    use super::*;

    /// Longer than any wait but the one for a plan after a failed download: an MCU's 20 minutes.
    const LONG: u32 = 21 * 60_000;

    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Step {
        Offer,
        OfferAnother,
        OfferList,
        Url,
        UrlOfAnother,
        Head,
        WrongHead,
        Byte,
        WrongByte,
        FetchEnds,
        Clock,
        LinkLost,
        LinkBack,
        Reboot,
        /// Outside an event.
        Says(Answer),
    }

    /// What the application does, inside an event or on its own.
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Answer {
        Nothing,
        Action(u8),
        Version(&'static str),
        Read,
        Mark,
        Cancel,
    }

    const ANSWERS: &[Answer] = &[
        Answer::Action(0),
        Answer::Action(1),
        Answer::Action(2),
        Answer::Action(3),
        Answer::Version("1"),
        Answer::Version("2"),
        Answer::Version("9"),
        Answer::Read,
        Answer::Mark,
        Answer::Cancel,
    ];

    const WORLD: &[Step] = &[
        Step::Offer,
        Step::OfferAnother,
        Step::OfferList,
        Step::Url,
        Step::UrlOfAnother,
        Step::Head,
        Step::WrongHead,
        Step::Byte,
        Step::WrongByte,
        Step::FetchEnds,
        Step::Clock,
        Step::LinkLost,
        Step::LinkBack,
        Step::Reboot,
    ];

    type Path = Vec<(Step, Answer)>;

    fn says(
        agent: &mut quecota_core::agent::Agent<'static>,
        world: &mut test_platform::mock_platform::MockPlatform,
        answer: Answer,
    ) {
        // A call that the state does not allow is refused, and that it does no harm is what is checked.
        match answer {
            Answer::Nothing => {}
            Answer::Action(action) => drop(agent.ota_action(world, action)),
            Answer::Version(version) => drop(agent.set_mcu_version(world, "MCU", version)),
            Answer::Read => drop(agent.ota_read(world, 0, &mut [0; 2])),
            Answer::Mark => drop(agent.ota_checkpoint(world, 2)),
            Answer::Cancel => drop(agent.cancel(world)),
        }
    }

    /// One life of a device, with what was seen of it.
    struct Life {
        harness: Harness,
        plan: Plan<'static>,
        answer: Rc<Cell<Answer>>,
        heard: Heard,
        /// 10700 was told for more than one component.
        listed: bool,
        /// The last step told something.
        told: bool,
        /// States that the device was seen in, ends by their events.
        seen: Vec<u8>,
        state: u8,
        /// Statuses that the platform had before the last reboot.
        reported: Vec<u8>,
        rebooted: bool,
        /// Bytes that the device took, by their place in the file.
        taken: [u8; 3],
    }

    impl Life {
        fn new(kind: ComponentKind) -> Self {
            let (mut harness, room) = (Harness::new(8192), if kind == ComponentKind::Mcu { 2 } else { 4 });
            harness.file = vec![0xA5, 0x5A, 0x3C];
            harness.world.free_space = Some(room);
            harness.agent.set_mcu_version(&mut harness.world, "MCU", "1").unwrap();
            let mut life = Life {
                harness,
                plan: Plan { kind, ..plan() },
                answer: Rc::new(Cell::new(Answer::Nothing)),
                heard: Heard::Nothing,
                listed: false,
                told: false,
                seen: Vec::new(),
                state: 0,
                reported: Vec::new(),
                rebooted: false,
                taken: [0; 3],
            };
            life.begin();
            life
        }

        /// After the power came on.
        fn begin(&mut self) {
            let answer = self.answer.clone();
            self.harness.application(move |agent, world, event| {
                if event.event == 7 {
                    says(agent, world, answer.get());
                }
            });
            self.harness.serve.extend([Serve::Silence; 64]);
            self.harness.connect();
        }

        fn state_now(&self) -> u8 {
            self.harness.agent.ota_progress().state
        }

        fn head(&self, status: u16) -> FetchHead {
            let range = self.harness.ranges.last().copied().unwrap_or(Range { start: 0, length: 1 });
            FetchHead {
                status,
                first: range.start,
                length: Some(range.length),
                total: Some(3),
                ..FetchHead::default()
            }
        }

        fn byte(&mut self, wrong: u8) {
            let at = self.harness.agent.ota_progress().received;
            let byte = self.harness.file.get(at as usize).copied().unwrap_or_default() ^ wrong;
            if self.harness.agent.on_fetch_data(&mut self.harness.world, &[byte]) == Flow::Continue {
                self.taken[at as usize] = byte;
            }
            let range = self.harness.ranges.last().copied().unwrap_or(Range { start: 0, length: 0 });
            if at + 1 == range.start + range.length {
                self.harness.agent.on_fetch_end(&mut self.harness.world, FetchEnd::Complete);
            }
        }

        fn step(mut self, step: Step, answer: Answer) -> Result<Self, String> {
            self.answer.set(answer);
            let plan = self.plan;
            match step {
                Step::Offer => self.send_if_linked(plan),
                Step::OfferAnother => self.send_if_linked(Plan { target: "3", ..plan }),
                Step::OfferList if self.harness.reachable => {
                    let plans = [plan, Plan { component: "B", ..plan }];
                    let notify = PlanNotify { handling: None, plans: Plans::List(Records::of(&plans)) };
                    self.harness.send(&Downlink::PlanNotify(notify));
                }
                Step::Url if self.harness.reachable => self.harness.give_url(plan),
                Step::UrlOfAnother if self.harness.reachable => {
                    self.harness.give_url(Plan { component: "B", ..plan });
                }
                Step::OfferList | Step::Url | Step::UrlOfAnother => {}
                Step::Head | Step::WrongHead => {
                    let head = self.head(if step == Step::Head { 206 } else { 500 });
                    let _ = self.harness.agent.on_fetch_begin(&mut self.harness.world, head);
                }
                Step::Byte => self.byte(0),
                Step::WrongByte => self.byte(1),
                Step::FetchEnds => self.harness.agent.on_fetch_end(&mut self.harness.world, FetchEnd::Failed),
                Step::Clock => {
                    let wait = self.harness.agent.poll(&mut self.harness.world).0;
                    self.harness.pass(wait.max(1));
                }
                Step::LinkLost => {
                    self.harness.reachable = false;
                    self.harness.lose_link();
                }
                Step::LinkBack => {
                    self.harness.reachable = true;
                    self.harness.pass(5_000);
                }
                Step::Reboot => {
                    self.reported.extend(self.harness.statuses());
                    self.harness = self.harness.reboot();
                    self.rebooted = true;
                    self.state = self.state_now();
                    self.heard = match self.state {
                        6 => Heard::Plan,
                        // The next component of a list was told of with the first.
                        0 if self.listed => Heard::Plan,
                        // 10704 comes again for an MCU.
                        9 => Heard::Staged,
                        _ => Heard::Nothing,
                    };
                    self.begin();
                }
                Step::Says(says_now) => says(&mut self.harness.agent, &mut self.harness.world, says_now),
            }
            self.harness.run();
            self.answer.set(Answer::Nothing);
            self.look()?;
            Ok(self)
        }

        fn send_if_linked(&mut self, plan: Plan<'_>) {
            if self.harness.reachable {
                self.harness.offer(plan);
            }
        }

        /// What was told, and where the device is.
        fn look(&mut self) -> Result<(), String> {
            let codes = self.harness.take_codes();
            self.told = !codes.is_empty();
            self.listed |= codes.iter().filter(|code| **code == 10700).count() > 1;
            for code in codes {
                self.heard = self
                    .heard
                    .and(code)
                    .ok_or_else(|| format!("event {code} after {:?} was heard", self.heard))?;
                match code {
                    10705 => self.seen.push(11),
                    10706 => self.seen.push(12),
                    _ => {}
                }
                if self.listed && self.heard == Heard::Nothing {
                    self.heard = Heard::Plan; // the next component was told of with the first
                }
            }
            let state = self.state_now();
            if state == 0 && !self.listed {
                self.heard = Heard::Nothing; // refused: no event is told for that
            }
            if state != self.state && state != 0 {
                self.seen.push(state);
            }
            self.state = state;
            let progress = self.harness.agent.ota_progress();
            let is_whole = state == 9 || (state == 8 && progress.received == progress.size);
            if is_whole && self.taken[..] != self.harness.file {
                return Err(format!("wrong bytes {:?} are in {state}", self.taken));
            }
            Ok(())
        }

        /// Lives with the same one are taken for the same.
        fn fingerprint(&mut self) -> u64 {
            let mut hasher = DefaultHasher::new();
            let wait = self.harness.agent.poll(&mut self.harness.world);
            let progress = self.harness.agent.ota_progress();
            (format!("{progress:?} {wait:?}"), self.heard, self.listed, self.harness.reachable)
                .hash(&mut hasher);
            let ranges = self.harness.ranges.last().map(|range| (range.start, range.length));
            (self.harness.agent.mcu_list(), ranges, self.harness.statuses().last()).hash(&mut hasher);
            (self.plan.kind as u8, self.harness.statuses().is_empty(), self.rebooted).hash(&mut hasher);
            hasher.finish()
        }

        /// The link comes back, the application does nothing more, and time passes: the device comes to rest, and
        /// the platform has every report, in order.
        fn ends_well(mut self) -> Result<(), String> {
            self = self.step(Step::LinkBack, Answer::Nothing)?;
            self.harness.pass(LONG);
            self.look()?;
            if ![0, 1, 6].contains(&self.state) {
                return Err(format!("still in {} after {LONG} ms", self.state));
            }
            self.reported.extend(self.harness.statuses());
            // Heartbeats are not kept over a reboot.
            let kept = |state: &&u8| !self.rebooted || **state != 5;
            let mut reported = self.reported.iter().filter(kept);
            for state in self.seen.iter().filter(kept) {
                if !reported.any(|report| report == state) {
                    return Err(format!("{state} of {:?} is not in {:?}", self.seen, self.reported));
                }
            }
            let stray = |pair: &[u8]| !self.rebooted && !may_follow(pair[0], pair[1]);
            match self.reported.windows(2).find(|pair| stray(pair)) {
                Some(pair) => Err(format!("report {} after {} in {:?}", pair[1], pair[0], self.reported)),
                None => Ok(()),
            }
        }
    }

    /// Whether the table has a way from one report to the next.
    fn may_follow(one: u8, other: u8) -> bool {
        let ended = [3, 11, 12].contains(&one);
        TABLE.iter().chain([&EXHAUSTED]).any(|row| {
            let reports: Vec<u8> = row
                .effects
                .iter()
                .filter_map(|effect| match effect {
                    Effect::Report(state) => Some(state.number()),
                    _ => None,
                })
                .collect();
            let from = row.from.iter().any(|from| from.number() == one || (ended && *from == State::NoPlan));
            (from && reports.first() == Some(&other)) || reports.windows(2).any(|pair| pair == [one, other])
        })
    }

    fn live(kind: ComponentKind, path: &Path) -> Result<Life, String> {
        path.iter().try_fold(Life::new(kind), |life, (step, answer)| life.step(*step, *answer))
    }

    /// The stations of an upgrade; the walk begins at each of them.
    fn stations(kind: ComponentKind) -> Vec<Path> {
        use Step::*;
        let quietly = |step| (step, Answer::Nothing);
        let begin = [(Offer, Answer::Action(1)), quietly(Url), quietly(Head), quietly(Byte)];
        let rest: &[Step] = match kind {
            ComponentKind::Module => &[Byte, Byte, Clock],
            ComponentKind::Mcu => &[Byte, Says(Answer::Action(2)), Head, Byte, Says(Answer::Action(3))],
        };
        let whole: Path = begin.into_iter().chain(rest.iter().copied().map(quietly)).collect();
        let mut stations: Vec<Path> = (0..=whole.len()).map(|steps| whole[..steps].to_vec()).collect();
        let failed: Path = begin.into_iter().chain([quietly(FetchEnds)]).collect();
        let offline: Path = begin.into_iter().chain([quietly(LinkLost)]).collect();
        let list = vec![(OfferList, Answer::Action(1)), quietly(Url)];
        stations.extend([failed, offline, list]);
        stations
    }

    /// Lives that differ, and steps that were tried: all that are so many steps away from a station, or fewer.
    pub(super) fn walk(depth: usize) -> Result<(usize, usize), String> {
        let (mut seen, mut steps, mut states) = (HashSet::new(), 0, HashSet::new());
        let mut queue = VecDeque::new();
        for kind in [ComponentKind::Module, ComponentKind::Mcu] {
            queue.extend(stations(kind).into_iter().map(|path| (kind, path, depth)));
        }
        while let Some((kind, path, left)) = queue.pop_front() {
            let mut inputs: VecDeque<(Step, Answer)> =
                WORLD.iter().map(|step| (*step, Answer::Nothing)).collect();
            inputs.extend(ANSWERS.iter().map(|answer| (Step::Says(*answer), Answer::Nothing)));
            while let Some((step, answer)) = inputs.pop_front() {
                let mut path = path.clone();
                path.push((step, answer));
                let at = |what| format!("{kind:?}: {what}, after {path:?}");
                let mut life = live(kind, &path).map_err(at)?;
                steps += 1;
                if life.told && answer == Answer::Nothing {
                    inputs.extend(ANSWERS.iter().map(|answer| (step, *answer)));
                }
                if seen.insert(life.fingerprint()) {
                    states.extend(life.seen.iter().copied());
                    life.ends_well().map_err(at)?;
                    if left > 1 {
                        queue.push_back((kind, path, left - 1));
                    }
                }
            }
        }
        for state in [1, 2, 4, 5, 6, 8, 9, 11, 12] {
            assert!(states.contains(&state), "no life was seen in {state}");
        }
        Ok((seen.len(), steps))
    }
}

#[test]
fn no_sequence_of_inputs_and_answers_breaks_the_agent() {
    /// Steps away from each station of an upgrade.
    const DEPTH: usize = 2;
    let (lives, steps) = agent::walk(DEPTH).unwrap_or_else(|wrong| panic!("{wrong}"));
    report::line(format_args!(
        "model of the agent: {lives} states, {steps} steps, {DEPTH} from each station, 0 violations"
    ));
    assert!(lives > 100, "{lives} states: is it the agent?");
}
