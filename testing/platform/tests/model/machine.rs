//! The machine alone, with its timers to the millisecond.

use super::*;

const SIZE: u32 = 3;
/// Bytes of a piece of an MCU's image, or of a file of a module's package.
const ROOM: u32 = 2;
const TARGET: &str = "2";
/// Seconds.
const RETRY_AFTER: u32 = 1200;
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
    /// The server refuses, and wants to be left alone for longer than the library would wait by itself.
    ServerBusy,
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
    Step::ServerBusy,
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

    /// The machine without its timers, and they with the time that is left, in the order in which they come.
    fn timers(&self) -> (Machine, Vec<(Timer, u32)>) {
        let (mut machine, mut now) = (self.machine, self.now);
        let mut timers = Vec::new();
        while let Some(left) = machine.left(now) {
            now = now.wrapping_add(left);
            timers.push((machine.take_due(now).unwrap(), now.wrapping_sub(self.now)));
        }
        (machine, timers)
    }

    /// Two nodes with the same key have the same future: all of the machine wherever a field of it stands, its deadlines as time
    /// that is left.
    fn key(&self) -> u64 {
        let (machine, timers) = self.timers();
        let download = format!("{:?} {:?}", self.piece, self.fetch);
        let mut hasher = DefaultHasher::new();
        (format!("{machine:?}"), download, format!("{timers:?}"), self.heard, self.staged, self.applied)
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
                    self.machine.set_file(SIZE, &Default::default());
                    self.restart();
                }
                (Input::FirmwareInfo, Apply::Takes)
            }
            Step::BadFirmwareInfo if self.machine.awaits_url() => (Input::BadFirmwareInfo, Apply::Takes),
            Step::Head if self.fetch.is_some() => (Input::Head, Apply::Takes),
            Step::FetchFailed if downloads => (Input::FetchFailed, Apply::Takes),
            Step::ServerBusy if downloads => {
                self.machine.retry_after(RETRY_AFTER);
                (Input::FetchFailed, Apply::Takes)
            }
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
                let (_, left) = self.timers().1.into_iter().find(|(timer, _)| *timer == Timer::Overall)?;
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
                    Runs::Target if judged || self.machine.is_module_offered_again() => Input::ModuleIsTarget,
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
        let plan =
            Plan { component: "C", source: "1", target, kind: self.kind, battery: 0, space: 0, signal: 0 };
        let is_same_image = self.machine.image().is(plan.kind, plan.component, plan.target);
        let input = self.machine.take_offer(&plan, listed)?;
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
        let Offer { image, source, requirements } = *self.machine.offer();
        let (listed, remaining) = (self.machine.listed(), self.machine.remaining());
        self.machine = Machine::new();
        self.machine.restore(&Progress { image, source, requirements, ..Progress::NONE });
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
    fn take(mut self, input: Input, apply: Apply, findings: &mut Findings) -> Option<Result<Self, String>> {
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
