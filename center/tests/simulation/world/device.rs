//! What the simulated devices do: connect, think, send, repeat, take what comes.

use super::*;

impl World {
    pub(super) async fn live(&mut self, device: usize) -> Checked {
        if self.gadgets[device].session.is_none() {
            return self.connect(device).await;
        }
        if !self.gadgets[device].waiting.is_empty() {
            return self.send(device).await;
        }
        self.think(device);
        // Some things are said at once, others later, and then in any order.
        if self.chance.one_in(8) { Ok(()) } else { self.send(device).await }
    }

    pub(super) async fn connect(&mut self, device: usize) -> Checked {
        let armed = self.arm().await;
        let now = self.now();
        let connected = self.engine.online(self.gadgets[device].id).await;
        self.note(|| format!("d{device} connects"));
        match (connected, armed) {
            (Ok(connected), None) => {
                self.model.online(device, now);
                if !connected.messages.is_empty() {
                    return Err(format!("d{device} hears {:?} before it said a word", connected.messages));
                }
                self.gadgets[device].session = Some(connected.session);
                let versions = self.gadgets[device].versions.clone();
                let report = Packet::Report { command: Command::INFO_REPORT, versions };
                self.gadgets[device].waiting.push_front(report);
                self.compare().await
            }
            (Ok(_), Some(_)) => {
                self.model.online(device, now);
                self.crash("after a connect").await
            }
            (Err(_), Some(_)) => self.crash("during a connect").await,
            (Err(error), None) => Err(format!("connect: {error}")),
        }
    }

    pub(super) async fn disconnect(&mut self, device: usize) -> Checked {
        let Some(session) = self.gadgets[device].session.take() else { return Ok(()) };
        let now = self.now();
        self.note(|| format!("d{device} is offline"));
        self.engine.offline(self.gadgets[device].id, &session).await.map_err(|error| error.to_string())?;
        self.model.offline(device, now);
        // A vendor device keeps the last status only; ours keeps all.
        if self.chance.one_in(2)
            && let Some(last) = self.gadgets[device].waiting.pop_back()
        {
            self.gadgets[device].waiting = VecDeque::from([last]);
        }
        self.compare().await
    }

    /// What the device has to say next.
    pub(super) fn think(&mut self, device: usize) {
        let chance = &mut self.chance;
        let gadget = &mut self.gadgets[device];
        let statuses = [1, 2, 3, 4, 5, 6, 8, 9, 11, 12];
        let mut versions = None;
        let (component, status) = match &mut gadget.plan {
            _ if chance.one_in(12) => {
                gadget.waiting.push_back(Packet::Request { versions: gadget.versions.clone() });
                return;
            }
            _ if chance.one_in(25) => (chance.below(2), chance.of(&statuses)),
            Some((component, target, said)) => {
                let next = match *said {
                    0 => 1,
                    1 => chance.of(&[2, 2, 2, 2, 2, 2, 3]),
                    2 => 4,
                    4 => chance.of(&[5, 5, 5, 6]),
                    5 => chance.of(&[5, 8, 8, 8, 6]),
                    8 => chance.of(&[9, 9, 9, 4, 12]),
                    9 => chance.of(&[11, 11, 11, 11, 12]),
                    _ => 0,
                };
                *said = next;
                if next == 11 || (next == 9 && chance.one_in(8)) {
                    // Now and then it lies, or a third version runs.
                    let version = if chance.one_in(8) { "odd".to_owned() } else { target.clone() };
                    gadget.versions[*component] = version;
                }
                (*component, next)
            }
            None => (0, 0),
        };
        if status == 0 {
            gadget.plan = None;
            let what = match chance.below(3) {
                0 => Packet::Request { versions: gadget.versions.clone() },
                _ => Packet::Report { command: Command::INFO_REPORT, versions: gadget.versions.clone() },
            };
            gadget.waiting.push_back(what);
            return;
        }
        if status == 11 || status == 12 {
            versions = chance.sometimes(2, |_| gadget.versions.clone());
        }
        if matches!(status, 3 | 6 | 11 | 12) {
            gadget.plan = None;
        }
        gadget.waiting.push_back(Packet::Status { component, status, versions });
    }

    /// Sends what waits: mostly the first, now and then a later one; perhaps more than once.
    pub(super) async fn send(&mut self, device: usize) -> Checked {
        let count = self.gadgets[device].waiting.len();
        let place = if self.chance.one_in(6) { self.chance.below(count) } else { 0 };
        let Some(packet) = self.gadgets[device].waiting.remove(place) else { return Ok(()) };
        let (command, payload) = bytes(&packet);
        let frame = Frame { packet: self.gadgets[device].packet, command, payload: &payload };
        let decoded = codec::decode(&frame).expect("the engine's");
        self.gadgets[device].packet = self.gadgets[device].packet.next();
        let is_status = matches!(packet, Packet::Status { .. });
        self.note(|| format!("d{device} sends {packet:?}"));
        self.figures.packets += 1;
        let armed = self.arm().await;
        if self.planted == Mutant::AcknowledgeFirst {
            self.gadgets[device].acknowledged += i64::from(is_status);
        }
        match (self.engine.received(self.gadgets[device].id, decoded.clone()).await, armed) {
            (Ok(messages), armed) => {
                self.take(device, &packet, &messages)?;
                self.gadgets[device].counted += i64::from(is_status);
                if armed.is_some() {
                    // Committed, and the acknowledgement never sent: the device says it again.
                    self.again(device, packet);
                    return self.crash("before an answer").await;
                }
                if self.planted != Mutant::AcknowledgeFirst {
                    self.gadgets[device].acknowledged += i64::from(is_status);
                }
                self.hear(device, &messages);
            }
            (Err(_), Some(_)) => {
                if self.planted != Mutant::AcknowledgeFirst {
                    self.again(device, packet);
                }
                return self.crash("during a packet").await;
            }
            (Err(error), None) => return Err(format!("d{device}: {error}")),
        }
        while self.chance.one_in(7) {
            self.note(|| format!("d{device} repeats it"));
            match self.engine.received(self.gadgets[device].id, decoded.clone()).await {
                Ok(messages) if messages.is_empty() || !is_counted_once(command) => {}
                other => return Err(format!("a repetition of {packet:?} was answered by {other:?}")),
            }
        }
        self.compare().await
    }

    pub(super) fn again(&mut self, device: usize, packet: Packet) {
        // A report is made anew after each connect.
        if !matches!(packet, Packet::Report { .. }) {
            self.gadgets[device].waiting.push_front(packet);
        }
    }

    /// The model takes the packet too, and says whether what the engine answers is right.
    pub(super) fn take(&mut self, device: usize, packet: &Packet, messages: &[Downlink]) -> Checked {
        let now = self.now();
        let trigger = match packet {
            Packet::Report { versions, .. } => {
                self.model.versions(device, versions, now).then_some(Trigger::Online)
            }
            Packet::Request { versions } => {
                self.model.request(device, versions, now);
                Some(Trigger::Request)
            }
            Packet::Status { component, status, versions } => {
                let reply = self.model.status(device, *component, *status, versions.as_ref(), now);
                return match (reply, messages) {
                    (Reply::Nothing, []) => Ok(()),
                    (Reply::Question, [Downlink::AskVersions]) => Ok(()),
                    (Reply::Firmware { plan }, [Downlink::Firmware(info)]) => {
                        let settings = &self.model.plans[plan].settings;
                        let right = (COMPONENTS[settings.component], settings.target.as_str());
                        let sent = (info.component.as_str(), info.target.as_str());
                        if sent == right { Ok(()) } else { Err(format!("{info:?}")) }
                    }
                    (reply, messages) => Err(format!("{reply:?} was due, {messages:?} came")),
                };
            }
        };
        match (trigger, messages) {
            (None, []) => Ok(()),
            (Some(trigger), []) => match self.model.due(device, trigger, now) {
                None => Ok(()),
                Some(plan) => Err(format!("d{device} was due plan {plan} and heard nothing")),
            },
            (Some(trigger), [message]) => self.take_offer(device, message, trigger),
            (_, messages) => Err(format!("d{device} hears {messages:?}")),
        }
    }

    pub(super) fn take_offer(&mut self, device: usize, message: &Downlink, trigger: Trigger) -> Checked {
        let plan = self.plan_of(message)?;
        self.figures.offers += 1;
        self.note(|| format!("d{device} is offered plan {plan}"));
        let now = self.now();
        self.model.offered(device, plan, trigger, now).map_err(|why| format!("d{device} was {why}"))
    }

    /// Every plan has a target of its own, so an offer names it.
    pub(super) fn plan_of(&self, message: &Downlink) -> Checked<usize> {
        let Downlink::Offer(components) = message else { return Err(format!("{message:?} is no offer")) };
        let [offered] = components.as_slice() else { return Err(format!("{components:?}")) };
        let target = offered.target.as_str();
        let found = self.model.plans.iter().position(|known| known.settings.target == target);
        found.ok_or_else(|| format!("nobody made {offered:?}"))
    }

    /// What the center sends reaches the device, or is lost.
    pub(super) fn hear(&mut self, device: usize, messages: &[Downlink]) {
        for message in messages {
            if self.chance.one_in(10) {
                continue;
            }
            let gadget = &mut self.gadgets[device];
            match message {
                Downlink::Offer(components) => {
                    let idle = gadget.plan.as_ref().is_none_or(|(.., said)| *said <= 1);
                    if let Some(offered) = components.first().filter(|_| idle) {
                        let component = usize::from(offered.component.as_str() == COMPONENTS[1]);
                        gadget.plan = Some((component, offered.target.to_string(), 0));
                    }
                }
                Downlink::AskVersions => {
                    let versions = gadget.versions.clone();
                    gadget.waiting.push_back(Packet::Report { command: Command::INFO_ANSWER, versions });
                }
                _ => {}
            }
        }
    }
}

pub(super) fn is_counted_once(command: Command) -> bool {
    matches!(command, Command::STATUS_EVENT | Command::PLAN_REQUEST)
}

pub(super) fn bytes(packet: &Packet) -> (Command, Vec<u8>) {
    let mut out = vec![0; 512];
    let list = |versions: &[String; 2]| format!("A:{};B:{}", versions[0], versions[1]);
    let (command, length) = match packet {
        Packet::Report { command, versions } => {
            let mut ttlv = Ttlv::new(&mut out);
            ttlv.text(2, "FW1").text(3, &list(versions)).text(11, "2.9.0");
            (*command, ttlv.finish().unwrap())
        }
        Packet::Request { versions } => {
            let mcu = list(versions);
            let request = PlanRequest { versions: Versions { module: "FW1", mcu: &mcu } };
            (Command::PLAN_REQUEST, request.emit(&mut out).unwrap())
        }
        Packet::Status { component, status, versions } => {
            let mcu = versions.as_ref().map(list);
            let versions = mcu.as_ref().map(|mcu| Versions { module: "FW1", mcu }).unwrap_or_default();
            let status =
                OtaStatus::ALL.into_iter().find(|known| u32::from(known.number()) == *status).unwrap();
            let (kind, component) = (message::ComponentKind::Mcu, COMPONENTS[*component]);
            let event = StatusEvent {
                status,
                kind,
                component,
                signature: None,
                versions,
                extension: Default::default(),
            };
            (Command::STATUS_EVENT, event.emit(&mut out).unwrap())
        }
    };
    out.truncate(length);
    (command, out)
}
