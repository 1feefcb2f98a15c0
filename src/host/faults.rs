//! A host with injected faults, which `QUECOTA_FAULTS` selects (the feature `faults`, never in a product).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use quecota_core::agent::Agent;
use quecota_core::platform::{Delivery, FetchEnd, Level, Link, Platform, TransportEvent};
use test_platform::faults::{Fault, Faults, Faulty, Incoming, Message};

use super::HostError;
use super::adapter::{Adapter, DeviceHandle};
use super::log::Log;
use super::platform::Host;
use super::settings::Settings;
use super::signal;
use super::sink::{EventSink, Generation};

/// A message that is to come after the next comes after this long even if there is none.
const HELD_FOR: Duration = Duration::from_millis(500);
/// How often late messages are offered, and a slow fetch looks whether it is still wanted.
const TICK: Duration = Duration::from_millis(20);
/// Messages that may wait; a broker that sends more has to wait, too.
const WAITING_MAX: usize = 64;

/// A host with `faults`, each of which says on stderr when it strikes: `fault drop-link`.
pub(super) fn host(settings: Settings, faults: Faults) -> Result<Adapter<Faulty<Host>>, HostError> {
    let log = Log::new(settings.log);
    let device = Arc::new(DeviceHandle::default());
    let sink = Arc::new(FaultySink::new(faults.clone(), Arc::clone(&device)));
    let host = Host::start(settings, sink.clone())?;
    signal::spawn("quecota-faults", move || {
        loop {
            sleep(TICK);
            sink.late(Instant::now());
        }
    })?;
    log.line(Level::Warn, &format!("faults are on: {faults}"));
    Ok(Adapter::new(Faulty::new(host, faults).telling(say), device))
}

fn say(fault: Fault) {
    // At any level of QUECOTA_LOG: faults are on because somebody asked for them.
    Log::new(Level::Error).line(Level::Error, &format!("fault {}", fault.name()));
}

/// Delivers to the device what passes the faults.
pub(super) struct FaultySink {
    device: Arc<DeviceHandle>,
    /// Locked with the agent locked, or alone.
    backlog: Mutex<Backlog>,
}

/// What is on its way to the device.
struct Backlog {
    incoming: Incoming,
    /// Messages that the agent had no room for, with those that came behind them.
    waiting: VecDeque<(Generation, Message)>,
    /// The packet that [`Incoming`] holds back: of which connection, and until when.
    held: Option<(Generation, Instant)>,
}

/// What became of one event.
struct Passed {
    delivery: Delivery,
    /// Before the next may come.
    delay: Duration,
}

impl FaultySink {
    fn new(faults: Faults, device: Arc<DeviceHandle>) -> Self {
        let incoming = Incoming::new(faults).telling(say);
        let backlog = Backlog { incoming, waiting: VecDeque::new(), held: None };
        FaultySink { device, backlog: Mutex::new(backlog) }
    }

    fn backlog(&self) -> MutexGuard<'_, Backlog> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands over what has waited long enough at `now`.
    fn late(&self, now: Instant) {
        let next = self.backlog().next(now);
        if let Some(generation) = next {
            // No thread waits for the reply.
            let _ = self.device.with(&generation, |agent, platform| {
                let mut backlog = self.backlog();
                backlog.release(now);
                backlog.offer(&mut |event| agent.on_transport(platform, event));
                Delivery::Taken
            });
        }
    }
}

impl EventSink for FaultySink {
    fn deliver(&self, generation: &Generation, event: TransportEvent<'_>) -> Delivery {
        let mut delay = Duration::ZERO;
        let delivery =
            self.device.with(generation, |agent: &mut Agent<'static>, platform: &mut dyn Platform| {
                let passed = self.backlog().pass(generation, event, Instant::now(), &mut |event| {
                    agent.on_transport(platform, event)
                });
                delay = passed.delay;
                passed.delivery
            });
        // With nothing locked: only this fetch is slow.
        let end = Instant::now() + delay;
        while Instant::now() < end && generation.valid() {
            sleep(TICK.min(end.saturating_duration_since(Instant::now())));
        }
        delivery
    }
}

impl Backlog {
    /// Passes one event on to `hand`, as the faults have it.
    fn pass(
        &mut self,
        generation: &Generation,
        event: TransportEvent<'_>,
        now: Instant,
        hand: &mut dyn FnMut(TransportEvent<'_>) -> Delivery,
    ) -> Passed {
        if matches!(event, TransportEvent::Message { .. }) && self.waiting.len() >= WAITING_MAX {
            return Passed { delivery: Delivery::NoRoom, delay: Duration::ZERO };
        }
        let has_ended = matches!(
            event,
            TransportEvent::Link(Link::Lost | Link::Refused(_)) | TransportEvent::FetchEnd(_)
        );
        let is_message = matches!(event, TransportEvent::Message { .. });
        let (mut delivery, mut delay, mut passes) = (Delivery::Taken, 0, false);
        let waiting = &mut self.waiting;
        self.incoming.pass(event, &mut |after, event| {
            (delay, passes) = (delay + after, true);
            if let TransportEvent::Message { topic, payload } = event {
                return waiting.push_back((
                    generation.clone(),
                    Message { topic: topic.into(), payload: payload.into() },
                ));
            }
            if matches!(event, TransportEvent::Link(Link::Lost | Link::Refused(_))) {
                waiting.clear();
            }
            let ends = matches!(
                event,
                TransportEvent::Link(Link::Lost) | TransportEvent::FetchEnd(FetchEnd::Failed)
            );
            if hand(event) == Delivery::Stop || (ends && !has_ended) {
                delivery = Delivery::Stop;
            }
        });
        // A message that does not come at once is held back; whatever else comes lets it go.
        self.held = match is_message && !passes {
            true => Some((generation.clone(), now + HELD_FOR)),
            false
                if matches!(
                    event,
                    TransportEvent::Message { .. } | TransportEvent::Sent { .. } | TransportEvent::Link(_)
                ) =>
            {
                None
            }
            false => self.held.take(),
        };
        self.offer(hand);
        Passed { delivery, delay: Duration::from_millis(delay.into()) }
    }

    /// Of which connection something is to be handed over at `now`.
    fn next(&mut self, now: Instant) -> Option<Generation> {
        self.waiting.retain(|(generation, _)| generation.valid());
        let held = self.held.as_ref().filter(|(_, until)| *until <= now);
        self.waiting
            .front()
            .map(|(generation, _)| generation)
            .or(held.map(|(generation, _)| generation))
            .cloned()
    }

    /// Lets the packet that is held back go if it is time.
    fn release(&mut self, now: Instant) {
        if let Some((generation, _)) = self.held.take_if(|(_, until)| *until <= now) {
            let waiting = &mut self.waiting;
            self.incoming.release(&mut |_, event| {
                if let TransportEvent::Message { topic, payload } = event {
                    waiting.push_back((
                        generation.clone(),
                        Message { topic: topic.into(), payload: payload.into() },
                    ));
                }
            });
        }
    }

    /// Offers messages in their order as long as there is room.
    fn offer(&mut self, hand: &mut dyn FnMut(TransportEvent<'_>) -> Delivery) {
        while let Some((generation, message)) = self.waiting.front() {
            if generation.valid() && hand(message.event()) == Delivery::NoRoom {
                return;
            }
            self.waiting.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sink::GenerationCounter;
    use super::*;

    /// A sink with faults, and what the agent behind it took.
    struct Scene {
        sink: FaultySink,
        gate: GenerationCounter,
        now: Instant,
        took: Vec<String>,
        /// Messages that it has room for.
        room: usize,
    }

    impl Scene {
        fn new(faults: &str) -> Self {
            let sink = FaultySink::new(faults.parse().unwrap(), Arc::default());
            Scene { sink, gate: GenerationCounter::default(), now: Instant::now(), took: Vec::new(), room: 9 }
        }

        fn pass(&mut self, generation: &Generation, event: TransportEvent<'_>) -> Delivery {
            let Scene { sink, now, took, room, .. } = self;
            sink.backlog().pass(generation, event, *now, &mut taking(took, room)).delivery
        }

        /// What the thread does, `later`.
        fn late(&mut self, later: Duration) {
            self.now += later;
            let Scene { sink, now, took, room, .. } = self;
            let mut backlog = sink.backlog();
            if backlog.next(*now).is_some() {
                backlog.release(*now);
                backlog.offer(&mut taking(took, room));
            }
        }
    }

    fn taking<'s>(
        took: &'s mut Vec<String>,
        room: &'s mut usize,
    ) -> impl FnMut(TransportEvent<'_>) -> Delivery {
        |event| {
            if matches!(event, TransportEvent::Message { .. }) {
                if *room == 0 {
                    return Delivery::NoRoom;
                }
                *room -= 1;
            }
            took.push(format!("{event:?}"));
            Delivery::Taken
        }
    }

    fn message(payload: &[u8]) -> TransportEvent<'_> {
        TransportEvent::Message { topic: "t", payload }
    }

    fn sent(payload: &[u8]) -> String {
        format!("{:?}", message(payload))
    }

    #[test]
    fn a_packet_that_comes_twice_waits_for_room_and_keeps_its_place() {
        let mut scene = Scene::new("duplicate=100%");
        let generation = scene.gate.next();
        scene.room = 1;
        assert_eq!(scene.pass(&generation, message(b"1")), Delivery::Taken);
        assert_eq!(scene.pass(&generation, message(b"2")), Delivery::Taken);
        assert_eq!(scene.took, [sent(b"1")]);
        scene.room = 9;
        scene.late(TICK);
        assert_eq!(scene.took, [sent(b"1"), sent(b"1"), sent(b"2"), sent(b"2")]);
    }

    #[test]
    fn a_packet_that_is_to_come_after_the_next_comes_even_if_there_is_none() {
        let mut scene = Scene::new("reorder=100%");
        let generation = scene.gate.next();
        assert_eq!(scene.pass(&generation, message(b"1")), Delivery::Taken);
        scene.late(HELD_FOR / 2);
        assert!(scene.took.is_empty());
        scene.late(HELD_FOR / 2);
        assert_eq!(scene.took, [sent(b"1")]);
    }

    #[test]
    fn what_waits_is_gone_with_its_connection() {
        let mut scene = Scene::new("");
        let generation = scene.gate.next();
        scene.room = 0;
        assert_eq!(scene.pass(&generation, message(b"1")), Delivery::Taken);
        scene.gate.close();
        scene.room = 9;
        scene.late(TICK);
        assert!(scene.took.is_empty());
    }

    #[test]
    fn a_link_that_drops_and_a_body_that_is_cut_end_their_threads() {
        let mut scene = Scene::new("drop-link=100%,short=100%");
        let generation = scene.gate.next();
        assert_eq!(scene.pass(&generation, TransportEvent::Link(Link::Connected)), Delivery::Stop);
        assert_eq!(scene.pass(&generation, TransportEvent::FetchData(&[1; 9])), Delivery::Stop);
        assert_eq!(scene.took[0], format!("{:?}", TransportEvent::Link(Link::Lost)));
        assert_eq!(scene.took.last().unwrap(), &format!("{:?}", TransportEvent::FetchEnd(FetchEnd::Failed)));
    }

    #[test]
    fn a_slow_body_waits_after_each_chunk() {
        let scene = Scene::new("slow=1kB/s");
        let generation = scene.gate.next();
        let mut backlog = scene.sink.backlog();
        let passed = backlog
            .pass(&generation, TransportEvent::FetchData(&[1; 250]), scene.now, &mut |_| Delivery::Taken);
        assert_eq!(passed.delay, Duration::from_millis(250));
    }
}
