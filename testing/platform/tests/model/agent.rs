//! The whole agent in a world that may do anything, with an application that may call anything inside an event.

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
    /// With a handling type: the platform asks nobody.
    OfferSilent,
    Url,
    UrlOfAnother,
    Head,
    WrongHead,
    /// 503 with Retry-After.
    BusyHead,
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
    Step::OfferSilent,
    Step::Url,
    Step::UrlOfAnother,
    Step::Head,
    Step::WrongHead,
    Step::BusyHead,
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
    /// A plan came that the device confirms by itself, without 10700.
    silent: bool,
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
            silent: false,
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
            Step::OfferSilent if self.harness.reachable => {
                let notify = PlanNotify { handling: Some(1), plans: Plans::Single(plan) };
                self.harness.send(&Downlink::PlanNotify(notify));
                self.silent |= plan.kind == ComponentKind::Module;
            }
            Step::Url if self.harness.reachable => self.harness.give_url(plan),
            Step::UrlOfAnother if self.harness.reachable => {
                self.harness.give_url(Plan { component: "B", ..plan });
            }
            Step::OfferList | Step::OfferSilent | Step::Url | Step::UrlOfAnother => {}
            Step::Head | Step::WrongHead | Step::BusyHead => {
                let status = match step {
                    Step::Head => 206,
                    Step::BusyHead => 503,
                    _ => 500,
                };
                let retry_after = (step == Step::BusyHead).then_some(600);
                let head = FetchHead { retry_after, ..self.head(status) };
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
            let is_confirmed = self.silent && self.heard == Heard::Nothing;
            let before = if is_confirmed { Heard::Plan } else { self.heard };
            self.heard =
                before.and(code).ok_or_else(|| format!("event {code} after {:?} was heard", self.heard))?;
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
        (format!("{progress:?} {wait:?}"), self.heard, self.listed, self.harness.reachable).hash(&mut hasher);
        let ranges = self.harness.ranges.last().map(|range| (range.start, range.length));
        (self.harness.agent.mcu_list(), ranges, self.harness.statuses().last()).hash(&mut hasher);
        let statuses = self.harness.statuses();
        (self.plan.kind as u8, statuses.is_empty(), self.rebooted, self.silent).hash(&mut hasher);
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
        let from = row.from.iter().any(|from| from.number() == one || (ended && from == State::NoPlan));
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
